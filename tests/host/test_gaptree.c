/*
 * The length tree and the addr tree by themselves, against a plain array: gaps
 * that lie anywhere in a large reservation, of which only the registries exist.
 */
#include <kernel/gaptree.h>
#include <host_test.h>

#include <string.h>
#include <sys/mman.h>

#define TRIE_OF_8192 ((13u - GAPTREE_EXACT_BITS) << GAPTREE_SPLIT_BITS)
#define ARENA   (256u * MIB)
#define CELL    (128u * KIB)    /* one gap lies somewhere in each, or none */
#define CELLS   (ARENA / CELL)

static struct {
    gaptree_t tree;
    size_t base;
    kernel_heap_gap_t *gap[CELLS];  /* NULL: the cell is empty */
    size_t count;
} model;

static void new_tree(void)
{
    if (model.base == 0) {
        void *arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        CHECK(arena != MAP_FAILED);
        model.base = (size_t)arena;
    }
    memset(model.gap, 0, sizeof(model.gap));
    model.count = 0;
    gaptree_init(&model.tree, model.base);
}

/* Lay a gap into a cell. => offset and length are multiples of 16, within the cell */
static kernel_heap_gap_t *insert(size_t cell, size_t offset, size_t length)
{
    kernel_heap_gap_t *gap = (void *)(model.base + cell * CELL + offset + 16 - sizeof(size_t));

    CHECK(model.gap[cell] == NULL && offset + length < CELL);
    gap->length = length;
    CHECK(gaptree_takes(&model.tree, model.base + ARENA, (size_t)gap, gap->length) == NULL);
    gaptree_insert(&model.tree, gap, false);
    model.gap[cell] = gap;
    model.count++;
    return gap;
}

static void take_out(size_t cell)
{
    gaptree_remove(&model.tree, model.gap[cell], false);
    model.gap[cell] = NULL;
    model.count--;
}

static void check_tree(void)
{
    size_t bytes = 0;
    size_t sum = 0;
    size_t longest = 0;

    CHECK_OK(gaptree_check(&model.tree, model.base + ARENA, &bytes));
    for (size_t i = 0; i < CELLS; i++) {
        if (model.gap[i] == NULL)
            continue;
        CHECK(gaptree_holds(&model.tree, model.base + ARENA, model.gap[i]));
        sum += model.gap[i]->length;
        if (model.gap[i]->length > longest)
            longest = model.gap[i]->length;
    }
    CHECK_EQ(bytes, sum);
    CHECK_EQ(model.tree.gaps, model.count);
    CHECK_EQ(gaptree_longest(&model.tree, model.base + ARENA), longest);
}

/* Is the answer to `length` the shortest of all that are long enough? */
static void check_fit(size_t length)
{
    CHECK(gaptree_fits(&model.tree, model.base + ARENA, length) == NULL);
    kernel_heap_gap_t *fit = gaptree_fit(&model.tree, length);
    size_t best = SIZE_MAX;

    for (size_t i = 0; i < CELLS; i++) {
        if (model.gap[i] != NULL && model.gap[i]->length >= length
            && model.gap[i]->length < best)
            best = model.gap[i]->length;
    }
    CHECK_EQ(fit == NULL, best == SIZE_MAX);
    if (fit != NULL)
        CHECK_EQ(fit->length, best);
}

/* The lowest gap of a page and more that ends above the address? */
static void check_above(size_t address)
{
    kernel_heap_gap_t *expected = NULL;

    for (size_t i = 0; i < CELLS && expected == NULL; i++) {
        kernel_heap_gap_t *gap = model.gap[i];
        if (gap != NULL && gap->length >= PAGE_SIZE && (size_t)gap + gap->length > address)
            expected = gap;
    }
    CHECK(gaptree_above(&model.tree, address) == expected);
}

static size_t random_length(void)
{
    static const size_t most[] = { 64, 1024, 2048, 8192, 100000 };
    size_t length = 64 + test_random_below(most[test_random_below(ARRAY_LENGTH(most))]);

    return align_down(length, KHEAP_ALIGN);
}

