/*
 * A heap at level full: superbuffers with a header and a canary, taken from gaps
 * that are looked at first, and freed by way of the quarantine.
 *
 *   take    a gap that can be followed, out of the trees; the rest back into them
 *   retire  what is freed, into the quarantine
 *   expel   out of it, if all of it is as it was left
 *   release FILL_FREED all over, merged with both neighbours
 */
#include <kernel/kheap_full.h>

#include <kernel/errno.h>
#include <kernel/kheap_guard.h>
#include <kernel/kheap_header.h>
#include <kernel/kheap_slab.h>

#define BEFORE (REGISTRY + FULL_BEFORE)     /* a buffer in its superbuffer */

/* --- Gaps --- */

/* How much at the start of a gap or void is in use by itself and the trees. */
static size_t registry_bytes(const kheap_t *heap, size_t block)
{
    size_t length = block_length(block);

    return length < SMALLEST || block == (size_t)heap->tail ? WORD
         : length < GAPTREE_EXACT ? offsetof(kernel_heap_gap_t, room)
         : length < PAGE_SIZE ? offsetof(kernel_heap_large_gap_t, by_addr)
         : sizeof(kernel_heap_large_gap_t);
}

size_t kheap_full_gap_byte(const kheap_t *heap, size_t block)
{
    size_t length = block_length(block);
    size_t end = block + length - WORD;
    size_t at = after_fill(block + registry_bytes(heap, block), end);

    return at < end ? at : 0;
}

/* Note what was written to while it was free; the first such is reported. */
static void note(kheap_t *heap, size_t at, size_t quarantined, kheap_damage_t damage)
{
    if (heap->overwritten == 0) {
        heap->overwritten = at;
        heap->overwritten_cached = quarantined;
        heap->full.damage = damage;
    }
}

/* Take what is free here out of the trees, and fill what they used of it. */
static void pull(kheap_t *heap, size_t block)
{
    size_t length = free_here(block);
    size_t registry = registry_bytes(heap, block);

    take_free(heap, block, false);
    __builtin_memset((void *)block, FILL_FREED, registry);
    *block_length_before(block + length) = FREED_WORD;
}

/*
 * Will the trees take this range?
 *
 * => what is too short for them they need not, nor the tail
 * => false: the link that is damaged was noted
 */
static bool can_put(kheap_t *heap, size_t block, size_t length)
{
    if (length < SMALLEST || block + length == heap->end)
        return true;
    gap_node_t *const *link = gaptree_takes(&heap->tree, heap->end, block, length);
    if (link != NULL)
        note(heap, (size_t)link, 0, KHEAP_LINK);
    return link == NULL;
}

/* The best fitting gap. => NULL: none, or it or the way to it is damaged, which was noted */
static kernel_heap_gap_t *best(kheap_t *heap, size_t length)
{
    gap_node_t *const *link = gaptree_fits(&heap->tree, heap->end, length);

    if (link != NULL) {
        note(heap, (size_t)link, 0, KHEAP_LINK);
        return NULL;
    }
    kernel_heap_gap_t *gap = gaptree_fit(&heap->tree, length);
    if (gap != NULL && (!free_sound(heap, (size_t)gap) || !links_hold(heap, (size_t)gap))) {
        note(heap, (size_t)gap, 0, KHEAP_GAP);
        return NULL;
    }
    return gap;
}

/* A gap, or the tail, where an aligned buffer fits, and whose rest the trees take. */
static kernel_heap_gap_t *find(kheap_t *heap, size_t align, size_t length)
{
    kernel_heap_gap_t *tail = heap->tail;
    kernel_heap_gap_t *gap = best(heap, length);

    if (gap != NULL && gap->length < length + lead_for((size_t)gap, BEFORE, align))
        gap = best(heap, length + align - KHEAP_ALIGN);
    if (gap == NULL && tail != NULL && kheap_end_sound(heap)
        && tail->length >= length + lead_for((size_t)tail, BEFORE, align))
        gap = tail;
    if (gap == NULL)
        return NULL;
    size_t block = (size_t)gap + lead_for((size_t)gap, BEFORE, align);
    bool fits = can_put(heap, (size_t)gap, block - (size_t)gap)
        && can_put(heap, block + length, (size_t)gap + gap->length - block - length);
    return fits ? gap : NULL;
}

/* Extend the segment until the tail has `length` bytes. => what is new is filled */
static bool grow(kheap_t *heap, size_t length)
{
    size_t old = heap->end;

    if (!kheap_grow(heap, length))
        return false;
    size_t from = old == (size_t)heap->tail ? old + WORD : old - WORD;
    __builtin_memset((void *)from, FILL_FREED, heap->end - WORD - from);
    return true;
}

