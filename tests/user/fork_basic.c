/*
 * fork: what parent and child have in common, and what not.
 */
#include "fork.h"

static int number = 1;

static void floating_point(void)
{
    double value = 1.5, result = 0;
    int pid;

    __asm__ volatile("fldl %0" : : "m"(value));
    pid = fork_child();
    if (pid == 0) {
        __asm__ volatile("fldl %1; faddp; fstpl %0" : "=m"(result) : "m"(value));
        leave(result == 3.0 ? 7 : 1);
    }
    say_end("the child adds to the parent's register", pid);
    __asm__ volatile("fstpl %0" : "=m"(result));
    check("the parent has it still", result == 1.5);
}

static void files(void)
{
    int fd = call(SYS_open, "/proc/self/exe", 0);
    char byte[4] = "";
    int pid;

    if (is_error(fd))
        fd = call(SYS_open, "/proc/self/maps", 0);
    call(SYS_lseek, fd, 1, 0);
    pid = fork_child();
    if (pid == 0) {
        int at = call(SYS_lseek, fd, 0, 1);

        call(SYS_lseek, fd, 3, 0);
        leave(at);
    }
    say_end("the child is where the parent was in a file", pid);
    say("the parent is where the child went: %d\n", call(SYS_lseek, fd, 0, 1));
    pid = fork_child();
    if (pid == 0)
        leave(call(SYS_close, fd) == 0 && call(SYS_close, fd) == -EBADF ? 5 : 1);
    say_end("the child closes it", pid);
    check("the parent has it still", call(SYS_read, fd, byte, 1) == 1);
    call(SYS_close, fd);
}

/* => how often it was called */
static int recursion(int depth)
{
    int pid;

    if (depth == 0)
        return 0;
    pid = fork_child();
    if (pid == 0)
        leave(1 + recursion(depth - 1));
    return wait_child(pid) >> 8;
}

int main(int argc, char **argv)
{
    int me = call(SYS_getpid);
    int pid;

    (void)argc, (void)argv;
    pid = fork_child();
    if (pid == 0) {
        number = 2;
        say("the child's pid differs: %d, its parent's: %d\n", call(SYS_getpid) != me,
            call(SYS_getppid) == me);
        say("its group is its parent's: %d\n", call(SYS_getpgrp) == call(SYS_getpgid, me));
        leave(42);
    }
    say_end("the child ends", pid);
    check("the parent got the child's pid", pid > 0 && pid != me);
    say("the parent's number is %d\n", number);
    floating_point();
    files();
    say("a child's child's child ...: %d\n", recursion(5));
    pid = fork_child();
    if (pid == 0) {
        volatile int *nowhere = (volatile int *)16;

        __asm__ ("" : "+r"(nowhere));
        *nowhere = 1;
        leave(0);
    }
    say_end("a child that goes wrong", pid);
    return 0;
}
