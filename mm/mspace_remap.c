/*
 * Changing the length and the place of a range: mremap.
 *
 *      validate     the call, then its area                                 can fail
 *      in place     shorter: the tail goes; longer: the area's end moves
 *      reserve      a place, nodes for the new area and for what is cut     can fail
 *      move         page-table entries, which makes tables first            can fail
 *      areas        the target's out, the new one in, the source out        cannot
 *
 * Source and target may be parts of one area, so each is looked up when its turn comes.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/memory.h>

#define REMAP_FLAGS (REMAP_MAY_MOVE | REMAP_FIXED | REMAP_DONT_UNMAP)

typedef struct remap {
    mspace_t *mspace;
    size_t old;
    size_t old_length;
    size_t new_length;
    size_t target;          /* where to, or a hint */
    int flags;
    vma_t *vma;             /* the area that `old` lies in */
    size_t promised;        /* pages that the move promises beside those that go */
} remap_t;

/* Nodes in hand: for the new area, and for the upper parts of areas cut in two. */
typedef struct nodes {
    vma_t *area;
    vma_t *source;
    vma_t *target;
} nodes_t;

/* ---- validate */

static bool is_sound(const remap_t *remap)
{
    int flags = remap->flags;

    if (remap->new_length == 0 ||
        ((remap->old | remap->old_length | remap->new_length) & PAGE_MASK) != 0)
        return false;
    if ((flags & ~REMAP_MAY_MOVE) == 0)
        return true;
    return (flags & ~REMAP_FLAGS) == 0 && (flags & REMAP_MAY_MOVE) != 0 &&
           ((flags & REMAP_DONT_UNMAP) == 0 || remap->old_length == remap->new_length);
}

/* Whether the new place, given or hinted at, can be one. */
static bool is_sound_target(const remap_t *remap)
{
    const mspace_t *mspace = remap->mspace;
    size_t target = remap->target;

    if ((remap->flags & REMAP_FIXED) != 0) {
        if (!mspace_legal_range(mspace, target, remap->new_length))
            return false;
    } else if ((target & PAGE_MASK) != 0 || remap->new_length > mspace->upper_bound ||
               target > mspace->upper_bound - remap->new_length) {
        return false;
    }
    return target - remap->old >= remap->old_length && remap->old - target >= remap->new_length;
}

/*
 * Whether the range is a whole area, and its new place lies in the gap before or behind
 * it: then the place is legal and free, and the area keeps its node.
 */
static inline bool can_slide(const remap_t *remap)
{
    const vma_t *vma = remap->vma;
    size_t target = remap->target;
    const vma_t *next;
    size_t end;

    if ((remap->flags & REMAP_DONT_UNMAP) != 0 || remap->old != vma_base(vma) ||
        remap->old_length != vma->length || remap->new_length < vma->length ||
        (target & PAGE_MASK) != 0)
        return false;
    if (target < remap->old)
        return target >= remap->old - vma->gap && remap->old - target >= remap->new_length;
    next = vma_next(vma);
    end = next != NULL ? vma_base(next) : remap->mspace->upper_bound;
    return target - remap->old >= vma->length && target < end &&
           end - target >= remap->new_length;
}

/* Whether the range, which begins in its area, is a legal one, where it gets shorter. */
static inline bool is_legal_source(const remap_t *remap)
{
    return remap->old_length <= remap->new_length ||
           remap->old_length <= vma_end(remap->vma) - remap->old ||
           mspace_legal_range(remap->mspace, remap->old, remap->old_length);
}

/* Whether the area's backing has a number for each page of what grows. */
static bool has_offsets(const remap_t *remap)
{
    const vma_t *vma = remap->vma;
    uint64_t page = (uint64_t)(vma->offset + (off_t)(remap->old - vma_base(vma))) >> PAGE_SHIFT;
    uint64_t last = SIZE_MAX < INT64_MAX ? SIZE_MAX : (uint64_t)INT64_MAX >> PAGE_SHIFT;

    return !vma->ops->backed || page + (remap->new_length >> PAGE_SHIFT) <= last;
}

