/*
 * MAP_POPULATE brings all pages at once; without it, none.
 */
#include "user.h"

/* Resident memory in KiB, from /proc/self/status. */
static int resident(void)
{
    static char text[4096];
    int fd = call(SYS_open, "/proc/self/status", 0);
    int length = call(SYS_read, fd, text, sizeof text - 1);
    int value = 0;

    call(SYS_close, fd);
    for (char *at = text; at + 6 < text + length; at++) {
        if (at[0] != 'V' || at[1] != 'm' || at[2] != 'R' || at[3] != 'S' || at[4] != 'S')
            continue;
        for (at += 6; *at == ' ' || *at == '\t'; at++) {}
        for (; *at >= '0' && *at <= '9'; at++)
            value = value * 10 + *at - '0';
        return value;
    }
    return -1;
}

/* Linux counts in batches: within an eighth is equal. */
static bool about(int is, int wanted)
{
    return is >= wanted - wanted / 8 && is <= wanted + wanted / 8;
}

int main(int argc, char **argv)
{
    const int all = 16384;              /* KiB */
    int before = resident();

    (void)argc, (void)argv;
    char *lazy = map_pages(4096, PROT_RW);
    check("mapping takes nothing", resident() < before + all / 8);
    int result = map_at(0, 4096 * PAGE, PROT_RW, MAP_ANON_PRIVATE | MAP_POPULATE, -1, 0);
    show("populate", result);
    check("16 MiB are there", about(resident() - before, all));
    unsigned sum = 0;
    for (size_t i = 0; i < 4096; i++)
        sum += ((unsigned char *)result)[i * PAGE];
    say("sum %u\n", sum);
    show("munmap", call(SYS_munmap, result, 4096 * PAGE));
    check("they are gone", resident() < before + all / 8);
    lazy[0] = 1;
    return 0;
}
