/*
 * Page faults in a program's memory.
 *
 * What happens is decided by the page's entry, its area and the access. One row,
 * one function:
 *
 *  entry                 area                    access  action
 *  --------------------  ----------------------  ------  ---------------------------------
 *  any                   none, or access not     any     SIGSEGV, explained     (look_up)
 *                        allowed: read needs any
 *                        right, write WRITE,
 *                        execute EXEC or, where
 *                        the processor cannot
 *                        tell, any right
 *  any                   below a stack that may  any     the stack grows     (grow_stack)
 *                        grow
 *  empty                 anon, private           read    the zero frame, read-only
 *                                                             (fill_zeroes, fill_missing)
 *  empty                 anon, private           write   a zeroed frame
 *                                                             (fill_zeroes, fill_missing)
 *  empty                 file                    read    the page cache's frame, read-only;
 *                                                        neighbours that are cached, too
 *                                                           (fill_missing, fault_around.c)
 *  empty                 file, shared            write   the page cache's frame, writable
 *                                                                          (fill_missing)
 *  empty                 file, private           write   a copy            (fill_missing)
 *  empty                 past `limit`            any     zeroes; a page wholly past the
 *                                                        file's end: SIGBUS
 *                                                                          (fill_missing)
 *  empty                 physical                any     that frame        (fill_missing)
 *  held                  any                     any     present again     (bring_back)
 *  present, read-only    shared                  write   writable          (let_shared)
 *  present, zero frame   private                 write   a zeroed frame    (replace_zeroes)
 *  present, read-only    private                 write   sole owner: writable (take_over);
 *                                                        else a copy       (copy_page)
 *  present, and already  any                     any     stale TLB: flush the page; a
 *  allows the access                                     second identical fault with
 *                                                        nothing changed between is a
 *                                                        kernel bug        (flush_stale)
 *
 * Which kind an area is, only its ops know.
 */
#include <kernel/errno.h>
#include <kernel/fault.h>
#include <kernel/panic.h>
#include <kernel/printk.h>
#include <kernel/virtual.h>

/* Pages made present at a time: their tables are made first, and there may be few left. */
enum { RESOLVE_PAGES = 1024 };

/* An access to one page of an area that grants it. */
typedef struct attempt {
    mspace_t *mspace;
    vma_t *vma;
    size_t vaddr;           /* the page's */
    bool write;
    mmu_place_t place;
    mmu_entry_t entry;      /* what is there */
} attempt_t;

/* ---- one function a row */

static fault_reason_t reason_of(int err)
{
    switch (err) {
    case 0:
        return FAULT_RESOLVED;
    case -ENXIO:
        return FAULT_PAST_END;
    case -EIO:
        return FAULT_IO;
    default:
        return FAULT_NO_MEMORY;
    }
}

/* Change the entry of a page whose table is there. */
static inline fault_reason_t put(attempt_t *attempt, mmu_entry_t entry)
{
    attempt->mspace->stale_page = 0;
    mmu_set(&attempt->place, entry);
    return FAULT_RESOLVED;
}

static inline bool is_counted(const vma_t *vma, mmu_entry_t entry)
{
    return mmu_frame(entry) != kMMU.zero_page && !vma->ops->foreign;
}

/* An entry goes where nothing was. */
static inline void count_page(mspace_t *mspace, const vma_t *vma, mmu_entry_t entry)
{
    if (!is_counted(vma, entry))
        return;
    if ((entry & MMU_OBJECT) != 0)
        mspace->s_size++;
    else
        mspace->p_size++;
    mspace->phys_pg_count++;
}

/* Map a frame where nothing was. => its table may have to be made */
static inline fault_reason_t put_missing(attempt_t *attempt, mmu_entry_t entry)
{
    mspace_t *mspace = attempt->mspace;

    if (attempt->place.entry == NULL) {
        if (mmu_make(mspace->directory, attempt->vaddr, &attempt->place) != 0) {
            if (is_counted(attempt->vma, entry))
                page_release(mmu_frame(entry));
            return FAULT_NO_MEMORY;
        }
        mspace_account(mspace);
    }
    count_page(mspace, attempt->vma, entry);
    mmu_put(&attempt->place, entry);
    mspace->stale_page = 0;
    return FAULT_RESOLVED;
}

