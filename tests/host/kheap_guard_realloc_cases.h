/* The tests of krealloc into and out of a pool, and of a pool at level full. */
#ifndef KHEAP_GUARD_REALLOC_CASES_H
#define KHEAP_GUARD_REALLOC_CASES_H

#include "kheap_guard_scene.h"

/* ---- krealloc */

TEST(kheap_guard_realloc_moves)
{
    static const size_t sizes[] = { 50, 200, 10, 0, 5000, 9000, 300, 4096, 4097, 1 };
    char *buffer;
    size_t size = 100;

    new_heap(SLOTS, 1, 13);
    buffer = kheap_realloc(&heap, NULL, size);
    CHECK(is_guarded(buffer));
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        size_t least = sizes[i] < size ? sizes[i] : size;

        paint(buffer, size, i);
        char *moved = kheap_realloc(&heap, buffer, sizes[i]);
        CHECK(moved != NULL && (moved != buffer || !is_guarded(buffer)));
        CHECK_EQ(is_guarded(moved), sizes[i] <= PAGE_SIZE);
        CHECK(painted(moved, least, i));
        CHECK(!is_guarded(buffer) || faults(buffer, false));
        CHECK_OK(kheap_check(&heap));
        buffer = moved;
        size = sizes[i];
    }
    kheap_free(&heap, buffer);
    check_empty();
}

TEST(kheap_guard_realloc_without_memory)
{
    new_heap(2, 1, 14);
    char *buffer = kheap_alloc(&heap, 100);
    char *other = kheap_alloc(&heap, 100);

    paint(buffer, 100, 1);
    fake_guard.fail_at = SIZE_MAX;
    fake.segment.limit = 0;
    CHECK(kheap_realloc(&heap, buffer, 101) == NULL);
    CHECK(kheap_realloc(&heap, buffer, PAGE_SIZE + 1) == NULL);
    CHECK(kheap_realloc(&heap, buffer, 100) == buffer);     /* it is no longer than that */
    CHECK(kheap_realloc(&heap, buffer, 50) == buffer);
    CHECK(painted(buffer, 100, 1));
    CHECK_EQ(kheap_usable_size(&heap, buffer), 100);
    CHECK_OK(kheap_check(&heap));
    fake.segment.limit = LIMIT;
    kheap_free(&heap, buffer);
    kheap_free(&heap, other);
    check_empty();
}

TEST(kheap_guard_realloc_from_the_heap)
{
    new_heap(SLOTS, 0, 15);
    char *buffer = kheap_alloc(&heap, 100);
    char *large = kheap_alloc(&heap, 10000);
    char *stays = kheap_alloc(&heap, 100);

    paint(buffer, 100, 2);
    paint(large, 10000, 3);
    CHECK(!is_guarded(stays) && kheap_realloc(&heap, stays, 90) == stays);  /* not due */
    CHECK_EQ(kheap_guard_tune(&heap, 1), 0);
    buffer = kheap_realloc(&heap, buffer, 2000);
    CHECK(is_guarded(buffer) && painted(buffer, 100, 2));
    large = kheap_realloc(&heap, large, 2000);
    CHECK(is_guarded(large) && painted(large, 2000, 3));
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, buffer);
    kheap_free(&heap, large);
    kheap_free(&heap, stays);
    check_empty();
}

/* ---- level full */

TEST(guard_serves_full_heaps)
{
    char *buffer[6];

    new_heap(4, 1, 9);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_LEVEL, KHEAP_FULL), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(buffer); i++) {
        buffer[i] = kheap_alloc(&heap, 100 + i);
        CHECK(buffer[i] != NULL && is_guarded(buffer[i]) == (i < 4));
        CHECK_EQ(kheap_usable_size(&heap, buffer[i]), 100 + i);
        paint(buffer[i], 100 + i, i);
    }
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, buffer[0]);
    buffer[4] = kheap_realloc(&heap, buffer[4], 50);    /* into the pool */
    CHECK(is_guarded(buffer[4]) && painted(buffer[4], 50, 4));
    buffer[1] = kheap_realloc(&heap, buffer[1], 500);   /* out of it: it is full */
    CHECK(!is_guarded(buffer[1]) && painted(buffer[1], 101, 1));
    buffer[0] = kheap_memalign(&heap, 256, 60);
    CHECK(is_guarded(buffer[0]) && (size_t)buffer[0] % 256 == 0);
    CHECK_OK(kheap_check(&heap));
    for (size_t i = 0; i < ARRAY_LENGTH(buffer); i++)
        kheap_free(&heap, buffer[i]);
    check_empty();
    kheap_free(&heap, buffer[0]);
    CHECK_EQ(host_misuse_count(), 1);
    CHECK(strstr(host_misuse_last(), "free already") != NULL);
}

/* krealloc moves for its caller: into the pool, out of it, and when it is given no buffer. */
TEST(guard_serves_full_heaps_for_their_callers)
{
    const size_t site = 0x1111;
    kheap_site_t row[2];

    new_heap(1, 1, 9);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_LEVEL, KHEAP_FULL), 0);
    char *out = kheap_full_alloc(&heap, 100, site);
    CHECK(is_guarded(out));
    out = kheap_full_realloc(&heap, out, 2 * PAGE_SIZE, 0x2222);
    CHECK(!is_guarded(out));
    CHECK_EQ(kheap_leaks(&heap, row, 2, NULL, 0), 1);
    CHECK_EQ(row[0].site, 0x2222);

    char *in = kheap_full_realloc(&heap, out, 100, site);
    CHECK(is_guarded(in));
    kheap_full_free(&heap, out, 0x3333);        /* free already: by krealloc's caller */
    CHECK_EQ(host_misuse_count(), 1);
    CHECK(strstr(host_misuse_last(), "freed by the call at 0x1111") != NULL);
    kheap_full_free(&heap, in, site);
    CHECK(kheap_full_realloc(&heap, out, 100, 0x4444) == NULL);
    CHECK_EQ(host_misuse_count(), 2);
    CHECK(strstr(host_misuse_last(), "krealloc(") == host_misuse_last());
    CHECK(strstr(host_misuse_last(), "the call: the call at 0x4444") != NULL);
    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(guard.used, 0);
}

#endif
