/*
 * Putting areas into a space: map, the break, the stack.
 *
 * Each call makes up the new area in a node that is in no tree, decides where it
 * goes, and reserves memory; only then does anything change. An area that
 * continues its neighbours becomes part of them, and its node is given back.
 */
#include <kernel/errno.h>
#include <kernel/fault.h>
#include <kernel/host.h>
#include <kernel/memory.h>
#include <kernel/panic.h>

/* ---- places */

/* The lowest address that searches treat as the stack's. */
static size_t stack_floor(const mspace_t *mspace)
{
    return mspace->stack_base - STACK_GUARD_GAP;
}

bool mspace_is_for_stack(const mspace_t *mspace, size_t base, size_t end)
{
    return mspace->stack_base != 0 && end > stack_floor(mspace) && base < mspace->stack_end;
}

/* Whether [base, end), a legal range, is free; and where it lies. */
static bool is_free(const mspace_t *mspace, size_t base, size_t end, vma_place_t *place)
{
    vma_t *vma = vma_of(bbtree_search_le(&mspace->tree, base));

    place->previous = vma;
    if (vma == NULL) {
        place->free_from = mspace->lower_bound;
        place->next = vma_of(bbtree_first(&mspace->tree));
    } else {
        place->free_from = vma_end(vma);
        if (place->free_from > base)
            return false;
        place->next = vma_next(vma);
    }
    return place->next == NULL || vma_base(place->next) >= end;
}

/* Whether a free range that ends here reaches into what `next` keeps free below it. */
static bool is_in_guard_gap(const vma_t *next, size_t end)
{
    return next != NULL && (next->flags & VMA_GROWS_DOWN) != 0 &&
           vma_base(next) - end < STACK_GUARD_GAP;
}

/* Where searches end: below the stack's range first, if there is one. */
static inline size_t search_end(const mspace_t *mspace)
{
    return mspace->stack_base != 0 ? stack_floor(mspace) : mspace->upper_bound;
}

/* The lowest free place for `length` bytes from `low` up. => 0: none */
static size_t find_from(const mspace_t *mspace, size_t low, size_t length, vma_t **next)
{
    size_t found = vma_find_hole(&mspace->tree, low, search_end(mspace), length, next);

    if (found == 0 && mspace->stack_base != 0) {
        low = low > mspace->stack_end ? low : mspace->stack_end;
        found = vma_find_hole(&mspace->tree, low, mspace->upper_bound, length, next);
    }
    return found;
}

/* The same where there is none between map_base and the stack. */
static NOINLINE size_t find_elsewhere(const mspace_t *mspace, size_t length, vma_t **next)
{
    size_t found = find_from(mspace, mspace->map_base, length, next);

    return found != 0 ? found : find_from(mspace, mspace->lower_bound, length, next);
}

/* Where a search for `length` bytes from map_base up may begin. */
static inline size_t search_base(const mspace_t *mspace, size_t length)
{
    if (length >= mspace->full_length && mspace->full_end > mspace->map_base)
        return mspace->full_end;
    return mspace->map_base;
}

/* Find a place anywhere, at best at `hint`. => 0: there is no room */
static ALWAYS_INLINE size_t find_place(mspace_t *mspace, size_t hint, size_t length,
                                       vma_place_t *place)
{
    vma_t *next;
    size_t base;

    if (hint != 0 && mspace_legal_range(mspace, hint, length) &&
        !mspace_is_for_stack(mspace, hint, hint + length) &&
        is_free(mspace, hint, hint + length, place) &&
        !is_in_guard_gap(place->next, hint + length))
        return hint;
    base = vma_find_hole(&mspace->tree, search_base(mspace, length), search_end(mspace), length,
                         &next);
    if (UNLIKELY(base == 0)) {
        base = find_elsewhere(mspace, length, &next);
    } else if (length <= mspace->full_length) {
        mspace->full_end = base;
        mspace->full_length = length;
    }
    if (LIKELY(base != 0))
        *place = vma_place_before(&mspace->tree, mspace->lower_bound, next);
    return base;
}

size_t mspace_find_place(mspace_t *mspace, size_t hint, size_t length)
{
    vma_place_t place;

    return find_place(mspace, hint, length, &place);
}

/* ---- areas */

static ALWAYS_INLINE void insert(mspace_t *mspace, vma_t *vma, const vma_place_t *place)
{
    if (vma->ino != NULL)
        inode_hold(vma->ino);
    vma_insert(&mspace->tree, vma, place);
    /* What is before it may have been kept free for the stack behind it. */
    mspace_note_hole(mspace, vma);
    mspace_count_in(mspace, vma->flags, vma->length >> PAGE_SHIFT);
}

void mspace_insert(mspace_t *mspace, vma_t *vma, const vma_place_t *place)
{
    insert(mspace, vma, place);
}

/* Let an area take in what follows it, as far as that continues it. */
static void merge_next(mspace_t *mspace, vma_t *vma, vma_t *next)
{
    while (next != NULL && vma_can_merge(vma, next)) {
        vma_absorb(&mspace->tree, vma, next);
        mspace_free_vma(mspace, next);
        next = vma_next(vma);
    }
}

