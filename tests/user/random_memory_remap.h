/*
 * random_memory's mremap: the old range is inside one area, or in none, or begins in one
 * and goes on over pages that are surely of another.
 */
#ifndef RANDOM_MEMORY_REMAP_H
#define RANDOM_MEMORY_REMAP_H

#include "random_memory_calls.h"

typedef struct remap {
    uint32_t page, count;       /* old */
    uint32_t new_count;
    uint32_t flags;
    uint32_t to;                /* FIXED: a page */
} remap_t;

/* What is put where it moved to. */
static void pages_move(const remap_t *move, uint32_t to)
{
    page_t first = pages[move->page];

    if ((move->flags & DONTUNMAP) == 0)
        pages_clear(move->page, move->count);
    else
        pages_cut(move->page, move->count);
    pages_put(to, move->new_count, first);
}

/* It moved out of the arena: the program brings it back. */
static void bring_back(const remap_t *move, int where)
{
    remap_t back = *move;
    page_t first = pages[move->page];
    int result;

    if ((move->flags & DONTUNMAP) == 0)
        pages_clear(move->page, move->count);
    else
        pages_cut(move->page, move->count);
    back.to = any_page(back.new_count);
    result = call(CALL_MREMAP, where, back.new_count * PAGE, back.new_count * PAGE,
                  MAYMOVE | FIXED, address_of(back.to));
    note("and back", back.to, 0, 0, 0, offset_of(result));
    if (!is_error(result))
        pages_put(back.to, back.new_count, first);
    else
        call(SYS_munmap, where, back.new_count * PAGE);
}

static void remap(const remap_t *move)
{
    uint32_t length = move->count * PAGE, new_length = move->new_count * PAGE;
    int place, result;

    maybe_lock_more(move->new_count);
    if ((move->flags & DONTUNMAP) == 0) {
        length -= once_in(16) ? below(PAGE) : 0;
        new_length -= once_in(16) ? below(PAGE) : 0;
    }
    place = call(CALL_MREMAP, address_of(move->page), length, new_length, move->flags,
                 address_of(move->to));
    result = offset_of(place);
    note("mremap", move->page, length, new_length, move->flags | move->to << 4, result);
    if (is_error(result))
        return;
    if (result == 0x7fffffff) {
        bring_back(move, place);
    } else if ((uint32_t)result != move->page * PAGE) {
        pages_move(move, (uint32_t)result / PAGE);
    } else if (move->new_count < move->count) {
        pages_clear(move->page + move->new_count, move->count - move->new_count);
    } else {
        for (uint32_t i = move->page + move->count; i < move->page + move->new_count; i++) {
            pages[i] = pages[i - 1];
            pages[i].index = (uint16_t)(pages[i].index + (pages[i].size != ENDLESS));
        }
    }
}

static void do_mremap(void)
{
    remap_t move = { .page = any_mapped_page(), .count = 1 + below(12) };

    if (pages[move.page].kind == NONE) {
        move.count = 1 + below(4);
        move.new_count = 1 + below(4);
        move.flags = once_in(2) ? MAYMOVE : 0;
        if (move.page + move.count < USED_PAGES)
            remap(&move);
        return;
    }
    move.count = area_count(move.page, once_in(16) ? 600 : move.count);
    move.new_count = once_in(3) ? move.count : once_in(2) ? 1 + below(move.count)
                                                          : move.count + 1 + below(8);
    move.flags = below(4) != 0 ? MAYMOVE : 0;
    if (move.flags != 0 && once_in(2))
        move.flags |= FIXED;
    if (move.flags != 0 && move.count == move.new_count && once_in(4) &&
        (left_out & NO_DONTUNMAP) == 0) {
        /* What stays loses its lock, and so does the rest of its area, however long. */
        move.flags |= DONTUNMAP;
        if (locked > 0 || locks_future)
            note("munlockall", 0, 0, 0, 0, unlock_all());
    }
    move.to = any_page(move.new_count);
    if (move.page + move.new_count < USED_PAGES)
        remap(&move);
}

/* From one area into another: it has other rights, so they are two. */
static void do_mremap_over_two(void)
{
    remap_t move = { .page = any_mapped_page(), .flags = once_in(2) ? MAYMOVE : 0 };
    uint32_t end = move.page;

    if (pages[end].kind == NONE)
        return;
    while (end < USED_PAGES && pages[end].kind != NONE &&
           pages[end].rights == pages[move.page].rights)
        end++;
    if (end >= USED_PAGES - 16 || end - move.page > 600)
        return;
    move.count = end - move.page + 1 + below(4);
    move.new_count = move.count + 1 + below(4);
    remap(&move);
}

/* Errors come before anything is changed; a bad new place only with a good old one. */
static void do_bad_mremap(void)
{
    uint32_t page = any_mapped_page(), at = address_of(page);
    uint32_t which = below(8);
    int result = 0;

    if (pages[page].kind == NONE || page + 8 > USED_PAGES)
        return;
    switch (which) {
    case 0:
        result = call(CALL_MREMAP, at + 1 + below(PAGE - 1), PAGE, PAGE, MAYMOVE);
        break;
    case 1:
        result = call(CALL_MREMAP, at, PAGE, 0, below(2));
        break;
    case 2:
        result = call(CALL_MREMAP, at, PAGE, PAGE, FIXED, at + PAGE);
        break;
    case 3:
        result = call(CALL_MREMAP, at, PAGE, PAGE, 8u << below(8) | MAYMOVE, at + PAGE);
        break;
    case 4:
        result = call(CALL_MREMAP, at, PAGE, PAGE, DONTUNMAP | (once_in(2) ? FIXED : 0));
        break;
    case 5:
        result = call(CALL_MREMAP, at, PAGE, 2 * PAGE, DONTUNMAP | MAYMOVE);
        break;
    case 6:
        result = call(CALL_MREMAP, at, PAGE, PAGE, FIXED | MAYMOVE, at + 1 + below(2 * PAGE - 2));
        break;
    default:
        result = call(CALL_MREMAP, at, PAGE, PAGE, FIXED | MAYMOVE, once_in(2) ? LAST_PAGE : at);
        break;
    }
    note("bad mremap", which, at - ARENA, 0, 0, result);
}

/* A length of 0: the shared pages are mapped once more. */
static void do_mremap_twice(void)
{
    uint32_t page = any_mapped_page();
    remap_t move = { .page = page, .new_count = 1 + below(6), .flags = MAYMOVE | FIXED };
    page_t first = pages[page];
    int result;

    if (first.kind == NONE)
        return;
    move.to = any_page(move.new_count);
    if (page >= move.to && page < move.to + move.new_count)
        return;
    if (first.kind != SHARED_ANON && first.kind != TMP_SHARED && first.kind != FILE_READ &&
        !is_free(move.to, move.new_count))
        return;                 /* refused when there is room already */
    maybe_lock_more(move.new_count);
    result = offset_of(call(CALL_MREMAP, address_of(page), 0, move.new_count * PAGE, move.flags,
                            address_of(move.to)));
    note("mremap twice", page, move.new_count, move.to, 0, result);
    if (!is_error(result))
        pages_put(move.to, move.new_count, first);
}

#endif
