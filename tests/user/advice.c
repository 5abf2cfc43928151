/*
 * madvise: what each piece of advice does to the contents, and what it refuses.
 */
// grove-run: --file tests/user/data.txt:data.txt
#include "user.h"

enum {
    DONTNEED = 4, FREE = 8, REMOVE = 9, DONTFORK = 10, DOFORK = 11, DONTDUMP = 16, DODUMP = 17,
    WIPEONFORK = 18, KEEPONFORK = 19, COLD = 20, PAGEOUT = 21, POPULATE_READ = 22,
    POPULATE_WRITE = 23, DONTNEED_LOCKED = 24,
    SYS_mlock_ = 150, SYS_munlock_ = 151,
};

static const struct { int advice; const char *name; } advices[] = {
    { 0, "NORMAL" }, { 1, "RANDOM" }, { 2, "SEQUENTIAL" }, { 3, "WILLNEED" },
    { DONTNEED, "DONTNEED" }, { FREE, "FREE" }, { REMOVE, "REMOVE" }, { DONTFORK, "DONTFORK" },
    { DOFORK, "DOFORK" }, { DONTDUMP, "DONTDUMP" }, { DODUMP, "DODUMP" },
    { WIPEONFORK, "WIPEONFORK" }, { KEEPONFORK, "KEEPONFORK" }, { COLD, "COLD" },
    { PAGEOUT, "PAGEOUT" }, { POPULATE_READ, "POPULATE_READ" },
    { POPULATE_WRITE, "POPULATE_WRITE" }, { DONTNEED_LOCKED, "DONTNEED_LOCKED" },
    { 5, "5" }, { 6, "6" }, { 7, "7" }, { 26, "26" }, { 99, "99" }, { -1, "-1" },
};

static char *memory;
static int file;

static int advise(size_t page, size_t pages, int advice)
{
    return call(SYS_madvise, memory + page * PAGE, pages * PAGE, advice);
}

/* All advice on one range. */
static void all(const char *what, size_t page, size_t pages)
{
    say("%s:\n", what);
    for (size_t i = 0; i < sizeof advices / sizeof advices[0]; i++) {
        say("  ");
        show(advices[i].name, advise(page, pages, advices[i].advice));
    }
}

static void mark(size_t pages)
{
    for (size_t i = 0; i < pages; i++)
        memory[i * PAGE + 7] = (char)('a' + i);
}

/* The marks that are still there. */
static void picture(const char *what, size_t pages)
{
    say("%s: ", what);
    for (size_t i = 0; i < pages; i++) {
        char c = memory[i * PAGE + 7];

        say("%c", c == 0 ? '.' : c);
    }
    say("\n");
}

static void contents(void)
{
    memory = map_pages(8, PROT_RW);
    mark(8);
    show("DONTNEED", advise(2, 3, DONTNEED));
    picture("after it", 8);
    mark(8);
    picture("again", 8);
    show("WIPEONFORK in the middle", advise(3, 2, WIPEONFORK));
    show("DONTDUMP", advise(4, 2, DONTDUMP));
    show("DONTFORK", advise(0, 8, DONTFORK));
    picture("only flags", 8);
    show("DONTNEED over them", advise(1, 6, DONTNEED));
    picture("after it", 8);
    show("KEEPONFORK", advise(0, 8, KEEPONFORK));
    show("DODUMP", advise(0, 8, DODUMP));
    show("DOFORK", advise(0, 8, DOFORK));
    mark(8);
    show("munmap", call(SYS_munmap, memory + 4 * PAGE, PAGE));
    show("over a hole", advise(2, 4, DONTNEED));
    say("%c%c%c%c\n", memory[1 * PAGE + 7], '0' + memory[2 * PAGE + 7],
        '0' + memory[3 * PAGE + 7], '0' + memory[5 * PAGE + 7]);
    mark(4);
    memory[5 * PAGE + 7] = 'f';
    show("mprotect", call(SYS_mprotect, memory + PAGE, PAGE, PROT_NONE));
    show("DONTNEED without rights", advise(0, 3, DONTNEED));
    show("mprotect", call(SYS_mprotect, memory + PAGE, PAGE, PROT_RW));
    picture("after it", 4);
    show("not aligned", call(SYS_madvise, memory + 1, PAGE, DONTNEED));
    show("length 0", advise(0, 0, DONTNEED));
    show("length 0 of nothing", call(SYS_madvise, 0x10000, 0, DONTNEED));
    show("length 0, unknown", advise(0, 0, 99));
    show("length 1", call(SYS_madvise, memory + 5 * PAGE, 1, DONTNEED));
    say("%d\n", memory[5 * PAGE + 7]);
    show("wraps", call(SYS_madvise, memory, -1u - (size_t)memory, DONTNEED));
    show("nothing there", call(SYS_madvise, 0x10000, PAGE, DONTNEED));
}

