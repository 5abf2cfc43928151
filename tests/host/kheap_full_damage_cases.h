/* The tests of what a heap at level full finds, and of what it does not follow. */
#ifndef KHEAP_FULL_DAMAGE_CASES_H
#define KHEAP_FULL_DAMAGE_CASES_H

#include "kheap_full_cases.h"

TEST(kheap_full_reports_name_sites_and_neighbours)
{
    new_full_heap(LIMIT);
    char *a = kheap_full_alloc(&heap, 100, SITE_A);
    char *b = kheap_full_calloc(&heap, 10, 10, SITE_B);
    char *c = kheap_full_memalign(&heap, 16, 100, SITE_C);

    b[100] = 0x41;
    kheap_full_free(&heap, b, SITE_C);
    check_report(1, "kfree(", "of 100 bytes, its canary is damaged\n"
                 "  the call: the call at 0x3333\n");
    check_report(1, "kfree(", ", allocated by the call at 0x2222; its canary is damaged: byte 100");
    check_report(1, "kfree(", "  before: buffer ");
    check_report(1, "kfree(", "allocated by the call at 0x1111\n");
    check_report(1, "kfree(", "  after: buffer ");
    kheap_full_free(&heap, a, SITE_B);
    kheap_full_free(&heap, a, SITE_C);
    check_report(2, "kfree(", "free already: in the quarantined buffer ");
    check_report(2, "kfree(", "allocated by the call at 0x1111, freed by the call at 0x2222\n");
    CHECK(kheap_full_realloc(&heap, a, 10, SITE_C) == NULL);
    check_report(3, "krealloc(", "free already: in the quarantined buffer ");
    CHECK_EQ(kheap_full_usable_size(&heap, a, SITE_C), 0);
    check_report(4, "kmalloc_usable_size(", "free already: in the quarantined buffer ");
    kheap_full_free(&heap, c, 0);               /* no site is known */
    kheap_full_free(&heap, c, SITE_B);
    check_report(5, "kfree(", "allocated by the call at 0x3333, freed by the call at 0x1\n");
    CHECK(kheap_check(&heap) != NULL);
}

TEST(kheap_full_memory_handed_out_is_looked_at)
{
    new_full_heap(LIMIT);
    char *buffer = full_of(1000);
    char *wall = full_of(10);

    kheap_free(&heap, buffer);
    kheap_flush(&heap);
    buffer[500] = 0x42;
    CHECK(kheap_check(&heap) != NULL);
    CHECK(kheap_alloc(&heap, 1000) == buffer);
    check_report(1, "kmalloc: the new buffer ", "byte 500 of it is 0x42, not 0xdd\n");
    CHECK(all_bytes(buffer, 0xcc, 1000));
    CHECK_OK(kheap_check(&heap));

    kheap_free(&heap, buffer);
    kheap_flush(&heap);
    buffer[900] = 0x42;                         /* what is not handed out waits */
    char *part = full_of(20);
    CHECK(part == buffer);
    CHECK_EQ(stat_of().misuse_count, 1);
    CHECK_STR(kheap_check(&heap), "a gap or void was written to after it was freed");
    buffer[900] = (char)0xdd;
    kheap_free(&heap, part);
    kheap_free(&heap, wall);
    check_full_empty();
}

