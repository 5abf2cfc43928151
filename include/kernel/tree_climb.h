/*
 * How trees are changed, to be compiled into whoever keeps a summary: `update` is a
 * constant there, and no call is made for it. tree.c has the same for all others.
 *
 * A change starts at a leaf and climbs: each step corrects one node's balance and,
 * in an augmented tree, its summary; it stops as soon as nothing above can differ.
 *
 * The low bits of `parent`:    0            1            2
 *                              left higher  even         right higher
 */
#ifndef KERNEL_TREE_CLIMB_H
#define KERNEL_TREE_CLIMB_H

#include <kernel/tree.h>

#define EVEN        ((uintptr_t)1)
#define TAG_MASK    ((uintptr_t)3)

typedef enum { LEFT = 0, RIGHT = 2 } side_t;    /* as a tag: that side is higher */

static ALWAYS_INLINE side_t other(side_t side)
{
    return side == LEFT ? RIGHT : LEFT;
}

static ALWAYS_INLINE bbnode_t **child(bbnode_t *node, side_t side)
{
    return side == LEFT ? &node->left : &node->right;
}

static ALWAYS_INLINE uintptr_t tag(const bbnode_t *node)
{
    return node->parent & TAG_MASK;
}

static ALWAYS_INLINE void set_parent(bbnode_t *node, bbnode_t *parent)
{
    node->parent = (uintptr_t)parent | tag(node);
}

/* Put `new` where `old` hangs: below `parent`, or at the root. */
static ALWAYS_INLINE void replace_child(bbtree_t *tree, bbnode_t *parent,
                                        bbnode_t *old, bbnode_t *new)
{
    if (parent == NULL)
        tree->root = new;
    else if (parent->left == old)
        parent->left = new;
    else
        parent->right = new;
}

/*
 * `low` rises above `node`, whose `side` it was:
 *
 *          node               low
 *         /    \             /   \
 *        x      low   =>  node    z       (side RIGHT)
 *              /   \     /    \
 *             y     z   x      y
 *
 * If low was even, which only a removal leaves behind, the height stays as it was.
 */
static ALWAYS_INLINE bbnode_t *rotate_once(bbtree_t *tree, bbnode_t *node, bbnode_t *low,
                                           side_t side, bbtree_update_t *update)
{
    bbnode_t *up = bbnode_parent(node);
    bbnode_t *inner = *child(low, other(side));
    bool low_was_even = tag(low) == EVEN;

    *child(node, side) = inner;
    if (inner != NULL)
        set_parent(inner, node);
    *child(low, other(side)) = node;
    node->parent = (uintptr_t)low | (low_was_even ? side : EVEN);
    low->parent = (uintptr_t)up | (low_was_even ? other(side) : EVEN);
    replace_child(tree, up, node, low);
    if (update != NULL) {
        update(node);
        update(low);
    }
    return low;
}

/*
 * `top`, the inner child of `low`, rises above both:
 *
 *          node                 top
 *         /    \              /     \
 *        x      low   =>   node     low   (side RIGHT)
 *              /   \       /  \     /  \
 *           top     z     x    a   b    z
 *          /   \
 *         a     b
 */
static ALWAYS_INLINE bbnode_t *rotate_twice(bbtree_t *tree, bbnode_t *node, bbnode_t *low,
                                            side_t side, bbtree_update_t *update)
{
    bbnode_t *up = bbnode_parent(node);
    bbnode_t *top = *child(low, other(side));
    bbnode_t *a = *child(top, other(side));
    bbnode_t *b = *child(top, side);
    uintptr_t heavy = tag(top);

    *child(node, side) = a;
    if (a != NULL)
        set_parent(a, node);
    *child(low, other(side)) = b;
    if (b != NULL)
        set_parent(b, low);
    *child(top, other(side)) = node;
    *child(top, side) = low;
    node->parent = (uintptr_t)top | (heavy == side ? other(side) : EVEN);
    low->parent = (uintptr_t)top | (heavy == other(side) ? side : EVEN);
    top->parent = (uintptr_t)up | EVEN;
    replace_child(tree, up, node, top);
    if (update != NULL) {
        update(node);
        update(low);
        update(top);
    }
    return top;
}

/* `side` of the node is two higher than the other. => the node now in its place */
static ALWAYS_INLINE bbnode_t *rotate(bbtree_t *tree, bbnode_t *node, side_t side,
                                      bbtree_update_t *update)
{
    bbnode_t *low = *child(node, side);

    if (tag(low) == other(side))
        return rotate_twice(tree, node, low, side, update);
    return rotate_once(tree, node, low, side, update);
}

/* Update a node and its ancestors up to the first that does not change. */
static ALWAYS_INLINE void update_upwards(bbnode_t *node, bbtree_update_t *update)
{
    while (node != NULL && update(node))
        node = bbnode_parent(node);
}

/*
 * The `side` subtree of `node` became higher by one, next to the other one: tilt
 * the balance, and turn the node if that is too much.
 * => the node now in its place; *changed: whether what is above must be updated
 */
