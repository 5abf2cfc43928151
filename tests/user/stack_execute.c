// status: 139
/*
 * Code on the stack: not executed where the processor can tell; elsewhere it reads
 * address 0, so that it dies in any case.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    /* mov eax, [0]; ret */
    volatile unsigned char code[] = { 0xa1, 0, 0, 0, 0, 0xc3 };

    say("jumping to the stack\n");
    ((void (*)(void))(size_t)code)();
    say("still alive\n");
    return 0;
}
