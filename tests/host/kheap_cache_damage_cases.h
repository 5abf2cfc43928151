/*
 * The tests of the heap's cache where memory is damaged, and its random tests.
 */
#ifndef KHEAP_CACHE_DAMAGE_CASES_H
#define KHEAP_CACHE_DAMAGE_CASES_H

#include "kheap_cache_cases.h"
#include "kheap_check_cases.h"

/* --- Misuse --- */

TEST(kheap_cached_buffers_are_freed_already)
{
    new_cached_heap(LIMIT);
    char *a = buffer_of(128);
    char *wall = buffer_of(128);

    kheap_free(&heap, a);
    kheap_stat_t before = stat_of();
    CHECK_EQ(before.cached_count, 1);
    kheap_free(&heap, a);
    CHECK_MISUSE(&before, "free already: in the cached buffer");
    before = stat_of();
    CHECK(kheap_realloc(&heap, a, 10) == NULL);
    CHECK_MISUSE(&before, "krealloc");
    before = stat_of();
    CHECK_EQ(kheap_usable_size(&heap, a), 0);
    CHECK_MISUSE(&before, "kmalloc_usable_size");
    for (size_t i = 1; i < 128 - WORD; i++) {
        before = stat_of();
        kheap_free(&heap, a + i);
        CHECK_MISUSE(&before, "free already: in the cached buffer");
    }
    for (size_t i = 1; i < 128 - WORD; i++) {
        before = stat_of();
        kheap_free(&heap, wall + i);
        CHECK_MISUSE(&before, "inside the buffer");
    }
    CHECK_OK(kheap_check(&heap));
    CHECK(buffer_of(128) == a);
    kheap_free(&heap, wall);
    kheap_free(&heap, a);
    check_cached_empty();
}

/* One that the cache has no room for is merged, or refused where that cannot be. */
TEST(kheap_damaged_registries_next_to_cached_buffers_are_reported)
{
    new_cached_heap(LIMIT);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_CACHE_COUNT, 1), 0);
    char *a = buffer_of(256);
    char *b = buffer_of(256);
    char *c = buffer_of(256);

    kheap_free(&heap, b);               /* AbC */
    damage_each_byte(a, word_of(b), "is damaged");  /* overrun by a */
    damage_each_byte(a, word_of(a), "is damaged");
    CHECK_EQ(stat_of().cached_count, 1);
    kheap_free(&heap, a);
    kheap_free(&heap, c);
    check_cached_empty();
}

/* To cache one, only its own registry is looked at; to merge it, those next to it, too. */
TEST(kheap_damage_next_to_a_cached_buffer_is_found_when_it_is_merged)
{
    static const size_t overruns[] = { 0, 0x41414141, SIZE_MAX, 0x20202020, 2, 4, 0x110 };

    new_cached_heap(LIMIT);
    char *a = buffer_of(256);
    char *b = buffer_of(512);
    char *wall = buffer_of(256);        /* ABW */

    for (size_t i = 0; i < ARRAY_LENGTH(overruns); i++) {
        size_t kept = *word_of(b);

        damage_each_byte(a, word_of(a), "is damaged");
        *word_of(b) = overruns[i];
        kheap_free(&heap, a);           /* aBW */
        size_t misuses = host_misuse_count();
        CHECK_EQ(stat_of().cached_count, 1);
        CHECK_EQ(stat_of().misuse_count, misuses);
        CHECK_EQ(kheap_flush(&heap), 0);
        CHECK_EQ(host_misuse_count(), misuses + 1);
        CHECK(strstr(host_misuse_last(), "kheap_flush: the registry of the cached") != NULL);
        CHECK(strstr(host_misuse_last(), "or one next to it, is damaged") != NULL);
        CHECK_EQ(stat_of().cached_count, 1);
        *word_of(b) = kept;
        CHECK_OK(kheap_check(&heap));
        CHECK_EQ(kheap_flush(&heap), 256);
        CHECK(buffer_of(256) == a);
    }
    kheap_free(&heap, a);
    kheap_free(&heap, b);
    kheap_free(&heap, wall);
    check_cached_empty();
}

