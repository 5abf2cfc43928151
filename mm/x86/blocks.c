/*
 * Blocks: lists of free pages through markers in the pages, and intervals of
 * pages that were never handed out.
 */
#include <kernel/host.h>
#include <kernel/panic.h>
#include <kernel/printk.h>
#include <kernel/string.h>
#include <x86/cpu.h>

#include "blocks.h"

/* ---- classes of fullness */

static void class_remove(block_t *block)
{
    zone_t zone = zone_of(block_base(block));

    if (block->next != BLOCK_NONE)
        physical.block[block->next].prev = block->prev;
    if (block->prev != BLOCK_NONE)
        physical.block[block->prev].next = block->next;
    else
        physical.class_head[zone][block->listed] = block->next;
    if (physical.class_head[zone][block->listed] == BLOCK_NONE)
        physical.classes[zone] &= ~(1u << block->listed);
    block->listed = BLOCK_NONE;
}

static void class_insert(block_t *block, unsigned class)
{
    zone_t zone = zone_of(block_base(block));
    uint16_t number = (uint16_t)(block - physical.block);
    uint16_t *head = &physical.class_head[zone][class];

    block->listed = (uint16_t)class;
    block->prev = BLOCK_NONE;
    block->next = *head;
    if (*head != BLOCK_NONE)
        physical.block[*head].prev = number;
    *head = number;
    physical.classes[zone] |= 1u << class;
}

static NOINLINE void change_class(block_t *block, unsigned class)
{
    if (block->listed != BLOCK_NONE)
        class_remove(block);
    if (class != BLOCK_NONE)
        class_insert(block, class);
}

/* After block->free changed by `change`: count, and hang the block where it belongs. */
static inline void block_changed(block_t *block, size_t change)
{
    unsigned class = class_of(block);

    physical.block_free += change;
    if (block < &physical.block[LOW_ZONE_END >> BLOCK_SHIFT])
        physical.block_low_free += change;
    if (UNLIKELY(class != block->listed))
        change_class(block, class);
}

/* The fullest block with a free page. => NULL: none in the zone */
static block_t *fullest_block(zone_t zone)
{
    uint32_t classes = physical.classes[zone];

    if (classes == 0)
        return NULL;
    return &physical.block[physical.class_head[zone][__builtin_ctz(classes)]];
}

/* physical_ptr without a call: it is used several times for each page. */
static inline void *at_page(page_t page)
{
    DEBUG_ASSERT(linear_space_is_on());
    return cpu_physical_address(page);
}

/* ---- debug builds: free pages are filled, and looked at before they go out */

#define FREE_PAGE_FILL 0xddddddddu

/* The part of a page behind its marker. */
enum {
    FILLED_FROM = sizeof(free_page_marker_t) / sizeof(uint32_t),
    FILLED_COUNT = (PAGE_SIZE - sizeof(free_page_marker_t)) / sizeof(uint32_t),
};

static void fill_page(page_t page)
{
    cpu_fill_words((uint32_t *)at_page(page) + FILLED_FROM, FILLED_COUNT, FREE_PAGE_FILL);
}

/* Somebody wrote to a page after it was freed: say so. The page can be used. */
static void look_at_page(page_t page)
{
    const uint32_t *words = at_page(page);
    const uint32_t *other = cpu_find_other(words + FILLED_FROM, FILLED_COUNT, FREE_PAGE_FILL);
    char sentence[112];

    if (other == NULL)
        return;
    format_text(sentence, sizeof(sentence),
                "free page %#zx was written to after it was freed: %#x at offset %zu",
                page, *other, (size_t)(other - words) * sizeof(uint32_t));
    host_misuse(sentence);
}

/* ---- the list of a block; in the linear space */

static inline free_page_marker_t *marker_of(page_t page)
{
    free_page_marker_t *marker = at_page(page);

    if (UNLIKELY(marker->check != check_word(page)))
        panic("free page %#zx was written to: its marker is damaged", page);
    return marker;
}

static inline void list_push(block_t *block, page_t page)
{
    free_page_marker_t *marker = at_page(page);

    marker->check = check_word(page);
    marker->next = block->head;
    marker->prev = PAGE_NONE;
    if (block->head != PAGE_NONE)
        ((free_page_marker_t *)at_page(block->head))->prev = page;
    block->head = page;
    if (WATCH_FREE_PAGES)
        fill_page(page);
}

