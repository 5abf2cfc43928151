/*
 * The tests of the heap's slabs, for every way it can be built: included after
 * kheap_cases.h, whose heaps have neither slabs nor a cache, and kheap_cache_cases.h.
 */
#ifndef KHEAP_SLAB_CASES_H
#define KHEAP_SLAB_CASES_H

#include "kheap_cache_cases.h"

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

static kheap_slab_t *notes_of(const char *cell)
{
    return (kheap_slab_t *)fake.segment.side + ((size_t)cell - fake.segment.base) / PAGE_SIZE;
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
        size_t cells = cells_for(size);
        new_slab_heap(LIMIT);
        if (class_for(size)->cells == 0)
            continue;
        CHECK_EQ(class_for(size)->cells, cells);
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
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_SLABS, 0), 0);
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
    kheap_flush(&heap);
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

/* --- Cells --- */

TEST(kheap_slab_cells_of_every_class)
{
    char *cell[CELLS + 1];

    for (size_t size = KHEAP_ALIGN; size <= KHEAP_CELL_LARGEST; size += KHEAP_ALIGN) {
        size_t count = cells_for(size);
        new_slab_heap(LIMIT);
        if (class_for(size)->cells == 0)
            continue;
        cell[0] = first_cell(size - 5);
        char *page = page_of(cell[0]);
        size_t behind = *word_of(page + PAGE_SIZE);
        for (size_t i = 0; i < count; i++) {
            if (i != 0)
                cell[i] = cell_of(size - test_random_below(KHEAP_ALIGN));
            check_aligned(cell[i], KHEAP_ALIGN);
            CHECK(page_of(cell[i]) == page);
            CHECK(cell[i] + size <= page + PAGE_SIZE - WORD);
            CHECK_EQ(kheap_usable_size(&heap, cell[i]), size);
            CHECK(!FILLS || all_bytes(cell[i], 0xcc, size));
            paint(cell[i], size, i);
        }
        CHECK_EQ(stat_of().cell_count, count);
        CHECK_EQ(stat_of().used, count * size);
        CHECK_EQ(stat_of().slab_free, PAGE_SIZE - count * size);
        check_sums();
        CHECK_EQ(*word_of(page + PAGE_SIZE), behind);
        CHECK_OK(kheap_check(&heap));
        cell[count] = cell_of(size);
        CHECK_EQ(slab_count(), 2);
        for (size_t i = 0; i < count; i++)      /* none lies in another */
            CHECK(painted(cell[i], size, i));
        for (size_t left = count + 1; left > 0; left--) {
            size_t i = test_random_below(left);
            kheap_free(&heap, cell[i]);
            CHECK(!FILLS || slab_count() != 2 || all_bytes(cell[i], 0xdd, size));
            cell[i] = cell[left - 1];
            if (left % 16 == 0)
                CHECK_OK(kheap_check(&heap));
        }
        check_all_empty();
    }
}

/* What is at this address of a slab of which only the first, third and fifth cell are in use */
static bool in_use_here(size_t offset, size_t cell_size)
{
    size_t number = offset / cell_size;

    return offset % cell_size == 0 && number < 5 && number % 2 == 0;
}

static void free_every_address(char *page, size_t size, size_t cells)
{
    char words[64];

    for (size_t offset = 0; offset < PAGE_SIZE; offset++) {
        size_t number = offset / size;
        if (in_use_here(offset, size)) {
            CHECK_EQ(kheap_usable_size(&heap, page + offset), size);
            continue;
        }
        const char *what = number >= cells ? "behind the last buffer of its page,"
                         : in_use_here(number * size, size) ? "inside the buffer"
                         : "free already: in the buffer";
        number = number < cells ? number : cells - 1;
        format_text(words, sizeof(words), "kfree(%p): %s %p of %zu bytes",
                    (void *)(page + offset), what, (void *)(page + number * size), size);
        kheap_stat_t before = stat_of();
        kheap_free(&heap, page + offset);
        CHECK_MISUSE(&before, words);
        if (offset % 4 != 0)
            continue;
        before = stat_of();
        CHECK(kheap_realloc(&heap, page + offset, 10) == NULL);
        CHECK_MISUSE(&before, "krealloc(");
        before = stat_of();
        CHECK_EQ(kheap_usable_size(&heap, page + offset), 0);
        CHECK_MISUSE(&before, "kmalloc_usable_size(");
    }
}

