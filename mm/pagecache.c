/*
 * Pages of files in memory: for each file one word a page, made when its first
 * page is asked for. The cache itself holds one reference on each frame.
 */
#include <kernel/errno.h>
#include <kernel/kheap.h>
#include <kernel/mmu.h>
#include <kernel/pagecache.h>
#include <kernel/panic.h>

/* The files that have a table of pages. */
static inode_t *cached_files;

void pagecache_init(void)
{
    cached_files = NULL;
}

/* How many pages the file has, the last one maybe in part. */
static uint64_t pages_of(const inode_t *ino)
{
    return ((uint64_t)ino->length + PAGE_MASK) >> PAGE_SHIFT;
}

static int make_slots(inode_t *ino)
{
    uint64_t count = pages_of(ino);

    if (count > SIZE_MAX / sizeof(page_t))
        return -ENOMEM;
    ino->pages = kcalloc((size_t)count, sizeof(page_t));
    if (ino->pages == NULL)
        return -ENOMEM;
    ino->page_slots = (size_t)count;
    ino->next_cached = cached_files;
    ino->link_cached = &cached_files;
    if (cached_files != NULL)
        cached_files->link_cached = &ino->next_cached;
    cached_files = ino;
    return 0;
}

static void free_slots(inode_t *ino)
{
    if (ino->pages == NULL)
        return;
    *ino->link_cached = ino->next_cached;
    if (ino->next_cached != NULL)
        ino->next_cached->link_cached = ino->link_cached;
    kfree(ino->pages);
    ino->pages = NULL;
    ino->page_slots = 0;
}

static int read_in(inode_t *ino, size_t index)
{
    page_t page = page_new(OWNER_CACHE);
    int err;

    if (page == PAGE_NONE)
        return -ENOMEM;
    err = ino->ops->read_page(ino, index, mmu_temporary_map(0, page));
    mmu_temporary_unmap(0);
    if (err != 0) {
        page_release(page);
        return err;
    }
    ino->pages[index] = page;
    return 0;
}

int pagecache_get(inode_t *ino, size_t index, page_t *page)
{
    int err = 0;

    if (index >= pages_of(ino))
        return -EINVAL;
    if (ino->pages == NULL)
        err = make_slots(ino);
    if (err == 0 && ino->pages[index] == PAGE_NONE)
        err = read_in(ino, index);
    if (err != 0)
        return err;
    *page = ino->pages[index];
    page_hold(*page);
    return 0;
}

page_t pagecache_peek(inode_t *ino, size_t index)
{
    page_t page = index < ino->page_slots ? ino->pages[index] : PAGE_NONE;

    if (page != PAGE_NONE)
        page_hold(page);
    return page;
}

void pagecache_visit(pagecache_visit_t *visit, void *context)
{
    for (const inode_t *ino = cached_files; ino != NULL; ino = ino->next_cached)
        for (size_t i = 0; i < ino->page_slots; i++)
            if (ino->pages[i] != PAGE_NONE)
                visit(context, ino->pages[i]);
}

size_t pagecache_drop(inode_t *ino)
{
    size_t count = 0;

    for (size_t i = 0; i < ino->page_slots; i++) {
        if (ino->pages[i] != PAGE_NONE && page_count(ino->pages[i]) == 1) {
            page_release(ino->pages[i]);
            ino->pages[i] = PAGE_NONE;
            count++;
        }
    }
    return count;
}

void pagecache_empty(inode_t *ino)
{
    pagecache_drop(ino);
    for (size_t i = 0; i < ino->page_slots; i++)
        if (ino->pages[i] != PAGE_NONE)
            return;
    free_slots(ino);
}

void inode_release(inode_t *ino)
{
    ASSERT(ino->users > 0);
    if (--ino->users != 0)
        return;
    /* Who maps a page holds the file: no page has another user now. */
    for (size_t i = 0; i < ino->page_slots; i++)
        if (ino->pages[i] != PAGE_NONE)
            page_release(ino->pages[i]);
    free_slots(ino);
    if (ino->ops->release != NULL)
        ino->ops->release(ino);
}
