/*
 * MAP_FIXED takes the place of what is there; MAP_FIXED_NOREPLACE does not.
 */
#include "user.h"

int main(int argc, char **argv)
{
    const int fixed = MAP_ANON_PRIVATE | MAP_FIXED;
    char *memory = map_pages(8, PROT_RW);

    (void)argc, (void)argv;
    fill(memory, 'a', 8 * PAGE);
    size_t middle = (size_t)memory + 2 * PAGE;

    check("in the middle", map_at(middle, 3 * PAGE, PROT_RW, fixed, -1, 0) == (int)middle);
    for (size_t i = 0; i < 8; i++)
        say("%c", memory[i * PAGE] == 0 ? '0' : memory[i * PAGE]);
    say("\n");
    fill((char *)middle, 'b', 3 * PAGE);
    size_t end = middle + 2 * PAGE;

    check("read-only over the end", map_at(end, 2 * PAGE, PROT_READ, fixed, -1, 0) == (int)end);
    for (size_t i = 0; i < 8; i++)
        say("%c", memory[i * PAGE] == 0 ? '0' : memory[i * PAGE]);
    say("\n");
    check("it is read-only", !is_writable(memory + 4 * PAGE) && is_readable(memory + 4 * PAGE));
    show("munmap", call(SYS_munmap, memory + 2 * PAGE, 2 * PAGE));
    check("no replace, in the hole",
          map_at(middle, 2 * PAGE, PROT_RW, MAP_ANON_PRIVATE | MAP_FIXED_NOREPLACE, -1, 0)
          == (int)middle);
    show("no replace, one page too long",
         map_at(middle, 3 * PAGE, PROT_RW, MAP_ANON_PRIVATE | MAP_FIXED_NOREPLACE, -1, 0));
    say("neighbours: %c %c\n", memory[PAGE], memory[6 * PAGE]);
    return 0;
}
