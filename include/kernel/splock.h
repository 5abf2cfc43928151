/*
 * A lock. Grove runs on one processor and its kernel is never preempted, so a
 * lock never waits: it records that it is held, and asserts what would have been
 * a deadlock or a missing lock on a larger machine. Debug builds assert: in others
 * it would be a tenth of what kmalloc costs.
 *
 * Order, outermost first:
 * mspace->lock > page cache > swap > page counts > kheap > physical.
 */
#ifndef KERNEL_SPLOCK_H
#define KERNEL_SPLOCK_H

#include <kernel/panic.h>
#include <kernel/types.h>

typedef struct splock {
    bool held;
} splock_t;

static inline void splock_init(splock_t *lock)
{
    lock->held = false;
}

static inline bool splock_held(const splock_t *lock)
{
    return lock->held;
}

#ifdef DEBUG
#define SPLOCK_ASSERT(condition) ASSERT(condition)
#else
#define SPLOCK_ASSERT(condition) ((void)0)
#endif

static inline void splock_lock(splock_t *lock)
{
    SPLOCK_ASSERT(!lock->held);
    lock->held = true;
}

static inline void splock_unlock(splock_t *lock)
{
    SPLOCK_ASSERT(lock->held);
    lock->held = false;
}

#endif
