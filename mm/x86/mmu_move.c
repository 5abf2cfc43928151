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
    mmu_change_t *drop;     /* NULL: nothing is in the target */
    void *context;
    bool emptied;           /* a table of the source, or one above it, has no entry now */
} move_t;

/* One step: `count` pages, and where they are. */
typedef struct step {
    size_t from;
    size_t to;
    size_t count;
    bool has_source;        /* `source` is the first entry; else there is no table */
    bool has_target;        /* the same; else `target` is the entry above it */
    bool has_entries;       /* set by make_step */
    walk_t above;           /* of the source: the entry that leads to its table */
    walk_t source;
    walk_t target;
} step_t;

static inline frame_t *frame_of(page_t table)
{
    return &physical_frames[table >> PAGE_SHIFT];
}

/* walk_down to the last level that keeps the level above. */
static ALWAYS_INLINE bool look_at_source(const paging_format_t *format, const move_t *move,
                                         step_t *step)
{
    walk_t *source = &step->source;
    uint64_t entry = 0;

    *source = (walk_t){ .page = PAGE_NONE };
    if (walk_down(format, move->directory, step->from, 1, &step->above))
        entry = entry_load(format, step->above.table, step->above.index);
    if ((entry & (ENTRY_PRESENT | ENTRY_LARGE)) != ENTRY_PRESENT)
        return false;
    source->page = (page_t)(entry & format->frame_mask);
    source->table = table_address(source->page);
    source->index = walk_index(format, 0, step->from);
    return true;
}

static ALWAYS_INLINE void look(const paging_format_t *format, const move_t *move, size_t done,
                               step_t *step)
{
    size_t length;

    step->from = move->from + done;
    step->to = move->to + done;
    length = walk_step(format, 1, step->from, move->length - done);
    step->count = walk_step(format, 1, step->to, length) >> PAGE_SHIFT;
    step->has_source = look_at_source(format, move, step);
    step->has_target = walk_down(format, move->directory, step->to, 0, &step->target);
}

/* ---- make */

/* Whether no table has pages of both ranges. */
static ALWAYS_INLINE bool is_apart(const paging_format_t *format, const move_t *move)
{
    unsigned shift = format->shift[1];
    size_t last = move->length - 1;

    return (move->from + last) >> shift < move->to >> shift ||
           (move->to + last) >> shift < move->from >> shift;
}

/* Whether at least `enough` entries of the step are not 0. */
static ALWAYS_INLINE bool has_entries(const paging_format_t *format, const walk_t *source,
                                      size_t count, size_t enough)
{
    const char *place = (const char *)source->table + source->index * format->entry_bytes;

    for (; count > 0; count--, place += format->entry_bytes) {
        if (entry_load(format, place, 0) != 0 && --enough == 0)
            return true;
    }
    return false;
}

/*
 * Whether the step's entries, of which there are some, are all that their table has,
 * and it is to be moved.
 */
static ALWAYS_INLINE bool takes_table(const paging_format_t *format, const move_t *move,
                                      const walk_t *source, size_t count)
{
    size_t used = frame_of(source->page)->count;

    if (used > count || (count << PAGE_SHIFT != move->length && !is_apart(format, move)))
        return false;
    if (used == 1 || count == 1u << format->index_bits[0])
        return true;
    return count <= SHIFT_MAX && has_entries(format, source, count, used);
}

/* Make what the step needs. => as tables_make_path; step->target is up to date */
static ALWAYS_INLINE int make_step(const paging_format_t *format, const move_t *move,
                                   step_t *step)
{
    unsigned level = 0;
    walk_t made;                /* so that `target` can live in registers */
    int err;

    step->has_entries = step->has_source &&
                        has_entries(format, &step->source, step->count, 1);
    if (!step->has_entries || step->has_target)
        return 0;
    if (takes_table(format, move, &step->source, step->count)) {
        if (step->target.level == 1)
            return 0;
        level = 1;
    }
    err = tables_make_path(move->directory, step->to, level, &made);
    if (err == 0) {
        step->target = made;
        step->has_target = level == 0;
    }
    return err;
}

/* ---- move */

