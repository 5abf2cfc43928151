/*
 * Signals from the sender to the handler. What a handler's frame on the program's
 * stack looks like, only kernel/linux/ knows.
 */
#include <kernel/errno.h>
#include <kernel/linux.h>
#include <kernel/printk.h>
#include <kernel/signal.h>
#include <kernel/task.h>

enum { INT_LENGTH = 2 };                /* bytes of `int 0x80` */

/* Delivered before all others: what the program itself does wrong. */
static const signal_set_t synchronous =
    1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1) | 1ull << (SIGILL - 1) | 1ull << (SIGTRAP - 1)
    | 1ull << (SIGFPE - 1) | 1ull << (SIGSYS - 1);

static const signal_set_t unblockable = 1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1);

static signal_action_t *action_of(signal_state_t *state, int signal)
{
    return &state->actions[signal - 1];
}

/* The default is to do nothing. */
static bool is_ignored_by_default(int signal)
{
    return signal == SIGCHLD || signal == SIGCONT || signal == SIGURG || signal == SIGWINCH;
}

static bool stops_by_default(int signal)
{
    return signal >= SIGSTOP && signal <= SIGTTOU;
}

static bool is_ignored(const signal_action_t *action, int signal)
{
    return action->handler == SIGNAL_IGNORE
        || (action->handler == SIGNAL_DEFAULT && is_ignored_by_default(signal));
}

bool signal_stops(const task_t *task, int signal)
{
    return stops_by_default(signal) && task->signals.actions[signal - 1].handler == SIGNAL_DEFAULT;
}

bool signal_kills(const task_t *task, int signal)
{
    const signal_state_t *state = &task->signals;

    return (state->blocked & signal_bit(signal)) == 0
        && state->actions[signal - 1].handler == SIGNAL_DEFAULT
        && !is_ignored_by_default(signal) && !stops_by_default(signal);
}

void signal_update(task_t *task)
{
    const signal_state_t *state = &task->signals;

    task->signal_waiting = (state->pending & ~state->blocked) != 0 || state->has_kept_mask
                        || state->interrupted_call != 0;
}

void signal_inherit(task_t *child, const task_t *parent)
{
    signal_state_t *state = &child->signals;

    *state = parent->signals;
    state->pending = 0;
    state->has_kept_mask = false;
    state->interrupted_call = 0;
    child->signal_waiting = false;
}

/* --- Sending */

static void make_pending(task_t *task, int signal, const signal_info_t *info)
{
    signal_state_t *state = &task->signals;

    if ((state->pending & signal_bit(signal)) == 0)
        state->infos[signal - 1] = *info;
    state->pending |= signal_bit(signal);
    signal_update(task);
}

void signal_send(task_t *task, int signal, const signal_info_t *info)
{
    signal_state_t *state = &task->signals;

    ASSERT(signal >= 1 && signal <= SIGNAL_MAX);
    if ((state->blocked & signal_bit(signal)) == 0
        && is_ignored(action_of(state, signal), signal))
        return;
    make_pending(task, signal, info);
    if (task->signal_waiting && task->state == TASK_WAITING)
        task->state = TASK_READY;
}

void signal_force(int signal, const signal_info_t *info)
{
    signal_state_t *state = &task_current->signals;
    signal_action_t *action = action_of(state, signal);

    if ((state->blocked & signal_bit(signal)) != 0 || action->handler == SIGNAL_IGNORE)
        action->handler = SIGNAL_DEFAULT;
    state->blocked &= ~signal_bit(signal);
    make_pending(task_current, signal, info);
}

/* --- What a program sets */

void signal_set_mask(signal_set_t mask)
{
    task_current->signals.blocked = mask & ~unblockable;
    signal_update(task_current);
}

void signal_set_action(int signal, const signal_action_t *action)
{
    signal_state_t *state = &task_current->signals;
    signal_action_t *own = action_of(state, signal);

    *own = *action;
    own->flags &= SA_KNOWN;
    own->mask &= ~unblockable;
    if (is_ignored(own, signal))
        state->pending &= ~signal_bit(signal);
    signal_update(task_current);
}

/* The upper end of the alternate stack is on it: that is where it begins empty. */
bool signal_on_stack(const signal_stack_t *stack, uint32_t esp)
{
    return esp > stack->base && esp - stack->base <= stack->size;
}

/* --- Delivery */

/* => the number of the next signal, which is no longer pending; 0: none */
static int take_pending(signal_state_t *state, signal_info_t *info)
{
    signal_set_t ready = state->pending & ~state->blocked;
    int signal = 1;

    if ((ready & synchronous) != 0)
        ready &= synchronous;
    if (ready == 0)
        return 0;
    while ((ready & signal_bit(signal)) == 0)
        signal++;
    state->pending &= ~signal_bit(signal);
    *info = state->infos[signal - 1];
    return signal;
}

