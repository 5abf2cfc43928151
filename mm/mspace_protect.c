/*
 * Changing the rights of pages.
 *
 *      validate     no hole, no dead area, no right beyond a capability
 *      reserve      a node for each end that cuts an area
 *      apply        cut, set the flags, follow with the entries, merge
 */
#include <kernel/errno.h>
#include <kernel/memory.h>
#include <kernel/panic.h>

/* Whether the whole range may get these rights. => *last: its last area */
static int validate(vma_t *first, size_t address, size_t end, int rights, vma_t **last)
{
    vma_t *vma = first;

    if (vma == NULL || vma_base(vma) > address)
        return -ENOENT;
    for (;;) {
        vma_t *next;

        if ((vma->flags & VMA_DEAD) != 0)
            return -ENOENT;
        if ((rights << 4 & ~vma->flags) != 0)
            return -EPERM;
        *last = vma;
        if (vma_end(vma) >= end)
            return 0;
        next = vma_next(vma);
        if (next == NULL || vma_base(next) != vma_end(vma))
            return -ENOENT;
        vma = next;
    }
}

static mmu_entry_t protect_entry(void *context, size_t vaddr, mmu_entry_t entry)
{
    (void)vaddr;
    return vma_entry(context, entry);
}

/* Give whole areas from `first` up to `end` the rights. */
static void apply(mspace_t *mspace, vma_t *first, size_t end, int rights)
{
    for (vma_t *vma = first; ; vma = vma_next(vma)) {
        if ((vma->flags & VMA_RIGHTS) != rights) {
            vma->flags = (vma->flags & ~VMA_RIGHTS) | rights;
            mmu_change_range(mspace->directory, vma_base(vma), vma->length, protect_entry, vma);
        }
        if (vma_end(vma) >= end)
            break;
    }
}

static int protect(mspace_t *mspace, size_t address, size_t end, int rights)
{
    vma_t *first = vma_at_or_above(&mspace->tree, address);
    mspace_cuts_t cuts;
    vma_t *last;
    int err = validate(first, address, end, rights, &last);

    if (err == 0 && first == last && (first->flags & VMA_RIGHTS) == rights)
        return 0;
    if (err == 0)
        err = mspace_reserve_cuts(mspace, first, last, address, end, &cuts);
    if (err != 0)
        return err;
    first = mspace_cut(mspace, first, last, address, end, &cuts);
    apply(mspace, first, end, rights);
    mspace_merge_range(mspace, first, end);
    mspace->stale_page = 0;
    return 0;
}

int mspace_protect(mspace_t *mspace, size_t address, size_t length, int flags)
{
    int err = -EINVAL;

    splock_lock(&mspace->lock);
    if ((flags & ~VMA_RIGHTS) == 0 && mspace->directory != PAGE_NONE &&
        mspace_legal_range(mspace, address, length))
        err = protect(mspace, address, address + length, flags);
    splock_unlock(&mspace->lock);
    return err;
}
