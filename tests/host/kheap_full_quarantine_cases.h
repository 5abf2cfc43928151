/* The tests of the quarantine of a heap at level full. */
#ifndef KHEAP_FULL_QUARANTINE_CASES_H
#define KHEAP_FULL_QUARANTINE_CASES_H

#include "kheap_full_cases.h"

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

/* --- What leaves it --- */

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

#endif
