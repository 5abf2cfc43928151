/*
 * The stack of a space: the range that it takes, and how it grows by faults.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <space.h>

TEST(mspace_stack_range_counts_as_taken)
{
    mspace_t *ms = space_start("2level", 400);

    CHECK_EQ(mspace_set_stack(ms, AT(400), PAGES(8), PAGES(4)), -EINVAL);
    CHECK_EQ(mspace_set_stack(ms, AT(400), PAGES(0), PAGES(64)), -EINVAL);
    CHECK_EQ(mspace_set_stack(ms, AT(400) + 1, PAGES(8), PAGES(64)), -EINVAL);
    CHECK_EQ(mspace_set_stack(ms, AT(400), PAGES(8), PAGES(64) + 1), -EINVAL);
    CHECK_EQ(mspace_set_stack(ms, AT(401), PAGES(8), PAGES(64)), -EINVAL);
    CHECK_EQ(mspace_set_stack(ms, AT(400), PAGES(8), PAGES(145)), -EINVAL);
    CHECK_EQ(mspace_set_stack(ms, AT(400), PAGES(8), AT(400) + PAGE_SIZE), -EINVAL);
    space_map(ms, AT(100), PAGES(1), ANON_RW);
    CHECK_EQ(mspace_set_stack(ms, AT(398), PAGES(8), PAGES(64)), -ENOMEM);
    CHECK_EQ(ms->stack_base, 0);
    CHECK_EQ(mspace_unmap(ms, AT(100), PAGES(1)), 0);
    CHECK_EQ(mspace_set_stack(ms, AT(398), PAGES(8), PAGES(64)), 0);
    CHECK_AREA(ms, AT(390), PAGES(8));
    CHECK_EQ(ms->stack_base, AT(334));
    /* 0..77 free, 78..333 guard, 334..389 to grow, 390..397 stack, 398..399 free */
    CHECK_EQ(space_map(ms, 0, PAGES(78), ANON_RW), AT(0));
    CHECK_EQ(space_map(ms, 0, PAGES(2), ANON_RW), AT(398));
    CHECK(mspace_map(ms, 0, PAGES(1), NULL, 0, 0, ANON_RW) == NULL);
    CHECK_EQ(*host_errno(), ENOMEM);
    CHECK(mspace_map(ms, AT(80), PAGES(1), NULL, 0, 0, ANON_RW) == NULL);
    CHECK_EQ(*host_errno(), ENOMEM);
    /* A program that insists gets its way. */
    CHECK_EQ(space_map(ms, AT(340), PAGES(1), ANON_RW | VMA_FIXED), AT(340));
    /* The break stops there too. */
    CHECK_EQ(mspace_unmap(ms, AT(70), PAGES(8)), 0);
    ms->break_start = ms->break_end = AT(70);
    CHECK_EQ(mspace_break(ms, AT(78)), -ENOMEM);
    CHECK_EQ(mspace_break(ms, AT(77)), 0);
    CHECK_OK(mspace_check(ms));
    space_stop(ms);
}

