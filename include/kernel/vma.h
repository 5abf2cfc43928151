/*
 * Areas: ranges of a space that share rights and backing.
 */
#ifndef KERNEL_VMA_H
#define KERNEL_VMA_H

#include <kernel/errno.h>
#include <kernel/inode.h>
#include <kernel/layout.h>
#include <kernel/mmu.h>
#include <kernel/physical.h>
#include <kernel/tree.h>
#include <kernel/types.h>

typedef struct vma vma_t;
typedef struct mspace mspace_t;

/* Rights. */
#define VMA_READ          0x00000001
#define VMA_WRITE         0x00000002
#define VMA_EXEC          0x00000004
#define VMA_RIGHTS        (VMA_READ | VMA_WRITE | VMA_EXEC)
/* Several spaces see the same frames. */
#define VMA_SHARED        0x00000008
/* Capabilities: what mspace_protect may grant. A right given at map time also
 * gives its capability. */
#define VMA_CAN_READ      0x00000010
#define VMA_CAN_WRITE     0x00000020
#define VMA_CAN_EXEC      0x00000040
#define VMA_CAPABILITIES  (VMA_CAN_READ | VMA_CAN_WRITE | VMA_CAN_EXEC)
/* Private, and writable later: pages are copied on the first write. */
#define VMA_COPY_ON_WRITE 0x00000080
/* Kinds: exactly one. */
#define VMA_ANON          0x00000100    /* zeroes at first; private or shared */
#define VMA_HEAP          0x00000200    /* brk: read-write, private */
#define VMA_STACK         0x00000400    /* read-write, private, grows down */
#define VMA_FILE          0x00000800    /* a file, private copy or shared */
#define VMA_PHYS          0x00001000    /* physical range: never executable, frames not ours */
#define VMA_PIPE          0x00002000    /* kernel only, populated at once */
#define VMA_KINDS         (VMA_ANON | VMA_HEAP | VMA_STACK | VMA_FILE | VMA_PHYS | VMA_PIPE)
/* State. */
#define VMA_DEAD          0x00004000    /* pages revoked; waits for mspace_scavenge */
#define VMA_LOCKED        0x00008000    /* present, and stays so; not inherited by a fork */
#define VMA_UNCACHED      0x00010000
/* Of a call, not of an area. */
#define VMA_FIXED         0x00020000    /* the address is not a hint */
#define VMA_RESOLVE       0x00040000    /* populate now */
#define VMA_CALL_FLAGS    (VMA_FIXED | VMA_RESOLVE)
/* State, too, of locks, of advice, of commit accounting, and of areas that grow. */
#define VMA_LOCK_ON_FAULT 0x00080000    /* with VMA_LOCKED: pages come on first access; as it */
#define VMA_LOCKS         (VMA_LOCKED | VMA_LOCK_ON_FAULT)
#define VMA_DONT_FORK     0x00100000    /* mspace_clone leaves it out */
#define VMA_WIPE_ON_FORK  0x00200000    /* mspace_clone gives an empty one */
#define VMA_DONT_DUMP     0x00400000    /* kept for the program's sake: there are no dumps */
#define VMA_ACCOUNTED     0x00800000    /* its pages are charged (commit.h) */
#define VMA_NO_RESERVE    0x01000000    /* its pages are never charged, but in strict mode */
#define VMA_GROWS_DOWN    0x02000000    /* grows to an access below it; each VMA_STACK does */
#define VMA_STATE         (VMA_DEAD | VMA_LOCKED | VMA_LOCK_ON_FAULT | VMA_ADVICE | VMA_ACCOUNTED)
#define VMA_ADVICE        (VMA_DONT_FORK | VMA_WIPE_ON_FORK | VMA_DONT_DUMP)

/* Presets. */
#define VMA_RO            (VMA_READ)
#define VMA_RW            (VMA_READ | VMA_WRITE)
#define VMA_RX            (VMA_READ | VMA_EXEC)
#define VMA_TEXT_SEGMENT  (VMA_FILE | VMA_RX)
#define VMA_DATA_SEGMENT  (VMA_FILE | VMA_RW)
#define VMA_STACK_SEGMENT (VMA_STACK | VMA_RW)
#define VMA_HEAP_SEGMENT  (VMA_HEAP | VMA_RW)

