/*
 * What is replayed: a trace of page allocations, six times over one machine.
 *
 * The first replay finds it fresh. What a replay leaves live stays while the
 * next one runs: once the machine is as full as asked for, each page allocated
 * drives out old blocks chosen at random, until none is left. So each replay
 * ends with the same blocks live, and only the history differs.
 */
#ifndef BENCH_PLAN_H
#define BENCH_PLAN_H

#include <kernel/types.h>

#define PLAN_REPLAYS 6

/* An operation: whether it allocates, an order, and the id of the block. */
#define OP_ALLOC        0x80000000u
#define OP_ORDER_SHIFT  27
#define OP_ID_MASK      ((1u << OP_ORDER_SHIFT) - 1)

static inline unsigned op_order(uint32_t op)
{
    return op >> OP_ORDER_SHIFT & 15;
}

typedef struct trace {
    size_t count;
    size_t id_count;
    uint32_t *op;
} trace_t;

typedef struct plan {
    size_t page_count;              /* of the machine */
    size_t live;                    /* pages in use after each replay */
    size_t id_count;
    size_t count;                   /* operations of all replays */
    size_t end[PLAN_REPLAYS];       /* where each replay ends in op[] */
    uint32_t *op;
} plan_t;

/* Read a trace of kind 1 (unpacked). => exits if it is none */
trace_t *trace_load(const char *path);

/* The same without all blocks of more than one page. */
trace_t *trace_order_0(const trace_t *trace);

/* => fill: per cent of the machine's pages that are live at the end */
plan_t *plan_make(const trace_t *trace, unsigned fill, uint32_t seed);

void plan_delete(plan_t *plan);

#endif
