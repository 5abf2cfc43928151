/*
 * A range of physical addresses: devices, or memory that someone else owns. Its
 * frames are mapped as they are, never counted and never freed.
 */
#include <kernel/printk.h>
#include <kernel/vma.h>

static int fill_phys(mspace_t *mspace, vma_t *vma, size_t vaddr, bool write, mmu_entry_t *entry)
{
    (void)mspace;
    (void)write;
    *entry = ((page_t)vma->offset + (vaddr - vma_base(vma))) | MMU_OBJECT | MMU_WRITE;
    return 0;
}

static int describe_phys(const vma_t *vma, char *buffer, size_t size)
{
    return format_text(buffer, size, "phys=%08llx", (unsigned long long)vma->offset);
}

const vma_ops_t vma_ops_phys = {
    .name = "phys",
    .backed = true,
    .foreign = true,
    .fill = fill_phys,
    .describe = describe_phys,
};
