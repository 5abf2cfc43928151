/*
 * The tests of the heap, for every way it can be built: included once by each
 * test_kheap*.c, whose .flags file says which build it is.
 */
#ifndef KHEAP_CASES_H
#define KHEAP_CASES_H

#include <kernel/kheap.h>
#include <kernel/printk.h>
#include <host_test.h>
#include "fake_segment.h"

#include <string.h>

#define LIMIT      (16u * MIB)
#define SMALLEST   sizeof(kernel_heap_gap_t)
#define WORD       sizeof(size_t)
#define HAS_VOIDS  (!KHEAP_NO_VOID && SMALLEST > KHEAP_ALIGN)
#define CHECK_EACH 20000    /* steps of a random test that are all followed by kheap_check */

#ifdef DEBUG
#define FILLS true
#else
#define FILLS false
#endif

static fake_segment_t fake;
static kheap_t heap;

/* As the documents' heap: whatever is freed is merged at once. The cache has tests of its own. */
static kheap_t *new_heap(size_t limit)
{
    fake_segment_destroy(&fake);
    kheap_init(&heap, fake_segment_init(&fake, limit));
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_CACHE_COUNT, 0), 0);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_SLABS, 0), 0);
    return &heap;
}

static kheap_t *new_cached_heap(size_t limit)
{
    new_heap(limit);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_CACHE_COUNT, KHEAP_CACHED_COUNT), 0);
    return &heap;
}

static kheap_stat_t stat_of(void)
{
    kheap_stat_t stat;

    kheap_stat(&heap, &stat);
    return stat;
}

/* The size whose superbuffer has exactly this length. */
static size_t size_for(size_t length)
{
    return length - WORD;
}

/* A superbuffer of this length. */
static char *buffer_of(size_t length)
{
    char *buffer = kheap_alloc(&heap, size_for(length));

    CHECK(buffer != NULL);
    return buffer;
}

static size_t *word_of(void *buffer)
{
    return (size_t *)buffer - 1;
}

static void check_aligned(const void *buffer, size_t align)
{
    CHECK_EQ((size_t)buffer % align, 0);
}

/* Everything was freed: one gap, and the segment is given back whole. */
static void check_empty(void)
{
    kheap_stat_t stat = stat_of();

    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(stat.buffer_count, 0);
    CHECK_EQ(stat.used, 0);
    CHECK_EQ(stat.void_count, 0);
    CHECK_EQ(stat.gap_count, stat.segment != 0);
    CHECK_EQ(stat.largest_gap, stat.free);
    CHECK_EQ(kheap_trim(&heap, 0), stat.segment);
    CHECK_EQ(fake.segment.length, 0);
    CHECK_OK(kheap_check(&heap));
}

/* --- Contents that show who wrote them --- */

static void paint(void *buffer, size_t size, size_t seed)
{
    for (size_t i = 0; i < size; i++)
        ((unsigned char *)buffer)[i] = (unsigned char)(seed * 31 + i * 7 + (i >> 8));
}

static bool painted(const void *buffer, size_t size, size_t seed)
{
    for (size_t i = 0; i < size; i++) {
        if (((const unsigned char *)buffer)[i] != (unsigned char)(seed * 31 + i * 7 + (i >> 8)))
            return false;
    }
    return true;
}

static bool all_bytes(const void *buffer, int byte, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (((const unsigned char *)buffer)[i] != byte)
            return false;
    }
    return true;
}

/* --- kmalloc --- */

TEST(kheap_alloc_aligned_and_large_enough)
{
    char *buffer[300];
    new_heap(LIMIT);

    for (size_t size = 0; size < 300; size++) {
        buffer[size] = kheap_alloc(&heap, size);
        CHECK(buffer[size] != NULL);
        check_aligned(buffer[size], KHEAP_ALIGN);
        CHECK(kheap_usable_size(&heap, buffer[size]) >= size);
        paint(buffer[size], kheap_usable_size(&heap, buffer[size]), size);
    }
    CHECK_OK(kheap_check(&heap));
    for (size_t size = 0; size < 300; size++) {
        CHECK(painted(buffer[size], kheap_usable_size(&heap, buffer[size]), size));
        kheap_free(&heap, buffer[size]);
    }
    check_empty();
}

