// status: 139
/*
 * A program cannot switch interrupts off.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    say("now\n");
    __asm__ volatile("cli");
    say("still alive\n");
    return 0;
}
