// status: 139
/*
 * A program cannot use the ports of devices.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    say("now\n");
    __asm__ volatile("inb $0x60, %al");
    say("still alive\n");
    return 0;
}