TEST(kheap_alloc_zero_bytes_is_a_buffer)
{
    new_heap(LIMIT);
    char *a = kheap_alloc(&heap, 0);
    char *b = kheap_alloc(&heap, 0);

    CHECK(a != NULL && b != NULL && a != b);
    CHECK_EQ(kheap_usable_size(&heap, a), SMALLEST - WORD);
    kheap_free(&heap, a);
    kheap_free(&heap, b);
    check_empty();
}

TEST(kheap_alloc_impossible_sizes)
{
    new_heap(LIMIT);
    char *keep = kheap_alloc(&heap, 100);
    size_t length = fake.segment.length;

    for (size_t less = 0; less < 3 * PAGE_SIZE; less += 13) {
        CHECK(kheap_alloc(&heap, SIZE_MAX - less) == NULL);
        CHECK(kheap_realloc(&heap, keep, SIZE_MAX - less) == NULL);
        CHECK(kheap_memalign(&heap, PAGE_SIZE, SIZE_MAX - less) == NULL);
        CHECK(kheap_alloc(&heap, KHEAP_LARGEST - less) == NULL);
        CHECK(kheap_alloc(&heap, LIMIT - less % 64) == NULL);
    }
    CHECK(kheap_memalign(&heap, SIZE_MAX / 2 + 1, 100) == NULL);
    CHECK_EQ(fake.segment.length, length);
    kheap_free(&heap, keep);
    check_empty();
}

/* => `lengths` gaps between superbuffers that stay: |gap0|S|gap1|S| ... freed in the given order */
static void make_gaps(const size_t *lengths, char **gaps, char **walls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        gaps[i] = buffer_of(lengths[i]);
        walls[i] = buffer_of(SMALLEST);
    }
}

TEST(kheap_alloc_takes_the_best_fit)
{
    static const size_t small[] = { 8, 3, 11, 5, 4, 9 };    /* registries */
    static const size_t large[] = { 80, 30, 110, 50, 40, 1000 };
    const size_t count = ARRAY_LENGTH(small);
    size_t scale = 4096 / 16;       /* so that large ones are in tries */

    for (size_t pass = 0; pass < 2; pass++) {
        size_t lengths[ARRAY_LENGTH(small)];
        char *gap[ARRAY_LENGTH(small)];
        char *wall[ARRAY_LENGTH(small)];

        new_heap(LIMIT);
        for (size_t i = 0; i < count; i++)
            lengths[i] = pass == 0 ? small[i] * SMALLEST : large[i] * scale;
        make_gaps(lengths, gap, wall, count);
        for (size_t i = 0; i < count; i++)
            kheap_free(&heap, gap[i]);
        CHECK_OK(kheap_check(&heap));

        /* each finds the gap of its own length; the tail, though larger, stays out of it */
        for (size_t i = 0; i < count; i++)
            CHECK(kheap_alloc(&heap, size_for(lengths[i])) == gap[i]);
        /* the next larger one: 8 of 8, 9 and 11; then 9 and 11 are left */
        kheap_free(&heap, gap[0]);
        kheap_free(&heap, gap[2]);
        kheap_free(&heap, gap[5]);
        size_t ask = lengths[0] - KHEAP_GRANULE;
        CHECK(kheap_alloc(&heap, size_for(ask)) == gap[0]);
        CHECK_OK(kheap_check(&heap));
        size_t second = lengths[2] < lengths[5] ? 2 : 5;
        CHECK(kheap_alloc(&heap, size_for(lengths[0] + KHEAP_GRANULE)) == gap[second]);
        CHECK_OK(kheap_check(&heap));
    }
}

TEST(kheap_alloc_takes_the_lower_of_equals)
{
    static const size_t order[][3] = { { 0, 1, 2 }, { 2, 1, 0 }, { 1, 0, 2 }, { 1, 2, 0 } };

    for (size_t i = 0; i < ARRAY_LENGTH(order); i++) {
        for (size_t length = 256; length <= 8192; length *= 32) {
            char *gap[3];
            char *wall[3];
            size_t lengths[3] = { length, length, length };

            new_heap(LIMIT);
            make_gaps(lengths, gap, wall, 3);
            for (size_t n = 0; n < 3; n++)
                kheap_free(&heap, gap[order[i][n]]);
            CHECK_OK(kheap_check(&heap));
            CHECK(kheap_alloc(&heap, size_for(length)) == gap[0]);
            CHECK_OK(kheap_check(&heap));
        }
    }
}

