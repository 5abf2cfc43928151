/*
 * malloc and its family over Grove's heap, to be preloaded into Linux programs. What they
 * answer, and what errno is then, is what glibc's do.
 */
#include <kernel/kheap_full.h>
#include "process.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))

/* Release the lock, and answer. */
static void *leave_with(void *buffer)
{
    process_heap_leave();
    if (buffer == NULL)
        errno = ENOMEM;
    return buffer;
}

/* A full heap learns who called these, not these themselves. */
EXPORT void *malloc(size_t size)
{
    kheap_t *heap = process_heap_enter();

    return leave_with(heap->level == KHEAP_FULL ? kheap_full_alloc(heap, size, CALL_SITE)
                                                : kheap_alloc(heap, size));
}

EXPORT void *calloc(size_t count, size_t size)
{
    kheap_t *heap = process_heap_enter();

    return leave_with(heap->level == KHEAP_FULL ? kheap_full_calloc(heap, count, size, CALL_SITE)
                                                : kheap_calloc(heap, count, size));
}

/* Programs free while they look at errno. */
EXPORT void free(void *buffer)
{
    int error = errno;

    if (buffer == NULL)
        return;
    kheap_t *heap = process_heap_enter();
    if (heap->level == KHEAP_FULL)
        kheap_full_free(heap, buffer, CALL_SITE);
    else
        kheap_free(heap, buffer);
    process_heap_leave();
    errno = error;
}

/* Size 0 frees the buffer: glibc's habit, not the heap's. */
EXPORT void *realloc(void *buffer, size_t size)
{
    if (buffer != NULL && size == 0) {
        free(buffer);
        return NULL;
    }
    kheap_t *heap = process_heap_enter();
    return leave_with(heap->level == KHEAP_FULL
                      ? kheap_full_realloc(heap, buffer, size, CALL_SITE)
                      : kheap_realloc(heap, buffer, size));
}

EXPORT void *reallocarray(void *buffer, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(buffer, bytes);
}

static bool power_of_two(size_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
    if (!power_of_two(align)) {
        errno = EINVAL;
        return NULL;
    }
    kheap_t *heap = process_heap_enter();
    return leave_with(heap->level == KHEAP_FULL
                      ? kheap_full_memalign(heap, align, size, CALL_SITE)
                      : kheap_memalign(heap, align, size));
}

/* An alignment that is no power of two means the next one. */
EXPORT void *memalign(size_t align, size_t size)
{
    size_t power = KHEAP_ALIGN;

    while (power < align && power != 0)
        power *= 2;
    return aligned_alloc(power, size);
}

/* The answer is the error; errno stays as it was. */
EXPORT int posix_memalign(void **answer, size_t align, size_t size)
{
    int error = errno;

    if (!power_of_two(align) || align % sizeof(void *) != 0)
        return EINVAL;
    void *buffer = aligned_alloc(align, size);
    errno = error;
    if (buffer == NULL)
        return ENOMEM;
    *answer = buffer;
    return 0;
}

EXPORT void *valloc(size_t size)
{
    return aligned_alloc(PAGE_SIZE, size);
}

EXPORT void *pvalloc(size_t size)
{
    if (size > SIZE_MAX - PAGE_MASK) {
        errno = ENOMEM;
        return NULL;
    }
    return aligned_alloc(PAGE_SIZE, align_up(size, PAGE_SIZE));
}

EXPORT size_t malloc_usable_size(void *buffer)
{
    size_t size = kheap_usable_size(process_heap_enter(), buffer);

    process_heap_leave();
    return size;
}
