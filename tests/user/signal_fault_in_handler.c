// status: 139
// stderr: signal_fault_in_handler \(pid \d+\) .*SIGSEGV
// stderr: write to address (0x)?0*30\.
/*
 * A handler of SIGSEGV that faults itself.
 */
#include "signals.h"

static void handler(int signal)
{
    say("handler of %d\n", signal);
    FAULTING("movl %0, (%0)", "r"(0x30));
    say("still alive\n");
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    handle(SIGSEGV, handler, 0);
    FAULTING("movl %0, (%0)", "r"(0x10));
    say("still alive\n");
    return 0;
}