/* A release build does not look at what it hands out again: kfree does. */
TEST(kheap_damaged_cached_buffers_are_found_when_freed)
{
    const size_t check_bit = ~(SIZE_MAX >> 1);

    if (FILLS)
        test_skip("a debug build looks at once");
    new_cached_heap(LIMIT);
    char *a = buffer_of(256);
    char *wall = buffer_of(256);
    kheap_free(&heap, a);
    *word_of(a) ^= check_bit;
    CHECK(buffer_of(256) == a);
    CHECK_EQ(host_misuse_count(), 0);
    kheap_free(&heap, a);
    CHECK_EQ(host_misuse_count(), 1);
    CHECK(strstr(host_misuse_last(), "is damaged") != NULL);
    *word_of(a) ^= check_bit;
    kheap_free(&heap, a);
    CHECK_EQ(host_misuse_count(), 1);
    kheap_free(&heap, wall);
    check_cached_empty();
}

TEST(kheap_damaged_cached_buffers_stay)
{
    static const size_t overruns[] = { 0, 0x41414141, SIZE_MAX, 0x20202020, 1, 2, 4, 0x110 };
    const size_t check_bit = ~(SIZE_MAX >> 1);

    if (!FILLS)
        test_skip("a release build hands it out");
    new_cached_heap(LIMIT);
    char *a = buffer_of(256);
    char *b = buffer_of(256);
    char *wall = buffer_of(256);        /* ABW */

    for (size_t i = 0; i <= ARRAY_LENGTH(overruns); i++) {
        kheap_free(&heap, a);
        kheap_free(&heap, b);           /* abW: its turn comes, and another buffer is found */
        size_t kept = *word_of(b);
        size_t misuses = stat_of().misuse_count;
        *word_of(b) = i < ARRAY_LENGTH(overruns) ? overruns[i] : kept ^ check_bit;
        char *other = buffer_of(256);
        CHECK(other != NULL && other != b && other != a);
        CHECK_EQ(stat_of().misuse_count, misuses + 1);
        CHECK(strstr(host_misuse_last(), "kmalloc: the registry of the cached buffer") != NULL);
        CHECK_EQ(stat_of().cached_count, 2);

        CHECK_EQ(kheap_flush(&heap), 0);        /* a cannot be merged either, next to it */
        CHECK_EQ(stat_of().misuse_count, misuses + 2);
        CHECK_EQ(host_misuse_count(), misuses + 2);
        CHECK(strstr(host_misuse_last(), "kheap_flush: the registry of the cached") != NULL);
        CHECK_EQ(stat_of().cached_count, 2);
        CHECK(kheap_check(&heap) != NULL);
        *word_of(b) = kept;
        CHECK_OK(kheap_check(&heap));
        CHECK(buffer_of(256) == b);
        CHECK(buffer_of(256) == a);
        kheap_free(&heap, other);
        kheap_flush(&heap);
    }
    kheap_free(&heap, a);
    kheap_free(&heap, b);
    kheap_free(&heap, wall);
    check_cached_empty();
}

/* --- Writes to what is cached, which debug builds find --- */

TEST(kheap_fills_what_is_cached)
{
    if (!FILLS)
        test_skip("not a debug build");
    new_cached_heap(LIMIT);
    char *a = buffer_of(512);
    paint(a, size_for(512), 1);
    kheap_free(&heap, a);
    CHECK(all_bytes(a, 0xdd, size_for(512)));
    CHECK(buffer_of(512) == a);
    CHECK(all_bytes(a, 0xcc, size_for(512)));
    CHECK_EQ(stat_of().misuse_count, 0);
    kheap_free(&heap, a);
    check_cached_empty();
}

