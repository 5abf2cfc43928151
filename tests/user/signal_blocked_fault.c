// status: 139
// stderr: signal_blocked_fault \(pid \d+\) .*SIGSEGV
// stderr: write to address (0x)?0+\.
/*
 * A fault whose signal has a handler and is blocked.
 */
#include "signals.h"

static void handler(int signal)
{
    say("handler of %d\n", signal);
    leave(1);
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    handle(SIGSEGV, handler, 0);
    change_mask(SIG_BLOCK, bit(SIGSEGV));
    say("blocked\n");
    FAULTING("movl %0, (%0)", "r"(0));
    say("still alive\n");
    return 0;
}
