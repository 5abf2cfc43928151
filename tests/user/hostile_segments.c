/*
 * System calls and faults with null selectors in the segment registers.
 */
#include "user.h"

static const char text[] = "written with null segments\n";

int main(int argc, char **argv)
{
    char *memory = map_pages(1, PROT_RW);
    unsigned ds, es, seen_ds, seen_es, fs, gs;
    int result;

    (void)argc, (void)argv;
    __asm__ volatile(
        "movl %%ds, %[ds]\n"
        "movl %%es, %[es]\n"
        : [ds] "=r"(ds), [es] "=r"(es));
    __asm__ volatile(
        "pushl %%ds\n"
        "pushl %%es\n"
        "xorl %%esi, %%esi\n"
        "movl %%esi, %%ds\n"
        "movl %%esi, %%es\n"
        "movl %%esi, %%fs\n"
        "movl %%esi, %%gs\n"
        "int $0x80\n"
        "movl %%ds, %%esi\n"           /* as they were left */
        "movl %%es, %%edx\n"
        "movb $7, %%ss:(%%edi)\n"      /* a fault */
        "popl %%es\n"
        "popl %%ds\n"
        : "=a"(result), "=S"(seen_ds), "+d"((int){ sizeof text - 1 })
        : "a"(SYS_write), "b"(1), "c"(text), "D"(memory)
        : "memory");
    __asm__ volatile("movl %%es, %[es]" : [es] "=r"(seen_es));
    __asm__ volatile("movl %%fs, %0" : "=r"(fs));
    __asm__ volatile("movl %%gs, %0" : "=r"(gs));
    say("write %d\n", result);
    say("ds %u, fs %u, gs %u\n", seen_ds, fs, gs);
    check("es is back", seen_es == es);
    say("memory %d\n", memory[0]);
    (void)ds;
    return 0;
}
