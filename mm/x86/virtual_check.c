/*
 * The checker of page tables: what virtual.h promises of them, recounted over
 * every space; and a visit to all their entries, for checkers above.
 */
#include <kernel/linear.h>
#include <kernel/string.h>
#include <kernel/virtual.h>

#include "walk.h"

enum {
    SLOTS = (DIRECTORY_WINDOW_END - TABLE_WINDOW_BASE) / PAGE_SIZE,
    WORD_BITS = 32,
};

/* The tables met so far: each hangs in one place, the kernel's in its own top level. */
static struct sweep {
    uint32_t met[SLOTS / WORD_BITS];    /* one bit a slot of the windows */
    size_t count;
    bool linear;                        /* in the linear space */
} sweep;

static const char *meet_table(page_t table, frame_owner_t owner)
{
    const frame_t *frame = physical_frame(table);
    uint32_t bit;

    if (frame == NULL || frame->owner != owner)
        return "an entry leads to a page that is no table";
    bit = 1u << frame->slot % WORD_BITS;
    if (sweep.met[frame->slot / WORD_BITS] & bit)
        return "a table hangs in two places";
    sweep.met[frame->slot / WORD_BITS] |= bit;
    sweep.count++;
    return NULL;
}

/* Whether an entry names no table. */
static bool is_last(uint64_t entry, unsigned level)
{
    return level == 0 || (entry & ENTRY_PRESENT) == 0 ||
           (level == paging_format->large_level && (entry & ENTRY_LARGE) != 0);
}

/*
 * Whether [base, base + span) meets the kernel's part, as indexes see addresses.
 *
 * => *inside: it is all the kernel's
 */
static bool meets_kernel_part(uint64_t base, uint64_t span, bool *inside)
{
    const paging_format_t *format = paging_format;
    unsigned top = format->levels - 1u;
    uint64_t addresses = walk_span(format, top) << format->index_bits[top];

    for (size_t i = 0; i < KERNEL_PARTS; i++) {
        uint64_t start = kernel_parts[i].base & (addresses - 1);
        uint64_t end = start + kernel_parts[i].length;

        *inside = base >= start && base + span <= end;
        if (base < end && start < base + span)
            return true;
    }
    return false;
}

/* ---- the kernel's own table */

static const char *check_kernel_page(uint64_t entry)
{
    page_t page = (page_t)(entry & paging_format->frame_mask);

    if ((entry & ENTRY_PRESENT) == 0)
        return NULL;
    if (entry & ENTRY_USER)
        return "a kernel page is open to programs";
    if ((entry & ENTRY_WRITE) == 0)
        return NULL;
    if (page >= paging_state.read_only_base && page < paging_state.read_only_end)
        return "the kernel's text or constants can be written";
    if (paging_state.no_execute != 0 && (entry & paging_state.no_execute) == 0)
        return "a kernel page is writable and executable";
    return NULL;
}

static const char *check_kernel_table(page_t table, unsigned level, uint64_t table_base)
{
    const paging_format_t *format = paging_format;
    uint64_t span = walk_span(format, level);
    const char *trouble = meet_table(table, OWNER_KERNEL_TABLE);

    for (unsigned i = 0; i < 1u << format->index_bits[level] && trouble == NULL; i++) {
        uint64_t base = table_base + i * span;
        uint64_t entry = entry_load(format, table_address(table), i);
        bool inside;

        if (!meets_kernel_part(base, span, &inside))
            trouble = entry == 0 ? NULL : "the kernel's own table has a user part";
        else if (is_last(entry, level))
            trouble = check_kernel_page(entry);
        else
            trouble = check_kernel_table((page_t)(entry & format->frame_mask), level - 1, base);
    }
    return trouble;
}

/* ---- the tables of spaces */

static const char *check_user_page(uint64_t entry)
{
    if (!sweep.linear || (entry & ENTRY_PRESENT) == 0)
        return NULL;
    if (entry & ENTRY_USER)
        return "the linear space is open to programs";
    if (paging_state.no_execute != 0 && (entry & paging_state.no_execute) == 0)
        return "a page of the linear space is executable";
    return NULL;
}

/* Whether an entry to a table says nothing but what every such entry says. */
static bool has_table_bits(uint64_t entry, unsigned level)
{
    const paging_format_t *format = paging_format;

    return (entry & ~(format->frame_mask | ENTRY_ACCESSED)) == format->table_bits[level];
}

