/*
 * Slabs: making them, the lists of those with room, merging them.
 */
#include <kernel/kheap_slab.h>

static_assert(KHEAP_CLASSES < 256, "a class is a byte");
static_assert((1u << CELL_SHIFT) / KHEAP_CELL_LARGEST > PAGE_SIZE + KHEAP_CELL_LARGEST,
              "a reciprocal is more than rounding makes of any cell");
static_assert((uint64_t)PAGE_SIZE << CELL_SHIFT >> 4 <= UINT32_MAX + (uint64_t)1
              && KHEAP_ALIGN == 16, "places fit 32 bits");

/* A slab costs no more memory than superbuffers, or this part of it more. */
#define WORTH_SHIFT 4u

/*
 * A class that was asked for so many buffers gets a slab early, while such classes are
 * few, or a page of each is no more than this part of the segment.
 */
#define PATIENCE    32u
#define EARLY_FIRST 4u
#define EARLY_SHIFT 5u

void kheap_slab_init(kheap_t *heap)
{
    heap->slab = heap->segment->side;
    heap->most_slabs = heap->slab != NULL ? SIZE_MAX : 0;
    for (size_t i = 1; i <= KHEAP_CLASSES; i++) {
        size_t cells = (PAGE_SIZE - REGISTRY) / (i * KHEAP_ALIGN);
        size_t length = length_for(i * KHEAP_ALIGN);

        heap->class[i].reciprocal = (uint32_t)(((1u << CELL_SHIFT) + i * KHEAP_ALIGN - 1)
                                               / (i * KHEAP_ALIGN));
        if (PAGE_SIZE / cells <= length + (length >> WORTH_SHIFT))
            heap->class[i].cells = (uint16_t)cells;
        heap->class[i].words = (uint16_t)((cells + KHEAP_WORD_BITS - 1) / KHEAP_WORD_BITS);
        heap->class[i].last_word = SIZE_MAX >> (0 - cells) % KHEAP_WORD_BITS;
        heap->class[i].patience = PATIENCE;
    }
}

bool kheap_is_slab(const kheap_t *heap, size_t block)
{
    const kheap_slab_t *slab = slab_of(heap, buffer_of(block));

    return slab != NULL && slab->cell_size != 0 && (size_t)buffer_of(block) % PAGE_SIZE == 0;
}

static uint32_t page_of(const kheap_t *heap, const kheap_slab_t *slab)
{
    return (uint32_t)(slab - heap->slab);
}

static bool slab_empty(const kheap_slab_t *slab)
{
    size_t used = 0;

    for (size_t i = 0; i < ARRAY_LENGTH(slab->used); i++)
        used |= slab->used[i];
    return used == 0;
}

/* --- The list of a class --- */

void kheap_slab_room(kheap_t *heap, kheap_slab_t *slab)
{
    kheap_class_t *class = &heap->class[class_number(slab)];
    uint32_t page = page_of(heap, slab);

    slab->open = true;
    slab->next = 0;
    slab->previous = class->last;
    slab->first = class->last == 0;
    *(slab->first ? &class->first : &heap->slab[class->last].next) = page;
    class->last = page;
}

/* The cells at hand of a class are its first slab's again. */
static void put_down(kheap_t *heap, size_t number)
{
    kheap_class_t *class = &heap->class[number];
    size_t cells = count_bits(class->free);

    heap->cells -= cells;
    heap->cell_bytes -= cells * number * KHEAP_ALIGN;
    class->free = 0;
}

void kheap_slab_put_down(kheap_t *heap)
{
    for (size_t i = 1; i <= KHEAP_CLASSES; i++)
        put_down(heap, i);
}

static void unlist(kheap_t *heap, kheap_slab_t *slab)
{
    kheap_class_t *class = &heap->class[class_number(slab)];

    if (slab->first) {
        put_down(heap, class_number(slab));
        slab->first = false;
        heap->slab[slab->next].first = slab->next != 0;
    }
    *(slab->previous != 0 ? &heap->slab[slab->previous].next : &class->first) = slab->next;
    *(slab->next != 0 ? &heap->slab[slab->next].previous : &class->last) = slab->previous;
    slab->open = false;
}

/* --- Cells --- */

bool kheap_slab_refill(kheap_t *heap, kheap_class_t *class)
{
    while (class->first != 0) {
        kheap_slab_t *slab = &heap->slab[class->first];
        size_t start = heap->base + ((size_t)class->first << PAGE_SHIFT);

        for (size_t i = 0; i < class->words; i++) {
            size_t bits = ~slab->used[i];

            if (i + 1u == class->words)
                bits &= class->last_word;
            if (bits != 0) {
                size_t cells = count_bits(bits);

                class->free = bits;
                class->used = &slab->used[i];
                class->start = start;
                heap->cells += cells;
                heap->cell_bytes += cells * slab->cell_size;
                return true;
            }
            start += KHEAP_WORD_BITS * slab->cell_size;
        }
        unlist(heap, slab);
    }
    return false;
}

