/* The tests of guard mode: where buffers are, what faults there, slots, whose turn it is. */
#ifndef KHEAP_GUARD_SLOT_CASES_H
#define KHEAP_GUARD_SLOT_CASES_H

#include "kheap_guard_scene.h"

/* ---- where buffers are */

TEST(kheap_guard_places_left_and_right)
{
    size_t lefts = 0;

    new_heap(SLOTS, 1, 1);
    for (size_t size = 1; size <= PAGE_SIZE - KHEAP_ALIGN; size += 1 + size / 50) {
        char *buffer = kheap_alloc(&heap, size);
        char *page = (char *)align_down((size_t)buffer, PAGE_SIZE);
        char *end = buffer + size;

        CHECK(is_guarded(buffer));
        CHECK_EQ((size_t)buffer % KHEAP_ALIGN, 0);
        CHECK_EQ(kheap_usable_size(&heap, buffer), size);
        CHECK(all_bytes(buffer, end, FRESH));
        CHECK(all_bytes(page, buffer, PATTERN));
        CHECK(all_bytes(end, page + PAGE_SIZE, PATTERN));
        CHECK(is_left(buffer) || end + KHEAP_ALIGN > page + PAGE_SIZE);
        CHECK(faults(page - 1, false) && faults(page + PAGE_SIZE, false));
        CHECK_OK(kheap_check(&heap));
        lefts += is_left(buffer);
        kheap_free(&heap, buffer);
    }
    CHECK(lefts > guard.served / 3 && lefts < guard.served * 2 / 3);
    check_empty();
}

TEST(kheap_guard_of_a_page)
{
    new_heap(SLOTS, 1, 2);
    for (size_t i = 0; i < 20; i++) {
        char *buffer = kheap_alloc(&heap, PAGE_SIZE);

        CHECK(is_guarded(buffer) && is_left(buffer));
        CHECK(!faults(buffer, true) && !faults(buffer + PAGE_SIZE - 1, true));
        CHECK(faults(buffer - 1, true) && faults(buffer + PAGE_SIZE, true));
        CHECK_OK(kheap_check(&heap));
        kheap_free(&heap, buffer);
    }
    char *longer = kheap_alloc(&heap, PAGE_SIZE + 1);
    CHECK(longer != NULL && !is_guarded(longer));
    CHECK_EQ(guard.refused, 0);         /* it was not due */
    kheap_free(&heap, longer);
    check_empty();
}

TEST(kheap_guard_of_nothing)
{
    new_heap(SLOTS, 1, 3);
    for (size_t i = 0; i < 20; i++) {
        char *buffer = kheap_alloc(&heap, 0);

        CHECK(is_guarded(buffer));
        CHECK_EQ(kheap_usable_size(&heap, buffer), 1);
        CHECK(!faults(buffer, true));
        kheap_free(&heap, buffer);
    }
    check_empty();
}

TEST(kheap_guard_aligns)
{
    size_t rights = 0;

    new_heap(SLOTS, 1, 4);
    for (size_t align = 1; align <= PAGE_SIZE; align *= 2) {
        for (size_t size = 1; size <= PAGE_SIZE; size = size * 3 + 1) {
            char *buffer = kheap_memalign(&heap, align, size);
            size_t step = align < KHEAP_ALIGN ? KHEAP_ALIGN : align;
            size_t end = align_down((size_t)buffer, PAGE_SIZE) + PAGE_SIZE;

            CHECK(is_guarded(buffer));
            CHECK_EQ((size_t)buffer % step, 0);
            CHECK(is_left(buffer) || end - ((size_t)buffer + size) < step);
            rights += !is_left(buffer);
            CHECK_OK(kheap_check(&heap));
            kheap_free(&heap, buffer);
        }
    }
    CHECK(rights > 10);
    char *other = kheap_memalign(&heap, 2 * PAGE_SIZE, 1);
    CHECK(other != NULL && !is_guarded(other));
    CHECK(kheap_memalign(&heap, 3, 1) == NULL);
    kheap_free(&heap, other);
    check_empty();
}

