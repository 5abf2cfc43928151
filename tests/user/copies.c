// grove-run: --file tests/user/data.txt:data.txt
/*
 * Copies in and out over several areas, and to their ends: how many bytes a call moves,
 * which ones, and what it answers when there are none. The arena:
 *
 *   page 0    1    2    3     4    5
 *        rw-  r--  rw-  ---   r--  (hole)
 */
#include "user.h"

typedef struct vector {
    const void *base;
    uint32_t length;
} vector_t;

static char *arena;
static int fd;

static char *page_end(unsigned page)
{
    return arena + (page + 1) * PAGE;
}

static void show_count(const char *what, int result)
{
    if (is_error(result))
        say("%s: %s\n", what, error_name(-result));
    else
        say("%s: %d\n", what, result);
}

static void make_arena(void)
{
    arena = map_pages(6, PROT_RW);
    for (unsigned page = 0; page < 6; page++)
        for (unsigned i = 0; i < PAGE; i++)
            arena[page * PAGE + i] = (char)('a' + (page * 7 + i) % 26);
    call(SYS_mprotect, page_end(0), PAGE, PROT_READ);
    call(SYS_mprotect, page_end(2), PAGE, PROT_NONE);
    call(SYS_mprotect, page_end(3), PAGE, PROT_READ);
    call(SYS_munmap, page_end(4), PAGE);
}

static void show_write(const char *what, const char *from, int length)
{
    show_count(what, call(SYS_write, 1, from, length));
}

static void writes(void)
{
    show_write(" over three areas", page_end(0) - 8, PAGE + 16);
    show_write(" to a page without rights", page_end(2) - 4, 100);
    show_write(" in it", page_end(2), 1);
    show_write(" to its end", page_end(3) - 1, 10);
    show_write(" of the page behind", page_end(3), 10);
    show_write(" to a hole", page_end(4) - 3, 100);
    show_write(" one byte before it", page_end(4) - 1, 1);
    show_write(" in it", page_end(4), 1);
    show_write(" of nothing in it", page_end(4), 0);
}

/* A read, what it gave, and where the file stands. */
static void show_read(const char *what, char *to, int length)
{
    call(SYS_lseek, fd, 10, 0);
    int result = call(SYS_read, fd, to, length);
    int at = call(SYS_lseek, fd, 0, 1);

    show_count(what, result);
    say(" the file is at %d:", at);
    for (int i = 0; i < result && i < 8; i++)
        say(" %x", (unsigned char)to[i]);
    say("\n");
}

static void reads(void)
{
    show_read("read to a read-only page", page_end(0) - 4, 100);
    show_read("read in it", page_end(0), 4);
    show_read("read to its last byte", page_end(1) - 1, 4);
    show_read("read behind it", page_end(1), 4);
    show_read("read a page and more", page_end(1), PAGE + 50);
    show_read("read to a page without rights", page_end(2) - 2, 8);
    show_read("read in it", page_end(2), 8);
    show_read("read in a hole", page_end(4), 8);
    show_read("read nothing in it", page_end(4), 0);
    say("what was read-only is as it was: %c %c\n", *page_end(0), page_end(1)[-1]);
}

static void vector_writes(void)
{
    vector_t good_bad[3] = { { "one ", 4 }, { page_end(2), 4 }, { "three", 5 } };
    vector_t bad_good[2] = { { page_end(2), 4 }, { "two", 3 } };
    vector_t into_hole[3] = { { "x", 1 }, { page_end(4) - 3, 10 }, { "three", 5 } };
    vector_t nothing_bad[2] = { { page_end(4), 0 }, { "good", 4 } };
    vector_t many[20];

    show_count(" writev good, bad", call(SYS_writev, 1, good_bad, 3));
    show_count(" writev bad, good", call(SYS_writev, 1, bad_good, 2));
    show_count(" writev into a hole", call(SYS_writev, 1, into_hole, 3));
    show_count(" writev nothing, good", call(SYS_writev, 1, nothing_bad, 2));
    for (unsigned i = 0; i < 20; i++)
        many[i] = (vector_t){ "abcdefghijklmnopqrst" + i, i % 3 };
    show_count(" writev of 20", call(SYS_writev, 1, many, 20));
    many[19].length = 0x80000000;
    show_count(" writev of 20, the last negative", call(SYS_writev, 1, many, 20));
}

