// status: 139
/*
 * A write to a page that was made read-only.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    char *memory = map_pages(2, PROT_RW);

    memory[0] = 1;
    show("mprotect", call(SYS_mprotect, memory, PAGE, PROT_READ));
    say("reads: %d\n", *(volatile char *)memory);
    memory[PAGE] = 1;
    say("the next page can be written\n");
    *(volatile char *)memory = 2;
    say("still alive\n");
    return 0;
}
