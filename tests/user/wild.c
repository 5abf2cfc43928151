// status: 139
// stderr: wild \(pid \d+\) is killed by signal 11
/*
 * The tour's second program: it writes where nothing is mapped, and is killed.
 */
#include "user.h"

int main(int argc, char **argv)
{
    volatile int *wild = (volatile int *)0x7b000010;

    (void)argc, (void)argv;
    __asm__ volatile("" : "+r"(wild));
    say("\nThis is the second program, `wild`. Now it writes to address %x,\n",
        (unsigned)wild);
    say("where nothing was ever mapped.\n\n");
    *wild = 1;
    say("If you read this, something is wrong with the kernel.\n");
    return 0;
}
