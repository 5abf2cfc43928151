/*
 * A heap at level full: what kheap.c's calls do instead of their own work. See
 * kheap.h for what lies in such a heap.
 *
 * => site: the address that the caller's call returns to. Who puts a call of their
 *    own in front of the heap, as kmalloc does, hands on their caller's
 * => all else: as the calls of the same name
 */
#ifndef KERNEL_KHEAP_FULL_H
#define KERNEL_KHEAP_FULL_H

#include <kernel/kheap.h>

void *kheap_full_alloc(kheap_t *heap, size_t size, size_t site);
void *kheap_full_calloc(kheap_t *heap, size_t count, size_t size, size_t site);
void *kheap_full_memalign(kheap_t *heap, size_t align, size_t size, size_t site);
void *kheap_full_realloc(kheap_t *heap, void *buffer, size_t size, size_t site);
void kheap_full_free(kheap_t *heap, void *buffer, size_t site);
size_t kheap_full_usable_size(kheap_t *heap, void *buffer, size_t site);

/* kheap_size_for, of kheap_fast.h. */
size_t kheap_full_size_for(kheap_t *heap, const char *call, void *buffer, size_t site);

/* The address that the call of the function it stands in returns to. */
#define CALL_SITE ((size_t)__builtin_return_address(0))

#endif
