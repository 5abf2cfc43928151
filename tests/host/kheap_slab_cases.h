/*
 * The tests of when the heap has slabs: included by those of their cells. The heaps of
 * kheap_cases.h have neither slabs nor a cache.
 */
#ifndef KHEAP_SLAB_CASES_H
#define KHEAP_SLAB_CASES_H

#include "kheap_cache_cases.h"
#include "kheap_check_cases.h"

#define PATIENCE 32u            /* requests, until a class has a slab early */
#define CELLS    KHEAP_SLAB_CELLS

static kheap_t *new_slab_heap(size_t limit)
{
    new_heap(limit);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_SLABS, SIZE_MAX), 0);
    return &heap;
}

/* Slabs and a cache, as a heap is that nobody tunes. */
static kheap_t *new_whole_heap(size_t limit)
{
    fake_segment_destroy(&fake);
    kheap_init(&heap, fake_segment_init(&fake, limit));
    return &heap;
}

static kheap_class_t *class_for(size_t size)
{
    return &heap.class[(size + KHEAP_ALIGN - 1) / KHEAP_ALIGN];
}

static size_t cell_size_for(size_t size)
{
    return align_up(size, KHEAP_ALIGN);
}

/* How many cells of this size lie before the last word of a page. */
static size_t cells_for(size_t size)
{
    return (PAGE_SIZE - WORD) / cell_size_for(size);
}

static char *page_of(const char *cell)
{
    return (char *)align_down((size_t)cell, PAGE_SIZE);
}

static size_t slab_count(void)
{
    return stat_of().slab_count;
}

static void check_sums(void)
{
    kheap_stat_t stat = stat_of();

    CHECK_EQ(stat.used + stat.cached + stat.slab_free + stat.free + stat.void_bytes
             + (stat.segment != 0 ? KHEAP_GRANULE : 0), stat.segment);
}

static char *cell_of(size_t size)
{
    char *buffer = kheap_alloc(&heap, size);

    CHECK(buffer != NULL);
    return buffer;
}

/* A heap, and how many cells a slab of this size has there. => 0: it has no slabs */
static size_t new_heap_with_slabs(size_t size)
{
    new_slab_heap(LIMIT);
    if (class_for(size)->cells != 0)
        CHECK_EQ(class_for(size)->cells, cells_for(size));
    return class_for(size)->cells;
}

/* The first cell of the first slab of a class, and nothing else of that class. */
static char *first_cell(size_t size)
{
    size_t slabs = slab_count();
    char *list = NULL;          /* each buffer points to the one before */
    char *cell;

    while ((cell = cell_of(size)) != NULL && slab_count() == slabs) {
        *(char **)(void *)cell = list;
        list = cell;
    }
    while (list != NULL) {
        char *before = *(char **)(void *)list;
        kheap_free(&heap, list);
        list = before;
    }
    CHECK_EQ(slab_count(), slabs + 1);
    CHECK(cell == page_of(cell));
    return cell;
}

/* The first `count` cells of a class that has no slab yet. */
static void make_cells(char **cell, size_t count, size_t size)
{
    cell[0] = first_cell(size);
    for (size_t i = 1; i < count; i++)
        cell[i] = cell_of(size);
}

/* As check_empty, once what is cached and slabs without a cell in use were merged. */
static void check_all_empty(void)
{
    kheap_stat_t stat = stat_of();

    CHECK_OK(kheap_check(&heap));
    check_sums();
    CHECK_EQ(stat.buffer_count, 0);
    CHECK_EQ(stat.cell_count, 0);
    CHECK_EQ(kheap_flush(&heap), stat.cached + stat.slab_count * PAGE_SIZE);
    CHECK_EQ(slab_count(), 0);
    CHECK_EQ(stat_of().cached_count, 0);
    check_empty();
}

/* --- When a size has slabs --- */

