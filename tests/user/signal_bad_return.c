// status: 139
// stderr: signal_bad_return \(pid \d+\) .*SIGSEGV.*a frame that is none
/*
 * rt_sigreturn where there is no frame, and no handler of SIGSEGV.
 */
#include "signals.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    say("now\n");
    __asm__ volatile("mov $64, %%esp\n int $0x80\n hlt" : : "a"(SYS_rt_sigreturn) : "memory");
    return 0;
}