/* The entry for a page that has none. => as vma_ops_t's fill */
static inline int make_entry(mspace_t *mspace, vma_t *vma, size_t vaddr, bool write,
                             mmu_entry_t *entry)
{
    int err;

    *entry = 0;
    err = vma->ops->fill(mspace, vma, vaddr, write, entry);
    if (UNLIKELY(err != 0))
        return err;
    if ((vma->flags & VMA_WRITE) == 0)
        *entry &= ~(mmu_entry_t)MMU_WRITE;
    *entry |= vma_entry_bits(vma);
    return 0;
}

static NOINLINE fault_reason_t fill_missing(attempt_t *attempt)
{
    const vma_ops_t *ops = attempt->vma->ops;
    mmu_entry_t entry;
    int err = make_entry(attempt->mspace, attempt->vma, attempt->vaddr, attempt->write, &entry);

    if (UNLIKELY(err != 0))
        return reason_of(err);
    if (!attempt->write && ops->cached != NULL && kMMU.fault_around > 1)
        return reason_of(fault_map_around(attempt->mspace, attempt->vma, attempt->vaddr, entry));
    return put_missing(attempt, entry);
}

/* The same where it means zeroes and the table is there: what most faults are. */
static inline fault_reason_t fill_zeroes(mspace_t *mspace, const vma_t *vma, bool write,
                                         const mmu_place_t *place)
{
    mmu_entry_t entry;

    if (UNLIKELY(vma_fill_zeroes(write, &entry) != 0))
        return FAULT_NO_MEMORY;
    if (write) {
        mspace->p_size++;
        mspace->phys_pg_count++;
    }
    mmu_put(place, entry | vma_granted_bits(vma));
    mspace->stale_page = 0;
    return FAULT_RESOLVED;
}

static NOINLINE fault_reason_t bring_back(attempt_t *attempt)
{
    return put(attempt, vma_entry(attempt->vma, attempt->entry));
}

/* The processor marks the entry dirty; the frame is the file's only storage anyway. */
static NOINLINE fault_reason_t let_shared(attempt_t *attempt)
{
    return put(attempt, attempt->entry | MMU_WRITE);
}

/* A private frame of our own instead of what is mapped now. */
static inline fault_reason_t put_own(attempt_t *attempt, page_t page)
{
    mmu_replace(&attempt->place, page | vma_granted_bits(attempt->vma) | MMU_WRITE);
    attempt->mspace->stale_page = 0;
    return FAULT_RESOLVED;
}

static NOINLINE fault_reason_t replace_zeroes(attempt_t *attempt)
{
    page_t page = page_new(OWNER_ANON);

    if (UNLIKELY(page == PAGE_NONE))
        return FAULT_NO_MEMORY;
    mmu_clear_page(page);
    attempt->mspace->p_size++;
    attempt->mspace->phys_pg_count++;
    return put_own(attempt, page);
}

static NOINLINE fault_reason_t take_over(attempt_t *attempt)
{
    attempt->mspace->stale_page = 0;
    mmu_allow_write(&attempt->place);
    return FAULT_RESOLVED;
}

static NOINLINE fault_reason_t copy_page(attempt_t *attempt)
{
    page_t page = page_new(OWNER_ANON);

    if (page == PAGE_NONE)
        return FAULT_NO_MEMORY;
    if (attempt->mspace->directory == current_pagetable()) {
        /* It is mapped already, where the access was. */
        mmu_copy_page(page, (const void *)attempt->vaddr);
    } else {
        mmu_copy_page(page, mmu_temporary_map(0, mmu_frame(attempt->entry)));
        mmu_temporary_unmap(0);
    }
    put_own(attempt, page);
    if ((attempt->entry & MMU_OBJECT) != 0) {
        attempt->mspace->s_size--;
        attempt->mspace->p_size++;
    }
    page_release(mmu_frame(attempt->entry));
    return FAULT_RESOLVED;
}

static NOINLINE fault_reason_t flush_stale(attempt_t *attempt)
{
    mspace_t *mspace = attempt->mspace;
    size_t what = attempt->vaddr | 1 | (attempt->write ? 2 : 0);

    if (mspace->stale_page == what)
        return FAULT_KERNEL_BUG;
    mspace->stale_page = what;
    mmu_flush(mspace->directory, attempt->vaddr);
    return FAULT_RESOLVED;
}

/* ---- the decision */

static inline bool allows_already(const attempt_t *attempt)
{
    return (attempt->entry & MMU_PRESENT) != 0 &&
           (!attempt->write || (attempt->entry & MMU_WRITE) != 0);
}

