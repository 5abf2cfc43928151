// status: 139
// enosys: 386
// stderr: glibc_null \(pid \d+\) .*SIGSEGV
// stderr: write to address (0x)?0+\.
/*
 * A program with a C library that writes through NULL.
 */
#include <stdio.h>

int main(void)
{
    volatile int *null = NULL;

    puts("about to write");
    fflush(stdout);
    __asm__ volatile("" : "+r"(null));
    *null = 1;
    puts("still alive");
    return 0;
}
