/*
 * madvise, mincore, msync: Linux's rules in front of mspace_*.
 *
 * Linux applies advice area by area: a hole is passed over and remembered, anything
 * else that an area refuses ends the call there.
 */
#include <kernel/memory.h>
#include "linux.h"

/* --- madvise */

enum {
    MADV_NORMAL = 0,
    MADV_RANDOM = 1,
    MADV_SEQUENTIAL = 2,
    MADV_WILLNEED = 3,
    MADV_DONTNEED = 4,
    MADV_FREE = 8,
    MADV_REMOVE = 9,
    MADV_DONTFORK = 10,
    MADV_DOFORK = 11,
    MADV_DONTDUMP = 16,
    MADV_DODUMP = 17,
    MADV_WIPEONFORK = 18,
    MADV_KEEPONFORK = 19,
    MADV_COLD = 20,
    MADV_PAGEOUT = 21,
    MADV_POPULATE_READ = 22,
    MADV_POPULATE_WRITE = 23,
    MADV_DONTNEED_LOCKED = 24,
};

/* What an area does with a piece of advice. => 0 or an error, as madvise gives it */
typedef int32_t advise_t(mspace_t *mspace, const mspace_part_t *part, uint32_t advice);

/* It is about pages to come: nothing a program can see changes. */
static int32_t take_hint(mspace_t *mspace, const mspace_part_t *part, uint32_t advice)
{
    (void)mspace;
    (void)part;
    (void)advice;
    return 0;
}

/* Nothing is paged out yet. */
static int32_t page_out(mspace_t *mspace, const mspace_part_t *part, uint32_t advice)
{
    (void)mspace;
    (void)advice;
    return (part->flags & (VMA_LOCKED | VMA_PHYS)) != 0 ? -EINVAL : 0;
}

static int32_t discard(mspace_t *mspace, const mspace_part_t *part, uint32_t advice)
{
    return mspace_discard(mspace, part->base, part->length, advice == MADV_DONTNEED_LOCKED);
}

/* Pages that are free may be zeroes at once: while none is paged out, they are. */
static int32_t free_pages(mspace_t *mspace, const mspace_part_t *part, uint32_t advice)
{
    if ((part->flags & (VMA_FILE | VMA_SHARED)) != 0)
        return -EINVAL;
    return discard(mspace, part, advice);
}

/* No file's pages can be taken from it yet. */
static int32_t remove_pages(mspace_t *mspace, const mspace_part_t *part, uint32_t advice)
{
    const int needed = VMA_SHARED | VMA_WRITE;

    (void)mspace;
    (void)advice;
    if ((part->flags & VMA_LOCKED) != 0 || (part->flags & VMA_FILE) == 0)
        return -EINVAL;
    return (part->flags & needed) == needed ? -EOPNOTSUPP : -EACCES;
}

static int32_t set_flags(mspace_t *mspace, const mspace_part_t *part, uint32_t advice)
{
    static const struct { int set, clear; } changes[] = {
        [MADV_DONTFORK] = { VMA_DONT_FORK, 0 },
        [MADV_DOFORK] = { 0, VMA_DONT_FORK },
        [MADV_DONTDUMP] = { VMA_DONT_DUMP, 0 },
        [MADV_DODUMP] = { 0, VMA_DONT_DUMP },
        [MADV_WIPEONFORK] = { VMA_WIPE_ON_FORK, 0 },
        [MADV_KEEPONFORK] = { 0, VMA_WIPE_ON_FORK },
    };
    int err = mspace_set_advice(mspace, part->base, part->length, changes[advice].set,
                                changes[advice].clear);

    return err == -ENOMEM ? -EAGAIN : err;
}

static int32_t populate(mspace_t *mspace, const mspace_part_t *part, uint32_t advice)
{
    bool write = advice == MADV_POPULATE_WRITE;
    int err;

    if ((part->flags & (write ? VMA_WRITE : VMA_READ)) == 0 || (part->flags & VMA_PHYS) != 0)
        return -EINVAL;
    err = mspace_resolve(mspace, part->base, part->length, write);
    return err == -EIO ? -EFAULT : err;
}

/* Advice that is not here is unknown: huge pages and merging, as to a Linux built
 * without them, and what only tests of broken memory use. */
