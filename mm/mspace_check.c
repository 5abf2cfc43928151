/*
 * The checker of spaces: everything that memory.h and vma.h promise, recounted.
 */
#include <kernel/memory.h>
#include <kernel/virtual.h>

/* ---- areas */

/* Flags that need another, or exclude one. */
static const char *check_states(const vma_t *vma)
{
    if ((vma->flags & VMA_LOCKS) == VMA_LOCK_ON_FAULT)
        return "an area is locked on fault and not locked";
    if ((vma->flags & VMA_LOCKS) != 0 && ((vma->flags & VMA_DEAD) != 0 || vma->ops->foreign))
        return "an area is locked that cannot be";
    if ((vma->flags & VMA_WIPE_ON_FORK) != 0 &&
        ((vma->flags & VMA_SHARED) != 0 || vma->ops->backed))
        return "an area is wiped by a fork and has something behind it";
    return NULL;
}

static const char *check_flags(const mspace_t *mspace, const vma_t *vma)
{
    int granted = (vma->flags & VMA_CAPABILITIES) >> 4;
    int flags = (vma->flags & ~VMA_STATE) | granted;
    int complete = vma_check_flags(flags, vma->ino, vma->offset,
                                   vma->limit == VMA_ALL_ZERO ? 0 : vma->limit,
                                   mspace->directory == PAGE_NONE);

    if ((vma->flags & VMA_RIGHTS & ~granted) != 0)
        return "an area grants a right beyond its capabilities";
    /* Given once more with all its rights, an area's flags are complete. */
    if (complete < 0 || (complete & ~VMA_STATE) != flags)
        return "an area's flags break the rules of its kind";
    if (mspace->directory != PAGE_NONE && vma_is_charged(vma->flags) &&
        (vma->flags & VMA_ACCOUNTED) == 0)
        return "an area is private and writable and not charged";
    if (vma->ops != vma_ops_of(flags))
        return "an area has the ops of another kind";
    if (vma->limit < VMA_ALL_ZERO || vma->limit >= (off_t)vma->length)
        return "an area's limit does not lie inside it";
    if (vma->ino != NULL && vma->ino->users == 0)
        return "an area's file has no users";
    return check_states(vma);
}

static const char *check_area(const mspace_t *mspace, const vma_t *vma, const vma_t *previous)
{
    size_t free_from = previous != NULL ? vma_end(previous) : mspace->lower_bound;

    if (((vma_base(vma) | vma->length) & PAGE_MASK) != 0 || vma->length == 0)
        return "an area is empty or does not consist of whole pages";
    if (vma_base(vma) < mspace->lower_bound || vma_base(vma) >= mspace->upper_bound ||
        vma->length > mspace->upper_bound - vma_base(vma))
        return "an area lies outside the space";
    if (vma_base(vma) < free_from)
        return "two areas overlap";
    if (vma->gap != vma_base(vma) - free_from)
        return "the gap before an area is wrong";
    if (previous != NULL && vma_can_merge(previous, vma))
        return "two equal neighbours were not merged";
    return check_flags(mspace, vma);
}

static const char *check_areas(mspace_t *mspace)
{
    const vma_t *previous = NULL;
    size_t pages = 0;
    size_t charged = 0;
    size_t locked = 0;
    bool recent_is_there = mspace->tree.recent == NULL;
    const char *wrong = bbtree_check(&mspace->tree);

    for (vma_t *vma = vma_of(bbtree_first(&mspace->tree)); vma != NULL && wrong == NULL;
         vma = vma_next(vma)) {
        wrong = check_area(mspace, vma, previous);
        pages += vma->length >> PAGE_SHIFT;
        if ((vma->flags & VMA_ACCOUNTED) != 0)
            charged += vma->length >> PAGE_SHIFT;
        if ((vma->flags & VMA_LOCKED) != 0)
            locked += vma->length >> PAGE_SHIFT;
        recent_is_there |= &vma->node == mspace->tree.recent;
        previous = vma;
    }
    if (wrong == NULL && !recent_is_there)
        wrong = "the recent area is not in the tree";
    if (wrong == NULL && locked != mspace->locked)
        wrong = "locked is not the number of pages in locked areas";
    if (wrong == NULL && pages != mspace->v_size)
        wrong = "v_size is not the number of pages in areas";
    if (wrong == NULL && (charged != mspace->charged || charged > commit.charged))
        wrong = "charged is not the number of pages in charged areas";
    return wrong;
}

/* ---- entries */

typedef struct recount {
    const mspace_t *mspace;
    vma_t *vma;             /* the first that ends above the entries seen so far */
    size_t private;
    size_t object;
    const char *wrong;
} recount_t;

static const char *check_frame(const recount_t *recount, mmu_entry_t entry)
{
    const frame_t *frame = physical_frame(mmu_frame(entry));

    if (recount->vma->ops->foreign)
        return (entry & MMU_OBJECT) != 0 ? NULL : "a foreign frame is mapped as private";
    if (frame == NULL || frame->state != FRAME_USED || frame->count == 0)
        return "an entry names a frame that is not in use";
    if (mmu_frame(entry) == kMMU.zero_page)
        return (entry & MMU_OBJECT) == 0 ? "the page of zeroes is mapped as private"
               : (entry & MMU_WRITE) != 0 ? "the page of zeroes is mapped writable" : NULL;
    if ((entry & MMU_OBJECT) != 0) {
        if (frame->owner != OWNER_CACHE || frame->count < 2)
            return "an entry marked as a file's does not name one of the page cache's frames";
        return (entry & MMU_WRITE) == 0 || (recount->vma->flags & VMA_SHARED) != 0
               ? NULL : "a file's page is writable in a private area";
    }
    if (frame->owner != OWNER_ANON)
        return "a private entry names a frame of another owner";
    if ((entry & MMU_WRITE) != 0 && frame->count != 1)
        return "a private frame with several owners is writable";
    return NULL;
}

