// status: 139
// stderr: privileged_hlt \(pid \d+\) .*general protection
/*
 * A program cannot stop the processor.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    say("now\n");
    __asm__ volatile("hlt");
    say("still alive\n");
    return 0;
}
