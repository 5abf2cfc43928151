// status: 139
// stderr: stack_overflow \(pid \d+\) .*SIGSEGV
/*
 * The stack ends at its limit, 8 MiB: recursion without end is found out.
 */
#include "user.h"

static unsigned descend(unsigned depth);

/* The compiler would see through a plain call. */
static unsigned (*volatile deeper)(unsigned depth) = descend;

static unsigned descend(unsigned depth)
{
    volatile char frame[PAGE];

    frame[0] = 1;
    if (depth == 1500)
        say("1,500 pages down\n");
    return deeper(depth + 1) + (unsigned char)frame[0];
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    return (int)descend(0);
}
