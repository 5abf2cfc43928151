/*
 * The balanced tree against a sorted array, and its summaries against a recount.
 */
#include <kernel/errno.h>
#include <kernel/tree.h>
#include <host_test.h>

#include <stdlib.h>
#include <string.h>

#define MOST        10001       /* nodes in a tree, and one */
#define CHECKED     20000       /* steps with a check after each, */
#define CHECK_EVERY 256         /* then one in so many */

/* A node that knows the largest distance between neighbouring keys below it. */
typedef struct item {
    bbnode_t node;
    size_t lowest;
    size_t highest;
    size_t widest;
    size_t weight;              /* data of its own */
    size_t heaviest;            /* the largest weight below it */
    size_t height;              /* of its subtree: depends on the tree's shape */
} item_t;

static size_t updates;

static item_t *item_of(bbnode_t *node)
{
    return node == NULL ? NULL : CONTAINER_OF(node, item_t, node);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static bool update_item(bbnode_t *node)
{
    item_t *item = item_of(node);
    item_t *left = item_of(node->left);
    item_t *right = item_of(node->right);
    item_t old = *item;

    updates++;
    item->lowest = left ? left->lowest : node->value;
    item->highest = right ? right->highest : node->value;
    item->widest = 0;
    item->heaviest = item->weight;
    item->height = 1 + larger(left ? left->height : 0, right ? right->height : 0);
    if (left) {
        item->widest = larger(left->widest, node->value - left->highest);
        item->heaviest = larger(item->heaviest, left->heaviest);
    }
    if (right) {
        item->widest = larger(item->widest, right->widest);
        item->widest = larger(item->widest, right->lowest - node->value);
        item->heaviest = larger(item->heaviest, right->heaviest);
    }
    return item->lowest != old.lowest || item->highest != old.highest ||
           item->widest != old.widest || item->heaviest != old.heaviest ||
           item->height != old.height;
}

/* Only what an address space keeps: it is the same whatever the tree's shape. */
static bool update_widest(bbnode_t *node)
{
    item_t *item = item_of(node);
    item_t *left = item_of(node->left);
    item_t *right = item_of(node->right);
    item_t old = *item;

    item->lowest = left ? left->lowest : node->value;
    item->highest = right ? right->highest : node->value;
    item->widest = 0;
    if (left)
        item->widest = larger(left->widest, node->value - left->highest);
    if (right)
        item->widest = larger(item->widest,
                              larger(right->widest, right->lowest - node->value));
    return item->lowest != old.lowest || item->highest != old.highest ||
           item->widest != old.widest;
}

/* A summary that an insertion or a removal seldom changes far up. */
static bool update_heaviest(bbnode_t *node)
{
    item_t *item = item_of(node);
    item_t *left = item_of(node->left);
    item_t *right = item_of(node->right);
    size_t old = item->heaviest;

    updates++;
    item->heaviest = item->weight;
    if (left)
        item->heaviest = larger(item->heaviest, left->heaviest);
    if (right)
        item->heaviest = larger(item->heaviest, right->heaviest);
    return item->heaviest != old;
}

/* One bit that depends on the shape and often comes out as it was. */
static bool update_bit(bbnode_t *node)
{
    item_t *item = item_of(node);
    item_t *left = item_of(node->left);
    item_t *right = item_of(node->right);
    size_t old = item->heaviest;

    item->heaviest = (item->weight & 1) ^ !(left && left->heaviest && right && right->heaviest);
    return item->heaviest != old;
}

/* The model: the same keys in an array, in order. */
static struct {
    bbtree_t tree;
    item_t *sorted[MOST];
    size_t count;
} model;

/* How many keys are below `value`. */
static size_t model_place(size_t value)
{
    size_t from = 0;
    size_t to = model.count;

    while (from < to) {
        size_t middle = (from + to) / 2;

        if (model.sorted[middle]->node.value < value)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static bbnode_t *model_at(size_t place)
{
    return place < model.count ? &model.sorted[place]->node : NULL;
}

static bool model_has(size_t value)
{
    bbnode_t *node = model_at(model_place(value));

    return node != NULL && node->value == value;
}

static void model_insert(size_t value)
{
    size_t place = model_place(value);
    item_t *item = malloc(sizeof(*item));
    item_t before;

    memset(item, 0xa5, sizeof(*item));      /* nothing may rely on zeros */
    item->node.value = value;
    item->weight = test_random_below(1000);
    before = *item;
    if (model_has(value)) {
        CHECK_EQ(bbtree_insert(&model.tree, &item->node), -EEXIST);
        CHECK_EQ(memcmp(item, &before, sizeof(before)), 0);
        free(item);
        return;
    }
    CHECK_EQ(bbtree_insert(&model.tree, &item->node), 0);
    memmove(&model.sorted[place + 1], &model.sorted[place],
            (model.count - place) * sizeof(model.sorted[0]));
    model.sorted[place] = item;
    model.count++;
}

static void model_remove(size_t place)
{
    item_t *item = model.sorted[place];

    bbtree_remove(&model.tree, &item->node);
    model.count--;
    memmove(&model.sorted[place], &model.sorted[place + 1],
            (model.count - place) * sizeof(model.sorted[0]));
    free(item);
}

static void model_search(size_t value)
{
    size_t place = model_place(value);
    bool there = model_has(value);

    CHECK(bbtree_search_eq(&model.tree, value) == (there ? model_at(place) : NULL));
    CHECK(bbtree_search_ge(&model.tree, value) == model_at(place));
    CHECK(bbtree_search_le(&model.tree, value) == model_at(there ? place : place - 1));
}

/* Forwards, backwards, and both ends. */
static void model_compare(void)
{
    bbnode_t *node = bbtree_first(&model.tree);

    CHECK_EQ(model.tree.count, model.count);
    for (size_t i = 0; i < model.count; i++, node = bbtree_next(node))
        CHECK(node == model_at(i));
    CHECK(node == NULL);
    node = bbtree_last(&model.tree);
    for (size_t i = model.count; i-- > 0; node = bbtree_previous(node))
        CHECK(node == model_at(i));
    CHECK(node == NULL);
}

static void model_check_summary(void)
{
    item_t *root = item_of(model.tree.root);
    size_t widest = 0;
    size_t heaviest = 0;

    if (root == NULL || model.tree.update == update_bit)
        return;
    for (size_t i = 0; i < model.count; i++) {
        heaviest = larger(heaviest, model.sorted[i]->weight);
        if (i > 0)
            widest = larger(widest, model.sorted[i]->node.value -
                                    model.sorted[i - 1]->node.value);
    }
    if (model.tree.update != update_widest)
        CHECK_EQ(root->heaviest, heaviest);
    if (model.tree.update == update_heaviest)
        return;
    CHECK_EQ(root->widest, widest);
    CHECK_EQ(root->lowest, model.sorted[0]->node.value);
    CHECK_EQ(root->highest, model.sorted[model.count - 1]->node.value);
}

static void model_start(bbtree_update_t *update)
{
    while (model.count > 0)                 /* what a failed test left */
        free(model.sorted[--model.count]);
    bbtree_init(&model.tree, update);
}

static void model_clear(void)
{
    while (model.count > 0)
        model_remove(test_random_below(model.count));
    CHECK(model.tree.root == NULL);
    CHECK_OK(bbtree_check(&model.tree));
}

/* Most keys are close together, a few are the extremes. */
static size_t random_key(size_t range)
{
    switch (test_random_below(64)) {
    case 0: return 0;
    case 1: return SIZE_MAX;
    case 2: return (size_t)test_random();
    }
    return 1000 + test_random_below(range);
}

/* The tree grows and shrinks in turns, up to `most` nodes. */
static void random_steps(size_t steps, size_t most)
{
    bool growing = true;

    for (size_t i = 0; i < steps; i++) {
        size_t dice = test_random_below(8);

        if (model.count >= most)
            growing = false;
        if (model.count == 0)
            growing = true;
        if (dice < 2)
            model_search(random_key(2 * most));
        else if ((dice < 6) == growing)
            model_insert(random_key(2 * most));
        else if (model.count > 0)
            model_remove(test_random_below(model.count));
        if (i < CHECKED || i % CHECK_EVERY == 0) {
            CHECK_OK(bbtree_check(&model.tree));
            if (model.tree.update != NULL)
                model_check_summary();
        }
        if (i % (CHECK_EVERY * 16) == 0)
            model_compare();
    }
}

TEST(tree_random_against_a_sorted_array)
{
    size_t steps = test_steps(1000000);

    model_start(NULL);
    random_steps(steps / 2, 40);
    random_steps(steps - steps / 2, 4000);
    model_clear();
}

TEST(tree_random_with_summaries)
{
    static bbtree_update_t *const kinds[] = {
        update_item, update_widest, update_heaviest, update_bit,
    };
    size_t steps = test_steps(1000000) / 8;

    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        model_start(kinds[i]);
        random_steps(steps / 2, 40);
        random_steps(steps - steps / 2, 1000);
        model_clear();
    }
}

/* One of count! orders. */
static void next_order(size_t *order, size_t count, size_t number)
{
    for (size_t i = 0; i < count; i++)
        order[i] = i;
    for (size_t i = count; i > 1; number /= i, i--) {
        size_t j = number % i;
        size_t swapped = order[i - 1];

        order[i - 1] = order[j];
        order[j] = swapped;
    }
}

/* Every order of inserting seven keys, each removed again in another order. */
TEST(tree_every_order_of_seven)
{
    enum { COUNT = 7, ORDERS = 5040 };
    item_t items[COUNT];
    size_t order[COUNT];
    bbtree_t tree;

    for (size_t i = 0; i < ORDERS; i++) {
        bbtree_init(&tree, update_item);
        next_order(order, COUNT, i);
        for (size_t j = 0; j < COUNT; j++) {
            items[j].node.value = 10 * order[j];
            items[j].weight = order[j];
            CHECK_EQ(bbtree_insert(&tree, &items[j].node), 0);
            CHECK_OK(bbtree_check(&tree));
        }
        next_order(order, COUNT, (i * 2711 + 13) % ORDERS);
        for (size_t j = 0; j < COUNT; j++) {
            bbtree_remove(&tree, &items[order[j]].node);
            CHECK_OK(bbtree_check(&tree));
        }
        CHECK(tree.root == NULL);
    }
}

/* height <= 1.44 * log2(n + 2) */
static void check_height(const bbtree_t *tree)
{
    size_t height = item_of(tree->root)->height;
    double bound = 0;
    double power = 1;

    for (; power * 2 <= (double)(tree->count + 2); power *= 2)
        bound += 1;
    /* Between two powers of 2, log2 lies above this line. */
    bound += (double)(tree->count + 2) / power - 1;
    CHECK((double)height <= 1.44 * bound);
}

/* `kind` 0: upwards, 1: downwards, 2: from both ends, 3: from the middle out */
static size_t key_number(size_t i, size_t count, int kind)
{
    switch (kind) {
    case 0: return i;
    case 1: return count - 1 - i;
    case 2: return i % 2 == 0 ? i / 2 : count - 1 - i / 2;
    }
    return i % 2 == 0 ? count / 2 + i / 2 : count / 2 - 1 - i / 2;
}

TEST(tree_stays_low_in_any_order)
{
    enum { COUNT = 20000 };
    item_t *items = malloc(COUNT * sizeof(*items));
    bbtree_t tree;

    for (int kind = 0; kind < 4; kind++) {
        bbtree_init(&tree, update_item);
        for (size_t i = 0; i < COUNT; i++) {
            items[i].node.value = key_number(i, COUNT, kind);
            items[i].weight = 0;
            CHECK_EQ(bbtree_insert(&tree, &items[i].node), 0);
            check_height(&tree);
        }
        CHECK_OK(bbtree_check(&tree));
        for (size_t i = 0; i < COUNT - 1; i++) {
            bbtree_remove(&tree, &items[i].node);
            check_height(&tree);
            if (i % CHECK_EVERY == 0)
                CHECK_OK(bbtree_check(&tree));
        }
    }
    free(items);
}

TEST(tree_empty)
{
    bbtree_t tree;

    bbtree_init(&tree, NULL);
    CHECK(bbtree_first(&tree) == NULL);
    CHECK(bbtree_last(&tree) == NULL);
    CHECK(bbtree_search_eq(&tree, 0) == NULL);
    CHECK(bbtree_search_le(&tree, SIZE_MAX) == NULL);
    CHECK(bbtree_search_ge(&tree, 0) == NULL);
    CHECK_EQ(tree.count, 0);
    CHECK_OK(bbtree_check(&tree));
}

/* A run of any length from anywhere: what stays is a tree, what goes is in order. */
TEST(tree_remove_run)
{
    enum { NODES = 24 };
    item_t item[NODES];

    for (size_t first = 0; first < NODES; first++) {
        for (size_t end = first + 1; end <= NODES; end++) {
            bbtree_t tree;
            bbnode_t *gone;
            size_t i;

            bbtree_init(&tree, update_item);
            for (i = 0; i < NODES; i++) {
                item[i] = (item_t){ .node = { .value = i }, .weight = i * 7 % 5 };
                CHECK_EQ(bbtree_insert(&tree, &item[i].node), 0);
            }
            gone = bbtree_remove_run(&tree, &item[first].node,
                                     end < NODES ? &item[end].node : NULL);
            CHECK_OK(bbtree_check(&tree));
            CHECK_EQ(tree.count, NODES - (end - first));
            for (i = first; i < end; i++, gone = gone->left)
                CHECK(gone == &item[i].node);
            CHECK(gone == NULL);
            for (i = 0; i < NODES; i++)
                CHECK((bbtree_search_eq(&tree, i) != NULL) == (i < first || i >= end));
        }
    }
}

TEST(tree_duplicate_is_refused)
{
    bbnode_t nodes[3] = { { .value = 5 }, { .value = 7 }, { .value = 5 } };
    bbnode_t before = nodes[2];
    bbtree_t tree;

    bbtree_init(&tree, NULL);
    CHECK_EQ(bbtree_insert(&tree, &nodes[0]), 0);
    CHECK_EQ(bbtree_insert(&tree, &nodes[1]), 0);
    CHECK_EQ(bbtree_insert(&tree, &nodes[2]), -EEXIST);
    CHECK_EQ(memcmp(&before, &nodes[2], sizeof(before)), 0);
    CHECK_EQ(tree.count, 2);
    CHECK(bbtree_search_eq(&tree, 5) == &nodes[0]);
    CHECK_OK(bbtree_check(&tree));
}

TEST(tree_refresh_carries_own_data_up)
{
    model_start(update_item);
    for (size_t i = 0; i < 200; i++)
        model_insert(random_key(400));
    for (size_t i = 0; i < 5000; i++) {
        item_t *item = model.sorted[test_random_below(model.count)];

        item->weight = test_random_below(1000);
        bbtree_refresh(&model.tree, &item->node);
        CHECK_OK(bbtree_check(&model.tree));
        model_check_summary();
    }
    model_clear();
}

TEST(tree_refresh_stops_where_nothing_changes)
{
    bbnode_t *node;

    model_start(update_item);
    for (size_t i = 0; i < 1000; i++)
        model_insert(i);
    node = bbtree_first(&model.tree);
    updates = 0;
    bbtree_refresh(&model.tree, node);
    CHECK_EQ(updates, 1);
    item_of(node)->weight = 2000;           /* the largest: up to the root */
    updates = 0;
    bbtree_refresh(&model.tree, node);
    CHECK(updates >= 9);
    model_clear();
}

/* Of a tree 14 high only a few nodes above the change are asked to update. */
TEST(tree_update_stops_early)
{
    model_start(update_heaviest);
    updates = 0;
    for (size_t i = 0; i < 10000; i++)
        model_insert(i);
    CHECK(updates < 10000 * 6);
    updates = 0;
    for (size_t i = 0; i < 2000; i++)
        model_remove(test_random_below(model.count));
    CHECK(updates < 2000 * 6);
    model_clear();
}

TEST(tree_refresh_of_a_plain_tree_does_nothing)
{
    bbnode_t node = { .value = 1 };
    bbtree_t tree;

    bbtree_init(&tree, NULL);
    CHECK_EQ(bbtree_insert(&tree, &node), 0);
    bbtree_refresh(&tree, &node);
    CHECK_OK(bbtree_check(&tree));
}

/* A tree of five, upwards: 1 at the root, 3 with two children on its right. */
static void five_nodes(bbtree_t *tree, item_t items[5])
{
    bbtree_init(tree, update_item);
    for (size_t i = 0; i < 5; i++) {
        items[i].node.value = i;
        items[i].weight = i;
        CHECK_EQ(bbtree_insert(tree, &items[i].node), 0);
    }
    CHECK(tree->root == &items[1].node);
    CHECK_OK(bbtree_check(tree));
}

TEST(tree_check_sees_each_kind_of_damage)
{
    item_t items[5];
    bbtree_t tree;

    five_nodes(&tree, items);
    tree.update = NULL;
    items[2].node.value = 9;
    CHECK_STR(bbtree_check(&tree), "keys are out of order");

    five_nodes(&tree, items);
    tree.update = NULL;
    items[4].node.value = 3;
    CHECK_STR(bbtree_check(&tree), "keys are out of order");

    five_nodes(&tree, items);
    items[4].node.parent = (uintptr_t)&items[1].node | 1;
    CHECK_STR(bbtree_check(&tree), "a node's parent is not the one above it");

    five_nodes(&tree, items);
    items[4].node.right = &items[1].node;
    CHECK_STR(bbtree_check(&tree), "a node's parent is not the one above it");

    five_nodes(&tree, items);
    items[1].node.parent ^= 3;
    CHECK_STR(bbtree_check(&tree), "a balance factor is wrong");

    five_nodes(&tree, items);
    items[1].node.left = NULL;
    CHECK_STR(bbtree_check(&tree), "two sibling subtrees differ by more than one in height");

    five_nodes(&tree, items);
    tree.count = 6;
    CHECK_STR(bbtree_check(&tree), "the count is not the number of nodes");

    five_nodes(&tree, items);
    items[4].weight = 100;
    CHECK_STR(bbtree_check(&tree), "a node's summary of its subtree was out of date");
}

TEST(tree_check_of_a_long_chain_is_bounded)
{
    enum { COUNT = 1000 };
    bbnode_t *nodes = calloc(COUNT, sizeof(*nodes));
    bbtree_t tree = { .root = nodes, .count = COUNT };

    for (size_t i = 0; i < COUNT; i++) {
        nodes[i].value = i;
        nodes[i].parent = (i > 0 ? (uintptr_t)&nodes[i - 1] : 0) | 2;
        nodes[i].right = i + 1 < COUNT ? &nodes[i + 1] : NULL;
    }
    CHECK_STR(bbtree_check(&tree), "the tree is deeper than a balanced tree can be");
    free(nodes);
}
