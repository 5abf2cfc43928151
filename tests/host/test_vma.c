/*
 * Areas: flags and kinds, cutting and merging, the tree of gaps.
 */
#include <kernel/errno.h>
#include <kernel/kheap.h>
#include <space.h>

#include <stdlib.h>
#include <string.h>

/* ---- flags and kinds */

static inode_t some_file = { .name = "some", .length = 1 << 20, .users = 1 };

typedef struct flags_case {
    int flags;
    bool has_file;
    off_t offset;
    off_t limit;
    bool kernel;
    int expected;           /* the area's flags, or -EINVAL */
} flags_case_t;

#define CAN_RW  (VMA_CAN_READ | VMA_CAN_WRITE)

static const flags_case_t flags_cases[] = {
    /* Rights give capabilities; private and writable later is copy-on-write. */
    { VMA_ANON, false, 0, 0, false, VMA_ANON },
    { VMA_ANON | VMA_READ, false, 0, 0, false, VMA_ANON | VMA_READ | VMA_CAN_READ },
    { VMA_ANON | VMA_EXEC, false, 0, 0, false, VMA_ANON | VMA_EXEC | VMA_CAN_EXEC },
    { VMA_ANON | VMA_WRITE, false, 0, 0, false,
      VMA_ANON | VMA_WRITE | VMA_CAN_WRITE | VMA_COPY_ON_WRITE | VMA_ACCOUNTED },
    { VMA_ANON | VMA_CAN_WRITE, false, 0, 0, false,
      VMA_ANON | VMA_CAN_WRITE | VMA_COPY_ON_WRITE },
    { VMA_ANON | VMA_COPY_ON_WRITE, false, 0, 0, false,
      VMA_ANON | VMA_CAN_WRITE | VMA_COPY_ON_WRITE },
    /* Flags of the call leave no trace. */
    { VMA_ANON | VMA_FIXED | VMA_RESOLVE, false, 0, 0, false, VMA_ANON },
    { VMA_HEAP | VMA_RW, false, 0, 0, false,
      VMA_HEAP | VMA_RW | CAN_RW | VMA_COPY_ON_WRITE | VMA_ACCOUNTED },
    { VMA_STACK | VMA_RW | VMA_EXEC, false, 0, 0, false,
      VMA_STACK | VMA_RIGHTS | VMA_CAPABILITIES | VMA_COPY_ON_WRITE | VMA_ACCOUNTED |
      VMA_GROWS_DOWN },
    /* Without a reserve, nothing is charged; an anonymous area may grow down too. */
    { VMA_ANON | VMA_RW | VMA_NO_RESERVE, false, 0, 0, false,
      VMA_ANON | VMA_RW | CAN_RW | VMA_COPY_ON_WRITE | VMA_NO_RESERVE },
    { VMA_ANON | VMA_READ | VMA_GROWS_DOWN, false, 0, 0, false,
      VMA_ANON | VMA_READ | VMA_CAN_READ | VMA_GROWS_DOWN },
    { VMA_FILE | VMA_READ, true, 4096, 5000, false, VMA_FILE | VMA_READ | VMA_CAN_READ },
    { VMA_FILE | VMA_SHARED | VMA_READ, true, 0, 0, false,
      VMA_FILE | VMA_SHARED | VMA_READ | VMA_CAN_READ },
    { VMA_FILE | VMA_RW, true, 0, 0, false,
      VMA_FILE | VMA_RW | CAN_RW | VMA_COPY_ON_WRITE | VMA_ACCOUNTED },
    { VMA_PHYS | VMA_RW | VMA_UNCACHED, false, 0xb8000, 0, false,
      VMA_PHYS | VMA_RW | VMA_UNCACHED | CAN_RW | VMA_SHARED },
    { VMA_PHYS | VMA_READ, false, 0xb8000, 0, true,
      VMA_PHYS | VMA_READ | VMA_CAN_READ | VMA_SHARED },
    { VMA_PIPE | VMA_RW, false, 0, 0, true, VMA_PIPE | VMA_RW | CAN_RW },

    /* No kind, two kinds, unknown flags, states that only we set. */
    { VMA_READ, false, 0, 0, false, -EINVAL },
    { VMA_ANON | VMA_HEAP | VMA_RW, false, 0, 0, false, -EINVAL },
    { VMA_ANON | 0x04000000, false, 0, 0, false, -EINVAL },
    { VMA_ANON | (int)0x80000000, false, 0, 0, false, -EINVAL },
    { VMA_ANON | VMA_DEAD, false, 0, 0, false, -EINVAL },
    { VMA_ANON | VMA_LOCKED, false, 0, 0, false, -EINVAL },
    { VMA_ANON | VMA_RW | VMA_ACCOUNTED, false, 0, 0, false, -EINVAL },
    { VMA_ANON | VMA_RW | VMA_DONT_FORK, false, 0, 0, false, -EINVAL },

    /* The rules of each kind. Shared anonymous memory is a file's. */
    { VMA_ANON | VMA_SHARED | VMA_RW, false, 0, 0, false, -EINVAL },
    { VMA_ANON | VMA_UNCACHED, false, 0, 0, false, -EINVAL },
    { VMA_ANON, true, 0, 0, false, -EINVAL },
    { VMA_ANON, false, 4096, 0, false, -EINVAL },
    { VMA_ANON, false, 0, 1, false, -EINVAL },
    { VMA_ANON, false, 0, 0, true, -EINVAL },
    { VMA_HEAP | VMA_READ, false, 0, 0, false, -EINVAL },
    { VMA_HEAP | VMA_RW | VMA_SHARED, false, 0, 0, false, -EINVAL },
    { VMA_HEAP | VMA_RW | VMA_GROWS_DOWN, false, 0, 0, false, -EINVAL },
    { VMA_FILE | VMA_READ | VMA_GROWS_DOWN, true, 0, 0, false, -EINVAL },
    { VMA_PHYS | VMA_READ | VMA_GROWS_DOWN, false, 0xb8000, 0, false, -EINVAL },
    { VMA_HEAP | VMA_RW, true, 0, 0, false, -EINVAL },
    { VMA_STACK | VMA_WRITE, false, 0, 0, false, -EINVAL },
    { VMA_STACK | VMA_RW | VMA_SHARED, false, 0, 0, false, -EINVAL },
    { VMA_STACK | VMA_RW | VMA_UNCACHED, false, 0, 0, false, -EINVAL },
    { VMA_STACK | VMA_RW, false, 0, 0, true, -EINVAL },
    { VMA_FILE | VMA_READ, false, 0, 0, false, -EINVAL },
    { VMA_FILE | VMA_READ, true, 1, 0, false, -EINVAL },
    { VMA_FILE | VMA_READ, true, -4096, 0, false, -EINVAL },
    { VMA_FILE | VMA_READ, true, 0, -1, false, -EINVAL },
    { VMA_FILE | VMA_READ | VMA_UNCACHED, true, 0, 0, false, -EINVAL },
    { VMA_FILE | VMA_READ, true, 0, 0, true, -EINVAL },
    /* Write-back comes with a later issue, and with it shared and writable. */
    { VMA_FILE | VMA_SHARED | VMA_RW, true, 0, 0, false, -EINVAL },
    { VMA_FILE | VMA_SHARED | VMA_READ | VMA_CAN_WRITE, true, 0, 0, false, -EINVAL },
    { VMA_FILE | VMA_SHARED | VMA_READ, true, 0, 100, false, -EINVAL },
    { VMA_FILE | VMA_SHARED | VMA_READ | VMA_COPY_ON_WRITE, true, 0, 0, false, -EINVAL },
    { VMA_PHYS | VMA_RX, false, 0xb8000, 0, false, -EINVAL },
    { VMA_PHYS | VMA_READ | VMA_CAN_EXEC, false, 0xb8000, 0, true, -EINVAL },
    { VMA_PHYS | VMA_READ, false, 0xb8001, 0, true, -EINVAL },
    { VMA_PHYS | VMA_READ, false, -4096, 0, true, -EINVAL },
    { VMA_PHYS | VMA_READ, false, 0xb8000, 5, true, -EINVAL },
    { VMA_PHYS | VMA_READ, true, 0xb8000, 0, true, -EINVAL },
    { VMA_PHYS | VMA_READ | VMA_COPY_ON_WRITE, false, 0xb8000, 0, true, -EINVAL },
    { VMA_PIPE | VMA_RW, false, 0, 0, false, -EINVAL },
    { VMA_PIPE | VMA_RX, false, 0, 0, true, -EINVAL },
    { VMA_PIPE | VMA_RW | VMA_SHARED, false, 0, 0, true, -EINVAL },
    { VMA_PIPE | VMA_RW, false, 4096, 0, true, -EINVAL },
};

