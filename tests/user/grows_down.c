// Areas that grow down to an access: how far, and what is left free below them.
#include "user.h"

enum { MAP_GROWSDOWN = 0x100, PROT_GROWSDOWN = 0x01000000, SYS_setrlimit = 75, GAP = 256 };

#define PLACE 0x50000000u

static int put(unsigned page, unsigned count, int rights, int flags)
{
    return map_at(PLACE + page * PAGE, count * PAGE, rights,
                  MAP_ANON_PRIVATE | MAP_FIXED | flags, -1, 0);
}

/* Whether the kernel can write to a page: the area may grow for it. */
static int touch(unsigned page)
{
    int result = call(SYS_uname, PLACE + page * PAGE);

    return is_error(result) ? result : 0;
}

static void refused(void)
{
    show("shared", map_at(0, PAGE, PROT_RW, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0));
    show("unmapped", call(SYS_munmap, PLACE, 4096 * PAGE));
}

static void grow(void)
{
    show("two pages at 1000", put(1000, 2, PROT_RW, MAP_GROWSDOWN));
    show("touch 999", touch(999));
    show("touch 990", touch(990));
    show("protect all from 990", call(SYS_mprotect, PLACE + 990 * PAGE, 12 * PAGE, PROT_RW));
    show("protect down from 1001",
         call(SYS_mprotect, PLACE + 1001 * PAGE, PAGE, PROT_READ | PROT_GROWSDOWN));
    show("touch 990, read-only", touch(990));
    show("touch 989, read-only", touch(989));
    show("it has grown all the same", call(SYS_mprotect, PLACE + 989 * PAGE, PAGE, PROT_READ));
    show("unmap it all", call(SYS_munmap, PLACE + 980 * PAGE, 40 * PAGE));
    show("touch 989, gone", touch(989));
}

/* What is below keeps its distance, unless nobody may look at it. */
static void neighbours(void)
{
    show("a page at 700", put(700, 1, PROT_READ, 0));
    show("one that grows at 1000", put(1000, 1, PROT_RW, MAP_GROWSDOWN));
    show("touch 957", touch(700 + GAP + 1));
    show("touch 956", touch(700 + GAP));
    show("700 cannot be used", call(SYS_mprotect, PLACE + 700 * PAGE, PAGE, PROT_NONE));
    show("touch 956", touch(700 + GAP));
    show("touch 701", touch(701));
    show("one that grows at 650", put(650, 1, PROT_RW, MAP_GROWSDOWN));
    show("one more at 660", put(660, 1, PROT_RW, MAP_GROWSDOWN));
    show("touch 652", touch(652));
    show("touch 651", touch(651));
    show("touch 649", touch(649));
    show("unmap it all", call(SYS_munmap, PLACE, 1100 * PAGE));
}

static void limit(void)
{
    uint32_t pair[2] = { 20 * PAGE, 0xffffffff };

    show("limit of 20 pages", call(SYS_setrlimit, 3, pair));
    show("two pages at 1000", put(1000, 2, PROT_RW, MAP_GROWSDOWN));
    show("touch 982", touch(982));
    show("touch 981", touch(981));
    show("forty pages at 2000", put(2000, 40, PROT_RW, MAP_GROWSDOWN));
    show("touch 1999", touch(1999));
    show("touch 2000", touch(2000));
}

/* A search leaves the gap free; a fixed address does not. */
static void places(void)
{
    unsigned hint = PLACE + 3000 * PAGE;
    int place;

    show("one that grows at 3000", put(3000 + GAP + 8, 1, PROT_RW, MAP_GROWSDOWN));
    place = map_at(hint, 8 * PAGE, PROT_READ, MAP_ANON_PRIVATE, -1, 0);
    say("eight pages are where they are asked for: %d\n", (unsigned)place == hint);
    call(SYS_munmap, place, 8 * PAGE);
    place = map_at(hint, 9 * PAGE, PROT_READ, MAP_ANON_PRIVATE, -1, 0);
    say("nine pages are: %d\n", (unsigned)place == hint);
    show("nine pages, and none replaced",
         map_at(hint, 9 * PAGE, PROT_READ, MAP_ANON_PRIVATE | MAP_FIXED_NOREPLACE, -1, 0));
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    refused();
    grow();
    neighbours();
    limit();
    places();
    return 0;
}
