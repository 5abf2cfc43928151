/*
 * The measurements that are not of time alone. Each replays a trace once or more,
 * prints its figures, and returns the process's status.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "target.h"
#include "trace.h"

/* Grove: the segment's highest length, then the peak of live bytes. */
int measure_space(const trace_t *trace);

/*
 * Any target: the most resident anonymous bytes beyond those before the replay,
 * then the peak of live bytes.
 *
 * => every page of every buffer is written to
 */
int measure_resident(const trace_t *trace, const target_t *target);

/*
 * Grove: lines of operation, live bytes, bytes of the segment.
 *
 * => the highest of both since the line before: no peak is missed
 */
int measure_series(const trace_t *trace, size_t samples);

/*
 * Grove: ns of the slowest operation and of the 99.9th percentile; then which
 * operation was slowest.
 *
 * => of each operation the fastest of seven runs; no page is new to the system, and
 *    what a realloc that moves takes is left out
 */
int measure_slow(const trace_t *trace);

#endif
