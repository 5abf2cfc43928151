/*
 * Free chunks: a binary buddy (Knuth, The Art of Computer Programming 1, 2.5), whose
 * lists belong to blocks, so that memory is taken from one block after the other.
 */
#include <kernel/host.h>
#include <kernel/printk.h>

#include "block_set.h"

/* ---- which blocks have chunks of an order */

static NOINLINE void set_listed(size_t number, unsigned order)
{
    zone_blocks_t *zone = &physical.zone[zone_of(block_base(number))];

    physical.block[number].listed |= (uint16_t)(1u << order);
    set_add(&zone->have[order], number);
    zone->orders |= 1u << order;
}

static NOINLINE void set_unlisted(size_t number, unsigned order)
{
    zone_blocks_t *zone = &physical.zone[zone_of(block_base(number))];

    physical.block[number].listed &= (uint16_t)~(1u << order);
    set_remove(&zone->have[order], number);
    if (set_is_empty(&zone->have[order]))
        zone->orders &= ~(1u << order);
}

/* The block has become whole. Sets of whole blocks and of pairs are exact. */
static NOINLINE void whole_appears(size_t number)
{
    if (is_whole(number ^ 1)) {
        set_unlisted(number ^ 1, BLOCK_ORDER);
        set_listed(number & ~(size_t)1, PAIR_ORDER);
    } else {
        set_listed(number, BLOCK_ORDER);
    }
}

static NOINLINE void whole_vanishes(size_t number)
{
    if (is_whole(number ^ 1)) {
        set_unlisted(number & ~(size_t)1, PAIR_ORDER);
        set_listed(number ^ 1, BLOCK_ORDER);
    } else {
        set_unlisted(number, BLOCK_ORDER);
    }
}

bool lowest_block(const zone_blocks_t *zone, unsigned order, size_t *number)
{
    while ((zone->orders >> order & 1) != 0) {
        *number = set_first(&zone->have[order]);
        if (order >= BLOCK_ORDER || physical.block[*number].list[order] != PAGE_NONE)
            return true;
        set_unlisted(*number, order);
    }
    return false;
}

/* The order of the zone's smallest chunk, and the lowest block that has one. */
static bool smallest_chunk(const zone_blocks_t *zone, unsigned *order, size_t *number)
{
    while (zone->orders != 0) {
        *order = (unsigned)__builtin_ctz(zone->orders);
        if (lowest_block(zone, *order, number))
            return true;
    }
    return false;
}

/* ---- debug builds: free pages are filled, and looked at before they go out */

#define FREE_PAGE_FILL 0xddddddddu

enum {
    PAGE_WORDS = PAGE_SIZE / sizeof(uint32_t),
    MARKER_WORDS = sizeof(free_page_marker_t) / sizeof(uint32_t),
};

/* Somebody wrote to a page after it was freed: say so. The page can be used. */
static void look_at_page(page_t page, size_t word_count)
{
    const uint32_t *words = at_page(page);
    const uint32_t *other = cpu_find_other(words, word_count, FREE_PAGE_FILL);
    char sentence[112];

    if (other == NULL)
        return;
    format_text(sentence, sizeof(sentence),
                "free page %#zx was written to after it was freed: %#x at offset %zu",
                page, *other, (size_t)(other - words) * sizeof(uint32_t));
    host_misuse(sentence);
}

/* Pages that have been free and in use go out: FRAME_FREE says that one was filled. */
static void look_at_pages(page_t page, size_t count)
{
    for (; count > 0; count--, page += PAGE_SIZE) {
        if (frame_at(page)->state == FRAME_FREE)
            look_at_page(page, PAGE_WORDS);
    }
}

static void fill_pages(page_t page, size_t count)
{
    for (; count > 0; count--, page += PAGE_SIZE) {
        cpu_fill_words(at_page(page), PAGE_WORDS, FREE_PAGE_FILL);
        frame_set(frame_at(page), FRAME_FREE, OWNER_NONE, 0);
    }
}

void blocks_fill(page_t page, size_t count)
{
    enter_linear_space();
    fill_pages(page, count);
    leave_linear_space();
}

void blocks_look_at(page_t page, size_t count)
{
    enter_linear_space();
    for (; count > 0; count--, page += PAGE_SIZE)
        look_at_page(page, PAGE_WORDS);
    leave_linear_space();
}

/* ---- chunks; in the linear space, but for whole blocks */

