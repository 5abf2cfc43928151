/* The tests of who has the memory of a heap at level full. */
#ifndef KHEAP_LEAKS_CASES_H
#define KHEAP_LEAKS_CASES_H

#include "kheap_full_cases.h"

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

#endif
