/*
 * Page tables as the documents name them: create, map, unmap, enable, switch;
 * and the kernel's part, which is the same in every one.
 */
#include <kernel/errno.h>
#include <kernel/panic.h>
#include <kernel/string.h>
#include <kernel/virtual.h>
#include <x86/features.h>

#include "walk.h"

paging_state_t paging_state;
const paging_format_t *paging_format;
virtual_events_t virtual_events;

const kernel_part_t kernel_parts[KERNEL_PARTS] = {
    { 0, LOW_END },
    { KERNEL_BASE, 0x40000000 },
};

/* ---- flushing */

void paging_flush_space(void)
{
    DEBUG_ASSERT(paging_state.on);
    virtual_events.full_flushes++;
    virtual_events.cr3_loads++;
    cpu_set_cr3((uint32_t)paging_state.current);
}

/* ---- the kernel's part */

/* The border's bits for a kernel page. */
static mmu_entry_t kernel_bits(access_t access)
{
    return (access & ~MMU_GLOBAL) | MMU_PRESENT |
           (access & MMU_GLOBAL ? paging_state.global : 0);
}

/*
 * Fill `count` entries in a row, from *at on: the first with `entry`, each further
 * one with a frame `step` bytes on.
 *
 * => how many were filled: fewer if one was present already
 */
static ALWAYS_INLINE size_t fill_row_in(const paging_format_t *format, const walk_t *at,
                                        mmu_entry_t entry, size_t step, size_t count)
{
    uint32_t upper = entry_no_execute(format, entry);
    char *first = (char *)at->table + at->index * format->entry_bytes;
    char *end = first + count * format->entry_bytes;
    char *place = first;

#pragma GCC unroll 4
    for (; place != end; place += format->entry_bytes) {
        if (*place & ENTRY_PRESENT)
            break;
        entry_store_new(format, place, entry, upper);
        entry += step;
    }
    return (size_t)(place - first) / format->entry_bytes;
}

static size_t fill_row(const walk_t *at, mmu_entry_t entry, size_t step, size_t count)
{
    return WITH_FORMAT(fill_row_in, at, entry, step, count);
}

int virtual_map_kernel_range(size_t vaddr, page_t paddr, size_t length, access_t access)
{
    mmu_entry_t bits = kernel_bits(access);
    size_t done = 0;
    int err = 0;

    DEBUG_ASSERT(((vaddr | paddr | length) & PAGE_MASK) == 0);
    while (done < length && err == 0) {
        size_t count = walk_step(paging_format, 1, vaddr + done, length - done) >> PAGE_SHIFT;
        size_t filled = 0;
        walk_t at;

        if (WITH_FORMAT(walk_down, paging_state.kernel, vaddr + done, 0, &at)) {
            filled = fill_row(&at, (paddr + done) | bits, PAGE_SIZE, count);
            if (filled < count)
                err = -EEXIST;
        } else {
            err = tables_cover_kernel(vaddr + done);
        }
        done += filled * PAGE_SIZE;
    }
    while (err != 0 && done > 0) {
        done -= PAGE_SIZE;
        virtual_unmap_kernel(vaddr + done);
    }
    return err;
}

int virtual_map_kernel(size_t vaddr, page_t paddr, access_t access)
{
    return virtual_map_kernel_range(vaddr, paddr, PAGE_SIZE, access);
}

page_t virtual_unmap_kernel(size_t vaddr)
{
    uint64_t old;
    walk_t at;

    if (!WITH_FORMAT(walk_down, paging_state.kernel, vaddr, 0, &at))
        return NO_TRANSLATION;
    old = entry_load(paging_format, at.table, at.index);
    if ((old & ENTRY_PRESENT) == 0)
        return NO_TRANSLATION;
    entry_store(paging_format, at.table, at.index, 0);
    paging_flush_page(vaddr);
    return (page_t)(old & paging_format->frame_mask);
}

static bool in_kernel_part(size_t vaddr)
{
    return vaddr < LOW_END || vaddr >= KERNEL_BASE;
}

/* ---- making a space: the kernel's entries are copied, level by level */

static void copy_entries(void *to, const void *from, unsigned first, unsigned end)
{
    size_t bytes = paging_format->entry_bytes;

    memcpy((char *)to + first * bytes, (const char *)from + first * bytes, (end - first) * bytes);
}

static unsigned count_present(const void *entries, unsigned first, unsigned end)
{
    unsigned count = 0;

    for (unsigned i = first; i < end; i++)
        count += (entry_load(paging_format, entries, i) & ENTRY_PRESENT) != 0;
    return count;
}