static ALWAYS_INLINE free_page_marker_t *marker_of(page_t page)
{
    free_page_marker_t *marker = at_page(page);

    if (UNLIKELY(marker->check != check_word(page)))
        panic("free page %#zx was written to: its marker is damaged", page);
    return marker;
}

/* The page is like any other inside a chunk. */
static ALWAYS_INLINE void unmark(free_page_marker_t *marker)
{
    if (WATCH_FREE_PAGES)
        cpu_fill_words((uint32_t *)(void *)marker, MARKER_WORDS, FREE_PAGE_FILL);
}

/* A chunk that cannot be merged further, or need not be, but no whole block. */
static ALWAYS_INLINE void chunk_add(block_t *block, page_t page, frame_t *frame, unsigned order)
{
    free_page_marker_t *marker = at_page(page);
    page_t next = block->list[order];

    if (WATCH_FREE_PAGES && frame->state != FRAME_FREE)
        fill_pages(page, 1);
    block->list[order] = page;
    frame_set(frame, FRAME_FREE, OWNER_NONE, (uint16_t)(order + 1));
    marker->check = check_word(page);
    marker->next = next;
    marker->prev = PAGE_NONE;
    if (next != PAGE_NONE)
        ((free_page_marker_t *)at_page(next))->prev = page;
    else if (UNLIKELY((block->listed >> order & 1) == 0))
        set_listed(page >> BLOCK_SHIFT, order);
}

/*
 * Take a chunk off its list, wherever it is there. Its frame still says that it is
 * one.
 */
static ALWAYS_INLINE void chunk_remove(block_t *block, page_t page, unsigned order)
{
    free_page_marker_t *marker = marker_of(page);
    page_t next = marker->next;
    page_t prev = marker->prev;

    unmark(marker);
    if (next != PAGE_NONE)
        ((free_page_marker_t *)at_page(next))->prev = prev;
    if (prev == PAGE_NONE)
        block->list[order] = next;
    else
        ((free_page_marker_t *)at_page(prev))->next = next;
}

/* The frame is inside a chunk from now on. */
static ALWAYS_INLINE void frame_inside(frame_t *frame)
{
    frame_set(frame, FRAME_FREE, OWNER_NONE, 0);
}

/* A chunk of the block goes, whatever its order. */
static void chunk_take(block_t *block, page_t page, unsigned order)
{
    if (order == BLOCK_ORDER) {
        whole_vanishes(page >> BLOCK_SHIFT);
    } else {
        chunk_remove(block, page, order);
        frame_inside(frame_at(page));
    }
}

/*
 * A chunk is free again: merge it with its other halves as far as they are free.
 * With a constant order, the compiler makes a step of its own for each.
 */
static ALWAYS_INLINE void chunk_give(block_t *block, page_t page, frame_t *frame,
                                     unsigned order)
{
#pragma GCC unroll 9
    for (; order < BLOCK_ORDER; order++) {
        page_t length = (page_t)PAGE_SIZE << order;

        if ((page & length) == 0) {
            frame_t *upper = frame + (1u << order);

            if (!frame_is_chunk(upper, order))
                break;
            chunk_remove(block, page + length, order);
            frame_inside(upper);
        } else {
            frame_t *lower = frame - (1u << order);

            if (!frame_is_chunk(lower, order))
                break;
            page -= length;
            chunk_remove(block, page, order);
            frame_inside(frame);
            frame = lower;
        }
    }
    if (order < BLOCK_ORDER) {
        chunk_add(block, page, frame, order);
    } else {
        frame_inside(frame);
        whole_appears(page >> BLOCK_SHIFT);
    }
}

/* The order of the largest chunk that can begin at page and does not go past end. */
static inline unsigned largest_order(page_t page, page_t end)
{
    unsigned fits = 31 - (unsigned)__builtin_clz((uint32_t)((end - page) >> PAGE_SHIFT));
    unsigned aligned = (unsigned)__builtin_ctz((uint32_t)(page >> PAGE_SHIFT) | BLOCK_PAGES);

    return fits < aligned ? fits : aligned;
}

/* Pages [page, end) of one block, what is left of a chunk. */
static void add_rest(page_t page, page_t end)
{
    block_t *block = block_of(page);

    while (page < end) {
        unsigned order = largest_order(page, end);

        if (WATCH_FREE_PAGES && frame_at(page)->state == FRAME_FREE)
            look_at_page(page, MARKER_WORDS);   /* the marker will cover it */
        chunk_add(block, page, frame_at(page), order);
        page += (page_t)PAGE_SIZE << order;
    }
}

