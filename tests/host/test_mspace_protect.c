/*
 * Areas that are cut: unmap and protect.
 */
#include <kernel/errno.h>
#include <space.h>

TEST(mspace_unmap_hole_splits_area)
{
    mspace_t *ms = space_start("2level", 16);

    /* 0123456789    AAAAAAAAAA    unmap 3..4    AAA..AAAAA */
    space_map(ms, AT(0), PAGES(10), ANON_RW);
    for (size_t i = 0; i < 10; i++)
        CHECK(space_write(AT(i), (uint8_t)(i + 1)));
    CHECK_EQ(ms->p_size, 10);
    CHECK_EQ(mspace_unmap(ms, AT(3), PAGES(2)), 0);
    CHECK_AREA(ms, AT(0), PAGES(3));
    CHECK(mspace_search_vma(ms, AT(3)) == NULL);
    CHECK(mspace_search_vma(ms, AT(4)) == NULL);
    CHECK_AREA(ms, AT(5), PAGES(5));
    CHECK_EQ(ms->p_size, 8);
    CHECK_EQ(ms->v_size, 8);
    CHECK(!space_write(AT(3), 1));
    CHECK_EQ(space_fault.reason, FAULT_NO_AREA);
    CHECK(space_fault.was_unmapped);
    for (size_t i = 5; i < 10; i++)
        CHECK_EQ(space_byte(AT(i)), i + 1);
    /* Holes are fine, and so is nothing at all. */
    CHECK_EQ(mspace_unmap(ms, AT(2), PAGES(4)), 0);
    CHECK_EQ(mspace_unmap(ms, AT(2), PAGES(4)), 0);
    CHECK_EQ(mspace_unmap(ms, AT(12), PAGES(1)), 0);
    CHECK_EQ(ms->v_size, 6);
    CHECK_OK(mspace_check(ms));
    space_stop(ms);
}

TEST(mspace_protect_back_and_forth_is_one_area)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 16);

        space_map(ms, AT(0), PAGES(10), ANON_RW);
        CHECK(space_write(AT(4), 44));
        CHECK(space_write(AT(9), 99));
        CHECK_EQ(mspace_protect(ms, AT(3), PAGES(4), VMA_RO), 0);
        CHECK_EQ(ms->tree.count, 3);
        CHECK_AREA(ms, AT(3), PAGES(4));
        CHECK(!space_write(AT(4), 45));
        CHECK_EQ(space_fault.reason, FAULT_NO_RIGHT);
        CHECK_EQ(space_fault.code & FAULT_PRESENT, FAULT_PRESENT);
        CHECK_EQ(space_byte(AT(4)), 44);
        CHECK_EQ(mspace_protect(ms, AT(3), PAGES(2), VMA_RW), 0);
        CHECK_AREA(ms, AT(0), PAGES(5));
        CHECK_EQ(mspace_protect(ms, AT(3), PAGES(4), VMA_RW), 0);
        CHECK_AREA(ms, AT(0), PAGES(10));
        CHECK_EQ(ms->tree.count, 1);
        /* The first touch after it costs no fault. */
        fake_reset_events();
        CHECK(space_write(AT(4), 46));
        CHECK_EQ(fake_events.faults, 0);
        CHECK_EQ(space_byte(AT(9)), 99);
        CHECK_OK(mspace_check(ms));
        space_stop(ms);
    }
}

TEST(mspace_protect_none_holds_pages)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 16);
        page_t frame;
        size_t in_use;

        space_map(ms, AT(0), PAGES(3), ANON_RW);
        CHECK(space_write(AT(0), 10));
        CHECK_EQ(space_byte(AT(1)), 0);                 /* the zero frame */
        frame = mmu_frame(mmu_read(ms->directory, AT(0)));
        in_use = ms->phys_pg_count;
        CHECK_EQ(mspace_protect(ms, AT(0), PAGES(3), 0), 0);
        CHECK_EQ(mmu_read(ms->directory, AT(0)) & (MMU_PRESENT | MMU_HELD), MMU_HELD);
        CHECK_EQ(mmu_frame(mmu_read(ms->directory, AT(0))), frame);
        CHECK_EQ(ms->p_size, 1);
        CHECK_EQ(ms->phys_pg_count, in_use);
        CHECK(!space_read(AT(0), &(uint8_t){ 0 }));
        CHECK_EQ(space_fault.reason, FAULT_NO_RIGHT);
        CHECK_EQ(space_fault.code & FAULT_PRESENT, 0);
        CHECK(!space_read(AT(1), &(uint8_t){ 0 }));
        CHECK_EQ(mspace_resolve(ms, AT(0), 1, false), -EFAULT);
        CHECK_OK(mspace_check(ms));
        CHECK_EQ(mspace_protect(ms, AT(0), PAGES(3), VMA_RW), 0);
        fake_reset_events();
        CHECK_EQ(space_byte(AT(0)), 10);
        CHECK(space_write(AT(0), 11));
        CHECK_EQ(space_byte(AT(1)), 0);
        CHECK_EQ(fake_events.faults, 0);
        CHECK(space_write(AT(1), 12));                  /* never the zero frame itself */
        CHECK_EQ(space_byte(AT(2)), 0);
        CHECK_EQ(ms->p_size, 2);
        /* Held pages go with their area. */
        CHECK_EQ(mspace_protect(ms, AT(0), PAGES(3), 0), 0);
        CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(3)), 0);
        CHECK_EQ(ms->p_size, 0);
        space_stop(ms);
    }
}

TEST(mspace_protect_validates_first)
{
    mspace_t *ms = space_start("2level", 16);

    /* 0123456789    AAABBB.CCC    B may not be written */
    space_map(ms, AT(0), PAGES(3), ANON_RW);
    space_map(ms, AT(3), PAGES(3), VMA_ANON | VMA_READ);
    space_map(ms, AT(7), PAGES(3), ANON_RO);
    CHECK_EQ(mspace_protect(ms, AT(1), PAGES(8), VMA_RO), -ENOENT);
    CHECK_EQ(mspace_protect(ms, AT(6), PAGES(2), VMA_RO), -ENOENT);
    CHECK_EQ(mspace_protect(ms, AT(8), PAGES(3), VMA_RW), -ENOENT);
    CHECK_EQ(mspace_protect(ms, AT(12), PAGES(1), VMA_RW), -ENOENT);
    CHECK_EQ(mspace_protect(ms, AT(1), PAGES(4), VMA_RW | VMA_EXEC), -EPERM);
    CHECK_EQ(mspace_protect(ms, AT(4), PAGES(1), VMA_WRITE), -EPERM);
    CHECK_EQ(mspace_protect(ms, AT(4), PAGES(1), VMA_EXEC), -EPERM);
    CHECK_EQ(ms->tree.count, 3);
    CHECK_AREA(ms, AT(0), PAGES(3));
    CHECK_EQ(mspace_search_vma(ms, AT(0))->flags & VMA_RIGHTS, VMA_RW);
    CHECK_EQ(mspace_protect(ms, AT(3), PAGES(1), 0), 0);
    CHECK_EQ(mspace_protect(ms, AT(3), PAGES(1), VMA_READ), 0);
    CHECK_EQ(ms->tree.count, 3);
    CHECK_EQ(mspace_protect(ms, AT(1), PAGES(5), VMA_READ), 0);
    CHECK_EQ(ms->tree.count, 4);            /* A, its read-only rest, B (capabilities), C */
    CHECK_OK(mspace_check(ms));
    space_stop(ms);
}
