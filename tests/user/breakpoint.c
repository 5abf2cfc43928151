// status: 133
// stderr: SIGTRAP
/*
 * A breakpoint without a debugger.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    say("now\n");
    __asm__ volatile("int3");
    say("still alive\n");
    return 0;
}
