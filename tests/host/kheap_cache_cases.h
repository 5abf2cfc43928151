/*
 * The tests of the heap's cache, for every way it can be built: included after
 * kheap_segment_cases.h, whose tests are of a heap without one.
 */
#ifndef KHEAP_CACHE_CASES_H
#define KHEAP_CACHE_CASES_H

#include <kernel/errno.h>

#include "kheap_segment_cases.h"

#define COUNT KHEAP_CACHED_COUNT

/* `count` superbuffers of one length with one of the smallest behind each: BWBWBW */
static void make_row(char **buffer, char **wall, size_t count, size_t length)
{
    for (size_t i = 0; i < count; i++) {
        buffer[i] = buffer_of(length);
        wall[i] = buffer_of(SMALLEST);
    }
}

static void free_all(char **buffer, size_t count)
{
    for (size_t i = 0; i < count; i++)
        kheap_free(&heap, buffer[i]);
}

/* As check_empty, once what is cached was merged. */
static void check_cached_empty(void)
{
    size_t cached = stat_of().cached;

    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(kheap_flush(&heap), cached);
    CHECK_EQ(stat_of().cached_count, 0);
    CHECK_EQ(stat_of().cached, 0);
    check_empty();
}

/* --- What is cached, and for whom --- */

TEST(kheap_cache_serves_the_last_one_of_a_length)
{
    char *buffer[3];
    char *wall[3];

    new_cached_heap(LIMIT);
    make_row(buffer, wall, 3, 256);             /* BWBWBW */
    char *longer = buffer_of(256 + KHEAP_GRANULE);
    char *last = buffer_of(SMALLEST);
    size_t used = stat_of().used;
    size_t gaps = stat_of().gap_count;

    kheap_free(&heap, buffer[1]);
    kheap_free(&heap, buffer[0]);
    kheap_free(&heap, buffer[2]);
    kheap_free(&heap, longer);
    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(stat_of().cached_count, 4);
    CHECK_EQ(stat_of().cached, 4 * 256 + KHEAP_GRANULE);
    CHECK_EQ(stat_of().used, used - stat_of().cached);
    CHECK_EQ(stat_of().buffer_count, 4);
    CHECK_EQ(stat_of().gap_count, gaps);        /* nothing was merged */
    CHECK_EQ(stat_of().last_visited_count, 0);

    char *other = buffer_of(256 - KHEAP_GRANULE);       /* exactly its length, or nothing */
    CHECK(other != buffer[0] && other != buffer[1] && other != buffer[2]);
    CHECK(buffer_of(256) == buffer[2]);
    CHECK(buffer_of(256) == buffer[0]);
    CHECK(buffer_of(256) == buffer[1]);
    CHECK_EQ(stat_of().cached, 256 + KHEAP_GRANULE);
    CHECK(buffer_of(256 + KHEAP_GRANULE) == longer);
    CHECK_EQ(stat_of().cached_count, 0);
    CHECK_EQ(stat_of().used, used + 256 - KHEAP_GRANULE);
    CHECK_EQ(stat_of().peak_taken, used + 256 - KHEAP_GRANULE);
    CHECK_OK(kheap_check(&heap));
    free_all(buffer, 3);
    free_all(wall, 3);
    kheap_free(&heap, other);
    kheap_free(&heap, longer);
    kheap_free(&heap, last);
    check_cached_empty();
}

TEST(kheap_cache_counts_to_a_new_peak)
{
    new_cached_heap(LIMIT);
    char *a = buffer_of(256);
    kheap_free(&heap, a);
    char *b = buffer_of(512);
    CHECK_EQ(stat_of().peak_taken, 768);
    CHECK(buffer_of(256) == a);
    CHECK_EQ(stat_of().peak_taken, 768);
    kheap_free(&heap, a);
    kheap_free(&heap, b);
    check_cached_empty();
}

