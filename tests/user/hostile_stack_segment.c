// status: 139
/*
 * A program takes away the segment that its stack is in.
 */
#include "user.h"

typedef struct descriptor {
    uint32_t entry;
    uint32_t base;
    uint32_t limit;
    uint32_t flags;
} descriptor_t;

int main(int argc, char **argv)
{
    descriptor_t area = { (uint32_t)-1, 0, 0xfffff, 0x51 };
    descriptor_t none = { 0, 0, 0, 0x28 };

    (void)argc, (void)argv;
    show("set", call(SYS_set_thread_area, &area));
    uint32_t selector = area.entry << 3 | 3;

    __asm__ volatile("movl %0, %%ss" : : "r"(selector));
    call(SYS_getpid);
    map_pages(1, PROT_RW)[0] = 1;
    say("a stack in a segment of its own works\n");
    none.entry = area.entry;
    call(SYS_set_thread_area, &none);
    say("still alive\n");
    return 0;
}
