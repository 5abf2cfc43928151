/*
 * The checker of the gap trees, and how deep they are.
 */
#include <kernel/gaptree.h>

static size_t bit_set(const gaptree_t *tree, size_t index)
{
    return tree->map[index / GAPTREE_MAP_BITS] >> index % GAPTREE_MAP_BITS & 1;
}

/* => recursion bounded by the bits of a key */
static size_t depth(const gap_node_t *node)
{
    if (node == NULL)
        return 0;
    size_t left = depth(node->child[0]);
    size_t right = depth(node->child[1]);
    return 1 + (left > right ? left : right);
}

size_t gaptree_length_depth(const gaptree_t *tree)
{
    size_t deepest = 0;

    for (size_t i = 0; i < GAPTREE_ROOTS; i++) {
        size_t levels = depth(tree->root[i]);
        deepest = levels > deepest ? levels : deepest;
    }
    return deepest;
}

size_t gaptree_addr_depth(const gaptree_t *tree)
{
    return depth(tree->addr_root);
}

/* --- Links: each is looked at before it is followed --- */

/* Can a gap of `length` bytes, or the smallest, begin at this address? */
static bool is_gap(const gaptree_t *tree, size_t end, size_t address, size_t length)
{
    return address - tree->base < end - tree->base && length <= end - address
        && sizeof(kernel_heap_gap_t) <= end - address
        && (address + sizeof(size_t)) % KHEAP_ALIGN == 0;
}

/* Can this be a gap of that length in its ring, or the ring's head? */
static bool is_ring(const gaptree_t *tree, size_t end, const gap_ring_t *ring, size_t length)
{
    if (length < GAPTREE_EXACT && ring == &tree->bin[length / KHEAP_ALIGN])
        return true;
    return is_gap(tree, end, (size_t)ring - offsetof(kernel_heap_gap_t, equals), length);
}

/* Can this be a node of the addr tree, or of the length tree? */
static bool is_node(const gaptree_t *tree, size_t end, const gap_node_t *node, bool by_addr)
{
    if (by_addr)
        return node == &tree->kept
            || is_gap(tree, end, (size_t)node - offsetof(kernel_heap_large_gap_t, by_addr),
                      PAGE_SIZE);
    return is_gap(tree, end, (size_t)node - offsetof(kernel_heap_large_gap_t, by_length),
                  GAPTREE_EXACT);
}

/* Do both neighbours of a gap in its ring lead back to it? */
static bool ring_sound(const gaptree_t *tree, size_t end, const gap_ring_t *ring, size_t length)
{
    return is_ring(tree, end, ring->next, length) && is_ring(tree, end, ring->previous, length)
        && ring->next->previous == ring && ring->previous->next == ring;
}

/* Do the node above, which has the link `slot`, and those below lead back to a node? */
static bool node_sound(const gaptree_t *tree, size_t end, const gap_node_t *node,
                       gap_node_t *const *slot, bool by_addr)
{
    bool sound = node->slot == slot;

    for (size_t i = 0; i < ARRAY_LENGTH(node->child) && sound; i++) {
        const gap_node_t *child = node->child[i];
        sound = child == NULL
            || (is_node(tree, end, child, by_addr) && child->slot == &node->child[i]);
    }
    return sound;
}

/*
 * The link to the node that has this key, from the link to a root on. => NULL: none has it
 *
 * => other: the link beside it to which any_child turns when it is empty; NULL: none
 */
static gap_node_t *const *trie_find(const gaptree_t *tree, size_t end, gap_node_t *const *slot,
                                    size_t key, unsigned bit, bool by_addr,
                                    gap_node_t *const **other)
{
    *other = NULL;
    for (unsigned bits = bit + 1; is_node(tree, end, *slot, by_addr); bits--) {
        if ((*slot)->key == key)
            return slot;
        if (bits == 0)
            return NULL;
        gap_node_t *const *child = (*slot)->child;
        size_t side = key >> (bits - 1) & 1;
        slot = &child[side];
        *other = side == 1 ? &child[0] : NULL;
    }
    return NULL;
}

