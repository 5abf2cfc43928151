/*
 * The two trees over the gaps of one kernel heap.
 *
 *  length tree    lengths below 1 KiB: one ring for each length, a bitmap says
 *                 which rings have gaps. Above: 32 bitwise tries for each
 *                 doubling of the length, the bitmap says which are not empty.
 *  addr tree      one bitwise trie over the gaps of a page and more.
 *
 *  bitmap  0 0 1 0 ... 1 | 0 1 0 0 ...
 *              |       |     |
 *             32     1008   1056..1087          gaps in the addr tree too, from
 *              o       o     o                  4096 bytes on
 *              o             |\
 *         rings of equals    o o  tries: a node is a gap, its path from the
 *                              |  root is the leading bits of its length
 *                              o
 *
 * Every gap but the tail is in the length tree. The tail, the gap that ends the
 * segment, is in no tree: it can be extended, so it counts as longer than any
 * other and its address is the highest. Gaps below a page are not in the addr
 * tree: a gap of four words has no room for a second tree, and what the addr
 * tree is for (which gap holds this address, what can be given back, an index
 * that is independent of the length tree) starts at a page. The neighbours of a
 * superbuffer are found by boundary tags, not by a search.
 *
 * Best fit is the smallest length. Among equals: a ring of equal lengths starts
 * with the lower of its first gap and each new one (one comparison).
 *
 * Cost: below 1 KiB O(1). Above, the depth of a trie is at most the number of
 * length bits it tells apart: log2(length) - 9 levels, 15 for 16 MiB, and no
 * more than the gaps in it; the addr tree's is log2(segment / PAGE_SIZE). With
 * lengths that were not chosen to hurt, both are about log2(gaps). `visited`
 * counts the gaps whose key was looked at.
 *
 * => no locks: the heap's lock guards the trees
 */
#ifndef KERNEL_GAPTREE_H
#define KERNEL_GAPTREE_H

#include <assert.h>
#include <kernel/layout.h>
#include <kernel/types.h>

/* The size of a gap's registry, and so of the smallest gap; builds may raise it. */
#ifndef KHEAP_GAP_REGISTRY_BYTES
#define KHEAP_GAP_REGISTRY_BYTES (4 * sizeof(size_t))
#endif

#define KHEAP_ALIGN       16u      /* of buffers; every length is a multiple */
#define KHEAP_LENGTH_BITS (sizeof(size_t) == 8 ? 42u : 28u)    /* lengths are below 2^this */

#define GAPTREE_EXACT_BITS 10u
#define GAPTREE_EXACT      ((size_t)1 << GAPTREE_EXACT_BITS)    /* rings below, tries from here */
#define GAPTREE_BINS       (GAPTREE_EXACT / KHEAP_ALIGN)
#define GAPTREE_SPLIT_BITS 5u       /* 2^this tries for each doubling */
#define GAPTREE_ROOTS      ((KHEAP_LENGTH_BITS - GAPTREE_EXACT_BITS) << GAPTREE_SPLIT_BITS)

#define GAPTREE_MAP_BITS   (sizeof(size_t) * 8)
#define GAPTREE_BIN_WORDS  (GAPTREE_BINS / GAPTREE_MAP_BITS)
#define GAPTREE_MAP_WORDS  \
    (GAPTREE_BIN_WORDS + (GAPTREE_ROOTS + GAPTREE_MAP_BITS - 1) / GAPTREE_MAP_BITS)

typedef struct gap_ring gap_ring_t;
struct gap_ring {
    gap_ring_t *next;
    gap_ring_t *previous;
};

/*
 * The registry at the start of a gap. The last word of the gap repeats `length`
 * for the superbuffer behind it; in the smallest gap that is the registry's own
 * last word.
 */
typedef struct kernel_heap_gap {
    size_t length;          /* of the whole gap; the same word as a superbuffer's */
    gap_ring_t equals;      /* gaps of the same length */
    size_t room[KHEAP_GAP_REGISTRY_BYTES / sizeof(size_t) - 3];
} kernel_heap_gap_t;

typedef struct gap_node gap_node_t;
struct gap_node {
    size_t key;
    gap_node_t *child[2];
    gap_node_t **slot;      /* what points here; NULL: not in a tree */
};

/* A gap of GAPTREE_EXACT bytes and more has room for nodes of both trees. */
typedef struct kernel_heap_large_gap {
    kernel_heap_gap_t gap;
    gap_node_t by_length;   /* slot is NULL for all but one of equal gaps */
    gap_node_t by_addr;     /* key: the page that holds the gap's end; from PAGE_SIZE on */
} kernel_heap_large_gap_t;