TEST(kheap_guard_clears)
{
    new_heap(SLOTS, 1, 5);
    char *buffer = kheap_calloc(&heap, 10, 10);

    CHECK(is_guarded(buffer) && all_bytes(buffer, buffer + 100, 0));
    kheap_free(&heap, buffer);
    check_empty();
}

/* ---- accesses that are wrong */

TEST(kheap_guard_faults_past_the_end)
{
    new_heap(SLOTS, 1, 6);
    char *buffer = buffer_at(false, 112);

    CHECK(!faults(buffer, true) && !faults(buffer + 111, true));
    CHECK(faults(buffer + 112, false) && faults(buffer + 112, true));
    CHECK(faults(buffer + 112 + PAGE_SIZE - 1, false));
    kheap_free(&heap, buffer);
    buffer = buffer_at(false, 100);         /* 12 bytes are left by alignment */
    CHECK(!faults(buffer + 111, false) && faults(buffer + 112, false));
    kheap_free(&heap, buffer);
    check_empty();
}

TEST(kheap_guard_faults_before_the_start)
{
    new_heap(SLOTS, 1, 7);
    char *buffer = buffer_at(true, 100);

    CHECK(!faults(buffer, true));
    CHECK(faults(buffer - 1, false) && faults(buffer - 1, true));
    CHECK(faults(buffer - PAGE_SIZE, false));
    kheap_free(&heap, buffer);
    check_empty();
}

TEST(kheap_guard_faults_after_kfree)
{
    new_heap(SLOTS, 1, 8);
    for (size_t i = 0; i < 4; i++) {
        char *buffer = buffer_at(i % 2 == 0, 100);

        kheap_free(&heap, buffer);
        for (size_t at = 0; at < 100; at += 33)
            CHECK(faults(buffer + at, false) && faults(buffer + at, true));
    }
    check_empty();
}

/* ---- slots */

TEST(kheap_guard_uses_a_slot_after_all_others)
{
    char *buffer[SLOTS];
    size_t base;

    new_heap(SLOTS, 1, 9);
    base = fake_guard.pages.base;
    for (size_t i = 0; i < SLOTS; i++) {
        buffer[i] = kheap_alloc(&heap, 64);         /* 0123456 */
        CHECK_EQ(((size_t)buffer[i] - base) / PAGE_SIZE, 2 * i + 1);
    }
    static const size_t order[] = { 3, 0, 6, 1 };
    for (size_t i = 0; i < ARRAY_LENGTH(order); i++)
        kheap_free(&heap, buffer[order[i]]);        /* ..2.45.  */
    CHECK_OK(kheap_check(&heap));
    for (size_t i = 0; i < 3 * ARRAY_LENGTH(order); i++) {
        char *again = kheap_alloc(&heap, 64);
        CHECK_EQ(((size_t)again - base) / PAGE_SIZE, 2 * order[i % ARRAY_LENGTH(order)] + 1);
        kheap_free(&heap, again);
    }
    kheap_free(&heap, buffer[2]);
    kheap_free(&heap, buffer[4]);
    kheap_free(&heap, buffer[5]);
    check_empty();
}

TEST(kheap_guard_is_full)
{
    char *buffer[KHEAP_GUARD_SLOTS];

    new_heap(KHEAP_GUARD_SLOTS, 1, 10);
    for (size_t i = 0; i < KHEAP_GUARD_SLOTS; i++) {
        buffer[i] = kheap_alloc(&heap, i);
        CHECK(is_guarded(buffer[i]));
    }
    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(guard.free, 0);
    char *other = kheap_alloc(&heap, 10);
    CHECK(other != NULL && !is_guarded(other));
    CHECK_EQ(guard.refused, 1);
    CHECK_EQ(guard.served, KHEAP_GUARD_SLOTS);
    kheap_free(&heap, buffer[77]);
    CHECK(kheap_alloc(&heap, 10) != NULL);
    CHECK_EQ(guard.slot[77].state, GUARD_USED);
    buffer[77] = (char *)guard.slot[77].buffer;
    kheap_free(&heap, other);
    for (size_t i = 0; i < KHEAP_GUARD_SLOTS; i++)
        kheap_free(&heap, buffer[i]);
    check_empty();
}