TEST(kheap_calloc_clears_and_does_not_overflow)
{
    new_heap(LIMIT);
    char *dirty = kheap_alloc(&heap, 5000);
    memset(dirty, 0x5a, 5000);
    kheap_free(&heap, dirty);

    char *buffer = kheap_calloc(&heap, 50, 100);
    CHECK(buffer != NULL);
    CHECK(all_bytes(buffer, 0, 5000));
    CHECK(kheap_calloc(&heap, SIZE_MAX / 2, 3) == NULL);
    CHECK(kheap_calloc(&heap, (size_t)1 << (WORD * 4), (size_t)1 << (WORD * 4)) == NULL);
    CHECK(kheap_calloc(&heap, SIZE_MAX, 1) == NULL);
    kheap_free(&heap, buffer);
    kheap_free(&heap, kheap_calloc(&heap, 0, 8));
    check_empty();
}

TEST(kheap_fills_buffers_in_debug_builds)
{
    if (!FILLS)
        test_skip("not a debug build");
    new_heap(LIMIT);
    unsigned char *buffer = kheap_alloc(&heap, 1000);
    CHECK(all_bytes(buffer, 0xcc, kheap_usable_size(&heap, buffer)));
    unsigned char *wall = kheap_alloc(&heap, 100);

    paint(buffer, 1000, 1);
    buffer = kheap_realloc(&heap, buffer, 3000);
    CHECK(painted(buffer, 1000, 1));
    CHECK(all_bytes(buffer + 1008, 0xcc, 3000 - 1008));
    unsigned char *page = kheap_memalign(&heap, PAGE_SIZE, 100);
    CHECK(all_bytes(page, 0xcc, 100));

    size_t registry = sizeof(kernel_heap_large_gap_t);
    kheap_free(&heap, buffer);
    CHECK(all_bytes(buffer + registry, 0xdd, 3000 - registry - WORD));
    kheap_free(&heap, page);
    kheap_free(&heap, wall);
    check_empty();
}

/* --- kfree --- */

