/*
 * Areas: the rules of their kinds, the tree they hang in, cutting and merging.
 *
 * The tree is ordered by base. Each area knows the gap before it and the largest
 * gap before any area of its subtree, so that the lowest hole that fits is found
 * by looking at no more than a few nodes a level:
 *
 *      lower_bound                                        upper_bound
 *      |   gap of A   | A |  gap of B  | B |gap of C| C |    tail   |
 *      +--------------+===+------------+===+--------+===+-----------+
 *
 * The tail belongs to no area: it is what lies behind the last one.
 */
#include <kernel/commit.h>
#include <kernel/errno.h>
#include <kernel/panic.h>
#include <kernel/physical.h>
#include <kernel/tree_climb.h>
#include <kernel/vma.h>

/* ---- kinds */

typedef enum backing { BACKED_BY_NOTHING, BACKED_BY_FILE, BACKED_BY_FRAMES } backing_t;

typedef struct kind {
    const vma_ops_t *ops;
    int required;           /* flags it must have */
    int forbidden;          /* flags it must not have */
    int implied;            /* flags it gets */
    backing_t backing;
    bool kernel;            /* may be in the kernel mspace */
    bool user;              /* may be in a program's */
} kind_t;

#define NEVER_EXECUTABLE (VMA_EXEC | VMA_CAN_EXEC)

/* In the order of the kinds' bits. */
static const kind_t kinds[] = {
    { &vma_ops_anon, 0, VMA_SHARED | VMA_UNCACHED, 0,
      BACKED_BY_NOTHING, false, true },
    { &vma_ops_heap, VMA_RW, VMA_SHARED | VMA_UNCACHED | VMA_GROWS_DOWN, 0,
      BACKED_BY_NOTHING, false, true },
    { &vma_ops_stack, VMA_RW, VMA_SHARED | VMA_UNCACHED, VMA_GROWS_DOWN,
      BACKED_BY_NOTHING, false, true },
    { &vma_ops_file, 0, VMA_UNCACHED | VMA_GROWS_DOWN, 0,
      BACKED_BY_FILE, false, true },
    { &vma_ops_phys, 0, NEVER_EXECUTABLE | VMA_COPY_ON_WRITE | VMA_GROWS_DOWN, VMA_SHARED,
      BACKED_BY_FRAMES, true, true },
    { &vma_ops_pipe, 0, NEVER_EXECUTABLE | VMA_COPY_ON_WRITE | VMA_SHARED | VMA_GROWS_DOWN, 0,
      BACKED_BY_NOTHING, true, false },
};

#define FIRST_KIND_BIT 8
#define GIVEN_FLAGS (VMA_RIGHTS | VMA_SHARED | VMA_CAPABILITIES | VMA_COPY_ON_WRITE | \
                     VMA_KINDS | VMA_UNCACHED | VMA_NO_RESERVE | VMA_GROWS_DOWN | \
                     VMA_CALL_FLAGS)

static_assert(VMA_ANON == 1 << FIRST_KIND_BIT, "kinds[] begins with VMA_ANON");
static_assert(VMA_KINDS == ((1 << ARRAY_LENGTH(kinds)) - 1) << FIRST_KIND_BIT,
              "kinds[] has a row for each kind");
static_assert(VMA_CAN_READ == VMA_READ << 4 && VMA_CAN_WRITE == VMA_WRITE << 4 &&
              VMA_CAN_EXEC == VMA_EXEC << 4, "a capability is its right, shifted");
static_assert((VMA_RIGHTS ^ VMA_SHARED ^ VMA_CAPABILITIES ^ VMA_COPY_ON_WRITE ^ VMA_KINDS ^
               VMA_DEAD ^ VMA_LOCKED ^ VMA_UNCACHED ^ VMA_CALL_FLAGS ^ VMA_LOCK_ON_FAULT ^
               VMA_ADVICE ^ VMA_ACCOUNTED ^ VMA_NO_RESERVE ^ VMA_GROWS_DOWN) == 0x3ffffff,
              "no two flags share a bit");

static const kind_t *kind_of(int flags)
{
    return &kinds[__builtin_ctz((unsigned)(flags & VMA_KINDS) >> FIRST_KIND_BIT)];
}

