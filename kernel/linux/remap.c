/*
 * mremap: Linux's rules in front of mspace_remap.
 *
 * A refusal changes nothing. (Linux 6.1 has then already taken out what was in the new
 * place, if the old range is not part of one area; Linux since 6.17 has not. Both do so
 * for length 0 moved to where it is, and say EFAULT; here that is EINVAL.)
 */
#include <kernel/memory.h>
#include "linux.h"

enum {
    MREMAP_MAYMOVE = 1,
    MREMAP_FIXED = 2,
    MREMAP_DONTUNMAP = 4,
    MREMAP_FLAGS = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
};

static_assert(MREMAP_MAYMOVE == REMAP_MAY_MOVE && MREMAP_FIXED == REMAP_FIXED &&
              MREMAP_DONTUNMAP == REMAP_DONT_UNMAP, "flags are the same bits");

/* Whether a place is in user memory, but lower than anything can be: as in mmap. */
static bool is_too_low(size_t address, size_t new_address, size_t new_length)
{
    return new_address < USER_BASE && ((address | new_address) & PAGE_MASK) == 0 &&
           new_length != 0 && is_user_range(new_address, new_length) &&
           address - new_address >= new_length;
}

int32_t linux_mremap(const trap_frame_t *call)
{
    size_t address = call->ebx, old_length = call->ecx, new_length = call->edx;
    uint32_t flags = call->esi;
    size_t new_address = call->edi;
    void *place;

    if ((flags & ~(uint32_t)MREMAP_FLAGS) != 0)
        return -EINVAL;
    /* Before both are rounded. */
    if ((flags & MREMAP_DONTUNMAP) != 0 && old_length != new_length)
        return -EINVAL;
    old_length = align_up(old_length, PAGE_SIZE);
    new_length = align_up(new_length, PAGE_SIZE);
    place = mspace_remap(task_current->mspace, address, old_length, new_length, new_address,
                         (int)flags);
    if (LIKELY(place != NULL)) {
        if (UNLIKELY(task_current->mspace->locked != 0) && new_length > old_length)
            linux_populate((size_t)place + old_length, new_length - old_length, true);
        return (int32_t)(size_t)place;
    }
    if (task_current->error == EINVAL && (flags & (MREMAP_MAYMOVE | MREMAP_FIXED)) ==
        (MREMAP_MAYMOVE | MREMAP_FIXED) && is_too_low(address, new_address, new_length))
        return -EPERM;
    return -task_current->error;
}
