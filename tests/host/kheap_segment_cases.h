/*
 * The tests of the heap and its segment, voids, krealloc, and kmemalign.
 */
#ifndef KHEAP_SEGMENT_CASES_H
#define KHEAP_SEGMENT_CASES_H

#include "kheap_cases.h"

/* --- voids --- */

/* |left|right| and a hole of `length` after left, too small for a gap: a void */
static void make_void(char **left, char **right, size_t length)
{
    *left = buffer_of(512 + length);
    *right = buffer_of(512);
    *left = kheap_realloc(&heap, *left, size_for(512));
    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(stat_of().void_count, 1);
    CHECK_EQ(stat_of().void_bytes, length);
}

TEST(kheap_void_is_taken_up_again)
{
    char *left;
    char *right;

    if (!HAS_VOIDS)
        test_skip("this build has no voids");
    for (size_t length = KHEAP_ALIGN; length < SMALLEST; length += KHEAP_ALIGN) {
        new_heap(LIMIT);                        /* LLLLv RRRR */
        make_void(&left, &right, length);
        kheap_free(&heap, left);                /* ..... RRRR */
        CHECK_OK(kheap_check(&heap));
        CHECK_EQ(stat_of().void_count, 0);
        CHECK_EQ(stat_of().gap_count, 2);
        kheap_free(&heap, right);
        check_empty();

        make_void(&left, &right, length);
        kheap_free(&heap, right);               /* LLLL ..... */
        CHECK_OK(kheap_check(&heap));
        CHECK_EQ(stat_of().void_count, 0);
        CHECK_EQ(stat_of().gap_count, 1);
        kheap_free(&heap, left);
        check_empty();

        make_void(&left, &right, length);       /* LLLLv grows over its void */
        CHECK(kheap_realloc(&heap, left, size_for(512 + length)) == left);
        CHECK_OK(kheap_check(&heap));
        CHECK_EQ(stat_of().void_count, 0);
        kheap_free(&heap, left);
        kheap_free(&heap, right);
        check_empty();

        make_void(&left, &right, length);       /* LLLL shrinks: void and rest are a gap */
        CHECK(kheap_realloc(&heap, left, size_for(512 - SMALLEST)) == left);
        CHECK_OK(kheap_check(&heap));
        CHECK_EQ(stat_of().void_count, 0);
        CHECK_EQ(stat_of().gap_count, 2);
        kheap_free(&heap, left);
        kheap_free(&heap, right);
        check_empty();
    }
}

TEST(kheap_void_at_the_end_joins_the_extension)
{
    if (!HAS_VOIDS)
        test_skip("this build has no voids");
    new_heap(LIMIT);
    char *first = buffer_of(64);
    size_t tail = stat_of().tail;
    char *second = buffer_of(tail - KHEAP_ALIGN);
    CHECK_EQ(stat_of().void_bytes, KHEAP_ALIGN);
    CHECK_EQ(stat_of().tail, 0);

    char *third = buffer_of(64);                /* starts where the void was */
    CHECK_EQ(stat_of().void_bytes, 0);
    CHECK(third == second + tail - KHEAP_ALIGN);
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, second);
    kheap_free(&heap, first);
    kheap_free(&heap, third);
    check_empty();
}

/* --- The segment --- */

TEST(kheap_init_takes_mapped_pages)
{
    fake_segment_destroy(&fake);
    segment_t *segment = fake_segment_init(&fake, LIMIT);

    CHECK_EQ(segment->extend(segment, 5), 0);
    kheap_init(&heap, segment);
    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(stat_of().free, 5 * PAGE_SIZE - KHEAP_GRANULE);
    kheap_free(&heap, kheap_alloc(&heap, 5 * PAGE_SIZE - KHEAP_GRANULE - WORD));
    CHECK_EQ(fake.extend_count, 1);
    kheap_flush(&heap);
    check_empty();
}

TEST(kheap_fills_the_segment_and_fails_cleanly)
{
    static const size_t sizes[] = { 24, 100, 1000, 4096, 70000 };

    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        char *list = NULL;          /* each buffer points to the one before */
        char *buffer;
        size_t count = 0;

        new_heap(MIB);
        while ((buffer = kheap_alloc(&heap, sizes[i])) != NULL) {
            *(char **)(void *)buffer = list;
            list = buffer;
            count++;
        }
        CHECK_OK(kheap_check(&heap));
        size_t length = sizes[i] + WORD + SMALLEST;     /* at most */
        CHECK(count >= (MIB - PAGE_SIZE) / length);
        CHECK(stat_of().largest_gap + (MIB - fake.segment.length) < length + PAGE_SIZE);
        while ((buffer = list) != NULL) {
            list = *(char **)(void *)buffer;
            kheap_free(&heap, buffer);
        }
        check_empty();
    }
}

