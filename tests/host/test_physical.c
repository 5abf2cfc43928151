/*
 * Physical pages: every page exactly once, figures, references, and what happens
 * when there is none; before paging and after. Other files have misuse, the order
 * in which pages go out, runs, and a model.
 */
#include "physical_cases.h"

#define COUNT_STUCK  65535

/* ---- every page once */

TEST(physical_hands_out_every_page_once)
{
    for (size_t i = 0; i < SHAPE_COUNT; i++) {
        size_t usable = 0;

        cases_start(&shapes[i]);
        check_figures();
        for (page_t page = 0; page < fake_ram_bytes(); page += PAGE_SIZE)
            usable += is_usable(page);
        CHECK_EQ(physical_figures()->free, usable - physical_figures()->owner[OWNER_PAGE_TABLE] -
                 physical_figures()->owner[OWNER_KERNEL_TABLE]);
        take_and_free_all();        /* as boot left them */
        take_and_free_all();        /* as the frees did */
        fake_machine_stop();
    }
}

TEST(physical_heap_bounds_enclose_every_free_page)
{
    for (size_t i = 0; i < SHAPE_COUNT; i++) {
        page_t lowest = (page_t)-1;
        page_t highest = 0;

        if (shapes[i].level != FAKE_PHYSICAL)
            continue;
        cases_start(&shapes[i]);
        for (page_t page = 0; page < fake_ram_bytes(); page += PAGE_SIZE) {
            if (!is_usable(page))
                continue;
            lowest = page < lowest ? page : lowest;
            highest = page + PAGE_SIZE;
        }
        CHECK_EQ(physical_figures()->physical_heap_start, lowest);
        CHECK_EQ(physical_figures()->physical_heap_end, highest);
        fake_machine_stop();
    }
}

/* ---- boot */

TEST(physical_reserves_the_frame_table)
{
    size_t length;
    page_t table;

    cases_start(&shapes[LARGER_PC]);
    length = physical_frame_table_length();
    table = physical_frame_table();
    CHECK_EQ(length % PAGE_SIZE, 0);
    CHECK_EQ(physical_frame_count, fake_ram_bytes() / PAGE_SIZE);
    CHECK_EQ(sizeof(frame_t), 6);
    CHECK(length >= physical_frame_count * sizeof(frame_t));
    CHECK_EQ(physical_figures()->owner[OWNER_FRAME_TABLE], length / PAGE_SIZE);
    for (page_t page = table; page < table + length; page += PAGE_SIZE)
        CHECK_EQ(physical_frame(page)->owner, OWNER_FRAME_TABLE);
    CHECK(memcmp(fake_ram(table), physical_frames, length) == 0);
    fake_machine_stop();
}

/*
 * Boot costs a step for each region, not for each page: only chunks at the ragged
 * ends of a region have markers, up to 9 at each; what is whole stays as it was.
 */
TEST(physical_boot_touches_no_whole_block)
{
    enum { PIECES = 5 };        /* below the image, and around image and frame table */

    cases_start(&(fake_config_t){ .level = FAKE_PHYSICAL, .megabytes = 64 });
    for (int round = 0; round < 2; round++) {
        size_t chunks = 0, touched = 0, blocks = 0;

        for (size_t number = 0, length; number < physical_frame_count; number += length) {
            length = unit_at(number);
            chunks += length < PAGES_OF_BLOCK && chunk_at(number) >= 0;
            blocks += chunk_at(number) == WHOLE;
            for (size_t i = 0; i < length; i++)
                touched += physical_frames[number + i].state == FRAME_FREE;
        }
        CHECK(blocks >= 28);
        if (round == 1) {
            CHECK(touched > 10000);         /* all of it has been out */
            break;
        }
        CHECK(chunks <= PIECES * 2 * WHOLE);
        CHECK_EQ(touched, chunks);          /* each chunk's first page and no other */
        take_and_free_all();
        empty_magazine();
    }
    fake_machine_stop();
}

