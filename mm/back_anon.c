/*
 * Memory of no file: anonymous areas, the heap, stacks. And pipe areas, which the
 * kernel fills itself and which never fault.
 *
 * A page that was only read is the common frame of zeroes.
 */
#include <kernel/printk.h>
#include <kernel/vma.h>

static int fill_anon(mspace_t *mspace, vma_t *vma, size_t vaddr, bool write, mmu_entry_t *entry)
{
    (void)mspace;
    (void)vma;
    (void)vaddr;
    return vma_fill_zeroes(write, entry);
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
    .zeroes = true,
    .fill = fill_anon,
    .describe = describe_anon,
};

const vma_ops_t vma_ops_heap = {
    .name = "heap",
    .zeroes = true,
    .fill = fill_anon,
    .describe = describe_by_name,
};

const vma_ops_t vma_ops_stack = {
    .name = "stack",
    .zeroes = true,
    .fill = fill_anon,
    .describe = describe_by_name,
};

const vma_ops_t vma_ops_pipe = {
    .name = "pipe",
    .describe = describe_by_name,
};
