/*
 * The walker: from a table and an address to an entry, in any format.
 *
 * Everything here is inline and takes the format as an argument: called with
 * the address of a const format, the compiler makes a walker of its own for it.
 */
#ifndef MM_X86_WALK_H
#define MM_X86_WALK_H

#include <kernel/layout.h>
#include <kernel/mmu.h>
#include <kernel/physical.h>
#include <kernel/virtual.h>
#include <x86/cpu.h>
#include <x86/format.h>

/* What the hardware is told, whatever the format. */
typedef struct paging_state {
    bool on;                /* paging is enabled */
    bool large_pages;       /* the processor has them */
    uint64_t no_execute;    /* the format's bit, 0 if the processor has none */
    uint32_t global;        /* ENTRY_GLOBAL, or 0 */
    page_t kernel;          /* the kernel's own table */
    page_t current;         /* the table in CR3 */
    page_t read_only_base;  /* the image's text and constants: [base, end) */
    page_t read_only_end;
} paging_state_t;

extern paging_state_t paging_state;

/* The three formats (Intel SDM 3A 4.3, 4.4, 4.5). */
#define FORMAT_2LEVEL { \
    .name = "2level", \
    .levels = 2, \
    .entry_bytes = 4, \
    .shift = { 12, 22 }, \
    .index_bits = { 10, 10 }, \
    .table_bits = { 0, ENTRY_PRESENT | ENTRY_WRITE | ENTRY_USER }, \
    .large_level = 1, \
    .frame_mask = 0xfffff000, \
}
static const paging_format_t walk_2level = FORMAT_2LEVEL;

#define FORMAT_PAE { \
    .name = "pae", \
    .levels = 3, \
    .entry_bytes = 8, \
    .shift = { 12, 21, 30 }, \
    .index_bits = { 9, 9, 2 }, \
    /* W and U are reserved in the four top entries (SDM 3A 4.4.1). */ \
    .table_bits = { 0, ENTRY_PRESENT | ENTRY_WRITE | ENTRY_USER, ENTRY_PRESENT }, \
    .large_level = 1, \
    .frame_mask = 0x000ffffffffff000, \
    .no_execute = 1ull << 63, \
    .eager_top = true, \
}
static const paging_format_t walk_pae = FORMAT_PAE;

#define FORMAT_LONG { \
    .name = "long", \
    .levels = 4, \
    .entry_bytes = 8, \
    .shift = { 12, 21, 30, 39 }, \
    .index_bits = { 9, 9, 9, 9 }, \
    .table_bits = { 0, ENTRY_PRESENT | ENTRY_WRITE | ENTRY_USER, \
                    ENTRY_PRESENT | ENTRY_WRITE | ENTRY_USER, \
                    ENTRY_PRESENT | ENTRY_WRITE | ENTRY_USER }, \
    .large_level = 1, \
    .frame_mask = 0x000ffffffffff000, \
    .no_execute = 1ull << 63, \
}
static const paging_format_t walk_long = FORMAT_LONG;

/* Call a function with the format in use as a constant. */
#define WITH_FORMAT(call, ...) \
    (paging_format == &format_2level ? call(&walk_2level, __VA_ARGS__) \
     : paging_format == &format_pae  ? call(&walk_pae, __VA_ARGS__) \
                                     : call(&walk_long, __VA_ARGS__))

/* Where a walk stopped. */
typedef struct walk {
    void *table;            /* the table's kernel address */
    page_t page;            /* the table */
    unsigned index;         /* the entry in it */
    unsigned level;
} walk_t;

static ALWAYS_INLINE unsigned walk_index(const paging_format_t *format, unsigned level,
                                         size_t vaddr)
{
    unsigned shift = format->shift[level];

    /* Long mode's upper levels, on i386: the address has no such bits. */
    if (shift >= sizeof(vaddr) * 8)
        return 0;
    return (unsigned)(vaddr >> shift) & ((1u << format->index_bits[level]) - 1);
}

/* Bytes that one entry of a level spans. */
static ALWAYS_INLINE uint64_t walk_span(const paging_format_t *format, unsigned level)
{
    return 1ull << format->shift[level];
}

/* Of [vaddr, vaddr + length), the bytes that lie under one entry of the level. */
static ALWAYS_INLINE size_t walk_step(const paging_format_t *format, unsigned level,
                                      size_t vaddr, size_t length)
{
    size_t last = (size_t)(walk_span(format, level) - 1);
    size_t left = last - (vaddr & last);    /* one less: all of it may not be a number */

    return left < length ? left + 1 : length;
}

static ALWAYS_INLINE uint64_t entry_load(const paging_format_t *format, const void *table,
                                         unsigned index)
{
    if (format->entry_bytes == 4)
        return ((const volatile uint32_t *)table)[index];
    return ((const volatile uint64_t *)table)[index];
}

/*
 * A 64-bit entry is two words on i386: its present bit is set last and cleared
 * first, so that the processor never sees half of a present entry.
 */
static ALWAYS_INLINE void entry_store(const paging_format_t *format, void *table,
                                      unsigned index, uint64_t entry)
{
    volatile uint32_t *low = (volatile uint32_t *)table + index * (format->entry_bytes / 4);

    if (format->entry_bytes == 4) {
        *low = (uint32_t)entry;
    } else {
        if (*low & ENTRY_PRESENT)
            *low = 0;
        low[1] = (uint32_t)(entry >> 32);
        *low = (uint32_t)entry;
    }
}

/*
 * The same where no present entry is. => upper: of the upper word, what `entry`
 * cannot hold
 */
static ALWAYS_INLINE void entry_store_new(const paging_format_t *format, void *place,
                                          mmu_entry_t entry, uint32_t upper)
{
    volatile uint32_t *low = place;

    if (format->entry_bytes == 8)
        low[1] = (uint32_t)((uint64_t)entry >> 32) | upper;
    *low = (uint32_t)entry;
}