/* --- Slabs --- */

bool kheap_slab_due(kheap_t *heap, size_t number)
{
    kheap_class_t *class = &heap->class[number];
    bool impatient = class->patience == 0;

    if (impatient)
        class->patience = PATIENCE;
    if (class->cells == 0 || heap->slabs >= heap->most_slabs)
        return false;
    if (class->slabs != 0
        || heap->cache.of[length_for(number * KHEAP_ALIGN) / KHEAP_GRANULE].taken >= class->cells)
        return true;
    if (!impatient)
        return false;
    if (!class->early
        && heap->early_classes >= EARLY_FIRST + (heap->slab_span >> (PAGE_SHIFT + EARLY_SHIFT)))
        return false;
    heap->early_classes += !class->early;
    class->early = true;
    return true;
}

bool kheap_slab_create(kheap_t *heap, size_t number)
{
    kheap_class_t *class = &heap->class[number];
    void *buffer = kheap_take_aligned(heap, PAGE_SIZE, PAGE_SIZE);
    kheap_slab_t *slab;

    if (buffer == NULL)
        return false;
    *block_word((size_t)buffer - REGISTRY) |= BLOCK_SLAB;
    heap->slabs++;
    class->slabs++;
    slab = slab_of(heap, buffer);
    slab->cell_size = (uint16_t)(number * KHEAP_ALIGN);
    slab->reciprocal = class->reciprocal;
    kheap_slab_room(heap, slab);
    return kheap_slab_refill(heap, class);
}

/* Can this slab be merged: are its registry and the words around it sound? */
static bool slab_sound(const kheap_t *heap, size_t block)
{
    return KHEAP_LEVEL == 0
        || (word_sound(block, *block_word(block), BLOCK_SUPERBUFFER | BLOCK_SLAB | BLOCK_CACHED,
                       BLOCK_SUPERBUFFER | BLOCK_SLAB)
            && block_length(block) == PAGE_SIZE && neighbours_sound(heap, block, PAGE_SIZE));
}

/* Merge a slab without a cell in use. => what is damaged stays, and is heap->overwritten */
static void dissolve(kheap_t *heap, kheap_slab_t *slab)
{
    size_t page = heap->base + ((size_t)page_of(heap, slab) << PAGE_SHIFT);
    bool found = heap->overwritten != 0;

    if (!slab_sound(heap, page - REGISTRY)) {
        heap->overwritten = page - REGISTRY;
        heap->overwritten_cached = page;
        return;
    }
    look(heap, (void *)page, (void *)(page + PAGE_SIZE - REGISTRY));
    if (!found && heap->overwritten != 0)
        heap->overwritten_cached = heap->overwritten
                                 - (heap->overwritten & PAGE_MASK) % slab->cell_size;
    unlist(heap, slab);
    heap->class[class_number(slab)].slabs--;
    *slab = (kheap_slab_t){ 0 };
    heap->slabs--;
    heap->superbuffers--;
    heap->taken -= PAGE_SIZE;
    kheap_release(heap, page - REGISTRY, PAGE_SIZE, *block_word(page - REGISTRY));
}

/* Have another slab be the first of its class. => it is in no list; its class has one */
static void list_first(kheap_t *heap, kheap_slab_t *slab)
{
    kheap_class_t *class = &heap->class[class_number(slab)];

    put_down(heap, class_number(slab));
    slab->open = true;
    slab->first = true;
    slab->previous = 0;
    slab->next = class->first;
    heap->slab[slab->next].previous = page_of(heap, slab);
    heap->slab[slab->next].first = false;
    class->first = page_of(heap, slab);
}

void kheap_slab_quiet(kheap_t *heap, kheap_slab_t *slab)
{
    kheap_slab_t *first = &heap->slab[heap->class[class_number(slab)].first];

    if (slab->first || !slab_empty(slab))
        return;
    if (first > slab && slab_empty(first)) {    /* the lower one waits */
        unlist(heap, slab);
        list_first(heap, slab);
        slab = first;
    }
    dissolve(heap, slab);
    kheap_give_back_more(heap);
}

size_t kheap_slab_merge(kheap_t *heap)
{
    size_t count = heap->slabs;

    for (size_t i = 1; i <= KHEAP_CLASSES; i++) {
        uint32_t first = heap->class[i].first;

        if (first != 0 && slab_empty(&heap->slab[first]))
            dissolve(heap, &heap->slab[first]);
    }
    return (count - heap->slabs) * PAGE_SIZE;
}