TEST(vma_flags_follow_the_rules_of_kinds)
{
    for (size_t i = 0; i < ARRAY_LENGTH(flags_cases); i++) {
        const flags_case_t *at = &flags_cases[i];

        CHECK_EQ(vma_check_flags(at->flags, at->has_file ? &some_file : NULL, at->offset,
                                 at->limit, at->kernel), at->expected);
    }
}

/* A file that is nowhere but in memory may be shared and written to. */
TEST(vma_flags_of_memory_that_is_shared)
{
    static const inode_ops_t ops = { .read_page = NULL };
    const inode_t memory = { .ops = &ops, .name = "memory", .users = 1 };
    static const struct { int flags; off_t limit; int expected; } cases[] = {
        { VMA_FILE | VMA_SHARED | VMA_RW, 0, VMA_FILE | VMA_SHARED | VMA_RW | CAN_RW },
        { VMA_FILE | VMA_SHARED | VMA_READ | VMA_CAN_WRITE, 0,
          VMA_FILE | VMA_SHARED | VMA_READ | CAN_RW },
        { VMA_FILE | VMA_SHARED | VMA_RW, 100, -EINVAL },
        { VMA_FILE | VMA_SHARED | VMA_READ, 100, -EINVAL },
        { VMA_FILE | VMA_SHARED | VMA_RW | VMA_COPY_ON_WRITE, 0, -EINVAL },
        { VMA_FILE | VMA_RW, 100,
          VMA_FILE | VMA_RW | CAN_RW | VMA_COPY_ON_WRITE | VMA_ACCOUNTED },
    };

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        CHECK_EQ(vma_check_flags(cases[i].flags, &memory, 0, cases[i].limit, false),
                 cases[i].expected);
}