TEST(physical_of_a_machine_with_three_gibibytes)
{
    static const boot_region_t big[] = {
        { 0, 0x9f000, BOOT_RAM },
        { 0x100000, 0xbfff0000, BOOT_RAM },
        { 0xbfff0000, 0xc0000000, BOOT_ACPI },
        { 0x100000000, 0x140000000, BOOT_RAM },
    };
    fake_config_t config = { .level = FAKE_PAGING, .region = big,
                             .region_count = ARRAY_LENGTH(big) };
    size_t before;

    if (sizeof(void *) == 4)
        test_skip("a 32-bit process has no room for 3 GiB of RAM");
    fake_machine_start(&config);
    CHECK_EQ(physical_figures()->unmanaged, 0x40000000 / PAGE_SIZE);
    CHECK_EQ(physical_figures()->total, (0xbfff0000 - 0x100000 + 0x9f000) / PAGE_SIZE);
    before = physical_figures()->free;
    for (size_t i = 0; i < 1000; i++)
        CHECK(page_new(OWNER_ANON) >= 16 * MIB);
    CHECK_EQ(physical_figures()->free, before - 1000);
    CHECK_OK(physical_check());
    fake_machine_set_baseline();
    fake_machine_stop();
}

/* RAM above the linear space is counted and never used. */
TEST(physical_counts_what_it_cannot_manage)
{
    static const boot_region_t high[] = {
        { 0x00000000, 0x0009f000, BOOT_RAM },
        { 0x00100000, 0x00500000, BOOT_RAM },
        { 0xc0000000, 0xc0400000, BOOT_RAM },
        { 0x100000000, 0x180000fff, BOOT_RAM },
    };
    fake_config_t config = { .level = FAKE_PAGING, .region = high,
                             .region_count = ARRAY_LENGTH(high) };

    config.reserved = &(boot_reserved_t){ 0xc0100000, 0xc0200000, "up there", OWNER_BOOT };
    config.reserved_count = 1;
    cases_start(&config);
    CHECK_EQ(physical_figures()->owner[OWNER_BOOT], 0);
    CHECK_EQ(physical_figures()->unmanaged, (0x400000u + 0x80000000u) / PAGE_SIZE);
    check_figures();
    check_log_lines(1);
    take_and_free_all();
    fake_machine_stop();
}

TEST(physical_refuses_a_machine_without_room)
{
    static const boot_region_t nothing[] = { { 0, 0x9f000, BOOT_RAM },
                                             { 0x100000, 0x120000, BOOT_RAM } };
    fake_config_t config = { .level = FAKE_PHYSICAL, .region = nothing,
                             .region_count = ARRAY_LENGTH(nothing) };

    /* All but the memory for the frame table is in use. */
    config.reserved = &(boot_reserved_t){ PAGE_SIZE, 0x9f000, "all of it", OWNER_BOOT };
    config.reserved_count = 1;
    CHECK_STR(fake_machine_try_start(&config),
              "there is not enough free memory for the frame table");
    fake_machine_abandon();
}

/* RAM that is in the map twice, which boot_info_find_ram never leaves so. */
TEST(physical_refuses_a_map_that_does_not_add_up)
{
    fake_machine_start(&(fake_config_t){ .level = FAKE_BOOT_INFO });
    boot_info.ram[boot_info.ram_count] = boot_info.ram[boot_info.ram_count - 1];
    boot_info.ram_count++;
    CHECK_STR(physical_init(&boot_info), "the memory map cannot be counted");
    fake_machine_abandon();
}

/* From nothing upwards: a sentence or a machine that works, never a panic. */
TEST(physical_starts_or_refuses_at_any_size)
{
    static const char *const formats[] = { "2level", "pae", "long" };
    boot_region_t little[] = { { 0, 0x9f000, BOOT_RAM }, { 0x100000, 0, BOOT_RAM } };
    size_t refused = 0;

    for (size_t i = 0; i < 3; i++) {
        fake_config_t config = { .level = FAKE_PAGING, .format = formats[i],
                                 .region = little, .region_count = 2 };
        bool started = false;

        for (size_t pages = 0; pages < 64; pages++) {
            const char *trouble;

            little[1].end = FAKE_IMAGE_END + pages * PAGE_SIZE;
            trouble = fake_machine_try_start(&config);
            if (trouble == NULL)
                fake_machine_stop();
            else
                fake_machine_abandon();
            CHECK(trouble == NULL || !started);     /* more memory is never worse */
            started = started || trouble == NULL;
            refused += trouble != NULL;
        }
        CHECK(started);
    }
    CHECK(refused >= 3);
}

/* ---- owners */

