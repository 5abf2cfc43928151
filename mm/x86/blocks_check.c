/*
 * Part of physical_check: lists, markers, counters and sets of the blocks agree.
 */
#include "block_set.h"

static const char *check_list(size_t number, unsigned order, size_t *pages)
{
    page_t prev = PAGE_NONE;
    size_t count = 0;

    for (page_t page = physical.block[number].list[order]; page != PAGE_NONE; ) {
        const free_page_marker_t *marker;

        if (page >> BLOCK_SHIFT != number ||
            (page & (((page_t)PAGE_SIZE << order) - 1)) != 0)
            return "a free list leads out of its block";
        marker = at_page(page);
        if (marker->check != check_word(page))
            return "a free page's marker is damaged";
        if (marker->prev != prev)
            return "a free list's backward link is wrong";
        if (!frame_is_chunk(frame_at(page), order))
            return "a listed page is no free chunk in the frame table";
        if (frame_is_chunk(frame_at(page ^ (page_t)PAGE_SIZE << order), order))
            return "two halves of a chunk are free and not merged";
        count++;
        prev = page;
        page = marker->next;
    }
    *pages += count << order;
    return NULL;
}

/* Whether the sets have the block where it has chunks. */
static bool is_in_its_sets(size_t number)
{
    const zone_blocks_t *zone = &physical.zone[zone_of(block_base(number))];
    const block_t *block = &physical.block[number];
    bool pair = is_whole(number) && is_whole(number ^ 1);

    for (unsigned order = 0; order < BLOCK_ORDER; order++) {
        bool listed = (block->listed >> order & 1) != 0;

        if (set_has(&zone->have[order], number) != listed ||
            (block->list[order] != PAGE_NONE && !listed))
            return false;
    }
    return set_has(&zone->have[BLOCK_ORDER], number) == (is_whole(number) && !pair) &&
           set_has(&zone->have[PAIR_ORDER], number) == (pair && number % 2 == 0);
}

static const char *check_block(size_t number)
{
    const block_t *block = &physical.block[number];
    const char *trouble = NULL;
    size_t pages = 0;

    if (!is_in_its_sets(number))
        return "a set of blocks is wrong";
    for (unsigned order = 0; order < BLOCK_ORDER && trouble == NULL; order++)
        trouble = check_list(number, order, &pages);
    if (trouble == NULL && pages != (is_whole(number) ? 0 : block->free))
        trouble = "a block's counter differs from its lists";
    return trouble;
}

/* Sets against their summaries; blocks that are not there are in none. */
static const char *check_sets(const zone_blocks_t *zone)
{
    for (unsigned order = 0; order <= PAIR_ORDER; order++) {
        const block_set_t *set = &zone->have[order];

        if (set_is_empty(set) != ((zone->orders >> order & 1) == 0))
            return "a zone's orders are wrong";
        for (size_t i = 0; i < SET_WORDS; i++) {
            if ((set->word[i] != 0) != ((set->summary[i / 32] >> i % 32 & 1) != 0))
                return "a summary of a set of blocks is wrong";
            if (set->word[i] != 0 && i * 32 + (31 - (unsigned)__builtin_clz(set->word[i])) >=
                                     block_count())
                return "a set has a block that is not there";
        }
    }
    return NULL;
}

const char *blocks_check(void)
{
    const char *trouble = NULL;
    size_t free = 0;

    enter_linear_space();
    for (size_t i = 0; i < block_count() && trouble == NULL; i++) {
        trouble = check_block(i);
        free += physical.block[i].free;
    }
    leave_linear_space();
    for (zone_t zone = ZONE_NORMAL; zone < ZONE_COUNT && trouble == NULL; zone++)
        trouble = check_sets(&physical.zone[zone]);
    if (trouble == NULL && free != physical.block_free)
        trouble = "the sum of the blocks' counters is wrong";
    return trouble;
}
