/*
 * A balanced binary tree (AVL) of nodes that live inside their owners.
 *
 * A node is four words: two children, the parent with the balance in its low
 * bits, and the key. Every operation is O(log n) and allocates nothing.
 *
 * A tree may be augmented: `update` recomputes what a node knows of its subtree
 * from its own data and its two children.
 *
 * => the tree takes no lock; its owner's lock guards it
 */
#ifndef KERNEL_TREE_H
#define KERNEL_TREE_H

#include <kernel/types.h>

typedef struct bbnode bbnode_t;
struct bbnode {
    bbnode_t *left;
    bbnode_t *right;
    uintptr_t parent;       /* the parent's address | balance factor + 1 (0..2) */
    size_t value;           /* the key, unique in its tree */
};

/* Recompute a node from its children. => true if anything changed */
typedef bool bbtree_update_t(bbnode_t *node);

typedef struct bbtree {
    bbnode_t *root;
    size_t count;
    bbtree_update_t *update;    /* NULL: a plain tree */
    bbnode_t *recent;           /* the owner's: a node of the tree, or NULL */
} bbtree_t;

void bbtree_init(bbtree_t *tree, bbtree_update_t *update);

/* Add a node whose `value` is set. => -EEXIST, nothing changed, if the key is taken */
int bbtree_insert(bbtree_t *tree, bbnode_t *node);

/* Take a node out. => the node must be in this tree */
void bbtree_remove(bbtree_t *tree, bbnode_t *node);

/*
 * Say that a node's own data changed: updates it and its ancestors, stopping at
 * the first that does not change.
 */
void bbtree_refresh(bbtree_t *tree, bbnode_t *node);

/* The node with this key; the last at or below it; the first at or above it. */
bbnode_t *bbtree_search_eq(const bbtree_t *tree, size_t value);
bbnode_t *bbtree_search_le(const bbtree_t *tree, size_t value);
bbnode_t *bbtree_search_ge(const bbtree_t *tree, size_t value);

/* In order of keys; NULL at the end. next and previous: O(1) amortised. */
bbnode_t *bbtree_first(const bbtree_t *tree);
bbnode_t *bbtree_last(const bbtree_t *tree);
bbnode_t *bbtree_next(const bbnode_t *node);
bbnode_t *bbtree_previous(const bbnode_t *node);

/*
 * Take the nodes from `first` up to before `end` (NULL: all behind) out at once, and make
 * the tree anew of the others: for when most of them go.
 *
 * => those taken out, chained by `left`; O(n), recursion bounded by the height
 */
bbnode_t *bbtree_remove_run(bbtree_t *tree, bbnode_t *first, bbnode_t *end);

static inline bbnode_t *bbnode_parent(const bbnode_t *node)
{
    return (bbnode_t *)(node->parent & ~(uintptr_t)3);
}

/*
 * NULL, or a sentence: order, heights, balance factors, parents, count, and that
 * no `update` would change a node. O(n), recursion bounded by the height.
 */
const char *bbtree_check(const bbtree_t *tree);

#endif
