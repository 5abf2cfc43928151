/*
 * Locked memory: flags of areas, and how many pages they cover.
 *
 * Nothing is paged out yet, so that a page that is present stays so anyway; the flags
 * keep a program from discarding pages by mistake, and count against limits.locked.
 */
#include <kernel/errno.h>
#include <kernel/memory.h>

static bool is_lock(int locks)
{
    return locks == 0 || locks == VMA_LOCKED || locks == VMA_LOCKS;
}

/* How many pages of [base, end) would be locked that are not. */
static size_t count_unlocked(const vma_t *first, const vma_t *last, size_t base, size_t end)
{
    size_t bytes = 0;

    for (const vma_t *vma = first; ; vma = vma_next(vma)) {
        size_t from = vma_base(vma) > base ? vma_base(vma) : base;
        size_t to = vma_end(vma) < end ? vma_end(vma) : end;

        if (!vma->ops->foreign && (vma->flags & VMA_LOCKED) == 0)
            bytes += to - from;
        if (vma == last)
            return bytes >> PAGE_SHIFT;
    }
}

static int lock(mspace_t *mspace, size_t base, size_t end, int locks)
{
    vma_t *first;
    vma_t *last;
    int err = mspace_find_whole(mspace, base, end, &first, &last);

    if (err != 0)
        return err;
    if (locks != 0 && !mspace_may_lock(mspace, count_unlocked(first, last, base, end)))
        return -EAGAIN;
    return mspace_change_flags(mspace, first, last, base, end, VMA_LOCKS, locks);
}

int mspace_lock(mspace_t *mspace, size_t address, size_t length, int locks)
{
    int err = -EINVAL;

    splock_lock(&mspace->lock);
    if (is_lock(locks) && mspace->directory != PAGE_NONE &&
        mspace_legal_range(mspace, address, length))
        err = lock(mspace, address, address + length, locks);
    splock_unlock(&mspace->lock);
    return err;
}

/* Areas are changed whole, and merged behind. */
static void lock_areas(mspace_t *mspace, int locks)
{
    vma_t *first = vma_of(bbtree_first(&mspace->tree));
    vma_t *last = vma_of(bbtree_last(&mspace->tree));

    mspace->locked = 0;
    for (vma_t *vma = first; vma != NULL; vma = vma_next(vma)) {
        if ((vma->flags & VMA_DEAD) != 0 || vma->ops->foreign)
            continue;
        vma->flags = (vma->flags & ~VMA_LOCKS) | locks;
        if (locks != 0)
            mspace->locked += vma->length >> PAGE_SHIFT;
    }
    if (first != NULL)
        mspace_merge_range(mspace, first, vma_end(last));
}

int mspace_lock_all(mspace_t *mspace, int locks)
{
    int err = 0;

    splock_lock(&mspace->lock);
    if (!is_lock(locks) || mspace->directory == PAGE_NONE)
        err = -EINVAL;
    else if (locks != 0 && mspace->v_size > mspace->limits.locked)
        err = -EAGAIN;
    else
        lock_areas(mspace, locks);
    splock_unlock(&mspace->lock);
    return err;
}

int mspace_lock_future(mspace_t *mspace, int locks)
{
    int old;

    splock_lock(&mspace->lock);
    old = mspace->lock_future;
    if (is_lock(locks))
        mspace->lock_future = locks;
    splock_unlock(&mspace->lock);
    return old;
}
