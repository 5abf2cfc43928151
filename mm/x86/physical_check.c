/*
 * The page allocator's checker, and the names of owners.
 */
#include "blocks.h"

static const char *const owner_names[OWNER_COUNT] = {
    [OWNER_NONE] = "free",
    [OWNER_FIRMWARE] = "firmware",
    [OWNER_IMAGE] = "kernel image",
    [OWNER_BOOT] = "boot modules",
    [OWNER_FRAME_TABLE] = "frame table",
    [OWNER_PAGE_TABLE] = "page tables",
    [OWNER_KERNEL_TABLE] = "kernel page tables",
    [OWNER_HEAP] = "kernel heap",
    [OWNER_STACK] = "kernel stacks",
    [OWNER_KERNEL] = "kernel, other",
    [OWNER_ANON] = "programs",
    [OWNER_CACHE] = "page cache",
    [OWNER_BAD] = "bad",
};

const char *frame_owner_name(frame_owner_t owner)
{
    return owner < OWNER_COUNT ? owner_names[owner] : "?";
}

/* Recount the frame table. */
static const char *check_frames(size_t list_pages)
{
    size_t states[FRAME_RESERVED + 1] = { 0 };
    size_t owners[OWNER_COUNT] = { 0 };
    size_t interval = 0;
    size_t low = 0;

    for (size_t number = 0; number < physical_frame_count; number++) {
        const frame_t *frame = &physical_frames[number];
        const block_t *block = &physical.block[number / BLOCK_PAGES];
        unsigned index = number % BLOCK_PAGES;
        bool raw = index >= block->raw_start && index < block->raw_end;

        if (frame->state > FRAME_RESERVED || frame->owner >= OWNER_COUNT)
            return "a frame's state or owner is damaged";
        if (raw && frame->state != FRAME_ABSENT)
            return "a frame in a block's interval has a state";
        if ((frame->state == FRAME_USED || frame->state == FRAME_RESERVED) !=
            (frame->owner != OWNER_NONE))
            return "a frame's owner does not fit its state";
        if (frame->state == FRAME_USED && frame->count == 0 &&
            frame->owner != OWNER_PAGE_TABLE && frame->owner != OWNER_KERNEL_TABLE)
            return "a used frame has no reference";
        states[frame->state]++;
        owners[frame->owner] += frame->owner != OWNER_NONE;
        interval += raw;
        low += (raw || frame->state == FRAME_FREE || frame->state == FRAME_MAGAZINE) &&
               number < LOW_ZONE_END >> PAGE_SHIFT;
    }
    if (states[FRAME_FREE] != list_pages)
        return "the lists do not hold exactly the free frames";
    if (states[FRAME_MAGAZINE] != magazine_count())
        return "the magazine does not hold exactly its frames";
    if (states[FRAME_FREE] + states[FRAME_MAGAZINE] + interval != physical_mem_info.free)
        return "the count of free pages is wrong";
    if (states[FRAME_USED] != physical_mem_info.used)
        return "the count of used pages is wrong";
    if (states[FRAME_RESERVED] != physical_mem_info.reserved)
        return "the count of reserved pages is wrong";
    if (low != physical_mem_info.low_free)
        return "the count of free low pages is wrong";
    for (size_t i = OWNER_NONE + 1; i < OWNER_COUNT; i++) {
        if (owners[i] != physical_mem_info.owner[i])
            return "an owner's count of pages is wrong";
    }
    return NULL;
}

const char *physical_check(void)
{
    const char *trouble;
    size_t list_pages = 0;

    splock_lock(&physical.lock);
    physical_figures();
    trouble = blocks_check(&list_pages);
    for (const page_t *page = magazine(); page < physical.top && trouble == NULL; page++) {
        if (frame_at(*page)->state != FRAME_MAGAZINE)
            trouble = "a page in the magazine has another state";
    }
    if (trouble == NULL)
        trouble = check_frames(list_pages);
    splock_unlock(&physical.lock);
    return trouble;
}
