// status: 132
// stderr: signal_ignored_fault \(pid \d+\) .*SIGILL
/*
 * A fault whose signal is ignored.
 */
#include "signals.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    set_action(SIGILL, SIG_IGN, 0, 0);
    raise_signal(SIGILL);
    say("ignored\n");
    FAULTING("ud2", "r"(0));
    say("still alive\n");
    return 0;
}
