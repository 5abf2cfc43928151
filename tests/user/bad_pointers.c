// grove-run: --file tests/user/data.txt:data.txt
/*
 * Every call that takes a pointer answers EFAULT to one that the program may not
 * use, and survives it: not mapped, read-only, crossing into a hole.
 */
#include "user.h"

static char *hole;          /* an unmapped page behind a mapped one */
static char *constant;      /* a read-only page */

static void show_reading(const char *name, size_t bad)
{
    say("%s:", name);
    const int results[] = {
        call(SYS_open, bad, 0),
        call(SYS_access, bad, 0),
        call(SYS_readlink, bad, constant, 10),
        call(SYS_stat64, bad, constant),
        call(SYS_openat, -100, bad, 0),
        call(SYS_writev, 1, bad, 1),
        call(SYS_old_mmap, bad),
        call(SYS_set_thread_area, bad),
        call(SYS_statx, 1, bad, 0, 0, constant),
    };

    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++)
        say(" %s", is_error(results[i]) ? error_name(-results[i]) : "ok");
    say("\n");
}

static void show_writing(const char *name, int fd, size_t bad)
{
    say("%s:", name);
    const int results[] = {
        call(SYS_read, fd, bad, 8),
        call(SYS_fstat64, fd, bad),
        call(SYS_stat64, "data.txt", bad),
        call(SYS_uname, bad),
        call(SYS__llseek, fd, 0, 0, bad, 0),
        call(SYS_ugetrlimit, 3, bad),
        call(SYS_prlimit64, 0, 3, 0, bad),
        call(SYS_getrandom, bad, 8, 0),
        call(SYS_statx, fd, "", 0x1000, 0x7ff, bad),
        call(SYS_readlink, "/proc/self/exe", bad, 8),
    };

    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++)
        say(" %s", is_error(results[i]) ? error_name(-results[i]) : "ok");
    say("\n");
}

int main(int argc, char **argv)
{
    int fd = call(SYS_open, "data.txt", 0);

    (void)argc, (void)argv;
    constant = map_pages(1, PROT_READ);
    hole = map_pages(2, PROT_RW) + PAGE;
    call(SYS_munmap, hole, PAGE);
    fill(hole - PAGE, 'x', PAGE);
    show_reading("read NULL", 0);
    show_reading("read a hole", (size_t)hole);
    show_reading("read into a hole", (size_t)hole - 2);
    show_reading("read the kernel", 0xfffff000);
    show_writing("write NULL", fd, 0);
    show_writing("write a hole", fd, (size_t)hole);
    show_writing("write read-only", fd, (size_t)constant);
    show_writing("write the kernel", fd, 0xfffff000);
    show("write of a hole", call(SYS_write, 1, hole, 4));
    show("write of NULL", call(SYS_write, 1, 0, 4));
    show("write of the kernel", call(SYS_write, 1, 0xfffff000, 4));
    show("write of nothing, nowhere", call(SYS_write, 1, hole, 0));
    say("a path without an end: %s\n", error_name(-call(SYS_open, hole - PAGE, 0)));
    call(SYS_lseek, fd, 0, 0);
    say("read into a hole: %d\n", call(SYS_read, fd, hole - 5, 100));
    say("%c%c%c%c%c\n", hole[-5], hole[-4], hole[-3], hole[-2], hole[-1]);
    return 0;
}