TEST(kheap_full_check_notices_damage)
{
    new_full_heap(LIMIT);
    char *a = full_of(100);
    char *b = full_of(100);
    char *gone = full_of(3000);
    char *c = full_of(100);
    char *wall = full_of(100);

    kheap_free(&heap, gone);
    kheap_flush(&heap);
    kheap_free(&heap, b);
    CHECK_OK(kheap_check(&heap));
    for (size_t i = 0; i < 4; i++) {
        CHECK_NOTICES(header_of(a)[i], header_of(a)[i] ^ 0x10);
        CHECK_NOTICES(header_of(b)[i], header_of(b)[i] ^ 0x10);
    }
    for (size_t i = 0; i < WORD; i++)
        CHECK_NOTICES(a[100 + i], (char)(a[100 + i] ^ 1));
    CHECK_NOTICES(b[0], 0);
    CHECK_NOTICES(b[99], 0);
    CHECK_NOTICES(gone[2000], 0);
    CHECK_NOTICES(c[-5], (char)(c[-5] ^ 1));
    CHECK_NOTICES(heap.full.count, 0u);
    CHECK_NOTICES(heap.full.count, 2u);
    CHECK_NOTICES(heap.full.most_count, 0u);
    CHECK_NOTICES(heap.full.most_bytes, 10u);
    CHECK_NOTICES(heap.full.secret, heap.full.secret ^ 1);
    kheap_free(&heap, a);
    kheap_free(&heap, c);
    kheap_free(&heap, wall);
    check_full_empty();
}

/*
 * Any word of any gap's registry may be anything: no call follows it anywhere, and the
 * heap goes on. Gaps of each kind, of equal lengths too, between superbuffers.
 */
TEST(kheap_full_follows_no_wild_link)
{
    static const size_t sizes[] = { 100, 100, 900, 2000, 2100, 2100, 2140, 2180, 5000, 5000, 9000,
                                    9100, 9200, 20000, 20500, 21000, 40000 };
    char *gap[ARRAY_LENGTH(sizes)];
    size_t steps = test_steps(100000) / 50;
    size_t reported = 0;

    for (size_t step = 0; step < steps; step++) {
        new_full_heap(LIMIT);
        for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
            gap[i] = full_of(sizes[i]);
            full_of(10 + i);
        }
        for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
            size_t other = test_random_below(ARRAY_LENGTH(sizes));
            char *kept = gap[i];
            gap[i] = gap[other];
            gap[other] = kept;
        }
        free_all(gap, ARRAY_LENGTH(sizes));
        kheap_flush(&heap);

        size_t words = sizeof(kernel_heap_large_gap_t) / WORD;
        size_t *registry = header_of(gap[test_random_below(ARRAY_LENGTH(sizes))]) - 1;
        const size_t wild[] = { 0, 8, 0x41414141, SIZE_MAX / 2, (size_t)&heap, heap.start,
                                (size_t)registry, (size_t)header_of(gap[3]), heap.end - WORD };
        size_t *word = &registry[test_random_below(words)];
        *word = test_random_below(2) == 0 ? *word ^ (size_t)1 << test_random_below(16)
                                          : wild[test_random_below(ARRAY_LENGTH(wild))];
        for (size_t i = 0; i < 30; i++) {
            char *buffer = kheap_alloc(&heap, sizes[test_random_below(ARRAY_LENGTH(sizes))] - i);
            if (buffer != NULL && test_random_below(2) == 0)
                kheap_free(&heap, buffer);
            if (test_random_below(8) == 0)
                kheap_flush(&heap);
        }
        kheap_check(&heap);
        reported += stat_of().misuse_count != 0;
        host_misuse_count();
    }
    CHECK(reported > steps / 4);
}

/* The end of the segment, with a tail before it and without. */
TEST(kheap_full_grows_only_over_a_sound_end)
{
    for (size_t without = 0; without < 2; without++) {
        new_full_heap(LIMIT);
        char *buffer = full_of(100);
        if (without != 0) {
            size_t more = (size_t)(buffer - (char *)heap.start) + WORD;
            full_of(stat_of().tail - more);
            CHECK_EQ(stat_of().tail, 0);
        }
        size_t *end = (size_t *)heap.end;
        size_t kept = *end;
        const size_t wrong[] = { kept ^ 2, kept ^ 0x1000, kept ^ 1, 0, SIZE_MAX };
        for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
            *end = wrong[i];
            CHECK(kheap_check(&heap) != NULL);
            CHECK(kheap_alloc(&heap, MIB) == NULL);
            CHECK(strstr(host_misuse_last(), "kmalloc: the end of the segment, ") != NULL);
            CHECK(strstr(host_misuse_last(), "is damaged\n") != NULL);
            *end = kept;
        }
        CHECK_EQ(host_misuse_count(), (without + 1) * ARRAY_LENGTH(wrong));
        CHECK_OK(kheap_check(&heap));
        CHECK(kheap_alloc(&heap, MIB) != NULL);
    }
}

