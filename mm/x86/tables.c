/*
 * Page-table pages: where they live in the kernel's part of every space, how
 * they are made, and how they go.
 *
 * Each table has a slot, one page, in a window of kernel addresses; top-level
 * tables have a window of their own, so that all of them can be found when the
 * kernel's part changes. To map the first table in a stretch of the window takes
 * a new kernel table, which needs a slot itself: for that one zeroed and mapped
 * table is always kept in reserve.
 */
#include <kernel/errno.h>
#include <kernel/panic.h>
#include <kernel/string.h>
#include <kernel/virtual.h>

#include "walk.h"

enum {
    TABLE_SLOTS = (TABLE_WINDOW_END - TABLE_WINDOW_BASE) / PAGE_SIZE,
    TOP_SLOTS = (DIRECTORY_WINDOW_END - DIRECTORY_WINDOW_BASE) / PAGE_SIZE,
    WORD_BITS = 32,
    EARLY_TABLES = 8,
};

static_assert(DIRECTORY_WINDOW_BASE == TABLE_WINDOW_END, "both windows' slots are one row");
static_assert(TABLE_SLOTS + TOP_SLOTS <= UINT16_MAX, "a frame can hold a slot's number");

typedef struct window {
    size_t base;
    size_t words;           /* of the bitmap */
    size_t hint;            /* no word below has a free slot */
    uint32_t *taken;        /* one bit a slot */
} window_t;

static uint32_t table_bits[TABLE_SLOTS / WORD_BITS];
static uint32_t top_bits[TOP_SLOTS / WORD_BITS];
static window_t table_window;
static window_t top_window;
static page_t reserve;      /* a zeroed table, mapped in the window */

/* ---- slots */

static void window_init(window_t *window, size_t base, uint32_t *bits, size_t words)
{
    *window = (window_t){ .base = base, .words = words, .taken = bits };
    memset(bits, 0, words * sizeof(bits[0]));
}

/* => the lowest free slot's address, or 0 */
static size_t slot_take(window_t *window)
{
    while (window->hint < window->words && window->taken[window->hint] == UINT32_MAX)
        window->hint++;
    if (window->hint == window->words)
        return 0;
    unsigned bit = (unsigned)__builtin_ctz(~window->taken[window->hint]);

    window->taken[window->hint] |= 1u << bit;
    return window->base + (window->hint * WORD_BITS + bit) * PAGE_SIZE;
}

static void slot_give(window_t *window, size_t vaddr)
{
    size_t number = (vaddr - window->base) / PAGE_SIZE;

    window->taken[number / WORD_BITS] &= ~(1u << number % WORD_BITS);
    if (number / WORD_BITS < window->hint)
        window->hint = number / WORD_BITS;
}

static window_t *window_of(size_t vaddr)
{
    return vaddr >= DIRECTORY_WINDOW_BASE ? &top_window : &table_window;
}

/* ---- kernel tables */

static bool kernel_covered(size_t vaddr, walk_t *at)
{
    return WITH_FORMAT(walk_down, paging_state.kernel, vaddr, 0, at);
}

/* Put an entry of the top level into every top-level table there is. */
static void put_in_every_top(unsigned index, uint64_t entry)
{
    for (size_t word = 0; word < top_window.words; word++) {
        for (uint32_t bits = top_window.taken[word]; bits != 0; bits &= bits - 1) {
            size_t slot = word * WORD_BITS + (unsigned)__builtin_ctz(bits);
            uint64_t mapped;
            walk_t at;

            /* A slot just taken may not be mapped yet: its table is still to
             * be filled from the kernel's own. */
            if (!kernel_covered(top_window.base + slot * PAGE_SIZE, &at))
                continue;
            mapped = entry_load(paging_format, at.table, at.index);
            if (mapped & ENTRY_PRESENT)
                entry_store(paging_format,
                            table_address((page_t)(mapped & paging_format->frame_mask)),
                            index, entry);
        }
    }
}

/* Let `table` be the last-level kernel table for vaddr, in every space at once. */
static void install_kernel_table(page_t table, size_t vaddr)
{
    uint64_t entry = table | paging_format->table_bits[1];
    walk_t at;
    bool found = walk_down(paging_format, paging_state.kernel, vaddr, 1, &at);

    ASSERT(found);
    physical_set_owner(table, OWNER_KERNEL_TABLE);
    virtual_events.kernel_tables++;
    /* Also before the kernel's own top level is in the window. */
    entry_store(paging_format, at.table, at.index, entry);
    if (paging_format->levels == 2)
        put_in_every_top(at.index, entry);
}

/* Map a table at its slot, and let its frame know. => the slot is covered */
static void map_slot(page_t page, size_t vaddr)
{
    walk_t at;
    bool covered = kernel_covered(vaddr, &at);

    ASSERT(covered);
    entry_store(paging_format, at.table, at.index,
                page | ENTRY_PRESENT | ENTRY_WRITE | paging_state.global |
                paging_state.no_execute);
    physical_frames[page >> PAGE_SHIFT].slot =
        (uint16_t)((vaddr - TABLE_WINDOW_BASE) / PAGE_SIZE);
    physical_frames[page >> PAGE_SHIFT].count = 0;
}