static const char *check_entry(const recount_t *recount, size_t vaddr, mmu_entry_t entry)
{
    const vma_t *vma = recount->vma;
    mmu_entry_t grants;

    if (vma == NULL || vaddr < vma_base(vma))
        return "an entry lies outside all areas";
    if ((vma->flags & VMA_DEAD) != 0)
        return "a dead area has an entry";
    grants = vma_entry_bits(vma);
    if ((entry & MMU_PRESENT) == 0) {
        if ((entry & MMU_HELD) == 0)
            return "an entry is neither present nor held";
        if (grants != 0)
            return "an entry is held though its area grants a right";
        return check_frame(recount, entry);
    }
    if (grants == 0 || (entry & MMU_USER) == 0)
        return "an entry is present though its area grants no right";
    if ((entry & MMU_WRITE) != 0 && (vma->flags & VMA_WRITE) == 0)
        return "an entry is writable and its area is not";
    if (mmu_can_forbid_execution() && ((entry ^ grants) & MMU_NOEXEC) != 0)
        return "an entry and its area differ about execution";
    return check_frame(recount, entry);
}

static mmu_entry_t recount_entry(void *context, size_t vaddr, mmu_entry_t entry)
{
    recount_t *recount = context;
    const char *wrong;

    while (recount->vma != NULL && vma_end(recount->vma) <= vaddr)
        recount->vma = vma_next(recount->vma);
    wrong = check_entry(recount, vaddr, entry);
    if (recount->wrong == NULL)
        recount->wrong = wrong;
    if ((entry & MMU_OBJECT) == 0)
        recount->private++;
    else if (mmu_frame(entry) != kMMU.zero_page && wrong == NULL && !recount->vma->ops->foreign)
        recount->object++;
    return entry;
}

static const char *check_entries(mspace_t *mspace)
{
    recount_t recount = { .mspace = mspace, .vma = vma_of(bbtree_first(&mspace->tree)) };

    mmu_change_range(mspace->directory, mspace->lower_bound,
                     mspace->upper_bound - mspace->lower_bound, recount_entry, &recount);
    if (recount.wrong != NULL)
        return recount.wrong;
    if (recount.private != mspace->p_size)
        return "p_size is not the number of private pages";
    if (recount.object != mspace->s_size)
        return "s_size is not the number of pages of files";
    if (mspace->phys_pg_count !=
        recount.private + recount.object + mmu_table_count(mspace->directory))
        return "phys_pg_count is not the number of frames in use";
    return NULL;
}

/* The kernel mspace: areas are mapped whole, with an unmapped page around each. */
static const char *check_kernel_areas(mspace_t *mspace)
{
    page_t table = kernel_pagetable();
    size_t private = 0;

    for (vma_t *vma = vma_of(bbtree_first(&mspace->tree)); vma != NULL; vma = vma_next(vma)) {
        if (vma->gap < PAGE_SIZE || mspace->upper_bound - vma_end(vma) < PAGE_SIZE ||
            get_translation(table, vma_base(vma) - PAGE_SIZE) != NO_TRANSLATION ||
            get_translation(table, vma_end(vma)) != NO_TRANSLATION)
            return "an area of the kernel has no guard page";
        for (size_t done = 0; done < vma->length; done += PAGE_SIZE) {
            page_t page = get_translation(table, vma_base(vma) + done);

            if (page == NO_TRANSLATION)
                return "an area of the kernel is not mapped whole";
            if (vma->ops->foreign && page != (page_t)vma->offset + done)
                return "an area of the kernel shows another frame";
            private += !vma->ops->foreign;
        }
    }
    if (private != mspace->p_size || mspace->s_size != 0 || mspace->phys_pg_count != private)
        return "the kernel mspace's counters are wrong";
    return NULL;
}

/* Whether the lowest place is where searches for it begin, or above. */
static bool is_full(const mspace_t *mspace)
{
    size_t high = mspace->stack_base != 0 ? mspace->stack_base - STACK_GUARD_GAP
                                          : mspace->upper_bound;
    vma_t *next;
    size_t place;

    if (mspace->full_end <= mspace->map_base)
        return true;
    place = vma_find_hole(&mspace->tree, mspace->map_base, high, mspace->full_length, &next);
    return place == 0 || place >= mspace->full_end;
}

const char *mspace_check(mspace_t *mspace)
{
    const char *wrong;

    splock_lock(&mspace->lock);
    wrong = check_areas(mspace);
    if (wrong == NULL)
        wrong = mspace->directory != PAGE_NONE ? check_entries(mspace)
                                               : check_kernel_areas(mspace);
    if (wrong == NULL && !is_full(mspace))
        wrong = "a place is free where searches leave it out";
    splock_unlock(&mspace->lock);
    return wrong;
}
