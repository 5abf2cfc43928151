// status: 139
// stderr: null_read \(pid \d+\) .*SIGSEGV
// stderr: read from address (0x)?0+\.
/*
 * The page at address 0 is never there: reading a NULL pointer ends the program.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    const volatile int *null = (const volatile int *)0;

    __asm__ volatile("" : "+r"(null));
    say("reading\n");
    say("%d\n", *null);
    say("still alive\n");
    return 0;
}
