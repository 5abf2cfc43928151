// grove-run: --file tests/user/data.txt:data.txt
/*
 * mremap and what is in the pages: many of them, moved to places that page tables like and
 * to others; a file's; those without rights; the heap's; and what comes new.
 */
#include "user.h"

enum { CALL_mremap = 163, MAYMOVE = 1, FIXED = 2, DONTUNMAP = 4, TO = MAYMOVE | FIXED };

#define SPAN 0x400000u                  /* of a page table, at most */

static int remap(const void *old, size_t old_pages, size_t new_pages, int flags, const void *to)
{
    return call(CALL_mremap, old, old_pages * PAGE, new_pages * PAGE, flags, to);
}

/* --- Many pages: every third, and a run */

static bool is_filled(size_t i)
{
    return i % 3 == 0 || (i > 700 && i < 900);
}

static void fill_sparse(char *memory, size_t pages)
{
    for (size_t i = 0; i < pages; i++)
        if (is_filled(i))
            *(size_t *)(memory + i * PAGE + 8 * (i % 100)) = i + 1;
}

static bool is_sparse(const char *memory, size_t pages)
{
    for (size_t i = 0; i < pages; i++)
        if (*(const size_t *)(memory + i * PAGE + 8 * (i % 100)) != (is_filled(i) ? i + 1 : 0))
            return false;
    return true;
}

static void show_moves(char *arena)
{
    static const size_t places[] = { 0, 2 * SPAN, 2 * SPAN + PAGE, SPAN / 2, 2 * SPAN - PAGE,
                                     3 * SPAN - 7 * PAGE, 5 * PAGE, 4 * SPAN, 0 };
    static const size_t lengths[] = { 1, 31, 32, 33, 127, 129, 511, 512, 513, 1024, 1500 };

    for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
        size_t pages = lengths[k];
        char *memory = arena;
        bool good = true;

        map_at((size_t)memory, pages * PAGE, PROT_RW, MAP_ANON_PRIVATE | MAP_FIXED, -1, 0);
        fill_sparse(memory, pages);
        for (size_t i = 1; i < sizeof places / sizeof places[0]; i++) {
            char *to = arena + places[i];
            size_t distance = to > memory ? (size_t)(to - memory) : (size_t)(memory - to);
            int result = remap(memory, pages, pages, TO, to);

            if (distance < pages * PAGE) {
                good = good && result == -EINVAL;
                continue;
            }
            good = good && result == (int)to && !is_readable(memory) &&
                   !is_readable(memory + (pages - 1) * PAGE) && is_sparse(to, pages);
            memory = to;
        }
        say("%u pages", pages);
        check("", good && is_sparse(memory, pages));
        call(SYS_munmap, arena, 6 * SPAN);
    }
}

/* Over pages that are there, in tables with others. */
static void show_over(char *arena)
{
    const size_t pages = 1200;

    map_at((size_t)arena, 6 * SPAN, PROT_RW, MAP_ANON_PRIVATE | MAP_FIXED, -1, 0);
    for (size_t at = 0; at < 6 * SPAN; at += PAGE)
        arena[at] = 'x';
    char *from = arena + 37 * PAGE, *to = arena + 3 * SPAN - 100 * PAGE;

    show("clear the source", map_at((size_t)from, pages * PAGE, PROT_RW,
                                    MAP_ANON_PRIVATE | MAP_FIXED, -1, 0));
    fill_sparse(from, pages);
    check("over pages", remap(from, pages, pages + 3, TO, to) == (int)to);
    check("moved", is_sparse(to, pages));
    say("around it: %c %d %d %c, %c %d %d %c\n", to[-(int)PAGE], to[pages * PAGE],
        to[(pages + 2) * PAGE], to[(pages + 3) * PAGE], from[-(int)PAGE],
        is_readable(from), is_readable(from + (pages - 1) * PAGE), from[pages * PAGE]);
    call(SYS_munmap, arena, 6 * SPAN);
}

/* --- New pages */

static void show_new_pages(char *arena)
{
    map_at((size_t)arena, 4 * PAGE, PROT_RW, MAP_ANON_PRIVATE | MAP_FIXED, -1, 0);
    fill(arena, 'a', 4 * PAGE);
    show("shrink", remap(arena, 4, 1, 0, NULL));
    show("grow", remap(arena, 1, 6, 0, NULL));
    bool zero = true;
    for (size_t i = PAGE; i < 6 * PAGE; i++)
        zero = zero && arena[i] == 0;
    check("zero again", zero && arena[PAGE - 1] == 'a');
    for (size_t i = 6; i < 200; i++)
        remap(arena, i, i + 1, 0, NULL), arena[i * PAGE] = (char)i;
    check("page by page", arena[100 * PAGE] == 100 && arena[0] == 'a');
    check("all at once", remap(arena, 200, 201, TO, arena + SPAN) == (int)(arena + SPAN));
    check("still there", arena[SPAN + 100 * PAGE] == 100 && arena[SPAN] == 'a' &&
          arena[SPAN + 200 * PAGE] == 0);
    call(SYS_munmap, arena, 2 * SPAN);
}

/* --- No rights, then rights */