/* The next order of `count` numbers. => false after the last */
static bool next_order(size_t *order, size_t count)
{
    size_t i = count - 1;
    size_t j = count - 1;

    while (i > 0 && order[i - 1] > order[i])
        i--;
    if (i == 0)
        return false;
    while (order[j] < order[i - 1])
        j--;
    size_t swapped = order[j];
    order[j] = order[i - 1];
    order[i - 1] = swapped;
    for (j = count - 1; i < j; i++, j--) {
        swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
    return true;
}

TEST(kheap_free_in_every_order_ends_in_one_gap)
{
    static const size_t sizes[][6] = {
        { 1, 1, 1, 1, 1, 1 },
        { 40, 1000, 24, 5000, 100, 2000 },
        { 8192, 8192, 1, 8192, 8192, 70000 },
    };

    for (size_t set = 0; set < ARRAY_LENGTH(sizes); set++) {
        size_t order[6] = { 0, 1, 2, 3, 4, 5 };
        new_heap(LIMIT);
        do {
            char *buffer[6];
            for (size_t i = 0; i < 6; i++)
                buffer[i] = kheap_alloc(&heap, sizes[set][i]);
            for (size_t i = 0; i < 6; i++) {
                kheap_free(&heap, buffer[order[i]]);
                CHECK_OK(kheap_check(&heap));
            }
            CHECK_EQ(stat_of().gap_count, 1);
            CHECK_EQ(stat_of().free, stat_of().segment - KHEAP_GRANULE);
        } while (next_order(order, 6));
        check_empty();
    }
}

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

/* --- The checker --- */

/* Set a word of the heap to something else: does the checker notice? */
#define CHECK_NOTICES(field, value) \
    do { \
        __typeof__(field) kept_ = (field); \
        (field) = (value); \
        CHECK(kheap_check(&heap) != NULL); \
        (field) = kept_; \
        CHECK_OK(kheap_check(&heap)); \
    } while (0)

TEST(kheap_check_notices_damage)
{
    new_heap(LIMIT);
    char *a = buffer_of(256);
    char *b = buffer_of(256);
    char *c = buffer_of(8192);
    char *wall = buffer_of(256);
    kheap_free(&heap, a);
    kheap_free(&heap, c);
    kernel_heap_gap_t *small = (void *)word_of(a);
    kernel_heap_large_gap_t *large = (void *)word_of(c);

    CHECK_OK(kheap_check(&heap));
    CHECK_NOTICES(heap.taken, heap.taken - 16);
    CHECK_NOTICES(heap.superbuffers, heap.superbuffers - 1);
    CHECK_NOTICES(heap.cache.of[256 / KHEAP_GRANULE].taken, 3u);
    CHECK_NOTICES(heap.voids, 1u);
    CHECK_NOTICES(heap.void_bytes, 16u);
    CHECK_NOTICES(heap.peak_taken, 0u);
    CHECK_NOTICES(heap.tail, NULL);
    CHECK_NOTICES(heap.segment->length, heap.segment->length - PAGE_SIZE);
    CHECK_NOTICES(heap.tree.gaps, heap.tree.gaps + 1);
    CHECK_NOTICES(heap.tree.map[0], 0u);
    CHECK_NOTICES(heap.tree.addr_root, NULL);
    CHECK_NOTICES(small->length, small->length + KHEAP_GRANULE);
    CHECK_NOTICES(small->equals.next, &heap.tree.bin[2]);
    CHECK_NOTICES(large->gap.length, large->gap.length | 4);
    CHECK_NOTICES(large->by_length.key, large->by_length.key + 16);
    CHECK_NOTICES(large->by_length.slot, NULL);
    CHECK_NOTICES(large->by_addr.key, large->by_addr.key + 1);
    CHECK_NOTICES(large->by_addr.child[0], &large->by_addr);
    CHECK_NOTICES(*word_of(b), *word_of(b) ^ 2);        /* what is before it */
    CHECK_NOTICES(*word_of(wall), *word_of(wall) ^ 2);
    CHECK_NOTICES(*(size_t *)heap.end, (size_t)0);
    kheap_free(&heap, b);
    kheap_free(&heap, wall);
    check_empty();
}

TEST(kheap_check_follows_no_wild_link)
{
    static const size_t lengths[] = { 256, 256, 8192, 8192, 20480 };
    char *gap[ARRAY_LENGTH(lengths)];
    char *wall[ARRAY_LENGTH(lengths)];

    new_heap(LIMIT);
    make_gaps(lengths, gap, wall, ARRAY_LENGTH(lengths));
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++)
        kheap_free(&heap, gap[i]);
    const size_t wild[] = {
        8, 0x41414141, SIZE_MAX, SIZE_MAX / 2, (size_t)&heap, heap.segment->base, heap.end,
        heap.end - WORD, heap.end + 2 * WORD, heap.start + 1, (size_t)wall[0],
        heap.segment->base + LIMIT + WORD,
    };
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
        kernel_heap_large_gap_t *large = (void *)word_of(gap[i]);
        void *links[] = {
            &large->gap.equals.next, &large->gap.equals.previous, &large->by_length.slot,
            &large->by_addr.slot, &large->by_addr.child[0], &large->by_addr.child[1],
            &large->by_length.child[0], &large->by_length.child[1],
        };
        size_t count = i < 2 ? 2 : i == 3 ? 6 : 8;  /* the second of two equals is no node */

        for (size_t n = 0; n < count; n++) {
            for (size_t w = 0; w < ARRAY_LENGTH(wild); w++)
                CHECK_NOTICES(*(size_t *)links[n], wild[w]);
        }
    }
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++)
        kheap_free(&heap, wall[i]);
    check_empty();
}

