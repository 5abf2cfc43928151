/*
 * Free space between superbuffers, for the heap's own files: what every call that
 * takes or gives some is made of.
 *
 * take_free takes a gap or void out of its place in the trees, put_free puts one
 * there, carve makes a superbuffer within free space, and merge joins a range with
 * both neighbours (kheap_release, wherever it is).
 *
 *      free space      [............................]
 *      carve           [gap or void][superbuffer][gap or void]
 *      merge                        [superbuffer]
 *      free space      [............................]
 *
 * => heap->lock is held in all of it
 */
#ifndef KERNEL_KHEAP_SPACE_H
#define KERNEL_KHEAP_SPACE_H

#include <kernel/superbuffer.h>

/*
 * In debug builds a buffer starts as FILL_FRESH, and all of a gap but its registry
 * and its last word is FILL_FREED, as is all of a cached buffer: what is not, was
 * written to after kfree.
 */
#ifdef DEBUG
#define DEBUG_BUILD true
#else
#define DEBUG_BUILD false
#endif
#define FILL_FRESH 0xcc
#define FILL_FREED 0xdd

#define SMALLEST sizeof(kernel_heap_gap_t)  /* so that any superbuffer can be a gap */

/* --- For debug builds; nothing in others --- */

static inline void fill(void *buffer, int byte, size_t length)
{
    if (DEBUG_BUILD)
        __builtin_memset(buffer, byte, length);
}

/* Make all of a gap or void that was taken out of its tree what its inside is. */
static ALWAYS_INLINE void wipe(size_t block, size_t length)
{
    size_t registry = length < SMALLEST ? length
                    : length < GAPTREE_EXACT ? sizeof(kernel_heap_gap_t)
                    : sizeof(kernel_heap_large_gap_t);

    fill((void *)block, FILL_FREED, registry);
    fill(block_length_before(block + length), FILL_FREED, sizeof(size_t));
}

/* Can this gap be taken out of its tree? => its length is sound */
static inline bool links_sound(const kheap_t *heap, size_t block)
{
    kernel_heap_gap_t *gap = (kernel_heap_gap_t *)block;

    return !DEBUG_BUILD || gap == heap->tail || (gap->length & BLOCK_VOID) != 0
        || gaptree_holds(&heap->tree, heap->end, gap);
}

/* Can this gap, found in a tree, be taken out of it? Or else it is what was overwritten. */
static inline bool gap_sound(kheap_t *heap, const kernel_heap_gap_t *gap)
{
    size_t block = (size_t)gap;
    bool sound = !DEBUG_BUILD || (free_sound(heap, block) && links_sound(heap, block));

    if (!sound) {
        heap->overwritten = block;
        heap->overwritten_cached = 0;
    }
    return sound;
}

/* Note the first of the bytes [from, end) that was written to while it was free. */
static inline void look(kheap_t *heap, const unsigned char *from, const unsigned char *end)
{
    for (; DEBUG_BUILD && from < end && heap->overwritten == 0; from++) {
        if (*from != FILL_FREED)
            heap->overwritten = (size_t)from;
    }
}

/* Unlock. => call, buffer: what was called, and its answer */
static ALWAYS_INLINE void unlock(kheap_t *heap, const char *call, const void *buffer)
{
    if (UNLIKELY(heap->overwritten != 0))
        kheap_overwritten(heap, call, buffer);
    else
        splock_unlock(&heap->lock);
}

/* --- Free space --- */

/* The length of the superbuffer for so many bytes. */
static ALWAYS_INLINE size_t length_for(size_t size)
{
    size_t length = align_up(size + REGISTRY, KHEAP_GRANULE);

    return KHEAP_GRANULE < SMALLEST && length < SMALLEST ? SMALLEST : length;
}

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

/* A superbuffer is there, or no more. */
static ALWAYS_INLINE void count_in(kheap_t *heap, size_t length)
{
    heap->superbuffers++;
    heap->taken += length;
    if (UNLIKELY(heap->taken > heap->peak_taken))
        heap->peak_taken = heap->taken;
    if (length <= KHEAP_CACHED_LENGTH)
        heap->cache.of[length / KHEAP_GRANULE].taken++;
}