TEST(gaptree_empty)
{
    new_tree();
    CHECK(gaptree_fit(&model.tree, 32) == NULL);
    CHECK(gaptree_fit(&model.tree, 4096) == NULL);
    CHECK(gaptree_above(&model.tree, model.base) == NULL);
    CHECK_EQ(gaptree_length_depth(&model.tree), 0);
    CHECK_EQ(gaptree_addr_depth(&model.tree), 0);
    check_tree();
}

TEST(gaptree_ring_and_trie_meet_at_a_kibibyte)
{
    new_tree();
    for (size_t i = 0; i < 6; i++)
        insert(i, 0, GAPTREE_EXACT + 32 - i * 16);
    check_tree();
    for (size_t length = 64; length < 1200; length += 16)
        check_fit(length);
    for (size_t i = 0; i < 6; i++) {
        take_out(i);
        check_tree();
        for (size_t length = GAPTREE_EXACT - 64; length < GAPTREE_EXACT + 64; length += 16)
            check_fit(length);
    }
}

TEST(gaptree_equal_lengths)
{
    static const size_t lengths[] = { 512, 2048, 20000 };

    for (size_t n = 0; n < ARRAY_LENGTH(lengths); n++) {
        new_tree();
        for (size_t i = 0; i < 50; i++)     /* in no order of addresses */
            insert(i * 37 % 50, 160, lengths[n]);
        check_tree();
        CHECK(gaptree_fit(&model.tree, lengths[n]) == model.gap[0]);
        for (size_t i = 0; i < 50; i++) {
            take_out(i * 17 % 50);
            check_tree();
            check_fit(lengths[n]);
        }
    }
}

TEST(gaptree_above_two_ends_in_one_page)
{
    /* |  AAAAAAAAA|AA BBB|BBBBBB  |: both have a page, A ends where B begins */
    new_tree();
    kernel_heap_gap_t *a = insert(0, 0, PAGE_SIZE + 512);
    kernel_heap_gap_t *b = insert(1, 64, 2 * PAGE_SIZE);

    take_out(1);
    b = (void *)((size_t)a + a->length + 64);
    b->length = 2 * PAGE_SIZE;
    gaptree_insert(&model.tree, b, false);
    CHECK(gaptree_above(&model.tree, (size_t)a) == a);
    CHECK(gaptree_above(&model.tree, (size_t)a + a->length - 1) == a);
    CHECK(gaptree_above(&model.tree, (size_t)a + a->length) == b);
    CHECK(gaptree_above(&model.tree, (size_t)b) == b);
    CHECK(gaptree_above(&model.tree, (size_t)b + b->length - 1) == b);
    CHECK(gaptree_above(&model.tree, (size_t)b + b->length) == NULL);
}

TEST(gaptree_cut_keeps_its_place_in_the_addr_tree)
{
    new_tree();
    for (size_t i = 0; i < 200; i++)
        insert(i, 0, 16 * PAGE_SIZE);
    size_t depth = gaptree_addr_depth(&model.tree);

    for (size_t i = 0; i < 200; i++) {
        kernel_heap_gap_t *gap = model.gap[i];
        size_t length = gap->length;
        gaptree_remove(&model.tree, gap, false);
        gap = model.gap[i] = (void *)((size_t)gap + 32);
        gap->length = length - 32;
        model.tree.visited = 0;
        gaptree_insert(&model.tree, gap, false);
        CHECK(model.tree.visited <= 8);     /* all of them in the length tree */
        CHECK_EQ(gaptree_addr_depth(&model.tree), depth);
    }
    check_tree();
}

TEST(gaptree_random_operations)
{
    size_t steps = test_steps(50000);

    new_tree();
    for (size_t step = 0; step < steps; step++) {
        /* the arena grows, as a segment does; every few thousand steps it empties */
        size_t cells = 1 + (step * 4 < steps ? step * 4 * (CELLS - 1) / steps : CELLS - 1);
        size_t cell = test_random_below(cells);
        if (model.gap[cell] != NULL) {
            take_out(cell);
        } else {
            size_t length = random_length();
            size_t room = CELL - length - 32;
            insert(cell, align_down(test_random_below(room), KHEAP_ALIGN), length);
        }
        if (step % 8 == 0) {
            check_fit(random_length());
            check_above(model.base + test_random_below(ARENA));
        }
        if (step % 256 == 0)
            check_tree();
    }
    for (size_t i = 0; i < CELLS; i++) {
        if (model.gap[i] != NULL)
            take_out(i);
    }
    check_tree();
    CHECK(gaptree_fit(&model.tree, 32) == NULL);
}

