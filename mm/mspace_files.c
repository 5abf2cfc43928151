/*
 * A file that ends earlier leaves all spaces that map it.
 */
#include <kernel/memory.h>
#include <kernel/panic.h>

/* Take what a space has of a file from byte `from` on out of its page table. */
static void revoke_file(mspace_t *mspace, const inode_t *ino, off_t from)
{
    for (vma_t *vma = vma_of(bbtree_first(&mspace->tree)); vma != NULL; vma = vma_next(vma)) {
        off_t length = (off_t)vma->length;
        size_t distance = 0;

        if (vma->ino != ino)
            continue;
        /* What lies past the limit is no part of the file. */
        if (vma->limit != 0)
            length = vma->limit == VMA_ALL_ZERO ? 0 : vma->limit;
        if (from >= vma->offset + length)
            continue;
        if (from > vma->offset)
            distance = (size_t)(from - vma->offset);
        mspace_revoke(mspace, vma, vma_base(vma) + distance,
                      vma_base(vma) + align_up((size_t)length, PAGE_SIZE));
    }
}

void mspace_revoke_file(const inode_t *ino, off_t from)
{
    ASSERT((from & PAGE_MASK) == 0);
    for (mspace_t *mspace = mspace_list; mspace != NULL; mspace = mspace->next_space) {
        splock_lock(&mspace->lock);
        revoke_file(mspace, ino, from);
        splock_unlock(&mspace->lock);
    }
}