TEST(kheap_slab_only_the_start_of_a_cell_in_use_is_freed)
{
    static const size_t sizes[] = { 16, 48, 112, 240, 800 };

    new_slab_heap(LIMIT);
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        size_t size = sizes[i];
        char *cell[5];

        CHECK(class_for(size)->cells >= ARRAY_LENGTH(cell));
        make_cells(cell, ARRAY_LENGTH(cell), size);
        char *page = page_of(cell[0]);
        paint(cell[0], size, 1);
        kheap_free(&heap, cell[1]);             /* not at hand; those behind the fifth are */
        kheap_free(&heap, cell[3]);
        free_every_address(page, size, cells_for(size));
        CHECK(painted(cell[0], size, 1));
        CHECK_OK(kheap_check(&heap));

        for (size_t n = 0; n < ARRAY_LENGTH(cell); n += 2)
            kheap_free(&heap, cell[n]);
        kheap_stat_t before = stat_of();
        kheap_free(&heap, cell[4]);
        CHECK_MISUSE(&before, "free already: in the buffer");
        kheap_flush(&heap);                     /* no slab any more */
        for (size_t offset = 0; offset < PAGE_SIZE; offset += 8) {
            before = stat_of();
            kheap_free(&heap, page + offset);
            CHECK_MISUSE(&before, "free already: in the gap");
        }
        check_all_empty();
    }
}

/* Three slabs of a class: the first two are full, the third has one cell in use. */
static size_t make_three_slabs(char **cell, size_t size)
{
    size_t cells = cells_for(size);

    new_slab_heap(LIMIT);
    CHECK_EQ(class_for(size)->cells, cells);
    make_cells(cell, 2 * cells + 1, size);
    CHECK_EQ(slab_count(), 3);
    CHECK_EQ(class_for(size)->slabs, 3);
    CHECK_EQ(stat_of().cell_count, 2 * cells + 1);
    CHECK_OK(kheap_check(&heap));
    return cells;
}

static const size_t three_sizes[] = { 16, 240, 1008 };

TEST(kheap_slab_full_ones_leave_the_list_and_come_back)
{
    char *cell[3 * CELLS];

    for (size_t k = 0; k < ARRAY_LENGTH(three_sizes); k++) {
        size_t size = three_sizes[k];
        size_t cells = make_three_slabs(cell, size);
        kheap_slab_t *first = notes_of(cell[0]);
        kheap_slab_t *second = notes_of(cell[cells]);
        kheap_slab_t *third = notes_of(cell[2 * cells]);

        CHECK(!first->open && !second->open && third->open && third->first);
        kheap_free(&heap, cell[cells + 1]);     /* third, second, first */
        kheap_free(&heap, cell[2]);
        CHECK(first->open && second->open && !first->first && !second->first);
        CHECK_OK(kheap_check(&heap));
        for (size_t i = 1; i < cells; i++) {
            char *more = cell_of(size);
            CHECK(notes_of(more) == third);
            cell[2 * cells + i] = more;
        }
        CHECK(cell_of(size) == cell[cells + 1]);
        CHECK(!third->open && second->open && second->first);
        CHECK_OK(kheap_check(&heap));
        CHECK(cell_of(size) == cell[2]);
        CHECK(!second->open && first->open && first->first);
        CHECK_OK(kheap_check(&heap));
        CHECK_EQ(slab_count(), 3);
        char *more = cell_of(size);
        CHECK_EQ(slab_count(), 4);
        CHECK_OK(kheap_check(&heap));

        kheap_free(&heap, cell[cells]);         /* back at the end of the list, each once */
        kheap_free(&heap, cell[cells + 2]);
        CHECK(second->open && !second->first);
        CHECK_OK(kheap_check(&heap));
        cell[cells] = cell_of(size);
        cell[cells + 2] = cell_of(size);
        kheap_free(&heap, more);
        free_all(cell, 3 * cells);
        check_all_empty();
    }
}

TEST(kheap_slab_without_a_cell_in_use_is_merged_unless_it_is_the_first)
{
    char *cell[2 * CELLS + 1];

    for (size_t k = 0; k < ARRAY_LENGTH(three_sizes); k++) {
        size_t cells = make_three_slabs(cell, three_sizes[k]);

        for (size_t i = 0; i < cells; i++) {    /* the second, from its end */
            CHECK_EQ(slab_count(), 3);
            kheap_free(&heap, cell[2 * cells - 1 - i]);
            if (i < 3 || i > cells - 3)
                CHECK_OK(kheap_check(&heap));
        }
        CHECK_EQ(slab_count(), 2);
        kheap_free(&heap, cell[2 * cells]);     /* of the third, which is first in the list */
        CHECK_EQ(slab_count(), 2);
        CHECK(notes_of(cell[2 * cells])->first);
        for (size_t i = 0; i < cells; i++)
            kheap_free(&heap, cell[i]);
        CHECK_EQ(slab_count(), 1);
        char *again = cell_of(three_sizes[k]);  /* the third is there at once */
        CHECK(notes_of(again) == notes_of(cell[2 * cells]));
        kheap_free(&heap, again);
        CHECK_EQ(slab_count(), 1);
        CHECK_OK(kheap_check(&heap));
        CHECK_EQ(kheap_flush(&heap), PAGE_SIZE);
        CHECK_EQ(slab_count(), 0);
        check_all_empty();
    }
}

