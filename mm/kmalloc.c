/*
 * The kernel's own heap, and the names it is called by. A full heap learns who called
 * these, not these themselves.
 */
#include <kernel/kheap_fast.h>

#define LOG_LINES 64

kheap_t kernel_heap;

void *kmalloc(size_t size)
{
    return alloc_fast(&kernel_heap, size, CALL_SITE);
}

void *kcalloc(size_t count, size_t size)
{
    if (UNLIKELY(kernel_heap.level == KHEAP_FULL))
        return kheap_full_calloc(&kernel_heap, count, size, CALL_SITE);
    return kheap_calloc(&kernel_heap, count, size);
}

void *kmemalign(size_t align, size_t size)
{
    if (UNLIKELY(kernel_heap.level == KHEAP_FULL))
        return kheap_full_memalign(&kernel_heap, align, size, CALL_SITE);
    return kheap_memalign(&kernel_heap, align, size);
}

void *krealloc(void *buffer, size_t size)
{
    if (UNLIKELY(kernel_heap.level == KHEAP_FULL))
        return kheap_full_realloc(&kernel_heap, buffer, size, CALL_SITE);
    return kheap_realloc(&kernel_heap, buffer, size);
}

void kfree(void *buffer)
{
    free_fast(&kernel_heap, buffer, CALL_SITE);
}

size_t kmalloc_usable_size(void *buffer)
{
    if (UNLIKELY(kernel_heap.level == KHEAP_FULL))
        return kheap_full_usable_size(&kernel_heap, buffer, CALL_SITE);
    return kheap_usable_size(&kernel_heap, buffer);
}

void log_heap_structure(void)
{
    kheap_log(&kernel_heap, LOG_LINES);
}
