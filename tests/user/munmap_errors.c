/*
 * What munmap refuses and what it takes: holes are fine.
 */
#include "user.h"

int main(int argc, char **argv)
{
    char *memory = map_pages(8, PROT_RW);

    (void)argc, (void)argv;
    fill(memory, 1, 8 * PAGE);
    show("length 0", call(SYS_munmap, memory, 0));
    show("not aligned", call(SYS_munmap, memory + 1, PAGE));
    show("length 1 is a page", call(SYS_munmap, memory + 7 * PAGE, 1));
    check("it is gone", !is_readable(memory + 7 * PAGE));
    show("the same again", call(SYS_munmap, memory + 7 * PAGE, PAGE));
    show("out of the middle", call(SYS_munmap, memory + 2 * PAGE, PAGE));
    show("over the hole", call(SYS_munmap, memory + PAGE, 3 * PAGE));
    for (size_t i = 0; i < 8; i++)
        say("%c", is_writable(memory + i * PAGE) ? '#' : '.');
    say("\n");
    show("never mapped", call(SYS_munmap, 0x10000, PAGE));
    show("address 0", call(SYS_munmap, 0, PAGE));
    show("in the kernel", call(SYS_munmap, 0xfffff000, PAGE));
    show("wraps", call(SYS_munmap, memory, 0xfffff000));
    show("length that rounds to 0", call(SYS_munmap, memory, 0xffffffff));
    memory[0] = 2;
    memory[6 * PAGE] = 2;
    say("the rest works: %d %d\n", memory[0] + memory[1], memory[6 * PAGE] + memory[5 * PAGE + 1]);
    return 0;
}
