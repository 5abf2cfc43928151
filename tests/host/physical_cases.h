/*
 * What the tests of the page allocator share: machines, the pages that a test
 * holds, and every figure counted again.
 */
#ifndef PHYSICAL_CASES_H
#define PHYSICAL_CASES_H

#include <kernel/boot_info.h>
#include <kernel/errno.h>
#include <kernel/layout.h>
#include <kernel/linear.h>
#include <kernel/physical.h>
#include <kernel/printk.h>
#include <host_test.h>
#include <fake_machine.h>

#include <stdlib.h>
#include <string.h>

enum {
    FRAMES_MAX = 64 * MIB / PAGE_SIZE,
    BLOCK = 2 * MIB,
    PAGES_OF_BLOCK = BLOCK / PAGE_SIZE,
    WHOLE = 9,                              /* the order of a block */
    CHECK_EACH = 20000,     /* steps of a random test that are all followed by the checker */
};

#ifdef DEBUG
#define FILLS true
#else
#define FILLS false
#endif

/* Before paging, then with paging: a PC, a larger one, and one of many pieces. */
enum { PC, LARGER_PC, RAGGED, PAGED_PC, PAGED_RAGGED = 6, SHAPE_COUNT = 8 };
extern const fake_config_t shapes[SHAPE_COUNT];

/* What a test holds. */
extern page_t page_at[FRAMES_MAX];
extern size_t page_total;
extern bool is_held[FRAMES_MAX];

/* Start a machine. Nothing is held. */
void cases_start(const fake_config_t *config);

/* Whether the page could ever be handed out, by the machine's map alone. */
bool is_usable(page_t page);

/* Take note of a page that was handed out; scribble over it. */
void hold(page_t page);
void hold_run(page_t run, size_t count, size_t align, page_t limit);
void hold_all(void);

/* Forget a page: it is about to be freed. => the page */
page_t give_at(size_t index);
page_t give_page(page_t page);

void free_all_in_any_order(void);

/* Free pages in a row that are held, one by one. */
void free_held(page_t first, size_t count);

/*
 * From now on nothing is kept back, in magazine or runs: each call reaches the
 * blocks. => until physical_fail_after(0)
 */
void without_magazine(void);

/* Give back what the magazine and the kept runs have. */
void empty_magazine(void);

/* Whether a run could be had, by trying every place. */
bool run_exists(size_t count, size_t align, page_t limit);

/*
 * The frame table, unit by unit: how many pages are one with the frame, a free
 * chunk's, a run's, or 1. => the test fails if they are not all one
 */
size_t unit_at(size_t number);

/* The order of the free chunk that begins at a unit's frame. => -1: none does */
int chunk_at(size_t number);

size_t whole_blocks(void);

/* The figures, counted again, and all lists, both ways, from the frame table. */
void check_figures(void);

/* `frames`: a line of sums, one for each owner that has any, and `more`. */
void check_log_lines(size_t more);

void take_and_free_all(void);

#endif