/* Is this link empty, or does it lead to a node that leads back, as its ring does? */
static bool link_sound(const gaptree_t *tree, size_t end, gap_node_t *const *slot, bool by_addr)
{
    gap_node_t *node = *slot;

    if (node == NULL)
        return true;
    return is_node(tree, end, node, by_addr) && node->slot == slot
        && (by_addr || ring_sound(tree, end, &gaptree_of_length(node)->gap.equals, node->key));
}

/*
 * Look at the links from here down to a leaf, on `side` where there is a choice.
 *
 * => the first one that is not sound, or NULL
 */
static gap_node_t *const *fall(const gaptree_t *tree, size_t end, gap_node_t *const *slot,
                               size_t side, bool by_addr)
{
    while (link_sound(tree, end, slot, by_addr)) {
        if (*slot == NULL)
            return NULL;
        gap_node_t *const *child = (*slot)->child;
        slot = &child[child[side] != NULL ? side : 1 - side];
    }
    return slot;
}

/*
 * Can a node be taken out, and then another one whose leaf was the same one?
 *
 *        node                       leaf
 *       /    \                     /    \
 *            below      ->             below
 *           /     \                   /
 *      others      leaf          others            below it is the next leaf
 *
 * => slot: its link; other: the one beside it, as trie_find says
 */
static bool leaves_sound(const gaptree_t *tree, size_t end, gap_node_t *const *slot,
                         gap_node_t *const *other, bool by_addr)
{
    while (link_sound(tree, end, slot, by_addr)) {
        gap_node_t *const *child = (*slot)->child;

        if (child[0] == NULL && child[1] == NULL)
            return other == NULL || fall(tree, end, other, 1, by_addr) == NULL;
        other = child[1] != NULL ? &child[0] : NULL;
        slot = &child[child[1] != NULL];
    }
    return false;
}

/*
 * Look at the links on the way to a key, those to the keys next above it, and those of
 * the node that has it.
 *
 * => as above
 */
static gap_node_t *const *path(const gaptree_t *tree, size_t end, gap_node_t *const *slot,
                               size_t key, unsigned bit, bool by_addr)
{
    unsigned bits = bit + 1;

    while (link_sound(tree, end, slot, by_addr)) {
        if (*slot == NULL)
            return NULL;
        gap_node_t *const *child = (*slot)->child;
        if ((*slot)->key == key)
            return !link_sound(tree, end, &child[0], by_addr) ? &child[0]
                 : !link_sound(tree, end, &child[1], by_addr) ? &child[1] : NULL;
        if (bits == 0)
            return slot;
        size_t side = key >> --bits & 1;
        gap_node_t *const *wrong = side == 0 ? fall(tree, end, &child[1], 0, by_addr) : NULL;
        if (wrong != NULL)
            return wrong;
        slot = &child[side];
    }
    return slot;
}

/*
 * Look at every link from here down to all leaves.
 *
 * => as above; recursion bounded by `levels`, which a sound tree has no more of
 */
static gap_node_t *const *subtree(const gaptree_t *tree, size_t end, gap_node_t *const *slot,
                                  unsigned levels, bool by_addr)
{
    if (*slot == NULL)
        return NULL;
    if (levels == 0 || !link_sound(tree, end, slot, by_addr))
        return slot;
    gap_node_t *const *child = (*slot)->child;
    gap_node_t *const *wrong = subtree(tree, end, &child[0], levels - 1, by_addr);
    return wrong != NULL ? wrong : subtree(tree, end, &child[1], levels - 1, by_addr);
}

gap_node_t *const *gaptree_fits(const gaptree_t *tree, size_t end, size_t length)
{
    size_t index = GAPTREE_BINS;

    if (gaptree_fit_ring(tree, length) != SIZE_MAX)
        return NULL;
    if (length >= GAPTREE_EXACT) {
        unsigned bit;
        size_t root = gaptree_root_of(length, &bit);
        gap_node_t *const *wrong = path(tree, end, &tree->root[root], length, bit, false);
        if (wrong != NULL)
            return wrong;
        index = GAPTREE_BINS + root + 1;
    }
    index = gaptree_first_set(tree->map, index, GAPTREE_MAP_WORDS);
    return index == SIZE_MAX ? NULL
         : fall(tree, end, &tree->root[index - GAPTREE_BINS], 0, false);
}

