/*
 * mspace_remap: what it refuses, what becomes of files, stacks, heaps and locks, and that
 * nothing is left of a call that memory ran out for.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/kheap.h>
#include <kernel/pagecache.h>
#include <kernel/printk.h>
#include <kernel/virtual.h>
#include <space_model.h>

#include <string.h>

#define TO (REMAP_MAY_MOVE | REMAP_FIXED)

static size_t remap(mspace_t *ms, size_t old, size_t old_length, size_t new_length, size_t to,
                    int flags)
{
    return (size_t)mspace_remap(ms, old, old_length, new_length, to, flags);
}

/* ---- edges */

/* Of a space of 16 pages at SPACE_BASE: anonymous 0 .. 5, frames 8 and 9, the rest free. */
static const struct edge {
    size_t old;
    size_t old_length;
    size_t new_length;
    size_t to;
    int flags;
    int error;
} edges[] = {
    { AT(0), PAGES(1), PAGES(1), 0, 8, EINVAL },
    { AT(0), PAGES(1), PAGES(1), 0, -1, EINVAL },
    { AT(0) + 1, PAGES(1), PAGES(1), 0, 0, EINVAL },
    { AT(0), PAGES(1) + 1, PAGES(1), 0, 0, EINVAL },
    { AT(0), PAGES(1), PAGES(1) - 1, 0, 0, EINVAL },
    { AT(0), PAGES(1), 0, 0, 0, EINVAL },
    { AT(0), 0, PAGES(1), 0, REMAP_MAY_MOVE, EINVAL },
    { AT(0), 0, PAGES(1), AT(12), TO, EINVAL },
    { AT(0), PAGES(1), PAGES(1), AT(12), REMAP_FIXED, EINVAL },
    { AT(0), PAGES(1), PAGES(1), AT(12), REMAP_DONT_UNMAP, EINVAL },
    { AT(0), PAGES(1), PAGES(2), AT(12), TO | REMAP_DONT_UNMAP, EINVAL },
    { AT(0), PAGES(2), PAGES(1), AT(12), TO | REMAP_DONT_UNMAP, EINVAL },
    /* the old place */
    { 0, PAGES(1), PAGES(1), 0, 0, EFAULT },
    { AT(0) - PAGES(1), PAGES(1), PAGES(1), 0, 0, EFAULT },
    { AT(6), PAGES(1), PAGES(1), 0, 0, EFAULT },
    { AT(15), PAGES(1), PAGES(1), 0, 0, EFAULT },
    { AT(16), PAGES(1), PAGES(1), 0, 0, EFAULT },
    { USER_END, PAGES(1), PAGES(1), 0, 0, EFAULT },
    { KERNEL_BASE, PAGES(1), PAGES(2), 0, REMAP_MAY_MOVE, EFAULT },
    { SIZE_MAX - PAGE_MASK, PAGES(1), PAGES(1), 0, 0, EFAULT },
    { AT(0), PAGES(7), PAGES(8), 0, REMAP_MAY_MOVE, EFAULT },
    { AT(5), PAGES(2), PAGES(3), 0, REMAP_MAY_MOVE, EFAULT },
    { AT(4), PAGES(3), PAGES(3), AT(11), TO, EFAULT },
    { AT(4), PAGES(8), PAGES(3), AT(12), TO, EFAULT },
    { AT(4), (size_t)0 - PAGES(2), (size_t)0 - PAGES(1), 0, REMAP_MAY_MOVE, EFAULT },
    { AT(4), (size_t)0 - AT(4), (size_t)0 - PAGES(1), 0, REMAP_MAY_MOVE, EFAULT },
    /* the tail */
    { AT(0), PAGES(17), PAGES(1), 0, 0, EINVAL },
    { AT(1), PAGES(16), PAGES(1), 0, REMAP_MAY_MOVE, EINVAL },
    { AT(1), PAGES(16), PAGES(1), AT(12), TO, EINVAL },
    { AT(1), (size_t)0 - PAGES(1), PAGES(1), 0, 0, EINVAL },
    { AT(1), (size_t)0 - AT(1), PAGES(1), 0, 0, EINVAL },
    { AT(1), (size_t)0 - AT(0), PAGES(1), 0, 0, EINVAL },
    /* the new place */
    { AT(0), PAGES(1), PAGES(1), 0, TO, EINVAL },
    { AT(0), PAGES(1), PAGES(1), AT(12) + 1, TO, EINVAL },
    { AT(0), PAGES(1), PAGES(1), AT(0) - PAGES(1), TO, EINVAL },
    { AT(0), PAGES(1), PAGES(1), AT(16), TO, EINVAL },
    { AT(0), PAGES(1), PAGES(2), AT(15), TO, EINVAL },
    { AT(0), PAGES(6), PAGES(6), AT(11), TO, EINVAL },
    { AT(0), PAGES(6), PAGES(6), AT(10) + 8, TO, EINVAL },
    { AT(0), PAGES(6), PAGES(17), AT(7), TO, EINVAL },
    { AT(0), PAGES(6), (size_t)0 - PAGES(1), AT(7), TO, EINVAL },
    { AT(0), PAGES(6), (size_t)0 - AT(7), AT(7), TO, EINVAL },
    { AT(0), PAGES(1), PAGES(1), KERNEL_BASE, TO, EINVAL },
    { AT(0), PAGES(1), PAGES(1), SIZE_MAX - PAGE_MASK, TO, EINVAL },
    { AT(0), PAGES(1), PAGES(2), SIZE_MAX - PAGE_MASK, TO, EINVAL },
    { AT(1), PAGES(2), PAGES(2), AT(0), TO, EINVAL },
    { AT(1), PAGES(2), PAGES(2), AT(1), TO, EINVAL },
    { AT(1), PAGES(2), PAGES(2), AT(2), TO, EINVAL },
    { AT(0), PAGES(6), PAGES(6), AT(5), TO, EINVAL },
    { AT(0), PAGES(6), PAGES(7), AT(5), TO, EINVAL },
    { AT(1), PAGES(1), PAGES(1), AT(12) + 4, REMAP_MAY_MOVE | REMAP_DONT_UNMAP, EINVAL },
    { AT(1), PAGES(1), PAGES(1), AT(16), REMAP_MAY_MOVE | REMAP_DONT_UNMAP, EINVAL },
    { AT(1), PAGES(2), PAGES(2), AT(2), REMAP_MAY_MOVE | REMAP_DONT_UNMAP, EINVAL },
    /* room */
    { AT(0), PAGES(6), PAGES(9), 0, 0, ENOMEM },
    { AT(0), PAGES(5), PAGES(6), 0, 0, ENOMEM },
    { AT(0), PAGES(6), PAGES(9), 0, REMAP_MAY_MOVE, ENOMEM },
    { AT(0), PAGES(6), PAGES(17), 0, REMAP_MAY_MOVE, ENOMEM },
    { AT(0), PAGES(6), (size_t)0 - PAGES(1), 0, REMAP_MAY_MOVE, ENOMEM },
    { AT(0), PAGES(6), (size_t)0 - AT(0), 0, REMAP_MAY_MOVE, ENOMEM },
    /* frames */
    { AT(8), PAGES(2), PAGES(3), 0, REMAP_MAY_MOVE, EFAULT },
    { AT(8), PAGES(1), PAGES(2), 0, REMAP_MAY_MOVE, EFAULT },
    { AT(8), 0, PAGES(1), 0, REMAP_MAY_MOVE, EFAULT },
    { AT(8), PAGES(2), PAGES(2), 0, REMAP_MAY_MOVE | REMAP_DONT_UNMAP, EINVAL },
};