/* A buffer of `size` bytes. => NULL: no memory, or what is left of it is damaged */
static void *take(kheap_t *heap, size_t align, size_t size)
{
    size_t length = kheap_header_length_for(size);
    kernel_heap_gap_t *gap = find(heap, align, length);

    if (gap == NULL && kheap_full_merge(heap) != 0)
        gap = find(heap, align, length);
    if (gap == NULL
        && grow(heap, length + lead_for(heap->end - free_at_end(heap), BEFORE, align)))
        gap = find(heap, align, length);
    if (gap == NULL)
        return NULL;

    size_t start = (size_t)gap;
    size_t lead = lead_for(start, BEFORE, align);
    size_t block = start + lead;
    size_t whole = gap->length;
    size_t from = start + registry_bytes(heap, start);
    size_t end = start + whole - WORD;
    from = from < block ? block : from;
    end = end > block + length ? block + length : end;
    size_t at = after_fill(from, end);
    if (at < end) {     /* lost after this call, so that it goes first */
        heap->overwritten = 0;
        note(heap, at, 0, KHEAP_BYTE);
        heap->full.found = *(unsigned char *)at;
    }
    pull(heap, start);
    carve(heap, block, whole - lead, length, lead != 0 ? BLOCK_AFTER_FREE : 0, false);
    if (lead != 0)
        put_free(heap, start, lead, false);
    kheap_header_set(heap, block, size, heap->full.caller);
    __builtin_memset((void *)full_buffer(block), FILL_FRESH, size);
    return (void *)full_buffer(block);
}

/* --- The quarantine --- */

/*
 * Merge a superbuffer that is in use no more, nor in quarantine.
 *
 * => false: the trees do not take it, which was noted; it is as it was
 */
static bool release(kheap_t *heap, size_t block)
{
    size_t length = block_length(block);
    size_t before = free_before(block, *block_word(block));
    size_t after = free_here(block + length);

    if (!can_put(heap, block - before, before + length + after))
        return false;
    count_out(heap, length);
    heap->cached -= length;
    __builtin_memset((void *)block, FILL_FREED, length);
    if (before != 0)
        pull(heap, block - before);
    if (after != 0)
        pull(heap, block + length);
    put_free(heap, block - before, before + length + after, false);
    return true;
}

static void push(kheap_full_t *full, size_t block)
{
    full->block[(full->first + full->count) % KHEAP_QUARANTINE_COUNT] = block;
    full->count++;
}

/* Let the first ones out until so many are left; what is damaged goes to the end again. */
static void expel(kheap_t *heap, size_t most_count, size_t most_bytes)
{
    kheap_full_t *full = &heap->full;

    for (size_t tries = full->count;
         tries != 0 && (full->count > most_count || heap->cached > most_bytes); tries--) {
        size_t block = full->block[full->first];
        full->first = (full->first + 1) % KHEAP_QUARANTINE_COUNT;
        full->count--;

        kheap_fault_t fault = kheap_header_fault(heap, block, BLOCK_CACHED);
        if (fault.what != NULL)
            note(heap, fault.at != 0 ? fault.at : block, full_buffer(block), KHEAP_BYTE);
        if (fault.what != NULL || !release(heap, block))
            push(full, block);
    }
}

/* A superbuffer that is in use no more: into the quarantine, if there is room. */
static void retire(kheap_t *heap, size_t block)
{
    kheap_full_t *full = &heap->full;
    size_t length = block_length(block);

    kheap_header_set_freed(heap, block, full->caller);
    *block_word(block) |= BLOCK_CACHED;
    heap->cached += length;
    if (length <= full->most_bytes)
        expel(heap, full->most_count - (full->most_count != 0), full->most_bytes);
    bool room = full->count < full->most_count && heap->cached <= full->most_bytes;
    if ((room || !release(heap, block)) && full->count < KHEAP_QUARANTINE_COUNT)
        push(full, block);
    kheap_give_back_more(heap);
}

size_t kheap_full_merge(kheap_t *heap)
{
    size_t bytes = heap->cached;

    expel(heap, 0, 0);
    return bytes - heap->cached;
}

bool kheap_full_holds(const kheap_t *heap, size_t block)
{
    const kheap_full_t *full = &heap->full;

    for (size_t i = 0; i < full->count; i++) {
        if (full->block[(full->first + i) % KHEAP_QUARANTINE_COUNT] == block)
            return true;
    }
    return false;
}

/* --- The calls --- */

static void begin(kheap_t *heap, size_t site)
{
    splock_lock(&heap->lock);
    heap->tree.visited = 0;
    heap->full.caller = site;
}

/* As begin, for a call with a buffer. => its superbuffer; 0: there is none, which was reported */
static size_t begin_with(kheap_t *heap, const char *call, void *buffer, size_t site)
{
    size_t block = (size_t)buffer - FULL_BEFORE - REGISTRY;

    begin(heap, site);
    if (kheap_header_fault(heap, block, 0).what == NULL)
        return block;
    kheap_misuse(heap, call, buffer);
    return 0;
}

static bool is_guarded(const kheap_t *heap, const void *buffer)
{
    return heap->guard != NULL && kheap_guard_holds(heap, buffer);
}

