/*
 * Guard mode: the slots, who is due, what lies around a buffer, and what is said
 * about it.
 */
#include <kernel/kheap_guard.h>
#include <kernel/kheap_fast.h>

#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/printk.h>

#define PATTERN       0xb5
#define FRESH         0xcc      /* what a new buffer holds */
#define NO_SLOT       SIZE_MAX
#define SENTENCE_SIZE 256
#define PART_SIZE     80
#define FREED_FURTHER KIB       /* an access was rather meant for a buffer in use */

static_assert(KHEAP_GUARD_SLOTS <= UINT8_MAX, "a byte numbers the slots");
static_assert(2 * (uint64_t)KHEAP_GUARD_EVERY_MAX <= UINT32_MAX, "a turn is drawn in 32 bits");

static size_t page_of(const kheap_guard_t *guard, size_t slot)
{
    return guard->pages->base + (2 * slot + 1) * PAGE_SIZE;
}

/* ---- whose turn it is */

/* xorshift32 */
static uint32_t next_random(kheap_guard_t *guard)
{
    guard->random ^= guard->random << 13;
    guard->random ^= guard->random >> 17;
    guard->random ^= guard->random << 5;
    return guard->random;
}

static void draw(kheap_guard_t *guard)
{
    if (guard->every != 0)
        guard->until = 1 + next_random(guard) % (2 * guard->every - 1);
}

static bool is_due(kheap_guard_t *guard)
{
    if (guard->every == 0 || --guard->until != 0)
        return false;
    draw(guard);
    return true;
}

/* ---- buffers */

/* The first byte from `from` to `end` that is not the pattern. => NULL: none */
static const uint8_t *find_write(size_t from, size_t end)
{
    for (const uint8_t *byte = (const uint8_t *)from; byte < (const uint8_t *)end; byte++) {
        if (*byte != PATTERN)
            return byte;
    }
    return NULL;
}

/* What was written to around a buffer in use. => NULL: nothing */
static const uint8_t *find_damage(const kheap_guard_t *guard, size_t slot)
{
    const guard_slot_t *at = &guard->slot[slot];
    size_t page = page_of(guard, slot);
    const uint8_t *byte = find_write(at->buffer + at->size, page + PAGE_SIZE);

    return byte != NULL ? byte : find_write(page, at->buffer);
}

static void *take(kheap_guard_t *guard, size_t align, size_t size)
{
    size_t slot = guard->ring[guard->first];
    size_t page = page_of(guard, slot);
    size_t buffer = page;

    if (guard->free == 0 || guard->pages->map(guard->pages, page) != 0) {
        guard->refused++;
        return NULL;
    }
    guard->first = (guard->first + 1) % guard->pages->slots;
    guard->free--;
    guard->used++;
    guard->served++;
    if (next_random(guard) % 2 == 0)
        buffer = page + PAGE_SIZE - align_up(size, align);
    guard->slot[slot] = (guard_slot_t){
        .buffer = buffer,
        .size = size,
        .allocated = guard->pages->caller(),
        .state = GUARD_USED,
    };
    __builtin_memset((void *)page, PATTERN, PAGE_SIZE);
    __builtin_memset((void *)buffer, FRESH, size);
    return (void *)buffer;
}

static void give(kheap_guard_t *guard, size_t slot)
{
    guard->pages->unmap(guard->pages, page_of(guard, slot));
    guard->slot[slot].state = GUARD_FREED;
    guard->slot[slot].freed = guard->pages->caller();
    guard->ring[(guard->first + guard->free) % guard->pages->slots] = (uint8_t)slot;
    guard->free++;
    guard->used--;
}

/* The slot of this buffer, which is in use. => NO_SLOT: there is none */
static size_t find_used(const kheap_guard_t *guard, const void *buffer)
{
    size_t page = ((size_t)buffer - guard->pages->base) / PAGE_SIZE;
    size_t slot = page / 2;

    if (page % 2 == 0 || guard->slot[slot].state != GUARD_USED
        || guard->slot[slot].buffer != (size_t)buffer)
        return NO_SLOT;
    return slot;
}

/* ---- sentences */

/* "kmap+0x12" */
static const char *site_text(const kheap_guard_t *guard, size_t site, char *text)
{
    size_t offset = 0;
    const char *name = guard->pages->symbol(site, &offset);

    if (name != NULL)
        format_text(text, PART_SIZE, "%s+%#zx", name, offset);
    else
        format_text(text, PART_SIZE, "%p", (void *)site);
    return text;
}

