/*
 * From a trace file to the operations that are replayed. Everything random and
 * everything that looks things up happens here, before any time is taken.
 */
#include <kernel/layout.h>
#include <kernel/panic.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../trace_header.h"
#include "plan.h"

/* The format: tests/bench/data/README. */
enum { TRACE_FREE = 0, TRACE_ALLOC = 1, TRACE_OP_SHIFT = 30 };
#define TRACE_ID_MASK ((1u << TRACE_OP_SHIFT) - 1)

static void *take(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL)
        panic("out of memory");
    return memory;
}

/* ---- the trace */

trace_t *trace_load(const char *path)
{
    trace_header_t header;
    trace_t *trace = take(1, sizeof(*trace));
    uint8_t *order;
    FILE *file = fopen(path, "rb");

    if (file == NULL || fread(&header, sizeof(header), 1, file) != 1 ||
        memcmp(header.magic, "ATR1", 4) != 0 || header.kind != TRACE_KIND_PAGES)
        panic("%s is no trace of pages", path);
    trace->count = (size_t)header.count;
    trace->id_count = header.id_count;
    trace->op = take(trace->count, sizeof(uint32_t));
    order = take(trace->id_count, 1);
    for (size_t i = 0; i < trace->count; i++) {
        uint32_t pair[2];
        uint32_t id;

        if (fread(pair, sizeof(pair), 1, file) != 1 ||
            (id = pair[0] & TRACE_ID_MASK) >= trace->id_count || pair[1] > 10)
            panic("%s is damaged", path);
        /* A free carries its order too, as a kernel's does. */
        if (pair[0] >> TRACE_OP_SHIFT == TRACE_ALLOC)
            order[id] = (uint8_t)pair[1];
        trace->op[i] = (pair[0] >> TRACE_OP_SHIFT == TRACE_ALLOC ? OP_ALLOC : 0) |
                       (uint32_t)order[id] << OP_ORDER_SHIFT | id;
    }
    fclose(file);
    free(order);
    return trace;
}

trace_t *trace_order_0(const trace_t *trace)
{
    trace_t *part = take(1, sizeof(*part));

    part->id_count = trace->id_count;
    part->op = take(trace->count, sizeof(uint32_t));
    for (size_t i = 0; i < trace->count; i++)
        if (op_order(trace->op[i]) == 0)
            part->op[part->count++] = trace->op[i];
    return part;
}

/* ---- the plan */

/* The operation that frees what `op` allocated, of the bank of ids its replay used. */
typedef struct survivors {
    size_t count;
    uint32_t *op;
} survivors_t;

static uint32_t next_random(uint32_t *seed)
{
    /* xorshift32 (Marsaglia) */
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static size_t pages_left(const trace_t *trace)
{
    size_t pages = 0;

    for (size_t i = 0; i < trace->count; i++) {
        size_t length = (size_t)1 << op_order(trace->op[i]);

        pages = trace->op[i] & OP_ALLOC ? pages + length : pages - length;
    }
    return pages;
}

static uint32_t take_at_random(survivors_t *old, uint32_t *seed)
{
    size_t at = next_random(seed) % old->count;
    uint32_t op = old->op[at];

    old->op[at] = old->op[--old->count];
    return op;
}

/* What of `trace` is live at its end, as operations that free it. */
static void find_survivors(const trace_t *trace, uint32_t id_base, survivors_t *left)
{
    uint32_t *live = take(trace->id_count, sizeof(uint32_t));

    left->count = 0;
    for (size_t i = 0; i < trace->count; i++)
        live[trace->op[i] & OP_ID_MASK] = trace->op[i];
    for (size_t id = 0; id < trace->id_count; id++)
        if (live[id] & OP_ALLOC)
            left->op[left->count++] = (live[id] & ~OP_ALLOC) + id_base;
    free(live);
}

plan_t *plan_make(const trace_t *trace, unsigned fill, uint32_t seed)
{
    plan_t *plan = take(1, sizeof(*plan));
    survivors_t old = { 0, take(trace->id_count, sizeof(uint32_t)) };
    size_t live = 0;
    uint32_t id_base = 0;

    plan->live = pages_left(trace);
    plan->page_count = plan->live * 100 / fill;
    plan->id_count = 2 * trace->id_count;
    plan->op = take((trace->count + trace->id_count) * PLAN_REPLAYS, sizeof(uint32_t));
    for (unsigned replay = 0; replay < PLAN_REPLAYS; replay++) {
        for (size_t i = 0; i < trace->count; i++) {
            uint32_t op = trace->op[i];
            size_t length = (size_t)1 << op_order(op);

            while ((op & OP_ALLOC) && live + length > plan->live && old.count > 0) {
                uint32_t out = take_at_random(&old, &seed);

                live -= (size_t)1 << op_order(out);
                plan->op[plan->count++] = out;
            }
            live = op & OP_ALLOC ? live + length : live - length;
            plan->op[plan->count++] = op + id_base;
        }
        ASSERT(old.count == 0 && live == plan->live);
        plan->end[replay] = plan->count;
        find_survivors(trace, id_base, &old);
        id_base = (uint32_t)trace->id_count - id_base;
    }
    free(old.op);
    return plan;
}

void plan_delete(plan_t *plan)
{
    free(plan->op);
    free(plan);
}
