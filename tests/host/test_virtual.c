/*
 * Page tables, in all three formats, judged by the second reader and by what the
 * fake processor does with them.
 */
#include <kernel/boot_info.h>
#include <kernel/errno.h>
#include <kernel/layout.h>
#include <kernel/linear.h>
#include <kernel/physical.h>
#include <kernel/virtual.h>
#include <x86/cpu.h>
#include <x86/features.h>
#include <host_test.h>
#include <fake_machine.h>

#include <string.h>

#define USER_RW   (ACCESS_USER | ACCESS_WRITE | ACCESS_NOEXEC)
#define KERNEL_RW (ACCESS_WRITE | ACCESS_NOEXEC)
#define KERNEL_LENGTH 0x40000000u       /* window and devices */

static const char *const formats[] = { "2level", "pae", "long" };
enum { FORMATS = 3 };

static const struct {
    const char *format;
    unsigned lacks;
} processors[] = {
    { "2level", 0 },
    { "2level", FAKE_NO_PSE | FAKE_NO_PGE | FAKE_NO_NX | FAKE_NO_SMEP | FAKE_NO_SMAP |
                FAKE_NO_PAE },
    { "pae", 0 },
    { "pae", FAKE_NO_NX | FAKE_NO_SMEP },
    { "pae", FAKE_NO_PGE | FAKE_NO_SMAP | FAKE_NO_UMIP },
    { "pae", FAKE_NO_PSE },
    { "long", 0 },
};

static void start(size_t format)
{
    fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = formats[format] });
}

static bool has_nx(void)
{
    return second_reader.nxe;
}

static second_view_t look(page_t space, size_t vaddr)
{
    second_view_t view;

    second_reader_read(fake_mode(), space, vaddr, &view);
    CHECK(!view.broken && !view.reserved);
    return view;
}

/* Bytes that one table of the last level spans. */
static size_t table_span(void)
{
    return fake_mode() == SECOND_2LEVEL ? 4 * MIB : 2 * MIB;
}

/* Tables of a space that are its own, the top level included, by the second reader. */
static size_t own_tables(page_t space)
{
    size_t tables = 1 + second_reader_count_tables(fake_mode(), space, USER_BASE, USER_END,
                                                   NULL);

    /* In long mode the way to the kernel's addresses, if it is another one. */
    if (fake_mode() == SECOND_4LEVEL && (uint64_t)KERNEL_BASE >> 39 != 0)
        tables++;
    return tables;
}

/* ---- the kernel's part */

static void check_low_page(page_t page)
{
    second_view_t view = look(kernel_pagetable(), page);
    bool text = page >= FAKE_IMAGE_BASE && page < FAKE_IMAGE_RODATA;
    bool rodata = page >= FAKE_IMAGE_RODATA && page < FAKE_IMAGE_DATA;

    CHECK_EQ(view.present, page != 0 && fake_is_ram(page));
    if (!view.present)
        return;
    CHECK_EQ(view.frame, page);
    CHECK(!view.user && !view.large);
    CHECK_EQ(view.global, cpu_features.pge);
    CHECK_EQ(view.write, !text && !rodata);
    CHECK_EQ(view.execute, text || !has_nx());
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
        second_view_t view = look(kernel_pagetable(), vaddr);

        at += view.table != 0 ? PAGE_SIZE : table_span();
        if (!view.present)
            continue;
        leaves--;
        CHECK(!view.user && !view.large);
        CHECK_EQ(view.execute, !has_nx());
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
    for (size_t i = 0; i < ARRAY_LENGTH(processors); i++) {
        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING,
                                             .format = processors[i].format,
                                             .lacks = processors[i].lacks });
        for (page_t page = 0; page < LOW_END; page += PAGE_SIZE)
            check_low_page(page);
        check_upper_pages();
        CHECK_STR(virtual_format_name(), processors[i].format);
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

    for (size_t i = 0; i < ARRAY_LENGTH(processors); i++) {
        bool has_large = strcmp(processors[i].format, "2level") != 0 ||
                         !(processors[i].lacks & FAKE_NO_PSE);
        size_t mode = 0, length, large;
        second_view_t view;

        while (strcmp(formats[mode], processors[i].format) != 0)
            mode++;
        fake_machine_start(&(fake_config_t){ .level = FAKE_BOOT_INFO, .megabytes = 16,
                                             .format = formats[mode],
                                             .lacks = processors[i].lacks | FAKE_NO_NX });
        boot_info.ram[boot_info.ram_count++] = (boot_range_t){ LINEAR_END - 4 * MIB, LINEAR_END };
        CHECK_OK(physical_init(&boot_info));
        while (physical_figures()->free > physical_figures()->low_free)
            CHECK(page_range(2 * MIB / PAGE_SIZE, 2 * MIB, 0, OWNER_KERNEL) >= 16 * MIB);
        CHECK_OK(virtual_init(&boot_info, formats[mode]));
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

    for (size_t i = 0; i < FORMATS; i++) {
        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = formats[i],
                                             .region = all, .region_count = 1 });
        for (page_t page = 0; page < LOW_END; page += PAGE_SIZE)
            CHECK_EQ(look(kernel_pagetable(), page).present,
                     page != 0 && (page < VIDEO_BASE || page >= VIDEO_END));
        fake_machine_stop();
    }
}

