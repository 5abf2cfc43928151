// grove-run: --file tests/user/data.txt:data.txt
/*
 * A file in memory: private pages, copied when written; zeroes behind its end.
 */
#include "user.h"

static char text[8192];

int main(int argc, char **argv)
{
    int fd = call(SYS_open, "data.txt", 0);
    int length = call(SYS_read, fd, text, sizeof text);

    (void)argc, (void)argv;
    say("%d bytes\n", length);
    char *one = (char *)map_at(0, 2 * PAGE, PROT_RW, MAP_PRIVATE, fd, 0);
    char *two = (char *)map_at(0, 2 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    char *second = (char *)map_at(0, PAGE, PROT_READ, MAP_PRIVATE, fd, 1);
    char *shared = (char *)map_at(0, PAGE, PROT_READ, MAP_SHARED, fd, 0);

    show("shared, writable", map_at(0, PAGE, PROT_RW, MAP_SHARED, fd, 0));
    show("shared, made writable", call(SYS_mprotect, shared, PAGE, PROT_RW));
    show("an unknown flag, validated", map_at(0, PAGE, PROT_READ, 3 | 0x200000, fd, 0));
    show("of huge pages", map_at(0, PAGE, PROT_READ, MAP_PRIVATE | 0x40000, fd, 0));
    show("close", call(SYS_close, fd));
    bool same = true;
    for (int i = 0; i < length; i++)
        same = same && one[i] == text[i] && two[i] == text[i];
    check("contents", same);
    check("the second page", second[0] == text[PAGE]);
    check("shared", shared[100] == text[100]);
    int tail = 0;
    for (unsigned i = (unsigned)length; i < 2 * PAGE; i++)
        tail |= one[i] | two[i];
    say("behind the end: %d\n", tail);
    one[0] = '#';
    one[PAGE] = '#';
    one[2 * PAGE - 1] = '#';
    check("a write is private", two[0] == text[0] && second[0] == text[PAGE]
                                && two[2 * PAGE - 1] == 0 && shared[0] == text[0]);
    check("the rest of the page came along", one[1] == text[1] && one[PAGE + 1] == text[PAGE + 1]);
    check("read-only", !is_writable(two));
    show("mprotect", call(SYS_mprotect, two, PAGE, PROT_RW));
    two[5] = '+';
    check("a write after that", one[5] == text[5] && shared[5] == text[5] && two[5] == '+');
    show("munmap", call(SYS_munmap, one, 2 * PAGE));
    return 0;
}
