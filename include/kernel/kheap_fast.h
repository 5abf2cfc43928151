/*
 * kmalloc and kfree where a cell does, for kheap.c and kmalloc.c: what most calls
 * are. Inline, so that a kernel whose heap is a constant pays for no pointer to it.
 */
#ifndef KERNEL_KHEAP_FAST_H
#define KERNEL_KHEAP_FAST_H

#include <kernel/kheap_full.h>
#include <kernel/kheap_slab.h>

/*
 * Answer every other request; free every other buffer, or say that it is none; merge a
 * slab that may have no cell in use now.
 *
 * => heap->lock is held, and released
 * => site: that called kmalloc or kfree, for a heap at level full
 */
void *kheap_alloc_rest(kheap_t *heap, size_t size, size_t site);
void kheap_free_rest(kheap_t *heap, void *buffer, size_t site);
void kheap_free_last(kheap_t *heap, kheap_slab_t *slab);

/*
 * The size of a buffer that is none of the pool's.
 *
 * => 0: it is none of the heap's either, which was reported as a misuse by `call`
 * => site: as above
 */
size_t kheap_size_for(kheap_t *heap, const char *call, void *buffer, size_t site);

/* The bytes [from, end) of a buffer, if any, were free until now. => buffer may be NULL */
static ALWAYS_INLINE void fresh(kheap_t *heap, void *buffer, size_t from, size_t end)
{
    unsigned char *byte = buffer;

    if (!DEBUG_BUILD || buffer == NULL || from >= end)
        return;
    look(heap, byte + from, byte + end);
    fill(byte + from, FILL_FRESH, end - from);
}

/* Hand out a buffer that was at hand. => heap->lock is held, and released */
static ALWAYS_INLINE void *hand_out(kheap_t *heap, void *buffer, size_t size)
{
    if (DEBUG_BUILD) {
        fresh(heap, buffer, 0, size);
        unlock(heap, "kmalloc", buffer);
    } else {
        splock_unlock(&heap->lock);
    }
    return buffer;
}

static ALWAYS_INLINE void *alloc_fast(kheap_t *heap, size_t size, size_t site)
{
    splock_lock(&heap->lock);
    if (LIKELY(size <= KHEAP_CELL_LARGEST)) {
        size_t cell_size = align_up(size, KHEAP_ALIGN);
        kheap_class_t *class = class_of(heap, cell_size);

        if (LIKELY(class->free != 0))
            return hand_out(heap, cell_take(class, cell_size), cell_size);
    }
    return kheap_alloc_rest(heap, size, site);
}

static ALWAYS_INLINE void free_fast(kheap_t *heap, void *buffer, size_t site)
{
    splock_lock(&heap->lock);
    kheap_slab_t *slab = slab_of(heap, buffer);

    if (LIKELY(slab != NULL && slab->open)) {
        cell_state_t state = cell_give(heap, slab, buffer);

        if (LIKELY(state != CELL_NOT_USED)) {
            fill(buffer, FILL_FREED, slab->cell_size);
            if (UNLIKELY(state == CELL_LAST) && !slab->first)
                kheap_free_last(heap, slab);
            else
                splock_unlock(&heap->lock);
            return;
        }
    }
    kheap_free_rest(heap, buffer, site);
}

#endif
