/*
 * The checker of page tables: what virtual.h promises of them, recounted.
 */
#include <kernel/virtual.h>

#include "walk.h"

static const char *check_table(page_t table, page_t kernel_table, unsigned level,
                               uint64_t table_base, size_t *tables)
{
    const paging_format_t *format = paging_format;
    const void *our_table = table_address(table);
    const void *their_table = kernel_table == PAGE_NONE ? NULL : table_address(kernel_table);
    size_t used = 0;

    (*tables)++;
    for (unsigned i = 0; i < 1u << format->index_bits[level]; i++) {
        uint64_t base = table_base + i * walk_span(format, level);
        uint64_t ours = entry_load(format, our_table, i);
        uint64_t theirs = their_table == NULL ? 0 : entry_load(format, their_table, i);
        page_t below = (page_t)(ours & format->frame_mask);
        const char *trouble;

        used += ours != 0;
        if (level == 0 || (ours & ENTRY_PRESENT) == 0 ||
            (level == format->large_level && (ours & ENTRY_LARGE) != 0)) {
            if (level > 0 && (theirs & ENTRY_PRESENT) != 0 && (ours & ENTRY_PRESENT) == 0)
                return "a space lacks a table of the kernel's part";
            continue;
        }
        if (below == (page_t)(theirs & format->frame_mask) && (theirs & ENTRY_PRESENT))
            continue;
        if ((theirs & ENTRY_PRESENT) != 0 && level == 1)
            return "a space has another table in the kernel's part";
        if (physical_frame(below) == NULL || physical_frame(below)->owner != OWNER_PAGE_TABLE)
            return "an entry leads to a page that is no table";
        trouble = check_table(below, theirs & ENTRY_PRESENT ?
                              (page_t)(theirs & format->frame_mask) : PAGE_NONE,
                              level - 1, base, tables);
        if (trouble != NULL)
            return trouble;
    }
    if (level != format->levels - 1 && physical_frames[table >> PAGE_SHIFT].count != used)
        return "a table's count of entries is wrong";
    return NULL;
}

/* No page of the kernel's part may be writable and executable. */
static const char *check_kernel_entry(uint64_t entry)
{
    if ((entry & ENTRY_PRESENT) == 0)
        return NULL;
    if (entry & ENTRY_USER)
        return "a kernel page is open to programs";
    if (paging_state.no_execute != 0 && (entry & ENTRY_WRITE) != 0 &&
        (entry & paging_state.no_execute) == 0)
        return "a kernel page is writable and executable";
    return NULL;
}

static const char *check_kernel_pages(size_t base, size_t length)
{
    const paging_format_t *format = paging_format;
    size_t table_span = (size_t)walk_span(format, 1);
    const char *trouble = NULL;

    for (size_t at = 0; at < length; at += table_span) {
        walk_t place;

        if (!walk_down(format, paging_state.kernel, base + at, 0, &place))
            continue;
        for (unsigned i = 0; i < 1u << format->index_bits[0] && trouble == NULL; i++)
            trouble = check_kernel_entry(entry_load(format, place.table, i));
    }
    return trouble;
}

const char *pagetable_check_one(page_t pagetable)
{
    size_t tables = 0;
    const char *trouble = check_table(pagetable, paging_state.kernel,
                                      paging_format->levels - 1, 0, &tables);

    if (trouble == NULL && physical_frames[pagetable >> PAGE_SHIFT].count != tables)
        trouble = "a space's count of tables is wrong";
    return trouble;
}

const char *pagetable_check(void)
{
    const char *trouble = tables_check();

    for (size_t i = 0; i < KERNEL_PARTS && trouble == NULL; i++)
        trouble = check_kernel_pages(kernel_parts[i].base, kernel_parts[i].length);
    return trouble;
}
