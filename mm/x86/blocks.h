/*
 * Blocks of 2 MiB: which pages of each are free. Private to the page allocator.
 *
 *   block (2 MiB)     0         1         2         3
 *                     +---------+---------+---------+---------+
 *                     |UUFUUUUFU|UUUUURRRR|RRRRRRRRR|RRRRRRRRR|
 *                     +---------+---------+---------+---------+
 *                         |    |     ^ interval: never handed out, no marker
 *          block 0: head -F----F                    U used  F free, marker
 *
 * A block with free pages hangs in the list of its zone and class of fullness;
 * class 0 is the fullest. Markers are touched in the linear space only.
 *
 * => all of it under physical.lock
 */
#ifndef MM_X86_BLOCKS_H
#define MM_X86_BLOCKS_H

#include <kernel/linear.h>
#include <kernel/physical.h>
#include <kernel/splock.h>

enum {
    BLOCK_SHIFT = 21,
    BLOCK_PAGES = 1 << (BLOCK_SHIFT - PAGE_SHIFT),
    BLOCK_COUNT = LINEAR_END >> BLOCK_SHIFT,
    BLOCK_NONE = 0xffff,
    CLASS_COUNT = 8,
    MAGAZINE_SIZE = 64,
    MAGAZINE_BATCH = 32,
    FREES_KEPT = 256,       /* a power of two */
};

/* Debug builds fill free pages, look at them, and remember who freed what. */
#ifdef DEBUG
#define WATCH_FREE_PAGES true
#else
#define WATCH_FREE_PAGES false
#endif

#define LOW_ZONE_END    (16u * MIB)
#define FREE_PAGE_CHECK 0x50474621u     /* "!FGP" */

typedef enum zone { ZONE_NORMAL, ZONE_LOW, ZONE_COUNT } zone_t;

typedef struct block {
    page_t head;            /* list of free pages with markers */
    uint16_t free;          /* list and interval together */
    uint16_t raw_start;     /* the interval: page numbers within the block */
    uint16_t raw_end;
    uint16_t next;          /* in the list of its class */
    uint16_t prev;
    uint16_t listed;        /* its class, or BLOCK_NONE: in no list */
} block_t;

static_assert(sizeof(frame_t) == 6, "six bytes a frame");
static_assert((BLOCK_PAGES & (BLOCK_PAGES - 1)) == 0, "a power of two");
static_assert((FREES_KEPT & (FREES_KEPT - 1)) == 0, "its index may wrap");
static_assert(BLOCK_COUNT < BLOCK_NONE, "block numbers fit in 16 bits");
static_assert(MAGAZINE_BATCH >= 16 && MAGAZINE_BATCH < MAGAZINE_SIZE, "a batch fits");

/* Guards: (p) lock  (c) the processor: only it, and it is never interrupted here */
struct physical {
    splock_t lock;
    page_t *top;                                /* (c) past the magazine's last page */
    page_t *full;                               /* (c) where `top` is when it must drain */
    page_t slots[1 + MAGAZINE_SIZE];            /* (c) the magazine, and below it page 0, */
                                                /* whose frame is never in a magazine */
    uint32_t classes[ZONE_COUNT];               /* (p) bit: that class has a block */
    uint16_t class_head[ZONE_COUNT][CLASS_COUNT];   /* (p) */
    block_t block[BLOCK_COUNT];                 /* (p) */
    size_t block_free;                          /* (p) pages free in all blocks */
    size_t block_low_free;                      /* (p) of those, below LOW_ZONE_END */
    physical_reclaim_t *reclaim;
    bool reclaiming;                            /* (p) */
    size_t fail_after;                          /* 0: off */
    page_t frame_table;                         /* where it lies */
};

extern struct physical physical;

/* The magazine's pages, oldest first, and how many there are. */
static inline page_t *magazine(void)
{
    return physical.slots + 1;
}

static inline size_t magazine_count(void)
{
    return (size_t)(physical.top - magazine());
}

static inline block_t *block_of(page_t page)
{
    return &physical.block[page >> BLOCK_SHIFT];
}

static inline page_t block_base(const block_t *block)
{
    return (page_t)(block - physical.block) << BLOCK_SHIFT;
}

static inline unsigned index_in_block(page_t page)
{
    return (page >> PAGE_SHIFT) % BLOCK_PAGES;
}

static inline zone_t zone_of(page_t page)
{
    return page < LOW_ZONE_END ? ZONE_LOW : ZONE_NORMAL;
}

static inline unsigned class_of(const block_t *block)
{
    return block->free == 0 ? BLOCK_NONE : (block->free - 1u) / (BLOCK_PAGES / CLASS_COUNT);
}

static inline uint32_t check_word(page_t page)
{
    return FREE_PAGE_CHECK ^ (uint32_t)(page >> PAGE_SHIFT);
}

/* The frame of a page that has one. */
static ALWAYS_INLINE frame_t *frame_at(page_t page)
{
    return &physical_frames[page >> PAGE_SHIFT];
}

/* State, owner and count in one store; the slot stays. */
static ALWAYS_INLINE void frame_set(frame_t *frame, frame_state_t state, frame_owner_t owner,
                                    uint16_t count)
{
    uint32_t bits = (uint32_t)state | (uint32_t)owner << 8 | (uint32_t)count << 16;

    __builtin_memcpy(frame, &bits, sizeof(bits));
}

/* physical.c: an empty magazine. */
void magazine_init(void);

/* No free page anywhere. */
void blocks_init(void);

/* Pages [base, end) are free from now on: at boot, before paging. */
void blocks_add(page_t base, page_t end);

/*
 * Take up to `want` pages from the fullest blocks, low memory last.
 *
 * => how many; fewer than `want`: there are no more
 */
size_t blocks_take(page_t *pages, size_t want);

/* Give one page back. => in the linear space */
void blocks_give(page_t page);

/* Take a run. => PAGE_NONE: there is none; frames are set to used, `owner`, 1 */
page_t blocks_take_run(size_t page_count, size_t align, page_t limit, frame_owner_t owner);

/* Part of physical_check. */
const char *blocks_check(size_t *listed);

#endif
