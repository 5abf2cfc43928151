/*
 * Files that are nowhere but in the page cache: reading, writing, their length.
 *
 *      0                                      length
 *      +----------+----------+----------+------|---+
 *      | a page   | (a hole) | a page   | last |???|    ???: whatever a mapping wrote
 *      +----------+----------+----------+------|---+
 */
#include <kernel/commit.h>
#include <kernel/errno.h>
#include <kernel/kheap.h>
#include <kernel/memory.h>
#include <kernel/pagecache.h>
#include <kernel/panic.h>
#include <kernel/shmem.h>
#include <kernel/string.h>

static void release(inode_t *ino)
{
    commit_return(ino->reserved);
    kfree(ino);
}

static const inode_ops_t shmem_ops = { .release = release };

inode_t *shmem_create(off_t length, size_t reserved)
{
    inode_t *ino;

    if (commit_charge(reserved) != 0)
        return NULL;
    ino = kmalloc(sizeof *ino);
    if (ino == NULL) {
        commit_return(reserved);
        return NULL;
    }
    /* The name is the one that Linux shows for such memory. */
    *ino = (inode_t){
        .ops = &shmem_ops,
        .name = "/dev/zero (deleted)",
        .length = length,
        .users = 1,
        .reserved = reserved,
    };
    return ino;
}

/* How many of `length` bytes at the offset are in one page. */
static size_t in_page(off_t offset, size_t length)
{
    size_t left = PAGE_SIZE - ((size_t)offset & PAGE_MASK);

    return length < left ? length : left;
}

/* The page of the offset, with a reference. => PAGE_NONE: a hole */
static page_t page_at(inode_t *ino, off_t offset)
{
    off_t index = offset >> PAGE_SHIFT;

    return index < (off_t)ino->page_slots ? pagecache_peek(ino, (size_t)index) : PAGE_NONE;
}

size_t shmem_read(inode_t *ino, off_t offset, void *buffer, size_t length)
{
    size_t done = 0;

    if (offset >= ino->length)
        return 0;
    if ((off_t)length > ino->length - offset)
        length = (size_t)(ino->length - offset);
    while (done < length) {
        size_t part = in_page(offset, length - done);
        page_t page = page_at(ino, offset);

        if (page == PAGE_NONE) {
            memset((char *)buffer + done, 0, part);
        } else {
            const char *from = mmu_temporary_map(0, page);

            memcpy((char *)buffer + done, from + ((size_t)offset & PAGE_MASK), part);
            mmu_temporary_unmap(0);
            page_release(page);
        }
        offset += (off_t)part;
        done += part;
    }
    return length;
}

/* Clear the bytes from `from` up to `to`, or to the end of the page they begin in. */
static void clear_in_page(inode_t *ino, off_t from, off_t to)
{
    size_t start = (size_t)from & PAGE_MASK;
    page_t page;
    size_t count;

    if (start == 0 || to <= from)
        return;             /* a page that begins there is not in memory yet */
    page = page_at(ino, from);
    if (page == PAGE_NONE)
        return;
    count = in_page(from, to - from < (off_t)PAGE_SIZE ? (size_t)(to - from) : PAGE_SIZE);
    memset((char *)mmu_temporary_map(0, page) + start, 0, count);
    mmu_temporary_unmap(0);
    page_release(page);
}

/* Files that are written to may take half of the memory, as Linux has it. */
static bool is_full(inode_t *ino, off_t offset)
{
    page_t page;

    if (LIKELY(pagecache_memory_pages() < physical_mem_info.total / 2))
        return false;
    page = page_at(ino, offset);
    if (page != PAGE_NONE)
        page_release(page);
    return page == PAGE_NONE;
}

/* Write bytes that lie in one page. => 0, or -ENOSPC and nothing changed */
static int write_in_page(inode_t *ino, off_t offset, const void *buffer, size_t length)
{
    off_t old = ino->length;
    page_t page;

    if (offset >> PAGE_SHIFT >= (off_t)PAGECACHE_SLOTS_MAX || is_full(ino, offset))
        return -ENOSPC;
    if (ino->length < offset + (off_t)length)
        ino->length = offset + (off_t)length;
    if (pagecache_get(ino, (size_t)(offset >> PAGE_SHIFT), &page) != 0) {
        ino->length = old;
        return -ENOSPC;
    }
    clear_in_page(ino, old, offset);
    memcpy((char *)mmu_temporary_map(0, page) + ((size_t)offset & PAGE_MASK), buffer, length);
    mmu_temporary_unmap(0);
    page_release(page);
    return 0;
}

int shmem_write(inode_t *ino, off_t offset, const void *buffer, size_t length)
{
    size_t done = 0;
    int err = 0;

    if (offset >= SHMEM_LENGTH_MAX)
        return -EFBIG;
    if ((off_t)length > SHMEM_LENGTH_MAX - offset)
        length = (size_t)(SHMEM_LENGTH_MAX - offset);
    while (done < length && err == 0) {
        size_t part = in_page(offset, length - done);

        err = write_in_page(ino, offset, (const char *)buffer + done, part);
        if (err == 0) {
            offset += (off_t)part;
            done += part;
        }
    }
    return done > 0 ? (int)done : err;
}

int shmem_set_length(inode_t *ino, off_t length)
{
    off_t old = ino->length;
    off_t kept = (length + PAGE_MASK) & ~(off_t)PAGE_MASK;

    ASSERT(inode_is_memory(ino));
    if (length > SHMEM_LENGTH_MAX)
        return -EFBIG;
    ino->length = length;
    if (length > old) {
        clear_in_page(ino, old, length);
    } else if (length < old) {
        mspace_revoke_file(ino, kept);
        if (kept >> PAGE_SHIFT < (off_t)ino->page_slots)
            pagecache_cut(ino, (size_t)(kept >> PAGE_SHIFT));
        clear_in_page(ino, length, kept);
    }
    return 0;
}