TEST(kheap_slab_in_the_middle_of_the_list_is_merged)
{
    char *cell[3 * CELLS];

    for (size_t k = 0; k < ARRAY_LENGTH(three_sizes); k++) {
        size_t cells = make_three_slabs(cell, three_sizes[k]);

        kheap_free(&heap, cell[cells]);         /* third, second, first */
        kheap_free(&heap, cell[0]);
        for (size_t i = 1; i < cells; i++)
            kheap_free(&heap, cell[cells + i]);
        CHECK_EQ(slab_count(), 2);              /* third, first */
        CHECK_OK(kheap_check(&heap));
        for (size_t i = 1; i < cells; i++)      /* fill the third; it leaves */
            cell[cells + i] = cell_of(three_sizes[k]);
        CHECK(cell_of(three_sizes[k]) == cell[0]);
        CHECK_OK(kheap_check(&heap));
        kheap_free(&heap, cell[2 * cells]);
        free_all(cell + cells + 1, cells - 1);
        free_all(cell, cells);
        check_all_empty();
    }
}

/* => the first slabs of some classes, with no cell in use */
static size_t make_empty_slabs(size_t limit)
{
    static const size_t sizes[] = { 16, 48, 112, 240, 800, 1008 };

    new_slab_heap(limit);
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++)
        kheap_free(&heap, first_cell(sizes[i]));
    CHECK_EQ(slab_count(), ARRAY_LENGTH(sizes));
    CHECK_EQ(stat_of().slab_free, ARRAY_LENGTH(sizes) * PAGE_SIZE);
    CHECK_OK(kheap_check(&heap));
    return ARRAY_LENGTH(sizes);
}

TEST(kheap_slab_flush_and_trim_and_tune_merge_them)
{
    size_t slabs = make_empty_slabs(LIMIT);

    CHECK_EQ(kheap_flush(&heap), slabs * PAGE_SIZE);
    CHECK_EQ(stat_of().gap_count, 1);
    check_all_empty();
    make_empty_slabs(LIMIT);
    size_t length = fake.segment.length;
    CHECK_EQ(kheap_trim(&heap, 0), length);
    CHECK_EQ(fake.segment.length, 0);
    CHECK_EQ(slab_count(), 0);
    CHECK_OK(kheap_check(&heap));
    make_empty_slabs(LIMIT);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_CACHE_BYTES, 1000), 0);
    CHECK_EQ(slab_count(), 0);
    check_all_empty();
}

TEST(kheap_slab_is_merged_before_a_request_fails)
{
    const size_t limit = 32 * PAGE_SIZE;

    for (size_t kind = 0; kind < 3; kind++) {
        size_t size = limit - KHEAP_GRANULE - WORD;
        make_empty_slabs(limit);
        char *all = kind == 0 ? kheap_alloc(&heap, size)
                  : kind == 1 ? kheap_memalign(&heap, 32, size - 32)
                  : kheap_realloc(&heap, NULL, size);
        CHECK(all != NULL);
        CHECK_EQ(slab_count(), 0);
        CHECK_OK(kheap_check(&heap));
        CHECK(kheap_alloc(&heap, 48) == NULL);
        kheap_free(&heap, all);
        check_all_empty();
    }
}

/* Fill a heap with superbuffers, largest first. => how many */
static size_t fill_up(char **buffer, size_t most, size_t largest)
{
    size_t count = 0;

    for (size_t length = largest; length >= SMALLEST; length -= KHEAP_GRANULE) {
        while (size_for(length) > KHEAP_CELL_LARGEST || class_for(size_for(length))->slabs == 0) {
            CHECK(count < most);
            buffer[count] = kheap_alloc(&heap, size_for(length));
            if (buffer[count] == NULL)
                break;
            count++;
        }
    }
    return count;
}

/* Where there is no room to move to, merging a slab may make room to stay. */
TEST(kheap_realloc_over_a_slab_that_was_merged)
{
    char *buffer[256];
    size_t i = 0;

    new_slab_heap(12 * PAGE_SIZE);
    char *cell = first_cell(1008);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_SLABS, 1), 0);
    size_t count = fill_up(buffer, ARRAY_LENGTH(buffer), 12 * PAGE_SIZE);
    while (i < count && buffer[i] + kheap_usable_size(&heap, buffer[i]) != (char *)word_of(cell))
        i++;
    CHECK(i < count);
    size_t size = kheap_usable_size(&heap, buffer[i]);      /* BBBB[slab]BBBB */
    paint(buffer[i], size, 3);
    CHECK(kheap_realloc(&heap, buffer[i], size + PAGE_SIZE) == NULL);
    CHECK(painted(buffer[i], size, 3));
    kheap_free(&heap, cell);
    CHECK_EQ(slab_count(), 1);
    CHECK(kheap_realloc(&heap, buffer[i], size + PAGE_SIZE) == buffer[i]);
    CHECK_EQ(slab_count(), 0);
    CHECK_EQ(kheap_usable_size(&heap, buffer[i]), size + PAGE_SIZE);
    CHECK(painted(buffer[i], size, 3));
    CHECK(!FILLS || all_bytes(buffer[i] + size, 0xcc, PAGE_SIZE));
    CHECK_OK(kheap_check(&heap));
    free_all(buffer, count);
    check_all_empty();
}

