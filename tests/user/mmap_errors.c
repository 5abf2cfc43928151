/*
 * What mmap refuses, and with which error.
 */
#include "user.h"

static int map(size_t address, size_t length, int flags, int fd)
{
    return map_at(address, length, PROT_RW, flags, fd, 0);
}

static void show_old_mmap(void)
{
    uint32_t words[6] = { 0, PAGE, PROT_RW, MAP_ANON_PRIVATE, (uint32_t)-1, 0 };

    show("old mmap", call(SYS_old_mmap, words));
    words[5] = 100;
    show("old mmap, offset not of a page", call(SYS_old_mmap, words));
    show("old mmap, bad pointer", call(SYS_old_mmap, 8));
}

int main(int argc, char **argv)
{
    const int anon = MAP_ANON_PRIVATE;
    size_t page = (size_t)map_pages(1, PROT_RW);

    (void)argc, (void)argv;
    show("length 0", map(0, 0, anon, -1));
    show("length 1", map(0, 1, anon, -1));
    show("length of the whole space", map(0, 0xfffff000, anon, -1));
    show("length that rounds to 0", map(0, 0xffffffff, anon, -1));
    show("no flags", map(0, PAGE, MAP_ANONYMOUS, -1));
    show("only MAP_FIXED", map(page, PAGE, MAP_ANONYMOUS | MAP_FIXED, -1));
    show("shared and private, anonymous", map(0, PAGE, MAP_ANONYMOUS | 3, -1));
    show("not anonymous, fd -1", map(0, PAGE, MAP_PRIVATE, -1));
    show("not anonymous, fd 63", map(0, PAGE, MAP_PRIVATE, 63));
    show("anonymous with a real fd", map(0, PAGE, anon, 1));
    show("fixed, not aligned", map(page + 1, PAGE, anon | MAP_FIXED, -1));
    show("a hint, not aligned", map(page + 1, PAGE, anon, -1));
    show("fixed, in the kernel", map(0xfffff000, PAGE, anon | MAP_FIXED, -1));
    show("fixed, not aligned, in the kernel", map(0xfffff001, PAGE, anon | MAP_FIXED, -1));
    show("a hint in the kernel", map(0xfffff000, PAGE, anon, -1));
    show("a hint below everything", map(PAGE, PAGE, anon, -1));
    show("fixed, wraps", map(0xfffff000, 2 * PAGE, anon | MAP_FIXED, -1));
    show("fixed, no replace, on a mapping", map(page, PAGE, anon | MAP_FIXED_NOREPLACE, -1));
    show("fixed, on a mapping", map(page, PAGE, anon | MAP_FIXED, -1));
    show("ignored flags", map(0, PAGE, anon | 0x800 | 0x1000 | 0x4000 | 0x20000, -1));
    show("populated and write-only",
         map_at(0, PAGE, PROT_WRITE, anon | MAP_POPULATE, -1, 0));
    show("populated without a right",
         map_at(0, PAGE, PROT_NONE, anon | MAP_POPULATE, -1, 0));
    show_old_mmap();
    return 0;
}
