/*
 * The tests of a heap at level full: levels, buffers, a long mixture of all calls.
 */
#ifndef KHEAP_FULL_CASES_H
#define KHEAP_FULL_CASES_H

#include <kernel/errno.h>
#include <kernel/kheap_full.h>

#include "kheap_check_cases.h"
#include "kheap_cache_cases.h"

#define SITE_A ((size_t)0x1111)
#define SITE_B ((size_t)0x2222)
#define SITE_C ((size_t)0x3333)

static kheap_t *new_full_heap(size_t limit)
{
    new_heap(limit);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_LEVEL, KHEAP_FULL), 0);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_SECRET, (size_t)0x5ec4e7cafe5ec4e7), 0);
    return &heap;
}

/* As check_empty, once the quarantine was emptied. */
static void check_full_empty(void)
{
    size_t cached = stat_of().cached;

    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(kheap_flush(&heap), cached);
    CHECK_EQ(stat_of().cached_count, 0);
    check_empty();
}

/* A buffer that site A has. */
static char *full_of(size_t size)
{
    char *buffer = kheap_full_alloc(&heap, size, SITE_A);

    CHECK(buffer != NULL);
    return buffer;
}

/* The header's words: size, site, freed, sum. */
static size_t *header_of(void *buffer)
{
    return (size_t *)buffer - 4;
}

static size_t *registry_of(void *buffer)
{
    return header_of(buffer) - 1 - (KHEAP_GRANULE > 4 * WORD ? KHEAP_GRANULE / WORD - 4 : 0);
}

static size_t full_length_of(void *buffer)
{
    return *registry_of(buffer) & (KHEAP_LARGEST | PAGE_MASK) & ~(size_t)15;
}

/* The last report begins with `start` and has these words; it is the count-th. */
static void check_report(size_t count, const char *start, const char *words)
{
    CHECK_EQ(host_misuse_count(), count);
    CHECK_EQ(stat_of().misuse_count, count);
    if (strstr(host_misuse_last(), start) != host_misuse_last()
        || strstr(host_misuse_last(), words) == NULL)
        test_fail(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", host_misuse_last(), words);
}

/* --- Levels --- */

TEST(kheap_full_is_chosen_while_nothing_is_in_use)
{
    new_cached_heap(LIMIT);
    char *buffer = kheap_alloc(&heap, 100);

    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_LEVEL, KHEAP_FULL), -EBUSY);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_SECRET, 1), -EBUSY);
    kheap_free(&heap, buffer);                  /* cached is not in use */
    CHECK_EQ(stat_of().cached_count, 1);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_LEVEL, KHEAP_NONE), -EINVAL);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_LEVEL, KHEAP_FULL + 1), -EINVAL);
    CHECK_EQ(kheap_tune(&heap, (kheap_tunable_t)100, 1), -EINVAL);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_QUARANTINE_COUNT, KHEAP_QUARANTINE_COUNT + 1), -EINVAL);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_LEVEL, KHEAP_FULL), 0);
    CHECK_OK(kheap_check(&heap));               /* all of it is filled */
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_SECRET, 1), 0);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_QUARANTINE_BYTES, SIZE_MAX), 0);

    buffer = kheap_alloc(&heap, 100);
    CHECK_EQ(kheap_usable_size(&heap, buffer), 100);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_LEVEL, KHEAP_BASIC), -EBUSY);
    kheap_free(&heap, buffer);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_LEVEL, KHEAP_BASIC), 0);
    buffer = kheap_alloc(&heap, 100);
    CHECK(kheap_usable_size(&heap, buffer) > 100);
    kheap_free(&heap, buffer);
    check_cached_empty();
}