/* Give a fresh page its slot, and clear it. */
static void table_place(page_t page, size_t vaddr)
{
    map_slot(page, vaddr);
    cpu_clear_page(table_address(page));
    virtual_events.tables_made++;
}

/*
 * A slot of the table window whose stretch no kernel table covers: the reserve
 * becomes that table, and a new reserve takes the slot.
 */
static int cover_table_window(size_t vaddr)
{
    page_t spare = alloc_physical_page(OWNER_KERNEL_TABLE);

    if (spare == PAGE_NONE)
        return -ENOMEM;
    install_kernel_table(reserve, vaddr);
    table_place(spare, vaddr);
    reserve = spare;
    return 0;
}

static page_t make_in(window_t *window)
{
    page_t page;
    size_t vaddr;
    walk_t at;

    for (;;) {
        vaddr = slot_take(window);
        if (vaddr == 0)
            return PAGE_NONE;
        if (kernel_covered(vaddr, &at))
            break;
        if (window == &table_window) {
            if (cover_table_window(vaddr) != 0) {
                slot_give(window, vaddr);
                return PAGE_NONE;
            }
        } else {
            int err = tables_cover_kernel(vaddr);

            slot_give(window, vaddr);
            if (err != 0)
                return PAGE_NONE;
        }
    }
    page = alloc_physical_page(OWNER_PAGE_TABLE);
    if (page == PAGE_NONE) {
        slot_give(window, vaddr);
        return PAGE_NONE;
    }
    table_place(page, vaddr);
    return page;
}

page_t table_make(void)
{
    return make_in(&table_window);
}

page_t table_make_top(void)
{
    page_t page = make_in(&top_window);

    if (page != PAGE_NONE)
        physical_frames[page >> PAGE_SHIFT].count = 1;     /* tables of this space */
    return page;
}

void table_free(page_t page)
{
    size_t vaddr = table_slot_address(physical_frames[page >> PAGE_SHIFT].slot);
    walk_t at;
    bool covered = kernel_covered(vaddr, &at);

    ASSERT(covered && page != reserve);
    paging_forget_table();
    entry_store(paging_format, at.table, at.index, 0);
    paging_flush_page(vaddr);
    slot_give(window_of(vaddr), vaddr);
    physical_frames[page >> PAGE_SHIFT].count = 1;
    free_physical_page(page);
    virtual_events.tables_freed++;
}

int tables_cover_kernel(size_t vaddr)
{
    walk_t at;
    page_t table;

    if (kernel_covered(vaddr, &at))
        return 0;
    table = table_make();
    if (table == PAGE_NONE)
        return -ENOMEM;
    /* Making it may have covered this very address. */
    if (kernel_covered(vaddr, &at))
        table_free(table);
    else
        install_kernel_table(table, vaddr);
    return 0;
}

/* ---- the tables of a space */

static frame_t *frame_of(page_t page)
{
    return &physical_frames[page >> PAGE_SHIFT];
}

int tables_make_path(page_t root, size_t vaddr, unsigned target, walk_t *at)
{
    const paging_format_t *format = paging_format;

    while (!WITH_FORMAT(walk_down, root, vaddr, target, at)) {
        page_t table;

        if (entry_load(format, at->table, at->index) & ENTRY_PRESENT)
            return -EEXIST;     /* a large page is in the way */
        table = table_make();
        if (table == PAGE_NONE) {
            page_t chain = PAGE_NONE;

            /* Take out what this call made: tables with nothing in them. */
            if (at->page != root && frame_of(at->page)->count == 0) {
                tables_unlink(root, vaddr, &chain);
                if (root == paging_state.current)
                    paging_flush_space();
                tables_free_chain(root, chain);
            }
            return -ENOMEM;
        }
        entry_store(format, at->table, at->index, table | format->table_bits[at->level]);
        if (at->page != root)
            frame_of(at->page)->count++;
        frame_of(root)->count++;
        /* The processor reads the four top entries of PAE only with CR3. */
        if (format->eager_top && at->page == root && root == paging_state.current &&
            paging_state.on)
            paging_flush_space();
    }
    return 0;
}

void tables_unlink(page_t root, size_t vaddr, page_t *chain)
{
    const paging_format_t *format = paging_format;
    walk_t at;

    walk_down(format, root, vaddr, 0, &at);
    /* *at is in the lowest table there is on the way to vaddr. */
    while (at.page != root && frame_of(at.page)->count == 0) {
        page_t empty = at.page;
        void *empty_table = at.table;

        walk_down(format, root, vaddr, at.level + 1, &at);
        entry_store(format, at.table, at.index, 0);
        if (at.page != root)
            frame_of(at.page)->count--;
        /* The chain goes through the first words, which name no table: bit 0
         * of a page's address is 0. */
        *(page_t *)empty_table = *chain;
        *chain = empty;
    }
}

