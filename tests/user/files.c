// grove-run: --file tests/user/data.txt:data.txt --file tests/user/user.h:dir/user.h
/*
 * open, read, lseek, fstat64, statx, close on a file that can only be read.
 */
#include "user.h"

static uint32_t words[64];
static char text[256];

static void show_position(const char *what, int result)
{
    if (is_error(result))
        show(what, result);
    else
        say("%s: %d\n", what, result);
}

static void show_open(void)
{
    show("no such file", call(SYS_open, "missing", 0));
    show("no such directory", call(SYS_open, "missing/data.txt", 0));
    show("a file as a directory", call(SYS_open, "data.txt/x", 0));
    show("a slash behind a file", call(SYS_open, "data.txt/", 0));
    show("O_DIRECTORY", call(SYS_open, "data.txt", 0200000));
    show("empty path", call(SYS_open, "", 0));
    show("roundabout", call(SYS_open, ".//dir/../dir/./user.h", 0));
    show("openat", call(SYS_openat, -100, "dir/user.h", 0));
    show("openat, bad directory", call(SYS_openat, 77, "data.txt", 0));
    show("exclusive", call(SYS_open, "data.txt", 0300, 0600));
    show("new, no such directory", call(SYS_open, "missing/new", 0101, 0600));
    show("new, no such directory in one", call(SYS_open, "dir/missing/new", 0101, 0600));
    show("new, in a file", call(SYS_open, "data.txt/new", 0101, 0600));
    show("new, empty path", call(SYS_open, "", 0101, 0600));
}

static void show_stat(int fd)
{
    show("fstat64", call(SYS_fstat64, fd, words));
    say("mode %x, size %u\n", words[4] & 0170000, words[11]);
    fill(words, 0, sizeof words);
    show("stat64", call(SYS_stat64, "data.txt", words));
    say("mode %x, size %u\n", words[4] & 0170000, words[11]);
    fill(words, 0, sizeof words);
    show("fstatat64", call(SYS_fstatat64, -100, "dir", words, 0));
    say("mode %x\n", words[4] & 0170000);
    show("stat64, missing", call(SYS_stat64, "missing", words));
    show("statx", call(SYS_statx, fd, "", 0x1000, 0x7ff, words));
    say("mode %x, size %u\n", words[7] & 0170000, words[10]);
    show("statx, no path", call(SYS_statx, fd, "", 0, 0x7ff, words));
    show("statx, bad flags", call(SYS_statx, fd, "", 0x80000000, 0x7ff, words));
    show("statx, reserved", call(SYS_statx, fd, "", 0x1000, 0x80000000, words));
    show("fstatat64, as fresh as can be", call(SYS_fstatat64, -100, "dir", words, 0x2000));
    show("fstatat64, bad flags", call(SYS_fstatat64, -100, "dir", words, 0x80000000));
}

/* Two numbers name a file: its device's, and its own there. */
typedef struct identity {
    uint32_t device, number, device_again, number_again;
} identity_t;

/* fd: of the open file, if path is "" */
static identity_t identity(int fd, const char *path)
{
    identity_t is;

    fill(words, 0, sizeof words);
    if (*path == '\0')
        call(SYS_fstat64, fd, words);
    else
        call(SYS_stat64, path, words);
    is.device = words[0];
    is.number = words[22];
    fill(words, 0, sizeof words);
    call(SYS_statx, *path == '\0' ? fd : -100, path, 0x1000, 0x7ff, words);
    is.device_again = words[34] << 8 | words[35];
    is.number_again = words[8];
    return is;
}

static void show_identities(int fd)
{
    static const char *const paths[] = { "", "", "", "", ".", "dir", "dir/user.h", "/proc" };
    const int fds[] = { 0, 1, 2, fd };
    identity_t is[8];

    for (int i = 0; i < 8; i++) {
        is[i] = identity(i < 4 ? fds[i] : -1, paths[i]);
        say("%d: device %s, number %s", i, is[i].device != 0 ? "yes" : "NO",
            is[i].number != 0 ? "yes" : "NO");
        say(", statx agrees: %s\n", (is[i].device & 0xff) == (is[i].device_again & 0xff)
                                    && is[i].number == is[i].number_again ? "yes" : "NO");
    }
    bool apart = true;
    for (int i = 3; i < 8; i++)
        for (int j = 0; j < i; j++)
            apart = apart && (is[i].device != is[j].device || is[i].number != is[j].number);
    check("none is another", apart);
    identity_t again = identity(-1, "./dir/../dir/.");
    check("the same by another path", again.device == is[5].device
                                      && again.number == is[5].number);
}

static void show_seek(int fd)
{
    show_position("to 100", call(SYS_lseek, fd, 100, 0));
    show_position("10 on", call(SYS_lseek, fd, 10, 1));
    show_position("10 before the end", call(SYS_lseek, fd, -10, 2));
    show_position("read", call(SYS_read, fd, text, 100));
    show_position("read at the end", call(SYS_read, fd, text, 100));
    show_position("past the end", call(SYS_lseek, fd, 100, 2));
    show_position("read there", call(SYS_read, fd, text, 100));
    show_position("before the start", call(SYS_lseek, fd, -1, 0));
    show_position("bad whence", call(SYS_lseek, fd, 0, 9));
    show_position("llseek", call(SYS__llseek, fd, 1, 5, words, 0));
    say("at %x%08x\n", words[1], words[0]);
    show_position("llseek back", call(SYS__llseek, fd, 0, 0, words, 0));
}

int main(int argc, char **argv)
{
    int fd = call(SYS_open, "data.txt", 0);

    (void)argc, (void)argv;
    say("fd %d\n", fd);
    say("read %d\n", call(SYS_read, fd, text, 20));
    write_all(1, text, 20);
    show("write", call(SYS_write, fd, text, 1));
    show_seek(fd);
    show_stat(fd);
    show_identities(fd);
    show_open();
    show("ioctl", call(SYS_ioctl, fd, 0x5401, text));
    show("close", call(SYS_close, fd));
    show("close again", call(SYS_close, fd));
    show("read closed", call(SYS_read, fd, text, 1));
    say("nothing on the standard input: %d\n", call(SYS_read, 0, text, 1));
    show("fd -1", call(SYS_read, -1, text, 1));
    show("fd 1,000", call(SYS_write, 1000, text, 1));
    show("access", call(SYS_access, "data.txt", 4));
    show("access, bad mode", call(SYS_access, "data.txt", 8));
    show("access, missing", call(SYS_access, "missing", 0));
    say("the lowest free number: %d\n", call(SYS_open, "data.txt", 0) - fd);
    return 0;
}
