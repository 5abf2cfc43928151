/*
 * Bugs in pages of cells, for the catalogue.
 *
 * The scene: so many buffers of one size that the last ones are cells, if the heap has
 * any; at level full and in guard mode they are buffers like others.
 *
 *      page | .. | left | b | right | wall | never given out .. | rest | registry
 */
#ifndef KHEAP_BUGS_CELLS_H
#define KHEAP_BUGS_CELLS_H

#include "kheap_bugs_scene.h"

#define CELLS 100u

static char *given[CELLS];

static void cells(void)
{
    for (size_t i = 0; i < CELLS; i++)
        given[i] = get(SIZE);
    left = given[CELLS - 4];
    b = given[CELLS - 3];
    right = given[CELLS - 2];
    wall = given[CELLS - 1];
}

/* The scene, all of it freed, and the pages merged. */
static void cells_merged(void)
{
    cells();
    for (size_t i = 0; i < CELLS; i++)
        drop(given[i]);
    flush();
}

static char *page_of(char *buffer)
{
    return (char *)align_down((size_t)buffer, PAGE_SIZE);
}

static void cell_free_twice(size_t variant)
{
    (void)variant;
    cells();
    drop(b);
    drop(b);
}

static void cell_free_twice_later(size_t variant)
{
    (void)variant;
    cells();
    drop(b);
    drop(left);
    drop(right);
    drop(b);
}

static void cell_free_twice_reused(size_t variant)
{
    (void)variant;
    cells();
    drop(b);
    for (size_t i = 0; i < CELLS / 2; i++)
        get(SIZE);
    drop(b);
}

static void cell_free_inside(size_t variant)
{
    cells();
    drop(b + 16 * (variant + 1));
}

static void cell_free_unaligned(size_t variant)
{
    cells();
    drop(b + variant + 1);
}

static void cell_free_behind_last(size_t variant)
{
    cells();
    drop(page_of(b) + PAGE_SIZE - 64 + 16 * variant);
}

static void cell_free_never_given(size_t variant)
{
    cells();
    drop(wall + (variant + 1) * align_up(SIZE, KHEAP_ALIGN));
}

static void cell_free_merged(size_t variant)
{
    cells_merged();
    drop(given[variant]);
}

/* The page has cells of another size now: some begin where the old ones did. */
static void cell_free_of_another_size(size_t variant)
{
    cells_merged();
    for (size_t i = 0; i < CELLS; i++)
        get(2 * SIZE);
    drop(given[variant]);
}

static void cell_realloc_freed(size_t variant)
{
    (void)variant;
    cells();
    drop(b);
    resize(b, 2 * SIZE);
}

static void cell_realloc_inside(size_t variant)
{
    (void)variant;
    cells();
    resize(b + 32, 2 * SIZE);
}

static void cell_usable_of_freed(size_t variant)
{
    (void)variant;
    cells();
    drop(b);
    usable(b);
    listen();
}

static void cell_write_behind(size_t variant)
{
    (void)variant;
    cells();
    b[usable(b)] = 'x';
    drop(b);
}

static void cell_write_before(size_t variant)
{
    (void)variant;
    cells();
    b[-1] ^= 0x55;
    drop(b);
}

static void cell_write_to_end_of_page(size_t variant)
{
    (void)variant;
    cells();
    memset(b, 'x', (size_t)(page_of(b) + PAGE_SIZE - b));
    drop(b);
}

static void cell_write_freed(size_t variant)
{
    (void)variant;
    cells();
    drop(b);
    b[10] = 'x';
}

static void cell_write_reused(size_t variant)
{
    (void)variant;
    cells();
    drop(b);
    for (size_t i = 0; i < CELLS / 2; i++)
        get(SIZE);
    b[10] = 'x';
}

static void cell_read_freed(size_t variant)
{
    (void)variant;
    cells();
    drop(b);
    read_at(b + 10);
}

#endif
