/*
 * Pages before their first access: mspace_resolve and VMA_RESOLVE.
 */
#include <kernel/errno.h>
#include <space.h>

/* Several tables, in which pages of each kind are there already. */
TEST(mspace_resolve_brings_what_is_not_there_yet)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 1500);
        page_t own;

        space_map(ms, AT(0), PAGES(1500), ANON_RW);
        CHECK_EQ(space_byte(AT(3)), 0);             /* the zero frame, read-only */
        CHECK_EQ(space_byte(AT(1400)), 0);
        CHECK(space_write(AT(700), 7));
        own = mmu_frame(space_entry(ms, AT(700)));
        CHECK_EQ(mspace_resolve(ms, AT(1), PAGES(1498), true), 0);
        CHECK_EQ(ms->p_size, 1498);
        CHECK_EQ(mmu_frame(space_entry(ms, AT(700))), own);
        CHECK_EQ(space_entry(ms, AT(0)), 0);
        CHECK_EQ(space_entry(ms, AT(1499)), 0);
        CHECK_OK(mspace_check(ms));
        fake_reset_events();
        for (size_t page = 1; page < 1499; page++)
            CHECK(space_write(AT(page), 1));
        CHECK_EQ(fake_events.faults, 0);
        CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(1500)), 0);
        space_stop(ms);
    }
}

TEST(mspace_resolve_ranges)
{
    static const struct { size_t address; size_t length; bool write; int expected; } cases[] = {
        { AT(0), 0, true, 0 },
        { 0, 0, true, 0 },
        { AT(0), PAGES(6), false, 0 },
        { AT(0) + 5, PAGES(3) - 5, true, 0 },
        { AT(0) + 5, PAGES(3) - 4, true, -EFAULT },     /* one byte of a read-only page */
        { AT(5) + 4095, 1, false, 0 },
        { AT(5) + 4095, 2, false, -EFAULT },            /* one byte of nothing */
        { AT(0) - 1, 2, false, -EFAULT },
        { AT(31), PAGES(1) + 1, false, -EFAULT },
        { AT(32), 1, false, -EFAULT },
        { 0, 1, false, -EFAULT },
        { AT(0), SIZE_MAX, false, -EFAULT },
        { SIZE_MAX, 1, false, -EFAULT },
        { SIZE_MAX - 5, 100, false, -EFAULT },
        { KERNEL_BASE, 1, false, -EFAULT },
    };

    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 32);

        space_map(ms, AT(0), PAGES(3), ANON_RW);
        space_map(ms, AT(3), PAGES(3), ANON_RO);
        for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
            int err = mspace_resolve(ms, cases[i].address, cases[i].length, cases[i].write);

            if (err != cases[i].expected)
                test_fail(__FILE__, __LINE__, "case %zu is %d", i, err);
            CHECK_OK(mspace_check(ms));
        }
        CHECK_EQ(ms->p_size, 3);
        CHECK_EQ(mmu_frame(space_entry(ms, AT(5))), kMMU.zero_page);
        fake_reset_events();
        CHECK(space_write(AT(2), 1));
        CHECK_EQ(fake_events.faults, 0);
        space_stop(ms);
    }
}

TEST(mspace_map_resolved_takes_its_frames_at_once)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 64);
        size_t free;

        space_map(ms, AT(0), PAGES(1), ANON_RW | VMA_RESOLVE);  /* the table */
        free = physical_figures()->free;
        space_map(ms, AT(1), PAGES(10), ANON_RW);
        CHECK_EQ(physical_figures()->free, free);
        space_map(ms, AT(11), PAGES(10), ANON_RW | VMA_RESOLVE);
        CHECK_EQ(physical_figures()->free, free - 10);
        CHECK_AREA(ms, AT(0), PAGES(21));
        space_map(ms, AT(30), PAGES(10), ANON_RO | VMA_RESOLVE);
        space_map(ms, AT(40), PAGES(10), VMA_ANON | VMA_RESOLVE);
        CHECK_EQ(physical_figures()->free, free - 10);
        fake_reset_events();
        CHECK_EQ(space_byte(AT(30)), 0);
        CHECK(space_write(AT(20), 1));
        CHECK_EQ(fake_events.faults, 0);
        CHECK_OK(mspace_check(ms));
        space_stop(ms);
    }
}
