// linux: no
/*
 * /proc/self/pages: what of an arena is in memory. With the file comes what `maps` and
 * `pages` of gdb print at the same moment (tests/tools/gdb.t).
 */
#include "user.h"

static char text[16384];

/* Read a whole file at once. */
static int get(const char *path)
{
    int fd = call(SYS_open, path, 0);
    int length = call(SYS_read, fd, text, sizeof text - 1);

    call(SYS_close, fd);
    text[length > 0 ? length : 0] = '\0';
    return length;
}

static unsigned hex(const char *at)
{
    unsigned value = 0;

    for (int i = 0; i < 8; i++, at++)
        value = value * 16 + (unsigned)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
    return value;
}

/* The lines of the arena, addresses as pages of it; x is the format's affair. */
static void show_lines(const char *what, const char *arena, unsigned pages)
{
    say("%s\n", what);
    for (char *at = text; *at != '\0'; ) {
        unsigned start = (hex(at) - (unsigned)arena) / PAGE;
        unsigned end = (hex(at + 9) - (unsigned)arena) / PAGE;
        char *line = at;

        while (*at != '\n')
            at++;
        *at++ = '\0';
        line[20] = '.';
        if (hex(line) >= (unsigned)arena && start < pages)
            say("  %u to %u: %s\n", start, end, line + 18);
    }
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    char *arena = map_pages(700, PROT_RW);

    fill(text, 0, sizeof text);
    for (unsigned page = 0; page < 90; page++)
        arena[page * PAGE] = 1;
    for (unsigned page = 100; page < 110; page++)
        (void)((volatile char *)arena)[page * PAGE];
    arena[105 * PAGE] = 1;
    arena[699 * PAGE] = 1;
    call(SYS_mprotect, arena + 10 * PAGE, 10 * PAGE, PROT_READ);
    call(SYS_mprotect, arena + 20 * PAGE, 10 * PAGE, PROT_NONE);
    call(SYS_munmap, arena + 30 * PAGE, 5 * PAGE);
    get("/proc/self/maps");
    get("/proc/self/pages");
    show_lines("in memory:", arena, 700);
    call(SYS_munmap, arena, 700 * PAGE);
    get("/proc/self/pages");
    show_lines("unmapped:", arena, 700);
    return 0;
}
