/*
 * mincore: which pages are in memory. msync: what it refuses.
 */
// grove-run: --file tests/user/data.txt:data.txt
#include "user.h"

enum {
    SYS_msync = 144, SYS_mlock = 150, SYS_munlock = 151, SYS_mincore = 218,
    ASYNC = 1, INVALIDATE = 2, SYNC = 4,
};

static char *memory;
static unsigned char vec[600];

static int in_core(size_t page, size_t length)
{
    fill(vec, 0x55, sizeof vec);
    return call(SYS_mincore, memory + page * PAGE, length, vec);
}

static void picture(const char *what, size_t page, size_t pages)
{
    show(what, in_core(page, pages * PAGE));
    for (size_t i = 0; i < pages + 1; i++)
        say("%c", vec[i] == 0x55 ? '-' : '0' + (vec[i] & 1));
    say("\n");
}

static void anonymous(void)
{
    memory = map_pages(8, PROT_RW);
    picture("untouched", 0, 8);
    memory[PAGE] = 1;
    (void)*(volatile char *)(memory + 3 * PAGE);
    picture("one written, one read", 0, 8);
    call(SYS_mprotect, memory + PAGE, 3 * PAGE, PROT_NONE);
    picture("without rights", 0, 8);
    call(SYS_madvise, memory, 8 * PAGE, 4);
    picture("DONTNEED", 0, 8);
    memory[7 * PAGE] = 1;
    call(SYS_munmap, memory + 5 * PAGE, PAGE);
    picture("a hole", 0, 8);
    picture("behind it", 6, 2);
    picture("the hole", 5, 1);
    show("not aligned", call(SYS_mincore, memory + 1, PAGE, vec));
    show("length 0", in_core(0, 0));
    show("length 0 of nothing", call(SYS_mincore, 0x10000, 0, vec));
    show("nothing there", call(SYS_mincore, 0x10000, PAGE, vec));
    show("in the kernel", call(SYS_mincore, 0xffffe000, PAGE, vec));
    show("length 1", in_core(7, 1));
    check("is one page", vec[0] == 1 && vec[1] == 0x55);
    show("a bad vector", call(SYS_mincore, memory, PAGE, 0));
    show("a bad vector for no page", call(SYS_mincore, memory, 0, 0));
    show("a bad vector of nothing", call(SYS_mincore, 0x10000, PAGE, 0));
    char *guarded = map_pages(2, PROT_RW);

    call(SYS_munmap, guarded + PAGE, PAGE);
    show("a vector with an end", call(SYS_mincore, memory, 4 * PAGE, guarded + PAGE - 2));
    memory = map_pages(600, PROT_RW);
    for (size_t i = 0; i < 600; i += 7)
        memory[i * PAGE] = 1;
    show("many", in_core(0, 600 * PAGE));
    size_t right = 0;

    for (size_t i = 0; i < 600; i++)
        right += vec[i] == (i % 7 == 0);
    say("%u\n", right);
}

static void files(int file)
{
    memory = (char *)map_at(0, 3 * PAGE, PROT_RW, MAP_PRIVATE, file, 0);
    (void)*(volatile char *)memory;
    memory[PAGE] = 1;
    picture("a file", 0, 3);
    memory = (char *)map_at(0, 2 * PAGE, PROT_READ, MAP_SHARED, file, 0);
    picture("a shared file, cached", 0, 2);
}

static int synchronize(size_t page, size_t pages, int flags)
{
    return call(SYS_msync, memory + page * PAGE, pages * PAGE, flags);
}

static void busy(const char *what, int result)
{
    if (result == -EBUSY)
        say("%s: EBUSY\n", what);
    else
        show(what, result);
}

static void synchronization(void)
{
    memory = map_pages(8, PROT_RW);
    show("msync 0", synchronize(0, 8, 0));
    show("ASYNC", synchronize(0, 8, ASYNC));
    show("SYNC", synchronize(0, 8, SYNC));
    show("INVALIDATE", synchronize(0, 8, INVALIDATE));
    show("both", synchronize(0, 8, ASYNC | SYNC));
    show("unknown", synchronize(0, 8, 8));
    show("not aligned", call(SYS_msync, memory + 1, PAGE, SYNC));
    show("length 0", synchronize(0, 0, SYNC));
    show("length 0, both", synchronize(0, 0, SYNC | ASYNC));
    show("length 0 of nothing", call(SYS_msync, 0x10000, 0, SYNC));
    show("nothing there", call(SYS_msync, 0x10000, PAGE, SYNC));
    call(SYS_mlock, memory + 5 * PAGE, PAGE);
    busy("INVALIDATE, locked", synchronize(0, 8, INVALIDATE));
    busy("INVALIDATE and SYNC, locked", synchronize(5, 1, INVALIDATE | SYNC));
    busy("SYNC, locked", synchronize(5, 1, SYNC));
    busy("not the locked page", synchronize(0, 5, INVALIDATE));
    call(SYS_munmap, memory + 3 * PAGE, PAGE);
    busy("a hole", synchronize(0, 5, SYNC));
    busy("a hole, ASYNC", synchronize(0, 5, ASYNC));
    busy("a hole, then locked", synchronize(0, 8, INVALIDATE));
    busy("a hole, then locked, ASYNC", synchronize(0, 8, INVALIDATE | ASYNC));
    busy("only ASYNC stops at a hole", synchronize(0, 8, ASYNC));
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    int file = call(SYS_open, "data.txt", 0);

    anonymous();
    files(file);
    synchronization();
    return 0;
}