/* The level is looked at before the lock is taken, and may be another one then. */
TEST(kheap_full_level_changed_before_the_lock)
{
    void *buffer[4];

    new_heap(LIMIT);
    buffer[0] = kheap_full_alloc(&heap, 100, SITE_A);
    buffer[1] = kheap_full_calloc(&heap, 10, 10, SITE_A);
    buffer[2] = kheap_full_memalign(&heap, 256, 100, SITE_A);
    buffer[3] = kheap_full_realloc(&heap, NULL, 100, SITE_A);
    CHECK_OK(kheap_check(&heap));
    for (size_t i = 0; i < ARRAY_LENGTH(buffer); i++) {
        CHECK(buffer[i] != NULL && kheap_usable_size(&heap, buffer[i]) > 100);
        kheap_free(&heap, buffer[i]);
    }
    check_empty();
}

TEST(kheap_full_secret_is_in_sum_and_canary)
{
    unsigned char canary[2];
    size_t sum[2];

    for (size_t i = 0; i < 2; i++) {
        new_full_heap(LIMIT);
        CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_SECRET, 1000 + i), 0);
        char *buffer = full_of(100);
        sum[i] = header_of(buffer)[3];
        canary[i] = (unsigned char)buffer[101];
        kheap_free(&heap, buffer);
        check_full_empty();
    }
    CHECK(sum[0] != sum[1]);
    CHECK(canary[0] != canary[1]);
}

/* --- Buffers --- */

TEST(kheap_full_buffers_of_every_size)
{
    unsigned char *buffer[300];

    new_full_heap(LIMIT);
    for (size_t size = 0; size < 300; size++) {
        buffer[size] = (unsigned char *)full_of(size);
        check_aligned(buffer[size], KHEAP_ALIGN);
        CHECK_EQ(kheap_usable_size(&heap, buffer[size]), size);
        CHECK_EQ(header_of(buffer[size])[0], size);
        CHECK_EQ(header_of(buffer[size])[1], SITE_A);
        CHECK_EQ(header_of(buffer[size])[2], 0);
        CHECK(all_bytes(buffer[size], 0xcc, size));
        for (size_t i = 0; i < WORD; i++)
            CHECK(buffer[size][size + i] >= 0x80);
        paint(buffer[size], size, size);
    }
    CHECK_OK(kheap_check(&heap));
    for (size_t size = 0; size < 300; size++) {
        CHECK(painted(buffer[size], size, size));
        kheap_full_free(&heap, buffer[size], SITE_B);
        CHECK(all_bytes(buffer[size], 0xdd, size));
        CHECK_EQ(header_of(buffer[size])[1], SITE_A);
        CHECK_EQ(header_of(buffer[size])[2], SITE_B);
    }
    kheap_free(&heap, NULL);
    CHECK_EQ(kheap_usable_size(&heap, NULL), 0);
    check_full_empty();
}

TEST(kheap_full_aligned_buffers)
{
    char *buffer[20];

    new_full_heap(LIMIT);
    CHECK(kheap_memalign(&heap, 0, 1) == NULL);
    CHECK(kheap_memalign(&heap, 24, 1) == NULL);
    for (size_t i = 0; i < ARRAY_LENGTH(buffer); i++) {
        size_t align = (size_t)1 << i;
        buffer[i] = kheap_memalign(&heap, align, 10 * i);
        check_aligned(buffer[i], align);
        check_aligned(buffer[i], KHEAP_ALIGN);
        CHECK_EQ(kheap_usable_size(&heap, buffer[i]), 10 * i);
        CHECK_OK(kheap_check(&heap));
    }
    free_all(buffer, ARRAY_LENGTH(buffer));
    check_full_empty();
}

TEST(kheap_full_impossible_sizes)
{
    new_full_heap(LIMIT);
    char *keep = full_of(100);

    paint(keep, 100, 1);
    check_impossible_sizes(keep);
    CHECK(kheap_calloc(&heap, SIZE_MAX / 2, 3) == NULL);
    CHECK(kheap_calloc(&heap, 1, SIZE_MAX) == NULL);
    CHECK(painted(keep, 100, 1));
    keep = kheap_calloc(&heap, 10, 20);
    CHECK(all_bytes(keep, 0, 200));
    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(stat_of().misuse_count, 0);
}

