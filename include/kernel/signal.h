/*
 * Signals: what a program does with each of them, which of them wait, and how one
 * gets to its handler.
 *
 * A signal waits in `pending` from signal_send or signal_force until signal_deliver
 * takes it, on the way back to ring 3. A running program's signals become
 * deliverable only by its own system calls and traps, so only these look: a system
 * call by one test of task->work, a trap that sends a signal by signal_deliver
 * itself. Another way into ring 3, such as a new task's first, has to call
 * signal_deliver when task->signal_waiting is set.
 */
#ifndef KERNEL_SIGNAL_H
#define KERNEL_SIGNAL_H

#include <kernel/fault.h>
#include <x86/trap_frame.h>

struct task;

enum { SIGNAL_MAX = 64 };

/* A set of signals: bit n - 1 is signal n. */
typedef uint64_t signal_set_t;

static inline signal_set_t signal_bit(int signal)
{
    return (signal_set_t)1 << (signal - 1);
}

/* Instead of a handler's address. */
#define SIGNAL_DEFAULT 0u
#define SIGNAL_IGNORE  1u

/* Flags of an action, with Linux's values; others are dropped. */
#define SA_NOCLDSTOP 0x00000001u
#define SA_NOCLDWAIT 0x00000002u
#define SA_SIGINFO   0x00000004u
#define SA_EXPOSE    0x00000800u    /* SA_EXPOSE_TAGBITS: kept, without effect */
#define SA_RESTORER  0x04000000u
#define SA_ONSTACK   0x08000000u
#define SA_RESTART   0x10000000u
#define SA_NODEFER   0x40000000u
#define SA_RESETHAND 0x80000000u
#define SA_KNOWN     0xdc000807u

/* Where a signal comes from, with Linux's values. */
enum {
    SI_USER = 0, SI_TKILL = -6, SI_KERNEL = 0x80,
    ILL_ILLOPN = 2,
    FPE_INTDIV = 1, FPE_FLTDIV = 3, FPE_FLTOVF = 4, FPE_FLTUND = 5, FPE_FLTRES = 6,
    FPE_FLTINV = 7,
    SEGV_MAPERR = 1, SEGV_ACCERR = 2,
    BUS_ADRALN = 1, BUS_ADRERR = 2,
    TRAP_BRKPT = 1, TRAP_TRACE = 2,
    CLD_EXITED = 1, CLD_KILLED = 2,
};

/* Linux's struct sigaction, as rt_sigaction passes it. */
typedef struct signal_action {
    uint32_t handler;
    uint32_t flags;         /* SA_* */
    uint32_t restorer;      /* where a handler returns to, if SA_RESTORER is set */
    signal_set_t mask;      /* blocked as well while the handler runs */
} signal_action_t;

/* What a program is told of a signal besides its number. */
typedef struct signal_info {
    int32_t code;           /* SI_USER ... */
    union {
        uint32_t address;   /* of a trap; 0: none */
        int32_t pid;        /* SI_USER, SI_TKILL: who sent it */
    };
    uint32_t uid;
    int32_t status;         /* SIGCHLD: the exit code, or the signal */
} signal_info_t;

/* The alternate stack, as in Linux's stack_t. */
typedef struct signal_stack {
    uint32_t base;
    uint32_t flags;         /* SS_*, as the program gave them */
    uint32_t size;          /* bytes; 0: there is none */
} signal_stack_t;

#define SS_ONSTACK    1u
#define SS_DISABLE    2u
#define SS_AUTODISARM 0x80000000u   /* there is none while a handler runs on it */
enum { SIGNAL_STACK_MIN = 2048 };

/* Guards: all of it (k) the kernel: it is never preempted */
typedef struct signal_state {
    /* fork inherits these, see signal_inherit */
    signal_action_t actions[SIGNAL_MAX];    /* of signal n at n - 1 */
    signal_set_t blocked;           /* never SIGKILL and SIGSTOP */
    signal_stack_t stack;
    uint32_t trap, error, address;  /* sigcontext's: of the last trap that sent a signal */

    /* and these begin empty */
    signal_set_t pending;           /* at most one of each signal waits */
    signal_info_t infos[SIGNAL_MAX];        /* of those in `pending` */
    signal_set_t kept_mask;         /* `blocked` is to be this again after a handler */
    bool has_kept_mask;             /* kept_mask counts: rt_sigsuspend */
    uint32_t interrupted_call;      /* number of the call that signal_interrupt ends; 0: none */
} signal_state_t;

/* Why a call ends that may be made again (signal_interrupt). Programs never see it. */
#define ERESTARTSYS 512

/*
 * Send a signal to a task: it waits there, or is dropped if the task ignores it and
 * does not block it.
 *
 * => signal: 1 .. SIGNAL_MAX
 * => a task that sleeps (TASK_WAITING) becomes ready if the signal can be delivered;
 *    what it waits for has to be looked at again
 * => of a signal that waits already the first info is kept
 */
void signal_send(struct task *task, int signal, const signal_info_t *info);

/*
 * Send the current task a signal that it cannot escape: if it blocks or ignores it,
 * it will die of it.
 */
void signal_force(int signal, const signal_info_t *info);

/*
 * A trap of the current task, in ring 3: signal_force, and the trap's vector and
 * error for sigcontext. Then signal_deliver.
 *
 * => fault: NULL unless it is a page fault; its address and code are sigcontext's
 * => returns with the frame changed to begin the handler, or ends the task
 */
void signal_trap(int signal, const signal_info_t *info, trap_frame_t *frame,
                 const fault_t *fault);

/*
 * Deliver what can be delivered to the current task: `frame` then begins the last
 * handler, each other one is returned to; or end the task.
 *
 * => frame: what the way back to ring 3 loads, with the call's result in eax
 * => fault: the page fault that sends a signal now, for the report, or NULL
 * => afterwards task->signal_waiting is false
 */
void signal_deliver(trap_frame_t *frame, const fault_t *fault);

/*
 * End a call that sleeps, because task_current->signal_waiting is set:
 * `return signal_interrupt(call);`.
 *
 * => -ERESTARTSYS; signal_deliver makes it -EINTR for a handler without SA_RESTART,
 *    and otherwise has the call made again
 */
int32_t signal_interrupt(const trap_frame_t *call);

/* Set the current task's mask, without SIGKILL and SIGSTOP. */
void signal_set_mask(signal_set_t mask);

/*
 * Set what the current task does on a signal; waiting signals that it ignores now
 * are dropped.
 */
void signal_set_action(int signal, const signal_action_t *action);

/* Whether the task would stop now if the signal was sent: there is no stopping yet. */
bool signal_stops(const struct task *task, int signal);

/* Whether it would end: no handler, not ignored, not blocked. */
bool signal_kills(const struct task *task, int signal);

/* Set a task's signal_waiting after its mask or its pending signals changed. */
void signal_update(struct task *task);

/*
 * What a forked task has of its parent's: actions, mask, alternate stack. Nothing
 * is pending.
 */
void signal_inherit(struct task *child, const struct task *parent);

/* The alternate stack is there, and this stack pointer is on it. */
bool signal_on_stack(const signal_stack_t *stack, uint32_t esp);

#endif
