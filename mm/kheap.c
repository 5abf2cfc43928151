/*
 * The kernel heap: takes superbuffers out of gaps, and merges what is freed.
 */
#include <kernel/kheap_fast.h>
#include <kernel/kheap_guard.h>

/* What a call looks at more gaps for, before the segment grows. */
#define MERGE_COUNT  4u
#define MERGE_VISITS 4u

/* How many bytes a buffer has. => it is one; 0 for NULL */
static size_t usable(const kheap_t *heap, const void *buffer)
{
    const kheap_slab_t *slab = slab_of(heap, buffer);

    if (slab != NULL && slab->cell_size != 0)
        return slab->cell_size;
    return buffer == NULL ? 0 : block_length((size_t)buffer - REGISTRY) - REGISTRY;
}

/* The best fitting gap, or the tail. => NULL: neither is long enough */
static kernel_heap_gap_t *find(kheap_t *heap, size_t length)
{
    kernel_heap_gap_t *gap = gaptree_fit(&heap->tree, length);
    kernel_heap_gap_t *tail = heap->tail;

    return gap != NULL ? gap : tail != NULL && tail->length >= length ? tail : NULL;
}

/*
 * A superbuffer in the best fitting gap. => NULL: no memory, or that gap is damaged
 *
 * => kheap_take_aligned would do as well, in 39 instructions more
 */
static NOINLINE void *take(kheap_t *heap, size_t length)
{
    kernel_heap_gap_t *gap = find(heap, length);

    if (gap == NULL && kheap_merge_some(heap, MERGE_COUNT, MERGE_VISITS))
        gap = find(heap, length);
    if (gap == NULL && kheap_grow(heap, length))
        gap = heap->tail;
    if (UNLIKELY(gap == NULL) && kheap_merge_cached(heap) != 0) {
        gap = find(heap, length);
        if (gap == NULL && kheap_grow(heap, length))    /* the tail may be longer now */
            gap = heap->tail;
    }
    if (gap == NULL || !gap_sound(heap, gap))
        return NULL;
    size_t whole = gap->length;
    take_free(heap, (size_t)gap, false);
    return carve(heap, (size_t)gap, whole, length, 0, false);
}

/* A gap, or the tail, where an aligned buffer fits. => NULL: there is none */
static kernel_heap_gap_t *find_aligned(kheap_t *heap, size_t align, size_t length)
{
    kernel_heap_gap_t *gap = gaptree_fit(&heap->tree, length);
    kernel_heap_gap_t *tail = heap->tail;

    if (gap != NULL && gap->length < length + lead_for((size_t)gap, REGISTRY, align))
        gap = gaptree_fit(&heap->tree, length + align - KHEAP_ALIGN);
    if (gap == NULL && tail != NULL
        && tail->length >= length + lead_for((size_t)tail, REGISTRY, align))
        gap = tail;
    return gap;
}

/* The tail, once an aligned buffer fits there. => NULL: no memory */
static kernel_heap_gap_t *grow_aligned(kheap_t *heap, size_t align, size_t length)
{
    size_t lead = lead_for(heap->end - free_at_end(heap), REGISTRY, align);

    return kheap_grow(heap, length + lead) ? heap->tail : NULL;
}