TEST(vma_ops_belong_to_kinds)
{
    static const struct { int kind; const vma_ops_t *ops; const char *name; } cases[] = {
        { VMA_ANON, &vma_ops_anon, "anon" }, { VMA_HEAP, &vma_ops_heap, "heap" },
        { VMA_STACK, &vma_ops_stack, "stack" }, { VMA_FILE, &vma_ops_file, "file" },
        { VMA_PHYS, &vma_ops_phys, "phys" }, { VMA_PIPE, &vma_ops_pipe, "pipe" },
    };

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        CHECK(vma_ops_of(cases[i].kind | VMA_RIGHTS | VMA_DEAD) == cases[i].ops);
        CHECK_STR(cases[i].ops->name, cases[i].name);
    }
}

/* ---- a tree without a space */

typedef struct forest {
    bbtree_t tree;
    vma_t node[64];
    size_t used;
} forest_t;

static vma_t *plant(forest_t *forest, size_t base, size_t length, size_t free_from, vma_t *next)
{
    vma_t *vma = &forest->node[forest->used++];
    vma_place_t place;

    *vma = (vma_t){ .length = length, .flags = VMA_ANON, .ops = &vma_ops_anon };
    vma->node.value = base;
    place = vma_place_before(&forest->tree, free_from, next);
    vma_insert(&forest->tree, vma, &place);
    return vma;
}

static void forest_init(forest_t *forest)
{
    *forest = (forest_t){ .used = 0 };
    bbtree_init(&forest->tree, vma_update);
}

