// linux: no
/*
 * One page of a file mapped more often than its frame can count: each mapping shows
 * it, and with the last of them the frame is free again.
 */
#include "user.h"

enum { AREAS = 65400, BASE = 0x40000000, STEP = 2 * PAGE };

static char text[1024];

/* nr_file_pages of /proc/vmstat */
static unsigned file_pages(void)
{
    static const char key[] = "nr_file_pages ";
    int fd = call(SYS_open, "/proc/vmstat", 0);
    int length = call(SYS_read, fd, text, sizeof text - 1);
    unsigned count = 0;

    call(SYS_close, fd);
    for (int i = 0, same = 0; i < length; i++) {
        if (same < (int)sizeof key - 1)
            same = text[i] == key[same] ? same + 1 : 0;
        else if (text[i] >= '0' && text[i] <= '9')
            count = count * 10 + (unsigned)text[i] - '0';
        else
            break;
    }
    return count;
}

/* => how many mappings show the page */
static unsigned round_of(unsigned areas)
{
    int fd = call(SYS_open, "/proc/self/maps", 0);
    unsigned shown = 0;
    char first = 0;

    call(SYS_read, fd, &first, 1);
    for (unsigned i = 0; i < areas; i++) {
        int address = map_at(BASE + i * STEP, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0);

        if (is_error(address))
            break;
        shown += *(volatile char *)address == first;
    }
    call(SYS_close, fd);
    call(SYS_munmap, BASE, areas * STEP);
    return shown;
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    say("%u of 10 show it\n", round_of(10));
    unsigned before = file_pages();
    say("%u of %u show it\n", round_of(AREAS), AREAS);
    say("pages of files left over: %d\n", (int)(file_pages() - before));
    return 0;
}