void tables_free_chain(page_t root, page_t chain)
{
    while (chain != PAGE_NONE) {
        page_t next = *(page_t *)table_address(chain);

        table_free(chain);
        frame_of(root)->count--;
        chain = next;
    }
}

page_t tables_next_top(size_t *slot)
{
    while (*slot < TOP_SLOTS) {
        uint32_t bits = top_window.taken[*slot / WORD_BITS] >> *slot % WORD_BITS;
        bool covered;
        walk_t at;

        if (bits == 0) {
            *slot = (*slot | (WORD_BITS - 1)) + 1;
            continue;
        }
        *slot += (unsigned)__builtin_ctz(bits);
        covered = kernel_covered(top_window.base + *slot * PAGE_SIZE, &at);
        ASSERT(covered);
        (*slot)++;
        return (page_t)(entry_load(paging_format, at.table, at.index) &
                        paging_format->frame_mask);
    }
    return PAGE_NONE;
}

/* ---- boot */

/* Tables made before any slot can be mapped. */
static struct early {
    size_t count;
    page_t page[EARLY_TABLES];
    size_t vaddr[EARLY_TABLES];
} early;

static page_t early_make(window_t *window)
{
    page_t page = alloc_physical_page(OWNER_KERNEL_TABLE);

    if (page == PAGE_NONE || early.count == EARLY_TABLES)
        return PAGE_NONE;
    cpu_clear_page(table_address(page));
    early.page[early.count] = page;
    early.vaddr[early.count] = slot_take(window);
    early.count++;
    return page;
}

/* The tables from the top to vaddr's entry at level `target`. */
static bool early_path(size_t vaddr, unsigned target)
{
    walk_t at;

    while (!walk_down(paging_format, paging_state.kernel, vaddr, target, &at)) {
        page_t table = early_make(&table_window);

        if (table == PAGE_NONE)
            return false;
        entry_store(paging_format, at.table, at.index,
                    table | paging_format->table_bits[at.level]);
    }
    return true;
}

const char *tables_init(void)
{
    static const char no_memory[] = "there is not enough memory for page tables";

    early.count = 0;
    window_init(&table_window, TABLE_WINDOW_BASE, table_bits, ARRAY_LENGTH(table_bits));
    window_init(&top_window, DIRECTORY_WINDOW_BASE, top_bits, ARRAY_LENGTH(top_bits));
    paging_state.kernel = early_make(&top_window);
    /* All levels above the last for the kernel's parts, for good; then the
     * first stretch of the window. */
    if (paging_state.kernel == PAGE_NONE || !early_path(0, 1) || !early_path(KERNEL_BASE, 1) ||
        !early_path(TABLE_WINDOW_BASE, 0))
        return no_memory;
    reserve = early_make(&table_window);
    if (reserve == PAGE_NONE)
        return no_memory;
    for (size_t i = 1; i < early.count; i++)
        map_slot(early.page[i], early.vaddr[i]);
    if (tables_cover_kernel(DIRECTORY_WINDOW_BASE) != 0)
        return no_memory;
    map_slot(early.page[0], early.vaddr[0]);
    physical_frames[paging_state.kernel >> PAGE_SHIFT].count = 1;
    return NULL;
}

/* Every mapped slot is a table that knows the slot. */
static const char *check_window(const window_t *window, size_t *tables)
{
    size_t stretch = (size_t)1 << paging_format->index_bits[0];
    bool covered = false;
    walk_t at;

    for (size_t slot = 0; slot < window->words * WORD_BITS; slot++) {
        bool taken = (window->taken[slot / WORD_BITS] >> slot % WORD_BITS & 1) != 0;
        size_t vaddr = window->base + slot * PAGE_SIZE;
        const frame_t *frame;
        uint64_t entry;

        if (slot % stretch == 0)        /* one kernel table maps so many slots */
            covered = kernel_covered(vaddr, &at);
        if (!covered) {
            if (taken)
                return "a taken slot of the table window is not covered";
            if (window->taken[slot / WORD_BITS] == 0)
                slot |= WORD_BITS - 1;
            continue;
        }
        entry = entry_load(paging_format, at.table, slot % stretch);
        if (((entry & ENTRY_PRESENT) != 0) != taken)
            return "the table window's bitmap is wrong";
        if (!taken)
            continue;
        frame = &physical_frames[(page_t)(entry & paging_format->frame_mask) >> PAGE_SHIFT];
        if ((frame->owner != OWNER_PAGE_TABLE && frame->owner != OWNER_KERNEL_TABLE) ||
            table_slot_address(frame->slot) != vaddr)
            return "a table's frame does not know its address";
        (*tables)++;
    }
    return NULL;
}

const char *tables_check(void)
{
    size_t tables = 0;
    const char *trouble = check_window(&table_window, &tables);

    if (trouble == NULL)
        trouble = check_window(&top_window, &tables);
    if (trouble == NULL && tables != physical_mem_info.owner[OWNER_PAGE_TABLE] +
                                     physical_mem_info.owner[OWNER_KERNEL_TABLE])
        trouble = "a page-table page is in no window";
    return trouble;
}