TEST(kheap_cache_holds_so_many_of_a_length)
{
    char *buffer[COUNT + 4];
    char *wall[COUNT + 4];

    new_cached_heap(LIMIT);
    for (size_t most = COUNT; most > 0; most /= 2) {
        CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_CACHE_COUNT, most), 0);
        make_row(buffer, wall, ARRAY_LENGTH(buffer), 256);
        size_t gaps = stat_of().gap_count;
        free_all(buffer, ARRAY_LENGTH(buffer));
        CHECK_EQ(stat_of().cached_count, most);
        CHECK_EQ(stat_of().gap_count, gaps + ARRAY_LENGTH(buffer) - most);
        CHECK_OK(kheap_check(&heap));
        free_all(wall, ARRAY_LENGTH(wall));
        CHECK(stat_of().cached_count <= 2 * most);
        check_cached_empty();
    }
}

TEST(kheap_cache_holds_so_many_bytes)
{
    static const size_t most[] = { 0, 255, 256, 1000, 1024, 2047 };
    char *buffer[COUNT];
    char *wall[COUNT];

    new_cached_heap(LIMIT);
    for (size_t i = 0; i < ARRAY_LENGTH(most); i++) {
        CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_CACHE_BYTES, most[i]), 0);
        make_row(buffer, wall, COUNT, 256);
        free_all(buffer, COUNT);
        CHECK_EQ(stat_of().cached, most[i] / 256 * 256);
        CHECK_OK(kheap_check(&heap));
        free_all(wall, COUNT);
        check_cached_empty();
    }
}

TEST(kheap_cache_takes_longer_ones_too)
{
    static const size_t lengths[] = { KHEAP_CACHED_LENGTH, KHEAP_CACHED_LENGTH + KHEAP_GRANULE,
                                      1600, 5 * KIB, 20 * KIB };
    char *buffer[ARRAY_LENGTH(lengths)];
    char *wall[ARRAY_LENGTH(lengths)];
    size_t bytes = 0;

    new_cached_heap(LIMIT);
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++)
        make_row(&buffer[i], &wall[i], 1, lengths[i]);
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
        kheap_free(&heap, buffer[i]);
        bytes += lengths[i];
        CHECK_EQ(stat_of().cached_count, i + 1);
        CHECK_EQ(stat_of().cached, bytes);
    }
    CHECK_OK(kheap_check(&heap));
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
        CHECK(buffer_of(lengths[i]) == buffer[i]);
    }
    CHECK_EQ(stat_of().cached_count, 0);
    CHECK_OK(kheap_check(&heap));
    free_all(buffer, ARRAY_LENGTH(buffer));
    free_all(wall, ARRAY_LENGTH(wall));
    check_cached_empty();
}

/* A length from 1.5 KiB on that has its place in the table where this one has. */
static size_t rival_of(size_t length)
{
    char *holder = buffer_of(length);
    char *wall = buffer_of(SMALLEST);
    size_t rival = 1536;
    size_t gaps;

    kheap_free(&heap, holder);
    for (;; rival += KHEAP_GRANULE) {
        if (rival == length)
            continue;
        char *other = buffer_of(rival);
        gaps = stat_of().cached_count;
        kheap_free(&heap, other);
        if (stat_of().cached_count == gaps)
            break;
        kheap_flush(&heap);
        kheap_free(&heap, buffer_of(length));
    }
    kheap_flush(&heap);
    kheap_free(&heap, wall);
    kheap_flush(&heap);
    return rival;
}

