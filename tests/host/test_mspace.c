/*
 * Address spaces: map, replace, unmap, protect, kill, the break, the stack, kmap.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/kheap.h>
#include <kernel/pagecache.h>
#include <kernel/printk.h>
#include <kernel/virtual.h>
#include <space_model.h>

#include <stdlib.h>
#include <string.h>

/* ---- random operations against the model */

static void run_model(const char *format, unsigned lacks, size_t pages, bool stack, size_t steps)
{
    fake_config_t config = { .level = FAKE_MEMORY, .format = format, .lacks = lacks };
    mspace_t *ms = space_start_on(&config, pages);
    model_t *model = malloc(sizeof(*model));
    test_file_t file;
    page_t frames = page_range(MODEL_FRAMES, PAGE_SIZE, 0, OWNER_BOOT);

    CHECK(model != NULL && frames != PAGE_NONE);
    test_file_init(&file, "file", 14 * PAGE_SIZE + 1234);
    model_init(model, ms, pages, &file, frames);
    if (stack)
        model_set_stack(model, pages - 3, 4, 40);
    model_set_break(model, 20);
    ms->map_base = AT(pages / 8);
    model->map_base = pages / 8;
    for (size_t step = 0; step < steps; step++) {
        model_step(model);
        if (step < 20000 || step % 256 == 0) {
            CHECK_OK(mspace_check(ms));
            CHECK_OK(physical_check());
            CHECK_OK(memory_check());
        }
        if (step % 16 == 0)
            model_compare(model);
    }
    model_compare(model);
    mspace_sweep(ms);
    CHECK_EQ(ms->phys_pg_count, mmu_table_count(ms->directory));
    inode_release(&file.ino);
    CHECK_EQ(file.released, 1);
    for (size_t i = 0; i < MODEL_FRAMES; i++)
        CHECK_EQ(free_physical_page(frames + PAGES(i)), 0);
    free(model);
    space_stop(ms);
}

TEST(mspace_random_operations_2level)
{
    run_model("2level", 0, 160, false, test_steps(20000));
}

TEST(mspace_random_operations_pae)
{
    run_model("pae", 0, 160, false, test_steps(20000));
}

TEST(mspace_random_operations_long)
{
    if (sizeof(size_t) == 4)
        test_skip("long mode needs a 64-bit host");
    run_model("long", 0, 160, false, test_steps(20000));
}

TEST(mspace_random_operations_with_a_stack)
{
    run_model("pae", 0, 480, true, test_steps(20000));
}

TEST(mspace_random_operations_without_no_execute)
{
    run_model("pae", FAKE_NO_NX, 160, false, test_steps(20000));
}

TEST(mspace_random_operations_in_a_crowd)
{
    run_model("2level", 0, 48, false, test_steps(20000));
}

TEST(mspace_random_operations_long_run)
{
    run_model("2level", 0, 160, false, test_steps(100000));
}

/* ---- ranges */

typedef struct range_case {
    size_t address;
    size_t length;
} range_case_t;

/* Of a space of 16 pages at SPACE_BASE. */
static const range_case_t bad_ranges[] = {
    { AT(0), 0 },
    { AT(0) + 1, PAGE_SIZE },
    { AT(0), 1 },
    { AT(0), PAGE_SIZE + 1 },
    { AT(0) - PAGE_SIZE, PAGE_SIZE },
    { AT(0) - PAGE_SIZE, 2 * PAGE_SIZE },
    { AT(16), PAGE_SIZE },
    { AT(15), 2 * PAGE_SIZE },
    { AT(0), 17 * PAGE_SIZE },
    { 0, PAGE_SIZE },
    { USER_END, PAGE_SIZE },
    { KERNEL_BASE, PAGE_SIZE },
    { SIZE_MAX - PAGE_MASK, PAGE_SIZE },                /* ends at 4 GiB */
    { SIZE_MAX - PAGE_MASK, 2 * PAGE_SIZE },            /* wraps */
    { AT(1), (size_t)0 - PAGE_SIZE },                   /* wraps */
    { AT(1), (size_t)0 - AT(1) },
    { AT(1), (size_t)0 - AT(0) },
};