/*
 * Let `table`, at `level` and beginning at table_base, have the kernel's entries
 * for one part. An entry that spans more than the part gets a table of its own.
 */
static int share_part(page_t root, page_t table, page_t kernel_table, unsigned level,
                      uint64_t table_base, const kernel_part_t *part)
{
    const paging_format_t *format = paging_format;
    uint64_t span = walk_span(format, level);
    uint64_t part_end = (uint64_t)part->base + part->length;
    unsigned count = 1u << format->index_bits[level];
    const void *their_entries = table_address(kernel_table);
    void *our_entries = table_address(table);

    for (unsigned i = walk_index(format, level, part->base); i < count; i++) {
        uint64_t base = table_base + i * span;
        uint64_t theirs = entry_load(format, their_entries, i);
        uint64_t ours;
        int err;

        if (base >= part_end)
            break;
        if ((theirs & ENTRY_PRESENT) == 0)
            continue;
        if (base >= part->base && base + span <= part_end) {
            unsigned last = i + (unsigned)((part_end - base) >> format->shift[level]);

            last = last < count ? last : count;
            copy_entries(our_entries, their_entries, i, last);
            if (table != root)
                physical_frames[table >> PAGE_SHIFT].count +=
                    (uint16_t)count_present(their_entries, i, last);
            i = last - 1;
            continue;
        }
        ours = entry_load(format, our_entries, i);
        if ((ours & ENTRY_PRESENT) == 0) {
            page_t fresh = table_make();

            if (fresh == PAGE_NONE)
                return -ENOMEM;
            ours = fresh | format->table_bits[level];
            entry_store(format, our_entries, i, ours);
            physical_frames[root >> PAGE_SHIFT].count++;
            if (table != root)
                physical_frames[table >> PAGE_SHIFT].count++;
        }
        err = share_part(root, (page_t)(ours & format->frame_mask),
                         (page_t)(theirs & format->frame_mask), level - 1, base, part);
        if (err != 0)
            return err;
    }
    return 0;
}

/* The address that index 0 of the top level stands for: above it, bits are ignored. */
static uint64_t top_base(size_t vaddr)
{
    const paging_format_t *format = paging_format;
    unsigned bits = format->shift[format->levels - 1] + format->index_bits[format->levels - 1];

    return (uint64_t)vaddr >> bits << bits;
}

page_t create_pagetable(void)
{
    page_t root = table_make_top();

    if (root == PAGE_NONE)
        return PAGE_NONE;
    for (size_t i = 0; i < KERNEL_PARTS; i++) {
        if (share_part(root, root, paging_state.kernel, paging_format->levels - 1,
                       top_base(kernel_parts[i].base), &kernel_parts[i]) != 0) {
            delete_pagetable(root);
            return PAGE_NONE;
        }
    }
    return root;
}

/* Free the tables below `table` that the kernel's own does not have: *left in all. */
static void delete_below(page_t table, page_t kernel_table, unsigned level, size_t *left)
{
    const paging_format_t *format = paging_format;

    if (level == 0)
        return;
    for (unsigned i = 0; i < 1u << format->index_bits[level] && *left > 0; i++) {
        uint64_t ours = entry_load(format, table_address(table), i);
        uint64_t theirs = kernel_table == PAGE_NONE ? 0 :
                          entry_load(format, table_address(kernel_table), i);
        page_t below = (page_t)(ours & format->frame_mask);
        page_t kernel_below = theirs & ENTRY_PRESENT ? (page_t)(theirs & format->frame_mask)
                                                     : PAGE_NONE;

        if ((ours & ENTRY_PRESENT) == 0 || below == kernel_below ||
            (level == format->large_level && (ours & ENTRY_LARGE) != 0))
            continue;
        if (*left > 1)
            delete_below(below, kernel_below, level - 1, left);
        table_free(below);
        (*left)--;
    }
}

void delete_pagetable(page_t pagetable)
{
    size_t left = physical_frames[pagetable >> PAGE_SHIFT].count - 1u;

    ASSERT(pagetable != paging_state.current && pagetable != paging_state.kernel);
    delete_below(pagetable, paging_state.kernel, paging_format->levels - 1, &left);
    table_free(pagetable);
}

/* ---- mapping */

