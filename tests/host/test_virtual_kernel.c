/*
 * The kernel's addresses in every space, and its windows of page tables.
 */
#include <kernel/errno.h>
#include <kernel/layout.h>
#include <kernel/linear.h>
#include <paging.h>

enum { SPACES = 6 };

/*
 * Mapped while any space is current: seen in all at once, in those made later,
 * and in the linear space.
 */
TEST(virtual_kernel_mappings_are_everywhere_at_once)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        page_t space[SPACES + 2] = { 0 };
        page_t page[12];

        paging_start(i);
        space[0] = kernel_pagetable();
        space[1] = linear_space_directory();
        for (size_t k = 2; k < 5; k++)
            space[k] = create_pagetable();
        for (size_t k = 0; k < ARRAY_LENGTH(page); k++) {
            size_t vaddr = paging_kernel_place(k);

            if (k == 6)                     /* some later than some mappings */
                for (size_t n = 5; n < ARRAY_LENGTH(space); n++)
                    space[n] = create_pagetable();
            page[k] = page_new(OWNER_KERNEL);
            switch_pagetable(space[k % 5]);
            CHECK_EQ(get_translation(space[3], vaddr), NO_TRANSLATION);
            CHECK_EQ(virtual_map_kernel(vaddr, page[k], KERNEL_RW | ACCESS_GLOBAL), 0);
            CHECK_EQ(virtual_map_kernel(vaddr, page[k], KERNEL_RW), -EEXIST);
            *(volatile uint32_t *)vaddr = (uint32_t)k + 1000;
            for (size_t n = 0; n < (k < 6 ? 5 : ARRAY_LENGTH(space)); n++) {
                switch_pagetable(space[n]);
                CHECK_EQ(*(volatile uint32_t *)vaddr, k + 1000);
            }
        }
        for (size_t k = 0; k < ARRAY_LENGTH(page); k++)
            paging_check_everywhere(space, ARRAY_LENGTH(space), paging_kernel_place(k), page[k]);
        CHECK_OK(pagetable_check());
        for (size_t k = 0; k < ARRAY_LENGTH(page); k++) {
            switch_pagetable(space[k % ARRAY_LENGTH(space)]);
            CHECK_EQ(*(volatile uint32_t *)paging_kernel_place(k), k + 1000);
            CHECK_EQ(virtual_unmap_kernel(paging_kernel_place(k)), page[k]);
            CHECK_EQ(virtual_unmap_kernel(paging_kernel_place(k)), NO_TRANSLATION);
            /* It was global, and is gone all the same, in the next space too. */
            CHECK_EQ(fake_kernel_access(paging_kernel_place(k), 0), 0);
            switch_pagetable(space[(k + 1) % ARRAY_LENGTH(space)]);
            CHECK_EQ(fake_kernel_access(paging_kernel_place(k), 0), 0);
            page_release(page[k]);
        }
        switch_pagetable(kernel_pagetable());
        for (size_t n = 2; n < ARRAY_LENGTH(space); n++)
            delete_pagetable(space[n]);
        fake_machine_stop();
    }
}

/* pagetable_map of a kernel address is for every space as well. */
TEST(virtual_pagetable_map_of_a_kernel_address)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        page_t space[2], page;

        paging_start(i);
        space[0] = create_pagetable();
        space[1] = create_pagetable();
        page = page_new(OWNER_KERNEL);
        CHECK_EQ(pagetable_map(space[0], KSPACE_BASE + 3 * PAGE_SIZE, page, KERNEL_RW), 0);
        paging_check_everywhere(space, 2, KSPACE_BASE + 3 * PAGE_SIZE, page);
        CHECK_EQ(pagetable_unmap(space[1], KSPACE_BASE + 3 * PAGE_SIZE), page);
        CHECK(!paging_look(space[0], KSPACE_BASE + 3 * PAGE_SIZE).present);
        /* Low memory is the kernel's too. */
        CHECK_EQ(pagetable_map(space[1], VIDEO_BASE, page, KERNEL_RW), 0);
        paging_check_everywhere(space, 2, VIDEO_BASE, page);
        CHECK_EQ(pagetable_map(space[0], VIDEO_BASE, page, KERNEL_RW), -EEXIST);
        CHECK_EQ(pagetable_unmap(space[0], VIDEO_BASE), page);
        CHECK(!paging_look(space[1], VIDEO_BASE).present);
        delete_pagetable(space[0]);
        delete_pagetable(space[1]);
        page_release(page);
        fake_machine_stop();
    }
}

