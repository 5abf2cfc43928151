/*
 * A second space like the first.
 *
 *      areas        a node each, in a new space, and charged once more
 *      tables       for all entries that will be shared
 *      entries      each frame counted once more, read-only in both
 *
 * Whatever runs out, the new space is closed, which takes back what it has.
 */
#include <kernel/errno.h>
#include <kernel/memory.h>
#include <kernel/panic.h>
#include <kernel/physical.h>

/* ---- areas */

/* An area's copy behind *last, which becomes the last one. */
static int copy_area(mspace_t *child, const vma_t *vma, vma_t **last)
{
    size_t pages = vma->length >> PAGE_SHIFT;
    vma_t *before = *last;
    vma_place_t place;
    vma_t copy = *vma;

    copy.flags &= ~VMA_LOCKS;
    if ((copy.flags & VMA_ACCOUNTED) != 0 && mspace_charge(child, pages) != 0)
        return -ENOMEM;
    if (before != NULL && vma_can_merge(before, &copy)) {
        /* What kept them apart is not handed on. */
        vma_append(before, &copy);
    } else {
        vma_t *node = mspace_take_node(child);

        if (node == NULL) {
            mspace_unpromise(child, copy.flags, pages);
            return -ENOMEM;
        }
        *node = copy;
        place = (vma_place_t){ .free_from = child->lower_bound, .previous = before };
        if (before != NULL)
            place.free_from = vma_end(before);
        vma_insert(&child->tree, node, &place);
        if (node->ino != NULL)
            inode_hold(node->ino);
        *last = node;
    }
    mspace_count_in(child, copy.flags, pages);
    return 0;
}

static int copy_areas(mspace_t *child, const mspace_t *mspace)
{
    vma_t *last = NULL;
    int err = 0;

    for (vma_t *vma = vma_of(bbtree_first(&mspace->tree)); vma != NULL && err == 0;
         vma = vma_next(vma))
        if ((vma->flags & (VMA_DEAD | VMA_DONT_FORK)) == 0)
            err = copy_area(child, vma, &last);
    return err;
}

/* ---- entries */

/* Whether an area's entries are shared now; what it has instead comes by faults. */
static bool has_shared_entries(const vma_t *vma)
{
    return (vma->flags & (VMA_SHARED | VMA_DEAD | VMA_DONT_FORK | VMA_WIPE_ON_FORK)) == 0 &&
           !vma->ops->foreign;
}

/*
 * The next areas in a row whose entries are shared, with short gaps: [*base, *end).
 *
 * => the area behind them; *base == *end: there are none any more
 */
static vma_t *next_run(vma_t *vma, size_t *base, size_t *end)
{
    *base = *end = 0;
    while (vma != NULL && !has_shared_entries(vma))
        vma = vma_next(vma);
    if (vma != NULL)
        *base = vma_base(vma);
    for (; vma != NULL && has_shared_entries(vma); vma = vma_next(vma)) {
        if (*end != 0 && vma->gap >= MSPACE_LONG_GAP)
            break;
        *end = vma_end(vma);
    }
    return vma;
}

/* One frame cannot have more references: the child gets a frame of its own. */
static int copy_entry(mmu_clone_t *clone, size_t vaddr, mmu_entry_t *entry)
{
    page_t page;

    (void)vaddr;
    ASSERT((*entry & (MMU_PRESENT | MMU_HELD)) != 0);       /* there are no swap slots yet */
    if ((*entry & MMU_OBJECT) != 0) {
        *entry = 0;         /* a file's, and so unchanged: it faults in again */
        return 0;
    }
    page = page_new(OWNER_ANON);
    if (page == PAGE_NONE)
        return -ENOMEM;
    mmu_copy_page(page, mmu_temporary_map(0, mmu_frame(*entry)));
    mmu_temporary_unmap(0);
    *entry = page | (*entry & PAGE_MASK);
    clone->private_count++;
    return 0;
}

static int make_tables(mspace_t *child, const mspace_t *mspace)
{
    vma_t *vma = vma_of(bbtree_first(&mspace->tree));
    size_t base, end;
    int err;

    do {
        vma = next_run(vma, &base, &end);
        err = mmu_clone_tables(mspace->directory, child->directory, base, end - base);
    } while (vma != NULL && err == 0);
    return err;
}

static int share_entries(mspace_t *child, mspace_t *mspace)
{
    mmu_clone_t clone = {
        .uncounted = kMMU.zero_page,
        .other = copy_entry,
    };
    vma_t *vma = vma_of(bbtree_first(&mspace->tree));
    size_t base, end;
    int err;

    do {
        vma = next_run(vma, &base, &end);
        err = mmu_clone_range(mspace->directory, child->directory, base, end - base, &clone);
    } while (vma != NULL && err == 0);
    mmu_clone_end(mspace->directory, child->directory, mspace->lower_bound,
                  mspace->upper_bound - mspace->lower_bound, &clone);
    mspace->stale_page = 0;
    child->p_size = clone.private_count;
    child->s_size = clone.object_count;
    return err;
}

/* ---- both */

static void copy_bounds(mspace_t *child, const mspace_t *mspace)
{
    child->lower_bound = mspace->lower_bound;
    child->upper_bound = mspace->upper_bound;
    child->map_base = mspace->map_base;
    child->limits = mspace->limits;
    child->stack_base = mspace->stack_base;
    child->stack_end = mspace->stack_end;
    child->break_start = mspace->break_start;
    child->break_end = mspace->break_end;
}

mspace_t *mspace_clone(mspace_t *mspace)
{
    mspace_t *child;
    int err;

    ASSERT(mspace->directory != PAGE_NONE);
    child = mspace_create();
    if (child == NULL)
        return NULL;
    splock_lock(&mspace->lock);
    splock_lock(&child->lock);
    copy_bounds(child, mspace);
    err = copy_areas(child, mspace);
    if (err == 0)
        err = make_tables(child, mspace);
    if (err == 0)
        err = share_entries(child, mspace);
    mspace_account(child);
    splock_unlock(&child->lock);
    splock_unlock(&mspace->lock);
    if (err == 0)
        return child;
    mspace_close(child);
    return NULL;
}