TEST(kheap_cache_place_of_a_longer_one_is_contested)
{
    char *held[4];
    char *wall[4];
    char *other[5];

    new_cached_heap(LIMIT);
    size_t rival = rival_of(2048);
    CHECK_EQ(stat_of().cached_count, 0);
    make_row(held, wall, 3, 2048);
    for (size_t i = 0; i < 5; i++)
        other[i] = buffer_of(rival);
    wall[3] = buffer_of(SMALLEST);

    free_all(held, 3);                          /* held: 3 */
    kheap_free(&heap, other[0]);                /* the first time it is just merged */
    CHECK_EQ(stat_of().cached, 3 * 2048);
    CHECK(buffer_of(2048) == held[2]);
    kheap_free(&heap, held[2]);                 /* used meanwhile: the next is the first again */
    kheap_free(&heap, other[1]);
    CHECK_EQ(stat_of().cached, 3 * 2048);
    kheap_free(&heap, other[2]);                /* nor the second time in a row: not for one of 3 */
    CHECK_EQ(stat_of().cached, 3 * 2048);
    CHECK_OK(kheap_check(&heap));
    CHECK(buffer_of(2048) == held[2]);          /* the last one freed */
    CHECK(buffer_of(2048) == held[1]);
    CHECK(buffer_of(2048) == held[0]);
    kheap_free(&heap, held[1]);                 /* held: 1 */
    kheap_free(&heap, other[3]);
    CHECK_EQ(stat_of().cached, 2048);
    kheap_free(&heap, other[4]);                /* the last one goes: the place is free */
    CHECK_EQ(stat_of().cached, rival);
    CHECK_OK(kheap_check(&heap));
    CHECK(buffer_of(rival) == other[4]);
    kheap_free(&heap, other[4]);
    kheap_free(&heap, held[2]);
    kheap_free(&heap, held[0]);
    free_all(wall, 4);
    check_cached_empty();
}

TEST(kheap_cache_makes_room)
{
    char *buffer[2 * COUNT];
    char *wall[2 * COUNT];

    new_cached_heap(LIMIT);
    char *small = buffer_of(512);
    char *large = buffer_of(KHEAP_CACHED_BYTES / KHEAP_CACHE_PART + KHEAP_GRANULE);
    char *last = buffer_of(SMALLEST);
    make_row(buffer, wall, COUNT, 1024);
    make_row(buffer + COUNT, wall + COUNT, COUNT, 992);
    free_all(buffer, ARRAY_LENGTH(buffer));
    kheap_free(&heap, buffer_of(KHEAP_CACHED_BYTES - COUNT * (1024 + 992)));
    CHECK_EQ(stat_of().cached, KHEAP_CACHED_BYTES);

    size_t count = stat_of().cached_count;
    for (size_t i = 0; heap.cache.of[512 / KHEAP_GRANULE].count == 0; i++) {
        CHECK(i < ARRAY_LENGTH(heap.cache.of));         /* a few places are looked at each time */
        if (i != 0)
            small = buffer_of(512);
        kheap_free(&heap, small);               /* another one goes, or else it is merged */
        CHECK(stat_of().cached <= KHEAP_CACHED_BYTES);
    }
    CHECK_EQ(stat_of().cached_count, count);
    CHECK_EQ(heap.cache.of[512 / KHEAP_GRANULE].count, 1);
    CHECK(stat_of().last_visited_count <= 12);
    CHECK_OK(kheap_check(&heap));
    CHECK(buffer_of(512) == small);
    kheap_free(&heap, small);

    size_t cached = stat_of().cached;           /* for more than a quarter, none goes */
    for (size_t i = 0; i < ARRAY_LENGTH(heap.cache.of); i++) {
        kheap_free(&heap, large);
        CHECK_EQ(stat_of().cached, cached);
        large = buffer_of(KHEAP_CACHED_BYTES / KHEAP_CACHE_PART + KHEAP_GRANULE);
    }
    kheap_free(&heap, large);
    CHECK_OK(kheap_check(&heap));
    free_all(wall, ARRAY_LENGTH(wall));
    kheap_free(&heap, last);
    check_cached_empty();
}

TEST(kheap_cache_can_be_off)
{
    new_cached_heap(LIMIT);
    char *a = buffer_of(256);
    char *wall = buffer_of(256);
    kheap_free(&heap, a);
    CHECK_EQ(stat_of().cached_count, 1);

    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_CACHE_COUNT, COUNT + 1), -EINVAL);
    CHECK_EQ(kheap_tune(&heap, (kheap_tunable_t)99, 1), -EINVAL);
    CHECK_EQ(stat_of().cached_count, 1);        /* nothing changed */
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_CACHE_COUNT, 0), 0);
    CHECK_EQ(stat_of().cached_count, 0);
    CHECK_EQ(stat_of().gap_count, 2);
    kheap_free(&heap, wall);
    CHECK_EQ(stat_of().cached_count, 0);
    CHECK_EQ(stat_of().gap_count, 1);
    check_empty();
}