TEST(mspace_remap_refuses)
{
    mspace_t *ms = space_start("2level", 16);

    space_map(ms, AT(0), PAGES(6), ANON_RW | VMA_RESOLVE);
    CHECK(mspace_map(ms, AT(8), PAGES(2), NULL, PAGES(4), 0, VMA_PHYS | VMA_RO) != NULL);
    CHECK(space_write(AT(5), 55));
    for (size_t i = 0; i < ARRAY_LENGTH(edges); i++) {
        const struct edge *e = &edges[i];

        if (remap(ms, e->old, e->old_length, e->new_length, e->to, e->flags) != 0 ||
            *host_errno() != e->error)
            test_fail(__FILE__, __LINE__, "edge %zu: error %d and not %d", i, *host_errno(),
                      e->error);
        CHECK_AREA(ms, AT(0), PAGES(6));
        CHECK_AREA(ms, AT(8), PAGES(2));
        CHECK_EQ(ms->p_size, 6);
        CHECK_EQ(ms->v_size, 8);
        CHECK_OK(mspace_check(ms));
    }
    CHECK_EQ(space_byte(AT(5)), 55);
    CHECK_EQ(remap(kMMU.kspace, KSPACE_BASE, PAGES(1), PAGES(1), 0, 0), 0);
    CHECK_EQ(*host_errno(), EINVAL);
    CHECK_EQ(mspace_kill(ms, AT(0), PAGES(1)), 0);
    CHECK_EQ(remap(ms, AT(0), PAGES(1), PAGES(1), 0, 0), 0);
    CHECK_EQ(*host_errno(), EFAULT);
    space_stop(ms);
}