/* Whether the area lets the range move or grow. => 0, -EINVAL, -EFAULT */
static int check_area(const remap_t *remap)
{
    const vma_t *vma = remap->vma;
    bool grows = remap->new_length > remap->old_length;
    size_t kept = grows ? remap->old_length : remap->new_length;

    if (remap->old_length == 0 && (vma->flags & VMA_SHARED) == 0)
        return -EINVAL;
    if ((remap->flags & REMAP_DONT_UNMAP) != 0 && vma->ops->foreign)
        return -EINVAL;
    if (kept > vma_end(vma) - remap->old)
        return -EFAULT;
    if (grows && !has_offsets(remap))
        return -EINVAL;
    return grows && vma->ops->foreign ? -EFAULT : 0;
}

/* ---- in place */

/* Take out the tail, if there is one. => 0, -EINVAL (it leaves the space), -ENOMEM */
static int shrink(const remap_t *remap)
{
    mspace_t *mspace = remap->mspace;
    vma_t *vma = remap->vma;
    size_t base = remap->old + remap->new_length;
    size_t end = vma_end(vma);

    if (remap->old_length == remap->new_length)
        return 0;
    if (remap->old_length != end - remap->old)
        return is_legal_source(remap)
               ? mspace_take_out(mspace, base, remap->old + remap->old_length) : -EINVAL;
    /* It is the area's own: no search, and no node. */
    mspace_take_out_tail(mspace, vma, base);
    mspace->unmapped_base = base;
    mspace->unmapped_end = end;
    return 0;
}

/* Whether the range ends its area and there is room behind it. */
static bool can_grow(const remap_t *remap)
{
    const mspace_t *mspace = remap->mspace;
    size_t grown = remap->new_length - remap->old_length;
    const vma_t *vma = remap->vma;
    size_t end = vma_end(vma);
    const vma_t *next;

    if (remap->old_length != end - remap->old)
        return false;
    next = vma_next(vma);
    if (grown > (next != NULL ? next->gap : mspace->upper_bound - end))
        return false;
    return (vma->flags & VMA_STACK) != 0 || !mspace_is_for_stack(mspace, end, end + grown);
}

/* ---- move */

static void give_nodes(mspace_t *mspace, const nodes_t *nodes)
{
    mspace_give_node(mspace, nodes->area);
    mspace_give_node(mspace, nodes->source);
    mspace_give_node(mspace, nodes->target);
}

/* Whether the range goes away where it was. */
static inline bool leaves(const remap_t *remap)
{
    return (remap->flags & REMAP_DONT_UNMAP) == 0 && remap->old_length != 0;
}

/*
 * Reserve what the move may need. => first: the first area at or above the target
 * => 0, or -ENOMEM and nothing is reserved
 */
static int reserve(const remap_t *remap, const vma_t *first, nodes_t *nodes)
{
    mspace_t *mspace = remap->mspace;
    bool cuts_source = leaves(remap) && mspace_cuts_in_two(remap->vma, remap->old,
                                                           remap->old + remap->old_length);
    bool cuts_target = mspace_cuts_in_two(first, remap->target,
                                          remap->target + remap->new_length);

    *nodes = (nodes_t){ .area = mspace_take_node(mspace) };
    if (cuts_source && nodes->area != NULL)
        nodes->source = mspace_take_second_half(mspace);
    if (cuts_target && nodes->area != NULL)
        nodes->target = mspace_take_second_half(mspace);
    if (nodes->area != NULL && (nodes->source != NULL) == cuts_source &&
        (nodes->target != NULL) == cuts_target)
        return 0;
    give_nodes(mspace, nodes);
    return -ENOMEM;
}

/* A part of the heap that is not where the break is. */
static void leave_heap(vma_t *vma)
{
    if (UNLIKELY((vma->flags & VMA_HEAP) != 0)) {
        vma->flags ^= VMA_HEAP | VMA_ANON;
        vma->ops = vma_ops_of(vma->flags);
    }
}