void *kheap_take_aligned(kheap_t *heap, size_t align, size_t length)
{
    kernel_heap_gap_t *gap = find_aligned(heap, align, length);

    if (gap == NULL && kheap_merge_some(heap, MERGE_COUNT, MERGE_VISITS))
        gap = find_aligned(heap, align, length);
    if (gap == NULL)
        gap = grow_aligned(heap, align, length);
    if (UNLIKELY(gap == NULL) && kheap_merge_cached(heap) != 0) {
        gap = find_aligned(heap, align, length);
        if (gap == NULL)        /* the tail may be longer now */
            gap = grow_aligned(heap, align, length);
    }
    if (gap == NULL || !gap_sound(heap, gap))
        return NULL;

    size_t block = (size_t)gap;
    size_t lead = lead_for(block, REGISTRY, align);
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

/* A cell that is not at hand. => NULL: the class has none, and a slab is not due */
static NOINLINE void *take_cell(kheap_t *heap, size_t class)
{
    bool found = kheap_slab_refill(heap, &heap->class[class])
        || (kheap_slab_due(heap, class) && kheap_slab_create(heap, class));

    return found ? cell_take(&heap->class[class], class * KHEAP_ALIGN) : NULL;
}

/* A buffer that is not at hand: a cell, or out of free space. => heap->lock is held */
static ALWAYS_INLINE void *take_new(kheap_t *heap, size_t size)
{
    size_t class = class_for(size);
    void *buffer = class <= KHEAP_CLASSES ? take_cell(heap, class) : NULL;

    return buffer != NULL ? buffer : take_any(heap, length_for(size));
}

/* A buffer, wherever it is. => heap->lock is held */
static void *take_buffer(kheap_t *heap, size_t size)
{
    void *buffer = NULL;

    size += size == 0;
    if (size <= KHEAP_CELL_LARGEST) {
        kheap_class_t *class = &heap->class[class_for(size)];

        if (class->free != 0)
            return cell_take(class, align_up(size, KHEAP_ALIGN));
        if (class->slabs != 0)
            return take_new(heap, size);
    }
    buffer = cache_take(heap, length_for(size));
    return buffer != NULL ? buffer : take_new(heap, size);
}

/* Answer kmalloc, and say what it met. => heap->lock is held, and released */
static void *answer_with(kheap_t *heap, void *buffer)
{
    fresh(heap, buffer, 0, usable(heap, buffer));
    unlock(heap, "kmalloc", buffer);
    return buffer;
}

/* Answer kmalloc with what is not at hand. => as above */
static NOINLINE void *alloc_new(kheap_t *heap, size_t size)
{
    heap->tree.visited = 0;
    return answer_with(heap, take_new(heap, size));
}

/* Answer kmalloc(0): no class has cells of 0 bytes. => as above */
static NOINLINE void *alloc_empty(kheap_t *heap)
{
    heap->tree.visited = 0;
    return answer_with(heap, take_buffer(heap, 1));
}

/*
 * Answer kmalloc of a heap at level full, or with a pool, which each call asks: no cell
 * stays at hand. => as above
 */
static NOINLINE void *alloc_detour(kheap_t *heap, size_t size, size_t site)
{
    if (heap->level == KHEAP_FULL) {
        splock_unlock(&heap->lock);
        return kheap_full_alloc(heap, size, site);
    }
    void *buffer = kheap_guard_alloc(heap, KHEAP_ALIGN, size);

    if (buffer != NULL || size > KHEAP_LARGEST) {
        splock_unlock(&heap->lock);
        return buffer;
    }
    heap->tree.visited = 0;
    buffer = take_buffer(heap, size);
    kheap_slab_put_down(heap);
    return answer_with(heap, buffer);
}

void *kheap_alloc_rest(kheap_t *heap, size_t size, size_t site)
{
    if (UNLIKELY(heap->detour))
        return alloc_detour(heap, size, site);
    if (size <= KHEAP_CELL_LARGEST) {
        size_t cell_size = align_up(size, KHEAP_ALIGN);
        kheap_class_t *class = class_of(heap, cell_size);

        if (kheap_slab_refill(heap, class))
            return hand_out(heap, cell_take(class, cell_size), cell_size);
        if (class->slabs != 0 || UNLIKELY(--class->patience == 0))
            return alloc_new(heap, size);
        if (UNLIKELY(size == 0))
            return alloc_empty(heap);
    } else if (UNLIKELY(size > KHEAP_LARGEST)) {
        splock_unlock(&heap->lock);
        return NULL;
    }
    size_t length = length_for(size);
    void *buffer = cache_take(heap, length);
    return LIKELY(buffer != NULL) ? hand_out(heap, buffer, length - REGISTRY)
                                  : alloc_new(heap, size);
}

void *kheap_alloc(kheap_t *heap, size_t size)
{
    return alloc_fast(heap, size, CALL_SITE);
}

void *kheap_calloc(kheap_t *heap, size_t count, size_t size)
{
    size_t bytes;

    if (UNLIKELY(heap->level == KHEAP_FULL))    /* both answers look again, locked */
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
    if (align == 0 || (align & (align - 1)) != 0)
        return NULL;
    if (align <= KHEAP_ALIGN)       /* every buffer is */
        return alloc_fast(heap, size, CALL_SITE);
    if (align > KHEAP_LARGEST || size > KHEAP_LARGEST - align)
        return NULL;
    splock_lock(&heap->lock);
    if (UNLIKELY(heap->level == KHEAP_FULL)) {
        splock_unlock(&heap->lock);
        return kheap_full_memalign(heap, align, size, CALL_SITE);
    }
    heap->tree.visited = 0;
    void *buffer = heap->guard != NULL ? kheap_guard_alloc(heap, align, size) : NULL;
    if (buffer != NULL) {
        splock_unlock(&heap->lock);
        return buffer;
    }
    buffer = kheap_take_aligned(heap, align, length_for(size));
    fresh(heap, buffer, 0, length_for(size) - REGISTRY);
    unlock(heap, "kmemalign", buffer);
    return buffer;
}

/* A sound superbuffer that is in use no more, and for which the cache has no room */
static void merge_back(kheap_t *heap, size_t block, size_t length)
{
    size_t flags = *block_word(block);
    size_t before = free_before(block, flags);
    size_t after = free_here(block + length);

    count_out(heap, length);
    if (LIKELY(before + length + after < GAPTREE_EXACT && block + length + after != heap->end)) {
        merge(heap, block, length, before, after, true);
    } else {
        kheap_release(heap, block, length, flags);
        kheap_give_back_more(heap);
    }
}

/* Free a cell, of a slab that may be full. => false: it is no cell in use */
static bool free_cell(kheap_t *heap, kheap_slab_t *slab, void *buffer)
{
    cell_state_t state = cell_give(heap, slab, buffer);

    if (state == CELL_NOT_USED)
        return false;
    fill(buffer, FILL_FREED, slab->cell_size);
    if (!slab->open)
        kheap_slab_room(heap, slab);
    if (state == CELL_LAST)
        kheap_slab_quiet(heap, slab);
    return true;
}

/* Free a superbuffer. => false: it is none in use, or one around it is damaged */
static bool free_superbuffer(kheap_t *heap, size_t block)
{
    size_t length = length_here(heap, block, 0);

    if (UNLIKELY(length == 0))
        return false;
    if (cache_put(heap, block, length))
        return true;
    bool sound = neighbours_sound(heap, block, length);
    if (LIKELY(sound))
        merge_back(heap, block, length);
    return sound;
}

static bool free_any(kheap_t *heap, void *buffer)
{
    kheap_slab_t *slab = slab_of(heap, buffer);

    return slab != NULL && slab->cell_size != 0 ? free_cell(heap, slab, buffer)
                                            : free_superbuffer(heap, (size_t)buffer - REGISTRY);
}

/* Answer kfree, whatever it takes. => heap->lock is held, and released */
static NOINLINE void free_slow(kheap_t *heap, void *buffer)
{
    heap->tree.visited = 0;
    if (buffer == NULL)
        splock_unlock(&heap->lock);
    else if (heap->guard != NULL && kheap_guard_free(heap, buffer))
        return;
    else if (LIKELY(free_any(heap, buffer)))
        unlock(heap, "kfree", NULL);
    else
        kheap_misuse(heap, "kfree", buffer);
}

/* Answer the kfree of a superbuffer that the cache has no room for. => as above */
static NOINLINE void free_merge(kheap_t *heap, size_t block, size_t length)
{
    if (LIKELY(neighbours_sound(heap, block, length))) {
        merge_back(heap, block, length);
        unlock(heap, "kfree", NULL);
    } else {
        kheap_misuse(heap, "kfree", buffer_of(block));
    }
}

/*
 * Is this what the registry of a superbuffer in use looks like?
 *
 * => buffer: in the segment. 22 check bits vouch for the length on a 64-bit machine. The 4
 *    of a 32-bit one let some damage pass, as docs/heap.md says
 */
static ALWAYS_INLINE bool registry_sound(const kheap_t *heap, const void *buffer)
{
    size_t block = (size_t)buffer - REGISTRY;

    if (KHEAP_LEVEL == 0)
        return true;
    if ((size_t)buffer % KHEAP_ALIGN != 0 || (size_t)buffer - heap->base < KHEAP_GRANULE)
        return false;
    return superbuffer_sound(block, *block_word(block))
        && (sizeof(size_t) > 4 || block_length(block) < heap->end - block);
}

void kheap_free_rest(kheap_t *heap, void *buffer, size_t site)
{
    const kheap_slab_t *slab = slab_of(heap, buffer);
    size_t block = (size_t)buffer - REGISTRY;

    heap->tree.visited = 0;
    if (UNLIKELY(heap->level == KHEAP_FULL)) {
        splock_unlock(&heap->lock);
        kheap_full_free(heap, buffer, site);
    } else if (UNLIKELY(slab == NULL || slab->cell_size != 0 || !registry_sound(heap, buffer))) {
        free_slow(heap, buffer);
    } else if (LIKELY(cache_put(heap, block, block_length(block)))) {
        unlock(heap, "kfree", NULL);    /* others may have been merged for it */
    } else {
        free_merge(heap, block, block_length(block));
    }
}

NOINLINE void kheap_free_last(kheap_t *heap, kheap_slab_t *slab)
{
    heap->tree.visited = 0;
    kheap_slab_quiet(heap, slab);
    unlock(heap, "kfree", NULL);
}

void kheap_free(kheap_t *heap, void *buffer)
{
    free_fast(heap, buffer, CALL_SITE);
}

/* Shorten a superbuffer, or lengthen it into what is free behind it. => false: no room */
static bool resize(kheap_t *heap, size_t block, size_t old, size_t length)
{
    size_t flags = *block_word(block) & BLOCK_AFTER_FREE;
    size_t next = block + old;

    if (length > old) {
        size_t whole = old + free_here(next);
        if (whole < length && heap->cached != 0) {
            kheap_merge_behind(heap, block, old, length);
            whole = old + free_here(next);
        }
        if (whole < length && (block + whole != heap->end || !kheap_grow(heap, length - old)))
            return false;
        whole = old + free_here(next);
        take_free(heap, next, false);
        count_out(heap, old);
        carve(heap, block, whole, length, flags, false);
    } else if (length < old) {
        *block_word(block) = superbuffer_word(block, length) | flags;
        count_out(heap, old);
        count_in(heap, length);
        kheap_release(heap, block + length, old - length, 0);
    }
    return true;
}

/* Does this cell suit a new size? => a smaller one suits it while more than half is used */
static bool cell_suits(size_t usable_size, size_t size)
{
    return size <= usable_size && class_for(size) * KHEAP_ALIGN * 2 > usable_size;
}

/* A superbuffer of the new length, or a cell that does: in place or not at all. */
static bool realloc_in_place(kheap_t *heap, void *buffer, size_t old, size_t size)
{
    const kheap_slab_t *slab = slab_of(heap, buffer);

    if (slab != NULL && slab->cell_size != 0)
        return cell_suits(old, size);
    return resize(heap, (size_t)buffer - REGISTRY, old + REGISTRY, length_for(size));
}

/* The size of a buffer that was given out and can be freed; 0: it is none */
static size_t sound_size(const kheap_t *heap, const void *buffer)
{
    kheap_slab_t *slab = slab_of(heap, buffer);

    if (slab != NULL && slab->cell_size != 0)
        return cell_used(slab, buffer) ? slab->cell_size : 0;
    size_t length = sound_length(heap, (size_t)buffer - REGISTRY, 0);
    return length != 0 ? length - REGISTRY : 0;
}

/* Here and below the level is read unlocked: it stays as it is while `buffer` is in use. */
void *kheap_realloc(kheap_t *heap, void *buffer, size_t size)
{
    if (UNLIKELY(heap->level == KHEAP_FULL))
        return kheap_full_realloc(heap, buffer, size, CALL_SITE);
    if (buffer == NULL)
        return kheap_alloc(heap, size);
    if (UNLIKELY(heap->guard != NULL)
        && kheap_guard_realloc(heap, buffer, size, CALL_SITE, &buffer))
        return buffer;
    splock_lock(&heap->lock);
    size_t old = sound_size(heap, buffer);
    if (UNLIKELY(old == 0)) {
        kheap_misuse(heap, "krealloc", buffer);
        return NULL;
    }
    heap->tree.visited = 0;
    void *answer = NULL;
    if (size <= KHEAP_LARGEST && realloc_in_place(heap, buffer, old, size)) {
        answer = buffer;
        fresh(heap, buffer, old, usable(heap, buffer));
    } else if (size <= KHEAP_LARGEST) {
        answer = take_buffer(heap, size);
        if (heap->detour)
            kheap_slab_put_down(heap);
        fresh(heap, answer, 0, usable(heap, answer));
        if (answer != NULL) {
            __builtin_memcpy(answer, buffer, old < size ? old : size);
            free_any(heap, buffer);
        } else if (size <= old || realloc_in_place(heap, buffer, old, size)) {
            answer = buffer;    /* a cell longer than it need be; or all was merged now */
            fresh(heap, buffer, old, usable(heap, buffer));
        }
    }
    unlock(heap, "krealloc", answer);
    return answer;
}

size_t kheap_size_for(kheap_t *heap, const char *call, void *buffer, size_t site)
{
    if (heap->level == KHEAP_FULL)
        return kheap_full_size_for(heap, call, buffer, site);
    splock_lock(&heap->lock);
    size_t size = sound_size(heap, buffer);
    if (size == 0)
        kheap_misuse(heap, call, buffer);
    else
        splock_unlock(&heap->lock);
    return size;
}

size_t kheap_usable_size(kheap_t *heap, void *buffer)
{
    if (UNLIKELY(heap->level == KHEAP_FULL))
        return kheap_full_usable_size(heap, buffer, CALL_SITE);
    if (buffer == NULL)
        return 0;
    if (UNLIKELY(heap->guard != NULL) && kheap_guard_holds(heap, buffer)) {
        splock_lock(&heap->lock);
        return kheap_guard_usable_size(heap, buffer);
    }
    return kheap_size_for(heap, "kmalloc_usable_size", buffer, CALL_SITE);
}