TEST(mspace_refuses_bad_ranges)
{
    mspace_t *ms = space_start("2level", 16);

    space_map(ms, AT(0), PAGES(16), ANON_RW);
    for (size_t i = 0; i < ARRAY_LENGTH(bad_ranges); i++) {
        size_t address = bad_ranges[i].address;
        size_t length = bad_ranges[i].length;

        CHECK(mspace_map(ms, address, length, NULL, 0, 0, ANON_RW | VMA_FIXED) == NULL);
        CHECK_EQ(*host_errno(), EINVAL);
        CHECK(mspace_replace(ms, address, length, NULL, 0, 0, ANON_RW) == NULL);
        CHECK_EQ(*host_errno(), EINVAL);
        CHECK_EQ(mspace_unmap(ms, address, length), -EINVAL);
        CHECK_EQ(mspace_protect(ms, address, length, VMA_RO), -EINVAL);
        CHECK_EQ(mspace_kill(ms, address, length), -EINVAL);
        CHECK_AREA(ms, AT(0), PAGES(16));
    }
    CHECK_EQ(mspace_protect(ms, AT(0), PAGE_SIZE, VMA_RO | VMA_SHARED), -EINVAL);
    CHECK_EQ(mspace_protect(ms, AT(0), PAGE_SIZE, VMA_RO | VMA_CAN_READ), -EINVAL);
    CHECK(mspace_map(kMMU.kspace, 0, PAGE_SIZE, NULL, 0, 0, VMA_PHYS | VMA_RO) == NULL);
    CHECK_EQ(*host_errno(), EINVAL);
    /* Without VMA_FIXED an address is a hint, but it is one of a page. */
    CHECK(mspace_map(ms, AT(0) + 1, PAGE_SIZE, NULL, 0, 0, ANON_RW) == NULL);
    CHECK_EQ(*host_errno(), EINVAL);
    CHECK(mspace_map(ms, 0, PAGE_SIZE, NULL, 0, 0, ANON_RW) == NULL);
    CHECK_EQ(*host_errno(), ENOMEM);
    space_stop(ms);
}

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

/* ---- unmap, protect */

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

/* ---- limits */

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

/* ---- dead areas */

TEST(mspace_kill_and_scavenge)
{
    mspace_t *ms = space_start("2level", 16);
    size_t tables = ms->phys_pg_count;

    space_map(ms, AT(0), PAGES(10), ANON_RW);
    for (size_t i = 0; i < 10; i++)
        CHECK(space_write(AT(i), 5));
    /* AAAAAAAAAA    kill 2..4    AAaaaAAAAA */
    CHECK_EQ(mspace_kill(ms, AT(2), PAGES(3)), 0);
    CHECK_EQ(ms->tree.count, 3);
    CHECK_AREA(ms, AT(2), PAGES(3));
    CHECK_EQ(ms->p_size, 7);
    CHECK_EQ(ms->v_size, 10);
    CHECK(!space_read(AT(3), &(uint8_t){ 0 }));
    CHECK_EQ(space_fault.reason, FAULT_DEAD_AREA);
    CHECK_EQ(mspace_resolve(ms, AT(3), 1, false), -EFAULT);
    CHECK_EQ(space_byte(AT(5)), 5);
    /* The range stays taken. */
    CHECK(mspace_map(ms, AT(3), PAGES(1), NULL, 0, 0, ANON_RW | VMA_FIXED) == NULL);
    CHECK_EQ(*host_errno(), ERANGE);
    CHECK_EQ(mspace_protect(ms, AT(1), PAGES(3), VMA_RO), -ENOENT);
    CHECK_OK(mspace_check(ms));
    CHECK_EQ(mspace_kill(ms, AT(7), PAGES(9)), 0);
    CHECK_EQ(mspace_scavenge(ms), 2);
    CHECK_EQ(mspace_scavenge(ms), 0);
    CHECK(mspace_search_vma(ms, AT(3)) == NULL);
    CHECK_EQ(ms->v_size, 4);
    CHECK_OK(mspace_check(ms));
    /* A dead area can be replaced, and unmapped. */
    CHECK_EQ(mspace_kill(ms, AT(0), PAGES(16)), 0);
    CHECK(mspace_replace(ms, AT(0), PAGES(1), NULL, 0, 0, ANON_RW) != NULL);
    CHECK(space_write(AT(0), 1));
    CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(16)), 0);
    CHECK_EQ(ms->tree.count, 0);
    CHECK_EQ(ms->phys_pg_count, tables);
    space_stop(ms);
}