/*
 * How an area's kind behaves. The fault handler calls these; it never asks for
 * the kind.
 *
 * => all run with mspace->lock held
 */
typedef struct vma_ops {
    const char *name;
    bool backed;            /* `offset` counts bytes of what is behind the area */
    bool foreign;           /* the frames are not ours: never counted nor released */
    bool zeroes;            /* what `fill` gives is vma_fill_zeroes, always */

    /*
     * The frame for a page that has no entry yet, to be mapped as the entry
     * says: *entry comes back with the frame, MMU_OBJECT when it is not private,
     * and MMU_WRITE unless a write must be seen first. The rights come from the
     * area.
     *
     * => a private frame and one of a file come with a reference that is the
     *    entry's; the zero frame and foreign frames do not
     * => vaddr: page-aligned, inside the area; write: the access is a write
     * => 0, -ENOMEM, -EIO, or -ENXIO: a page wholly past the file's end
     * => NULL: an area of this kind never faults
     */
    int (*fill)(mspace_t *mspace, vma_t *vma, size_t vaddr, bool write, mmu_entry_t *entry);

    /*
     * The same for a read, only if the frame is in memory already: one more page that
     * a fault nearby maps, too. *entry stays 0 if it is not.
     *
     * => NULL: there are none
     */
    void (*cached)(const vma_t *vma, size_t vaddr, mmu_entry_t *entry);

    /* One line's tail for mspace_display: "[heap]", a file's name, "phys=...". */
    int (*describe)(const vma_t *vma, char *buffer, size_t size);
} vma_ops_t;

/* vma.limit of an area that lies wholly past its limit. */
#define VMA_ALL_ZERO ((off_t)-1)

/* Guards: all of it by the mspace's lock. */
struct vma {
    bbnode_t node;          /* node.value is the base address */
    size_t length;          /* bytes, a multiple of PAGE_SIZE */
    size_t gap;             /* free bytes between the area before and this one */
    size_t largest_gap;     /* the most of a `gap` in the subtree that a search may use;
                             * long ones (vma.c) count as one length */
    inode_t *ino;           /* VMA_FILE: the file, with a reference; else NULL */
    off_t offset;           /* VMA_FILE: into the file; VMA_PHYS: the physical address */
    off_t limit;            /* bytes of backing from the area's start, past it zeroes;
                             * 0: no limit inside the area; VMA_ALL_ZERO: none of it */
    int flags;              /* VMA_*, without VMA_CALL_FLAGS */
    const vma_ops_t *ops;
};

static_assert(sizeof(size_t) != 4 || sizeof(vma_t) <= 56,
              "with its superbuffer's registry an area takes 64 bytes of heap");

/* The area of a node of mspace->tree, and back; NULL for NULL. */
static_assert(offsetof(struct vma, node) == 0, "vma_of is a cast");
static inline vma_t *vma_of(bbnode_t *node)
{
    return (vma_t *)node;
}

static inline bbnode_t *vma_node(vma_t *vma)
{
    return (bbnode_t *)vma;
}

static inline size_t vma_base(const vma_t *vma)
{
    return vma->node.value;
}

static inline size_t vma_end(const vma_t *vma)
{
    return vma->node.value + vma->length;
}

/* The figures of the machine's memory, and the kernel's own space. */
struct kMMU {
    size_t page_size;
    size_t upper_physical_page;     /* number of the highest managed page, plus one */
    size_t pages_amount;            /* pages of RAM we manage */
    size_t free_pages;              /* free now: kmmu_refresh() brings it up to date */
    uint64_t soft_faults;           /* faults that were resolved */
    uint64_t hard_faults;           /* faults that ended a program */
    page_t zero_page;               /* the common frame of zeroes: never freed, never writable */
    mspace_t *kspace;               /* the kernel mspace */
    size_t fault_around;            /* pages in a row, a power of two up to 32, of which a
                                     * read fault maps those that are cached; 1: only its own */
};
extern struct kMMU kMMU;

/*
 * Zeroes for a page: the common frame to be read, a frame of its own to be written to.
 * => as vma_ops_t's fill
 */
