/*
 * Copy on write: data, bss, heap, stack, mappings, with and without rights; parent
 * and child write in turn, and each sees its own.
 */
#include "fork.h"

enum { PAGES = 64, KINDS = 7 };

static volatile char data[PAGE] = { 1 };
static volatile char bss[PAGES * PAGE];

static void write_pages(volatile char *at, int pages, char what)
{
    for (int i = 0; i < pages; i++)
        at[i * PAGE + 5] = (char)(what + i);
}

static bool are_pages(volatile char *at, int pages, char what)
{
    for (int i = 0; i < pages; i++)
        if (at[i * PAGE + 5] != (char)(what + i))
            return false;
    return true;
}

/* Parent writes a, child sees a and writes b, parent sees a and writes c. */
static void turns(const char *name, volatile char *at, int pages)
{
    int pid;

    write_pages(at, pages, 10);
    for (int round = 0; round < 3; round++) {
        char what = (char)(10 + 40 * round);

        pid = fork_child();
        if (pid == 0) {
            bool ok = are_pages(at, pages, what);

            write_pages(at, pages, 99);
            leave(ok && are_pages(at, pages, 99) ? 0 : 1);
        }
        if (round == 1)                 /* the parent first */
            write_pages(at, pages, 77);
        say_end(name, pid);
        if (!are_pages(at, pages, round == 1 ? 77 : what))
            say("%s: the parent sees the child's\n", name);
        write_pages(at, pages, (char)(what + 40));
    }
}

/* A page that was written to, and then protected in one of them or both. */
static void rights(int before, int in_parent, int in_child)
{
    char *at = map_pages(1, PROT_RW);
    int pid;

    at[0] = 'p';
    call(SYS_mprotect, at, PAGE, before);
    pid = fork_child();
    if (pid == 0) {
        bool ok;

        call(SYS_mprotect, at, PAGE, in_child);
        ok = in_child == 0 || at[0] == 'p';
        if (in_child == PROT_RW)
            at[0] = 'c';
        leave(ok ? 0 : 1);
    }
    call(SYS_mprotect, at, PAGE, in_parent);
    if (in_parent == PROT_RW)
        at[1] = 'q';
    say("rights %d, then %d and %d: ", before, in_parent, in_child);
    say_end("child", pid);
    call(SYS_mprotect, at, PAGE, PROT_RW);
    say("  the parent has %c, %d\n", at[0], at[1]);
    call(SYS_munmap, at, PAGE);
}

/* Pages that were only read, or never touched. */
static void untouched(void)
{
    volatile char *at = map_pages(4, PROT_RW);
    int sum = at[0] + at[PAGE];
    int pid = fork_child();

    if (pid == 0) {
        at[0] = 1;
        at[2 * PAGE] = 2;
        leave(at[PAGE] + at[3 * PAGE] + at[0] + at[2 * PAGE] + sum);
    }
    say_end("pages that nobody wrote to", pid);
    say("the parent reads %d %d %d %d\n", at[0], at[PAGE], at[2 * PAGE], at[3 * PAGE]);
}

int main(int argc, char **argv)
{
    volatile char stack[4 * PAGE];
    int heap = call(SYS_brk, 0);

    (void)argc, (void)argv;
    call(SYS_brk, heap + PAGES * PAGE);
    turns("data", data, 1);
    turns("bss", bss, PAGES);
    turns("heap", (volatile char *)heap, PAGES - 1);
    turns("stack", stack, 4);
    turns("mapping", map_pages(PAGES, PROT_RW), PAGES);
    rights(PROT_READ, PROT_RW, PROT_RW);
    rights(PROT_READ, PROT_READ, PROT_RW);
    rights(PROT_NONE, PROT_RW, PROT_RW);
    rights(PROT_NONE, PROT_NONE, PROT_READ);
    rights(PROT_RW, PROT_READ, PROT_RW);
    untouched();
    return 0;
}
