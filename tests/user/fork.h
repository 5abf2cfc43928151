/*
 * What the programs about fork share: the calls, and how a child ended.
 */
#ifndef FORK_H
#define FORK_H

#include "user.h"

enum {
    SYS_fork = 2, SYS_waitpid = 7, SYS_setpgid = 57, SYS_getpgrp = 65, SYS_wait4 = 114,
    SYS_clone = 120, SYS_getpgid = 132, SYS_sched_yield = 158,
    ECHILD = 10,
    WNOHANG = 1, WUNTRACED = 2,
    SIGKILL = 9, SIGSEGV = 11, SIGTERM = 15, SIGCHLD = 17,
};

static inline int fork_child(void)
{
    int pid = call(SYS_fork);

    if (is_error(pid)) {
        say("fork: error %d\n", -pid);
        leave(1);
    }
    return pid;
}

/* Wait for that child. => its status without the flag of a core dump */
__attribute__((unused))
static int wait_child(int pid)
{
    int status = -1;
    int result = call(SYS_waitpid, pid, &status, 0);

    if (result != pid) {
        say("waitpid: %d\n", is_error(result) ? result : 1);
        leave(1);
    }
    return status & ~0x80;
}

/* Wait for it and print how it ended. */
__attribute__((unused))
static void say_end(const char *what, int pid)
{
    int status = wait_child(pid);

    if ((status & 0x7f) != 0)
        say("%s: signal %d\n", what, status & 0x7f);
    else
        say("%s: status %d\n", what, status >> 8);
}

#endif