/* --- When it is merged --- */

TEST(kheap_flush_merges_all)
{
    static const size_t lengths[] = { 128, 256, 128, 1024, 512, 256 };
    char *buffer[ARRAY_LENGTH(lengths)];
    size_t bytes = 0;

    new_cached_heap(LIMIT);
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
        buffer[i] = buffer_of(lengths[i]);
        bytes += lengths[i];
    }
    char *wall = buffer_of(SMALLEST);           /* BBBBBBW */
    free_all(buffer, ARRAY_LENGTH(lengths));
    CHECK_EQ(stat_of().gap_count, 1);
    CHECK_EQ(stat_of().cached, bytes);
    CHECK_EQ(kheap_flush(&heap), bytes);        /* ......W */
    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(stat_of().gap_count, 2);
    CHECK_EQ(stat_of().cached, 0);
    CHECK_EQ(kheap_flush(&heap), 0);
    CHECK(buffer_of(bytes) == buffer[0]);
    kheap_free(&heap, buffer[0]);
    kheap_free(&heap, wall);
    check_cached_empty();
}

/*
 * A heap of superbuffers that are all cached, each `step` longer than the one before, and
 * one in use behind them: CCCCCCCCSSSS
 */
static char *new_heap_of_cached(char **wall, size_t limit, size_t length, size_t step,
                                size_t count)
{
    char *buffer[COUNT];

    new_cached_heap(limit);
    for (size_t i = 0; i < count; i++)
        buffer[i] = buffer_of(length + i * step);
    *wall = buffer_of(stat_of().tail);
    free_all(buffer, count);
    CHECK_EQ(stat_of().cached_count, count);
    CHECK_EQ(stat_of().gap_count, 0);
    return buffer[0];
}

TEST(kheap_cache_is_merged_before_the_segment_grows)
{
    char *wall;

    for (size_t kind = 0; kind < 3; kind++) {
        char *first = new_heap_of_cached(&wall, LIMIT, 96, 32, 4);     /* 576 bytes */
        size_t extensions = fake.extend_count;
        char *got = kind == 0 ? buffer_of(576)
                  : kind == 1 ? kheap_memalign(&heap, 256, 250)
                  : kheap_realloc(&heap, buffer_of(96), size_for(480));

        CHECK_EQ(fake.extend_count, extensions);
        CHECK(got >= first && got < first + 576);
        CHECK_OK(kheap_check(&heap));
        kheap_free(&heap, got);
        kheap_free(&heap, wall);
        check_cached_empty();
    }
}

/* A call merges a few, and less where that looks at many gaps; then the segment grows. */
TEST(kheap_cache_is_not_all_merged_before_the_segment_grows)
{
    static const size_t of[][2] = { { 96, 0 }, { 32, 32 }, { 1088, 64 } };
    char *wall;

    for (size_t i = 0; i < ARRAY_LENGTH(of); i++) {
        size_t length = SMALLEST + of[i][0];
        size_t step = of[i][1];
        size_t bytes = COUNT * length + step * (COUNT * (COUNT - 1) / 2);
        char *first = new_heap_of_cached(&wall, LIMIT, length, step, COUNT);
        size_t extensions = fake.extend_count;
        char *got = buffer_of(bytes);

        CHECK(got > wall);              /* ........CCCCSSSSGGGGGGGGGGGG */
        CHECK_EQ(fake.extend_count, extensions + 1);
        CHECK(stat_of().cached_count < COUNT);
        CHECK(stat_of().cached_count >= COUNT - 8);
        CHECK(stat_of().last_visited_count <= 12);
        CHECK_OK(kheap_check(&heap));
        kheap_flush(&heap);
        CHECK(buffer_of(bytes) == first);
        kheap_free(&heap, first);
        kheap_free(&heap, got);
        kheap_free(&heap, wall);
        check_cached_empty();
    }
}

