// grove-run: --memory 128M
/*
 * 60,000 areas of one page in one space, neighbours with different rights.
 */
#include "user.h"

enum { AREAS = 60000 };

int main(int argc, char **argv)
{
    char *memory = map_pages(AREAS, PROT_NONE);
    unsigned bad = 0;

    (void)argc, (void)argv;
    for (size_t i = 0; i < AREAS; i++)
        bad += call(SYS_mprotect, memory + i * PAGE, PAGE, i % 2 ? PROT_READ : PROT_RW) != 0;
    say("%u of %u refused\n", bad, AREAS);
    for (size_t i = 0; i < AREAS; i += 1000)
        memory[i * PAGE] = (char)(i / 1000);
    for (size_t i = 0; i < AREAS; i += 1000)
        bad += memory[i * PAGE] != (char)(i / 1000) || memory[(i + 1) * PAGE] != 0;
    say("%u wrong\n", bad);
    check("read-only neighbours", !is_writable(memory + 30001 * PAGE));
    for (size_t i = 1; i < AREAS; i += 3)
        bad += call(SYS_munmap, memory + i * PAGE, PAGE) != 0;
    for (size_t i = 1; i < AREAS; i += 3)
        bad += map_at((size_t)memory + i * PAGE, PAGE, PROT_RW,
                      MAP_ANON_PRIVATE | MAP_FIXED_NOREPLACE, -1, 0) != (int)(memory + i * PAGE);
    say("holes made and filled: %u wrong\n", bad);
    show("all gone", call(SYS_munmap, memory, AREAS * PAGE));
    return 0;
}
