/*
 * What the files about blocks share: where a block and a free page are, sets of
 * blocks, and looking a chunk up. Private to blocks*.c.
 */
#ifndef MM_X86_BLOCK_SET_H
#define MM_X86_BLOCK_SET_H

#include <kernel/panic.h>
#include <x86/cpu.h>

#include "blocks.h"

/* physical_ptr without a call: it is used several times for each page. */
static ALWAYS_INLINE void *at_page(page_t page)
{
    DEBUG_ASSERT(linear_space_is_on());
    return cpu_physical_address(page);
}

static inline page_t block_base(size_t number)
{
    return (page_t)number << BLOCK_SHIFT;
}

static inline bool is_whole(size_t number)
{
    return physical.block[number].free == BLOCK_PAGES;
}

/* ---- sets of blocks */

static inline void set_add(block_set_t *set, size_t number)
{
    set->word[number / 32] |= 1u << number % 32;
    set->summary[number / 1024] |= 1u << number / 32 % 32;
}

static inline void set_remove(block_set_t *set, size_t number)
{
    set->word[number / 32] &= ~(1u << number % 32);
    if (set->word[number / 32] == 0)
        set->summary[number / 1024] &= ~(1u << number / 32 % 32);
}

static inline bool set_has(const block_set_t *set, size_t number)
{
    return (set->word[number / 32] >> number % 32 & 1) != 0;
}

static inline bool set_is_empty(const block_set_t *set)
{
    uint32_t any = 0;

    for (size_t i = 0; i < SET_SUMMARIES; i++)
        any |= set->summary[i];
    return any == 0;
}

/* The lowest block of a set that is not empty. */
static inline size_t set_first(const block_set_t *set)
{
    size_t i = 0;

    while (set->summary[i] == 0)
        i++;
    i = i * 32 + (unsigned)__builtin_ctz(set->summary[i]);
    return i * 32 + (unsigned)__builtin_ctz(set->word[i]);
}

/* ---- chunks */

/* The last that came of the block's chunks of an order it has. */
static ALWAYS_INLINE page_t first_chunk(size_t number, unsigned order)
{
    return order < BLOCK_ORDER ? physical.block[number].list[order] : block_base(number);
}

/* The lowest block of the zone with a chunk of the order. => false: there is none */
bool lowest_block(const zone_blocks_t *zone, unsigned order, size_t *number);

/* blocks_find.c: where blocks_take_run can take it. => PAGE_NONE: nowhere */
page_t blocks_find_run(size_t page_count, size_t align, page_t limit, run_source_t source);

#endif