TEST(kheap_write_to_a_cached_buffer_is_reported)
{
    static const size_t bytes[] = { 0, 7, 100, 512 - WORD - 1 };

    if (!FILLS)
        test_skip("not a debug build");
    new_cached_heap(LIMIT);
    char *before = buffer_of(256);
    char *a = buffer_of(512);
    char *wall = buffer_of(256);

    for (size_t i = 0; i < ARRAY_LENGTH(bytes); i++) {
        kheap_free(&heap, a);
        a[bytes[i]] = 1;
        CHECK(buffer_of(512) == a);
        check_reported_write("kmalloc: ", a, a + bytes[i]);

        for (size_t kind = 0; kind < 4; kind++) {
            kheap_free(&heap, a);
            a[bytes[i]] = 1;
            if (kind == 0)
                kheap_flush(&heap);
            else if (kind == 1)
                kheap_trim(&heap, 0);
            else if (kind == 2)
                kheap_tune(&heap, KHEAP_TUNE_CACHE_COUNT, COUNT);
            else
                CHECK(kheap_realloc(&heap, before, size_for(384)) == before);
            static const char *const call[] = { "kheap_flush: the cached ",
                "kheap_trim: the cached ", "kheap_tune: the cached ", "krealloc: the cached " };
            check_reported_write(call[kind], a, a + bytes[i]);
            CHECK(kheap_realloc(&heap, before, size_for(256)) == before);
            kheap_flush(&heap);
            CHECK(buffer_of(512) == a);
            CHECK(all_bytes(a, 0xcc, size_for(512)));
        }
    }
    CHECK_EQ(stat_of().misuse_count, 5 * ARRAY_LENGTH(bytes));
    kheap_free(&heap, before);
    kheap_free(&heap, a);
    kheap_free(&heap, wall);
    check_cached_empty();
}

/* --- The checker, the log --- */

TEST(kheap_check_notices_damage_to_the_cache)
{
    new_cached_heap(LIMIT);
    char *a = buffer_of(256);
    char *b = buffer_of(256);
    char *c = buffer_of(512);
    char *wall = buffer_of(256);
    kheap_cached_t *same = &heap.cache.of[256 / KHEAP_GRANULE];

    kheap_free(&heap, a);
    kheap_free(&heap, c);
    CHECK_OK(kheap_check(&heap));
    CHECK_NOTICES(heap.taken, heap.taken + 16);
    CHECK_NOTICES(heap.cached, heap.cached + 16);
    CHECK_NOTICES(same->length, same->length + KHEAP_GRANULE);
    CHECK_NOTICES(heap.cache.most_bytes, (size_t)767);
    CHECK_NOTICES(heap.cache.most_count, (size_t)0);
    CHECK_NOTICES(same->count, (size_t)0);
    CHECK_NOTICES(same->count, (size_t)2);
    CHECK_NOTICES(same->block[0], (size_t)word_of(b));
    CHECK_NOTICES(same->block[0], (size_t)word_of(c));
    CHECK_NOTICES(*word_of(a), *word_of(a) ^ 8);        /* in use, and in the cache */
    CHECK_NOTICES(*word_of(b), *word_of(b) ^ 8);        /* cached, and not in the cache */
    CHECK_NOTICES(*word_of(a), *word_of(a) ^ 2);
    same->block[1] = same->block[0];                    /* twice the same */
    CHECK_NOTICES(same->count, (size_t)2);
    kheap_free(&heap, b);
    kheap_free(&heap, wall);
    check_cached_empty();
}

TEST(kheap_log_shows_what_is_cached)
{
    new_cached_heap(LIMIT);
    char *a = buffer_of(256);
    char *wall = buffer_of(256);

    kheap_free(&heap, a);
    log_length = 0;
    printk_output_t *output = printk_set_output(keep_text);
    kheap_log(&heap, 10);
    printk_set_output(output);
    CHECK(strstr(log_text, " 256 cached superbuffer\n") != NULL);
    CHECK(strstr(log_text, "  1 cached: 256 bytes; most taken at once 512\n") != NULL);
    CHECK(strstr(log_text, "  1 buffers: 256 bytes") != NULL);
    kheap_free(&heap, wall);
    check_cached_empty();
}

/* --- Random operations against a model --- */

TEST(kheap_cache_random_operations)
{
    random_operations(LIMIT, 4000, test_steps(100000), true);
}

TEST(kheap_cache_random_operations_with_small_sizes)
{
    random_operations(LIMIT, 600, test_steps(100000) / 2, true);
}

TEST(kheap_cache_random_operations_in_too_little_memory)
{
    random_operations(128 * KIB, 8000, test_steps(100000) / 5, true);
}

#endif
