/*
 * Questions about a space: what is mapped, what is in memory, and where.
 */
#include <kernel/errno.h>
#include <kernel/memory.h>
#include <kernel/pagecache.h>
#include <kernel/virtual.h>

bool mspace_find_part(mspace_t *mspace, size_t base, size_t end, mspace_part_t *part)
{
    vma_t *vma;
    bool found;

    splock_lock(&mspace->lock);
    vma = vma_at_or_above(&mspace->tree, base);
    while (vma != NULL && (vma->flags & VMA_DEAD) != 0)
        vma = vma_next(vma);
    found = vma != NULL && base < end && vma_base(vma) < end;
    if (found) {
        part->base = vma_base(vma) > base ? vma_base(vma) : base;
        part->length = (vma_end(vma) < end ? vma_end(vma) : end) - part->base;
        part->flags = vma->flags;
    }
    splock_unlock(&mspace->lock);
    return found;
}

/* ---- what is in memory */

/* Whether the page cache has the page that an access here would find. */
static bool is_cached(const vma_t *vma, size_t vaddr)
{
    off_t distance = (off_t)(vaddr - vma_base(vma));
    page_t page;

    if (vma->ino == NULL || (vma->limit != 0 && vma->limit <= distance))
        return false;
    page = pagecache_peek(vma->ino, (size_t)((vma->offset + distance) >> PAGE_SHIFT));
    if (page == PAGE_NONE)
        return false;
    page_release(page);
    return true;
}

/* The bytes of a range of pages. */
typedef struct residency {
    size_t base;
    uint8_t *vec;
} residency_t;

static mmu_entry_t note_entry(void *context, size_t vaddr, mmu_entry_t entry)
{
    residency_t *residency = context;

    if ((entry & (MMU_PRESENT | MMU_HELD)) != 0)
        residency->vec[(vaddr - residency->base) >> PAGE_SHIFT] = 1;
    return entry;
}

int mspace_resident(mspace_t *mspace, size_t address, size_t count, uint8_t *vec)
{
    residency_t residency = { address, vec };
    const vma_t *vma;
    int result = -ENOENT;

    if ((address & PAGE_MASK) != 0)
        return -EINVAL;
    splock_lock(&mspace->lock);
    vma = mspace_search_vma(mspace, address);
    if (vma != NULL && (vma->flags & VMA_DEAD) == 0 && mspace->directory != PAGE_NONE) {
        size_t left = (vma_end(vma) - address) >> PAGE_SHIFT;

        if (count > left)
            count = left;
        for (size_t i = 0; i < count; i++)
            vec[i] = is_cached(vma, address + i * PAGE_SIZE);
        if (count > 0)
            mmu_change_range(mspace->directory, address, count << PAGE_SHIFT, note_entry,
                             &residency);
        result = (int)count;
    }
    splock_unlock(&mspace->lock);
    return result;
}

page_t mspace_translate(mspace_t *mspace, size_t vaddr)
{
    mmu_entry_t entry = 0;

    splock_lock(&mspace->lock);
    if (vaddr >= mspace->lower_bound && vaddr < mspace->upper_bound &&
        mspace->directory != PAGE_NONE)
        entry = mmu_read(mspace->directory, vaddr);
    splock_unlock(&mspace->lock);
    if ((entry & MMU_PRESENT) == 0)
        return NO_TRANSLATION;
    return mmu_frame(entry) | (vaddr & PAGE_MASK);
}
