/*
 * Replay with every answer of Grove's heap looked at.
 */
#ifndef BENCH_CHECK_H
#define BENCH_CHECK_H

#include "trace.h"

/*
 * => operations: how many of the trace; 0: all. In the end all is freed
 * => prints the most gaps visited in a call, then how many calls visited more than
 *    2 log2(gaps) + 8; or, with status 1, what was wrong
 */
int check_trace(const trace_t *trace, size_t operations);

#endif