/* The first and the last page of a space are places like others. */
TEST(mspace_remap_to_the_ends)
{
    mspace_t *ms = space_start("pae", 16);

    space_map(ms, AT(4), PAGES(2), ANON_RW);
    CHECK(space_write(AT(5), 9));
    CHECK_EQ(remap(ms, AT(5), PAGES(1), PAGES(1), AT(15), TO), AT(15));
    CHECK_EQ(space_byte(AT(15)), 9);
    CHECK_EQ(remap(ms, AT(15), PAGES(1), PAGES(1), AT(0), TO), AT(0));
    CHECK_EQ(remap(ms, AT(0), PAGES(1), PAGES(4), 0, 0), AT(0));
    CHECK_AREA(ms, AT(0), PAGES(5));
    CHECK_EQ(remap(ms, AT(0), PAGES(5), PAGES(16), 0, 0), AT(0));
    CHECK_EQ(space_byte(AT(0)), 9);
    CHECK_EQ(ms->v_size, 16);
    CHECK_EQ(remap(ms, AT(0), PAGES(16), PAGES(1), 0, 0), AT(0));
    CHECK_EQ(ms->unmapped_base, AT(1));
    CHECK_EQ(ms->unmapped_end, AT(16));
    CHECK_EQ(ms->v_size, 1);
    space_stop(ms);
}

/* ---- kinds */

TEST(mspace_remap_keeps_a_files_offsets_and_limit)
{
    mspace_t *ms = space_start("2level", 64);
    test_file_t file;
    vma_t *vma;

    test_file_init(&file, "file", PAGES(12));
    /* 0123456789    FFFFFF0000: two pages of zeroes and a bit, past the limit */
    CHECK(mspace_map(ms, AT(0), PAGES(6), &file.ino, PAGES(2), 3 * PAGE_SIZE + 100,
                     FILE_RW) != NULL);
    CHECK(space_write(AT(1), 77));
    CHECK_EQ(remap(ms, AT(1), PAGES(3), PAGES(5), AT(20), TO), AT(20));
    vma = mspace_search_vma(ms, AT(20));
    CHECK_EQ(vma->offset, (off_t)PAGES(3));
    CHECK_EQ(vma->limit, 2 * PAGE_SIZE + 100);
    CHECK_EQ(space_byte(AT(20)), 77);
    CHECK_EQ(space_byte(AT(21)), test_file_byte(&file, PAGES(4)));
    CHECK_EQ(space_byte(AT(22) + 99), test_file_byte(&file, PAGES(5) + 99));
    CHECK_EQ(space_byte(AT(22) + 100), 0);
    CHECK_EQ(space_byte(AT(24)), 0);
    CHECK_EQ(mspace_search_vma(ms, AT(5))->limit, VMA_ALL_ZERO);
    CHECK_EQ(mspace_search_vma(ms, AT(0))->limit, 0);
    /* Back where they came from they are one area again. */
    CHECK_EQ(remap(ms, AT(20), PAGES(5), PAGES(3), AT(1), TO), AT(1));
    CHECK_AREA(ms, AT(0), PAGES(6));
    CHECK_EQ(ms->tree.count, 1);
    CHECK_EQ(file.ino.users, 2);            /* the test's, the area's */
    CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(64)), 0);
    inode_release(&file.ino);
    CHECK_EQ(file.released, 1);
    space_stop(ms);
}

