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
    size_t locked;          /* pages in locked areas (RLIMIT_MEMLOCK) */
} mspace_limits_t;

/*
 * Guards: (c) constant after creation  (m) mspace->lock  (k) the kernel: it is never
 * preempted
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
    size_t full_end;        /* (m) below, from map_base up, no place is free... */
    size_t full_length;     /* (m) ...for so many bytes or more: searches begin there */
    size_t v_size;          /* (m) pages promised by all areas */
    size_t locked;          /* (m) pages of them in areas that are VMA_LOCKED */
    int lock_future;        /* (m) the VMA_LOCKS of areas to come */
    size_t p_size;          /* (m) resident private pages */
    size_t s_size;          /* (m) resident pages of files and shared objects */
    size_t v_peak;          /* (m) the most that v_size and, below, p_size + s_size were */
    size_t resident_peak;   /* (m) before they last fell: see mspace_note_peaks */
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
    mspace_t *next_space;   /* (k) all spaces but the kernel's */
    mspace_t **link_space;  /* (k) what points to this one */
    splock_t lock;
};

/* All spaces but the kernel's, latest first, by next_space; guarded as that is. */
extern mspace_t *mspace_list;

/* Nodes that a space keeps for its next areas instead of freeing them. */
#define MSPACE_SPARES 4

/* Areas that a space has at most, as Linux's vm.max_map_count. */
#define MSPACE_AREAS_MAX 65530

/* limits.locked of a new space: 8 MiB, as Linux has it. */
#define MSPACE_LOCK_LIMIT ((size_t)0x800000 / PAGE_SIZE)

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

/*
 * A space with the same areas and contents: private pages are the same frames until
 * either writes to one; shared and physical areas show the same memory.
 *
 * => NULL: no memory; the space is as it was, but pages may have become read-only
 *    that the next write makes writable again
 * => left out: VMA_DONT_FORK, and dead areas; there and empty: VMA_WIPE_ON_FORK; not
 *    handed on: VMA_LOCKED, VMA_LOCK_ON_FAULT
 * => pages of shared and physical areas are not mapped yet
 * => one user; takes mspace->lock; not for the kernel mspace
 * => O(areas * log areas + tables + private pages)
 */
mspace_t *mspace_clone(mspace_t *mspace);

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
 * => VMA_SHARED with VMA_ANON is EINVAL: shared anonymous memory is a shared file,
 *    a fresh one of shmem_create. So is VMA_SHARED with a write right or capability
 *    for a file that is somewhere else, too (inode_is_memory)
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
 * Forget what the pages of the range hold: the next access finds zeroes, or what the
 * file has. Frames of files and shared objects only lose this space's entries.
 *
 * => 0; -EINVAL: a bad range, a VMA_PHYS area, or a locked one unless locked_too;
 *    -ENOENT: a hole in it, or a dead area; nothing changed in any of these cases
 * => O(log areas + areas in it + resident pages in it)
 */
int mspace_discard(mspace_t *mspace, size_t address, size_t length, bool locked_too);

/*
 * Set and clear flags of VMA_ADVICE on all pages of the range.
 *
 * => 0; -EINVAL: a bad range or flags, VMA_WIPE_ON_FORK for what is not private
 *    memory of no file, anything cleared of a VMA_PHYS area; -ENOENT: as above;
 *    -ENOMEM; nothing changed in any of these cases
 * => O(log areas + areas in it)
 */
int mspace_set_advice(mspace_t *mspace, size_t address, size_t length, int set, int clear);

/*
 * Give all pages of the range these VMA_LOCKS: 0, VMA_LOCKED or both. There is no
 * nesting. VMA_PHYS areas are passed over.
 *
 * => 0; -EINVAL: a bad range or flags; -ENOENT: as above; -EAGAIN: more than
 *    lock_limit pages would be locked; -ENOMEM; nothing changed in any of these cases
 * => makes no page present: mspace_resolve does
 */
int mspace_lock(mspace_t *mspace, size_t address, size_t length, int locks);

/*
 * The same for every area there is, dead ones left out.
 *
 * => -EAGAIN: v_size is above lock_limit; locks of 0 always succeed; needs no memory
 */
int mspace_lock_all(mspace_t *mspace, int locks);