static char *map_file(int rights, int flags)
{
    int result = map_at(0, 3 * PAGE, rights, flags, file, 0);

    if (is_error(result))
        show("mmap of the file", result);
    return (char *)result;
}

static void files(void)
{
    memory = map_file(PROT_RW, MAP_PRIVATE);
    char first = memory[0];

    memory[0] = '#';
    memory[PAGE] = '#';
    show("DONTNEED of a private file", advise(0, 1, DONTNEED));
    check("its content is back", memory[0] == first);
    check("the other page is kept", memory[PAGE] == '#');
    all("a private file", 0, 2);
    memory = map_file(PROT_READ, MAP_SHARED);
    show("DONTNEED of a shared file", advise(0, 1, DONTNEED));
    check("its content is there", memory[0] == first);
    all("a shared file", 0, 2);
    memory = map_file(PROT_RW, MAP_PRIVATE);
    memory[0] = '#';
    show("POPULATE_READ past the end", advise(0, 3, POPULATE_READ));
    show("POPULATE_WRITE past the end", advise(0, 3, POPULATE_WRITE));
    check("what was written stays", memory[0] == '#');
}

static void populate(void)
{
    memory = map_pages(6, PROT_RW);
    mark(2);
    show("POPULATE_WRITE", advise(0, 6, POPULATE_WRITE));
    picture("after it", 6);
    call(SYS_mprotect, memory + PAGE, PAGE, PROT_READ);
    show("POPULATE_WRITE, a page is read-only", advise(0, 6, POPULATE_WRITE));
    show("POPULATE_READ", advise(0, 6, POPULATE_READ));
    call(SYS_mprotect, memory + PAGE, PAGE, PROT_WRITE);
    show("POPULATE_READ, write-only", advise(1, 1, POPULATE_READ));
    show("POPULATE_WRITE, write-only", advise(1, 1, POPULATE_WRITE));
    call(SYS_mprotect, memory + PAGE, PAGE, PROT_EXEC);
    show("POPULATE_READ, execute-only", advise(1, 1, POPULATE_READ));
    call(SYS_mprotect, memory + PAGE, PAGE, PROT_NONE);
    show("POPULATE_READ, no rights", advise(0, 2, POPULATE_READ));
    call(SYS_munmap, memory + 3 * PAGE, PAGE);
    show("POPULATE_READ, a hole", advise(2, 4, POPULATE_READ));
    show("POPULATE_WRITE, a hole", advise(2, 4, POPULATE_WRITE));
    show("POPULATE_WRITE, nothing", advise(3, 1, POPULATE_WRITE));
}

static void locked(void)
{
    memory = map_pages(4, PROT_RW);
    mark(4);
    show("mlock", call(SYS_mlock_, memory + PAGE, PAGE));
    all("locked", 1, 1);
    picture("after it", 4);
    mark(4);
    show("DONTNEED up to a locked page", advise(0, 4, DONTNEED));
    picture("after it", 4);
    show("DONTNEED_LOCKED", advise(0, 4, DONTNEED_LOCKED));
    picture("after it", 4);
    show("munlock", call(SYS_munlock_, memory, 4 * PAGE));
    show("DONTNEED", advise(0, 4, DONTNEED));
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    file = call(SYS_open, "data.txt", 0);
    if (is_error(file))
        show("open", file);
    contents();
    memory = map_pages(3, PROT_RW);
    all("anonymous", 0, 3);
    call(SYS_munmap, memory + PAGE, PAGE);
    all("a hole", 0, 3);
    all("nothing", 1, 1);
    files();
    populate();
    locked();
    return 0;
}
