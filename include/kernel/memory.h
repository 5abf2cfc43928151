/*
 * Address spaces.
 *
 * A space is a balanced tree of areas and a page table. Mapping records a
 * promise; pages come on first access.
 */
#ifndef KERNEL_MEMORY_H
#define KERNEL_MEMORY_H

#include <kernel/commit.h>
#include <kernel/errno.h>
#include <kernel/mmu.h>
#include <kernel/physical.h>
#include <kernel/splock.h>
#include <kernel/tree.h>
#include <kernel/vma.h>

/* What a program may have at most, in pages; SIZE_MAX: no limit. */
typedef struct mspace_limits {
    size_t address_space;   /* v_size (RLIMIT_AS) */
    size_t data;            /* private writable memory but stacks (RLIMIT_DATA) */
    size_t stack;           /* each area that grows down, if it is to grow (RLIMIT_STACK) */
} mspace_limits_t;

/*
 * Guards: (c) constant after creation  (m) mspace->lock
 *
 * v_size >= p_size + s_size, less VMA_PHYS pages and the zero frame, which are
 * never counted. phys_pg_count == p_size + s_size + page tables. charged == pages of
 * the areas with VMA_ACCOUNTED.
 */
struct mspace {
    long users;             /* (m) usage counter */
    bbtree_t tree;          /* (m) areas by address, augmented with the gaps between them */
    page_t directory;       /* (c) top-level page table; PAGE_NONE: the kernel's parts */
    size_t lower_bound;     /* (c) */
    size_t upper_bound;     /* (c) first address past the space */
    size_t map_base;        /* (m) where the search for a free range begins */
    size_t v_size;          /* (m) pages promised by all areas */
    size_t p_size;          /* (m) resident private pages */
    size_t s_size;          /* (m) resident pages of files and shared objects */
    size_t charged;         /* (m) pages charged (commit.h) */
    mspace_limits_t limits; /* (m) */
    size_t phys_pg_count;   /* (m) frames in use for this space, page tables included */
    size_t stack_base;      /* (m) lowest address the stack may reach; 0: no stack */
    size_t stack_end;       /* (m) first address past the stack */
    size_t break_start;     /* (m) brk: where the heap begins; 0: none */
    size_t break_end;       /* (m) brk: the break, in bytes */
    size_t stale_page;      /* (m) fault.c: the stale page that was flushed last, if
                             * nothing changed since */
    size_t unmapped_base;   /* (m) what was unmapped last, for reports: [base, end) */
    size_t unmapped_end;    /* (m) */
    uint64_t faults;        /* (m) faults resolved */
    vma_t *spare;           /* (m) nodes in hand, chained by node.left */
    size_t spare_count;     /* (m) at most MSPACE_SPARES */
    splock_t lock;
};

/* Nodes that a space keeps for its next areas instead of freeing them. */
#define MSPACE_SPARES 4

/* Areas that a space has at most, as Linux's vm.max_map_count. */
#define MSPACE_AREAS_MAX 65530

/*
 * Set up kMMU, the zero page, and the kernel mspace over [KSPACE_BASE,
 * KSPACE_END). => NULL or a sentence; once kmalloc works
 */
const char *memory_init(void);

/* Bring kMMU.free_pages up to date. */
void kmmu_refresh(void);

/*
 * A space for a program: empty, USER_BASE to USER_END, map_base = lower_bound,
 * one user. => NULL: no memory
 */
mspace_t *mspace_create(void);

/* One more user. => returns mspace */
mspace_t *mspace_open(mspace_t *mspace);

/* One user less; the last one sweeps it and frees everything. It must not be the
 * current space then. */
void mspace_close(mspace_t *mspace);

