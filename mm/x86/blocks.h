/*
 * Free memory: chunks of 2^order pages, in blocks of 2 MiB. Private to the page
 * allocator.
 *
 *   block (512 pages)  0              1              2
 *                      +--------------+--------------+--------------+
 *                      |UUM.M...UUMU..|..............|UUUUUUUUUUUUUU|
 *                      +--------------+--------------+--------------+
 *                         |  |    |    whole: a bit,   U used
 *            order 1 -----+  |    |    no list         M a chunk's marker
 *            order 2 --------+    |                    . free, in the chunk
 *            order 0 -------------+
 *
 * A chunk lies at a multiple of its length, and merges with the other half of the
 * next larger one. Each block has a list for each order, last freed first, through
 * a marker in the chunk's first page; that page's frame knows the order. Which
 * blocks have a chunk of an order is a set of bits, so that "the lowest block with
 * the smallest chunk that will do" takes a few steps.
 *
 * => all of it under physical.lock; markers are touched in the linear space only
 */
#ifndef MM_X86_BLOCKS_H
#define MM_X86_BLOCKS_H

#include <kernel/linear.h>
#include <kernel/physical.h>
#include <kernel/splock.h>

enum {
    BLOCK_ORDER = 9,
    PAIR_ORDER = BLOCK_ORDER + 1,   /* two whole blocks, the first an even one: 4 MiB */
    BLOCK_PAGES = 1 << BLOCK_ORDER,
    BLOCK_SHIFT = PAGE_SHIFT + BLOCK_ORDER,
    BLOCK_COUNT = LINEAR_END >> BLOCK_SHIFT,
    MAGAZINE_SIZE = 128,    /* pages of each of two; taken and given back at a time */
    KEPT_ORDER = 5,         /* the longest runs that are kept: 32 pages */
    KEPT_PAGES = 32,        /* so many of each order, but two runs at least */
    KEPT_COUNT = KEPT_PAGES / 2,
    FREES_KEPT = 256,       /* a power of two */
};

/* Debug builds fill free pages, look at them, and remember who freed what. */
#ifdef DEBUG
#define WATCH_FREE_PAGES true
#else
#define WATCH_FREE_PAGES false
#endif

#define FREE_PAGE_CHECK 0x50474621u     /* "!FGP" */

typedef struct block {
    page_t list[BLOCK_ORDER];   /* the first chunk of each order, or PAGE_NONE */
    uint16_t free;              /* pages; BLOCK_PAGES: the block is whole, no list has it */
    uint16_t listed;            /* bit: in the zone's set of that order (below BLOCK_ORDER), */
                                /* maybe no more rightly: it is seen when the set is used */
} block_t;

enum { SET_WORDS = BLOCK_COUNT / 32, SET_SUMMARIES = (SET_WORDS + 31) / 32 };

/* A set of blocks. */
typedef struct block_set {
    uint32_t summary[SET_SUMMARIES];    /* bit: that word is not 0 */
    uint32_t word[SET_WORDS];           /* bit: that block */
} block_set_t;

typedef struct zone_blocks {
    uint32_t orders;                    /* bit: have[order] is not empty */
    block_set_t have[PAIR_ORDER + 1];   /* the blocks with a chunk of that order, and some */
                                        /* that had one; a pair of whole ones by its first */
} zone_blocks_t;

static_assert(sizeof(frame_t) == 6, "six bytes a frame");
static_assert(LINEAR_END % (32u << BLOCK_SHIFT) == 0, "sets have no ragged end");
static_assert(LOW_ZONE_END % (2u << BLOCK_SHIFT) == 0, "a pair is in one zone");
static_assert((FREES_KEPT & (FREES_KEPT - 1)) == 0, "its index may wrap");

/* A page and its frame: what is at hand is not computed again. */
typedef struct page_slot {
    page_t page;
    frame_t *frame;
} page_slot_t;

typedef struct magazine {
    page_slot_t none;                   /* page 0, whose frame is never in a magazine */
    page_slot_t slot[MAGAZINE_SIZE];    /* oldest first */
} magazine_t;

/* Free runs of one order that are handed out again as they are. */
typedef struct kept {
    size_t count;
    page_slot_t run[KEPT_COUNT];        /* oldest first */
} kept_t;

/*
 * Two magazines (Bonwick and Adams, "Magazines and Vmem", USENIX 2001): pages come
 * from and go to the loaded one. The other one is full or empty; they change places
 * when that helps.
 *
 * Guards: (p) lock  (c) the processor: only it, and it is never interrupted here
 */
struct physical {
    splock_t lock;
    page_slot_t *top;                           /* (c) past the loaded magazine's last page */
    page_slot_t *full;                          /* (c) where `top` is when it is full */
    magazine_t magazine[2];                     /* (c) */
    unsigned loaded;                            /* (c) which */
    size_t spare;                               /* (c) pages in the other one */
    kept_t kept[KEPT_ORDER + 1];                /* (c) by order; none of order 0 */
    size_t kept_pages;                          /* (c) */
    zone_blocks_t zone[ZONE_COUNT];             /* (p) */
    block_t *block;                             /* (p) behind the frame table */
    size_t block_free;                          /* (p) pages free in all blocks */
    physical_reclaim_t *reclaim;
    bool reclaiming;                            /* (p) */
    bool watching;                              /* debug builds: what is held back, too */
    size_t fail_after;                          /* 0: off */
    page_t frame_table;                         /* where it lies */
};

