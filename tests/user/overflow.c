// status: 139
/*
 * `into` with the overflow flag set.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    say("now\n");
    __asm__ volatile("movb $127, %%al\n addb $1, %%al\n into" : : : "eax");
    say("still alive\n");
    return 0;
}