/* The highest kernel address there is. */
TEST(virtual_last_page_of_the_device_window)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        size_t last = KERNEL_BASE + (KERNEL_LENGTH - PAGE_SIZE);
        page_t space;

        paging_start(i);
        space = create_pagetable();
        CHECK_EQ(virtual_map_kernel(last, 0xfffff000, KERNEL_RW | ACCESS_UNCACHED), 0);
        CHECK_EQ(paging_look(space, last).frame, 0xfffff000);
        CHECK_EQ(get_translation(space, last + 0xfff), 0xffffffff);
        CHECK_OK(pagetable_check());
        CHECK_EQ(virtual_unmap_kernel(last), 0xfffff000);
        delete_pagetable(space);
        fake_machine_stop();
    }
}

/*
 * More tables than one kernel table can map: the window needs a new kernel table
 * to map a table, which it has in hand; all spaces see it.
 */
TEST(virtual_table_window_grows)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        page_t space[2], page;
        size_t step, mapped = 0;
        uint64_t tables;

        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = paging_formats[i],
                                             .megabytes = 16 });
        page = page_new(OWNER_ANON);
        space[0] = create_pagetable();
        space[1] = create_pagetable();
        step = paging_table_span();
        tables = virtual_events.kernel_tables;
        for (size_t k = 0; k < 2; k++) {
            switch_pagetable(k == 0 ? space[1] : kernel_pagetable());
            for (uint64_t vaddr = USER_BASE; vaddr < USER_END; vaddr += step, mapped++)
                CHECK_EQ(pagetable_map(space[k], (size_t)vaddr, page, USER_RW), 0);
        }
        CHECK(mapped > 1100);
        CHECK(virtual_events.kernel_tables > tables);
        CHECK_OK(pagetable_check());
        for (size_t k = 0; k < 2; k++) {
            switch_pagetable(space[1 - k]);
            CHECK_EQ(mmu_table_count(space[k]), paging_own_tables(space[k]));
            for (uint64_t vaddr = USER_BASE; vaddr < USER_END; vaddr += step)
                CHECK_EQ(pagetable_unmap(space[k], (size_t)vaddr), page);
        }
        switch_pagetable(kernel_pagetable());
        delete_pagetable(space[0]);
        delete_pagetable(space[1]);
        page_release(page);
        fake_machine_stop();
    }
}

/* Slots of both windows are taken again, however often tables come and go. */
TEST(virtual_slots_of_tables_are_used_again)
{
    enum { TOPS = 64, TABLES = 700 };

    for (size_t i = 0; i < 2; i++) {
        page_t space[TOPS], page;

        paging_start(i);
        page = page_new(OWNER_ANON);
        for (size_t made = 0; made <= 2048; made += TOPS) {
            for (size_t k = 0; k < TOPS; k++) {
                space[k] = create_pagetable();
                CHECK(space[k] != PAGE_NONE);
            }
            for (size_t k = 0; k < TOPS; k++)
                delete_pagetable(space[k]);
        }
        space[0] = create_pagetable();
        for (size_t made = 0; made <= 16384; made += TABLES) {
            for (size_t k = 0; k < TABLES; k++)
                CHECK_EQ(pagetable_map(space[0], USER_BASE + k * 4 * MIB, page, USER_RW), 0);
            for (size_t k = 0; k < TABLES; k++)
                CHECK_EQ(pagetable_unmap(space[0], USER_BASE + k * 4 * MIB), page);
        }
        delete_pagetable(space[0]);
        page_release(page);
        fake_machine_stop();
    }
}
