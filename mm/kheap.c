/*
 * The kernel heap: takes superbuffers out of gaps, and merges what is freed.
 *
 * Everything rests on four functions: take_free takes a gap or void out of its
 * place in the trees, put_free puts one there, carve makes a superbuffer within
 * free space, and release merges a range with both neighbours.
 *
 *      free space      [............................]
 *      carve           [gap or void][superbuffer][gap or void]
 *      release                      [superbuffer]
 *      free space      [............................]
 */
#include <kernel/superbuffer.h>

/*
 * In debug builds a buffer starts as FILL_FRESH, and all of a gap but its registry
 * and its last word is FILL_FREED: what is not, was written to after kfree.
 */
#ifdef DEBUG
#define DEBUG_BUILD true
#else
#define DEBUG_BUILD false
#endif
#define FILL_FRESH 0xcc
#define FILL_FREED 0xdd

#define SMALLEST sizeof(kernel_heap_gap_t)  /* so that any superbuffer can be a gap */

/*
 * The segment grows by at least 1/128 of itself and a few pages, and a tail is
 * given back when it is longer than 1/8 and some more: between both there is
 * always an amount of work in proportion to what mapping the pages cost.
 */
#define GROW_PAGES  4u
#define GROW_SHIFT  7u
#define TRIM_SLACK  (128 * KIB)
#define TRIM_SHIFT  3u

static_assert(GROW_PAGES * PAGE_SIZE < TRIM_SLACK && GROW_SHIFT > TRIM_SHIFT,
              "what growing adds is not given back at once");

static ALWAYS_INLINE size_t length_for(size_t size)
{
    size_t length = align_up(size + REGISTRY, KHEAP_GRANULE);

    return length < SMALLEST ? SMALLEST : length;
}

/* --- For debug builds; nothing in others --- */

static void fill(void *buffer, int byte, size_t length)
{
    if (DEBUG_BUILD)
        __builtin_memset(buffer, byte, length);
}

/* Make all of a gap or void that was taken out of its tree what its inside is. */
static void wipe(size_t block, size_t length)
{
    size_t registry = length < SMALLEST ? length
                    : length < GAPTREE_EXACT ? sizeof(kernel_heap_gap_t)
                    : sizeof(kernel_heap_large_gap_t);

    fill((void *)block, FILL_FREED, registry);
    fill(block_length_before(block + length), FILL_FREED, sizeof(size_t));
}

/* The bytes [from, end) of a buffer, if any, were free until now. => buffer may be NULL */
static void fresh(kheap_t *heap, void *buffer, size_t from, size_t end)
{
    unsigned char *byte = buffer;

    if (!DEBUG_BUILD || buffer == NULL || from >= end)
        return;
    for (size_t i = from; i < end && heap->overwritten == 0; i++) {
        if (byte[i] != FILL_FREED)
            heap->overwritten = (size_t)&byte[i];
    }
    fill(byte + from, FILL_FRESH, end - from);
}

/* Can this gap be taken out of its tree? => its length is sound */
static bool links_sound(const kheap_t *heap, size_t block)
{
    kernel_heap_gap_t *gap = (kernel_heap_gap_t *)block;

    return !DEBUG_BUILD || gap == heap->tail || (gap->length & BLOCK_VOID) != 0
        || gaptree_holds(&heap->tree, heap->end, gap);
}

/* Can this gap, found in a tree, be taken out of it? Or else it is what was overwritten. */
static bool gap_sound(kheap_t *heap, const kernel_heap_gap_t *gap)
{
    size_t block = (size_t)gap;
    bool sound = !DEBUG_BUILD || (free_sound(heap, block) && links_sound(heap, block));

    if (!sound)
        heap->overwritten = block;
    return sound;
}

/* Unlock. => call, buffer: what was called, and its answer */
static ALWAYS_INLINE void unlock(kheap_t *heap, const char *call, const void *buffer)
{
    if (DEBUG_BUILD && heap->overwritten != 0)
        kheap_overwritten(heap, call, buffer);
    else
        splock_unlock(&heap->lock);
}

/* --- Free space --- */

/*
 * Take a gap or void out of its tree, or the tail; the figures follow.
 *
 * => ring, here and below: the caller knows that every gap it touches belongs in
 *    a ring of the length tree; then no call is left on the hot path
 */
