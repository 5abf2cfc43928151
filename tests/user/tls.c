/*
 * Thread-local storage: set_thread_area gives a segment with a base of the
 * program's choice, reached through %gs.
 */
#include "user.h"

typedef struct descriptor {
    uint32_t entry;
    uint32_t base;
    uint32_t limit;
    uint32_t flags;
} descriptor_t;

enum { FLAT_DATA = 0x51, EMPTY = 0x28 };    /* 32 bits, limit in pages, useable */

static uint32_t words[4] = { 11, 22, 33, 44 };

static void load_gs(uint32_t selector)
{
    __asm__ volatile("movl %0, %%gs" : : "r"(selector));
}

static uint32_t read_gs(uint32_t offset)
{
    uint32_t value;

    __asm__ volatile("movl %%gs:(%1), %0" : "=r"(value) : "r"(offset));
    return value;
}

static int set(uint32_t entry, uint32_t flags)
{
    descriptor_t area = { entry, (uint32_t)words, 0xfffff, flags };

    return call(SYS_set_thread_area, &area);
}

int main(int argc, char **argv)
{
    descriptor_t area = { (uint32_t)-1, (uint32_t)words, 0xfffff, FLAT_DATA };
    descriptor_t none = { 0, 0, 0, EMPTY };

    (void)argc, (void)argv;
    show("set", call(SYS_set_thread_area, &area));
    uint32_t first = area.entry;

    load_gs(first << 3 | 3);
    say("%u %u\n", read_gs(0), read_gs(12));
    call(SYS_getpid);
    map_pages(1, PROT_RW)[0] = 1;
    say("after a call and a fault: %u\n", read_gs(4));
    area.base += 4;
    show("moved", call(SYS_set_thread_area, &area));
    load_gs(first << 3 | 3);
    say("%u\n", read_gs(0));
    show("second", set((uint32_t)-1, FLAT_DATA));
    show("third", set((uint32_t)-1, FLAT_DATA));
    show("no fourth", set((uint32_t)-1, FLAT_DATA));
    show("entry 0", set(0, FLAT_DATA));
    show("entry 100", set(100, FLAT_DATA));
    show("entry -2", set((uint32_t)-2, FLAT_DATA));
    show("code", set(first, FLAT_DATA | 4));
    show("16 bits", set(first, FLAT_DATA & ~1u));
    show("not present", set(first, FLAT_DATA | 0x20));
    show("read-only", set(first, FLAT_DATA | 8));
    load_gs(first << 3 | 3);
    say("%u\n", read_gs(0));
    none.entry = first;
    show("none", call(SYS_set_thread_area, &none));
    call(SYS_getpid);
    none.entry = (uint32_t)-1;
    show("the empty one is found", call(SYS_set_thread_area, &none));
    check("it is the first", none.entry == first);
    return 0;
}
