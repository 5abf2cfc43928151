// linux: no
// grove-run: --memory 16M
// stderr: fork_oom \(pid \d+\) is killed by signal 9 \(SIGKILL\): out of memory; it has \d+ KiB
/*
 * Memory runs out: the largest program is killed, and every other one goes on.
 */
#include "fork.h"

enum { KEPT = 64, GREED = 64 * MIB / PAGE };

static void greedy(void)
{
    volatile char *at = map_pages(GREED, PROT_RW);

    for (unsigned i = 0; i < GREED; i++)
        at[i * PAGE] = 1;
    leave(1);
}

/* It takes what it takes, then lets the others run. */
static void large(unsigned pages)
{
    volatile char *at = map_pages(pages, PROT_RW);

    for (unsigned i = 0; i < pages; i++)
        at[i * PAGE] = 1;
    for (;;)
        call(SYS_sched_yield);
}

int main(int argc, char **argv)
{
    volatile char *kept = map_pages(KEPT, PROT_RW);
    int pid, other;

    (void)argc, (void)argv;
    for (int i = 0; i < KEPT; i++)
        kept[i * PAGE] = (char)i;
    pid = fork_child();
    if (pid == 0)
        greedy();
    say_end("the one that faults is the largest", pid);
    /* The largest is not the one that runs when memory is out. */
    pid = fork_child();
    if (pid == 0)
        large(9 * MIB / PAGE);
    call(SYS_sched_yield);
    other = fork_child();
    if (other == 0) {
        volatile char *at = map_pages(7 * MIB / PAGE, PROT_RW);

        for (unsigned i = 0; i < 7 * MIB / PAGE; i++)
            at[i * PAGE] = 1;
        leave(5);
    }
    say_end("another one", other);
    say_end("the largest", pid);
    /* In the kernel, which copies to the program. */
    pid = fork_child();
    if (pid == 0)
        large(9 * MIB / PAGE);
    call(SYS_sched_yield);
    other = fork_child();
    if (other == 0) {
        char *at = map_pages(7 * MIB / PAGE, PROT_RW);

        leave(call(SYS_getrandom, at, 7 * MIB, 0) == 7 * MIB ? 6 : 1);
    }
    say_end("another one", other);
    say_end("the largest", pid);
    for (int i = 0; i < KEPT; i++)
        if (kept[i * PAGE] != (char)i)
            say("page %d is lost\n", i);
    return 0;
}
