/*
 * Commit accounting and limits: what is charged, what is refused, and that a refusal
 * leaves everything as it was.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <space.h>

#include <string.h>

/* ---- settings */

TEST(commit_settings)
{
    static const struct {
        const char *text;
        int err;
        commit_mode_t mode;
        unsigned ratio;
    } cases[] = {
        { "strict", 0, COMMIT_STRICT, 50 },
        { "always", 0, COMMIT_ALWAYS, 50 },
        { "heuristic", 0, COMMIT_HEURISTIC, 50 },
        { "2", 0, COMMIT_STRICT, 50 },
        { "strict,80", 0, COMMIT_STRICT, 80 },
        { "1", 0, COMMIT_ALWAYS, 80 },
        { "0,100", 0, COMMIT_HEURISTIC, 100 },
        { "2,0", 0, COMMIT_STRICT, 0 },
        { "", -EINVAL, COMMIT_STRICT, 0 },
        { "3", -EINVAL, COMMIT_STRICT, 0 },
        { "22", -EINVAL, COMMIT_STRICT, 0 },
        { "alway", -EINVAL, COMMIT_STRICT, 0 },
        { "strictly", -EINVAL, COMMIT_STRICT, 0 },
        { "1,", -EINVAL, COMMIT_STRICT, 0 },
        { "1,101", -EINVAL, COMMIT_STRICT, 0 },
        { "1,4294967346", -EINVAL, COMMIT_STRICT, 0 },
        { "1,5x", -EINVAL, COMMIT_STRICT, 0 },
        { "1,-5", -EINVAL, COMMIT_STRICT, 0 },
    };
    static const char *const names[] = { "heuristic", "always", "strict" };

    CHECK_EQ(commit_set("heuristic,50"), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        CHECK_EQ(commit_set(cases[i].text), cases[i].err);
        CHECK_EQ(commit.mode, cases[i].mode);
        CHECK_EQ(commit.ratio, cases[i].ratio);
        CHECK_STR(commit_mode_name(), names[cases[i].mode]);
    }
}

TEST(commit_modes)
{
    mspace_t *ms = space_start("pae", 0);
    size_t all = kMMU.pages_amount;

    /* Only a call that asks for more than there is. */
    CHECK_EQ(commit_charge(all + 1), -ENOMEM);
    CHECK_EQ(commit_charge(all), 0);
    CHECK_EQ(commit_charge(all), 0);
    CHECK_EQ(commit.charged, 2 * all);
    CHECK_EQ(commit_set("1"), 0);
    CHECK_EQ(commit_charge(all + 1), 0);
    /* Promises stand when the mode gets strict. */
    CHECK_EQ(commit_set("2,50"), 0);
    CHECK_EQ(commit_limit(), all / 2);
    CHECK_EQ(commit_charge(1), -ENOMEM);
    CHECK_EQ(commit_charge(0), -ENOMEM);
    commit_return(3 * all + 1);
    CHECK_EQ(commit_charge(all / 2), 0);
    CHECK_EQ(commit_charge(1), -ENOMEM);
    CHECK_EQ(commit_charge(0), 0);
    commit_return(all / 2);
    space_stop(ms);
}

/* ---- what is charged */