TEST(mspace_sweep_leaves_nothing)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 0);
        mspace_t *other = mspace_create();
        size_t tables = ms->phys_pg_count;
        page_t frame = page_new(OWNER_BOOT);
        test_file_t file;

        test_file_init(&file, "file", PAGES(4));
        CHECK(other != NULL);
        space_map(other, AT(0), PAGES(4), ANON_RW);
        CHECK_EQ(mspace_resolve(other, AT(0), PAGES(4), true), 0);
        for (size_t i = 0; i < 20; i++) {
            size_t base = 0x10000000 + i * 0x8000000;

            space_map(ms, base, PAGES(3), i % 2 != 0 ? ANON_RO : ANON_RW);
            CHECK_EQ(mspace_resolve(ms, base, PAGES(3), i % 2 == 0), 0);
        }
        CHECK(mspace_map(ms, 0x800000, PAGES(4), &file.ino, 0, 0, FILE_RO | VMA_RESOLVE));
        CHECK(mspace_map(ms, 0x900000, PAGES(1), NULL, (off_t)frame, 0,
                         VMA_PHYS | VMA_RW | VMA_RESOLVE));
        CHECK_EQ(ms->p_size, 30);
        CHECK_EQ(ms->s_size, 4);
        CHECK_EQ(mspace_set_stack(ms, 0x80000000, PAGES(2), PAGES(100)), 0);
        mspace_sweep(ms);
        CHECK_EQ(ms->stack_base, 0);
        CHECK_EQ(ms->stack_end, 0);
        CHECK_EQ(ms->tree.count, 0);
        CHECK_EQ(ms->v_size + ms->p_size + ms->s_size, 0);
        CHECK_EQ(ms->phys_pg_count, tables);
        CHECK_OK(mspace_check(ms));
        CHECK_OK(mspace_check(other));
        CHECK_EQ(other->p_size, 4);
        CHECK_EQ(page_count(frame), 1);
        CHECK_EQ(page_release(frame), 0);
        mspace_close(other);
        inode_release(&file.ino);
        CHECK_EQ(file.released, 1);
        space_stop(ms);
    }
}

TEST(mspace_users_are_counted)
{
    mspace_t *ms = space_start("2level", 0);
    mspace_t *other = mspace_create();

    CHECK(other != NULL);
    CHECK_EQ(other->users, 1);
    CHECK_EQ(other->lower_bound, USER_BASE);
    CHECK_EQ(other->upper_bound, USER_END);
    CHECK_EQ(other->map_base, USER_BASE);
    CHECK_EQ(other->phys_pg_count, mmu_table_count(other->directory));
    CHECK(mspace_open(other) == other);
    mspace_close(other);
    CHECK_EQ(other->users, 1);
    space_map(other, 0, PAGES(5), ANON_RW | VMA_RESOLVE);
    CHECK_EQ(other->p_size, 5);
    mspace_close(other);
    space_stop(ms);
}

static void close_current(void *mspace)
{
    mspace_close(mspace);
}

TEST(mspace_close_of_the_current_space_is_refused)
{
    mspace_t *ms = space_start("2level", 0);
    char message[200];

    CHECK(test_expect_panic(close_current, ms, message, sizeof(message)));
    CHECK(strstr(message, "current_pagetable") != NULL);
    fake_machine_abandon();
}

/* ---- the break */

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

/* ---- the stack */

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

/* ---- text */

typedef struct page_text {
    char text[2048];
    size_t length;
    size_t lines;
} page_text_t;

static page_text_t logged;

static void collect(void *context, const char *text, size_t length)
{
    page_text_t *all = context;

    CHECK(all->length + length < sizeof(all->text));
    memcpy(all->text + all->length, text, length);
    all->length += length;
    all->text[all->length] = '\0';
    all->lines++;
}

