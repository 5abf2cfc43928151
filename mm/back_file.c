/*
 * Memory of a file.
 *
 *      |<----------- limit ----------->|
 *      +----------+----------+---------|-----+-----------+
 *      | cache    | cache    | a copy, |  0  | zeroes    |
 *      +----------+----------+---------|-----+-----------+
 *
 * Whole pages below the limit are the page cache's own frames, until a private
 * area writes to one. The page that the limit cuts is always a copy, for bytes may come
 * to be behind it. So is one that too many map already, but not in a shared area that
 * would miss what others write to the file.
 */
#include <kernel/errno.h>
#include <kernel/pagecache.h>
#include <kernel/printk.h>
#include <kernel/string.h>
#include <kernel/vma.h>

/* How many bytes of the page lie below the limit, which is not 0: 0 .. PAGE_SIZE. */
static size_t bytes_below_limit(const vma_t *vma, size_t vaddr)
{
    off_t distance = (off_t)(vaddr - vma_base(vma));

    if (vma->limit <= distance)
        return 0;
    return vma->limit - distance < (off_t)PAGE_SIZE ? (size_t)(vma->limit - distance) : PAGE_SIZE;
}

/* A private copy of a cached page with zeroes from `below` on. => PAGE_NONE */
static page_t copy_cached(page_t cached, size_t below)
{
    page_t page = page_new(OWNER_ANON);

    if (page == PAGE_NONE)
        return PAGE_NONE;
    mmu_copy_page(page, mmu_temporary_map(0, cached));
    mmu_temporary_unmap(0);
    if (below < PAGE_SIZE) {
        memset((char *)mmu_temporary_map(0, page) + below, 0, PAGE_SIZE - below);
        mmu_temporary_unmap(0);
    }
    return page;
}

/* A frame of our own for a page of which the cache's frame cannot be shown as it is. */
static int fill_copy(const vma_t *vma, page_t cached, size_t below, mmu_entry_t *entry)
{
    page_t page = PAGE_NONE;

    /* A shared area would miss what others write to the file. */
    if ((vma->flags & VMA_SHARED) == 0 || !inode_is_memory(vma->ino))
        page = copy_cached(cached, below);
    page_release(cached);
    if (page == PAGE_NONE)
        return -ENOMEM;
    *entry = page | MMU_WRITE;
    return 0;
}

/* A page that the limit cuts. => offset: of the page in the file, before its end */
static int fill_cut(const vma_t *vma, off_t offset, size_t below, bool write,
                    mmu_entry_t *entry)
{
    page_t cached;
    int err = pagecache_get(vma->ino, (size_t)(offset >> PAGE_SHIFT), &cached);

    if (err != 0)
        return err;
    /* Behind the end of a file that nobody writes to there are zeroes anyway. */
    if (!write && (off_t)below >= vma->ino->length - offset && !inode_is_memory(vma->ino) &&
        pagecache_may_share(cached)) {
        *entry = cached | MMU_OBJECT;
        return 0;
    }
    return fill_copy(vma, cached, below, entry);
}

/* A page that lies below the limit. */
static inline int fill_whole(const vma_t *vma, off_t offset, bool write, mmu_entry_t *entry)
{
    page_t cached;
    int err;

    if (UNLIKELY(offset >= vma->ino->length))
        return -ENXIO;
    err = pagecache_get(vma->ino, (size_t)(offset >> PAGE_SHIFT), &cached);
    if (UNLIKELY(err != 0))
        return err;
    if ((write && (vma->flags & VMA_SHARED) == 0) || UNLIKELY(!pagecache_may_share(cached)))
        return fill_copy(vma, cached, PAGE_SIZE, entry);
    *entry = cached | MMU_OBJECT | (write ? MMU_WRITE : 0);
    return 0;
}

/* A page of an area that has a limit. */
static NOINLINE int fill_limited(const vma_t *vma, size_t vaddr, bool write, mmu_entry_t *entry)
{
    off_t offset = vma->offset + (off_t)(vaddr - vma_base(vma));
    size_t below = bytes_below_limit(vma, vaddr);

    if (below == 0)
        return vma_fill_zeroes(write, entry);
    if (below == PAGE_SIZE || offset >= vma->ino->length)
        return fill_whole(vma, offset, write, entry);
    return fill_cut(vma, offset, below, write, entry);
}

static int fill_file(mspace_t *mspace, vma_t *vma, size_t vaddr, bool write, mmu_entry_t *entry)
{
    (void)mspace;
    if (UNLIKELY(vma->limit != 0))
        return fill_limited(vma, vaddr, write, entry);
    return fill_whole(vma, vma->offset + (off_t)(vaddr - vma_base(vma)), write, entry);
}

static void cached_file(const vma_t *vma, size_t vaddr, mmu_entry_t *entry)
{
    off_t offset = vma->offset + (off_t)(vaddr - vma_base(vma));
    page_t cached;

    if (offset >= vma->ino->length ||
        (vma->limit != 0 && bytes_below_limit(vma, vaddr) != PAGE_SIZE))
        return;
    cached = pagecache_peek(vma->ino, (size_t)(offset >> PAGE_SHIFT));
    if (cached == PAGE_NONE)
        return;
    if (LIKELY(pagecache_may_share(cached)))
        *entry = cached | MMU_OBJECT;
    else
        page_release(cached);
}

static int describe_file(const vma_t *vma, char *buffer, size_t size)
{
    return format_text(buffer, size, "%s", vma->ino->name);
}

const vma_ops_t vma_ops_file = {
    .name = "file",
    .backed = true,
    .fill = fill_file,
    .cached = cached_file,
    .describe = describe_file,
};
