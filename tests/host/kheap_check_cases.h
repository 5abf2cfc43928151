/*
 * The tests of the heap's checker, its lock, its log, and the kernel's names for it.
 */
#ifndef KHEAP_CHECK_CASES_H
#define KHEAP_CHECK_CASES_H

#include "kheap_misuse_cases.h"

/* --- The checker --- */

/* Set a word of the heap to something else: does the checker notice? */
#define CHECK_NOTICES(field, value) \
    do { \
        __typeof__(field) kept_ = (field); \
        (field) = (value); \
        CHECK(kheap_check(&heap) != NULL); \
        (field) = kept_; \
        CHECK_OK(kheap_check(&heap)); \
    } while (0)

TEST(kheap_check_notices_damage)
{
    new_heap(LIMIT);
    char *a = buffer_of(256);
    char *b = buffer_of(256);
    char *c = buffer_of(8192);
    char *wall = buffer_of(256);
    kheap_free(&heap, a);
    kheap_free(&heap, c);
    kernel_heap_gap_t *small = (void *)word_of(a);
    kernel_heap_large_gap_t *large = (void *)word_of(c);

    CHECK_OK(kheap_check(&heap));
    CHECK_NOTICES(heap.taken, heap.taken - 16);
    CHECK_NOTICES(heap.superbuffers, heap.superbuffers - 1);
    CHECK_NOTICES(heap.cache.of[256 / KHEAP_GRANULE].taken, 3u);
    CHECK_NOTICES(heap.voids, 1u);
    CHECK_NOTICES(heap.void_bytes, 16u);
    CHECK_NOTICES(heap.peak_taken, 0u);
    CHECK_NOTICES(heap.tail, NULL);
    CHECK_NOTICES(heap.segment->length, heap.segment->length - PAGE_SIZE);
    CHECK_NOTICES(heap.tree.gaps, heap.tree.gaps + 1);
    CHECK_NOTICES(heap.tree.map[0], 0u);
    CHECK_NOTICES(heap.tree.addr_root, NULL);
    CHECK_NOTICES(small->length, small->length + KHEAP_GRANULE);
    CHECK_NOTICES(small->equals.next, &heap.tree.bin[2]);
    CHECK_NOTICES(large->gap.length, large->gap.length | 4);
    CHECK_NOTICES(large->by_length.key, large->by_length.key + 16);
    CHECK_NOTICES(large->by_length.slot, NULL);
    CHECK_NOTICES(large->by_addr.key, large->by_addr.key + 1);
    CHECK_NOTICES(large->by_addr.child[0], &large->by_addr);
    CHECK_NOTICES(*word_of(b), *word_of(b) ^ 2);        /* what is before it */
    CHECK_NOTICES(*word_of(wall), *word_of(wall) ^ 2);
    CHECK_NOTICES(*(size_t *)heap.end, (size_t)0);
    kheap_free(&heap, b);
    kheap_free(&heap, wall);
    check_empty();
}

TEST(kheap_check_follows_no_wild_link)
{
    static const size_t lengths[] = { 256, 256, 8192, 8192, 20480 };
    char *gap[ARRAY_LENGTH(lengths)];
    char *wall[ARRAY_LENGTH(lengths)];

    new_heap(LIMIT);
    make_gaps(lengths, gap, wall, ARRAY_LENGTH(lengths));
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++)
        kheap_free(&heap, gap[i]);
    const size_t wild[] = {
        8, 0x41414141, SIZE_MAX, SIZE_MAX / 2, (size_t)&heap, heap.segment->base, heap.end,
        heap.end - WORD, heap.end + 2 * WORD, heap.start + 1, (size_t)wall[0],
        heap.segment->base + LIMIT + WORD,
    };
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
        kernel_heap_large_gap_t *large = (void *)word_of(gap[i]);
        void *links[] = {
            &large->gap.equals.next, &large->gap.equals.previous, &large->by_length.slot,
            &large->by_addr.slot, &large->by_addr.child[0], &large->by_addr.child[1],
            &large->by_length.child[0], &large->by_length.child[1],
        };
        size_t count = i < 2 ? 2 : i == 3 ? 6 : 8;  /* the second of two equals is no node */

        for (size_t n = 0; n < count; n++) {
            for (size_t w = 0; w < ARRAY_LENGTH(wild); w++)
                CHECK_NOTICES(*(size_t *)links[n], wild[w]);
        }
    }
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++)
        kheap_free(&heap, wall[i]);
    check_empty();
}

