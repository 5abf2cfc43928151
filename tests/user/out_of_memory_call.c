// status: 137
// linux: no
// grove-run: --memory 16M
// stderr: out_of_memory_call \(pid \d+\) .*out of memory
// stderr: out of memory; it has \d+ KiB, the most of all; \d+ of \d+ KiB are free$
/*
 * The same inside a system call: no EFAULT for a pointer that is good.
 */
#include "user.h"

int main(int argc, char **argv)
{
    char *memory = map_pages(32768, PROT_RW);

    (void)argc, (void)argv;
    say("128 MiB on a machine with 16\n");
    for (size_t i = 0; i < 32768; i++)
        if (call(SYS_getrandom, memory + i * PAGE, 1, 0) != 1)
            say("an answer\n");
    say("still alive\n");
    return 0;
}
