/*
 * Mapping a page that was read together with those near it that are in memory already:
 * the fault costs more than they do.
 *
 *      |<---------------- the window: kMMU.fault_around pages ---------------->|
 *      +------+------+------+------+------+------+------+------+------+------+
 *      |cached|      |cached|cached| read |cached|      |cached| past the end|
 *      +------+------+------+------+------+------+------+------+------+------+
 *       mapped        mapped mapped mapped mapped        mapped
 */
#include <kernel/errno.h>
#include <kernel/fault.h>

typedef struct surroundings {
    mspace_t *mspace;
    const vma_t *vma;
    size_t vaddr;           /* the page that was read */
    mmu_entry_t entry;      /* its entry */
    mmu_entry_t bits;       /* what the area's rights give every page */
} surroundings_t;

static bool is_counted(const vma_t *vma, mmu_entry_t entry)
{
    return mmu_frame(entry) != kMMU.zero_page && !vma->ops->foreign;
}

static int fill_around(void *context, size_t vaddr, mmu_entry_t *entry)
{
    const surroundings_t *around = context;

    if (vaddr == around->vaddr) {
        *entry = around->entry;
    } else {
        *entry = 0;
        around->vma->ops->cached(around->vma, vaddr, entry);
        if (*entry == 0)
            return 0;
        *entry |= around->bits;
    }
    if (is_counted(around->vma, *entry)) {
        if ((*entry & MMU_OBJECT) != 0)
            around->mspace->s_size++;
        else
            around->mspace->p_size++;
    }
    return 0;
}

int fault_map_around(mspace_t *mspace, const vma_t *vma, size_t vaddr, mmu_entry_t entry)
{
    surroundings_t around = { mspace, vma, vaddr, entry, vma_entry_bits(vma) };
    size_t span = kMMU.fault_around << PAGE_SHIFT;
    size_t base = align_down(vaddr, span);
    size_t end = base + span;

    if (base < vma_base(vma))
        base = vma_base(vma);
    if (end > vma_end(vma))
        end = vma_end(vma);
    if (mmu_fill_range(mspace->directory, base, end - base, fill_around, &around) != 0) {
        if (is_counted(vma, entry))
            page_release(mmu_frame(entry));
        return -ENOMEM;
    }
    mspace->stale_page = 0;
    mspace_account(mspace);
    return 0;
}