TEST(kheap_check_notices_gaps_that_touch)
{
    new_heap(LIMIT);
    char *a = buffer_of(512);
    char *wall = buffer_of(SMALLEST);

    kheap_free(&heap, a);               /* ........W  made  ....----W, sound but for that */
    kernel_heap_gap_t *low = (void *)word_of(a);
    kernel_heap_gap_t *high = (void *)((size_t)low + 256);
    gaptree_remove(&heap.tree, low, false);
    low->length = high->length = 256;
    *((size_t *)high - 1) = *((size_t *)word_of(wall) - 1) = 256;
    gaptree_insert(&heap.tree, low, false);
    gaptree_insert(&heap.tree, high, false);
    CHECK_STR(kheap_check(&heap), "neighbouring gaps were not merged");

    gaptree_remove(&heap.tree, low, false);
    gaptree_remove(&heap.tree, high, false);
    memset(low, 0xdd, 512);
    low->length = *((size_t *)word_of(wall) - 1) = 512;
    gaptree_insert(&heap.tree, low, false);
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, wall);
    check_empty();
}

/* --- The rest --- */

static void alloc_something(void *arg)
{
    kheap_alloc(arg, 1);
}

TEST(kheap_lock_is_taken)
{
    char message[128];

    if (!FILLS)
        test_skip("not a debug build");
    new_heap(LIMIT);
    splock_lock(&heap.lock);
    CHECK(test_expect_panic(alloc_something, &heap, message, sizeof(message)));
    splock_unlock(&heap.lock);
    CHECK_OK(kheap_check(&heap));
}

static char log_text[16384];
static size_t log_length;

static void keep_text(const char *text, size_t length)
{
    for (size_t i = 0; i < length && log_length < sizeof(log_text) - 1; i++)
        log_text[log_length++] = text[i];
    log_text[log_length] = '\0';
}

TEST(kheap_kernel_names_and_log)
{
    fake_segment_destroy(&fake);
    kheap_init(&kernel_heap, fake_segment_init(&fake, LIMIT));
    char *buffer[200];

    for (size_t i = 0; i < 200; i++)
        buffer[i] = kmalloc(1100);
    for (size_t i = 0; i < 200; i += 2)
        kfree(buffer[i]);
    char *cleared = kcalloc(10, 10);
    char *page = kmemalign(PAGE_SIZE, 10);
    check_aligned(page, PAGE_SIZE);
    CHECK(all_bytes(cleared, 0, 100));
    page = krealloc(page, 10000);
    CHECK(kmalloc_usable_size(page) >= 10000);

    size_t lines = 0;
    log_length = 0;
    printk_output_t *output = printk_set_output(keep_text);
    log_heap_structure();
    printk_set_output(output);
    for (size_t i = 0; i < log_length; i++)
        lines += log_text[i] == '\n';
    CHECK(lines > 64 && lines < 80);
    CHECK(strstr(log_text, "superbuffer\n") != NULL);
    CHECK(strstr(log_text, "gap\n") != NULL);
    CHECK(strstr(log_text, "length tree: ") != NULL);
    CHECK(strstr(log_text, "addr tree: ") != NULL);
    CHECK(strstr(log_text, "more\n") != NULL);

    for (size_t i = 1; i < 200; i += 2)
        kfree(buffer[i]);
    kfree(cleared);
    kfree(page);
    CHECK_OK(kheap_check(&kernel_heap));
    kheap_stat_t stat;
    kheap_stat(&kernel_heap, &stat);
    CHECK_EQ(stat.used, 0);
    CHECK(stat.cached_count > 0);
    CHECK_EQ(kheap_trim(&kernel_heap, 0) != 0, 1);
    CHECK_EQ(fake.segment.length, 0);
}

#endif
