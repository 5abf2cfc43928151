/*
 * Physical pages: which frames exist, who has them, and which are free.
 *
 * Free pages hang together in lists through markers at their own start: chunks of
 * 1, 2, 4, ... pages, in lists of their block of 2 MiB. Memory is taken from the
 * smallest chunk of the lowest block, so that blocks stay whole. A table of 6 bytes
 * a frame, outside the pages, is the second index that the lists are checked
 * against. Whole free blocks have no marker and no list.
 *
 * Markers can only be touched in the linear space (linear.h) or before paging.
 * To keep that off the hot path, two magazines hold some free pages, and some short
 * runs are kept as they were freed.
 *
 * => one lock guards the lists; calls take it themselves. Magazines and kept runs are
 *    the processor's own. A used frame's count and owner belong to whoever has the page
 */
#ifndef KERNEL_PHYSICAL_H
#define KERNEL_PHYSICAL_H

#include <kernel/boot_info.h>
#include <kernel/layout.h>
#include <kernel/owner.h>
#include <kernel/types.h>

#define PAGE_NONE ((page_t)0)   /* page 0 is never handed out */

/* Low memory is for devices that reach no further, and handed out last. */
#define LOW_ZONE_END (16u * MIB)

typedef enum zone { ZONE_NORMAL, ZONE_LOW, ZONE_COUNT } zone_t;

/*
 * A free chunk and a run are known by their first frame. The frames behind it are
 * FRAME_ABSENT or FRAME_FREE, whatever they were before.
 */
typedef enum frame_state {
    FRAME_ABSENT,       /* no RAM, or never handed out by itself */
    FRAME_FREE,         /* free now, or when a run it is part of was taken */
    FRAME_MAGAZINE,     /* free, and in the magazine */
    FRAME_USED,
    FRAME_RUN,          /* used: the first page of a run */
    FRAME_KEPT,         /* free: the first page of a run that is kept */
    FRAME_RESERVED,     /* never handed out, never freed */
} frame_state_t;

typedef struct frame {
    uint8_t state;      /* frame_state_t */
    uint8_t owner;      /* frame_owner_t */
    uint16_t count;     /* USED: references, saturating; page table: entries in use; */
                        /* FREE: 1 + the order of the chunk that begins here, or 0 */
    uint16_t slot;      /* page table: which of the window's pages it is; */
                        /* RUN, KEPT: its pages */
} frame_t;

/* At the start of every free chunk but whole blocks. */
typedef struct free_page_marker free_page_marker_t;
struct free_page_marker {
    uint32_t check;     /* FREE_PAGE_CHECK ^ the page's address */
    page_t next;        /* PAGE_NONE at the end */
    page_t prev;
};

/*
 * Guards: (c) constant after physical_init  (e) exact at any time  (f) as of the
 * last physical_figures
 */
typedef struct physical_mem_info {
    page_t physical_heap_start;     /* (c) encloses every page that can be free */
    page_t physical_heap_end;       /* (c) */
    size_t total;                   /* (c) pages of RAM in the linear space */
    size_t low_total;               /* (c) of `total`: in the low zone */
    size_t reserved;                /* (c) */
    size_t unmanaged;               /* (c) pages of RAM at or above LINEAR_END */
    size_t metadata;                /* (c) bytes that the allocator itself takes, all told */
    size_t free;                    /* (f) magazine included */
    size_t used;                    /* (f) total == free + used + reserved */
    size_t low_free;                /* (f) of `free`: in the low zone */
    size_t magazine;                /* (f) of `free`: in the magazine */
    size_t kept;                    /* (f) of `free`: in runs that are kept */
    size_t owner[OWNER_COUNT];      /* (e) pages by owner; [OWNER_NONE]: (f), free */
    /* Events since boot. */
    uint64_t refills;               /* (e) */
    uint64_t drains;                /* (e) */
    uint64_t failures;              /* (e) */
} physical_mem_info_t;

extern physical_mem_info_t physical_mem_info;

/*
 * Bring physical_mem_info up to date. => the address of it
 *
 * => the hot paths count no more than they must: read figures through this
 */
const physical_mem_info_t *physical_figures(void);

/* The frame table; use physical_frame(). */
extern frame_t *physical_frames;
extern size_t physical_frame_count;

/*
 * Take the machine over: build the frame table and the free blocks.
 *
 * => NULL, or a sentence that says why this machine cannot run Grove
 * => before paging; places the frame table in RAM and reserves it in *info
 */
const char *physical_init(boot_info_t *info);

/*
 * After paging is on, the frame table is at FRAME_TABLE_BASE.
 */
