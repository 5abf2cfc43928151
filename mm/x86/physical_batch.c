/*
 * Many references dropped at once.
 *
 *      list        7 8 9 10 11 12 13 14 15 3 40 39 38 37 36 35 34 33 32
 *                  `------- a row ------'  |  `------- a row ---------'
 *                                          page_release
 *
 * Pages that lie in a row and have no other owner go to the blocks as chunks, past the
 * magazine: what is freed by the hundred will not be asked for in the next moment.
 */
#include <kernel/panic.h>

#include "blocks.h"

/* A shorter row is as cheap page by page, and may serve the next fault. */
enum { ROW_MIN = 8 };

/* The frame of a page with one reference, of this owner. */
static ALWAYS_INLINE bool is_like(const frame_t *frame, uint32_t bits)
{
    uint32_t is;

    __builtin_memcpy(&is, frame, sizeof(is));
    return is == bits;
}

/* How many pages from the first on lie in a row in this direction, frames alike. */
static ALWAYS_INLINE size_t row_length(const page_t *pages, size_t count, int direction,
                                       uint32_t bits)
{
    const frame_t *frame = frame_at(pages[0]);
    const page_t *end = pages + count;
    const page_t *at = pages;
    page_t next = pages[0];

    do {
        next += (page_t)(direction * (ptrdiff_t)PAGE_SIZE);
        frame += direction;
        at++;
    } while (at != end && *at == next && is_like(frame, bits));
    return (size_t)(at - pages);
}

/* Free a row of pages whose frames are used. */
static void give_row(page_t first, size_t count, const void *site)
{
    frame_t *frame = frame_at(first);

    physical_mem_info.owner[frame->owner] -= count;
    for (size_t i = 0; i < count; i++) {
        if (WATCH_FREE_PAGES)
            physical_remember_free(first + i * PAGE_SIZE, site);
        frame_set(&frame[i], FRAME_FREE, OWNER_NONE, 0);
    }
    splock_lock(&physical.lock);
    enter_linear_space();
    blocks_give_run(first, count);
    leave_linear_space();
    splock_unlock(&physical.lock);
}

/* Release the row that the list begins with. => how many pages it has */
static size_t release_row(const page_t *pages, size_t count, const void *site)
{
    const frame_t *frame = physical_frame(pages[0]);
    uint32_t bits;
    size_t length;
    bool down;

    if (frame == NULL || (pages[0] & PAGE_MASK) != 0 || frame->state != FRAME_USED ||
        frame->count != 1) {
        page_release(pages[0]);
        return 1;
    }
    __builtin_memcpy(&bits, frame, sizeof(bits));
    down = count > 1 && pages[1] < pages[0];
    length = down ? row_length(pages, count, -1, bits) : row_length(pages, count, 1, bits);
    if (length >= ROW_MIN)
        give_row(down ? pages[length - 1] : pages[0], length, site);
    for (size_t i = 0; length < ROW_MIN && i < length; i++)
        page_release(pages[i]);
    return length;
}

void page_release_all(const page_t *pages, size_t count)
{
    size_t done = 0;

    while (count - done >= ROW_MIN && !physical_is_failing())
        done += release_row(pages + done, count - done, __builtin_return_address(0));
    for (; done < count; done++)
        page_release(pages[done]);
}
