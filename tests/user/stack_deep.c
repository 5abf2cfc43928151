/*
 * The stack grows by itself: 4 MiB of it, downwards by one page and by leaps.
 */
#include "user.h"

static unsigned descend(unsigned depth)
{
    volatile char frame[PAGE];

    frame[0] = (char)depth;
    frame[PAGE - 1] = 1;
    if (depth == 0)
        return 1;
    return descend(depth - 1) + (unsigned char)frame[PAGE - 1];
}

static int leap(void)
{
    volatile char frame[2 * MIB];

    frame[0] = 3;                       /* its far end, nothing between touched */
    frame[2 * MIB - 1] = 4;
    return frame[0] + frame[2 * MIB - 1];
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    say("a leap: %d\n", leap());
    say("1,024 frames: %u\n", descend(1023));
    return 0;
}
