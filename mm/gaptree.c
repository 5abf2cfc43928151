/*
 * The bitwise tries behind the length tree and the addr tree.
 *
 * A node holds a key itself; the subtrees below it hold the other keys of its
 * range, split by one bit of the key, the highest first. So no path is longer
 * than the key has bits, a node is taken out by putting any leaf below it in its
 * place, and nothing is ever rebalanced.
 *
 *        1010               keys 1010 0011 0110 1100 1000, in this order
 *       /    \              bit 3
 *    0011    1100           bit 2
 *       \    /
 *     0110  1000
 */
#include <kernel/gaptree.h>

static gap_node_t *any_child(const gap_node_t *node)
{
    return node->child[1] != NULL ? node->child[1] : node->child[0];
}

static void set_slot(gap_node_t **slot, gap_node_t *node)
{
    *slot = node;
    if (node != NULL)
        node->slot = slot;
}

static void visit(gaptree_t *tree, size_t count)
{
    tree->visited += count;
    if (tree->visited > tree->most_visited)
        tree->most_visited = tree->visited;
}

/* Put `to` where `from` is. */
static void trie_move(gap_node_t *from, gap_node_t *to)
{
    set_slot(from->slot, to);
    set_slot(&to->child[0], from->child[0]);
    set_slot(&to->child[1], from->child[1]);
    from->slot = NULL;
}

/* Take out a leaf at or below `node`. */
static gap_node_t *detach_leaf(gaptree_t *tree, gap_node_t *node)
{
    size_t visited = 0;

    for (gap_node_t *below = any_child(node); below != NULL; below = any_child(node)) {
        node = below;
        visited++;
    }
    visit(tree, visited);
    *node->slot = NULL;
    return node;
}

static void trie_remove(gaptree_t *tree, gap_node_t *node)
{
    gap_node_t *leaf = detach_leaf(tree, node);

    if (leaf != node)
        trie_move(node, leaf);
    node->slot = NULL;
}

/* Add a node. => the node that has this key already, which stays, or `node` */
static gap_node_t *trie_insert(gaptree_t *tree, gap_node_t **slot, gap_node_t *node, unsigned bit)
{
    size_t visited = 0;

    for (gap_node_t *at = *slot; at != NULL; at = *slot, bit--) {
        visited++;
        if (at->key == node->key) {
            node = at;
            break;
        }
        slot = &at->child[node->key >> bit & 1];
    }
    visit(tree, visited);
    if (*slot == NULL) {
        set_slot(slot, node);
        node->child[0] = NULL;
        node->child[1] = NULL;
    }
    return node;
}

/* The least key at or below `node`, or `best` if that is less. */
static gap_node_t *trie_least(gaptree_t *tree, gap_node_t *node, gap_node_t *best)
{
    size_t visited = 0;

    for (; node != NULL; node = node->child[0] != NULL ? node->child[0] : node->child[1]) {
        visited++;
        if (best == NULL || node->key < best->key)
            best = node;
    }
    visit(tree, visited);
    return best;
}

/* The least key from `key` on, or NULL. */
static gap_node_t *trie_from(gaptree_t *tree, gap_node_t *node, size_t key, unsigned bit)
{
    gap_node_t *best = NULL;
    gap_node_t *above = NULL;   /* the last subtree passed whose keys are all higher */
    size_t visited = 0;

    for (; node != NULL; bit--) {
        visited++;
        if (node->key >= key && (best == NULL || node->key < best->key))
            best = node;
        if (node->key == key)
            break;
        size_t side = key >> bit & 1;
        if (side == 0 && node->child[1] != NULL)
            above = node->child[1];
        node = node->child[side];
    }
    visit(tree, visited);
    return node != NULL ? node : trie_least(tree, above, best);
}

void gaptree_init(gaptree_t *tree, size_t base)
{
    *tree = (gaptree_t){ .base = base };
    for (size_t i = 0; i < GAPTREE_BINS; i++)
        tree->bin[i] = (gap_ring_t){ &tree->bin[i], &tree->bin[i] };
}

/* The segment has doubled: one more level above the addr tree's root. */
static void lift_addr_root(gaptree_t *tree)
{
    gap_node_t *old = tree->addr_root;

    tree->addr_bit++;
    if (old == NULL)
        return;
    gap_node_t *leaf = detach_leaf(tree, old);
    if (leaf != old) {
        set_slot(&leaf->child[0], old);
        leaf->child[1] = NULL;
    }
    set_slot(&tree->addr_root, leaf);
}