TEST(kheap_growth_falls_back_to_the_exact_need)
{
    new_heap(LIMIT);
    fake.most_pages = 1;
    char *small = kheap_alloc(&heap, 100);
    CHECK(small != NULL);
    CHECK_EQ(fake.segment.length, PAGE_SIZE);
    CHECK(kheap_alloc(&heap, 2 * PAGE_SIZE) == NULL);
    char *more = kheap_alloc(&heap, PAGE_SIZE - 80);
    CHECK(more != NULL);
    CHECK_EQ(fake.segment.length, 2 * PAGE_SIZE);
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, small);
    kheap_free(&heap, more);
    check_empty();
}

TEST(kheap_segment_does_not_flutter)
{
    new_heap(LIMIT);
    char *keep = kheap_alloc(&heap, 2 * MIB);
    char *page = kheap_alloc(&heap, PAGE_SIZE);
    size_t calls = fake.extend_count + fake.shrink_count;

    for (size_t i = 0; i < 1000; i++) {
        kheap_free(&heap, page);
        page = kheap_alloc(&heap, 1 + test_random_below(16 * PAGE_SIZE));
    }
    CHECK(fake.extend_count + fake.shrink_count - calls <= 16);
    kheap_free(&heap, page);

    /* what is much too long is given back without being asked for */
    kheap_free(&heap, kheap_alloc(&heap, 8 * MIB));
    CHECK(fake.segment.length < 3 * MIB);
    CHECK(stat_of().peak_segment > 10 * MIB);
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, keep);
    check_empty();
}

TEST(kheap_trims_by_the_segment_it_has_now)
{
    new_heap(LIMIT);
    char *first = kheap_alloc(&heap, 600 * KIB);    /* FLLLLLLLLLLLLLLLL */
    char *last = kheap_alloc(&heap, 8 * MIB);

    kheap_free(&heap, last);                        /* F..  by what 8 MiB may keep */
    CHECK(fake.segment.length > 600 * KIB && fake.segment.length < MIB);
    kheap_free(&heap, first);                       /* .    by what less than 1 MiB may */
    CHECK(fake.segment.length < 128 * KIB);
    CHECK_EQ(fake.shrink_count, 2);
    check_empty();
}

TEST(kheap_trim_keeps_what_is_asked)
{
    new_heap(LIMIT);
    char *first = kheap_alloc(&heap, 100);
    char *second = kheap_alloc(&heap, 100 * KIB);
    kheap_free(&heap, second);
    size_t before = fake.segment.length;

    CHECK_EQ(kheap_trim(&heap, SIZE_MAX), 0);
    CHECK_EQ(kheap_trim(&heap, MIB), 0);
    size_t bytes = kheap_trim(&heap, 20 * KIB);
    CHECK(bytes > 0 && bytes % PAGE_SIZE == 0);
    CHECK_EQ(fake.segment.length, before - bytes);
    CHECK(stat_of().tail >= 20 * KIB && stat_of().tail < 20 * KIB + 2 * PAGE_SIZE);
    CHECK_OK(kheap_check(&heap));
    CHECK(kheap_trim(&heap, 0) > 0);
    CHECK_EQ(fake.segment.length, PAGE_SIZE);
    CHECK_EQ(kheap_trim(&heap, 0), 0);
    CHECK_OK(kheap_check(&heap));
    char *again = kheap_alloc(&heap, 100 * KIB);
    CHECK(again != NULL);
    paint(again, 100 * KIB, 3);
    kheap_free(&heap, first);
    kheap_free(&heap, again);
    check_empty();
    CHECK_EQ(kheap_trim(&heap, 0), 0);
}

