/*
 * How a trace file begins. The format: tests/bench/data/README.
 */
#ifndef BENCH_TRACE_HEADER_H
#define BENCH_TRACE_HEADER_H

#include <assert.h>
#include <kernel/types.h>

enum { TRACE_KIND_HEAP, TRACE_KIND_PAGES };

typedef struct trace_header {
    char magic[4];          /* "ATR1" */
    uint32_t kind;
    uint64_t count;         /* operations, which follow */
    uint32_t id_count;
    uint32_t zero;
    uint64_t peak;          /* bytes live at most */
} trace_header_t;

static_assert(sizeof(trace_header_t) == 32, "as in the file");

#endif
