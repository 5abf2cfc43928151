/*
 * A heap and its segment: growing it, what is freed in it, giving pages back.
 */
#include <kernel/kheap_full.h>
#include <kernel/kheap_slab.h>

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

void kheap_release(kheap_t *heap, size_t block, size_t length, size_t flags)
{
    merge(heap, block, length, free_before(block, flags), free_here(block + length), false);
}

/* The segment now has `length` bytes: make what is new part of the tail. */
static void adopt(kheap_t *heap, size_t length)
{
    size_t old = heap->end;
    size_t flags = old == heap->start ? 0 : *block_word(old);

    heap->end = heap->base + length - REGISTRY;
    heap->slab_span = heap->slab != NULL ? length : 0;
    *block_word(heap->end) = superbuffer_word(heap->end, 0);
    kheap_release(heap, old, heap->end - old, flags);
    heap->trim_above = TRIM_SLACK + (length >> TRIM_SHIFT);
    if (length > heap->peak_segment)
        heap->peak_segment = length;
}

bool kheap_end_sound(const kheap_t *heap)
{
    size_t end = heap->end;

    if (end == heap->start)
        return true;
    size_t word = *block_word(end);
    size_t before = (word & BLOCK_AFTER_FREE) != 0 ? *block_length_before(end) : 0;
    if ((word & ~BLOCK_AFTER_FREE) != superbuffer_word(end, 0))
        return false;
    if (heap->tail != NULL)
        return before == end - (size_t)heap->tail && heap->tail->length == before;
    return before == 0
        || (before < SMALLEST && *block_word(end - before) == (before | BLOCK_VOID));
}

/* As kheap_end_sound; what is damaged is heap->overwritten. */
static bool look_at_end(kheap_t *heap)
{
    if (KHEAP_LEVEL == 0 || LIKELY(kheap_end_sound(heap)))
        return true;
    heap->overwritten = heap->end;
    heap->overwritten_cached = 0;
    return false;
}

bool kheap_grow(kheap_t *heap, size_t length)
{
    segment_t *segment = heap->segment;

    if (!look_at_end(heap))
        return false;
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

size_t kheap_give_back(kheap_t *heap, size_t keep)
{
    segment_t *segment = heap->segment;
    kernel_heap_gap_t *tail = heap->tail;
    size_t left = 0;    /* of the segment */

    if (tail == NULL || !look_at_end(heap))
        return 0;
    if ((size_t)tail != heap->start || keep != 0)
        left = align_up((size_t)tail + SMALLEST + keep + REGISTRY - heap->base, PAGE_SIZE);
    if (left >= segment->length)
        return 0;

    size_t bytes = segment->length - left;
    heap->tail = NULL;
    heap->end = heap->start;
    if (left != 0) {
        heap->end = heap->base + left - REGISTRY;
        *block_word(heap->end) = superbuffer_word(heap->end, 0);
        put_free(heap, (size_t)tail, heap->end - (size_t)tail, false);
    }
    segment->shrink(segment, bytes >> PAGE_SHIFT);
    heap->slab_span = heap->slab != NULL ? left : 0;
    heap->trim_above = TRIM_SLACK + (segment->length >> TRIM_SHIFT);
    return bytes;
}

void kheap_give_back_more(kheap_t *heap)
{
    if (heap->tail != NULL && heap->tail->length > heap->trim_above)
        kheap_give_back(heap, heap->trim_above >> 2);
}

void kheap_init(kheap_t *heap, segment_t *segment)
{
    ASSERT(segment->base % PAGE_SIZE == 0 && segment->length % PAGE_SIZE == 0);

    *heap = (kheap_t){ .segment = segment, .base = segment->base };
    splock_init(&heap->lock);
    for (size_t i = 0; i < KHEAP_CACHED_SHORT; i++)
        heap->cache.of[i].length = i * KHEAP_GRANULE;
    heap->cache.most_count = KHEAP_CACHED_COUNT;
    heap->cache.most_bytes = KHEAP_CACHED_BYTES;
    heap->level = KHEAP_BASIC;
    heap->full.secret = (size_t)heap;       /* a kernel that has a better one tunes it */
    heap->full.most_count = KHEAP_QUARANTINE_COUNT;
    heap->full.most_bytes = KHEAP_QUARANTINE_BYTES;
    heap->start = segment->base + KHEAP_GRANULE - REGISTRY;
    heap->end = heap->start;
    gaptree_init(&heap->tree, segment->base);
    kheap_slab_init(heap);
    if (segment->length != 0)
        adopt(heap, segment->length);
}

size_t kheap_trim(kheap_t *heap, size_t keep)
{
    splock_lock(&heap->lock);
    heap->full.caller = CALL_SITE;
    kheap_merge_cached(heap);
    size_t bytes = keep < KHEAP_LARGEST ? kheap_give_back(heap, keep) : 0;
    unlock(heap, "kheap_trim", NULL);
    return bytes;
}
