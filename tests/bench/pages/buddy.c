/*
 * A binary buddy: a list of free blocks for each order, and for each page a
 * note whether a block starts there, of which order, free or used.
 *
 *     order 2   |F . . .|            a block is split into halves until it
 *     order 1           |F .|        has the order asked for, and merged with
 *     order 0               |U|F|    its other half, its buddy, when both are free
 */
#include <kernel/errno.h>
#include <kernel/layout.h>
#include <kernel/panic.h>

#include "baseline.h"
#include "machine.h"

#include <string.h>

enum {
    FRAME_COUNT = (RAM_BASE + RAM_MAX) / PAGE_SIZE,
    NOT_A_START = 0,        /* inside a block, or no RAM */
    START_FREE = 0x80,      /* | order */
    START_USED = 0x40,      /* | order */
    END = 0,                /* of a list: page 0 is no RAM here */
};

typedef struct links {
    uint32_t next;
    uint32_t prev;
} links_t;

static _Alignas(64) struct buddy {
    uint32_t orders;                    /* bit: the list of that order has a block */
    size_t free;                        /* pages */
    uint32_t head[BUDDY_ORDERS];
    uint8_t state[FRAME_COUNT];
    links_t links[FRAME_COUNT];
} buddy;

static inline void push(uint32_t frame, unsigned order)
{
    uint32_t next = buddy.head[order];

    buddy.state[frame] = (uint8_t)(START_FREE | order);
    buddy.links[frame] = (links_t){ .next = next, .prev = END };
    if (next != END)
        buddy.links[next].prev = frame;
    else
        buddy.orders |= 1u << order;
    buddy.head[order] = frame;
}

static inline void unlink_block(uint32_t frame, unsigned order)
{
    links_t links = buddy.links[frame];

    buddy.state[frame] = NOT_A_START;
    if (links.next != END)
        buddy.links[links.next].prev = links.prev;
    if (links.prev != END) {
        buddy.links[links.prev].next = links.next;
    } else {
        buddy.head[order] = links.next;
        if (links.next == END)
            buddy.orders &= ~(1u << order);
    }
}

page_t buddy_alloc(unsigned order)
{
    uint32_t fitting;
    uint32_t frame;
    unsigned have;

    if (order >= BUDDY_ORDERS || (fitting = buddy.orders >> order) == 0)
        return 0;
    have = order + (unsigned)__builtin_ctz(fitting);
    frame = buddy.head[have];
    unlink_block(frame, have);
    while (have > order) {
        have--;
        push(frame + (1u << have), have);
    }
    buddy.state[frame] = (uint8_t)(START_USED | order);
    buddy.free -= 1u << order;
    return (page_t)frame << PAGE_SHIFT;
}

/* Put a block in, merged as far as it goes. */
static void put(uint32_t frame, unsigned order)
{
    buddy.state[frame] = NOT_A_START;
    for (; order < BUDDY_ORDERS - 1; order++) {
        uint32_t other = frame ^ 1u << order;

        if (other >= FRAME_COUNT || buddy.state[other] != (START_FREE | order))
            break;
        unlink_block(other, order);
        frame &= ~(1u << order);
    }
    push(frame, order);
}

int buddy_free(page_t page, unsigned order)
{
    uint32_t frame = (uint32_t)(page >> PAGE_SHIFT);

    if (order >= BUDDY_ORDERS || (page & (((page_t)PAGE_SIZE << order) - 1)) != 0 ||
        frame >= FRAME_COUNT || buddy.state[frame] != (START_USED | order))
        return -EINVAL;
    buddy.free += 1u << order;
    put(frame, order);
    return 0;
}

/* The lowest blocks come first. */
void buddy_init(const boot_range_t *range)
{
    uint32_t start = (uint32_t)(range->base >> PAGE_SHIFT);
    uint32_t end = (uint32_t)(range->end >> PAGE_SHIFT);

    memset(&buddy, 0, sizeof(buddy));
    while (end > start) {
        unsigned order = BUDDY_ORDERS - 1;

        while ((end & ((1u << order) - 1)) != 0 || end - start < 1u << order)
            order--;
        end -= 1u << order;
        push(end, order);
        buddy.free += 1u << order;
    }
}