/* "WHAT byte 4 of the buffer 0xdfe01f90 of 100 bytes, allocated at f+0x12, freed at g+0x34" */
static void describe(const kheap_guard_t *guard, size_t slot, const char *what, size_t address,
                     char *text, size_t size)
{
    const guard_slot_t *at = &guard->slot[slot];
    size_t end = at->buffer + at->size;
    bool inside = address >= at->buffer && address < end;
    size_t count = inside ? address - at->buffer
                 : address >= end ? address - end + 1 : at->buffer - address;
    char place[PART_SIZE];
    char allocated[PART_SIZE];
    char freed[PART_SIZE] = "";

    if (inside)
        format_text(place, PART_SIZE, "byte %zu of", count);
    else
        format_text(place, PART_SIZE, "%zu byte%s %s of", count, count == 1 ? "" : "s",
                    address >= end ? "past the end" : "before the start");
    if (at->state == GUARD_FREED)
        site_text(guard, at->freed, freed);
    format_text(text, size, "%s %s the buffer %p of %zu bytes, allocated at %s%s%s", what, place,
                (void *)at->buffer, at->size, site_text(guard, at->allocated, allocated),
                at->state == GUARD_FREED ? ", freed at " : "", freed);
}

/* How far an address outside is from a slot's buffer. => slot: any number; SIZE_MAX: no buffer */
static size_t distance(const kheap_guard_t *guard, size_t slot, size_t address)
{
    if (slot >= guard->pages->slots || guard->slot[slot].state == GUARD_NEVER_USED)
        return SIZE_MAX;
    const guard_slot_t *at = &guard->slot[slot];
    return (address < at->buffer ? at->buffer - address : address - at->buffer - at->size)
        + (at->state == GUARD_FREED ? FREED_FURTHER : 0);
}

/* The slot whose buffer an access was meant for. => NO_SLOT: there was none near */
static size_t find_near(const kheap_guard_t *guard, size_t address)
{
    size_t page = (address - guard->pages->base) / PAGE_SIZE;
    size_t slot = page / 2;     /* on this page, or behind it */

    if (page % 2 == 0 && distance(guard, slot - 1, address) < distance(guard, slot, address))
        slot--;
    return slot < guard->pages->slots && guard->slot[slot].state != GUARD_NEVER_USED ? slot
                                                                                    : NO_SLOT;
}

bool kheap_guard_explain(const kheap_t *heap, size_t address, const char *access, char *text,
                         size_t size)
{
    const kheap_guard_t *guard = heap->guard;
    char what[PART_SIZE];

    if (guard == NULL || !kheap_guard_holds(heap, (void *)address))
        return false;
    size_t slot = find_near(guard, address);
    if (slot == NO_SLOT) {
        format_text(text, size, "%s between guarded buffers, where none is or was", access);
        return true;
    }
    bool freed = guard->slot[slot].state == GUARD_FREED;
    format_text(what, sizeof(what), "%s%s", access, freed ? " after free," : "");
    describe(guard, slot, what, address, text, size);
    return true;
}

/* A buffer that is none of the pool's, but in its range. => heap->lock is held, and released */
static void misuse(kheap_t *heap, const char *call, const void *buffer)
{
    kheap_guard_t *guard = heap->guard;
    size_t slot = find_near(guard, (size_t)buffer);
    char text[SENTENCE_SIZE];
    char what[PART_SIZE];

    heap->misuses++;
    if (slot == NO_SLOT) {
        format_text(text, sizeof(text), "%s(%p): between guarded buffers, where none is or was",
                    call, buffer);
    } else {
        bool freed = guard->slot[slot].state == GUARD_FREED;
        format_text(what, sizeof(what), "%s(%p):%s", call, buffer, freed ? " free already:" : "");
        describe(guard, slot, what, (size_t)buffer, text, sizeof(text));
    }
    splock_unlock(&heap->lock);
    host_misuse(text);
}

/* ---- calls */

void kheap_guard_start(kheap_t *heap, kheap_guard_t *guard, guard_pages_t *pages, uint32_t seed)
{
    ASSERT(heap->guard == NULL && pages->base % PAGE_SIZE == 0);
    ASSERT(pages->slots != 0 && pages->slots <= KHEAP_GUARD_SLOTS);

    *guard = (kheap_guard_t){
        .pages = pages,
        .random = seed != 0 ? seed : 1,
        .free = pages->slots,
    };
    for (size_t i = 0; i < pages->slots; i++)
        guard->ring[i] = (uint8_t)i;
    heap->guard = guard;
    heap->detour = true;
}

int kheap_guard_tune(kheap_t *heap, size_t every)
{
    if (heap->guard == NULL || every > KHEAP_GUARD_EVERY_MAX)
        return -EINVAL;
    splock_lock(&heap->lock);
    heap->guard->every = every;
    draw(heap->guard);
    kheap_slab_put_down(heap);
    splock_unlock(&heap->lock);
    return 0;
}

