/*
 * What the files of kernel/linux/ share: the calls, their helpers, open files.
 */
#ifndef KERNEL_LINUX_LINUX_H
#define KERNEL_LINUX_LINUX_H

#include <kernel/errno.h>
#include <kernel/inode.h>
#include <kernel/linux.h>
#include <kernel/types.h>
#include <kernel/usercopy.h>

/*
 * One system call.
 *
 * => `call` holds the arguments in the registers' names; they are hostile input
 * => the result for eax: a value, or a negative errno
 */
typedef int32_t linux_call_t(const trap_frame_t *call);

/* memory.c */
linux_call_t linux_brk, linux_munmap, linux_old_mmap, linux_mmap2, linux_mprotect;
/* remap.c */
linux_call_t linux_mremap;
/* advise.c */
linux_call_t linux_madvise, linux_mincore, linux_msync;
/* lock.c */
linux_call_t linux_mlock, linux_mlock2, linux_munlock, linux_mlockall, linux_munlockall;
/* process.c */
linux_call_t linux_restart_syscall, linux_exit, linux_getpid, linux_getppid, linux_gettid;
linux_call_t linux_kill, linux_tkill, linux_tgkill, linux_set_tid_address, linux_set_robust_list;
linux_call_t linux_set_thread_area, linux_get_thread_area;
/* fork.c */
linux_call_t linux_fork, linux_clone, linux_waitpid, linux_wait4, linux_sched_yield;
linux_call_t linux_setpgid, linux_getpgid, linux_getpgrp;
/* file.c */
linux_call_t linux_open, linux_openat, linux_creat, linux_access, linux_readlink, linux_ioctl;
linux_call_t linux_lseek, linux_llseek;
/* number.c */
linux_call_t linux_close, linux_dup, linux_dup2;
/* memory_file.c */
linux_call_t linux_unlink, linux_unlinkat, linux_ftruncate, linux_ftruncate64;
/* transfer.c */
linux_call_t linux_read, linux_write, linux_readv, linux_writev, linux_pread64, linux_pwrite64;
/* stat.c */
linux_call_t linux_stat64, linux_fstat64, linux_fstatat64, linux_statx;
/* signal.c, sigframe.c */
linux_call_t linux_rt_sigaction, linux_sigaction, linux_signal, linux_rt_sigprocmask;
linux_call_t linux_sigprocmask, linux_rt_sigpending, linux_sigpending, linux_rt_sigsuspend;
linux_call_t linux_sigaltstack, linux_sigreturn, linux_rt_sigreturn;
/* misc.c */
linux_call_t linux_uname, linux_getrandom;
/* limits.c */
linux_call_t linux_getrlimit, linux_ugetrlimit, linux_setrlimit, linux_prlimit64;

/*
 * Part of a call, or all of it, is not there: log that once per program.
 *
 * => always -ENOSYS; what: the part, or NULL for the whole call
 */
int32_t linux_missing(unsigned number, const char *what);

/*
 * Make the mapped pages of a range present: as a write where a private area grants one.
 * Areas whose locks say that pages come on first access are passed over.
 *
 * => only_locked: only areas that are locked, and an area's errors do not keep the next
 *    from its pages; else the first one ends it: 0, -EFAULT, -ENOMEM, -EIO
 */
int32_t linux_populate(size_t address, size_t length, bool only_locked);

/*
 * Set the current program's alternate stack, whose stack pointer is `esp`.
 *
 * => 0, -EPERM: it is on the one it has, -EINVAL: flags, -ENOMEM: too small
 */
int32_t linux_set_signal_stack(const signal_stack_t *stack, uint32_t esp);

/* --- Open files */

struct file;

/* What a file can do; NULL: nothing of that kind. Copies in and out by usercopy.h. */
typedef struct file_ops {
    /*
     * Move at most `length` bytes (at least 1) between the file and user memory, and
     * *position on (devices have none).
     *
     * => bytes moved, fewer at the end; an error only if none was
     */
    int32_t (*read)(struct file *file, off_t *position, size_t to, size_t length);
    int32_t (*write)(struct file *file, off_t *position, size_t from, size_t length);
    bool is_zeroes;             /* a mapping of it is anonymous memory */
    bool seeks_nowhere;         /* any position is 0 */
} file_ops_t;

/* How a file is open. */
enum {
    FILE_READ = 1,
    FILE_WRITE = 2,
    FILE_APPEND = 4,            /* each write is at the end */
    FILE_LARGE = 8,             /* positions past 2 GiB are fine */
};

/* Guards: (c) constant after opening  (k) the kernel: it is never preempted */
struct file {
    const file_ops_t *ops;      /* (c) */
    inode_t *ino;               /* (c) with a reference; NULL: a device */
    unsigned mode;              /* (c) FILE_* */
    unsigned users;             /* (k) numbers, of all tasks, that it is open under */
    off_t position;             /* (k) */
};

/* The lowest number that is free. => -EMFILE: there is none */
int32_t linux_free_number(void);

/* One more user; one less, and the last one frees it. */
static inline void linux_hold_file(struct file *file)
{
    file->users++;
}
void linux_release_file(struct file *file);

/* The open file of that number. => NULL: none */
struct file *linux_file(uint32_t number);

/* The device of that path. => NULL: none */
const file_ops_t *linux_device(const char *path);

extern const file_ops_t linux_inode_file_ops;
extern const file_ops_t linux_memory_file_ops;
extern struct file linux_console_input;
extern struct file linux_console_output;
extern struct file linux_console_error;

/* [address, address + length) lies below the end of user memory. */
static inline bool is_user_range(size_t address, size_t length)
{
    return length <= USER_END && address <= USER_END - length;
}

/* --- Vectors: vector.c */

typedef struct iovec {
    uint32_t base;
    uint32_t length;
} iovec_t;

enum { LINUX_VECTOR_FEW = 8 };

typedef struct linux_vector {
    iovec_t *element;           /* `few`, or memory of the heap */
    uint32_t count;
    iovec_t few[LINUX_VECTOR_FEW];
} linux_vector_t;

/*
 * Copy a program's vector, once, and check it as Linux does before any byte moves.
 *
 * => 0: every element is a user range, all together at most LINUX_COUNT_MAX bytes (what
 *    is more is cut off); to be dropped. -EINVAL: too many elements, or a negative
 *    length; -EFAULT: it cannot be read, or an address no program has; -ENOMEM
 * => the copy decides: user memory is read once
 */
int32_t linux_get_vector(linux_vector_t *vector, size_t address, uint32_t count);
void linux_drop_vector(linux_vector_t *vector);

enum {
    LINUX_PATH_MAX = 4096,
    LINUX_COUNT_MAX = 0x7ffff000,   /* no call moves more bytes at once */
    AT_FDCWD = -100,
    AT_SYMLINK_NOFOLLOW = 0x100,
    AT_NO_AUTOMOUNT = 0x800,
    AT_EMPTY_PATH = 0x1000,
    AT_STATX_SYNC_TYPE = 0x6000,
};

/*
 * Copy a path from the program.
 *
 * => 0 and *path, to be freed by kfree; -EFAULT, -ENAMETOOLONG, -ENOMEM
 */
int linux_get_path(size_t address, char **path);

/*
 * Whether a path can be looked up from the directory `directory`: it is absolute,
 * or the directory is AT_FDCWD. => 0, -EBADF, -ENOTDIR (no open file is one)
 */
int linux_check_directory(int32_t directory, const char *path);

#endif