TEST(fault_stack_grows_to_its_limit)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 400);

        CHECK_EQ(mspace_set_stack(ms, AT(400), PAGES(2), PAGES(100)), 0);
        CHECK(space_write(AT(397), 1));
        CHECK_AREA(ms, AT(397), PAGES(3));
        CHECK_EQ(space_byte(AT(350)), 0);               /* far below: all of it */
        CHECK_AREA(ms, AT(350), PAGES(50));
        CHECK_EQ(ms->v_size, 50);
        CHECK_EQ(ms->p_size, 1);
        CHECK_OK(mspace_check(ms));
        CHECK(!space_write(AT(299) + 4095, 1));
        CHECK_EQ(space_fault.reason, FAULT_STACK_LIMIT);
        CHECK_EQ(space_fault.stack_base, AT(300));
        if (mmu_can_forbid_execution()) {
            CHECK(!space_execute(AT(310)));             /* not allowed, but it grows */
            CHECK_EQ(space_fault.reason, FAULT_NO_RIGHT);
            CHECK_AREA(ms, AT(310), PAGES(90));
        }
        CHECK(space_write(AT(300), 1));
        CHECK_AREA(ms, AT(300), PAGES(100));
        CHECK(!space_write(AT(299), 1));
        CHECK_EQ(space_fault.reason, FAULT_STACK_LIMIT);
        CHECK(!space_write(AT(300) - STACK_GUARD_GAP, 1));
        CHECK_EQ(space_fault.reason, FAULT_STACK_LIMIT);
        CHECK(!space_write(AT(300) - STACK_GUARD_GAP - 1, 1));
        CHECK_EQ(space_fault.reason, FAULT_NO_AREA);
        CHECK_EQ(space_fault.area_base, AT(300));
        CHECK_STR(space_fault.area_name, "[stack]");
        /* Copies to the program grow it too. */
        CHECK_EQ(mspace_unmap(ms, AT(300), PAGES(98)), 0);
        CHECK_EQ(mspace_resolve(ms, AT(390) + 5, PAGES(3), true), 0);
        CHECK_AREA(ms, AT(390), PAGES(10));
        CHECK_OK(mspace_check(ms));
        space_stop(ms);
    }
}

TEST(fault_stack_respects_its_neighbours)
{
    mspace_t *ms = space_start("pae", 1000);

    CHECK_EQ(mspace_set_stack(ms, AT(1000), PAGES(2), PAGES(600)), 0);
    /* An area that the program put into the stack's range keeps its distance. */
    space_map(ms, AT(500), PAGES(1), ANON_RO | VMA_FIXED);
    CHECK(space_write(AT(757), 1));                     /* 256 pages are free between */
    CHECK_AREA(ms, AT(757), PAGES(243));
    CHECK(!space_write(AT(756), 1));
    CHECK_EQ(space_fault.reason, FAULT_STACK_LIMIT);
    CHECK_AREA(ms, AT(757), PAGES(243));
    /* One without rights is a guard itself. */
    CHECK_EQ(mspace_protect(ms, AT(500), PAGES(1), 0), 0);
    CHECK(space_write(AT(501), 1));
    CHECK_AREA(ms, AT(501), PAGES(499));
    /* A hole in the stack closes again, and the two parts are one. */
    CHECK_EQ(mspace_unmap(ms, AT(600), PAGES(10)), 0);
    CHECK_EQ(ms->tree.count, 3);
    CHECK(space_write(AT(600), 1));
    CHECK_AREA(ms, AT(501), PAGES(499));
    CHECK_OK(mspace_check(ms));
    /* A read-only one grows by a write that is refused; a dead one does not. */
    CHECK_EQ(mspace_protect(ms, AT(501), PAGES(499), VMA_READ), 0);
    CHECK_EQ(mspace_unmap(ms, AT(501), PAGES(400)), 0);
    CHECK(!space_write(AT(890), 1));
    CHECK_EQ(space_fault.reason, FAULT_NO_RIGHT);
    CHECK_AREA(ms, AT(890), PAGES(110));
    CHECK_EQ(space_byte(AT(890)), 0);
    CHECK_EQ(mspace_kill(ms, AT(880), PAGES(120)), 0);
    CHECK(!space_read(AT(870), &(uint8_t){ 0 }));
    CHECK_EQ(space_fault.reason, FAULT_NO_AREA);
    CHECK(!space_read(AT(890), &(uint8_t){ 0 }));
    CHECK_EQ(space_fault.reason, FAULT_DEAD_AREA);
    CHECK_EQ(mspace_scavenge(ms), 1);
    space_stop(ms);
}