/*
 * The VMA_LOCKS of areas that are mapped from now on, the heap included.
 *
 * => what it was; mspace_map, mspace_replace and mspace_break then fail with EAGAIN
 *    where more than lock_limit pages would be locked
 */
int mspace_lock_future(mspace_t *mspace, int locks);

/*
 * Take out all areas and parts of areas in the range; holes are fine.
 *
 * => 0; -EINVAL; -ENOMEM (an area is cut in two and there is no memory for the
 *    second node): nothing changed
 */
int mspace_unmap(mspace_t *mspace, size_t address, size_t length);

/* Flags of mspace_remap. */
#define REMAP_MAY_MOVE   0x1
#define REMAP_FIXED      0x2    /* to new_address; takes out what is there */
#define REMAP_DONT_UNMAP 0x4    /* the old area stays, without its pages */

/*
 * Change the length of [address, address + old_length), and its place if it must or is
 * to: Linux's mremap, but for lengths of whole pages. Return where it is, or NULL with
 * errno set.
 *
 * => shorter, without REMAP_FIXED: as mspace_unmap of the tail, whatever is there
 * => longer: in place where the range ends its area and what follows is free and not
 *    the stack's; else with REMAP_MAY_MOVE where mspace_map finds room. What is new
 *    continues the area as it would have been mapped
 * => moved pages are the same frames; entries of every kind go along, and the area's
 *    flags; a moved part of the heap is an anonymous area
 * => old_length 0, of a shared area: one more view of it from address on
 * => REMAP_FIXED and REMAP_DONT_UNMAP need REMAP_MAY_MOVE; REMAP_DONT_UNMAP alone takes
 *    new_address as a hint; the area that it leaves is not locked any more
 * => NULL leaves the space untouched. EINVAL: address or a length not of whole pages, no
 *    new_length, flags that do not go together, REMAP_DONT_UNMAP with another length or
 *    of VMA_PHYS, a new place that is illegal or overlaps the old range, a tail outside
 *    the space, old_length 0 of a private area, a file that ends in no offset. EFAULT:
 *    no area at address, or a dead one; what is moved or grows is more than part of one
 *    area, or a VMA_PHYS that would grow. ENOMEM: no room, or no memory
 * => O(log areas + tables + resident pages moved or taken out); a table at once where
 *    mmu_move_range can
 */
void *mspace_remap(mspace_t *mspace, size_t address, size_t old_length, size_t new_length,
                   size_t new_address, int flags);

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

/*
 * What is in memory, one line a run: pages one behind the other whose entries say the
 * same but for the frame, and for MMU_ACCESSED and MMU_DIRTY.
 *
 *      08048000-0804a000 r-xu shared        2
 *
 * => rights as the processor sees the entry ("----": held); private, shared (a file's or an
 *    object's), zero (the common page of zeroes) or foreign; how many pages
 * => print runs with mspace->lock held, as above; the kernel's space has no such lines
 * => O(areas + pages promised / 64 + resident pages)
 */
void mspace_describe_pages(mspace_t *mspace, mspace_print_t *print, void *context);

/* The counters as one line, in pages. */
void mspace_describe_counters(mspace_t *mspace, mspace_print_t *print, void *context);

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

/* A part of a range that lies in one area. */
typedef struct mspace_part {
    size_t base;
    size_t length;
    int flags;              /* the area's */
} mspace_part_t;

/*
 * The first part of [base, end) that is mapped; dead areas are not.
 *
 * => any two addresses; true and *part, or false: nothing is mapped there
 * => takes mspace->lock; O(log areas)
 */
bool mspace_find_part(mspace_t *mspace, size_t base, size_t end, mspace_part_t *part);

/*
 * Which pages from `address` on are in memory: a byte for each, 1 or 0, in vec. Where a
 * file's page has no entry, whether the page cache has it.
 *
 * => how many bytes were set: up to `count`, and not past the area that holds address;
 *    -EINVAL: not aligned; -ENOENT: no area holds address, or a dead one
 * => O(log areas + count)
 */
int mspace_resident(mspace_t *mspace, size_t address, size_t count, uint8_t *vec);

/*
 * What an address of a program's space means now, offset included.
 *
 * => NO_TRANSLATION (virtual.h): no page is present there. Makes nothing present, and
 *    holds nothing: the answer is good until the space changes
 */
page_t mspace_translate(mspace_t *mspace, size_t vaddr);

