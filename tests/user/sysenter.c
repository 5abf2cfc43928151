// status: 139
// linux: no
/*
 * Grove has one way in, `int 0x80`: sysenter leads nowhere.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    say("now\n");
    __asm__ volatile("sysenter" : : "a"(SYS_getpid) : "memory");
    say("still alive\n");
    return 0;
}
