/*
 * A hundred children at once, each with a sum of its own; then a hundred in turn.
 */
#include "fork.h"

enum { CHILDREN = 100, PAGES = 8 };

static volatile unsigned char page[PAGES][PAGE];

static int work(int n)
{
    unsigned sum = 0;

    for (int i = 0; i < PAGES; i++)
        page[i][n] = (unsigned char)(n + i);
    for (int i = 0; i < PAGES; i++)
        for (unsigned at = 0; at < PAGE; at += 4)
            sum += page[i][at];
    return (int)(sum % 251);
}

int main(int argc, char **argv)
{
    static int pid[CHILDREN];
    unsigned sum = 0;

    (void)argc, (void)argv;
    for (int i = 0; i < CHILDREN; i++) {
        pid[i] = fork_child();
        if (pid[i] == 0) {
            call(SYS_sched_yield);
            leave(work(i));
        }
    }
    for (int i = 1; i < CHILDREN; i++)
        for (int k = 0; k < i; k++)
            if (pid[i] == pid[k])
                say("two children have the same pid\n");
    for (int i = 0; i < CHILDREN; i++)
        sum = sum * 31 + (unsigned)(wait_child(pid[(i * 7) % CHILDREN]) >> 8);
    say("at once: %08x\n", sum);
    sum = 0;
    for (int i = 0; i < CHILDREN; i++) {
        int child = fork_child();

        if (child == 0)
            leave(work(i));
        sum = sum * 31 + (unsigned)(wait_child(child) >> 8);
    }
    say("in turn: %08x\n", sum);
    show("no child is left", call(SYS_waitpid, -1, 0, 0));
    return 0;
}
