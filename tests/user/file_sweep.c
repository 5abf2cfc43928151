// grove-run: --memory 8M --file build/user/glibc_malloc:large
/*
 * A file read through a window that moves over it, before and after nearly all
 * memory was taken: its pages that nobody looks at make room, and come back.
 */
#include "user.h"

enum { WINDOW = 32, MORE = 100, MOST = 3000 };

static unsigned sum_file(int fd, unsigned pages)
{
    unsigned sum = 0;

    for (unsigned at = 0; at < pages; at += WINDOW) {
        unsigned count = pages - at < WINDOW ? pages - at : WINDOW;
        const unsigned char *window =
            (unsigned char *)map_at(0, count * PAGE, PROT_READ, MAP_PRIVATE, fd, at);

        for (unsigned i = 0; i < count * PAGE; i += 16)
            sum = sum * 31 + window[i];
        call(SYS_munmap, window, count * PAGE);
    }
    return sum;
}

/* Free pages of the machine, from the second line of /proc/meminfo. */
static unsigned free_pages(void)
{
    static char text[256];
    int fd = call(SYS_open, "/proc/meminfo", 0);
    unsigned kib = 0;
    char *at = text;

    call(SYS_read, fd, text, sizeof text - 1);
    call(SYS_close, fd);
    while (*at != '\n')
        at++;
    while (*at < '0' || *at > '9')
        at++;
    for (; *at >= '0' && *at <= '9'; at++)
        kib = kib * 10 + (unsigned)(*at - '0');
    return kib / 4;
}

int main(int argc, char **argv)
{
    int fd = call(SYS_open, "large", 0);
    unsigned pages = ((unsigned)call(SYS_lseek, fd, 0, 2) + PAGE - 1) / PAGE;
    unsigned before = sum_file(fd, pages);
    unsigned ballast = free_pages() + MORE;

    (void)argc, (void)argv;
    if (ballast > MOST)
        ballast = MOST;
    char *memory = map_pages(ballast, PROT_RW);

    for (unsigned i = 0; i < ballast; i++)
        memory[i * PAGE] = 1;
    say("%u pages, the same as before: %s\n", pages, sum_file(fd, pages) == before ? "yes" : "NO");
    return 0;
}