static void collect_log(const char *text, size_t length)
{
    collect(&logged, text, length);
}

static const char golden[] =
    "40000000-40002000 r-xp 00001000 00:00 0          /bin/tour\n"
    "40002000-40004000 rw-p 00003000 00:00 0          /bin/tour\n"
    "40004000-40006000 rw-p 00000000 00:00 0          [heap]\n"
    "40008000-40009000 ---p 00000000 00:00 0 \n"
    "40009000-4000a000 rwxp 00000000 00:00 0 \n"
    "4000c000-4000d000 rw-s 000b8000 00:00 0          phys=000b8000\n"
    "40010000-40012000 r--s 00000000 00:00 0          /bin/tour\n"
    "40012000-40014000 rw-p 00000000 00:00 0           (dead)\n"
    "40181000-40190000 rw-p 00000000 00:00 0          [stack]\n";

TEST(mspace_describe_is_the_form_of_proc)
{
    mspace_t *ms = space_start("2level", 400);
    page_text_t all = { .length = 0 };
    printk_output_t *output;
    test_file_t file;

    test_file_init(&file, "/bin/tour", PAGES(8));
    CHECK(mspace_map(ms, AT(0), PAGES(2), &file.ino, PAGE_SIZE, 0,
                     VMA_TEXT_SEGMENT | VMA_FIXED) != NULL);
    CHECK(mspace_map(ms, AT(2), PAGES(2), &file.ino, PAGES(3), 5000,
                     VMA_DATA_SEGMENT | VMA_FIXED) != NULL);
    ms->break_start = ms->break_end = AT(4);
    CHECK_EQ(mspace_break(ms, AT(6) - 10), 0);
    space_map(ms, AT(8), PAGES(1), VMA_ANON);
    space_map(ms, AT(9), PAGES(1), VMA_ANON | VMA_RIGHTS);
    CHECK(mspace_map(ms, AT(12), PAGES(1), NULL, 0xb8000, 0, VMA_PHYS | VMA_RW) != NULL);
    CHECK(mspace_map(ms, AT(16), PAGES(2), &file.ino, 0, 0, VMA_FILE | VMA_SHARED | VMA_RO));
    space_map(ms, AT(18), PAGES(2), ANON_RW);
    CHECK_EQ(mspace_kill(ms, AT(18), PAGES(2)), 0);
    CHECK_EQ(mspace_set_stack(ms, AT(400), PAGES(15), PAGES(64)), 0);
    mspace_describe(ms, collect, &all);
    CHECK_STR(all.text, golden);
    CHECK_EQ(all.lines, 9);

    CHECK(space_write(AT(9), 1));
    CHECK_EQ(space_byte(AT(16)), test_file_byte(&file, 0));
    logged.length = 0;
    output = printk_set_output(collect_log);
    mspace_display(ms);
    printk_set_output(output);
    CHECK(strncmp(logged.text, golden, sizeof(golden) - 1) == 0);
    CHECK_STR(logged.text + sizeof(golden) - 1,
              "areas 9, pages: promised 28, private 1, shared 1, in use 4; faults 2\n");
    mspace_sweep(ms);
    inode_release(&file.ino);
    space_stop(ms);
}

/* ---- kmap */

