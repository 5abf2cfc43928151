/*
 * Page tables: making, filling, taking down and switching them.
 *
 * A pagetable is named by the physical address of its top level. The kernel's
 * parts (below LOW_END, and from KERNEL_BASE up) are the same in every one at
 * all times. Every page-table page has a kernel address for its life, kept in
 * its frame's word, so that any table can be edited from any space.
 *
 * Three formats, one walker: see x86/format.h.
 */
#ifndef KERNEL_VIRTUAL_H
#define KERNEL_VIRTUAL_H

#include <kernel/boot_info.h>
#include <kernel/layout.h>
#include <kernel/mmu.h>
#include <kernel/types.h>

#define NO_TRANSLATION ((page_t)-1)

/* Access: who may use a page, and how. Execution is allowed unless it says not. */
typedef unsigned access_t;
#define ACCESS_KERNEL      0u                   /* supervisor, read-only */
#define ACCESS_WRITE       MMU_WRITE
#define ACCESS_USER        MMU_USER
#define ACCESS_NOEXEC      MMU_NOEXEC
#define ACCESS_UNCACHED    (MMU_UNCACHED | MMU_WRITE_THROUGH)
#define ACCESS_GLOBAL      MMU_GLOBAL

/*
 * Choose a format ("2level", "pae", "long") and build the kernel's own tables:
 * low RAM and the image, the frame table, the windows.
 *
 * => before paging, after physical_init; NULL, or a sentence
 */
const char *virtual_init(const boot_info_t *info, const char *format);
const char *virtual_format_name(void);

/* A table with the kernel's parts and an empty user part. => PAGE_NONE: no memory */
page_t create_pagetable(void);

/*
 * Give back the table and all tables below it. => nothing may be mapped in its
 * user part any more; it must not be the current one
 */
void delete_pagetable(page_t pagetable);

/*
 * Let vaddr mean paddr.
 *
 * => 0; -ENOMEM: no memory for a table, nothing changed; -EEXIST: something is
 *    mapped there
 */
int pagetable_map(page_t pagetable, size_t vaddr, page_t paddr, access_t access);

/* Undo it. => the page that was there, or NO_TRANSLATION */
page_t pagetable_unmap(page_t pagetable, size_t vaddr);

/*
 * Map [start, end) to itself, with large pages wherever they fit.
 *
 * => whole pages; -ENOMEM: what was mapped so far stays
 */
int pagetable_map_linear(page_t pagetable, size_t start, size_t end, access_t access);

/* What vaddr means, offset included. => NO_TRANSLATION: nothing */
page_t get_translation(page_t pagetable, size_t vaddr);

/* Turn paging on with this table, for the first time. */
void enable_pagetable(page_t pagetable);

/* Make it the current one. => a CR3 load, unless it is current already */
void switch_pagetable(page_t pagetable);

page_t current_pagetable(void);

/* The table of the kernel's own tasks: no user part. */
page_t kernel_pagetable(void);

/*
 * Let the kernel's [vaddr, vaddr + length) mean [paddr, paddr + length), in every
 * space at once.
 *
 * => whole pages; 0, or -ENOMEM or -EEXIST as pagetable_map, and nothing is mapped
 * => one walk a table
 */
int virtual_map_kernel_range(size_t vaddr, page_t paddr, size_t length, access_t access);

/* One page of the kernel's, as pagetable_map and _unmap. */
int virtual_map_kernel(size_t vaddr, page_t paddr, access_t access);
page_t virtual_unmap_kernel(size_t vaddr);

/* Events since boot. */
typedef struct virtual_events {
    uint64_t cr3_loads;
    uint64_t invlpgs;
    uint64_t full_flushes;
    uint64_t tables_made;
    uint64_t tables_freed;
    uint64_t kernel_tables; /* installed in the kernel's part, for good */
} virtual_events_t;
extern virtual_events_t virtual_events;

/*
 * NULL, or a sentence: every table hangs in one place, its frame knows its address
 * and its count of entries, and entries that lead to tables say nothing else; the
 * kernel's parts are the same everywhere; no kernel page is open to programs, or
 * both writable and executable, and none shows the image's text and constants
 * writable; the linear space is neither open nor executable. O(tables).
 */
const char *pagetable_check(void);

#endif