TEST(mspace_remap_does_not_grow_past_the_last_offset)
{
    mspace_t *ms = space_start("2level", 16);
    off_t last = INT64_MAX & ~(off_t)PAGE_MASK;
    test_file_t file;

    test_file_init(&file, "file", PAGE_SIZE);
    if (sizeof(size_t) == 4)
        last = (off_t)UINT32_MAX << PAGE_SHIFT;
    CHECK(mspace_map(ms, AT(0), PAGES(1), &file.ino, last - PAGES(2), 0, FILE_RO) != NULL);
    CHECK_EQ(remap(ms, AT(0), PAGES(1), PAGES(2), 0, 0), AT(0));
    CHECK_EQ(remap(ms, AT(0), PAGES(2), PAGES(3), 0, REMAP_MAY_MOVE), 0);
    CHECK_EQ(*host_errno(), EINVAL);
    CHECK_EQ(remap(ms, AT(1), PAGES(1), PAGES(2), 0, REMAP_MAY_MOVE), 0);
    CHECK_EQ(*host_errno(), EINVAL);
    CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(16)), 0);
    inode_release(&file.ino);
    space_stop(ms);
}

TEST(mspace_remap_moves_frames_of_others)
{
    mspace_t *ms = space_start("pae", 32);
    page_t frames = page_range(2, PAGE_SIZE, 0, OWNER_BOOT);

    CHECK(mspace_map(ms, AT(0), PAGES(2), NULL, (off_t)frames, 0, VMA_PHYS | VMA_RW) != NULL);
    CHECK(space_write(AT(1), 5));
    CHECK_EQ(remap(ms, AT(1), PAGES(1), PAGES(1), AT(9), TO), AT(9));
    CHECK_EQ(space_byte(AT(9)), 5);
    CHECK_EQ(mmu_frame(mmu_read(ms->directory, AT(9))), frames + PAGE_SIZE);
    /* Over them: they are nobody's to release. */
    space_map(ms, AT(16), PAGES(1), ANON_RW | VMA_RESOLVE);
    CHECK(space_write(AT(0), 6));
    CHECK_EQ(remap(ms, AT(16), PAGES(1), PAGES(1), AT(9), TO), AT(9));
    CHECK_EQ(remap(ms, AT(9), PAGES(1), PAGES(2), AT(0), TO), AT(0));
    CHECK_EQ(ms->p_size, 1);
    CHECK_EQ(ms->s_size, 0);
    CHECK_EQ(free_physical_page(frames), 0);
    CHECK_EQ(free_physical_page(frames + PAGE_SIZE), 0);
    space_stop(ms);
}

TEST(mspace_remap_leaves_the_stacks_range_alone)
{
    mspace_t *ms = space_start("2level", 2000);

    CHECK_EQ(mspace_set_stack(ms, AT(1900), PAGES(4), PAGES(100)), 0);
    space_map(ms, AT(1500), PAGES(44), ANON_RW);    /* up to the guard gap */
    CHECK_EQ(remap(ms, AT(1500), PAGES(44), PAGES(45), 0, 0), 0);
    CHECK_EQ(*host_errno(), ENOMEM);
    CHECK_EQ(remap(ms, AT(1500), PAGES(44), PAGES(45), 0, REMAP_MAY_MOVE), AT(0));
    /* But the stack itself may grow up, and be moved. */
    CHECK(space_write(AT(1899), 3));
    CHECK_EQ(remap(ms, AT(1896), PAGES(4), PAGES(6), 0, 0), AT(1896));
    CHECK_EQ(remap(ms, AT(1899), PAGES(1), PAGES(1), AT(1000), TO), AT(1000));
    CHECK_EQ(space_byte(AT(1000)), 3);
    CHECK((mspace_search_vma(ms, AT(1000))->flags & VMA_STACK) != 0);
    /* The hole in it is closed by its lower part. */
    CHECK_EQ(remap(ms, AT(1896), PAGES(3), PAGES(4), 0, 0), AT(1896));
    CHECK_AREA(ms, AT(1896), PAGES(6));
    space_stop(ms);
}

