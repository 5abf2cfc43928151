/*
 * How a file of /tmp is open, and what that allows: errors of open, read, write, mmap,
 * ftruncate, unlink and dup.
 */
#include "user.h"

enum {
    O_RDONLY, O_WRONLY, O_RDWR, O_NEITHER, O_CREAT = 0100, O_EXCL = 0200, O_TRUNC = 01000,
    O_APPEND = 02000, O_LARGEFILE = 0100000, O_DIRECTORY = 0200000, AT_FDCWD = -100,
    AT_REMOVEDIR = 0x200,
};

static const char path[] = "/tmp/grove-file_modes";
static char text[64];

static void show_number(const char *what, int result)
{
    if (is_error(result))
        show(what, result);
    else
        say("%s: %d\n", what, result);
}

static int length_of(int fd)
{
    uint32_t words[24];

    call(SYS_fstat64, fd, words);
    return (int)words[11];
}

static void show_mapping(const char *what, int fd, int rights, int flags)
{
    int result = map_at(0, PAGE, rights, flags, fd, 0);

    show(what, result);
    if (is_error(result))
        return;
    show("  made writable", call(SYS_mprotect, result, PAGE, PROT_RW));
    show("  made executable", call(SYS_mprotect, result, PAGE, PROT_READ | PROT_EXEC));
    call(SYS_munmap, result, PAGE);
}

static void show_mode(const char *name, int flags)
{
    int fd = call(SYS_open, path, flags);

    say("--- %s\n", name);
    show("open", fd);
    show_number("read", call(SYS_read, fd, text, 3));
    show_number("write", call(SYS_write, fd, "xyz", 3));
    show_number("pread64", call(SYS_pread64, fd, text, 3, 1, 0));
    show_number("pwrite64", call(SYS_pwrite64, fd, "uvw", 3, 1, 0));
    show_mapping("private, read", fd, PROT_READ, MAP_PRIVATE);
    show_mapping("private, write", fd, PROT_RW, MAP_PRIVATE);
    show_mapping("private, only write", fd, PROT_WRITE, MAP_PRIVATE);
    show_mapping("shared, read", fd, PROT_READ, MAP_SHARED);
    show_mapping("shared, write", fd, PROT_RW, MAP_SHARED);
    show_mapping("shared, none", fd, PROT_NONE, MAP_SHARED);
    show_mapping("shared, validated", fd, PROT_READ, 3);
    show_mapping("shared, an unknown flag", fd, PROT_READ, 3 | 0x200000);
    show_mapping("neither", fd, PROT_READ, 0);
    show_mapping("growing down", fd, PROT_READ, MAP_PRIVATE | 0x100);
    show("ftruncate", call(SYS_ftruncate, fd, 20));
    show("ftruncate, negative", call(SYS_ftruncate, fd, -1));
    show("ftruncate64, negative", call(SYS_ftruncate64, fd, 0, 0x80000000));
    show_number("position", call(SYS_lseek, fd, 0, 1));
    call(SYS_close, fd);
}

static void show_open(void)
{
    say("--- open\n");
    show("exclusive", call(SYS_open, path, O_RDWR | O_CREAT | O_EXCL, 0600));
    show("as a directory", call(SYS_open, path, O_DIRECTORY));
    show("a slash behind it", call(SYS_open, "/tmp/grove-file_modes/", O_RDWR));
    show("in it", call(SYS_open, "/tmp/grove-file_modes/x", O_RDWR));
    show("new, in it", call(SYS_open, "/tmp/grove-file_modes/x", O_RDWR | O_CREAT, 0600));
    show("missing", call(SYS_open, "/tmp/grove-missing", O_RDWR));
    show("new, no such directory", call(SYS_open, "/tmp/grove-missing/x", O_RDWR | O_CREAT, 0600));
    show("/tmp, to write", call(SYS_open, "/tmp", O_RDWR));
    show("/tmp, to make", call(SYS_open, "/tmp", O_RDWR | O_CREAT, 0600));
    show("/tmp, exclusive", call(SYS_open, "/tmp", O_CREAT | O_EXCL, 0600));
    show("access", call(SYS_access, path, 6));
    show("access, execute", call(SYS_access, path, 1));
    show("roundabout", call(SYS_open, "//tmp/./../tmp//grove-file_modes", O_RDWR));
}

