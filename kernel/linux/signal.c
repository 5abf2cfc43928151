/*
 * Calls that say what happens on a signal: actions, the mask, the alternate stack.
 */
#include <kernel/string.h>
#include "linux.h"

enum { SIG_BLOCK = 0, SIG_UNBLOCK = 1, SIG_SETMASK = 2 };

enum { LOW_WORD = 4 };                  /* bytes of the mask that the old calls know */

static signal_state_t *own_state(void)
{
    return &task_current->signals;
}

/* --- Actions */

static bool is_signal(uint32_t signal)
{
    return signal >= 1 && signal <= SIGNAL_MAX;
}

/* => 0, and *before; -EINVAL: no such signal, or one that has only its default */
static int32_t change_action(uint32_t signal, const signal_action_t *action,
                             signal_action_t *before)
{
    if (!is_signal(signal))
        return -EINVAL;
    if (action != NULL && (signal == SIGKILL || signal == SIGSTOP))
        return -EINVAL;
    *before = own_state()->actions[signal - 1];
    if (action != NULL)
        signal_set_action((int)signal, action);
    return 0;
}

int32_t linux_rt_sigaction(const trap_frame_t *call)
{
    signal_action_t action, before;
    int32_t result;

    if (call->esi != sizeof(signal_set_t))
        return -EINVAL;
    if (call->ecx != 0 && copy_from_user(&action, call->ecx, sizeof action) != 0)
        return -EFAULT;
    result = change_action(call->ebx, call->ecx != 0 ? &action : NULL, &before);
    if (result == 0 && call->edx != 0)
        result = copy_to_user(call->edx, &before, sizeof before);
    return result;
}

/* Linux's struct old_sigaction. */
typedef struct old_action {
    uint32_t handler, mask, flags, restorer;
} old_action_t;

int32_t linux_sigaction(const trap_frame_t *call)
{
    signal_action_t action, before;
    old_action_t old;
    int32_t result;

    if (call->ecx != 0) {
        if (copy_from_user(&old, call->ecx, sizeof old) != 0)
            return -EFAULT;
        action = (signal_action_t){ old.handler, old.flags, old.restorer, old.mask };
    }
    result = change_action(call->ebx, call->ecx != 0 ? &action : NULL, &before);
    if (result != 0 || call->edx == 0)
        return result;
    old = (old_action_t){ before.handler, (uint32_t)before.mask, before.flags, before.restorer };
    return copy_to_user(call->edx, &old, sizeof old);
}

int32_t linux_signal(const trap_frame_t *call)
{
    const signal_action_t action = { .handler = call->ecx, .flags = SA_RESETHAND | SA_NODEFER };
    signal_action_t before;
    int32_t result = change_action(call->ebx, &action, &before);

    return result != 0 ? result : (int32_t)before.handler;
}

/* --- The mask */

/* => 0, and *mask as `how` changes it by `set`; -EINVAL */
static int32_t combine(uint32_t how, signal_set_t set, signal_set_t *mask)
{
    switch (how) {
    case SIG_BLOCK:
        *mask |= set;
        return 0;
    case SIG_UNBLOCK:
        *mask &= ~set;
        return 0;
    case SIG_SETMASK:
        *mask = set;
        return 0;
    default:
        return -EINVAL;
    }
}

int32_t linux_rt_sigprocmask(const trap_frame_t *call)
{
    signal_set_t before = own_state()->blocked, mask = before, set;
    int32_t result;

    if (call->esi != sizeof set)
        return -EINVAL;
    if (call->ecx != 0) {
        if (copy_from_user(&set, call->ecx, sizeof set) != 0)
            return -EFAULT;
        result = combine(call->ebx, set, &mask);
        if (result != 0)
            return result;
        signal_set_mask(mask);
    }
    return call->edx != 0 ? copy_to_user(call->edx, &before, sizeof before) : 0;
}

/* Of the lower half only: the upper one stays. */
int32_t linux_sigprocmask(const trap_frame_t *call)
{
    const signal_set_t upper = own_state()->blocked & ~(signal_set_t)UINT32_MAX;
    uint32_t before = (uint32_t)own_state()->blocked, set;
    signal_set_t mask = before;
    int32_t result;

    if (call->ecx != 0) {
        if (copy_from_user(&set, call->ecx, sizeof set) != 0)
            return -EFAULT;
        result = combine(call->ebx, set, &mask);
        if (result != 0)
            return result;
        signal_set_mask(upper | mask);
    }
    return call->edx != 0 ? copy_to_user(call->edx, &before, sizeof before) : 0;
}

static int32_t put_pending(size_t address, size_t size)
{
    const signal_set_t set = own_state()->pending & own_state()->blocked;

    return copy_to_user(address, &set, size);
}

int32_t linux_sigpending(const trap_frame_t *call)
{
    return put_pending(call->ebx, LOW_WORD);
}

int32_t linux_rt_sigpending(const trap_frame_t *call)
{
    return call->ecx > sizeof(signal_set_t) ? -EINVAL : put_pending(call->ebx, call->ecx);
}

/* Only for a signal that waits already: nobody else could send one. */
int32_t linux_rt_sigsuspend(const trap_frame_t *call)
{
    signal_state_t *state = own_state();
    const signal_set_t before = state->blocked;
    signal_set_t mask;

    if (call->ecx != sizeof mask)
        return -EINVAL;
    if (copy_from_user(&mask, call->ebx, sizeof mask) != 0)
        return -EFAULT;
    signal_set_mask(mask);
    if (!task_current->signal_waiting) {
        signal_set_mask(before);
        return linux_missing(call->eax, "a signal that is still to come");
    }
    state->kept_mask = before;
    state->has_kept_mask = true;
    return -EINTR;
}

/* --- The alternate stack */

/* => of an automatically disarmed one nobody can tell */
static bool is_on_stack(const signal_stack_t *stack, uint32_t esp)
{
    return (stack->flags & SS_AUTODISARM) == 0 && signal_on_stack(stack, esp);
}

int32_t linux_set_signal_stack(const signal_stack_t *stack, uint32_t esp)
{
    signal_stack_t *own = &own_state()->stack;
    const uint32_t mode = stack->flags & ~SS_AUTODISARM;

    if (is_on_stack(own, esp))
        return -EPERM;
    if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
        return -EINVAL;
    if (memcmp(stack, own, sizeof *own) == 0)
        return 0;                       /* also the one of no bytes that is there at first */
    if (mode == SS_DISABLE)
        *own = (signal_stack_t){ .flags = stack->flags };
    else if (stack->size < SIGNAL_STACK_MIN)
        return -ENOMEM;
    else
        *own = *stack;
    return 0;
}

/* What sigaltstack says of it: whether the program is on it, not what it asked for. */
static signal_stack_t describe_stack(const signal_stack_t *own, uint32_t esp)
{
    signal_stack_t stack = *own;

    stack.flags &= SS_AUTODISARM;
    if (own->size == 0)
        stack.flags |= SS_DISABLE;
    else if (is_on_stack(own, esp))
        stack.flags |= SS_ONSTACK;
    return stack;
}

int32_t linux_sigaltstack(const trap_frame_t *call)
{
    const signal_stack_t before = describe_stack(&own_state()->stack, call->esp);
    signal_stack_t stack;
    int32_t result;

    if (call->ebx != 0) {
        if (copy_from_user(&stack, call->ebx, sizeof stack) != 0)
            return -EFAULT;
        result = linux_set_signal_stack(&stack, call->esp);
        if (result != 0)
            return result;
    }
    return call->ecx != 0 ? copy_to_user(call->ecx, &before, sizeof before) : 0;
}
