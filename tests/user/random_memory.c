// args: -n 10000 1 2 3 4 5 6 7 8 9 10
// grove-run: --memory 512M --file tests/user/data.txt:data.txt
/*
 * Random calls and accesses to memory, and a running sum of what they answered, of the
 * errors and of the contents: kernels that agree print the same.
 *
 *   -n COUNT       operations for each seed (10000)
 *   -k COUNT       print the sum after so many (an eighth of them)
 *   -t FIRST       print each operation of the last seed from this one on
 *   -x WORD,...    leave out: see `operations` and `features` below
 *   SEED...
 *
 * All is in an arena of 256 MiB at 0x50000000; only offsets into it are printed. Left out
 * is where kernels may differ, be it as versions of Linux do or 32 bits from 64:
 *
 * - places that the kernel chooses: what was put outside the arena is brought back;
 * - where areas end that could have been merged: mremap stays inside what one call made
 *   and none has cut, or goes to pages of other rights (and grows then: since 6.17 Linux
 *   can move several areas); nothing is locked when a part moves and stays mapped;
 * - mremap with a fixed place that fails after that was unmapped (before 6.17), and with a
 *   length beyond the user's memory (the error changed);
 * - ranges that wrap, or that end behind the user's memory with holes passed over: a
 *   64-bit kernel sees the first as good, and in the second has other things;
 * - the rights to execute alone; rights to execute files;
 * - MADV_FREE's contents (DONTNEED follows), MADV_REMOVE, and advice about huge pages,
 *   merging, poison; which pages mincore finds in core; the tail of a file's last page;
 * - the limit of 8 MiB on locked memory, which some programs are free of: before it is
 *   reached all is unlocked.
 */
#include "random_memory_remap.h"
#include "random_memory_use.h"

typedef struct operation {
    const char *name;
    uint32_t often;
    void (*run)(void);
} operation_t;

static const operation_t operations[] = {
    { "mmap", 60, do_mmap },
    { "mmap", 6, do_bad_mmap },
    { "munmap", 30, do_munmap },
    { "munmap", 2, do_clear },
    { "munmap", 4, do_bad_munmap },
    { "mprotect", 60, do_mprotect },
    { "mprotect", 4, do_bad_mprotect },
    { "mremap", 40, do_mremap },
    { "mremap", 6, do_mremap_over_two },
    { "mremap", 4, do_bad_mremap },
    { "mremap", 6, do_mremap_twice },
    { "madvise", 40, do_madvise },
    { "madvise", 4, do_bad_madvise },
    { "mlock", 20, do_lock },
    { "mlockall", 1, do_lock_all },
    { "mlockall", 4, do_unlock_all },
    { "mincore", 10, do_mincore },
    { "msync", 10, do_msync },
    { "brk", 10, do_break },
    { "write", 120, do_write },
    { "read", 60, do_read },
    { "kernel", 60, do_kernel },
    { "kernel", 16, do_file_read },
    { "kernel", 16, do_file_write },
    { "fork", 3, do_fork },
};

enum { OPERATIONS = sizeof operations / sizeof operations[0] };

static const struct {
    const char *name;
    uint32_t bit;
} features[] = {
    { "shared", NO_SHARED }, { "file", NO_FILE }, { "tmp", NO_TMP }, { "grows", NO_GROWS },
    { "locked", NO_LOCKED }, { "dontunmap", NO_DONTUNMAP }, { "advice", NO_ADVICE },
    { "free", NO_FREE },
};

static bool is_left_out[OPERATIONS];
static uint32_t count = 10000, each, trace_from = 0xffffffff;
static bool is_last;            /* of the seeds */

static void step(uint32_t seed)
{
    uint32_t all = 0, which = 0, choice;

    for (uint32_t i = 0; i < OPERATIONS; i++)
        all += operations[i].often;
    random_start(seed, operation);
    choice = below(all);
    while (choice >= operations[which].often)
        choice -= operations[which++].often;
    tracing = is_last && operation >= trace_from;
    if (!is_left_out[which])
        operations[which].run();
}

