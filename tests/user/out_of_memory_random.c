// status: 137
// linux: no
// grove-run: --memory 16M
// stderr: out_of_memory_random \(pid \d+\) .*out of memory
/*
 * The same inside a call that has already moved some bytes: no short answer, after
 * which the next bad pointer would be taken for a lack of memory.
 */
#include "user.h"

int main(int argc, char **argv)
{
    char *memory = map_pages(8192, PROT_RW);

    (void)argc, (void)argv;
    say("32 MiB on a machine with 16\n");
    say("an answer: %d\n", call(SYS_getrandom, memory, 32 * MIB, 0));
    show("a bad pointer", call(SYS_open, 4, 0));
    return 0;
}