TEST(kheap_slab_when_there_are_as_many_superbuffers_as_cells)
{
    char *buffer[CELLS + 1];

    for (size_t size = KHEAP_ALIGN; size <= KHEAP_CELL_LARGEST; size += KHEAP_ALIGN) {
        size_t cells = new_heap_with_slabs(size);
        if (cells == 0)
            continue;
        class_for(size)->patience = UINT16_MAX;
        for (size_t i = 0; i < cells; i++) {
            buffer[i] = cell_of(size);
            CHECK_EQ(slab_count(), 0);
        }
        CHECK_EQ(stat_of().cell_count, 0);
        buffer[cells] = cell_of(size);
        CHECK_EQ(slab_count(), 1);
        CHECK_EQ(stat_of().cell_count, 1);
        CHECK_EQ(stat_of().buffer_count, cells + 1);
        CHECK_OK(kheap_check(&heap));
        free_all(buffer, cells + 1);
        check_all_empty();
    }
}

/* A size has slabs where those cost no more than superbuffers, or little more. */
TEST(kheap_slab_sizes_that_are_worth_it)
{
    size_t sizes = 0;

    new_slab_heap(LIMIT);
    for (size_t size = KHEAP_ALIGN; size <= KHEAP_CELL_LARGEST; size += KHEAP_ALIGN) {
        size_t length = align_up(size + WORD, KHEAP_GRANULE);
        length = length < SMALLEST ? SMALLEST : length;
        bool worth = PAGE_SIZE / cells_for(size) <= length + length / 16;
        CHECK_EQ(class_for(size)->cells, worth ? cells_for(size) : 0);
        sizes += worth;
        for (size_t i = 0; i < 2 * PATIENCE && !worth; i++)
            cell_of(size);
    }
    CHECK(sizes >= KHEAP_CLASSES / 3 && sizes < KHEAP_CLASSES);
    CHECK_EQ(slab_count(), 0);
    CHECK_OK(kheap_check(&heap));
}

TEST(kheap_slab_counts_cached_superbuffers_too)
{
    char *buffer[COUNT + 4];
    const size_t size = 240;        /* 17 cells */

    new_whole_heap(LIMIT);
    for (size_t i = 0; i < COUNT + 4; i++)
        buffer[i] = cell_of(size);
    free_all(buffer, COUNT + 4);                /* COUNT of 16 are cached, the others merged */
    CHECK_EQ(stat_of().cached_count, COUNT);
    class_for(size)->patience = UINT16_MAX;
    for (size_t i = 0; i < COUNT + 4; i++)
        buffer[i] = cell_of(size);
    CHECK_EQ(slab_count(), 0);                  /* 16 in use */
    kheap_free(&heap, buffer[0]);
    CHECK(cell_of(size) == buffer[0]);
    char *more = cell_of(size);                 /* 17 */
    CHECK_EQ(slab_count(), 0);
    kheap_free(&heap, buffer[0]);               /* 16 and a cached one */
    kheap_free(&heap, more);
    CHECK(cell_of(size) == more && cell_of(size) == buffer[0]);
    CHECK_EQ(slab_count(), 0);
    char *cell = cell_of(size);                 /* one more than a slab has cells */
    CHECK_EQ(slab_count(), 1);
    free_all(buffer, COUNT + 4);
    kheap_free(&heap, more);
    kheap_free(&heap, cell);
    check_all_empty();
}

/* Have a class asked for so many buffers, one at a time. => how many were cells */
static size_t ask(size_t size, size_t count)
{
    size_t cells = 0;

    while (count-- > 0) {
        char *buffer = cell_of(size);
        cells += stat_of().cell_count;
        kheap_free(&heap, buffer);
    }
    return cells;
}

