/*
 * Files that are nowhere but in memory: shared memory, and files in /tmp.
 *
 * Their pages are in the page cache and stay there as long as the file lives; what was
 * never written reads as zeroes and takes no memory until it is mapped. A read or
 * write here and a shared mapping see the same bytes at once.
 *
 * A page that a fault or mspace_resolve brought in stays, as one of any file does, even
 * if the call failed later.
 *
 * Bytes behind the file's end in its last page may be anything: a mapping can write
 * there. When the file grows over them they are zeroes.
 *
 * => the kernel is never preempted, so these calls take no lock of their own; they are
 *    called with no mspace's lock held
 * => buffers are kernel memory; temporary slot 0 is used (mmu.h)
 */
#ifndef KERNEL_SHMEM_H
#define KERNEL_SHMEM_H

#include <kernel/inode.h>

/* The longest file, as a Linux of 32 bits has it: the last page's number is 32 bits. */
#define SHMEM_LENGTH_MAX ((off_t)0xffffffff << PAGE_SHIFT)

/*
 * A file of zeroes without a name: shared anonymous memory.
 *
 * => reserved: pages that are charged at once (commit.h), all of them for a program that
 *    wants to be sure; 0: as of files in /tmp, each page when it comes, and it may not
 * => one reference, the caller's; NULL: no memory, or the charge is refused
 * => O(1): pages and the table of them come as they are used
 */
inode_t *shmem_create(off_t length, size_t reserved);

/* => bytes read, 0 at the end; cannot fail, takes no memory; offset >= 0 */
size_t shmem_read(inode_t *ino, off_t offset, void *buffer, size_t length);

/*
 * Write, and let the file grow.
 *
 * => bytes written, which are fewer than `length` (at least 1) only when memory runs
 *    out, all such files together have half of it, or the longest length is reached;
 *    -ENOSPC, -EFBIG: none, and nothing changed
 * => offset >= 0
 */
int shmem_write(inode_t *ino, off_t offset, const void *buffer, size_t length);

/*
 * Set the length. Pages past it are freed, and leave all spaces.
 *
 * => 0; -EFBIG: longer than SHMEM_LENGTH_MAX, nothing changed; length >= 0
 * => shorter: O(areas of all spaces + pages cut); longer: O(1)
 */
int shmem_set_length(inode_t *ino, off_t length);

#endif
