// status: 139
// stderr: signal_overflow \(pid \d+\): its stack has no room for the frame
// stderr: The stack is full: it may not grow below
/*
 * A stack overflow with a handler of SIGSEGV, and no other stack for it.
 */
#include "signals.h"

static void handler(int signal)
{
    say("handler of %d\n", signal);
    leave(1);
}

static int deeper(int level)
{
    volatile char space[4096];

    space[0] = (char)level;
    return level < 1000000 ? deeper(level + 1) + space[0] : 0;
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    handle(SIGSEGV, handler, SA_ONSTACK);
    say("now\n");
    return deeper(0);
}