static void show_append(void)
{
    int fd = call(SYS_open, path, O_RDWR | O_TRUNC);
    int end = call(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND);
    int twin = call(SYS_dup, fd);

    say("--- positions\n");
    say("truncated %d\n", length_of(fd));
    show_number("write", call(SYS_write, fd, "0123456789", 10));
    show_number("append", call(SYS_write, end, "abc", 3));
    show_number("its position", call(SYS_lseek, end, 0, 1));
    show_number("append anywhere", call(SYS_pwrite64, end, "de", 2, 1, 0));
    show_number("its position", call(SYS_lseek, end, 0, 1));
    show_number("write", call(SYS_write, fd, "XYZ", 3));
    show_number("the twin's", call(SYS_lseek, twin, 0, 1));
    show_number("and moved", call(SYS_lseek, twin, 3, 0));
    fill(text, 0, sizeof text);
    show_number("read", call(SYS_read, fd, text, sizeof text - 1));
    say("%s, length %d\n", text, length_of(fd));
    show_number("past the end", call(SYS_lseek, fd, 10, 2));
    show_number("read there", call(SYS_read, fd, text, 10));
    show_number("write there", call(SYS_write, fd, "!", 1));
    say("length %d\n", length_of(twin));
    show("close", call(SYS_close, fd));
    show_number("the twin", call(SYS_pread64, twin, text, 2, 0, 0));
    show("dup2 to itself", call(SYS_dup2, twin, twin) == twin ? 0 : -1);
    show("dup2 over the other", call(SYS_dup2, twin, end) == end ? 0 : -1);
    show_number("which can read now", call(SYS_pread64, end, text, 2, 0, 0));
    show("dup2 to a bad number", call(SYS_dup2, twin, -1));
    show("dup2 of a bad number", call(SYS_dup2, 50, twin));
    show("dup of a bad number", call(SYS_dup, 50));
    show("2 GiB, not open for that", call(SYS_pwrite64, twin, "x", 1, 0x7fffffff, 0));
    int large = call(SYS_open, path, O_RDWR | O_LARGEFILE);
    show("ftruncate64, too long", call(SYS_ftruncate64, large, 0, 0x40000000));
    show("3 GiB", call(SYS_ftruncate64, large, 0xc0000000, 0));
    show_number("a byte there", call(SYS_pwrite64, large, "x", 1, 0xbfffffff, 0));
    show_number("read", call(SYS_pread64, large, text, 10, 0xbffffffe, 0));
    show("open it without O_LARGEFILE", call(SYS_open, path, O_RDWR));
    show("ftruncate64", call(SYS_ftruncate64, large, 40, 0));
    show("close", call(SYS_close, large));
    show_number("up to there", call(SYS_lseek, twin, 0, 2));
    show("pread, negative", call(SYS_pread64, twin, text, 1, 0, -1));
    show("write from nowhere", call(SYS_write, twin, PAGE, 10));
    char *pages = map_pages(2, PROT_RW);
    call(SYS_munmap, pages + PAGE, PAGE);
    show_number("write from half", call(SYS_pwrite64, twin, pages + PAGE - 5, 10, 0, 0));
    show_number("read to half", call(SYS_pread64, twin, pages + PAGE - 5, 10, 0, 0));
    call(SYS_close, twin);
    call(SYS_close, end);
}

static void show_unlink(void)
{
    int fd = call(SYS_open, path, O_RDWR);

    say("--- unlink\n");
    show("/tmp", call(SYS_unlink, "/tmp"));
    show("empty", call(SYS_unlink, ""));
    show("a slash behind it", call(SYS_unlink, "/tmp/grove-file_modes/"));
    show("missing", call(SYS_unlink, "/tmp/grove-missing"));
    show("in it", call(SYS_unlink, "/tmp/grove-file_modes/x"));
    show("as a directory", call(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR));
    show("bad flags", call(SYS_unlinkat, AT_FDCWD, path, 1));
    show("bad pointer", call(SYS_unlink, 4096));
    show("the file", call(SYS_unlinkat, AT_FDCWD, path, 0));
    show("again", call(SYS_unlink, path));
    show("open", call(SYS_open, path, O_RDWR));
    show_number("it can be read", call(SYS_read, fd, text, 5));
    show("creat", call(SYS_creat, path, 0644));
    show_number("the new one", length_of(call(SYS_open, path, 0)));
    show("unlink", call(SYS_unlink, path));
}

int main(int argc, char **argv)
{
    int fd;

    (void)argc, (void)argv;
    call(SYS_unlink, path);
    fd = call(SYS_open, path, O_WRONLY | O_CREAT, 0666);
    call(SYS_write, fd, "0123456789abcdef", 16);
    call(SYS_close, fd);
    show_mode("O_RDONLY", O_RDONLY);
    show_mode("O_WRONLY", O_WRONLY);
    show_mode("O_RDWR", O_RDWR);
    show_mode("neither", O_NEITHER);
    show_mode("O_APPEND", O_RDWR | O_APPEND);
    show_mode("read, truncated", O_TRUNC);
    show_open();
    show_append();
    show_unlink();
    return 0;
}