static advise_t *const advices[] = {
    [MADV_NORMAL] = take_hint,
    [MADV_RANDOM] = take_hint,
    [MADV_SEQUENTIAL] = take_hint,
    [MADV_WILLNEED] = take_hint,
    [MADV_DONTNEED] = discard,
    [MADV_FREE] = free_pages,
    [MADV_REMOVE] = remove_pages,
    [MADV_DONTFORK] = set_flags,
    [MADV_DOFORK] = set_flags,
    [MADV_DONTDUMP] = set_flags,
    [MADV_DODUMP] = set_flags,
    [MADV_WIPEONFORK] = set_flags,
    [MADV_KEEPONFORK] = set_flags,
    [MADV_COLD] = page_out,
    [MADV_PAGEOUT] = page_out,
    [MADV_POPULATE_READ] = populate,
    [MADV_POPULATE_WRITE] = populate,
    [MADV_DONTNEED_LOCKED] = discard,
};

/* => stop_at_hole: what lies behind a hole is left alone */
static int32_t advise(size_t address, size_t end, uint32_t advice, bool stop_at_hole)
{
    mspace_t *mspace = task_current->mspace;
    int32_t err = 0, hole = 0;
    mspace_part_t part;

    while (address < end && err == 0) {
        if (!mspace_find_part(mspace, address, end, &part))
            return -ENOMEM;
        if (part.base != address) {
            hole = -ENOMEM;
            if (stop_at_hole)
                break;
        }
        err = advices[advice](mspace, &part, advice);
        address = part.base + part.length;
    }
    return err != 0 ? err : hole;
}

int32_t linux_madvise(const trap_frame_t *call)
{
    size_t address = call->ebx, length = align_up(call->ecx, PAGE_SIZE);
    uint32_t advice = call->edx;

    if (advice >= ARRAY_LENGTH(advices) || advices[advice] == NULL)
        return -EINVAL;
    if ((address & PAGE_MASK) != 0 || length < call->ecx || address + length < address)
        return -EINVAL;
    return advise(address, address + length, advice, advices[advice] == populate);
}

/* --- mincore */

int32_t linux_mincore(const trap_frame_t *call)
{
    size_t address = call->ebx, length = call->ecx, to = call->edx;
    size_t count = length / PAGE_SIZE + (length % PAGE_SIZE != 0);
    uint8_t vec[256];

    if ((address & PAGE_MASK) != 0)
        return -EINVAL;
    if (!is_user_range(address, length))
        return -ENOMEM;
    if (!is_user_range(to, count))
        return -EFAULT;
    while (count > 0) {
        size_t step = count < sizeof vec ? count : sizeof vec;
        int told = mspace_resident(task_current->mspace, address, step, vec);

        if (told < 0)
            return -ENOMEM;
        if (copy_to_user(to, vec, (size_t)told) != 0)
            return -EFAULT;
        address += (size_t)told * PAGE_SIZE;
        to += (size_t)told;
        count -= (size_t)told;
    }
    return 0;
}

/* --- msync */

enum {
    MS_ASYNC = 1,
    MS_INVALIDATE = 2,
    MS_SYNC = 4,
};

/* There is nothing behind a file that its pages would have to be written to. */
static int32_t synchronize(size_t address, size_t end, uint32_t flags)
{
    mspace_t *mspace = task_current->mspace;
    int32_t hole = 0;
    mspace_part_t part;

    while (address < end) {
        if (!mspace_find_part(mspace, address, end, &part))
            return -ENOMEM;
        if (part.base != address) {
            hole = -ENOMEM;
            if (flags == MS_ASYNC)
                break;
        }
        if ((flags & MS_INVALIDATE) != 0 && (part.flags & VMA_LOCKED) != 0)
            return -EBUSY;
        address = part.base + part.length;
    }
    return hole;
}

int32_t linux_msync(const trap_frame_t *call)
{
    size_t address = call->ebx, length = align_up(call->ecx, PAGE_SIZE);
    uint32_t flags = call->edx;

    if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) != 0 || (address & PAGE_MASK) != 0 ||
        (flags & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC))
        return -EINVAL;
    if (length < call->ecx || address + length < address)
        return -ENOMEM;
    return synchronize(address, address + length, flags);
}
