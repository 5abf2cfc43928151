/*
 * Locked memory: flags, counts, the limit; and flags of all sorts against a shadow.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/kheap.h>
#include <space_model.h>

#include <string.h>

static int locks_at(mspace_t *ms, size_t address)
{
    const vma_t *vma = mspace_search_vma(ms, address);

    return vma == NULL ? -1 : vma->flags & VMA_LOCKS;
}

TEST(mspace_lock_cuts_counts_and_merges)
{
    mspace_t *ms = space_start("pae", 64);

    space_map(ms, AT(0), PAGES(8), ANON_RW);
    CHECK_EQ(mspace_lock(ms, AT(2), PAGES(3), VMA_LOCKED), 0);
    CHECK_EQ(ms->locked, 3);
    CHECK_EQ(ms->tree.count, 3);
    /* There is no nesting. */
    CHECK_EQ(mspace_lock(ms, AT(2), PAGES(3), VMA_LOCKED), 0);
    CHECK_EQ(mspace_lock(ms, AT(0), PAGES(4), VMA_LOCKS), 0);
    CHECK_EQ(ms->locked, 5);
    CHECK_EQ(locks_at(ms, AT(3)), VMA_LOCKS);
    CHECK_EQ(locks_at(ms, AT(4)), VMA_LOCKED);
    CHECK_EQ(locks_at(ms, AT(5)), 0);
    CHECK_OK(space_check(ms));
    CHECK_EQ(mspace_lock(ms, AT(1), PAGES(2), 0), 0);
    CHECK_EQ(ms->locked, 3);
    CHECK_EQ(mspace_unmap(ms, AT(3), PAGE_SIZE), 0);
    CHECK_EQ(ms->locked, 2);
    CHECK_EQ(mspace_lock(ms, AT(0), PAGES(3), 0), 0);
    CHECK_AREA(ms, AT(0), PAGES(3));
    CHECK_EQ(mspace_protect(ms, AT(4), PAGES(2), VMA_RO), 0);
    CHECK_EQ(ms->locked, 1);
    CHECK_OK(space_check(ms));
    CHECK_EQ(mspace_kill(ms, AT(4), PAGE_SIZE), 0);
    CHECK_EQ(ms->locked, 0);
    CHECK_OK(space_check(ms));
    space_stop(ms);
}

TEST(mspace_lock_refuses)
{
    static const struct { size_t address, length; int locks, err; } cases[] = {
        { AT(0), 0, VMA_LOCKED, -EINVAL },
        { AT(0) + 1, PAGE_SIZE, VMA_LOCKED, -EINVAL },
        { AT(0), 1, VMA_LOCKED, -EINVAL },
        { AT(1), (size_t)0 - PAGE_SIZE, VMA_LOCKED, -EINVAL },
        { AT(63), PAGES(2), VMA_LOCKED, -EINVAL },
        { AT(0), PAGE_SIZE, VMA_LOCK_ON_FAULT, -EINVAL },
        { AT(0), PAGE_SIZE, VMA_LOCKED | VMA_READ, -EINVAL },
        { AT(0), PAGE_SIZE, VMA_DONT_FORK, -EINVAL },
        { AT(3), PAGES(2), VMA_LOCKED, -ENOENT },
        { AT(4), PAGES(2), VMA_LOCKED, -ENOENT },
        { AT(4), PAGE_SIZE, 0, -ENOENT },
        { AT(20), PAGE_SIZE, 0, -ENOENT },
        { AT(6), PAGES(2), VMA_LOCKED, -ENOENT },       /* dead */
    };
    mspace_t *ms = space_start("2level", 64);

    space_map(ms, AT(0), PAGES(4), ANON_RW | VMA_FIXED);
    space_map(ms, AT(5), PAGES(3), ANON_RW | VMA_FIXED);
    CHECK_EQ(mspace_kill(ms, AT(7), PAGE_SIZE), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        CHECK_EQ(mspace_lock(ms, cases[i].address, cases[i].length, cases[i].locks), cases[i].err);
        CHECK_EQ(ms->locked, 0);
        CHECK_EQ(ms->tree.count, 3);
        CHECK_OK(space_check(ms));
    }
    CHECK_EQ(mspace_lock(kMMU.kspace, KSPACE_BASE, PAGE_SIZE, VMA_LOCKED), -EINVAL);
    CHECK_EQ(mspace_lock_all(kMMU.kspace, VMA_LOCKED), -EINVAL);
    CHECK_EQ(mspace_lock_all(ms, VMA_LOCK_ON_FAULT), -EINVAL);
    CHECK_EQ(mspace_lock_future(ms, VMA_READ), 0);
    CHECK_EQ(mspace_lock_future(ms, 0), 0);
    space_stop(ms);
}