/* --- krealloc, kmemalign --- */

TEST(kheap_realloc_of_a_cell_stays_or_moves)
{
    new_slab_heap(LIMIT);
    char *cell = first_cell(64);

    paint(cell, 64, 1);
    for (size_t size = 33; size <= 64; size++) {        /* more than half of it is used */
        CHECK(kheap_realloc(&heap, cell, size) == cell);
        CHECK_EQ(kheap_usable_size(&heap, cell), 64);
    }
    CHECK(painted(cell, 64, 1));
    for (size_t size = 0; size <= 32; size += 8) {      /* half of it or less */
        char *small = kheap_realloc(&heap, cell, size);
        CHECK(small != NULL && page_of(small) != page_of(cell));
        CHECK(painted(small, size, 1));
        CHECK_EQ(stat_of().cell_count, 0);
        CHECK_EQ(stat_of().buffer_count, 1);
        CHECK_OK(kheap_check(&heap));
        kheap_free(&heap, small);
        cell = cell_of(64);
        CHECK_EQ(stat_of().cell_count, 1);
        paint(cell, 64, 1);
    }
    char *other = first_cell(208);
    char *moved = kheap_realloc(&heap, cell, 200);      /* from cell to cell */
    CHECK(page_of(moved) == page_of(other) && moved != other);
    CHECK(painted(moved, 64, 1));
    CHECK(!FILLS || all_bytes(moved + 64, 0xcc, 208 - 64));
    CHECK_EQ(stat_of().cell_count, 2);
    cell = kheap_realloc(&heap, moved, 50);             /* and to a smaller one */
    CHECK_EQ(kheap_usable_size(&heap, cell), 64);
    CHECK(painted(cell, 50, 1));
    CHECK_EQ(stat_of().cell_count, 2);
    CHECK_OK(kheap_check(&heap));

    char *large = kheap_realloc(&heap, cell, 5000);     /* to a superbuffer and back */
    CHECK(painted(large, 50, 1));
    CHECK_EQ(stat_of().cell_count, 1);
    CHECK_EQ(stat_of().buffer_count, 2);
    CHECK(kheap_realloc(&heap, large, 60) == large);    /* that shrinks where it is */
    char *wall = buffer_of(SMALLEST);
    cell = kheap_realloc(&heap, large, 200);
    cell = cell == large ? kheap_realloc(&heap, large, 10000) : cell;
    CHECK(painted(cell, 50, 1));
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, cell);
    kheap_free(&heap, wall);
    kheap_free(&heap, other);
    check_all_empty();
}

TEST(kheap_realloc_of_a_superbuffer_into_a_cell)
{
    new_slab_heap(LIMIT);
    char *small = buffer_of(96);
    char *wall = buffer_of(96);
    char *cell = first_cell(208);

    paint(small, size_for(96), 2);
    char *moved = kheap_realloc(&heap, small, 200);
    CHECK(page_of(moved) == page_of(cell));
    CHECK_EQ(kheap_usable_size(&heap, moved), 208);
    CHECK(painted(moved, size_for(96), 2));
    CHECK_EQ(stat_of().cell_count, 2);
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, wall);
    kheap_free(&heap, cell);
    kheap_free(&heap, moved);
    check_all_empty();
}

TEST(kheap_realloc_of_a_cell_without_memory)
{
    char *buffer[600];

    new_slab_heap(12 * PAGE_SIZE);
    char *cell = first_cell(240);
    paint(cell, 240, 4);
    CHECK(kheap_realloc(&heap, cell, SIZE_MAX) == NULL);
    CHECK(kheap_realloc(&heap, cell, KHEAP_LARGEST + 1) == NULL);
    CHECK(kheap_realloc(&heap, cell, 12 * PAGE_SIZE) == NULL);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_SLABS, 1), 0);
    size_t count = fill_up(buffer, ARRAY_LENGTH(buffer), 12 * PAGE_SIZE);
    CHECK(kheap_realloc(&heap, cell, 300) == NULL);
    CHECK(kheap_realloc(&heap, cell, 100) == cell);     /* longer than it need be */
    CHECK_EQ(kheap_usable_size(&heap, cell), 240);
    CHECK(kheap_realloc(&heap, cell, 0) == cell);
    CHECK(painted(cell, 240, 4));
    CHECK_EQ(stat_of().cell_count, 1);
    CHECK_OK(kheap_check(&heap));
    free_all(buffer, count);
    kheap_free(&heap, cell);
    check_all_empty();
}

