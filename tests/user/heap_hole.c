/*
 * What musl's malloc does at its start: a page without rights, fixed, inside the
 * heap. The break goes on behind it, and refuses to cross a mapping.
 */
#include "user.h"

static size_t set_break(size_t address)
{
    return (size_t)call(SYS_brk, address);
}

int main(int argc, char **argv)
{
    const int fixed = MAP_ANON_PRIVATE | MAP_FIXED;
    size_t start = set_break(0);

    (void)argc, (void)argv;
    start = set_break((start + PAGE - 1) & -PAGE);
    check("grown", set_break(start + 8 * PAGE) == start + 8 * PAGE);
    fill((char *)start, 1, 8 * PAGE);
    check("hole", map_at(start + 2 * PAGE, PAGE, PROT_NONE, fixed, -1, 0)
                  == (int)(start + 2 * PAGE));
    check("the hole is closed", !is_readable((char *)start + 2 * PAGE));
    check("around it", *(char *)(start + 2 * PAGE - 1) == 1 && *(char *)(start + 3 * PAGE) == 1);
    check("the break goes on", set_break(start + 10 * PAGE) == start + 10 * PAGE);
    fill((char *)(start + 8 * PAGE), 2, 2 * PAGE);
    check("a mapping in the way", map_at(start + 12 * PAGE, PAGE, PROT_RW, fixed, -1, 0)
                                  == (int)(start + 12 * PAGE));
    check("the break does not cross it", set_break(start + 14 * PAGE) == start + 10 * PAGE);
    check("shrunk below the hole", set_break(start + PAGE) == start + PAGE);
    check("the rest is gone", !is_readable((char *)start + 3 * PAGE));
    check("the first page is there", *(char *)start == 1);
    return 0;
}
