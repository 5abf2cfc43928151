/*
 * Forks of forks: four generations share pages, and every one of them writes to some.
 */
#include "fork.h"

enum { GENERATIONS = 4, PAGES = 16 };

static volatile char *shared;
static volatile char mine[PAGE];

/* What generation n sees in page i: the youngest ancestor's that wrote to it. */
static bool is_right(int generation)
{
    for (int i = 0; i < PAGES; i++) {
        char expected = 'A';

        for (int n = 1; n <= generation; n++)
            if (i % (n + 1) == 0)
                expected = (char)('A' + n);
        if (shared[i * PAGE] != expected)
            return false;
    }
    return true;
}

static void generation(int n)
{
    int pid;

    for (int i = 0; i < PAGES; i++)
        if (n == 0 || i % (n + 1) == 0)
            shared[i * PAGE] = (char)('A' + n);
    mine[0] = (char)n;
    if (n < GENERATIONS) {
        int other = fork_child();

        if (other == 0) {               /* one that writes everything, and ends */
            for (int i = 0; i < PAGES; i++)
                shared[i * PAGE] = '!';
            leave(0);
        }
        pid = fork_child();
        if (pid == 0) {
            generation(n + 1);
            leave(n + 1);
        }
        wait_child(other);
        say_end("a child", pid);
    }
    say("generation %d sees its own: %d %d\n", n, is_right(n), mine[0] == n);
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    shared = map_pages(PAGES, PROT_RW);
    generation(0);
    return 0;
}
