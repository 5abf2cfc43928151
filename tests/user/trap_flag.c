// status: 133
/*
 * A single step through a system call: the call is made, then the trap comes.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    static const char text[] = "written while stepping\n";
    int result;

    __asm__ volatile(
        "pushfl\n"
        "orl $0x100, (%%esp)\n"
        "popfl\n"
        "int $0x80\n"
        "nop\n"
        "nop\n"
        : "=a"(result) : "a"(SYS_write), "b"(1), "c"(text), "d"(sizeof text - 1) : "memory");
    say("still alive\n");
    return 0;
}
