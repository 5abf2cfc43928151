/*
 * A file of /tmp in memory: what one sees that another writes, through mappings and
 * through read and write; what lies behind its end; and its end itself.
 */
#include "user.h"

enum { O_RDWR = 2, O_CREAT = 0100, O_EXCL = 0200 };

static const char path[] = "/tmp/grove-shared_file";
static char text[2 * PAGE];
static int fd;

static char byte_at(unsigned offset)
{
    char byte = '?';

    return call(SYS_pread64, fd, &byte, 1, offset, 0) == 1 ? byte : '-';
}

static void put_at(unsigned offset, char byte)
{
    if (call(SYS_pwrite64, fd, &byte, 1, offset, 0) != 1)
        say("pwrite at %u failed\n", offset);
}

/* A byte as it can be printed. */
static char shown(char byte)
{
    return byte == 0 ? '0' : byte;
}

static void show_sharing(void)
{
    char *one = (char *)map_at(0, 3 * PAGE, PROT_RW, MAP_SHARED, fd, 0);
    char *two = (char *)map_at(0, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 1);
    char *own = (char *)map_at(0, 3 * PAGE, PROT_RW, MAP_PRIVATE, fd, 0);

    check("private, before", own[PAGE] == 'a' && own[2 * PAGE] == 'a');
    one[PAGE] = 'b';
    check("other mapping", two[0] == 'b');
    check("read", byte_at(PAGE) == 'b');
    check("private, not written yet", own[PAGE] == 'b');
    own[PAGE + 1] = 'p';
    one[PAGE] = 'c';
    put_at(PAGE + 1, 'd');
    check("private, written", own[PAGE] == 'b' && own[PAGE + 1] == 'p');
    check("write", one[PAGE + 1] == 'd' && two[1] == 'd');
    own[2 * PAGE] = 'p';
    check("never in the file", byte_at(2 * PAGE) == 'a' && one[2 * PAGE] == 'a');
    check("read into itself", call(SYS_pread64, fd, one, PAGE, PAGE, 0) == (int)PAGE
                              && one[0] == 'c');
    check("written from itself", call(SYS_pwrite64, fd, one, PAGE, 2 * PAGE, 0) == (int)PAGE
                                 && two[PAGE] == 'c');
    show("closed", call(SYS_close, fd));
    show("unlinked", call(SYS_unlink, path));
    one[0] = 'z';
    two = (char *)map_at(0, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    show("mapped after close", (int)two);
    check("still there", one[0] == 'z' && own[0] == 'z');
    call(SYS_munmap, one, 3 * PAGE);
    check("by its private mapping", own[0] == 'z' && own[PAGE + 1] == 'p');
    call(SYS_munmap, own, 3 * PAGE);
}

/* Bytes behind the end, when they come into the file. */
static void show_tail(void)
{
    char *one;

    fd = call(SYS_open, path, O_RDWR | O_CREAT | O_EXCL, 0600);
    call(SYS_write, fd, "0123456789", 10);
    one = (char *)map_at(0, 4 * PAGE, PROT_RW, MAP_SHARED, fd, 0);
    say("behind the end: %c %c\n", shown(one[10]), shown(one[PAGE - 1]));
    put_at(20, 'w');
    say("a hole: %c %c, %c\n", shown(one[10]), shown(one[19]), shown(one[20]));
    show("shorter", call(SYS_ftruncate, fd, 5));
    say("cut off: %c %c\n", shown(one[4]), shown(one[5]));
    show("longer", call(SYS_ftruncate, fd, PAGE + 5));
    say("longer: %c %c %c\n", shown(byte_at(5)), shown(byte_at(20)), shown(one[PAGE + 4]));
    one[PAGE + 4] = 'e';
    show("to whole pages", call(SYS_ftruncate, fd, PAGE));
    show("and longer", call(SYS_ftruncate, fd, 3 * PAGE));
    say("gone: %c %c\n", shown(one[PAGE + 4]), shown(byte_at(PAGE + 4)));
    one[2 * PAGE] = 'f';
    call(SYS_pwrite64, fd, "end", 3, 4 * PAGE - 3, 0);
    say("grown by a write: %c %c\n", shown(one[2 * PAGE]), shown(one[4 * PAGE - 1]));
    say("length %d\n", call(SYS_lseek, fd, 0, 2));
}

/* Pages past the end, asked of the kernel. */
static void show_end(void)
{
    char *one = (char *)map_at(0, 4 * PAGE, PROT_RW, MAP_SHARED, fd, 0);
    char *own = (char *)map_at(0, 4 * PAGE, PROT_RW, MAP_PRIVATE, fd, 0);

    fill(one, 'x', 4 * PAGE);
    own[2 * PAGE] = own[PAGE] = own[0] = 'o';
    show("cut", call(SYS_ftruncate, fd, PAGE + 1));
    for (unsigned i = 0; i < 4; i++)
        say("page %u: shared %s, private %s\n", i, is_readable(one + i * PAGE) ? "yes" : "no",
            is_readable(own + i * PAGE) ? "yes" : "no");
    say("the copy of the last page: %c %c\n", own[PAGE], shown(own[PAGE + 1]));
    show("grown again", call(SYS_ftruncate64, fd, 4 * PAGE, 0));
    say("shared %c %c, private %c %c %c\n", shown(one[PAGE]), shown(one[2 * PAGE]),
        shown(own[0]), shown(own[PAGE]), shown(own[2 * PAGE]));
    show("to nothing", call(SYS_ftruncate, fd, 0));
    check("nothing is left", !is_readable(one) && !is_readable(own) && !is_writable(own + PAGE));
    show("read there", call(SYS_write, 1, one, 1));
    show("one byte", call(SYS_pwrite64, fd, "y", 1, 2 * PAGE, 0));
    say("%c %c %c\n", shown(one[0]), shown(own[PAGE]), shown(own[2 * PAGE]));
    call(SYS_close, fd);
    show("unlinked", call(SYS_unlink, path));
    call(SYS_munmap, own, 4 * PAGE);
    call(SYS_munmap, one, 4 * PAGE);
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    call(SYS_unlink, path);
    fd = call(SYS_open, path, O_RDWR | O_CREAT | O_EXCL, 0600);
    show("open", fd);
    fill(text, 'a', sizeof text);
    say("write %d\n", call(SYS_write, fd, text, sizeof text));
    say("write %d\n", call(SYS_write, fd, text, PAGE));
    show_sharing();
    show_tail();
    show_end();
    return 0;
}