static ALWAYS_INLINE void take_free(kheap_t *heap, size_t block, bool ring)
{
    kernel_heap_gap_t *gap = (kernel_heap_gap_t *)block;

    if (!KHEAP_NO_VOID && (gap->length & BLOCK_VOID) != 0) {
        heap->voids--;
        heap->void_bytes -= gap->length & BLOCK_LENGTH;
    } else if (!ring && gap == heap->tail) {
        heap->tail = NULL;
    } else {
        gaptree_remove(&heap->tree, gap, ring);
    }
    if (DEBUG_BUILD)
        wipe(block, gap->length & BLOCK_LENGTH);
}

/* Make a range between two superbuffers a gap or, if it is too short, a void. */
static ALWAYS_INLINE void put_free(kheap_t *heap, size_t block, size_t length, bool ring)
{
    kernel_heap_gap_t *gap = (kernel_heap_gap_t *)block;

    *block_length_before(block + length) = length;
    *block_word(block + length) |= BLOCK_AFTER_FREE;
    if (!KHEAP_NO_VOID && length < SMALLEST) {
        gap->length = length | BLOCK_VOID;
        heap->voids++;
        heap->void_bytes += length;
        return;
    }
    gap->length = length;
    if (!ring && block + length == heap->end)
        heap->tail = gap;
    else
        gaptree_insert(&heap->tree, gap, ring);
}

/*
 * Make `length` bytes at the start of free space that is in no tree a
 * superbuffer; the rest stays free.
 *
 * => flags: BLOCK_AFTER_FREE if what is before is free
 */
static ALWAYS_INLINE void *carve(kheap_t *heap, size_t block, size_t whole, size_t length,
                                 size_t flags, bool ring)
{
    if (whole != length)
        put_free(heap, block + length, whole - length, ring);
    else
        *block_word(block + length) &= ~BLOCK_AFTER_FREE;
    *block_word(block) = superbuffer_word(block, length) | flags;

    heap->superbuffers++;
    heap->used += length;
    if (heap->used > heap->peak_used)
        heap->peak_used = heap->used;
    return buffer_of(block);
}

/* The length of the gap or void before a block, and of the one that starts here; 0: none. */
static ALWAYS_INLINE size_t free_before(size_t block, size_t flags)
{
    return (flags & BLOCK_AFTER_FREE) != 0 ? *block_length_before(block) : 0;
}

static ALWAYS_INLINE size_t free_here(size_t block)
{
    size_t word = *block_word(block);

    return (word & BLOCK_SUPERBUFFER) != 0 ? 0 : word & BLOCK_LENGTH;
}

/* Merge a range that is in use no more with `before` and `after` free bytes around it. */
static ALWAYS_INLINE void merge(kheap_t *heap, size_t block, size_t length, size_t before,
                                size_t after, bool ring)
{
    size_t start = block - before;

    fill((void *)block, FILL_FREED, length);
    if (before != 0)
        take_free(heap, start, ring);
    if (after != 0)
        take_free(heap, block + length, ring);
    put_free(heap, start, before + length + after, ring);
}

/* The same anywhere. => flags: BLOCK_AFTER_FREE if what is before is free */
static NOINLINE void release(kheap_t *heap, size_t block, size_t length, size_t flags)
{
    merge(heap, block, length, free_before(block, flags), free_here(block + length), false);
}

/* The bytes of the tail, or of the void that ends the segment. */
static size_t free_at_end(const kheap_t *heap)
{
    bool after_free = heap->end != heap->start
        && (*block_word(heap->end) & BLOCK_AFTER_FREE) != 0;

    return after_free ? *block_length_before(heap->end) : 0;
}

/* The segment now has `length` bytes: make what is new part of the tail. */
static void adopt(kheap_t *heap, size_t length)
{
    size_t old = heap->end;
    size_t flags = old == heap->start ? 0 : *block_word(old);

    heap->end = heap->segment->base + length - REGISTRY;
    *block_word(heap->end) = superbuffer_word(heap->end, 0);
    release(heap, old, heap->end - old, flags);
    heap->trim_above = TRIM_SLACK + (length >> TRIM_SHIFT);
    if (length > heap->peak_segment)
        heap->peak_segment = length;
}

