/*
 * What random_memory knows of its arena: for each page what is mapped there, so far as
 * that decides which accesses end the program, and which calls kernels answer alike.
 * Also its random numbers, its running sum, and the trace.
 */
#ifndef RANDOM_MEMORY_PAGES_H
#define RANDOM_MEMORY_PAGES_H

#include "user.h"

#define ARENA 0x50000000u
#define ENDLESS 0xffffu         /* pages of an object that has no end */

enum {
    ARENA_PAGES = 65536,
    USED_PAGES = ARENA_PAGES - 64,      /* nothing is mapped behind: all ranges end there */
    RIGHTS = PROT_READ | PROT_WRITE | PROT_EXEC,
};

enum kind { NONE, ANON, SHARED_ANON, FILE_COPY, FILE_READ, TMP_COPY, TMP_SHARED };

typedef struct page {
    uint8_t kind;
    uint8_t rights;
    uint8_t grows;              /* down */
    uint16_t index;             /* of what is mapped */
    uint16_t size;              /* of that, in pages: behind it are none */
    uint32_t area;              /* pages with one number, side by side, are one area */
} page_t;

static page_t pages[ARENA_PAGES];
static uint32_t areas;

/* ---- random numbers: each operation has its own, whatever was left out before it */

static uint32_t random_state;

static void random_start(uint32_t seed, uint32_t operation)
{
    random_state = seed * 0x9e3779b9u + operation * 0x85ebca6bu + 0x6a09e667u;
}

/* splitmix, of 32 bits */
static uint32_t random_word(void)
{
    uint32_t mixed = random_state += 0x9e3779b9u;

    mixed = (mixed ^ (mixed >> 16)) * 0x21f0aaadu;
    mixed = (mixed ^ (mixed >> 15)) * 0x735a2d97u;
    return mixed ^ (mixed >> 15);
}

static uint32_t below(uint32_t limit)
{
    return (uint32_t)((uint64_t)random_word() * limit >> 32);
}

/* Once in so many. */
static bool once_in(uint32_t count)
{
    return below(count) == 0;
}

/* ---- the sum and the trace */

static uint32_t sum;
static bool tracing;
static uint32_t operation;

static void mix(uint32_t value)
{
    sum = (sum ^ value) * 0x01000193u;
    sum ^= sum >> 15;
}

/* A call and its arguments, and what came of it: that counts. */
static int note(const char *what, uint32_t a, uint32_t b, uint32_t c, uint32_t d, int result)
{
    mix((uint32_t)result);
    if (tracing && is_error(result))
        say("%u: %s %x %x %x %x: error %d\n", operation, what, a, b, c, d, -result);
    else if (tracing)
        say("%u: %s %x %x %x %x: %x\n", operation, what, a, b, c, d, (uint32_t)result);
    return result;
}

/* An address in the arena counts as its offset; another one only as elsewhere. */
static int offset_of(int result)
{
    uint32_t offset = (uint32_t)result - ARENA;

    return is_error(result) ? result : offset < ARENA_PAGES * PAGE ? (int)offset : 0x7fffffff;
}

static uint32_t address_of(uint32_t page)
{
    return ARENA + page * PAGE;
}

/* ---- the pages */

static void pages_clear(uint32_t page, uint32_t count)
{
    for (uint32_t i = page; i < page + count; i++)
        pages[i] = (page_t){ .kind = NONE };
}

/* One new area. */
static void pages_put(uint32_t page, uint32_t count, page_t first)
{
    first.area = ++areas;
    for (uint32_t i = page; i < page + count; i++) {
        pages[i] = first;
        if (first.size != ENDLESS)
            first.index++;
    }
}

/* Areas are cut around a range whose flags change: what was one in it is one. */
static void pages_cut(uint32_t page, uint32_t count)
{
    uint32_t old = 0;

    for (uint32_t i = page; i < page + count; i++) {
        if (pages[i].area != old) {
            old = pages[i].area;
            areas++;
        }
        if (pages[i].kind != NONE)
            pages[i].area = areas;
    }
}

static bool is_free(uint32_t page, uint32_t count)
{
    for (uint32_t i = page; i < page + count; i++)
        if (pages[i].kind != NONE)
            return false;
    return true;
}

static bool has_content(const page_t *at)
{
    return at->index < at->size;
}

static bool may_read(const page_t *at)
{
    return at->kind != NONE && at->rights != 0 && has_content(at);
}

static bool may_write(const page_t *at)
{
    return at->kind != NONE && (at->rights & PROT_WRITE) != 0 && has_content(at);
}

/* ---- locks: how many pages may have them, and whether new ones get them */

enum { LOCKED_MOST = 1200, CALL_MUNLOCKALL = 153 };     /* the limit is 2048, the program's too */

static uint32_t locked;
static bool locks_future;

static int unlock_all(void)
{
    locked = 0;
    locks_future = false;
    return call(CALL_MUNLOCKALL);
}

/* Before so many more may be locked. */
static void lock_more(uint32_t count)
{
    if (locked + count > LOCKED_MOST)
        unlock_all();
    locked += count;
}

/* The same, if they are not locked by themselves. */
static void maybe_lock_more(uint32_t count)
{
    if (locked > 0 || locks_future)
        lock_more(count);
}

/* An area above has grown down to this page. */
static void pages_grown(uint32_t page)
{
    uint32_t above = page;

    maybe_lock_more(256);

    while (above < USED_PAGES && pages[above].kind == NONE)
        above++;
    for (uint32_t i = page; i < above; i++)
        pages[i] = pages[above];
}

/* ---- where, and how many: mostly close together */

static uint32_t any_count(void)
{
    switch (below(16)) {
    case 0:
        return 1 + below(64);
    case 1:
        return once_in(8) ? 1 + below(600) : 1;
    case 2: case 3:
        return 1 + below(20);
    default:
        return 1 + below(6);
    }
}

/* A page that so many follow: around a border of tables, at the start, far away. */
static uint32_t any_page(uint32_t count)
{
    uint32_t page;

    switch (below(8)) {
    case 0:
        page = below(48);
        break;
    case 1:
        page = 8192 - 300 + below(600);
        break;
    case 2:
        page = once_in(4) ? below(USED_PAGES) : once_in(2) ? USED_PAGES - 1 - below(8) : below(2);
        break;
    default:
        page = 1000 + below(56);
        break;
    }
    return page + count <= USED_PAGES ? page : USED_PAGES - count;
}

/* A page that is mapped, if there is one not far from here. */
static uint32_t any_mapped_page(void)
{
    uint32_t page = any_page(1);

    for (uint32_t i = page; i < page + 64 && i < USED_PAGES; i++)
        if (pages[i].kind != NONE)
            return i;
    return page;
}

/* How many pages from this one are in its area, as far as is known; at most `most`. */
static uint32_t area_count(uint32_t page, uint32_t most)
{
    uint32_t count = 1;

    while (count < most && page + count < USED_PAGES && pages[page + count].kind != NONE &&
           pages[page + count].area == pages[page].area)
        count++;
    return count;
}

/* A length of so many pages, sometimes not whole. */
static uint32_t any_length(uint32_t count)
{
    return count * PAGE - (once_in(8) ? below(PAGE) : 0);
}

#endif