TEST(kmap_shows_frames_between_guards)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 0);
        page_t frames = page_range(3, PAGE_SIZE, 0, OWNER_BOOT);
        size_t in_use = kMMU.kspace->phys_pg_count;
        uint8_t *view;
        uint8_t *again;
        uint8_t *own;

        CHECK(frames != PAGE_NONE);
        view = kmap(PAGES(3), frames, VMA_PHYS | VMA_RW);
        CHECK_EQ(*host_errno(), 0);
        CHECK((size_t)view >= KSPACE_BASE + PAGE_SIZE && (size_t)view < KSPACE_END);
        view[0] = 10;
        view[PAGES(3) - 1] = 13;
        CHECK_EQ(*(uint8_t *)fake_ram(frames), 10);
        CHECK_EQ(((uint8_t *)fake_ram(frames + PAGES(2)))[PAGE_SIZE - 1], 13);
        again = kmap(PAGES(1), frames, VMA_PHYS | VMA_READ | VMA_UNCACHED);
        CHECK(again == view + PAGES(4));
        CHECK_EQ(again[0], 10);
        CHECK_EQ(fake_kernel_access((size_t)view, FAKE_WRITE), -1);
        CHECK_EQ(fake_kernel_access((size_t)again, FAKE_WRITE), FAKE_WRITE | FAKE_PRESENT);
        CHECK_EQ(fake_kernel_access((size_t)view - 1, 0), 0);
        CHECK_EQ(fake_kernel_access((size_t)view + PAGES(3), 0), 0);
        CHECK(fake_user_access((size_t)view, 0) != 0);
        own = kmap(PAGES(2), 0, VMA_PIPE | VMA_RW);
        CHECK(own != NULL);
        own[PAGE_SIZE] = 1;
        CHECK_EQ(kMMU.kspace->p_size, 2);
        CHECK_EQ(kMMU.kspace->v_size, 6);
        CHECK_EQ(kMMU.kspace->phys_pg_count, in_use + 2);
        CHECK_OK(mspace_check(kMMU.kspace));
        /* In another space too. */
        switch_pagetable(kernel_pagetable());
        CHECK_EQ(view[0], 10);
        CHECK_EQ(own[PAGE_SIZE], 1);
        switch_pagetable(ms->directory);
        kunmap(view, PAGES(3));
        CHECK_EQ(fake_kernel_access((size_t)view, 0), 0);
        CHECK_OK(mspace_check(kMMU.kspace));
        /* Five pages are free now: with both guards, four do not fit. */
        again = kmap(PAGES(4), frames, VMA_PHYS | VMA_RO);
        CHECK(again > own);
        kunmap(again, PAGES(4));
        again = view + PAGES(4);
        /* The lowest place that fits, with its guards. */
        CHECK(kmap(PAGES(2), frames, VMA_PHYS | VMA_RO) == view);
        kunmap(view, PAGES(2));
        kunmap(own, PAGES(2));
        kunmap(again, PAGES(1));
        CHECK_EQ(kMMU.kspace->v_size, 0);
        for (size_t i = 0; i < 3; i++)
            CHECK_EQ(page_release(frames + PAGES(i)), 0);
        space_stop(ms);
    }
}

TEST(kmap_refuses)
{
    static const struct { size_t length; page_t physical; int flags; int error; } cases[] = {
        { 0, 0, VMA_PIPE | VMA_RW, EINVAL },
        { 100, 0, VMA_PIPE | VMA_RW, EINVAL },
        { PAGE_SIZE, PAGE_SIZE, VMA_PIPE | VMA_RW, EINVAL },
        { PAGE_SIZE, 100, VMA_PHYS | VMA_RW, EINVAL },
        { PAGE_SIZE, 0, VMA_PHYS | VMA_RX, EINVAL },
        { PAGE_SIZE, 0, VMA_ANON | VMA_RW, EINVAL },
        { PAGE_SIZE, 0, VMA_PIPE | VMA_RW | VMA_FIXED, EINVAL },
        { 2 * PAGE_SIZE, SIZE_MAX & ~(size_t)PAGE_MASK, VMA_PHYS | VMA_RW, EINVAL },
        { KSPACE_END - KSPACE_BASE, 0, VMA_PIPE | VMA_RW, ENOMEM },
        { KSPACE_END - KSPACE_BASE + PAGE_SIZE, 0, VMA_PIPE | VMA_RW, ENOMEM },
        { PAGES(4096), 0, VMA_PIPE | VMA_RW, ENOMEM },      /* more than there is */
    };
    mspace_t *ms = space_start("pae", 0);
    size_t free;

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        free = physical_figures()->free + physical_figures()->owner[OWNER_KERNEL_TABLE];
        CHECK(kmap(cases[i].length, cases[i].physical, cases[i].flags) == NULL);
        CHECK_EQ(*host_errno(), cases[i].error);
        CHECK_EQ(physical_figures()->free + physical_figures()->owner[OWNER_KERNEL_TABLE], free);
        CHECK_OK(mspace_check(kMMU.kspace));
    }
    space_stop(ms);
}

