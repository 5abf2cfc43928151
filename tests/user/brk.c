/*
 * The break: up and down by bytes and pages; a refusal gives the current one.
 */
#include "user.h"

static size_t set_break(size_t address)
{
    return (size_t)call(SYS_brk, address);
}

int main(int argc, char **argv)
{
    size_t start = set_break(0);
    volatile char *heap = (char *)start;

    (void)argc, (void)argv;
    check("below its start", set_break(start - 1) == start);
    check("below everything", set_break(1) == start);
    check("into the kernel", set_break(0xfffff000) == start);
    check("up by 1", set_break(start + 1) == start + 1);
    heap[0] = 1;
    check("up by 100,000", set_break(start + 100000) == start + 100000);
    for (size_t i = 0; i < 100000; i++)
        heap[i] = (char)i;
    bool same = true;
    for (size_t i = 0; i < 100000; i++)
        same = same && heap[i] == (char)i;
    check("contents", same);
    check("down to 10", set_break(start + 10) == start + 10);
    check("the first page stays", heap[9] == 9);
    check("the others are gone", !is_readable((char *)(((start + PAGE) & -PAGE) + PAGE)));
    check("up again", set_break(start + 100000) == start + 100000);
    check("fresh pages are zero", heap[50000] == 0 && heap[99999] == 0);
    for (int i = 0; i < 100; i++) {
        set_break(start + 100000 + (size_t)i * PAGE);
        heap[100000 + (size_t)i * PAGE - 1] = 1;
    }
    check("page by page", set_break(0) == start + 100000 + 99 * PAGE);
    size_t upper = (start + 60000) & -PAGE;

    show("mprotect of its upper part", call(SYS_mprotect, upper, 5 * PAGE, PROT_READ));
    check("down over both areas", set_break(start) == start);
    check("up after that", set_break(start + 90000) == start + 90000);
    heap[80000] = 1;
    say("written: %d\n", heap[80000]);
    return 0;
}
