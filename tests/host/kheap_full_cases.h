/*
 * The tests of a heap at level full, for every way it can be built: included after
 * kheap_cases.h and kheap_cache_cases.h.
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

static size_t full_length_of(void *buffer)
{
    return *(header_of(buffer) - 1 - (KHEAP_GRANULE > 4 * WORD ? KHEAP_GRANULE / WORD - 4 : 0))
         & (KHEAP_LARGEST | PAGE_MASK) & ~(size_t)15;
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

/* --- The quarantine --- */

TEST(kheap_full_quarantine_is_first_in_first_out)
{
    char *buffer[6];

    new_full_heap(LIMIT);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_QUARANTINE_COUNT, 3), 0);
    for (size_t i = 0; i < 6; i++)
        buffer[i] = full_of(500);
    for (size_t i = 0; i < 6; i++) {
        kheap_free(&heap, buffer[i]);
        CHECK_EQ(stat_of().cached_count, i < 3 ? i + 1 : 3);
        CHECK_OK(kheap_check(&heap));
    }
    CHECK(full_of(500) == buffer[0]);           /* it left first */
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_QUARANTINE_COUNT, 0), 0);
    CHECK_EQ(stat_of().cached_count, 0);
    char *last = full_of(300);
    kheap_free(&heap, last);                    /* off: merged at once */
    CHECK_EQ(stat_of().cached_count, 0);
    kheap_free(&heap, buffer[0]);
    check_full_empty();
}

TEST(kheap_full_quarantine_holds_so_many_bytes)
{
    char *buffer[6];

    new_full_heap(LIMIT);
    for (size_t i = 0; i < 6; i++)
        buffer[i] = full_of(500);
    size_t length = full_length_of(buffer[0]);
    char *large = full_of(4 * length);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_QUARANTINE_BYTES, 4 * length - 1), 0);
    for (size_t i = 0; i < 6; i++)
        kheap_free(&heap, buffer[i]);
    CHECK_EQ(stat_of().cached_count, 3);
    CHECK_EQ(stat_of().cached, 3 * length);
    kheap_free(&heap, large);                   /* has no room, and makes none */
    CHECK_EQ(stat_of().cached_count, 3);
    CHECK_OK(kheap_check(&heap));
    check_full_empty();
}

TEST(kheap_full_quarantine_is_emptied_before_the_segment_grows)
{
    char *buffer[30];

    new_full_heap(64 * KIB);
    for (size_t i = 0; i < ARRAY_LENGTH(buffer); i++)
        buffer[i] = full_of(KIB);
    size_t grown = fake.extend_count;
    free_all(buffer, ARRAY_LENGTH(buffer));
    CHECK_EQ(stat_of().cached_count, ARRAY_LENGTH(buffer));
    char *large = full_of(20 * KIB);
    CHECK_EQ(fake.extend_count, grown);
    CHECK_EQ(stat_of().cached_count, 0);
    kheap_free(&heap, large);
    CHECK(kheap_alloc(&heap, 50 * KIB) != NULL);    /* nor may it fail before */
}

TEST(kheap_full_quarantine_wraps_around)
{
    new_full_heap(LIMIT);
    for (size_t i = 0; i < 3 * KHEAP_QUARANTINE_COUNT; i++) {
        char *buffer = full_of(i % 50);
        kheap_free(&heap, buffer);
        CHECK(stat_of().cached_count <= KHEAP_QUARANTINE_COUNT);
    }
    check_full_empty();
}

TEST(kheap_full_gives_pages_back)
{
    new_full_heap(LIMIT);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_QUARANTINE_BYTES, 0), 0);
    char *keep = full_of(100);
    char *large = full_of(4 * MIB);
    size_t length = fake.segment.length;

    kheap_free(&heap, large);
    CHECK(fake.segment.length < length - 3 * MIB);
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, keep);
    check_full_empty();
}

/* --- What is found --- */

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

/* One report for each call; what was reported leaves the next time. */
TEST(kheap_full_quarantine_reports_one_by_one)
{
    char *buffer[5];

    new_full_heap(LIMIT);
    for (size_t i = 0; i < 5; i++)
        buffer[i] = full_of(200);
    free_all(buffer, 5);
    buffer[1][7] = 1;
    buffer[3][200] = 1;
    CHECK_STR(kheap_check(&heap), "it was written to after it was freed");
    kheap_flush(&heap);
    check_report(1, "kheap_flush: the quarantined buffer ", "byte 7 of it");
    CHECK_EQ(stat_of().cached_count, 2);
    kheap_flush(&heap);                         /* the first one leaves, mended */
    check_report(2, "kheap_flush: the quarantined buffer ", "byte 200 of it");
    CHECK_EQ(stat_of().cached_count, 1);
    kheap_flush(&heap);
    CHECK_EQ(stat_of().misuse_count, 2);
    check_full_empty();
}

