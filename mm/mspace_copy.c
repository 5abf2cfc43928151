/*
 * Copies into and out of a space that need not be the current one, a page at a time
 * through the temporary slots.
 *
 * Whether a page may be used is for its area to say (mspace_resolve), not for its entry.
 */
#include <kernel/errno.h>
#include <kernel/memory.h>
#include <kernel/string.h>

enum { SLOT_FROM, SLOT_TO };

/* Bytes of a copy that are in the page of this address. */
static size_t part_of(size_t address, size_t left)
{
    size_t in_page = PAGE_SIZE - (address & PAGE_MASK);

    return left < in_page ? left : in_page;
}

/* The byte at an address that mspace_resolve made present, until unlook(slot). */
static void *look(mspace_t *mspace, size_t address, unsigned slot)
{
    mmu_entry_t entry;

    splock_lock(&mspace->lock);
    entry = mmu_read(mspace->directory, align_down(address, PAGE_SIZE));
    splock_unlock(&mspace->lock);
    ASSERT((entry & MMU_PRESENT) != 0 && (slot == SLOT_FROM || (entry & MMU_WRITE) != 0));
    return (char *)mmu_temporary_map(slot, mmu_frame(entry)) + (address & PAGE_MASK);
}

static void unlook(unsigned slot)
{
    mmu_temporary_unmap(slot);
}

int mspace_copy_in(mspace_t *mspace, void *to, size_t from, size_t length, size_t *done)
{
    char *bytes = to;

    *done = 0;
    while (*done < length) {
        size_t part = part_of(from + *done, length - *done);
        int err = mspace_resolve(mspace, from + *done, part, false);

        if (err != 0)
            return err;
        memcpy(bytes + *done, look(mspace, from + *done, SLOT_FROM), part);
        unlook(SLOT_FROM);
        *done += part;
    }
    return 0;
}

int mspace_copy_out(mspace_t *mspace, size_t to, const void *from, size_t length, size_t *done)
{
    const char *bytes = from;

    *done = 0;
    while (*done < length) {
        size_t part = part_of(to + *done, length - *done);
        int err = mspace_resolve(mspace, to + *done, part, true);

        if (err != 0)
            return err;
        memcpy(look(mspace, to + *done, SLOT_TO), bytes + *done, part);
        unlook(SLOT_TO);
        *done += part;
    }
    return 0;
}

int mspace_copy(mspace_t *to_space, size_t to, mspace_t *from_space, size_t from,
                size_t length, size_t *done)
{
    *done = 0;
    while (*done < length) {
        size_t part = part_of(to + *done, part_of(from + *done, length - *done));
        int err = mspace_resolve(from_space, from + *done, part, false);

        /* The source comes first, and is looked at last: a write to its own page moves it. */
        if (err == 0)
            err = mspace_resolve(to_space, to + *done, part, true);
        if (err != 0)
            return err;
        const void *source = look(from_space, from + *done, SLOT_FROM);

        memcpy(look(to_space, to + *done, SLOT_TO), source, part);
        unlook(SLOT_TO);
        unlook(SLOT_FROM);
        *done += part;
    }
    return 0;
}