static inline int vma_fill_zeroes(bool write, mmu_entry_t *entry)
{
    page_t page;

    if (!write) {
        *entry = kMMU.zero_page | MMU_OBJECT;
        return 0;
    }
    page = page_new(OWNER_ANON);
    if (UNLIKELY(page == PAGE_NONE))
        return -ENOMEM;
    mmu_clear_page(page);
    *entry = page | MMU_WRITE;
    return 0;
}

/* back_anon.c, back_file.c, back_phys.c */
extern const vma_ops_t vma_ops_anon;
extern const vma_ops_t vma_ops_heap;
extern const vma_ops_t vma_ops_stack;
extern const vma_ops_t vma_ops_file;
extern const vma_ops_t vma_ops_phys;
extern const vma_ops_t vma_ops_pipe;

/*
 * Check flags and backing against the rules of the kinds, and complete them:
 * capabilities from rights, VMA_COPY_ON_WRITE for private writable ones.
 *
 * => the area's flags (positive), or -EINVAL
 */
int vma_check_flags(int flags, const inode_t *ino, off_t offset, off_t limit, bool kernel);

/*
 * The same for what nearly all calls ask for, which no rule is against: private memory
 * of no file. => 0: it is something else
 */
static inline int vma_plain_flags(int flags, const inode_t *ino, off_t offset, off_t limit)
{
    if (UNLIKELY((flags & ~(VMA_RIGHTS | VMA_CAPABILITIES | VMA_CALL_FLAGS)) != VMA_ANON ||
                 ino != NULL || (offset | limit) != 0))
        return 0;
    flags = (flags & ~VMA_CALL_FLAGS) | (flags & VMA_RIGHTS) << 4;
    if ((flags & VMA_CAN_WRITE) != 0)
        flags |= VMA_COPY_ON_WRITE;
    if ((flags & VMA_WRITE) != 0)
        flags |= VMA_ACCOUNTED;
    return flags;
}

/*
 * Whether an area of these flags promises memory that commit accounting counts
 * (commit.h): private and writable.
 */
static inline bool vma_is_charged(int flags)
{
    return (flags & (VMA_SHARED | VMA_WRITE | VMA_NO_RESERVE)) == VMA_WRITE;
}

/* Whether it is a program's data, as RLIMIT_DATA and VmData count: and no stack. */
#define VMA_DATA_MASK (VMA_SHARED | VMA_WRITE | VMA_GROWS_DOWN)
static inline bool vma_is_data(int flags)
{
    return (flags & VMA_DATA_MASK) == VMA_WRITE;
}

/* The ops of a kind. */
const vma_ops_t *vma_ops_of(int flags);

/* Whether the area grants a program this kind of access. */
static inline bool vma_allows(const vma_t *vma, bool write, bool execute)
{
    int needed = VMA_RIGHTS;

    if (write)
        needed = VMA_WRITE;
    else if (UNLIKELY(execute) && mmu_can_forbid_execution())
        needed = VMA_EXEC;
    return (vma->flags & needed) != 0;
}

/*
 * The entry of a page of this area, as its rights have it, for a page that is in
 * memory (or held): MMU_WRITE only where the area grants it and nobody else has
 * the frame. A swap slot, and 0, stay as they are.
 */
mmu_entry_t vma_entry(const vma_t *vma, mmu_entry_t entry);

/* The bits that an area's rights give a page, if it grants any. */
static inline mmu_entry_t vma_granted_bits(const vma_t *vma)
{
    mmu_entry_t bits = MMU_PRESENT | MMU_USER | MMU_NOEXEC;

    if (LIKELY((vma->flags & (VMA_EXEC | VMA_UNCACHED)) == 0))
        return bits;
    if ((vma->flags & VMA_EXEC) != 0)
        bits &= ~(mmu_entry_t)MMU_NOEXEC;
    if ((vma->flags & VMA_UNCACHED) != 0)
        bits |= MMU_UNCACHED | MMU_WRITE_THROUGH;
    return bits;
}

/* The same; 0 when it grants none. */
static inline mmu_entry_t vma_entry_bits(const vma_t *vma)
{
    return (vma->flags & VMA_RIGHTS) != 0 ? vma_granted_bits(vma) : 0;
}

/* Free pages that searches keep below an area that grows down, and that its growth
 * leaves above an area below. */