/* => kernel_table: the kernel's own for the same addresses, or PAGE_NONE */
static const char *check_table(page_t table, page_t kernel_table, unsigned level,
                               uint64_t table_base)
{
    const paging_format_t *format = paging_format;
    uint64_t span = walk_span(format, level);
    const char *trouble = meet_table(table, OWNER_PAGE_TABLE);
    size_t used = 0;

    for (unsigned i = 0; i < 1u << format->index_bits[level] && trouble == NULL; i++) {
        uint64_t base = table_base + i * span;
        uint64_t ours = entry_load(format, table_address(table), i);
        uint64_t theirs = kernel_table == PAGE_NONE ? 0 :
                          entry_load(format, table_address(kernel_table), i);
        bool inside;

        used += ours != 0;
        if ((theirs & ENTRY_PRESENT) != 0 && (ours & ENTRY_PRESENT) == 0)
            trouble = "a space lacks a table of the kernel's part";
        else if (level > 0 && meets_kernel_part(base, span, &inside) && inside)
            trouble = ((ours ^ theirs) & ~(uint64_t)(ENTRY_ACCESSED | ENTRY_DIRTY)) == 0 ? NULL :
                      "a space has another table in the kernel's part";
        else if (is_last(ours, level))
            trouble = check_user_page(ours);
        else if (!has_table_bits(ours, level))
            trouble = "an entry that leads to a table grants too much or too little";
        else
            trouble = check_table((page_t)(ours & format->frame_mask),
                                  (page_t)(theirs & format->frame_mask), level - 1, base);
    }
    if (trouble == NULL && level != format->levels - 1u &&
        physical_frames[table >> PAGE_SHIFT].count != used)
        trouble = "a table's count of entries is wrong";
    return trouble;
}

static const char *check_space(page_t pagetable)
{
    size_t before = sweep.count;
    const char *trouble;

    sweep.linear = pagetable == linear_space_directory();
    trouble = check_table(pagetable, paging_state.kernel, paging_format->levels - 1u, 0);
    if (trouble == NULL &&
        physical_frames[pagetable >> PAGE_SHIFT].count != sweep.count - before)
        trouble = "a space's count of tables is wrong";
    return trouble;
}

const char *pagetable_check(void)
{
    const char *trouble = tables_check();
    size_t slot = 0;
    page_t top;

    memset(&sweep, 0, sizeof(sweep));
    if (trouble == NULL)
        trouble = check_kernel_table(paging_state.kernel, paging_format->levels - 1u, 0);
    /* One is in reserve. */
    if (trouble == NULL && sweep.count + 1 != physical_mem_info.owner[OWNER_KERNEL_TABLE])
        trouble = "a table of the kernel's part hangs nowhere";
    sweep.count = 0;
    while (trouble == NULL && (top = tables_next_top(&slot)) != PAGE_NONE)
        if (top != paging_state.kernel)
            trouble = check_space(top);
    if (trouble == NULL && sweep.count != physical_mem_info.owner[OWNER_PAGE_TABLE])
        trouble = "a table of a space hangs nowhere";
    return trouble;
}

/* ---- visiting */

static void visit_space(page_t directory, mmu_visit_t *visit, void *context)
{
    const paging_format_t *format = paging_format;
    size_t step;

    for (size_t vaddr = USER_BASE; vaddr < USER_END; vaddr += step) {
        walk_t at;
        bool found = walk_down(format, directory, vaddr, 0, &at);
        uint64_t span = walk_span(format, found ? 1 : at.level);

        step = (size_t)(span - (vaddr & (span - 1)));
        for (unsigned i = 0; found && i < 1u << format->index_bits[0]; i++) {
            uint64_t raw = entry_load(format, at.table, i);

            if (raw != 0)
                visit(context, vaddr + i * PAGE_SIZE, entry_to_border(format, raw));
        }
    }
}

void mmu_visit_spaces(mmu_visit_t *visit, void *context)
{
    size_t slot = 0;
    page_t top;

    while ((top = tables_next_top(&slot)) != PAGE_NONE)
        if (top != paging_state.kernel && top != linear_space_directory())
            visit_space(top, visit, context);
}
