/*
 * What a trace is replayed on: Grove's heap, the process's malloc (glibc's, or
 * the one that LD_PRELOAD put there), or nothing.
 */
#ifndef BENCH_TARGET_H
#define BENCH_TARGET_H

#include <kernel/kheap.h>

typedef struct target {
    const char *name;
    void *(*alloc)(size_t size);
    void *(*resize)(void *buffer, size_t size);
    void (*release)(void *buffer);
} target_t;

/* => NULL: there is none of that name */
const target_t *target_find(const char *name);

/* Grove's heap; new and empty after target_new_heap. */
extern kheap_t grove_heap;

/*
 * Make it, over a segment on one large reserved mapping.
 *
 * => with HEAP_LEVEL=full in the environment it is a full one
 * => keep: pages given back stay resident, so that a second heap finds them without
 *    page faults; otherwise the system gets them at once
 */
void target_new_heap(bool keep);

/* Everything that belongs to Grove's heap is in here. */
void target_bounds(size_t *base, size_t *limit);

#endif