/* Extend the segment until the tail has `length` bytes. => false: no memory */
static NOINLINE bool grow(kheap_t *heap, size_t length)
{
    segment_t *segment = heap->segment;
    size_t first = segment->length == 0 ? KHEAP_GRANULE : 0;    /* around the superbuffers */
    size_t missing = length + first - free_at_end(heap);
    size_t need = (missing + PAGE_MASK) >> PAGE_SHIFT;
    size_t limit = segment->limit < KHEAP_LARGEST ? segment->limit : KHEAP_LARGEST;
    size_t room = segment->length < limit ? (limit - segment->length) >> PAGE_SHIFT : 0;
    size_t want = GROW_PAGES + (segment->length >> PAGE_SHIFT >> GROW_SHIFT);

    if (need > room)
        return false;
    want = want < need ? need : want > room ? room : want;
    if (segment->extend(segment, want) != 0
        && (want == need || segment->extend(segment, need) != 0))
        return false;
    adopt(heap, segment->length);
    return true;
}

/* Give pages of the tail back, all but about `keep` bytes. => how many bytes */
static NOINLINE size_t give_back(kheap_t *heap, size_t keep)
{
    segment_t *segment = heap->segment;
    kernel_heap_gap_t *tail = heap->tail;
    size_t left = 0;    /* of the segment */

    if (tail == NULL)
        return 0;
    if ((size_t)tail != heap->start || keep != 0)
        left = align_up((size_t)tail + SMALLEST + keep + REGISTRY - segment->base, PAGE_SIZE);
    if (left >= segment->length)
        return 0;

    size_t bytes = segment->length - left;
    heap->tail = NULL;
    heap->end = heap->start;
    if (left != 0) {
        heap->end = segment->base + left - REGISTRY;
        *block_word(heap->end) = superbuffer_word(heap->end, 0);
        put_free(heap, (size_t)tail, heap->end - (size_t)tail, false);
    }
    segment->shrink(segment, bytes >> PAGE_SHIFT);
    heap->trim_above = TRIM_SLACK + (segment->length >> TRIM_SHIFT);
    return bytes;
}

/* The tail with at least `length` bytes, or NULL: no memory. */
static kernel_heap_gap_t *long_tail(kheap_t *heap, size_t length)
{
    bool there = heap->tail != NULL && heap->tail->length >= length;

    return there || grow(heap, length) ? heap->tail : NULL;
}

