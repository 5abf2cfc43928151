/*
 * A trace of a heap, and a replay of it in the making.
 *
 * Nothing here calls malloc: the heap that is measured finds an empty process.
 */
#ifndef BENCH_TRACE_H
#define BENCH_TRACE_H

#include <kernel/types.h>

/* As in the file: the operation is above the id. */
typedef struct op {
    uint32_t what;
    uint32_t size;
} op_t;

enum { OP_FREE, OP_ALLOC, OP_REALLOC };
#define OP_SHIFT 30

static ALWAYS_INLINE unsigned op_kind(const op_t *op)
{
    return op->what >> OP_SHIFT;
}

static ALWAYS_INLINE size_t op_id(const op_t *op)
{
    return op->what & ((1u << OP_SHIFT) - 1);
}

typedef struct trace {
    size_t count;
    size_t id_count;
    size_t peak;            /* the most bytes ever asked for and not yet freed */
    const op_t *op;
    void **held;            /* where each id's buffer is; for the replay */
    size_t *size;           /* of each id that is live; for the replay */
} trace_t;

/* Read a trace of kind 0 (unpacked), every page of it resident. => exits if it is none */
trace_t trace_load(const char *path);

/* `bytes` zeroed bytes from the system, all of them resident. => exits if there are none */
void *take_pages(size_t bytes);

/* Say what is wrong and exit. */
_Noreturn void give_up(const char *what, const char *which);

#endif
