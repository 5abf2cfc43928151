/*
 * A lock. Grove runs on one processor and its kernel is never preempted, so a
 * lock never waits: it records that it is held, and asserts what would have been
 * a deadlock or a missing lock on a larger machine.
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

static inline void splock_lock(splock_t *lock)
{
    ASSERT(!lock->held);
    lock->held = true;
}

static inline void splock_unlock(splock_t *lock)
{
    ASSERT(lock->held);
    lock->held = false;
}

#endif
