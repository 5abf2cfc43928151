/*
 * Address spaces: making and ending them, finding areas, taking areas out.
 *
 * Everything that takes pages and areas out goes through mspace_revoke and
 * mspace_remove. Neither can fail: a call reserves what it may need (the second
 * half of an area that is cut in two) before it changes anything.
 */
#include <kernel/errno.h>
#include <kernel/kheap.h>
#include <kernel/memory.h>
#include <kernel/pagecache.h>
#include <kernel/panic.h>
#include <kernel/virtual.h>

struct kMMU kMMU;

static mspace_t kernel_mspace;

mspace_t *mspace_list;

/* ---- making and ending */

static void init_mspace(mspace_t *mspace, page_t directory, size_t lower_bound,
                        size_t upper_bound)
{
    *mspace = (mspace_t){
        .users = 1,
        .directory = directory,
        .lower_bound = lower_bound,
        .upper_bound = upper_bound,
        .map_base = lower_bound,
        .full_length = SIZE_MAX,
        .limits = { SIZE_MAX, SIZE_MAX, SIZE_MAX, MSPACE_LOCK_LIMIT },
    };
    bbtree_init(&mspace->tree, vma_update);
    splock_init(&mspace->lock);
}

const char *memory_init(void)
{
    page_t zero_page = page_new(OWNER_KERNEL);

    if (zero_page == PAGE_NONE)
        return "There is no memory for the page of zeroes.";
    mmu_clear_page(zero_page);
    pagecache_init();
    commit.charged = 0;
    init_mspace(&kernel_mspace, PAGE_NONE, KSPACE_BASE, KSPACE_END);
    kMMU = (struct kMMU){
        .page_size = PAGE_SIZE,
        .upper_physical_page = physical_mem_info.physical_heap_end >> PAGE_SHIFT,
        .pages_amount = physical_mem_info.total,
        .zero_page = zero_page,
        .kspace = &kernel_mspace,
        .fault_around = 1,
    };
    mspace_list = NULL;
    kmmu_refresh();
    return NULL;
}

void kmmu_refresh(void)
{
    kMMU.free_pages = physical_figures()->free;
}

mspace_t *mspace_create(void)
{
    mspace_t *mspace = kmalloc(sizeof(*mspace));
    page_t directory;

    if (mspace == NULL)
        return NULL;
    directory = create_pagetable();
    if (directory == PAGE_NONE) {
        kfree(mspace);
        return NULL;
    }
    init_mspace(mspace, directory, USER_BASE, USER_END);
    mspace_account(mspace);
    mspace->next_space = mspace_list;
    mspace->link_space = &mspace_list;
    if (mspace_list != NULL)
        mspace_list->link_space = &mspace->next_space;
    mspace_list = mspace;
    return mspace;
}

mspace_t *mspace_open(mspace_t *mspace)
{
    splock_lock(&mspace->lock);
    ASSERT(mspace->users > 0);
    mspace->users++;
    splock_unlock(&mspace->lock);
    return mspace;
}

void mspace_close(mspace_t *mspace)
{
    long users;

    splock_lock(&mspace->lock);
    ASSERT(mspace->users > 0);
    users = --mspace->users;
    splock_unlock(&mspace->lock);
    if (users != 0)
        return;
    ASSERT(mspace != kMMU.kspace && mspace->directory != current_pagetable());
    *mspace->link_space = mspace->next_space;
    if (mspace->next_space != NULL)
        mspace->next_space->link_space = mspace->link_space;
    mspace_sweep(mspace);
    while (mspace->spare != NULL)
        kfree(mspace_take_node(mspace));
    delete_pagetable(mspace->directory);
    kfree(mspace);
}

/* ---- finding */

vma_t *mspace_search_vma(mspace_t *mspace, size_t address)
{
    vma_t *vma = vma_of(bbtree_search_le(&mspace->tree, address));

    return vma != NULL && address - vma_base(vma) < vma->length ? vma : NULL;
}

/* ---- nodes */

vma_t *mspace_take_node(mspace_t *mspace)
{
    vma_t *vma = mspace->spare;

    if (UNLIKELY(mspace->tree.count > MSPACE_AREAS_MAX))
        return NULL;
    if (vma == NULL)
        return kmalloc(sizeof(*vma));
    mspace->spare = vma_of(vma->node.left);
    mspace->spare_count--;
    return vma;
}