TEST(commit_charges_what_is_private_and_writable)
{
    mspace_t *ms = space_start("2level", 1000);
    test_file_t file;

    test_file_init(&file, "file", PAGES(4));
    space_map(ms, AT(0), PAGES(1), ANON_RW);
    CHECK_EQ(ms->charged, 1);
    space_map(ms, AT(10), PAGES(2), ANON_RO | VMA_CAN_WRITE);
    CHECK_EQ(ms->charged, 1);
    space_map(ms, AT(20), PAGES(4), ANON_RW | VMA_NO_RESERVE);
    CHECK_EQ(ms->charged, 1);
    CHECK(mspace_map(ms, AT(30), PAGES(4), &file.ino, 0, 0, FILE_RW) != NULL);
    CHECK_EQ(ms->charged, 5);
    CHECK(mspace_map(ms, AT(40), PAGES(4), &file.ino, 0, 0, FILE_RO) != NULL);
    CHECK_EQ(ms->charged, 5);
    CHECK_EQ(mspace_set_stack(ms, AT(900), PAGES(2), PAGES(100)), 0);
    CHECK_EQ(ms->charged, 7);
    CHECK(space_write(AT(890), 1));
    CHECK_EQ(ms->charged, 15);
    ms->break_start = ms->break_end = AT(50);
    CHECK_EQ(mspace_break(ms, AT(53)), 0);
    CHECK_EQ(ms->charged, 18);
    CHECK_EQ(mspace_break(ms, AT(51)), 0);
    CHECK_EQ(ms->charged, 16);

    /* Once writable, it stays charged. Without a reserve, never. */
    CHECK_EQ(mspace_protect(ms, AT(10), PAGES(1), VMA_RW), 0);
    CHECK_EQ(ms->charged, 17);
    CHECK_EQ(mspace_protect(ms, AT(10), PAGES(1), VMA_READ), 0);
    CHECK_EQ(ms->charged, 17);
    CHECK_EQ(mspace_protect(ms, AT(10), PAGES(2), VMA_RW), 0);
    CHECK_EQ(ms->charged, 18);
    CHECK_EQ(mspace_protect(ms, AT(20), PAGES(4), VMA_READ), 0);
    CHECK_EQ(mspace_protect(ms, AT(20), PAGES(4), VMA_RW), 0);
    CHECK_EQ(ms->charged, 18);
    /* A dead area keeps its range, and its promise. */
    CHECK_EQ(mspace_kill(ms, AT(10), PAGES(1)), 0);
    CHECK_EQ(ms->charged, 18);
    CHECK_EQ(mspace_scavenge(ms), 1);
    CHECK_EQ(ms->charged, 17);
    CHECK_EQ(mspace_unmap(ms, AT(31), PAGES(2)), 0);
    CHECK_EQ(ms->charged, 15);
    CHECK(mspace_replace(ms, AT(30), PAGES(4), NULL, 0, 0, ANON_RO) != NULL);
    CHECK_EQ(ms->charged, 13);
    CHECK(mspace_replace(ms, AT(32), PAGES(4), NULL, 0, 0, ANON_RW) != NULL);
    CHECK_EQ(ms->charged, 17);
    CHECK_EQ(commit.charged, 17);
    CHECK_OK(mspace_check(ms));
    mspace_sweep(ms);
    CHECK_EQ(commit.charged, 0);
    inode_release(&file.ino);
    space_stop(ms);
}

/* Strict mode knows no area without a reserve. */
TEST(commit_strict_charges_without_a_reserve_too)
{
    mspace_t *ms = space_start("2level", 100);

    CHECK_EQ(commit_set("2"), 0);
    space_map(ms, AT(0), PAGES(3), ANON_RW | VMA_NO_RESERVE);
    CHECK_EQ(ms->charged, 3);
    CHECK_EQ(mspace_search_vma(ms, AT(0))->flags & VMA_NO_RESERVE, 0);
    space_stop(ms);
}

/* ---- what is refused */

/* A scene with an area of each kind; then one operation that needs two pages more. */
typedef int operation_t(mspace_t *ms);

static void set_scene(mspace_t *ms)
{
    space_map(ms, AT(10), PAGES(4), ANON_RW);
    space_map(ms, AT(20), PAGES(8), ANON_RO | VMA_CAN_WRITE);
    ms->break_start = ms->break_end = AT(60);
    CHECK_EQ(mspace_break(ms, AT(62)), 0);
    CHECK_EQ(mspace_set_stack(ms, AT(900), PAGES(2), PAGES(100)), 0);
    CHECK(space_write(AT(11), 11));
}

static int map_two(mspace_t *ms)
{
    return mspace_map(ms, 0, PAGES(2), NULL, 0, 0, ANON_RW) != NULL ? 0 : -*host_errno();
}

static int map_two_now(mspace_t *ms)
{
    return mspace_map(ms, 0, PAGES(2), NULL, 0, 0, ANON_RW | VMA_RESOLVE) != NULL
           ? 0 : -*host_errno();
}

