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

/* The table of each level that was last found at its kernel address. */
static page_t sound_table[FORMAT_LEVELS_MAX];

/* What the levels grant together. */
typedef struct grant {
    bool write;
    bool user;
    bool execute;
    unsigned level;         /* of the last entry looked at */
    uint64_t entry;
} grant_t;

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
static bool has_reserved_bits(uint64_t entry, unsigned level)
{
    const paging_format_t *format = paging_format;
    uint64_t address = (1ull << cpu_features.physical_bits) - 1;
    uint64_t known = (format->frame_mask & address) | paging_state.no_execute | PAGE_MASK;

    if (format->eager_top && level == format->levels - 1)
        known = (format->frame_mask & address) | TOP_ENTRY_BITS;
    return (entry & ~known) != 0;
}

/*
 * A table must be where table_address will look for it once paging is on.
 *
 * => false: the sentence says what is wrong
 */
static bool has_kernel_address(page_t pagetable, page_t table, unsigned level)
{
    size_t vaddr = table_slot_address(physical_frames[table >> PAGE_SHIFT].slot);
    page_t found;

    if (sound_table[level] == table)
        return true;
    found = get_translation(pagetable, vaddr);
    if (found == table) {
        sound_table[level] = table;
        return true;
    }
    format_text(sentence, sizeof(sentence),
                "the table at %#zx is known by the kernel address %#zx, but that is %s",
                table, vaddr, found == NO_TRANSLATION ? "not mapped" : "another page");
    return false;
}

/*
 * Walk to the page that holds vaddr. => true: it is mapped, *grant says how;
 * false: the sentence says where it ends
 */
static bool walk(page_t pagetable, size_t vaddr, grant_t *grant)
{
    const paging_format_t *format = paging_format;
    page_t table = pagetable;

    *grant = (grant_t){ .write = true, .user = true, .execute = true };
    for (unsigned level = format->levels; level-- > 0; ) {
        unsigned index = walk_index(format, level, vaddr);

        if (!is_table_page(table)) {
            format_text(sentence, sizeof(sentence),
                        "the %s for address %#zx should be at %#zx, but that page is not a table",
                        level_name(level), vaddr, table);
            return false;
        }
        if (!has_kernel_address(pagetable, table, level))
            return false;
        grant->level = level;
        grant->entry = entry_load(format, table_address(table), index);
        if ((grant->entry & ENTRY_PRESENT) == 0) {
            format_text(sentence, sizeof(sentence),
                        "address %#zx is not mapped: entry %u of the %s at %#zx is not present",
                        vaddr, index, level_name(level), table);
            return false;
        }
        if (has_reserved_bits(grant->entry, level)) {
            format_text(sentence, sizeof(sentence),
                        "address %#zx: entry %u of the %s at %#zx is %#llx, which has a "
                        "reserved bit set", vaddr, index, level_name(level), table,
                        (unsigned long long)grant->entry);
            return false;
        }
        /* The four top entries of PAE have neither W nor U (SDM 3A 4.4.1). */
        if (format->table_bits[level] != ENTRY_PRESENT) {
            grant->write = grant->write && (grant->entry & ENTRY_WRITE);
            grant->user = grant->user && (grant->entry & ENTRY_USER);
        }
        if (paging_state.no_execute != 0 && (grant->entry & paging_state.no_execute))
            grant->execute = false;
        if (level == format->large_level && (grant->entry & ENTRY_LARGE))
            return true;
        table = (page_t)(grant->entry & format->frame_mask);
    }
    return true;
}

static const char *examine_page(page_t pagetable, const doctor_item_t *item, size_t vaddr)
{
    grant_t grant;
    const char *lacks = NULL;

    if (!walk(pagetable, vaddr, &grant)) {
        char why[SENTENCE_MAX];

        format_text(why, sizeof(why), "%s", sentence);
        format_text(sentence, sizeof(sentence), "%s: %s", item->what, why);
        return sentence;
    }
    if ((item->needs & DOCTOR_WRITE) != 0 && !grant.write)
        lacks = "cannot be written";
    else if ((item->needs & DOCTOR_READONLY) != 0 && grant.write)
        lacks = "can be written, which must be refused";
    else if ((item->needs & DOCTOR_EXECUTE) != 0 && !grant.execute)
        lacks = "cannot be executed";
    else if (grant.user)
        lacks = "is open to programs";
    else if (item->identity && get_translation(pagetable, vaddr) != vaddr)
        lacks = "is not at the physical address of the same value";
    if (lacks == NULL)
        return NULL;
    format_text(sentence, sizeof(sentence), "%s: address %#zx %s: its entry in the %s is %#llx",
                item->what, vaddr, lacks, level_name(grant.level),
                (unsigned long long)grant.entry);
    return sentence;
}

const char *doctor_examine(page_t pagetable, const doctor_item_t *items, size_t count)
{
    for (size_t i = 0; i < FORMAT_LEVELS_MAX; i++)
        sound_table[i] = PAGE_NONE;
    for (size_t i = 0; i < count; i++) {
        size_t vaddr = align_down(items[i].vaddr, PAGE_SIZE);
        size_t last = items[i].vaddr + items[i].length - 1;

        for (; vaddr <= last; vaddr += PAGE_SIZE) {
            const char *trouble = examine_page(pagetable, &items[i], vaddr);

            if (trouble != NULL)
                return trouble;
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
