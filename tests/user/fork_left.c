// linux: no
// status: 3
/*
 * A program that ends before its children and grandchildren: they go with it, and
 * leave nothing behind.
 */
#include "fork.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    for (int i = 0; i < 10; i++) {
        if (fork_child() != 0)
            continue;
        if (i % 2 == 0) {
            int pid = fork_child();

            map_pages(100, PROT_RW)[0] = 1;
            if (pid != 0 && i % 4 == 0)
                leave(0);               /* an orphan, and a zombie */
        }
        if (i == 9)
            leave(0);
        for (;;)
            call(SYS_sched_yield);
    }
    for (int i = 0; i < 10; i++)
        call(SYS_sched_yield);
    if (fork_child() == 0)
        for (;;)
            ;                           /* it never gives way */
    say("the parent ends\n");
    return 3;
}
