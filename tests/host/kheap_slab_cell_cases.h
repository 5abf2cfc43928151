/*
 * The tests of cells: taking, freeing and listing them, and merging slabs.
 */
#ifndef KHEAP_SLAB_CELL_CASES_H
#define KHEAP_SLAB_CELL_CASES_H

#include "kheap_slab_cases.h"

static kheap_slab_t *notes_of(const char *cell)
{
    return (kheap_slab_t *)fake.segment.side + ((size_t)cell - fake.segment.base) / PAGE_SIZE;
}

/* --- Cells --- */

TEST(kheap_slab_cells_of_every_class)
{
    char *cell[CELLS + 1];

    for (size_t size = KHEAP_ALIGN; size <= KHEAP_CELL_LARGEST; size += KHEAP_ALIGN) {
        size_t count = new_heap_with_slabs(size);
        if (count == 0)
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
        char *again = cell_of(three_sizes[k]);  /* the lower one is there at once */
        CHECK(page_of(again) == page_of(cell[0]) && page_of(again) < page_of(cell[2 * cells]));
        CHECK(notes_of(again)->first);
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

#endif
