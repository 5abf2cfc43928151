/*
 * One replay of a heap trace in a process of its own, so that every heap is fresh.
 *
 * usage: heap time|resident grove|system|nothing TRACE
 *        heap space|slow TRACE           (Grove's heap)
 *        heap series TRACE SAMPLES       (Grove's heap)
 *        heap check TRACE OPERATIONS     (Grove's heap; 0: all)
 *
 * HEAP_LEVEL=full in the environment makes Grove's heap a full one.
 *
 * Prints figures, separated by tabs: for `time`, ns and page faults for an operation,
 * and ns for a page fault; the others are in measure.h and check.h. tools/bench-heap
 * runs it in turns and makes the tables.
 */
#include <kernel/layout.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include "check.h"
#include "measure.h"
#include "target.h"
#include "trace.h"

#define FAULT_PAGES 2048u   /* touched to learn what a page fault costs */

/*
 * The loop that is timed, the same for every target. A program writes to what it
 * allocates: one byte at the start stands for that.
 *
 * => the first operation that failed, or `end`
 */
static NOINLINE const op_t *replay(const op_t *op, const op_t *end, void **held,
                                   const target_t *target)
{
    void *(*alloc)(size_t) = target->alloc;
    void *(*resize)(void *, size_t) = target->resize;
    void (*release)(void *) = target->release;

    for (; op < end; op++) {
        void **place = &held[op_id(op)];
        char *buffer;

        if (op_kind(op) == OP_FREE) {
            release(*place);
            continue;
        }
        buffer = op_kind(op) == OP_ALLOC ? alloc(op->size) : resize(*place, op->size);
        if (UNLIKELY(buffer == NULL))
            break;
        if (op->size != 0)
            *buffer = 1;
        *place = buffer;
    }
    return op;
}

static double cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static long fault_count(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

/* What the system takes for the first touch of a page. */
static double fault_ns(void)
{
    size_t bytes = FAULT_PAGES * PAGE_SIZE;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    double start = cpu_ns();

    if (memory == MAP_FAILED)
        give_up("out of memory", "replay");
    for (size_t at = 0; at < bytes; at += PAGE_SIZE)
        *(volatile char *)(memory + at) = 1;
    return (cpu_ns() - start) / FAULT_PAGES;
}

/* The processor's time for one replay, what the system does for it included. */
static int run_time(const trace_t *trace, const target_t *target)
{
    const op_t *end = trace->op + trace->count;
    long faults = fault_count();
    double start = cpu_ns();
    const op_t *last = replay(trace->op, end, trace->held, target);
    double spent = cpu_ns() - start;

    faults = fault_count() - faults;
    if (last != end)
        give_up("out of memory", target->name);
    printf("%.3f\t%.6f\t%.1f\n", spent / (double)trace->count,
           (double)faults / (double)trace->count, fault_ns());
    return 0;
}

static int usage(void)
{
    fputs("usage: heap time|resident grove|system|nothing TRACE\n"
          "       heap space|slow TRACE\n"
          "       heap series TRACE SAMPLES\n"
          "       heap check TRACE OPERATIONS\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    const target_t *target = argc == 4 ? target_find(argv[2]) : NULL;
    bool chosen = strcmp(mode, "time") == 0 || strcmp(mode, "resident") == 0;
    trace_t trace;

    if (argc < 3 || (chosen && target == NULL))
        return usage();
    /* Pages of one size: else it is the system that is compared. */
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    trace = trace_load(argv[chosen ? 3 : 2]);
    target_new_heap(false);
    if (strcmp(mode, "time") == 0)
        return run_time(&trace, target);
    if (strcmp(mode, "resident") == 0)
        return measure_resident(&trace, target);
    if (strcmp(mode, "space") == 0)
        return measure_space(&trace);
    if (strcmp(mode, "slow") == 0)
        return measure_slow(&trace);
    if (strcmp(mode, "series") == 0 && argc == 4)
        return measure_series(&trace, strtoul(argv[3], NULL, 10));
    if (strcmp(mode, "check") == 0 && argc == 4)
        return check_trace(&trace, strtoul(argv[3], NULL, 10));
    return usage();
}