TEST(mspace_remap_of_the_heap)
{
    mspace_t *ms = space_start("2level", 64);

    ms->break_start = ms->break_end = AT(4);
    CHECK_EQ(mspace_break(ms, AT(10)), 0);
    CHECK(space_write(AT(6), 6));
    CHECK_EQ(remap(ms, AT(6), PAGES(2), PAGES(2), AT(20), TO), AT(20));
    CHECK_EQ(mspace_search_vma(ms, AT(20))->flags,
             ANON_RW | VMA_COPY_ON_WRITE | VMA_ACCOUNTED);
    CHECK_EQ(ms->break_end, AT(10));
    CHECK_EQ(mspace_break(ms, AT(5)), 0);
    CHECK_EQ(mspace_break(ms, AT(7)), 0);
    CHECK_EQ(space_byte(AT(6)), 0);
    CHECK_EQ(space_byte(AT(20)), 6);
    /* As a whole, too. */
    CHECK_EQ(remap(ms, AT(4), PAGES(3), PAGES(3), AT(30), TO), AT(30));
    CHECK_EQ(mspace_search_vma(ms, AT(30))->flags,
             ANON_RW | VMA_COPY_ON_WRITE | VMA_ACCOUNTED);
    space_stop(ms);
}

/* A locked area stays locked where it goes; what REMAP_DONT_UNMAP leaves is not. */
TEST(mspace_remap_of_locked_pages)
{
    mspace_t *ms = space_start("2level", 64);

    space_map(ms, AT(0), PAGES(8), ANON_RW);
    CHECK_EQ(mspace_lock(ms, AT(0), PAGES(8), VMA_LOCKED), 0);
    ms->limits.locked = 8;
    CHECK(mspace_remap(ms, AT(0), PAGES(8), PAGES(9), 0, 0) == NULL);
    CHECK_EQ(*host_errno(), EAGAIN);
    ms->limits.locked = 20;
    CHECK_EQ(remap(ms, AT(0), PAGES(8), PAGES(9), 0, 0), AT(0));
    CHECK_EQ(ms->locked, 9);
    CHECK_EQ(remap(ms, AT(2), PAGES(2), PAGES(3), AT(20), TO), AT(20));
    CHECK_EQ(mspace_search_vma(ms, AT(20))->flags & VMA_LOCKED, VMA_LOCKED);
    CHECK_EQ(mspace_search_vma(ms, AT(5))->flags & VMA_LOCKED, VMA_LOCKED);
    space_map(ms, AT(23), PAGES(1), ANON_RW);
    CHECK_EQ(remap(ms, AT(20), PAGES(3), PAGES(3), AT(40), TO | REMAP_DONT_UNMAP), AT(40));
    CHECK_EQ(mspace_search_vma(ms, AT(40))->flags & VMA_LOCKED, VMA_LOCKED);
    CHECK_AREA(ms, AT(20), PAGES(4));       /* like its neighbour now */
    CHECK_EQ(mspace_search_vma(ms, AT(20))->flags & VMA_LOCKED, 0);
    CHECK_EQ(ms->locked, 10);
    space_stop(ms);
}

/* A stale translation of the old place, and what a report says of it. */
TEST(mspace_remap_leaves_nothing_behind)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 3000);

        space_map(ms, AT(0), PAGES(1200), ANON_RW | VMA_RESOLVE);
        for (size_t i = 0; i < 1200; i += 7)
            CHECK(space_write(AT(i), (uint8_t)(i + 1)));
        CHECK_EQ(remap(ms, AT(0), PAGES(1200), PAGES(1201), AT(1500), TO), AT(1500));
        for (size_t i = 0; i < 1200; i += 7) {
            CHECK(!space_read(AT(i), &(uint8_t){ 0 }));
            CHECK(space_fault.was_unmapped);
            CHECK_EQ(space_byte(AT(1500 + i)), (uint8_t)(i + 1));
        }
        CHECK_EQ(space_byte(AT(2700)), 0);
        CHECK_EQ(ms->p_size, 1200);
        space_stop(ms);
    }
}
