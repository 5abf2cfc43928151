/*
 * The tests of a heap at level full, for every way it can be built: included after
 * kheap_cases.h.
 */
#ifndef KHEAP_FULL_CASES_H
#define KHEAP_FULL_CASES_H

#include <kernel/errno.h>
#include <kernel/kheap_full.h>

#include "kheap_cases.h"

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
