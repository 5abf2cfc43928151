/*
 * Writes to what is free, and to the heap's own words, for the catalogue of bugs.
 */
#ifndef KHEAP_BUGS_WRITES_H
#define KHEAP_BUGS_WRITES_H

#include "kheap_bugs_scene.h"

/* --- Writes after the free --- */

static void write_freed(size_t at, char value)
{
    scene();
    drop(b);
    b[at] = value;
}

static void write_first(size_t variant)
{
    (void)variant;
    write_freed(0, 'x');
}

static void write_middle(size_t variant)
{
    (void)variant;
    write_freed(SIZE / 2, 0);
}

static void write_last(size_t variant)
{
    (void)variant;
    write_freed(SIZE - 1, 'x');
}

static void write_beyond(size_t variant)
{
    (void)variant;
    write_freed(SIZE, 'x');
}

static void write_large(size_t variant)
{
    (void)variant;
    scene();
    b = get(HUGE);
    drop(b);
    b[HUGE / 2] = 'x';
}

static void write_after_realloc(size_t variant)
{
    (void)variant;
    scene();
    resize(b, HUGE);
    b[10] = 'x';
}

static void write_reused(size_t variant)
{
    (void)variant;
    scene();
    drop(b);
    char *other = get(SIZE);
    memset(other, 0, SIZE);
    b[10] = 'x';            /* as b, not as its new owner */
    drop(other);
}

static void write_gap(size_t variant)
{
    (void)variant;
    char *gap = gap_behind(SIZE);
    gap[SIZE / 2] = 'x';
    get(SIZE);
}

static void write_gap_never_used(size_t variant)
{
    (void)variant;
    char *gap = gap_behind(SIZE);
    gap[SIZE / 2] = 'x';
}

static void write_tail(size_t variant)
{
    (void)variant;
    scene();
    wall[300] = 'x';
    for (size_t i = 0; i < 4; i++)
        get(SIZE);
}

static void write_gap_links(size_t size)
{
    char *gap = registry(gap_behind(size)) + sizeof(size_t);

    memset(gap, 'x', 2 * sizeof(size_t));
    get(size);
}

static void write_ring_links(size_t variant)
{
    (void)variant;
    write_gap_links(SIZE);
}

static void write_trie_links(size_t variant)
{
    (void)variant;
    write_gap_links(LARGE);
}

/* The links of a node that is on the way to the gap that will be asked for. */
static void write_node_on_the_way(size_t variant)
{
    (void)variant;
    scene();
    char *gap = get(LARGE);
    get(SIZE);
    char *second = get(LARGE + 32);
    get(SIZE);
    drop(gap);
    flush();                /* it is the first in its trie */
    drop(second);
    flush();
    memset(registry(gap) + offsetof(kernel_heap_large_gap_t, by_length.child), 'x',
           2 * sizeof(void *));
    get(LARGE + 32);
}

static void write_addr_node(size_t variant)
{
    (void)variant;
    char *gap = registry(gap_behind(HUGE));
    memset(gap + offsetof(kernel_heap_large_gap_t, by_addr), 'x', sizeof(gap_node_t));
    get(HUGE);
}

/* The same, and it is the neighbour that is freed. */
static void write_gap_then_merge(size_t variant)
{
    (void)variant;
    char *gap = registry(gap_behind(LARGE)) + sizeof(size_t);
    memset(gap, 'x', 2 * sizeof(size_t));
    drop(b);
}

static void write_gap_length(size_t variant)
{
    (void)variant;
    *registry(gap_behind(LARGE)) = 'x';
    drop(b);
}

static void write_gap_last_word(size_t variant)
{
    (void)variant;
    gap_behind(LARGE);
    memset(registry(wall) - sizeof(size_t), 'x', sizeof(size_t));
    drop(wall);
}

static void write_end_of_segment(size_t variant)
{
    (void)variant;
    scene();
    memset((void *)bugged.end, 'x', sizeof(size_t));
    get(2 * MIB);
}

/* --- Wild writes of one byte, each value --- */

static void wild(char *at, size_t variant, size_t bytes)
{
    at += variant / (BYTES - 1) % bytes;
    *at = (char)(*at ^ (variant % (BYTES - 1) + 1));
}

static void wild_registry(size_t variant)
{
    scene();
    wild(registry(b), variant, sizeof(size_t));
    drop(b);
}

static void wild_before(size_t variant, size_t word)
{
    scene();
    wild(b - (4 - word) * sizeof(size_t), variant, sizeof(size_t));
    drop(b);
}

static void wild_size(size_t variant)
{
    wild_before(variant, 0);
}

static void wild_site(size_t variant)
{
    wild_before(variant, 1);
}

static void wild_freed(size_t variant)
{
    wild_before(variant, 2);
}

static void wild_sum(size_t variant)
{
    wild_before(variant, 3);
}

static void wild_canary(size_t variant)
{
    scene();
    wild(b + SIZE, variant, 4);
    drop(b);
}

static void wild_next_registry(size_t variant)
{
    scene();
    wild(registry(right), variant, sizeof(size_t));
    drop(b);
    drop(right);
}

static void wild_behind_gap(size_t variant)
{
    gap_behind(SIZE);
    wild(registry(wall), variant, sizeof(size_t));
    drop(wall);
}

static void wild_quarantined_registry(size_t variant)
{
    scene();
    drop(b);
    wild(registry(b), variant, sizeof(size_t));
}

static void wild_quarantined_header(size_t variant)
{
    scene();
    drop(b);
    wild(b - 4 * sizeof(size_t), variant, 4 * sizeof(size_t));
}

static void wild_quarantined(size_t variant)
{
    scene();
    drop(b);
    wild(b, variant, SIZE);
}

static void wild_gap_registry(size_t variant)
{
    char *gap = registry(gap_behind(SIZE));

    wild(gap, variant, 3 * sizeof(size_t));
    drop(b);
    drop(wall);
}

static void wild_gap(size_t variant)
{
    wild(gap_behind(SIZE), variant, SIZE);
    get(SIZE);
}

#endif
