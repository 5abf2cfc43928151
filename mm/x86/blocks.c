/*
 * Free chunks: a binary buddy (Knuth, The Art of Computer Programming 1, 2.5), whose
 * lists belong to blocks, so that memory is taken from one block after the other.
 */
#include <kernel/host.h>
#include <kernel/panic.h>
#include <kernel/printk.h>
#include <kernel/string.h>
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

/* The lowest block of the zone with a chunk of the order. => false: there is none */
static bool lowest_block(const zone_blocks_t *zone, unsigned order, size_t *number)
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

/* The last that came of the block's chunks of an order it has. */
static ALWAYS_INLINE page_t first_chunk(size_t number, unsigned order)
{
    return order < BLOCK_ORDER ? physical.block[number].list[order] : block_base(number);
}

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
static page_t find_run(size_t page_count, size_t align, page_t limit, run_source_t source)
{
    page_t page = PAGE_NONE;

    if (limit > LOW_ZONE_END)
        page = find_in_zone(ZONE_NORMAL, LOW_ZONE_END, limit, page_count, align, limit, source);
    if (page == PAGE_NONE && (limit <= LOW_ZONE_END || source == RUN_ANYWHERE))
        page = find_in_zone(ZONE_LOW, physical_mem_info.physical_heap_start, LOW_ZONE_END,
                            page_count, align, limit, source);
    return page;
}

page_t blocks_take_run(size_t page_count, size_t align, page_t limit, run_source_t source)
{
    page_t run = PAGE_NONE;
    page_t end;

    if (page_count <= limit >> PAGE_SHIFT)
        run = find_run(page_count, align, limit, source);
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

/* ---- checking */

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