static void insert_addr(gaptree_t *tree, kernel_heap_large_gap_t *gap)
{
    gap->by_addr.key = gaptree_addr_key(tree, &gap->gap);
    if (tree->kept.slot != NULL && tree->kept.key == gap->by_addr.key) {
        trie_move(&tree->kept, &gap->by_addr);
        return;
    }
    while (gap->by_addr.key >> tree->addr_bit > 1)
        lift_addr_root(tree);
    trie_insert(tree, &tree->addr_root, &gap->by_addr, tree->addr_bit);
}

static void drop_kept(gaptree_t *tree)
{
    if (tree->kept.slot != NULL)
        trie_remove(tree, &tree->kept);
}

static void remove_addr(gaptree_t *tree, kernel_heap_large_gap_t *gap)
{
    drop_kept(tree);
    trie_move(&gap->by_addr, &tree->kept);
    tree->kept.key = gap->by_addr.key;
}

static void insert_length(gaptree_t *tree, kernel_heap_large_gap_t *gap)
{
    unsigned bit;
    size_t root = gaptree_root_of(gap->gap.length, &bit);
    size_t index = GAPTREE_BINS + root;

    tree->map[index / GAPTREE_MAP_BITS] |= (size_t)1 << index % GAPTREE_MAP_BITS;
    gap->by_length.key = gap->gap.length;
    gap->by_length.slot = NULL;
    gap_ring_t *ring = &gap->gap.equals;
    gap_node_t *node = trie_insert(tree, &tree->root[root], &gap->by_length, bit);
    if (node == &gap->by_length) {
        ring->next = ring->previous = ring;
        return;
    }
    gap_ring_t *next = &gaptree_of_length(node)->gap.equals;
    gap_ring_t *previous = next->previous;
    ring->next = next;
    ring->previous = previous;
    previous->next = ring;
    next->previous = ring;
    if (ring < next)
        trie_move(node, &gap->by_length);
}

static void remove_length(gaptree_t *tree, kernel_heap_large_gap_t *gap)
{
    gap_ring_t *next = gap->gap.equals.next;
    gap_ring_t *previous = gap->gap.equals.previous;
    unsigned bit;
    size_t root = gaptree_root_of(gap->gap.length, &bit);
    size_t index = GAPTREE_BINS + root;

    next->previous = previous;
    previous->next = next;
    if (gap->by_length.slot == NULL)
        return;
    if (next != &gap->gap.equals) {
        trie_move(&gap->by_length, &gaptree_large(gaptree_of_ring(next))->by_length);
        return;
    }
    trie_remove(tree, &gap->by_length);
    if (tree->root[root] == NULL)
        tree->map[index / GAPTREE_MAP_BITS] &= ~((size_t)1 << index % GAPTREE_MAP_BITS);
}

void gaptree_insert_large(gaptree_t *tree, kernel_heap_gap_t *gap)
{
    insert_length(tree, gaptree_large(gap));
    if (gap->length >= PAGE_SIZE)
        insert_addr(tree, gaptree_large(gap));
}

void gaptree_remove_large(gaptree_t *tree, kernel_heap_gap_t *gap)
{
    remove_length(tree, gaptree_large(gap));
    if (gap->length >= PAGE_SIZE)
        remove_addr(tree, gaptree_large(gap));
}

kernel_heap_gap_t *gaptree_fit_large(gaptree_t *tree, size_t length)
{
    size_t index = GAPTREE_BINS;

    if (length >= GAPTREE_EXACT) {
        unsigned bit;
        size_t root = gaptree_root_of(length, &bit);
        gap_node_t *node = trie_from(tree, tree->root[root], length, bit);
        if (node != NULL)
            return &gaptree_of_length(node)->gap;
        index = GAPTREE_BINS + root + 1;
    }
    index = gaptree_first_set(tree->map, index, GAPTREE_MAP_WORDS);
    if (index == SIZE_MAX)
        return NULL;
    return &gaptree_of_length(trie_least(tree, tree->root[index - GAPTREE_BINS], NULL))->gap;
}

kernel_heap_gap_t *gaptree_above(gaptree_t *tree, size_t address)
{
    size_t key = (address - tree->base) >> PAGE_SHIFT;

    drop_kept(tree);
    /* a lower gap may end in the same page as `address`, so look twice */
    for (int tries = 0; tries < 2 && key >> tree->addr_bit <= 1; tries++, key++) {
        gap_node_t *node = trie_from(tree, tree->addr_root, key, tree->addr_bit);
        if (node == NULL)
            return NULL;
        kernel_heap_gap_t *gap = &gaptree_of_addr(node)->gap;
        if ((size_t)gap + gap->length > address)
            return gap;
    }
    return NULL;
}