gap_node_t *const *gaptree_takes(const gaptree_t *tree, size_t end, size_t address, size_t length)
{
    unsigned bit;

    if (length < GAPTREE_EXACT)
        return NULL;        /* the head of a ring is in no gap */
    size_t root = gaptree_root_of(length, &bit);
    gap_node_t *const *wrong = path(tree, end, &tree->root[root], length, bit, false);
    if (wrong != NULL || length < PAGE_SIZE)
        return wrong;
    size_t key = (address + length - tree->base) >> PAGE_SHIFT;
    if (key >> tree->addr_bit > 1)      /* new levels, each with any leaf as its root */
        return subtree(tree, end, &tree->addr_root, tree->addr_bit + 2, true);
    return path(tree, end, &tree->addr_root, key, tree->addr_bit, true);
}

size_t gaptree_longest(const gaptree_t *tree, size_t end)
{
    size_t word = GAPTREE_MAP_WORDS;
    size_t longest = 0;

    while (word > 0 && tree->map[word - 1] == 0)
        word--;
    if (word == 0)
        return 0;
    size_t index = (word - 1) * GAPTREE_MAP_BITS + gaptree_top_bit(tree->map[word - 1]);
    if (index < GAPTREE_BINS)
        return index * KHEAP_ALIGN;
    gap_node_t *const *slot = &tree->root[index - GAPTREE_BINS];
    while (*slot != NULL && link_sound(tree, end, slot, false)) {
        gap_node_t *const *child = (*slot)->child;

        longest = (*slot)->key > longest ? (*slot)->key : longest;
        slot = &child[child[1] != NULL ? 1 : 0];
    }
    return longest;
}

/* The place that was kept in the addr tree: can it be given up? */
static bool kept_sound(const gaptree_t *tree, size_t end)
{
    gap_node_t *const *slot = tree->kept.slot;

    return slot == NULL || (node_sound(tree, end, &tree->kept, slot, true)
                            && fall(tree, end, slot, 1, true) == NULL);
}

bool gaptree_holds(const gaptree_t *tree, size_t end, kernel_heap_gap_t *gap)
{
    gap_node_t *const *other;
    unsigned bit;

    if (!ring_sound(tree, end, &gap->equals, gap->length))
        return false;
    if (gap->length < GAPTREE_EXACT)
        return bit_set(tree, gap->length / KHEAP_ALIGN) != 0;
    size_t root = gaptree_root_of(gap->length, &bit);
    gap_node_t *const *slot = trie_find(tree, end, &tree->root[root], gap->length, bit, false,
                                        &other);
    const gap_node_t *node = &gaptree_large(gap)->by_length;
    if (slot == NULL)
        return false;
    if (*slot == node ? !node_sound(tree, end, node, slot, false)
                            || !leaves_sound(tree, end, slot, other, false)
                      : node->slot != NULL)
        return false;
    if (gap->length < PAGE_SIZE)
        return true;
    slot = trie_find(tree, end, &tree->addr_root, gaptree_addr_key(tree, gap), tree->addr_bit,
                     true, &other);
    node = &gaptree_large(gap)->by_addr;
    return slot != NULL && *slot == node && node_sound(tree, end, node, slot, true)
        && leaves_sound(tree, end, slot, other, true) && kept_sound(tree, end);
}

/* --- Everything --- */

typedef struct gap_count {
    const gaptree_t *tree;
    size_t end;         /* of the segment */
    size_t gaps;
    size_t bytes;
    size_t pages;       /* gaps that should be in the addr tree */
    size_t addrs;       /* gaps that are */
} gap_count_t;

