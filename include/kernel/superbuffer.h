/*
 * What lies in a heap's segment: superbuffers, gaps and voids, told apart by
 * their first word. For the heap's own files; see kheap.h for the picture.
 *
 *      +-------------+---------------------------+---+---+---+---+
 *      | check bits  | length / 16               | C | V | P | S |
 *      +-------------+---------------------------+---+---+---+---+
 *  S superbuffer (a gap or a void has 0)    V void; with S: a slab, see kheap_slab.h
 *  P the neighbour before is a gap or a void, whose last word is its length
 *  C cached: freed and not merged yet; S is set too, and the check bits are right
 *  check bits: a hash of address and length, in superbuffers only: 22 bits on
 *  64-bit machines, 4 on 32-bit. P may change without them.
 *
 * A gap's word is its plain length, a void's its length and V: what lies before
 * either is always a superbuffer. Names say `block` where any of the three may be.
 */
#ifndef KERNEL_SUPERBUFFER_H
#define KERNEL_SUPERBUFFER_H

#include <kernel/kheap.h>

#define REGISTRY         sizeof(kernel_superbuffer_t)
#define BLOCK_SUPERBUFFER ((size_t)1)
#define BLOCK_AFTER_FREE  ((size_t)2)
#define BLOCK_VOID        ((size_t)4)
#define BLOCK_SLAB        BLOCK_VOID
#define BLOCK_CACHED      ((size_t)8)
#define BLOCK_LENGTH      ((((size_t)1 << KHEAP_LENGTH_BITS) - 1) & ~(size_t)(KHEAP_ALIGN - 1))
#define HASH_FACTOR       ((size_t)0x9e3779b97f4a7c15ull)
#define BLOCK_CHECK       (~(((size_t)1 << KHEAP_LENGTH_BITS) - 1))

static_assert(REGISTRY == sizeof(size_t), "the registry of a superbuffer is one word");
static_assert(KHEAP_ALIGN > (BLOCK_SUPERBUFFER | BLOCK_AFTER_FREE | BLOCK_VOID | BLOCK_CACHED),
              "flags lie below the length");
static_assert(2 * sizeof(size_t) <= KHEAP_ALIGN, "the smallest void has a first and a last word");
static_assert((KHEAP_GRANULE & (KHEAP_GRANULE - 1)) == 0, "lengths are rounded by masks");
static_assert(PAGE_SIZE % KHEAP_GRANULE == 0, "the tail of an extension is no remainder");

static ALWAYS_INLINE size_t *block_word(size_t block)
{
    return (size_t *)block;
}

static ALWAYS_INLINE void *buffer_of(size_t block)
{
    return (void *)(block + REGISTRY);
}

static ALWAYS_INLINE size_t block_length(size_t block)
{
    return *block_word(block) & BLOCK_LENGTH;
}

/* The length of the gap or void before a block that has BLOCK_AFTER_FREE. */
static ALWAYS_INLINE size_t *block_length_before(size_t block)
{
    return (size_t *)(block - sizeof(size_t));
}

static ALWAYS_INLINE size_t superbuffer_hash(size_t block, size_t length)
{
    return (block + 3 * length) * HASH_FACTOR;
}

/* The word of a superbuffer in use, without BLOCK_AFTER_FREE. */
static ALWAYS_INLINE size_t superbuffer_word(size_t block, size_t length)
{
    return (superbuffer_hash(block, length) & BLOCK_CHECK) | length | BLOCK_SUPERBUFFER;
}

/*
 * Is this word what a superbuffer has here: the check bits, and of the flags `mask`
 * those that `flags` says?
 *
 * => buffer_of(block) is aligned: then the low bits of a hash are the same anywhere,
 *    and flags and check bits are compared at once
 */
static ALWAYS_INLINE bool word_sound(size_t block, size_t word, size_t mask, size_t flags)
{
    size_t low = (0 - REGISTRY) * HASH_FACTOR;
    size_t differ = superbuffer_hash(block, word & BLOCK_LENGTH) ^ word;

    return (differ & (BLOCK_CHECK | mask)) == ((low ^ flags) & mask);
}

/* Is it one in use? */
static ALWAYS_INLINE bool superbuffer_sound(size_t block, size_t word)
{
    return word_sound(block, word, BLOCK_SUPERBUFFER | BLOCK_VOID | BLOCK_CACHED,
                      BLOCK_SUPERBUFFER);
}

/* Is it a cached one? */
static ALWAYS_INLINE bool cached_sound(size_t block, size_t word)
{
    return word_sound(block, word, BLOCK_SUPERBUFFER | BLOCK_VOID | BLOCK_CACHED,
                      BLOCK_SUPERBUFFER | BLOCK_CACHED);
}

/* Is it one of any kind? */
static ALWAYS_INLINE bool any_sound(size_t block, size_t word)
{
    return word_sound(block, word, BLOCK_SUPERBUFFER, BLOCK_SUPERBUFFER);
}

/* Is this a gap or a void within the heap, with the same length at both ends? */
static ALWAYS_INLINE bool free_sound(const kheap_t *heap, size_t block)
{
    size_t word = *block_word(block);
    size_t length = word & ~BLOCK_VOID;

    return length - 1 < heap->end - block && length % KHEAP_ALIGN == 0
        && *block_length_before(block + length) == length;
}

/*
 * Count a misuse and report it: walks the heap to say what `buffer` is.
 *
 * => call: the name of the call that was given it
 * => heap->lock is held, and released before the host is told: it may log, or stop
 */
void kheap_misuse(kheap_t *heap, const char *call, void *buffer);

/*
 * Count and report that heap->overwritten was written to while it was free.
 *
 * => call, buffer: what met it, and its answer
 * => heap->lock is held and released, as above
 */
void kheap_overwritten(kheap_t *heap, const char *call, const void *buffer);

#endif
