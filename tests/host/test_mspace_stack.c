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
            CHECK(!space_execute(AT(310)));             /* it would not be allowed */
            CHECK_EQ(space_fault.reason, FAULT_NO_AREA);
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
    /* A dead stack does not grow, nor a read-only one by a write. */
    CHECK_EQ(mspace_protect(ms, AT(501), PAGES(499), VMA_READ), 0);
    CHECK_EQ(mspace_unmap(ms, AT(501), PAGES(400)), 0);
    CHECK(!space_write(AT(890), 1));
    CHECK_EQ(space_fault.reason, FAULT_NO_AREA);
    CHECK_EQ(space_byte(AT(890)), 0);
    CHECK_EQ(mspace_kill(ms, AT(880), PAGES(120)), 0);
    CHECK(!space_read(AT(870), &(uint8_t){ 0 }));
    CHECK_EQ(space_fault.reason, FAULT_NO_AREA);
    CHECK(!space_read(AT(890), &(uint8_t){ 0 }));
    CHECK_EQ(space_fault.reason, FAULT_DEAD_AREA);
    CHECK_EQ(mspace_scavenge(ms), 1);
    space_stop(ms);
}

TEST(fault_stack_areas_grow_only_above_the_limit)
{
    mspace_t *ms = space_start("2level", 1000);

    /* A stack area of a space without a stack, and one below the stack's range. */
    space_map(ms, AT(50), PAGES(2), VMA_STACK_SEGMENT);
    CHECK(!space_write(AT(49), 1));
    CHECK_EQ(space_fault.reason, FAULT_NO_AREA);
    CHECK_EQ(mspace_set_stack(ms, AT(1000), PAGES(2), PAGES(100)), 0);
    CHECK(!space_write(AT(49), 1));
    CHECK_EQ(space_fault.reason, FAULT_NO_AREA);
    CHECK_AREA(ms, AT(50), PAGES(2));
    space_stop(ms);
}
