/*
 * The linear space: what is in it and how, and that pairs nest.
 */
#include <kernel/layout.h>
#include <kernel/linear.h>
#include <kernel/physical.h>
#include <kernel/virtual.h>
#include <x86/cpu.h>
#include <host_test.h>
#include <fake_machine.h>

#include <string.h>

/*
 * Blocks of 4 MiB:   1       2       3       4       5       6       7
 *                |RRRRRRRR|RRRR----|RRRRNRRR|-RRRRRRR|RRRRRRRr|--------|R
 *                 whole    half     one NVS  hole at  the last         one page
 *                                   page     start    byte is missing
 */
static const boot_region_t blocks[] = {
    { 0x0000000, 0x009f800, BOOT_RAM },
    { 0x0100000, 0x0203123, BOOT_RAM },
    { 0x0300000, 0x0800000, BOOT_RAM },
    { 0x0800000, 0x0a00000, BOOT_RAM },
    { 0x0c00000, 0x1000000, BOOT_RAM },
    { 0x0e80000, 0x0e80001, BOOT_NVS },
    { 0x1000001, 0x1800000 - 1, BOOT_RAM },
    { 0x1c00000, 0x1c01000, BOOT_RAM },
};

static const struct {
    const char *format;
    unsigned lacks;
} processors[] = {
    { "2level", 0 },
    { "2level", FAKE_NO_PSE | FAKE_NO_PGE | FAKE_NO_NX | FAKE_NO_SMEP | FAKE_NO_SMAP },
    { "pae", 0 },
    { "pae", FAKE_NO_NX },
    { "pae", FAKE_NO_PGE },
    { "long", 0 },
};

static fake_config_t config_of(size_t processor, bool ragged)
{
    fake_config_t config = { .level = FAKE_PAGING, .format = processors[processor].format,
                             .lacks = processors[processor].lacks, .megabytes = 24 };

    if (ragged) {
        config.region = blocks;
        config.region_count = ARRAY_LENGTH(blocks);
    }
    return config;
}

#ifdef DEBUG
static const bool is_debug = true;
#else
static const bool is_debug = false;
#endif

/* ---- what is in it */

static bool is_whole_block(page_t base, size_t length)
{
    for (page_t page = base; page < base + length; page += PAGE_SIZE)
        if (!fake_is_ram(page))
            return false;
    return true;
}

static void check_page(page_t page, bool has_nx)
{
    size_t large = fake_mode() == SECOND_2LEVEL ? 4 * MIB : 2 * MIB;
    bool has_large = fake_mode() != SECOND_2LEVEL || second_reader.pse;
    second_view_t view;

    second_reader_read(fake_mode(), linear_space_directory(), page, &view);
    CHECK(!view.broken && !view.reserved);
    CHECK_EQ(view.present, fake_is_ram(page));
    if (!view.present)
        return;
    CHECK_EQ(view.frame, page);
    CHECK(view.write && !view.user && !view.global);
    CHECK_EQ(view.execute, !has_nx);
    CHECK_EQ(view.large, has_large && is_whole_block(page & ~(page_t)(large - 1), large));
}

TEST(linear_space_is_ram_and_nothing_else)
{
    for (size_t i = 0; i < 2 * ARRAY_LENGTH(processors); i++) {
        fake_config_t config = config_of(i / 2, i % 2 != 0);
        bool has_nx = !(config.lacks & FAKE_NO_NX) && strcmp(config.format, "2level") != 0;
        size_t leaves;

        fake_machine_start(&config);
        for (page_t page = LOW_END; page < 40 * MIB; page += PAGE_SIZE)
            check_page(page, has_nx);
        second_reader_count_tables(fake_mode(), linear_space_directory(), 40 * MIB,
                                   LINEAR_END, &leaves);
        CHECK_EQ(leaves, 0);
        fake_machine_stop();
    }
}

/* The last block of the linear space, and what lies behind it. */
TEST(linear_space_ends_at_three_gibibytes)
{
    static const boot_region_t big[] = {
        { 0, 0x9f000, BOOT_RAM },
        { 0x100000, 0x800000, BOOT_RAM },
        { 0xbfc00000, 0xc0200000, BOOT_RAM },
        { 0x100000000, 0x110000000, BOOT_RAM },
    };

    if (sizeof(void *) == 4)
        test_skip("a 32-bit process has no room for 3 GiB of RAM");
    for (size_t i = 0; i < ARRAY_LENGTH(processors); i++) {
        fake_config_t config = config_of(i, false);

        config.region = big;
        config.region_count = ARRAY_LENGTH(big);
        fake_machine_start(&config);
        for (page_t page = 0xbf800000; page < LINEAR_END; page += PAGE_SIZE)
            check_page(page, !(config.lacks & FAKE_NO_NX) &&
                       strcmp(config.format, "2level") != 0);
        fake_machine_stop();
    }
}

