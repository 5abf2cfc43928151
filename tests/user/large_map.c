// grove-run: --memory 32M
/*
 * 1 GiB is promised on a small machine; only what is touched takes memory.
 */
#include "user.h"

int main(int argc, char **argv)
{
    const size_t length = 1024 * MIB, step = 4 * MIB;
    int result = map_at(0, length, PROT_RW, MAP_ANON_PRIVATE | MAP_NORESERVE, -1, 0);

    (void)argc, (void)argv;
    show("1 GiB", result);
    volatile char *memory = (char *)result;

    for (size_t i = 0; i < length; i += step)
        memory[i] = (char)(i / step);
    unsigned wrong = 0;
    for (size_t i = 0; i < length; i += step)
        wrong += memory[i] != (char)(i / step) || memory[i + step / 2] != 0;
    say("%u pages touched, %u wrong\n", (unsigned)(length / step), wrong);
    show("munmap", call(SYS_munmap, memory, length));
    return 0;
}
