// status: 134
// stderr: signal_self \(pid \d+\) .*SIGABRT
/*
 * A signal that a program sends itself and that ends it.
 */
#include "user.h"

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    int pid = call(SYS_getpid);

    say("goodbye\n");
    call(SYS_tgkill, pid, pid, 6);
    say("still alive\n");
    return 0;
}