TEST(kheap_full_realloc_moves)
{
    new_full_heap(LIMIT);
    char *old = kheap_full_realloc(&heap, NULL, 100, SITE_A);

    paint(old, 100, 1);
    char *grown = kheap_full_realloc(&heap, old, 1000, SITE_B);
    CHECK(grown != old && painted(grown, 100, 1));
    CHECK(all_bytes(grown + 100, 0xcc, 900));
    CHECK_EQ(header_of(grown)[1], SITE_B);
    CHECK_EQ(header_of(old)[2], SITE_B);
    char *shrunk = kheap_realloc(&heap, grown, 50);
    CHECK(shrunk != grown && painted(shrunk, 50, 1));
    CHECK_EQ(kheap_usable_size(&heap, shrunk), 50);
    CHECK_EQ(stat_of().cached_count, 2);
    kheap_free(&heap, shrunk);
    check_full_empty();
}

TEST(kheap_full_realloc_without_memory)
{
    new_full_heap(64 * KIB);
    char *buffer = full_of(40 * KIB);

    paint(buffer, 40 * KIB, 1);
    CHECK(kheap_realloc(&heap, buffer, 41 * KIB) == NULL);
    CHECK(kheap_realloc(&heap, buffer, SIZE_MAX) == NULL);
    CHECK(kheap_full_realloc(&heap, buffer, 30 * KIB, SITE_C) == buffer);   /* shrinks there */
    CHECK(painted(buffer, 30 * KIB, 1));
    CHECK_EQ(kheap_usable_size(&heap, buffer), 30 * KIB);
    CHECK_EQ(header_of(buffer)[1], SITE_C);
    CHECK_OK(kheap_check(&heap));
    buffer[30 * KIB + 5000] = 1;                /* canary, to its old end */
    kheap_free(&heap, buffer);
    check_report(1, "kfree(", "its canary is damaged: byte 35720, at ");
}

/* --- Random operations --- */

/* Do something to the whole quarantine. */
static void random_quarantine_step(void)
{
    size_t what = test_random_below(4);

    if (what == 0)
        kheap_flush(&heap);
    else if (what == 1)
        kheap_trim(&heap, test_random_below(LIMIT));
    else if (what == 2)
        kheap_tune(&heap, KHEAP_TUNE_QUARANTINE_COUNT, test_random_below(100));
    else
        kheap_tune(&heap, KHEAP_TUNE_QUARANTINE_BYTES, test_random_below(64 * KIB));
}

static void random_full_operations(size_t limit, size_t most, size_t steps)
{
    size_t quarantined_most = 0;

    new_full_heap(limit);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_QUARANTINE_COUNT, 100), 0);
    memset(slots, 0, sizeof(slots));
    for (size_t step = 0; step < steps; step++) {
        random_step(test_random_below(SLOTS), most);
        kheap_stat_t stat = stat_of();
        quarantined_most = stat.cached_count > quarantined_most ? stat.cached_count
                                                                : quarantined_most;
        if (test_random_below(300) == 0) {
            random_quarantine_step();
            stat = stat_of();
        }
        CHECK_EQ(stat.used + stat.cached + stat.free + stat.void_bytes + KHEAP_GRANULE,
                 stat.segment != 0 ? stat.segment : KHEAP_GRANULE);
        CHECK_EQ(stat.misuse_count, 0);
        if (step < CHECK_EACH / 10 || step % 256 == 0)
            CHECK_OK(kheap_check(&heap));
    }
    CHECK(quarantined_most > 50);
    for (size_t i = 0; i < SLOTS; i++) {
        CHECK(painted(slots[i].buffer, slots[i].size, slots[i].seed + i));
        kheap_free(&heap, slots[i].buffer);
    }
    check_full_empty();
}

TEST(kheap_full_random_operations)
{
    random_full_operations(LIMIT, 4000, test_steps(100000) / 2);
}

TEST(kheap_full_random_operations_with_large_sizes)
{
    random_full_operations(64 * MIB, 100000, test_steps(100000) / 10);
}

TEST(kheap_full_random_operations_in_too_little_memory)
{
    random_full_operations(256 * KIB, 20000, test_steps(100000) / 10);
}

#endif