/* A superbuffer in the best fitting gap. => NULL: no memory, or that gap is damaged */
static NOINLINE void *take(kheap_t *heap, size_t length)
{
    kernel_heap_gap_t *gap = gaptree_fit(&heap->tree, length);

    if (gap == NULL)
        gap = long_tail(heap, length);
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

static void *take_aligned(kheap_t *heap, size_t align, size_t length)
{
    kernel_heap_gap_t *gap = gaptree_fit(&heap->tree, length);

    if (gap != NULL && gap->length < length + lead_for((size_t)gap, align))
        gap = gaptree_fit(&heap->tree, length + align - KHEAP_ALIGN);
    if (gap == NULL)
        gap = long_tail(heap, length + lead_for(heap->end - free_at_end(heap), align));
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

/*
 * The length of the superbuffer here, or 0 if there is none or if the words
 * around it, which freeing it will use, are damaged.
 */
static ALWAYS_INLINE size_t live_length(const kheap_t *heap, size_t block)
{
    if ((block + REGISTRY) % KHEAP_ALIGN != 0 || block - heap->start >= heap->end - heap->start)
        return 0;
    size_t word = *block_word(block);
    size_t length = word & BLOCK_LENGTH;
    if (!superbuffer_sound(block, word) || length > heap->end - block)
        return 0;

    size_t next = block + length;
    size_t next_word = *block_word(next);
    size_t next_length = next_word & BLOCK_LENGTH;
    bool sound = (next_word & BLOCK_SUPERBUFFER) != 0
        ? next_word == superbuffer_word(next, next_length)
              && (next_length - 1 < heap->end - next || next == heap->end)
        : free_sound(heap, next) && links_sound(heap, next);
    if ((word & BLOCK_AFTER_FREE) != 0) {
        size_t before = *block_length_before(block);
        sound = sound && before - 1 < block - heap->start && before % KHEAP_ALIGN == 0
            && before == (*block_word(block - before) & ~BLOCK_VOID)
            && links_sound(heap, block - before);
    }
    return LIKELY(sound) ? length : 0;
}

void kheap_init(kheap_t *heap, segment_t *segment)
{
    ASSERT(segment->base % PAGE_SIZE == 0 && segment->length % PAGE_SIZE == 0);

    *heap = (kheap_t){ .segment = segment };
    splock_init(&heap->lock);
    heap->start = segment->base + KHEAP_GRANULE - REGISTRY;
    heap->end = heap->start;
    gaptree_init(&heap->tree, segment->base);
    if (segment->length != 0)
        adopt(heap, segment->length);
}

void *kheap_alloc(kheap_t *heap, size_t size)
{
    size_t length = length_for(size);
    void *buffer = NULL;

    if (UNLIKELY(size > KHEAP_LARGEST))
        return NULL;
    splock_lock(&heap->lock);
    heap->tree.visited = 0;
    size_t ring = gaptree_fit_ring(&heap->tree, length);
    if (LIKELY(ring != SIZE_MAX)) {
        kernel_heap_gap_t *gap = gaptree_ring_first(&heap->tree, ring);
        if (gap_sound(heap, gap)) {
            gaptree_remove(&heap->tree, gap, true);
            wipe((size_t)gap, ring * KHEAP_ALIGN);
            buffer = carve(heap, (size_t)gap, ring * KHEAP_ALIGN, length, 0, true);
        }
    } else {
        buffer = take(heap, length);
    }
    fresh(heap, buffer, 0, length - REGISTRY);
    unlock(heap, "kmalloc", buffer);
    return buffer;
}

void *kheap_calloc(kheap_t *heap, size_t count, size_t size)
{
    size_t bytes;

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

void kheap_free(kheap_t *heap, void *buffer)
{
    size_t block = (size_t)buffer - REGISTRY;

    if (buffer == NULL)
        return;
    splock_lock(&heap->lock);
    size_t length = live_length(heap, block);
    if (UNLIKELY(length == 0)) {
        kheap_misuse(heap, "kfree", buffer);
        return;
    }
    size_t flags = *block_word(block);
    size_t before = free_before(block, flags);
    size_t after = free_here(block + length);
    heap->tree.visited = 0;
    heap->superbuffers--;
    heap->used -= length;
    if (LIKELY(before + length + after < GAPTREE_EXACT && block + length + after != heap->end)) {
        merge(heap, block, length, before, after, true);
    } else {
        release(heap, block, length, flags);
        if (heap->tail != NULL && heap->tail->length > heap->trim_above)
            give_back(heap, heap->trim_above >> 2);
    }
    splock_unlock(&heap->lock);
}

/* Shorten a superbuffer, or lengthen it into what is free behind it. => false: no room */
static bool resize(kheap_t *heap, size_t block, size_t old, size_t length)
{
    size_t flags = *block_word(block) & BLOCK_AFTER_FREE;
    size_t next = block + old;

    if (length > old) {
        size_t whole = old + free_here(next);
        if (whole < length && (block + whole != heap->end || !grow(heap, length - old)))
            return false;
        whole = old + free_here(next);
        take_free(heap, next, false);
        heap->superbuffers--;
        heap->used -= old;
        carve(heap, block, whole, length, flags, false);
    } else if (length < old) {
        *block_word(block) = superbuffer_word(block, length) | flags;
        heap->used -= old - length;
        release(heap, block + length, old - length, 0);
    }
    return true;
}

void *kheap_realloc(kheap_t *heap, void *buffer, size_t size)
{
    size_t block = (size_t)buffer - REGISTRY;
    size_t length = length_for(size);

    if (buffer == NULL)
        return kheap_alloc(heap, size);
    splock_lock(&heap->lock);
    size_t old = live_length(heap, block);
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
        void *moved = take(heap, length);
        fresh(heap, moved, 0, length - REGISTRY);
        if (moved != NULL) {
            __builtin_memcpy(moved, buffer, old - REGISTRY);
            heap->superbuffers--;
            heap->used -= old;
            release(heap, block, old, *block_word(block));
        }
        buffer = moved;
    }
    unlock(heap, "krealloc", buffer);
    return buffer;
}

size_t kheap_usable_size(kheap_t *heap, void *buffer)
{
    if (buffer == NULL)
        return 0;
    splock_lock(&heap->lock);
    size_t length = live_length(heap, (size_t)buffer - REGISTRY);
    if (length == 0) {
        kheap_misuse(heap, "kmalloc_usable_size", buffer);
        return 0;
    }
    splock_unlock(&heap->lock);
    return length - REGISTRY;
}

size_t kheap_trim(kheap_t *heap, size_t keep)
{
    splock_lock(&heap->lock);
    size_t bytes = keep < KHEAP_LARGEST ? give_back(heap, keep) : 0;
    splock_unlock(&heap->lock);
    return bytes;
}
