/*
 * The tests of what the heap says of misuse and of writes to memory that is free.
 */
#ifndef KHEAP_MISUSE_CASES_H
#define KHEAP_MISUSE_CASES_H

#include "kheap_cases.h"

static size_t *word_of(void *buffer)
{
    return (size_t *)buffer - 1;
}

/* --- Misuse --- */

/* What was done was reported, and changed nothing. */
#define CHECK_MISUSE(before, words) check_misuse(before, words, __LINE__)

static void check_misuse(const kheap_stat_t *before, const char *words, int line)
{
    kheap_stat_t after = stat_of();

    if (after.misuse_count != before->misuse_count + 1)
        test_fail(__FILE__, line, "not reported: %s", words);
    CHECK_EQ(host_misuse_count(), after.misuse_count);
    if (strstr(host_misuse_last(), words) == NULL)
        test_fail(__FILE__, line, "\"%s\" does not say \"%s\"", host_misuse_last(), words);
    after.misuse_count = before->misuse_count;
    after.last_visited_count = before->last_visited_count;
    CHECK(memcmp(&after, before, sizeof(after)) == 0);
}

TEST(kheap_free_of_null_does_nothing)
{
    new_heap(LIMIT);
    kheap_free(&heap, NULL);
    CHECK_EQ(kheap_usable_size(&heap, NULL), 0);
    CHECK_EQ(stat_of().misuse_count, 0);
    check_empty();
}

TEST(kheap_double_free_is_reported)
{
    new_heap(LIMIT);
    char *a = buffer_of(128);
    char *b = buffer_of(128);
    char *c = buffer_of(128);
    char *wall = buffer_of(128);

    /* alone, merged into the gap before, merged with both, and twice the same */
    kheap_free(&heap, a);
    kheap_stat_t before = stat_of();
    kheap_free(&heap, a);
    CHECK_MISUSE(&before, "free already");
    kheap_free(&heap, b);
    before = stat_of();
    kheap_free(&heap, b);
    CHECK_MISUSE(&before, "free already");
    kheap_free(&heap, c);
    before = stat_of();
    kheap_free(&heap, c);
    CHECK_MISUSE(&before, "of 384 bytes");
    before = stat_of();
    kheap_free(&heap, b);
    CHECK_MISUSE(&before, "free already");
    before = stat_of();
    CHECK(kheap_realloc(&heap, b, 10) == NULL);
    CHECK_MISUSE(&before, "krealloc");
    before = stat_of();
    CHECK_EQ(kheap_usable_size(&heap, a), 0);
    CHECK_MISUSE(&before, "kmalloc_usable_size");
    kheap_free(&heap, wall);
    before = stat_of();
    kheap_free(&heap, wall);            /* in the tail */
    CHECK_MISUSE(&before, "free already");
    check_empty();
}

TEST(kheap_stale_pointers_into_a_new_buffer_are_reported)
{
    new_heap(LIMIT);
    char *a = buffer_of(128);
    char *b = buffer_of(128);
    char *wall = buffer_of(128);

    kheap_free(&heap, a);               /* AABBW  to  ....W  to  CCCCW */
    kheap_free(&heap, b);
    char *c = buffer_of(256);
    CHECK(c == a);
    kheap_stat_t before = stat_of();
    kheap_free(&heap, b);
    CHECK_MISUSE(&before, "inside the buffer");
    kheap_free(&heap, c);
    kheap_free(&heap, wall);
    check_empty();
}

