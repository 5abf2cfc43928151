/*
 * Shared anonymous memory, and /dev/zero and /dev/null.
 */
#include "user.h"

enum { MAP_SHARED_ANON = MAP_SHARED | MAP_ANONYMOUS, O_RDWR = 2 };

static char text[3 * PAGE];

static void show_anonymous(void)
{
    char *memory = (char *)map_at(0, 40 * PAGE, PROT_RW, MAP_SHARED_ANON, -1, 7);

    check("zeroes", memory[0] == 0 && memory[40 * PAGE - 1] == 0);
    for (unsigned i = 0; i < 40; i++)
        memory[i * PAGE + i] = (char)(i + 1);
    show("read-only", call(SYS_mprotect, memory, 20 * PAGE, PROT_READ));
    check("not writable", !is_writable(memory + PAGE));
    show("without a right", call(SYS_mprotect, memory + 5 * PAGE, 5 * PAGE, PROT_NONE));
    check("not readable", !is_readable(memory + 6 * PAGE));
    show("all rights", call(SYS_mprotect, memory, 40 * PAGE, PROT_RW | PROT_EXEC));
    bool same = true;
    for (unsigned i = 0; i < 40; i++)
        same = same && memory[i * PAGE + i] == (char)(i + 1);
    check("contents", same);
    memory[6 * PAGE] = 1;
    show("a hole in it", call(SYS_munmap, memory + 10 * PAGE, 10 * PAGE));
    check("the rest", memory[9 * PAGE + 9] == 10 && memory[20 * PAGE + 20] == 21);
    show("over it", map_at((size_t)memory + 30 * PAGE, PAGE, PROT_RW,
                           MAP_SHARED_ANON | MAP_FIXED, -1, 0));
    check("fresh", memory[30 * PAGE + 30] == 0 && memory[31 * PAGE + 31] == 32);
    show("munmap", call(SYS_munmap, memory, 40 * PAGE));
    memory = (char *)map_at(0, 3 * PAGE, PROT_RW, MAP_SHARED_ANON | MAP_POPULATE, -1, 0);
    memory[PAGE] = 'x';
    check("populated", memory[0] == 0 && memory[PAGE] == 'x');
    memory = (char *)map_at(0, 512 * MIB, PROT_RW, MAP_SHARED_ANON | 0x4000, -1, 0);
    memory[0] = memory[511 * MIB] = 'y';
    check("far apart", memory[0] == 'y' && memory[511 * MIB] == 'y' && memory[MIB] == 0);
    show("and growing down", map_at(0, PAGE, PROT_RW, MAP_SHARED_ANON | 0x100, -1, 0));
    show("and validated", map_at(0, PAGE, PROT_RW, MAP_ANONYMOUS | 3, -1, 0));
}

static void show_zero(void)
{
    int fd = call(SYS_open, "/dev/zero", O_RDWR);
    int reader = call(SYS_open, "/dev/zero", 0);
    char *memory;

    fill(text, 'x', sizeof text);
    say("read %d, write %d\n", call(SYS_read, fd, text, PAGE + 5),
        call(SYS_write, fd, text, sizeof text));
    check("zeroes, and no more", text[0] == 0 && text[PAGE + 4] == 0 && text[PAGE + 5] == 'x');
    say("seek %d %d\n", call(SYS_lseek, fd, 1000, 0), call(SYS_pread64, fd, text, 10, 5, 0));
    show("read to nowhere", call(SYS_read, fd, PAGE, 10));
    memory = (char *)map_at(0, 2 * PAGE, PROT_RW, MAP_PRIVATE, fd, 3);
    memory[PAGE] = 'p';
    check("private", memory[0] == 0 && memory[PAGE] == 'p');
    memory = (char *)map_at(0, 2 * PAGE, PROT_RW, MAP_SHARED, fd, 1);
    check("shared, from the second page", is_readable(memory) && !is_readable(memory + PAGE));
    memory = (char *)map_at(0, 2 * PAGE, PROT_RW, MAP_SHARED, fd, 0);
    memory[PAGE] = 's';
    check("shared", memory[0] == 0 && memory[PAGE] == 's');
    show("shared, writable, not open for that", map_at(0, PAGE, PROT_RW, MAP_SHARED, reader, 0));
    memory = (char *)map_at(0, PAGE, PROT_READ, MAP_SHARED, reader, 0);
    check("shared, read", memory[0] == 0);
    show("made writable", call(SYS_mprotect, memory, PAGE, PROT_RW));
    memory = (char *)map_at(0, PAGE, PROT_RW, MAP_PRIVATE, reader, 0);
    memory[0] = 'r';
    check("private, written", memory[0] == 'r');
    show("write, not open for that", call(SYS_write, reader, text, 1));
    show("ftruncate", call(SYS_ftruncate, fd, 0));
    show("access", call(SYS_access, "/dev/zero", 6));
}

static void show_null(void)
{
    int fd = call(SYS_open, "/dev/null", O_RDWR);

    say("read %d, write %d\n", call(SYS_read, fd, text, 100), call(SYS_write, fd, text, 100));
    say("from nowhere %d\n", call(SYS_write, fd, PAGE, 100));
    show("mmap", map_at(0, PAGE, PROT_READ, MAP_PRIVATE, fd, 0));
    show("mmap, shared", map_at(0, PAGE, PROT_RW, MAP_SHARED, fd, 0));
    fd = call(SYS_open, "/dev/null", 1);
    show("mmap, not open for reading", map_at(0, PAGE, PROT_READ, MAP_PRIVATE, fd, 0));
    show("read, not open for that", call(SYS_read, fd, text, 1));
    show("exclusive", call(SYS_open, "/dev/null", 0302, 0600));
    show("as a directory", call(SYS_open, "/dev/null", 0200000));
    show("truncated", call(SYS_open, "/dev/null", 01002));
    show("unlink /dev", call(SYS_unlink, "/dev"));
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    show_anonymous();
    show_zero();
    show_null();
    return 0;
}
