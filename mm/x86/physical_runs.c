/*
 * Runs of pages. Of a run in use only the first page's frame knows: it is
 * FRAME_RUN, and its slot says how many pages. Those behind it are left as they
 * were, so that a run costs the same whatever its length. A call that means one
 * page of a run makes them all pages by themselves.
 *
 * A few short runs that were freed are kept as they are for the next call. They
 * are given back before a whole block is broken.
 */
#include <kernel/errno.h>
#include <kernel/panic.h>

#include "blocks.h"

enum { RUN_MAX = 0xffff };      /* what a slot can hold */

/* ---- kept runs */

/* Where runs of so many pages, at multiples of their length, are kept. => NULL: nowhere */
static inline kept_t *kept_for(size_t page_count)
{
    if (page_count - 2 > (1u << KEPT_ORDER) - 2 || (page_count & (page_count - 1)) != 0)
        return NULL;
    return &physical.kept[__builtin_ctz((unsigned)page_count)];
}

static inline void keep_run(kept_t *kept, page_slot_t run)
{
    if (WATCH_FREE_PAGES && physical.watching)
        blocks_fill(run.page, run.frame->slot);
    frame_set(run.frame, FRAME_KEPT, OWNER_NONE, WATCH_FREE_PAGES && physical.watching);
    kept->run[kept->count++] = run;
    physical.kept_pages += run.frame->slot;
}

static void give_kept(page_slot_t run)
{
    if (WATCH_FREE_PAGES && run.frame->count > 0)
        blocks_look_at(run.page, run.frame->slot);
    physical.kept_pages -= run.frame->slot;
    blocks_give_run(run.page, run.frame->slot);
}

void runs_empty(void)
{
    if (physical.kept_pages == 0)
        return;
    enter_linear_space();
    for (unsigned order = 1; order <= KEPT_ORDER; order++) {
        kept_t *kept = &physical.kept[order];

        while (kept->count > 0)
            give_kept(kept->run[--kept->count]);
    }
    leave_linear_space();
}

/* ---- taking */

static void mark_run(frame_t *frame, size_t page_count, frame_owner_t owner)
{
    physical_mem_info.owner[owner] += page_count;
    if (page_count > 1 && page_count <= RUN_MAX) {
        frame_set(frame, FRAME_RUN, owner, 1);
        frame->slot = (uint16_t)page_count;
    } else {
        for (size_t i = 0; i < page_count; i++)
            frame_set(&frame[i], FRAME_USED, owner, 1);
    }
}

/*
 * A short run: first from what is in parts, then from what was held back, then from
 * whole blocks. A longer one needs whole blocks anyway.
 */
static page_t take_run(size_t page_count, size_t align, page_t limit)
{
    run_source_t source = page_count > BLOCK_PAGES / 2 ? RUN_OF_CHUNK : RUN_OF_PARTS;
    page_t run = blocks_take_run(page_count, align, limit, source);

    if (run != PAGE_NONE)
        return run;
    runs_empty();
    magazine_empty();
    return blocks_take_run(page_count, align, limit, RUN_ANYWHERE);
}

static NOINLINE page_t take_new_run(size_t page_count, size_t align, page_t limit,
                                    frame_owner_t owner)
{
    page_t end = physical_mem_info.physical_heap_end;
    page_t run = PAGE_NONE;

    if (limit != 0 && limit < end)
        end = limit;
    splock_lock(&physical.lock);
    if (!physical_fails_on_purpose()) {
        run = take_run(page_count, align, end);
        if (run == PAGE_NONE && physical_ask_for_pages(page_count))
            run = take_run(page_count, align, end);
    }
    if (run != PAGE_NONE)
        mark_run(frame_at(run), page_count, owner);
    else
        physical_mem_info.failures++;
    splock_unlock(&physical.lock);
    return run;
}