/* => as pagetable_map; nothing to flush: there was nothing */
static ALWAYS_INLINE int map_in(const paging_format_t *format, page_t pagetable, size_t vaddr,
                                mmu_entry_t entry)
{
    walk_t at;

    if (UNLIKELY(!walk_down(format, pagetable, vaddr, 0, &at))) {
        walk_t made;            /* so that `at` can live in registers */
        int err = tables_make_path(pagetable, vaddr, 0, &made);

        if (err != 0)
            return err;
        at = made;
    }
    if (entry_load(format, at.table, at.index) != 0)
        return -EEXIST;
    entry_store(format, at.table, at.index, entry_from_border(format, entry));
    physical_frames[at.page >> PAGE_SHIFT].count++;
    return 0;
}

int pagetable_map(page_t pagetable, size_t vaddr, page_t paddr, access_t access)
{
    if (in_kernel_part(vaddr))
        return virtual_map_kernel(vaddr, paddr, access);
    return WITH_FORMAT(map_in, pagetable, vaddr, paddr | access | MMU_PRESENT);
}

typedef struct taken {
    page_t page;
} taken_t;

static mmu_entry_t take_entry(void *context, size_t vaddr, mmu_entry_t entry)
{
    taken_t *taken = context;

    (void)vaddr;
    if (entry & MMU_PRESENT)
        taken->page = mmu_frame(entry);
    return 0;
}

page_t pagetable_unmap(page_t pagetable, size_t vaddr)
{
    taken_t taken = { NO_TRANSLATION };

    if (in_kernel_part(vaddr))
        return virtual_unmap_kernel(vaddr);
    mmu_change_range(pagetable, vaddr, PAGE_SIZE, take_entry, &taken);
    return taken.page;
}

int pagetable_map_linear(page_t pagetable, size_t start, size_t end, access_t access)
{
    const paging_format_t *format = paging_format;
    size_t large = (size_t)walk_span(format, format->large_level);
    mmu_entry_t bits = kernel_bits(access);

    while (start < end) {
        bool fits = paging_state.large_pages && start % large == 0 && end - start >= large;
        unsigned level = fits ? format->large_level : 0;
        size_t span = (size_t)walk_span(format, level);
        size_t count = (end - start) >> format->shift[level];
        size_t filled;
        size_t rest;
        walk_t at;
        int err = tables_make_path(pagetable, start, level, &at);

        if (err != 0)
            return err;
        rest = (1u << format->index_bits[level]) - at.index;
        if (count > rest)
            count = rest;
        filled = fill_row(&at, start | bits | (fits ? MMU_LARGE : 0), span, count);
        if (at.page != pagetable)
            physical_frames[at.page >> PAGE_SHIFT].count += (uint16_t)filled;
        if (filled < count)
            return -EEXIST;
        start += filled * span;
    }
    return 0;
}

static ALWAYS_INLINE page_t translate_in(const paging_format_t *format, page_t pagetable,
                                         size_t vaddr)
{
    uint64_t entry;
    uint64_t inside;        /* mask of the bits that count within the page */
    walk_t at;

    walk_down(format, pagetable, vaddr, 0, &at);
    entry = entry_load(format, at.table, at.index);
    if ((entry & ENTRY_PRESENT) == 0)
        return NO_TRANSLATION;
    inside = walk_span(format, at.level) - 1;
    return (page_t)((entry & format->frame_mask & ~inside) | (vaddr & inside));
}

page_t get_translation(page_t pagetable, size_t vaddr)
{
    return WITH_FORMAT(translate_in, pagetable, vaddr);
}

/* ---- switching */

void enable_pagetable(page_t pagetable)
{
    uint32_t cr4 = cpu_cr4() & ~(CR4_PGE | CR4_PAE);

    ASSERT(!paging_state.on);
    if (cpu_features.pse)
        cr4 |= CR4_PSE;
    if (paging_format->entry_bytes == 8)
        cr4 |= CR4_PAE;
    if (cpu_features.smep)
        cr4 |= CR4_SMEP;
    if (cpu_features.smap)
        cr4 |= CR4_SMAP;
    if (cpu_features.umip)
        cr4 |= CR4_UMIP;
    cpu_set_cr4(cr4);
    if (paging_state.no_execute != 0)
        cpu_wrmsr(MSR_EFER, cpu_rdmsr(MSR_EFER) | EFER_NXE);
    paging_state.current = pagetable;
    paging_state.on = true;
    paging_forget_table();      /* it has another address now */
    virtual_events.cr3_loads++;
    cpu_set_cr3((uint32_t)pagetable);
    cpu_set_cr0(cpu_cr0() | CR0_PG | CR0_WP);
    /* Global pages only once paging is on (SDM 3A 4.10.2.4). */
    if (paging_state.global != 0)
        cpu_set_cr4(cr4 | CR4_PGE);
    temporary_slots_init();
}

