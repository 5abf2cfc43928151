// status: 139
// stderr: null_write \(pid \d+\) .*SIGSEGV
/*
 * Writing through a NULL pointer ends the program.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    volatile int *null = (volatile int *)0;

    __asm__ volatile("" : "+r"(null));
    say("writing\n");
    *null = 1;
    say("still alive\n");
    return 0;
}