/*
 * Map `length` bytes at `address` (0: any free place) and return the address, or
 * NULL with errno set.
 *
 * => address and length are bytes, multiples of PAGE_SIZE; offset too, into ino
 *    (VMA_PHYS: the physical address)
 * => limit: bytes of the file; pages past it read as zero; 0 means no limit
 * => flags: rights, capabilities, one kind, VMA_SHARED, VMA_FIXED, VMA_RESOLVE,
 *    VMA_UNCACHED
 * => without VMA_FIXED address is a hint: if it is taken or outside the space, the
 *    lowest place that fits from map_base up, then from lower_bound
 * => NULL leaves the space untouched. EINVAL: unaligned or empty; with VMA_FIXED
 *    wrapping or out of bounds; flags against the kind's rules. ERANGE: VMA_FIXED
 *    on a taken range. ENOMEM: no room, a limit of mspace->limits, too many areas,
 *    a promise that commit.h refuses, or no memory (also for VMA_RESOLVE). EIO: reading
 * => VMA_SHARED with VMA_ANON, or with VMA_FILE and a write right or capability,
 *    is EINVAL for now
 * => VMA_STACK, VMA_GROWS_DOWN: the range is what is there at once; the area may
 *    grow down until it has limits.stack pages. Below it searches keep
 *    STACK_GUARD_GAP free
 * => VMA_NO_RESERVE: its pages are not charged; in strict mode they are
 * => takes its own reference on ino; takes mspace->lock
 * => maps nothing yet unless VMA_RESOLVE: pages arrive on first access. With it,
 *    pages wholly past the file's end are left out
 * => not for the kernel mspace: see kmap
 * => O(log areas)
 */
void *mspace_map(mspace_t *mspace, size_t address, size_t length,
                 inode_t *ino, off_t offset, off_t limit, int flags);

/*
 * mspace_map with VMA_FIXED that first takes out what is there, in one step:
 * when it fails, nothing has changed. (Linux's MAP_FIXED.)
 */
void *mspace_replace(mspace_t *mspace, size_t address, size_t length,
                     inode_t *ino, off_t offset, off_t limit, int flags);

/*
 * Change the rights of all pages in the range to flags, which are VMA_RIGHTS only.
 *
 * => 0; -EINVAL: a bad range or flags; -ENOENT: a hole in it, or a dead area;
 *    -EPERM: a right beyond a capability; -ENOMEM: no memory, too many areas, or
 *    what would be writable now is refused by limits.data or commit.h; nothing
 *    changed in any of these cases
 * => entries follow at once. Without any right, pages in memory are kept, held
 *    (MMU_HELD); with a right again they are back without a fault
 * => O(log areas + areas in it + resident pages in it)
 */
int mspace_protect(mspace_t *mspace, size_t address, size_t length, int flags);

/*
 * Take out all areas and parts of areas in the range; holes are fine.
 *
 * => 0; -EINVAL; -ENOMEM (an area is cut in two and there is no memory for the
 *    second node): nothing changed
 */
int mspace_unmap(mspace_t *mspace, size_t address, size_t length);

/*
 * Mark the areas that lie in the range dead: their pages go at once, the range
 * stays taken until mspace_scavenge. Areas at the ends are cut.
 *
 * => as mspace_unmap
 */
int mspace_kill(mspace_t *mspace, size_t address, size_t length);

/* Reclaim the dead areas. => how many */
int mspace_scavenge(mspace_t *mspace);

/* Mark every area dead and reclaim them all. */
void mspace_sweep(mspace_t *mspace);

/*
 * The area that holds the address. => NULL: none. The caller holds the lock, or
 * nothing else can run: the area is only valid as long.
 */
vma_t *mspace_search_vma(mspace_t *mspace, size_t address);

/*
 * The space as text, one line an area in the form of /proc/PID/maps, through
 * `print` line by line.
 *
 * => print runs with mspace->lock held: it must not touch the space's memory
 */
typedef void mspace_print_t(void *context, const char *text, size_t length);
void mspace_describe(mspace_t *mspace, mspace_print_t *print, void *context);

/* mspace_describe to the log, then the counters. */
void mspace_display(mspace_t *mspace);

/*
 * Set the break: [break_start, new_break) is the heap.
 *
 * => 0; -ENOMEM: something is mapped there or in the page behind, or no memory;
 *    going down, also when nothing is mapped there; -EINVAL: below break_start, or
 *    there is none; nothing changed then
 * => going down unmaps whatever is mapped there
 */