/* 0, or the reason why a kind cannot have this backing. */
static int check_backing(const kind_t *kind, int flags, const inode_t *ino, off_t offset,
                         off_t limit)
{
    if (kind->backing == BACKED_BY_NOTHING)
        return ino == NULL && (offset | limit) == 0 ? 0 : -EINVAL;
    if (offset < 0 || (offset & PAGE_MASK) != 0 || limit < 0)
        return -EINVAL;
    if (kind->backing == BACKED_BY_FRAMES)
        return ino == NULL && limit == 0 ? 0 : -EINVAL;
    if (ino == NULL)
        return -EINVAL;
    if ((flags & VMA_SHARED) == 0)
        return 0;
    /* Nobody writes back: only what is nowhere but in memory can be written to. Nor
     * can a page be shared that the limit cuts. */
    if (limit != 0 || ((flags & (VMA_WRITE | VMA_CAN_WRITE)) != 0 && !inode_is_memory(ino)))
        return -EINVAL;
    return 0;
}

/* The flags of an area that follow from others. */
static inline int complete(int flags, int implied, bool user)
{
    if (UNLIKELY(commit.mode == COMMIT_STRICT))
        flags &= ~VMA_NO_RESERVE;
    flags = (flags & ~VMA_CALL_FLAGS) | implied | (flags & VMA_RIGHTS) << 4;
    if ((flags & (VMA_SHARED | VMA_CAN_WRITE)) == VMA_CAN_WRITE && user) {
        flags |= VMA_COPY_ON_WRITE;
        if (vma_is_charged(flags))
            flags |= VMA_ACCOUNTED;
    }
    return flags;
}

int vma_check_flags(int flags, const inode_t *ino, off_t offset, off_t limit, bool kernel)
{
    int kind_bits = flags & VMA_KINDS;
    const kind_t *kind;

    if ((flags & ~GIVEN_FLAGS) != 0 || kind_bits == 0 || (kind_bits & (kind_bits - 1)) != 0)
        return -EINVAL;
    kind = kind_of(flags);
    if ((flags & kind->required) != kind->required || (flags & kind->forbidden) != 0 ||
        !(kernel ? kind->kernel : kind->user))
        return -EINVAL;
    if ((flags & VMA_COPY_ON_WRITE) != 0) {
        if ((flags & VMA_SHARED) != 0)
            return -EINVAL;
        flags |= VMA_CAN_WRITE;
    }
    if (check_backing(kind, flags, ino, offset, limit) != 0)
        return -EINVAL;
    return complete(flags, kind->implied, kind->user);
}

const vma_ops_t *vma_ops_of(int flags)
{
    return kind_of(flags)->ops;
}

/* ---- rights */

mmu_entry_t vma_entry(const vma_t *vma, mmu_entry_t entry)
{
    mmu_entry_t bits = vma_entry_bits(vma);
    mmu_entry_t kept = entry & ~(mmu_entry_t)(PAGE_MASK & ~(MMU_OBJECT | MMU_ACCESSED | MMU_DIRTY));

    if ((entry & (MMU_PRESENT | MMU_HELD)) == 0)
        return entry;
    if (bits == 0)
        return kept | MMU_HELD;
    if ((vma->flags & VMA_WRITE) != 0 && (entry & MMU_OBJECT) == 0 &&
        ((entry & MMU_WRITE) != 0 || page_count(mmu_frame(entry)) == 1))
        bits |= MMU_WRITE;
    return kept | bits;
}

/* ---- the tree */

/* What a search may use of the gap before an area: one that grows down keeps some. */
static inline size_t usable_gap(const vma_t *vma)
{
    if (LIKELY((vma->flags & VMA_GROWS_DOWN) == 0))
        return vma->gap;
    return vma->gap > STACK_GUARD_GAP ? vma->gap - STACK_GUARD_GAP : 0;
}

/*
 * Longer gaps count as that long. So the one that most areas come from and go to does not
 * change what is above it; and there is no room for more than a few.
 */
#define LONG_GAP (64 * MIB)
static_assert(USER_END / LONG_GAP <= 64, "all long gaps can be looked at");

static size_t largest(const bbnode_t *node)
{
    return node == NULL ? 0 : ((const vma_t *)node)->largest_gap;
}

static inline size_t counted_gap(const vma_t *vma)
{
    size_t gap = usable_gap(vma);

    return gap < LONG_GAP ? gap : LONG_GAP;
}

