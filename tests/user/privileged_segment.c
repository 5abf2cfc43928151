// status: 139
/*
 * A program cannot load the kernel's data segment.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    say("now\n");
    __asm__ volatile("movl %0, %%ds" : : "r"(0x10));
    say("still alive\n");
    return 0;
}
