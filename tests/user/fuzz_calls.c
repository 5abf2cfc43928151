// linux: no
// enosys: 192 340
// grove-run: --memory 16M --file tests/user/data.txt:data.txt
/*
 * 200,000 system calls with arguments that make little sense, always the same: the
 * kernel answers each with a value or an errno of Linux's.
 */
#include "user.h"

enum { ARENA = 256, CALLS = 200000 };

static const short numbers[] = {
    SYS_read, SYS_open, SYS_close, SYS_lseek, SYS_getpid, SYS_access, SYS_brk, SYS_ioctl,
    SYS_readlink, SYS_old_mmap, SYS_munmap, SYS_munmap, SYS_uname, SYS_mprotect, SYS_mprotect,
    SYS__llseek, SYS_readv, SYS_ugetrlimit, SYS_mmap2, SYS_mmap2, SYS_mmap2, SYS_stat64,
    SYS_fstat64, SYS_madvise, SYS_set_thread_area, SYS_set_tid_address, SYS_tgkill, SYS_openat,
    SYS_fstatat64, SYS_prlimit64, SYS_getrandom, SYS_statx, 0, 76, 196, 224, 238, 244, 311,
};

static size_t arena;
static unsigned state = 12345;

static unsigned random_below(unsigned limit)
{
    state = state * 1664525 + 1013904223;
    return (unsigned)((uint64_t)state * limit >> 32);
}

/* Never a range that holds this program or its stack. */
static unsigned argument(void)
{
    static const unsigned odd[] = {
        0, 1, 2, 3, 4, 7, 8, 0x10, 0x22, 0x32, 0x100022, 0x8022, 0xfff, 0x1000, 0x1001, 0x5401,
        0x3fffff, 0x400000, 0xbffffffc, 0xc0000000, 0xd5400000, 0x7fffffff, 0x80000000,
        0xfffff000, 0xfffffff0, 0xffffffff, (unsigned)-100,
    };

    switch (random_below(3)) {
    case 0:
        return odd[random_below(sizeof odd / sizeof odd[0])];
    case 1:
        return arena + random_below(ARENA) * PAGE + (random_below(4) == 0 ? random_below(PAGE) : 0);
    default:
        return random_below(8) == 0 ? random_below(0xffffffff) : random_below(16) * PAGE;
    }
}

/* What of the calls' ranges would reach this program itself. */
static bool is_dangerous(int number, unsigned address, unsigned length)
{
    bool in_arena = address >= arena && address < arena + ARENA * PAGE;

    if (number == SYS_tgkill || number == 238 || (number == SYS_close && address < 3))
        return true;
    if (number == SYS_munmap || number == SYS_mprotect || number == SYS_mmap2 ||
        number == SYS_madvise)
        return !in_arena && address + length > 0x400000 && address < 0xc0000000;
    if (number == SYS_old_mmap)
        return true;
    return false;
}

int main(int argc, char **argv)
{
    unsigned errors = 0, strange = 0;

    (void)argc, (void)argv;
    arena = (size_t)map_pages(ARENA, PROT_RW);
    size_t heap = (size_t)call(SYS_brk, 0);

    for (unsigned i = 0; i < CALLS; i++) {
        if (i % 1000 == 0)
            call(SYS_brk, heap);
        int number = numbers[random_below(sizeof numbers / sizeof numbers[0])];
        unsigned a = argument(), b = argument(), c = argument(), d = argument(), e = argument(),
            f = argument();

        /* Results go to the arena or to places that are refused. */
        if (is_dangerous(number, a, b))
            continue;
        if (number == SYS_munmap || number == SYS_mprotect || number == SYS_mmap2 ||
            number == SYS_madvise)
            b = b > 0xc0000000 ? b : b % (16 * PAGE);
        int result = call(number, a, b, c, d, e, f);

        if (is_error(result)) {
            errors++;
            strange += result < -133;
        } else if (number == SYS_mmap2 && ((size_t)result < arena
                                           || (size_t)result >= arena + ARENA * PAGE)) {
            call(SYS_munmap, result, b);
        }
    }
    check("most were refused", errors > CALLS / 4 && errors < CALLS);
    check("each with an errno", strange == 0);
    say("still alive\n");
    return 0;
}
