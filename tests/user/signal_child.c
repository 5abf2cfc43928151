/*
 * Signals between programs: the end of a child, and one that another program sends.
 * The parent learns of each thing when it waits, so nothing depends on who runs first.
 */
#include "signals.h"

enum {
    SYS_fork = 2, SYS_waitpid = 7, SYS_sched_yield = 158, SIGCHLD_ = 17,
};

static volatile int seen;

static void say_child(int signal, siginfo_t *info, ucontext_t *context)
{
    (void)context;
    seen++;
    say("signal %d: code %d, status %d\n", signal, info->code, (int)info->rest[0]);
}

static void count(int signal)
{
    (void)signal;
    seen++;
}

static void say_wait(int pid, int options)
{
    int status = 0x5555;
    int result = call(SYS_waitpid, pid, &status, options);

    if (is_error(result))
        say("wait: error %d\n", -result);
    else
        say("wait: %s, status %x\n", result == pid ? "it" : result == 0 ? "none" : "another",
            status & ~0x80);
}

static void ends(void)
{
    int pid;

    handle_info(SIGCHLD_, say_child, 0);
    pid = call(SYS_fork);
    if (pid == 0)
        leave(7);
    say_wait(pid, 0);
    pid = call(SYS_fork);
    if (pid == 0)
        call(SYS_kill, call(SYS_getpid), SIGKILL);
    say_wait(pid, 0);
    say("told %d times\n", seen);
}

/* The child runs with its parent's handlers, and with nothing that waited there. */
static void inherited(void)
{
    int pid;

    seen = 0;
    set_action(SIGCHLD_, 0, 0, 0);
    handle(SIGUSR1, count, 0);
    change_mask(SIG_BLOCK, bit(SIGUSR1));
    raise_signal(SIGUSR1);
    pid = call(SYS_fork);
    if (pid == 0) {
        change_mask(SIG_UNBLOCK, bit(SIGUSR1));
        if (seen != 0)
            leave(1);
        raise_signal(SIGUSR1);
        leave(seen == 1 ? 0 : 2);
    }
    say_wait(pid, 0);
    change_mask(SIG_UNBLOCK, bit(SIGUSR1));
    say("the parent's own: %d\n", seen);
}

/* On Linux both run at once: let the parent come to where it waits. */
static void spin(void)
{
    for (volatile int i = 0; i < 30000000; i++)
        ;
}

/* A child that sends its waiting parent a signal, and then ends. */
static void interrupted(uint32_t flags)
{
    int pid;

    seen = 0;
    handle(SIGUSR1, count, flags);
    pid = call(SYS_fork);
    if (pid == 0) {
        spin();
        call(SYS_kill, call(SYS_getppid), SIGUSR1);
        call(SYS_sched_yield);
        spin();
        leave(3);
    }
    say_wait(pid, 0);
    say("handled: %d\n", seen);
    if (flags == 0)
        say_wait(pid, 0);
}

/* One that blocks it, one that ignores it, one that has a handler, one that dies. */
static void sent(void)
{
    static const char *const names[] = { "blocked", "ignored", "handled", "deadly" };

    for (int i = 0; i < 4; i++) {
        int pid;

        change_mask(SIG_SETMASK, i == 0 ? bit(SIGTERM) : 0);
        set_action(SIGTERM, i == 1 ? 1 : i == 2 ? (uint32_t)count : 0, 0, 0);
        seen = 0;
        pid = call(SYS_fork);
        if (pid == 0) {
            while (seen == 0)
                call(SYS_sched_yield);
            leave(10 + seen);
        }
        change_mask(SIG_SETMASK, 0);
        set_action(SIGTERM, 0, 0, 0);
        call(SYS_kill, pid, SIGTERM);
        if (i < 2)
            call(SYS_kill, pid, SIGKILL);
        say("%s: ", names[i]);
        say_wait(pid, 0);
    }
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    ends();
    inherited();
    interrupted(0);
    interrupted(SA_RESTART);
    sent();
    return 0;
}