/* ---- single pages */

/* Pages in a row that are free and in no list go into slots. => past the last slot */
static ALWAYS_INLINE page_slot_t *put_in_slots(page_slot_t *slots, page_t page, size_t count)
{
    frame_t *frame = frame_at(page);

    if (WATCH_FREE_PAGES)
        look_at_pages(page, count);
#pragma GCC unroll 8
    for (page_slot_t *end = slots + count; slots < end; slots++, frame++, page += PAGE_SIZE) {
        frame_set(frame, FRAME_MAGAZINE, OWNER_NONE, 0);
        slots->page = page;
        slots->frame = frame;
    }
    return slots;
}

/* Up to `want` pages of a whole block. */
static size_t take_of_whole(size_t number, page_slot_t *slots, size_t want)
{
    page_t page = block_base(number);

    whole_vanishes(number);
    put_in_slots(slots, page, want);
    add_rest(page + want * PAGE_SIZE, page + BLOCK_PAGES * PAGE_SIZE);
    physical.block[number].free = (uint16_t)(BLOCK_PAGES - want);
    return want;
}

/* Up to `want` pages of the chunks in a list, which has one. */
static size_t take_of_list(block_t *block, unsigned order, page_slot_t *slots, size_t want)
{
    page_t page = block->list[order];
    size_t length = (size_t)1 << order;
    page_slot_t *slot = slots;
    page_slot_t *end = slots + want;

    do {
        free_page_marker_t *marker = marker_of(page);
        page_t next = marker->next;
        size_t count = (size_t)(end - slot);

        unmark(marker);
        frame_inside(frame_at(page));
        if (count < length) {
            slot = put_in_slots(slot, page, count);
            add_rest(page + count * PAGE_SIZE, page + length * PAGE_SIZE);
        } else {
            slot = put_in_slots(slot, page, length);
        }
        page = next;
    } while (page != PAGE_NONE && slot < end);
    block->list[order] = page;
    if (page != PAGE_NONE)
        ((free_page_marker_t *)at_page(page))->prev = PAGE_NONE;
    block->free = (uint16_t)(block->free - (slot - slots));
    return (size_t)(slot - slots);
}

/* Up to `want` pages of one zone. */
static size_t take_of_zone(const zone_blocks_t *zone, page_slot_t *slots, size_t want)
{
    size_t taken = 0;
    size_t number;
    unsigned order;

    while (taken < want && smallest_chunk(zone, &order, &number)) {
        if (order < BLOCK_ORDER)
            taken += take_of_list(&physical.block[number], order, slots + taken, want - taken);
        else if (taken == 0)
            taken = take_of_whole(number, slots, want);
        else
            break;
    }
    return taken;
}

size_t blocks_take(page_slot_t *slots, size_t want)
{
    size_t taken;

    enter_linear_space();
    taken = take_of_zone(&physical.zone[ZONE_NORMAL], slots, want);
    if (taken == 0)
        taken = take_of_zone(&physical.zone[ZONE_LOW], slots, want);
    leave_linear_space();
    physical.block_free -= taken;
    return taken;
}

void blocks_give(const page_slot_t *slots, size_t count)
{
    physical.block_free += count;
    do {
        page_t page = slots->page;
        frame_t *frame = slots->frame;
        block_t *block = block_of(page);

        slots++;
        if (WATCH_FREE_PAGES) {
            if (frame->state == FRAME_MAGAZINE && frame->count > 0)
                look_at_page(page, PAGE_WORDS);
            fill_pages(page, 1);
        }
        block->free++;
        chunk_give(block, page, frame, 0);
    } while (--count > 0);
}

bool blocks_have_parts(void)
{
    size_t number;
    unsigned order;

    if (smallest_chunk(&physical.zone[ZONE_NORMAL], &order, &number))
        return order < BLOCK_ORDER;
    return physical_mem_info.total == physical_mem_info.low_total &&
           smallest_chunk(&physical.zone[ZONE_LOW], &order, &number) && order < BLOCK_ORDER;
}

/* ---- runs */

/* The chunk that holds a page, which is free. => its first page and *order */
static page_t chunk_around(page_t page, unsigned *order)
{
    size_t number = page >> BLOCK_SHIFT;

    *order = BLOCK_ORDER;
    if (is_whole(number))
        return block_base(number);
    for (*order = 0; ; ++*order) {
        page_t first = align_down(page, (page_t)PAGE_SIZE << *order);

        ASSERT(*order < BLOCK_ORDER);
        if (frame_is_chunk(frame_at(first), *order))
            return first;
    }
}

