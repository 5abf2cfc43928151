// linux: no
// enosys: 11 119 173 174 175 192 386
/*
 * What Grove does not do yet says so.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    show("execve", call(11, "not_there", 0, 0));
    show("sigreturn", call(119));
    show("rt_sigreturn", call(173));
    show("rt_sigaction", call(174, 11, 0, 0, 8));
    show("rt_sigprocmask", call(175, 0, 0, 0, 8));
    show("rseq", call(386, 0, 0, 0, 0));
    show("shared anonymous memory", map_at(0, PAGE, PROT_RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    show("a file to write", call(SYS_open, "/proc/meminfo", 2));
    show("a new file", call(SYS_open, "/new", 0101, 0600));
    show("the page at 0", map_at(0, PAGE, PROT_RW, MAP_ANON_PRIVATE | MAP_FIXED, -1, 0));
    return 0;
}
