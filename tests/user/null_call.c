// status: 139
/*
 * Calling a NULL function pointer ends the program.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    void (*null)(void) = (void (*)(void))0;

    __asm__ volatile("" : "+r"(null));
    say("calling\n");
    null();
    say("still alive\n");
    return 0;
}
