/*
 * Moving entries to other addresses: the border's part of mremap.
 *
 *      make    the tables that the target lacks                        can fail
 *      move    drop what is in the target, then move the entries       cannot
 *      sweep   flush, and free the tables that became empty            cannot
 *
 * The ranges are gone through in steps: one table of the source, one of the target.
 *
 *      source   |   table 0   |   table 1   |        a step whose entries are all that
 *      target  ....|   table 0'   |   table 1'..     their table has, and whose target
 *      steps    | 0 | 1  | 2  | 3 |                  has no table, moves the table
 */
#include <kernel/panic.h>
#include <kernel/virtual.h>

#include "walk.h"

enum {
    FLUSH_MAX = 32,         /* pages in a range that is flushed one by one */
    SHIFT_MAX = 128,        /* pages in a step: above it a new table is cheaper */
};

typedef struct move {
    page_t directory;
    size_t from;
    size_t to;
    size_t length;
    bool apart;             /* no table has pages of both ranges */
    mmu_change_t *drop;     /* NULL: nothing is in the target */
    void *context;
    bool all;               /* flush everything; else: */
    uint32_t moved;         /* pages of the source that were present, one bit each */
    uint32_t dropped;       /* of the target */
} move_t;

/* One step: `count` pages. */
typedef struct step {
    size_t from;
    size_t to;
    size_t count;
} step_t;

static inline frame_t *frame_of(page_t table)
{
    return &physical_frames[table >> PAGE_SHIFT];
}

static ALWAYS_INLINE step_t step_at(const paging_format_t *format, const move_t *move,
                                    size_t done)
{
    step_t step = { move->from + done, move->to + done, 0 };
    size_t length = walk_step(format, 1, step.from, move->length - done);

    step.count = walk_step(format, 1, step.to, length) >> PAGE_SHIFT;
    return step;
}

/* ---- make */

/* How many entries of the step are not 0; counting ends at `enough`. */
static ALWAYS_INLINE size_t count_entries(const paging_format_t *format, const walk_t *source,
                                          size_t count, size_t enough)
{
    size_t found = 0;

    for (unsigned i = source->index; count-- > 0 && found < enough; i++)
        found += entry_load(format, source->table, i) != 0;
    return found;
}

/* Whether the step's entries are all that their table has, and it is to be moved. */
static ALWAYS_INLINE bool takes_table(const paging_format_t *format, const move_t *move,
                                      const walk_t *source, size_t count)
{
    size_t used = frame_of(source->page)->count;

    if (!move->apart)
        return false;
    if (count == 1u << format->index_bits[0])
        return true;
    return used <= count && count <= SHIFT_MAX &&
           count_entries(format, source, count, used) == used;
}

/* => 0 or -ENOMEM, as tables_make_path */
static ALWAYS_INLINE int make_step(const paging_format_t *format, const move_t *move,
                                   const step_t *step)
{
    walk_t source;
    walk_t target;
    walk_t made;

    if (!walk_down(format, move->directory, step->from, 0, &source) ||
        walk_down(format, move->directory, step->to, 0, &target) ||
        count_entries(format, &source, step->count, 1) == 0)
        return 0;
    if (!takes_table(format, move, &source, step->count))
        return tables_make_path(move->directory, step->to, 0, &made);
    return target.level == 1 ? 0 : tables_make_path(move->directory, step->to, 1, &made);
}

/* ---- move */

/* Remember what must be flushed of `count` entries, from page `first` of their range on. */
static ALWAYS_INLINE void note_present(const paging_format_t *format, move_t *move,
                                       const walk_t *at, size_t first, size_t count,
                                       uint32_t *pages)
{
    if (move->length > FLUSH_MAX * PAGE_SIZE) {
        move->all = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (entry_load(format, at->table, at->index + (unsigned)i) & ENTRY_PRESENT)
            *pages |= 1u << (first + i);
    }
}

static ALWAYS_INLINE void drop_entries(const paging_format_t *format, move_t *move,
                                       const walk_t *target, const step_t *step)
{
    frame_t *table = frame_of(target->page);
    size_t used = table->count;

    note_present(format, move, target, (step->to - move->to) >> PAGE_SHIFT, step->count,
                 &move->dropped);
    for (size_t i = 0; i < step->count && used > 0; i++) {
        uint64_t raw = entry_load(format, target->table, target->index + (unsigned)i);

        if (raw == 0)
            continue;
        (void)move->drop(move->context, step->to + i * PAGE_SIZE, entry_to_border(format, raw));
        entry_store(format, target->table, target->index + (unsigned)i, 0);
        used--;
    }
    table->count = (uint16_t)used;
}

/* Move one entry to where none is. => whether there was one */
static ALWAYS_INLINE bool move_entry(const paging_format_t *format, volatile uint32_t *from,
                                     volatile uint32_t *to)
{
    uint32_t low = from[0];

    if (format->entry_bytes == 4) {
        if (low == 0)
            return false;
    } else {
        uint32_t high = from[1];

        if ((low | high) == 0)
            return false;
        from[0] = 0;
        from[1] = 0;
        to[1] = high;
    }
    from[0] = 0;
    to[0] = low;
    return true;
}

static ALWAYS_INLINE volatile uint32_t *place_of(const paging_format_t *format, void *table,
                                                 unsigned index)
{
    return (volatile uint32_t *)((char *)table + index * format->entry_bytes);
}

