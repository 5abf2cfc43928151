/*
 * The paging doctor: the processor's walk, in software and in words.
 */
#include <kernel/doctor.h>
#include <kernel/printk.h>
#include <kernel/virtual.h>
#include <x86/features.h>

#include "walk.h"

enum { SENTENCE_MAX = 256 };

/* What the four top entries of PAE may have beside an address: P, PWT, PCD, and
 * three bits that are ignored; A, which QEMU sets in them and processors do not. */
#define TOP_ENTRY_BITS 0xe39u

static char sentence[SENTENCE_MAX];

/* The way down to a page's entry. */
typedef struct path {
    page_t table;           /* that has the entry */
    unsigned level;
    uint64_t lost;          /* rights that a level above withholds: W, U, NX */
} path_t;

/* The names of the levels, by format (Intel SDM 3A table 4-2). */
static const char *level_name(unsigned level)
{
    static const char *const names[] = {
        "page table", "page directory", "page-directory-pointer table", "PML4 table",
    };

    return names[level];
}

static bool is_table_page(page_t page)
{
    const frame_t *frame = physical_frame(page);

    return frame != NULL && (frame->owner == OWNER_PAGE_TABLE ||
                             frame->owner == OWNER_KERNEL_TABLE);
}

/*
 * Bits that must be 0 (SDM 3A 4.4.2, table 4-11 for the top entries of PAE):
 * addresses the processor does not have, and bit 63 where it cannot forbid
 * execution.
 */
static uint64_t reserved_bits(unsigned level)
{
    const paging_format_t *format = paging_format;
    uint64_t address = format->frame_mask & ((1ull << cpu_features.physical_bits) - 1);

    if (format->eager_top && level == format->levels - 1)
        return ~(address | TOP_ENTRY_BITS);
    return ~(address | paging_state.no_execute | PAGE_MASK);
}

/*
 * A table must be where table_address will look for it once paging is on.
 *
 * => false: the sentence says what is wrong
 */
static bool has_kernel_address(page_t pagetable, page_t table)
{
    size_t vaddr = table_slot_address(physical_frames[table >> PAGE_SHIFT].slot);
    page_t found = get_translation(pagetable, vaddr);

    if (found == table)
        return true;
    format_text(sentence, sizeof(sentence),
                "the table at %#zx is known by the kernel address %#zx, but that is %s",
                table, vaddr, found == NO_TRANSLATION ? "not mapped" : "another page");
    return false;
}

static bool is_table(page_t pagetable, page_t page, unsigned level, size_t vaddr)
{
    if (is_table_page(page))
        return has_kernel_address(pagetable, page);
    format_text(sentence, sizeof(sentence),
                "the %s for address %#zx should be at %#zx, but that page is not a table",
                level_name(level), vaddr, page);
    return false;
}

/* Present, and nothing in it that the processor refuses. => as has_kernel_address */
static bool is_sound(uint64_t entry, page_t table, unsigned level, size_t vaddr)
{
    unsigned index;

    if ((entry & (ENTRY_PRESENT | reserved_bits(level))) == ENTRY_PRESENT)
        return true;
    index = walk_index(paging_format, level, vaddr);
    if ((entry & ENTRY_PRESENT) == 0)
        format_text(sentence, sizeof(sentence),
                    "address %#zx is not mapped: entry %u of the %s at %#zx is not present",
                    vaddr, index, level_name(level), table);
    else
        format_text(sentence, sizeof(sentence),
                    "address %#zx: entry %u of the %s at %#zx is %#llx, which has a reserved "
                    "bit set", vaddr, index, level_name(level), table,
                    (unsigned long long)entry);
    return false;
}

/*
 * Walk to the entry of vaddr's page, large or small, and look at all on the way but
 * not at it. => false: the sentence says where the way ends
 */