/* A fixed piece of work in which any allocation may fail. => whether one did */
static bool some_work(void)
{
    static const size_t sizes[] = { 100, 9000, 40000, 24, 300000, 5000, 0, 70000 };
    char *buffer[ARRAY_LENGTH(sizes)];
    bool failed = false;

    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        buffer[i] = i % 3 == 2 ? kheap_memalign(&heap, 4096, sizes[i])
                               : kheap_alloc(&heap, sizes[i]);
        failed = failed || buffer[i] == NULL;
        if (buffer[i] != NULL)
            paint(buffer[i], sizes[i], i);
        CHECK_OK(kheap_check(&heap));
    }
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        char *moved = buffer[i] == NULL ? NULL : kheap_realloc(&heap, buffer[i], sizes[i] * 2 + 1);
        failed = failed || moved == NULL;
        if (moved != NULL)
            buffer[i] = moved;
        CHECK_OK(kheap_check(&heap));
    }
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        CHECK(buffer[i] == NULL || painted(buffer[i], sizes[i], i));
        kheap_free(&heap, buffer[i]);
    }
    return failed;
}

TEST(kheap_every_extension_may_fail)
{
    size_t failures = 0;

    for (size_t n = 1; ; n++) {
        new_heap(LIMIT);
        fake.fail_at = n;
        bool failed = some_work();
        bool done = fake.extend_count < n;
        check_empty();
        failures += failed;
        if (done)
            break;
    }
    /* and with no fallback to a smaller extension either */
    for (size_t pages = 1; pages < 100; pages += 7) {
        new_heap(LIMIT);
        fake.most_pages = pages;
        failures += some_work();
        check_empty();
    }
    CHECK(failures > 0);
}

/* --- krealloc --- */

TEST(kheap_realloc_of_null_and_to_zero)
{
    new_heap(LIMIT);
    char *buffer = kheap_realloc(&heap, NULL, 1000);
    CHECK(buffer != NULL);
    CHECK(kheap_realloc(&heap, buffer, 0) == buffer);
    CHECK_EQ(kheap_usable_size(&heap, buffer), SMALLEST - WORD);
    kheap_free(&heap, buffer);
    check_empty();
}

TEST(kheap_realloc_in_place)
{
    new_heap(LIMIT);
    char *a = buffer_of(1024);          /* AAAABBBBC */
    char *b = buffer_of(1024);
    char *c = buffer_of(SMALLEST);
    paint(a, 1000, 7);

    kheap_free(&heap, b);               /* AAAA....C  to  AAAAAA..C */
    CHECK(kheap_realloc(&heap, a, size_for(1536)) == a);
    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(kheap_usable_size(&heap, a), size_for(1536));
    CHECK(kheap_realloc(&heap, a, size_for(2048)) == a);    /* AAAAAAAAC: the whole gap */
    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(stat_of().gap_count, 1);
    CHECK(kheap_realloc(&heap, a, size_for(512)) == a);     /* AA......C */
    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(stat_of().gap_count, 2);
    CHECK(painted(a, 500, 7));

    /* the last superbuffer grows into the tail, and the tail by an extension */
    paint(c, SMALLEST - WORD, 8);
    CHECK(kheap_realloc(&heap, c, MIB) == c);
    CHECK(painted(c, SMALLEST - WORD, 8));
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, a);
    kheap_free(&heap, c);
    check_empty();
}

TEST(kheap_realloc_moves_or_fails)
{
    new_heap(MIB);
    char *a = kheap_alloc(&heap, 1000);
    char *wall = kheap_alloc(&heap, 1);
    paint(a, 1000, 9);

    char *moved = kheap_realloc(&heap, a, 2000);
    CHECK(moved != NULL && moved != a);
    CHECK(painted(moved, 1000, 9));
    CHECK_OK(kheap_check(&heap));
    char *last = kheap_alloc(&heap, 1);
    kheap_stat_t before = stat_of();
    CHECK(kheap_realloc(&heap, moved, 2 * MIB) == NULL);
    CHECK(kheap_realloc(&heap, moved, SIZE_MAX) == NULL);
    CHECK(kheap_realloc(&heap, last, 2 * MIB) == NULL);
    CHECK_EQ(stat_of().used, before.used);
    CHECK_EQ(stat_of().free, before.free);
    CHECK(painted(moved, 1000, 9));
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, moved);
    kheap_free(&heap, wall);
    kheap_free(&heap, last);
    check_empty();
}

/* --- kmemalign --- */

