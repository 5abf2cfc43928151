/*
 * The files under /proc: text in Linux's format, written when they are opened.
 *
 *  /proc/meminfo        /proc/vmstat        the machine's memory
 *  /proc/self/maps      /proc/self/status   the current task's
 */
#ifndef KERNEL_PROC_H
#define KERNEL_PROC_H

#include <kernel/inode.h>

/*
 * Open one of the files above by its folded path ("/proc/meminfo").
 *
 * => 0 and *ino with a reference of the caller's; -ENOENT, -EISDIR, -ENOTDIR,
 *    -ENOMEM
 */
int proc_open(const char *path, inode_t **ino);

#endif
