// status: 139
/*
 * A program cannot change the page table.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    say("now\n");
    __asm__ volatile("movl %0, %%cr3" : : "r"(0));
    say("still alive\n");
    return 0;
}