TEST(kheap_guard_of_one_slot)
{
    new_heap(1, 1, 11);
    for (size_t i = 0; i < 10; i++) {
        char *buffer = kheap_alloc(&heap, 10);
        char *other = kheap_alloc(&heap, 10);

        CHECK(is_guarded(buffer) && !is_guarded(other));
        kheap_free(&heap, buffer);
        kheap_free(&heap, other);
    }
    check_empty();
}

TEST(kheap_guard_goes_on_without_a_page)
{
    char *buffer[SLOTS];

    for (size_t n = 1; n <= SLOTS; n++) {
        new_heap(SLOTS, 1, 12);
        fake_guard.fail_at = n;
        for (size_t i = 0; i < SLOTS; i++) {
            buffer[i] = kheap_alloc(&heap, 100);
            CHECK(buffer[i] != NULL);
            CHECK_EQ(is_guarded(buffer[i]), i + 1 != n);
            CHECK_OK(kheap_check(&heap));
        }
        CHECK_EQ(guard.refused, 1);
        CHECK_EQ(guard.used, SLOTS - 1);
        for (size_t i = 0; i < SLOTS; i++)
            kheap_free(&heap, buffer[i]);
        check_empty();
    }
    new_heap(SLOTS, 1, 12);
    fake_guard.fail_at = SIZE_MAX;
    fake.most_pages = 1;
    fake.fail_at = 1;
    CHECK(kheap_alloc(&heap, PAGE_SIZE) == NULL);       /* nor in the heap */
    CHECK_OK(kheap_check(&heap));
    check_empty();
}

/* ---- whose turn it is */

TEST(kheap_guard_takes_one_in_n)
{
    for (size_t every = 1; every <= 100; every = every * 3 + 1) {
        size_t since = 0;
        size_t longest = 0;

        new_heap(SLOTS, every, (uint32_t)every);
        for (size_t i = 0; i < 400 * every; i++) {
            void *buffer = kheap_alloc(&heap, 100);

            since++;
            if (is_guarded(buffer)) {
                longest = since > longest ? since : longest;
                since = 0;
            }
            kheap_free(&heap, buffer);
        }
        CHECK(guard.served >= 360 && guard.served <= 440);
        CHECK(longest <= 2 * every - 1 && longest >= 2 * every - 1 - every / 8);
        check_empty();
    }
}

TEST(kheap_guard_can_be_off)
{
    new_heap(SLOTS, 1, 0);              /* a seed of 0 will do */
    char *buffer = kheap_alloc(&heap, 10);
    CHECK(is_guarded(buffer));
    CHECK_EQ(kheap_guard_tune(&heap, KHEAP_GUARD_EVERY_MAX + 1), -EINVAL);
    CHECK_EQ(guard.every, 1);
    CHECK_EQ(kheap_guard_tune(&heap, KHEAP_GUARD_EVERY_MAX), 0);
    CHECK(guard.until >= 1 && guard.until < 2 * KHEAP_GUARD_EVERY_MAX);
    CHECK_EQ(kheap_guard_tune(&heap, 0), 0);
    for (size_t i = 0; i < 100; i++) {
        void *other = kheap_alloc(&heap, 10);
        CHECK(!is_guarded(other));
        kheap_free(&heap, other);
    }
    CHECK_EQ(kheap_usable_size(&heap, buffer), 10);
    kheap_free(&heap, buffer);          /* it was there still */
    check_empty();
    fake_segment_destroy(&fake);
    kheap_init(&heap, fake_segment_init(&fake, LIMIT));
    CHECK_EQ(kheap_guard_tune(&heap, 1), -EINVAL);      /* no pool */
    CHECK(!kheap_guard_explain(&heap, fake_guard.pages.base, "read", NULL, 0));
}

#endif
