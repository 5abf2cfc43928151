/*
 * Changing the rights of pages.
 *
 *      validate     no hole, no dead area, no right beyond a capability
 *      reserve      a node for each end that cuts an area; what becomes writable is
 *                   charged
 *      apply        cut, set the flags, follow with the entries, merge
 */
#include <kernel/errno.h>
#include <kernel/memory.h>
#include <kernel/panic.h>

/* What is asked for, and what validate finds out. */
typedef struct change {
    size_t base;
    size_t end;
    int rights;
    vma_t *first;
    vma_t *last;
    size_t data;            /* pages that become a program's data */
    size_t charge;          /* pages to be charged */
} change_t;

/* Count what an area's part in the range becomes. */
static inline void count_part(change_t *change, const vma_t *vma)
{
    size_t base = vma_base(vma) > change->base ? vma_base(vma) : change->base;
    size_t end = vma_end(vma) < change->end ? vma_end(vma) : change->end;
    int flags = vma->flags | change->rights;

    if ((vma->flags & VMA_WRITE) != 0 || (change->rights & VMA_WRITE) == 0)
        return;
    if (vma_is_data(flags))
        change->data += (end - base) >> PAGE_SHIFT;
    if (vma_is_charged(flags) && (flags & VMA_ACCOUNTED) == 0)
        change->charge += (end - base) >> PAGE_SHIFT;
}

/* Whether the whole range may get these rights. */
static int validate(change_t *change)
{
    vma_t *vma = change->first;

    if (vma == NULL || vma_base(vma) > change->base)
        return -ENOENT;
    for (;;) {
        vma_t *next;

        if ((vma->flags & VMA_DEAD) != 0)
            return -ENOENT;
        if ((change->rights << 4 & ~vma->flags) != 0)
            return -EPERM;
        count_part(change, vma);
        change->last = vma;
        if (vma_end(vma) >= change->end)
            return 0;
        next = vma_next(vma);
        if (next == NULL || vma_base(next) != vma_end(vma))
            return -ENOENT;
        vma = next;
    }
}

/* Promise what becomes writable. => 0, or -ENOMEM and nothing is charged */
static inline int promise(mspace_t *mspace, const change_t *change)
{
    if (change->data != 0 && mspace->limits.data != SIZE_MAX &&
        !mspace_may_have_data(mspace, change->data))
        return -ENOMEM;
    return change->charge != 0 ? mspace_charge(mspace, change->charge) : 0;
}

/* An area's entries follow its rights: as vma_entry has them. */
static void set_rights(mspace_t *mspace, vma_t *vma, int rights)
{
    mmu_entry_t bits;

    vma->flags = (vma->flags & ~VMA_RIGHTS) | rights;
    if (vma_is_charged(vma->flags))
        vma->flags |= VMA_ACCOUNTED;
    bits = vma_entry_bits(vma);
    if ((vma->flags & VMA_WRITE) != 0)
        bits |= MMU_WRITE;
    mmu_protect_range(mspace->directory, vma_base(vma), vma->length, bits);
}

/* Give whole areas from `first` up to `end` the rights. */
static void apply(mspace_t *mspace, vma_t *first, size_t end, int rights)
{
    for (vma_t *vma = first; ; vma = vma_next(vma)) {
        if ((vma->flags & VMA_RIGHTS) != rights)
            set_rights(mspace, vma, rights);
        if (vma_end(vma) >= end)
            break;
    }
}

/*
 * The range is one area, whole, which may get these rights: nothing is cut, and the range
 * is a legal one. => or NULL
 */
static inline vma_t *exact_area(mspace_t *mspace, size_t address, size_t length, int rights)
{
    vma_t *vma = vma_of(bbtree_search_le(&mspace->tree, address));

    if (vma == NULL || vma_base(vma) != address || vma->length != length ||
        (vma->flags & VMA_DEAD) != 0 || (rights << 4 & ~vma->flags) != 0)
        return NULL;
    return vma;
}

static inline int protect_area(mspace_t *mspace, vma_t *vma, int rights)
{
    int err = 0;

    if ((vma->flags & VMA_RIGHTS) == rights)
        return 0;
    if ((rights & VMA_WRITE & ~vma->flags) != 0) {
        change_t change = { .base = vma_base(vma), .end = vma_end(vma), .rights = rights };

        count_part(&change, vma);
        err = promise(mspace, &change);
    }
    if (err != 0)
        return err;
    mspace->stale_page = 0;
    set_rights(mspace, vma, rights);
    mspace_merge(mspace, vma);
    return 0;
}

static NOINLINE int protect_parts(mspace_t *mspace, size_t base, size_t end, int rights)
{
    change_t change = { .base = base, .end = end, .rights = rights };
    mspace_cuts_t cuts;
    vma_t *first;
    int err;

    change.first = vma_at_or_above(&mspace->tree, base);
    err = validate(&change);
    if (err != 0)
        return err;
    if (change.first == change.last && (change.first->flags & VMA_RIGHTS) == rights)
        return 0;
    err = promise(mspace, &change);
    if (err != 0)
        return err;
    err = mspace_reserve_cuts(mspace, change.first, change.last, base, end, &cuts);
    if (err != 0) {
        mspace_uncharge(mspace, change.charge);
        return err;
    }
    mspace->stale_page = 0;
    first = mspace_cut(mspace, change.first, change.last, base, end, &cuts);
    apply(mspace, first, end, rights);
    mspace_merge_range(mspace, first, end);
    return 0;
}

int mspace_protect(mspace_t *mspace, size_t address, size_t length, int flags)
{
    int err = -EINVAL;

    splock_lock(&mspace->lock);
    if (LIKELY((flags & ~VMA_RIGHTS) == 0 && mspace->directory != PAGE_NONE)) {
        vma_t *vma = exact_area(mspace, address, length, flags);

        if (vma != NULL)
            err = protect_area(mspace, vma, flags);
        else if (mspace_legal_range(mspace, address, length))
            err = protect_parts(mspace, address, address + length, flags);
    }
    splock_unlock(&mspace->lock);
    return err;
}
