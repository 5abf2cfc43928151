/*
 * What memory needs to know of a file: its length and how to read a page of it.
 */
#ifndef KERNEL_INODE_H
#define KERNEL_INODE_H

#include <kernel/types.h>

typedef struct inode inode_t;

typedef struct inode_ops {
    /*
     * Read page `index` of the file into `buffer` (PAGE_SIZE bytes, all of them
     * written; bytes past the file's end are zero).
     *
     * => buffer may be the temporary slot of index 0 (mmu.h): use no other but 1
     * => 0 or -EIO, -ENOMEM
     * => NULL: the page cache is the file's only storage (shmem.h)
     */
    int (*read_page)(inode_t *ino, size_t index, void *buffer);

    /* The last reference went. => may free the inode; its pages are gone by then */
    void (*release)(inode_t *ino);
} inode_ops_t;

/* Guards: (c) constant after creation  (k) the kernel: it is never preempted */
struct inode {
    const inode_ops_t *ops;     /* (c) */
    const char *name;           /* (c) for mspace_display */
    off_t length;               /* (k) bytes */
    size_t users;               /* (k) references */
    size_t reserved;            /* (c) of memory: pages that are charged as long as it lives
                                 * (commit.h); 0: each page that is there is charged */
    page_t *pages;              /* (k) pagecache.c: one word a page, or NULL */
    size_t page_slots;          /* (k) how many words `pages` has */
    inode_t *next_cached;       /* (k) pagecache.c: the next file with `pages` */
    inode_t **link_cached;      /* (k) and what points to this one */
};

/*
 * Whether the file is nowhere but in the page cache: its pages stay there as long as it
 * lives, what was never written reads as zeroes, and spaces may write to it.
 */
static inline bool inode_is_memory(const inode_t *ino)
{
    return ino->ops != NULL && ino->ops->read_page == NULL;
}

static inline void inode_hold(inode_t *ino)
{
    ino->users++;
}

/* Drop a reference; the last one empties the cache and calls ops->release. */
void inode_release(inode_t *ino);

#endif