/* Any area that grows down does so up to the limit, and searches leave a gap below it. */
TEST(fault_areas_grow_down_to_the_limit)
{
    static const int kinds[] = { VMA_STACK_SEGMENT, ANON_RW | VMA_GROWS_DOWN,
                                 VMA_ANON | VMA_READ | VMA_GROWS_DOWN };

    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        mspace_t *ms = space_start("2level", 2000);
        bool write = (kinds[i] & VMA_WRITE) != 0;
        uint8_t byte;

        ms->limits.stack = 50;
        space_map(ms, AT(1000), PAGES(2), kinds[i]);
        CHECK(write ? space_write(AT(999), 7) : space_read(AT(999), &byte));
        CHECK_AREA(ms, AT(999), PAGES(3));
        CHECK(write || !space_write(AT(998), 1));
        CHECK_EQ(space_byte(AT(952)), 0);
        CHECK_AREA(ms, AT(952), PAGES(50));
        CHECK(!space_read(AT(951), &byte));
        CHECK_EQ(space_fault.reason, FAULT_STACK_LIMIT);
        CHECK_EQ(space_fault.stack_base, AT(952));
        CHECK_AREA(ms, AT(952), PAGES(50));
        CHECK(!space_read(AT(600), &byte));
        CHECK_EQ(space_fault.reason, FAULT_NO_AREA);
        /* Its length counts, not where it began. */
        CHECK_EQ(mspace_unmap(ms, AT(982), PAGES(20)), 0);
        CHECK(space_read(AT(932), &byte));
        CHECK_AREA(ms, AT(932), PAGES(50));
        CHECK_OK(mspace_check(ms));
        space_stop(ms);
    }
}

TEST(mspace_map_leaves_a_gap_below_what_grows_down)
{
    mspace_t *ms = space_start("pae", 1000);
    size_t gap = STACK_GUARD_GAP / PAGE_SIZE;

    space_map(ms, AT(gap + 10), PAGES(2), ANON_RW | VMA_GROWS_DOWN);
    CHECK_EQ(space_map(ms, 0, PAGES(11), ANON_RO), AT(gap + 12));
    CHECK_EQ(space_map(ms, 0, PAGES(10), ANON_RO), AT(0));
    CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(10)), 0);
    /* A hint is treated as a search is; a fixed address is not. */
    CHECK_EQ(space_map(ms, AT(1), PAGES(10), ANON_RO), AT(0));
    CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(10)), 0);
    CHECK_EQ(space_map(ms, AT(2), PAGES(8), ANON_RO), AT(2));
    CHECK_EQ(space_map(ms, AT(10), PAGES(1), ANON_RO | VMA_FIXED), AT(10));
    CHECK(!space_write(AT(gap + 9), 1));        /* too near to what is below */
    CHECK_EQ(space_fault.reason, FAULT_STACK_LIMIT);
    CHECK_EQ(mspace_unmap(ms, AT(9), PAGES(2)), 0);
    CHECK(space_write(AT(gap + 9), 1));
    /* The gap is gone: nothing fits there any more, but where nothing may be read. */
    CHECK_EQ(mspace_protect(ms, AT(2), PAGES(7), 0), 0);
    CHECK(space_write(AT(20), 1));
    CHECK_AREA(ms, AT(20), PAGES(gap - 8));
    CHECK_OK(mspace_check(ms));
    space_stop(ms);
}

/* The break keeps its distance too. */
TEST(mspace_break_stays_out_of_the_gap_below_what_grows_down)
{
    mspace_t *ms = space_start("2level", 1000);
    size_t gap = STACK_GUARD_GAP / PAGE_SIZE;

    ms->break_start = ms->break_end = AT(1);
    space_map(ms, AT(gap + 10), PAGES(2), ANON_RW | VMA_GROWS_DOWN);
    CHECK_EQ(mspace_break(ms, AT(10)), -ENOMEM);
    CHECK_EQ(mspace_break(ms, AT(9)), 0);
    CHECK_OK(mspace_check(ms));
    space_stop(ms);
}
