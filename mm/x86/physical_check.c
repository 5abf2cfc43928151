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

/* What the frame table says, counted. */
typedef struct recount {
    size_t used;
    size_t reserved;
    size_t magazine;
    size_t kept;
    size_t chunks;          /* pages free in blocks */
    size_t owner[OWNER_COUNT];
} recount_t;

/* Frames [number, end) are the rest of a free chunk, or of a run. */
static bool are_inside(size_t number, size_t end)
{
    for (; number < end; number++) {
        const frame_t *frame = &physical_frames[number];

        if (number >= physical_frame_count || frame->owner != OWNER_NONE || frame->count != 0 ||
            (frame->state != FRAME_ABSENT && frame->state != FRAME_FREE))
            return false;
    }
    return true;
}

/* How many pages are one with the frame: of a chunk, a run, or 1. */
static size_t length_at(size_t number)
{
    const frame_t *frame = &physical_frames[number];

    if (number % BLOCK_PAGES == 0 && physical.block[number / BLOCK_PAGES].free == BLOCK_PAGES)
        return BLOCK_PAGES;
    if (frame->state == FRAME_FREE && frame->count > 0)
        return (size_t)1 << (frame->count - 1u) % 16;
    if (frame->state == FRAME_RUN || frame->state == FRAME_KEPT)
        return frame->slot > 1 ? frame->slot : 0;
    return 1;
}

static const char *count_frame(const frame_t *frame, size_t length, recount_t *count)
{
    bool in_use = frame->state == FRAME_USED || frame->state == FRAME_RUN ||
                  frame->state == FRAME_RESERVED;

    if (frame->state > FRAME_RESERVED || frame->owner >= OWNER_COUNT)
        return "a frame's state or owner is damaged";
    if (in_use != (frame->owner != OWNER_NONE))
        return "a frame's owner does not fit its state";
    if (in_use)
        count->owner[frame->owner] += length;
    switch (frame->state) {
    case FRAME_ABSENT:
        count->chunks += length > 1 ? length : 0;       /* a whole block */
        break;
    case FRAME_FREE:
        if (frame->count == 0 && length == 1)
            return "a free page is in no chunk";
        count->chunks += length;
        break;
    case FRAME_MAGAZINE:
        count->magazine++;
        break;
    case FRAME_KEPT:
        count->kept += length;
        break;
    case FRAME_RESERVED:
        count->reserved++;
        break;
    default:
        count->used += length;
        if (frame->count == 0 &&
            frame->owner != OWNER_PAGE_TABLE && frame->owner != OWNER_KERNEL_TABLE)
            return "a used frame has no reference";
    }
    return NULL;
}

/* Recount the frame table. */
static const char *check_frames(void)
{
    const physical_mem_info_t *info = physical_figures();
    recount_t count = { 0 };

    for (size_t number = 0; number < physical_frame_count; ) {
        size_t length = length_at(number);
        const char *trouble;

        if (length == 0 || !are_inside(number + 1, number + length))
            return "a page inside a free chunk or a run has a state of its own";
        trouble = count_frame(&physical_frames[number], length, &count);
        if (trouble != NULL)
            return trouble;
        number += length;
    }
    if (count.chunks != physical.block_free)
        return "the lists do not hold exactly the free frames";
    if (count.magazine != magazine_count())
        return "the magazine does not hold exactly its frames";
    if (count.kept != physical.kept_pages)
        return "the kept runs are not exactly those of the frame table";
    if (count.used != info->used)
        return "the count of used pages is wrong";
    if (count.reserved != info->reserved)
        return "the count of reserved pages is wrong";
    for (size_t i = OWNER_NONE + 1; i < OWNER_COUNT; i++) {
        if (count.owner[i] != info->owner[i])
            return "an owner's count of pages is wrong";
    }
    return NULL;
}

/* Whether the slots' frames are theirs, are in `state`, and are there once. */
static bool are_held(const page_slot_t *slots, size_t count, frame_state_t state)
{
    size_t good = 0;

    while (good < count && slots[good].frame == frame_at(slots[good].page) &&
           slots[good].frame->state == state && slots[good].frame->owner == OWNER_NONE)
        slots[good++].frame->owner = OWNER_BAD;     /* for as long as this looks */
    for (size_t i = 0; i < good; i++)
        slots[i].frame->owner = OWNER_NONE;
    return good == count;
}

static const char *check_held_back(void)
{
    if (!are_held(loaded_pages(), loaded_count(), FRAME_MAGAZINE) ||
        !are_held(spare_pages(), physical.spare, FRAME_MAGAZINE))
        return "a page in the magazine has another state";
    for (unsigned order = 1; order <= KEPT_ORDER; order++) {
        const kept_t *kept = &physical.kept[order];

        if (!are_held(kept->run, kept->count, FRAME_KEPT))
            return "a run that is kept has another state";
        for (size_t i = 0; i < kept->count; i++) {
            if (kept->run[i].frame->slot != 1u << order)
                return "a run that is kept has another state";
        }
    }
    return NULL;
}

const char *physical_check(void)
{
    const char *trouble;

    splock_lock(&physical.lock);
    trouble = blocks_check();
    if (trouble == NULL)
        trouble = check_held_back();
    if (trouble == NULL)
        trouble = check_frames();
    splock_unlock(&physical.lock);
    return trouble;
}
