/*
 * Pages of files in memory: for each file one word a page, up to the highest page that
 * was asked for so far. The cache itself holds one reference on each frame.
 */
#include <kernel/commit.h>
#include <kernel/errno.h>
#include <kernel/kheap.h>
#include <kernel/mmu.h>
#include <kernel/pagecache.h>
#include <kernel/panic.h>
#include <kernel/string.h>

/* A table has at least so many words, if the file has as many pages. */
enum { SLOTS_MIN = 16 };

/* The files that have a table of pages. */
static inode_t *cached_files;

/* Pages of files that are nowhere else. */
static size_t memory_pages;

void pagecache_init(void)
{
    cached_files = NULL;
    memory_pages = 0;
}

size_t pagecache_memory_pages(void)
{
    return memory_pages;
}

/* How many pages the file has, the last one maybe in part. */
static uint64_t pages_of(const inode_t *ino)
{
    return ((uint64_t)ino->length + PAGE_MASK) >> PAGE_SHIFT;
}

/*
 * Let the table reach page `index`. At least twice as many words each time: over a
 * file that grows, a page costs the same however long it is.
 */
static int make_slots(inode_t *ino, size_t index)
{
    uint64_t all = pages_of(ino);
    size_t count = 2 * ino->page_slots;
    page_t *pages;

    if (index >= PAGECACHE_SLOTS_MAX)
        return -ENOMEM;
    if (count <= index)
        count = index + 1;
    if (count < SLOTS_MIN)
        count = SLOTS_MIN;
    if (count > all && !inode_is_memory(ino))
        count = (size_t)all;            /* it never has more */
    pages = krealloc(ino->pages, count * sizeof(page_t));
    if (pages == NULL)
        return -ENOMEM;
    memset(pages + ino->page_slots, 0, (count - ino->page_slots) * sizeof(page_t));
    ino->page_slots = count;
    if (ino->pages == NULL) {
        ino->next_cached = cached_files;
        ino->link_cached = &cached_files;
        if (cached_files != NULL)
            cached_files->link_cached = &ino->next_cached;
        cached_files = ino;
    }
    ino->pages = pages;
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

/* A page of zeroes for a file that is nowhere else, charged. => PAGE_NONE */
static page_t new_zeroes(const inode_t *ino)
{
    page_t fresh;

    if (ino->reserved == 0 && commit_charge(1) != 0)
        return PAGE_NONE;
    fresh = page_new(OWNER_CACHE);
    if (UNLIKELY(fresh == PAGE_NONE)) {
        if (ino->reserved == 0)
            commit_return(1);
        return PAGE_NONE;
    }
    mmu_clear_page(fresh);
    memory_pages++;
    return fresh;
}

/* A page that is read from where the file is. => 0, -ENOMEM, or why it cannot be read */
static int new_copy(inode_t *ino, size_t index, page_t *page)
{
    page_t fresh = page_new(OWNER_CACHE);
    int err;

    if (fresh == PAGE_NONE)
        return -ENOMEM;
    err = ino->ops->read_page(ino, index, mmu_temporary_map(0, fresh));
    mmu_temporary_unmap(0);
    if (err != 0)
        page_release(fresh);
    else
        *page = fresh;
    return err;
}

/* pagecache_get for a page that is not in memory. */
static int make_page(inode_t *ino, size_t index, page_t *page)
{
    page_t fresh = PAGE_NONE;
    int err = 0;

    if (index >= pages_of(ino))
        return -EINVAL;
    if (UNLIKELY(index >= ino->page_slots))
        err = make_slots(ino, index);
    if (UNLIKELY(err != 0))
        return err;
    if (!inode_is_memory(ino))
        err = new_copy(ino, index, &fresh);
    else if ((fresh = new_zeroes(ino)) == PAGE_NONE)
        err = -ENOMEM;
    if (UNLIKELY(err != 0))
        return err;
    ino->pages[index] = fresh;
    physical_frames[fresh >> PAGE_SHIFT].count++;   /* the caller's beside ours: 2 */
    *page = fresh;
    return 0;
}

int pagecache_get(inode_t *ino, size_t index, page_t *page)
{
    if (index >= ino->page_slots || ino->pages[index] == PAGE_NONE)
        return make_page(ino, index, page);
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

    if (inode_is_memory(ino))
        return 0;
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

void pagecache_cut(inode_t *ino, size_t index)
{
    size_t count = 0;

    for (size_t i = index; i < ino->page_slots; i++) {
        if (ino->pages[i] == PAGE_NONE)
            continue;
        page_release(ino->pages[i]);
        ino->pages[i] = PAGE_NONE;
        count++;
    }
    if (inode_is_memory(ino)) {
        memory_pages -= count;
        if (ino->reserved == 0)
            commit_return(count);
    }
    if (index == 0)
        free_slots(ino);
}

void inode_release(inode_t *ino)
{
    ASSERT(ino->users > 0);
    if (--ino->users != 0)
        return;
    /* Who maps a page holds the file: no page has another user now. */
    pagecache_cut(ino, 0);
    if (ino->ops->release != NULL)
        ino->ops->release(ino);
}