/* Make up the new area. */
static void make_area(const remap_t *remap, vma_t *area)
{
    vma_copy_part(remap->vma, remap->old, remap->new_length, area);
    area->node.value = remap->target;
    leave_heap(area);
}

/* An entry in the target goes. */
static mmu_entry_t drop_replaced(void *context, size_t vaddr, mmu_entry_t entry)
{
    mspace_t *mspace = context;

    if (!mspace_search_vma(mspace, vaddr)->ops->foreign)
        mspace_drop_entry(mspace, entry);
    return 0;
}

/*
 * Take out areas in [base, end), and their pages from `pages` on; those below have gone.
 *
 * => spare: a node for an area cut in two, or NULL; it is used or given back
 */
static void remove_range(mspace_t *mspace, size_t base, size_t pages, size_t end, vma_t *spare)
{
    vma_t *first = vma_at_or_above(&mspace->tree, base);

    if (pages < end)
        mspace_revoke(mspace, vma_at_or_above(&mspace->tree, pages), pages, end);
    if (spare != NULL && !mspace_cuts_in_two(first, base, end)) {
        mspace_give_node(mspace, spare);
        spare = NULL;
    }
    mspace_remove(mspace, first, base, end, spare);
}

static void insert(mspace_t *mspace, vma_t *area)
{
    vma_t *next = vma_at_or_above(&mspace->tree, vma_base(area));
    vma_place_t place = vma_place_before(&mspace->tree, mspace->lower_bound, next);

    mspace_insert(mspace, area, &place);
}

static int slide(const remap_t *remap)
{
    mspace_t *mspace = remap->mspace;
    vma_t *vma = remap->vma;
    int err = mmu_move_range(mspace->directory, remap->old, remap->target, remap->old_length,
                             NULL, NULL);

    if (err != 0)
        return err;
    mspace_count_in(mspace, vma->flags, (remap->new_length - remap->old_length) >> PAGE_SHIFT);
    mspace->unmapped_base = remap->old;
    mspace->unmapped_end = vma_end(vma);
    leave_heap(vma);
    vma_set_range(vma, remap->target, remap->target + remap->new_length);
    mspace->full_end = 0;
    mspace_merge(mspace, vma);
    mspace->stale_page = 0;
    mspace_account(mspace);
    return 0;
}

/* The pages are in the new place: let the areas follow. */
static void move_areas(const remap_t *remap, size_t kept, bool replaces, const nodes_t *nodes)
{
    mspace_t *mspace = remap->mspace;
    size_t old_end = remap->old + remap->old_length;

    /* The new area takes its reference on the file before the old one drops its own. */
    make_area(remap, nodes->area);
    if ((nodes->area->flags & VMA_ACCOUNTED) != 0)
        mspace_recharge(mspace, (remap->new_length >> PAGE_SHIFT) - remap->promised);
    if (replaces)
        remove_range(mspace, remap->target, remap->target + kept,
                     remap->target + remap->new_length, nodes->target);
    insert(mspace, nodes->area);
    if (leaves(remap)) {
        remove_range(mspace, remap->old, remap->old + kept, old_end, nodes->source);
        mspace->unmapped_base = remap->old;
        mspace->unmapped_end = old_end;
    }
    mspace_merge(mspace, nodes->area);
    if ((remap->flags & REMAP_DONT_UNMAP) != 0) {
        vma_t *left = mspace_search_vma(mspace, remap->old);

        if ((left->flags & VMA_LOCKED) != 0) {
            left->flags &= ~VMA_LOCKS;
            mspace->locked -= left->length >> PAGE_SHIFT;
            mspace_merge(mspace, left);
        }
    }
    mspace->stale_page = 0;
    mspace_account(mspace);
}