/* => the entry does not allow the access yet */
static inline fault_reason_t resolve(attempt_t *attempt)
{
    mmu_entry_t entry = attempt->entry;

    if (entry == 0)
        return fill_missing(attempt);
    if ((entry & MMU_PRESENT) == 0)
        return (entry & MMU_HELD) != 0 ? bring_back(attempt) : FAULT_KERNEL_BUG;
    if ((attempt->vma->flags & VMA_SHARED) != 0)
        return let_shared(attempt);
    if (mmu_frame(entry) == kMMU.zero_page)
        return replace_zeroes(attempt);
    if ((entry & MMU_OBJECT) == 0 && page_is_alone(mmu_frame(entry)))
        return take_over(attempt);
    return copy_page(attempt);
}

/* Whether an area may be so close below a stack. => hole: free bytes between them */
static bool is_clear_below(const vma_t *below, size_t hole)
{
    return below == NULL || (below->flags & VMA_RIGHTS) == 0 ||
           (below->flags & VMA_GROWS_DOWN) != 0 || hole >= STACK_GUARD_GAP;
}

/* The lowest address that an area that grows down may reach, as far as its limit goes. */
static size_t lowest_reach(const mspace_t *mspace, const vma_t *vma)
{
    size_t pages = (vma_end(vma) - mspace->lower_bound) >> PAGE_SHIFT;

    return pages > mspace->limits.stack
           ? vma_end(vma) - (mspace->limits.stack << PAGE_SHIFT) : mspace->lower_bound;
}

/*
 * Nothing is at the page: let the stack above, if there is one, grow down to it.
 *
 * => FAULT_RESOLVED: the stack is the recent area
 */
static inline fault_reason_t grow_stack(mspace_t *mspace, size_t vaddr, vma_t *above)
{
    size_t more;
    size_t hole;            /* bytes that stay free below it */

    if (above == NULL || (above->flags & (VMA_GROWS_DOWN | VMA_DEAD)) != VMA_GROWS_DOWN ||
        vaddr < mspace->lower_bound)
        return FAULT_NO_AREA;
    if (UNLIKELY((vma_end(above) - vaddr) >> PAGE_SHIFT > mspace->limits.stack))
        return lowest_reach(mspace, above) - vaddr <= STACK_GUARD_GAP ? FAULT_STACK_LIMIT
                                                                      : FAULT_NO_AREA;
    more = vma_base(above) - vaddr;
    hole = above->gap - more;
    if ((hole < STACK_GUARD_GAP && !is_clear_below(vma_previous(above), hole)) ||
        mspace_promise(mspace, above->flags, more >> PAGE_SHIFT) != 0)
        return FAULT_STACK_LIMIT;
    mspace_count_in(mspace, above->flags, more >> PAGE_SHIFT);
    vma_set_base(above, vaddr);
    /* It may have closed a hole that the program made in it. */
    if (hole == 0)
        above = mspace_merge(mspace, above);
    mspace->tree.recent = &above->node;
    return FAULT_RESOLVED;
}

static inline bool is_in(const vma_t *vma, size_t vaddr)
{
    return vma != NULL && vaddr - vma_base(vma) < vma->length;
}

/* An address that lies in no hole below an area wraps to above all. */
static inline bool is_right_below(const vma_t *vma, size_t vaddr)
{
    return vma != NULL && vma_base(vma) - vaddr <= vma->gap;
}

/* Whether the area grants the access that `code` names. */
static ALWAYS_INLINE bool allows(const vma_t *vma, unsigned code)
{
    return vma_allows(vma, (code & FAULT_WRITE) != 0, (code & FAULT_EXECUTE) != 0);
}

/* An access that is not in the recent area. => FAULT_RESOLVED: it is in the recent one now */
static NOINLINE fault_reason_t search(mspace_t *mspace, size_t vaddr)
{
    vma_t *above = vma_of(mspace->tree.recent);

    if (!is_right_below(above, vaddr)) {
        vma_t *found = vma_of(bbtree_search_le(&mspace->tree, vaddr));

        if (LIKELY(is_in(found, vaddr))) {
            mspace->tree.recent = &found->node;
            return FAULT_RESOLVED;
        }
        above = found == NULL ? vma_of(bbtree_first(&mspace->tree)) : vma_next(found);
    }
    /* It grows, as Linux's areas do, even for an access that it does not allow then. */
    return grow_stack(mspace, vaddr, above);
}

