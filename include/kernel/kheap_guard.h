/*
 * Guard mode of a heap: one allocation in N gets a page of its own, with unmapped
 * pages around it.
 *
 *      base
 *      |          |  slot 0  |          |  slot 1  |          |  ...     |          |
 *      | unmapped |xxxBBBBBBp| unmapped |BBBBppppp | unmapped |          | unmapped |
 *                       right                left
 *
 *  B buffer   p pattern   x pattern, too
 *
 * At random a buffer ends where its page does (right) or begins there (left): an
 * access past that end faults, even a read. What the buffer leaves of its page holds a
 * pattern, which kfree and kheap_check look at; that is where a buffer on the right is
 * followed by what alignment leaves, up to 15 bytes. A slot that is freed is unmapped
 * at once, and used again only after all others: until then any use of it faults.
 *
 * A pool is over pages that somebody else maps, as a heap is over a segment. What is
 * known of each slot is outside of it: nothing that a stray write can reach.
 *
 * => all of it belongs to one heap and is guarded by its lock
 * => misuse goes to host_misuse and changes nothing, as in the heap; what was written
 *    to around a buffer is reported when it is freed, and it is freed all the same
 */
#ifndef KERNEL_KHEAP_GUARD_H
#define KERNEL_KHEAP_GUARD_H

#include <kernel/kheap.h>
#include <kernel/layout.h>

#define KHEAP_GUARD_SLOTS 255u              /* at most, so that a byte numbers them */
#define KHEAP_GUARD_EVERY_MAX 1000000u

/* The bytes that so many slots and what is between them take. */
#define KHEAP_GUARD_LENGTH(slots) ((2 * (size_t)(slots) + 1) * PAGE_SIZE)

/* Pages for a pool, and what is known about code. */
typedef struct guard_pages guard_pages_t;
struct guard_pages {
    size_t base;        /* constant; a multiple of PAGE_SIZE */
    size_t slots;       /* constant; 1 to KHEAP_GUARD_SLOTS */

    /*
     * Map a page in [base, base + KHEAP_GUARD_LENGTH(slots)), contents undefined.
     *
     * => 0, or -ENOMEM and nothing changed; never allocates from a heap
     */
    int (*map)(guard_pages_t *pages, size_t address);

    /* Unmap one that is mapped, everywhere at once. */
    void (*unmap)(guard_pages_t *pages, size_t address);

    /* The address to which the present call of the heap returns. => 0: not known */
    size_t (*caller)(void);

    /* The function at an address, and where in it. => NULL: not known */
    const char *(*symbol)(size_t address, size_t *offset);
};

typedef enum guard_state {
    GUARD_NEVER_USED,
    GUARD_USED,
    GUARD_FREED,
} guard_state_t;

/* The last buffer in a slot. */
typedef struct guard_slot {
    size_t buffer;
    size_t size;        /* as asked for; 1 for 0 */
    size_t allocated;   /* by whom: an address, or 0 */
    size_t freed;       /* GUARD_FREED only */
    guard_state_t state;
} guard_slot_t;

/*
 * Guards: (c) constant after kheap_guard_start  (h) heap->lock
 *
 * used + free = pages->slots
 */
typedef struct kheap_guard {
    guard_pages_t *pages;       /* (c) */
    size_t every;               /* (h) one allocation in so many; 0: none */
    size_t until;               /* (h) so many to go, this one included */
    uint32_t random;            /* (h) never 0 */
    size_t used;                /* (h) slots */
    size_t free;                /* (h) slots */
    size_t served;              /* (h) allocations so far */
    size_t refused;             /* (h) those due that went to the heap: no slot, or no page */
    size_t first;               /* (h) of the ring: the slot that is free for longest */
    uint8_t ring[KHEAP_GUARD_SLOTS];            /* (h) free slots in the order of their turn */
    guard_slot_t slot[KHEAP_GUARD_SLOTS];       /* (h) */
} kheap_guard_t;

/*
 * Give a heap a pool. => no slot is mapped; every 0; once for a heap, and for good
 */
void kheap_guard_start(kheap_t *heap, kheap_guard_t *guard, guard_pages_t *pages, uint32_t seed);

/*
 * From now on one allocation in `every` goes to the pool: each, or after a random
 * number of them from 1 to 2 * every - 1; 0: none. Buffers in the pool stay there.
 *
 * => 0; -EINVAL and nothing changed: the heap has no pool, or more than
 *    KHEAP_GUARD_EVERY_MAX
 */
int kheap_guard_tune(kheap_t *heap, size_t every);

/*
 * Say in one sentence what an access to an address of the pool met.
 *
 * => access: what it was, "read"; with it the text begins:
 *    "read 1 byte past the end of the buffer 0xdfe01f90 of 112 bytes, allocated at f+0x12"
 * => false: not in the pool, or the heap has none; text is as it was
 * => takes no lock: it may be called while the heap is at work
 */
bool kheap_guard_explain(const kheap_t *heap, size_t address, const char *access, char *text,
                         size_t size);

/* --- For the heap itself; it has a pool --- */

/* Is this address in the pool's range? */
static inline bool kheap_guard_holds(const kheap_t *heap, const void *buffer)
{
    const guard_pages_t *pages = heap->guard->pages;

    return (size_t)buffer - pages->base < KHEAP_GUARD_LENGTH(pages->slots);
}

/*
 * A buffer from the pool.
 *
 * => heap->lock is held
 * => NULL: this allocation is not due, or does not fit, or there is no slot or page
 * => align: a power of two, at least KHEAP_ALIGN
 */
void *kheap_guard_alloc(kheap_t *heap, size_t align, size_t size);

/*
 * Free a buffer of the pool.
 *
 * => heap->lock is held, and released
 * => false: it is not in the pool; nothing happened, and the lock is held still
 */
bool kheap_guard_free(kheap_t *heap, void *buffer);

/*
 * Reallocate a buffer that is in the pool, or is to move there. In the pool it always
 * moves, and where there is no memory to get smaller, it stays as it is.
 *
 * => false: neither, and nothing happened; else *answer is krealloc's
 * => site: that called krealloc, for a heap at level full
 */
bool kheap_guard_realloc(kheap_t *heap, void *buffer, size_t size, size_t site, void **answer);

/* The size of a buffer of the pool. => 0: misuse; heap->lock is held, and released */
size_t kheap_guard_usable_size(kheap_t *heap, void *buffer);

/* Verify the pool: states, the ring, figures, the pattern. => NULL or a sentence; lock held */
const char *kheap_guard_check(const kheap_guard_t *guard);

/* --- The kernel's --- */

/* A pool over [GUARD_BASE, GUARD_END), for kernel_heap. => caller, symbol: see guard_pages_t */
void kernel_guard_start(size_t (*caller)(void),
                        const char *(*symbol)(size_t address, size_t *offset), uint32_t seed);

#endif