static ALWAYS_INLINE void count_out(kheap_t *heap, size_t length)
{
    heap->superbuffers--;
    heap->taken -= length;
    if (length <= KHEAP_CACHED_LENGTH)
        heap->cache.of[length / KHEAP_GRANULE].taken--;
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
    count_in(heap, length);
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
    if (before != 0) {
        if (!DEBUG_BUILD)
            *block_word(block) = 0;     /* or freeing it again would find a registry */
        take_free(heap, start, ring);
    }
    if (after != 0)
        take_free(heap, block + length, ring);
    put_free(heap, start, before + length + after, ring);
}

/*
 * Merge a superbuffer, or a part of one, that is in use no more, wherever it is.
 *
 * => flags: BLOCK_AFTER_FREE if what is before is free
 */
void kheap_release(kheap_t *heap, size_t block, size_t length, size_t flags);

/* Are the gaps or voids next to a superbuffer sound, one at least, and can be taken out? */
static ALWAYS_INLINE bool around_sound(const kheap_t *heap, size_t block, size_t length)
{
    size_t next = block + length;
    bool sound = (*block_word(next) & BLOCK_SUPERBUFFER) != 0
        || (free_sound(heap, next) && links_sound(heap, next));

    if ((*block_word(block) & BLOCK_AFTER_FREE) != 0) {
        size_t before = *block_length_before(block);
        sound = sound && before - 1 < block - heap->start && before % KHEAP_ALIGN == 0
            && before == (*block_word(block - before) & ~BLOCK_VOID)
            && links_sound(heap, block - before);
    }
    return sound;
}

/*
 * The length of the superbuffer here, or 0: there is none.
 *
 * => cached: BLOCK_CACHED if it is to be cached, 0 if it is to be in use
 */
static ALWAYS_INLINE size_t length_here(const kheap_t *heap, size_t block, size_t cached)
{
    size_t left = heap->end - block;

    if (KHEAP_LEVEL == 0)
        return block == 0 - REGISTRY ? 0 : block_length(block);     /* kfree(NULL) is no bug */
    if ((block + REGISTRY) % KHEAP_ALIGN != 0 || left - 1 >= heap->end - heap->start)
        return 0;
    size_t word = *block_word(block);
    size_t length = word & BLOCK_LENGTH;
    bool sound = cached != 0 ? cached_sound(block, word) : superbuffer_sound(block, word);

    return sound && length <= left ? length : 0;
}

/* Do the heap's notes say that the superbuffer here is a slab? */
bool kheap_is_slab(const kheap_t *heap, size_t block);

/* Are the words around a superbuffer sound, which merging it will use? */
static ALWAYS_INLINE bool neighbours_sound(const kheap_t *heap, size_t block, size_t length)
{
    size_t next = block + length;

    if (KHEAP_LEVEL == 0)
        return true;
    if (length > heap->end - block)
        return false;
    size_t word = *block_word(next);
    if (LIKELY((word & BLOCK_SUPERBUFFER) != 0)) {
        if (UNLIKELY(!word_sound(next, word, BLOCK_AFTER_FREE | BLOCK_SLAB, 0))
            && !(word_sound(next, word, BLOCK_AFTER_FREE | BLOCK_SLAB, BLOCK_SLAB)
                 && kheap_is_slab(heap, next)))
            return false;
        if (UNLIKELY((word & BLOCK_LENGTH) - 1 >= heap->end - next) && next != heap->end)
            return false;
        if (LIKELY((*block_word(block) & BLOCK_AFTER_FREE) == 0))
            return true;
    }
    return around_sound(heap, block, length);
}

/* The length of a superbuffer that can be merged, or 0. => cached: as above */
static ALWAYS_INLINE size_t sound_length(const kheap_t *heap, size_t block, size_t cached)
{
    size_t length = length_here(heap, block, cached);

    return length != 0 && neighbours_sound(heap, block, length) ? length : 0;
}

/* --- The cache --- */

/* The place of a length in the table. => one of the greater ones may be another's now */
static ALWAYS_INLINE kheap_cached_t *cached_of(kheap_cache_t *cache, size_t length)
{
    size_t index = length / KHEAP_GRANULE;

    if (UNLIKELY(length > KHEAP_CACHED_LENGTH))
        index = KHEAP_CACHED_SHORT + (index + index / 16) % KHEAP_CACHED_LONGER;
    return &cache->of[index];
}

/* Make the place of a length free for another one, at the second call in a row. => false: no */
bool kheap_cache_contest(kheap_t *heap, kheap_cached_t *same);