TEST(kheap_foreign_pointers_are_reported)
{
    size_t on_stack[4] = { 0 };

    new_heap(LIMIT);
    kheap_stat_t before = stat_of();
    kheap_free(&heap, on_stack);        /* of an empty heap */
    CHECK_MISUSE(&before, "not in the heap");

    char *a = buffer_of(1024);
    char *b = buffer_of(1024);
    for (size_t fill = 0; fill < 256; fill += 15) {
        memset(a, (int)fill, 1024 - WORD);
        for (size_t i = 1; i < 1024 - WORD; i++) {
            before = stat_of();
            kheap_free(&heap, a + i);
            CHECK_MISUSE(&before, "inside the buffer");
        }
    }
    before = stat_of();
    kheap_free(&heap, b + 16 * MIB);
    CHECK_MISUSE(&before, "not in the heap");
    before = stat_of();
    kheap_free(&heap, (void *)(fake.segment.base + fake.segment.length));
    CHECK_MISUSE(&before, "not in the heap");
    before = stat_of();
    kheap_free(&heap, (void *)fake.segment.base);
    CHECK_MISUSE(&before, "not in the heap");
    before = stat_of();
    kheap_free(&heap, (void *)1);
    CHECK_MISUSE(&before, "not in the heap");
    kheap_free(&heap, a);
    kheap_free(&heap, b);
    check_empty();
}

/* Each byte of the word at `victim` set to other values: is freeing `buffer` refused? */
static void damage_each_byte(char *buffer, void *victim, const char *words)
{
    unsigned char *byte = victim;

    for (size_t i = 0; i < WORD; i++) {
        unsigned char kept = byte[i];
        for (size_t value = 0; value < 256; value += 5) {
            if (value == kept)
                continue;
            kheap_stat_t before = stat_of();
            byte[i] = (unsigned char)value;
            CHECK(kheap_check(&heap) != NULL);
            if (WORD == 8)      /* on 32-bit, four check bits let some pass */
                kheap_free(&heap, buffer);
            byte[i] = kept;
            CHECK_OK(kheap_check(&heap));
            if (WORD == 8)
                CHECK_MISUSE(&before, words);
        }
    }
}

TEST(kheap_damaged_registries_are_reported)
{
    new_heap(LIMIT);
    char *a = buffer_of(256);
    char *b = buffer_of(256);
    char *c = buffer_of(256);
    char *d = buffer_of(256);
    char *wall = buffer_of(256);

    damage_each_byte(b, word_of(b), "is damaged");
    damage_each_byte(b, word_of(c), "is damaged");  /* overrun by b */
    kheap_free(&heap, c);
    damage_each_byte(b, word_of(c), "is damaged");  /* the gap behind it */
    damage_each_byte(b, word_of(d) - 1, "is damaged");
    damage_each_byte(d, word_of(d) - 1, "is damaged");

    /* whole words, as an overrun writes them, on any machine */
    static const size_t overruns[] = { 0, 0x41414141, SIZE_MAX, 0x20202020, 1, 2, 4, 0x110 };
    for (size_t i = 0; i < ARRAY_LENGTH(overruns); i++) {
        size_t kept = *word_of(b);
        kheap_stat_t before = stat_of();
        *word_of(b) = overruns[i];
        kheap_free(&heap, a);
        *word_of(b) = kept;
        CHECK_MISUSE(&before, "is damaged");
    }
    kheap_free(&heap, a);
    kheap_free(&heap, d);
    kheap_free(&heap, b);
    kheap_free(&heap, wall);
    check_empty();
}

/* --- Writes to memory that is free, which debug builds find --- */