/* Kernel addresses mean the same inside; a program's mean nothing. */
TEST(linear_space_keeps_the_kernel_part)
{
    for (size_t i = 0; i < ARRAY_LENGTH(processors); i++) {
        fake_config_t config = config_of(i, true);
        page_t space, page;
        uint32_t word = 0x12345678;

        fake_machine_start(&config);
        space = create_pagetable();
        page = page_new(OWNER_ANON);
        CHECK_EQ(pagetable_map(space, 0x40000000, page,
                               ACCESS_USER | ACCESS_WRITE | ACCESS_NOEXEC), 0);
        CHECK_EQ(virtual_map_kernel(KSPACE_BASE, page, ACCESS_WRITE | ACCESS_NOEXEC), 0);
        switch_pagetable(space);
        CHECK(fake_write(0x40000000, &word, sizeof(word)));
        enter_linear_space();
        CHECK_EQ(*(volatile uint32_t *)KSPACE_BASE, word);
        CHECK(fake_user_access(0x40000000, 0) != 0);
        CHECK_EQ(fake_user_access(page, 0) & FAKE_USER, FAKE_USER);
        CHECK_EQ(fake_kernel_access(page, FAKE_WRITE), -1);
        *(volatile uint32_t *)physical_ptr(page) = 77;
        leave_linear_space();
        CHECK_EQ(*(volatile uint32_t *)KSPACE_BASE, 77);
        CHECK(fake_read(0x40000000, &word, sizeof(word)));
        CHECK_EQ(word, 77);
        switch_pagetable(kernel_pagetable());
        CHECK_EQ(pagetable_unmap(space, 0x40000000), page);
        CHECK_EQ(virtual_unmap_kernel(KSPACE_BASE), page);
        CHECK_EQ(page_release(page), 0);
        delete_pagetable(space);
        fake_machine_stop();
    }
}

static void touch_ram(void *page)
{
    *(volatile uint8_t *)cpu_physical_address(*(page_t *)page);
}

/* RAM is not there outside: neither for the kernel nor for a program. */
TEST(linear_space_is_not_there_outside)
{
    fake_config_t config = config_of(0, true);
    page_t page = 0x500000;
    page_t space;
    size_t address;

    fake_machine_start(&config);
    space = create_pagetable();
    switch_pagetable(space);
    enter_linear_space();
    touch_ram(&page);
    leave_linear_space();
    CHECK(fake_expect_fault(touch_ram, &page, &address));
    CHECK_EQ(address, page);
    CHECK_EQ(fake_kernel_access(page, 0), 0);
    switch_pagetable(kernel_pagetable());
    CHECK(fake_expect_fault(touch_ram, &page, NULL));
    delete_pagetable(space);
    fake_machine_stop();
}

static void ask_for_pointer(void *page)
{
    (void)physical_ptr(*(page_t *)page);
}

TEST(linear_space_pointers_are_refused_outside)
{
    fake_config_t config = config_of(0, true);
    page_t page = 0x500000;

    if (!is_debug)
        test_skip("only debug builds check it");
    fake_machine_start(&config);
    CHECK(test_expect_panic(ask_for_pointer, &page, NULL, 0));
    enter_linear_space();
    CHECK(physical_ptr(page) == cpu_physical_address(page));
    leave_linear_space();
    fake_machine_stop();
}

/* ---- nesting */

/* One step: what is done, and what must hold then. */
typedef struct nesting {
    char step;              /* '(' enter, ')' leave */
    size_t depth;
    size_t loads;           /* CR3 loads so far */
    bool inside;
} nesting_t;

TEST(linear_space_pairs_nest)
{
    static const nesting_t steps[] = {
        { '(', 1, 1, true }, { '(', 2, 1, true }, { '(', 3, 1, true },
        { ')', 2, 1, true }, { ')', 1, 1, true }, { ')', 0, 2, false },
        { '(', 1, 3, true }, { ')', 0, 4, false },
        { '(', 1, 5, true }, { '(', 2, 5, true }, { ')', 1, 5, true },
        { '(', 2, 5, true }, { ')', 1, 5, true }, { ')', 0, 6, false },
    };

    for (size_t i = 0; i < ARRAY_LENGTH(processors); i++) {
        fake_config_t config = config_of(i, false);
        page_t space;

        fake_machine_start(&config);
        space = create_pagetable();
        switch_pagetable(space);
        fake_reset_events();
        CHECK(!linear_space_is_on());
        for (size_t k = 0; k < ARRAY_LENGTH(steps); k++) {
            if (steps[k].step == '(')
                enter_linear_space();
            else
                leave_linear_space();
            CHECK_EQ(linear_space_depth(), steps[k].depth);
            CHECK_EQ(linear_space_is_on(), steps[k].inside);
            CHECK_EQ(fake_events.cr3_loads, steps[k].loads);
            CHECK_EQ(fake_cr3(), steps[k].inside ? linear_space_directory() : space);
            CHECK_EQ(current_pagetable(), fake_cr3());
        }
        CHECK_EQ(fake_events.full_flushes, 0);
        switch_pagetable(kernel_pagetable());
        delete_pagetable(space);
        fake_machine_stop();
    }
}