TEST(mspace_lock_passes_foreign_areas_over)
{
    mspace_t *ms = space_start("2level", 64);
    page_t frames = page_range(2, PAGE_SIZE, 0, OWNER_BOOT);

    space_map(ms, AT(0), PAGES(2), ANON_RW | VMA_FIXED);
    CHECK(mspace_map(ms, AT(2), PAGES(2), NULL, (off_t)frames, 0,
                     VMA_PHYS | VMA_RW | VMA_FIXED) != NULL);
    ms->limits.locked = 2;
    CHECK_EQ(mspace_lock(ms, AT(0), PAGES(4), VMA_LOCKED), 0);
    CHECK_EQ(ms->locked, 2);
    CHECK_EQ(locks_at(ms, AT(2)), 0);
    CHECK_EQ(mspace_lock(ms, AT(2), PAGE_SIZE, VMA_LOCKED), 0);
    ms->limits.locked = 100;
    CHECK_EQ(mspace_lock_all(ms, VMA_LOCKS), 0);
    CHECK_EQ(ms->locked, 2);
    mspace_lock_future(ms, VMA_LOCKED);
    CHECK(mspace_map(ms, AT(6), PAGES(2), NULL, (off_t)frames, 0,
                     VMA_PHYS | VMA_RW | VMA_FIXED) != NULL);
    CHECK_EQ(ms->locked, 2);
    CHECK_OK(space_check(ms));
    mspace_sweep(ms);
    CHECK_EQ(free_physical_page(frames), 0);
    CHECK_EQ(free_physical_page(frames + PAGE_SIZE), 0);
    space_stop(ms);
}

TEST(mspace_lock_has_a_limit)
{
    mspace_t *ms = space_start("2level", 64);

    CHECK_EQ(ms->limits.locked, MSPACE_LOCK_LIMIT);
    space_map(ms, AT(0), PAGES(8), ANON_RW);
    ms->limits.locked = 4;
    CHECK_EQ(mspace_lock(ms, AT(0), PAGES(5), VMA_LOCKED), -EAGAIN);
    CHECK_EQ(mspace_lock(ms, AT(0), PAGES(4), VMA_LOCKED), 0);
    CHECK_EQ(mspace_lock(ms, AT(0), PAGES(4), VMA_LOCKS), 0);
    CHECK_EQ(mspace_lock(ms, AT(3), PAGES(2), VMA_LOCKED), -EAGAIN);
    CHECK_EQ(locks_at(ms, AT(3)), VMA_LOCKS);
    CHECK_EQ(mspace_lock_all(ms, VMA_LOCKED), -EAGAIN);
    CHECK_EQ(ms->locked, 4);
    ms->limits.locked = 2;                         /* lowered: what is locked stays */
    CHECK_EQ(mspace_lock(ms, AT(0), PAGE_SIZE, VMA_LOCKED), -EAGAIN);
    CHECK_EQ(mspace_lock(ms, AT(0), PAGES(3), 0), 0);
    CHECK_EQ(mspace_lock(ms, AT(7), PAGE_SIZE, VMA_LOCKED), 0);
    CHECK_EQ(ms->locked, 2);
    ms->limits.locked = 8;
    CHECK_EQ(mspace_lock_all(ms, VMA_LOCKED), 0);
    CHECK_EQ(ms->locked, 8);
    CHECK_AREA(ms, AT(0), PAGES(8));
    CHECK_EQ(mspace_lock_all(ms, 0), 0);
    CHECK_EQ(ms->locked, 0);
    CHECK_OK(space_check(ms));
    space_stop(ms);
}

TEST(mspace_lock_all_of_nothing)
{
    mspace_t *ms = space_start("2level", 64);

    CHECK_EQ(mspace_lock_all(ms, VMA_LOCKED), 0);
    CHECK_EQ(mspace_lock_all(ms, 0), 0);
    CHECK_EQ(ms->locked, 0);
    space_stop(ms);
}

