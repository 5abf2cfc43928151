// status: 139
// stderr: signal_no_stack \(pid \d+\) .*SIGSEGV.*no room on its stack
/*
 * A signal whose handler's frame has no room on the stack.
 */
#include "signals.h"

static void handler(int signal)
{
    say("handler of %d\n", signal);
    leave(1);
}

int main(int argc, char **argv)
{
    int pid = call(SYS_getpid);

    (void)argc, (void)argv;
    handle(SIGUSR1, handler, 0);
    say("now\n");
    __asm__ volatile("mov $64, %%esp\n int $0x80\n hlt"
                     : : "a"(SYS_kill), "b"(pid), "c"(SIGUSR1) : "memory");
    return 0;
}