#define STACK_GUARD_GAP (256 * PAGE_SIZE)

/*
 * The tree of areas: `tree` is mspace->tree, initialised with vma_update; its `recent`
 * is the area of the last page fault, dropped when any area is taken out. Each
 * area knows the free bytes before it (`gap`) and the most free bytes, guard gaps
 * left out, before any area of its subtree (`largest_gap`).
 *
 * => all O(log areas); the mspace's lock is held
 */
bool vma_update(bbnode_t *node);

/* Say that an area's `gap` changed. */
void vma_refresh(vma_t *vma);

/*
 * Take an area out of the tree. => next: the area behind it, whose gap takes in its range;
 * NULL: there is none, or its gap is the caller's
 */
void vma_remove(bbtree_t *tree, vma_t *vma, vma_t *next);

/* The area that holds the address, or the next one above it. => NULL: none */
vma_t *vma_at_or_above(const bbtree_t *tree, size_t address);

static inline vma_t *vma_next(const vma_t *vma)
{
    return vma_of(bbtree_next(&vma->node));
}

static inline vma_t *vma_previous(const vma_t *vma)
{
    return vma_of(bbtree_previous(&vma->node));
}

/* A free range: where it begins, and the areas around it, or NULL. */
typedef struct vma_place {
    size_t free_from;       /* the end of `previous`, or the space's lower bound */
    vma_t *previous;
    vma_t *next;
} vma_place_t;

/* The one before `next`, or behind the last area if that is NULL. */
static inline vma_place_t vma_place_before(const bbtree_t *tree, size_t lower_bound, vma_t *next)
{
    vma_t *previous = next != NULL ? vma_previous(next) : vma_of(bbtree_last(tree));

    return (vma_place_t){ previous != NULL ? vma_end(previous) : lower_bound, previous, next };
}

/* Put an area in, somewhere in a free range. */
void vma_insert(bbtree_t *tree, vma_t *vma, const vma_place_t *place);

/* Move an area's ends, not past its neighbours. Nothing but the range changes. */
void vma_set_range(vma_t *vma, size_t base, size_t end);

/* The same with its base alone. */
static inline void vma_set_base(vma_t *vma, size_t base)
{
    size_t more = vma_base(vma) - base;

    vma->node.value = base;
    vma->length += more;
    vma->gap -= more;
    vma_refresh(vma);
}

/*
 * The lowest free place for `length` bytes in [low, high), out of the guard gap of an
 * area that grows down. => 0: there is none
 *
 * => low, high: page-aligned, inside the space; *next: the area behind the place,
 *    or NULL
 */
size_t vma_find_hole(const bbtree_t *tree, size_t low, size_t high, size_t length,
                     vma_t **next);

/*
 * Cut an area at vaddr (page-aligned, inside): `upper`, a fresh node, becomes
 * its upper part. Offset, limit and file reference are divided.
 */
void vma_split(bbtree_t *tree, vma_t *vma, size_t vaddr, vma_t *upper);

/*
 * Make up in `part`, a node in no tree, an area of `length` bytes that shows what `vma`
 * shows from vaddr on, and what would follow it. It has no base and no reference yet.
 */
void vma_copy_part(const vma_t *vma, size_t vaddr, size_t length, vma_t *part);

/* Take the part below `base`, or from `end` on, off an area in the tree. */
void vma_cut_below(vma_t *vma, size_t base);
void vma_cut_above(vma_t *vma, size_t end);

/* Whether the area `next` continues `vma`; _backing: which it touches, and has its flags. */
bool vma_can_merge_backing(const vma_t *vma, const vma_t *next);
static inline bool vma_can_merge(const vma_t *vma, const vma_t *next)
{
    return vma_end(vma) == vma_base(next) && vma->flags == next->flags &&
           vma_can_merge_backing(vma, next);
}

/*
 * Let an area take over the range of another one, which it can merge with and
 * which is not in the tree: one behind it, or one before it.
 */
void vma_append(vma_t *vma, const vma_t *tail);
void vma_prepend(vma_t *vma, const vma_t *head);

/* The same with the next area of the tree, which goes: its node and its file
 * reference are the caller's. */
void vma_absorb(bbtree_t *tree, vma_t *vma, vma_t *next);

#endif