TEST(mspace_lock_future_holds_for_what_comes)
{
    mspace_t *ms = space_start("pae", 64);

    space_map(ms, AT(0), PAGES(2), ANON_RW | VMA_FIXED);
    ms->limits.locked = 6;
    ms->break_start = ms->break_end = AT(20);
    CHECK_EQ(mspace_lock_future(ms, VMA_LOCKS), 0);
    space_map(ms, AT(2), PAGES(2), ANON_RW | VMA_FIXED);
    CHECK_EQ(locks_at(ms, AT(1)), 0);
    CHECK_EQ(locks_at(ms, AT(2)), VMA_LOCKS);
    CHECK_EQ(ms->locked, 2);
    CHECK(mspace_map(ms, AT(8), PAGES(5), NULL, 0, 0, ANON_RW | VMA_FIXED) == NULL);
    CHECK_EQ(*host_errno(), EAGAIN);
    CHECK(mspace_replace(ms, AT(0), PAGES(5), NULL, 0, 0, ANON_RW) == NULL);
    CHECK_EQ(*host_errno(), EAGAIN);
    CHECK_EQ(mspace_break(ms, AT(25)), -EAGAIN);
    CHECK_EQ(ms->break_end, AT(20));
    CHECK_EQ(ms->locked, 2);
    CHECK_OK(space_check(ms));
    CHECK(mspace_replace(ms, AT(1), PAGES(2), NULL, 0, 0, ANON_RW) != NULL);
    CHECK_EQ(ms->locked, 3);
    CHECK_EQ(mspace_break(ms, AT(23)), 0);
    CHECK_EQ(ms->locked, 6);
    CHECK_EQ(mspace_break(ms, AT(21)), 0);
    CHECK_EQ(ms->locked, 4);
    CHECK_EQ(mspace_lock_future(ms, 0), VMA_LOCKS);
    space_map(ms, AT(30), PAGES(9), ANON_RW | VMA_FIXED);
    CHECK_EQ(ms->locked, 4);
    CHECK_OK(space_check(ms));
    mspace_lock_future(ms, VMA_LOCKED);
    mspace_sweep(ms);
    CHECK_EQ(ms->locked, 0);
    CHECK_EQ(ms->lock_future, 0);
    space_stop(ms);
}

TEST(mspace_lock_counts_a_stack_that_grows)
{
    mspace_t *ms = space_start("2level", 1024);

    CHECK_EQ(mspace_set_stack(ms, AT(1000), PAGES(4), PAGES(100)), 0);
    ms->limits.locked = 20;
    CHECK_EQ(mspace_lock(ms, AT(996), PAGES(4), VMA_LOCKED), 0);
    CHECK(space_write(AT(990), 1));
    CHECK_EQ(ms->locked, 10);
    CHECK_OK(space_check(ms));
    CHECK(!space_write(AT(979), 1));
    CHECK_EQ(space_fault.reason, FAULT_STACK_LIMIT);
    CHECK_EQ(ms->locked, 10);
    CHECK(space_write(AT(980), 1));
    CHECK_EQ(ms->locked, 20);
    CHECK_OK(space_check(ms));
    mspace_sweep(ms);
    space_stop(ms);
}

TEST(mspace_lock_without_nodes_changes_nothing)
{
    static const struct { size_t first, count, buffers; } cases[] = {
        { 2, 3, 2 }, { 0, 3, 1 }, { 5, 3, 1 }, { 0, 8, 0 },
    };

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        mspace_t *ms = space_start("2level", 64);

        space_map(ms, AT(0), PAGES(8), ANON_RW);
        for (size_t count = 0; count <= cases[i].buffers; count++) {
            int err;

            space_drop_spares(ms);
            space_starve_heap(count, sizeof(vma_t));
            err = mspace_lock(ms, AT(cases[i].first), PAGES(cases[i].count), VMA_LOCKED);
            space_feed_heap();
            CHECK_EQ(err, count < cases[i].buffers ? -ENOMEM : 0);
            CHECK_EQ(ms->locked, err == 0 ? cases[i].count : 0);
            if (err != 0)
                CHECK_AREA(ms, AT(0), PAGES(8));
            CHECK_OK(space_check(ms));
        }
        space_drop_spares(ms);
        space_starve_heap(0, sizeof(vma_t));
        CHECK_EQ(mspace_lock_all(ms, VMA_LOCKED), 0);
        space_feed_heap();
        CHECK_AREA(ms, AT(0), PAGES(8));
        space_stop(ms);
    }
}

/* ---- the checker */

TEST(mspace_check_finds_wrong_locks)
{
    mspace_t *ms = space_start("2level", 64);
    vma_t *vma;

    space_map(ms, AT(0), PAGES(4), ANON_RW);
    vma = mspace_search_vma(ms, AT(0));
    ms->locked++;
    CHECK_STR(mspace_check(ms), "locked is not the number of pages in locked areas");
    ms->locked--;
    vma->flags |= VMA_LOCK_ON_FAULT;
    CHECK_STR(mspace_check(ms), "an area is locked on fault and not locked");
    vma->flags |= VMA_DEAD | VMA_LOCKED;
    CHECK_STR(mspace_check(ms), "an area is locked that cannot be");
    vma->flags = ANON_RW | VMA_COPY_ON_WRITE | VMA_ACCOUNTED;
    CHECK_OK(mspace_check(ms));
    space_stop(ms);
}