void switch_pagetable(page_t pagetable)
{
    if (pagetable == paging_state.current)
        return;
    paging_state.current = pagetable;
    virtual_events.cr3_loads++;
    cpu_set_cr3((uint32_t)pagetable);
}

page_t current_pagetable(void)
{
    return paging_state.current;
}

page_t kernel_pagetable(void)
{
    return paging_state.kernel;
}

const char *virtual_format_name(void)
{
    return paging_format->name;
}

/* ---- boot */

static const char *choose_format(const char *name)
{
    static const paging_format_t *const formats[] = {
        &format_2level, &format_pae, &format_long,
    };

    memset(&paging_state, 0, sizeof(paging_state));
    memset(&virtual_events, 0, sizeof(virtual_events));
    paging_forget_table();
    paging_format = NULL;
    for (size_t i = 0; i < ARRAY_LENGTH(formats); i++) {
        if (strcmp(formats[i]->name, name) == 0)
            paging_format = formats[i];
    }
    if (paging_format == NULL)
        return "there is no such format of page tables";
    paging_state.large_pages = cpu_features.pse || paging_format->entry_bytes == 8;
    paging_state.global = cpu_features.pge ? ENTRY_GLOBAL : 0;
    if (cpu_features.nx)
        paging_state.no_execute = paging_format->no_execute;
    return NULL;
}

/* Low RAM: virtual = physical, in every space; the image by its sections. */
static int map_low(const boot_info_t *info)
{
    const access_t data = ACCESS_WRITE | ACCESS_NOEXEC | ACCESS_GLOBAL;
    const struct low_part {
        page_t end;
        bool mapped;
        access_t access;
    } parts[] = {
        { PAGE_SIZE, false, 0 },
        { VIDEO_BASE, true, data },
        { VIDEO_END, false, 0 },
        { info->image_text, true, data },
        { info->image_rodata, true, ACCESS_KERNEL | ACCESS_GLOBAL },
        { info->image_data, true, ACCESS_KERNEL | ACCESS_NOEXEC | ACCESS_GLOBAL },
        { LOW_END, true, data },
    };

    /* All tables for it, now: later ones would not reach every space. */
    for (size_t vaddr = 0; vaddr < LOW_END; vaddr += (size_t)walk_span(paging_format, 1)) {
        if (tables_cover_kernel(vaddr) != 0)
            return -ENOMEM;
    }
    for (size_t i = 0; i < info->ram_count && info->ram[i].base < LOW_END; i++) {
        page_t base = (page_t)info->ram[i].base;

        for (size_t k = 0; k < ARRAY_LENGTH(parts); k++) {
            page_t end = info->ram[i].end < parts[k].end ? (page_t)info->ram[i].end
                                                         : parts[k].end;

            if (base >= end)
                continue;
            if (parts[k].mapped) {
                int err = virtual_map_kernel_range(base, base, end - base, parts[k].access);

                ASSERT(err == 0);       /* its tables are there, with nothing in them */
            }
            base = end;
        }
    }
    return 0;
}

/* In large pages as far as it goes: it is looked into all the time. */
static int map_frame_table(void)
{
    const access_t access = ACCESS_WRITE | ACCESS_NOEXEC | ACCESS_GLOBAL;
    unsigned level = paging_format->large_level;
    size_t large = (size_t)walk_span(paging_format, level);
    page_t paddr = physical_frame_table();
    size_t length = physical_frame_table_length();
    size_t count = paging_state.large_pages && paddr % large == 0 ? length / large : 0;

    if (count > 0) {
        walk_t at;
        bool found = WITH_FORMAT(walk_down, paging_state.kernel, FRAME_TABLE_BASE, level, &at);

        ASSERT(found);      /* tables_init made all levels above the last */
        fill_row(&at, paddr | kernel_bits(access) | MMU_LARGE, large, count);
    }
    return virtual_map_kernel_range(FRAME_TABLE_BASE + count * large, paddr + count * large,
                                    length - count * large, access);
}

const char *virtual_init(const boot_info_t *info, const char *format)
{
    const char *trouble = choose_format(format);

    if (trouble == NULL)
        trouble = tables_init();
    if (trouble != NULL)
        return trouble;
    paging_state.read_only_base = info->image_text;
    paging_state.read_only_end = info->image_data;
    if (map_low(info) != 0 || map_frame_table() != 0 ||
        tables_cover_kernel(TEMPORARY_BASE) != 0)
        return "there is not enough memory for the kernel's page tables";
    return NULL;
}
