/*
 * Pages of files in memory: one frame for each page of each file, shared by
 * everyone who reads or maps it.
 */
#ifndef KERNEL_PAGECACHE_H
#define KERNEL_PAGECACHE_H

#include <kernel/inode.h>
#include <kernel/physical.h>

/* A page with so many references is copied, not mapped once more. */
#define PAGECACHE_SHARES PHYSICAL_SHARES

/* No file has more pages in memory than that: 4 MiB of table. */
#define PAGECACHE_SLOTS_MAX ((size_t)1 << 20)

/* No file has pages yet. */
void pagecache_init(void);

/*
 * The frame that holds page `index` of the file, read if need be.
 *
 * => 0 and *page with a reference of the caller's own, or -EIO, -ENOMEM (also for a
 *    page past PAGECACHE_SLOTS_MAX)
 * => index is below the file's length in pages, else -EINVAL
 * => for a while; who keeps the reference asks pagecache_may_share first
 * => the file's table of pages grows to the index: O(1) a page over a growing file
 */
int pagecache_get(inode_t *ino, size_t index, page_t *page);

/* Whether a reference to a cached page may be kept, by mapping it. */
static inline bool pagecache_may_share(page_t page)
{
    return physical_frames[page >> PAGE_SHIFT].count < PAGECACHE_SHARES;
}

/* pagecache_get only if it is in memory already. => PAGE_NONE: it is not */
page_t pagecache_peek(inode_t *ino, size_t index);

/* Call visit(context, page) for each page of each file that is in memory. */
typedef void pagecache_visit_t(void *context, page_t page);
void pagecache_visit(pagecache_visit_t *visit, void *context);

/* Pages of files that are nowhere else (inode_is_memory). */
size_t pagecache_memory_pages(void);

/*
 * Forget every page nobody maps. => how many frames came back
 *
 * => of a file that is nowhere else, none
 */
size_t pagecache_drop(inode_t *ino);

/*
 * The same, and when no page is left, forget the file's table of pages too.
 *
 * => frees to the heap: not for reclaiming, which may run inside kmalloc
 */
void pagecache_empty(inode_t *ino);

/*
 * Forget the pages from `index` on, for good: the file ends before them.
 *
 * => nobody maps them any more
 */
void pagecache_cut(inode_t *ino, size_t index);

#endif
