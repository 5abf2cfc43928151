// status: 139
/*
 * The kernel's own memory is not the program's.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    say("reading at 3 GiB and more\n");
    say("%d\n", *(volatile int *)0xc0101000u);
    say("still alive\n");
    return 0;
}