TEST(kheap_check_notices_gaps_that_touch)
{
    new_heap(LIMIT);
    char *a = buffer_of(512);
    char *wall = buffer_of(SMALLEST);

    kheap_free(&heap, a);               /* ........W  made  ....----W, sound but for that */
    kernel_heap_gap_t *low = (void *)word_of(a);
    kernel_heap_gap_t *high = (void *)((size_t)low + 256);
    gaptree_remove(&heap.tree, low, false);
    low->length = high->length = 256;
    *((size_t *)high - 1) = *((size_t *)word_of(wall) - 1) = 256;
    gaptree_insert(&heap.tree, low, false);
    gaptree_insert(&heap.tree, high, false);
    CHECK_STR(kheap_check(&heap), "neighbouring gaps were not merged");

    gaptree_remove(&heap.tree, low, false);
    gaptree_remove(&heap.tree, high, false);
    memset(low, 0xdd, 512);
    low->length = *((size_t *)word_of(wall) - 1) = 512;
    gaptree_insert(&heap.tree, low, false);
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, wall);
    check_empty();
}

/* --- Random operations against a model --- */

#define SLOTS 400

static struct {
    char *buffer;
    size_t size;
    size_t seed;
} slots[SLOTS];

static size_t random_size(size_t most)
{
    size_t kind = test_random_below(10);

    if (kind < 6)
        return test_random_below(200);
    if (kind < 9)
        return test_random_below(most / 8);
    return test_random_below(most);
}

static void check_buffer(size_t i, size_t align)
{
    check_aligned(slots[i].buffer, align);
    CHECK(kheap_usable_size(&heap, slots[i].buffer) >= slots[i].size);
    paint(slots[i].buffer, slots[i].size, ++slots[i].seed + i);
}

static void random_step_of(size_t i, size_t size)
{
    size_t kept = size < slots[i].size ? size : slots[i].size;
    size_t align = (size_t)16 << test_random_below(10);

    CHECK(painted(slots[i].buffer, slots[i].size, slots[i].seed + i));
    if (slots[i].buffer == NULL) {
        bool aligned = test_random_below(10) == 0;
        slots[i].buffer = aligned ? kheap_memalign(&heap, align, size) : kheap_alloc(&heap, size);
        slots[i].size = slots[i].buffer != NULL ? size : 0;
        if (slots[i].buffer != NULL)
            check_buffer(i, aligned ? align : KHEAP_ALIGN);
    } else if (test_random_below(4) == 0) {
        char *moved = kheap_realloc(&heap, slots[i].buffer, size);
        if (moved == NULL)
            return;
        CHECK(painted(moved, kept, slots[i].seed + i));
        slots[i].buffer = moved;
        slots[i].size = size;
        check_buffer(i, KHEAP_ALIGN);
    } else {
        kheap_free(&heap, slots[i].buffer);
        slots[i].buffer = NULL;
        slots[i].size = 0;
    }
}

static void random_step(size_t i, size_t most)
{
    random_step_of(i, random_size(most));
}

static size_t log2_of(size_t value)
{
    size_t log = 0;

    while (value >>= 1)
        log++;
    return log;
}

/* Do something to the whole cache. */
static void random_cache_step(void)
{
    size_t what = test_random_below(5);

    if (what == 0)
        kheap_flush(&heap);
    else if (what == 1)
        kheap_trim(&heap, test_random_below(LIMIT));
    else if (what == 2)     /* off, and on again the next time */
        kheap_tune(&heap, KHEAP_TUNE_CACHE_COUNT, 0);
    else if (what == 3)
        kheap_tune(&heap, KHEAP_TUNE_CACHE_COUNT, test_random_below(KHEAP_CACHED_COUNT + 1));
    else
        kheap_tune(&heap, KHEAP_TUNE_CACHE_BYTES, test_random_below(64 * KIB));
}

