// status: 139
/*
 * An address between two areas ends the program.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    char *memory = map_pages(3, PROT_RW);

    memory[PAGE] = 1;
    show("munmap", call(SYS_munmap, memory + PAGE, PAGE));
    memory[0] = 1;
    memory[2 * PAGE] = 1;
    say("the neighbours work\n");
    memory[PAGE] = 1;
    say("still alive\n");
    return 0;
}