static void show_held(char *arena)
{
    map_at((size_t)arena, 4 * PAGE, PROT_RW, MAP_ANON_PRIVATE | MAP_FIXED, -1, 0);
    fill(arena, 'h', 3 * PAGE);
    show("no rights", call(SYS_mprotect, arena, 4 * PAGE, PROT_NONE));
    check("move", remap(arena + PAGE, 3, 5, TO, arena + SPAN) == (int)(arena + SPAN));
    check("no rights there", !is_readable(arena + SPAN));
    show("rights", call(SYS_mprotect, arena + SPAN, 5 * PAGE, PROT_RW));
    say("there: %c %c %d %d\n", arena[SPAN], arena[SPAN + 2 * PAGE - 1], arena[SPAN + 2 * PAGE],
        arena[SPAN + 4 * PAGE]);
    show("rights", call(SYS_mprotect, arena, PAGE, PROT_READ));
    say("left: %c %d\n", arena[0], is_readable(arena + PAGE));
    call(SYS_munmap, arena, 2 * SPAN);
}

/* --- A file */

static void show_file(char *arena)
{
    int fd = call(SYS_open, "data.txt", 0);
    char *one = (char *)map_at((size_t)arena, 2 * PAGE, PROT_RW, MAP_PRIVATE | MAP_FIXED, fd, 0);

    one[5] = '!';
    one[PAGE + 5] = '?';
    check("move one page", remap(one + PAGE, 1, 1, TO, arena + SPAN) == (int)(arena + SPAN));
    say("its own: %c, next to it: %c\n", arena[SPAN + 5], one[4]);
    show("grow into the file", remap(one, 1, 2, 0, NULL));
    check("the file's page", one[PAGE + 4] == arena[SPAN + 4] && one[PAGE + 5] != '?');
    check("dontunmap", remap(one, 2, 2, TO | DONTUNMAP, arena + 2 * SPAN)
                       == (int)(arena + 2 * SPAN));
    say("the copy: %c, what is left is the file's: %d\n", arena[2 * SPAN + 5], one[5] != '!');
    show("private, from length 0", remap(one, 0, 1, MAYMOVE, NULL));

    char *shared = (char *)map_at((size_t)arena + 3 * SPAN, PAGE, PROT_READ,
                                  MAP_SHARED | MAP_FIXED, fd, 1);
    int again = remap(shared, 0, 1, MAYMOVE, NULL);

    show("shared, from length 0", again);
    check("the same", !is_error(again) && ((char *)again)[4] == shared[4]);
    show("shared, from length 0, may not move", remap(shared, 0, 1, 0, NULL));
    check("fixed", remap(shared, 0, 2, TO, arena + 4 * SPAN) == (int)(arena + 4 * SPAN));
    check("the same", arena[4 * SPAN + 4] == shared[4]);
    show("below it", remap(shared, 0, 2, TO, shared - PAGE));
    check("dontunmap", remap(shared, 1, 1, TO | DONTUNMAP, arena + 5 * SPAN)
                       == (int)(arena + 5 * SPAN));
    check("both", arena[5 * SPAN + 4] == shared[4] && shared[4] != 0);
    call(SYS_close, fd);
    call(SYS_munmap, arena, 6 * SPAN);
}

/* --- The heap */

static void show_heap(char *arena)
{
    char *start = (char *)(((size_t)call(SYS_brk, 0) + PAGE - 1) & ~(PAGE - 1));

    check("brk", call(SYS_brk, start + 6 * PAGE) == (int)(start + 6 * PAGE));
    for (size_t i = 0; i < 6; i++)
        start[i * PAGE] = (char)('a' + i);
    check("move two", remap(start + 2 * PAGE, 2, 3, TO, arena) == (int)arena);
    say("they are %c %c %d, around: %c %d %c\n", arena[0], arena[PAGE], arena[2 * PAGE],
        start[PAGE], is_readable(start + 2 * PAGE), start[4 * PAGE]);
    check("the break stays", call(SYS_brk, 0) == (int)(start + 6 * PAGE));
    check("grow the heap's end", remap(start + 4 * PAGE, 2, 4, 0, NULL)
                                 == (int)(start + 4 * PAGE));
    check("brk finds it taken", call(SYS_brk, start + 9 * PAGE) == (int)(start + 6 * PAGE));
    check("brk down", call(SYS_brk, start + PAGE) == (int)(start + PAGE));
    say("left: %c %d %d\n", start[0], is_readable(start + 4 * PAGE),
        is_readable(start + 6 * PAGE));
    check("move back", remap(arena, 3, 3, TO, start + PAGE) == (int)(start + PAGE));
    say("back: %c %c %d\n", start[PAGE], start[2 * PAGE], start[3 * PAGE]);
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    char *arena = map_pages(7 * SPAN / PAGE, PROT_NONE);

    call(SYS_munmap, arena, 7 * SPAN);
    arena = (char *)(((size_t)arena + SPAN - 1) & ~(SPAN - 1));
    show_moves(arena);
    show_over(arena);
    show_new_pages(arena);
    show_held(arena);
    show_file(arena);
    show_heap(arena);
    return 0;
}