page_t page_range(size_t page_count, size_t align, page_t limit, frame_owner_t owner)
{
    kept_t *kept = kept_for(page_count);
    page_slot_t run;

    ASSERT(page_count > 0 && align >= PAGE_SIZE && (align & (align - 1)) == 0);
    if (kept == NULL || kept->count == 0 || limit != 0 || align > page_count * PAGE_SIZE)
        return take_new_run(page_count, align, limit, owner);
    DEBUG_ASSERT(owner > OWNER_NONE && owner < OWNER_COUNT);
    run = kept->run[--kept->count];
    if (WATCH_FREE_PAGES && run.frame->count > 0)
        blocks_look_at(run.page, page_count);
    physical.kept_pages -= page_count;
    physical_mem_info.owner[owner] += page_count;
    frame_set(run.frame, FRAME_RUN, owner, 1);
    return run.page;
}

page_t page_get(zone_t zone, size_t page_count, frame_owner_t owner)
{
    return page_range(page_count, PAGE_SIZE, zone == ZONE_LOW ? LOW_ZONE_END : 0, owner);
}

/* ---- giving back */

frame_t *runs_head(page_t page)
{
    size_t number = page >> PAGE_SHIFT;

    if ((page & PAGE_MASK) != 0 || number >= physical_frame_count)
        return NULL;
    for (size_t at = number; at > 0 && number - at < RUN_MAX; at--) {
        frame_t *frame = &physical_frames[at];

        if (frame->state == FRAME_RUN)
            return number - at < frame->slot ? frame : NULL;
        if (frame->state != FRAME_ABSENT && frame->state != FRAME_FREE)
            break;
    }
    return NULL;
}

frame_t *runs_split(page_t page)
{
    frame_t *head = runs_head(page);

    if (head == NULL)
        return NULL;
    for (size_t i = head->slot; i-- > 0; )
        frame_set(&head[i], FRAME_USED, head->owner, 1);
    return frame_at(page);
}

/* A run that nothing is kept for, or no more: in that case half of those kept go. */
static NOINLINE void give_run(page_slot_t run, kept_t *kept)
{
    splock_lock(&physical.lock);
    enter_linear_space();
    if (kept == NULL || physical_is_failing()) {
        blocks_give_run(run.page, run.frame->slot);
    } else {
        size_t half = kept->count / 2;

        for (size_t i = 0; i < half; i++)
            give_kept(kept->run[i]);
        kept->count -= half;
        for (size_t i = 0; i < kept->count; i++)
            kept->run[i] = kept->run[half + i];
        keep_run(kept, run);
    }
    leave_linear_space();
    splock_unlock(&physical.lock);
}

/* How many pages from this one on are in use: of its run, or 1. */
static size_t used_from(page_t page)
{
    const frame_t *frame = physical_frame(page);
    const frame_t *head;

    if (frame != NULL && frame->state == FRAME_USED && (page & PAGE_MASK) == 0)
        return 1;
    head = runs_head(page);
    return head == NULL ? 0 : head->slot - (size_t)(frame - head);
}

/* Pages of more than one run, or of a part of one: one by one, if all are in use. */
static NOINLINE int free_pages(page_t first, size_t page_count, const void *site)
{
    for (size_t i = 0, used; i < page_count; i += used) {
        used = used_from(first + i * PAGE_SIZE);
        if (used == 0)
            return physical_misuse("free", first + i * PAGE_SIZE);
    }
    for (size_t i = 0; i < page_count; i++)
        physical_free_for(first + i * PAGE_SIZE, site);
    return 0;
}

int page_range_free(page_t first, size_t page_count)
{
    frame_t *frame = physical_frame(first);
    kept_t *kept = NULL;

    if (frame == NULL || (first & PAGE_MASK) != 0 || frame->state != FRAME_RUN ||
        frame->slot != page_count)
        return free_pages(first, page_count, __builtin_return_address(0));
    if (WATCH_FREE_PAGES)
        physical_remember_free(first, __builtin_return_address(0));
    physical_mem_info.owner[frame->owner] -= page_count;
    /* Low memory is not kept: it would go out before it is last. */
    if (first % (page_count * PAGE_SIZE) == 0 &&
        (first >= LOW_ZONE_END || physical_mem_info.total == physical_mem_info.low_total))
        kept = kept_for(page_count);
    if (kept == NULL || kept->count == kept_max((unsigned)(kept - physical.kept)) ||
        physical_is_failing())
        give_run((page_slot_t){ first, frame }, kept);
    else
        keep_run(kept, (page_slot_t){ first, frame });
    return 0;
}