static void list_remove(block_t *block, page_t page)
{
    free_page_marker_t *marker = marker_of(page);

    if (marker->next != PAGE_NONE)
        marker_of(marker->next)->prev = marker->prev;
    if (marker->prev != PAGE_NONE)
        marker_of(marker->prev)->next = marker->next;
    else
        block->head = marker->next;
    marker->check = 0;
    if (WATCH_FREE_PAGES)
        look_at_page(page);
}

/* Take up to `want` pages off the list's head. */
static size_t list_pop(block_t *block, page_t *pages, size_t want)
{
    page_t page = block->head;
    size_t taken = 0;

    while (taken < want && page != PAGE_NONE) {
        free_page_marker_t *marker = marker_of(page);

        marker->check = 0;
        if (WATCH_FREE_PAGES)
            look_at_page(page);
        pages[taken++] = page;
        page = marker->next;
    }
    block->head = page;
    if (page != PAGE_NONE)
        marker_of(page)->prev = PAGE_NONE;
    return taken;
}

static void thread_pages(block_t *block, unsigned start, unsigned end)
{
    while (end-- > start) {
        page_t page = block_base(block) + (page_t)end * PAGE_SIZE;

        frame_set(frame_at(page), FRAME_FREE, OWNER_NONE, 0);
        list_push(block, page);
    }
}

/* ---- single pages */

/* Take up to `want` pages of one block, its interval's first. */
static size_t take_from(block_t *block, page_t *pages, size_t want, bool *inside)
{
    size_t taken = 0;

    while (taken < want && block->raw_start < block->raw_end)
        pages[taken++] = block_base(block) + (page_t)block->raw_start++ * PAGE_SIZE;
    if (taken < want && block->head != PAGE_NONE) {
        if (!*inside)
            enter_linear_space();
        *inside = true;
        taken += list_pop(block, pages + taken, want - taken);
    }
    block->free = (uint16_t)(block->free - taken);
    block_changed(block, -taken);
    return taken;
}

size_t blocks_take(page_t *pages, size_t want)
{
    bool inside = false;    /* the linear space: one visit, if any */
    size_t taken = 0;

    for (zone_t zone = ZONE_NORMAL; zone < ZONE_COUNT; zone++) {
        block_t *block;

        while (taken < want && (block = fullest_block(zone)) != NULL)
            taken += take_from(block, pages + taken, want - taken, &inside);
    }
    if (inside)
        leave_linear_space();
    return taken;
}

void blocks_give(page_t page)
{
    block_t *block = block_of(page);

    frame_set(frame_at(page), FRAME_FREE, OWNER_NONE, 0);
    list_push(block, page);
    block->free++;
    block_changed(block, 1);
}

/* ---- runs */

static inline bool is_free(page_t page)
{
    const block_t *block = block_of(page);
    unsigned index = index_in_block(page);

    return frame_at(page)->state == FRAME_FREE ||
           (index >= block->raw_start && index < block->raw_end);
}

/* Pages free in a row from `page` on, at most `want`. Whole free blocks in one step. */
static size_t run_length(page_t page, size_t want)
{
    size_t length = 0;

    while (length < want && (page >> PAGE_SHIFT) < physical_frame_count) {
        const block_t *block = block_of(page);
        size_t step = 1;

        if (block->free == BLOCK_PAGES && index_in_block(page) == 0)
            step = BLOCK_PAGES;
        else if (block->free == 0 || !is_free(page))
            break;
        length += step;
        page += step * PAGE_SIZE;
    }
    return length < want ? length : want;
}

/* Take a free page out of its block, wherever it is there. In the linear space. */
static void take_page(page_t page, frame_owner_t owner)
{
    block_t *block = block_of(page);
    unsigned index = index_in_block(page);

    if (frame_at(page)->state == FRAME_FREE) {
        list_remove(block, page);
    } else {
        /* Keep the part below as the interval, thread the part above. */
        thread_pages(block, index + 1, block->raw_end);
        block->raw_end = (uint16_t)index;
    }
    block->free--;
    block_changed(block, (size_t)-1);
    frame_set(frame_at(page), FRAME_USED, owner, 1);
}

static page_t find_run(size_t want, size_t align, page_t limit)
{
    page_t page = align_up(physical_mem_info.physical_heap_start, align);
    page_t next = page;

    while (next >= page && next < limit && (limit - next) >> PAGE_SHIFT >= want) {
        page = next;
        if (block_of(page)->free == 0) {
            next = align_up((page | (BLOCK_PAGES * PAGE_SIZE - 1)) + 1, align);
        } else {
            size_t got = run_length(page, want);

            if (got == want)
                return page;
            next = align_up(page + (got + 1) * PAGE_SIZE, align);
        }
    }
    return PAGE_NONE;       /* also when the next aligned address wraps to 0 */
}

