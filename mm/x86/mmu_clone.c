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

/* What cannot be shared by counting its frame. => 0, or other's error */
static NOINLINE int clone_other(const paging_format_t *format, mmu_clone_t *clone, size_t vaddr,
                                uint64_t raw, void *target, size_t *used)
{
    mmu_entry_t entry = entry_to_border(format, raw);
    int err = clone->other(clone, vaddr, &entry);

    if (err == 0 && entry != 0) {
        entry_store(format, target, 0, entry_from_border(format, entry));
        (*used)++;
    }
    return err;
}

/* The entries of one last-level table from `index` on, `count` of them. */
static ALWAYS_INLINE int clone_table(const paging_format_t *format, const walk_t *from,
                                     const walk_t *to, size_t vaddr, size_t count,
                                     mmu_clone_t *clone)
{
    const size_t words = format->entry_bytes / sizeof(uint32_t);
    volatile uint32_t *source = (volatile uint32_t *)from->table + from->index * words;
    char *target = (char *)to->table + from->index * format->entry_bytes;
    size_t left = physical_frames[from->page >> PAGE_SHIFT].count;
    size_t used = 0;
    size_t object = 0;
    size_t private = 0;
    uint32_t lost = 0;
    int err = 0;

    for (; count-- > 0 && left > 0;
         source += words, target += format->entry_bytes, vaddr += PAGE_SIZE) {
        uint64_t raw = entry_load(format, (const void *)source, 0);
        uint32_t upper = words == 2 ? (uint32_t)(raw >> 32) : 0;
        mmu_entry_t entry = (mmu_entry_t)raw & ~(mmu_entry_t)ENTRY_WRITE;
        page_t page = (page_t)(raw & format->frame_mask);

        if (raw == 0)
            continue;
        left--;
        if (LIKELY(page != clone->uncounted)) {
            frame_t *frame = &physical_frames[page >> PAGE_SHIFT];

            if (UNLIKELY((raw & (ENTRY_PRESENT | MMU_HELD)) == 0 ||
                         frame->count >= clone->count_max)) {
                err = clone_other(format, clone, vaddr, raw, target, &used);
                if (err != 0)
                    break;
                continue;
            }
            frame->count++;
            if ((raw & MMU_OBJECT) != 0)
                object++;
            else
                private++;
        }
        lost |= (uint32_t)raw;
        if ((raw & ENTRY_WRITE) != 0)
            *source = (uint32_t)entry;      /* the bit is in the lower word: one store */
        entry_store_new(format, target, entry, upper);
        used++;
    }
    clone->private_count += private;
    clone->object_count += object;
    clone->stale |= (lost & ENTRY_WRITE) != 0;
    physical_frames[to->page >> PAGE_SHIFT].count += (uint16_t)used;
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
