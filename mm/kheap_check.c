/*
 * The checker of a heap: walks the segment word by word and both trees, and
 * compares what it finds with every figure the heap keeps.
 */
#include <kernel/kheap_header.h>
#include <kernel/kheap_space.h>

/* What a walk over the segment found. */
typedef struct heap_count {
    size_t used;
    size_t superbuffers;
    size_t cached;
    size_t cached_bytes;
    size_t gaps;
    size_t gap_bytes;
    size_t voids;
    size_t void_bytes;
} heap_count_t;

static const char *check_superbuffer(const kheap_t *heap, size_t block, size_t word,
                                     heap_count_t *count)
{
    size_t length = word & BLOCK_LENGTH;

    if (!superbuffer_sound(block, word & ~BLOCK_CACHED))
        return "the registry of a superbuffer is damaged";
    if (length < sizeof(kernel_heap_gap_t) || length % KHEAP_GRANULE != 0)
        return "a superbuffer has a length that is never given";
    if (heap->level == KHEAP_FULL) {
        const char *wrong = kheap_header_fault(heap, block, word & BLOCK_CACHED).what;
        if (wrong != NULL)
            return wrong;
    }
    if ((word & BLOCK_CACHED) != 0) {
        if (!kheap_is_cached(heap, block, length))
            return "a superbuffer is marked as cached and is not in the cache";
        count->cached++;
        count->cached_bytes += length;
        return NULL;
    }
    count->superbuffers++;
    count->used += length;
    return NULL;
}

static const char *check_free(const kheap_t *heap, size_t block, size_t word, heap_count_t *count)
{
    kernel_heap_gap_t *gap = (kernel_heap_gap_t *)block;
    size_t length = word & ~BLOCK_VOID;

    if (!free_sound(heap, block))
        return "a gap or void has different lengths at its ends";
    if (heap->level == KHEAP_FULL && kheap_full_gap_byte(heap, block) != 0)
        return "a gap or void was written to after it was freed";
    if ((word & BLOCK_VOID) != 0) {
        if (KHEAP_NO_VOID)
            return "there is a void in a heap without voids";
        if (length >= sizeof(kernel_heap_gap_t))
            return "a void is long enough for a gap";
        count->voids++;
        count->void_bytes += length;
        return NULL;
    }
    if (length < sizeof(kernel_heap_gap_t) || length % KHEAP_GRANULE != 0)
        return "a gap has a length that is never left";
    count->gaps++;
    count->gap_bytes += length;
    if ((block + length == heap->end) != (gap == heap->tail))
        return "the tail is not the gap that ends the segment";
    if (gap != heap->tail && !gaptree_holds(&heap->tree, heap->end, gap))
        return "a gap is not in the trees";
    return NULL;
}

static const char *check_segment(const kheap_t *heap, heap_count_t *count)
{
    size_t block = heap->start;
    bool after_free = false;
    const char *wrong = NULL;

    while (block != heap->end && wrong == NULL) {
        size_t word = *block_word(block);
        size_t length = word & BLOCK_LENGTH;
        bool is_free = (word & BLOCK_SUPERBUFFER) == 0;

        if (length == 0 || length > heap->end - block)
            return "a length leads out of the segment";
        if (is_free && after_free)
            return "neighbouring gaps were not merged";
        if (!is_free && ((word & BLOCK_AFTER_FREE) != 0) != after_free)
            return "a superbuffer is wrong about what is before it";
        wrong = is_free ? check_free(heap, block, word, count)
                        : check_superbuffer(heap, block, word, count);
        after_free = is_free;
        block += length;
    }
    if (wrong != NULL || heap->end == heap->start)
        return wrong;
    if (*block_word(block) != (superbuffer_word(block, 0) | (after_free ? BLOCK_AFTER_FREE : 0)))
        return "the end of the segment is damaged";
    return NULL;
}

/*
 * => each superbuffer that says it is cached was found in the table: where both are
 *    as many, the table holds those and nothing else
 */
static const char *check_cache(const kheap_t *heap, const heap_count_t *count)
{
    const kheap_cache_t *cache = &heap->cache;

    for (size_t i = 0; i < ARRAY_LENGTH(cache->of); i++) {
        if (cache->of[i].count > cache->most_count)
            return "more superbuffers of a length are cached than may be";
    }
    if (kheap_cached_count(heap) != count->cached)
        return "the cache holds other superbuffers than are marked as cached";
    if (cached_bytes(heap) != count->cached_bytes)
        return "the figures of the cache are wrong";
    bool is_full = heap->level == KHEAP_FULL;
    if (count->cached_bytes > (is_full ? heap->full.most_bytes : cache->most_bytes)
        || (is_full && count->cached > heap->full.most_count))
        return "more bytes are cached than may be";
    return NULL;
}

static const char *check_figures(const kheap_t *heap, const heap_count_t *count, size_t tree_bytes)
{
    const segment_t *segment = heap->segment;
    size_t tail = heap->tail != NULL ? heap->tail->length : 0;
    size_t mapped = heap->end - heap->start;

    if (segment->length != (mapped == 0 ? 0 : mapped + KHEAP_GRANULE))
        return "the segment's length is not the heap's";
    if (count->used != heap->used || count->superbuffers + count->cached != heap->superbuffers)
        return "the figures of superbuffers are wrong";
    if (count->voids != heap->voids || count->void_bytes != heap->void_bytes)
        return "the figures of voids are wrong";
    if (count->gaps != heap->tree.gaps + (tail != 0) || count->gap_bytes != tree_bytes + tail)
        return "the trees hold other gaps than the segment";
    if (count->used + count->cached_bytes + count->void_bytes + count->gap_bytes != mapped)
        return "superbuffers, gaps and voids do not tile the segment";
    if (heap->peak_used < heap->used || heap->peak_segment < segment->length)
        return "a peak is below the present figure";
    return NULL;
}

const char *kheap_check(kheap_t *heap)
{
    heap_count_t count = { 0 };
    size_t tree_bytes = 0;

    splock_lock(&heap->lock);
    const char *wrong = check_segment(heap, &count);
    if (wrong == NULL)
        wrong = gaptree_check(&heap->tree, heap->end, &tree_bytes);
    if (wrong == NULL)
        wrong = check_cache(heap, &count);
    if (wrong == NULL)
        wrong = check_figures(heap, &count, tree_bytes);
    splock_unlock(&heap->lock);
    return wrong;
}
