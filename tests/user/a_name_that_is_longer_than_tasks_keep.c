/*
 * /proc/self/exe names the whole file.
 */
#include "user.h"

static char path[4096];

int main(int argc, char **argv)
{
    int length = call(SYS_readlink, "/proc/self/exe", path, sizeof path - 1);

    (void)argc, (void)argv;
    if (is_error(length)) {
        show("readlink", length);
        return 1;
    }
    while (length > 0 && path[length - 1] != '/')
        length--;
    check("an absolute path", path[0] == '/');
    say("%s\n", path + length);
    say("the first two characters: %d\n", call(SYS_readlink, "/proc/self/exe", path, 2));
    return 0;
}
