// linux: no
// grove-run: --file tests/user/data.txt:data.txt
/*
 * Pages of a file that nobody maps are in the cache, and count as available.
 */
#include "user.h"

static char text[2048];

/* The number behind the name, in KiB. */
static unsigned row(const char *name)
{
    const char *at = text;
    unsigned value = 0;

    while (*at != '\0') {
        size_t same = 0;

        while (name[same] != '\0' && at[same] == name[same])
            same++;
        if (name[same] == '\0')
            break;
        while (*at != '\0' && *at++ != '\n')
            continue;
    }
    while (*at != '\0' && (*at < '0' || *at > '9'))
        at++;
    while (*at >= '0' && *at <= '9')
        value = value * 10 + (unsigned)(*at++ - '0');
    return value;
}

/* Memory that is available and not free, in KiB. */
static unsigned droppable(void)
{
    int fd = call(SYS_open, "/proc/meminfo", 0);
    int length = call(SYS_read, fd, text, sizeof text - 1);

    call(SYS_close, fd);
    text[length > 0 ? length : 0] = '\0';
    return row("MemAvailable:") - row("MemFree:");
}

int main(int argc, char **argv)
{
    int fd = call(SYS_open, "data.txt", 0);
    unsigned before = droppable();
    volatile char *file = (char *)map_at(0, 2 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);

    (void)argc, (void)argv;
    (void)file[0], (void)file[PAGE];
    say("mapped: %u KiB more\n", droppable() - before);
    call(SYS_munmap, file, 2 * PAGE);
    say("unmapped: %u KiB more\n", droppable() - before);
    return 0;
}