/* Answer a call for a new buffer. => kheap_tune may have changed the level before the lock */
static void *give(kheap_t *heap, const char *call, size_t align, size_t size, size_t site)
{
    void *buffer = NULL;

    begin(heap, site);
    if (UNLIKELY(heap->level != KHEAP_FULL)) {
        splock_unlock(&heap->lock);
        return kheap_memalign(heap, align, size);
    }
    if (heap->guard != NULL)
        buffer = kheap_guard_alloc(heap, align, size);
    if (buffer == NULL)
        buffer = take(heap, align, size);
    unlock(heap, call, buffer);
    return buffer;
}

void *kheap_full_alloc(kheap_t *heap, size_t size, size_t site)
{
    return size > KHEAP_LARGEST ? NULL : give(heap, "kmalloc", KHEAP_ALIGN, size, site);
}

void *kheap_full_calloc(kheap_t *heap, size_t count, size_t size, size_t site)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *buffer = kheap_full_alloc(heap, bytes, site);
    if (buffer != NULL)
        __builtin_memset(buffer, 0, bytes);
    return buffer;
}

void *kheap_full_memalign(kheap_t *heap, size_t align, size_t size, size_t site)
{
    if (align == 0 || (align & (align - 1)) != 0)
        return NULL;
    if (align > KHEAP_LARGEST || size > KHEAP_LARGEST - align)
        return NULL;
    return give(heap, "kmemalign", align < KHEAP_ALIGN ? KHEAP_ALIGN : align, size, site);
}

void *kheap_full_realloc(kheap_t *heap, void *buffer, size_t size, size_t site)
{
    if (buffer == NULL)
        return kheap_full_alloc(heap, size, site);
    if (heap->guard != NULL && kheap_guard_realloc(heap, buffer, size, site, &buffer))
        return buffer;
    size_t block = begin_with(heap, "krealloc", buffer, site);
    if (block == 0)
        return NULL;
    size_t old = full_header(block)->size;
    void *moved = size > KHEAP_LARGEST ? NULL : take(heap, KHEAP_ALIGN, size);
    if (moved != NULL) {
        __builtin_memcpy(moved, buffer, old < size ? old : size);
        retire(heap, block);
    } else if (size <= old) {
        kheap_header_set(heap, block, size, site);
        moved = buffer;
    }
    unlock(heap, "krealloc", moved);
    return moved;
}

void kheap_full_free(kheap_t *heap, void *buffer, size_t site)
{
    if (buffer == NULL)
        return;
    if (is_guarded(heap, buffer)) {
        begin(heap, site);
        kheap_guard_free(heap, buffer);
        return;
    }
    size_t block = begin_with(heap, "kfree", buffer, site);
    if (block == 0)
        return;
    retire(heap, block);
    unlock(heap, "kfree", NULL);
}

size_t kheap_full_size_for(kheap_t *heap, const char *call, void *buffer, size_t site)
{
    size_t block = begin_with(heap, call, buffer, site);
    if (block == 0)
        return 0;
    size_t size = full_header(block)->size;
    splock_unlock(&heap->lock);
    return size;
}

size_t kheap_full_usable_size(kheap_t *heap, void *buffer, size_t site)
{
    if (buffer == NULL)
        return 0;
    if (is_guarded(heap, buffer)) {
        begin(heap, site);
        return kheap_guard_usable_size(heap, buffer);
    }
    return kheap_full_size_for(heap, "kmalloc_usable_size", buffer, site);
}

/* --- Tunables --- */

/* A heap of which nothing is in use: fill it as a full heap's gaps are. */
static void fill_all(kheap_t *heap)
{
    size_t length = heap->end - heap->start;

    if (length == 0)
        return;
    heap->tail = NULL;
    __builtin_memset((void *)heap->start, FILL_FREED, length);
    put_free(heap, heap->start, length, false);
}

int kheap_full_tune(kheap_t *heap, kheap_tunable_t tunable, size_t value)
{
    kheap_full_t *full = &heap->full;
    bool of_all = tunable == KHEAP_TUNE_LEVEL || tunable == KHEAP_TUNE_SECRET;

    if (tunable == KHEAP_TUNE_QUARANTINE_BYTES)
        full->most_bytes = value < KHEAP_LARGEST ? value : KHEAP_LARGEST;
    else if (tunable == KHEAP_TUNE_QUARANTINE_COUNT && value <= KHEAP_QUARANTINE_COUNT)
        full->most_count = value;
    else if (!of_all || (tunable == KHEAP_TUNE_LEVEL && value != KHEAP_BASIC
                         && (value != KHEAP_FULL || KHEAP_LEVEL == 0)))
        return -EINVAL;
    kheap_merge_cached(heap);
    if (of_all && heap->taken != 0)
        return -EBUSY;
    if (tunable == KHEAP_TUNE_SECRET)
        full->secret = value;
    if (tunable == KHEAP_TUNE_LEVEL) {
        heap->level = value;
        full->damage = KHEAP_BYTE;
        heap->detour = value == KHEAP_FULL || heap->guard != NULL;
        fill_all(heap);
    }
    return 0;
}