vma_t *mspace_take_second_half(mspace_t *mspace)
{
    return mspace->tree.count < MSPACE_AREAS_MAX ? mspace_take_node(mspace) : NULL;
}

void mspace_give_node(mspace_t *mspace, vma_t *vma)
{
    if (vma == NULL)
        return;
    if (mspace->spare_count == MSPACE_SPARES) {
        kfree(vma);
        return;
    }
    vma->node.left = (bbnode_t *)mspace->spare;
    mspace->spare = vma;
    mspace->spare_count++;
}

void mspace_free_vma(mspace_t *mspace, vma_t *vma)
{
    if (vma->ino != NULL)
        inode_release(vma->ino);
    mspace_give_node(mspace, vma);
}

/* ---- cutting */

int mspace_reserve_cuts(mspace_t *mspace, const vma_t *first, const vma_t *last,
                        size_t base, size_t end, mspace_cuts_t *cuts)
{
    *cuts = (mspace_cuts_t){ NULL, NULL };
    if (vma_base(first) < base && (cuts->at_base = mspace_take_second_half(mspace)) == NULL)
        return -ENOMEM;
    if (vma_end(last) > end && (cuts->at_end = mspace_take_second_half(mspace)) == NULL) {
        /* Not kept in hand: the heap's last buffer would keep all before it. */
        kfree(cuts->at_base);
        return -ENOMEM;
    }
    return 0;
}

vma_t *mspace_cut(mspace_t *mspace, vma_t *first, vma_t *last, size_t base, size_t end,
                  const mspace_cuts_t *cuts)
{
    if (cuts->at_end != NULL)
        vma_split(&mspace->tree, last, end, cuts->at_end);
    if (cuts->at_base == NULL)
        return first;
    vma_split(&mspace->tree, first, base, cuts->at_base);
    return cuts->at_base;
}

/* ---- promises */

bool mspace_may_have_data(mspace_t *mspace, size_t pages)
{
    for (vma_t *vma = vma_of(bbtree_first(&mspace->tree)); vma != NULL; vma = vma_next(vma))
        if (vma_is_data(vma->flags))
            pages += vma->length >> PAGE_SHIFT;
    return pages <= mspace->limits.data;
}

/* ---- taking out pages */

void mspace_drop_entry(mspace_t *mspace, mmu_entry_t entry)
{
    page_t page = mmu_frame(entry);

    if ((entry & MMU_OBJECT) == 0)
        mspace->p_size--;
    else if (page != kMMU.zero_page)
        mspace->s_size--;
    else
        return;
    page_release(page);
}

/* Take the pages of a range out that are all our own. */
static void release_range(mspace_t *mspace, size_t base, size_t length)
{
    mmu_released_t released;

    mmu_release_range(mspace->directory, base, length, kMMU.zero_page, &released);
    mspace->p_size -= released.pages - released.objects;
    mspace->s_size -= released.objects;
}

static mmu_entry_t forget_entry(void *context, size_t vaddr, mmu_entry_t entry)
{
    (void)context;
    (void)vaddr;
    (void)entry;
    return 0;
}

static inline void change_ours(mspace_t *mspace, size_t base, size_t end, mmu_change_t *ours,
                               void *context)
{
    if (base >= end)
        return;
    if (ours != NULL)
        mmu_change_range(mspace->directory, base, end - base, ours, context);
    else
        release_range(mspace, base, end - base);
}

void mspace_change_entries(mspace_t *mspace, vma_t *first, size_t base, size_t end,
                           mmu_change_t *ours, mmu_change_t *foreign, void *context)
{
    size_t from = base;
    size_t to = base;           /* [from, to) is still to do */

    ASSERT(splock_held(&mspace->lock));
    /* One sweep over neighbouring areas however many there are. */
    for (vma_t *vma = first; vma != NULL && vma_base(vma) < end; vma = vma_next(vma)) {
        size_t start = vma_base(vma) > base ? vma_base(vma) : base;
        size_t stop = vma_end(vma) < end ? vma_end(vma) : end;

        if (UNLIKELY(vma->ops->foreign || start - to >= MSPACE_LONG_GAP)) {
            change_ours(mspace, from, to, ours, context);
            from = start;
        }
        if (UNLIKELY(vma->ops->foreign)) {
            mmu_change_range(mspace->directory, start, stop - start, foreign, context);
            from = stop;
        }
        to = stop;
        if (stop == end)
            break;
    }
    change_ours(mspace, from, to, ours, context);
    mspace->stale_page = 0;
    mspace_account(mspace);
}

