// status: 143
// stderr: signal_unblocked \(pid \d+\) .*SIGTERM
/*
 * A deadly signal that waits until it is unblocked.
 */
#include "signals.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    change_mask(SIG_BLOCK, bit(SIGTERM));
    raise_signal(SIGTERM);
    say("blocked\n");
    change_mask(SIG_UNBLOCK, bit(SIGTERM));
    say("still alive\n");
    return 0;
}
