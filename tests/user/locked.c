/*
 * mlock and its family: what they refuse, and what they make present. All of it stays
 * below Linux's limit of 8 MiB, so that it does not matter whether it applies.
 */
#include "user.h"

enum {
    SYS_mlock = 150, SYS_munlock = 151, SYS_mlockall = 152, SYS_munlockall = 153,
    SYS_mincore = 218, SYS_mlock2 = 376, CURRENT = 1, FUTURE = 2, ONFAULT = 4,
    MAP_LOCKED = 0x2000,
};

static char *memory;

/* A digit a page: 1 is in memory. - is not mapped. */
static void picture_of(const char *what, char *from, size_t pages)
{
    say("%s: ", what);
    for (size_t i = 0; i < pages; i++) {
        unsigned char byte = 0;
        int err = call(SYS_mincore, from + i * PAGE, PAGE, &byte);

        say("%c", err != 0 ? '-' : '0' + (byte & 1));
    }
    say("\n");
}

static void picture(const char *what)
{
    picture_of(what, memory, 8);
}

static int lock(size_t page, size_t pages)
{
    return call(SYS_mlock, memory + page * PAGE, pages * PAGE);
}

static void unlock_all(void)
{
    show("munlockall", call(SYS_munlockall));
}

static void ranges(void)
{
    memory = map_pages(8, PROT_RW);
    picture("untouched");
    show("mlock", lock(2, 3));
    picture("after it");
    show("again", lock(3, 1));
    show("not aligned", call(SYS_mlock, memory + 6 * PAGE - 1, 2));
    picture("after it");
    show("length 0", lock(0, 0));
    show("length 0, not aligned", call(SYS_mlock, memory + 1, 0));
    picture("after it");
    show("munlock, not aligned", call(SYS_munlock, memory + 1, PAGE));
    show("munlock", call(SYS_munlock, memory, 8 * PAGE));
    show("munlock again", call(SYS_munlock, memory, 8 * PAGE));
    show("nothing there", call(SYS_mlock, 0x10000, PAGE));
    show("nothing there, length 0", call(SYS_mlock, 0x10000, 0));
    show("munlock of nothing", call(SYS_munlock, 0x10000, PAGE));
    show("munlock in the kernel", call(SYS_munlock, 0xffffe000, PAGE));
}

static void holes(void)
{
    memory = map_pages(8, PROT_RW);
    call(SYS_munmap, memory + 4 * PAGE, PAGE);
    show("mlock over a hole", lock(2, 4));
    picture("nothing is present");
    show("DONTNEED, locked", call(SYS_madvise, memory + 3 * PAGE, PAGE, 4));
    show("DONTNEED behind the hole", call(SYS_madvise, memory + 5 * PAGE, PAGE, 4));
    show("munlock over it", call(SYS_munlock, memory + 2 * PAGE, 4 * PAGE));
    show("DONTNEED, not locked", call(SYS_madvise, memory + 3 * PAGE, PAGE, 4));
    memory = map_pages(8, PROT_RW);
    call(SYS_mprotect, memory + 2 * PAGE, PAGE, PROT_NONE);
    call(SYS_mprotect, memory + 5 * PAGE, PAGE, PROT_READ);
    show("mlock without rights", lock(0, 8));
    picture("up to that page");
    show("DONTNEED behind it", call(SYS_madvise, memory + 4 * PAGE, PAGE, 4));
    show("mlock read-only", lock(5, 1));
    picture("after it");
    show("mlock2 without rights, on fault", call(SYS_mlock2, memory + 2 * PAGE, PAGE, 1));
    show("mprotect", call(SYS_mprotect, memory + 2 * PAGE, PAGE, PROT_RW));
    picture("on fault");
    show("munlock", call(SYS_munlock, memory, 8 * PAGE));
}

