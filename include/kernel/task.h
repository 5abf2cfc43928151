/*
 * Tasks: a program in ring 3, or the kernel's own first one.
 *
 * The kernel is never preempted; it gives up the processor only in task_wait,
 * task_wait_child, task_yield and task_exit, which assert that no lock is held and the
 * linear space is left. So a task that is not current holds nothing in the kernel but
 * what its task_t says, and can be ended at any time.
 */
#ifndef KERNEL_TASK_H
#define KERNEL_TASK_H

#include <kernel/fault.h>
#include <kernel/inode.h>
#include <kernel/memory.h>
#include <kernel/signal.h>
#include <kernel/trap.h>
#include <kernel/types.h>

enum {
    TASK_NAME_MAX = 32,
    TASK_FILES_MAX = 64,
    TASK_STACK_SIZE = 2 * PAGE_SIZE,
    TASK_LIMITS_COUNT = 16,
};

/* A limit, and how far a program may raise it itself. */
#define TASK_NO_LIMIT UINT64_MAX
typedef struct task_limit {
    uint64_t soft;
    uint64_t hard;
} task_limit_t;

typedef enum task_state { TASK_READY, TASK_RUNNING, TASK_WAITING, TASK_ENDED } task_state_t;

struct file;

/* Guards: all of it (k) the kernel: it is never preempted */
typedef struct task {
    int pid;
    int group;                  /* process group: the pid of who made it */
    task_state_t state;
    int exit_status;            /* wait4's encoding: code << 8, or the signal */
    struct task *parent;
    bool adopted;               /* its parent ended: nobody but the kernel waits for it */
    struct task *next;          /* all tasks in a ring, by age */
    struct task *previous;
    char name[TASK_NAME_MAX];
    inode_t *program;           /* the file it was loaded from, with a reference */

    size_t kernel_stack;        /* lowest address; the page below is a guard */
    size_t saved_stack;         /* where trap_switch goes on */
    trap_frame_t *frame;        /* ring 3's registers, at the stack's upper end */
    mspace_t *mspace;           /* NULL: a kernel task */
    int error;                  /* errno for calls that return pointers */

    fpu_state_t *fpu;
    uint32_t tls[GDT_TLS_COUNT][2];
    uint16_t fs, gs;
    size_t set_child_tid;       /* where its pid is written before it begins; 0: nowhere */
    size_t clear_child_tid;     /* kept for threads; nobody else can see it be cleared */
    struct file *files[TASK_FILES_MAX];
    task_limit_t limits[TASK_LIMITS_COUNT];     /* kernel/linux/limits.c */
    uint64_t unknown_calls[8];  /* bit n: call n was answered ENOSYS and logged */
    bool output_to_port;        /* fd 1 goes to the debug port, fd 0 is empty */
    union {
        uint16_t work;          /* not 0: the end of a system call has to look at these */
        struct {
            bool out_of_memory;     /* a copy to or from ring 3 found no page */
            bool signal_waiting;    /* signal_deliver has something to do */
        };
    };
    signal_state_t signals;
} task_t;

/* The one that runs; never NULL once task_init was called. */
extern task_t *task_current;

/* Make the running kernel its first task, and answer the traps of ring 3. */
void task_init(void);

/*
 * Start a program: load the ELF file `ino` into a new space with these
 * arguments.
 *
 * => the task, ready to run; NULL and *why set to a sentence
 * => argv, envp: NULL-terminated
 * => takes its own reference on ino; the caller keeps its own
 */
task_t *task_create(inode_t *ino, const char *name, char *const argv[],
                    char *const envp[], const char **why);

/*
 * A child of the current task, like it in everything but what Linux's fork says: its
 * space is a clone (mspace_clone), its files are the same open files, eax is 0.
 *
 * => 0 and *child, ready to run; -EAGAIN: no number is free; -ENOMEM
 * => the frame at child->frame may be changed until it runs
 */
int task_fork(task_t **child);

/*
 * The kernel: run others until this one, which it made, has ended; free it; return
 * its exit_status.
 *
 * => frees ended tasks that were adopted, too
 */
int task_wait(task_t *task);

/*
 * Wait for a child of the current task to end, and free it.
 *
 * => pid: as waitpid's: > 0 that one; -1 any; 0 any of the own group; < -1 of group -pid
 * => its pid, and *exit_status; 0: none has ended, and not `block`; -ECHILD: there is
 *    no such child; -EINTR: none has ended, and a signal is to be delivered
 */
int task_wait_child(int pid, bool block, int *exit_status);

/* Let the others that can run go first. */
void task_yield(void);

/* End the current task: its space, stack and files go back. */
_Noreturn void task_exit(int exit_status);

/* The same for another one that has not ended yet: its memory is free at once. */
void task_end(task_t *task, int exit_status);

/* The kernel: end and free all others. */
void task_end_all(void);

/*
 * Kill the current task for a trap whose signal it does not handle, or for a signal
 * that it sent itself by a system call: print the explained report, then task_exit
 * with the signal.
 *
 * => fault: NULL unless the trap is a page fault
 */
_Noreturn void task_kill(int signal, const trap_frame_t *frame, const fault_t *fault);

/* Kill another task by a signal that the current one sent. */
void task_kill_other(task_t *task, int signal);
/* The same for something that the program did in a system call; why: a sentence. */
_Noreturn void task_kill_for(int signal, const trap_frame_t *frame, const char *why);

/* Register the handlers of kill.c; task_init does. */
void task_set_trap_handlers(void);

/*
 * Kill the current task if memory ran out while the kernel copied to or from it:
 * at the end of a system call, whatever it would answer.
 */
void task_check_memory(const trap_frame_t *frame);

/*
 * Memory ran out for the current task: trim the kernel's heap; if that gave nothing, kill
 * the largest program. Of equal ones the youngest.
 *
 * => true: there is memory again; false: the largest is the current one, which is the
 *    caller's to kill
 * => no lock is held, not even of the current task's space
 */
bool oom_make_room(void);

/* One line: who was killed for want of memory, and the figures. => before it ends */
void oom_report(const task_t *task);

/* => NULL: none; one that ended and was not waited for is one */
task_t *task_find(int pid);

/* The tasks but the kernel, the oldest first. => after: NULL at first; NULL: no other */
task_t *task_after(const task_t *after);

/* Signals, with Linux's numbers. */
#define SIGINT   2
#define SIGILL   4
#define SIGTRAP  5
#define SIGABRT  6
#define SIGBUS   7
#define SIGFPE   8
#define SIGKILL  9
#define SIGSEGV 11
#define SIGTERM 15
#define SIGCHLD 17
#define SIGCONT 18
#define SIGSTOP 19
#define SIGTTOU 22
#define SIGURG  23
#define SIGWINCH 28
#define SIGSYS  31

#endif