TEST(kheap_slab_early_for_those_who_ask_often)
{
    static const size_t sizes[] = { 16, 48, 112, 160, 240, 208 };

    new_whole_heap(LIMIT);
    for (size_t i = 0; i < 4; i++) {
        CHECK(class_for(sizes[i])->cells != 0);
        CHECK_EQ(ask(sizes[i], PATIENCE - 1), 0);
        CHECK_EQ(slab_count(), i);
        CHECK_EQ(ask(sizes[i], 3), 3);
        CHECK_EQ(slab_count(), i + 1);
        CHECK_OK(kheap_check(&heap));
    }
    CHECK(fake.segment.length < 128 * KIB);     /* a small heap has no more of them */
    CHECK_EQ(ask(sizes[4], 3 * PATIENCE), 0);
    kheap_flush(&heap);
    CHECK_EQ(slab_count(), 0);
    CHECK_EQ(ask(sizes[4], 3 * PATIENCE), 0);   /* once counted is counted for good */
    CHECK_EQ(ask(sizes[1], PATIENCE - 1), 0);
    CHECK_EQ(ask(sizes[1], 1), 1);              /* and may have one again */

    char *large = cell_of(140 * KIB);           /* a page of 32 more: one more class */
    CHECK(fake.segment.length >= 128 * KIB && fake.segment.length < 256 * KIB);
    CHECK_EQ(ask(sizes[4], PATIENCE - 1), 0);
    CHECK_EQ(ask(sizes[4], 1), 1);
    CHECK_EQ(ask(sizes[5], 3 * PATIENCE), 0);
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, large);
    check_all_empty();
}

/* Requests that could not have a slab do not make those after them wait longer. */
TEST(kheap_slab_early_after_slabs_were_off)
{
    new_whole_heap(LIMIT);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_SLABS, 0), 0);
    CHECK_EQ(ask(48, 2 * PATIENCE + 5), 0);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_SLABS, SIZE_MAX), 0);
    CHECK(ask(48, PATIENCE) != 0);
    check_all_empty();
}

TEST(kheap_slab_needs_notes)
{
    char *buffer[300];

    new_heap(LIMIT);
    void *side = fake.segment.side;
    fake.segment.side = NULL;
    kheap_init(&heap, &fake.segment);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_SLABS, 1), -EINVAL);
    for (size_t i = 0; i < ARRAY_LENGTH(buffer); i++)
        buffer[i] = cell_of(48);
    CHECK_EQ(slab_count(), 0);
    CHECK_EQ(stat_of().buffer_count, ARRAY_LENGTH(buffer));
    CHECK_OK(kheap_check(&heap));
    kheap_stat_t before = stat_of();
    kheap_free(&heap, buffer[0] + 16);
    CHECK_MISUSE(&before, "inside the buffer");
    CHECK(kheap_realloc(&heap, buffer[0], 300) != NULL);
    CHECK_EQ(kheap_usable_size(&heap, buffer[1]) >= 48, 1);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_SLABS, 0), 0);
    fake.segment.side = side;
}

TEST(kheap_slab_number_can_be_bounded)
{
    char *buffer[5 * 17];
    const size_t size = 240;

    new_slab_heap(LIMIT);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_SLABS, 2), 0);
    make_cells(buffer, ARRAY_LENGTH(buffer), size);
    CHECK_EQ(slab_count(), 2);
    CHECK_EQ(stat_of().cell_count, 2 * 17);
    CHECK_EQ(stat_of().buffer_count, 5 * 17);
    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_SLABS, 1), 0);    /* those that there are stay */
    CHECK_EQ(slab_count(), 2);
    kheap_free(&heap, buffer[0]);
    CHECK(cell_of(size) == buffer[0]);
    free_all(buffer, 17);
    free_all(buffer + 17, 17);
    CHECK_EQ(slab_count(), 1);                  /* the first of its class */
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_SLABS, 0), 0);
    CHECK_EQ(slab_count(), 0);
    for (size_t i = 0; i < 2 * 17; i++)
        buffer[i] = cell_of(size);
    CHECK_EQ(slab_count(), 0);
    free_all(buffer, ARRAY_LENGTH(buffer));
    check_all_empty();
}

#endif
