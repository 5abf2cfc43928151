// enosys: 386
/*
 * A nested function whose address is taken: GCC puts code for it on the stack, and
 * asks for a stack that may hold code (PT_GNU_STACK).
 */
#include <stdio.h>

__attribute__((noinline))
static int apply(int (*function)(int), int value)
{
    return function(value);
}

/* Far down, where the stack has to grow first. */
__attribute__((noinline))
static int apply_deep(int depth, int (*function)(int), int value)
{
    volatile char room[4096];

    room[0] = (char)depth;
    return depth == 0 ? apply(function, value)
                      : apply_deep(depth - 1, function, value) + room[0] - (char)depth;
}

int main(int argc, char **argv)
{
    int base = argc + 10;
    volatile char room[1000 * 1000];

    (void)argv;
    int add(int value)
    {
        return value + base + room[0];
    }

    room[0] = 0;
    printf("%d\n", apply(add, 4));
    printf("%d\n", apply_deep(100, add, 5));
    return 0;
}
