/*
 * Mapping: where areas go, what is refused, the limits of files, replacing.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <space.h>

/* ---- map */

TEST(mspace_map_fills_a_small_space)
{
    mspace_t *ms = space_start("2level", 24);

    for (size_t i = 0; i < 6; i++) {
        /* Alternating rights: six areas, and not one. */
        CHECK_EQ(space_map(ms, 0, PAGES(4), i % 2 != 0 ? ANON_RO : ANON_RW), AT(4 * i));
        CHECK_OK(mspace_check(ms));
    }
    CHECK_EQ(ms->tree.count, 6);
    CHECK(mspace_map(ms, 0, PAGES(4), NULL, 0, 0, ANON_RW) == NULL);
    CHECK_EQ(*host_errno(), ENOMEM);
    CHECK(mspace_map(ms, 0, PAGES(1), NULL, 0, 0, ANON_RW) == NULL);
    CHECK_EQ(*host_errno(), ENOMEM);
    CHECK(mspace_map(ms, 0, PAGES(25), NULL, 0, 0, ANON_RW) == NULL);
    CHECK_EQ(*host_errno(), ENOMEM);
    CHECK_EQ(ms->v_size, 24);
    space_stop(ms);
}

TEST(mspace_map_hints_and_fixed)
{
    mspace_t *ms = space_start("pae", 24);

    /* 0123456789..    ......AA...... : a free hint is taken, */
    CHECK_EQ(space_map(ms, AT(6), PAGES(2), ANON_RW), AT(6));
    /* a taken one is not, nor one outside; the lowest place is. */
    CHECK_EQ(space_map(ms, AT(5), PAGES(2), ANON_RO), AT(0));
    CHECK_EQ(space_map(ms, KERNEL_BASE, PAGES(1), ANON_RW), AT(2));
    CHECK_EQ(space_map(ms, AT(23), PAGES(2), ANON_RO), AT(3));
    CHECK_EQ(space_map(ms, SIZE_MAX - PAGE_MASK, PAGES(2), ANON_RW), AT(8));
    CHECK_AREA(ms, AT(6), PAGES(4));
    /* From map_base up first, then from the bottom. */
    ms->map_base = AT(20);
    CHECK_EQ(space_map(ms, 0, PAGES(3), ANON_RO), AT(20));
    CHECK_EQ(space_map(ms, 0, PAGES(3), ANON_RO), AT(10));
    ms->map_base = AT(7);               /* in an area */
    CHECK_EQ(space_map(ms, 0, PAGES(1), ANON_RW), AT(13));

    CHECK(mspace_map(ms, AT(19), PAGES(2), NULL, 0, 0, ANON_RW | VMA_FIXED) == NULL);
    CHECK_EQ(*host_errno(), ERANGE);
    CHECK(mspace_map(ms, AT(7), PAGES(1), NULL, 0, 0, ANON_RW | VMA_FIXED) == NULL);
    CHECK_EQ(*host_errno(), ERANGE);
    CHECK_EQ(space_map(ms, AT(23), PAGES(1), ANON_RW | VMA_FIXED), AT(23));
    CHECK_EQ(space_map(ms, AT(5), PAGES(1), ANON_RW | VMA_FIXED), AT(5));
    CHECK_AREA(ms, AT(5), PAGES(5));
    CHECK_OK(mspace_check(ms));
    space_stop(ms);
}

TEST(mspace_map_reports_each_kind_of_refusal)
{
    static const struct { int flags; int error; } cases[] = {
        { VMA_RW, EINVAL },
        { VMA_ANON | VMA_SHARED | VMA_RW, EINVAL },
        { VMA_FILE | VMA_RW, EINVAL },
        { VMA_HEAP | VMA_READ, EINVAL },
        { VMA_PHYS | VMA_RX, EINVAL },
        { VMA_PIPE | VMA_RW, EINVAL },
        { VMA_ANON | VMA_DEAD, EINVAL },
        { VMA_ANON | VMA_LOCKED, EINVAL },
    };
    mspace_t *ms = space_start("2level", 8);

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        CHECK(mspace_map(ms, 0, PAGE_SIZE, NULL, 0, 0, cases[i].flags) == NULL);
        CHECK_EQ(*host_errno(), cases[i].error);
        CHECK(mspace_replace(ms, AT(0), PAGE_SIZE, NULL, 0, 0, cases[i].flags) == NULL);
        CHECK_EQ(*host_errno(), cases[i].error);
    }
    CHECK_EQ(ms->tree.count, 0);
    CHECK_EQ(ms->v_size, 0);
    space_stop(ms);
}

