/*
 * rt_sigaction, sigaction, signal, rt_sigprocmask, sigprocmask, rt_sigpending and
 * sigpending: what they refuse, and what they say of what was set before.
 */
#include "signals.h"

#define NOWHERE 0xc0000000u             /* no program's memory, in Grove and on Linux's i386 */
#define UNMAPPED 16u

static void handler(int signal)
{
    say("handler of %d\n", signal);
}

static void refused_actions(void)
{
    static const struct {
        const char *what;
        int signal;
        bool set;
        int size;
    } cases[] = {
        { "signal 0", 0, true, 8 },
        { "signal -1", -1, true, 8 },
        { "signal 64", 64, true, 8 },
        { "signal 65", 65, true, 8 },
        { "signal 65, only asked", 65, false, 8 },
        { "SIGKILL", SIGKILL, true, 8 },
        { "SIGKILL, only asked", SIGKILL, false, 8 },
        { "SIGSTOP", SIGSTOP, true, 8 },
        { "a mask of 4 bytes", SIGUSR1, true, 4 },
        { "a mask of 0 bytes", SIGUSR1, true, 0 },
        { "a mask of 16 bytes", SIGUSR1, true, 16 },
    };
    action_t action = { SIG_DFL, 0, 0, 0 }, before;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        show(cases[i].what, call(SYS_rt_sigaction, cases[i].signal, cases[i].set ? &action : NULL,
                                 &before, cases[i].size));
    show("action from nowhere", call(SYS_rt_sigaction, SIGUSR1, UNMAPPED, 0, 8));
    show("wrong size and nowhere", call(SYS_rt_sigaction, SIGUSR1, UNMAPPED, 0, 4));
    show("wrong signal and nowhere", call(SYS_rt_sigaction, 0, UNMAPPED, 0, 8));
    action.handler = (uint32_t)handler;
    show("action to nowhere", call(SYS_rt_sigaction, SIGUSR1, &action, UNMAPPED, 8));
    call(SYS_rt_sigaction, SIGUSR1, 0, &before, 8);
    check("it was set all the same", before.handler == (uint32_t)handler);
}

static void kept_actions(void)
{
    action_t action = { (uint32_t)handler, 0xffffffff, 0x12345678, ~(signal_set_t)0 }, before;
    old_action_t old, old_before;

    call(SYS_rt_sigaction, SIGUSR2, &action, 0, 8);
    call(SYS_rt_sigaction, SIGUSR2, 0, &before, 8);
    check("the handler", before.handler == (uint32_t)handler);
    say("flags %08x restorer %08x\n", before.flags, before.restorer);
    say_mask("mask", before.mask);
    call(SYS_sigaction, SIGUSR2, 0, &old);
    say("sigaction: flags %08x mask %08x restorer %08x\n", old.flags, old.mask, old.restorer);
    old = (old_action_t){ SIG_IGN, 0x11ff, SA_RESTART, 5 };
    show("sigaction", call(SYS_sigaction, SIGUSR2, &old, &old_before));
    call(SYS_rt_sigaction, SIGUSR2, 0, &before, 8);
    say("handler %d flags %08x restorer %d\n", before.handler, before.flags, before.restorer);
    say_mask("mask", before.mask);
    show("sigaction of SIGKILL", call(SYS_sigaction, SIGKILL, &old, 0));
    show("sigaction from nowhere", call(SYS_sigaction, SIGUSR2, UNMAPPED, 0));
    show("sigaction to nowhere", call(SYS_sigaction, SIGUSR2, 0, UNMAPPED));
    say("signal: %d\n", call(SYS_signal, SIGUSR2, SIG_DFL));
    check("signal, again", call(SYS_signal, SIGUSR2, handler) == SIG_DFL);
    check("and again", call(SYS_signal, SIGUSR2, SIG_IGN) == (int)handler);
    show("signal of SIGSTOP", call(SYS_signal, SIGSTOP, SIG_IGN));
    show("signal of 70", call(SYS_signal, 70, SIG_IGN));
    call(SYS_rt_sigaction, SIGUSR2, 0, &before, 8);
    say("flags %08x\n", before.flags);
}