/* The area for an access. => FAULT_RESOLVED: *vma grants it */
static ALWAYS_INLINE fault_reason_t look_up(mspace_t *mspace, size_t vaddr, unsigned code,
                                            vma_t **vma)
{
    vma_t *found = vma_of(mspace->tree.recent);

    if (UNLIKELY(!is_in(found, vaddr))) {
        fault_reason_t reason = search(mspace, vaddr);

        if (reason != FAULT_RESOLVED)
            return reason;
        found = vma_of(mspace->tree.recent);
    }
    *vma = found;
    if (UNLIKELY((found->flags & VMA_DEAD) != 0))
        return FAULT_DEAD_AREA;
    return allows(found, code) ? FAULT_RESOLVED : FAULT_NO_RIGHT;
}

/* ---- faults */

static NOINLINE fault_reason_t resolve_fault(attempt_t *attempt)
{
    return allows_already(attempt) ? flush_stale(attempt) : resolve(attempt);
}

/* => write: as in `code`, and a constant */
static ALWAYS_INLINE fault_reason_t handle(mspace_t *mspace, size_t vaddr, unsigned code,
                                           const bool write)
{
    attempt_t attempt;
    fault_reason_t reason;
    vma_t *vma;

    if (UNLIKELY((code & FAULT_RESERVED) != 0))
        return FAULT_KERNEL_BUG;
    reason = look_up(mspace, vaddr, code, &vma);
    if (UNLIKELY(reason != FAULT_RESOLVED))
        return reason;
    attempt.entry = mmu_find(mspace->directory, vaddr, &attempt.place);
    if (LIKELY(attempt.entry == 0) && LIKELY(vma->ops->zeroes) &&
        LIKELY(attempt.place.entry != NULL))
        return fill_zeroes(mspace, vma, write, &attempt.place);
    attempt.mspace = mspace;
    attempt.vma = vma;
    attempt.vaddr = vaddr;
    attempt.write = write;
    return resolve_fault(&attempt);
}

fault_reason_t fault_resolve(mspace_t *mspace, size_t address, unsigned code)
{
    fault_reason_t reason;

    splock_lock(&mspace->lock);
    if ((code & FAULT_WRITE) != 0)
        reason = handle(mspace, align_down(address, PAGE_SIZE), code, true);
    else
        reason = handle(mspace, align_down(address, PAGE_SIZE), code, false);
    if (LIKELY(reason == FAULT_RESOLVED)) {
        mspace->faults++;
        kMMU.soft_faults++;
    }
    splock_unlock(&mspace->lock);
    return reason;
}

void fault_describe(mspace_t *mspace, fault_t *fault)
{
    size_t vaddr = align_down(fault->address, PAGE_SIZE);
    vma_t *vma;
    vma_t *below;

    if ((fault->code & FAULT_USER) != 0)
        kMMU.hard_faults++;
    splock_lock(&mspace->lock);
    vma = vma_at_or_above(&mspace->tree, vaddr);
    below = vma != NULL ? vma_previous(vma) : vma_of(bbtree_last(&mspace->tree));
    fault->entry = 0;
    if (vaddr >= mspace->lower_bound && vaddr < mspace->upper_bound)
        fault->entry = mmu_read(mspace->directory, vaddr);
    fault->has_area = vma != NULL;
    if (vma != NULL) {
        fault->area_base = vma_base(vma);
        fault->area_end = vma_end(vma);
        fault->area_flags = vma->flags;
        vma->ops->describe(vma, fault->area_name, sizeof(fault->area_name));
    }
    fault->has_below = below != NULL && (vma == NULL || vaddr < vma_base(vma));
    if (fault->has_below) {
        fault->below_base = vma_base(below);
        fault->below_end = vma_end(below);
        fault->below_flags = below->flags;
        below->ops->describe(below, fault->below_name, sizeof(fault->below_name));
    }
    fault->stack_base = vma != NULL && (vma->flags & VMA_GROWS_DOWN) != 0
                        ? lowest_reach(mspace, vma) : 0;
    fault->was_unmapped = fault->address >= mspace->unmapped_base &&
                          fault->address < mspace->unmapped_end;
    splock_unlock(&mspace->lock);
}

fault_reason_t fault_handle(mspace_t *mspace, fault_t *fault)
{
    fault->reason = fault_resolve(mspace, fault->address, fault->code);
    if (fault->reason != FAULT_RESOLVED)
        fault_describe(mspace, fault);
    return fault->reason;
}

/* ---- making pages present without a fault */

static int error_of(fault_reason_t reason)
{
    switch (reason) {
    case FAULT_RESOLVED:
        return 0;
    case FAULT_IO:
        return -EIO;
    case FAULT_NO_MEMORY:
        return -ENOMEM;
    default:
        return -EFAULT;
    }
}

