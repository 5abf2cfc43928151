// status: 129
// stderr: signal_hangup \(pid \d+\) is killed by signal 1 \(SIGHUP\)
/*
 * A signal that no trap stands for ends a program, and is called by its name.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    say("goodbye\n");
    call(SYS_kill, call(SYS_getpid), 1);
    say("still alive\n");
    return 0;
}