TEST(gaptree_depth_is_bounded_by_the_key)
{
    /* lengths that share all the bits they can: the worst that can be done to a trie */
    new_tree();
    for (size_t i = 0; i < 12; i++)
        insert(i, 0, 65536 + ((size_t)16 << i));
    insert(12, 0, 65536);
    check_tree();
    CHECK(gaptree_length_depth(&model.tree) <= 16 - 3 - 4 + 1);
    check_fit(65536 + 48);
    for (size_t i = 0; i <= 12; i++)
        take_out(i);
    check_tree();
}

/* Set a field to something else: does the checker notice? */
#define CHECK_NOTICES(field, value) \
    do { \
        size_t bytes_; \
        __typeof__(field) kept_ = (field); \
        (field) = (value); \
        CHECK(gaptree_check(&model.tree, model.base + ARENA, &bytes_) != NULL); \
        (field) = kept_; \
        CHECK_OK(gaptree_check(&model.tree, model.base + ARENA, &bytes_)); \
    } while (0)

TEST(gaptree_check_notices_damage)
{
    new_tree();
    for (size_t i = 0; i < 40; i++)
        insert(i, 0, i % 2 == 0 ? 512 : 8192 + i % 3 * 64);
    kernel_heap_gap_t *small = model.gap[0];
    kernel_heap_gap_t *equal = CONTAINER_OF(CONTAINER_OF(model.tree.root[TRIE_OF_8192],
        kernel_heap_large_gap_t, by_length)->gap.equals.next, kernel_heap_gap_t, equals);
    gap_node_t *root = model.tree.addr_root;

    CHECK_NOTICES(model.tree.gaps, model.tree.gaps - 1);
    CHECK_NOTICES(model.tree.gaps, model.tree.gaps + 1);
    CHECK_NOTICES(model.tree.map[0], model.tree.map[0] ^ 4);
    CHECK_NOTICES(model.tree.map[GAPTREE_MAP_WORDS - 1], ~(size_t)0);
    CHECK_NOTICES(model.tree.root[TRIE_OF_8192], NULL);
    CHECK_NOTICES(small->length, (size_t)528);
    CHECK_NOTICES(small->equals.previous, &small->equals);
    CHECK_NOTICES(equal->length, (size_t)8000);
    CHECK_NOTICES(((kernel_heap_large_gap_t *)equal)->by_length.slot, &root);
    CHECK_NOTICES(root->slot, &root->child[0]);
    CHECK_NOTICES(root->key, root->key + 1);
    CHECK_NOTICES(root->child[1]->child[0], NULL);
    static const size_t wild[] = { 8, 0x41414141, SIZE_MAX };
    for (size_t i = 0; i < ARRAY_LENGTH(wild); i++) {
        CHECK_NOTICES(small->equals.next, (gap_ring_t *)wild[i]);
        CHECK_NOTICES(small->equals.previous, (gap_ring_t *)wild[i]);
        CHECK_NOTICES(equal->equals.next, (gap_ring_t *)wild[i]);
        CHECK_NOTICES(root->child[0], (gap_node_t *)wild[i]);
        CHECK_NOTICES(model.tree.root[TRIE_OF_8192], (gap_node_t *)wild[i]);
    }
    gap_ring_t links = small->equals;
    small->equals.previous = (gap_ring_t *)wild[1];
    CHECK(!gaptree_holds(&model.tree, model.base + ARENA, small));
    small->equals = links;
    gap_node_t *left = root->child[0];
    root->child[0] = root->child[1];
    size_t bytes;
    CHECK(gaptree_check(&model.tree, model.base + ARENA, &bytes) != NULL);
    root->child[0] = left;
    check_tree();
}

