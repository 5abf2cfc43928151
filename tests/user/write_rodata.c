// status: 139
// stderr: write_rodata \(pid \d+\) .*SIGSEGV
// stderr: \A(?![\s\S]*^.{81})[\s\S]*page tables: directory
/*
 * Constants cannot be written.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    const char *text = "constant";

    __asm__ volatile("" : "+r"(text));
    say("reads: %c\n", text[0]);
    *(volatile char *)text = 'C';
    say("still alive\n");
    return 0;
}