static ALWAYS_INLINE bool walk_in(const paging_format_t *format, page_t pagetable,
                                  size_t vaddr, path_t *path)
{
    page_t table = pagetable;

    path->lost = 0;
#pragma GCC unroll 4
    for (unsigned level = format->levels - 1; level > 0; level--) {
        uint64_t entry;

        if (!is_table(pagetable, table, level, vaddr))
            return false;
        path->table = table;
        path->level = level;
        entry = entry_load(format, table_address(table), walk_index(format, level, vaddr));
        if (level == format->large_level && (entry & ENTRY_LARGE) != 0)
            return true;
        if (!is_sound(entry, table, level, vaddr))
            return false;
        /* The four top entries of PAE have neither W nor U (SDM 3A 4.4.1). */
        if (format->table_bits[level] != ENTRY_PRESENT)
            path->lost |= ~entry & (ENTRY_WRITE | ENTRY_USER);
        path->lost |= entry & paging_state.no_execute;
        table = (page_t)(entry & format->frame_mask);
    }
    path->table = table;
    path->level = 0;
    return is_table(pagetable, table, 0, vaddr);
}

static bool walk(page_t pagetable, size_t vaddr, path_t *path)
{
    return WITH_FORMAT(walk_in, pagetable, vaddr, path);
}

/* ---- the entries of an item's pages */

/* How entries in a row must be: in the bits of `mask` as `want` is. */
typedef struct demand {
    uint64_t mask;
    page_t want;
    page_t step;            /* from one entry's `want` to the next's */
} demand_t;

static demand_t demand_of(const doctor_item_t *item, unsigned level, size_t vaddr)
{
    uint64_t span = walk_span(paging_format, level);
    demand_t demand = {
        .mask = ENTRY_PRESENT | ENTRY_USER | reserved_bits(level),
        .want = ENTRY_PRESENT,
    };

    if ((item->needs & (DOCTOR_WRITE | DOCTOR_READONLY)) != 0)
        demand.mask |= ENTRY_WRITE;
    if ((item->needs & DOCTOR_WRITE) != 0)
        demand.want |= ENTRY_WRITE;
    if ((item->needs & DOCTOR_EXECUTE) != 0)
        demand.mask |= paging_state.no_execute;
    if (item->identity) {
        demand.mask |= paging_format->frame_mask & ~(span - 1);
        demand.want |= vaddr & ~(page_t)(span - 1);
        demand.step = (page_t)span;
    }
    return demand;
}

/* All bits in which any of `count` entries from `index` on differs from what is wanted. */
static ALWAYS_INLINE uint64_t differences_in(const paging_format_t *format, const void *table,
                                             unsigned index, size_t count, page_t want,
                                             page_t step)
{
    uint32_t low = 0;
    uint32_t high = 0;

#pragma GCC unroll 4
    for (; count > 0; count--) {
        uint64_t entry = entry_load(format, table, index++);

        low |= (uint32_t)entry ^ (uint32_t)want;
        high |= (uint32_t)(entry >> 32) ^ (uint32_t)((uint64_t)want >> 32);
        want += step;
    }
    return (uint64_t)high << 32 | low;
}

/*
 * Of these differences, those that count. Where a level above withholds a right, the
 * entry's own bit says nothing: it is as if it withheld that too.
 */
static uint64_t wrong_bits(uint64_t differences, uint64_t lost, const demand_t *demand)
{
    uint64_t withheld = (lost & paging_state.no_execute) ^ demand->want;

    return ((differences & ~lost) | (withheld & lost)) & demand->mask;
}

static const char *lack_of(const doctor_item_t *item, uint64_t wrong)
{
    if (wrong & ENTRY_WRITE)
        return (item->needs & DOCTOR_WRITE) != 0 ? "cannot be written"
                                                 : "can be written, which must be refused";
    if (wrong & paging_state.no_execute)
        return "cannot be executed";
    if (wrong & ENTRY_USER)
        return "is open to programs";
    return "is not at the physical address of the same value";
}

/* => the sentence, with the item's name */
static const char *name_item(const doctor_item_t *item)
{
    char why[SENTENCE_MAX];

    format_text(why, sizeof(why), "%s", sentence);
    format_text(sentence, sizeof(sentence), "%s: %s", item->what, why);
    return sentence;
}