vma_t *mspace_merge(mspace_t *mspace, vma_t *vma)
{
    vma_t *previous;
    vma_t *next = vma_next(vma);

    if (next != NULL && next->gap == 0)
        merge_next(mspace, vma, next);
    /* A gap before it needs no look at what lies before that. */
    if (vma->gap == 0 && (previous = vma_previous(vma)) != NULL &&
        vma_can_merge(previous, vma)) {
        vma_absorb(&mspace->tree, previous, vma);
        mspace_free_vma(mspace, vma);
        vma = previous;
    }
    return vma;
}

void mspace_merge_range(mspace_t *mspace, vma_t *first, size_t end)
{
    vma_t *vma = mspace_merge(mspace, first);

    while (vma_end(vma) < end)
        vma = mspace_merge(mspace, vma_next(vma));
}

int mspace_grow(mspace_t *mspace, vma_t *vma, size_t end)
{
    size_t pages = (end - vma_end(vma)) >> PAGE_SHIFT;
    int err = mspace_promise(mspace, vma->flags, pages);

    if (err != 0)
        return err;
    mspace_count_in(mspace, vma->flags, pages);
    vma_set_range(vma, vma_base(vma), end);
    mspace_merge(mspace, vma);
    return 0;
}

/* Put a made-up area in, or let what it continues take it over. */
static void add_area(mspace_t *mspace, vma_t *vma, const vma_place_t *place)
{
    vma_t *previous = place->previous;
    vma_t *next = place->next;

    if (previous != NULL && vma_can_merge(previous, vma)) {
        vma_append(previous, vma);
        merge_next(mspace, previous, next);
    } else if (next != NULL && vma_can_merge(vma, next)) {
        vma_prepend(next, vma);
    } else {
        insert(mspace, vma, place);
        return;
    }
    mspace_count_in(mspace, vma->flags, vma->length >> PAGE_SHIFT);
    mspace_give_node(mspace, vma);
}

/*
 * The same for VMA_RESOLVE. The area stays by itself until all its pages are
 * there, so that it can be taken out again without memory.
 */
static int add_populated(mspace_t *mspace, vma_t *vma, const vma_place_t *place)
{
    size_t base = vma_base(vma);
    size_t end = vma_end(vma);
    int err;

    mspace_insert(mspace, vma, place);
    err = fault_populate(mspace, vma, base, end - base);
    if (err != 0) {
        mspace_revoke(mspace, vma, base, end);
        mspace_remove(mspace, vma, base, end, NULL);
    } else {
        mspace_merge(mspace, vma);
    }
    return err;
}

/* ---- map */

static ALWAYS_INLINE int make_up(vma_t *vma, size_t length, inode_t *ino, off_t offset,
                                 off_t limit, int flags)
{
    int area_flags = vma_plain_flags(flags, ino, offset, limit);

    if ((length & PAGE_MASK) != 0 || length == 0)
        return -EINVAL;
    vma->length = length;
    vma->ino = ino;
    vma->offset = offset;
    vma->limit = 0;
    vma->flags = area_flags;
    vma->ops = &vma_ops_anon;
    if (LIKELY(area_flags != 0))
        return 0;
    area_flags = vma_check_flags(flags, ino, offset, limit, false);
    /* The last byte's offset, and a frame's address, must be a number. */
    if (area_flags < 0 ||
        (offset != 0 && (length > (uint64_t)(INT64_MAX - offset) ||
                         (ino == NULL && (uint64_t)offset + length - 1 > SIZE_MAX))))
        return -EINVAL;
    if (limit != 0 && limit < (off_t)length)
        vma->limit = limit;
    vma->flags = area_flags;
    vma->ops = vma_ops_of(area_flags);
    return 0;
}

int mspace_candidate(vma_t *vma, size_t length, inode_t *ino, off_t offset, off_t limit,
                     int flags)
{
    return make_up(vma, length, ino, offset, limit, flags);
}

/*
 * Put a made-up area at the address, or where there is room. => 0 and *result, or
 * an error and the node is given back
 */
static int map(mspace_t *mspace, vma_t *vma, size_t address, int flags, size_t *result)
{
    size_t length = vma->length;
    vma_place_t place;
    int err = 0;

    if ((flags & VMA_FIXED) != 0) {
        if (!mspace_legal_range(mspace, address, length))
            err = -EINVAL;
        else if (!is_free(mspace, address, address + length, &place))
            err = -ERANGE;
    } else if ((address & PAGE_MASK) != 0) {
        err = -EINVAL;
    } else {
        address = find_place(mspace, address, length, &place);
        if (address == 0)
            err = -ENOMEM;
    }
    if (LIKELY(err == 0))
        err = mspace_promise(mspace, vma->flags, length >> PAGE_SHIFT);
    if (UNLIKELY(err != 0)) {
        mspace_give_node(mspace, vma);
        return err;
    }
    *result = vma->node.value = address;
    if (UNLIKELY((flags & VMA_RESOLVE) != 0))
        return add_populated(mspace, vma, &place);
    add_area(mspace, vma, &place);
    if (mspace->full_end == address)
        mspace->full_end = address + length;
    return 0;
}

