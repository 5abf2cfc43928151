/*
 * mremap by a table: each case begins with the same small arena, and shows what the
 * call returns, where the pages are afterwards, and what is in them.
 *
 * Pages of the arena (one character each; '.' is not mapped, '0' is zero):
 *
 *      0         1         2         3
 *      0123456789012345678901234567890123456789
 *      abcdefghijAA....pqrs........XX..........
 *
 * a-j and p-s are readable and writable, A read-only, X without any right.
 */
#include "user.h"

enum {
    CALL_mremap = 163,
    MAYMOVE = 1, FIXED = 2, DONTUNMAP = 4, TO = MAYMOVE | FIXED,
    PAGES = 40, MARGIN = 8,
    KERNEL = -1,                /* as a place: 0xfffff000 */
    NOWHERE = -2,               /* as a place: 0 */
};

static char *arena;

static void map_part(int first, int count, char letter, int step)
{
    map_at((size_t)arena + (size_t)first * PAGE, (size_t)count * PAGE, PROT_RW,
           MAP_ANON_PRIVATE | MAP_FIXED, -1, 0);
    for (int i = 0; i < count; i++)
        arena[(size_t)(first + i) * PAGE] = (char)(letter + i * step);
}

static void set_up(void)
{
    call(SYS_munmap, arena, PAGES * PAGE);
    map_part(0, 10, 'a', 1);
    map_part(10, 2, 'A', 0);
    map_part(16, 4, 'p', 1);
    map_part(28, 2, 'X', 0);
    call(SYS_mprotect, arena + 10 * PAGE, 2 * PAGE, PROT_READ);
    call(SYS_mprotect, arena + 28 * PAGE, 2 * PAGE, PROT_NONE);
}

static void say_pages(const char *from, int count)
{
    for (int i = 0; i < count; i++) {
        const char *page = from + (size_t)i * PAGE;

        say("%c", !is_readable(page) ? '.' : *page == 0 ? '0' : *page);
    }
    say("\n");
}

