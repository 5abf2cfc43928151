/*
 * What mprotect refuses; up to a hole it changes what there is.
 */
#include "user.h"

static char *memory;

static int protect(size_t page, size_t pages, int rights)
{
    return call(SYS_mprotect, memory + page * PAGE, pages * PAGE, rights);
}

/* A letter a page: w writable, r only readable, - neither. */
static void picture(const char *what)
{
    say("%s: ", what);
    for (size_t i = 0; i < 8; i++) {
        bool writable = is_writable(memory + i * PAGE);

        say("%c", writable ? 'w' : is_readable(memory + i * PAGE) ? 'r' : '-');
    }
    say("\n");
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    memory = map_pages(8, PROT_RW);
    show("length 0", protect(0, 0, PROT_READ));
    show("length 0 of nothing", call(SYS_mprotect, 0x10000, 0, PROT_READ));
    show("not aligned", call(SYS_mprotect, memory + 1, PAGE, PROT_READ));
    show("unknown rights", protect(0, 1, 0x40));
    show("PROT_SEM", protect(0, 1, 8 | PROT_RW));
    show("grows down, no stack", protect(0, 1, 0x01000000 | PROT_RW));
    show("grows up", protect(0, 1, 0x02000000 | PROT_RW));
    show("grows both ways", protect(0, 1, 0x03000000 | PROT_RW));
    show("length 0, unknown rights", protect(0, 0, 0x40));
    show("length 0, grows up", protect(0, 0, 0x02000000 | PROT_RW));
    show("length 0, grows both ways", protect(0, 0, 0x03000000 | PROT_RW));
    show("nothing there, grows up", call(SYS_mprotect, 0x10000, PAGE, 0x02000000));
    show("nothing there, unknown rights", call(SYS_mprotect, 0x10000, PAGE, 0x40));
    show("nothing there", call(SYS_mprotect, 0x10000, PAGE, PROT_READ));
    show("in the kernel", call(SYS_mprotect, 0xfffff000, PAGE, PROT_READ));
    picture("at first");
    show("the middle", protect(2, 4, PROT_READ));
    picture("after that");
    show("all back", protect(0, 8, PROT_RW));
    picture("after that");
    show("munmap", call(SYS_munmap, memory + 4 * PAGE, PAGE));
    show("over the hole", protect(1, 6, PROT_READ));
    picture("up to the hole");
    show("from the hole", protect(4, 2, PROT_NONE));
    picture("unchanged");
    show("rounded up", call(SYS_mprotect, memory + 6 * PAGE, 1, PROT_NONE));
    picture("one page");
    return 0;
}
