// status: 139
/*
 * A program cannot call the handler of page faults.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    say("now\n");
    __asm__ volatile("int $0x0e");
    say("still alive\n");
    return 0;
}
