// linux: no
// grove-run: --memory 16M
/*
 * /tmp gets full: half of the memory is its own, the rest still works; what is cut off
 * or unlinked and closed can be had again. One file is left behind.
 */
#include "user.h"

static char block[64 * 1024];

/* => blocks written until nothing more fits; *last: the end of that */
static unsigned fill_up(int fd, int *last)
{
    unsigned count = 0;

    while ((*last = call(SYS_write, fd, block, sizeof block)) == (int)sizeof block)
        count++;
    return count;
}

int main(int argc, char **argv)
{
    int fd = call(SYS_open, "/tmp/one", 01102, 0600);
    int other = call(SYS_open, "/dev/shm/two", 01102, 0600);
    int last;

    (void)argc, (void)argv;
    fill(block, 'b', sizeof block);
    unsigned count = fill_up(fd, &last);
    check("about half", count > 100 && count < 130);
    if (last >= 0)                      /* in part, then not at all */
        last = call(SYS_write, fd, block, sizeof block);
    show("full", last);
    unsigned length = (unsigned)call(SYS_lseek, fd, 0, 2);
    check("all of it counts", length >= count * sizeof block);
    show("another file", call(SYS_write, other, block, 1));
    say("its length %d\n", call(SYS_lseek, other, 0, 2));
    say("what is there: %d\n", call(SYS_pwrite64, fd, "x", 1, PAGE, 0));
    char *pages = map_pages(16, PROT_RW);
    fill(pages, 'p', 16 * PAGE);
    check("memory of its own", pages[16 * PAGE - 1] == 'p');
    show("shorter", call(SYS_ftruncate, fd, PAGE));
    say("another file: %d\n", call(SYS_write, other, block, sizeof block));
    show("unlink", call(SYS_unlink, "/dev/shm/two"));
    check("full again", fill_up(fd, &last) < count);
    show("close", call(SYS_close, other));
    say("more: %d\n", call(SYS_write, fd, block, sizeof block));
    show("O_TRUNC", call(SYS_open, "/tmp/one", 01001));
    say("from the start: %d\n", call(SYS_write, call(SYS_open, "/tmp/one", 1), block, 100));
    return 0;
}