static const struct remap_case {
    const char *name;
    int old;                    /* pages of the arena */
    size_t shift;               /* bytes */
    size_t old_length;
    size_t new_length;
    int flags;
    int to;
    size_t to_shift;
} cases[] = {
    /* what is refused */
    { "a bad flag", 0, 0, PAGE, PAGE, 8, 0, 0 },
    { "fixed, may not move", 0, 0, PAGE, PAGE, FIXED, 20, 0 },
    { "dontunmap, may not move", 0, 0, PAGE, PAGE, DONTUNMAP, 20, 0 },
    { "dontunmap, longer", 0, 0, PAGE, 2 * PAGE, MAYMOVE | DONTUNMAP, NOWHERE, 0 },
    { "dontunmap, shorter", 0, 0, 2 * PAGE, PAGE, MAYMOVE | DONTUNMAP, NOWHERE, 0 },
    { "not aligned", 0, 1, PAGE, 2 * PAGE, MAYMOVE, 0, 0 },
    { "to length 0", 0, 0, PAGE, 0, MAYMOVE, 0, 0 },
    { "to a length that rounds to 0", 0, 0, PAGE, 0xffffffff, 0, 0, 0 },
    { "from length 0, private", 0, 0, 0, PAGE, MAYMOVE, 0, 0 },
    { "from length 0, private, fixed", 0, 0, 0, PAGE, TO, 20, 0 },
    { "target not aligned", 0, 0, PAGE, PAGE, TO, 20, 1 },
    { "target overlaps the end", 2, 0, 3 * PAGE, 3 * PAGE, TO, 4, 0 },
    { "target overlaps the start", 2, 0, 3 * PAGE, 3 * PAGE, TO, 0, 0 },
    { "target is the source", 2, 0, 3 * PAGE, 3 * PAGE, TO, 2, 0 },
    { "target overlaps as it grows", 2, 0, PAGE, 3 * PAGE, TO, 0, 0 },
    { "target in the tail that goes", 2, 0, 5 * PAGE, PAGE, TO, 5, 0 },
    { "target in the kernel", 2, 0, PAGE, PAGE, TO, KERNEL, 0 },
    { "target wraps", 2, 0, PAGE, 2 * PAGE, TO, KERNEL, 0 },
    { "hint not aligned", 2, 0, PAGE, PAGE, MAYMOVE | DONTUNMAP, 20, 5 },
    { "hint in the kernel", 2, 0, PAGE, PAGE, MAYMOVE | DONTUNMAP, KERNEL, 0 },
    { "hint overlaps", 2, 0, 2 * PAGE, 2 * PAGE, MAYMOVE | DONTUNMAP, 3, 0 },
    { "nothing there", 12, 0, PAGE, PAGE, 0, 0, 0 },
    { "nothing there, grow", 12, 0, PAGE, 2 * PAGE, MAYMOVE, 0, 0 },
    { "nothing there, fixed", 12, 0, PAGE, PAGE, TO, 20, 0 },
    { "the kernel's", KERNEL, 0, PAGE, 2 * PAGE, MAYMOVE, 0, 0 },
    { "low memory", NOWHERE, 0, PAGE, 2 * PAGE, MAYMOVE, 0, 0 },
    { "grow over two areas", 8, 0, 4 * PAGE, 5 * PAGE, MAYMOVE, 0, 0 },
    { "grow over a hole", 10, 0, 3 * PAGE, 5 * PAGE, MAYMOVE, 0, 0 },
    { "grow more than there is", 0, 0, 0xe0000000, 0xf0000000, 0, 0, 0 },
    { "grow, taken behind", 6, 0, 4 * PAGE, 5 * PAGE, 0, 0, 0 },
    { "grow from the middle", 2, 0, 4 * PAGE, 5 * PAGE, 0, 0, 0 },
    { "grow, room too small", 10, 0, 2 * PAGE, 7 * PAGE, 0, 0, 0 },
    { "grow into the kernel", 16, 0, 4 * PAGE, 0xbf000000, 0, 0, 0 },
    { "shrink, tail in the kernel", 16, 0, 0xf0000000, PAGE, 0, 0, 0 },
    { "shrink, tail wraps", 16, 0, 0xfffff000, PAGE, 0, 0, 0 },
    /* in place */
    { "same length", 0, 0, 3 * PAGE, 3 * PAGE, 0, 0, 0 },
    { "same length over all", 8, 0, 20 * PAGE, 20 * PAGE, MAYMOVE, 0, 0 },
    { "lengths that round to the same", 0, 0, 1, PAGE, 0, 0, 0 },
    { "shrink at the end", 16, 0, 4 * PAGE, PAGE, 0, 0, 0 },
    { "shrink in the middle", 2, 0, 4 * PAGE, PAGE, 0, 0, 0 },
    { "shrink over areas and holes", 8, 0, 14 * PAGE, PAGE, MAYMOVE, 0, 0 },
    { "shrink, odd lengths", 16, 0, 3 * PAGE + 1, PAGE + 1, 0, 0, 0 },
    { "grow", 16, 0, 4 * PAGE, 6 * PAGE, 0, 0, 0 },
    { "grow the last page", 19, 0, PAGE, 3 * PAGE, 0, 0, 0 },
    { "grow to the next area", 16, 0, 4 * PAGE, 12 * PAGE, 0, 0, 0 },
    { "grow by a byte", 16, 0, 4 * PAGE, 4 * PAGE + 1, 0, 0, 0 },
    { "grow read-only", 10, 0, 2 * PAGE, 5 * PAGE, 0, 0, 0 },
    { "grow read-only to the next area", 10, 0, 2 * PAGE, 6 * PAGE, 0, 0, 0 },
    { "grow without rights", 28, 0, 2 * PAGE, 5 * PAGE, 0, 0, 0 },
    /* moved where there is room */
    { "grow and move", 6, 0, 4 * PAGE, 6 * PAGE, MAYMOVE, 0, 0 },
    { "grow and move all", 0, 0, 10 * PAGE, 13 * PAGE, MAYMOVE, 0, 0 },
    { "grow and move the middle", 3, 0, 2 * PAGE, 4 * PAGE, MAYMOVE, 0, 0 },
    { "grow and move read-only", 10, 0, PAGE, 3 * PAGE, MAYMOVE, 0, 0 },
    { "dontunmap", 2, 0, 3 * PAGE, 3 * PAGE, MAYMOVE | DONTUNMAP, NOWHERE, 0 },
    { "dontunmap all", 16, 0, 4 * PAGE, 4 * PAGE, MAYMOVE | DONTUNMAP, NOWHERE, 0 },
    { "dontunmap, a hint that is taken", 2, 0, PAGE, PAGE, MAYMOVE | DONTUNMAP, 17, 0 },
    /* moved to a place */
    { "dontunmap, a free hint", 2, 0, 2 * PAGE, 2 * PAGE, MAYMOVE | DONTUNMAP, 22, 0 },
    { "dontunmap, fixed", 2, 0, 3 * PAGE, 3 * PAGE, TO | DONTUNMAP, 15, 0 },
    { "into a hole", 2, 0, 3 * PAGE, 3 * PAGE, TO, 22, 0 },
    { "the start into a hole", 0, 0, 3 * PAGE, 3 * PAGE, TO, 22, 0 },
    { "the end into a hole", 7, 0, 3 * PAGE, 3 * PAGE, TO, 22, 0 },
    { "all into a hole", 16, 0, 4 * PAGE, 4 * PAGE, TO, 21, 0 },
    { "all to right behind", 16, 0, 4 * PAGE, 4 * PAGE, TO, 20, 0 },
    { "all to right before", 16, 0, 4 * PAGE, 4 * PAGE, TO, 12, 0 },
    { "past an area", 16, 0, 4 * PAGE, 4 * PAGE, TO, 32, 0 },
    { "longer into a hole", 2, 0, 2 * PAGE, 5 * PAGE, TO, 20, 0 },
    { "shorter into a hole", 2, 0, 5 * PAGE, 2 * PAGE, TO, 20, 0 },
    { "shorter, areas in the tail", 8, 0, 10 * PAGE, 2 * PAGE, TO, 30, 0 },
    { "next to an equal area", 2, 0, 2 * PAGE, 2 * PAGE, TO, 14, 0 },
    { "between equal areas", 16, 0, 2 * PAGE, 2 * PAGE, TO, 20, 0 },
    { "over an area", 2, 0, 4 * PAGE, 4 * PAGE, TO, 16, 0 },
    { "over the middle of an area", 16, 0, 2 * PAGE, 2 * PAGE, TO, 4, 0 },
    { "over two areas", 16, 0, 4 * PAGE, 4 * PAGE, TO, 8, 0 },
    { "over areas and holes, longer", 2, 0, PAGE, 20 * PAGE, TO, 9, 0 },
    { "over one without rights", 2, 0, 2 * PAGE, 2 * PAGE, TO, 27, 0 },
    { "over its own area", 1, 0, 2 * PAGE, 2 * PAGE, TO, 6, 0 },
    { "over its own area, down", 6, 0, 3 * PAGE, 3 * PAGE, TO, 1, 0 },
    { "over its own area, right behind", 1, 0, 3 * PAGE, 3 * PAGE, TO, 4, 0 },
    { "over its own area, right before", 4, 0, 3 * PAGE, 3 * PAGE, TO, 1, 0 },
    { "over its own area, longer", 1, 0, PAGE, 4 * PAGE, TO, 4, 0 },
    { "read-only over writable", 10, 0, 2 * PAGE, 2 * PAGE, TO, 17, 0 },
    { "without rights into a hole", 28, 0, 2 * PAGE, 3 * PAGE, TO, 21, 0 },
};