TEST(mspace_map_merges_with_both_neighbours)
{
    mspace_t *ms = space_start("2level", 16);

    /* AA..AA -> AAAAAA */
    space_map(ms, AT(0), PAGES(2), ANON_RW);
    space_map(ms, AT(4), PAGES(2), ANON_RW);
    CHECK_EQ(ms->tree.count, 2);
    space_map(ms, AT(2), PAGES(2), ANON_RW);
    CHECK_AREA(ms, AT(0), PAGES(6));
    CHECK_EQ(ms->tree.count, 1);
    space_map(ms, AT(8), PAGES(1), ANON_RW);
    space_map(ms, AT(7), PAGES(1), ANON_RW);
    CHECK_AREA(ms, AT(7), PAGES(2));
    CHECK_OK(mspace_check(ms));
    space_stop(ms);
}

/* ---- files: offsets, limits, the end */

TEST(mspace_offsets_do_not_overflow)
{
    mspace_t *ms = space_start("2level", 16);
    off_t last = INT64_MAX & ~(off_t)PAGE_MASK;
    test_file_t file;

    test_file_init(&file, "file", PAGE_SIZE);
    CHECK(mspace_map(ms, 0, PAGE_SIZE, &file.ino, last, 0, FILE_RO) == NULL);
    CHECK_EQ(*host_errno(), EINVAL);
    CHECK(mspace_map(ms, 0, PAGE_SIZE, &file.ino, last - PAGE_SIZE, 0, FILE_RO) != NULL);
    CHECK(mspace_map(ms, 0, PAGES(2), NULL, (off_t)(SIZE_MAX >> 1 << 1) & ~(off_t)PAGE_MASK, 0,
                     VMA_PHYS | VMA_RO) == NULL);
    CHECK_EQ(*host_errno(), EINVAL);
    /* The last page of physical addresses is one. */
    if (sizeof(size_t) == 4)
        CHECK(mspace_map(ms, 0, PAGE_SIZE, NULL, 0xfffff000, 0, VMA_PHYS | VMA_RO) != NULL);
    /* A page so far up in a file is past its end, not page 0 of it. */
    CHECK(!space_read(AT(0), &(uint8_t){ 0 }));
    CHECK_EQ(space_fault.reason, FAULT_PAST_END);
    CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(16)), 0);
    inode_release(&file.ino);
    CHECK_EQ(file.released, 1);
    space_stop(ms);
}

TEST(mspace_limit_reads_zeroes_behind)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 16);
        test_file_t file;

        /* 5,000 bytes of a file over 3 pages: 4096, 904 and zeroes, zeroes. */
        test_file_init(&file, "file", PAGES(8));
        CHECK(mspace_map(ms, AT(0), PAGES(3), &file.ino, PAGE_SIZE, 5000, FILE_RW) != NULL);
        CHECK_EQ(file.ino.users, 2);
        CHECK_EQ(space_byte(AT(0)), test_file_byte(&file, 4096));
        CHECK_EQ(space_byte(AT(0) + 4999), test_file_byte(&file, 4096 + 4999));
        CHECK_EQ(space_byte(AT(0) + 5000), 0);
        CHECK_EQ(space_byte(AT(1) + 4095), 0);
        CHECK_EQ(space_byte(AT(2)), 0);
        CHECK_EQ(ms->s_size, 1);            /* the first page is the cache's */
        CHECK_EQ(ms->p_size, 1);            /* the one that is cut is a copy */
        /* Also after a split, and when the first access is a write. */
        CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(1)), 0);
        CHECK_EQ(mspace_protect(ms, AT(2), PAGES(1), VMA_RO), 0);
        CHECK_AREA(ms, AT(1), PAGES(1));
        CHECK_AREA(ms, AT(2), PAGES(1));
        CHECK_EQ(file.ino.users, 3);
        CHECK(space_write(AT(1) + 4095, 7));
        CHECK_EQ(space_byte(AT(1) + 903), test_file_byte(&file, 4096 + 4999));
        CHECK_EQ(space_byte(AT(1) + 904), 0);
        CHECK_EQ(mspace_protect(ms, AT(2), PAGES(1), VMA_RW), 0);
        CHECK_AREA(ms, AT(1), PAGES(2));
        CHECK_EQ(file.ino.users, 2);
        CHECK(space_write(AT(2) + 1, 8));
        CHECK_EQ(space_byte(AT(2)), 0);
        /* The file itself is as it was. */
        CHECK(mspace_map(ms, AT(8), PAGES(3), &file.ino, PAGE_SIZE, 0, FILE_RO) != NULL);
        CHECK_EQ(space_byte(AT(8) + 5000), test_file_byte(&file, 4096 + 5000));
        CHECK_OK(mspace_check(ms));
        CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(16)), 0);
        CHECK_EQ(file.ino.users, 1);
        inode_release(&file.ino);
        space_stop(ms);
    }
}

