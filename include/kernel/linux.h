/*
 * The system calls of ring 3: Linux's numbers, arguments and results on i386.
 */
#ifndef KERNEL_LINUX_H
#define KERNEL_LINUX_H

#include <kernel/task.h>

/*
 * Answer `int 0x80`: the number is in eax, the arguments in ebx, ecx, edx, esi,
 * edi, ebp; the result or a negative errno comes back in eax.
 *
 * => a call that is not there answers -ENOSYS, and is logged once per program
 * => does not return from exit, exit_group, or a deadly signal
 */
void linux_system_call(trap_frame_t *frame);

/* Give a new task its files 0, 1 and 2: the console, or the debug port. */
void linux_open_standard_files(task_t *task);

/* Let a new task, which has no files yet, have all files of another one open, too. */
void linux_hold_files(task_t *task, const task_t *from);

/* Give a new task Linux's limits. */
void linux_init_limits(task_t *task);

/* Close whatever the task has open. */
void linux_close_files(task_t *task);

/*
 * Write the frame of a signal handler to the current program's stack, or to its
 * alternate one, and change `frame` to begin the handler there.
 *
 * => mask: what is blocked again when the handler returns
 * => 0, -EFAULT: no room there; `frame` and the floating-point state are as before
 */
int linux_push_signal_frame(trap_frame_t *frame, int signal, const signal_action_t *action,
                            const signal_info_t *info, signal_set_t mask);

#endif
