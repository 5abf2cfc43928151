// grove-run: --file tests/user/data.txt:data.txt
/*
 * What random_memory found, each by itself.
 */
#include "user.h"

enum {
    MAP_GROWSDOWN = 0x100, CALL_MLOCK = 150, CALL_MLOCKALL = 152, CALL_MUNLOCKALL = 153,
    MCL_FUTURE = 2, MCL_ONFAULT = 4,
};

#define PLACE 0x50000000u

static const char path[] = "/tmp/grove-random_found";

/* A place that is taken comes before what is wrong with the mapping. */
static void taken(void)
{
    int file = call(SYS_open, "data.txt", 0);
    int flags = MAP_FIXED_NOREPLACE | MAP_GROWSDOWN | MAP_PRIVATE;

    show("file that grows", map_at(PLACE, PAGE, PROT_READ, flags, file, 0));
    show("a page", map_at(PLACE, PAGE, PROT_READ, MAP_ANON_PRIVATE | MAP_FIXED, -1, 0));
    show("file that grows, on it", map_at(PLACE, PAGE, PROT_READ, flags, file, 0));
    show("shared and writable, on it",
         map_at(PLACE, PAGE, PROT_RW, MAP_FIXED_NOREPLACE | MAP_SHARED, file, 0));
    call(SYS_munmap, PLACE, PAGE);
}

static int new_file(void)
{
    int file = call(SYS_open, path, 0102, 0600);

    call(10, path);     /* unlink */
    call(SYS_write, file, "old", 4);
    return file;
}

/* Says what a private page has: it is a copy if the file's new bytes are not in it. */
static void say_copy(int file)
{
    call(SYS_lseek, file, 0, 0);
    call(SYS_write, file, "new", 4);
    say("the copy says: %s\n", (const char *)PLACE);
    call(SYS_munmap, PLACE, PAGE);
    call(SYS_close, file);
}

/* A locked copy that becomes writable is its own page from then on, up to the hole too. */
static void locked_copy(void)
{
    int file = new_file();

    map_at(PLACE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 0);
    show("mlock", call(CALL_MLOCK, PLACE, PAGE));
    show("mprotect to a hole", call(SYS_mprotect, PLACE, 2 * PAGE, PROT_RW));
    say_copy(file);
}

/* What is locked on access is not there before, MAP_POPULATE or not. */
static void populated_copy(int locks)
{
    int file = new_file();

    if (locks != 0)
        show("mlockall", call(CALL_MLOCKALL, locks));
    map_at(PLACE, PAGE, PROT_RW, MAP_PRIVATE | MAP_FIXED | MAP_POPULATE, file, 0);
    say_copy(file);
    call(CALL_MUNLOCKALL);
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    taken();
    locked_copy();
    populated_copy(0);
    populated_copy(MCL_FUTURE);
    populated_copy(MCL_FUTURE | MCL_ONFAULT);
    return 0;
}