TEST(kheap_slab_zero_bytes_are_a_cell_too)
{
    char *cell[2 * CELLS];
    const size_t cells = cells_for(16);

    new_slab_heap(LIMIT);
    kheap_free(&heap, first_cell(64));
    cell[0] = first_cell(16);
    for (size_t i = 1; i < cells + 2; i++) {
        cell[i] = i % 3 == 0 ? kheap_realloc(&heap, cell_of(64), 0) : cell_of(i % 3 == 1 ? 0 : 16);
        CHECK(cell[i] != NULL && cell[i] != cell[i - 1]);
        CHECK_EQ(stat_of().buffer_count, i + 1);
        CHECK_OK(kheap_check(&heap));
    }
    CHECK_EQ(stat_of().cell_count, cells + 2);
    free_all(cell, cells + 2);
    check_all_empty();
}

TEST(kheap_memalign_beside_slabs)
{
    char *aligned[40];
    size_t count = 0;

    new_whole_heap(LIMIT);
    char *cell = first_cell(48);
    char *page = first_cell(1008);
    size_t cells = stat_of().cell_count;

    aligned[count] = kheap_memalign(&heap, KHEAP_ALIGN, 40);    /* every cell is */
    CHECK(page_of(aligned[count++]) == page_of(cell));
    for (size_t align = 32; align <= 4 * PAGE_SIZE; align *= 2) {
        for (size_t size = 40; size <= 2 * PAGE_SIZE; size *= 13, count++) {
            aligned[count] = kheap_memalign(&heap, align, size);
            check_aligned(aligned[count], align);
            CHECK(notes_of(aligned[count])->class == 0);
            CHECK(kheap_usable_size(&heap, aligned[count]) >= size);
            paint(aligned[count], size, count);
            CHECK_OK(kheap_check(&heap));
        }
    }
    CHECK_EQ(stat_of().cell_count, cells + 1);
    kheap_free(&heap, cell);
    kheap_free(&heap, page);
    check_sums();
    free_all(aligned, count);
    check_all_empty();
}

TEST(kheap_calloc_clears_cells)
{
    new_slab_heap(LIMIT);
    char *cell = first_cell(112);

    memset(cell, 0x5a, 112);
    kheap_free(&heap, cell);
    for (size_t i = 0; i < 2 * cells_for(112); i++) {
        char *clear = kheap_calloc(&heap, 7, 16);
        CHECK(all_bytes(clear, 0, 112));
        memset(clear, 0x5a, 112);
        if (i % 2 == 0)
            kheap_free(&heap, clear);
    }
    CHECK_OK(kheap_check(&heap));
}

/* --- In too little memory --- */

/* Many small buffers, each of which may fail. => whether one did */
static bool some_small_work(void)
{
    static const size_t sizes[] = { 16, 48, 240, 1008, 100, 200 };
    enum { BUFFERS = 600 };
    static char *buffer[BUFFERS];
    bool failed = false;

    for (size_t i = 0; i < BUFFERS; i++) {
        size_t size = sizes[i % ARRAY_LENGTH(sizes)];
        buffer[i] = kheap_alloc(&heap, size);
        failed = failed || buffer[i] == NULL;
        if (buffer[i] != NULL)
            paint(buffer[i], size, i);
        if (i % 16 == 0)
            CHECK_OK(kheap_check(&heap));
    }
    for (size_t i = 0; i < BUFFERS; i += 3) {
        size_t size = sizes[i % ARRAY_LENGTH(sizes)];
        char *moved = buffer[i] == NULL ? NULL : kheap_realloc(&heap, buffer[i], 2 * size);
        failed = failed || moved == NULL;
        CHECK(buffer[i] == NULL || painted(moved != NULL ? moved : buffer[i], size, i));
        buffer[i] = moved != NULL ? moved : buffer[i];
        if (i % 16 == 0)
            CHECK_OK(kheap_check(&heap));
    }
    for (size_t i = 0; i < BUFFERS; i++) {
        CHECK(buffer[i] == NULL || painted(buffer[i], sizes[i % ARRAY_LENGTH(sizes)], i));
        kheap_free(&heap, buffer[i]);
    }
    return failed;
}

