/*
 * Calls that make programs and wait for them: fork, clone, waitpid, wait4, and
 * process groups.
 */
#include "linux.h"

enum {
    CLONE_EXIT_SIGNAL = 0xff,
    CLONE_PARENT_SETTID = 0x00100000,
    CLONE_CHILD_CLEARTID = 0x00200000,
    CLONE_CHILD_SETTID = 0x01000000,
    CLONE_KNOWN = CLONE_EXIT_SIGNAL | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID |
                  CLONE_CHILD_SETTID,
};

int32_t linux_fork(const trap_frame_t *call)
{
    task_t *child;
    int err = task_fork(&child);

    (void)call;
    return err != 0 ? err : child->pid;
}

/* clone(flags, stack, parent_tid, tls, child_tid), for what fork can do. */
int32_t linux_clone(const trap_frame_t *call)
{
    uint32_t flags = call->ebx;
    task_t *child;
    int err;

    if ((flags & ~(uint32_t)CLONE_KNOWN) != 0 || (flags & CLONE_EXIT_SIGNAL) != SIGCHLD)
        return linux_missing(call->eax, "these flags");
    err = task_fork(&child);
    if (err != 0)
        return err;
    if (call->ecx != 0)
        child->frame->esp = call->ecx;
    if ((flags & CLONE_CHILD_SETTID) != 0)
        child->set_child_tid = call->edi;
    if ((flags & CLONE_CHILD_CLEARTID) != 0)
        child->clear_child_tid = call->edi;
    /* As on Linux, a bad address is nobody's error. */
    if ((flags & CLONE_PARENT_SETTID) != 0)
        copy_to_user(call->edx, &child->pid, sizeof child->pid);
    return child->pid;
}

/* --- Waiting */

enum {
    WNOHANG = 1,
    WUNTRACED = 2,
    WCONTINUED = 8,
    WNOTHREAD = 0x20000000,
    WALL = 0x40000000,
    RUSAGE_SIZE = 72,
};
#define WCLONE 0x80000000u

/* rusage: nothing is measured. */
static int32_t wait_for(const trap_frame_t *call, size_t rusage)
{
    const uint32_t options = call->edx;
    int32_t pid = (int32_t)call->ebx;
    int status;

    if ((options & ~(WNOHANG | WUNTRACED | WCONTINUED | WNOTHREAD | WALL | WCLONE)) != 0)
        return -EINVAL;
    if (pid == INT32_MIN)
        return -ESRCH;
    /* __WCLONE: only children that tell their end by another signal. */
    if ((options & (WCLONE | WALL)) == WCLONE)
        return -ECHILD;
    pid = task_wait_child(pid, (options & WNOHANG) == 0, &status);
    if (pid == -EINTR)
        return signal_interrupt(call);
    if (pid <= 0)
        return pid;
    /* The child is gone, even if nobody can be told how. */
    if (call->ecx != 0 && copy_to_user(call->ecx, &status, sizeof status) != 0)
        return -EFAULT;
    if (rusage != 0 && clear_user(rusage, RUSAGE_SIZE) != 0)
        return -EFAULT;
    return pid;
}

int32_t linux_waitpid(const trap_frame_t *call)
{
    return wait_for(call, 0);
}

int32_t linux_wait4(const trap_frame_t *call)
{
    return wait_for(call, call->esi);
}

int32_t linux_sched_yield(const trap_frame_t *call)
{
    (void)call;
    task_yield();
    return 0;
}

/* --- Process groups: all programs are of one session */

static bool is_group(int group)
{
    for (task_t *task = NULL; (task = task_after(task)) != NULL; )
        if (task->group == group)
            return true;
    return false;
}

int32_t linux_setpgid(const trap_frame_t *call)
{
    int32_t pid = call->ebx != 0 ? (int32_t)call->ebx : task_current->pid;
    int32_t group = call->ecx != 0 ? (int32_t)call->ecx : pid;
    task_t *task = pid > 0 ? task_find(pid) : NULL;

    if (group < 0)
        return -EINVAL;
    if (task == NULL || (task != task_current && task->parent != task_current))
        return -ESRCH;
    if (group != pid && !is_group(group))
        return -EPERM;
    task->group = group;
    return 0;
}

int32_t linux_getpgid(const trap_frame_t *call)
{
    int32_t pid = (int32_t)call->ebx;
    const task_t *task = pid == 0 ? task_current : pid > 0 ? task_find(pid) : NULL;

    return task != NULL ? task->group : -ESRCH;
}

int32_t linux_getpgrp(const trap_frame_t *call)
{
    (void)call;
    return task_current->group;
}