/* A tree of nodes only, so that no ring is found damaged before them. */
TEST(gaptree_check_notices_damage_to_nodes)
{
    size_t bytes;

    new_tree();
    for (size_t i = 0; i < 12; i++)
        insert(i, 0, 8192 + i * 16);
    size_t end = model.base + ARENA;
    gap_node_t *root = model.tree.root[TRIE_OF_8192];
    gap_node_t *low = root->child[0];
    kernel_heap_large_gap_t *gap = CONTAINER_OF(root, kernel_heap_large_gap_t, by_length);

    CHECK(low != NULL);
    CHECK_NOTICES(root->key, root->key + 8);            /* of this trie, and not its length */
    CHECK_NOTICES(root->key, (size_t)16384);            /* of another trie */
    CHECK_NOTICES(low->key, (size_t)8192 + 200);        /* of the right side */
    CHECK_NOTICES(model.tree.gaps, (size_t)11);
    CHECK_NOTICES(model.tree.gaps, (size_t)1);
    CHECK_NOTICES(gap->gap.length, gap->gap.length + 16);
    CHECK_NOTICES(gap->by_addr.key, gap->by_addr.key + 1);
    CHECK_OK(gaptree_check(&model.tree, end, &bytes));

    gap_node_t kept = *low;                             /* round and round */
    low->child[0] = low->child[1] = low;
    for (size_t i = 0; i < 12; i++)
        gaptree_holds(&model.tree, end, model.gap[i]);
    CHECK(gaptree_check(&model.tree, end, &bytes) != NULL);
    *low = kept;
    check_tree();
}

/*
 * Gaps of a page that end in pages 1, 2 and 3, put in this order; more that ends behind them
 * makes the addr tree higher.
 */
static kernel_heap_large_gap_t *page_gap(size_t page)
{
    return (void *)(model.base + (page - 1) * (PAGE_SIZE + KHEAP_ALIGN) + 16 - sizeof(size_t));
}

static void new_page_gaps(const size_t *pages)
{
    new_tree();
    for (size_t i = 0; i < 3; i++) {
        kernel_heap_large_gap_t *gap = page_gap(pages[i]);

        gap->gap.length = PAGE_SIZE;
        gaptree_insert(&model.tree, &gap->gap, false);
        CHECK_EQ(gap->by_addr.key, pages[i]);
    }
}

static gap_node_t *const *takes_page(size_t page)
{
    return gaptree_takes(&model.tree, model.base + ARENA, (size_t)page_gap(page), PAGE_SIZE);
}

/* 1 - 2 - 3 is as high as a tree of two bits can be: 7 has no place below 3, and needs none. */
TEST(gaptree_takes_what_makes_the_addr_tree_higher)
{
    size_t bytes;

    new_page_gaps((const size_t[]){ 1, 2, 3 });
    CHECK_EQ(gaptree_addr_depth(&model.tree), 3);
    CHECK(takes_page(7) == NULL);
    page_gap(7)->gap.length = PAGE_SIZE;
    gaptree_insert(&model.tree, &page_gap(7)->gap, false);
    CHECK_OK(gaptree_check(&model.tree, model.base + ARENA, &bytes));
    CHECK_EQ(bytes, 4 * PAGE_SIZE);
}

TEST(gaptree_takes_follows_no_wild_link)
{
    new_page_gaps((const size_t[]){ 1, 2, 3 });
    gap_node_t *last = &page_gap(3)->by_addr;

    last->key = 1;                      /* the way to 3 does not end */
    CHECK(takes_page(3) == last->slot);
    last->key = 3;
    CHECK(takes_page(3) == NULL);

    /* 8 makes two levels: first 3 is taken to the top, then 1 */
    new_page_gaps((const size_t[]){ 2, 1, 3 });
    gap_node_t **link = &page_gap(2)->by_addr.child[0];
    gap_node_t *kept = *link;
    CHECK(kept == &page_gap(1)->by_addr && takes_page(8) == NULL);
    *link = (gap_node_t *)model.base;
    CHECK(takes_page(8) == link);

    new_page_gaps((const size_t[]){ 1, 2, 3 });
    gap_node_t **below = &page_gap(3)->by_addr.child[0];
    *below = &page_gap(5)->by_addr;             /* it leads back, and is too deep */
    (*below)->slot = below;
    CHECK(takes_page(8) == below);
    *below = NULL;
    CHECK(takes_page(8) == NULL);
}

