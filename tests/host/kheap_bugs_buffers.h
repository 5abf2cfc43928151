/*
 * Bugs with buffers in use, for the catalogue: overflows and underflows, frees, reads.
 */
#ifndef KHEAP_BUGS_BUFFERS_H
#define KHEAP_BUGS_BUFFERS_H

#include "kheap_bugs_scene.h"

/* --- Overflows --- */

static void overflow_slack(size_t variant)
{
    (void)variant;
    scene();
    b[SIZE] = 'x';
    drop(b);
}

static void overflow_nul(size_t variant)
{
    (void)variant;
    scene();
    b[SIZE] = '\0';
    drop(b);
}

static void overflow_any(size_t variant)
{
    scene();
    b[SIZE] = (char)(b[SIZE] ^ (variant + 1));
    drop(b);
}

static void overflow_usable(size_t variant)
{
    (void)variant;
    scene();
    b[usable(b)] = 'x';
    drop(b);
}

static void overflow_word(size_t variant)
{
    (void)variant;
    scene();
    memset(b + usable(b), 'x', sizeof(size_t));
    drop(b);
}

static void overflow_sixteen(size_t variant)
{
    (void)variant;
    scene();
    memset(b + usable(b), 0, 16);
    drop(b);
}

static void overflow_neighbour(size_t variant)
{
    (void)variant;
    scene();
    memset(b, 'x', (size_t)(wall - b));
    drop(b);
}

static void overflow_into_gap(size_t variant)
{
    (void)variant;
    gap_behind(SIZE);
    memset(b, 'x', (size_t)(right - b) + 4);
    drop(b);
}

static void overflow_into_tail(size_t variant)
{
    (void)variant;
    scene();
    memset(wall, 'x', usable(wall) + 16);
    drop(wall);
}

static void overflow_skipping(size_t variant)
{
    (void)variant;
    scene();
    right[10] = 'x';        /* as b[...] */
    drop(b);
    drop(right);
}

static void overflow_of_nothing(size_t variant)
{
    (void)variant;
    scene();
    b = get(0);
    b[0] = 'x';
    drop(b);
}

static void overflow_cleared(size_t variant)
{
    (void)variant;
    scene();
    b = kheap_calloc(&bugged, 10, 10);
    b[SIZE] = 1;
    drop(b);
}

static void overflow_aligned(size_t variant)
{
    (void)variant;
    scene();
    b = kheap_memalign(&bugged, PAGE_SIZE, SIZE);
    b[SIZE] = 1;
    drop(b);
}

static void overflow_grown(size_t variant)
{
    (void)variant;
    scene();
    b = resize(b, 2 * SIZE);
    b[2 * SIZE] = 1;
    drop(b);
}

static void overflow_shrunk(size_t variant)
{
    (void)variant;
    scene();
    b = resize(b, SIZE / 2);
    b[SIZE / 2] = 1;        /* it had that byte once */
    drop(b);
}

static void overflow_before_realloc(size_t variant)
{
    (void)variant;
    scene();
    b[SIZE] = 1;
    resize(b, 2 * SIZE);
}

static void overflow_never_freed(size_t variant)
{
    (void)variant;
    scene();
    b[SIZE] = 1;
}

static void overflow_far(size_t variant)
{
    (void)variant;
    scene();
    b = get(HUGE);
    b[HUGE] = 1;
    drop(b);
}

/* --- Underflows --- */

static void underflow(size_t count)
{
    scene();
    memset(b - count, 'x', count);
    drop(b);
}

/* It might be what is written: at level full it is of a sum. */
static void underflow_one(size_t variant)
{
    (void)variant;
    scene();
    b[-1] ^= 0x55;
    drop(b);
}

static void underflow_word(size_t variant)
{
    (void)variant;
    underflow(sizeof(size_t));
}

static void underflow_sixteen(size_t variant)
{
    (void)variant;
    underflow(16);
}

static void underflow_far(size_t variant)
{
    (void)variant;
    underflow((size_t)(b - left) / 2 + SIZE / 2);
}