TEST(vma_find_hole_at_the_edges)
{
    forest_t forest;
    vma_t *next = NULL;
    vma_t *a;
    vma_t *b;

    forest_init(&forest);
    /* An empty space: everything is the tail. */
    CHECK_EQ(vma_find_hole(&forest.tree, AT(0), AT(10), PAGES(10), &next), AT(0));
    CHECK(next == NULL);
    CHECK_EQ(vma_find_hole(&forest.tree, AT(0), AT(10), PAGES(11), &next), 0);
    CHECK_EQ(vma_find_hole(&forest.tree, AT(3), AT(10), PAGES(7), &next), AT(3));
    CHECK_EQ(vma_find_hole(&forest.tree, AT(3), AT(10), PAGES(8), &next), 0);
    CHECK_EQ(vma_find_hole(&forest.tree, AT(10), AT(10), PAGES(1), &next), 0);
    CHECK_EQ(vma_find_hole(&forest.tree, AT(11), AT(10), PAGES(1), &next), 0);

    /* 0123456789    ..BB.AA...: gaps of 2, 1 and a tail of 3 */
    a = plant(&forest, AT(5), PAGES(2), AT(0), NULL);
    b = plant(&forest, AT(2), PAGES(2), AT(0), a);
    CHECK_EQ(b->gap, PAGES(2));
    CHECK_EQ(a->gap, PAGES(1));
    CHECK_EQ(vma_find_hole(&forest.tree, AT(0), AT(10), PAGES(1), &next), AT(0));
    CHECK(next == b);
    CHECK_EQ(vma_find_hole(&forest.tree, AT(1), AT(10), PAGES(1), &next), AT(1));
    CHECK_EQ(vma_find_hole(&forest.tree, AT(1), AT(10), PAGES(2), &next), AT(7));
    CHECK(next == NULL);
    CHECK_EQ(vma_find_hole(&forest.tree, AT(2), AT(10), PAGES(1), &next), AT(4));
    CHECK(next == a);
    CHECK_EQ(vma_find_hole(&forest.tree, AT(3), AT(10), PAGES(1), &next), AT(4));
    CHECK_EQ(vma_find_hole(&forest.tree, AT(6), AT(10), PAGES(3), &next), AT(7));
    CHECK_EQ(vma_find_hole(&forest.tree, AT(0), AT(10), PAGES(3), &next), AT(7));
    CHECK_EQ(vma_find_hole(&forest.tree, AT(0), AT(10), PAGES(4), &next), 0);
    CHECK_EQ(vma_find_hole(&forest.tree, AT(0), AT(9), PAGES(3), &next), 0);
    /* The hole that is cut by `high` is too short, though it fits as a whole. */
    CHECK_EQ(vma_find_hole(&forest.tree, AT(0), AT(1), PAGES(2), &next), 0);
}

TEST(vma_neighbours_of_an_address)
{
    forest_t forest;
    vma_t *a;
    vma_t *b;

    forest_init(&forest);
    CHECK(vma_at_or_above(&forest.tree, 0) == NULL);
    a = plant(&forest, AT(5), PAGES(2), AT(0), NULL);
    b = plant(&forest, AT(2), PAGES(2), AT(0), a);
    CHECK(vma_at_or_above(&forest.tree, AT(0)) == b);
    CHECK(vma_at_or_above(&forest.tree, AT(3)) == b);
    CHECK(vma_at_or_above(&forest.tree, AT(4)) == a);
    CHECK(vma_at_or_above(&forest.tree, AT(7)) == NULL);
    CHECK(vma_next(b) == a && vma_previous(a) == b);
    CHECK(vma_next(a) == NULL && vma_previous(b) == NULL);
}

/* Random areas of one unit in a space of a few, against an array. */
static void compare_holes(size_t unit)
{
    enum { WIDTH = 128 };
    static vma_t nodes[WIDTH];
    bool taken[WIDTH] = { false };
    bbtree_t tree;

    bbtree_init(&tree, vma_update);
    for (size_t step = 0; step < test_steps(20000); step++) {
        size_t page = test_random_below(WIDTH);
        size_t low = test_random_below(WIDTH);
        size_t high = low + test_random_below(WIDTH - low + 1);
        size_t length = 1 + test_random_below(10);
        size_t found = 0;
        vma_t *next = NULL;

        /* Put an area in or take it out. */
        if (taken[page]) {
            vma_remove(&tree, &nodes[page], vma_next(&nodes[page]));
        } else {
            vma_t *after = vma_at_or_above(&tree, AT(0) + page * unit);
            vma_place_t place = vma_place_before(&tree, AT(0), after);

            nodes[page] = (vma_t){ .node = { .value = AT(0) + page * unit }, .length = unit };
            vma_insert(&tree, &nodes[page], &place);
        }
        taken[page] = !taken[page];
        CHECK_OK(bbtree_check(&tree));
        for (size_t base = low; base + length <= high && found == 0; base++) {
            size_t free = 0;

            while (free < length && !taken[base + free])
                free++;
            if (free == length)
                found = AT(0) + base * unit;
        }
        CHECK_EQ(vma_find_hole(&tree, AT(0) + low * unit, AT(0) + high * unit, length * unit,
                               &next), found);
        if (found != 0)
            CHECK(next == vma_at_or_above(&tree, found));
    }
}