/* Gaps before and behind what is freed go in turn: with the second, a leaf below the first. */
TEST(gaptree_holds_only_with_a_sound_leaf)
{
    new_page_gaps((const size_t[]){ 1, 2, 3 });
    size_t end = model.base + ARENA;
    kernel_heap_gap_t *gap = &page_gap(1)->gap;
    gap_node_t **link = &page_gap(2)->by_addr.child[1];
    gap_node_t *kept = *link;
    CHECK(kept == &page_gap(3)->by_addr && gaptree_holds(&model.tree, end, gap));
    *link = (gap_node_t *)model.base;
    CHECK(!gaptree_holds(&model.tree, end, gap));
    *link = kept;
    CHECK(gaptree_holds(&model.tree, end, gap));
}

/* As a heap that merges: both hold or one does not, and what holds is taken out. */
static bool take_both(size_t one, size_t other)
{
    size_t end = model.base + ARENA;
    bool hold = gaptree_holds(&model.tree, end, model.gap[one])
        && gaptree_holds(&model.tree, end, model.gap[other]);

    if (hold) {
        take_out(one);
        take_out(other);
    }
    return hold;
}

/*
 * The gaps that go are nodes of one trie, and the first takes the leaf of the second: then
 * that turns to the links beside it, of which one is wild.
 */
static void check_next_leaf(const size_t *multiple, size_t one, size_t other, size_t damaged)
{
    for (size_t turn = 0; turn < 2; turn++) {
        new_tree();
        for (size_t i = 0; i < 5; i++)
            insert(i, 0, 8192 + multiple[i] * KHEAP_ALIGN);
        gap_node_t **link = &gaptree_large(model.gap[damaged])->by_length.child[1];
        CHECK(*link == NULL);
        if (turn == 0)
            *link = (gap_node_t *)8;
        CHECK_EQ(take_both(one, other), turn == 1);
    }
    check_tree();
}

TEST(gaptree_holds_only_with_a_sound_next_leaf)
{
    static const size_t below[] = { 0, 8, 12, 9, 1 };       /* 0 - 8 - 12, and 9 beside 12 */

    check_next_leaf(below, 0, 1, 3);        /* the upper one first */
    check_next_leaf(below, 1, 0, 3);        /* the lower one first */
    check_next_leaf(below, 2, 1, 3);        /* the leaf itself first */
    check_next_leaf(below, 2, 0, 3);
    check_next_leaf(below, 0, 2, 3);        /* the leaf was moved up */
}

/* As above, in the addr tree: the place that was kept goes, then the gap before, then 2. */
TEST(gaptree_holds_only_with_a_sound_next_leaf_in_the_addr_tree)
{
    static const size_t page[] = { 1, 8, 12, 9, 2 };        /* 1 - 8 - 12, and 9 beside 12 */

    for (size_t turn = 0; turn < 2; turn++) {
        new_tree();
        size_t end = model.base + ARENA;
        for (size_t i = 0; i < ARRAY_LENGTH(page); i++) {
            page_gap(page[i])->gap.length = PAGE_SIZE;
            gaptree_insert(&model.tree, &page_gap(page[i])->gap, false);
        }
        gaptree_remove(&model.tree, &page_gap(1)->gap, false);
        CHECK(model.tree.kept.slot != NULL);
        if (turn == 0)
            page_gap(9)->by_addr.child[1] = (gap_node_t *)8;
        CHECK_EQ(gaptree_holds(&model.tree, end, &page_gap(8)->gap), turn == 1);
        CHECK_EQ(gaptree_holds(&model.tree, end, &page_gap(12)->gap), turn == 1);   /* 1's leaf */
        CHECK(gaptree_holds(&model.tree, end, &page_gap(2)->gap));
    }
    gaptree_remove(&model.tree, &page_gap(8)->gap, false);
    gaptree_remove(&model.tree, &page_gap(2)->gap, false);
    CHECK_OK(gaptree_check(&model.tree, model.base + ARENA, &(size_t){ 0 }));
}
