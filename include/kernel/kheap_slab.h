/*
 * Slabs, for the heap's own files: pages of equal cells without registries.
 *
 *            page n                                     page n + 1
 *   - - - -+--+------+------+------+- - -+------+- - -+--+- - -
 *          |S | cell | cell | cell |     | cell |     |  |
 *   - - - -+--+------+------+------+- - -+------+- - -+--+- - -
 *           ^ registry of the superbuffer that is a slab
 *
 * Which cells are in use is a bit for each in the heap's notes of the page, in
 * segment->side, and so is the size of the cells: kfree looks there by the page's
 * number before it takes a word in memory for a registry. No link and no word of
 * the heap lies in a slab.
 *
 * A size gets slabs once as many superbuffers of its length are in use or cached
 * as a slab has cells, or early: a few sizes that are asked for often, more of them
 * in a long segment. The slabs of a class that may have room are in a list;
 * cells are taken from the first, a word of its map at a time: the class has
 * copied the free ones of a word, so to take one is to clear a bit there and to
 * set it in the map. One that is full leaves the list when its turn comes, and
 * comes back, to the end, when a cell of it is freed. A slab without a cell in
 * use is merged into the trees, but for the first of its class, which waits for a
 * flush; of two such the lower one becomes the first.
 *
 * => heap->lock is held in all of it
 * => freeing what is no cell in use is found out, whatever the address
 */
#ifndef KERNEL_KHEAP_SLAB_H
#define KERNEL_KHEAP_SLAB_H

#include <kernel/kheap_space.h>

/*
 * An offset in the page times its class's reciprocal, which is 2^24 / cell size rounded
 * up: the cell above bit 24, and below it nothing but what the rounding made of it, less
 * than 4096, if a cell starts there; else at least a reciprocal more.
 */
#define CELL_SHIFT 24u
#define CELL_REST  (((size_t)1 << CELL_SHIFT) - PAGE_SIZE)

static ALWAYS_INLINE size_t class_for(size_t size)
{
    return (size + KHEAP_ALIGN - 1) / KHEAP_ALIGN;
}

static_assert(sizeof(kheap_class_t) % KHEAP_ALIGN == 0, "or it would be a division");

/* heap->class[cell_size / KHEAP_ALIGN], in one instruction. */
static ALWAYS_INLINE kheap_class_t *class_of(kheap_t *heap, size_t cell_size)
{
    size_t offset = cell_size * (sizeof(kheap_class_t) / KHEAP_ALIGN);

    return (kheap_class_t *)((size_t)heap->class + offset);
}

/* A cell of the word of the map that is at hand. => class->free is not 0 */
static ALWAYS_INLINE void *cell_take(kheap_class_t *class, size_t cell_size)
{
    size_t bits = class->free;
    size_t rest = bits & (bits - 1);

    class->free = rest;
    *class->used |= bits ^ rest;
    return (void *)(class->start + (size_t)__builtin_ctzl(bits) * cell_size);
}

static inline size_t class_number(const kheap_slab_t *slab)
{
    return slab->cell_size / KHEAP_ALIGN;
}

/* The notes of the page of an address. => NULL: it is not in the segment, or there are none */
static ALWAYS_INLINE kheap_slab_t *slab_of(const kheap_t *heap, const void *buffer)
{
    size_t offset = (size_t)buffer - heap->base;

    if (UNLIKELY(offset >= heap->slab_span))
        return NULL;
    kheap_slab_t *slab = &heap->slab[offset >> PAGE_SHIFT];
    if (slab == NULL)
        __builtin_unreachable();
    return slab;
}

/* The product above, of an address in a slab. */
static ALWAYS_INLINE size_t cell_place(const kheap_slab_t *slab, const void *buffer)
{
    return ((size_t)buffer & PAGE_MASK) * slab->reciprocal;
}

/* Does a cell start at this place? => KHEAP_LEVEL 0: anywhere */
static ALWAYS_INLINE bool cell_starts(size_t place)
{
    return KHEAP_LEVEL == 0 || (place & CELL_REST) == 0;
}

/* Is this a cell in use? => it is one */
static ALWAYS_INLINE bool cell_used(const kheap_slab_t *slab, const void *buffer)
{
    size_t place = cell_place(slab, buffer);
    size_t number = place >> CELL_SHIFT;

    return cell_starts(place)
        && (slab->used[number / KHEAP_WORD_BITS] >> number % KHEAP_WORD_BITS & 1) != 0;
}

typedef enum cell_state {
    CELL_NOT_USED,      /* there is none in use here: nothing changed */
    CELL_FREED,
    CELL_LAST,          /* and now none of its word is in use */
} cell_state_t;

/* Give back a cell. */
static ALWAYS_INLINE cell_state_t cell_give(kheap_t *heap, kheap_slab_t *slab, const void *buffer)
{
    size_t place = cell_place(slab, buffer);
    size_t number = place >> CELL_SHIFT;

    if (UNLIKELY(!cell_starts(place)))
        return CELL_NOT_USED;
    size_t *used = &slab->used[number / KHEAP_WORD_BITS];
    size_t bit = (size_t)1 << number % KHEAP_WORD_BITS;
    size_t bits = *used;
    if (KHEAP_LEVEL != 0 && UNLIKELY((bits & bit) == 0))
        return CELL_NOT_USED;
    *used = bits ^ bit;
    heap->cells--;
    heap->cell_bytes -= slab->cell_size;
    return bits == bit ? CELL_LAST : CELL_FREED;
}

/* Without libgcc there is no popcount. => O(1) */
static inline size_t count_bits(size_t bits)
{
    const size_t ones = SIZE_MAX;

    bits -= bits >> 1 & ones / 3;
    bits = (bits & ones / 5) + (bits >> 2 & ones / 5);
    bits = (bits + (bits >> 4)) & ones / 17;
    return bits * (ones / 255) >> (KHEAP_WORD_BITS - 8);
}

/* The bits of the cells that a word of a map has. */
static inline size_t cells_of_word(const kheap_class_t *class, size_t word)
{
    return word + 1 < class->words ? SIZE_MAX : word + 1 == class->words ? class->last_word : 0;
}

/* Have the classes know their cells. */
void kheap_slab_init(kheap_t *heap);

/* Bring a word of a slab's map to hand: the next of its class that has room. => false: none */
bool kheap_slab_refill(kheap_t *heap, kheap_class_t *class);

/* Is the next buffer of a class, which has none at hand, better taken from a new slab? */
bool kheap_slab_due(kheap_t *heap, size_t class);

/* No class has cells at hand any more. */
void kheap_slab_put_down(kheap_t *heap);

/* Make a slab, the first of its class. => false: no memory */
bool kheap_slab_create(kheap_t *heap, size_t class);

/* A cell of this slab was freed: it is to be listed, or perhaps to be merged. */
void kheap_slab_room(kheap_t *heap, kheap_slab_t *slab);
void kheap_slab_quiet(kheap_t *heap, kheap_slab_t *slab);

/* Merge every slab without a cell in use. => how many bytes */
size_t kheap_slab_merge(kheap_t *heap);

#endif