TEST(kmap_gives_its_frame_back_when_there_is_no_table)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 0);
        size_t frames = physical_figures()->owner[OWNER_KERNEL];
        size_t refused = 0;
        char *view = NULL;

        /* The first area of all: a frame for it, and frames for its tables. */
        while (view == NULL) {
            physical_fail_after(++refused);
            view = kmap(PAGE_SIZE, 0, VMA_PIPE | VMA_RW);
            physical_fail_after(0);
            CHECK_EQ(physical_figures()->owner[OWNER_KERNEL], frames + (view != NULL));
            CHECK_OK(mspace_check(kMMU.kspace));
        }
        CHECK(refused > 2);
        kunmap(view, PAGE_SIZE);
        space_stop(ms);
    }
}

TEST(kunmap_of_what_kmap_did_not_give)
{
    mspace_t *ms = space_start("2level", 0);
    char *view = kmap(PAGES(2), 0, VMA_PIPE | VMA_RW);

    CHECK(view != NULL);
    kunmap(view, PAGE_SIZE);
    kunmap(view + PAGE_SIZE, PAGE_SIZE);
    kunmap(view - PAGE_SIZE, PAGES(2));
    kunmap((void *)(KSPACE_END - PAGE_SIZE), PAGE_SIZE);
    CHECK_EQ(host_misuse_count(), 4);
    CHECK(strstr(host_misuse_last(), "which kmap did not give") != NULL);
    view[0] = 1;
    kunmap(view, PAGES(2));
    CHECK_EQ(host_misuse_count(), 4);
    space_stop(ms);
}

/* ---- failures: no frame, no buffer */

/* Page n of these tests: they have ten pages from F(0); at F(14) another table begins. */
#define F(n) AT(1010 + (n))

typedef struct failure {
    const char *name;
    mspace_t *mspace;
    test_file_t file;
    int (*attempt)(struct failure *failure);
    void (*undo)(struct failure *failure);
    size_t in_use;
    size_t v_size;
    size_t areas;
    void *address;
} failure_t;

static int result_of(void *address)
{
    return address != NULL ? 0 : -*host_errno();
}

static int attempt_map(failure_t *f)
{
    return result_of(mspace_map(f->mspace, F(60), PAGES(3), NULL, 0, 0, ANON_RW));
}

static int attempt_map_resolved(failure_t *f)
{
    /* Next to an area that it merges with: the failure must not cut that one. */
    return result_of(mspace_map(f->mspace, F(10), PAGES(20), NULL, 0, 0,
                                ANON_RW | VMA_RESOLVE));
}

static int attempt_map_file(failure_t *f)
{
    int err = result_of(mspace_map(f->mspace, F(60), PAGES(4), &f->file.ino, 0, 6000,
                                   FILE_RW | VMA_RESOLVE));

    pagecache_drop(&f->file.ino);
    return err;
}

static void undo_all(failure_t *f)
{
    CHECK_EQ(mspace_unmap(f->mspace, F(10), PAGES(980)), 0);
    pagecache_drop(&f->file.ino);
}

static int attempt_replace(failure_t *f)
{
    return result_of(mspace_replace(f->mspace, F(3), PAGES(2), NULL, 0, 0, ANON_RO));
}

static int attempt_replace_resolved(failure_t *f)
{
    int err = result_of(mspace_replace(f->mspace, F(3), PAGES(30), &f->file.ino, 0, 6000,
                                       FILE_RW | VMA_RESOLVE));

    if (err != 0)
        pagecache_drop(&f->file.ino);
    return err;
}

static void undo_replace(failure_t *f)
{
    CHECK_EQ(mspace_unmap(f->mspace, F(0), PAGES(990)), 0);
    pagecache_drop(&f->file.ino);
    space_map(f->mspace, F(0), PAGES(10), ANON_RW | VMA_RESOLVE);
}

static int attempt_unmap(failure_t *f)
{
    return mspace_unmap(f->mspace, F(3), PAGES(2));
}

static int attempt_protect(failure_t *f)
{
    return mspace_protect(f->mspace, F(3), PAGES(2), VMA_RO);
}

static void undo_protect(failure_t *f)
{
    CHECK_EQ(mspace_protect(f->mspace, F(3), PAGES(2), VMA_RW), 0);
}

