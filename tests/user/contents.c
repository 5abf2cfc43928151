/*
 * What the segments of a program hold when it starts: text and constants, data,
 * and a bss that begins in the middle of the last page of the file.
 */
#include "user.h"

static const char constants[] = "a constant";
static char data[5000] = { 1, 2, 3, [4999] = 9 };
static char bss[3 * PAGE];

static size_t count_nonzero(const char *bytes, size_t length)
{
    size_t count = 0;

    for (size_t i = 0; i < length; i++)
        count += bytes[i] != 0;
    return count;
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    say("rodata: %s\n", constants);
    say("data: %d %d %d ... %d, %u bytes are not zero\n", data[0], data[1], data[2], data[4999],
        (unsigned)count_nonzero(data, sizeof data));
    say("bss: %u bytes of %u are not zero\n", (unsigned)count_nonzero(bss, sizeof bss),
        (unsigned)sizeof bss);
    fill(data, 7, sizeof data);
    fill(bss, 8, sizeof bss);
    say("written: data %d %d, bss %d %d\n", data[0], data[4999], bss[0], bss[3 * PAGE - 1]);
    return 0;
}
