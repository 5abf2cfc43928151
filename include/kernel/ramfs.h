/*
 * The initial files: boot modules, the members of a ustar archive, and a few
 * files of text that the kernel writes when they are opened (/proc).
 *
 * Read-only. A file's bytes stay where the boot loader put them; pages are copied
 * into the page cache when they are mapped.
 */
#ifndef KERNEL_RAMFS_H
#define KERNEL_RAMFS_H

#include <kernel/boot_info.h>
#include <kernel/inode.h>

/* A path has at most this many characters, its NUL included, once it is folded. */
#define RAMFS_PATH_MAX 258

/*
 * Take in the modules: an archive is unpacked by name; anything else is a file
 * named by the last part of its string's first word.
 *
 * => 0, or -ENOMEM; a damaged archive is reported and its readable part kept
 * => of two files with one name the later one counts
 * => from then on, pages of files that nobody maps are given up when memory is short
 */
int ramfs_init(const boot_info_t *info);

/*
 * Bring a path into the one form "/a/b"; "" is the root.
 *
 * => 0, -ENOENT (empty, or longer than any file's), -ENAMETOOLONG
 * => *directory: the path says that it means a directory ("a/", "a/.")
 */
int ramfs_fold(const char *path, char folded[static RAMFS_PATH_MAX], bool *directory);

/*
 * Find a file, here, in /proc or of tmpfs.h, by its absolute or relative path ("/",
 * ".", ".." and doubled slashes are folded).
 *
 * => 0 and *ino with a reference of the caller's; -ENOENT, -ENOTDIR, -EISDIR,
 *    -ENAMETOOLONG, -ENOMEM
 */
int ramfs_open(const char *path, inode_t **ino);

/*
 * Read from a file of ramfs_open at an offset into kernel memory.
 *
 * => bytes read, 0 at the end, or -EIO; takes no memory
 * => uses temporary slot 1
 */
int ramfs_read(inode_t *ino, off_t offset, void *buffer, size_t length);

/* What stat tells of a file of ours or of /proc: its permission bits, and a number of its own. */
void ramfs_about(const inode_t *ino, unsigned *mode, unsigned *number);

/*
 * The same of a directory, by its path. Directories have no inode: the number is a
 * hash of the path.
 *
 * => 0, or an error of the path's form; only for a path that ramfs_open answers
 *    with -EISDIR
 */
int ramfs_about_directory(const char *path, unsigned *mode, unsigned *number);

/* Pages in the cache that nobody uses: given up when memory is short. */
size_t ramfs_droppable(void);

/*
 * A file whose bytes are `text`, from kmalloc: freed with its last reference.
 *
 * => NULL: no memory; the text is still the caller's
 */
inode_t *ramfs_text(const char *name, char *text, size_t length);

/* Drop every page of every file that nobody maps. => not for reclaiming */
void ramfs_drop_pages(void);

/* Print the list of files. */
void ramfs_log(void);

#endif