TEST(kheap_slab_and_every_extension_may_fail)
{
    size_t failures = 0;

    for (size_t n = 1; ; n++) {
        new_whole_heap(LIMIT);
        fake.fail_at = n;
        some_small_work();
        bool done = fake.extend_count < n;
        check_all_empty();
        if (done)
            break;
    }
    for (size_t pages = 1; pages < 80; pages++) {       /* from some extension on, all of them */
        new_whole_heap(pages * PAGE_SIZE);
        failures += some_small_work();
        check_all_empty();
    }
    CHECK(failures > 20 && failures < 79);
    for (size_t pages = 1; pages < 4; pages++) {        /* none of more pages than these */
        new_whole_heap(LIMIT);
        fake.most_pages = pages;
        some_small_work();
        check_all_empty();
    }
}

/* Where there is no page for a slab, a superbuffer does. */
TEST(kheap_slab_that_cannot_be_made)
{
    char *buffer[100];
    size_t count = 0;

    new_slab_heap(PAGE_SIZE);
    while (count < ARRAY_LENGTH(buffer) && (buffer[count] = kheap_alloc(&heap, 48)) != NULL)
        count++;
    CHECK(count > PATIENCE);
    CHECK_EQ(slab_count(), 0);
    CHECK(stat_of().free < 48 + WORD + SMALLEST);
    CHECK_OK(kheap_check(&heap));
    free_all(buffer, count);
    check_all_empty();
}

/* --- Writes to cells that are free, which debug builds find --- */

TEST(kheap_write_to_a_free_cell_is_reported)
{
    static const size_t bytes[] = { 0, 7, 100, 1007 };
    char *cell[9];

    if (!FILLS)
        test_skip("not a debug build");
    new_slab_heap(LIMIT);
    CHECK_EQ(cells_for(1008), 4);
    for (size_t i = 0; i < ARRAY_LENGTH(bytes); i++) {
        make_cells(cell, ARRAY_LENGTH(cell), 1008);     /* 4, 4, 1 */
        kheap_free(&heap, cell[5]);
        cell[5][bytes[i]] = 1;
        for (size_t n = 0; n < 3; n++)                  /* the third slab is filled first */
            kheap_free(&heap, cell_of(1008));
        char *rest[3] = { cell_of(1008), cell_of(1008), cell_of(1008) };
        CHECK(cell_of(1008) == cell[5]);
        check_reported_write("kmalloc: ", cell[5], cell[5] + bytes[i]);
        CHECK(all_bytes(cell[5], 0xcc, 1008));

        kheap_free(&heap, cell[0]);                     /* not the first, and merged by kfree */
        cell[0][bytes[i]] = 1;
        free_all(cell + 1, 3);
        check_reported_write("kfree: the cached ", cell[0], cell[0] + bytes[i]);

        free_all(rest, 3);                              /* the first, and merged by a flush */
        free_all(cell + 4, 5);
        CHECK_EQ(slab_count(), 1);
        char *last = cell_of(1008);
        kheap_free(&heap, last);
        last[bytes[i]] = 1;
        kheap_flush(&heap);
        check_reported_write("kheap_flush: the cached ", last, last + bytes[i]);
        CHECK_EQ(slab_count(), 0);
        CHECK_OK(kheap_check(&heap));
    }
    cell[0] = first_cell(1008);         /* behind the last cell, too */
    kheap_free(&heap, cell[0]);
    cell[0][4 * 1008 + 3] = 1;
    kheap_flush(&heap);
    check_reported_write("kheap_flush: the cached ", cell[0] + 4 * 1008, cell[0] + 4 * 1008 + 3);
    CHECK_EQ(stat_of().misuse_count, 3 * ARRAY_LENGTH(bytes) + 1);
    check_all_empty();
}

/* What a call finds that merges one to make room is said by that call. */
TEST(kheap_write_to_a_cached_buffer_is_reported_by_kfree)
{
    if (!FILLS)
        test_skip("not a debug build");
    new_cached_heap(LIMIT);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_CACHE_BYTES, 2048), 0);
    char *a = buffer_of(1024);
    char *b = buffer_of(1024);
    char *c = buffer_of(512);

    kheap_free(&heap, a);
    kheap_free(&heap, b);
    a[100] = 1;
    kheap_free(&heap, c);
    check_reported_write("kfree: the cached ", a, a + 100);
    check_cached_empty();
}

/* --- The checker, the log --- */

