/*
 * The tests of slabs where memory or notes are damaged, and their random tests.
 */
#ifndef KHEAP_SLAB_DAMAGE_CASES_H
#define KHEAP_SLAB_DAMAGE_CASES_H

#include "kheap_slab_cell_cases.h"

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

/* A slab is merged only between words that are sound; until then it stays, and is reported. */
TEST(kheap_damage_around_a_slab_is_reported)
{
    char *cell[9];

    for (size_t i = 0; i < 2 * WORD; i++) {             /* its registry, and the one behind it */
        new_slab_heap(LIMIT);
        make_cells(cell, ARRAY_LENGTH(cell), 1008);     /* 4, 4, 1 */
        char *page = page_of(cell[0]);
        size_t *word = (size_t *)(i < WORD ? page : page + PAGE_SIZE) - 1;
        size_t kept = *word;
        size_t misuses = host_misuse_count();

        *word ^= (size_t)0x5d << 8 * (i % WORD);
        free_all(cell, 4);
        CHECK_EQ(host_misuse_count(), misuses + 1);
        CHECK(strstr(host_misuse_last(), "kfree: the registry of") == host_misuse_last());
        CHECK_EQ(slab_count(), 3);
        *word = kept;
        CHECK_OK(kheap_check(&heap));
        free_all(cell + 4, 5);
        CHECK_OK(kheap_check(&heap));
    }
}

TEST(kheap_pages_are_given_back_when_slabs_are_merged)
{
    static char *cell[4000];

    new_slab_heap(LIMIT);
    make_cells(cell, ARRAY_LENGTH(cell), 1008);
    size_t most = stat_of().segment;
    CHECK(most > 1000 * PAGE_SIZE);
    for (size_t i = ARRAY_LENGTH(cell); i-- > 0;)
        kheap_free(&heap, cell[i]);
    CHECK(stat_of().segment < most / 4);
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
    for (size_t i = 0; host_misuse_count() == 0; i++) {
        CHECK(i < ARRAY_LENGTH(heap.cache.of));     /* a few places are looked at each time */
        if (i != 0)
            c = buffer_of(512);
        kheap_free(&heap, c);
    }
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
    CHECK(!full->open && last->open && first->first && none->cell_size == 0);

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
    CHECK_NOTICES(class_for(800)->words, 2u);
    CHECK_NOTICES(class_for(800)->last_word, (size_t)1);
    CHECK_NOTICES(class_for(800)->first, class->first);
    CHECK_NOTICES(class_for(800)->first, page);
    CHECK_NOTICES(class_for(800)->last, page);
    CHECK_NOTICES(class_for(800)->free, 1u);

    CHECK_NOTICES(class->free, class->free & (class->free - 1));
    CHECK_NOTICES(class->free, class->free | 1);        /* in use */
    CHECK_NOTICES(class->free, class->free | (size_t)1 << 17);
    CHECK_NOTICES(class->free, (class->free & (class->free - 1)) | 1);  /* as many */
    CHECK_NOTICES(class->free, (class->free & (class->free - 1)) | (size_t)1 << 17);
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
        CHECK_NOTICES(each[i]->cell_size, 0u);
        CHECK_NOTICES(each[i]->cell_size, each[i]->cell_size + 16u);
        CHECK_NOTICES(each[i]->cell_size, each[i]->cell_size + 1u);
        CHECK_NOTICES(each[i]->cell_size, KHEAP_CELL_LARGEST + 16u);
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
    char *aligned = kheap_memalign(&heap, PAGE_SIZE, 100);
    CHECK_NOTICES(*word_of(aligned), *word_of(aligned) ^ 4);    /* a slab is a page */
    kheap_free(&heap, aligned);

    CHECK_NOTICES(none->used[1], 1u);                   /* of a page that is no slab */
    CHECK_NOTICES(none->next, 1u);
    CHECK_NOTICES(none->previous, 1u);
    CHECK_NOTICES(none->cell_size, 16u);
    CHECK_NOTICES(none->reciprocal, 1u);
    CHECK_NOTICES(none->cell_size, 16u);
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
