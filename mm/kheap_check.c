/*
 * The checker of a heap: walks the segment word by word and both trees, and
 * compares what it finds with every figure the heap keeps.
 */
#include <kernel/kheap_guard.h>
#include <kernel/kheap_header.h>
#include <kernel/kheap_slab.h>

/* What a walk over the segment found. */
typedef struct heap_count {
    size_t taken;
    size_t superbuffers;
    size_t slabs;
    size_t slabs_of[KHEAP_CLASSES + 1];
    size_t cells;           /* in use */
    size_t cell_bytes;
    size_t cached;
    size_t cached_bytes;
    size_t taken_of[KHEAP_CACHED_SHORT];    /* superbuffers, by length / granule */
    size_t gaps;
    size_t gap_bytes;
    size_t voids;
    size_t void_bytes;
} heap_count_t;

static const char *check_slab(const kheap_t *heap, size_t block, heap_count_t *count)
{
    const kheap_slab_t *slab = slab_of(heap, buffer_of(block));
    size_t class = slab != NULL ? class_number(slab) : 0;

    if ((block + REGISTRY) % PAGE_SIZE != 0 || block_length(block) != PAGE_SIZE)
        return "a slab is not a page";
    if (class == 0 || class > KHEAP_CLASSES || heap->class[class].cells == 0)
        return "a slab has cells of no size";
    if (slab->first && !slab->open)
        return "a slab is the first of a list that it is not in";
    if (slab->reciprocal != heap->class[class].reciprocal
        || slab->cell_size % KHEAP_ALIGN != 0)
        return "the notes of a slab are damaged";
    for (size_t i = 0; i < ARRAY_LENGTH(slab->used); i++) {
        size_t cells = cells_of_word(&heap->class[class], i);

        if ((slab->used[i] & ~cells) != 0)
            return "a cell is in use that its slab does not have";
        if (slab->used[i] != cells && !slab->open)
            return "a slab has room and is not listed";
        count->cells += count_bits(slab->used[i]);
        count->cell_bytes += count_bits(slab->used[i]) * slab->cell_size;
    }
    count->slabs++;
    count->slabs_of[class]++;
    return NULL;
}

static const char *check_superbuffer(kheap_t *heap, size_t block, size_t word,
                                     heap_count_t *count)
{
    size_t length = word & BLOCK_LENGTH;

    bool cached = (word & BLOCK_CACHED) != 0;
    bool slab = (word & BLOCK_SLAB) != 0;

    if (!any_sound(block, word) || (cached && slab))
        return "the registry of a superbuffer is damaged";
    if (length < sizeof(kernel_heap_gap_t)
        || (length % KHEAP_GRANULE != 0 && !slab))
        return "a superbuffer has a length that is never given";
    count->superbuffers++;
    count->taken += length;
    if (length <= KHEAP_CACHED_LENGTH)
        count->taken_of[length / KHEAP_GRANULE]++;
    if (heap->level == KHEAP_FULL) {
        const char *wrong = kheap_header_fault(heap, block, word & BLOCK_CACHED).what;
        if (wrong != NULL)
            return wrong;
    }
    if (slab)
        return check_slab(heap, block, count);
    if (cached) {
        if (!kheap_is_cached(heap, block, length))
            return "a superbuffer is marked as cached and is not in the cache";
        count->cached++;
        count->cached_bytes += length;
    }
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

static const char *check_segment(kheap_t *heap, heap_count_t *count)
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
        if (i < KHEAP_CACHED_SHORT && (cache->of[i].length != i * KHEAP_GRANULE
                                       || cache->of[i].taken != count->taken_of[i]))
            return "the figures of superbuffers of a length are wrong";
    }
    if (kheap_cached_count(heap) != count->cached)
        return "the cache holds other superbuffers than are marked as cached";
    if (heap->cached != count->cached_bytes)
        return "the figures of the cache are wrong";
    bool is_full = heap->level == KHEAP_FULL;
    if (count->cached_bytes > (is_full ? heap->full.most_bytes : cache->most_bytes)
        || (is_full && count->cached > heap->full.most_count))
        return "more bytes are cached than may be";
    return NULL;
}

/* The list of a class: its slabs, each once, and the first one's word at hand. */
static const char *check_list(const kheap_t *heap, size_t number, size_t *open)
{
    const kheap_class_t *class = &heap->class[number];
    uint32_t previous = 0;
    size_t left = heap->slabs;

    for (uint32_t page = class->first; page != 0; page = heap->slab[page].next) {
        if (page >= heap->slab_span >> PAGE_SHIFT || left-- == 0)
            return "the list of a class's slabs leads astray";
        const kheap_slab_t *slab = &heap->slab[page];
        if (!slab->open || class_number(slab) != number || slab->previous != previous
            || slab->first != (page == class->first))
            return "a slab is in a list where it does not belong";
        previous = page;
        (*open)++;
    }
    if (class->last != previous)
        return "the list of a class's slabs has another end";
    if (class->free == 0)
        return NULL;
    if (class->first == 0)
        return "cells are at hand of no slab";
    const kheap_slab_t *first = &heap->slab[class->first];
    size_t word = (size_t)(class->used - first->used);
    if (word >= ARRAY_LENGTH(first->used) || (class->free & *class->used) != 0
        || (class->free & ~cells_of_word(class, word)) != 0)
        return "a cell at hand is none that is free";
    if (class->start != heap->base + ((size_t)class->first << PAGE_SHIFT)
                        + word * KHEAP_WORD_BITS * number * KHEAP_ALIGN)
        return "the cells at hand are elsewhere";
    return NULL;
}

