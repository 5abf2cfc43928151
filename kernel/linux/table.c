/*
 * From a system call's number to its function.
 */
#include <kernel/printk.h>
#include "linux.h"

static linux_call_t *const calls[] = {
    [0] = linux_restart_syscall,
    [1] = linux_exit,
    [2] = linux_fork,
    [3] = linux_read,
    [4] = linux_write,
    [5] = linux_open,
    [6] = linux_close,
    [7] = linux_waitpid,
    [8] = linux_creat,
    [10] = linux_unlink,
    [19] = linux_lseek,
    [20] = linux_getpid,
    [33] = linux_access,
    [37] = linux_kill,
    [41] = linux_dup,
    [45] = linux_brk,
    [48] = linux_signal,
    [54] = linux_ioctl,
    [57] = linux_setpgid,
    [63] = linux_dup2,
    [64] = linux_getppid,
    [65] = linux_getpgrp,
    [67] = linux_sigaction,
    [73] = linux_sigpending,
    [75] = linux_setrlimit,
    [76] = linux_getrlimit,
    [85] = linux_readlink,
    [90] = linux_old_mmap,
    [91] = linux_munmap,
    [93] = linux_ftruncate,
    [114] = linux_wait4,
    [119] = linux_sigreturn,
    [120] = linux_clone,
    [122] = linux_uname,
    [125] = linux_mprotect,
    [126] = linux_sigprocmask,
    [132] = linux_getpgid,
    [140] = linux_llseek,
    [144] = linux_msync,
    [145] = linux_readv,
    [146] = linux_writev,
    [150] = linux_mlock,
    [151] = linux_munlock,
    [152] = linux_mlockall,
    [153] = linux_munlockall,
    [158] = linux_sched_yield,
    [163] = linux_mremap,
    [173] = linux_rt_sigreturn,
    [174] = linux_rt_sigaction,
    [175] = linux_rt_sigprocmask,
    [176] = linux_rt_sigpending,
    [179] = linux_rt_sigsuspend,
    [180] = linux_pread64,
    [181] = linux_pwrite64,
    [186] = linux_sigaltstack,
    [191] = linux_ugetrlimit,
    [192] = linux_mmap2,
    [194] = linux_ftruncate64,
    [195] = linux_stat64,
    [196] = linux_stat64,           /* lstat64: there are no symbolic links */
    [197] = linux_fstat64,
    [218] = linux_mincore,
    [219] = linux_madvise,
    [224] = linux_gettid,
    [238] = linux_tkill,
    [243] = linux_set_thread_area,
    [244] = linux_get_thread_area,
    [252] = linux_exit,             /* exit_group: a program has one thread */
    [258] = linux_set_tid_address,
    [270] = linux_tgkill,
    [295] = linux_openat,
    [300] = linux_fstatat64,
    [301] = linux_unlinkat,
    [311] = linux_set_robust_list,
    [340] = linux_prlimit64,
    [355] = linux_getrandom,
    [376] = linux_mlock2,
    [383] = linux_statx,
};

/* Not there yet, and known to be asked for; each answers ENOSYS like any other:
 * execve 11, futex 240, rseq 386. */

int32_t linux_missing(unsigned number, const char *what)
{
    task_t *task = task_current;
    unsigned bits = 64 * ARRAY_LENGTH(task->unknown_calls);
    unsigned bit = number < bits ? number : bits - 1;
    uint64_t mask = (uint64_t)1 << bit % 64;

    if ((task->unknown_calls[bit / 64] & mask) == 0) {
        task->unknown_calls[bit / 64] |= mask;
        printk("%s (pid %d): system call %u%s%s is not there: ENOSYS\n", task->name, task->pid,
               number, what != NULL ? " with " : "", what != NULL ? what : "");
    }
    return -ENOSYS;
}

/* What task->work asks for: an end without memory, signals. */
static NOINLINE void finish_work(trap_frame_t *frame)
{
    task_check_memory(frame);
    if (task_current->signal_waiting)
        signal_deliver(frame, NULL);
}

void linux_system_call(trap_frame_t *frame)
{
    uint32_t number = frame->eax;
    int32_t result;

    if (LIKELY(number < ARRAY_LENGTH(calls) && calls[number] != NULL))
        result = calls[number](frame);
    else
        result = linux_missing(number, NULL);
    frame->eax = (uint32_t)result;
    if (UNLIKELY(task_current->work != 0))
        finish_work(frame);
}
