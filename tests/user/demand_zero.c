/*
 * Memory that was never written reads as zero, page by page; a write changes its
 * own page only.
 */
#include "user.h"

enum { PAGES = 64 };

static unsigned sum(const volatile char *memory)
{
    unsigned total = 0;

    for (size_t i = 0; i < PAGES * PAGE; i += 64)
        total += (unsigned char)memory[i];
    return total;
}

int main(int argc, char **argv)
{
    char *memory = map_pages(PAGES, PROT_RW);

    (void)argc, (void)argv;
    say("fresh: %u\n", sum(memory));
    memory[10 * PAGE] = 5;                  /* a page that was read before */
    say("one write: %u\n", sum(memory));
    for (int i = 0; i < PAGES; i++)
        memory[(size_t)i * PAGE] = 1;
    say("a write to each: %u\n", sum(memory));
    show("munmap", call(SYS_munmap, memory, PAGES * PAGE));
    memory = map_pages(PAGES, PROT_RW);
    say("fresh again: %u\n", sum(memory));
    return 0;
}