/* ---- against a shadow */

enum { SHADOW_PAGES = 40, SHADOW_FLAGS = VMA_LOCKS | VMA_ADVICE | VMA_DEAD | VMA_WRITE };

typedef struct shadow {
    mspace_t *ms;
    bool mapped[SHADOW_PAGES];
    int flags[SHADOW_PAGES];
    uint8_t value[SHADOW_PAGES];
    int future;
    size_t limit;
} shadow_t;

static size_t count_locked(const shadow_t *shadow)
{
    size_t count = 0;

    for (size_t i = 0; i < SHADOW_PAGES; i++)
        count += shadow->mapped[i] && (shadow->flags[i] & VMA_LOCKED) != 0;
    return count;
}

static bool is_whole(const shadow_t *shadow, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++)
        if (!shadow->mapped[i] || (shadow->flags[i] & VMA_DEAD) != 0)
            return false;
    return true;
}

static int random_locks(void)
{
    static const int locks[] = { 0, VMA_LOCKED, VMA_LOCKS };

    return locks[test_random_below(ARRAY_LENGTH(locks))];
}

static void map_step(shadow_t *shadow, size_t first, size_t count)
{
    void *at = mspace_replace(shadow->ms, AT(first), PAGES(count), NULL, 0, 0, ANON_RW);
    bool fits = shadow->future == 0 || count_locked(shadow) + count <= shadow->limit;

    CHECK_EQ(at != NULL, fits);
    for (size_t i = first; fits && i < first + count; i++) {
        shadow->mapped[i] = true;
        shadow->flags[i] = VMA_WRITE | shadow->future;
        shadow->value[i] = 0;
    }
}

static void unmap_step(shadow_t *shadow, size_t first, size_t count)
{
    CHECK_EQ(mspace_unmap(shadow->ms, AT(first), PAGES(count)), 0);
    for (size_t i = first; i < first + count; i++)
        shadow->mapped[i] = false;
}

static void lock_step(shadow_t *shadow, size_t first, size_t count)
{
    int locks = random_locks();
    size_t more = 0;
    int expected = is_whole(shadow, first, count) ? 0 : -ENOENT;

    for (size_t i = first; i < first + count; i++)
        more += (shadow->flags[i] & VMA_LOCKED) == 0;
    if (expected == 0 && locks != 0 && count_locked(shadow) + more > shadow->limit)
        expected = -EAGAIN;
    CHECK_EQ(mspace_lock(shadow->ms, AT(first), PAGES(count), locks), expected);
    for (size_t i = first; expected == 0 && i < first + count; i++)
        shadow->flags[i] = (shadow->flags[i] & ~VMA_LOCKS) | locks;
}

static void lock_all_step(shadow_t *shadow)
{
    int locks = random_locks();
    size_t pages = 0;

    for (size_t i = 0; i < SHADOW_PAGES; i++)
        pages += shadow->mapped[i];
    CHECK_EQ(mspace_lock_all(shadow->ms, locks),
             locks != 0 && pages > shadow->limit ? -EAGAIN : 0);
    if (locks != 0 && pages > shadow->limit)
        return;
    for (size_t i = 0; i < SHADOW_PAGES; i++)
        if ((shadow->flags[i] & VMA_DEAD) == 0)
            shadow->flags[i] = (shadow->flags[i] & ~VMA_LOCKS) | locks;
}

static void advise_step(shadow_t *shadow, size_t first, size_t count)
{
    static const int flags[] = { VMA_DONT_FORK, VMA_WIPE_ON_FORK, VMA_DONT_DUMP };
    int set = flags[test_random_below(ARRAY_LENGTH(flags))];
    int clear = 0;
    int expected = is_whole(shadow, first, count) ? 0 : -ENOENT;

    if (test_random_below(2) == 0) {
        clear = set;
        set = 0;
    }
    CHECK_EQ(mspace_set_advice(shadow->ms, AT(first), PAGES(count), set, clear), expected);
    for (size_t i = first; expected == 0 && i < first + count; i++)
        shadow->flags[i] = (shadow->flags[i] & ~clear) | set;
}