/*
 * Copy between the kernel's memory and a program's space, or between two spaces (or
 * one), whichever is the current one.
 *
 * => addresses of programs need not be aligned; any number of areas; a page that is not
 *    there yet is made present as an access would; areas say what is allowed
 * => 0 and *done == length, or an error and *done bytes were copied: all of those before
 *    the first page that cannot be used, on either side. -EFAULT, -ENOMEM, -EIO as
 *    mspace_resolve
 * => each byte is read once; ranges of one space that overlap: no order is promised
 * => to, from of the kernel: not in a program's part, nor in a temporary slot
 * => no lock held; uses the temporary slots; O(pages * log areas)
 */
int mspace_copy_in(mspace_t *mspace, void *to, size_t from, size_t length, size_t *done);
int mspace_copy_out(mspace_t *mspace, size_t to, const void *from, size_t length, size_t *done);
int mspace_copy(mspace_t *to_space, size_t to, mspace_t *from_space, size_t from,
                size_t length, size_t *done);

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
 * mspace_replace.c, mspace_protect.c, mspace_remap.c, mspace_advise.c, mspace_lock.c,
 * mspace_query.c, mspace_clone.c, mspace_files.c, fault.c, kmap.c.
 *
 * => all with mspace->lock held
 */

/*
 * The one judge of ranges: aligned, not empty, inside the space. Only after its
 * yes may address and length be added.
 */
static inline bool mspace_legal_range(const mspace_t *mspace, size_t address, size_t length)
{
    return ((address | length) & PAGE_MASK) == 0 && length != 0 &&
           address >= mspace->lower_bound && length <= mspace->upper_bound &&
           address <= mspace->upper_bound - length;
}

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

/* Whether so many more pages may be locked. */
static inline bool mspace_may_lock(const mspace_t *mspace, size_t pages)
{
    size_t limit = mspace->limits.locked;

    return mspace->locked <= limit && pages <= limit - mspace->locked;
}

/*
 * Promise `pages` more in an area of these flags: hold them against the limits, and
 * charge them.
 *
 * => 0; -EAGAIN: more than may be locked; -ENOMEM; nothing changed then. O(1), with
 *    limits.data O(areas)
 * => mspace_unpromise takes it back; v_size changes where the area goes in and out
 */
