/*
 * The tests of krealloc and kmemalign beside slabs, and of too little memory for them.
 */
#ifndef KHEAP_SLAB_REALLOC_CASES_H
#define KHEAP_SLAB_REALLOC_CASES_H

#include "kheap_slab_cell_cases.h"

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
        CHECK_EQ(slab_count(), 1);
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
            CHECK(notes_of(aligned[count])->cell_size == 0);
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

#endif