/* => a call that merges what was cached looks at as many gaps for each of those */
static void random_operations(size_t limit, size_t most, size_t steps, bool cached)
{
    size_t voids_seen = 0;
    size_t merges_seen = 0;
    size_t cached_most = 0;

    if (cached)
        new_cached_heap(limit);
    else
        new_heap(limit);
    memset(slots, 0, sizeof(slots));
    for (size_t step = 0; step < steps; step++) {
        size_t before = stat_of().cached_count;
        random_step(test_random_below(SLOTS), most);
        kheap_stat_t stat = stat_of();
        size_t merged = stat.cached_count < before ? before - stat.cached_count : 0;
        size_t gaps = stat.gap_count + merged;
        CHECK(stat.last_visited_count <= (2 * log2_of(gaps + 1) + 8) * (1 + merged));
        merges_seen += merged > 1;
        cached_most = stat.cached_count > cached_most ? stat.cached_count : cached_most;
        if (cached && test_random_below(300) == 0) {
            random_cache_step();
            stat = stat_of();
        }
        CHECK_EQ(stat.used + stat.cached + stat.free + stat.void_bytes + KHEAP_GRANULE,
                 stat.segment != 0 ? stat.segment : KHEAP_GRANULE);
        voids_seen += stat.void_count;
        if (step < CHECK_EACH || step % 256 == 0)
            CHECK_OK(kheap_check(&heap));
    }
    CHECK_EQ(voids_seen != 0, HAS_VOIDS);
    CHECK_EQ(merges_seen != 0, cached);     /* by calls that needed the room */
    CHECK_EQ(cached_most > 2 * KHEAP_CACHED_COUNT, cached);
    for (size_t i = 0; i < SLOTS; i++) {
        CHECK(painted(slots[i].buffer, slots[i].size, slots[i].seed + i));
        kheap_free(&heap, slots[i].buffer);
    }
    kheap_flush(&heap);
    check_empty();
}

TEST(kheap_random_operations)
{
    random_operations(LIMIT, 4000, test_steps(100000), false);
}

TEST(kheap_random_operations_with_large_sizes)
{
    random_operations(64 * MIB, 100000, test_steps(100000) / 5, false);
}

TEST(kheap_random_operations_in_too_little_memory)
{
    random_operations(256 * KIB, 20000, test_steps(100000) / 5, false);
}

/* --- The rest --- */

static void alloc_something(void *arg)
{
    kheap_alloc(arg, 1);
}

TEST(kheap_lock_is_taken)
{
    char message[128];

    if (!FILLS)
        test_skip("not a debug build");
    new_heap(LIMIT);
    splock_lock(&heap.lock);
    CHECK(test_expect_panic(alloc_something, &heap, message, sizeof(message)));
    splock_unlock(&heap.lock);
    CHECK_OK(kheap_check(&heap));
}

static char log_text[16384];
static size_t log_length;

static void keep_text(const char *text, size_t length)
{
    for (size_t i = 0; i < length && log_length < sizeof(log_text) - 1; i++)
        log_text[log_length++] = text[i];
    log_text[log_length] = '\0';
}

TEST(kheap_kernel_names_and_log)
{
    fake_segment_destroy(&fake);
    kheap_init(&kernel_heap, fake_segment_init(&fake, LIMIT));
    char *buffer[200];

    for (size_t i = 0; i < 200; i++)
        buffer[i] = kmalloc(1100);
    for (size_t i = 0; i < 200; i += 2)
        kfree(buffer[i]);
    char *cleared = kcalloc(10, 10);
    char *page = kmemalign(PAGE_SIZE, 10);
    check_aligned(page, PAGE_SIZE);
    CHECK(all_bytes(cleared, 0, 100));
    page = krealloc(page, 10000);
    CHECK(kmalloc_usable_size(page) >= 10000);

    size_t lines = 0;
    log_length = 0;
    printk_output_t *output = printk_set_output(keep_text);
    log_heap_structure();
    printk_set_output(output);
    for (size_t i = 0; i < log_length; i++)
        lines += log_text[i] == '\n';
    CHECK(lines > 64 && lines < 80);
    CHECK(strstr(log_text, "superbuffer\n") != NULL);
    CHECK(strstr(log_text, "gap\n") != NULL);
    CHECK(strstr(log_text, "length tree: ") != NULL);
    CHECK(strstr(log_text, "addr tree: ") != NULL);
    CHECK(strstr(log_text, "more\n") != NULL);

    for (size_t i = 1; i < 200; i += 2)
        kfree(buffer[i]);
    kfree(cleared);
    kfree(page);
    CHECK_OK(kheap_check(&kernel_heap));
    kheap_stat_t stat;
    kheap_stat(&kernel_heap, &stat);
    CHECK_EQ(stat.used, 0);
    CHECK(stat.cached_count > 0);
    CHECK_EQ(kheap_trim(&kernel_heap, 0) != 0, 1);
    CHECK_EQ(fake.segment.length, 0);
}

#endif
