/*
 * Mapping over what is there, in one step: Linux's MAP_FIXED.
 *
 * Nodes come first. With VMA_RESOLVE frames and page tables come next, before
 * anything is taken out:
 *
 *      fill     a frame for each page, in an array          can fail
 *      publish  into empty entries, making the tables       can fail
 *               over full ones                              cannot
 *      areas    old ones out, the new one in                cannot
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/kheap.h>
#include <kernel/memory.h>
#include <kernel/panic.h>

/* In filled[]: it is in the page table. No entry is all ones. */
#define PUBLISHED (~(mmu_entry_t)0)

/* The new area and its entries, to be put in the place of others. */
typedef struct exchange {
    mspace_t *mspace;
    const vma_t *vma;
    size_t count;           /* pages, and entries in filled[] */
    mmu_entry_t *filled;    /* 0: a page past the file's end */
} exchange_t;

static bool is_counted(const exchange_t *exchange, mmu_entry_t entry)
{
    return entry != 0 && mmu_frame(entry) != kMMU.zero_page && !exchange->vma->ops->foreign;
}

/* A frame for each page of the new area. => 0, -ENOMEM, -EIO */
static int fill(exchange_t *exchange, vma_t *vma)
{
    bool write = vma_allows(vma, true, false);
    mmu_entry_t bits = vma_entry_bits(vma);
    int err = 0;

    for (size_t i = 0; i < exchange->count && err == 0; i++) {
        size_t vaddr = vma_base(vma) + i * PAGE_SIZE;
        mmu_entry_t entry = 0;

        exchange->filled[i] = 0;
        err = bits == 0 ? -ENXIO
                        : vma->ops->fill(exchange->mspace, vma, vaddr, write, &entry);
        if (err == -ENXIO) {
            err = 0;
            continue;
        }
        if (err != 0)
            break;
        if (!write)
            entry &= ~(mmu_entry_t)MMU_WRITE;
        exchange->filled[i] = entry | bits;
    }
    return err;
}

/* Give back what fill got. */
static void undo_fill(exchange_t *exchange)
{
    for (size_t i = 0; i < exchange->count; i++)
        if (is_counted(exchange, exchange->filled[i]))
            page_release(mmu_frame(exchange->filled[i]));
}

static mmu_entry_t *filled_of(const exchange_t *exchange, size_t vaddr)
{
    return &exchange->filled[(vaddr - vma_base(exchange->vma)) >> PAGE_SHIFT];
}

/* The new entry of a page, which goes into the page table now. */
static mmu_entry_t take_filled(exchange_t *exchange, size_t vaddr)
{
    mmu_entry_t *filled = filled_of(exchange, vaddr);
    mmu_entry_t entry = *filled;

    if (is_counted(exchange, entry)) {
        if ((entry & MMU_OBJECT) != 0)
            exchange->mspace->s_size++;
        else
            exchange->mspace->p_size++;
    }
    *filled = PUBLISHED;
    return entry;
}

static int fill_empty(void *context, size_t vaddr, mmu_entry_t *entry)
{
    *entry = take_filled(context, vaddr);
    return 0;
}

static mmu_entry_t exchange_foreign(void *context, size_t vaddr, mmu_entry_t entry)
{
    return *filled_of(context, vaddr) == PUBLISHED ? entry : take_filled(context, vaddr);
}

static mmu_entry_t exchange_entry(void *context, size_t vaddr, mmu_entry_t entry)
{
    exchange_t *exchange = context;

    if (*filled_of(exchange, vaddr) == PUBLISHED)
        return entry;
    mspace_drop_entry(exchange->mspace, entry);
    return take_filled(exchange, vaddr);
}

/* Put the new entries into the page table, and take the old ones out. => 0, -ENOMEM */
static int publish(exchange_t *exchange, vma_t *first)
{
    size_t base = vma_base(exchange->vma);
    size_t end = vma_end(exchange->vma);
    /* Empty entries first: a table must not look unused to the sweep. */
    int err = mmu_fill_range(exchange->mspace->directory, base, end - base, fill_empty,
                             exchange);

    if (err == 0) {
        mspace_note_peaks(exchange->mspace);
        mspace_change_entries(exchange->mspace, first, base, end, exchange_entry,
                              exchange_foreign, exchange);
    }
    return err;
}

