/*
 * random_memory's calls: each makes one, with arguments that kernels have to agree on,
 * and changes what is known of the pages.
 */
#ifndef RANDOM_MEMORY_CALLS_H
#define RANDOM_MEMORY_CALLS_H

#include "random_memory_pages.h"

enum {
    CALL_MSYNC = 144, CALL_MLOCK = 150, CALL_MUNLOCK = 151, CALL_MLOCKALL = 152,
    CALL_MREMAP = 163, CALL_MINCORE = 218, CALL_MADVISE = 219,
    CALL_MLOCK2 = 376,

    GROWSDOWN = 0x100, LOCKED = 0x2000, NORESERVE = 0x4000, NONBLOCK = 0x10000,
    MAYMOVE = 1, FIXED = 2, DONTUNMAP = 4,

    DATA_PAGES = 2, TMP_PAGES = 40,
};

#define LAST_PAGE 0xfffff000u       /* behind the user's memory, on any kernel */

/* What is left out: bits of one word (the table of names is in random_memory.c). */
enum {
    NO_SHARED = 1 << 0, NO_FILE = 1 << 1, NO_TMP = 1 << 2, NO_GROWS = 1 << 3,
    NO_LOCKED = 1 << 4, NO_DONTUNMAP = 1 << 5, NO_ADVICE = 1 << 6, NO_FREE = 1 << 7,
};

static uint32_t left_out;
static int data_file, tmp_file;

/* ---- mmap */

static uint8_t any_kind(void)
{
    static const uint8_t kinds[] = {
        ANON, ANON, ANON, ANON, ANON, ANON, ANON, SHARED_ANON, SHARED_ANON, SHARED_ANON,
        FILE_COPY, FILE_COPY, FILE_READ, TMP_COPY, TMP_SHARED, TMP_SHARED,
    };
    uint8_t kind = kinds[below(sizeof kinds)];
    bool shared = kind == SHARED_ANON || kind == FILE_READ || kind == TMP_SHARED;

    if ((shared && (left_out & NO_SHARED) != 0) ||
        ((kind == FILE_COPY || kind == FILE_READ) && (left_out & NO_FILE) != 0) ||
        ((kind == TMP_COPY || kind == TMP_SHARED) && (left_out & NO_TMP) != 0))
        return ANON;
    return kind;
}

/* Rights to execute come with those to read: some processors have them alone. */
static uint32_t any_rights(void)
{
    uint32_t rights = once_in(2) ? PROT_RW : below(8);

    return rights == PROT_EXEC ? PROT_EXEC | PROT_READ : rights;
}

static uint32_t any_map_flags(uint32_t count)
{
    uint32_t flags = 0;

    if (once_in(8))
        flags |= NORESERVE;
    if (once_in(8) && count <= 64)
        flags |= MAP_POPULATE | (once_in(4) ? NONBLOCK : 0);
    if (once_in(24) && count <= 64 && (left_out & NO_LOCKED) == 0)
        flags |= LOCKED;
    if (once_in(20) && (left_out & NO_GROWS) == 0)
        flags |= GROWSDOWN;
    return flags;
}

/* The page that was made by this call, in full. => .rights within what the kind can have */
static page_t any_mapping(uint32_t *flags, uint32_t count)
{
    page_t page = { .kind = any_kind(), .rights = (uint8_t)any_rights(), .size = ENDLESS };

    *flags = any_map_flags(count);
    switch (page.kind) {
    case SHARED_ANON:
        page.size = (uint16_t)count;
        break;
    case FILE_COPY:
    case FILE_READ:
        page.index = (uint16_t)below(DATA_PAGES + 1);
        page.size = DATA_PAGES;
        break;
    case TMP_COPY:
    case TMP_SHARED:
        page.index = (uint16_t)below(TMP_PAGES);
        page.size = TMP_PAGES;
        break;
    default:
        break;
    }
    if (page.kind != ANON && page.kind != SHARED_ANON)
        page.rights &= PROT_RW;     /* files may be where nothing can be executed */
    if (page.kind == FILE_READ && !once_in(16))
        page.rights &= PROT_READ;
    page.grows = (*flags & GROWSDOWN) != 0;
    if (page.kind == SHARED_ANON || page.kind == FILE_READ || page.kind == TMP_SHARED)
        *flags |= MAP_SHARED;
    else
        *flags |= MAP_PRIVATE;
    if (page.kind == ANON || page.kind == SHARED_ANON)
        *flags |= MAP_ANONYMOUS;
    return page;
}

