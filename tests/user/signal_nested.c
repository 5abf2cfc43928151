/*
 * Handlers in handlers: what is blocked in them, SA_NODEFER, SA_RESETHAND, the order of
 * several signals, faults in a handler.
 */
#include "signals.h"

static int depth, deepest, begun;

static void recursive(int signal)
{
    depth++;
    begun++;
    if (depth > deepest)
        deepest = depth;
    if (begun < 5)
        raise_signal(signal);
    depth--;
}

static void say_number(int signal)
{
    say("handler of %d\n", signal);
    say_mask("  mask", mask_now());
}

static void send_three(int signal)
{
    say("handler of %d begins\n", signal);
    raise_signal(SIGTERM);
    raise_signal(SIGUSR2);
    raise_signal(SIGUSR2);
    raise_signal(SIGSYS);
    say("handler of %d ends\n", signal);
}

static void order(void)
{
    static const int signals[] = { SIGHUP, SIGUSR1, SIGUSR2, SIGTERM, SIGSYS, SIGSEGV, 34, 64 };

    say("--- in which order\n");
    change_mask(SIG_SETMASK, ~(signal_set_t)0);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        handle(signals[i], say_number, 0);
        raise_signal(signals[i]);
    }
    change_mask(SIG_SETMASK, 0);
    say_mask("afterwards", mask_now());
}

static void blocked_by_mask(void)
{
    say("--- sa_mask\n");
    set_action(SIGUSR1, (uint32_t)send_three, 0, bit(SIGTERM) | bit(SIGUSR2) | bit(SIGSYS));
    raise_signal(SIGUSR1);
    say_mask("afterwards", mask_now());
    say("--- without sa_mask\n");
    set_action(SIGUSR1, (uint32_t)send_three, 0, 0);
    raise_signal(SIGUSR1);
}

static void flags(void)
{
    action_t action;

    say("--- SA_NODEFER\n");
    handle(SIGUSR1, recursive, SA_NODEFER);
    raise_signal(SIGUSR1);
    say("deepest %d\n", deepest);
    deepest = begun = 0;
    handle(SIGUSR1, recursive, 0);
    raise_signal(SIGUSR1);
    say("without it %d, and %d times\n", deepest, begun);
    say("--- SA_RESETHAND\n");
    handle(SIGUSR1, say_number, SA_RESETHAND);
    raise_signal(SIGUSR1);
    call(SYS_rt_sigaction, SIGUSR1, 0, &action, 8);
    say("handler %d flags %08x\n", action.handler, action.flags);
    handle(SIGUSR1, say_number, SA_RESETHAND | SA_NODEFER);
    raise_signal(SIGUSR1);
    say("--- ignored\n");
    set_action(SIGUSR1, SIG_IGN, 0, 0);
    raise_signal(SIGUSR1);
    set_action(SIGCHLD, SIG_DFL, 0, 0);
    raise_signal(SIGCHLD);
    change_mask(SIG_BLOCK, bit(SIGUSR1));
    raise_signal(SIGUSR1);              /* waits, although ignored */
    handle(SIGUSR1, say_number, 0);
    change_mask(SIG_UNBLOCK, bit(SIGUSR1));
}

static int level;

/* A fault in the handler of a fault, three times. */
static void fault_again(int signal, siginfo_t *info, ucontext_t *at)
{
    uint32_t resume = signals_resume;

    level++;
    say("%d: signal %d at %x\n", level, signal, signal == SIGFPE ? 0 : info->address);
    if (level < 4)
        FAULTING("movl %0, (%0)", "r"(level * 16));
    say("%d: goes back, cr2 %x\n", level, signal == SIGFPE ? 0 : at->context.cr2);
    level--;
    at->context.eip = resume;
}

static void faults(void)
{
    say("--- faults in handlers\n");
    handle_info(SIGSEGV, fault_again, SA_NODEFER);
    FAULTING("movl %0, (%0)", "r"(8));
    say("--- of another kind\n");
    level = 2;
    handle_info(SIGSEGV, fault_again, 0);
    handle_info(SIGFPE, fault_again, 0);
    FAULTING("xorl %%edx, %%edx\n divl %%edx", "r"(0));
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    order();
    blocked_by_mask();
    flags();
    faults();
    return 0;
}