/* Promise what there will be more of, where the target's areas are gone. => 0, -ENOMEM, -EAGAIN */
static int promise(remap_t *remap, const vma_t *first)
{
    size_t pages = remap->new_length >> PAGE_SHIFT;
    size_t moved = leaves(remap) ? remap->old_length >> PAGE_SHIFT : 0;

    remap->promised = pages > moved ? pages - moved : 0;
    if (remap->promised == 0)
        return 0;
    return mspace_promise_over(remap->mspace, remap->vma->flags, remap->promised, first,
                               remap->target, remap->target + remap->new_length);
}

/* Move to remap->target, where `first` is the first area at or above it, or NULL: free. */
static int move_to(remap_t *remap, vma_t *first)
{
    mspace_t *mspace = remap->mspace;
    size_t kept = remap->old_length < remap->new_length ? remap->old_length : remap->new_length;
    bool replaces = first != NULL && vma_base(first) < remap->target + remap->new_length;
    nodes_t nodes;
    int err = reserve(remap, first, &nodes);

    if (err != 0)
        return err;
    if (kept != 0)
        err = mmu_move_range(mspace->directory, remap->old, remap->target, kept,
                             replaces ? drop_replaced : NULL, mspace);
    if (err != 0)
        give_nodes(mspace, &nodes);
    else
        move_areas(remap, kept, replaces, &nodes);
    return err;
}

/* => slides: it is known to slide to remap->target */
static int move(remap_t *remap, bool slides)
{
    mspace_t *mspace = remap->mspace;
    int area_flags = remap->vma->flags;
    vma_t *first = NULL;
    int err;

    if ((remap->flags & REMAP_FIXED) == 0) {
        remap->target = mspace_find_place(mspace, remap->target, remap->new_length);
        if (remap->target == 0)
            return -ENOMEM;
        slides = can_slide(remap);
    } else if (!slides) {
        first = vma_at_or_above(&mspace->tree, remap->target);
    }
    err = promise(remap, first);
    if (err != 0)
        return err;
    err = slides ? slide(remap) : move_to(remap, first);
    if (err != 0)
        mspace_unpromise(mspace, area_flags, remap->promised);
    return err;
}

/* Move it to the place that the call names or hints at. => as do_remap */
static int remap_to(remap_t *remap)
{
    bool slides = (remap->flags & REMAP_FIXED) != 0 && can_slide(remap);
    int err;

    if (!slides && (!is_sound_target(remap) || !is_legal_source(remap)))
        return -EINVAL;
    err = check_area(remap);
    if (err != 0)
        return err;
    return move(remap, slides);
}

/* => 0 and remap->target, or an error */
static ALWAYS_INLINE int do_remap(remap_t *remap)
{
    mspace_t *mspace = remap->mspace;
    int err;

    if (mspace->directory == PAGE_NONE || !is_sound(remap))
        return -EINVAL;
    remap->vma = mspace_search_vma(mspace, remap->old);
    if (remap->vma == NULL || (remap->vma->flags & VMA_DEAD) != 0)
        return -EFAULT;
    if ((remap->flags & ~REMAP_MAY_MOVE) != 0)
        return remap_to(remap);
    remap->target = remap->old;
    if (remap->old_length >= remap->new_length)
        return shrink(remap);
    err = check_area(remap);
    if (err != 0)
        return err;
    if (can_grow(remap))
        return mspace_grow(mspace, remap->vma, remap->old + remap->new_length);
    if ((remap->flags & REMAP_MAY_MOVE) == 0)
        return -ENOMEM;
    remap->target = 0;
    return move(remap, false);
}

void *mspace_remap(mspace_t *mspace, size_t address, size_t old_length, size_t new_length,
                   size_t new_address, int flags)
{
    remap_t remap = {
        .mspace = mspace,
        .old = address,
        .old_length = old_length,
        .new_length = new_length,
        .target = new_address,
        .flags = flags,
    };
    int err;

    splock_lock(&mspace->lock);
    err = do_remap(&remap);
    splock_unlock(&mspace->lock);
    *host_errno() = -err;
    return err == 0 ? (void *)remap.target : NULL;
}