static ALWAYS_INLINE void drop_entries(const paging_format_t *format, move_t *move,
                                       const step_t *step)
{
    frame_t *table = frame_of(step->target.page);
    size_t used = table->count;

    for (size_t i = 0; i < step->count && used > 0; i++) {
        unsigned index = step->target.index + (unsigned)i;
        uint64_t raw = entry_load(format, step->target.table, index);

        if (raw == 0)
            continue;
        (void)move->drop(move->context, step->to + i * PAGE_SIZE, entry_to_border(format, raw));
        entry_store(format, step->target.table, index, 0);
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
static ALWAYS_INLINE void move_entries(const paging_format_t *format, move_t *move,
                                       const step_t *step)
{
    const unsigned words = format->entry_bytes / 4;
    volatile uint32_t *from = place_of(format, step->source.table, step->source.index);
    volatile uint32_t *to = place_of(format, step->target.table, step->target.index);
    volatile uint32_t *end = from + step->count * words;
    size_t moved = 0;

    for (; from != end; from += words, to += words)
        moved += move_entry(format, from, to);
    frame_of(step->target.page)->count += (uint16_t)moved;
    frame_of(step->source.page)->count -= (uint16_t)moved;
    if (frame_of(step->source.page)->count == 0)
        move->emptied = true;
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
static ALWAYS_INLINE void move_table(const paging_format_t *format, move_t *move,
                                     const step_t *step)
{
    const walk_t *target = &step->target;
    unsigned index = walk_index(format, 0, step->to);
    const walk_t *above = &step->above;
    uint64_t entry = entry_load(format, above->table, above->index);

    ASSERT(target->level == 1);
    paging_forget_table();
    entry_store(format, above->table, above->index, 0);
    entry_store(format, target->table, target->index, entry);
    if (format->levels > 2) {
        frame_of(target->page)->count++;
        if (--frame_of(above->page)->count == 0)
            move->emptied = true;
    }
    if (index != step->source.index)
        shift_entries(format, step->source.table, step->source.index, index, step->count);
}

static ALWAYS_INLINE void move_step(const paging_format_t *format, move_t *move,
                                    const step_t *step)
{
    if (UNLIKELY(step->has_target && move->drop != NULL))
        drop_entries(format, move, step);
    if (!step->has_entries)
        return;
    if (step->has_target)
        move_entries(format, move, step);
    else
        move_table(format, move, step);
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

static void flush_range(size_t vaddr, size_t length)
{
    for (size_t done = 0; done < length; done += PAGE_SIZE)
        paging_flush_page(vaddr + done);
}

/* => gone: a table was taken out, and nothing flushed since; err: nothing was moved */
static inline void flush(const move_t *move, bool gone, int err)
{
    if (move->directory != paging_state.current)
        return;
    if ((err == 0 && move->length > FLUSH_MAX * PAGE_SIZE) ||
        (gone && paging_format->eager_top)) {
        paging_flush_space();
        return;
    }
    if (err != 0)
        return;
    flush_range(move->from, move->length);
    if (move->drop != NULL)
        flush_range(move->to, move->length);
}

/* ---- all of it */

static ALWAYS_INLINE int move_in(const paging_format_t *format, move_t *move, page_t *chain)
{
    size_t done = 0;
    int err = 0;
    step_t step;

    do {
        look(format, move, done, &step);
        err = make_step(format, move, &step);
        done += step.count << PAGE_SHIFT;
    } while (done < move->length && err == 0);
    if (UNLIKELY(err != 0)) {
        unlink_empty(format, move->directory, move->to, done, chain);
        return err;
    }
    /* With one step there is nothing to look for again. */
    if (step.from != move->from) {
        done = 0;
        do {
            look(format, move, done, &step);
            step.has_entries = step.has_source && (step.has_target ||
                               has_entries(format, &step.source, step.count, 1));
            move_step(format, move, &step);
            done += step.count << PAGE_SHIFT;
        } while (done < move->length);
    } else {
        move_step(format, move, &step);
    }
    if (move->emptied)
        unlink_empty(format, move->directory, move->from, move->length, chain);
    if (UNLIKELY(move->drop != NULL))
        unlink_empty(format, move->directory, move->to, move->length, chain);
    return 0;
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
    move.drop = drop;
    move.context = context;
    move.emptied = false;
    err = WITH_FORMAT(move_in, &move, &chain);
    flush(&move, chain != PAGE_NONE, err);
    if (chain != PAGE_NONE)
        tables_free_chain(directory, chain);
    return err;
}
