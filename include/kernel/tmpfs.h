/*
 * Files that programs make: in /tmp and /dev/shm, nowhere but in memory (shmem.h).
 *
 * There are no directories but these two. Paths are folded (ramfs_fold).
 */
#ifndef KERNEL_TMPFS_H
#define KERNEL_TMPFS_H

#include <kernel/inode.h>

/*
 * => 0 and *ino with a reference of the caller's; -ENOENT; -EISDIR: one of the
 *    directories, or /dev; -ENOTDIR: a part before the last is a file
 */
int tmpfs_open(const char *path, inode_t **ino);

/*
 * Make an empty file with these permission bits.
 *
 * => nothing has that path yet (tmpfs_open says -ENOENT)
 * => 0 and *ino with a reference of the caller's; -EROFS: not in one of the
 *    directories; -ENOSPC: no memory
 */
int tmpfs_create(const char *path, unsigned mode, inode_t **ino);

/*
 * Take the name away; the file goes with its last reference.
 *
 * => 0, or as tmpfs_open
 */
int tmpfs_unlink(const char *path);

/* Take all names away. */
void tmpfs_empty(void);

/* What stat tells of a file of tmpfs_open: links is 0 once its name is gone. */
void tmpfs_about(const inode_t *ino, unsigned *mode, unsigned *number, unsigned *links);

#endif
