/*
 * Where a run can be taken: in one chunk, or over several chunks in a row.
 */
#include "block_set.h"

/*
 * The first pages of a chunk of at least the order, below limit. Of each order only
 * the first chunk of the lowest block is looked at.
 */
static page_t find_chunk(const zone_blocks_t *zone, unsigned order, unsigned largest,
                         size_t length, page_t limit)
{
    for (; order <= largest; order++) {
        size_t number;
        page_t page;

        if (!lowest_block(zone, order, &number))
            continue;
        page = first_chunk(number, order);
        if (page < limit && limit - page >= length)
            return page;
    }
    return PAGE_NONE;
}

/* Whether a block has a chunk of at least the order, or had one. */
static bool may_have(size_t number, unsigned order)
{
    return number < block_count() &&
           (physical.block[number].listed >> order != 0 || is_whole(number));
}

/* The free chunk that begins at the page. => its bytes, 0: none does */
static size_t chunk_at(page_t page)
{
    const frame_t *frame = frame_at(page);

    if (index_in_block(page) == 0 && is_whole(page >> BLOCK_SHIFT))
        return (size_t)PAGE_SIZE << BLOCK_ORDER;
    return frame->state == FRAME_FREE && frame->count > 0 ?
           (size_t)PAGE_SIZE << (frame->count - 1u) : 0;
}

/*
 * The lowest run that begins in [from, end) and ends at limit at the latest, chunk by
 * chunk. Whatever its place, a run has a chunk of at least `part` in it: two blocks in
 * a row that have none are not looked into.
 *
 * => from: where a block begins, or the lowest page that can be free
 */
static page_t search(unsigned part, page_t from, page_t end, size_t length, size_t align,
                     page_t limit)
{
    page_t first = PAGE_NONE;       /* all of [first, at) is free */
    page_t at = from;

    if ((physical.zone[ZONE_NORMAL].orders | physical.zone[ZONE_LOW].orders) >> part == 0)
        return PAGE_NONE;
    while (at < limit && (at < end || first != PAGE_NONE)) {
        size_t number = at >> BLOCK_SHIFT;
        size_t chunk = chunk_at(at);
        page_t run;

        if (chunk == 0) {
            first = PAGE_NONE;
            at += PAGE_SIZE;
            if (index_in_block(at) == 0 || may_have(number, part) || may_have(number + 1, part))
                continue;
            at = block_base(number + 1);
            continue;
        }
        if (first == PAGE_NONE)
            first = at;
        at += chunk;
        run = align_up(first, align);
        if (run >= first && run < at && (at < limit ? at : limit) - run >= length)
            return run;
    }
    return PAGE_NONE;
}

/* A run that begins in the zone, which is [from, end). */
static page_t find_in_zone(zone_t zone, page_t from, page_t end, size_t page_count,
                           size_t align, page_t limit, run_source_t source)
{
    size_t length = page_count * PAGE_SIZE;
    size_t span = length > align ? length : align;
    unsigned order = 0;     /* a chunk of it has an aligned run at its start */
    unsigned part = 0;      /* a run has a chunk of it somewhere */
    page_t page;

    while (order <= PAIR_ORDER && (size_t)PAGE_SIZE << order < span)
        order++;
    while (part < BLOCK_ORDER && ((size_t)4 << part) - 1 <= page_count)
        part++;
    page = find_chunk(&physical.zone[zone], order,
                      source == RUN_OF_PARTS ? BLOCK_ORDER - 1 : PAIR_ORDER, length, limit);
    if (page == PAGE_NONE && source == RUN_ANYWHERE)
        page = search(part, from, end, length, align, limit);
    return page;
}

/* Low memory last, but for a run that is to be below its end. */
page_t blocks_find_run(size_t page_count, size_t align, page_t limit, run_source_t source)
{
    page_t page = PAGE_NONE;

    if (limit > LOW_ZONE_END)
        page = find_in_zone(ZONE_NORMAL, LOW_ZONE_END, limit, page_count, align, limit, source);
    if (page == PAGE_NONE && (limit <= LOW_ZONE_END || source == RUN_ANYWHERE))
        page = find_in_zone(ZONE_LOW, physical_mem_info.physical_heap_start, LOW_ZONE_END,
                            page_count, align, limit, source);
    return page;
}
