// status: 134
// enosys: 386 174 175
/*
 * A program with a C library that gives up.
 */
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    puts("giving up");
    fflush(stdout);
    abort();
}