/* Examine `count` pages from vaddr on, in the table that *path leads to. */
static const char *examine_pages(const doctor_item_t *item, const path_t *path, size_t vaddr,
                                 size_t count)
{
    const void *table = table_address(path->table);
    unsigned index = walk_index(paging_format, path->level, vaddr);
    demand_t demand = demand_of(item, path->level, vaddr);
    size_t entries = path->level == 0 ? count : 1;
    uint64_t wrong = WITH_FORMAT(differences_in, table, index, entries, demand.want,
                                 demand.step);
    uint64_t entry;

    if (wrong_bits(wrong, path->lost, &demand) == 0)
        return NULL;
    /* Not all of them: find the first. */
    for (;;) {
        entry = entry_load(paging_format, table, index++);
        wrong = wrong_bits(entry ^ demand.want, path->lost, &demand);
        if (wrong != 0)
            break;
        vaddr += PAGE_SIZE;
        demand.want += demand.step;
    }
    if (!is_sound(entry, path->table, path->level, vaddr))
        return name_item(item);
    format_text(sentence, sizeof(sentence), "%s: address %#zx %s: its entry in the %s is %#llx",
                item->what, vaddr, lack_of(item, wrong), level_name(path->level),
                (unsigned long long)entry);
    return sentence;
}

/* The same in every space; those that share a table share its entries. */
static const char *examine_everywhere(const page_t *pagetables, size_t pagetable_count,
                                      const doctor_item_t *item, size_t vaddr, size_t count)
{
    path_t before = { .table = PAGE_NONE };

    for (size_t i = 0; i < pagetable_count; i++) {
        const char *trouble = NULL;
        path_t path;

        if (!walk(pagetables[i], vaddr, &path))
            return name_item(item);
        if (path.table != before.table || path.level != before.level || path.lost != before.lost)
            trouble = examine_pages(item, &path, vaddr, count);
        if (trouble != NULL)
            return trouble;
        before = path;
    }
    return NULL;
}

const char *doctor_examine(const page_t *pagetables, size_t pagetable_count,
                           const doctor_item_t *items, size_t item_count)
{
    for (size_t i = 0; i < item_count; i++) {
        size_t vaddr = align_down(items[i].vaddr, PAGE_SIZE);
        size_t left = align_up(items[i].vaddr - vaddr + items[i].length, PAGE_SIZE);

        while (left > 0) {
            size_t step = walk_step(paging_format, 1, vaddr, left);
            const char *trouble = examine_everywhere(pagetables, pagetable_count, &items[i],
                                                     vaddr, step >> PAGE_SHIFT);

            if (trouble != NULL)
                return trouble;
            vaddr += step;
            left -= step;
        }
    }
    return NULL;
}

void doctor_walk(page_t pagetable, size_t vaddr)
{
    const paging_format_t *format = paging_format;
    page_t table = pagetable;

    for (unsigned level = format->levels; level-- > 0; ) {
        unsigned index = walk_index(format, level, vaddr);
        uint64_t entry;

        if (!is_table_page(table)) {
            printk("walk: %#zx should be a %s, but that page is not a table\n", table,
                   level_name(level));
            return;
        }
        entry = entry_load(format, table_address(table), index);
        printk("walk: %s at %#zx, entry %u: %#llx", level_name(level), table, index,
               (unsigned long long)entry);
        if ((entry & ENTRY_PRESENT) == 0) {
            printk(entry == 0 ? ", empty: nothing is mapped there\n"
                              : ", not present: the page is kept elsewhere\n");
            return;
        }
        printk(level == 0 || (entry & ENTRY_LARGE) ? ", page %#zx%s%s%s\n" : ", table %#zx%s%s%s\n",
               (page_t)(entry & format->frame_mask),
               entry & ENTRY_WRITE ? ", writable" : "",
               entry & ENTRY_USER ? ", for programs" : "",
               paging_state.no_execute != 0 && (entry & paging_state.no_execute) ?
               ", not executable" : "");
        if (level == format->large_level && (entry & ENTRY_LARGE))
            return;
        table = (page_t)(entry & format->frame_mask);
    }
}
