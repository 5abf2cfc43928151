// linux: no
/*
 * Addresses of the kernel, handed to system calls: each is refused.
 */
#include "user.h"

int main(int argc, char **argv)
{
    static const size_t places[] = {
        0x00000000, 0x00000ffc, 0x00001000, 0x00100000, 0x003ffffc, 0xbfffffff, 0xc0000000,
        0xd0000000, 0xd5400000, 0xe0000000, 0xfffffffc, 0xffffffff,
    };

    (void)argc, (void)argv;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        say("0x%08x: ", places[i]);
        int from = call(SYS_write, 1, places[i], 4);
        int to = call(SYS_getrandom, places[i], 4, 0);

        say("read %s, write %s\n", is_error(from) ? error_name(-from) : "ok",
            is_error(to) ? error_name(-to) : "ok");
    }
    return 0;
}