static NOINLINE fault_reason_t make_present(mspace_t *mspace, vma_t *vma, size_t vaddr, bool write)
{
    attempt_t attempt;

    attempt.mspace = mspace;
    attempt.vma = vma;
    attempt.vaddr = vaddr;
    attempt.write = write;
    attempt.entry = mmu_find(mspace->directory, vaddr, &attempt.place);
    return allows_already(&attempt) ? FAULT_RESOLVED : resolve(&attempt);
}

/* Pages of an area that get an entry, all by one call of the border. */
typedef struct population {
    mspace_t *mspace;
    vma_t *vma;
    bool write;
    bool skip_past_end;     /* pages past the file's end stay empty: no error */
    size_t count;           /* pages that were empty */
} population_t;

static int populate_page(void *context, size_t vaddr, mmu_entry_t *entry)
{
    population_t *population = context;
    int err = make_entry(population->mspace, population->vma, vaddr, population->write, entry);

    population->count++;
    if (err == 0)
        count_page(population->mspace, population->vma, *entry);
    return err == -ENXIO && population->skip_past_end ? 0 : err;
}

/* The same where a missing page means zeroes. */
static int populate_zeroes(void *context, size_t vaddr, mmu_entry_t *entry)
{
    population_t *population = context;

    (void)vaddr;
    population->count++;
    if (UNLIKELY(vma_fill_zeroes(population->write, entry) != 0))
        return -ENOMEM;
    *entry |= vma_granted_bits(population->vma);
    population->mspace->p_size += population->write;
    return 0;
}

static int populate(population_t *population, size_t base, size_t length)
{
    mspace_t *mspace = population->mspace;
    mmu_fill_t *fill = population->vma->ops->zeroes ? populate_zeroes : populate_page;
    int err = mmu_fill_range(mspace->directory, base, length, fill, population);

    mspace->stale_page = 0;
    mspace_account(mspace);
    return err;
}

int fault_populate(mspace_t *mspace, vma_t *vma, size_t base, size_t length)
{
    population_t population = {
        .mspace = mspace,
        .vma = vma,
        .write = vma_allows(vma, true, false),
        .skip_past_end = true,
    };

    ASSERT(splock_held(&mspace->lock));
    if ((vma->flags & VMA_RIGHTS) == 0)
        return 0;
    return populate(&population, base, length);
}

/* The same as an access to each page, which the area grants. */
static fault_reason_t make_range_present(mspace_t *mspace, vma_t *vma, size_t base,
                                         size_t length, bool write)
{
    population_t population = { .mspace = mspace, .vma = vma, .write = write };
    fault_reason_t reason = reason_of(populate(&population, base, length));

    if (population.count == length >> PAGE_SHIFT || reason == FAULT_NO_MEMORY)
        return reason;
    /* Some had an entry before, which may not allow the access: up to the first that fails. */
    reason = FAULT_RESOLVED;
    for (size_t done = 0; done < length && reason == FAULT_RESOLVED; done += PAGE_SIZE)
        reason = make_present(mspace, vma, base + done, write);
    return reason;
}

int mspace_resolve(mspace_t *mspace, size_t address, size_t length, bool write)
{
    size_t base = align_down(address, PAGE_SIZE);
    size_t count;
    fault_reason_t reason = FAULT_RESOLVED;
    vma_t *vma = NULL;

    if (length == 0)
        return 0;
    if (address < mspace->lower_bound || address >= mspace->upper_bound ||
        length > mspace->upper_bound - address)
        return -EFAULT;
    count = ((address - base) + length + PAGE_MASK) >> PAGE_SHIFT;
    splock_lock(&mspace->lock);
    for (size_t vaddr = base; count > 0 && reason == FAULT_RESOLVED; ) {
        size_t step = count < RESOLVE_PAGES ? count : RESOLVE_PAGES;

        if (vma == NULL || vaddr >= vma_end(vma))
            reason = look_up(mspace, vaddr, write ? FAULT_WRITE : 0, &vma);
        if (reason != FAULT_RESOLVED)
            break;
        if (step > (vma_end(vma) - vaddr) >> PAGE_SHIFT)
            step = (vma_end(vma) - vaddr) >> PAGE_SHIFT;
        reason = make_range_present(mspace, vma, vaddr, step << PAGE_SHIFT, write);
        vaddr += step << PAGE_SHIFT;
        count -= step;
    }
    splock_unlock(&mspace->lock);
    return error_of(reason);
}