TEST(linear_space_before_paging_only_counts)
{
    fake_machine_start(&(fake_config_t){ .level = FAKE_TABLES });
    CHECK(linear_space_is_on());
    enter_linear_space();
    enter_linear_space();
    CHECK_EQ(linear_space_depth(), 2);
    leave_linear_space();
    leave_linear_space();
    CHECK(linear_space_is_on());
    CHECK_EQ(fake_events.cr3_loads, 0);
    fake_machine_stop();
}

/* While it is the current space itself, as right after boot, nothing is switched. */
TEST(linear_space_inside_itself)
{
    fake_config_t config = config_of(0, false);

    fake_machine_start(&config);
    switch_pagetable(linear_space_directory());
    fake_reset_events();
    CHECK(linear_space_is_on());
    enter_linear_space();
    leave_linear_space();
    CHECK(linear_space_is_on());
    CHECK_EQ(fake_events.cr3_loads, 0);
    switch_pagetable(kernel_pagetable());
    CHECK(!linear_space_is_on());
    fake_machine_stop();
}

static void leave(void *times)
{
    for (size_t i = *(size_t *)times; i > 0; i--)
        leave_linear_space();
}

TEST(linear_space_leave_without_enter_is_an_assertion)
{
    for (size_t level = FAKE_TABLES; level <= FAKE_PAGING; level++) {
        size_t times = 1;

        fake_machine_start(&(fake_config_t){ .level = (fake_level_t)level });
        CHECK(test_expect_panic(leave, &times, NULL, 0));
        fake_machine_abandon();
        fake_machine_start(&(fake_config_t){ .level = (fake_level_t)level });
        enter_linear_space();
        enter_linear_space();
        times = 3;
        CHECK(test_expect_panic(leave, &times, NULL, 0));
        fake_machine_abandon();
    }
}

/* A switch to another task happens inside: its space is not the one to return to. */
TEST(linear_space_drop_forgets_open_pairs)
{
    page_t one, two;

    fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING });
    one = create_pagetable();
    two = create_pagetable();
    switch_pagetable(one);
    enter_linear_space();
    enter_linear_space();
    linear_space_drop();
    CHECK_EQ(linear_space_depth(), 0);
    switch_pagetable(two);
    CHECK(!linear_space_is_on());
    enter_linear_space();
    CHECK(linear_space_is_on());
    leave_linear_space();
    CHECK_EQ(fake_cr3(), two);
    linear_space_drop();                /* nothing is open: nothing to forget */
    CHECK_EQ(linear_space_depth(), 0);
    CHECK_EQ(fake_cr3(), two);
    switch_pagetable(kernel_pagetable());
    delete_pagetable(one);
    delete_pagetable(two);
    fake_machine_stop();
}

/* Memory runs out while it is built: a sentence. */
TEST(linear_space_without_memory)
{
    size_t n = 0;
    const char *trouble;

    do {
        fake_machine_start(&(fake_config_t){ .level = FAKE_PHYSICAL, .region = blocks,
                                             .region_count = ARRAY_LENGTH(blocks) });
        CHECK_OK(virtual_init(&boot_info, "pae"));
        physical_fail_after(++n);
        trouble = init_linear_space(&boot_info);
        physical_fail_after(0);
        CHECK(n < 100);
        CHECK_OK(physical_check());
        fake_machine_abandon();
    } while (trouble != NULL);
    CHECK(n > 3);
}

/* One CPU load of pages costs two CR3 loads, however many are touched. */
TEST(linear_space_touches_all_of_ram_in_one_visit)
{
    for (size_t i = 0; i < ARRAY_LENGTH(processors); i++) {
        fake_config_t config = config_of(i, true);

        fake_machine_start(&config);
        fake_reset_events();
        enter_linear_space();
        for (page_t page = 0x120000; page < fake_ram_bytes(); page += PAGE_SIZE)
            if (fake_is_ram(page))
                (void)*(volatile uint8_t *)physical_ptr(page);
        leave_linear_space();
        CHECK_EQ(fake_events.cr3_loads, 2);
        CHECK_EQ(fake_events.faults, 0);
        fake_machine_stop();
    }
}
