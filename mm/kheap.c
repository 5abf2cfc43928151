/*
 * The kernel heap: takes superbuffers out of gaps, and merges what is freed.
 */
#include <kernel/kheap_full.h>
#include <kernel/kheap_space.h>

static ALWAYS_INLINE size_t length_for(size_t size)
{
    size_t length = align_up(size + REGISTRY, KHEAP_GRANULE);

    return KHEAP_GRANULE < SMALLEST && length < SMALLEST ? SMALLEST : length;
}

/* The bytes [from, end) of a buffer, if any, were free until now. => buffer may be NULL */
static void fresh(kheap_t *heap, void *buffer, size_t from, size_t end)
{
    unsigned char *byte = buffer;

    if (!DEBUG_BUILD || buffer == NULL || from >= end)
        return;
    look(heap, byte + from, byte + end);
    fill(byte + from, FILL_FRESH, end - from);
}

/* The best fitting gap, or the tail. => NULL: neither is long enough */
static kernel_heap_gap_t *find(kheap_t *heap, size_t length)
{
    kernel_heap_gap_t *gap = gaptree_fit(&heap->tree, length);
    kernel_heap_gap_t *tail = heap->tail;

    return gap != NULL ? gap : tail != NULL && tail->length >= length ? tail : NULL;
}

/* A superbuffer in the best fitting gap. => NULL: no memory, or that gap is damaged */
static NOINLINE void *take(kheap_t *heap, size_t length)
{
    kernel_heap_gap_t *gap = find(heap, length);

    if (gap == NULL && kheap_merge_cached(heap) != 0)
        gap = find(heap, length);
    if (gap == NULL && kheap_grow(heap, length))
        gap = heap->tail;
    if (gap == NULL || !gap_sound(heap, gap))
        return NULL;
    size_t whole = gap->length;
    take_free(heap, (size_t)gap, false);
    return carve(heap, (size_t)gap, whole, length, 0, false);
}

/* What must lie before a superbuffer there for its buffer to be aligned. */
static size_t lead_for(size_t block, size_t align)
{
    return align_up(block + REGISTRY, align) - REGISTRY - block;
}

/* A gap, or the tail, where an aligned buffer fits. => NULL: there is none */
static kernel_heap_gap_t *find_aligned(kheap_t *heap, size_t align, size_t length)
{
    kernel_heap_gap_t *gap = gaptree_fit(&heap->tree, length);
    kernel_heap_gap_t *tail = heap->tail;

    if (gap != NULL && gap->length < length + lead_for((size_t)gap, align))
        gap = gaptree_fit(&heap->tree, length + align - KHEAP_ALIGN);
    if (gap == NULL && tail != NULL && tail->length >= length + lead_for((size_t)tail, align))
        gap = tail;
    return gap;
}

static void *take_aligned(kheap_t *heap, size_t align, size_t length)
{
    kernel_heap_gap_t *gap = find_aligned(heap, align, length);

    if (gap == NULL && kheap_merge_cached(heap) != 0)
        gap = find_aligned(heap, align, length);
    if (gap == NULL && kheap_grow(heap, length + lead_for(heap->end - free_at_end(heap), align)))
        gap = heap->tail;
    if (gap == NULL || !gap_sound(heap, gap))
        return NULL;

    size_t block = (size_t)gap;
    size_t lead = lead_for(block, align);
    size_t whole = gap->length - lead;
    take_free(heap, block, false);
    if (lead == 0)
        return carve(heap, block, whole, length, 0, false);
    void *buffer = carve(heap, block + lead, whole, length, BLOCK_AFTER_FREE, false);
    put_free(heap, block, lead, false);
    return buffer;
}

/* The same, quicker where a ring has a gap for it. */
static ALWAYS_INLINE void *take_any(kheap_t *heap, size_t length)
{
    size_t ring = gaptree_fit_ring(&heap->tree, length);

    if (UNLIKELY(ring == SIZE_MAX))
        return take(heap, length);
    kernel_heap_gap_t *gap = gaptree_ring_first(&heap->tree, ring);
    if (!gap_sound(heap, gap))
        return NULL;
    gaptree_remove(&heap->tree, gap, true);
    wipe((size_t)gap, ring * KHEAP_ALIGN);
    return carve(heap, (size_t)gap, ring * KHEAP_ALIGN, length, 0, true);
}

/* Answer kmalloc from the trees. => heap->lock is held, and released */
static NOINLINE void *alloc_any(kheap_t *heap, size_t length)
{
    void *buffer = take_any(heap, length);

    fresh(heap, buffer, 0, length - REGISTRY);
    unlock(heap, "kmalloc", buffer);
    return buffer;
}

void *kheap_alloc(kheap_t *heap, size_t size)
{
    if (UNLIKELY(heap->level == KHEAP_FULL))
        return kheap_full_alloc(heap, size, CALL_SITE);
    if (UNLIKELY(size > KHEAP_LARGEST))
        return NULL;
    size_t length = length_for(size);
    splock_lock(&heap->lock);
    heap->tree.visited = 0;
    void *buffer = length <= KHEAP_CACHED_LENGTH ? cache_take(heap, length) : NULL;
    if (UNLIKELY(buffer == NULL))
        return alloc_any(heap, length);
    if (DEBUG_BUILD) {
        fresh(heap, buffer, 0, length - REGISTRY);
        unlock(heap, "kmalloc", buffer);
    } else {
        splock_unlock(&heap->lock);
    }
    return buffer;
}

