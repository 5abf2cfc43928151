// linux: no
// enosys: 11 190 240 386
/*
 * What Grove does not do yet says so.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    show("execve", call(11, "not_there", 0, 0));
    show("vfork", call(190));
    show("futex", call(240, argv, 0, 0, 0));
    show("rseq", call(386, 0, 0, 0, 0));
    show("a file to write", call(SYS_open, "/proc/meminfo", 2));
    show("a new file", call(SYS_open, "/new", 0101, 0600));
    show("the page at 0", map_at(0, PAGE, PROT_RW, MAP_ANON_PRIVATE | MAP_FIXED, -1, 0));
    return 0;
}
