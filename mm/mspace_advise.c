/*
 * What a program says of its memory: pages that are not needed, flags that a fork or
 * a dump looks at.
 *
 *      validate     no hole, no dead area, nothing that the advice is not for
 *      reserve      a node for each end that cuts an area
 *      apply        cut, set the flags, merge
 */
#include <kernel/errno.h>
#include <kernel/memory.h>

/* ---- areas of a range, and their flags */

int mspace_find_whole(mspace_t *mspace, size_t base, size_t end, vma_t **first, vma_t **last)
{
    vma_t *vma = vma_of(bbtree_search_le(&mspace->tree, base));

    *first = vma;
    if (vma == NULL || base - vma_base(vma) >= vma->length)
        return -ENOENT;
    for (;;) {
        vma_t *next;

        if ((vma->flags & VMA_DEAD) != 0)
            return -ENOENT;
        *last = vma;
        if (vma_end(vma) >= end)
            return 0;
        next = vma_next(vma);
        if (next == NULL || next->gap != 0)
            return -ENOENT;
        vma = next;
    }
}

static int changed_flags(const vma_t *vma, int clear, int set)
{
    if (vma->ops->foreign)
        set &= ~VMA_LOCKS;
    return (vma->flags & ~clear) | set;
}

int mspace_change_flags(mspace_t *mspace, vma_t *first, vma_t *last, size_t base, size_t end,
                        int clear, int set)
{
    mspace_cuts_t cuts;
    int err;

    if (first == last && changed_flags(first, clear, set) == first->flags)
        return 0;
    err = mspace_reserve_cuts(mspace, first, last, base, end, &cuts);
    if (err != 0)
        return err;
    first = mspace_cut(mspace, first, last, base, end, &cuts);
    for (vma_t *vma = first; vma != NULL && vma_base(vma) < end; vma = vma_next(vma)) {
        int flags = changed_flags(vma, clear, set);

        if (((flags ^ vma->flags) & VMA_LOCKED) != 0)
            mspace->locked += (flags & VMA_LOCKED) != 0 ? vma->length >> PAGE_SHIFT
                                                        : -(vma->length >> PAGE_SHIFT);
        vma->flags = flags;
    }
    mspace_merge_range(mspace, first, end);
    return 0;
}

/* ---- pages that are not needed */

static int discard(mspace_t *mspace, size_t base, size_t end, int refused)
{
    vma_t *first;
    vma_t *last;
    int err = mspace_find_whole(mspace, base, end, &first, &last);

    if (err != 0)
        return err;
    for (const vma_t *vma = first; ; vma = vma_next(vma)) {
        if (vma->ops->foreign || (vma->flags & refused) != 0)
            return -EINVAL;
        if (vma == last)
            break;
    }
    mspace_revoke(mspace, first, base, end);
    return 0;
}

int mspace_discard(mspace_t *mspace, size_t address, size_t length, bool locked_too)
{
    int err = -EINVAL;

    splock_lock(&mspace->lock);
    if (mspace->directory != PAGE_NONE && mspace_legal_range(mspace, address, length))
        err = discard(mspace, address, address + length, locked_too ? 0 : VMA_LOCKED);
    splock_unlock(&mspace->lock);
    return err;
}

/* ---- flags */

/* Whether an area can have these flags set and those cleared. */
static bool takes_advice(const vma_t *vma, int set, int clear)
{
    if ((set & VMA_WIPE_ON_FORK) != 0 && ((vma->flags & VMA_SHARED) != 0 || vma->ops->backed))
        return false;
    return clear == 0 || !vma->ops->foreign;
}

static int set_advice(mspace_t *mspace, size_t base, size_t end, int set, int clear)
{
    vma_t *first;
    vma_t *last;
    int err = mspace_find_whole(mspace, base, end, &first, &last);

    if (err != 0)
        return err;
    for (const vma_t *vma = first; ; vma = vma_next(vma)) {
        if (!takes_advice(vma, set, clear))
            return -EINVAL;
        if (vma == last)
            break;
    }
    return mspace_change_flags(mspace, first, last, base, end, clear, set);
}

int mspace_set_advice(mspace_t *mspace, size_t address, size_t length, int set, int clear)
{
    int err = -EINVAL;

    splock_lock(&mspace->lock);
    if (((set | clear) & ~VMA_ADVICE) == 0 && (set & clear) == 0 &&
        mspace->directory != PAGE_NONE && mspace_legal_range(mspace, address, length))
        err = set_advice(mspace, address, address + length, set, clear);
    splock_unlock(&mspace->lock);
    return err;
}