TEST(kheap_memalign_every_power_of_two)
{
    char *buffer[64];
    size_t count = 0;

    new_heap(LIMIT);
    for (size_t align = 1; align <= 256 * KIB; align *= 2) {
        for (size_t size = 1; size <= 100000; size *= 317, count++) {
            buffer[count] = kheap_memalign(&heap, align, size);
            CHECK(buffer[count] != NULL);
            check_aligned(buffer[count], align);
            check_aligned(buffer[count], KHEAP_ALIGN);
            CHECK(kheap_usable_size(&heap, buffer[count]) >= size);
            paint(buffer[count], size, count);
            CHECK_OK(kheap_check(&heap));
        }
    }
    CHECK(kheap_memalign(&heap, 0, 8) == NULL);
    CHECK(kheap_memalign(&heap, 48, 8) == NULL);
    for (size_t i = 0; i < count; i++) {
        kheap_free(&heap, buffer[i]);
        CHECK_OK(kheap_check(&heap));
    }
    check_empty();
}

TEST(kheap_memalign_uses_gaps)
{
    new_heap(LIMIT);
    char *a = buffer_of(3 * PAGE_SIZE);
    char *wall = buffer_of(SMALLEST);
    size_t length = fake.segment.length;

    kheap_free(&heap, a);               /* a page and its alignment fit the gap */
    char *page = kheap_memalign(&heap, PAGE_SIZE, PAGE_SIZE);
    CHECK(page > a && page < wall);
    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(stat_of().gap_count, 3);
    CHECK_EQ(fake.segment.length, length);
    kheap_free(&heap, page);
    CHECK_EQ(stat_of().gap_count, 2);
    kheap_free(&heap, wall);
    check_empty();
}

TEST(kheap_memalign_takes_a_larger_gap_when_the_best_is_not_aligned)
{
    new_heap(LIMIT);
    char *near = buffer_of(PAGE_SIZE + 2 * SMALLEST);
    char *wall = buffer_of(SMALLEST);
    char *far = buffer_of(3 * PAGE_SIZE);
    char *end = buffer_of(SMALLEST);
    size_t length = fake.segment.length;

    CHECK(align_up((size_t)near, PAGE_SIZE) - (size_t)near > 2 * SMALLEST);
    kheap_free(&heap, near);            /* ..W....E: a page fits the first, but nowhere aligned */
    kheap_free(&heap, far);
    char *page = kheap_memalign(&heap, PAGE_SIZE, PAGE_SIZE);
    CHECK(page > far && page < end);
    CHECK_EQ(fake.segment.length, length);
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, page);
    kheap_free(&heap, wall);
    kheap_free(&heap, end);
    check_empty();
}

TEST(kheap_stat_tells_fragmentation)
{
    new_heap(LIMIT);
    CHECK_EQ(stat_of().external, 0);
    char *a = buffer_of(1024);
    char *wall = buffer_of(SMALLEST);
    CHECK_EQ(stat_of().internal, 2 * WORD);
    CHECK_EQ(stat_of().external, 0);            /* one gap, which is all of it */
    kheap_free(&heap, a);
    kheap_stat_t stat = stat_of();
    CHECK_EQ(stat.external, (1024 * 1000 + stat.free - 1) / stat.free);
    kheap_free(&heap, wall);
    CHECK_EQ(stat_of().internal, 0);

    char *large = buffer_of(8 * MIB);
    wall = buffer_of(SMALLEST);
    char *half = buffer_of(4 * MIB);
    char *last = buffer_of(SMALLEST);
    kheap_free(&heap, large);
    kheap_free(&heap, half);
    CHECK(stat_of().external >= 333 && stat_of().external <= 345);
    large = buffer_of(8 * MIB);
    kheap_free(&heap, wall);
    CHECK(stat_of().external < 20);
    kheap_free(&heap, large);
    kheap_free(&heap, last);
    check_empty();
}

TEST(kheap_damaged_end_is_reported_and_stays)
{
    static const size_t overruns[] = { 0, 0x41414141, SIZE_MAX, 0x20202020, 2, 0x40, 0xf2 };

    new_heap(LIMIT);
    char *a = buffer_of(256);
    char *last = buffer_of(stat_of().tail);     /* no tail */
    size_t *end = (size_t *)heap.end;
    size_t kept = *end;

    for (size_t i = 0; i < ARRAY_LENGTH(overruns); i++) {
        *end = overruns[i];
        CHECK(kheap_alloc(&heap, 5000) == NULL);
        CHECK_EQ(host_misuse_count(), i + 1);
        CHECK(strstr(host_misuse_last(), "kmalloc: the end of the segment") == host_misuse_last());
        CHECK_EQ(*end, overruns[i]);
        *end = kept;
        CHECK_OK(kheap_check(&heap));
    }
    kheap_free(&heap, last);
    kheap_free(&heap, a);
    check_empty();
}

#endif
