// status: 135
// grove-run: --file tests/user/data.txt:data.txt
// stderr: file_end \(pid \d+\) .*SIGBUS
/*
 * A page wholly past the end of its file: SIGBUS, not SIGSEGV.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    int fd = call(SYS_open, "data.txt", 0);
    volatile char *file = (char *)map_at(0, 3 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);

    say("in the last page, behind the end: %d\n", file[2 * PAGE - 1]);
    check("a system call gets EFAULT", !is_readable((char *)file + 2 * PAGE));
    say("%d\n", file[2 * PAGE]);
    say("still alive\n");
    return 0;
}