/* A class: what kheap_init computed, and its figures. */
static const char *check_class(const kheap_t *heap, size_t number, const heap_count_t *count)
{
    const kheap_class_t *class = &heap->class[number];
    size_t cells = (PAGE_SIZE - REGISTRY) / (number * KHEAP_ALIGN);

    if ((class->cells != 0 && class->cells != cells)
        || class->reciprocal * number * KHEAP_ALIGN - (1u << CELL_SHIFT) >= number * KHEAP_ALIGN
        || class->words != (cells + KHEAP_WORD_BITS - 1) / KHEAP_WORD_BITS
        || class->last_word != SIZE_MAX >> (class->words * KHEAP_WORD_BITS - cells))
        return "a class is not what it was made";
    if (class->slabs != count->slabs_of[number])
        return "a class has another number of slabs";
    return NULL;
}

/* Has the heap no notes of a page that is no slab? */
static bool no_notes(const kheap_slab_t *slab)
{
    size_t used = 0;

    for (size_t i = 0; i < ARRAY_LENGTH(slab->used); i++)
        used |= slab->used[i];
    return used == 0 && slab->next == 0 && slab->previous == 0 && slab->cell_size == 0
        && slab->reciprocal == 0 && !slab->open && !slab->first;
}

/* => the slabs in the segment were counted, their notes are sound */
static const char *check_slabs(const kheap_t *heap, const heap_count_t *count)
{
    size_t noted = 0;
    size_t marked = 0;
    size_t open = 0;
    size_t early = 0;
    size_t cells = count->cells;
    size_t cell_bytes = count->cell_bytes;

    if (heap->slab != heap->segment->side
        || heap->slab_span != (heap->slab != NULL ? heap->segment->length : 0))
        return "the heap has notes of other pages than the segment's";
    for (size_t page = 0; page < heap->slab_span >> PAGE_SHIFT; page++) {
        noted += heap->slab[page].cell_size != 0;
        if (heap->slab[page].cell_size == 0 && !no_notes(&heap->slab[page]))
            return "a page that is no slab has notes";
        marked += heap->slab[page].open;
    }
    if (noted != count->slabs || heap->slabs != count->slabs)
        return "other slabs are noted than are in the segment";
    for (size_t i = 1; i <= KHEAP_CLASSES; i++) {
        const char *wrong = check_class(heap, i, count);

        if (wrong == NULL)
            wrong = check_list(heap, i, &open);
        early += heap->class[i].early;
        if (wrong != NULL)
            return wrong;
        cells += count_bits(heap->class[i].free);
        cell_bytes += count_bits(heap->class[i].free) * i * KHEAP_ALIGN;
    }
    if (cells != heap->cells || cell_bytes != heap->cell_bytes)
        return "the figures of cells are wrong";
    if (early != heap->early_classes)
        return "another number of classes have had a slab early";
    return open != marked ? "a slab that should be listed is not" : NULL;
}

static const char *check_figures(const kheap_t *heap, const heap_count_t *count, size_t tree_bytes)
{
    const segment_t *segment = heap->segment;
    size_t tail = heap->tail != NULL ? heap->tail->length : 0;
    size_t mapped = heap->end - heap->start;

    if (segment->length != (mapped == 0 ? 0 : mapped + KHEAP_GRANULE)
        || count->taken + count->void_bytes + count->gap_bytes != mapped)
        return "the segment's length is not the heap's";
    if (count->taken != heap->taken || count->superbuffers != heap->superbuffers)
        return "the figures of superbuffers are wrong";
    if (count->voids != heap->voids || count->void_bytes != heap->void_bytes)
        return "the figures of voids are wrong";
    if (count->gaps != heap->tree.gaps + (tail != 0) || count->gap_bytes != tree_bytes + tail)
        return "the trees hold other gaps than the segment";
    if (heap->peak_taken < heap->taken || heap->peak_segment < segment->length)
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
        wrong = check_slabs(heap, &count);
    if (wrong == NULL)
        wrong = check_figures(heap, &count, tree_bytes);
    if (wrong == NULL && heap->guard != NULL)
        wrong = kheap_guard_check(heap->guard);
    splock_unlock(&heap->lock);
    return wrong;
}