static size_t place_of(int page, size_t shift)
{
    if (page == KERNEL)
        return 0xfffff000u + shift;
    return page == NOWHERE ? shift : (size_t)arena + (size_t)page * PAGE + shift;
}

static bool is_in_arena(const char *place)
{
    return place >= arena && place < arena + PAGES * PAGE;
}

static void show_place(const struct remap_case *at, char *place)
{
    int pages = (int)((at->new_length + PAGE - 1) / PAGE);
    bool chosen = at->flags != 0 && (at->flags & FIXED) == 0;

    if ((size_t)place == place_of(at->old, 0)) {
        say("in place\n");
    } else if (is_in_arena(place) && (!chosen || (size_t)place == place_of(at->to, 0))) {
        say("at %d\n", (place - arena) / (int)PAGE);
    } else {
        /* Where it is depends on the kernel: show it, and take it away. */
        say("elsewhere: ");
        say_pages(place, pages);
        check("    writable", is_writable(place) || at->old == 10);
        call(SYS_munmap, place, pages * (int)PAGE);
    }
}

static void run(const struct remap_case *at)
{
    int result;

    set_up();
    result = call(CALL_mremap, place_of(at->old, at->shift), at->old_length, at->new_length,
                  at->flags, place_of(at->to, at->to_shift));
    say("%s: ", at->name);
    if (is_error(result))
        say("%s\n", error_name(-result));
    else
        show_place(at, (char *)result);
    call(SYS_mprotect, arena + 21 * PAGE, 2 * PAGE, PROT_READ);     /* X, if it went there */
    call(SYS_mprotect, arena + 28 * PAGE, 2 * PAGE, PROT_READ);
    say("    ");
    say_pages(arena, PAGES);
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    arena = map_pages(PAGES + 2 * MARGIN, PROT_NONE) + MARGIN * PAGE;
    call(SYS_munmap, arena - MARGIN * PAGE, (PAGES + 2 * MARGIN) * PAGE);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        run(&cases[i]);
    return 0;
}
