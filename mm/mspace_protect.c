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

/* An area's entries follow its rights: as vma_entry has them. */
static void set_rights(mspace_t *mspace, vma_t *vma, int rights)
{
    mmu_entry_t bits;

    vma->flags = (vma->flags & ~VMA_RIGHTS) | rights;
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

/* The range is one area, whole: nothing is cut. => that area, or NULL */
static inline vma_t *exact_area(mspace_t *mspace, size_t address, size_t end, int rights)
{
    vma_t *vma = vma_of(bbtree_search_le(&mspace->tree, address));

    if (vma == NULL || vma_base(vma) != address || vma_end(vma) != end ||
        (vma->flags & VMA_DEAD) != 0 || (rights << 4 & ~vma->flags) != 0)
        return NULL;
    return vma;
}

static int protect(mspace_t *mspace, size_t address, size_t end, int rights)
{
    vma_t *first = exact_area(mspace, address, end, rights);
    mspace_cuts_t cuts;
    vma_t *last;
    int err;

    if (LIKELY(first != NULL)) {
        if ((first->flags & VMA_RIGHTS) != rights) {
            set_rights(mspace, first, rights);
            mspace_merge(mspace, first);
            mspace->stale_page = 0;
        }
        return 0;
    }
    first = vma_at_or_above(&mspace->tree, address);
    err = validate(first, address, end, rights, &last);
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