static void on_fault(void)
{
    memory = map_pages(8, PROT_RW);
    show("mlock2", call(SYS_mlock2, memory, 2 * PAGE, 0));
    show("mlock2 on fault", call(SYS_mlock2, memory + 2 * PAGE, 2 * PAGE, 1));
    show("mlock2, unknown flag", call(SYS_mlock2, memory, PAGE, 2));
    show("mlock2, unknown flag, length 0", call(SYS_mlock2, memory, 0, 3));
    picture("before");
    memory[3 * PAGE] = 1;
    picture("after a touch");
    show("DONTNEED, on fault", call(SYS_madvise, memory + 3 * PAGE, PAGE, 4));
    show("mlock over it", lock(2, 2));
    picture("after it");
    show("munmap of a locked part", call(SYS_munmap, memory + PAGE, 2 * PAGE));
    picture("after it");
    show("munlock over a hole", call(SYS_munlock, memory, 8 * PAGE));
    show("DONTNEED before it", call(SYS_madvise, memory, PAGE, 4));
    show("DONTNEED behind it", call(SYS_madvise, memory + 3 * PAGE, PAGE, 4));
}

static void everything(void)
{
    show("mlockall, no flags", call(SYS_mlockall, 0));
    show("mlockall, unknown", call(SYS_mlockall, 8 | CURRENT));
    show("mlockall, only ONFAULT", call(SYS_mlockall, ONFAULT));
    memory = map_pages(8, PROT_RW);
    call(SYS_mprotect, memory + PAGE, PAGE, PROT_NONE);
    call(SYS_munmap, memory + 6 * PAGE, PAGE);
    show("mlockall on fault", call(SYS_mlockall, CURRENT | ONFAULT));
    picture("after it");
    show("DONTNEED", call(SYS_madvise, memory, PAGE, 4));
    show("mlockall", call(SYS_mlockall, CURRENT));
    picture("after it");
    show("DONTNEED", call(SYS_madvise, memory, PAGE, 4));
    show("mprotect", call(SYS_mprotect, memory + PAGE, PAGE, PROT_RW));
    picture("now it has rights");
    unlock_all();
    show("DONTNEED", call(SYS_madvise, memory, PAGE, 4));
    picture("after it");
}

static void future(void)
{
    show("mlockall, only FUTURE", call(SYS_mlockall, FUTURE));
    show("the old is not locked", call(SYS_madvise, memory, PAGE, 4));
    memory = map_pages(8, PROT_RW);
    picture("a new one");
    show("the new one is", call(SYS_madvise, memory, PAGE, 4));
    memory = map_pages(8, PROT_READ);
    picture("only readable");
    memory = map_pages(8, PROT_NONE);
    picture("without rights");
    int at = map_at((size_t)memory + 2 * PAGE, 2 * PAGE, PROT_RW, MAP_ANON_PRIVATE | MAP_FIXED,
                    -1, 0);
    check("MAP_FIXED", at == (int)memory + (int)(2 * PAGE));
    picture("a fixed one in it");
    char *heap = (char *)call(SYS_brk, 0);

    heap = (char *)(((size_t)heap + PAGE - 1) & -PAGE);
    call(SYS_brk, heap);
    call(SYS_brk, heap + 3 * PAGE);
    picture_of("the heap", heap, 3);
    show("mlockall FUTURE on fault", call(SYS_mlockall, FUTURE | ONFAULT));
    memory = map_pages(8, PROT_RW);
    picture("on fault");
    show("locked", call(SYS_madvise, memory, PAGE, 4));
    unlock_all();
    memory = map_pages(8, PROT_RW);
    picture("no future");
    show("not locked", call(SYS_madvise, memory, PAGE, 4));
    memory = (char *)map_at(0, 8 * PAGE, PROT_RW, MAP_ANON_PRIVATE | MAP_LOCKED, -1, 0);
    picture("MAP_LOCKED");
    show("locked", call(SYS_madvise, memory, PAGE, 4));
    call(SYS_munmap, memory, 8 * PAGE);
    memory = map_pages(8, PROT_RW);
    picture("only that one");
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    ranges();
    holes();
    on_fault();
    everything();
    future();
    return 0;
}