/* The gaps in the ring of `head`, without itself: all of `length`? */
static const char *check_ring(gap_count_t *count, const gap_ring_t *head, size_t length)
{
    const gap_ring_t *ring = head;

    for (;;) {
        if (!ring_sound(count->tree, count->end, ring, length))
            return "a ring of equal gaps is broken";
        ring = ring->next;
        if (ring == head)
            return NULL;
        kernel_heap_gap_t *gap = gaptree_of_ring((gap_ring_t *)ring);
        if (gap->length != length)
            return "a gap is in the wrong ring";
        if (length >= GAPTREE_EXACT && gaptree_large(gap)->by_length.slot != NULL)
            return "two equal gaps are nodes of the length tree";
        if (++count->gaps > count->tree->gaps)
            return "the length tree has more gaps than were counted";
        count->bytes += length;
        count->pages += length >= PAGE_SIZE;
    }
}

/* Check a subtree whose keys are low .. high - 1. => recursion bounded by the bits of a key */
static const char *check_trie(gap_count_t *count, gap_node_t *const *slot, size_t low, size_t high,
                              bool by_addr)
{
    gap_node_t *node = *slot;
    size_t middle = low + (high - low) / 2;
    const char *wrong = NULL;

    if (node == NULL)
        return NULL;
    if (!is_node(count->tree, count->end, node, by_addr))
        return "a link of a tree leads to no gap";
    if (node->slot != slot)
        return "a node of a tree has a wrong link upwards";
    if (node->key < low || node->key >= high)
        return "a gap is on the wrong side of its tree";
    if (node == &count->tree->kept) {
        /* no gap has this place now */
    } else if (by_addr) {
        kernel_heap_gap_t *gap = &gaptree_of_addr(node)->gap;
        if (gap->length < PAGE_SIZE || gaptree_addr_key(count->tree, gap) != node->key)
            return "a gap in the addr tree has another address than its key";
        count->addrs++;
    } else {
        kernel_heap_gap_t *gap = &gaptree_of_length(node)->gap;
        if (gap->length != node->key)
            return "a gap in the length tree has another length than its key";
        if (++count->gaps > count->tree->gaps)
            return "the length tree has more gaps than were counted";
        count->bytes += gap->length;
        count->pages += gap->length >= PAGE_SIZE;
        wrong = check_ring(count, &gap->equals, gap->length);
    }
    if (wrong == NULL)
        wrong = check_trie(count, &node->child[0], low, middle, by_addr);
    if (wrong == NULL)
        wrong = check_trie(count, &node->child[1], middle, high, by_addr);
    return wrong;
}

const char *gaptree_check(const gaptree_t *tree, size_t end, size_t *bytes)
{
    gap_count_t count = { .tree = tree, .end = end };
    const char *wrong = NULL;

    for (size_t i = 0; i < GAPTREE_BINS && wrong == NULL; i++) {
        if (bit_set(tree, i) != (tree->bin[i].next != &tree->bin[i]))
            return "the bitmap is wrong about a ring";
        wrong = check_ring(&count, &tree->bin[i], i * KHEAP_ALIGN);
    }
    for (size_t i = 0; i < GAPTREE_ROOTS && wrong == NULL; i++) {
        size_t first = (size_t)1 << (GAPTREE_EXACT_BITS + (i >> GAPTREE_SPLIT_BITS));
        size_t width = first >> GAPTREE_SPLIT_BITS;
        size_t low = first + width * (i & ((1u << GAPTREE_SPLIT_BITS) - 1));
        if (bit_set(tree, GAPTREE_BINS + i) != (tree->root[i] != NULL))
            return "the bitmap is wrong about a trie";
        wrong = check_trie(&count, &tree->root[i], low, low + width, false);
    }
    if (wrong == NULL)
        wrong = check_trie(&count, &tree->addr_root, 0, (size_t)2 << tree->addr_bit, true);
    if (wrong != NULL)
        return wrong;
    if (count.gaps != tree->gaps)
        return "the length tree has fewer gaps than were counted";
    if (count.pages != count.addrs)
        return "the addr tree does not have all gaps of a page and more";
    *bytes = count.bytes;
    return NULL;
}