TEST(mspace_limit_survives_every_split)
{
    enum { LENGTH = 5 };

    /* A limit anywhere, the area cut anywhere, and put together again. */
    for (size_t limit = 1; limit <= PAGES(LENGTH) + 2; limit += 1365) {
        mspace_t *ms = space_start("2level", 16);
        test_file_t file;

        test_file_init(&file, "file", PAGES(8));
        CHECK(mspace_map(ms, AT(0), PAGES(LENGTH), &file.ino, 0, (off_t)limit, FILE_RW) != NULL);
        for (size_t i = 0; i < LENGTH; i++)
            CHECK_EQ(mspace_protect(ms, AT(i), PAGES(1), i % 2 != 0 ? VMA_RO : VMA_RX), 0);
        CHECK_EQ(ms->tree.count, LENGTH);
        CHECK_OK(mspace_check(ms));
        for (size_t at = 0; at < PAGES(LENGTH); at += 455)
            CHECK_EQ(space_byte(AT(0) + at),
                     at < limit ? test_file_byte(&file, (off_t)at) : 0);
        CHECK_EQ(mspace_protect(ms, AT(0), PAGES(LENGTH), VMA_RW), 0);
        CHECK_AREA(ms, AT(0), PAGES(LENGTH));
        CHECK_EQ(mspace_search_vma(ms, AT(0))->limit,
                 limit >= PAGES(LENGTH) ? 0 : (off_t)limit);
        CHECK_EQ(file.ino.users, 2);
        CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(LENGTH)), 0);
        inode_release(&file.ino);
        space_stop(ms);
    }
}

TEST(mspace_file_tail)
{
    mspace_t *ms = space_start("pae", 16);
    test_file_t file;

    test_file_init(&file, "short", 5000);
    CHECK(mspace_map(ms, AT(0), PAGES(4), &file.ino, 0, 0, FILE_RW) != NULL);
    CHECK_EQ(space_byte(AT(0) + 4999), test_file_byte(&file, 4999));
    CHECK_EQ(space_byte(AT(0) + 5000), 0);
    CHECK_EQ(ms->s_size, 1);
    CHECK(!space_read(AT(2), &(uint8_t){ 0 }));
    CHECK_EQ(space_fault.reason, FAULT_PAST_END);
    CHECK(!space_write(AT(3), 1));
    CHECK_EQ(space_fault.reason, FAULT_PAST_END);
    CHECK_EQ(mspace_resolve(ms, AT(1), PAGES(2), false), -EFAULT);
    /* VMA_RESOLVE leaves such pages out. */
    CHECK(mspace_map(ms, AT(8), PAGES(4), &file.ino, 0, 0, FILE_RW | VMA_RESOLVE) != NULL);
    CHECK_EQ(*host_errno(), 0);
    CHECK_EQ(ms->p_size, 2);
    CHECK(!space_read(AT(10), &(uint8_t){ 0 }));
    /* A limit beyond the file's end does not make it longer. */
    CHECK(mspace_replace(ms, AT(8), PAGES(4), &file.ino, 0, PAGES(3), FILE_RW) != NULL);
    CHECK(!space_read(AT(10), &(uint8_t){ 0 }));
    CHECK_EQ(space_byte(AT(11)), 0);
    CHECK_OK(mspace_check(ms));
    CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(16)), 0);
    inode_release(&file.ino);
    space_stop(ms);
}

/* ---- replace */

