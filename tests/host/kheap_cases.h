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

/* No call takes a size near the largest number, KHEAP_LARGEST or the limit. => keep: a buffer */
static void check_impossible_sizes(char *keep)
{
    for (size_t less = 0; less < 3 * PAGE_SIZE; less += 13) {
        CHECK(kheap_alloc(&heap, SIZE_MAX - less) == NULL);
        CHECK(kheap_realloc(&heap, keep, SIZE_MAX - less) == NULL);
        CHECK(kheap_memalign(&heap, PAGE_SIZE, SIZE_MAX - less) == NULL);
        CHECK(kheap_alloc(&heap, KHEAP_LARGEST - less) == NULL);
        CHECK(kheap_alloc(&heap, LIMIT - less % 64) == NULL);
    }
    CHECK(kheap_memalign(&heap, SIZE_MAX / 2 + 1, 100) == NULL);
}

TEST(kheap_alloc_impossible_sizes)
{
    new_heap(LIMIT);
    char *keep = kheap_alloc(&heap, 100);
    size_t length = fake.segment.length;

    check_impossible_sizes(keep);
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

/* The end of random operations: all is as it was painted, and nothing is left. */
static void free_slots(void)
{
    for (size_t i = 0; i < SLOTS; i++) {
        CHECK(painted(slots[i].buffer, slots[i].size, slots[i].seed + i));
        kheap_free(&heap, slots[i].buffer);
    }
    kheap_flush(&heap);
    check_empty();
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
    free_slots();
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

#endif
