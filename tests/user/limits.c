// Limits of a program, and what its memory calls answer at them.
#include "user.h"

enum {
    SYS_setrlimit = 75, SYS_getrlimit = 76,
    RLIMIT_FSIZE = 1, RLIMIT_DATA = 2, RLIMIT_NOFILE = 7, RLIMIT_AS = 9,
    NONE = -1,
};

#define PLACE 0x50000000u

static void set(int resource, uint32_t soft)
{
    uint32_t pair[2] = { soft, (uint32_t)NONE };
    int err = call(SYS_setrlimit, resource, pair);

    if (err != 0)
        say("limit %d: %d\n", resource, err);
}

/* One page more anywhere. => its address or an error */
static int map_page(int rights)
{
    return map_at(0, PAGE, rights, MAP_ANON_PRIVATE, -1, 0);
}

static void calls(void)
{
    uint32_t pair[2];
    uint64_t wide[2];
    uint64_t before[2];

    show("nothing to read", call(SYS_setrlimit, RLIMIT_FSIZE, 8));
    show("no such limit", call(SYS_setrlimit, 16, pair));
    show("no such limit, nothing to read", call(SYS_setrlimit, 16, 8));
    show("nothing to write to", call(SYS_ugetrlimit, RLIMIT_FSIZE, 8));
    wide[0] = 0x123456789ull;
    wide[1] = ~0ull;
    show("more than 32 bits", call(SYS_prlimit64, 0, RLIMIT_FSIZE, wide, 0));
    show("read", call(SYS_ugetrlimit, RLIMIT_FSIZE, pair));
    say("it is %x %x\n", pair[0], pair[1]);
    show("read the old way", call(SYS_getrlimit, RLIMIT_FSIZE, pair));
    say("it is %x %x\n", pair[0], pair[1]);
    pair[0] = 2 * PAGE;
    pair[1] = PAGE;
    show("soft above hard", call(SYS_setrlimit, RLIMIT_FSIZE, pair));
    wide[0] = 6 * PAGE;
    wide[1] = 5 * PAGE;
    show("the same in 64 bits", call(SYS_prlimit64, 0, RLIMIT_FSIZE, wide));
    wide[0] = 3 * PAGE;
    wide[1] = 5 * PAGE;
    show("set in 64 bits", call(SYS_prlimit64, 0, RLIMIT_FSIZE, wide, 0));
    show("set, and what was there",
         call(SYS_prlimit64, call(SYS_getpid), RLIMIT_FSIZE, wide, before));
    say("it was %u %u\n", (unsigned)before[0], (unsigned)before[1]);
    show("read", call(SYS_ugetrlimit, RLIMIT_FSIZE, pair));
    say("it is %u %u\n", pair[0], pair[1]);
    show("nowhere to write what was", call(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, 8));
    wide[1] = ~0ull;
    show("of nobody", call(SYS_prlimit64, -1, RLIMIT_FSIZE, wide, 0));
    show("too many files", call(SYS_prlimit64, 0, RLIMIT_NOFILE, wide, 0));
}

/* The whole space: nothing more can be mapped, what is there can be replaced. */
static void address_space(void)
{
    int place = map_at(PLACE, 4 * PAGE, PROT_RW, MAP_ANON_PRIVATE | MAP_FIXED, -1, 0);

    show("four pages", place);
    set(RLIMIT_AS, PAGE);
    show("one page more", map_page(PROT_READ));
    show("one page more, fixed",
         map_at(PLACE + 4 * PAGE, PAGE, PROT_NONE, MAP_ANON_PRIVATE | MAP_FIXED, -1, 0));
    show("over what is there",
         map_at(PLACE, 4 * PAGE, PROT_READ, MAP_ANON_PRIVATE | MAP_FIXED, -1, 0));
    show("writable", call(SYS_mprotect, PLACE, 4 * PAGE, PROT_RW));
    show("unmapped", call(SYS_munmap, PLACE, 4 * PAGE));
    set(RLIMIT_AS, (uint32_t)NONE);
}

static void data(void)
{
    int start = call(SYS_brk, 0);
    int place;

    set(RLIMIT_DATA, PAGE);
    show("one page to read", place = map_page(PROT_READ));
    show("one page to write to", map_page(PROT_RW));
    show("the first writable", call(SYS_mprotect, place, PAGE, PROT_RW));
    show("the first executable", call(SYS_mprotect, place, PAGE, PROT_EXEC));
    say("the break moves: %d\n", call(SYS_brk, start + PAGE) != start);
    set(RLIMIT_DATA, (uint32_t)NONE);
    say("the break moves: %d\n", call(SYS_brk, start + PAGE) != start);
    show("the first writable", call(SYS_mprotect, place, PAGE, PROT_RW));
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    calls();
    address_space();
    data();
    return 0;
}