TEST(kheap_overwritten_links_are_reported)
{
    static const size_t lengths[] = { 512, 2048, 8192 };    /* in a ring, a trie, both trees */

    if (!FILLS)
        test_skip("not a debug build");
    new_heap(LIMIT);
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
        size_t size = size_for(lengths[i]);
        size_t align = 2 * SMALLEST;
        size_t links[2];

        char *left = buffer_of(256);
        char *gap = buffer_of(lengths[i]);
        char *right = buffer_of(256);
        kheap_free(&heap, gap);
        kheap_free(&heap, kheap_alloc(&heap, size));
        kheap_free(&heap, kheap_memalign(&heap, align, size / 2));
        memcpy(links, gap, sizeof(links));
        memset(gap, 0x41, sizeof(links));

        CHECK(kheap_check(&heap) != NULL);
        kheap_stat_t before = stat_of();
        CHECK(kheap_alloc(&heap, size) == NULL);
        CHECK_MISUSE(&before, "kmalloc: the gap");
        before = stat_of();
        CHECK(kheap_memalign(&heap, align, size / 2) == NULL);
        CHECK_MISUSE(&before, "kmemalign: the gap");
        before = stat_of();
        CHECK(kheap_realloc(&heap, left, size) == NULL);
        CHECK_MISUSE(&before, "next to it is damaged");
        before = stat_of();
        kheap_free(&heap, left);
        CHECK_MISUSE(&before, "next to it is damaged");
        before = stat_of();
        kheap_free(&heap, right);
        CHECK_MISUSE(&before, "next to it is damaged");

        memcpy(gap, links, sizeof(links));
        CHECK_OK(kheap_check(&heap));
        CHECK(kheap_alloc(&heap, size) == gap);
        kheap_free(&heap, left);
        kheap_free(&heap, right);
        kheap_free(&heap, gap);
        check_empty();
    }
}

/* The last call reported a write to this byte of the buffer that it made. */
static void check_reported_write(const char *call, const char *buffer, const char *byte)
{
    char words[64];
    size_t count = stat_of().misuse_count;

    CHECK_EQ(host_misuse_count(), count);
    CHECK(strstr(host_misuse_last(), call) == host_misuse_last());
    format_text(words, sizeof(words), "buffer %p ", (const void *)buffer);
    CHECK(strstr(host_misuse_last(), words) != NULL);
    format_text(words, sizeof(words), "at %p, byte %zu of it", (const void *)byte,
                (size_t)(byte - buffer));
    CHECK(strstr(host_misuse_last(), words) != NULL);
    CHECK_OK(kheap_check(&heap));
}

TEST(kheap_write_after_free_is_reported)
{
    if (!FILLS)
        test_skip("not a debug build");
    new_heap(LIMIT);
    char *left = buffer_of(512);
    char *small = buffer_of(512);
    char *wall = buffer_of(512);
    char *large = buffer_of(2048);
    char *last = buffer_of(512);

    kheap_free(&heap, small);           /* LLss WW lllll E */
    small[200] = 1;
    CHECK(kheap_alloc(&heap, size_for(512)) == small);
    check_reported_write("kmalloc: ", small, small + 200);
    CHECK(all_bytes(small, 0xcc, size_for(512)));

    kheap_free(&heap, small);
    small[210] = 1;
    char *aligned = kheap_memalign(&heap, 2 * SMALLEST, 200);
    CHECK(aligned >= small && aligned < small + 210);
    check_reported_write("kmemalign: ", aligned, small + 210);
    kheap_free(&heap, aligned);

    paint(left, size_for(512), 1);      /* in place */
    small[220] = 1;
    CHECK(kheap_realloc(&heap, left, size_for(1024)) == left);
    check_reported_write("krealloc: ", left, small + 220);
    CHECK(painted(left, size_for(512), 1));
    CHECK(all_bytes(left + size_for(512), 0xcc, 512));

    kheap_free(&heap, large);           /* moved, and the copy overwrites the traces */
    large[300] = 1;
    CHECK(kheap_realloc(&heap, left, size_for(2048)) == large);
    check_reported_write("krealloc: ", large, large + 300);
    CHECK(painted(large, size_for(512), 1));

    kheap_free(&heap, last);            /* in the tail */
    last[400] = 1;
    CHECK(kheap_alloc(&heap, size_for(2048)) == last);
    check_reported_write("kmalloc: ", last, last + 400);
    CHECK_EQ(stat_of().misuse_count, 5);

    kheap_free(&heap, wall);
    kheap_free(&heap, large);
    kheap_free(&heap, last);
    check_empty();
}

#endif
