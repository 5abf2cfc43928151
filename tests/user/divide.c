// status: 136
// stderr: SIGFPE
/*
 * A division by zero.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    say("now\n");
    __asm__ volatile("xorl %%ecx, %%ecx\n divl %%ecx" : : : "eax", "ecx", "edx");
    say("still alive\n");
    return 0;
}