void *kheap_guard_alloc(kheap_t *heap, size_t align, size_t size)
{
    void *buffer = NULL;

    if (size > PAGE_SIZE || align > PAGE_SIZE)
        return NULL;
    if (is_due(heap->guard))
        buffer = take(heap->guard, align, size != 0 ? size : 1);
    return buffer;
}

bool kheap_guard_free(kheap_t *heap, void *buffer)
{
    kheap_guard_t *guard = heap->guard;
    char text[SENTENCE_SIZE];
    char what[PART_SIZE];

    if (!kheap_guard_holds(heap, buffer))
        return false;
    size_t slot = find_used(guard, buffer);
    if (slot == NO_SLOT) {
        misuse(heap, "kfree", buffer);
        return true;
    }
    const uint8_t *damage = find_damage(guard, slot);
    if (damage != NULL) {
        format_text(what, sizeof(what), "kfree(%p): there was a write", buffer);
        describe(guard, slot, what, (size_t)damage, text, sizeof(text));
        heap->misuses++;
    }
    give(guard, slot);
    splock_unlock(&heap->lock);
    if (damage != NULL)
        host_misuse(text);
    return true;
}

/* The size of a buffer of the pool. => 0: misuse; heap->lock is held, and released */
static size_t size_of(kheap_t *heap, const char *call, const void *buffer)
{
    size_t slot = find_used(heap->guard, buffer);
    if (slot == NO_SLOT) {
        misuse(heap, call, buffer);
        return 0;
    }
    size_t size = heap->guard->slot[slot].size;
    splock_unlock(&heap->lock);
    return size;
}

size_t kheap_guard_usable_size(kheap_t *heap, void *buffer)
{
    return size_of(heap, "kmalloc_usable_size", buffer);
}

/* kheap_free for whoever called the heap at `site`. */
static void free_for(kheap_t *heap, void *buffer, size_t site)
{
    splock_lock(&heap->lock);
    kheap_free_rest(heap, buffer, site);
}

/* Copy to a new buffer and free the old one. */
static void *move(kheap_t *heap, void *to, void *from, size_t size, size_t site)
{
    __builtin_memcpy(to, from, size);
    free_for(heap, from, site);
    return to;
}

static void *move_out(kheap_t *heap, void *buffer, size_t size, size_t site)
{
    splock_lock(&heap->lock);
    size_t old = size_of(heap, "krealloc", buffer);
    if (old == 0)
        return NULL;
    splock_lock(&heap->lock);
    void *moved = kheap_alloc_rest(heap, size, site);   /* the pool, if it is due, or the heap */
    if (moved == NULL)
        return size <= old ? buffer : NULL;
    return move(heap, moved, buffer, size < old ? size : old, site);
}

bool kheap_guard_realloc(kheap_t *heap, void *buffer, size_t size, size_t site, void **answer)
{
    if (kheap_guard_holds(heap, buffer)) {
        *answer = move_out(heap, buffer, size, site);
        return true;
    }
    splock_lock(&heap->lock);
    void *moved = kheap_guard_alloc(heap, KHEAP_ALIGN, size);
    splock_unlock(&heap->lock);
    if (moved == NULL)
        return false;
    size_t old = kheap_size_for(heap, "krealloc", buffer, site);
    if (old == 0) {     /* no buffer, which was reported */
        free_for(heap, moved, site);
        *answer = NULL;
    } else {
        *answer = move(heap, moved, buffer, size < old ? size : old, site);
    }
    return true;
}

/* ---- the checker */

static const char *check_slot(const kheap_guard_t *guard, size_t slot)
{
    const guard_slot_t *at = &guard->slot[slot];
    size_t page = page_of(guard, slot);
    size_t before = at->buffer - page;

    if (before % KHEAP_ALIGN != 0 || before >= PAGE_SIZE || at->size - 1 >= PAGE_SIZE - before)
        return "what is known of a guarded buffer is damaged";
    return find_damage(guard, slot) != NULL ? "the page of a guarded buffer was written to" : NULL;
}

const char *kheap_guard_check(const kheap_guard_t *guard)
{
    size_t slots = guard->pages->slots;
    bool listed[KHEAP_GUARD_SLOTS] = { false };
    const char *wrong = NULL;

    if (guard->used + guard->free != slots || guard->first >= slots)
        return "the figures of guarded buffers are wrong";
    for (size_t i = 0; i < guard->free; i++) {
        size_t slot = guard->ring[(guard->first + i) % slots];

        if (slot >= slots || listed[slot])
            return "the ring of slots for guarded buffers is damaged";
        listed[slot] = true;
    }
    for (size_t i = 0; i < slots && wrong == NULL; i++) {
        bool used = guard->slot[i].state == GUARD_USED;

        if (used == listed[i])
            return "a slot for guarded buffers is lost, or free and in use";
        if (used)
            wrong = check_slot(guard, i);
    }
    return wrong;
}
