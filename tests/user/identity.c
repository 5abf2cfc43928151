/*
 * Ids, names, limits, random numbers, signals to oneself that do nothing.
 */
#include "user.h"

static char name[6][65];
static uint32_t limit[4];

int main(int argc, char **argv)
{
    static char random[2][32];
    int pid = call(SYS_getpid);
    unsigned same = 0;

    (void)argc, (void)argv;
    check("pid", pid > 0 && call(SYS_gettid) == pid);
    check("set_tid_address", call(SYS_set_tid_address, random) == pid);
    check("parent", call(SYS_getppid) >= 0 && call(SYS_getppid) != pid);
    show("uname", call(SYS_uname, name));
    check("names", name[0][0] != '\0' && name[2][0] >= '5' && name[2][1] == '.');
    show("stack limit", call(SYS_ugetrlimit, 3, limit));
    check("some MiB", limit[0] >= 8 * MIB);
    show("the same in 64 bits", call(SYS_prlimit64, 0, 3, 0, limit));
    check("some MiB", limit[0] >= 8 * MIB);
    show("no such limit", call(SYS_ugetrlimit, 16, limit));
    show("no such limit in 64 bits", call(SYS_prlimit64, 0, 16, 0, limit));
    show("a new limit, bad pointer", call(SYS_prlimit64, 0, 3, 8, limit));
    show("of nobody, bad pointer", call(SYS_prlimit64, 999999999, 3, 8, limit));
    show("of nobody", call(SYS_prlimit64, 999999999, 3, 0, limit));
    say("random %d, %d\n", call(SYS_getrandom, random[0], 32, 0),
        call(SYS_getrandom, random[1], 32, 1));
    for (int i = 0; i < 32; i++)
        same += random[0][i] == random[1][i];
    check("they differ", same < 16);
    say("33 MiB: %d\n", call(SYS_getrandom, map_pages(33 * 256, PROT_RW), 33 * MIB, 0));
    show("random, bad flags", call(SYS_getrandom, random[0], 1, 8));
    show("random, flags at odds", call(SYS_getrandom, random[0], 1, 6));
    show("kill, signal 0", call(SYS_kill, pid, 0));
    show("kill, ignored signal", call(SYS_kill, pid, 17));
    show("kill, bad signal", call(SYS_kill, pid, 65));
    show("kill nobody", call(SYS_kill, 999999999, 0));
    show("kill nobody, bad signal", call(SYS_kill, 999999999, 65));
    show("tkill nobody, bad signal", call(SYS_tkill, 999999999, 65));
    show("tgkill nobody, bad signal", call(SYS_tgkill, 999999999, 999999999, 65));
    show("tgkill, bad signal", call(SYS_tgkill, pid, pid, 65));
    show("tgkill", call(SYS_tgkill, pid, pid, 0));
    show("tgkill, bad id", call(SYS_tgkill, pid, 0, 0));
    show("tgkill, another's thread", call(SYS_tgkill, 999999999, pid, 0));
    show("madvise", call(SYS_madvise, map_pages(2, PROT_RW), 2 * PAGE, 0));
    show("madvise, not aligned", call(SYS_madvise, random, PAGE, 1));
    show("madvise, nothing there", call(SYS_madvise, 0x10000, PAGE, 1));
    show("madvise, bad advice", call(SYS_madvise, map_pages(1, PROT_RW), PAGE, 99));
    show("exe", call(SYS_readlink, "/proc/self/exe", name, 64));
    show("exe, no room", call(SYS_readlink, "/proc/self/exe", name, 0));
    show("not a link", call(SYS_readlink, "/", name, 64));
    return 0;
}