TEST(mspace_replace_in_the_middle)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 16);

        /* AAAAAAAAAA    replace 3..5    AAABBBAAAA */
        space_map(ms, AT(0), PAGES(10), ANON_RW);
        for (size_t i = 0; i < 10; i++)
            CHECK(space_write(AT(i), 1));
        CHECK(mspace_replace(ms, AT(3), PAGES(3), NULL, 0, 0, ANON_RO) == (void *)AT(3));
        CHECK_EQ(*host_errno(), 0);
        CHECK_EQ(ms->tree.count, 3);
        CHECK_AREA(ms, AT(3), PAGES(3));
        CHECK_EQ(ms->p_size, 7);
        CHECK_EQ(ms->v_size, 10);
        CHECK_EQ(space_byte(AT(3)), 0);
        CHECK_EQ(space_byte(AT(6)), 1);
        /* With what was there it is one area again, but fresh pages. */
        CHECK(mspace_replace(ms, AT(2), PAGES(5), NULL, 0, 0, ANON_RW) != NULL);
        CHECK_AREA(ms, AT(0), PAGES(10));
        CHECK_EQ(space_byte(AT(2)), 0);
        CHECK_EQ(space_byte(AT(7)), 1);
        /* Over nothing, and over an end. */
        CHECK(mspace_replace(ms, AT(9), PAGES(3), NULL, 0, 0, ANON_RO) != NULL);
        CHECK_AREA(ms, AT(9), PAGES(3));
        CHECK(mspace_replace(ms, AT(14), PAGES(2), NULL, 0, 0, ANON_RO) != NULL);
        CHECK_AREA(ms, AT(14), PAGES(2));
        CHECK_OK(mspace_check(ms));
        space_stop(ms);
    }
}

TEST(mspace_replace_resolved)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 0);
        page_t frames = page_range(2, PAGE_SIZE, 0, OWNER_BOOT);
        test_file_t file;

        test_file_init(&file, "file", PAGES(2) + 10);
        /* Private, zero, foreign and cached pages, and holes, of several tables. */
        space_map(ms, AT(0), PAGES(600), ANON_RW);
        CHECK(mspace_replace(ms, AT(4), PAGES(2), NULL, (off_t)frames, 0, VMA_PHYS | VMA_RW));
        CHECK(mspace_replace(ms, AT(6), PAGES(3), &file.ino, 0, 0, FILE_RW));
        CHECK(space_write(AT(0), 1));
        CHECK_EQ(space_byte(AT(1)), 0);
        CHECK(space_write(AT(4), 4));
        CHECK_EQ(space_byte(AT(6)), test_file_byte(&file, 0));
        CHECK(space_write(AT(599), 9));
        CHECK(mspace_replace(ms, AT(0), PAGES(600), &file.ino, 0, PAGES(4),
                             FILE_RW | VMA_RESOLVE) != NULL);
        CHECK_AREA(ms, AT(0), PAGES(600));
        CHECK_EQ(ms->p_size, 599);          /* page 3 is past the end */
        CHECK_EQ(ms->s_size, 0);
        CHECK_OK(mspace_check(ms));
        fake_reset_events();
        CHECK_EQ(space_byte(AT(0)), test_file_byte(&file, 0));
        CHECK_EQ(space_byte(AT(4)), 0);
        CHECK_EQ(space_byte(AT(599)), 0);
        CHECK_EQ(fake_events.faults, 0);
        CHECK(!space_read(AT(3), &(uint8_t){ 0 }));
        CHECK_EQ(*(uint8_t *)fake_ram(frames), 4);
        /* The same pages of the same file, read-only: one reference each. */
        CHECK(mspace_replace(ms, AT(0), PAGES(2), &file.ino, 0, 0, FILE_RO | VMA_RESOLVE));
        CHECK(mspace_replace(ms, AT(0), PAGES(2), &file.ino, 0, 0, FILE_RO | VMA_RESOLVE));
        CHECK_EQ(page_count(mmu_frame(mmu_read(ms->directory, AT(0)))), 2);
        CHECK_EQ(ms->s_size, 2);
        /* Foreign pages instead of ours, and the other way round. */
        CHECK(mspace_replace(ms, AT(1), PAGES(2), NULL, (off_t)frames, 0,
                             VMA_PHYS | VMA_RW | VMA_RESOLVE));
        CHECK_EQ(space_byte(AT(1)), 4);
        CHECK(mspace_replace(ms, AT(0), PAGES(4), NULL, 0, 0, ANON_RW | VMA_RESOLVE));
        CHECK(mspace_replace(ms, AT(8), PAGES(4), NULL, 0, 0, VMA_ANON | VMA_RESOLVE));
        CHECK_EQ(mmu_read(ms->directory, AT(8)), 0);
        CHECK_OK(mspace_check(ms));
        mspace_sweep(ms);
        inode_release(&file.ino);
        CHECK_EQ(file.released, 1);
        CHECK_EQ(free_physical_page(frames), 0);
        CHECK_EQ(free_physical_page(frames + PAGE_SIZE), 0);
        space_stop(ms);
    }
}