TEST(vma_find_hole_agrees_with_a_plain_search)
{
    compare_holes(PAGE_SIZE);
}

/* Gaps that count as one length in the tree's summaries, too. */
TEST(vma_find_hole_among_long_gaps)
{
    compare_holes(16 * MIB);
}

/* ---- cutting and merging */

typedef struct cut_case {
    off_t limit;            /* of a file area of 4 pages, or VMA_ALL_ZERO */
    size_t cut;             /* pages */
    off_t lower;            /* the limits afterwards */
    off_t upper;
} cut_case_t;

static const cut_case_t cut_cases[] = {
    { 0, 1, 0, 0 },
    { 5000, 1, 0, 5000 - 4096 },
    { 5000, 2, 5000, VMA_ALL_ZERO },
    { 8192, 2, 0, VMA_ALL_ZERO },
    { 8193, 2, 0, 1 },
    { 8191, 2, 8191, VMA_ALL_ZERO },
    { 1, 3, 1, VMA_ALL_ZERO },
    { VMA_ALL_ZERO, 2, VMA_ALL_ZERO, VMA_ALL_ZERO },
};

static void make_file_area(forest_t *forest, vma_t **vma, inode_t *ino, off_t limit)
{
    vma_place_t place = { .free_from = AT(0) };

    forest_init(forest);
    *vma = &forest->node[forest->used++];
    **vma = (vma_t){ .length = PAGES(4), .flags = VMA_FILE, .ops = &vma_ops_file, .ino = ino,
                     .offset = 8192, .limit = limit };
    (*vma)->node.value = AT(10);
    vma_insert(&forest->tree, *vma, &place);
}

TEST(vma_split_divides_offset_limit_and_reference)
{
    for (size_t i = 0; i < ARRAY_LENGTH(cut_cases); i++) {
        const cut_case_t *at = &cut_cases[i];
        inode_t ino = { .users = 1 };
        forest_t forest;
        vma_t *vma;
        vma_t *upper;

        make_file_area(&forest, &vma, &ino, at->limit);
        upper = &forest.node[forest.used++];
        vma_split(&forest.tree, vma, AT(10 + at->cut), upper);
        CHECK_OK(bbtree_check(&forest.tree));
        CHECK_EQ(vma->length, PAGES(at->cut));
        CHECK_EQ(upper->length, PAGES(4 - at->cut));
        CHECK_EQ(vma->offset, 8192);
        CHECK_EQ(upper->offset, 8192 + (off_t)PAGES(at->cut));
        CHECK_EQ(vma->limit, at->lower);
        CHECK_EQ(upper->limit, at->upper);
        CHECK_EQ(upper->gap, 0);
        CHECK_EQ(ino.users, 2);

        /* And back: the whole is what it was. */
        CHECK(vma_can_merge(vma, upper));
        vma_absorb(&forest.tree, vma, upper);
        CHECK_EQ(vma->length, PAGES(4));
        CHECK_EQ(vma->limit, at->limit);
        CHECK_EQ(forest.tree.count, 1);
        CHECK_OK(bbtree_check(&forest.tree));

        /* Cutting off the other part leaves the same half. */
        vma_cut_below(vma, AT(10 + at->cut));
        CHECK_EQ(vma->offset, 8192 + (off_t)PAGES(at->cut));
        CHECK_EQ(vma->limit, at->upper);
        CHECK_EQ(vma->gap, PAGES(10 + at->cut));
        make_file_area(&forest, &vma, &ino, at->limit);
        vma_cut_above(vma, AT(10 + at->cut));
        CHECK_EQ(vma->offset, 8192);
        CHECK_EQ(vma->limit, at->lower);
        CHECK_EQ(vma->length, PAGES(at->cut));
    }
}

