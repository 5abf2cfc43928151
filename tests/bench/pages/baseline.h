/*
 * What the real allocator is measured against. Neither has a frame table with
 * owners and counts, a lock, or figures beyond the number of free pages.
 */
#ifndef BENCH_BASELINE_H
#define BENCH_BASELINE_H

#include <kernel/boot_info.h>
#include <kernel/types.h>

#define BUDDY_ORDERS 11     /* the largest block is 4 MiB */

/*
 * A plain list: each free page holds the address of the next; last in, first out.
 *
 * => list_free: -EINVAL for what is not the address of a page of the range
 */
void list_init(const boot_range_t *range);
page_t list_alloc(void);
int list_free(page_t page);

/*
 * A binary buddy: 2^order pages at a multiple of their length. Its links are in
 * a table beside the pages, which is the fast place: pages' first lines all
 * fall into the same few sets of a cache.
 *
 * => buddy_free: -EINVAL for what is not a used block of that order
 */
void buddy_init(const boot_range_t *range);
page_t buddy_alloc(unsigned order);
int buddy_free(page_t page, unsigned order);

/* Nothing: what a replay costs without an allocator. */
void nothing_init(const boot_range_t *range);
page_t nothing_alloc(unsigned order);
int nothing_free(page_t page, unsigned order);

#endif