TEST(physical_accounts_for_owners)
{
    size_t expected[OWNER_COUNT];

    cases_start(&shapes[PAGED_PC]);
    memcpy(expected, physical_figures()->owner, sizeof(expected));
    for (frame_owner_t owner = OWNER_BOOT; owner < OWNER_COUNT; owner++) {
        page_t page = alloc_physical_page(owner);
        page_t run = page_range(3, PAGE_SIZE, 0, owner);

        CHECK(frame_owner_name(owner)[0] != '\0');
        hold(page);
        hold_run(run, 3, PAGE_SIZE, 0);
        expected[owner] += 4;
        expected[OWNER_NONE] -= 4;
        CHECK_EQ(physical_frame(page)->owner, owner);
        CHECK_EQ(physical_frame(run)->owner, owner);
        CHECK(memcmp(expected, physical_figures()->owner, sizeof(expected)) == 0);
        physical_set_owner(page, OWNER_CACHE);
        expected[owner]--;
        expected[OWNER_CACHE]++;
        CHECK(memcmp(expected, physical_figures()->owner, sizeof(expected)) == 0);
        CHECK_OK(physical_check());
    }
    CHECK_STR(frame_owner_name(OWNER_COUNT), "?");
    free_all_in_any_order();
    fake_machine_stop();
}

TEST(physical_log_has_a_line_for_each_owner)
{
    cases_start(&shapes[PAGED_PC]);
    check_log_lines(0);
    fake_machine_stop();
}

/* ---- references */

TEST(physical_references_in_any_order)
{
    cases_start(&shapes[PAGED_PC]);
    for (size_t round = 0; round < 200; round++) {
        size_t free = physical_figures()->free;
        page_t page = page_new(OWNER_ANON);
        size_t count = 1;

        /* 1 .. up .. down .. 0, as it comes */
        while (count > 0) {
            CHECK_EQ(page_count(page), count);
            CHECK_EQ(physical_figures()->free, free - 1);
            if (count < 50 && test_random_below(100) < 45) {
                page_hold(page);
                count++;
            } else {
                CHECK_EQ(page_release(page), --count);
            }
        }
        CHECK_EQ(page_count(page), 0);
        CHECK_EQ(physical_figures()->free, free);
    }
    CHECK_OK(physical_check());
    fake_machine_stop();
}

TEST(physical_count_stops_at_its_limit)
{
    page_t page;

    cases_start(&shapes[PC]);
    page = page_new(OWNER_ANON);
    for (size_t i = 1; i < COUNT_STUCK; i++)
        page_hold(page);
    CHECK_EQ(page_count(page), COUNT_STUCK);
    page_hold(page);
    CHECK_EQ(page_count(page), COUNT_STUCK);
    for (size_t i = 0; i < COUNT_STUCK + 10; i++)
        CHECK_EQ(page_release(page), COUNT_STUCK);
    CHECK_EQ(physical_frame(page)->state, FRAME_USED);
    CHECK_OK(physical_check());
    fake_machine_set_baseline();        /* lost for good, as the contract says */
    fake_machine_stop();
}

/* free_physical_page does not ask how many share the page. */
TEST(physical_free_whatever_the_count)
{
    page_t page;

    cases_start(&shapes[PC]);
    page = page_new(OWNER_ANON);
    page_hold(page);
    page_hold(page);
    CHECK_EQ(free_physical_page(page), 0);
    CHECK_EQ(page_count(page), 0);
    fake_machine_stop();
}

/* ---- failure */

TEST(physical_fail_after_fails_once)
{
    cases_start(&shapes[PC]);
    for (size_t n = 1; n < 100; n += 7) {
        uint64_t failures = physical_figures()->failures;

        physical_fail_after(n);
        for (size_t i = 1; i < n; i++) {
            hold(i % 2 != 0 ? alloc_physical_page(OWNER_ANON)
                            : page_range(1, PAGE_SIZE, 0, OWNER_ANON));
            if (i % 3 == 0)         /* what is freed does not serve the next for nothing */
                CHECK_EQ(free_physical_page(give_at(page_total - 1)), 0);
        }
        CHECK_EQ(n % 2 != 0 ? page_new(OWNER_ANON)
                            : page_range(1, PAGE_SIZE, 0, OWNER_ANON), PAGE_NONE);
        CHECK_EQ(physical_figures()->failures, failures + 1);
        hold(alloc_physical_page(OWNER_ANON));
    }
    physical_fail_after(1);
    physical_fail_after(0);
    hold(alloc_physical_page(OWNER_ANON));
    free_all_in_any_order();
    fake_machine_stop();
}

static struct {
    size_t calls;
    size_t wanted;
    size_t give;            /* how many pages it has to give */
    size_t says;            /* so many more, which it has not */
    bool allocates;
} reclaimer;