static inline int mspace_promise(mspace_t *mspace, int flags, size_t pages)
{
    if (UNLIKELY((flags & VMA_LOCKED) != 0) && !mspace_may_lock(mspace, pages))
        return -EAGAIN;
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

/* Take a promise back. */
static inline void mspace_unpromise(mspace_t *mspace, int flags, size_t pages)
{
    if ((flags & VMA_ACCOUNTED) != 0)
        mspace_uncharge(mspace, pages);
}

/* Charge pages that were charged until just now, or will not be in a moment. */
static inline void mspace_recharge(mspace_t *mspace, size_t pages)
{
    mspace->charged += pages;
    commit_recharge(pages);
}

/* `pages` of an area with these flags came, which were promised; or they went. */
static inline void mspace_count_in(mspace_t *mspace, int flags, size_t pages)
{
    mspace->v_size += pages;
    if (UNLIKELY((flags & VMA_LOCKED) != 0))
        mspace->locked += pages;
}

static inline void mspace_count_out(mspace_t *mspace, int flags, size_t pages)
{
    mspace->v_size -= pages;
    if (UNLIKELY((flags & VMA_LOCKED) != 0))
        mspace->locked -= pages;
    mspace_unpromise(mspace, flags, pages);
}

/*
 * mspace_promise for what will take the place of the areas in [base, end), which go.
 *
 * => first: the first of them. O(areas in the range)
 */
int mspace_promise_over(mspace_t *mspace, int flags, size_t pages, const vma_t *first,
                        size_t base, size_t end);
/* The locks that a made-up area gets by mspace_lock_future. */
static inline void mspace_lock_candidate(const mspace_t *mspace, vma_t *vma)
{
    if (UNLIKELY(mspace->lock_future != 0) && !vma->ops->foreign)
        vma->flags |= mspace->lock_future;
}

/*
 * Find the areas of a range that has no hole and no dead area.
 *
 * => 0 and *first, *last; -ENOENT
 */
int mspace_find_whole(mspace_t *mspace, size_t base, size_t end, vma_t **first, vma_t **last);

/*
 * flags = (flags & ~clear) | set for the areas that mspace_find_whole gave, cut where
 * the range ends in them. VMA_PHYS areas get no locks. => 0, -ENOMEM: nothing changed
 */
int mspace_change_flags(mspace_t *mspace, vma_t *first, vma_t *last, size_t base, size_t end,
                        int clear, int set);

/* Set phys_pg_count after p_size, s_size or the tables changed. */
static inline void mspace_account(mspace_t *mspace)
{
    mspace->phys_pg_count = mspace->p_size + mspace->s_size + mmu_table_count(mspace->directory);
}

/* Free ranges of that length are not walked; shorter ones are, with what is around them. */
#define MSPACE_LONG_GAP (4 * MIB)

/*
 * For each entry in [base, end) what `ours` returns, or in areas whose frames are
 * foreign, `foreign`; as mmu_change_range. p_size and s_size are theirs to change.
 * NULL for `ours`: they are taken out, and released and counted.
 *
 * => first: the first area at or above base
 */
void mspace_change_entries(mspace_t *mspace, vma_t *first, size_t base, size_t end,
                           mmu_change_t *ours, mmu_change_t *foreign, void *context);

/* The free range before `next`, or behind the last area if that is NULL, became larger. */
static inline void mspace_note_hole(mspace_t *mspace, const vma_t *next)
{
    size_t start = next != NULL ? vma_base(next) - next->gap : 0;

    if (start < mspace->full_end)
        mspace->full_end = start;
}

/* An entry of our own was taken out: release its frame and count it. */
void mspace_drop_entry(mspace_t *mspace, mmu_entry_t entry);

/*
 * What v_size and p_size + s_size are now goes into their peaks: due before either falls,
 * so that it costs nothing where they rise. Who asks for a peak calls it first.
 */
static inline void mspace_note_peaks(mspace_t *mspace)
{
    if (mspace->v_size > mspace->v_peak)
        mspace->v_peak = mspace->v_size;
    if (mspace->p_size + mspace->s_size > mspace->resident_peak)
        mspace->resident_peak = mspace->p_size + mspace->s_size;
}

/*
 * A file ends earlier: take its pages from byte `from` on out of every space, copies of
 * them included. The areas stay; an access is then one past the file's end.
 *
 * => from: a multiple of PAGE_SIZE; takes each space's lock, one at a time
 * => cannot fail; O(areas of all spaces + entries)
 */
void mspace_revoke_file(const inode_t *ino, off_t from);

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

/* mspace_unmap of [base, end), a legal range. => 0, or -ENOMEM and nothing changed */
int mspace_take_out(mspace_t *mspace, size_t base, size_t end);

/*
 * The same with the first area at or above base in hand, which begins below end; of
 * _tail, with an area whose part from base on goes, but not all of it.
 */
int mspace_take_out_parts(mspace_t *mspace, vma_t *first, size_t base, size_t end);
void mspace_take_out_tail(mspace_t *mspace, vma_t *vma, size_t base);

/*
 * The place that mspace_map takes without VMA_FIXED. => 0: there is no room
 *
 * => hint: 0, or where it would be best
 */
size_t mspace_find_place(mspace_t *mspace, size_t hint, size_t length);

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

/* Put a made-up area in. => place: the free range that it goes into */
void mspace_insert(mspace_t *mspace, vma_t *vma, const vma_place_t *place);

/*
 * Move the end of an area up, as far as its flags would be mapped there; what is there is
 * free. => 0; -EAGAIN, -ENOMEM: as mspace_promise
 */
int mspace_grow(mspace_t *mspace, vma_t *vma, size_t end);

/* Merge an area with both neighbours if they continue it. => what it became */
vma_t *mspace_merge(mspace_t *mspace, vma_t *vma);

/* Merge the areas from `first` up to `end` where they can, the neighbours included. */
void mspace_merge_range(mspace_t *mspace, vma_t *first, size_t end);

/* Drop an area's file reference, and give its node back. => not in the tree any more */
void mspace_free_vma(mspace_t *mspace, vma_t *vma);

/* Whether [base, end) meets the stack's range or the guard gap below it. */
bool mspace_is_for_stack(const mspace_t *mspace, size_t base, size_t end);

#endif