static_assert(sizeof(kernel_heap_gap_t) == KHEAP_GAP_REGISTRY_BYTES, "registry size");
static_assert(KHEAP_GAP_REGISTRY_BYTES >= 4 * sizeof(size_t), "a registry is four words or more");
static_assert(PAGE_SIZE % sizeof(kernel_heap_gap_t) == 0, "registries tile a page");
static_assert(sizeof(kernel_heap_gap_t) % KHEAP_ALIGN == 0, "gap lengths stay aligned");
static_assert(sizeof(kernel_heap_large_gap_t) + sizeof(size_t) <= GAPTREE_EXACT,
              "nodes and the last word fit the smallest gap that has them");
static_assert(GAPTREE_EXACT <= PAGE_SIZE, "the addr tree's gaps have nodes");
static_assert(GAPTREE_BINS % GAPTREE_MAP_BITS == 0, "the rings fill words of the bitmap");

typedef struct gaptree {
    size_t map[GAPTREE_MAP_WORDS];      /* bit n: ring n, then trie n - GAPTREE_BINS */
    gap_ring_t bin[GAPTREE_BINS];       /* heads of the rings, by length / KHEAP_ALIGN */
    gap_node_t *root[GAPTREE_ROOTS];
    gap_node_t *addr_root;
    unsigned addr_bit;      /* the key bit that addr_root branches on */
    gap_node_t kept;        /* the place in the addr tree of the gap removed last: a gap that
                               ends in the same page takes it over, so a cut or a merge with
                               the gap behind is no search; in no tree if slot is NULL */
    size_t base;            /* of the segment */
    size_t gaps;
    size_t visited;         /* gaps looked at since the owner set this to 0 */
    size_t most_visited;    /* the highest that was */
} gaptree_t;

/* => base is the segment's: keys of the addr tree count pages from it */
void gaptree_init(gaptree_t *tree, size_t base);

/*
 * The parts for gaps from GAPTREE_EXACT bytes on; take_large also serves smaller
 * requests that no ring could. Call gaptree_insert and so on, below.
 */
void gaptree_insert_large(gaptree_t *tree, kernel_heap_gap_t *gap);
void gaptree_remove_large(gaptree_t *tree, kernel_heap_gap_t *gap);
kernel_heap_gap_t *gaptree_fit_large(gaptree_t *tree, size_t length);

/* The lowest gap in the addr tree that ends above `address`, or NULL. */
kernel_heap_gap_t *gaptree_above(gaptree_t *tree, size_t address);

/*
 * The length of the longest gap in the tree; 0: none. At most one trie's depth.
 *
 * => end: of the segment; a link that leads out of it ends the search
 */
size_t gaptree_longest(const gaptree_t *tree, size_t end);

/* How many levels the deepest trie of the length tree has, or the addr tree. */
size_t gaptree_length_depth(const gaptree_t *tree);
size_t gaptree_addr_depth(const gaptree_t *tree);

/*
 * Is this gap where both trees should have it, and can it be taken out: do its
 * links lead to gaps that lead back?
 *
 * => two gaps that are so can both be taken out, one after the other
 * => its length must be sound; its links may be anything
 * => end: of the segment; a link that leads out of it is not followed
 * => at most the depth of two tries
 */
bool gaptree_holds(const gaptree_t *tree, size_t end, kernel_heap_gap_t *gap);

/*
 * Look at the links that gaptree_fit follows for this length, or gaptree_insert for a
 * gap of it at `address`.
 *
 * => NULL, or the first one that leads to no gap, or to one that does not lead back
 * => otherwise as above; gaptree_takes is O(gaps) where the addr tree gets higher, which
 *    moves leaves that are anywhere
 */
gap_node_t *const *gaptree_fits(const gaptree_t *tree, size_t end, size_t length);
gap_node_t *const *gaptree_takes(const gaptree_t *tree, size_t end, size_t address,
                                 size_t length);

/*
 * NULL, or a sentence: bitmap, rings, keys, links, paths of both trees, count.
 *
 * => end: as above, so that no damage makes the checker fault
 * => the sum of the lengths goes to `bytes`
 * => O(gaps); recursion bounded by the bits of a key
 */
const char *gaptree_check(const gaptree_t *tree, size_t end, size_t *bytes);

/* --- What gaptree.c and gaptree_check.c share --- */

static inline kernel_heap_large_gap_t *gaptree_large(kernel_heap_gap_t *gap)
{
    return CONTAINER_OF(gap, kernel_heap_large_gap_t, gap);
}

static inline kernel_heap_large_gap_t *gaptree_of_length(gap_node_t *node)
{
    return CONTAINER_OF(node, kernel_heap_large_gap_t, by_length);
}

static inline kernel_heap_large_gap_t *gaptree_of_addr(gap_node_t *node)
{
    return CONTAINER_OF(node, kernel_heap_large_gap_t, by_addr);
}