page_t blocks_take_run(size_t page_count, size_t align, page_t limit, run_source_t source)
{
    page_t run = PAGE_NONE;
    page_t end;

    if (page_count <= limit >> PAGE_SHIFT)
        run = blocks_find_run(page_count, align, limit, source);
    if (run == PAGE_NONE)
        return PAGE_NONE;
    end = run + page_count * PAGE_SIZE;
    enter_linear_space();
    for (page_t at = run; at < end; ) {
        unsigned order;
        page_t first = chunk_around(at, &order);
        page_t stop = first + ((page_t)PAGE_SIZE << order);
        block_t *block = block_of(at);

        chunk_take(block, first, order);
        add_rest(first, at);
        if (stop > end) {
            add_rest(end, stop);
            stop = end;
        }
        if (WATCH_FREE_PAGES)
            look_at_pages(at, (stop - at) >> PAGE_SHIFT);
        block->free = (uint16_t)(block->free - ((stop - at) >> PAGE_SHIFT));
        at = stop;
    }
    leave_linear_space();
    physical.block_free -= page_count;
    return run;
}

void blocks_give_run(page_t first, size_t page_count)
{
    page_t end = first + page_count * PAGE_SIZE;

    frame_inside(frame_at(first));
    if (WATCH_FREE_PAGES)
        fill_pages(first, page_count);
    physical.block_free += page_count;
    while (first < end) {
        block_t *block = block_of(first);
        unsigned order = largest_order(first, end);

        block->free = (uint16_t)(block->free + (1u << order));
        chunk_give(block, first, frame_at(first), order);
        first += (page_t)PAGE_SIZE << order;
    }
}

/* ---- boot */

/* Frames up to the end of the last block: a chunk's other half always has one. */
static size_t frames_length(size_t frame_count)
{
    return align_up(frame_count, BLOCK_PAGES) * sizeof(frame_t);
}

size_t blocks_table_length(size_t frame_count)
{
    /* An even number: each has another one. */
    size_t blocks = align_up(frame_count, 2 * BLOCK_PAGES) / BLOCK_PAGES * sizeof(block_t);

    return align_up(frames_length(frame_count) + blocks, PAGE_SIZE);
}

void blocks_move(void *table)
{
    physical_frames = table;
    physical.block = (block_t *)(void *)((char *)table + frames_length(physical_frame_count));
}

/* Every second block of [number, end), which are even, word by word. */
static void set_add_pairs(block_set_t *set, size_t number, size_t end)
{
    while (number < end) {
        size_t next = align_up(number + 1, 32);
        uint32_t bits = 0x55555555u << number % 32;

        if (next > end) {
            bits &= (1u << end % 32) - 1;
            next = end;
        }
        set->word[number / 32] |= bits;
        set->summary[number / 1024] |= 1u << number / 32 % 32;
        number = next;
    }
}

/* Blocks [number, end) of a zone are whole: pairs, and maybe a single one at each end. */
static void add_whole(size_t number, size_t end)
{
    zone_blocks_t *zone = &physical.zone[zone_of(block_base(number))];

    for (block_t *block = &physical.block[number]; block < &physical.block[end]; block++)
        block->free = BLOCK_PAGES;
    if (number % 2 != 0)
        set_listed(number++, BLOCK_ORDER);
    if (end % 2 != 0 && number < end)
        set_listed(--end, BLOCK_ORDER);
    if (number < end)
        zone->orders |= 1u << PAIR_ORDER;
    set_add_pairs(&zone->have[PAIR_ORDER], number, end);
}

void blocks_add(page_t base, page_t end)
{
    physical.block_free += (end - base) >> PAGE_SHIFT;
    while (base < end) {
        block_t *block = block_of(base);
        unsigned order = largest_order(base, end);
        page_t next = base + ((page_t)PAGE_SIZE << order);

        if (order == BLOCK_ORDER) {
            next = align_down(end, (page_t)PAGE_SIZE << BLOCK_ORDER);
            if (base < LOW_ZONE_END && next > LOW_ZONE_END)
                next = LOW_ZONE_END;
            add_whole(base >> BLOCK_SHIFT, next >> BLOCK_SHIFT);
        } else {
            block->free = (uint16_t)(block->free + (1u << order));
            chunk_add(block, base, frame_at(base), order);
        }
        base = next;
    }
}
