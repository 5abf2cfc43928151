/*
 * AVL trees, iterative, with parent pointers: tree_climb.h has what changes them.
 * Every routine that climbs is compiled twice, for plain trees without a summary.
 */
#include <kernel/errno.h>
#include <kernel/tree_climb.h>

/* An AVL tree of this height has more nodes than fit into memory. */
#define MAX_HEIGHT  (sizeof(size_t) * 8 * 3 / 2)

void bbtree_init(bbtree_t *tree, bbtree_update_t *update)
{
    tree->root = NULL;
    tree->count = 0;
    tree->update = update;
    tree->recent = NULL;
}

int bbtree_insert(bbtree_t *tree, bbnode_t *node)
{
    size_t value = node->value;
    bbnode_t *parent = NULL;
    bbnode_t *next = tree->root;
    side_t side = LEFT;

    while (next != NULL) {
        parent = next;
        if (value == parent->value)
            return -EEXIST;
        side = value < parent->value ? LEFT : RIGHT;
        next = *child(parent, side);
    }
    if (tree->update == NULL) {
        tree_link(tree, parent, side, node, NULL);
        return 0;
    }
    node->left = node->right = NULL;
    tree->update(node);
    tree_link(tree, parent, side, node, tree->update);
    return 0;
}

void bbtree_remove(bbtree_t *tree, bbnode_t *node)
{
    if (tree->update == NULL)
        tree_unlink(tree, node, NULL);
    else
        tree_unlink(tree, node, tree->update);
}

void bbtree_refresh(bbtree_t *tree, bbnode_t *node)
{
    if (tree->update != NULL)
        update_upwards(node, tree->update);
}

/*
 * The searches are the hot path. Their loops are nested, one for each direction,
 * because GCC makes five to seven instructions for a level of that, and up to nine
 * of the plain form.
 */
bbnode_t *bbtree_search_eq(const bbtree_t *tree, size_t value)
{
    bbnode_t *node = tree->root;

    while (node != NULL) {
        while (value > node->value) {
            node = node->right;
            if (node == NULL)
                return NULL;
        }
        if (value == node->value)
            return node;
        node = node->left;
    }
    return NULL;
}

bbnode_t *bbtree_search_le(const bbtree_t *tree, size_t value)
{
    bbnode_t *best = NULL;
    bbnode_t *node = tree->root;

    while (node != NULL) {
        while (value >= node->value) {
            best = node;
            node = node->right;
            if (node == NULL)
                return best;
        }
        node = node->left;
    }
    return best;
}

bbnode_t *bbtree_search_ge(const bbtree_t *tree, size_t value)
{
    bbnode_t *best = NULL;
    bbnode_t *node = tree->root;

    while (node != NULL) {
        while (value <= node->value) {
            best = node;
            node = node->left;
            if (node == NULL)
                return best;
        }
        node = node->right;
    }
    return best;
}

/* The last node when going to `side` from `node`, which may be NULL. */
static ALWAYS_INLINE bbnode_t *outermost(bbnode_t *node, side_t side)
{
    if (node != NULL)
        while (*child(node, side) != NULL)
            node = *child(node, side);
    return node;
}

/* The neighbour of `node` in the order of keys. */
static ALWAYS_INLINE bbnode_t *neighbour(const bbnode_t *node, side_t side)
{
    bbnode_t *from = *child((bbnode_t *)node, side);
    bbnode_t *up;

    if (from != NULL)
        return outermost(from, other(side));
    for (up = bbnode_parent(node); up != NULL && *child(up, side) == node;
         up = bbnode_parent(node))
        node = up;
    return up;
}

bbnode_t *bbtree_first(const bbtree_t *tree)
{
    return outermost(tree->root, LEFT);
}

bbnode_t *bbtree_last(const bbtree_t *tree)
{
    return outermost(tree->root, RIGHT);
}

bbnode_t *bbtree_next(const bbnode_t *node)
{
    return neighbour(node, RIGHT);
}

bbnode_t *bbtree_previous(const bbnode_t *node)
{
    return neighbour(node, LEFT);
}

/* Make a subtree of the first `count` nodes of a chain, and take them off it. => its root */
static bbnode_t *build(bbnode_t **chain, size_t count, bbtree_update_t *update)
{
    size_t below = count / 2;           /* nodes on its left: as many as above, or one more */
    size_t above = count - 1 - below;
    bbnode_t *node;
    bbnode_t *left;

    if (count == 0)
        return NULL;
    left = build(chain, below, update);
    node = *chain;
    *chain = node->left;
    node->left = left;
    node->right = build(chain, above, update);
    /* One more is one higher if it begins a new row. */
    node->parent = above != below && (above & below) == 0 ? LEFT : EVEN;
    if (left != NULL)
        set_parent(left, node);
    if (node->right != NULL)
        set_parent(node->right, node);
    if (update != NULL)
        update(node);
    return node;
}

bbnode_t *bbtree_remove_run(bbtree_t *tree, bbnode_t *first, bbnode_t *end)
{
    bbnode_t *chains[2];                /* those that stay, and those that go */
    bbnode_t **tails[2] = { &chains[0], &chains[1] };
    size_t counts[2] = { 0, 0 };
    unsigned which = 0;
    bbnode_t *next;

    tree->recent = NULL;
    for (bbnode_t *node = bbtree_first(tree); node != NULL; node = next) {
        next = bbtree_next(node);
        if (node == first)
            which = 1;
        if (node == end)
            which = 0;
        /* A walk looks to the left of nodes only on its way down: these are done. */
        *tails[which] = node;
        tails[which] = &node->left;
        counts[which]++;
    }
    *tails[0] = *tails[1] = NULL;
    tree->count = counts[0];
    tree->root = build(&chains[0], counts[0], tree->update);
    return chains[1];
}

/* What a walk in order of keys has seen so far. */
struct check {
    const bbnode_t *previous;
    size_t count;
    bbtree_update_t *update;
};

/*
 * Check the subtree at `node`, below `parent`, and tell its height. Recursive:
 * at most `budget` deep, and each node is reached through its one parent.
 */
static const char *check_subtree(struct check *seen, bbnode_t *node, const bbnode_t *parent,
                                 size_t budget, size_t *height)
{
    const char *wrong;
    size_t left;
    size_t right;

    *height = 0;
    if (node == NULL)
        return NULL;
    if (budget == 0)
        return "the tree is deeper than a balanced tree can be";
    if (bbnode_parent(node) != parent)
        return "a node's parent is not the one above it";
    wrong = check_subtree(seen, node->left, node, budget - 1, &left);
    if (wrong != NULL)
        return wrong;
    if (seen->previous != NULL && seen->previous->value >= node->value)
        return "keys are out of order";
    seen->previous = node;
    seen->count++;
    wrong = check_subtree(seen, node->right, node, budget - 1, &right);
    if (wrong != NULL)
        return wrong;
    if (left > right + 1 || right > left + 1)
        return "two sibling subtrees differ by more than one in height";
    if (tag(node) != EVEN + right - left)
        return "a balance factor is wrong";
    if (seen->update != NULL && seen->update(node))
        return "a node's summary of its subtree was out of date";
    *height = 1 + (left > right ? left : right);
    return NULL;
}

const char *bbtree_check(const bbtree_t *tree)
{
    struct check seen = { .update = tree->update };
    size_t height;
    const char *wrong = check_subtree(&seen, tree->root, NULL, MAX_HEIGHT, &height);

    if (wrong == NULL && seen.count != tree->count)
        wrong = "the count is not the number of nodes";
    return wrong;
}