extern struct physical physical;

/* How many runs of an order are kept at most. */
static ALWAYS_INLINE size_t kept_max(unsigned order)
{
    return order < KEPT_ORDER ? KEPT_PAGES >> order : 2;
}

/* The pages of a magazine, and how many there are. */
static inline page_slot_t *loaded_pages(void)
{
    return physical.magazine[physical.loaded].slot;
}

static inline size_t loaded_count(void)
{
    return (size_t)(physical.top - loaded_pages());
}

static inline page_slot_t *spare_pages(void)
{
    return physical.magazine[1 - physical.loaded].slot;
}

static inline size_t magazine_count(void)
{
    return loaded_count() + physical.spare;
}

static ALWAYS_INLINE block_t *block_of(page_t page)
{
    return &physical.block[page >> BLOCK_SHIFT];
}

static inline size_t index_in_block(page_t page)
{
    return (page >> PAGE_SHIFT) % BLOCK_PAGES;
}

static inline size_t block_count(void)
{
    return (physical_frame_count + BLOCK_PAGES - 1) / BLOCK_PAGES;
}

static inline zone_t zone_of(page_t page)
{
    return page < LOW_ZONE_END ? ZONE_LOW : ZONE_NORMAL;
}

static inline uint32_t check_word(page_t page)
{
    return FREE_PAGE_CHECK ^ (uint32_t)page;
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

/* Whether a free chunk of this order begins at the frame. */
static ALWAYS_INLINE bool frame_is_chunk(const frame_t *frame, unsigned order)
{
    uint32_t bits;

    __builtin_memcpy(&bits, frame, sizeof(bits));
    return bits == (FRAME_FREE | (order + 1) << 16);
}

/* The bytes of frame table and blocks, for that many frames. Whole pages. */
size_t blocks_table_length(size_t frame_count);

/* Where the tables are from now on. At first cleared: no free page anywhere. */
void blocks_move(void *table);

/* Pages [base, end) are free from now on: at boot, before paging. */
void blocks_add(page_t base, page_t end);

/*
 * Take up to `want` pages into slots: the smallest chunks of the lowest blocks, low
 * memory last. Their frames are FRAME_MAGAZINE.
 *
 * => how many. Fewer than `want`: there are no more, or no more without breaking a
 *    whole block, which is done for the first page only
 */
size_t blocks_take(page_slot_t *slots, size_t want);

/* Give pages back, at least one. => in the linear space */
void blocks_give(const page_slot_t *slots, size_t count);

/* Whether a page can be had without breaking a whole block, or low memory. */
bool blocks_have_parts(void);

/*
 * Take a run from
 *
 *   RUN_OF_PARTS    a chunk that is no whole block
 *   RUN_OF_CHUNK    any one chunk
 *   RUN_ANYWHERE    several chunks in a row, or low memory, if need be
 *
 * but from low memory with any of them if it is to be there.
 *
 * => PAGE_NONE: there is none
 * => its frames are not changed, but for FRAME_FREE's count, which is 0
 */
typedef enum run_source { RUN_OF_PARTS, RUN_OF_CHUNK, RUN_ANYWHERE } run_source_t;
page_t blocks_take_run(size_t page_count, size_t align, page_t limit, run_source_t source);

/* Give a run back. => in the linear space */
void blocks_give_run(page_t first, size_t page_count);

/*
 * Debug builds: fill free pages that are held back, and look at them before they go
 * out; what was written meanwhile is reported. Their frames have a count of 1 then.
 */
void blocks_fill(page_t page, size_t count);
void blocks_look_at(page_t page, size_t count);

/* Part of physical_check: lists, counters and sets agree. */
const char *blocks_check(void);

/* ---- physical.c */

/* Empty magazines. */
void magazine_init(void);

/* Give all pages of the magazines back to their blocks. */
void magazine_empty(void);

/* For tests. => true: this allocation is to fail. Under the lock */
bool physical_fails_on_purpose(void);

/* While an allocation is to fail, nothing is held back: each one is counted. */
static inline bool physical_is_failing(void)
{
    return physical.fail_after != 0;
}

/* Ask for pages, once. => true: try again. Under the lock, which is let go meanwhile */
bool physical_ask_for_pages(size_t wanted);

/* Report a misuse. => -EINVAL */
int physical_misuse(const char *what, page_t page);

/* free_physical_page for somebody else; `site` is where he called. */
int physical_free_for(page_t page, const void *site);

/* Debug builds: remember who freed a page. */
void physical_remember_free(page_t page, const void *site);

/* ---- physical_runs.c */

/* Give all kept runs back to their blocks. */
void runs_empty(void);

/* The first frame of the run in use that has the page. => NULL: none has. O(the run) */
frame_t *runs_head(page_t page);

/*
 * The used frame of a page of a run, whose pages are each by themselves from now on.
 *
 * => NULL: not in a run
 */
frame_t *runs_split(page_t page);

#endif
