// status: 135
// stderr: shared_file_end
/*
 * A file gets shorter while it is mapped: the next write behind its end is a SIGBUS.
 */
#include "user.h"

int main(int argc, char **argv)
{
    static const char path[] = "/tmp/grove-shared_file_end";
    int fd = call(SYS_open, path, 01102, 0600);

    (void)argc, (void)argv;
    show("unlink", call(SYS_unlink, path));
    show("ftruncate", call(SYS_ftruncate, fd, 2 * PAGE));
    volatile char *memory = (volatile char *)map_at(0, 2 * PAGE, PROT_RW, MAP_SHARED, fd, 0);
    memory[PAGE] = 'x';
    say("%c\n", memory[PAGE]);
    show("ftruncate", call(SYS_ftruncate, fd, PAGE));
    memory[PAGE - 1] = 'y';
    say("%c\n", memory[PAGE - 1]);
    memory[PAGE] = 'z';
    say("not here\n");
    return 0;
}
