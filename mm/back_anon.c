/*
 * Memory of no file: anonymous areas, the heap, stacks. And pipe areas, which the
 * kernel fills itself and which never fault.
 *
 * A page that was only read is the common frame of zeroes.
 */
#include <kernel/errno.h>
#include <kernel/physical.h>
#include <kernel/printk.h>
#include <kernel/vma.h>

static int fill_anon(mspace_t *mspace, vma_t *vma, size_t vaddr, bool write, mmu_entry_t *entry)
{
    page_t page;

    (void)mspace;
    (void)vma;
    (void)vaddr;
    if (!write) {
        *entry = kMMU.zero_page | MMU_OBJECT;
        return 0;
    }
    page = page_new(OWNER_ANON);
    if (page == PAGE_NONE)
        return -ENOMEM;
    mmu_clear_page(page);
    *entry = page | MMU_WRITE;
    return 0;
}

static int describe_anon(const vma_t *vma, char *buffer, size_t size)
{
    (void)vma;
    return format_text(buffer, size, "%s", "");
}

static int describe_by_name(const vma_t *vma, char *buffer, size_t size)
{
    return format_text(buffer, size, "[%s]", vma->ops->name);
}

const vma_ops_t vma_ops_anon = {
    .name = "anon",
    .fill = fill_anon,
    .describe = describe_anon,
};

const vma_ops_t vma_ops_heap = {
    .name = "heap",
    .fill = fill_anon,
    .describe = describe_by_name,
};

const vma_ops_t vma_ops_stack = {
    .name = "stack",
    .fill = fill_anon,
    .describe = describe_by_name,
};

const vma_ops_t vma_ops_pipe = {
    .name = "pipe",
    .describe = describe_by_name,
};