TEST(kheap_check_notices_damage_to_slabs)
{
    char *cell[40];
    const size_t size = 240;

    new_slab_heap(LIMIT);
    make_cells(cell, ARRAY_LENGTH(cell), size);     /* 17, 17, 6 */
    char *other = first_cell(48);
    kheap_free(&heap, cell[20]);
    kheap_class_t *class = class_for(size);
    kheap_slab_t *full = notes_of(cell[0]);
    kheap_slab_t *last = notes_of(cell[17]);        /* in the list behind the third */
    kheap_slab_t *first = notes_of(cell[34]);
    kheap_slab_t *none = notes_of((char *)fake.segment.base);
    uint32_t page = (uint32_t)(full - none);
    uint32_t pages = (uint32_t)(fake.segment.length / PAGE_SIZE);

    CHECK_OK(kheap_check(&heap));
    CHECK(!full->open && last->open && first->first && none->class == 0);

    CHECK_NOTICES(heap.slabs, heap.slabs + 1);
    CHECK_NOTICES(heap.cells, heap.cells - 1);
    CHECK_NOTICES(heap.cell_bytes, heap.cell_bytes + 16);
    CHECK_NOTICES(heap.early_classes, heap.early_classes + 1);
    CHECK_NOTICES(heap.slab_span, heap.slab_span - PAGE_SIZE);
    CHECK_NOTICES(heap.slab_span, heap.slab_span + PAGE_SIZE);
    CHECK_NOTICES(heap.slab_span, 0u);

    CHECK_NOTICES(class->slabs, class->slabs + 1);
    CHECK_NOTICES(class->slabs, 0u);
    CHECK_NOTICES(class->cells, 0u);
    CHECK_NOTICES(class->cells, 16u);
    CHECK_NOTICES(class->words, class->words + 1u);
    CHECK_NOTICES(class->last_word, class->last_word >> 1);
    CHECK_NOTICES(class->reciprocal, class->reciprocal + 1u);
    CHECK_NOTICES(class->early, !class->early);
    CHECK_NOTICES(class_for(800)->reciprocal, 1u);      /* of one without slabs, too */
    CHECK_NOTICES(class_for(800)->cells, 4u);
    CHECK_NOTICES(class_for(800)->slabs, 1u);
    CHECK_NOTICES(class_for(800)->first, page);
    CHECK_NOTICES(class_for(800)->last, page);
    CHECK_NOTICES(class_for(800)->free, 1u);

    CHECK_NOTICES(class->free, class->free & (class->free - 1));
    CHECK_NOTICES(class->free, class->free | 1);        /* in use */
    CHECK_NOTICES(class->free, class->free | (size_t)1 << 17);
    CHECK_NOTICES(class->start, class->start + size);
    CHECK_NOTICES(class->start, class->start - PAGE_SIZE);
    CHECK_NOTICES(class->used, class->used + 1);
    CHECK_NOTICES(class->used, full->used);
    CHECK_NOTICES(class->used, &heap.taken);
    CHECK_NOTICES(class->first, 0u);
    CHECK_NOTICES(class->first, page);
    CHECK_NOTICES(class->first, UINT32_MAX);
    CHECK_NOTICES(class->last, 0u);
    CHECK_NOTICES(class->last, class->first);

    CHECK_NOTICES(first->next, 0u);
    CHECK_NOTICES(first->next, page);
    CHECK_NOTICES(first->next, class->first);           /* round and round */
    CHECK_NOTICES(first->next, pages);
    CHECK_NOTICES(first->next, UINT32_MAX);
    CHECK_NOTICES(last->next, class->first);
    CHECK_NOTICES(last->next, page);
    CHECK_NOTICES(first->previous, page);
    CHECK_NOTICES(last->previous, 0u);
    CHECK_NOTICES(first->first, false);
    CHECK_NOTICES(last->first, true);
    CHECK_NOTICES(full->first, true);
    CHECK_NOTICES(first->open, false);
    CHECK_NOTICES(last->open, false);
    CHECK_NOTICES(full->open, true);
    kheap_slab_t *each[] = { full, last, first, notes_of(other) };
    for (size_t i = 0; i < ARRAY_LENGTH(each); i++) {
        CHECK_NOTICES(each[i]->class, 0u);
        CHECK_NOTICES(each[i]->class, each[i]->class + 1u);
        CHECK_NOTICES(each[i]->class, 255u);
        CHECK_NOTICES(each[i]->class, KHEAP_CLASSES + 1u);
        CHECK_NOTICES(each[i]->cell_size, 0u);
        CHECK_NOTICES(each[i]->cell_size, 16u);
        CHECK_NOTICES(each[i]->reciprocal, each[i]->reciprocal + 1u);
        for (size_t bit = 0; bit < KHEAP_SLAB_CELLS; bit++)
            CHECK_NOTICES(each[i]->used[bit / KHEAP_WORD_BITS],
                          each[i]->used[bit / KHEAP_WORD_BITS]
                          ^ (size_t)1 << bit % KHEAP_WORD_BITS);
        char *slab = (char *)(fake.segment.base + (size_t)(each[i] - none) * PAGE_SIZE);
        CHECK_NOTICES(*word_of(slab), *word_of(slab) ^ 2);  /* what is before it */
        CHECK_NOTICES(*word_of(slab), *word_of(slab) ^ 4);  /* a slab */
        CHECK_NOTICES(*word_of(slab), *word_of(slab) ^ 8);  /* cached */
    }
    CHECK_NOTICES(*word_of(other + PAGE_SIZE), *word_of(other + PAGE_SIZE) ^ 4);

    CHECK_NOTICES(none->used[1], 1u);                   /* of a page that is no slab */
    CHECK_NOTICES(none->next, 1u);
    CHECK_NOTICES(none->previous, 1u);
    CHECK_NOTICES(none->cell_size, 16u);
    CHECK_NOTICES(none->reciprocal, 1u);
    CHECK_NOTICES(none->class, 1u);
    CHECK_NOTICES(none->open, true);
    CHECK_NOTICES(none->first, true);

    free_all(cell, 20);
    free_all(cell + 21, ARRAY_LENGTH(cell) - 21);
    kheap_free(&heap, other);
    check_all_empty();
}

