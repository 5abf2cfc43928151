// grove-run: --file tests/user/data.txt
/*
 * A file mapped shared and private, before and after a fork.
 */
#include "fork.h"

int main(int argc, char **argv)
{
    int fd = call(SYS_open, "data.txt", 0);
    volatile char *shared = (volatile char *)map_at(0, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    volatile char *private = (volatile char *)map_at(0, PAGE, PROT_RW, MAP_PRIVATE, fd, 0);
    volatile char *read_only = (volatile char *)map_at(0, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    char first = shared[0];
    int pid;

    (void)argc, (void)argv;
    check("all show the file", private[0] == first && read_only[0] == first);
    call(SYS_close, fd);
    pid = fork_child();
    if (pid == 0) {
        bool ok = shared[0] == first && private[0] == first && read_only[0] == first;

        private[0] = '1';
        leave(ok && shared[0] == first ? 0 : 1);
    }
    say_end("the child", pid);
    check("the parent's is the file's", private[0] == first);
    private[0] = '2';
    pid = fork_child();
    if (pid == 0) {
        bool ok = private[0] == '2' && shared[0] == first;

        private[0] = '3';
        call(SYS_munmap, shared, PAGE);
        leave(ok ? 0 : 1);
    }
    say_end("the next child", pid);
    check("the parent's is its own", private[0] == '2' && shared[0] == first);
    return 0;
}
