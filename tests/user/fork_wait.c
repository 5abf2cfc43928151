/*
 * Waiting: statuses, options, groups, errors; kill of a child; zombies.
 */
#include "fork.h"

static int result_of(int pid, int *status, int options)
{
    return call(SYS_waitpid, pid, status, options);
}

static void statuses(void)
{
    static const int codes[] = { 0, 1, 42, 255, 256, 0x1234, -1 };
    int pid, status;

    for (unsigned i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        pid = fork_child();
        if (pid == 0)
            call(i % 2 != 0 ? SYS_exit_group : 1, codes[i]);
        status = -1;
        check("waitpid gives the pid", result_of(-1, &status, 0) == pid);
        say("exit(%d): status %x\n", codes[i], status);
    }
    for (int signal = 1; signal < 16; signal++) {
        if (signal >= 3 && signal <= 8)
            continue;                   /* whether core is dumped, others decide */
        if (signal == 11)
            continue;
        pid = fork_child();
        if (pid == 0) {
            call(SYS_kill, call(SYS_getpid), signal);
            leave(1);
        }
        call(SYS_waitpid, pid, &status, 0);
        say("kill(self, %d): status %x\n", signal, status);
    }
}

static void errors(void)
{
    static const int options[] = { 4, 0x100, 0x10, 0x01000000 };
    int pid, status = 77;

    show("no child", result_of(-1, &status, 0));
    show("no child, WNOHANG", result_of(-1, &status, WNOHANG));
    show("a pid of nobody", result_of(30000, &status, 0));
    show("the lowest pid", call(SYS_wait4, 0x80000000, &status, 0, 0));
    for (int i = 0; i < 4; i++)
        show("options", result_of(-1, &status, options[i]));
    say("no child: %d\n", result_of(-1, &status, 0) == -ECHILD);
    pid = fork_child();
    if (pid == 0)
        leave(3);
    show("not a child", result_of(call(SYS_getpid), &status, 0));
    say("status untouched: %d\n", status);
    show("a bad address", result_of(pid, (int *)0x10, 0));
    show("the child is gone", result_of(pid, &status, 0) == -ECHILD ? -ECHILD : 0);
    pid = fork_child();
    if (pid == 0)
        leave(3);
    check("no status wanted", result_of(pid, NULL, WUNTRACED) == pid);
    pid = fork_child();
    if (pid == 0)
        leave(3);
    unsigned char usage[80];
    fill(usage, 0xee, sizeof usage);
    check("wait4", call(SYS_wait4, -1, &status, 0, usage) == pid);
    say("behind the usage: %x\n", usage[72]);
    pid = fork_child();
    if (pid == 0)
        leave(3);
    show("wait4, a bad usage", call(SYS_wait4, pid, &status, 0, 0x10));
}

static void kills(void)
{
    int pid = fork_child(), status;

    if (pid == 0)
        for (;;)
            call(SYS_sched_yield);
    say("WNOHANG of one that runs: %d\n", result_of(pid, &status, WNOHANG));
    show("signal 0", call(SYS_kill, pid, 0));
    show("signal 65", call(SYS_kill, pid, 65));
    show("SIGCHLD", call(SYS_kill, pid, SIGCHLD));
    say("it runs: %d\n", result_of(pid, &status, WNOHANG));
    show("SIGTERM", call(SYS_kill, pid, SIGTERM));
    say_end("the killed one", pid);
    show("signal 0 to one that is gone", call(SYS_kill, pid, 0));
    pid = fork_child();
    if (pid == 0)
        leave(9);
    while (result_of(pid + 0, NULL, WNOHANG) == 0 && call(SYS_kill, pid, 0) != 0)
        call(SYS_sched_yield);
    pid = fork_child();
    if (pid == 0)
        for (;;)
            call(SYS_sched_yield);
    show("tkill", call(SYS_tkill, pid, SIGKILL));
    say_end("the killed one", pid);
    pid = fork_child();
    if (pid == 0)
        for (;;)
            call(SYS_sched_yield);
    show("tgkill, another group", call(SYS_tgkill, call(SYS_getpid), pid, SIGKILL));
    show("tgkill", call(SYS_tgkill, pid, pid, SIGKILL));
    say_end("the killed one", pid);
    /* One that waits itself. */
    pid = fork_child();
    if (pid == 0) {
        int child = fork_child();

        if (child == 0)
            for (int i = 0; i < 100; i++)
                call(SYS_sched_yield);
        else
            result_of(child, &status, 0);
        leave(0);
    }
    call(SYS_sched_yield);
    show("kill one that waits", call(SYS_kill, pid, SIGKILL));
    say_end("the killed one", pid);
}

/* Children in two groups of their own, and one in this one. */
static void groups(void)
{
    int pid[4], status;

    for (int i = 0; i < 4; i++) {
        pid[i] = fork_child();
        if (pid[i] == 0) {
            while (call(SYS_getpgid, 0) == call(SYS_getpgid, call(SYS_getppid)) && i < 3)
                call(SYS_sched_yield);
            if (i < 2)
                for (;;)
                    call(SYS_sched_yield);
            leave(10 + i);
        }
    }
    show("setpgid, the first", call(SYS_setpgid, pid[0], 0));
    show("setpgid, into it", call(SYS_setpgid, pid[1], pid[0]));
    show("setpgid, the third", call(SYS_setpgid, pid[2], pid[2]));
    show("setpgid, into none", call(SYS_setpgid, pid[3], 4194300));
    show("setpgid, negative", call(SYS_setpgid, pid[3], -5));
    show("setpgid of nobody", call(SYS_setpgid, 4194300, 0));
    check("getpgid", call(SYS_getpgid, pid[1]) == pid[0]);
    show("getpgid of nobody", call(SYS_getpgid, 4194300));
    check("wait for the own group", result_of(0, &status, 0) == pid[3]);
    show("wait for it again", result_of(0, &status, 0));
    check("wait for the third's", result_of(-pid[2], &status, 0) == pid[2]);
    say("status %x\n", status);
    say("the first group: %d\n", result_of(-pid[0], &status, WNOHANG));
    show("kill it", call(SYS_kill, -pid[0], SIGKILL));
    result_of(-pid[0], &status, 0);
    say("status %x\n", status);
    result_of(-pid[0], &status, 0);
    say("status %x\n", status);
    show("kill it again", call(SYS_kill, -pid[0], SIGKILL));
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    statuses();
    errors();
    kills();
    groups();
    return 0;
}