/*
 * Merge another one, whose turn it is, for `length` bytes. One call merges one at most.
 *
 * => false: none is long enough, or they are too many bytes
 */
bool kheap_cache_room(kheap_t *heap, size_t length);

/* Cache a superbuffer in use. => false: there is no room for it */
static ALWAYS_INLINE bool cache_put(kheap_t *heap, size_t block, size_t length)
{
    kheap_cache_t *cache = &heap->cache;
    kheap_cached_t *same = cached_of(cache, length);
    size_t count = same->count;

    if (UNLIKELY(same->length != length)) {
        if (count != 0 && !kheap_cache_contest(heap, same))
            return false;
        same->length = length;
        count = 0;
    }
    if (UNLIKELY(count >= cache->most_count))
        return false;
    if (UNLIKELY(heap->cached + length > cache->most_bytes)) {
        if (!kheap_cache_room(heap, length))
            return false;
        count = same->count;
    }
    same->contested = 0;
    fill(buffer_of(block), FILL_FREED, length - REGISTRY);
    *block_word(block) |= BLOCK_CACHED;
    same->block[count] = block;
    same->count = count + 1;
    heap->cached += length;
    return true;
}

/*
 * A cached superbuffer of this length, in use again. => NULL: none
 *
 * => debug builds: one whose registry is damaged stays and is heap->overwritten. Others
 *    give it out, and find the damage when it is freed
 */
static ALWAYS_INLINE void *cache_take(kheap_t *heap, size_t length)
{
    kheap_cached_t *same = cached_of(&heap->cache, length);
    size_t count = same->count;

    if (count == 0 || UNLIKELY(same->length != length))
        return NULL;
    size_t block = same->block[count - 1];
    size_t word = *block_word(block);
    if (DEBUG_BUILD && (!cached_sound(block, word) || (word & BLOCK_LENGTH) != length)) {
        heap->overwritten = block;
        heap->overwritten_cached = block + REGISTRY;
        return NULL;
    }
    *block_word(block) = word ^ BLOCK_CACHED;
    same->count = count - 1;
    heap->cached -= length;
    return buffer_of(block);
}

/* How many superbuffers are cached: adds up the lengths. */
size_t kheap_cached_count(const kheap_t *heap);

/* Is this superbuffer in the cache, if its length is `length`? => at most KHEAP_CACHED_COUNT */
bool kheap_is_cached(const kheap_t *heap, size_t block, size_t length);

/* Merge all that is cached. => the bytes; what is damaged stays and is heap->overwritten */
size_t kheap_merge_cached(kheap_t *heap);

/*
 * Merge at most `count`, others at each call, and no more once so many gaps were looked at.
 *
 * => false: there is nothing to be merged
 */
bool kheap_merge_some(kheap_t *heap, size_t count, size_t most_visited);

/*
 * Merge what is cached between the end of a superbuffer and block + length, if
 * everything there is free or cached, or the segment ends before.
 */
void kheap_merge_behind(kheap_t *heap, size_t block, size_t old, size_t length);

/* --- The segment --- */

/* What must lie before a superbuffer there for what is `before` bytes in it to be aligned. */
static inline size_t lead_for(size_t block, size_t before, size_t align)
{
    return align_up(block + before, align) - before - block;
}

/*
 * A buffer out of free space, or of a longer segment. => NULL: no memory, or damage to a gap
 *
 * => align is a power of two, not below KHEAP_ALIGN
 */
void *kheap_take_aligned(kheap_t *heap, size_t align, size_t length);

/* The bytes of the tail, or of the void that ends the segment. */
static inline size_t free_at_end(const kheap_t *heap)
{
    bool after_free = heap->end != heap->start
        && (*block_word(heap->end) & BLOCK_AFTER_FREE) != 0;

    return after_free ? *block_length_before(heap->end) : 0;
}

/* Are the end of the segment and the tail or the void before it sound? */
bool kheap_end_sound(const kheap_t *heap);

/* Extend the segment until the tail has `length` bytes. => false: no memory */
bool kheap_grow(kheap_t *heap, size_t length);

/* Give pages of a tail back that is longer than it should be. */
void kheap_give_back_more(kheap_t *heap);

/* Give pages of the tail back, all but about `keep` bytes. => how many bytes */
size_t kheap_give_back(kheap_t *heap, size_t keep);

#endif
