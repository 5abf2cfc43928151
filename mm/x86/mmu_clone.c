/*
 * The border's call that lets one space share the pages of another.
 *
 * It goes table by table: where both spaces could have the same table one day, a
 * whole table is one step here.
 */
#include <kernel/panic.h>

#include "walk.h"

/* Make the tables for the range in `to` that `from` has. => 0 or -ENOMEM */
static ALWAYS_INLINE int make_in(const paging_format_t *format, page_t from, page_t to,
                                 size_t vaddr, size_t length)
{
    int err = 0;

    while (length > 0 && err == 0) {
        walk_t at;
        bool found = walk_down(format, from, vaddr, 0, &at);
        size_t step = walk_step(format, found ? 1 : at.level, vaddr, length);

        if (found) {
            walk_t made;

            err = tables_make_path(to, vaddr, 0, &made);
        }
        vaddr += step;
        length -= step;
    }
    return err;
}

int mmu_clone_tables(page_t from, page_t to, size_t base, size_t length)
{
    return WITH_FORMAT(make_in, from, to, base, length);
}

/* One last-level table's entries that are shared, and those of the other space. */
typedef struct clone_walk {
    mmu_clone_t *clone;
    volatile uint32_t *source;
    volatile uint32_t *end;
    ptrdiff_t distance;     /* bytes from an entry to the other space's */
    size_t left;            /* entries of the table that were not seen yet */
    size_t empty;           /* that the other space does not get */
    size_t apart;           /* that count as object_count, or not at all */
} clone_walk_t;

/*
 * Any entry but a private one that is present and can have one reference more.
 *
 * => 0, or other's error
 */
static NOINLINE int clone_other(const paging_format_t *format, clone_walk_t *at, size_t vaddr)
{
    mmu_clone_t *clone = at->clone;
    uint64_t raw = entry_load(format, (const void *)at->source, 0);
    mmu_entry_t entry = entry_to_border(format, raw) & ~(mmu_entry_t)MMU_WRITE;
    page_t page = (page_t)(raw & format->frame_mask);
    int err = 0;

    at->apart++;
    if ((raw & (MMU_PRESENT | MMU_HELD)) == 0 ||
        (page != clone->uncounted &&
         physical_frames[page >> PAGE_SHIFT].count >= PHYSICAL_SHARES)) {
        err = clone->other(clone, vaddr, &entry);
    } else if (page != clone->uncounted) {
        physical_frames[page >> PAGE_SHIFT].count++;
        if ((raw & MMU_OBJECT) != 0)
            clone->object_count++;
        else
            clone->private_count++;
    }
    if (err != 0 || entry == 0) {
        at->empty++;
        return err;
    }
    raw = (raw & format->no_execute) | entry;
    entry_store(format, (char *)at->source + at->distance, 0, raw);
    return 0;
}

/* => 0, or other's error; table by table, so that the loop has all registers */
static ALWAYS_INLINE int clone_entries(const paging_format_t *format, clone_walk_t *at,
                                       size_t vaddr)
{
    const size_t words = format->entry_bytes / sizeof(uint32_t);
    volatile uint32_t *const first = at->source;
    volatile uint32_t *source = first;
    volatile uint32_t *const end = at->end;
    const ptrdiff_t distance = at->distance;
    size_t left = at->left;
    int err = 0;

    for (; source < end && left > 0; source += words) {
        uint32_t raw = source[0];
        frame_t *frame;

        if (raw == 0 && (words == 1 || source[1] == 0))
            continue;
        left--;
        frame = &physical_frames[raw >> PAGE_SHIFT];
        if (UNLIKELY((raw & (MMU_PRESENT | MMU_OBJECT)) != MMU_PRESENT ||
                     (words == 2 && (source[1] & (uint32_t)(format->frame_mask >> 32)) != 0) ||
                     frame->count >= PHYSICAL_SHARES)) {
            at->source = source;
            err = clone_other(format, at, vaddr + (size_t)(source - first) / words * PAGE_SIZE);
            if (err != 0)
                break;
            continue;
        }
        frame->count++;
        if ((raw & MMU_WRITE) != 0) {
            raw &= ~(uint32_t)MMU_WRITE;
            source[0] = raw;                /* the bit is in the lower word: one store */
            at->clone->stale = true;
        }
        if (words == 2)
            *(volatile uint32_t *)((char *)source + distance + 4) = source[1];
        *(volatile uint32_t *)((char *)source + distance) = raw;
    }
    at->left = left;
    return err;
}

static NOINLINE int clone_2level(clone_walk_t *at, size_t vaddr)
{
    return clone_entries(&walk_2level, at, vaddr);
}

static NOINLINE int clone_pae(clone_walk_t *at, size_t vaddr)
{
    return clone_entries(&walk_pae, at, vaddr);
}

/* The entries of one last-level table from `index` on, `count` of them. */
static ALWAYS_INLINE int clone_table(const paging_format_t *format, const walk_t *from,
                                     const walk_t *to, size_t vaddr, size_t count,
                                     mmu_clone_t *clone)
{
    char *source = (char *)from->table + from->index * format->entry_bytes;
    size_t used = physical_frames[from->page >> PAGE_SHIFT].count;
    clone_walk_t at = {
        .clone = clone,
        .source = (volatile uint32_t *)source,
        .end = (volatile uint32_t *)(source + count * format->entry_bytes),
        .distance = (char *)to->table - (char *)from->table,
        .left = used,
    };
    int err = format->entry_bytes == 4 ? clone_2level(&at, vaddr) : clone_pae(&at, vaddr);

    used -= at.left;                        /* seen */
    clone->private_count += used - at.apart;
    physical_frames[to->page >> PAGE_SHIFT].count += (uint16_t)(used - at.empty);
    return err;
}

static ALWAYS_INLINE int clone_in(const paging_format_t *format, page_t from, page_t to,
                                  size_t vaddr, size_t length, mmu_clone_t *clone)
{
    int err = 0;

    while (length > 0 && err == 0) {
        walk_t source;
        bool found = walk_down(format, from, vaddr, 0, &source);
        size_t step = walk_step(format, found ? 1 : source.level, vaddr, length);

        if (found) {
            walk_t target;
            bool made = walk_down(format, to, vaddr, 0, &target);

            ASSERT(made);
            err = clone_table(format, &source, &target, vaddr, step >> PAGE_SHIFT, clone);
            clone->sparse |= physical_frames[target.page >> PAGE_SHIFT].count == 0;
        }
        vaddr += step;
        length -= step;
    }
    return err;
}

int mmu_clone_range(page_t from, page_t to, size_t base, size_t length, mmu_clone_t *clone)
{
    DEBUG_ASSERT(to != paging_state.current);
    return WITH_FORMAT(clone_in, from, to, base, length, clone);
}

static mmu_entry_t keep_entry(void *context, size_t vaddr, mmu_entry_t entry)
{
    (void)context;
    (void)vaddr;
    return entry;
}

void mmu_clone_end(page_t from, page_t to, size_t base, size_t length, const mmu_clone_t *clone)
{
    if (clone->stale && from == paging_state.current)
        paging_flush_space();
    if (UNLIKELY(clone->sparse))
        mmu_change_range(to, base, length, keep_entry, NULL);
}