static void discard_step(shadow_t *shadow, size_t first, size_t count)
{
    bool locked_too = test_random_below(2) == 0;
    int expected = is_whole(shadow, first, count) ? 0 : -ENOENT;

    for (size_t i = first; i < first + count && expected == 0 && !locked_too; i++)
        if ((shadow->flags[i] & VMA_LOCKED) != 0)
            expected = -EINVAL;
    CHECK_EQ(mspace_discard(shadow->ms, AT(first), PAGES(count), locked_too), expected);
    if (expected == 0)
        memset(shadow->value + first, 0, count);
}

static void protect_step(shadow_t *shadow, size_t first, size_t count)
{
    int rights = test_random_below(2) == 0 ? VMA_RO : VMA_RW;
    int expected = is_whole(shadow, first, count) ? 0 : -ENOENT;

    CHECK_EQ(mspace_protect(shadow->ms, AT(first), PAGES(count), rights), expected);
    for (size_t i = first; expected == 0 && i < first + count; i++)
        shadow->flags[i] = (shadow->flags[i] & ~VMA_WRITE) | (rights & VMA_WRITE);
}

static void kill_step(shadow_t *shadow, size_t first, size_t count)
{
    CHECK_EQ(mspace_kill(shadow->ms, AT(first), PAGES(count)), 0);
    for (size_t i = first; i < first + count; i++)
        shadow->flags[i] = (shadow->flags[i] & ~VMA_LOCKS) | VMA_DEAD;
    if (test_random_below(2) == 0)
        return;
    mspace_scavenge(shadow->ms);
    for (size_t i = 0; i < SHADOW_PAGES; i++)
        shadow->mapped[i] &= (shadow->flags[i] & VMA_DEAD) == 0;
}

static void write_step(shadow_t *shadow, size_t page)
{
    bool may = shadow->mapped[page] && (shadow->flags[page] & (VMA_DEAD | VMA_WRITE)) == VMA_WRITE;
    uint8_t byte = (uint8_t)test_random();

    CHECK_EQ(space_write(AT(page), byte), may);
    if (may)
        shadow->value[page] = byte;
}

static void step(shadow_t *shadow)
{
    size_t first = test_random_below(SHADOW_PAGES);
    size_t count = 1 + test_random_below(SHADOW_PAGES - first);

    if (test_random_below(3) != 0 && count > 5)
        count = 1 + count % 5;
    switch (test_random_below(16)) {
    case 0: case 1: case 2:
        map_step(shadow, first, count);
        break;
    case 3:
        unmap_step(shadow, first, count);
        break;
    case 4: case 5: case 6:
        lock_step(shadow, first, count);
        break;
    case 7:
        if (test_random_below(4) == 0)
            lock_all_step(shadow);
        break;
    case 8: case 9:
        advise_step(shadow, first, count);
        break;
    case 10: case 11:
        discard_step(shadow, first, count);
        break;
    case 12:
        protect_step(shadow, first, count);
        break;
    case 13:
        if (test_random_below(4) == 0)
            kill_step(shadow, first, count);
        break;
    case 14:
        CHECK_EQ(mspace_lock_future(shadow->ms, random_locks()), shadow->future);
        shadow->future = shadow->ms->lock_future;
        break;
    default:
        write_step(shadow, first);
    }
}

static void compare(shadow_t *shadow)
{
    mspace_t *ms = shadow->ms;

    CHECK_OK(mspace_check(ms));
    CHECK_EQ(ms->locked, count_locked(shadow));
    CHECK(ms->locked <= shadow->limit);
    for (size_t i = 0; i < SHADOW_PAGES; i++) {
        const vma_t *vma = mspace_search_vma(ms, AT(i));

        CHECK_EQ(vma != NULL, shadow->mapped[i]);
        if (vma != NULL)
            CHECK_EQ(vma->flags & SHADOW_FLAGS, shadow->flags[i]);
        if (vma != NULL && (vma->flags & VMA_DEAD) == 0 && test_random_below(8) == 0)
            CHECK_EQ(space_byte(AT(i)), shadow->value[i]);
    }
}

static void run_shadow(const char *format)
{
    shadow_t shadow = { .ms = space_start(format, 64), .limit = 25 };
    size_t steps = test_steps(20000);

    shadow.ms->limits.locked = shadow.limit;
    for (size_t i = 0; i < steps; i++) {
        step(&shadow);
        compare(&shadow);
    }
    space_stop(shadow.ms);
}

TEST(mspace_lock_random_operations_2level)
{
    run_shadow("2level");
}

TEST(mspace_lock_random_operations_pae)
{
    run_shadow("pae");
}