/* Fill the file; before, it has no pages. */
static void fill_file(void)
{
    static uint32_t buffer[PAGE / 4];

    if (tmp_file < 0)
        return;
    call(SYS_lseek, tmp_file, 0, 0);
    for (uint32_t i = 0; i < TMP_PAGES; i++) {
        buffer[0] = buffer[1024 / 4] = buffer[PAGE / 4 - 1] = 0xf0f0f000u | i;
        write_all(tmp_file, (const char *)buffer, PAGE);
    }
}

static void run(uint32_t seed)
{
    sum = seed;
    unlock_all();
    call(SYS_munmap, ARENA, ARENA_PAGES * PAGE);
    pages_clear(0, ARENA_PAGES);
    break_now = (uint32_t)call(SYS_brk, break_start);
    fill_file();
    for (operation = 0; operation < count; operation++) {
        if (operation % each == 0 && operation > 0) {
            read_all();
            say("seed %u, %u operations: %08x\n", seed, operation, sum);
        }
        step(seed);
    }
    read_all();
    say("seed %u, %u operations: %08x\n", seed, operation, sum);
}

/* ---- the beginning */

static uint32_t number_of(const char *text)
{
    uint32_t number = 0;

    while (*text >= '0' && *text <= '9')
        number = number * 10 + (uint32_t)(*text++ - '0');
    return number;
}

static bool is_word(const char *name, const char *word, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (name[i] != word[i])
            return false;
    return name[length] == '\0';
}

static void leave_out(const char *words)
{
    while (*words != '\0') {
        size_t length = 0;

        while (words[length] != '\0' && words[length] != ',')
            length++;
        for (uint32_t i = 0; i < OPERATIONS; i++)
            is_left_out[i] |= is_word(operations[i].name, words, length);
        for (uint32_t i = 0; i < sizeof features / sizeof features[0]; i++)
            if (is_word(features[i].name, words, length))
                left_out |= features[i].bit;
        words += length + (words[length] == ',');
    }
}

static void open_files(void)
{
    static const char *const paths[] = { "/dev/shm/grove-random", "/tmp/grove-random" };

    data_file = call(SYS_open, "data.txt", 0);
    if (data_file < 0)
        data_file = call(SYS_open, "/data.txt", 0);
    tmp_file = -1;
    for (int i = 0; i < 2 && tmp_file < 0 && (left_out & NO_TMP) == 0; i++) {
        tmp_file = call(SYS_open, paths[i], 0102, 0600);
        call(10, paths[i]);         /* unlink */
    }
}

enum { CALL_SETRLIMIT = 75, LIMIT_STACK = 3, LIMIT_MEMLOCK = 8 };

/* => false: less than usual can be locked, or something is missing */
static bool prepare(void)
{
    uint32_t stack[2], locked[2];

    open_files();
    call(SYS_ugetrlimit, LIMIT_MEMLOCK, locked);
    if (locked[0] < 8 * MIB)
        return false;
    call(SYS_ugetrlimit, LIMIT_STACK, stack);
    stack[0] = 256 * PAGE;          /* areas that grow down: so far */
    if (is_error(call(CALL_SETRLIMIT, LIMIT_STACK, stack)) && (left_out & NO_GROWS) == 0)
        return false;
    break_start = ((uint32_t)call(SYS_brk, 0) + PAGE - 1) / PAGE * PAGE;
    return data_file >= 0 && (tmp_file >= 0 || (left_out & NO_TMP) != 0);
}

int main(int argc, char **argv)
{
    int at = 1;

    for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
        if (argv[at][1] == 'n')
            count = number_of(argv[at + 1]);
        else if (argv[at][1] == 'k')
            each = number_of(argv[at + 1]);
        else if (argv[at][1] == 't')
            trace_from = number_of(argv[at + 1]);
        else
            leave_out(argv[at + 1]);
    }
    if (each == 0)
        each = count > 8 ? count / 8 : 1;
    if (!prepare()) {
        say("no files, or low limits\n");
        return 77;
    }
    for (; at < argc; at++) {
        is_last = at + 1 == argc;
        run(number_of(argv[at]));
    }
    return 0;
}
