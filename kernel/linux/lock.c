/*
 * mlock, mlock2, munlock, mlockall, munlockall: Linux's rules in front of mspace_*.
 */
#include <kernel/memory.h>
#include "linux.h"

enum {
    MLOCK_ONFAULT = 1,

    MCL_CURRENT = 1,
    MCL_FUTURE = 2,
    MCL_ONFAULT = 4,
};

int32_t linux_populate(size_t address, size_t length, bool only_locked)
{
    mspace_t *mspace = task_current->mspace;
    size_t end = address + length;
    mspace_part_t part;

    for (; mspace_find_part(mspace, address, end, &part); address = part.base + part.length) {
        int err;

        if ((part.flags & (VMA_LOCK_ON_FAULT | VMA_PHYS)) != 0 ||
            (only_locked && (part.flags & VMA_LOCKED) == 0))
            continue;
        err = mspace_resolve(mspace, part.base, part.length,
                             (part.flags & (VMA_WRITE | VMA_SHARED)) == VMA_WRITE);
        if (err != 0 && !only_locked)
            return err;
    }
    return 0;
}

/* --- a range */

/* How many bytes from `address` on, up to `end`, are mapped without a hole. */
static size_t mapped_bytes(size_t address, size_t end)
{
    mspace_part_t part;
    size_t at = address;

    while (at < end && mspace_find_part(task_current->mspace, at, end, &part) && part.base == at)
        at += part.length;
    return at - address;
}

/* The range's whole pages: it need not be aligned. => false: it wraps */
static bool round_range(size_t *address, size_t *length)
{
    size_t into = *address & PAGE_MASK;
    size_t rounded = align_up(*length + into, PAGE_SIZE);

    if (*length + into < *length || rounded < *length + into)
        return false;
    *address -= into;
    *length = rounded;
    return *address + *length >= *address;
}

/* Linux changes what lies before a hole. */
static int32_t set_locks(size_t address, size_t length, int locks)
{
    mspace_t *mspace = task_current->mspace;
    size_t mapped = mapped_bytes(address, address + length);
    int err;

    /* The limit is asked for the whole range, holes too. */
    if (locks != 0 && mapped < length && !mspace_may_lock(mspace, length >> PAGE_SHIFT))
        return -ENOMEM;
    err = mapped != 0 ? mspace_lock(mspace, address, mapped, locks) : 0;
    if (err != 0 || mapped < length)
        return -ENOMEM;
    return 0;
}

static int32_t lock(size_t address, size_t length, int locks)
{
    int32_t err;

    if (task_current->mspace->limits.locked == 0)
        return -EPERM;
    if (!round_range(&address, &length))
        return -ENOMEM;
    if (length == 0)
        return 0;
    err = set_locks(address, length, locks);
    if (err != 0)
        return err;
    err = linux_populate(address, length, false);
    return err == -ENOMEM ? -EAGAIN : err != 0 ? -ENOMEM : 0;
}

int32_t linux_mlock(const trap_frame_t *call)
{
    return lock(call->ebx, call->ecx, VMA_LOCKED);
}

int32_t linux_mlock2(const trap_frame_t *call)
{
    if ((call->edx & ~MLOCK_ONFAULT) != 0)
        return -EINVAL;
    return lock(call->ebx, call->ecx, (call->edx & MLOCK_ONFAULT) != 0 ? VMA_LOCKS : VMA_LOCKED);
}

int32_t linux_munlock(const trap_frame_t *call)
{
    size_t address = call->ebx, length = call->ecx;

    if (!round_range(&address, &length))
        return -ENOMEM;
    return length == 0 ? 0 : set_locks(address, length, 0);
}

/* --- all there is */

int32_t linux_mlockall(const trap_frame_t *call)
{
    mspace_t *mspace = task_current->mspace;
    uint32_t flags = call->ebx;
    int locks = (flags & MCL_ONFAULT) != 0 ? VMA_LOCKS : VMA_LOCKED;

    if ((flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) != 0 ||
        (flags & (MCL_CURRENT | MCL_FUTURE)) == 0)
        return -EINVAL;
    if (mspace->limits.locked == 0)
        return -EPERM;
    if ((flags & MCL_CURRENT) != 0 && mspace_lock_all(mspace, locks) != 0)
        return -ENOMEM;
    mspace_lock_future(mspace, (flags & MCL_FUTURE) != 0 ? locks : 0);
    if ((flags & MCL_CURRENT) != 0)
        linux_populate(USER_BASE, USER_END - USER_BASE, true);
    return 0;
}

int32_t linux_munlockall(const trap_frame_t *call)
{
    mspace_t *mspace = task_current->mspace;

    (void)call;
    mspace_lock_future(mspace, 0);
    return mspace_lock_all(mspace, 0);
}