static ALWAYS_INLINE bbnode_t *lean(bbtree_t *tree, bbnode_t *node, side_t side,
                                    bool *changed, bbtree_update_t *update)
{
    if (tag(node) == side) {
        *changed = true;                /* a summary may depend on the shape */
        return rotate(tree, node, side, update);
    }
    node->parent += side - EVEN;
    if (update != NULL && *changed)
        *changed = update(node);
    return node;
}

/* `below` is new below `node`; above node nothing has been touched. */
static ALWAYS_INLINE void climb_after_insert(bbtree_t *tree, bbnode_t *node, bbnode_t *below,
                                             bbtree_update_t *update)
{
    bool changed = true;
    bool higher = true;

    while (higher && node != NULL) {
        if (node->left == below)
            node = lean(tree, node, LEFT, &changed, update);
        else
            node = lean(tree, node, RIGHT, &changed, update);
        higher = tag(node) != EVEN;
        below = node;
        node = bbnode_parent(node);
    }
    if (update != NULL && changed)
        update_upwards(node, update);
}

/*
 * The `side` subtree of `node` became lower. `moved`, if not NULL, is node or an
 * ancestor that came to its place just now: a summary there, and so everything on
 * the way to it, is updated in any case.
 */
static ALWAYS_INLINE void climb_after_remove(bbtree_t *tree, bbnode_t *node, side_t side,
                                             bbnode_t *moved, bbtree_update_t *update)
{
    bool changed = true;
    bool lower = true;
    bbnode_t *below;

    while (lower && node != NULL) {
        below = node;
        if (side == LEFT)
            node = lean(tree, node, RIGHT, &changed, update);
        else
            node = lean(tree, node, LEFT, &changed, update);
        if (update != NULL && moved != NULL) {
            changed = true;
            if (below == moved)
                moved = NULL;
        }
        lower = tag(node) == EVEN;
        below = node;
        node = bbnode_parent(node);
        side = node != NULL && node->left == below ? LEFT : RIGHT;
    }
    if (update == NULL || !changed)
        return;
    for (; moved != NULL; node = bbnode_parent(node)) {
        update(node);
        if (node == moved)
            moved = NULL;
    }
    update_upwards(node, update);
}

/* ---- what is called from outside; update: tree->update, which may be NULL */

/*
 * Hang a node, whose `value` and summary (of itself alone) are set, below `parent` at its
 * empty `side`; NULL: the root.
 */
static ALWAYS_INLINE void tree_link(bbtree_t *tree, bbnode_t *parent, side_t side,
                                    bbnode_t *node, bbtree_update_t *update)
{
    node->left = NULL;
    node->right = NULL;
    node->parent = (uintptr_t)parent | EVEN;
    if (parent == NULL)
        tree->root = node;
    else
        *child(parent, side) = node;
    tree->count++;
    climb_after_insert(tree, parent, node, update);
}

/*
 * Put the nearest node in the `side` subtree of `node` into node's place.
 * => that node; *start and *shrunk: which subtree of which node shrank
 */
static ALWAYS_INLINE bbnode_t *replace_by_neighbour(bbtree_t *tree, bbnode_t *node, side_t side,
                                                    bbnode_t **start, side_t *shrunk)
{
    bbnode_t *moved = *child(node, side);
    bbnode_t *far = *child(node, other(side));
    bbnode_t *orphan;

    *start = moved;
    *shrunk = side;
    if (*child(moved, other(side)) != NULL) {
        do {
            moved = *child(moved, other(side));
        } while (*child(moved, other(side)) != NULL);
        *start = bbnode_parent(moved);
        *shrunk = other(side);
        orphan = *child(moved, side);
        *child(*start, other(side)) = orphan;
        if (orphan != NULL)
            set_parent(orphan, *start);
        *child(moved, side) = *child(node, side);
        set_parent(*child(node, side), moved);
    }
    *child(moved, other(side)) = far;
    set_parent(far, moved);
    moved->parent = node->parent;
    replace_child(tree, bbnode_parent(node), node, moved);
    return moved;
}

/* Take a node out. */
static ALWAYS_INLINE void tree_unlink(bbtree_t *tree, bbnode_t *node, bbtree_update_t *update)
{
    bbnode_t *start = bbnode_parent(node);
    bbnode_t *moved = NULL;
    bbnode_t *only;
    side_t side;

    tree->count--;
    if (node->left != NULL && node->right != NULL) {
        /* From the higher side: no rotation here, then. */
        if (tag(node) == LEFT)
            moved = replace_by_neighbour(tree, node, LEFT, &start, &side);
        else
            moved = replace_by_neighbour(tree, node, RIGHT, &start, &side);
    } else {
        only = node->left != NULL ? node->left : node->right;
        side = start != NULL && start->left == node ? LEFT : RIGHT;
        if (start == NULL)
            tree->root = only;
        else
            *child(start, side) = only;
        if (only != NULL)
            set_parent(only, start);
    }
    climb_after_remove(tree, start, side, moved, update);
}

#endif