void mspace_revoke(mspace_t *mspace, vma_t *first, size_t base, size_t end)
{
    mspace_note_peaks(mspace);
    if (LIKELY(first != NULL && vma_end(first) >= end && !first->ops->foreign)) {
        release_range(mspace, base, end - base);
        mspace->stale_page = 0;
        mspace_account(mspace);
        return;
    }
    mspace_change_entries(mspace, first, base, end, NULL, forget_entry, NULL);
}

/* ---- taking out areas */

/* Take out the areas from `first` to before `behind`, which are most of those there are. */
static void remove_most(mspace_t *mspace, vma_t *first, vma_t *behind)
{
    bbnode_t *node;
    bbnode_t *next;

    if (behind != NULL)
        behind->gap = vma_base(behind) - (vma_base(first) - first->gap);
    node = bbtree_remove_run(&mspace->tree, vma_node(first), vma_node(behind));
    for (; node != NULL; node = next) {
        vma_t *vma = vma_of(node);

        next = node->left;
        mspace_count_out(mspace, vma->flags, vma->length >> PAGE_SHIFT);
        mspace_free_vma(mspace, vma);
    }
}

/*
 * Take out the areas from `vma` on that lie below `end`.
 *
 * => the first that was left, with its gap put right
 */
static vma_t *remove_below(mspace_t *mspace, vma_t *vma, size_t end)
{
    vma_t *behind;
    size_t count = 0;
    size_t freed = 0;

    for (behind = vma; behind != NULL && vma_end(behind) <= end; behind = vma_next(behind))
        count++;
    if (count > mspace->tree.count / 2) {
        remove_most(mspace, vma, behind);
        return behind;
    }
    while (vma != behind) {
        vma_t *next = vma_next(vma);

        freed += vma->gap + vma->length;
        mspace_count_out(mspace, vma->flags, vma->length >> PAGE_SHIFT);
        vma_remove(&mspace->tree, vma, NULL);
        mspace_free_vma(mspace, vma);
        vma = next;
    }
    if (vma != NULL && freed != 0) {
        vma->gap += freed;
        vma_refresh(vma);
    }
    return vma;
}

vma_t *mspace_remove(mspace_t *mspace, vma_t *first, size_t base, size_t end, vma_t *spare)
{
    vma_t *vma = first;

    ASSERT((spare != NULL) == mspace_cuts_in_two(first, base, end));
    if (vma == NULL || vma_base(vma) >= end)
        return vma;
    if (spare != NULL) {
        vma_split(&mspace->tree, vma, end, spare);
        vma_cut_above(vma, base);
        mspace_count_out(mspace, vma->flags, (end - base) >> PAGE_SHIFT);
        mspace_note_hole(mspace, spare);
        return spare;
    }
    if (vma_base(vma) < base) {
        mspace_count_out(mspace, vma->flags, (vma_end(vma) - base) >> PAGE_SHIFT);
        vma_cut_above(vma, base);
        vma = vma_next(vma);
    }
    vma = remove_below(mspace, vma, end);
    if (vma != NULL && vma_base(vma) < end) {
        mspace_count_out(mspace, vma->flags, (end - vma_base(vma)) >> PAGE_SHIFT);
        vma_cut_below(vma, end);
    }
    mspace_note_hole(mspace, vma);
    return vma;
}

/* Take an area out, whole, with its pages, which are our own. */
static inline void take_out_area(mspace_t *mspace, vma_t *vma)
{
    vma_t *next = vma_next(vma);

    release_range(mspace, vma_base(vma), vma->length);
    mspace->stale_page = 0;
    mspace_account(mspace);
    mspace_count_out(mspace, vma->flags, vma->length >> PAGE_SHIFT);
    vma_remove(&mspace->tree, vma, next);
    mspace_note_hole(mspace, next);
    mspace_free_vma(mspace, vma);
}

void mspace_take_out_tail(mspace_t *mspace, vma_t *vma, size_t base)
{
    size_t end = vma_end(vma);

    mspace_revoke(mspace, vma, base, end);
    vma_cut_above(vma, base);
    mspace_count_out(mspace, vma->flags, (end - base) >> PAGE_SHIFT);
    if (base < mspace->full_end)
        mspace->full_end = base;
}