TEST(virtual_turns_on_what_the_processor_has)
{
    for (size_t i = 0; i < ARRAY_LENGTH(processors); i++) {
        unsigned lacks = processors[i].lacks;
        bool wide = strcmp(processors[i].format, "2level") != 0;

        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING,
                                             .format = processors[i].format,
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
    for (size_t i = 0; i < FORMATS; i++) {
        page_t space, page;

        start(i);
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
        if (has_nx())
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

    for (size_t i = 0; i < FORMATS; i++) {
        page_t space, page;

        start(i);
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
            execute = !(access & ACCESS_NOEXEC) || !has_nx();
            CHECK_EQ(pagetable_map(space, 0x40000000, page, access), 0);
            view = look(space, 0x40000000);
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
    for (size_t i = 0; i < FORMATS; i++) {
        second_view_t view;

        start(i);
        CHECK_EQ(virtual_map_kernel(KSPACE_BASE, 0xfee00000, KERNEL_RW | ACCESS_UNCACHED), 0);
        view = look(kernel_pagetable(), KSPACE_BASE);
        CHECK(view.cache_disable && view.write_through && view.frame == 0xfee00000);
        CHECK_EQ(virtual_unmap_kernel(KSPACE_BASE), 0xfee00000);
        CHECK_EQ(virtual_map_kernel(KSPACE_BASE, 0xfee00000, KERNEL_RW), 0);
        view = look(kernel_pagetable(), KSPACE_BASE);
        CHECK(!view.cache_disable && !view.write_through);
        CHECK_EQ(virtual_unmap_kernel(KSPACE_BASE), 0xfee00000);
        fake_machine_stop();
    }
}

/* Map A, read, remap to B: the read sees B. (A processor remembers A.) */
TEST(virtual_remapped_page_is_seen_at_once)
{
    for (size_t i = 0; i < FORMATS; i++) {
        page_t space, a, b;
        uint32_t word;

        start(i);
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
    for (size_t i = 0; i < FORMATS; i++) {
        page_t space[2], page[2];
        size_t loads;

        start(i);
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
    for (size_t i = 0; i < FORMATS; i++) {
        page_t space, page;

        start(i);
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
                 look(space, FRAME_TABLE_BASE).frame + 1234);
        CHECK_EQ(get_translation(linear_space_directory(), 0x612345), 0x612345);
        CHECK_EQ(pagetable_unmap(space, 0x40001000), page);
        delete_pagetable(space);
        page_release(page);
        fake_machine_stop();
    }
}

/* ---- tables come and go */

/*
 * Two pages under one table, a third under its neighbour. A table goes with its
 * last entry and never before, and each level by itself.
 */
TEST(virtual_tables_are_freed_with_their_last_entry)
{
    static const size_t bases[] = { 0x40000000, 0x00400000, 0xbfc00000, 0x7fe00000 };

    for (size_t i = 0; i < FORMATS * ARRAY_LENGTH(bases); i++) {
        size_t base = bases[i % ARRAY_LENGTH(bases)];
        page_t space, page;
        size_t before, one;

        start(i / ARRAY_LENGTH(bases));
        base &= ~(table_span() - 1);
        page = page_new(OWNER_ANON);
        space = create_pagetable();
        switch_pagetable(space);
        before = physical_figures()->owner[OWNER_PAGE_TABLE];
        CHECK_EQ(pagetable_map(space, base, page, USER_RW), 0);
        one = physical_figures()->owner[OWNER_PAGE_TABLE];
        CHECK(one > before);
        CHECK_EQ(mmu_table_count(space), own_tables(space));
        CHECK_EQ(pagetable_map(space, base + table_span() - PAGE_SIZE, page, USER_RW), 0);
        CHECK_EQ(physical_figures()->owner[OWNER_PAGE_TABLE], one);
        CHECK_EQ(fake_user_access(base, 0), 0);
        CHECK_EQ(pagetable_unmap(space, base), page);
        CHECK_EQ(physical_figures()->owner[OWNER_PAGE_TABLE], one);
        CHECK_EQ(look(space, base + table_span() - PAGE_SIZE).frame, page);
        CHECK_EQ(fake_user_access(base + table_span() - PAGE_SIZE, 0), 0);
        CHECK_EQ(pagetable_unmap(space, base + table_span() - PAGE_SIZE), page);
        CHECK_EQ(physical_figures()->owner[OWNER_PAGE_TABLE], before);
        CHECK_EQ(mmu_table_count(space), own_tables(space));
        CHECK_EQ(fake_user_access(base + table_span() - PAGE_SIZE, 0), FAKE_USER);
        CHECK_EQ(pagetable_map(space, base, page, USER_RW), 0);
        CHECK_EQ(fake_user_access(base, FAKE_WRITE), 0);
        CHECK_EQ(pagetable_unmap(space, base), page);
        CHECK_EQ(fake_user_access(base, 0), FAKE_USER);
        CHECK_OK(pagetable_check());
        switch_pagetable(kernel_pagetable());
        delete_pagetable(space);
        page_release(page);
        fake_machine_stop();
    }
}

/* How many tables one page needs: one a level that is not there yet. */
TEST(virtual_first_page_makes_a_table_a_level)
{
    static const size_t expected[FORMATS][3] = {    /* at 4 MiB, 1 GiB, 1 GiB + a span */
        { 1, 1, 1 }, { 1, 2, 1 }, { 1, 2, 1 },
    };

    for (size_t i = 0; i < FORMATS; i++) {
        page_t space, page;
        size_t base[3];

        start(i);
        base[0] = 0x00400000;
        base[1] = 0x40000000;
        base[2] = 0x40000000 + table_span();
        page = page_new(OWNER_ANON);
        space = create_pagetable();
        for (size_t k = 0; k < 3; k++) {
            size_t before = physical_figures()->owner[OWNER_PAGE_TABLE];

            CHECK_EQ(pagetable_map(space, base[k], page, USER_RW), 0);
            CHECK_EQ(physical_figures()->owner[OWNER_PAGE_TABLE] - before, expected[i][k]);
        }
        for (size_t k = 3; k-- > 0; ) {
            size_t before = physical_figures()->owner[OWNER_PAGE_TABLE];

            CHECK_EQ(pagetable_unmap(space, base[k]), page);
            CHECK_EQ(before - physical_figures()->owner[OWNER_PAGE_TABLE], expected[i][k]);
        }
        delete_pagetable(space);
        page_release(page);
        fake_machine_stop();
    }
}

/* Tables whose entries were cleared one by one stay; delete takes them all. */
TEST(virtual_delete_frees_every_table)
{
    for (size_t i = 0; i < FORMATS; i++) {
        page_t space, page;

        start(i);
        page = page_new(OWNER_ANON);
        space = create_pagetable();
        for (uint64_t vaddr = USER_BASE; vaddr < USER_END; vaddr += 0x02801000) {
            mmu_place_t place;

            CHECK_EQ(mmu_make(space, (size_t)vaddr & ~(size_t)PAGE_MASK, &place), 0);
            mmu_set(&place, page | MMU_PRESENT | MMU_USER);
            mmu_set(&place, 0);
        }
        CHECK_EQ(mmu_table_count(space), own_tables(space));
        CHECK_OK(pagetable_check());
        delete_pagetable(space);
        page_release(page);
        fake_machine_stop();
    }
}

static void delete_it(void *space)
{
    delete_pagetable(*(page_t *)space);
}

TEST(virtual_delete_of_a_table_in_use_is_an_assertion)
{
    for (size_t i = 0; i < 2; i++) {
        page_t space;

        start(0);
        space = i == 0 ? create_pagetable() : kernel_pagetable();
        switch_pagetable(space);
        if (i == 1)
            switch_pagetable(create_pagetable());
        CHECK(test_expect_panic(delete_it, &space, NULL, 0));
        fake_machine_abandon();
    }
}

/* ---- the kernel's addresses, in every space */

enum { SPACES = 6 };

/* Places that need a kernel table of their own, in any format. */
static size_t kernel_place(size_t number)
{
    return KSPACE_BASE + 2 * MIB + number * 8 * MIB;
}

static void check_kernel_everywhere(const page_t *space, size_t count, size_t vaddr,
                                    page_t page)
{
    for (size_t i = 0; i < count; i++) {
        second_view_t view = look(space[i], vaddr);

        CHECK(view.present && view.frame == page && view.write && !view.user);
        CHECK_EQ(view.execute, !has_nx());
    }
}

/*
 * Mapped while any space is current: seen in all at once, in those made later,
 * and in the linear space.
 */
TEST(virtual_kernel_mappings_are_everywhere_at_once)
{
    for (size_t i = 0; i < FORMATS; i++) {
        page_t space[SPACES + 2] = { 0 };
        page_t page[12];

        start(i);
        space[0] = kernel_pagetable();
        space[1] = linear_space_directory();
        for (size_t k = 2; k < 5; k++)
            space[k] = create_pagetable();
        for (size_t k = 0; k < ARRAY_LENGTH(page); k++) {
            size_t vaddr = kernel_place(k);

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
            check_kernel_everywhere(space, ARRAY_LENGTH(space), kernel_place(k), page[k]);
        CHECK_OK(pagetable_check());
        for (size_t k = 0; k < ARRAY_LENGTH(page); k++) {
            switch_pagetable(space[k % ARRAY_LENGTH(space)]);
            CHECK_EQ(*(volatile uint32_t *)kernel_place(k), k + 1000);
            CHECK_EQ(virtual_unmap_kernel(kernel_place(k)), page[k]);
            CHECK_EQ(virtual_unmap_kernel(kernel_place(k)), NO_TRANSLATION);
            /* It was global, and is gone all the same, in the next space too. */
            CHECK_EQ(fake_kernel_access(kernel_place(k), 0), 0);
            switch_pagetable(space[(k + 1) % ARRAY_LENGTH(space)]);
            CHECK_EQ(fake_kernel_access(kernel_place(k), 0), 0);
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
    for (size_t i = 0; i < FORMATS; i++) {
        page_t space[2], page;

        start(i);
        space[0] = create_pagetable();
        space[1] = create_pagetable();
        page = page_new(OWNER_KERNEL);
        CHECK_EQ(pagetable_map(space[0], KSPACE_BASE + 3 * PAGE_SIZE, page, KERNEL_RW), 0);
        check_kernel_everywhere(space, 2, KSPACE_BASE + 3 * PAGE_SIZE, page);
        CHECK_EQ(pagetable_unmap(space[1], KSPACE_BASE + 3 * PAGE_SIZE), page);
        CHECK(!look(space[0], KSPACE_BASE + 3 * PAGE_SIZE).present);
        /* Low memory is the kernel's too. */
        CHECK_EQ(pagetable_map(space[1], VIDEO_BASE, page, KERNEL_RW), 0);
        check_kernel_everywhere(space, 2, VIDEO_BASE, page);
        CHECK_EQ(pagetable_map(space[0], VIDEO_BASE, page, KERNEL_RW), -EEXIST);
        CHECK_EQ(pagetable_unmap(space[0], VIDEO_BASE), page);
        CHECK(!look(space[1], VIDEO_BASE).present);
        delete_pagetable(space[0]);
        delete_pagetable(space[1]);
        page_release(page);
        fake_machine_stop();
    }
}

/* The highest kernel address there is. */
TEST(virtual_last_page_of_the_device_window)
{
    for (size_t i = 0; i < FORMATS; i++) {
        size_t last = KERNEL_BASE + (KERNEL_LENGTH - PAGE_SIZE);
        page_t space;

        start(i);
        space = create_pagetable();
        CHECK_EQ(virtual_map_kernel(last, 0xfffff000, KERNEL_RW | ACCESS_UNCACHED), 0);
        CHECK_EQ(look(space, last).frame, 0xfffff000);
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
    for (size_t i = 0; i < FORMATS; i++) {
        page_t space[2], page;
        size_t step, mapped = 0;
        uint64_t tables;

        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = formats[i],
                                             .megabytes = 16 });
        page = page_new(OWNER_ANON);
        space[0] = create_pagetable();
        space[1] = create_pagetable();
        step = table_span();
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
            CHECK_EQ(mmu_table_count(space[k]), own_tables(space[k]));
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

        start(i);
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

/* ---- linear mappings */

typedef struct linear_case {
    size_t start, end;      /* in units of PAGE_SIZE, from 1 GiB */
} linear_case_t;

static void check_linear(const linear_case_t *c)
{
    page_t space = create_pagetable();
    size_t large = table_span() / PAGE_SIZE;

    CHECK_EQ(pagetable_map_linear(space, GIB + c->start * PAGE_SIZE,
                                  GIB + c->end * PAGE_SIZE, ACCESS_WRITE), 0);
    for (size_t at = 0; at < 4096; at++) {
        second_view_t view = look(space, GIB + at * PAGE_SIZE);
        size_t block = at / large * large;
        bool fits = block >= c->start && block + large <= c->end;

        CHECK_EQ(view.present, at >= c->start && at < c->end);
        if (!view.present)
            continue;
        CHECK_EQ(view.frame, GIB + at * PAGE_SIZE);
        CHECK(view.write && !view.user && !view.global && view.execute);
        CHECK_EQ(view.large, fits && (large == 512 || second_reader.pse));
        CHECK_EQ(get_translation(space, GIB + at * PAGE_SIZE + 7), GIB + at * PAGE_SIZE + 7);
    }
    CHECK_EQ(mmu_table_count(space), own_tables(space));
    CHECK_OK(pagetable_check());
    delete_pagetable(space);
}

TEST(virtual_map_linear_takes_large_pages_where_they_fit)
{
    static const linear_case_t cases[] = {
        { 0, 0 }, { 0, 1 }, { 5, 6 }, { 0, 512 }, { 0, 1024 }, { 1, 512 }, { 511, 513 },
        { 0, 2048 }, { 1, 2049 }, { 512, 1536 }, { 1023, 2049 }, { 700, 3500 },
        { 1024, 1024 }, { 1024, 2047 }, { 100, 1123 },
    };

    for (size_t i = 0; i < ARRAY_LENGTH(processors); i++) {
        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING,
                                             .format = processors[i].format,
                                             .lacks = processors[i].lacks });
        for (size_t k = 0; k < ARRAY_LENGTH(cases); k++)
            check_linear(&cases[k]);
        fake_machine_stop();
    }
}

/* What is mapped already, large or small, is not mapped over. */
TEST(virtual_map_linear_does_not_overwrite)
{
    for (size_t i = 0; i < FORMATS; i++) {
        page_t space;
        size_t span;

        start(i);
        span = table_span();
        space = create_pagetable();
        CHECK_EQ(pagetable_map_linear(space, GIB, GIB + span, USER_RW), 0);
        CHECK(look(space, GIB).large);
        CHECK_EQ(pagetable_map_linear(space, GIB, GIB + span, USER_RW), -EEXIST);
        CHECK_EQ(pagetable_map_linear(space, GIB + PAGE_SIZE, GIB + 2 * PAGE_SIZE, USER_RW),
                 -EEXIST);
        CHECK_EQ(pagetable_map(space, GIB + PAGE_SIZE, 0x5000, USER_RW), -EEXIST);
        CHECK(look(space, GIB + PAGE_SIZE).large);
        CHECK_EQ(look(space, GIB + PAGE_SIZE).frame, GIB + PAGE_SIZE);
        CHECK_EQ(pagetable_map(space, GIB + span, 0x5000, USER_RW), 0);
        CHECK_EQ(pagetable_map_linear(space, GIB + span, GIB + 2 * span, USER_RW), -EEXIST);
        CHECK_EQ(pagetable_map_linear(space, GIB + span, GIB + span + PAGE_SIZE, USER_RW),
                 -EEXIST);
        CHECK_EQ(look(space, GIB + span).frame, 0x5000);
        CHECK_EQ(pagetable_unmap(space, GIB + span), 0x5000);
        CHECK_EQ(mmu_table_count(space), own_tables(space));
        CHECK_OK(pagetable_check());
        delete_pagetable(space);
        fake_machine_stop();
    }
}

/* ---- running out of memory */

typedef struct attempt {
    page_t space;
    page_t page;
    page_t made;
    size_t vaddr;
} attempt_t;

static int try_create(void *context)
{
    attempt_t *attempt = context;

    attempt->made = create_pagetable();
    return attempt->made == PAGE_NONE ? -ENOMEM : 0;
}

static void undo_create(void *context)
{
    delete_pagetable(((attempt_t *)context)->made);
}

static int try_map(void *context)
{
    attempt_t *attempt = context;

    return pagetable_map(attempt->space, attempt->vaddr, attempt->page, USER_RW);
}

static void undo_map(void *context)
{
    attempt_t *attempt = context;

    CHECK_EQ(pagetable_unmap(attempt->space, attempt->vaddr), attempt->page);
}

static int try_map_kernel(void *context)
{
    attempt_t *attempt = context;

    return virtual_map_kernel(attempt->vaddr, attempt->page, KERNEL_RW);
}

static void undo_map_kernel(void *context)
{
    attempt_t *attempt = context;

    CHECK_EQ(virtual_unmap_kernel(attempt->vaddr), attempt->page);
}

static int try_map_linear(void *context)
{
    attempt_t *attempt = context;

    attempt->made = create_pagetable();
    if (attempt->made == PAGE_NONE)
        return -ENOMEM;
    if (pagetable_map_linear(attempt->made, GIB - 8 * PAGE_SIZE, GIB + 9 * MIB + PAGE_SIZE,
                             USER_RW) == 0)
        return 0;
    delete_pagetable(attempt->made);
    return -ENOMEM;
}

/* After a failure nothing is mapped and no table is left; other pages stay. */
static const char *check_attempt(void *context)
{
    attempt_t *attempt = context;

    if (attempt->space != PAGE_NONE &&
        mmu_table_count(attempt->space) != own_tables(attempt->space))
        return "the space's count of tables is wrong";
    return get_translation(kernel_pagetable(), attempt->vaddr) == NO_TRANSLATION
           ? NULL : "something is still mapped";
}

TEST(virtual_out_of_memory_at_every_point)
{
    for (size_t i = 0; i < FORMATS; i++) {
        attempt_t attempt = { .vaddr = 0x80000000 };

        start(i);
        CHECK_EQ(fake_failure_sweep(try_create, undo_create, NULL, &attempt), i == 0 ? 1 :
                 i == 1 ? 2 : KERNEL_BASE >> 16 >> 16 != 0 ? 4 : 3);
        attempt.page = page_new(OWNER_ANON);
        attempt.space = create_pagetable();
        CHECK_EQ(fake_failure_sweep(try_map, undo_map, check_attempt, &attempt),
                 i == 0 ? 1 : 2);
        /* The same in the current space, beside something that is mapped. */
        switch_pagetable(attempt.space);
        CHECK_EQ(pagetable_map(attempt.space, 0x40000000, attempt.page, USER_RW), 0);
        CHECK_EQ(fake_failure_sweep(try_map, undo_map, check_attempt, &attempt),
                 i == 0 ? 1 : 2);
        CHECK_EQ(fake_user_access(0x40000000, FAKE_WRITE), 0);
        CHECK_EQ(pagetable_unmap(attempt.space, 0x40000000), attempt.page);
        switch_pagetable(kernel_pagetable());
        attempt.vaddr = kernel_place(3);
        CHECK_EQ(fake_failure_sweep(try_map_kernel, undo_map_kernel, check_attempt, &attempt),
                 1);
        CHECK(fake_failure_sweep(try_map_linear, undo_create, NULL, &attempt) >= 3);
        delete_pagetable(attempt.space);
        page_release(attempt.page);
        fake_machine_stop();
    }
}

/*
 * The same where the window of tables ends: a new kernel table is needed in the
 * midst of it. Filler tables bring the window to each place around its border.
 */
TEST(virtual_out_of_memory_while_the_window_grows)
{
    for (size_t i = 0; i < FORMATS; i++) {
        attempt_t attempt = { .vaddr = 0x80000000 };
        page_t filler[3];
        uint64_t kernel_tables;
        size_t refused = 0;

        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = formats[i],
                                             .megabytes = 16 });
        attempt.page = page_new(OWNER_ANON);
        attempt.space = create_pagetable();
        kernel_tables = virtual_events.kernel_tables;
        for (size_t k = 0; k < 3; k++) {
            filler[k] = create_pagetable();
            for (uint64_t vaddr = USER_BASE; vaddr < USER_END &&
                 virtual_events.kernel_tables == kernel_tables; vaddr += table_span()) {
                size_t tables = physical_figures()->owner[OWNER_PAGE_TABLE];

                CHECK_EQ(pagetable_map(filler[k], (size_t)vaddr, attempt.page, USER_RW), 0);
                if (tables > (fake_mode() == SECOND_2LEVEL ? 1015 : 500))
                    refused += fake_failure_sweep(try_map, undo_map, check_attempt, &attempt);
            }
        }
        CHECK(virtual_events.kernel_tables > kernel_tables);
        CHECK(refused > 2);
        for (size_t k = 0; k < 3; k++) {
            for (uint64_t vaddr = USER_BASE; vaddr < USER_END; vaddr += table_span())
                (void)pagetable_unmap(filler[k], (size_t)vaddr);
            delete_pagetable(filler[k]);
        }
        delete_pagetable(attempt.space);
        page_release(attempt.page);
        fake_machine_stop();
    }
}

/* The window of top-level tables grows too; each is told of new kernel tables. */
TEST(virtual_directory_window_grows)
{
    enum { MANY = 1100 };
    static page_t space[MANY];

    for (size_t i = 0; i < FORMATS; i++) {
        attempt_t attempt = { 0 };
        page_t page;

        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = formats[i],
                                             .megabytes = 32 });
        page = page_new(OWNER_KERNEL);
        for (size_t k = 0; k < MANY; k++) {
            if ((k & 511) > 505)            /* around the border of a kernel table */
                fake_failure_sweep(try_create, undo_create, NULL, &attempt);
            space[k] = create_pagetable();
            CHECK(space[k] != PAGE_NONE);
        }
        CHECK_EQ(virtual_map_kernel(kernel_place(5), page, KERNEL_RW), 0);
        check_kernel_everywhere(space, MANY, kernel_place(5), page);
        CHECK_OK(pagetable_check());
        CHECK_EQ(virtual_unmap_kernel(kernel_place(5)), page);
        for (size_t k = 0; k < MANY; k++)
            delete_pagetable(space[k]);
        page_release(page);
        fake_machine_stop();
    }
}

/* There are slots for 2,048 top-level tables; the next space is refused. */
TEST(virtual_directory_window_ends)
{
    static page_t space[2048];
    size_t count = 0;

    fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .megabytes = 16 });
    while (count < ARRAY_LENGTH(space) && (space[count] = create_pagetable()) != PAGE_NONE)
        count++;
    CHECK_EQ(count, 2048 - 2);              /* the kernel's own, the linear space */
    CHECK_EQ(create_pagetable(), PAGE_NONE);
    CHECK(physical_figures()->free > 1000);
    CHECK_OK(pagetable_check());
    delete_pagetable(space[--count]);
    space[count] = create_pagetable();
    CHECK(space[count] != PAGE_NONE);
    for (count++; count > 0; )
        delete_pagetable(space[--count]);
    fake_machine_stop();
}