static int attempt_kill(failure_t *f)
{
    return mspace_kill(f->mspace, F(3), PAGES(2));
}

static int attempt_break(failure_t *f)
{
    f->mspace->break_start = f->mspace->break_end = F(60);
    return mspace_break(f->mspace, F(63));
}

static int attempt_shrink(failure_t *f)
{
    f->mspace->break_start = F(1);
    f->mspace->break_end = F(8);
    return mspace_break(f->mspace, F(2));
}

static int attempt_stack(failure_t *f)
{
    int err = mspace_set_stack(f->mspace, F(900), PAGES(10), PAGES(100));

    CHECK_EQ(f->mspace->stack_base, err == 0 ? F(800) : 0);
    return err;
}

static void undo_stack(failure_t *f)
{
    CHECK_EQ(mspace_unmap(f->mspace, F(890), PAGES(10)), 0);
    f->mspace->stack_base = f->mspace->stack_end = 0;
}

static int attempt_resolve(failure_t *f)
{
    int err;

    if (mspace_map(f->mspace, F(11), PAGES(20), NULL, 0, 0, ANON_RW) == NULL)
        return -*host_errno();
    err = mspace_resolve(f->mspace, F(12) + 5, PAGES(18), true);
    /* What is done so far stays: take it out to compare. */
    CHECK_EQ(mspace_unmap(f->mspace, F(11), PAGES(20)), 0);
    return err;
}

static int attempt_create(failure_t *f)
{
    f->address = mspace_create();
    return f->address != NULL ? 0 : -ENOMEM;
}

static void undo_create(failure_t *f)
{
    mspace_close(f->address);
}

static int attempt_kmap(failure_t *f)
{
    f->address = kmap(PAGES(20), 0, VMA_PIPE | VMA_RW);
    return result_of(f->address);
}

static int attempt_kmap_phys(failure_t *f)
{
    f->address = kmap(PAGES(20), 0, VMA_PHYS | VMA_RW);
    return result_of(f->address);
}

static void undo_kmap(failure_t *f)
{
    kunmap(f->address, PAGES(20));
}

static const struct {
    const char *name;
    int (*attempt)(failure_t *failure);
    void (*undo)(failure_t *failure);
    size_t frames;          /* at least so many allocations of frames can fail */
    size_t buffers;         /* exactly so many buffers of an area's size are needed */
} failures[] = {
    { "map", attempt_map, undo_all, 0, 1 },
    { "map resolved", attempt_map_resolved, undo_all, 20, 1 },
    { "map a file", attempt_map_file, undo_all, 4, 1 },
    { "replace", attempt_replace, undo_replace, 0, 2 },
    { "replace resolved", attempt_replace_resolved, undo_replace, 30, SIZE_MAX },
    { "unmap", attempt_unmap, undo_replace, 0, 1 },
    { "protect", attempt_protect, undo_protect, 0, 2 },
    { "kill", attempt_kill, undo_replace, 0, 2 },
    { "break", attempt_break, undo_all, 0, 1 },
    { "shrink", attempt_shrink, undo_replace, 0, 1 },
    { "stack", attempt_stack, undo_stack, 0, 1 },
    { "resolve", attempt_resolve, NULL, 19, SIZE_MAX },
    { "create", attempt_create, undo_create, 1, SIZE_MAX },
    { "kmap", attempt_kmap, undo_kmap, 20, 1 },
    { "kmap phys", attempt_kmap_phys, undo_kmap, 0, 1 },
};

static int sweep_attempt(void *context)
{
    failure_t *f = context;

    return f->attempt(f);
}

static void sweep_undo(void *context)
{
    failure_t *f = context;

    f->undo(f);
}

/* The space is as it was: ten pages of one area, all there. */
static const char *check_space(const failure_t *f)
{
    mspace_t *ms = f->mspace;
    const char *wrong = mspace_check(ms);

    if (wrong == NULL)
        wrong = mspace_check(kMMU.kspace);
    if (wrong != NULL)
        return wrong;
    if (ms->v_size != f->v_size || ms->tree.count != f->areas || ms->p_size != 10)
        return "the space is not what it was";
    if (ms->phys_pg_count != f->in_use)
        return "the space has other page tables than before";
    if (f->file.ino.users != 1)
        return "the file has other users than before";
    return NULL;
}