static int replace_two(mspace_t *ms)
{
    return mspace_replace(ms, AT(12), PAGES(4), NULL, 0, 0, ANON_RW) != NULL ? 0 : -*host_errno();
}

static int break_two(mspace_t *ms)
{
    return mspace_break(ms, AT(64));
}

static int protect_two(mspace_t *ms)
{
    return mspace_protect(ms, AT(22), PAGES(2), VMA_RW);
}

/* In place; to another place; over what is there, which is two pages shorter. */
static int remap_two(mspace_t *ms)
{
    return mspace_remap(ms, AT(10), PAGES(4), PAGES(6), 0, 0) != NULL ? 0 : -*host_errno();
}

static int move_two(mspace_t *ms)
{
    return mspace_remap(ms, AT(10), PAGES(2), PAGES(4), 0, REMAP_MAY_MOVE) != NULL
           ? 0 : -*host_errno();
}

static int move_two_over(mspace_t *ms)
{
    return mspace_remap(ms, AT(10), PAGES(2), PAGES(6), AT(60), REMAP_MAY_MOVE | REMAP_FIXED)
           != NULL ? 0 : -*host_errno();
}

/* What stays empty behind it is promised still. */
static int leave_two(mspace_t *ms)
{
    return mspace_remap(ms, AT(10), PAGES(2), PAGES(2), 0, REMAP_MAY_MOVE | REMAP_DONT_UNMAP)
           != NULL ? 0 : -*host_errno();
}

static int grow_two(mspace_t *ms)
{
    (void)ms;
    return space_write(AT(896), 1) ? 0 : space_fault.reason == FAULT_STACK_LIMIT ? -ENOMEM : -1;
}

static const struct { operation_t *run; const char *name; bool pages, data; } operations[] = {
    { map_two, "map", true, true },
    { map_two_now, "map at once", true, true },
    { replace_two, "replace", true, true },
    { break_two, "break", true, true },
    { protect_two, "protect", false, true },
    { grow_two, "stack growth", true, false },
    { remap_two, "remap in place", true, true },
    { move_two, "remap to another place", true, true },
    { move_two_over, "remap over the heap", true, true },
    { leave_two, "remap and leave", true, true },
};

/* What must not change when an operation is refused. */
typedef struct figures {
    size_t areas, v_size, p_size, phys, charged, break_end;
} figures_t;

static figures_t figures_of(const mspace_t *ms)
{
    return (figures_t){ ms->tree.count, ms->v_size, ms->p_size, ms->phys_pg_count, ms->charged,
                        ms->break_end };
}

static void expect_refusal(mspace_t *ms, size_t i)
{
    figures_t before = figures_of(ms);
    figures_t after;

    CHECK_EQ(operations[i].run(ms), -ENOMEM);
    after = figures_of(ms);
    CHECK_EQ(memcmp(&before, &after, sizeof before), 0);
    CHECK_OK(space_check(ms));
}

TEST(commit_strict_refuses_and_changes_nothing)
{
    for (size_t i = 0; i < ARRAY_LENGTH(operations); i++) {
        mspace_t *ms = space_start("pae", 1000);
        size_t room;

        set_scene(ms);
        CHECK_EQ(commit_set("strict"), 0);
        room = commit_limit() - commit.charged;
        commit.charged += room - 1;                     /* others took all but one page */
        expect_refusal(ms, i);
        commit_return(1);
        CHECK_EQ(operations[i].run(ms), 0);
        CHECK_OK(mspace_check(ms));
        commit_return(room - 2);
        space_stop(ms);
    }
}

/* What is replaced makes room: a full machine can map over what there is. */
TEST(commit_strict_replaces_one_for_one)
{
    mspace_t *ms = space_start("pae", 1000);
    size_t room;

    set_scene(ms);
    CHECK_EQ(commit_set("strict"), 0);
    room = commit_limit() - commit.charged;
    commit.charged += room;
    CHECK(mspace_replace(ms, AT(10), PAGES(4), NULL, 0, 0, ANON_RW | VMA_EXEC) != NULL);
    CHECK(mspace_replace(ms, AT(10), PAGES(5), NULL, 0, 0, ANON_RW) == NULL);
    CHECK(mspace_replace(ms, AT(9), PAGES(4), NULL, 0, 0, ANON_RW) == NULL);
    CHECK_OK(mspace_check(ms));
    commit_return(room);
    space_stop(ms);
}

