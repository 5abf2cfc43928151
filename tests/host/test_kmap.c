/*
 * The kernel's own mappings.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/virtual.h>
#include <space.h>

#include <string.h>

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