void physical_move_frame_table(void);

/*
 * Take a free page.
 *
 * => its address, or PAGE_NONE when no page is left; contents undefined
 * => the frame has a count of 1 and belongs to `owner`
 * => O(1); a magazine refill visits the linear space, once in 128 calls
 *    while there is no need to break a whole block
 */
page_t alloc_physical_page(frame_owner_t owner);

/*
 * Take `page_count` pages in a row, the first a multiple of `align` bytes, all of them
 * below the address `limit` (0: anywhere).
 *
 * => page_count > 0; align: a power of two, at least PAGE_SIZE
 * => PAGE_NONE if there is no such run
 * => freed as a run, in parts, or page by page; each page has a count of 1. A call
 *    that means one page makes them all pages by themselves, once: O(the run)
 * => low memory last
 * => O(1) for 2, 4, ... 32 pages that were freed as a run; O(log block) while there
 *    is an aligned free chunk as long in the zone, or if no chunk of at least a quarter
 *    of it is anywhere; else the chunks and used pages of blocks that have one are gone
 *    through. Before a whole block is broken for a run of up to 256 pages, and before
 *    any fails, what is held back is given to its blocks: at most about 450 pages
 */
page_t page_range(size_t page_count, size_t align, page_t limit, frame_owner_t owner);

/* The same from a zone; ZONE_NORMAL: anywhere, low memory last. */
page_t page_get(zone_t zone, size_t page_count, frame_owner_t owner);

/*
 * Give pages in a row back, whatever their counts.
 *
 * => 0, or -EINVAL and nothing changed: one of them is not in use; also reported
 *    through host_misuse
 * => O(log block) for a whole run of at most 512 pages
 */
int page_range_free(page_t first, size_t page_count);

/*
 * Give a page back, whatever its count.
 *
 * => in debug builds the page is filled, and looked at before it goes out again;
 *    what was written meanwhile is reported
 * => 0, or -EINVAL and nothing changed: not a page, not ours, or free already;
 *    that is also reported through host_misuse
 */
int free_physical_page(page_t page);

/*
 * Counted pages: page_new has one reference, page_hold adds one, page_release
 * drops one and frees the page with the last.
 *
 * => a count that reaches 65,535 stays there: such a page is never freed
 * => page_release: the references left, or -EINVAL as free_physical_page
 */
#define PHYSICAL_SHARES 65000u      /* who sees so many copies the page instead of holding it */
static_assert(PHYSICAL_SHARES < UINT16_MAX, "a mapped page's count never sticks");
page_t page_new(frame_owner_t owner);
void page_hold(page_t page);
int page_release(page_t page);
size_t page_count(page_t page);

/*
 * page_release for each of `count` pages, at least one. Neighbours in the list that are
 * neighbours in memory, upwards or downwards, are cheaper together.
 */
void page_release_all(const page_t *pages, size_t count);

/* Whether a counted page, which no one took as part of a run, has one reference only. */
static inline bool page_is_alone(page_t page)
{
    return physical_frames[page >> PAGE_SHIFT].count == 1;
}

/* Where the frame table lies in RAM, and its bytes: whole pages. */
page_t physical_frame_table(void);
size_t physical_frame_table_length(void);

/* The frame of a page. => NULL: outside the table */
static inline frame_t *physical_frame(page_t page)
{
    size_t number = page >> PAGE_SHIFT;

    return LIKELY(number < physical_frame_count) ? &physical_frames[number] : NULL;
}

/* Change whose a used frame is. */
void physical_set_owner(page_t page, frame_owner_t owner);

/*
 * Called once before an allocation fails; asks for at least `wanted` pages.
 *
 * => returns how many it gave back; runs without the physical lock, but with the locks
 *    of whoever allocates; may free and allocate, and is not asked again meanwhile
 */
typedef size_t physical_reclaim_t(size_t wanted);
void physical_set_reclaim(physical_reclaim_t *reclaim);

/*
 * For tests, in debug builds: pages in magazines and kept runs are not watched, which
 * takes a visit to the linear space each time. At first they are.
 */
void physical_watch(bool on);

/*
 * For tests: let the n-th allocation from now fail (1: the next), once; 0 off.
 */
void physical_fail_after(size_t n);

/*
 * NULL, or a sentence: lists, markers, block counters and sets, magazines, kept runs,
 * frame table and physical_mem_info agree. O(frames).
 */
const char *physical_check(void);

/* Print free + used + reserved = total, and the frames of each owner. */
void physical_log(void);

/* The same, and zones, the magazine, and where bad frames are. O(frames). */
void physical_log_details(void);

#endif
