// status: 132
// stderr: SIGILL
/*
 * An instruction that does not exist.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    say("now\n");
    __asm__ volatile("ud2");
    say("still alive\n");
    return 0;
}