void *kheap_calloc(kheap_t *heap, size_t count, size_t size)
{
    size_t bytes;

    if (UNLIKELY(heap->level == KHEAP_FULL))
        return kheap_full_calloc(heap, count, size, CALL_SITE);
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *buffer = kheap_alloc(heap, bytes);
    if (buffer != NULL)
        __builtin_memset(buffer, 0, bytes);
    return buffer;
}

void *kheap_memalign(kheap_t *heap, size_t align, size_t size)
{
    if (UNLIKELY(heap->level == KHEAP_FULL))
        return kheap_full_memalign(heap, align, size, CALL_SITE);
    if (align == 0 || (align & (align - 1)) != 0)
        return NULL;
    if (align <= KHEAP_GRANULE)     /* every buffer is */
        return kheap_alloc(heap, size);
    if (align > KHEAP_LARGEST || size > KHEAP_LARGEST - align)
        return NULL;
    splock_lock(&heap->lock);
    heap->tree.visited = 0;
    void *buffer = take_aligned(heap, align, length_for(size));
    fresh(heap, buffer, 0, length_for(size) - REGISTRY);
    unlock(heap, "kmemalign", buffer);
    return buffer;
}

/* A sound superbuffer that is in use no more, and for which the cache has no room */
static NOINLINE void merge_back(kheap_t *heap, size_t block, size_t length)
{
    size_t flags = *block_word(block);
    size_t before = free_before(block, flags);
    size_t after = free_here(block + length);

    heap->superbuffers--;
    heap->taken -= length;
    heap->used -= length;
    if (LIKELY(before + length + after < GAPTREE_EXACT && block + length + after != heap->end)) {
        merge(heap, block, length, before, after, true);
    } else {
        kheap_release(heap, block, length, flags);
        if (heap->tail != NULL && heap->tail->length > heap->trim_above)
            kheap_give_back(heap, heap->trim_above >> 2);
    }
}

static ALWAYS_INLINE void put_back(kheap_t *heap, size_t block, size_t length)
{
    if (UNLIKELY(!cache_put(heap, block, length)))
        merge_back(heap, block, length);
}

void kheap_free(kheap_t *heap, void *buffer)
{
    size_t block = (size_t)buffer - REGISTRY;

    if (UNLIKELY(heap->level == KHEAP_FULL)) {
        kheap_full_free(heap, buffer, CALL_SITE);
        return;
    }
    if (buffer == NULL)
        return;
    splock_lock(&heap->lock);
    size_t length = sound_length(heap, block, 0);
    if (UNLIKELY(length == 0)) {
        kheap_misuse(heap, "kfree", buffer);
        return;
    }
    heap->tree.visited = 0;
    put_back(heap, block, length);
    splock_unlock(&heap->lock);
}

/* Shorten a superbuffer, or lengthen it into what is free behind it. => false: no room */
static bool resize(kheap_t *heap, size_t block, size_t old, size_t length)
{
    size_t flags = *block_word(block) & BLOCK_AFTER_FREE;
    size_t next = block + old;

    if (length > old) {
        size_t whole = old + free_here(next);
        if (whole < length && cached_bytes(heap) != 0) {
            kheap_merge_behind(heap, block, old, length);
            whole = old + free_here(next);
        }
        if (whole < length && (block + whole != heap->end || !kheap_grow(heap, length - old)))
            return false;
        whole = old + free_here(next);
        take_free(heap, next, false);
        heap->superbuffers--;
        heap->taken -= old;
        heap->used -= old;
        carve(heap, block, whole, length, flags, false);
    } else if (length < old) {
        *block_word(block) = superbuffer_word(block, length) | flags;
        heap->used -= old - length;
        heap->taken -= old - length;
        kheap_release(heap, block + length, old - length, 0);
    }
    return true;
}

void *kheap_realloc(kheap_t *heap, void *buffer, size_t size)
{
    size_t block = (size_t)buffer - REGISTRY;
    size_t length = length_for(size);

    if (UNLIKELY(heap->level == KHEAP_FULL))
        return kheap_full_realloc(heap, buffer, size, CALL_SITE);
    if (buffer == NULL)
        return kheap_alloc(heap, size);
    splock_lock(&heap->lock);
    size_t old = sound_length(heap, block, 0);
    if (UNLIKELY(old == 0)) {
        kheap_misuse(heap, "krealloc", buffer);
        return NULL;
    }
    heap->tree.visited = 0;
    if (UNLIKELY(size > KHEAP_LARGEST)) {
        buffer = NULL;
    } else if (resize(heap, block, old, length)) {
        fresh(heap, buffer, old - REGISTRY, length - REGISTRY);
    } else {
        void *moved = length <= KHEAP_CACHED_LENGTH ? cache_take(heap, length) : NULL;
        if (moved == NULL)
            moved = take(heap, length);
        fresh(heap, moved, 0, length - REGISTRY);
        if (moved != NULL) {
            __builtin_memcpy(moved, buffer, old - REGISTRY);
            put_back(heap, block, old);
        }
        buffer = moved;
    }
    unlock(heap, "krealloc", buffer);
    return buffer;
}

size_t kheap_usable_size(kheap_t *heap, void *buffer)
{
    if (UNLIKELY(heap->level == KHEAP_FULL))
        return kheap_full_usable_size(heap, buffer, CALL_SITE);
    if (buffer == NULL)
        return 0;
    splock_lock(&heap->lock);
    size_t length = sound_length(heap, (size_t)buffer - REGISTRY, 0);
    if (length == 0) {
        kheap_misuse(heap, "kmalloc_usable_size", buffer);
        return 0;
    }
    splock_unlock(&heap->lock);
    return length - REGISTRY;
}