TEST(kheap_full_damaged_headers_never_leave)
{
    char *buffer[3];

    new_full_heap(LIMIT);
    for (size_t i = 0; i < 3; i++)
        buffer[i] = full_of(200);
    free_all(buffer, 3);
    header_of(buffer[1])[0] ^= 0x100;
    for (size_t i = 1; i <= 3; i++) {
        kheap_flush(&heap);
        check_report(i, "kheap_flush: the registry of the quarantined buffer ",
                     "; its header is damaged: byte 1 of its header is 0x01, not 0x00");
        CHECK_EQ(stat_of().cached_count, 1);
    }
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_QUARANTINE_COUNT, 1), 0);
    check_report(4, "kheap_tune: ", "; its header is damaged");
    char *other = full_of(100);
    kheap_full_free(&heap, other, SITE_B);      /* the quarantine is full: merged at once */
    check_report(5, "kfree: ", "; its header is damaged");
    CHECK_EQ(stat_of().cached_count, 1);
    header_of(buffer[1])[0] ^= 0x100;
    check_full_empty();
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

/* --- Leaks --- */

#define CHECK_ROW(row_, site_, count_, bytes_) \
    do { \
        CHECK_EQ((row_).site, site_); \
        CHECK_EQ((row_).count, count_); \
        CHECK_EQ((row_).bytes, bytes_); \
    } while (0)

TEST(kheap_leaks_by_site)
{
    kheap_site_t row[8];
    kheap_site_t before[8];

    new_heap(LIMIT);
    CHECK_EQ(kheap_leaks(&heap, row, 8, NULL, 0), -EINVAL);
    new_full_heap(LIMIT);
    CHECK_EQ(kheap_leaks(&heap, row, 8, NULL, 0), 0);
    char *a = kheap_full_alloc(&heap, 10, SITE_A);
    char *b = kheap_full_alloc(&heap, 100, SITE_B);
    char *b2 = kheap_full_alloc(&heap, 50, SITE_B);
    char *c = kheap_full_alloc(&heap, 70, SITE_C);
    char *c2 = kheap_full_alloc(&heap, 80, SITE_C);

    CHECK_EQ(kheap_leaks(&heap, row, 8, NULL, 0), 3);
    CHECK_ROW(row[2], SITE_A, 1, 10);
    CHECK_EQ(row[0].bytes + row[1].bytes, 300);
    kheap_free(&heap, c);                       /* in quarantine: nobody has it */
    CHECK_EQ(kheap_leaks(&heap, before, 8, NULL, 0), 3);
    CHECK_ROW(before[0], SITE_B, 2, 150);
    CHECK_ROW(before[1], SITE_C, 1, 80);
    CHECK_ROW(before[2], SITE_A, 1, 10);

    CHECK_EQ(kheap_leaks(&heap, row, 8, before, 3), 0);
    kheap_free(&heap, b);
    char *a2 = kheap_full_alloc(&heap, 10, SITE_A);
    CHECK_EQ(kheap_leaks(&heap, row, 8, before, 3), 2);
    CHECK_ROW(row[0], SITE_A, 1, 10);
    CHECK_ROW(row[1], SITE_B, -1, -100);

    CHECK_EQ(kheap_leaks(&heap, row, 2, NULL, 0), 2);   /* the last row is all others */
    CHECK_EQ(row[0].bytes + row[1].bytes, 150);
    CHECK_EQ((row[0].site == 0) + (row[1].site == 0), 1);
    CHECK_EQ(kheap_leaks(&heap, row, 1, NULL, 0), 1);
    CHECK_ROW(row[0], 0, 4, 150);
    CHECK_EQ(kheap_leaks(&heap, before, 1, row, 1), 0);     /* the others of both */

    header_of(a)[1] ^= 1;
    CHECK_EQ(kheap_leaks(&heap, row, 8, NULL, 0), -EFAULT);
    header_of(a)[1] ^= 1;
    size_t kept = *(size_t *)heap.start;
    *(size_t *)heap.start = 1;
    CHECK_EQ(kheap_leaks(&heap, row, 8, NULL, 0), -EFAULT);
    *(size_t *)heap.start = kept;
    kheap_free(&heap, a);
    kheap_free(&heap, a2);
    kheap_free(&heap, b2);
    kheap_free(&heap, c2);
    check_full_empty();
}

/* The calls of the kernel's heap know who called them. */
static NOINLINE void call_kernel_names(void **buffer)
{
    buffer[0] = kmalloc(10);
    buffer[1] = kcalloc(2, 10);
    buffer[2] = kmemalign(64, 30);
    buffer[3] = krealloc(NULL, 40);
    buffer[4] = krealloc(kmalloc(10), 50);
    CHECK_EQ(kmalloc_usable_size(buffer[4]), 50);
}

TEST(kheap_full_kernel_names_have_sites)
{
    kheap_site_t row[8];
    void *buffer[5];

    fake_segment_destroy(&fake);
    kheap_init(&kernel_heap, fake_segment_init(&fake, LIMIT));
    CHECK_EQ(kheap_tune(&kernel_heap, KHEAP_TUNE_LEVEL, KHEAP_FULL), 0);
    call_kernel_names(buffer);
    CHECK_EQ(kheap_leaks(&kernel_heap, row, 8, NULL, 0), 5);
    for (size_t i = 0; i < 5; i++) {
        CHECK_EQ(row[i].bytes, 50 - 10 * (ptrdiff_t)i);
        CHECK(row[i].site - (size_t)call_kernel_names < 4 * KIB);
        kfree(buffer[i]);
    }
    CHECK_OK(kheap_check(&kernel_heap));
    CHECK(kheap_trim(&kernel_heap, 0) != 0);
    CHECK_EQ(fake.segment.length, 0);
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