TEST(kheap_log_shows_slabs)
{
    char line[128];
    char *cell[20];

    new_slab_heap(LIMIT);
    make_cells(cell, ARRAY_LENGTH(cell), 240);
    log_length = 0;
    printk_output_t *output = printk_set_output(keep_text);
    kheap_log(&heap, 100);
    printk_set_output(output);
    format_text(line, sizeof(line), "  20 buffers: %zu bytes, 20 of them cells in 2 slabs with "
                "%zu bytes free\n", (size_t)20 * 240, (size_t)(2 * PAGE_SIZE - 20 * 240));
    CHECK(strstr(log_text, line) != NULL);
    format_text(line, sizeof(line), "  %p      4096 superbuffer (slab)\n",
                (void *)word_of(page_of(cell[0])));
    CHECK(strstr(log_text, line) != NULL);
    free_all(cell, ARRAY_LENGTH(cell));
    check_all_empty();
}

/* --- Random operations against a model --- */

/* Small sizes of few classes, so that slabs fill and empty. */
static size_t narrow_size(void)
{
    static const size_t sizes[] = { 16, 30, 48, 112, 240, 500, 1008 };

    return test_random_below(20) == 0 ? test_random_below(3000)
                                      : sizes[test_random_below(ARRAY_LENGTH(sizes))];
}

static void random_tune_step(void)
{
    if (test_random_below(3) != 0)
        random_cache_step();
    else
        kheap_tune(&heap, KHEAP_TUNE_SLABS, test_random_below(2) != 0 ? SIZE_MAX
                                            : test_random_below(20));
}

/* => in turn, most steps allocate, and most steps free */
static void slab_random_operations(size_t limit, size_t steps)
{
    size_t slabs_most = 0;
    size_t slabs_merged = 0;
    size_t failed = 0;

    new_whole_heap(limit);
    memset(slots, 0, sizeof(slots));
    for (size_t step = 0; step < steps; step++) {
        bool wanted = step / 2000 % 2 == 0;
        size_t i = test_random_below(SLOTS);
        for (size_t n = 0; n < 4 && (slots[i].buffer == NULL) != wanted; n++)
            i = test_random_below(SLOTS);
        bool was_free = slots[i].buffer == NULL;
        kheap_stat_t before = stat_of();
        heap.tree.visited = 0;          /* a cell at hand is taken without a word about it */
        random_step_of(i, narrow_size());
        kheap_stat_t stat = stat_of();
        bool is_free = slots[i].buffer == NULL;
        failed += was_free && is_free;
        CHECK_EQ(stat.buffer_count + is_free, before.buffer_count + was_free);
        size_t merged = before.cached_count > stat.cached_count
                      ? before.cached_count - stat.cached_count : 0;
        merged += before.slab_count > stat.slab_count ? before.slab_count - stat.slab_count : 0;
        slabs_merged += before.slab_count > stat.slab_count;
        slabs_most = stat.slab_count > slabs_most ? stat.slab_count : slabs_most;
        CHECK(stat.last_visited_count
              <= (2 * log2_of(stat.gap_count + merged + 1) + 8) * (2 + merged));
        if (test_random_below(500) == 0)
            random_tune_step();
        check_sums();
        if (step < CHECK_EACH || step % 256 == 0)
            CHECK_OK(kheap_check(&heap));
    }
    CHECK(slabs_most > 10);
    CHECK(slabs_merged > steps / 1000);
    CHECK_EQ(failed != 0, limit < MIB);
    for (size_t i = 0; i < SLOTS; i++) {
        CHECK(painted(slots[i].buffer, slots[i].size, slots[i].seed + i));
        kheap_free(&heap, slots[i].buffer);
    }
    check_all_empty();
}

TEST(kheap_slab_random_operations)
{
    slab_random_operations(LIMIT, test_steps(200000));
}

TEST(kheap_slab_random_operations_in_too_little_memory)
{
    slab_random_operations(96 * KIB, test_steps(100000));
}

#endif