/* The summary of a node: inline, where the tree is changed. */
static ALWAYS_INLINE bool update(bbnode_t *node)
{
    vma_t *vma = vma_of(node);
    size_t gap = node->left != NULL ? vma_of(node->left)->largest_gap : 0;
    bool changed;

    if (node->right != NULL && vma_of(node->right)->largest_gap > gap)
        gap = vma_of(node->right)->largest_gap;
    /* Mostly its own is none, and what is usable of it need not be known. */
    if (vma->gap > gap && counted_gap(vma) > gap)
        gap = counted_gap(vma);
    changed = vma->largest_gap != gap;
    vma->largest_gap = gap;
    return changed;
}

bool vma_update(bbnode_t *node)
{
    return update(node);
}

void vma_refresh(vma_t *vma)
{
    update_upwards(&vma->node, update);
}

/* The gap of an area grew: no need to look at what else is below those above. */
static inline void gap_grew(vma_t *vma)
{
    size_t gap = counted_gap(vma);

    for (; vma != NULL && vma->largest_gap < gap; vma = vma_of(bbnode_parent(&vma->node)))
        vma->largest_gap = gap;
}

void vma_remove(bbtree_t *tree, vma_t *vma, vma_t *next)
{
    if (next != NULL) {
        next->gap += vma->gap + vma->length;
        gap_grew(next);
    }
    tree->recent = NULL;
    tree_unlink(tree, &vma->node, update);
}

vma_t *vma_at_or_above(const bbtree_t *tree, size_t address)
{
    vma_t *vma = vma_of(bbtree_search_le(tree, address));

    if (vma == NULL)
        return vma_of(bbtree_first(tree));
    return address - vma_base(vma) < vma->length ? vma : vma_next(vma);
}

/* Hang a split area's upper part in. */
static void link_after(bbtree_t *tree, vma_t *previous, vma_t *vma)
{
    bbnode_t *parent = previous->node.right;

    if (parent == NULL) {
        tree_link(tree, &previous->node, RIGHT, &vma->node, update);
        return;
    }
    while (parent->left != NULL)
        parent = parent->left;
    tree_link(tree, parent, LEFT, &vma->node, update);
}

void vma_insert(bbtree_t *tree, vma_t *vma, const vma_place_t *place)
{
    vma_t *previous = place->previous;
    vma_t *next = place->next;
    bbnode_t *parent;
    side_t side = LEFT;

    vma->gap = vma_base(vma) - place->free_from;
    vma->node.left = vma->node.right = NULL;
    update(&vma->node);
    if (next != NULL)
        next->gap = vma_base(next) - vma_end(vma);
    /* Of two neighbours one is below the other, and has nothing on this side. */
    parent = vma_node(next);
    if (previous != NULL && previous->node.right == NULL) {
        parent = &previous->node;
        side = RIGHT;
    }
    tree_link(tree, parent, side, &vma->node, update);
    update_upwards(vma_node(next), update);
}

void vma_set_range(vma_t *vma, size_t base, size_t end)
{
    size_t old_base = vma_base(vma);
    size_t old_end = vma_end(vma);

    vma->length = end - base;
    if (base != old_base) {
        vma->node.value = base;
        vma->gap += base - old_base;
        update_upwards(&vma->node, update);
    }
    if (end != old_end) {
        vma_t *next = vma_next(vma);

        if (next != NULL) {
            next->gap += old_end - end;
            update_upwards(&next->node, update);
        }
    }
}

/*
 * The first node behind `node` with a usable gap of at least `length`, which is no more
 * than LONG_GAP. => NULL: none
 */
static bbnode_t *next_with_gap(bbnode_t *node, size_t length)
{
    for (;;) {
        bbnode_t *up;

        if (largest(node->right) >= length) {
            /* It is in the right subtree: the leftmost one there. */
            node = node->right;
            for (;;) {
                if (largest(node->left) >= length)
                    node = node->left;
                else if (usable_gap(vma_of(node)) >= length)
                    return node;
                else
                    node = node->right;
            }
        }
        for (up = bbnode_parent(node); up != NULL && up->right == node; up = bbnode_parent(node))
            node = up;
        if (up == NULL || usable_gap(vma_of(up)) >= length)
            return up;
        node = up;
    }
}

/* The same for any length. */
static bbnode_t *next_that_fits(bbnode_t *node, size_t length)
{
    size_t wanted = length < LONG_GAP ? length : LONG_GAP;

    do
        node = next_with_gap(node, wanted);
    while (UNLIKELY(node != NULL && usable_gap(vma_of(node)) < length));
    return node;
}