int mspace_break(mspace_t *mspace, size_t new_break);

/*
 * Lay out the stack: a stack area of `length` bytes ending at `top` that may
 * grow down to top - limit.
 *
 * => 0; -ENOMEM: something is mapped in the range down to the limit or in the
 *    guard gap below, or no memory; -EINVAL: unaligned, out of bounds
 * => the range down to the limit and the guard gap below count as taken in every
 *    search
 */
int mspace_set_stack(mspace_t *mspace, size_t top, size_t length, size_t limit);

/*
 * Make the pages that the range touches present, as an access of that kind would.
 *
 * => bytes; need not be aligned; a stack grows as it would
 * => 0, -EFAULT (no area, no right, past a file's end), -ENOMEM, -EIO; pages done
 *    so far stay
 * => the space need not be the current one
 */
int mspace_resolve(mspace_t *mspace, size_t address, size_t length, bool write);

/*
 * The kernel's view of memory it owns elsewhere: [physical, physical + length)
 * at a kernel address, or a range of fresh pages when flags say VMA_PIPE.
 *
 * => whole pages; flags: VMA_PHYS or VMA_PIPE, rights, VMA_UNCACHED
 * => NULL with errno set; guarded by an unmapped page below and above
 */
void *kmap(size_t length, page_t physical, int flags);

/* => exactly what kmap gave; anything else is reported and ignored */
void kunmap(void *address, size_t length);

/*
 * NULL, or a sentence: areas sorted, disjoint, inside the bounds, aligned; gaps
 * and largest gaps right; equal neighbours merged; every present entry inside an
 * area that grants at least its rights; counters equal a recount. O(areas + entries).
 */
const char *mspace_check(mspace_t *mspace);

/*
 * NULL, or a sentence: over all spaces and files, whoever has one of the frames that
 * are counted (of programs and of files) is as many as its count says: entries, and
 * for a file's page its file; the page of zeroes has its own reference only; no
 * private entry names a frame that is not in use.
 *
 * => nobody else holds a reference meanwhile, as pagecache_get gives one
 * => takes no memory; O(frames + entries * frames / 2048)
 */
const char *memory_check(void);

/*
 * For the files of mm/ that share the work on spaces: mspace.c, mspace_map.c,
 * mspace_replace.c, mspace_protect.c, fault.c, kmap.c.
 *
 * => all with mspace->lock held
 */

/*
 * The one judge of ranges: aligned, not empty, inside the space. Only after its
 * yes may address and length be added.
 */
bool mspace_legal_range(const mspace_t *mspace, size_t address, size_t length);

/* Whether limits.data allows `pages` more of a program's data. O(areas) */
bool mspace_may_have_data(mspace_t *mspace, size_t pages);

/* Charge pages. => 0 or -ENOMEM */
static inline int mspace_charge(mspace_t *mspace, size_t pages)
{
    int err = commit_charge(pages);

    if (err == 0)
        mspace->charged += pages;
    return err;
}

/*
 * Promise `pages` more in an area of these flags: hold them against the limits, and
 * charge them. => 0 or -ENOMEM, nothing changed; O(1), with limits.data O(areas)
 *
 * => mspace_unpromise takes the charge back; v_size is changed where the area goes in
 */
static inline int mspace_promise(mspace_t *mspace, int flags, size_t pages)
{
    if (mspace->v_size + pages > mspace->limits.address_space ||
        (mspace->limits.data != SIZE_MAX && vma_is_data(flags) &&
         !mspace_may_have_data(mspace, pages)))
        return -ENOMEM;
    return (flags & VMA_ACCOUNTED) != 0 ? mspace_charge(mspace, pages) : 0;
}

static inline void mspace_uncharge(mspace_t *mspace, size_t pages)
{
    mspace->charged -= pages;
    commit_return(pages);
}

/* Charge pages that were charged until just now: cannot fail. */
static inline void mspace_recharge(mspace_t *mspace, size_t pages)
{
    mspace->charged += pages;
    commit.charged += pages;
}

