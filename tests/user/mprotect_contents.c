/*
 * Rights come and go, contents stay: read-only, none, executable, and back.
 */
#include "user.h"

enum { PAGES = 16 };

static char *memory;

static void protect(const char *what, size_t page, size_t pages, int rights)
{
    show(what, call(SYS_mprotect, memory + page * PAGE, pages * PAGE, rights));
}

static bool contents(void)
{
    for (size_t i = 0; i < PAGES; i++)
        if (memory[i * PAGE] != (char)(i + 1) || memory[i * PAGE + 1] != 0)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    memory = map_pages(PAGES, PROT_RW);
    for (size_t i = 0; i < PAGES; i++)
        memory[i * PAGE] = (char)(i + 1);
    protect("read-only", 0, PAGES, PROT_READ);
    check("contents", contents());
    check("not writable", !is_writable(memory + 2));
    protect("none", 0, PAGES, PROT_NONE);
    check("not readable", !is_readable(memory + 3 * PAGE));
    protect("every second page back", 0, 1, PROT_RW);
    for (size_t i = 2; i < PAGES; i += 2)
        call(SYS_mprotect, memory + i * PAGE, PAGE, PROT_RW);
    memory[4 * PAGE] = 99;
    check("its neighbour is closed", !is_readable(memory + 5 * PAGE));
    protect("all back", 0, PAGES, PROT_RW);
    say("%d\n", memory[4 * PAGE]);
    memory[4 * PAGE] = 5;
    check("contents", contents());

    static const unsigned char code[] = { 0xb8, 42, 0, 0, 0, 0xc3 };    /* mov eax, 42; ret */
    char *function = memory + 7 * PAGE + 100;

    for (size_t i = 0; i < sizeof code; i++)
        function[i] = (char)code[i];
    protect("executable", 7, 1, PROT_READ | PROT_EXEC);
    say("code says %d\n", ((int (*)(void))(size_t)function)());
    protect("all back", 0, PAGES, PROT_RW);
    check("contents", contents());
    return 0;
}