static void masks(void)
{
    signal_set_t set = ~(signal_set_t)0;
    uint32_t low = 0x00f0, before = 0;

    say_mask("at first", mask_now());
    change_mask(SIG_SETMASK, set);
    say_mask("all", mask_now());
    change_mask(SIG_UNBLOCK, bit(SIGUSR1) | bit(40));
    say_mask("without 10 and 40", mask_now());
    change_mask(SIG_SETMASK, bit(64));
    change_mask(SIG_BLOCK, bit(SIGHUP));
    say_mask("1 and 64", mask_now());
    show("how 3", call(SYS_rt_sigprocmask, 3, &set, 0, 8));
    show("how 3 without a set", call(SYS_rt_sigprocmask, 3, 0, &set, 8));
    show("4 bytes", call(SYS_rt_sigprocmask, SIG_BLOCK, &set, 0, 4));
    show("from nowhere", call(SYS_rt_sigprocmask, SIG_BLOCK, UNMAPPED, 0, 8));
    set = bit(SIGUSR2);
    show("to nowhere", call(SYS_rt_sigprocmask, SIG_BLOCK, &set, UNMAPPED, 8));
    say_mask("and set", mask_now());
    show("old: set", call(SYS_sigprocmask, SIG_SETMASK, &low, &before));
    say("before %08x\n", before);
    say_mask("the upper half stays", mask_now());
    low = 0xffffffff;
    show("old: block", call(SYS_sigprocmask, SIG_BLOCK, &low, 0));
    say_mask("all below", mask_now());
    low = 0xfffffffe;
    show("old: unblock", call(SYS_sigprocmask, SIG_UNBLOCK, &low, &before));
    say("before %08x\n", before);
    say_mask("1 and 64", mask_now());
    show("old: how -1", call(SYS_sigprocmask, -1, &low, 0));
    show("old: from nowhere", call(SYS_sigprocmask, 0, UNMAPPED, 0));
    show("old: to nowhere", call(SYS_sigprocmask, 0, 0, UNMAPPED));
    change_mask(SIG_SETMASK, 0);
}

static void pending(void)
{
    signal_set_t set = 0x5555555555555555;
    uint32_t low = 0;

    handle(SIGUSR1, handler, 0);
    handle(SIGTERM, handler, 0);
    handle(50, handler, 0);
    change_mask(SIG_SETMASK, bit(SIGUSR1) | bit(SIGTERM) | bit(50) | bit(SIGCHLD));
    raise_signal(SIGTERM);
    raise_signal(SIGUSR1);
    raise_signal(SIGUSR1);
    raise_signal(50);
    raise_signal(SIGCHLD);              /* ignored, but blocked: it waits */
    raise_signal(SIGWINCH);
    show("rt_sigpending", call(SYS_rt_sigpending, &set, 8));
    say_mask("waiting", set);
    set = 0x5555555555555555;
    show("of 2 bytes", call(SYS_rt_sigpending, &set, 2));
    say_mask("waiting", set);
    show("of 9 bytes", call(SYS_rt_sigpending, &set, 9));
    show("to nowhere", call(SYS_rt_sigpending, UNMAPPED, 8));
    show("sigpending", call(SYS_sigpending, &low));
    say("%08x\n", low);
    set_action(SIGTERM, SIG_IGN, 0, 0); /* drops the one that waits */
    call(SYS_rt_sigpending, &set, 8);
    say_mask("waiting", set);
    handle(SIGTERM, handler, 0);
    say_mask("unblocked", change_mask(SIG_SETMASK, 0));
    call(SYS_rt_sigpending, &set, 8);
    say_mask("waiting", set);
}

static void suspend(void)
{
    signal_set_t set = bit(SIGUSR2);

    handle(SIGUSR1, handler, 0);
    change_mask(SIG_SETMASK, bit(SIGUSR1) | bit(SIGTERM));
    raise_signal(SIGUSR1);
    show("sigsuspend of 4 bytes", call(SYS_rt_sigsuspend, &set, 4));
    show("sigsuspend from nowhere", call(SYS_rt_sigsuspend, UNMAPPED, 8));
    say("sigsuspend: %d\n", call(SYS_rt_sigsuspend, &set, 8));
    say_mask("afterwards", mask_now());
    change_mask(SIG_SETMASK, 0);
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    refused_actions();
    kept_actions();
    masks();
    pending();
    suspend();
    show("kill with 65", call(SYS_kill, call(SYS_getpid), 65));
    show("tkill with -1", call(SYS_tkill, call(SYS_gettid), -1));
    show("kill with 0", call(SYS_kill, call(SYS_getpid), 0));
    return 0;
}