/* Where there are gaps of many lengths, each that is merged is compared with some. */
TEST(kheap_cache_merging_ends_where_it_looks_at_many_gaps)
{
    char *gap[8];
    char *cached[8];
    char *wall[2 * 8];

    new_cached_heap(LIMIT);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_CACHE_BYTES, 64 * KIB), 0);
    for (size_t i = 0; i < 8; i++) {
        make_row(&gap[i], &wall[2 * i], 1, 4096 + i * 32);
        make_row(&cached[i], &wall[2 * i + 1], 1, 4096 + i * 32);
    }
    free_all(gap, 8);
    kheap_flush(&heap);
    free_all(cached, 8);                        /* .WcW.WcW.WcW and so on */
    CHECK_EQ(stat_of().cached_count, 8);
    char *got = buffer_of(20 * PAGE_SIZE);
    CHECK(stat_of().cached_count >= 5 && stat_of().cached_count < 8);   /* 4 without the bound */
    CHECK(stat_of().last_visited_count >= 4 && stat_of().last_visited_count <= 20);
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, got);
    free_all(wall, 2 * 8);
    check_cached_empty();
}

TEST(kheap_cache_is_merged_before_a_request_fails)
{
    char *wall;

    for (size_t kind = 0; kind < 3; kind++) {
        char *first = new_heap_of_cached(&wall, 4 * PAGE_SIZE, 512, 0, COUNT);
        char *got = kind == 0 ? buffer_of(COUNT * 512)
                  : kind == 1 ? kheap_memalign(&heap, 64, (COUNT - 1) * 512)
                  : kheap_realloc(&heap, buffer_of(512), size_for((COUNT - 1) * 512));

        CHECK(got >= first && got < first + 512);
        kheap_stat_t before = stat_of();
        CHECK(kheap_alloc(&heap, 4 * PAGE_SIZE) == NULL);
        CHECK(kheap_memalign(&heap, PAGE_SIZE, 4 * PAGE_SIZE) == NULL);
        CHECK_EQ(stat_of().used, before.used);
        CHECK_OK(kheap_check(&heap));
        kheap_free(&heap, got);
        kheap_free(&heap, wall);
        check_cached_empty();
    }
}

/* What is merged may be the end of the segment, which then need not grow so much. */
TEST(kheap_segment_grows_after_all_was_merged)
{
    for (size_t kind = 0; kind < 2; kind++) {
        char *buffer[COUNT];

        new_cached_heap(5 * PAGE_SIZE);
        char *wall = buffer_of(4 * PAGE_SIZE - KHEAP_GRANULE - COUNT * 256);
        for (size_t i = 0; i < COUNT; i++)
            buffer[i] = buffer_of(256);
        CHECK_EQ(stat_of().tail, 0);
        free_all(buffer, COUNT);                /* WWWWcccccccccccc, and room for a page */
        char *got = kind == 0 ? buffer_of(COUNT * 256 + PAGE_SIZE)
                  : kheap_memalign(&heap, 64, COUNT * 256 + PAGE_SIZE - 128);
        CHECK(got >= buffer[0] && got < buffer[1]);
        CHECK_OK(kheap_check(&heap));
        kheap_free(&heap, got);
        kheap_free(&heap, wall);
        check_cached_empty();
    }
}

TEST(kheap_trim_merges_what_is_cached)
{
    new_cached_heap(LIMIT);
    char *first = buffer_of(256);
    char *large = kheap_alloc(&heap, 50 * KIB);
    char *last = buffer_of(256);                /* FLLLLL */

    kheap_free(&heap, large);
    kheap_free(&heap, last);                    /* F....C: the end is in use, as it were */
    CHECK_EQ(stat_of().cached_count, 1);
    CHECK(kheap_trim(&heap, 0) >= 48 * KIB);
    CHECK_EQ(stat_of().cached_count, 0);
    CHECK_EQ(fake.segment.length, PAGE_SIZE);
    kheap_free(&heap, first);
    CHECK_EQ(kheap_trim(&heap, 0), PAGE_SIZE);
    check_cached_empty();
}