page_t blocks_take_run(size_t page_count, size_t align, page_t limit, frame_owner_t owner)
{
    page_t first = find_run(page_count, align, limit);

    if (first == PAGE_NONE)
        return PAGE_NONE;
    enter_linear_space();
    /* From the top down: the interval loses its upper end page by page. */
    for (size_t i = page_count; i-- > 0; )
        take_page(first + i * PAGE_SIZE, owner);
    leave_linear_space();
    return first;
}

/* ---- boot */

void blocks_init(void)
{
    memset(physical.class_head, 0xff, sizeof(physical.class_head));
    for (size_t i = 0; i < BLOCK_COUNT; i++)
        physical.block[i].listed = BLOCK_NONE;
}

/* Free pages [start, end) of one block become its interval, or are threaded. */
static void block_add(block_t *block, unsigned start, unsigned end)
{
    if (block->raw_start == block->raw_end) {
        block->raw_start = (uint16_t)start;
        block->raw_end = (uint16_t)end;
    } else {
        thread_pages(block, start, end);
    }
    block->free = (uint16_t)(block->free + end - start);
    block_changed(block, end - start);
}

void blocks_add(page_t base, page_t end)
{
    while (base < end) {
        block_t *block = block_of(base);
        page_t stop = block_base(block) + BLOCK_PAGES * PAGE_SIZE;

        if (stop > end)
            stop = end;
        block_add(block, index_in_block(base), index_in_block(stop - PAGE_SIZE) + 1);
        base = stop;
    }
}

/* ---- checking */

static const char *check_block(const block_t *block, size_t *list_pages)
{
    size_t listed = 0;
    page_t prev = PAGE_NONE;

    for (page_t page = block->head; page != PAGE_NONE; ) {
        const free_page_marker_t *marker = at_page(page);

        if (block_of(page) != block || (page & PAGE_MASK) != 0)
            return "a free list leads out of its block";
        if (marker->check != check_word(page))
            return "a free page's marker is damaged";
        if (marker->prev != prev)
            return "a free list's backward link is wrong";
        if (frame_at(page)->state != FRAME_FREE)
            return "a listed page is not free in the frame table";
        if (++listed > BLOCK_PAGES)
            return "a free list has a loop";
        prev = page;
        page = marker->next;
    }
    *list_pages += listed;
    if (listed + block->raw_end - block->raw_start != block->free)
        return "a block's counter differs from its list and interval";
    if (block->listed != class_of(block))
        return "a block hangs in the wrong class";
    return NULL;
}

static const char *check_classes(void)
{
    size_t listed = 0;
    size_t expected = 0;

    for (zone_t zone = ZONE_NORMAL; zone < ZONE_COUNT; zone++) {
        for (unsigned class = 0; class < CLASS_COUNT; class++) {
            uint16_t prev = BLOCK_NONE;
            uint16_t number = physical.class_head[zone][class];

            if ((number != BLOCK_NONE) != ((physical.classes[zone] >> class & 1) != 0))
                return "the bitmap of classes is wrong";
            for (; number != BLOCK_NONE; number = physical.block[number].next) {
                const block_t *block = &physical.block[number];

                if (block->listed != class || block->prev != prev ||
                    zone_of(block_base(block)) != zone)
                    return "a class's list of blocks is wrong";
                if (++listed > BLOCK_COUNT)
                    return "a class's list of blocks has a loop";
                prev = number;
            }
        }
    }
    for (size_t i = 0; i < BLOCK_COUNT; i++)
        expected += physical.block[i].free > 0;
    return listed == expected ? NULL : "a block with free pages is in no class";
}

const char *blocks_check(size_t *listed)
{
    const char *trouble = NULL;
    size_t free = 0;

    enter_linear_space();
    for (size_t i = 0; i < BLOCK_COUNT && trouble == NULL; i++) {
        trouble = check_block(&physical.block[i], listed);
        free += physical.block[i].free;
    }
    leave_linear_space();
    if (trouble == NULL)
        trouble = check_classes();
    if (trouble == NULL && free != physical.block_free)
        trouble = "the sum of the blocks' counters is wrong";
    return trouble;
}