/* `pages` of an area with these flags went. */
static inline void mspace_unpromise(mspace_t *mspace, int flags, size_t pages)
{
    mspace->v_size -= pages;
    if ((flags & VMA_ACCOUNTED) != 0)
        mspace_uncharge(mspace, pages);
}

/* Set phys_pg_count after p_size, s_size or the tables changed. */
static inline void mspace_account(mspace_t *mspace)
{
    mspace->phys_pg_count = mspace->p_size + mspace->s_size + mmu_table_count(mspace->directory);
}

/*
 * For each entry in [base, end) what `ours` returns, or in areas whose frames are
 * foreign, `foreign`; as mmu_change_range. p_size and s_size are theirs to change.
 *
 * => first: the first area at or above base
 */
void mspace_change_entries(mspace_t *mspace, vma_t *first, size_t base, size_t end,
                           mmu_change_t *ours, mmu_change_t *foreign, void *context);

/* An entry of our own was taken out: release its frame and count it. */
void mspace_drop_entry(mspace_t *mspace, mmu_entry_t entry);

/* Take the pages in [base, end) out of the page table. => first: as above */
void mspace_revoke(mspace_t *mspace, vma_t *first, size_t base, size_t end);

/* Whether taking the range out cuts an area in two. => first: as above */
static inline bool mspace_cuts_in_two(const vma_t *first, size_t base, size_t end)
{
    return first != NULL && vma_base(first) < base && vma_end(first) > end;
}

/*
 * Take out areas and parts of areas in [base, end), whose pages are gone.
 *
 * => first: as above; spare: a fresh node if an area is cut in two, else NULL
 * => cannot fail; => the first area behind the range, or NULL
 */
vma_t *mspace_remove(mspace_t *mspace, vma_t *first, size_t base, size_t end, vma_t *spare);

/* Nodes in hand for the areas that a range cuts: its upper part at either end. */
typedef struct mspace_cuts {
    vma_t *at_base;
    vma_t *at_end;
} mspace_cuts_t;

/*
 * Reserve the nodes that mspace_cut needs.
 *
 * => first, last: the first and the last area that have pages in [base, end)
 * => 0, or -ENOMEM and nothing is reserved
 */
int mspace_reserve_cuts(mspace_t *mspace, const vma_t *first, const vma_t *last,
                        size_t base, size_t end, mspace_cuts_t *cuts);

/* Cut areas at both ends of the range. => the first area in it, which may be a new one */
vma_t *mspace_cut(mspace_t *mspace, vma_t *first, vma_t *last, size_t base, size_t end,
                  const mspace_cuts_t *cuts);

/*
 * A node for an area: one in hand, or a new one. => NULL: no memory, or the space has
 * too many areas; _second_half: the same for an area that is cut, which makes one more
 */
vma_t *mspace_take_node(mspace_t *mspace);
vma_t *mspace_take_second_half(mspace_t *mspace);

/* Give one back. NULL does nothing. */
void mspace_give_node(mspace_t *mspace, vma_t *vma);

/*
 * Make up an area, all but its base, in a node that is in no tree; it has no
 * reference yet. => 0 or -EINVAL, as mspace_map
 */
int mspace_candidate(vma_t *vma, size_t length, inode_t *ino, off_t offset, off_t limit,
                     int flags);

/*
 * Put a made-up area in. => free_from: where the free range that it goes into
 * begins; next: the area behind it, or NULL
 */
void mspace_insert(mspace_t *mspace, vma_t *vma, size_t free_from, vma_t *next);

/* Merge an area with both neighbours if they continue it. => what it became */
vma_t *mspace_merge(mspace_t *mspace, vma_t *vma);

/* Merge the areas from `first` up to `end` where they can, the neighbours included. */
void mspace_merge_range(mspace_t *mspace, vma_t *first, size_t end);

/* Drop an area's file reference, and give its node back. => not in the tree any more */
void mspace_free_vma(mspace_t *mspace, vma_t *vma);

/* Whether [base, end) meets the stack's range or the guard gap below it. */
bool mspace_is_for_stack(const mspace_t *mspace, size_t base, size_t end);

#endif
