// status: 137
// linux: no
// grove-run: --memory 16M
// stderr: out_of_memory \(pid \d+\) .*out of memory
// stderr: out of memory; it has \d+ KiB, the most of all; \d+ of \d+ KiB are free$
/*
 * More memory than there is: the program is ended, the kernel lives.
 */
#include "user.h"

int main(int argc, char **argv)
{
    char *memory = map_pages(32768, PROT_RW);

    (void)argc, (void)argv;
    say("128 MiB on a machine with 16\n");
    for (size_t i = 0; i < 32768; i++)
        memory[i * PAGE] = 1;
    say("still alive\n");
    return 0;
}