size_t vma_find_hole(const bbtree_t *tree, size_t low, size_t high, size_t length, vma_t **next)
{
    bbnode_t *node = bbtree_search_ge(tree, low);
    const vma_t *last;
    size_t base = low;

    if (low >= high || high - low < length)
        return 0;
    if (node != NULL) {
        /* The first hole may begin below `low`, or in an area there. */
        size_t gap = usable_gap(vma_of(node));
        size_t above = node->value - (vma_of(node)->gap - gap);

        above = above > low ? above - low : 0;
        if ((gap < above ? gap : above) < length)
            node = next_that_fits(node, length);
    }
    if (LIKELY(node != NULL)) {
        size_t start = node->value - vma_of(node)->gap;

        base = start > low ? start : low;
    } else {
        last = vma_of(bbtree_last(tree));
        if (last != NULL && vma_end(last) > low)
            base = vma_end(last);
    }
    *next = vma_of(node);
    return base < high && high - base >= length ? base : 0;
}

/* ---- cutting and merging */

/* The limit of what begins `distance` bytes into an area with this one. */
static off_t limit_after(off_t limit, size_t distance)
{
    if (limit <= 0)
        return limit;
    return limit > (off_t)distance ? limit - (off_t)distance : VMA_ALL_ZERO;
}

/* The limit, or none where it does not lie inside the area. */
static off_t limit_inside(off_t limit, size_t length)
{
    return limit >= (off_t)length ? 0 : limit;
}

void vma_split(bbtree_t *tree, vma_t *vma, size_t vaddr, vma_t *upper)
{
    size_t distance = vaddr - vma_base(vma);

    ASSERT(distance != 0 && distance < vma->length && (vaddr & PAGE_MASK) == 0);
    *upper = *vma;
    upper->node.value = vaddr;
    upper->length = vma->length - distance;
    if (vma->ops->backed)
        upper->offset += (off_t)distance;
    upper->limit = limit_after(vma->limit, distance);
    if (upper->ino != NULL)
        inode_hold(upper->ino);
    vma->length = distance;
    vma->limit = limit_inside(vma->limit, distance);
    upper->gap = upper->largest_gap = 0;
    link_after(tree, vma, upper);
}

void vma_copy_part(const vma_t *vma, size_t vaddr, size_t length, vma_t *part)
{
    size_t distance = vaddr - vma_base(vma);

    *part = *vma;
    part->length = length;
    if (vma->ops->backed)
        part->offset += (off_t)distance;
    part->limit = limit_inside(limit_after(vma->limit, distance), length);
}

void vma_cut_below(vma_t *vma, size_t base)
{
    size_t distance = base - vma_base(vma);

    ASSERT(distance < vma->length);
    if (vma->ops->backed)
        vma->offset += (off_t)distance;
    vma->limit = limit_after(vma->limit, distance);
    vma_set_range(vma, base, vma_end(vma));
}

void vma_cut_above(vma_t *vma, size_t end)
{
    size_t length = end - vma_base(vma);
    vma_t *next = vma_next(vma);

    ASSERT(length != 0 && length <= vma->length);
    vma->limit = limit_inside(vma->limit, length);
    if (next != NULL) {
        next->gap += vma->length - length;
        gap_grew(next);
    }
    vma->length = length;
}

bool vma_can_merge_backing(const vma_t *vma, const vma_t *next)
{
    return (vma->flags & VMA_DEAD) == 0 && vma->ino == next->ino &&
           (!vma->ops->backed || vma->offset + (off_t)vma->length == next->offset) &&
           (vma->limit == 0 || next->limit == VMA_ALL_ZERO);
}

/* The limit of two areas that became one. */
static off_t joined_limit(const vma_t *vma, const vma_t *next)
{
    if (vma->limit != 0 || next->limit == 0)
        return vma->limit;
    return (off_t)vma->length + (next->limit == VMA_ALL_ZERO ? 0 : next->limit);
}

void vma_append(vma_t *vma, const vma_t *tail)
{
    vma->limit = joined_limit(vma, tail);
    vma_set_range(vma, vma_base(vma), vma_end(tail));
}

void vma_prepend(vma_t *vma, const vma_t *head)
{
    vma->limit = joined_limit(head, vma);
    vma->offset = head->offset;
    vma_set_range(vma, vma_base(head), vma_end(vma));
}

void vma_absorb(bbtree_t *tree, vma_t *vma, vma_t *next)
{
    vma->limit = joined_limit(vma, next);
    vma->length += next->length;
    vma_remove(tree, next, NULL);
}