TEST(kheap_cache_and_every_extension_may_fail)
{
    size_t failures = 0;

    for (size_t n = 1; ; n++) {
        new_cached_heap(LIMIT);
        fake.fail_at = n;
        failures += some_work();
        bool done = fake.extend_count < n;
        check_cached_empty();
        if (done)
            break;
    }
    CHECK(failures > 0);
}

/* --- krealloc --- */

TEST(kheap_realloc_over_what_is_cached)
{
    new_cached_heap(LIMIT);
    char *a = buffer_of(512);           /* ABCDEW */
    char *b = buffer_of(256);
    char *c = buffer_of(2048);
    char *d = buffer_of(128);
    char *e = buffer_of(128);
    char *wall = buffer_of(SMALLEST);
    paint(a, size_for(512), 4);

    kheap_free(&heap, b);
    kheap_free(&heap, d);               /* AbCdEW: too little, so all of it stays */
    char *moved = kheap_realloc(&heap, buffer_of(64), 100);
    kheap_free(&heap, moved);
    kheap_flush(&heap);
    CHECK(kheap_alloc(&heap, size_for(256)) == b);
    CHECK(kheap_alloc(&heap, size_for(128)) == d);
    kheap_free(&heap, b);
    kheap_free(&heap, d);
    CHECK(kheap_realloc(&heap, a, size_for(512)) == a);
    CHECK_EQ(stat_of().cached_count, 2);
    CHECK(kheap_realloc(&heap, a, size_for(640)) == a);     /* AAA.CdEW */
    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(stat_of().cached_count, 1);
    kheap_free(&heap, c);                                   /* AAA...dEW */
    CHECK(kheap_realloc(&heap, a, size_for(512 + 256 + 2048 + 128)) == a);
    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(stat_of().cached_count, 0);                    /* AAAAAAAEW */
    CHECK(painted(a, size_for(512), 4));
    kheap_free(&heap, e);                                   /* AAAAAAAeW */
    CHECK_EQ(stat_of().cached_count, 1);
    moved = kheap_realloc(&heap, a, size_for(512 + 256 + 2048 + 128 + 256));
    CHECK(moved != NULL && moved != a);                     /* aaaaaaaeWAAAA: it would not do */
    CHECK_EQ(stat_of().cached_count, 2);
    CHECK(painted(moved, size_for(512), 4));
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, moved);
    kheap_free(&heap, wall);
    check_cached_empty();
}

TEST(kheap_realloc_over_what_is_cached_at_the_end)
{
    new_cached_heap(LIMIT);
    char *a = buffer_of(512);
    char *b = buffer_of(256);
    char *c = buffer_of(256);

    paint(a, size_for(512), 6);
    kheap_free(&heap, b);
    kheap_free(&heap, c);               /* Abc....  to  AAAAAAA, and longer */
    CHECK(kheap_realloc(&heap, a, MIB) == a);
    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(stat_of().cached_count, 0);
    CHECK(painted(a, size_for(512), 6));
    CHECK(kheap_realloc(&heap, a, LIMIT) == NULL);
    CHECK(painted(a, size_for(512), 6));
    kheap_free(&heap, a);
    check_cached_empty();
}

TEST(kheap_realloc_moves_into_and_out_of_the_cache)
{
    new_cached_heap(LIMIT);
    char *a = buffer_of(256);
    char *b = buffer_of(512);
    char *wall = buffer_of(SMALLEST);

    paint(a, size_for(256), 5);
    kheap_free(&heap, b);
    char *c = buffer_of(512);
    CHECK(c == b);
    char *d = buffer_of(512);
    kheap_free(&heap, d);               /* ABW d */
    CHECK(kheap_realloc(&heap, a, size_for(512)) == d);
    CHECK(painted(d, size_for(256), 5));
    CHECK_EQ(stat_of().cached_count, 1);
    CHECK(buffer_of(256) == a);
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, a);
    kheap_free(&heap, c);
    kheap_free(&heap, d);
    kheap_free(&heap, wall);
    check_cached_empty();
}

#endif