TEST(limits_refuse_and_change_nothing)
{
    for (size_t i = 0; i < ARRAY_LENGTH(operations); i++) {
        mspace_t *ms = space_start("2level", 1000);

        set_scene(ms);
        ms->limits.address_space = ms->v_size + 1;
        if (operations[i].pages) {
            expect_refusal(ms, i);
            ms->limits.address_space++;
        }
        ms->limits.data = 4 + 2 + 1;
        if (operations[i].data) {
            expect_refusal(ms, i);
            ms->limits.data++;
        }
        CHECK_EQ(operations[i].run(ms), 0);
        space_stop(ms);
    }
}

/* Limits below what there is already refuse more, and take nothing away. */
TEST(limits_below_what_there_is)
{
    mspace_t *ms = space_start("2level", 1000);

    set_scene(ms);
    ms->limits = (mspace_limits_t){ 0, 0, 0, 0 };
    for (size_t i = 0; i < ARRAY_LENGTH(operations); i++)
        expect_refusal(ms, i);
    CHECK(mspace_replace(ms, AT(10), PAGES(2), NULL, 0, 0, ANON_RO) == NULL);
    CHECK_EQ(mspace_unmap(ms, AT(10), PAGES(2)), 0);
    CHECK_EQ(mspace_protect(ms, AT(20), PAGES(8), 0), 0);
    space_stop(ms);
}

/* ---- the number of areas */

static int rights_of(size_t page)
{
    return page % 2 == 0 ? ANON_RO : ANON_RO | VMA_EXEC;
}

TEST(mspace_has_so_many_areas_at_most)
{
    mspace_t *ms = space_start("pae", 0);
    size_t count = MSPACE_AREAS_MAX;

    for (size_t i = 0; i <= count; i++)
        CHECK_EQ(space_map(ms, USER_BASE + PAGES(4 * i), PAGES(3), rights_of(i) | VMA_FIXED),
                 USER_BASE + PAGES(4 * i));
    CHECK_EQ(ms->tree.count, count + 1);
    CHECK(mspace_map(ms, 0, PAGE_SIZE, NULL, 0, 0, ANON_RO) == NULL);
    CHECK_EQ(*host_errno(), ENOMEM);
    CHECK_EQ(mspace_unmap(ms, USER_BASE, PAGES(7)), 0);
    CHECK_EQ(ms->tree.count, count - 1);
    CHECK_EQ(mspace_unmap(ms, USER_BASE + PAGES(9), PAGE_SIZE), 0);
    /* One more can be mapped, but none cut. */
    CHECK_EQ(ms->tree.count, count);
    CHECK_EQ(mspace_unmap(ms, USER_BASE + PAGES(13), PAGE_SIZE), -ENOMEM);
    CHECK_EQ(mspace_protect(ms, USER_BASE + PAGES(13), PAGE_SIZE, 0), -ENOMEM);
    CHECK_EQ(mspace_protect(ms, USER_BASE + PAGES(12), PAGE_SIZE, 0), -ENOMEM);
    CHECK_EQ(mspace_kill(ms, USER_BASE + PAGES(12), PAGE_SIZE), -ENOMEM);
    CHECK(mspace_replace(ms, USER_BASE + PAGES(13), PAGE_SIZE, NULL, 0, 0, ANON_RO | VMA_EXEC)
          == NULL);
    CHECK_EQ(mspace_protect(ms, USER_BASE + PAGES(12), PAGES(3), 0), 0);
    CHECK_EQ(space_map(ms, USER_BASE, PAGE_SIZE, ANON_RO), USER_BASE);
    CHECK_EQ(ms->tree.count, count + 1);
    CHECK_OK(mspace_check(ms));
    space_stop(ms);
}
