/*
 * The trace with a record of which bytes are whose, and contents that tell whose
 * they are.
 */
#include <kernel/layout.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "target.h"

#define SCANS 32    /* kheap_check's, in a replay */

static struct {
    size_t base;            /* of the segment */
    size_t limit;
    uint8_t *owned;         /* for each KHEAP_ALIGN bytes of it: part of a buffer */
    size_t most_visited;
    size_t over_limit;      /* calls that visited more gaps than they may */
    size_t gaps;            /* after the last call */
} checker;

/* A buffer's contents: other ones for each id, and for each 64 bytes. */
static uint64_t pattern(size_t id, size_t at)
{
    return (id + 1) * 0x9e3779b97f4a7c15ull + at / 64;
}

static void fill(char *buffer, size_t id, size_t from, size_t size)
{
    for (size_t at = from; at < size; at++)
        buffer[at] = (char)(pattern(id, at) >> at % 8 * 8);
}

static bool kept(const char *buffer, size_t id, size_t size)
{
    for (size_t at = 0; at < size; at++) {
        if (buffer[at] != (char)(pattern(id, at) >> at % 8 * 8))
            return false;
    }
    return true;
}

static const char *own(const char *buffer, size_t size)
{
    size_t at = (size_t)buffer;
    size_t units = (size + KHEAP_ALIGN - 1) / KHEAP_ALIGN;
    uint8_t *owned = &checker.owned[(at - checker.base) / KHEAP_ALIGN];

    if (buffer == NULL)
        return "out of memory";
    if (at % KHEAP_ALIGN != 0)
        return "a buffer is not aligned";
    if (at < checker.base || at - checker.base > grove_heap.segment->length ||
        size > grove_heap.segment->length - (at - checker.base))
        return "a buffer is not in the segment";
    if (kheap_usable_size(&grove_heap, (void *)buffer) < size)
        return "a buffer is too small";
    units += units == 0;    /* one of no bytes has an address of its own, too */
    for (size_t i = 0; i < units; i++) {
        if (owned[i])
            return "two buffers overlap";
    }
    memset(owned, 1, units);
    return NULL;
}

static void disown(const char *buffer, size_t size)
{
    size_t units = (size + KHEAP_ALIGN - 1) / KHEAP_ALIGN;

    memset(&checker.owned[((size_t)buffer - checker.base) / KHEAP_ALIGN], 0, units + (units == 0));
}

static void count_visits(void)
{
    kheap_stat_t stat;
    size_t gaps;
    size_t limit = 8;

    kheap_stat(&grove_heap, &stat);
    gaps = stat.gap_count > checker.gaps ? stat.gap_count : checker.gaps;
    for (uint64_t squared = (uint64_t)gaps * gaps; squared > 1; squared >>= 1)
        limit++;
    checker.gaps = stat.gap_count;
    checker.over_limit += stat.last_visited_count > limit;
    if (stat.last_visited_count > checker.most_visited)
        checker.most_visited = stat.last_visited_count;
}

/* => NULL, or what is wrong */
static const char *step(const trace_t *trace, const op_t *op)
{
    size_t id = op_id(op);
    size_t old_size = trace->size[id];
    size_t common = op->size < old_size ? op->size : old_size;
    char *buffer = trace->held[id];
    const char *trouble;

    if (op_kind(op) != OP_ALLOC) {
        if (!kept(buffer, id, old_size))
            return "a buffer's contents changed";
        disown(buffer, old_size);
    }
    trace->size[id] = op->size;
    if (op_kind(op) == OP_FREE) {
        kheap_free(&grove_heap, buffer);
        count_visits();
        return NULL;
    }
    if (op_kind(op) == OP_ALLOC) {
        buffer = kheap_alloc(&grove_heap, op->size);
        common = 0;
    } else {
        buffer = kheap_realloc(&grove_heap, buffer, op->size);
    }
    count_visits();
    trouble = own(buffer, op->size);
    if (trouble == NULL && !kept(buffer, id, common))
        trouble = "realloc lost contents";
    if (trouble == NULL)
        fill(buffer, id, common, op->size);
    trace->held[id] = buffer;
    return trouble;
}

/* Free what is live after `count` operations. => NULL, or what is wrong */
static const char *free_all(const trace_t *trace, size_t count)
{
    uint8_t *live = take_pages(trace->id_count);
    const char *trouble = NULL;

    for (size_t i = 0; i < count; i++)
        live[op_id(&trace->op[i])] = op_kind(&trace->op[i]) != OP_FREE;
    for (size_t id = 0; id < trace->id_count && trouble == NULL; id++) {
        op_t op = { .what = (uint32_t)OP_FREE << OP_SHIFT | (uint32_t)id };

        if (live[id])
            trouble = step(trace, &op);
    }
    return trouble;
}

/* Nothing is left: not a superbuffer, and no page after a trim. */
static const char *empty(void)
{
    const char *trouble = kheap_check(&grove_heap);
    kheap_stat_t stat;

    if (trouble != NULL)
        return trouble;
    kheap_trim(&grove_heap, 0);
    kheap_stat(&grove_heap, &stat);
    if (stat.buffer_count != 0 || stat.used != 0 || stat.misuse_count != 0)
        return "superbuffers are left after all is freed";
    if (stat.segment != 0 || stat.gap_count != 0)
        return "the segment is not given back whole";
    return kheap_check(&grove_heap);
}

int check_trace(const trace_t *trace, size_t operations)
{
    size_t count = operations == 0 || operations > trace->count ? trace->count : operations;
    const char *trouble = NULL;
    size_t i;

    target_bounds(&checker.base, &checker.limit);
    checker.owned = calloc(checker.limit / KHEAP_ALIGN, 1);
    if (checker.owned == NULL)
        give_up("out of memory", "check");
    for (i = 0; i < count && trouble == NULL; i++) {
        trouble = step(trace, &trace->op[i]);
        if (trouble == NULL && i % (count / SCANS + 1) == 0)
            trouble = kheap_check(&grove_heap);
    }
    if (trouble == NULL)
        trouble = kheap_check(&grove_heap);
    if (trouble == NULL)
        trouble = free_all(trace, count);
    if (trouble == NULL)
        trouble = empty();
    if (trouble != NULL)
        printf("operation %zu: %s\n", i, trouble);
    else
        printf("%zu\t%zu\n", checker.most_visited, checker.over_limit);
    return trouble != NULL;
}
