/*
 * Space, resident memory, and the slowest operation.
 */
#include <kernel/layout.h>
#include <kernel/panic.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"

#define RUNS     7      /* of each operation, for the slowest */
#define LOOKS    400    /* at the resident memory, in a replay */
#define NEVER    UINT32_MAX

/* ---- one operation at a time */

/* Do what it says; live bytes follow. => NULL after a free */
static char *step(const trace_t *trace, const op_t *op, const target_t *target, size_t *live)
{
    void **place = &trace->held[op_id(op)];
    size_t *size = &trace->size[op_id(op)];

    *live -= *size;
    *size = 0;
    if (op_kind(op) == OP_FREE) {
        target->release(*place);
        return NULL;
    }
    *place = op_kind(op) == OP_ALLOC ? target->alloc(op->size) : target->resize(*place, op->size);
    if (*place == NULL)
        give_up("out of memory", target->name);
    *size = op->size;
    *live += op->size;
    return *place;
}

/* What the heap has of the system with a segment of so many bytes: its notes count. */
static size_t mapped(size_t segment)
{
    return segment + align_up(segment / PAGE_SIZE * SEGMENT_SIDE, PAGE_SIZE);
}

int measure_space(const trace_t *trace)
{
    const target_t *grove = target_find("grove");
    size_t live = 0;
    size_t peak = 0;
    kheap_stat_t stat;

    for (size_t i = 0; i < trace->count; i++) {
        step(trace, &trace->op[i], grove, &live);
        peak = live > peak ? live : peak;
    }
    if (peak != trace->peak)
        give_up("the trace's peak is wrong", "space");
    kheap_stat(&grove_heap, &stat);
    printf("%zu\t%zu\n", mapped(stat.peak_segment), peak);
    return 0;
}

int measure_series(const trace_t *trace, size_t samples)
{
    const target_t *grove = target_find("grove");
    size_t each = trace->count / (samples + 1) + 1;
    size_t live = 0;
    size_t most_live = 0;
    size_t longest = 0;

    for (size_t i = 0; i < trace->count; i++) {
        size_t length;

        step(trace, &trace->op[i], grove, &live);
        length = mapped(grove_heap.segment->length);
        most_live = live > most_live ? live : most_live;
        longest = length > longest ? length : longest;
        if ((i + 1) % each == 0 || i + 1 == trace->count) {
            printf("%zu\t%zu\t%zu\n", i + 1, most_live, longest);
            most_live = longest = 0;
        }
    }
    return 0;
}

/* ---- resident memory */

/* Counted by the system page by page, not estimated as in /proc/self/statm. */
static size_t resident_now(void)
{
    static char text[4096];
    int file = open("/proc/self/smaps_rollup", O_RDONLY);
    ssize_t length = file < 0 ? -1 : read(file, text, sizeof(text) - 1);
    const char *line;

    if (length < 0)
        give_up("cannot be read", "/proc/self/smaps_rollup");
    close(file);
    text[length] = '\0';
    line = strstr(text, "\nAnonymous:");
    if (line == NULL)
        give_up("has no line Anonymous", "/proc/self/smaps_rollup");
    return strtoul(line + strlen("\nAnonymous:"), NULL, 10) * KIB;
}

/* Where in the trace most is live. */
static size_t peak_at(const trace_t *trace)
{
    size_t live = 0;
    size_t at = 0;

    for (size_t i = 0; i < trace->count && live != trace->peak; i++) {
        size_t *size = &trace->size[op_id(&trace->op[i])];

        live += trace->op[i].size - *size;
        *size = trace->op[i].size;
        at = i;
    }
    memset(trace->size, 0, trace->id_count * sizeof(*trace->size));
    return at;
}

int measure_resident(const trace_t *trace, const target_t *target)
{
    size_t each = trace->count / LOOKS + 1;
    size_t fullest = peak_at(trace);
    size_t live = 0;
    size_t most = 0;
    size_t before = resident_now();

    before = resident_now();    /* the first one has touched what it needs */
    for (size_t i = 0; i < trace->count; i++) {
        char *buffer = step(trace, &trace->op[i], target, &live);
        size_t size = trace->op[i].size;

        if (buffer != NULL && size != 0) {
            for (size_t at = 0; at < size; at += PAGE_SIZE)
                buffer[at] = 1;
            buffer[size - 1] = 1;
        }
        if (i % each == 0 || i == fullest || i + 1 == trace->count) {
            size_t now = resident_now();

            most = now > most ? now : most;
        }
    }
    printf("%zu\t%zu\n", most - before, trace->peak);
    return 0;
}

/* ---- the slowest operation */

static ALWAYS_INLINE uint64_t ticks(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* One run, an operation at a time. => best: NEVER for what is left out */
static void time_each(const trace_t *trace, const target_t *target, uint32_t *best)
{
    for (size_t i = 0; i < trace->count; i++) {
        const op_t *op = &trace->op[i];
        void **place = &trace->held[op_id(op)];
        void *old = *place;
        void *buffer = NULL;
        uint64_t start = ticks();
        uint64_t spent;

        if (op_kind(op) == OP_FREE)
            target->release(old);
        else if (op_kind(op) == OP_ALLOC)
            buffer = target->alloc(op->size);
        else
            buffer = target->resize(old, op->size);
        spent = ticks() - start;

        *place = buffer;
        if (buffer != NULL && op->size != 0)
            *(char *)buffer = 1;
        if (op_kind(op) != OP_REALLOC || buffer == old)
            best[i] = spent < best[i] ? (uint32_t)spent : best[i];
    }
}

static int by_value(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

/* => the number of the operations that are timed, the first ones after sorting */
static size_t time_runs(const trace_t *trace, const target_t *target, uint32_t *best)
{
    memset(best, 0xff, trace->count * sizeof(*best));
    for (unsigned run = 0; run < RUNS; run++) {
        target_new_heap(true);
        time_each(trace, target, best);
    }
    size_t count = 0;
    for (size_t i = 0; i < trace->count; i++)
        count += best[i] != NEVER;
    return count;
}

int measure_slow(const trace_t *trace)
{
    uint32_t *best = take_pages(trace->count * sizeof(*best));
    double start = seconds();
    uint64_t start_ticks = ticks();
    size_t count = time_runs(trace, target_find("nothing"), best);

    qsort(best, trace->count, sizeof(*best), by_value);
    double cost = best[count / 2];
    target_new_heap(true);
    time_each(trace, target_find("grove"), best);   /* every page is there now */
    count = time_runs(trace, target_find("grove"), best);
    size_t slowest = 0;
    for (size_t i = 0; i < trace->count; i++)
        slowest = best[i] != NEVER && best[i] > best[slowest] ? i : slowest;
    double rate = (double)(ticks() - start_ticks) / ((seconds() - start) * 1e9);

    qsort(best, trace->count, sizeof(*best), by_value);
    printf("%.0f\t%.0f\t%zu\n", (best[count - 1] - cost) / rate,
           (best[count - 1 - count / 1000] - cost) / rate, slowest);
    return 0;
}