void *mspace_map(mspace_t *mspace, size_t address, size_t length,
                 inode_t *ino, off_t offset, off_t limit, int flags)
{
    vma_t *vma = NULL;
    int err = -EINVAL;

    splock_lock(&mspace->lock);
    if (LIKELY(mspace->directory != PAGE_NONE)) {
        vma = mspace_take_node(mspace);
        err = -ENOMEM;
    }
    if (vma != NULL) {
        err = make_up(vma, length, ino, offset, limit, flags);
        if (LIKELY(err == 0)) {
            mspace_lock_candidate(mspace, vma);
            err = map(mspace, vma, address, flags, &address);
        } else {
            mspace_give_node(mspace, vma);
        }
    }
    splock_unlock(&mspace->lock);
    *host_errno() = -err;
    return err == 0 ? (void *)address : NULL;
}

/* ---- the break */

/* Take out the pages of [base, end), at the heap's end. */
static int shrink_break(mspace_t *mspace, size_t base, size_t end)
{
    vma_t *first = vma_at_or_above(&mspace->tree, base);

    if (first == NULL || vma_base(first) >= end)
        return -ENOMEM;
    return mspace_take_out_parts(mspace, first, base, end);
}

/* What every area of the heap is, but for locks and advice. */
#define HEAP_FLAGS (VMA_HEAP_SEGMENT | VMA_CAPABILITIES | VMA_COPY_ON_WRITE | VMA_ACCOUNTED)

/* Add [base, end) to the heap, with a free page left behind it. */
static int grow_break(mspace_t *mspace, size_t base, size_t end)
{
    vma_place_t place;
    vma_t *vma;
    int err;

    if (!mspace_legal_range(mspace, base, end - base) ||
        mspace_is_for_stack(mspace, base, end + PAGE_SIZE) ||
        !is_free(mspace, base, end + PAGE_SIZE, &place) ||
        is_in_guard_gap(place.next, end + PAGE_SIZE))
        return -ENOMEM;
    vma = place.previous;
    if (vma != NULL && vma_end(vma) == base && vma->flags == (HEAP_FLAGS | mspace->lock_future))
        return mspace_grow(mspace, vma, end);
    vma = mspace_take_node(mspace);
    if (vma == NULL)
        return -ENOMEM;
    err = mspace_candidate(vma, end - base, NULL, 0, 0, VMA_HEAP_SEGMENT | VMA_CAPABILITIES);
    ASSERT(err == 0);
    mspace_lock_candidate(mspace, vma);
    err = mspace_promise(mspace, vma->flags, (end - base) >> PAGE_SHIFT);
    if (err != 0) {
        mspace_give_node(mspace, vma);
        return err;
    }
    vma->node.value = base;
    add_area(mspace, vma, &place);
    return 0;
}

int mspace_break(mspace_t *mspace, size_t new_break)
{
    size_t old_end;
    size_t new_end;
    int err = 0;

    splock_lock(&mspace->lock);
    if (mspace->break_start == 0 || new_break < mspace->break_start) {
        err = -EINVAL;
    } else if (new_break > mspace->upper_bound) {
        err = -ENOMEM;
    } else {
        old_end = align_up(mspace->break_end, PAGE_SIZE);
        new_end = align_up(new_break, PAGE_SIZE);
        if (new_end > old_end)
            err = grow_break(mspace, old_end, new_end);
        else if (new_end < old_end)
            err = shrink_break(mspace, new_end, old_end);
        if (err == 0)
            mspace->break_end = new_break;
    }
    splock_unlock(&mspace->lock);
    return err;
}

/* ---- the stack */

static int set_stack(mspace_t *mspace, size_t top, size_t length, size_t limit)
{
    vma_place_t place;
    vma_t *vma;
    int err;

    if (length > limit || limit > top || top - limit < STACK_GUARD_GAP ||
        !mspace_legal_range(mspace, top - limit - STACK_GUARD_GAP, limit + STACK_GUARD_GAP))
        return -EINVAL;
    if (!is_free(mspace, top - limit - STACK_GUARD_GAP, top, &place))
        return -ENOMEM;
    vma = mspace_take_node(mspace);
    if (vma == NULL)
        return -ENOMEM;
    err = mspace_candidate(vma, length, NULL, 0, 0, VMA_STACK_SEGMENT | VMA_CAPABILITIES);
    if (err == 0)
        err = mspace_promise(mspace, vma->flags, length >> PAGE_SHIFT);
    if (err != 0) {
        mspace_give_node(mspace, vma);
        return err;
    }
    vma->node.value = top - length;
    add_area(mspace, vma, &place);
    mspace->stack_base = top - limit;
    mspace->stack_end = top;
    mspace->limits.stack = limit >> PAGE_SHIFT;
    return 0;
}

int mspace_set_stack(mspace_t *mspace, size_t top, size_t length, size_t limit)
{
    int err;

    splock_lock(&mspace->lock);
    err = set_stack(mspace, top, length, limit);
    splock_unlock(&mspace->lock);
    return err;
}
