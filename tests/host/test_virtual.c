/*
 * Page tables, in all three formats, judged by the second reader and by what the
 * fake processor does with them: the kernel's part, and pages that come and go.
 */
#include <kernel/boot_info.h>
#include <kernel/errno.h>
#include <kernel/layout.h>
#include <kernel/linear.h>
#include <x86/cpu.h>
#include <x86/features.h>
#include <paging.h>

#include <string.h>

/* ---- the kernel's part */

static void check_low_page(page_t page)
{
    second_view_t view = paging_look(kernel_pagetable(), page);
    bool text = page >= FAKE_IMAGE_BASE && page < FAKE_IMAGE_RODATA;
    bool rodata = page >= FAKE_IMAGE_RODATA && page < FAKE_IMAGE_DATA;

    CHECK_EQ(view.present, page != 0 && fake_is_ram(page));
    if (!view.present)
        return;
    CHECK_EQ(view.frame, page);
    CHECK(!view.user && !view.large);
    CHECK_EQ(view.global, cpu_features.pge);
    CHECK_EQ(view.write, !text && !rodata);
    CHECK_EQ(view.execute, text || !paging_has_nx());
}

/* Every page from KERNEL_BASE up: supervisor, never executable; the frame table is there. */
static void check_upper_pages(void)
{
    size_t frame_table = physical_frame_table_length() / PAGE_SIZE;
    size_t leaves;

    second_reader_count_tables(fake_mode(), kernel_pagetable(), FRAME_TABLE_BASE,
                               (uint64_t)KERNEL_BASE + KERNEL_LENGTH, &leaves);
    CHECK(leaves >= frame_table + 3);
    for (uint64_t at = 0; at < KERNEL_LENGTH; ) {
        size_t vaddr = KERNEL_BASE + (size_t)at;
        second_view_t view = paging_look(kernel_pagetable(), vaddr);

        at += view.table != 0 ? PAGE_SIZE : paging_table_span();
        if (!view.present)
            continue;
        leaves--;
        CHECK(!view.user && !view.large);
        CHECK_EQ(view.execute, !paging_has_nx());
        CHECK_EQ(view.global, cpu_features.pge);
        if (vaddr < FRAME_TABLE_BASE || vaddr >= FRAME_TABLE_END)
            continue;
        CHECK_EQ(physical_frame((page_t)view.frame)->owner, OWNER_FRAME_TABLE);
        CHECK_EQ(physical_frame((page_t)view.frame)->state, FRAME_RESERVED);
    }
    CHECK_EQ(leaves, 0);
}

TEST(virtual_kernel_part_is_as_designed)
{
    for (size_t i = 0; i < ARRAY_LENGTH(paging_processors); i++) {
        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING,
                                             .format = paging_processors[i].format,
                                             .lacks = paging_processors[i].lacks });
        for (page_t page = 0; page < LOW_END; page += PAGE_SIZE)
            check_low_page(page);
        check_upper_pages();
        CHECK_STR(virtual_format_name(), paging_processors[i].format);
        fake_machine_stop();
    }
}

/*
 * The frame table of 3 GiB is longer than a large page. Of the RAM that makes it so long
 * there is nothing in this process: it is in use, and nobody looks at it.
 */
