/*
 * What the bugs of the catalogue are made of: the heap that they are done to, its calls,
 * and four buffers of 100 bytes, one behind the other.
 *
 *      | left | b | right | wall | tail ...
 */
#ifndef KHEAP_BUGS_SCENE_H
#define KHEAP_BUGS_SCENE_H

#include <kernel/kheap_full.h>
#include <kernel/kheap_guard.h>
#include <kernel/kheap_header.h>
#include <kernel/kheap_slab.h>
#include <kernel/printk.h>
#include <host_test.h>
#include "fake_segment.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LIMIT  (4u * MIB)
#define SIZE   100u
#define LARGE  2100u        /* its gap is in a trie */
#define HUGE   9000u        /* in both */
#define BYTES  256u         /* variants: one for each value of a byte */
#define NAMES  4u

/* Three levels, and level basic with a pool. */
typedef enum column {
    COLUMN_NONE,
    COLUMN_BASIC,
    COLUMN_FULL,
    COLUMN_GUARD,
    COLUMNS,
} column_t;

typedef struct bug {
    const char *name;
    void (*go)(size_t variant);
    size_t variants;
    const char *caught[COLUMNS];    /* NULL: it makes no sense there */
    const char *says[3];            /* a report of a full, guarded, basic heap has these words */
} bug_t;

static fake_segment_t memory;
static kheap_t bugged;
static char *left;
static char *b;
static char *right;
static char *wall;
static char first_report[2048];
static size_t reports_before;       /* what other variants did */

/* --- Calls, and who reported first --- */

static void listen(void)
{
    if (host_misuse_count() != reports_before && first_report[0] == '\0')
        format_text(first_report, sizeof(first_report), "%s", host_misuse_last());
}

static char *get(size_t size)
{
    char *buffer = kheap_alloc(&bugged, size);

    listen();
    return buffer;
}

static void drop(void *buffer)
{
    kheap_free(&bugged, buffer);
    listen();
}

static char *resize(void *buffer, size_t size)
{
    char *moved = kheap_realloc(&bugged, buffer, size);

    listen();
    return moved;
}

static void flush(void)
{
    kheap_flush(&bugged);
    listen();
}

static void scene(void)
{
    left = get(SIZE);
    b = get(SIZE);
    right = get(SIZE);
    wall = get(SIZE);
}

/* => a gap for `size` bytes between b and the wall */
static char *gap_behind(size_t size)
{
    left = get(SIZE);
    b = get(SIZE);
    right = get(size);
    wall = get(SIZE);
    drop(right);
    flush();
    return right;
}

/* Where b's superbuffer begins, and the next one. */
static char *registry(char *buffer)
{
    return buffer - REGISTRY - (bugged.level == KHEAP_FULL ? FULL_BEFORE : 0);
}

static size_t usable(char *buffer)
{
    return kheap_usable_size(&bugged, buffer);
}

static void read_at(char *at)
{
    volatile char byte = *at;

    (void)byte;
}

#endif
