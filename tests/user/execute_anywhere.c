/*
 * Rights of execution given later: to the heap, to the stack, to fresh memory, as
 * just-in-time compilers do.
 */
#include "user.h"

/* mov eax, n; ret */
static int run(char *code, int n)
{
    const unsigned char bytes[] = { 0xb8, (unsigned char)n, 0, 0, 0, 0xc3 };

    for (size_t i = 0; i < sizeof bytes; i++)
        ((volatile char *)code)[i] = (char)bytes[i];
    return ((int (*)(void))(size_t)code)();
}

static void try(const char *name, char *code, int n)
{
    int result = call(SYS_mprotect, (size_t)code & -PAGE, PAGE, PROT_RW | PROT_EXEC);

    show(name, result);
    if (result == 0)
        say("it says %d\n", run(code, n));
}

int main(int argc, char **argv)
{
    char on_stack[64];
    size_t start = (size_t)call(SYS_brk, 0);

    (void)argc, (void)argv;
    call(SYS_brk, start + 4 * PAGE);
    try("heap", (char *)start + PAGE + 100, 1);
    try("mapped", map_pages(2, PROT_RW), 2);
    try("stack", on_stack, 3);
    show("the stack's lower part", call(SYS_mprotect, (size_t)on_stack & -PAGE, PAGE,
                                        0x01000000 | PROT_RW | PROT_EXEC));
    volatile char deep[64 * PAGE];
    deep[0] = 1;
    say("the stack still grows: %d\n", deep[0]);
    check("the heap still grows", call(SYS_brk, start + 20 * PAGE) == (int)(start + 20 * PAGE));
    return 0;
}