int mspace_take_out_parts(mspace_t *mspace, vma_t *first, size_t base, size_t end)
{
    vma_t *spare = NULL;

    if (vma_base(first) < base && vma_end(first) == end) {
        mspace_take_out_tail(mspace, first, base);
        return 0;
    }
    if (mspace_cuts_in_two(first, base, end)) {
        spare = mspace_take_second_half(mspace);
        if (spare == NULL)
            return -ENOMEM;
    }
    mspace_revoke(mspace, first, base, end);
    mspace_remove(mspace, first, base, end, spare);
    return 0;
}

int mspace_take_out(mspace_t *mspace, size_t base, size_t end)
{
    vma_t *first = vma_at_or_above(&mspace->tree, base);
    int err;

    if (first == NULL || vma_base(first) >= end)
        return 0;
    err = mspace_take_out_parts(mspace, first, base, end);
    if (err != 0)
        return err;
    mspace->unmapped_base = base;
    mspace->unmapped_end = end;
    return 0;
}

int mspace_unmap(mspace_t *mspace, size_t address, size_t length)
{
    int err = -EINVAL;
    vma_t *vma;

    splock_lock(&mspace->lock);
    vma = vma_of(bbtree_search_le(&mspace->tree, address));
    if (LIKELY(vma != NULL && vma_base(vma) == address && vma->length == length &&
               !vma->ops->foreign)) {
        /* One area, whole: the range is a legal one. */
        take_out_area(mspace, vma);
        mspace->unmapped_base = address;
        mspace->unmapped_end = address + length;
        err = 0;
    } else if (mspace_legal_range(mspace, address, length)) {
        err = mspace_take_out(mspace, address, address + length);
    }
    splock_unlock(&mspace->lock);
    return err;
}

/* ---- dead areas */

/* Mark the areas from `first` on that lie in [base, end), whole ones, dead. */
static void mark_dead(mspace_t *mspace, vma_t *first, size_t base, size_t end)
{
    mspace_revoke(mspace, first, base, end);
    for (vma_t *vma = first; vma != NULL && vma_base(vma) < end; vma = vma_next(vma)) {
        if ((vma->flags & VMA_LOCKED) != 0)
            mspace->locked -= vma->length >> PAGE_SHIFT;
        vma->flags = (vma->flags & ~VMA_LOCKS) | VMA_DEAD;
    }
}

int mspace_kill(mspace_t *mspace, size_t address, size_t length)
{
    mspace_cuts_t cuts;
    vma_t *first;
    vma_t *last;
    size_t end;
    int err = 0;

    splock_lock(&mspace->lock);
    if (!mspace_legal_range(mspace, address, length)) {
        err = -EINVAL;
        goto out;
    }
    end = address + length;
    first = vma_at_or_above(&mspace->tree, address);
    if (first == NULL || vma_base(first) >= end)
        goto out;
    last = vma_of(bbtree_search_le(&mspace->tree, end - 1));
    err = mspace_reserve_cuts(mspace, first, last, address, end, &cuts);
    if (err != 0)
        goto out;
    first = mspace_cut(mspace, first, last, address, end, &cuts);
    mark_dead(mspace, first, address, end);
out:
    splock_unlock(&mspace->lock);
    return err;
}

int mspace_scavenge(mspace_t *mspace)
{
    vma_t *next;
    int count = 0;

    splock_lock(&mspace->lock);
    mspace->full_end = 0;
    for (vma_t *vma = vma_of(bbtree_first(&mspace->tree)); vma != NULL; vma = next) {
        next = vma_next(vma);
        if ((vma->flags & VMA_DEAD) != 0) {
            remove_below(mspace, vma, vma_end(vma));
            count++;
        }
    }
    splock_unlock(&mspace->lock);
    return count;
}

void mspace_sweep(mspace_t *mspace)
{
    splock_lock(&mspace->lock);
    ASSERT(mspace->directory != PAGE_NONE);
    mark_dead(mspace, vma_of(bbtree_first(&mspace->tree)), mspace->lower_bound,
              mspace->upper_bound);
    remove_below(mspace, vma_of(bbtree_first(&mspace->tree)), mspace->upper_bound);
    mspace->full_end = 0;
    mspace->break_start = mspace->break_end = 0;
    mspace->stack_base = mspace->stack_end = 0;
    mspace->lock_future = 0;
    splock_unlock(&mspace->lock);
}