TEST(virtual_maps_a_long_frame_table_in_large_pages)
{
    static const second_mode_t modes[] = { SECOND_2LEVEL, SECOND_PAE, SECOND_4LEVEL };

    for (size_t i = 0; i < ARRAY_LENGTH(paging_processors); i++) {
        bool has_large = strcmp(paging_processors[i].format, "2level") != 0 ||
                         !(paging_processors[i].lacks & FAKE_NO_PSE);
        size_t mode = 0, length, large;
        second_view_t view;

        while (strcmp(paging_formats[mode], paging_processors[i].format) != 0)
            mode++;
        fake_machine_start(&(fake_config_t){ .level = FAKE_BOOT_INFO, .megabytes = 16,
                                             .format = paging_formats[mode],
                                             .lacks = paging_processors[i].lacks | FAKE_NO_NX });
        boot_info.ram[boot_info.ram_count++] = (boot_range_t){ LINEAR_END - 4 * MIB, LINEAR_END };
        CHECK_OK(physical_init(&boot_info));
        while (physical_figures()->free > physical_figures()->low_free)
            CHECK(page_range(2 * MIB / PAGE_SIZE, 2 * MIB, 0, OWNER_KERNEL) >= 16 * MIB);
        CHECK_OK(virtual_init(&boot_info, paging_formats[mode]));
        second_reader.pse = cpu_features.pse;
        length = physical_frame_table_length();
        large = has_large ? length & ~((mode == 0 ? 4 : 2) * MIB - 1) : 0;
        CHECK(length > 4 * MIB && length % (2 * MIB) != 0);
        for (size_t at = 0; at < length; at += PAGE_SIZE) {
            second_reader_read(modes[mode], kernel_pagetable(), FRAME_TABLE_BASE + at, &view);
            CHECK(view.present && !view.broken && !view.reserved && view.write && !view.user);
            CHECK_EQ(view.frame, physical_frame_table() + at);
            CHECK_EQ(view.large, at < large);
            CHECK_EQ(view.global, cpu_features.pge);
        }
        second_reader_read(modes[mode], kernel_pagetable(), FRAME_TABLE_BASE + length, &view);
        CHECK(!view.present);
        CHECK_OK(pagetable_check());
        fake_machine_abandon();
    }
}

/* RAM that the loader tells of where adapters are is not mapped. */
TEST(virtual_leaves_out_the_adapters)
{
    static const boot_region_t all[] = { { 0, 0x800000, BOOT_RAM } };

    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = paging_formats[i],
                                             .region = all, .region_count = 1 });
        for (page_t page = 0; page < LOW_END; page += PAGE_SIZE)
            CHECK_EQ(paging_look(kernel_pagetable(), page).present,
                     page != 0 && (page < VIDEO_BASE || page >= VIDEO_END));
        fake_machine_stop();
    }
}

TEST(virtual_turns_on_what_the_processor_has)
{
    for (size_t i = 0; i < ARRAY_LENGTH(paging_processors); i++) {
        unsigned lacks = paging_processors[i].lacks;
        bool wide = strcmp(paging_processors[i].format, "2level") != 0;

        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING,
                                             .format = paging_processors[i].format,
                                             .lacks = lacks });
        CHECK(cpu_cr0() & CR0_WP);
        CHECK(cpu_cr0() & CR0_PG);
        CHECK_EQ((cpu_cr4() & CR4_PGE) != 0, !(lacks & FAKE_NO_PGE));
        CHECK_EQ((cpu_cr4() & CR4_SMEP) != 0, !(lacks & FAKE_NO_SMEP));
        CHECK_EQ((cpu_cr4() & CR4_SMAP) != 0, !(lacks & FAKE_NO_SMAP));
        CHECK_EQ((cpu_cr4() & CR4_UMIP) != 0, !(lacks & FAKE_NO_UMIP));
        CHECK_EQ((cpu_cr4() & CR4_PAE) != 0, wide);
        if (wide)
            CHECK_EQ((cpu_rdmsr(MSR_EFER) & EFER_NXE) != 0, !(lacks & FAKE_NO_NX));
        else
            CHECK_EQ((cpu_cr4() & CR4_PSE) != 0, !(lacks & FAKE_NO_PSE));
        fake_machine_stop();
    }
}