/* Really no memory, not one refusal. */
TEST(virtual_without_any_memory)
{
    static page_t held[4096];

    for (size_t i = 0; i < FORMATS; i++) {
        page_t space;
        size_t count = 0;

        start(i);
        space = create_pagetable();
        while ((held[count] = alloc_physical_page(OWNER_ANON)) != PAGE_NONE)
            count++;
        CHECK_EQ(create_pagetable(), PAGE_NONE);
        CHECK_EQ(pagetable_map(space, 0x40000000, held[0], USER_RW), -ENOMEM);
        CHECK_EQ(virtual_map_kernel(kernel_place(7), held[0], KERNEL_RW), -ENOMEM);
        CHECK_OK(fake_machine_check());
        while (count > 0)
            CHECK_EQ(page_release(held[--count]), 0);
        delete_pagetable(space);
        fake_machine_stop();
    }
}

/* Memory runs out while the kernel's own tables are built: a sentence. */
TEST(virtual_init_without_memory)
{
    for (size_t i = 0; i < FORMATS; i++) {
        const char *trouble;
        size_t n = 0;

        do {
            fake_machine_start(&(fake_config_t){ .level = FAKE_PHYSICAL });
            physical_fail_after(++n);
            trouble = virtual_init(&boot_info, formats[i]);
            physical_fail_after(0);
            CHECK(n < 100);
            CHECK_OK(physical_check());
            fake_machine_abandon();
        } while (trouble != NULL);
        CHECK(n > 4);
    }
}