int32_t signal_interrupt(const trap_frame_t *call)
{
    task_current->signals.interrupted_call = call->eax;
    return -ERESTARTSYS;
}

/*
 * Finish the call that signal_interrupt ended: it is made again, or answers -EINTR.
 *
 * => action: of the handler that begins first; NULL: none does
 */
static void finish_call(signal_state_t *state, const signal_action_t *action, trap_frame_t *frame)
{
    if (state->interrupted_call == 0)
        return;
    if (action != NULL && (action->flags & SA_RESTART) == 0) {
        frame->eax = (uint32_t)-EINTR;
    } else {
        frame->eax = state->interrupted_call;
        frame->eip -= INT_LENGTH;
    }
    state->interrupted_call = 0;
}

/* No handler did, so rt_sigsuspend's mask ends here. */
static void restore_kept_mask(signal_state_t *state)
{
    if (!state->has_kept_mask)
        return;
    state->has_kept_mask = false;
    state->blocked = state->kept_mask;
}

static signal_set_t mask_to_keep(const signal_state_t *state)
{
    return state->has_kept_mask ? state->kept_mask : state->blocked;
}

/* Die of it. What the kernel forces is no page fault and no trap, then it is a frame. */
static _Noreturn void die(int signal, const signal_info_t *info, const trap_frame_t *frame,
                          const fault_t *fault)
{
    if (fault == NULL && frame->vector == TRAP_SYSTEM_CALL && info->code == SI_KERNEL)
        task_kill_for(signal, frame, "it returned from a handler by a frame that is none");
    task_kill(signal, frame, fault);
}

/* The stack has no place for the handler's frame: SIGSEGV, and for that one death. */
static void give_up_handler(int signal, const trap_frame_t *frame, const fault_t *fault)
{
    static const signal_info_t info = { .code = SI_KERNEL };
    signal_state_t *state = &task_current->signals;
    signal_action_t *action = action_of(state, SIGSEGV);

    task_check_memory(frame);
    if (signal != SIGSEGV && action->handler > SIGNAL_IGNORE
        && (state->blocked & signal_bit(SIGSEGV)) == 0) {
        signal_force(SIGSEGV, &info);
        return;
    }
    printk("%s (pid %d): its stack has no room for the frame of a handler, of signal %d\n",
           task_current->name, task_current->pid, signal);
    if (fault != NULL)
        task_kill(SIGSEGV, frame, fault);
    task_kill_for(SIGSEGV, frame, "no room on its stack for a handler's frame");
}

/* => false: the frame could not be written, and nothing of this was done */
static bool begin_handler(int signal, const signal_info_t *info, trap_frame_t *frame)
{
    signal_state_t *state = &task_current->signals;
    signal_action_t *own = action_of(state, signal);
    signal_action_t action = *own;

    finish_call(state, &action, frame);
    if ((action.flags & SA_RESETHAND) != 0)
        own->handler = SIGNAL_DEFAULT;
    if (linux_push_signal_frame(frame, signal, &action, info, mask_to_keep(state)) != 0)
        return false;
    state->has_kept_mask = false;
    state->blocked |= action.mask;
    if ((action.flags & SA_NODEFER) == 0)
        state->blocked |= signal_bit(signal);
    if ((state->stack.flags & SS_AUTODISARM) != 0)
        state->stack = (signal_stack_t){ .flags = SS_DISABLE };
    return true;
}

static void deliver_one(int signal, const signal_info_t *info, trap_frame_t *frame,
                        const fault_t *fault)
{
    const signal_action_t *action = action_of(&task_current->signals, signal);

    if (is_ignored(action, signal) || signal_stops(task_current, signal))
        return;
    if (action->handler == SIGNAL_DEFAULT)
        die(signal, info, frame, fault);
    if (!begin_handler(signal, info, frame))
        give_up_handler(signal, frame, fault);
}

void signal_deliver(trap_frame_t *frame, const fault_t *fault)
{
    signal_state_t *state = &task_current->signals;
    signal_info_t info;
    int signal;

    do {
        while ((signal = take_pending(state, &info)) != 0) {
            deliver_one(signal, &info, frame, fault);
            fault = NULL;               /* the trap's signal was the first */
        }
        finish_call(state, NULL, frame);
        restore_kept_mask(state);
    } while ((state->pending & ~state->blocked) != 0);
    signal_update(task_current);
}

void signal_trap(int signal, const signal_info_t *info, trap_frame_t *frame,
                 const fault_t *fault)
{
    signal_state_t *state = &task_current->signals;

    state->trap = frame->vector;
    state->error = frame->error;
    if (fault != NULL) {
        state->error = fault->code | FAULT_USER;
        state->address = fault->address;
    }
    signal_force(signal, info);
    signal_deliver(frame, fault);
}