/* A 64-bit entry is about to change: not present meanwhile. */
static ALWAYS_INLINE void entry_hide(void *place)
{
    *(volatile uint32_t *)place = 0;
}

/* Take one out. */
static ALWAYS_INLINE void entry_clear(const paging_format_t *format, void *place)
{
    volatile uint32_t *low = place;

    *low = 0;
    if (format->entry_bytes == 8)
        low[1] = 0;
}

/* Between the border's form of an entry and the format's (last level only). */
static ALWAYS_INLINE uint64_t entry_from_border(const paging_format_t *format,
                                                mmu_entry_t entry)
{
    uint64_t raw = entry;

    if (format->no_execute != 0 && (entry & (MMU_PRESENT | MMU_NOEXEC)) ==
                                   (MMU_PRESENT | MMU_NOEXEC))
        raw |= paging_state.no_execute;
    return raw;
}

/* What that adds to the upper word. */
static ALWAYS_INLINE uint32_t entry_no_execute(const paging_format_t *format, mmu_entry_t entry)
{
    if (format->no_execute == 0 ||
        (entry & (MMU_PRESENT | MMU_NOEXEC)) != (MMU_PRESENT | MMU_NOEXEC))
        return 0;
    return (uint32_t)(paging_state.no_execute >> 32);
}

static ALWAYS_INLINE mmu_entry_t entry_to_border(const paging_format_t *format, uint64_t raw)
{
    return (mmu_entry_t)(format->no_execute != 0 ? raw & ~format->no_execute : raw);
}

/* An entry of the last level as the border has it: on i386 its lower word. */
static ALWAYS_INLINE mmu_entry_t entry_load_border(const paging_format_t *format,
                                                   const void *place)
{
    if (format->entry_bytes == 4)
        return *(const volatile uint32_t *)place;
    return entry_to_border(format, *(const volatile mmu_entry_t *)place);
}

/* The address of a slot: both windows count as one. */
static ALWAYS_INLINE size_t table_slot_address(size_t slot)
{
    return TABLE_WINDOW_BASE + slot * PAGE_SIZE;
}

/* The kernel address that a table has for its life; before paging, where it lies. */
static ALWAYS_INLINE void *table_address(page_t page)
{
    if (UNLIKELY(!paging_state.on))
        return cpu_physical_address(page);
    return (void *)table_slot_address(physical_frames[page >> PAGE_SHIFT].slot);
}

/*
 * Go down from `root` towards the entry of `vaddr` at level `target`.
 *
 * => true: *at is that entry; false: *at is the entry above it that names no table
 */
static ALWAYS_INLINE bool walk_down(const paging_format_t *format, page_t root, size_t vaddr,
                                    unsigned target, walk_t *at)
{
    unsigned level = format->levels - 1;

    at->page = root;
#pragma GCC unroll 4
    for (; level > target; level--) {
        uint64_t entry;

        at->table = table_address(at->page);
        at->index = walk_index(format, level, vaddr);
        at->level = level;
        entry = entry_load(format, at->table, at->index);
        if ((entry & ENTRY_PRESENT) == 0 ||
            (level == format->large_level && (entry & ENTRY_LARGE) != 0))
            return false;
        at->page = (page_t)(entry & format->frame_mask);
    }
    at->table = table_address(at->page);
    at->index = walk_index(format, level, vaddr);
    at->level = level;
    return true;
}

/* ---- tables.c: making and freeing tables */

/* A zeroed table with a kernel address. => PAGE_NONE: no memory, nothing changed */
page_t table_make(void);

/* The same for a top level: it is told of every new kernel table from now on. */
page_t table_make_top(void);

/* Give a table back. => its entry in the level above is gone, and flushed */
void table_free(page_t page);

/* Build the kernel's own top level and what is needed to make tables. */
const char *tables_init(void);

/* Make sure a last-level table covers the kernel address. => 0 or -ENOMEM */
int tables_cover_kernel(size_t vaddr);

/*
 * Make the tables on the way from root to vaddr's entry at level `target`, each
 * counted in its parent and in root. => 0 and *at; -ENOMEM; -EEXIST: a large page
 * covers vaddr
 */
int tables_make_path(page_t root, size_t vaddr, unsigned target, walk_t *at);

/*
 * A table of this root became empty: take it out of the one above, and go on
 * upwards while that becomes empty too. The tables are not freed yet but chained
 * in *chain: flush first, then tables_free_chain.
 */
void tables_unlink(page_t root, size_t vaddr, page_t *chain);
void tables_free_chain(page_t root, page_t chain);

/*
 * The top-level tables one by one, the kernel's own and the linear space's too.
 *
 * => *slot: 0 at first; PAGE_NONE: there is no other
 */
page_t tables_next_top(size_t *slot);

/* Part of pagetable_check: the windows. */
const char *tables_check(void);

/* ---- virtual.c */

/* The parts of every space that are the kernel's: [base, base + length). */
typedef struct kernel_part {
    size_t base;
    size_t length;
} kernel_part_t;

enum { KERNEL_PARTS = 2 };
extern const kernel_part_t kernel_parts[KERNEL_PARTS];

/* mmu.c: find the temporary slots' entries. => once paging is on */
void temporary_slots_init(void);

/* mmu.c: a last-level table moves to another place, or is freed. */
void paging_forget_table(void);

/* Flush one page, or everything that is not global. Counted. */
static ALWAYS_INLINE void paging_flush_page(size_t vaddr)
{
    if (LIKELY(paging_state.on)) {
        virtual_events.invlpgs++;
        cpu_invlpg(vaddr);
    }
}
void paging_flush_space(void);

#endif