static size_t reclaim(size_t wanted)
{
    size_t given = 0;

    reclaimer.calls++;
    reclaimer.wanted = wanted;
    if (reclaimer.allocates)            /* must fail, not ask again */
        CHECK_EQ(alloc_physical_page(OWNER_ANON), PAGE_NONE);
    for (; reclaimer.give > 0; reclaimer.give--, given++)
        CHECK_EQ(free_physical_page(give_at(page_total - 1)), 0);
    return given + reclaimer.says;
}

TEST(physical_asks_for_pages_once_before_it_fails)
{
    for (size_t i = 0; i < 2; i++) {
        cases_start(&shapes[i == 0 ? PC : PAGED_PC]);
        memset(&reclaimer, 0, sizeof(reclaimer));
        hold_all();
        physical_set_reclaim(reclaim);
        CHECK_EQ(alloc_physical_page(OWNER_ANON), PAGE_NONE);
        CHECK_EQ(reclaimer.calls, 1);
        CHECK_EQ(reclaimer.wanted, 1);
        reclaimer.give = 3;
        for (size_t n = 0; n < 3; n++)
            hold(alloc_physical_page(OWNER_ANON));
        CHECK_EQ(reclaimer.calls, 2);
        reclaimer.says = 5;
        CHECK_EQ(alloc_physical_page(OWNER_ANON), PAGE_NONE);
        CHECK_EQ(page_range(2, PAGE_SIZE, 0, OWNER_ANON), PAGE_NONE);
        CHECK_EQ(reclaimer.wanted, 2);
        reclaimer.says = 0;
        reclaimer.calls = 2;
        reclaimer.allocates = true;
        CHECK_EQ(alloc_physical_page(OWNER_ANON), PAGE_NONE);
        CHECK_EQ(reclaimer.calls, 3);
        reclaimer.give = 200;
        hold(alloc_physical_page(OWNER_ANON));
        CHECK_EQ(reclaimer.calls, 4);
        physical_set_reclaim(NULL);
        CHECK_OK(physical_check());
        free_all_in_any_order();
        fake_machine_stop();
    }
}

/* ---- the magazine */

TEST(physical_visits_the_linear_space_in_batches)
{
    enum { SOME = 200 };
    size_t pages;
    size_t loads;

    cases_start(&shapes[PAGED_PC]);
    take_and_free_all();        /* chunks of all sizes come and go */
    pages = physical_figures()->free;
    fake_reset_events();
    while (page_total < pages) {
        page_at[page_total] = alloc_physical_page(OWNER_ANON);
        page_total++;
    }
    CHECK(fake_events.cr3_loads * 32 <= pages * 2);
    loads = fake_events.cr3_loads;
    while (page_total > 0)
        CHECK_EQ(free_physical_page(page_at[--page_total]), 0);
    CHECK((fake_events.cr3_loads - loads) * 32 <= pages * 2);
    /* Back and forth over a full or empty magazine is no ping-pong. */
    for (size_t i = 0; i < SOME; i++)
        page_at[i] = alloc_physical_page(OWNER_ANON);
    fake_reset_events();
    for (size_t i = 0; i < 10 * SOME; i++) {
        free_physical_page(page_at[i % SOME]);
        page_at[i % SOME] = alloc_physical_page(OWNER_ANON);
    }
    CHECK(fake_events.cr3_loads <= 4);
    for (size_t i = 0; i < SOME; i++)
        free_physical_page(page_at[i]);
    fake_machine_stop();
}

/* Pages and runs that were free in the processor's hands when the table moved. */
TEST(physical_moves_its_frame_table)
{
    page_t page, run;

    cases_start(&(fake_config_t){ .level = FAKE_TABLES });
    page = alloc_physical_page(OWNER_ANON);
    run = page_range(4, 4 * PAGE_SIZE, 0, OWNER_ANON);
    CHECK_EQ(free_physical_page(page), 0);
    CHECK_EQ(page_range_free(run, 4), 0);
    CHECK_EQ(physical_figures()->kept, 4);
    enable_linear_space();
    physical_move_frame_table();
    CHECK((size_t)physical_frames == FRAME_TABLE_BASE);
    check_figures();
    CHECK_EQ(page_range(4, 4 * PAGE_SIZE, 0, OWNER_ANON), run);
    CHECK_EQ(alloc_physical_page(OWNER_ANON), page);
    CHECK_EQ(page_range_free(run, 4), 0);
    CHECK_EQ(free_physical_page(page), 0);
    take_and_free_all();
    fake_machine_stop();
}