static void vectors_in_places(void)
{
    vector_t *last = (vector_t *)page_end(2) - 1;

    last[0] = (vector_t){ "last", 4 };
    show_count(" writev, the vector at the end", call(SYS_writev, 1, last, 1));
    show_count(" writev, the vector into no rights", call(SYS_writev, 1, last, 2));
    show_count(" writev, the vector in no rights", call(SYS_writev, 1, page_end(2), 1));
    show_count(" writev, 20 into no rights", call(SYS_writev, 1, last - 5, 20));
    show_count(" writev, no element in a hole", call(SYS_writev, 1, page_end(4), 0));
}

/* The first element takes the vector's own memory: the second one must not follow it. */
static void vector_reads(void)
{
    static char buffer[32];
    vector_t own[2] = { { own, sizeof own }, { buffer, 6 } };
    vector_t across[2] = { { page_end(0) - 2, 2 }, { page_end(0), 6 } };

    call(SYS_lseek, fd, 0, 0);
    show_count("readv over the vector", call(SYS_readv, fd, own, 2));
    say("it is \"%c%c%c\", and then \"%s\"\n", ((char *)own)[0], ((char *)own)[1],
        ((char *)own)[2], buffer);
    show_count("readv to a read-only page", call(SYS_readv, fd, across, 2));
    show_count("the file is at", call(SYS_lseek, fd, 0, 1));
}

/* A path of that many slashes, its NUL not counted. */
static char *slashes(char *at, size_t count)
{
    fill(at, '/', count);
    at[count] = '\0';
    return at;
}

static void copy_text(char *to, const char *from)
{
    while ((*(volatile char *)to++ = *from++) != '\0')
        continue;
}

static void strings(void)
{
    char *path = page_end(2) - sizeof "data.txt";
    char *long_path = map_pages(3, PROT_RW);

    copy_text(path, "data.txt");
    show("a path that ends with its page", call(SYS_access, path, 4));
    page_end(2)[-1] = 't';
    show("a path that does not end in its page", call(SYS_access, path, 4));
    page_end(2)[-1] = '\0';
    show("an empty path in the last byte", call(SYS_access, page_end(2) - 1, 4));
    show("a path without rights", call(SYS_access, page_end(2), 4));
    copy_text(page_end(0) - 5, "data");
    call(SYS_mprotect, page_end(0), PAGE, PROT_RW);
    copy_text(page_end(0) - 4, "data.txt");
    call(SYS_mprotect, page_end(0), PAGE, PROT_READ);
    show("a path over two areas", call(SYS_access, page_end(0) - 4, 4));
    show("4,095 characters", call(SYS_access, slashes(long_path + 100, 4095), 4));
    show("4,096 characters", call(SYS_access, slashes(long_path + 100, 4096), 4));
    call(SYS_munmap, long_path + PAGE, 2 * PAGE);
    fill(long_path, '/', PAGE);
    show("4,096 characters to a hole", call(SYS_access, long_path, 4));
    show("4,095 characters to a hole", call(SYS_access, long_path + 1, 4));
}

/* Structures: the last bytes of a page are enough, one byte less is not. */
static void structs(void)
{
    uint32_t *pair = (uint32_t *)page_end(2) - 2;

    show("ugetrlimit at the end", call(SYS_ugetrlimit, 3, pair));
    show("setrlimit from there", call(75, 3, pair));
    show("ugetrlimit past it", call(SYS_ugetrlimit, 3, pair + 1));
    show("setrlimit past it", call(75, 3, pair + 1));
    show("ugetrlimit to a read-only page", call(SYS_ugetrlimit, 3, page_end(0)));
    show("prlimit64 from past the end", call(SYS_prlimit64, 0, 3, pair, 0));
    show("fstat64 at the end", call(SYS_fstat64, fd, page_end(2) - 96));
    show("fstat64 past it", call(SYS_fstat64, fd, page_end(2) - 95));
    show("uname at the end", call(SYS_uname, page_end(2) - 390));
    show("uname past it", call(SYS_uname, page_end(2) - 389));
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    fd = call(SYS_open, "data.txt", 0);
    make_arena();
    writes();
    reads();
    vector_writes();
    vectors_in_places();
    vector_reads();
    strings();
    structs();
    return 0;
}
