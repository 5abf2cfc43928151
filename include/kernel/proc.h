/*
 * The files under /proc: text in Linux's format, written when they are opened.
 *
 *  /proc/meminfo  /proc/vmstat  /proc/sys/vm/...       the machine's memory (proc.c)
 *  /proc/self/NAME, /proc/PID/NAME                     a task's (proc_task.c): maps, pages,
 *                                                      statm, status
 */
#ifndef KERNEL_PROC_H
#define KERNEL_PROC_H

#include <kernel/inode.h>
#include <kernel/task.h>

/*
 * Open one of the files above by its folded path ("/proc/meminfo").
 *
 * => 0 and *ino with a reference of the caller's; -ENOENT, also for a task that there is
 *    not; -EISDIR, -ENOTDIR, -ENOMEM
 */
int proc_open(const char *path, inode_t **ino);

/* For proc.c and proc_task.c: a text that grows. `failed`: memory was short. */
typedef struct proc_text {
    char *bytes;
    size_t length;
    size_t size;
    bool failed;
} proc_text_t;

/* Add bytes; an mspace_print_t. */
void proc_add(void *text, const char *bytes, size_t length);

/* Add at most 127 characters. */
__attribute__((format(printf, 2, 3)))
void proc_print(proc_text_t *text, const char *format, ...);

static inline unsigned long proc_kib(size_t pages)
{
    return (unsigned long)(pages * (PAGE_SIZE / KIB));
}

typedef struct proc_task_file {
    const char *name;
    void (*write)(proc_text_t *text, const task_t *task);
} proc_task_file_t;

/* The files that each task has; the last row's name is NULL. */
extern const proc_task_file_t proc_task_files[];

#endif