/* What the kernel itself may do (WP, W^X, NULL, SMEP and SMAP). */
TEST(virtual_kernel_is_held_to_its_rights)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        page_t space, page;

        paging_start(i);
        space = create_pagetable();
        page = page_new(OWNER_ANON);
        switch_pagetable(space);
        CHECK_EQ(fake_kernel_access(0, 0), 0);
        CHECK_EQ(fake_kernel_access(0, FAKE_WRITE), FAKE_WRITE);
        CHECK_EQ(fake_kernel_access(FAKE_IMAGE_BASE, 0), -1);
        CHECK_EQ(fake_kernel_access(FAKE_IMAGE_BASE, FAKE_EXECUTE), -1);
        CHECK_EQ(fake_kernel_access(FAKE_IMAGE_BASE, FAKE_WRITE), FAKE_PRESENT | FAKE_WRITE);
        CHECK_EQ(fake_kernel_access(FAKE_IMAGE_RODATA, FAKE_WRITE), FAKE_PRESENT | FAKE_WRITE);
        CHECK_EQ(fake_kernel_access(FAKE_IMAGE_DATA, FAKE_WRITE), -1);
        CHECK_EQ(fake_kernel_access(FAKE_IMAGE_END - 1, FAKE_WRITE), -1);
        if (paging_has_nx())
            CHECK_EQ(fake_kernel_access(FAKE_IMAGE_RODATA, FAKE_EXECUTE),
                     FAKE_PRESENT | FAKE_EXECUTE);
        CHECK_EQ(fake_user_access(FAKE_IMAGE_BASE, 0), FAKE_PRESENT | FAKE_USER);
        CHECK_EQ(fake_user_access(FRAME_TABLE_BASE, 0), FAKE_PRESENT | FAKE_USER);
        CHECK_EQ(pagetable_map(space, 0x40000000, page, ACCESS_USER), 0);
        CHECK_EQ(fake_kernel_access(0x40000000, 0), FAKE_PRESENT);
        CHECK_EQ(fake_kernel_access(0x40000000, FAKE_EXECUTE), FAKE_PRESENT | FAKE_EXECUTE);
        CHECK_EQ(pagetable_unmap(space, 0x40000000), page);
        switch_pagetable(kernel_pagetable());
        delete_pagetable(space);
        page_release(page);
        fake_machine_stop();
    }
}

TEST(virtual_refuses_an_unknown_format)
{
    fake_machine_start(&(fake_config_t){ .level = FAKE_PHYSICAL });
    CHECK(virtual_init(&boot_info, "3level") != NULL);
    CHECK(virtual_init(&boot_info, "") != NULL);
    CHECK(virtual_init(&boot_info, "2levels") != NULL);
    fake_machine_stop();
}

/* ---- map and unmap */

/* What a user's access gives, for each kind of access a page can have. */
TEST(virtual_access_is_what_was_asked_for)
{
    static const access_t bits[] = { ACCESS_USER, ACCESS_WRITE, ACCESS_NOEXEC };

    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        page_t space, page;

        paging_start(i);
        space = create_pagetable();
        page = page_new(OWNER_ANON);
        switch_pagetable(space);
        for (unsigned set = 0; set < 8; set++) {
            access_t access = 0;
            bool user, write, execute;
            second_view_t view;

            for (unsigned k = 0; k < 3; k++)
                access |= set >> k & 1 ? bits[k] : 0;
            user = access & ACCESS_USER;
            write = access & ACCESS_WRITE;
            execute = !(access & ACCESS_NOEXEC) || !paging_has_nx();
            CHECK_EQ(pagetable_map(space, 0x40000000, page, access), 0);
            view = paging_look(space, 0x40000000);
            CHECK(view.present && view.frame == page && !view.large && !view.global);
            CHECK(view.user == user && view.write == write && view.execute == execute);
            CHECK_EQ(fake_user_access(0x40000000, 0) == 0, user);
            CHECK_EQ(fake_user_access(0x40000000, FAKE_WRITE) == 0, user && write);
            CHECK_EQ(fake_user_access(0x40000000, FAKE_EXECUTE) == 0, user && execute);
            CHECK_EQ(pagetable_unmap(space, 0x40000000), page);
            CHECK_EQ(fake_user_access(0x40000000, 0), FAKE_USER);
        }
        switch_pagetable(kernel_pagetable());
        delete_pagetable(space);
        page_release(page);
        fake_machine_stop();
    }
}

TEST(virtual_uncached_pages)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        second_view_t view;

        paging_start(i);
        CHECK_EQ(virtual_map_kernel(KSPACE_BASE, 0xfee00000, KERNEL_RW | ACCESS_UNCACHED), 0);
        view = paging_look(kernel_pagetable(), KSPACE_BASE);
        CHECK(view.cache_disable && view.write_through && view.frame == 0xfee00000);
        CHECK_EQ(virtual_unmap_kernel(KSPACE_BASE), 0xfee00000);
        CHECK_EQ(virtual_map_kernel(KSPACE_BASE, 0xfee00000, KERNEL_RW), 0);
        view = paging_look(kernel_pagetable(), KSPACE_BASE);
        CHECK(!view.cache_disable && !view.write_through);
        CHECK_EQ(virtual_unmap_kernel(KSPACE_BASE), 0xfee00000);
        fake_machine_stop();
    }
}