static const char *sweep_check(void *context)
{
    static char sentence[200];
    const failure_t *f = context;
    const char *wrong = check_space(f);

    if (wrong == NULL)
        return NULL;
    format_text(sentence, sizeof(sentence), "%s: %s", f->name, wrong);
    return sentence;
}

static void failure_init(failure_t *f, const char *format, size_t i)
{
    fake_config_t config = { .level = FAKE_MEMORY, .format = format, .megabytes = 4 };

    *f = (failure_t){
        .mspace = space_start_on(&config, 2000),
        .name = failures[i].name,
        .attempt = failures[i].attempt,
        .undo = failures[i].undo,
    };
    test_file_init(&f->file, "file", PAGES(4));
    space_map(f->mspace, F(0), PAGES(10), ANON_RW | VMA_RESOLVE);
    f->in_use = f->mspace->phys_pg_count;
    f->v_size = f->mspace->v_size;
    f->areas = f->mspace->tree.count;
    /* Once without failures, so that the heap has its pages, the file its slots
     * and the kernel its tables. */
    for (int round = 0; round < 2; round++) {
        CHECK_EQ(f->attempt(f), 0);
        if (f->undo != NULL)
            f->undo(f);
        CHECK_OK(sweep_check(f));
    }
}

TEST(mspace_survives_every_refused_frame)
{
    FOR_EACH_FORMAT(format) {
        for (size_t i = 0; i < ARRAY_LENGTH(failures); i++) {
            failure_t f;
            size_t refused;

            failure_init(&f, *format, i);
            refused = fake_failure_sweep(sweep_attempt, f.undo != NULL ? sweep_undo : NULL,
                                         sweep_check, &f);
            if (refused < failures[i].frames)
                test_fail(__FILE__, __LINE__, "%s: %zu frames were refused", failures[i].name,
                          refused);
            inode_release(&f.file.ino);
            space_stop(f.mspace);
        }
    }
}

TEST(mspace_survives_every_refused_buffer)
{
    for (size_t i = 0; i < ARRAY_LENGTH(failures); i++) {
        failure_t f;

        if (failures[i].buffers == SIZE_MAX)
            continue;
        failure_init(&f, "2level", i);
        for (size_t count = 0; count <= failures[i].buffers; count++) {
            int err;

            space_drop_spares(f.mspace);
            space_starve_heap(count, sizeof(vma_t));
            err = f.attempt(&f);
            space_feed_heap();
            if (err != (count < failures[i].buffers ? -ENOMEM : 0))
                test_fail(__FILE__, __LINE__, "%s with %zu buffers is %d", failures[i].name,
                          count, err);
            if (err == 0)
                f.undo(&f);
            CHECK_OK(sweep_check(&f));
            CHECK_EQ(space_byte(F(9)), 0);
        }
        inode_release(&f.file.ino);
        space_stop(f.mspace);
    }
}

TEST(mspace_map_resolved_passes_on_a_read_error)
{
    mspace_t *ms = space_start("2level", 32);
    test_file_t file;

    test_file_init(&file, "file", PAGES(4));
    space_map(ms, AT(0), PAGES(2), ANON_RW | VMA_RESOLVE);
    file.error = -EIO;
    file.fail_index = 2;
    CHECK(mspace_map(ms, AT(2), PAGES(4), &file.ino, 0, 0, FILE_RW | VMA_RESOLVE) == NULL);
    CHECK_EQ(*host_errno(), EIO);
    CHECK(mspace_replace(ms, AT(0), PAGES(4), &file.ino, 0, 0, FILE_RO | VMA_RESOLVE) == NULL);
    CHECK_EQ(*host_errno(), EIO);
    CHECK_EQ(ms->tree.count, 1);
    CHECK_EQ(ms->p_size, 2);
    CHECK_EQ(ms->s_size, 0);
    CHECK_EQ(file.ino.users, 1);
    CHECK_OK(mspace_check(ms));
    inode_release(&file.ino);
    space_stop(ms);
}