/* Without the quarantine, what the trees do not take waits there all the same. */
TEST(kheap_full_merges_only_into_sound_trees)
{
    new_full_heap(LIMIT);
    char *gap = full_of(8300);     /* lengths of one trie */
    full_of(10);
    char *other = full_of(8340);
    full_of(10);
    kheap_free(&heap, gap);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_QUARANTINE_COUNT, 0), 0);
    kernel_heap_large_gap_t *large = (void *)(header_of(gap) - 1);
    if (KHEAP_GRANULE > 4 * WORD)
        test_skip("headers are longer in this build");

    CHECK_NOTICES(large->by_length.slot, NULL);
    gap_node_t **kept = large->by_length.slot;
    large->by_length.slot = NULL;
    kheap_free(&heap, other);
    check_report(1, "kfree: the link at ", "which does not lead back");
    CHECK_EQ(stat_of().cached_count, 1);
    large->by_length.slot = kept;
    CHECK_EQ(kheap_flush(&heap), full_length_of(other));
    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(stat_of().misuse_count, 1);
}

/* A buffer whose superbuffer has so many bytes. */
static char *full_of_length(size_t length)
{
    char *longer = full_of(length);
    size_t more = full_length_of(longer) - length;

    kheap_free(&heap, longer);
    kheap_flush(&heap);
    char *buffer = full_of(length - more);
    CHECK_EQ(full_length_of(buffer), length);
    return buffer;
}

/*
 * Two gaps merge, and the first takes the leaf of the second with it: that turns to a node
 * whose links were on nobody's way.
 */
TEST(kheap_full_merges_only_what_both_can_be_taken_out)
{
    static const size_t multiple[] = { 0, 8, 12, 9 };   /* 0 - 8 - 12, and 9 beside 12 */
    char *gap[ARRAY_LENGTH(multiple)];

    new_full_heap(LIMIT);
    gap[0] = full_of_length(512 * KHEAP_GRANULE);
    char *between = full_of(100);
    for (size_t i = 1; i < ARRAY_LENGTH(multiple); i++) {
        gap[i] = full_of_length((512 + multiple[i]) * KHEAP_GRANULE);
        full_of(10);
    }
    free_all(gap, ARRAY_LENGTH(gap));
    kheap_flush(&heap);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_QUARANTINE_COUNT, 0), 0);
    kernel_heap_large_gap_t *large = (void *)registry_of(gap[3]);
    gap_node_t **link = &large->by_length.child[1];
    CHECK_NOTICES(*link, (gap_node_t *)(heap.end + PAGE_SIZE));

    *link = (gap_node_t *)(heap.end + PAGE_SIZE);
    kheap_free(&heap, between);
    check_report(1, "kfree(", " damaged\n");
    CHECK_EQ(stat_of().cached_count, 0);
    *link = NULL;
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, between);
    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(stat_of().misuse_count, 1);
}

TEST(kheap_full_log_of_a_damaged_heap)
{
    new_full_heap(LIMIT);
    char *a = full_of(100);
    char *gap = full_of(3000);
    char *wall = full_of(100);
    kheap_free(&heap, gap);
    kheap_flush(&heap);
    size_t *registry = header_of(gap) - 1;

    for (size_t i = 0; i < 2; i++) {
        size_t kept = registry[i];

        registry[i] = i == 0 ? SIZE_MAX : 8;
        log_length = 0;
        printk_output_t *output = printk_set_output(keep_text);
        kheap_log(&heap, 64);
        printk_set_output(output);
        CHECK(strstr(log_text, i == 0 ? " damaged: 0x" : "the trees are damaged: ") != NULL);
        registry[i] = kept;
    }
    kheap_free(&heap, a);
    kheap_free(&heap, wall);
    check_full_empty();
}

#endif
