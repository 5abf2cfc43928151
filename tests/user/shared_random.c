/*
 * A file of /tmp under random calls and accesses: mappings of all kinds come and go,
 * are written to and protected, the file grows and shrinks, is read and written, and
 * all that is seen goes into a running sum.
 */
#include "user.h"

enum { FILE_PAGES = 24, VIEWS = 6, VIEW_PAGES = 12, STEPS = 6000 };

static const char path[] = "/tmp/grove-shared_random";

typedef struct view {
    char *memory;               /* NULL: none */
    unsigned pages;
    unsigned first;             /* page of the file */
    bool shared;
    bool writable;
} view_t;

static view_t views[VIEWS];
static char buffer[3 * PAGE];
static uint32_t seed, sum;
static int fd;

static uint32_t random(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

static uint32_t below(uint32_t limit)
{
    return random() % limit;
}

static void mix(uint32_t value)
{
    sum = (sum ^ value) * 0x01000193u;
    sum ^= sum >> 15;
}

/* A byte of memory through the kernel. => -1: there is none */
static int byte_of(const char *at)
{
    static int other;
    char byte;

    /* What is written to a file of one byte comes back. */
    if (other == 0) {
        other = call(SYS_open, "/tmp/grove-shared_random.2", 0102, 0600);
        call(SYS_unlink, "/tmp/grove-shared_random.2");
    }
    if (call(SYS_pwrite64, other, at, 1, 0, 0) != 1)
        return -1;
    call(SYS_pread64, other, &byte, 1, 0, 0);
    return (unsigned char)byte;
}

static unsigned length_of(void)
{
    uint32_t words[24];

    call(SYS_fstat64, fd, words);
    return words[11];
}

static void drop_view(view_t *view)
{
    mix((uint32_t)call(SYS_munmap, view->memory, view->pages * PAGE));
    view->memory = NULL;
}

static void new_view(view_t *view)
{
    int flags = below(3) == 0 ? MAP_PRIVATE : MAP_SHARED;
    int result;

    view->shared = flags == MAP_SHARED;
    view->pages = 1 + below(VIEW_PAGES);
    view->first = below(FILE_PAGES);
    view->writable = below(4) != 0;
    if (below(4) == 0)
        flags |= MAP_POPULATE;
    result = map_at(0, view->pages * PAGE, view->writable ? PROT_RW : PROT_READ, flags, fd,
                    view->first);
    mix(is_error(result));
    view->memory = is_error(result) ? NULL : (char *)result;
}

/* One byte, by the program itself if the page is in the file, else by the kernel. */
static void touch(view_t *view)
{
    unsigned at = below(view->pages * PAGE);
    bool inside = (view->first + at / PAGE) * PAGE < length_of();

    if (below(2) == 0 && view->writable && inside)
        view->memory[at] = (char)(1 + below(255));
    else if (inside)
        mix((unsigned char)view->memory[at]);
    else
        mix((uint32_t)byte_of(view->memory + at));
}

static void protect(view_t *view)
{
    unsigned from = below(view->pages);
    unsigned count = 1 + below(view->pages - from);

    mix((uint32_t)call(SYS_mprotect, view->memory + from * PAGE, count * PAGE, PROT_NONE));
    mix((uint32_t)byte_of(view->memory + from * PAGE));
    mix((uint32_t)call(SYS_mprotect, view->memory, view->pages * PAGE,
                       view->writable ? PROT_RW : PROT_READ));
}

static void transfer(void)
{
    unsigned at = below(FILE_PAGES * PAGE);
    unsigned count = below(sizeof buffer);

    if (below(2) == 0) {
        for (unsigned i = 0; i < count; i++)
            buffer[i] = (char)(at + i * 13 + sum);
        mix((uint32_t)call(SYS_pwrite64, fd, buffer, count, at, 0));
    } else {
        int got = call(SYS_pread64, fd, buffer, count, at, 0);

        mix((uint32_t)got);
        for (int i = 0; i < got; i++)
            mix((unsigned char)buffer[i]);
    }
}

/*
 * Linux clears what lies behind the end when the file is cut, some of its file systems
 * not when it grows: so it is cut at its own end first.
 */
static void set_length(void)
{
    unsigned length = below(FILE_PAGES * PAGE);

    mix((uint32_t)call(SYS_ftruncate, fd, length_of() - (length_of() > 0)));
    mix((uint32_t)call(SYS_ftruncate, fd, length));
}

static void step(void)
{
    view_t *view = &views[below(VIEWS)];
    unsigned what = below(16);

    if (what == 0)
        set_length();
    else if (what < 4)
        transfer();
    else if (view->memory == NULL)
        new_view(view);
    else if (what == 4)
        drop_view(view);
    else if (what == 5)
        protect(view);
    else
        touch(view);
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    fd = call(SYS_open, path, 01102, 0600);
    show("open", fd);
    show("unlink", call(SYS_unlink, path));
    for (seed = 1; seed <= 3; seed++) {
        uint32_t kept = seed;

        for (unsigned i = 0; i < STEPS; i++) {
            step();
            if (i % (STEPS / 3) == 0)
                say("%u: %08x\n", kept, sum);
        }
        say("%u: %08x, length %u\n", kept, sum, length_of());
        seed = kept;
    }
    return 0;
}