/* From one table to another, or to free places of the same. */
static ALWAYS_INLINE void move_entries(const paging_format_t *format, const walk_t *source,
                                       const walk_t *target, size_t count)
{
    const unsigned words = format->entry_bytes / 4;
    volatile uint32_t *from = place_of(format, source->table, source->index);
    volatile uint32_t *to = place_of(format, target->table, target->index);
    volatile uint32_t *end = from + count * words;
    size_t moved = 0;

    for (; from != end; from += words, to += words)
        moved += move_entry(format, from, to);
    frame_of(source->page)->count -= (uint16_t)moved;
    frame_of(target->page)->count += (uint16_t)moved;
}

/* Move entries inside their table, which has no others. */
static ALWAYS_INLINE void shift_entries(const paging_format_t *format, void *table,
                                        unsigned from, unsigned to, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned k = (unsigned)(to < from ? i : count - 1 - i);

        move_entry(format, place_of(format, table, from + k), place_of(format, table, to + k));
    }
}

/* Hang the source's table in the target's place. => the level above is there */
static ALWAYS_INLINE void move_table(const paging_format_t *format, const move_t *move,
                                     const walk_t *source, const step_t *step)
{
    unsigned index = walk_index(format, 0, step->to);
    uint64_t entry;
    walk_t at;
    bool found = walk_down(format, move->directory, step->from, 1, &at);

    DEBUG_ASSERT(found);
    entry = entry_load(format, at.table, at.index);
    entry_store(format, at.table, at.index, 0);
    if (at.page != move->directory)
        frame_of(at.page)->count--;
    found = walk_down(format, move->directory, step->to, 1, &at);
    ASSERT(found);
    entry_store(format, at.table, at.index, entry);
    if (at.page != move->directory)
        frame_of(at.page)->count++;
    if (index != source->index)
        shift_entries(format, source->table, source->index, index, step->count);
}

static ALWAYS_INLINE void move_step(const paging_format_t *format, move_t *move,
                                    const step_t *step)
{
    walk_t source;
    walk_t target;
    bool there = walk_down(format, move->directory, step->to, 0, &target);

    if (UNLIKELY(there && move->drop != NULL))
        drop_entries(format, move, &target, step);
    if (!walk_down(format, move->directory, step->from, 0, &source))
        return;
    note_present(format, move, &source, (step->from - move->from) >> PAGE_SHIFT, step->count,
                 &move->moved);
    if (there)
        move_entries(format, &source, &target, step->count);
    else if (count_entries(format, &source, step->count, 1) != 0)
        move_table(format, move, &source, step);
}

/* ---- sweep */

/* Take out tables of a range without an entry. */
static ALWAYS_INLINE void unlink_empty(const paging_format_t *format, page_t directory,
                                       size_t vaddr, size_t length, page_t *chain)
{
    while (length > 0) {
        walk_t at;
        bool found = walk_down(format, directory, vaddr, 0, &at);
        size_t step = walk_step(format, found ? 1 : at.level, vaddr, length);

        if (at.page != directory && frame_of(at.page)->count == 0)
            tables_unlink(directory, vaddr, chain);
        vaddr += step;
        length -= step;
    }
}

static void flush_pages(size_t vaddr, uint32_t pages)
{
    for (; pages != 0; pages &= pages - 1)
        paging_flush_page(vaddr + (size_t)__builtin_ctz(pages) * PAGE_SIZE);
}

/* => gone: a table was taken out, and nothing flushed since */
static void flush(const move_t *move, bool gone)
{
    if (move->directory != paging_state.current)
        return;
    if (move->all || (gone && paging_format->eager_top)) {
        paging_flush_space();
        return;
    }
    flush_pages(move->from, move->moved);
    flush_pages(move->to, move->dropped);
}

/* ---- all of it */

static ALWAYS_INLINE int move_in(const paging_format_t *format, move_t *move, page_t *chain)
{
    int err = 0;
    step_t step;

    for (size_t done = 0; done < move->length && err == 0; done += step.count << PAGE_SHIFT) {
        step = step_at(format, move, done);
        err = make_step(format, move, &step);
    }
    if (UNLIKELY(err != 0)) {
        unlink_empty(format, move->directory, move->to, move->length, chain);
        return err;
    }
    for (size_t done = 0; done < move->length; done += step.count << PAGE_SHIFT) {
        step = step_at(format, move, done);
        move_step(format, move, &step);
    }
    unlink_empty(format, move->directory, move->from, move->length, chain);
    if (UNLIKELY(move->drop != NULL))
        unlink_empty(format, move->directory, move->to, move->length, chain);
    return 0;
}

/* Whether the ranges lie in different tables. */
static bool is_apart(size_t from, size_t to, size_t length)
{
    unsigned shift = paging_format->shift[1];
    size_t last = length - 1;

    return (from + last) >> shift < to >> shift || (to + last) >> shift < from >> shift;
}

int mmu_move_range(page_t directory, size_t from, size_t to, size_t length,
                   mmu_change_t *drop, void *context)
{
    page_t chain = PAGE_NONE;
    move_t move;
    int err;

    DEBUG_ASSERT(length != 0 && from - to >= length && to - from >= length);
    move.directory = directory;
    move.from = from;
    move.to = to;
    move.length = length;
    move.apart = is_apart(from, to, length);
    move.drop = drop;
    move.context = context;
    move.all = false;
    move.moved = 0;
    move.dropped = 0;
    err = WITH_FORMAT(move_in, &move, &chain);
    flush(&move, chain != PAGE_NONE);
    if (chain != PAGE_NONE)
        tables_free_chain(directory, chain);
    return err;
}