static inline kernel_heap_gap_t *gaptree_of_ring(gap_ring_t *equals)
{
    return CONTAINER_OF(equals, kernel_heap_gap_t, equals);
}

static inline unsigned gaptree_top_bit(size_t value)
{
    return (unsigned)(GAPTREE_MAP_BITS - 1) - (unsigned)__builtin_clzl(value);
}

/* Which trie a length is in; its root branches on the bit below those that say so. */
static inline size_t gaptree_root_of(size_t length, unsigned *bit)
{
    unsigned top = gaptree_top_bit(length);
    size_t doubling = top - GAPTREE_EXACT_BITS;
    size_t part = length >> (top - GAPTREE_SPLIT_BITS) & ((1u << GAPTREE_SPLIT_BITS) - 1);

    *bit = top - GAPTREE_SPLIT_BITS - 1;
    return (doubling << GAPTREE_SPLIT_BITS) + part;
}

static inline size_t gaptree_addr_key(const gaptree_t *tree, const kernel_heap_gap_t *gap)
{
    return ((size_t)gap + gap->length - tree->base) >> PAGE_SHIFT;
}

/* --- The hot path --- */

/* The first set bit from `index` on, within the words before `end`; or none: SIZE_MAX. */
static ALWAYS_INLINE size_t gaptree_first_set(const size_t *map, size_t index, size_t end)
{
    size_t mask = ~(size_t)0 << index % GAPTREE_MAP_BITS;

    for (size_t word = index / GAPTREE_MAP_BITS; word < end; word++) {
        size_t bits = map[word] & mask;
        if (bits != 0)
            return word * GAPTREE_MAP_BITS + (size_t)__builtin_ctzl(bits);
        mask = ~(size_t)0;
    }
    return SIZE_MAX;
}

/* Add a gap whose `length` is set. => ring: the caller knows that it belongs in a ring */
static ALWAYS_INLINE void gaptree_insert(gaptree_t *tree, kernel_heap_gap_t *gap, bool ring)
{
    size_t index = gap->length / KHEAP_ALIGN;

    tree->gaps++;
    if (!ring && index >= GAPTREE_BINS) {
        gaptree_insert_large(tree, gap);
        return;
    }
    /* lower than the first: to the start of the ring, else to its end */
    gap_ring_t *head = &tree->bin[index];
    gap_ring_t *first = head->next;
    gap_ring_t *last = head->previous;
    bool lowest = &gap->equals < first;
    gap_ring_t *before = lowest ? head : last;
    gap_ring_t *after = lowest ? first : head;
    gap->equals.next = after;
    gap->equals.previous = before;
    before->next = &gap->equals;
    after->previous = &gap->equals;
    tree->map[index / GAPTREE_MAP_BITS] |= (size_t)1 << index % GAPTREE_MAP_BITS;
}

/*
 * Take a gap out. => its length is still the one it was inserted with; ring: as above
 *
 * => follows its links unseen: where they may be damaged, ask gaptree_holds first
 */
static ALWAYS_INLINE void gaptree_remove(gaptree_t *tree, kernel_heap_gap_t *gap, bool ring)
{
    size_t index = gap->length / KHEAP_ALIGN;
    gap_ring_t *next = gap->equals.next;
    gap_ring_t *previous = gap->equals.previous;

    tree->gaps--;
    if (!ring && index >= GAPTREE_BINS) {
        gaptree_remove_large(tree, gap);
        return;
    }
    next->previous = previous;
    previous->next = next;
    /* equal if both are the head: the ring is empty (no branch: it would be a guess) */
    tree->map[index / GAPTREE_MAP_BITS] &=
        ~((size_t)(next == previous) << index % GAPTREE_MAP_BITS);
}

/* The first ring that has a gap of at least `length` bytes; SIZE_MAX: none */
static ALWAYS_INLINE size_t gaptree_fit_ring(const gaptree_t *tree, size_t length)
{
    size_t index = length / KHEAP_ALIGN;

    return index < GAPTREE_BINS ? gaptree_first_set(tree->map, index, GAPTREE_BIN_WORDS)
                                : SIZE_MAX;
}

static ALWAYS_INLINE kernel_heap_gap_t *gaptree_ring_first(gaptree_t *tree, size_t index)
{
    return CONTAINER_OF(tree->bin[index].next, kernel_heap_gap_t, equals);
}

/* The best fitting gap, still in the trees; NULL: none is long enough. */
static inline kernel_heap_gap_t *gaptree_fit(gaptree_t *tree, size_t length)
{
    size_t index = gaptree_fit_ring(tree, length);

    return index != SIZE_MAX ? gaptree_ring_first(tree, index) : gaptree_fit_large(tree, length);
}

#endif