/* Replace the pages of the range by those of a new area. => 0, -ENOMEM, -EIO */
static int exchange_pages(mspace_t *mspace, vma_t *vma, vma_t *first)
{
    exchange_t exchange = {
        .mspace = mspace,
        .vma = vma,
        .count = vma->length >> PAGE_SHIFT,
    };
    int err;

    exchange.filled = kcalloc(exchange.count, sizeof(exchange.filled[0]));
    if (exchange.filled == NULL)
        return -ENOMEM;
    err = fill(&exchange, vma);
    if (err == 0)
        err = publish(&exchange, first);
    if (err != 0)
        undo_fill(&exchange);
    kfree(exchange.filled);
    return err;
}

/* The pages in [base, end) of areas whose flags in `mask` are `flags`, from `first` on. */
static size_t pages_with(const vma_t *first, size_t base, size_t end, int mask, int flags)
{
    size_t pages = 0;

    for (const vma_t *vma = first; vma != NULL && vma_base(vma) < end; vma = vma_next(vma)) {
        size_t from = vma_base(vma) > base ? vma_base(vma) : base;
        size_t to = vma_end(vma) < end ? vma_end(vma) : end;

        if ((vma->flags & mask) == flags)
            pages += (to - from) >> PAGE_SHIFT;
    }
    return pages;
}

int mspace_promise_over(mspace_t *mspace, int flags, size_t pages, const vma_t *first,
                        size_t base, size_t end)
{
    size_t gone = pages_with(first, base, end, 0, 0);
    size_t charged = pages_with(first, base, end, VMA_ACCOUNTED, VMA_ACCOUNTED);
    int err;

    if ((flags & VMA_LOCKED) != 0 && !mspace_may_lock(mspace, pages))
        return -EAGAIN;
    /* What goes is counted among what is there: the sum is right. */
    if (mspace->limits.data != SIZE_MAX && vma_is_data(flags) &&
        !mspace_may_have_data(mspace, pages - pages_with(first, base, end, VMA_DATA_MASK,
                                                         VMA_WRITE)))
        return -ENOMEM;
    if (mspace->v_size - gone + pages > mspace->limits.address_space)
        return -ENOMEM;
    if ((flags & VMA_ACCOUNTED) == 0)
        return 0;
    /* For this moment, as if it had gone. */
    commit_return(charged);
    err = mspace_charge(mspace, pages);
    commit_recharge(charged);
    return err;
}

/* Put a made-up area over what is there, at least one. => on an error the node is given back */
static int replace(mspace_t *mspace, vma_t *vma, int flags)
{
    size_t base = vma_base(vma);
    size_t end = vma_end(vma);
    vma_t *first = vma_at_or_above(&mspace->tree, base);
    vma_t *spare = NULL;
    vma_place_t place;
    vma_t *next;
    size_t pages = vma->length >> PAGE_SHIFT;
    int err = mspace_promise_over(mspace, vma->flags, pages, first, base, end);

    if (err != 0) {
        mspace_give_node(mspace, vma);
        return err;
    }

    if (mspace_cuts_in_two(first, base, end)) {
        spare = mspace_take_second_half(mspace);
        if (spare == NULL)
            err = -ENOMEM;
    }
    if (err == 0 && (flags & VMA_RESOLVE) != 0)
        err = exchange_pages(mspace, vma, first);
    if (err != 0) {
        mspace_unpromise(mspace, vma->flags, pages);
        mspace_give_node(mspace, spare);
        mspace_give_node(mspace, vma);
        return err;
    }
    if ((flags & VMA_RESOLVE) == 0)
        mspace_revoke(mspace, first, base, end);
    next = mspace_remove(mspace, first, base, end, spare);
    place = vma_place_before(&mspace->tree, mspace->lower_bound, next);
    mspace_insert(mspace, vma, &place);
    mspace_merge(mspace, vma);
    return 0;
}

void *mspace_replace(mspace_t *mspace, size_t address, size_t length,
                     inode_t *ino, off_t offset, off_t limit, int flags)
{
    void *place = mspace_map(mspace, address, length, ino, offset, limit, flags | VMA_FIXED);
    vma_t *vma;
    int err = -ENOMEM;

    if (place != NULL || *host_errno() != ERANGE)
        return place;
    /* The range is a legal one that is taken, and the flags are right. */
    splock_lock(&mspace->lock);
    vma = mspace_take_node(mspace);
    if (vma != NULL) {
        err = mspace_candidate(vma, length, ino, offset, limit, flags);
        ASSERT(err == 0);
        mspace_lock_candidate(mspace, vma);
        vma->node.value = address;
        err = replace(mspace, vma, flags);
    }
    splock_unlock(&mspace->lock);
    *host_errno() = -err;
    return err == 0 ? (void *)address : NULL;
}
