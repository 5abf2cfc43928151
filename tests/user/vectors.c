// grove-run: --file tests/user/data.txt:data.txt
/*
 * readv and writev: what is moved, and what is refused before anything is.
 */
#include "user.h"

typedef struct vector {
    const char *base;
    uint32_t length;
} vector_t;

static char text[2][8];
static vector_t many[1025];

int main(int argc, char **argv)
{
    vector_t three[3] = { { "one, ", 5 }, { NULL, 0 }, { "two\n", 4 } };
    int fd = call(SYS_open, "data.txt", 0);

    (void)argc, (void)argv;
    say("%d\n", call(SYS_writev, 1, three, 3));
    show("none", call(SYS_writev, 1, three, 0));
    show("a closed file", call(SYS_writev, 50, three, 3));
    show("a file to read", call(SYS_writev, fd, three, 3));
    show("1,024", call(SYS_writev, 1, many, 1024));
    show("1,025", call(SYS_writev, 1, many, 1025));
    show("negative count", call(SYS_writev, 1, many, -1));
    show("bad pointer", call(SYS_writev, 1, 8, 1));
    three[2].length = 0x80000000;
    show("a negative length", call(SYS_writev, 1, three, 3));
    three[0].base = (char *)0xffffff00;
    three[0].length = 0x1000;
    show("behind a bad address", call(SYS_writev, 1, three, 3));
    three[2].length = 4;
    show("a bad address", call(SYS_writev, 1, three, 3));
    vector_t two[2] = { { text[0], 8 }, { text[1], 6 } };

    say("readv %d\n", call(SYS_readv, fd, two, 2));
    write_all(1, text[0], 8);
    write_all(1, text[1], 6);
    say("\n");
    return 0;
}