static int file_of(uint8_t kind)
{
    return kind == FILE_COPY || kind == FILE_READ ? data_file
         : kind == TMP_COPY || kind == TMP_SHARED ? tmp_file : -1;
}

/* Where there is no choice, or none is asked for that matters. */
static void do_mmap(void)
{
    uint32_t count = any_count();
    uint32_t page = any_page(count), length = any_length(count);
    uint32_t flags, place = below(8);
    page_t made = any_mapping(&flags, count);
    int at, result;

    if (place >= 3)
        flags |= MAP_FIXED;
    else if (place == 2)
        flags |= MAP_FIXED_NOREPLACE;
    if ((flags & LOCKED) != 0)
        lock_more(count);
    else
        maybe_lock_more(count);
    at = map_at(address_of(page), length, made.rights, (int)flags, file_of(made.kind), made.index);
    result = note("mmap", page, length,
                  made.rights | (uint32_t)made.kind << 4 | (uint32_t)made.index << 8, flags,
                  offset_of(at));
    if (is_error(result))
        return;
    if ((uint32_t)result == page * PAGE)
        pages_put(page, count, made);
    else
        note("elsewhere: munmap", 0, 0, 0, 0, call(SYS_munmap, at, length));
}

static void do_bad_mmap(void)
{
    uint32_t at = address_of(any_page(1));
    uint32_t private = MAP_ANON_PRIVATE | (once_in(2) ? MAP_FIXED : 0);
    uint32_t which = below(9);
    int result = 0;

    switch (which) {
    case 0:
        result = map_at(at, 0, PROT_RW, (int)private, -1, 0);
        break;
    case 1:
        result = map_at(at, PAGE, PROT_RW, MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        break;
    case 2:
        result = map_at(at, PAGE, PROT_RW, MAP_PRIVATE, once_in(2) ? -1 : 77, 0);
        break;
    case 3:
        result = map_at(at + 1 + below(PAGE - 1), PAGE, PROT_RW, MAP_ANON_PRIVATE | MAP_FIXED,
                        -1, 0);
        break;
    case 4:
        result = map_at(LAST_PAGE, any_length(1), PROT_RW, MAP_ANON_PRIVATE | MAP_FIXED, -1, 0);
        break;
    case 5:
        result = map_at(at, LAST_PAGE + 1 + below(PAGE - 1), PROT_RW, (int)private, -1, 0);
        break;
    case 6:
        result = map_at(at, LAST_PAGE, PROT_RW, (int)private, -1, 0);
        break;
    case 7:
        result = map_at(at, PAGE, PROT_RW, MAP_SHARED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        break;
    default:
        result = map_at(at, LAST_PAGE - at, PROT_RW, MAP_ANON_PRIVATE | MAP_FIXED, -1, 0);
        break;
    }
    note("bad mmap", which, at - ARENA, private, 0, result);
}

/* ---- munmap */

static void unmap(uint32_t page, uint32_t count, uint32_t length)
{
    note("munmap", page, length, 0, 0, call(SYS_munmap, address_of(page), length));
    pages_clear(page, count);
}

static void do_munmap(void)
{
    uint32_t count = any_count();

    unmap(any_page(count), count, any_length(count));
}

static void do_clear(void)
{
    if (once_in(8))
        unmap(0, ARENA_PAGES, ARENA_PAGES * PAGE);
    else
        unmap(1000, 64, 64 * PAGE);
}

static void do_bad_munmap(void)
{
    uint32_t at = address_of(any_page(1));
    uint32_t which = below(5);
    int result;

    switch (which) {
    case 0:
        result = call(SYS_munmap, at, 0);
        break;
    case 1:
        result = call(SYS_munmap, at + 1 + below(PAGE - 1), PAGE);
        break;
    case 2:
        result = call(SYS_munmap, LAST_PAGE, any_length(1));
        break;
    case 3:
        result = call(SYS_munmap, at, LAST_PAGE - at);
        break;
    default:
        result = call(SYS_munmap, at, LAST_PAGE + below(PAGE));
        break;
    }
    note("bad munmap", which, at - ARENA, 0, 0, result);
}

/* ---- mprotect */

/* Linux goes on to the first page that refuses. */
static void pages_protect(uint32_t page, uint32_t count, uint32_t rights)
{
    uint32_t end = page;

    while (end < page + count && pages[end].kind != NONE &&
           (pages[end].kind != FILE_READ || (rights & PROT_WRITE) == 0))
        end++;
    pages_cut(page, end - page);
    for (uint32_t i = page; i < end; i++)
        pages[i].rights = (uint8_t)(rights & RIGHTS);
}

static bool has_files(uint32_t page, uint32_t count)
{
    for (uint32_t i = page; i < page + count; i++)
        if (pages[i].kind >= FILE_COPY)
            return true;
    return false;
}

/* What lies below the page in an area that grows down, if that is known. */
static uint32_t below_page(uint32_t page)
{
    uint32_t start = page;

    while (start > 0 && pages[start - 1].kind != NONE && pages[start - 1].area == pages[page].area)
        start--;
    return start > 0 && pages[start - 1].kind == NONE ? page - start : 0;
}

static void do_mprotect(void)
{
    uint32_t page = once_in(4) ? any_page(1) : any_mapped_page();
    uint32_t count = any_count();
    uint32_t rights = any_rights(), length;
    uint32_t lower = 0;

    if (page + count > USED_PAGES)
        count = USED_PAGES - page;
    length = any_length(count);
    if (once_in(64)) {              /* far behind what can be mapped */
        count = USED_PAGES - page;
        length = LAST_PAGE - address_of(page);
    }
    if (has_files(page, count))
        rights &= PROT_RW;
    if (once_in(16))
        rights |= 8;                /* PROT_SEM */
    if (pages[page].grows && once_in(4)) {
        lower = below_page(page);
        if (lower > 0)
            rights |= 0x01000000;   /* PROT_GROWSDOWN */
    }
    note("mprotect", page, length, rights, 0,
         call(SYS_mprotect, address_of(page), length, rights));
    pages_protect(page - lower, count + lower, rights);
}

static void do_bad_mprotect(void)
{
    uint32_t at = address_of(any_page(1));
    uint32_t which = below(5);
    int result;

    switch (which) {
    case 0:
        result = call(SYS_mprotect, at + 1 + below(PAGE - 1), once_in(2) ? 0 : PAGE, PROT_RW);
        break;
    case 1:
        result = call(SYS_mprotect, at, PAGE, 0x10 << below(8));
        break;
    case 2:
        result = call(SYS_mprotect, at, PAGE, 0x03000000 | PROT_RW);
        break;
    case 3:
        result = call(SYS_mprotect, LAST_PAGE, 0, PROT_READ);
        break;
    default:
        result = call(SYS_mprotect, at, 0, PROT_READ);
        break;
    }
    note("bad mprotect", which, at - ARENA, 0, 0, result);
}

/* ---- madvise: a range of the arena, holes and all */

static const uint8_t advices[] = {
    0, 1, 2, 3, 4, 4, 4, 4, 4, 4, 8, 10, 10, 11, 16, 17, 18, 18, 19, 20, 21, 22, 22, 23, 23, 24,
};

static void do_madvise(void)
{
    uint32_t advice = advices[below(sizeof advices)];
    uint32_t count = any_count();
    uint32_t page = once_in(4) ? any_page(count) : any_mapped_page();
    uint32_t length = any_length(count);

    if (page + count > USED_PAGES || (advice >= 22 && advice <= 23 && count > 64))
        return;
    if (advice > 3 && (left_out & NO_ADVICE) != 0)
        return;
    if (advice == 8 && (left_out & NO_FREE) != 0)
        return;
    note("madvise", page, length, advice, 0, call(CALL_MADVISE, address_of(page), length, advice));
    if (advice == 8)    /* who knows when they are free: now */
        note("and DONTNEED", page, length, 4, 0, call(CALL_MADVISE, address_of(page), length, 4));
    if (advice <= 2 || advice == 10 || advice == 11 || (advice >= 16 && advice <= 19))
        pages_cut(page, count);
}

static void do_bad_madvise(void)
{
    uint32_t at = address_of(any_page(1));
    uint32_t which = below(4);
    int result;

    switch (which) {
    case 0:
        result = call(CALL_MADVISE, at + 1 + below(PAGE - 1), PAGE, 0);
        break;
    case 1:
        result = call(CALL_MADVISE, at, PAGE, once_in(2) ? 5 : 7);
        break;
    case 2:
        result = call(CALL_MADVISE, at, once_in(2) ? PAGE : 0, -1);
        break;
    default:
        result = call(CALL_MADVISE, at, 0, 3);
        break;
    }
    note("bad madvise", which, at - ARENA, 0, 0, result);
}

/* ---- locks */

static void do_lock(void)
{
    uint32_t page = any_mapped_page(), count = area_count(page, 24);
    uint32_t into = once_in(8) ? below(PAGE) : 0;
    uint32_t at, length;
    uint32_t which = below(8);
    int result;

    if (once_in(4))
        count = 1 + below(8);
    if (page + count > USED_PAGES)
        return;
    at = address_of(page) + into;
    length = count * PAGE - into;
    if (once_in(16))
        length -= below(length);
    count = (into + length + PAGE - 1) / PAGE;
    if (count == 1 && once_in(16)) {
        count = 0;
        length = 0;
        at = address_of(page);
    }
    if (once_in(64) && which > 3) {         /* Linux goes on to the first hole */
        count = USED_PAGES - page;
        length = LAST_PAGE - at;
    }
    lock_more(which > 3 ? 0 : count);
    switch (which) {
    case 0:
        result = call(CALL_MLOCK, at, length);
        break;
    case 1: case 2:
        result = call(CALL_MLOCK2, at, length, which - 1);
        break;
    case 3:
        result = call(CALL_MLOCK2, at, length, 2 << below(8));
        break;
    default:
        result = call(CALL_MUNLOCK, at, length);
        break;
    }
    note("lock", at - ARENA, length, which, 0, result);
    pages_cut(page, count);
}

/* What would be too much is unmapped before. */
static void do_lock_all(void)
{
    uint32_t flags = below(10);

    unmap(0, 1000, 1000 * PAGE);
    unmap(1064, ARENA_PAGES - 1064, (ARENA_PAGES - 1064) * PAGE);
    lock_more(64);
    note("mlockall", flags, 0, 0, 0, call(CALL_MLOCKALL, flags));
    locks_future = flags < 8 && (flags & 2) != 0;
}

static void do_unlock_all(void)
{
    note("munlockall", 0, 0, 0, 0, unlock_all());
}

/* ---- mincore, msync: what they answer, not what is in core */

static void do_mincore(void)
{
    static uint8_t vec[ARENA_PAGES + 1];
    uint32_t count = any_count();
    uint32_t page = once_in(2) ? any_page(count) : any_mapped_page();
    uint32_t at = address_of(page), to = (uint32_t)vec;

    if (page + count > USED_PAGES)
        return;
    if (once_in(16))
        at += 1 + below(PAGE - 1);
    if (pages[page].kind != NONE && once_in(16))
        to = once_in(2) ? 0 : LAST_PAGE;
    note("mincore", at - ARENA, count, to == (uint32_t)vec, 0,
         call(CALL_MINCORE, at, any_length(count), to));
}

static void do_msync(void)
{
    uint32_t count = any_count();
    uint32_t page = once_in(2) ? any_page(count) : any_mapped_page();
    uint32_t at = address_of(page), flags = below(8), length = any_length(count);

    if (page + count > USED_PAGES)
        return;
    if (once_in(16))
        at += 1 + below(PAGE - 1);
    if (once_in(16))
        flags |= 8u << below(8);
    if (once_in(16))
        length = 0;
    note("msync", at - ARENA, length, flags, 0, call(CALL_MSYNC, at, length, flags));
}

#endif