TEST(vma_merges_only_what_continues)
{
    inode_t other = { .users = 1 };
    vma_t a = { .length = PAGES(2), .flags = VMA_FILE | VMA_READ, .ops = &vma_ops_file,
                .ino = &some_file, .offset = 4096 };
    vma_t b = a;
    vma_t c;

    a.node.value = AT(0);
    b.node.value = AT(2);
    b.offset = 4096 + (off_t)PAGES(2);
    CHECK(vma_can_merge(&a, &b));
    CHECK(!vma_can_merge(&b, &a));
    c = b, c.node.value = AT(3);
    CHECK(!vma_can_merge(&a, &c));
    c = b, c.offset += PAGE_SIZE;
    CHECK(!vma_can_merge(&a, &c));
    c = b, c.ino = &other;
    CHECK(!vma_can_merge(&a, &c));
    c = b, c.flags |= VMA_WRITE;
    CHECK(!vma_can_merge(&a, &c));
    c = b, c.limit = 100;           /* all of a, and 100 bytes of c */
    CHECK(vma_can_merge(&a, &c));
    CHECK(!vma_can_merge(&c, &a));
    c = b, c.limit = VMA_ALL_ZERO;
    CHECK(vma_can_merge(&a, &c));
    a.limit = 100;                  /* part of a, and then something again */
    CHECK(!vma_can_merge(&a, &b));
    CHECK(vma_can_merge(&a, &c));
    a.limit = 0;
    a.flags |= VMA_DEAD;            /* dead areas wait, each by itself */
    b.flags |= VMA_DEAD;
    CHECK(!vma_can_merge(&a, &b));
    /* Anonymous memory has no offset that could differ. */
    a = (vma_t){ .length = PAGES(2), .flags = VMA_ANON, .ops = &vma_ops_anon };
    b = a;
    a.node.value = AT(0);
    b.node.value = AT(2);
    CHECK(vma_can_merge(&a, &b));
}

/* ---- many areas */

static mspace_t *start_large(const char *format)
{
    fake_config_t config = { .level = FAKE_MEMORY, .format = format, .megabytes = 32 };

    return space_start_on(&config, 0);
}

static int rights_of(size_t i)
{
    return (i & 1) != 0 ? ANON_RO : ANON_RW;
}

TEST(vma_60000_areas)
{
    enum { COUNT = 60000 };
    mspace_t *ms = start_large("pae");
    kheap_stat_t before;
    kheap_stat_t after;

    commit.mode = COMMIT_ALWAYS;        /* the machine has less than what is promised */
    kheap_stat(&kernel_heap, &before);
    for (size_t i = 0; i < COUNT; i++)
        CHECK_EQ(space_map(ms, 0, PAGE_SIZE, rights_of(i)), USER_BASE + PAGES(i));
    kheap_stat(&kernel_heap, &after);
    CHECK_EQ(ms->tree.count, COUNT);
    CHECK_EQ(ms->v_size, COUNT);
    CHECK(sizeof(size_t) != 4 || after.used - before.used <= 64 * COUNT);
    CHECK_OK(mspace_check(ms));

    /* A hole in the middle is found, and filled. */
    CHECK_EQ(mspace_unmap(ms, USER_BASE + PAGES(30000), PAGE_SIZE), 0);
    CHECK_OK(mspace_check(ms));
    CHECK_EQ(space_map(ms, 0, PAGES(2), ANON_RW), USER_BASE + PAGES(COUNT));
    CHECK_EQ(space_map(ms, 0, PAGE_SIZE, ANON_RW), USER_BASE + PAGES(30000));
    CHECK(space_write(USER_BASE + PAGES(30000), 1));
    CHECK_EQ(ms->p_size, 1);
    CHECK_EQ(ms->tree.count, COUNT + 1);
    CHECK_OK(mspace_check(ms));

    /* The same rights everywhere: they become one. */
    CHECK_EQ(mspace_protect(ms, USER_BASE, PAGES(COUNT), VMA_RW), 0);
    CHECK_EQ(ms->tree.count, 1);
    CHECK_AREA(ms, USER_BASE, PAGES(COUNT + 2));
    CHECK_OK(mspace_check(ms));
    for (size_t i = 1; i < COUNT; i += 2)
        CHECK_EQ(mspace_protect(ms, USER_BASE + PAGES(i), PAGE_SIZE, VMA_RO), 0);
    CHECK_EQ(ms->tree.count, COUNT + 1);
    CHECK_EQ(mspace_unmap(ms, USER_BASE, PAGES(COUNT + 2)), 0);
    CHECK_EQ(ms->tree.count, 0);
    CHECK_EQ(ms->p_size, 0);
    space_stop(ms);
}
