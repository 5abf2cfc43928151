/*
 * The break of a space.
 */
#include <kernel/errno.h>
#include <space.h>

TEST(mspace_break_grows_and_shrinks)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 32);

        CHECK_EQ(mspace_break(ms, AT(5)), -EINVAL);         /* there is none yet */
        ms->break_start = ms->break_end = AT(4) + 100;
        CHECK_EQ(mspace_break(ms, AT(4) + 99), -EINVAL);
        CHECK_EQ(mspace_break(ms, AT(4) + 200), 0);         /* the page is the image's */
        CHECK_EQ(ms->tree.count, 0);
        CHECK_EQ(mspace_break(ms, AT(6) + 1), 0);
        CHECK_AREA(ms, AT(5), PAGES(2));
        CHECK(space_write(AT(6), 66));
        CHECK_EQ(mspace_break(ms, AT(7)), 0);
        CHECK_AREA(ms, AT(5), PAGES(2));
        CHECK_EQ(mspace_break(ms, AT(10)), 0);
        CHECK_AREA(ms, AT(5), PAGES(5));
        CHECK_EQ(space_byte(AT(6)), 66);
        CHECK(space_write(AT(9), 99));
        CHECK_EQ(mspace_break(ms, AT(9)), 0);
        CHECK_EQ(ms->p_size, 1);
        CHECK(!space_read(AT(9), &(uint8_t){ 0 }));
        CHECK_EQ(mspace_break(ms, AT(10)), 0);
        CHECK_EQ(space_byte(AT(9)), 0);
        /* Not over a mapping, nor up to it: a page stays free. */
        space_map(ms, AT(12), PAGES(1), ANON_RW);
        CHECK_EQ(mspace_break(ms, AT(13)), -ENOMEM);
        CHECK_EQ(mspace_break(ms, AT(12)), -ENOMEM);
        CHECK_EQ(ms->break_end, AT(10));
        CHECK_EQ(mspace_break(ms, AT(11)), 0);
        CHECK_EQ(mspace_break(ms, AT(40)), -ENOMEM);
        CHECK_EQ(mspace_break(ms, SIZE_MAX), -ENOMEM);
        CHECK_EQ(mspace_break(ms, SIZE_MAX - PAGE_SIZE), -ENOMEM);
        CHECK_EQ(mspace_break(ms, AT(4) + 100), 0);
        CHECK_EQ(ms->tree.count, 1);
        CHECK_EQ(ms->p_size, 0);
        CHECK_OK(mspace_check(ms));
        space_stop(ms);
    }
}

/* musl's malloc puts a page without rights at the start of its heap. */
TEST(mspace_break_around_a_fixed_page)
{
    mspace_t *ms = space_start("pae", 32);

    ms->break_start = ms->break_end = AT(4);
    CHECK_EQ(mspace_break(ms, AT(6)), 0);
    CHECK(mspace_replace(ms, AT(4), PAGES(1), NULL, 0, 0, VMA_ANON | VMA_CAPABILITIES) != NULL);
    CHECK_EQ(ms->tree.count, 2);
    CHECK_EQ(mspace_break(ms, AT(8)), 0);
    CHECK_AREA(ms, AT(4), PAGES(1));
    CHECK_AREA(ms, AT(5), PAGES(3));
    CHECK(!space_write(AT(4), 1));
    CHECK(space_write(AT(7), 1));
    /* Down past the page and it is gone; up again, and it is the heap's. */
    CHECK_EQ(mspace_break(ms, AT(4)), 0);
    CHECK_EQ(ms->tree.count, 0);
    CHECK_EQ(mspace_break(ms, AT(6)), 0);
    CHECK_AREA(ms, AT(4), PAGES(2));
    /* Where the program took its heap out, there is nothing to give back. */
    CHECK_EQ(mspace_unmap(ms, AT(5), PAGES(1)), 0);
    CHECK_EQ(mspace_break(ms, AT(5)), -ENOMEM);
    CHECK_EQ(ms->break_end, AT(6));
    CHECK_EQ(mspace_break(ms, AT(4)), 0);
    /* After mprotect of its upper part a shrink goes back over both areas. */
    CHECK_EQ(mspace_break(ms, AT(10)), 0);
    CHECK_EQ(mspace_protect(ms, AT(8), PAGES(2), VMA_RO), 0);
    CHECK_EQ(mspace_break(ms, AT(11)), 0);
    CHECK_EQ(ms->tree.count, 3);
    CHECK_EQ(mspace_break(ms, AT(7)), 0);
    CHECK_AREA(ms, AT(4), PAGES(3));
    CHECK_EQ(ms->tree.count, 1);
    CHECK_OK(mspace_check(ms));
    space_stop(ms);
}