/* Map A, read, remap to B: the read sees B. (A processor remembers A.) */
TEST(virtual_remapped_page_is_seen_at_once)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        page_t space, a, b;
        uint32_t word;

        paging_start(i);
        space = create_pagetable();
        a = page_new(OWNER_ANON);
        b = page_new(OWNER_ANON);
        *(uint32_t *)fake_ram(a) = 1;
        *(uint32_t *)fake_ram(b) = 2;
        switch_pagetable(space);
        for (size_t round = 0; round < 3; round++) {
            CHECK_EQ(pagetable_map(space, 0x50000000, a, USER_RW), 0);
            CHECK(fake_read(0x50000000, &word, sizeof(word)));
            CHECK_EQ(word, 1);
            CHECK_EQ(pagetable_map(space, 0x50000000, b, USER_RW), -EEXIST);
            CHECK_EQ(pagetable_unmap(space, 0x50000000), a);
            CHECK_EQ(fake_user_access(0x50000000, 0), FAKE_USER);
            CHECK_EQ(pagetable_map(space, 0x50000000, b, USER_RW), 0);
            CHECK(fake_read(0x50000000, &word, sizeof(word)));
            CHECK_EQ(word, 2);
            CHECK_EQ(pagetable_unmap(space, 0x50000000), b);
            CHECK_EQ(pagetable_unmap(space, 0x50000000), NO_TRANSLATION);
        }
        switch_pagetable(kernel_pagetable());
        delete_pagetable(space);
        page_release(a);
        page_release(b);
        fake_machine_stop();
    }
}

/* Two spaces, one address, two frames. */
TEST(virtual_switch_changes_what_an_address_means)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        page_t space[2], page[2];
        size_t loads;

        paging_start(i);
        for (uint32_t k = 0; k < 2; k++) {
            space[k] = create_pagetable();
            page[k] = page_new(OWNER_ANON);
            *(uint32_t *)fake_ram(page[k]) = 100 + k;
            CHECK_EQ(pagetable_map(space[k], 0x40000000, page[k], USER_RW), 0);
        }
        for (uint32_t k = 0; k < 10; k++) {
            uint32_t word;

            switch_pagetable(space[k % 2]);
            CHECK_EQ(current_pagetable(), space[k % 2]);
            CHECK_EQ(fake_cr3(), space[k % 2]);
            loads = fake_events.cr3_loads;
            switch_pagetable(space[k % 2]);     /* it is there already */
            CHECK_EQ(fake_events.cr3_loads, loads);
            CHECK(fake_read(0x40000000, &word, sizeof(word)));
            CHECK_EQ(word, 100 + k % 2);
        }
        switch_pagetable(kernel_pagetable());
        for (size_t k = 0; k < 2; k++) {
            CHECK_EQ(pagetable_unmap(space[k], 0x40000000), page[k]);
            delete_pagetable(space[k]);
            page_release(page[k]);
        }
        fake_machine_stop();
    }
}

TEST(virtual_translation_has_the_offset)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        page_t space, page;

        paging_start(i);
        space = create_pagetable();
        page = page_new(OWNER_ANON);
        CHECK_EQ(get_translation(space, 0x40000000), NO_TRANSLATION);
        CHECK_EQ(pagetable_map(space, 0x40001000, page, USER_RW), 0);
        CHECK_EQ(get_translation(space, 0x40001000), page);
        CHECK_EQ(get_translation(space, 0x40001fff), page + 0xfff);
        CHECK_EQ(get_translation(space, 0x40000fff), NO_TRANSLATION);
        CHECK_EQ(get_translation(space, 0x40002000), NO_TRANSLATION);
        CHECK_EQ(get_translation(space, FAKE_IMAGE_BASE + 5), FAKE_IMAGE_BASE + 5);
        CHECK_EQ(get_translation(space, 12), NO_TRANSLATION);
        CHECK_EQ(get_translation(space, FRAME_TABLE_BASE + 1234),
                 paging_look(space, FRAME_TABLE_BASE).frame + 1234);
        CHECK_EQ(get_translation(linear_space_directory(), 0x612345), 0x612345);
        CHECK_EQ(pagetable_unmap(space, 0x40001000), page);
        delete_pagetable(space);
        page_release(page);
        fake_machine_stop();
    }
}
