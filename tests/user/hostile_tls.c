/*
 * A program takes away the segment that its own registers name: they are empty
 * afterwards, and the kernel does not trip over them.
 */
#include "user.h"

typedef struct descriptor {
    uint32_t entry;
    uint32_t base;
    uint32_t limit;
    uint32_t flags;
} descriptor_t;

#define READ_SEGMENT(name) \
    static uint32_t read_##name(void) \
    { \
        uint32_t value; \
        __asm__ volatile("movl %%" #name ", %0" : "=r"(value)); \
        return value & 0xffff; \
    }
#define LOAD_SEGMENT(name, value) __asm__ volatile("movl %0, %%" #name : : "r"(value))

READ_SEGMENT(es)
READ_SEGMENT(fs)
READ_SEGMENT(gs)

int main(int argc, char **argv)
{
    descriptor_t area = { (uint32_t)-1, 0, 0xfffff, 0x51 };
    descriptor_t none = { 0, 0, 0, 0x28 };
    uint32_t es = read_es();

    (void)argc, (void)argv;
    show("set", call(SYS_set_thread_area, &area));
    uint32_t selector = area.entry << 3 | 3;

    LOAD_SEGMENT(es, selector);
    LOAD_SEGMENT(fs, selector);
    LOAD_SEGMENT(gs, selector);
    check("loaded", read_es() == selector && read_fs() == selector && read_gs() == selector);
    call(SYS_getpid);
    check("kept over a call", read_es() == selector && read_gs() == selector);
    none.entry = area.entry;
    int result = call(SYS_set_thread_area, &none);
    uint32_t after = read_es();

    LOAD_SEGMENT(es, es);
    show("taken away", result);
    say("es %u, fs %u, gs %u\n", after, read_fs(), read_gs());
    call(SYS_getpid);
    say("still here\n");
    return 0;
}
