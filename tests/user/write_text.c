// status: 139
/*
 * Code cannot be written.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    volatile char *code = (volatile char *)(size_t)main;

    say("reads: %s\n", code[0] != 0 || code[1] != 0 ? "yes" : "no");
    code[0] = code[0];
    say("still alive\n");
    return 0;
}
