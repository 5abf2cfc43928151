// status: 139
/*
 * A program cannot play a device.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    say("now\n");
    __asm__ volatile("int $0x20");
    say("still alive\n");
    return 0;
}