static void underflow_aligned(size_t variant)
{
    (void)variant;
    scene();
    b = kheap_memalign(&bugged, PAGE_SIZE, SIZE);
    b[-1] ^= 0x55;
    drop(b);
}

static void underflow_skipping(size_t variant)
{
    (void)variant;
    scene();
    registry(b)[-1] ^= 0x55;        /* the last byte of what is left's */
    drop(b);
    drop(left);
}

/* --- Frees --- */

static void free_twice(size_t variant)
{
    (void)variant;
    scene();
    drop(b);
    drop(b);
}

static void free_twice_later(size_t variant)
{
    (void)variant;
    scene();
    drop(b);
    drop(left);
    drop(right);
    drop(b);
}

static void free_twice_merged(size_t variant)
{
    (void)variant;
    scene();
    drop(b);
    drop(left);
    flush();
    drop(b);
}

static void free_twice_reused(size_t variant)
{
    (void)variant;
    scene();
    drop(b);
    get(SIZE);
    drop(b);
}

static void free_inside(size_t variant)
{
    scene();
    drop(b + 16 * (variant + 1));
}

static void free_unaligned(size_t variant)
{
    scene();
    drop(b + variant + 1);
}

static void free_in_front(size_t variant)
{
    (void)variant;
    scene();
    drop(b - 16);
}

static void free_faked(size_t variant)
{
    (void)variant;
    scene();
    size_t block = (size_t)b + 32 - REGISTRY;
    size_t length = (size_t)registry(right) - block;
    *(size_t *)block = superbuffer_word(block, length);
    drop((char *)block + REGISTRY);
}

static void free_stack(size_t variant)
{
    size_t words[8] __attribute__((aligned(16))) = { 0 };

    (void)variant;
    scene();
    drop(words + 2);
}

static void free_constant(size_t variant)
{
    (void)variant;
    scene();
    drop((void *)"a constant");
}

static void free_small_number(size_t variant)
{
    scene();
    drop((void *)(16 * (variant + 1)));
}

static void free_large_number(size_t variant)
{
    scene();
    drop((void *)(SIZE_MAX - 16 * variant - 15));
}

static void free_behind(size_t variant)
{
    scene();
    drop((void *)(bugged.end + REGISTRY + 16 * variant));
}

static void free_in_tail(size_t variant)
{
    scene();
    drop(wall + 256 + 16 * variant);
}

static void free_of_another(size_t variant)
{
    static kheap_t other;
    static fake_segment_t others;

    (void)variant;
    scene();
    kheap_init(&other, fake_segment_init(&others, LIMIT));
    drop(kheap_alloc(&other, SIZE));
}

static void free_after_realloc(size_t variant)
{
    (void)variant;
    scene();
    resize(b, HUGE);
    drop(b);
}

static void realloc_freed(size_t variant)
{
    (void)variant;
    scene();
    drop(b);
    resize(b, 2 * SIZE);
}

static void realloc_inside(size_t variant)
{
    (void)variant;
    scene();
    resize(b + 32, 2 * SIZE);
}

static void usable_of_freed(size_t variant)
{
    (void)variant;
    scene();
    drop(b);
    usable(b);
    listen();
}

/* --- Reads, and what is never freed --- */

static void read_beyond(size_t variant)
{
    (void)variant;
    scene();
    read_at(b + SIZE);
}

static void read_beyond_round(size_t variant)
{
    (void)variant;
    scene();
    b = get(7 * KHEAP_ALIGN);
    read_at(b + 7 * KHEAP_ALIGN);
}

static void read_before(size_t variant)
{
    (void)variant;
    scene();
    read_at(b - 1);
}

static void read_far(size_t variant)
{
    (void)variant;
    scene();
    read_at(right);
}

static void read_freed(size_t variant)
{
    (void)variant;
    scene();
    drop(b);
    read_at(b + 10);
}

static void never_freed(size_t variant)
{
    kheap_site_t row[4];

    (void)variant;
    scene();
    if (kheap_leaks(&bugged, row, ARRAY_LENGTH(row), NULL, 0) > 0)
        format_text(first_report, sizeof(first_report), "kheap_leaks: %td buffers", row[0].count);
}

#endif
