// status: 139
/*
 * A program cannot call the handler of double faults.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    say("now\n");
    __asm__ volatile("int $8");
    say("still alive\n");
    return 0;
}
