/*
 * Physical pages: every page exactly once, every misuse noticed, every figure
 * recounted, before paging and after.
 */
#include <kernel/boot_info.h>
#include <kernel/errno.h>
#include <kernel/layout.h>
#include <kernel/linear.h>
#include <kernel/physical.h>
#include <kernel/printk.h>
#include <host_test.h>
#include <fake_machine.h>

#include <stdlib.h>
#include <string.h>

#define FRAMES_MAX   (64u * MIB / PAGE_SIZE)
#define COUNT_STUCK  65535

/* RAM with holes, unaligned ends, overlaps, and a last page in a block of its own. */
static const boot_region_t ragged[] = {
    { 0x00000000, 0x0009f800, BOOT_RAM },
    { 0x00100000, 0x00203123, BOOT_RAM },
    { 0x00203124, 0x00280000, BOOT_RAM },
    { 0x00270000, 0x00300001, BOOT_RAM },
    { 0x002a0ff0, 0x002a1010, BOOT_NVS },
    { 0x00340800, 0x00440000, BOOT_RAM },
    { 0x00600000, 0x00602000, BOOT_RAM },
    { 0x007ff000, 0x00a00fff, BOOT_RAM },
    { 0x00c00000, 0x00c01000, BOOT_RAM },
};

static const boot_reserved_t taken[] = {
    { 0x00130010, 0x00130020, "a few bytes", OWNER_BOOT },
    { 0x001fffff, 0x00202001, "across a block", OWNER_BOOT },
    { 0x00350000, 0x00350000, "nothing", OWNER_BOOT },
    { 0x00500000, 0x00700000, "mostly no RAM", OWNER_BOOT },
    { 0x00118000, 0x00131000, "over the image and the few bytes", OWNER_KERNEL },
};

static const fake_config_t shapes[] = {
    { .level = FAKE_PHYSICAL },
    { .level = FAKE_PHYSICAL, .megabytes = 24 },
    { .level = FAKE_PHYSICAL, .region = ragged, .region_count = ARRAY_LENGTH(ragged),
      .reserved = taken, .reserved_count = ARRAY_LENGTH(taken) },
    { .level = FAKE_PAGING, .format = "2level" },
    { .level = FAKE_PAGING, .format = "pae", .megabytes = 24 },
    { .level = FAKE_PAGING, .format = "long" },
    { .level = FAKE_PAGING, .format = "2level", .region = ragged,
      .region_count = ARRAY_LENGTH(ragged), .reserved = taken,
      .reserved_count = ARRAY_LENGTH(taken) },
    { .level = FAKE_PAGING, .format = "2level", .lacks = FAKE_NO_PSE | FAKE_NO_PGE },
};

static page_t page_at[FRAMES_MAX];      /* what a test holds */
static size_t page_total;
static bool is_held[FRAMES_MAX];

static void start(const fake_config_t *config)
{
    fake_machine_start(config);
    page_total = 0;
    memset(is_held, 0, sizeof(is_held));
}

/* Whether the page could ever be handed out, by the machine's map alone. */
static bool is_usable(page_t page)
{
    if (page >= fake_ram_bytes() || !fake_is_ram(page))
        return false;
    for (size_t i = 0; i < boot_info.reserved_count; i++) {
        const boot_reserved_t *reserved = &boot_info.reserved[i];

        if (reserved->base < reserved->end && reserved->base < (uint64_t)page + PAGE_SIZE &&
            page < reserved->end)
            return false;
    }
    return true;
}

/* Take note of a page that was handed out; scribble over it. */
static void hold(page_t page)
{
    CHECK(page != PAGE_NONE && (page & PAGE_MASK) == 0);
    CHECK(is_usable(page));
    CHECK(!is_held[page >> PAGE_SHIFT]);
    is_held[page >> PAGE_SHIFT] = true;
    page_at[page_total++] = page;
    memset(fake_ram(page), (int)test_random(), PAGE_SIZE);
}

static page_t give_at(size_t index)
{
    page_t page = page_at[index];

    page_at[index] = page_at[--page_total];
    is_held[page >> PAGE_SHIFT] = false;
    return page;
}

static void free_all_in_any_order(void)
{
    while (page_total > 0)
        CHECK_EQ(free_physical_page(give_at(test_random_below(page_total))), 0);
}

/* ---- the figures, counted again from the frame table */

/* Each list both ways: every page's neighbours point back, one head a block. */
static void check_markers(void)
{
    static unsigned heads[FRAMES_MAX * PAGE_SIZE / (2 * MIB)];
    static unsigned listed[ARRAY_LENGTH(heads)];
    uint32_t check = 0;
    bool known = false;

    memset(heads, 0, sizeof(heads));
    memset(listed, 0, sizeof(listed));
    for (size_t number = 0; number < physical_frame_count; number++) {
        const free_page_marker_t *marker;
        page_t page = (page_t)number << PAGE_SHIFT;

        if (physical_frames[number].state != FRAME_FREE)
            continue;
        marker = fake_ram(page);
        CHECK(!known || check == (marker->check ^ (uint32_t)number));
        check = marker->check ^ (uint32_t)number;
        known = true;
        listed[number >> 9]++;
        heads[number >> 9] += marker->prev == PAGE_NONE;
        if (marker->prev != PAGE_NONE) {
            CHECK_EQ(((free_page_marker_t *)fake_ram(marker->prev))->next, page);
            CHECK_EQ(marker->prev >> 21, page >> 21);
        }
        if (marker->next != PAGE_NONE) {
            CHECK_EQ(((free_page_marker_t *)fake_ram(marker->next))->prev, page);
            CHECK_EQ(marker->next >> 21, page >> 21);
            CHECK_EQ(physical_frames[marker->next >> PAGE_SHIFT].state, FRAME_FREE);
        }
    }
    for (size_t i = 0; i < ARRAY_LENGTH(heads); i++)
        CHECK_EQ(heads[i], listed[i] > 0);
}

/* Free pages are all usable ones that are not used; so many are low. */
static void check_figures(void)
{
    const physical_mem_info_t *info = physical_figures();
    size_t owner[OWNER_COUNT] = { 0 };
    size_t used = 0, reserved = 0, magazine = 0, usable = 0, low = 0, ram = 0;

    for (size_t number = 0; number < physical_frame_count; number++) {
        const frame_t *frame = &physical_frames[number];
        page_t page = (page_t)number << PAGE_SHIFT;
        bool may_be_free = is_usable(page);

        ram += page < fake_ram_bytes() && fake_is_ram(page);
        usable += may_be_free;
        used += frame->state == FRAME_USED;
        reserved += frame->state == FRAME_RESERVED;
        magazine += frame->state == FRAME_MAGAZINE;
        if (frame->state == FRAME_USED || frame->state == FRAME_RESERVED)
            owner[frame->owner]++;
        if (frame->state != FRAME_ABSENT && frame->state != FRAME_RESERVED)
            CHECK(may_be_free);
        low += may_be_free && frame->state != FRAME_USED && page < 16 * MIB;
        if (frame->state == FRAME_RESERVED)
            CHECK(!may_be_free);
    }
    owner[OWNER_NONE] = usable - used;
    CHECK_EQ(info->total, ram);
    CHECK_EQ(info->used, used);
    CHECK_EQ(info->free, usable - used);
    CHECK_EQ(info->reserved, reserved);
    CHECK_EQ(info->reserved, ram - usable);
    CHECK_EQ(info->magazine, magazine);
    CHECK_EQ(info->low_free, low);
    for (size_t i = 0; i < OWNER_COUNT; i++)
        CHECK_EQ(info->owner[i], owner[i]);
    CHECK_OK(physical_check());
    check_markers();
}

static size_t log_lines;

static void count_lines(const char *text, size_t length)
{
    while (length-- > 0)
        log_lines += *text++ == '\n';
}

/* `frames`: a line of sums, one for each owner that has any, and `more`. */
static void check_log_lines(size_t more)
{
    printk_output_t *output = printk_set_output(count_lines);
    size_t owners = 0;

    for (size_t i = 0; i < OWNER_COUNT; i++)
        owners += physical_figures()->owner[i] != 0;
    log_lines = 0;
    physical_log();
    printk_set_output(output);
    CHECK_EQ(log_lines, 1 + owners + more);
}

/* ---- every page once */

static void take_and_free_all(void)
{
    size_t free = physical_figures()->free;
    uint64_t failures = physical_figures()->failures;
    page_t page;

    while ((page = alloc_physical_page(OWNER_ANON)) != PAGE_NONE)
        hold(page);
    CHECK_EQ(page_total, free);
    CHECK_EQ(physical_figures()->free, 0);
    CHECK_EQ(physical_figures()->failures, failures + 1);
    CHECK_EQ(alloc_physical_page(OWNER_ANON), PAGE_NONE);
    CHECK_EQ(page_new(OWNER_ANON), PAGE_NONE);
    CHECK_EQ(physical_alloc_run(1, PAGE_SIZE, 0, OWNER_ANON), PAGE_NONE);
    check_figures();
    free_all_in_any_order();
    CHECK_EQ(physical_figures()->free, free);
    check_figures();
}

TEST(physical_hands_out_every_page_once)
{
    for (size_t i = 0; i < ARRAY_LENGTH(shapes); i++) {
        size_t usable = 0;

        start(&shapes[i]);
        check_figures();
        for (page_t page = 0; page < fake_ram_bytes(); page += PAGE_SIZE)
            usable += is_usable(page);
        CHECK_EQ(physical_figures()->free, usable - physical_figures()->owner[OWNER_PAGE_TABLE] -
                 physical_figures()->owner[OWNER_KERNEL_TABLE]);
        take_and_free_all();        /* from the intervals */
        take_and_free_all();        /* from the lists */
        fake_machine_stop();
    }
}

TEST(physical_heap_bounds_enclose_every_free_page)
{
    for (size_t i = 0; i < ARRAY_LENGTH(shapes); i++) {
        page_t lowest = (page_t)-1;
        page_t highest = 0;

        if (shapes[i].level != FAKE_PHYSICAL)
            continue;
        start(&shapes[i]);
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

TEST(physical_reserves_the_frame_table)
{
    size_t length;

    start(&shapes[1]);
    length = physical_frame_table_length();
    CHECK_EQ(physical_frame_count, fake_ram_bytes() / PAGE_SIZE);
    CHECK_EQ(sizeof(frame_t), 6);
    CHECK_EQ(physical_figures()->owner[OWNER_FRAME_TABLE], (length + PAGE_MASK) / PAGE_SIZE);
    fake_machine_stop();
}

/*
 * Boot costs a step a region, not a page: markers are written only in blocks that
 * have more than one stretch of free pages.
 */
TEST(physical_boot_threads_no_whole_block)
{
    start(&shapes[1]);
    for (page_t block = 0; block < fake_ram_bytes(); block += 2 * MIB) {
        size_t usable = 0, threaded = 0;

        for (page_t page = block; page < block + 2 * MIB && page < fake_ram_bytes();
             page += PAGE_SIZE) {
            usable += is_usable(page);
            threaded += physical_frame(page)->state == FRAME_FREE;
        }
        CHECK(threaded == 0 || (usable < 512 && block < 2 * MIB));
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

    start(&config);
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

    CHECK(fake_machine_try_start(&config) != NULL);
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

/* ---- misuse */

enum misused { FREE, RELEASE, HOLD };

static void misuse_once(enum misused call, page_t page)
{
    physical_mem_info_t info = *physical_figures();
    size_t bytes = physical_frame_table_length();
    frame_t *frames = malloc(bytes);
    size_t reports = host_misuse_count();
    char address[24];

    memcpy(frames, physical_frames, bytes);
    if (call == FREE)
        CHECK_EQ(free_physical_page(page), -EINVAL);
    else if (call == RELEASE)
        CHECK_EQ(page_release(page), -EINVAL);
    else
        page_hold(page);
    CHECK_EQ(host_misuse_count(), reports + 1);
    format_text(address, sizeof(address), "%zx", page);
    CHECK(strstr(host_misuse_last(), address) != NULL);
    CHECK(memcmp(&info, physical_figures(), sizeof(info)) == 0);
    CHECK(memcmp(frames, physical_frames, bytes) == 0);
    CHECK_OK(physical_check());
    free(frames);
}

TEST(physical_reports_every_misuse_and_changes_nothing)
{
    for (size_t i = 0; i < ARRAY_LENGTH(shapes); i++) {
        page_t used, in_magazine, in_list, table = PAGE_NONE;

        start(&shapes[i]);
        used = alloc_physical_page(OWNER_ANON);
        in_magazine = alloc_physical_page(OWNER_ANON);
        CHECK_EQ(free_physical_page(in_magazine), 0);
        CHECK_EQ(physical_frame(in_magazine)->state, FRAME_MAGAZINE);
        in_list = alloc_physical_page(OWNER_ANON);
        CHECK_EQ(free_physical_page(in_list), 0);
        /* A run that cannot be had empties the magazine. */
        CHECK_EQ(physical_alloc_run(FRAMES_MAX, PAGE_SIZE, 0, OWNER_ANON), PAGE_NONE);
        CHECK_EQ(physical_frame(in_list)->state, FRAME_FREE);
        for (page_t page = 0; page < fake_ram_bytes() && table == PAGE_NONE; page += PAGE_SIZE)
            if (physical_frame(page)->owner == OWNER_FRAME_TABLE)
                table = page;
        used = used != in_list ? used : PAGE_NONE;
        CHECK(used != PAGE_NONE);
        for (enum misused call = FREE; call <= HOLD; call++) {
            misuse_once(call, PAGE_NONE);
            misuse_once(call, used + 1);
            misuse_once(call, used + PAGE_SIZE / 2);
            misuse_once(call, fake_ram_bytes());
            misuse_once(call, fake_ram_bytes() + 100 * PAGE_SIZE);
            misuse_once(call, (page_t)-1);
            misuse_once(call, (page_t)-PAGE_SIZE);
            misuse_once(call, VIDEO_BASE);
            misuse_once(call, FAKE_IMAGE_BASE);
            misuse_once(call, table);
            misuse_once(call, in_list);
            misuse_once(call, physical_figures()->physical_heap_end - PAGE_SIZE);
        }
        CHECK_EQ(page_count(in_list), 0);
        CHECK_EQ(page_count((page_t)-PAGE_SIZE), 0);
        CHECK_EQ(page_count(used), 1);
        /* Freed twice in a row: the second time it is in the magazine. */
        CHECK_EQ(free_physical_page(used), 0);
        misuse_once(FREE, used);
        misuse_once(RELEASE, used);
        misuse_once(HOLD, used);
        fake_machine_stop();
    }
}

#ifdef DEBUG
/* Debug builds look at a free page before it goes out again, behind its marker too. */
TEST(physical_write_after_free_is_reported)
{
    page_t pages[3];
    char address[24];
    size_t reports;

    start(&shapes[0]);
    for (size_t i = 0; i < 3; i++)
        pages[i] = alloc_physical_page(OWNER_ANON);
    for (size_t i = 0; i < 3; i++)
        CHECK_EQ(free_physical_page(pages[i]), 0);
    CHECK_EQ(physical_alloc_run(FRAMES_MAX, PAGE_SIZE, 0, OWNER_ANON), PAGE_NONE);
    CHECK_EQ(physical_frame(pages[1])->state, FRAME_FREE);
    ((uint32_t *)fake_ram(pages[1]))[PAGE_SIZE / 4 - 1] = 0x12345678;
    reports = host_misuse_count();
    while (alloc_physical_page(OWNER_ANON) != PAGE_NONE)
        ;
    CHECK_EQ(host_misuse_count(), reports + 1);
    format_text(address, sizeof(address), "%#zx", pages[1]);
    CHECK(strstr(host_misuse_last(), address) != NULL);
    CHECK(strstr(host_misuse_last(), "0x12345678 at offset 4092") != NULL);
    CHECK_OK(physical_check());
    fake_machine_abandon();
}

/* A page freed twice: where the first time was. Never freed: nothing of the kind. */
TEST(physical_double_free_names_the_first)
{
    page_t page;

    start(&shapes[0]);
    page = alloc_physical_page(OWNER_ANON);
    CHECK_EQ(free_physical_page(page), 0);
    CHECK_EQ(free_physical_page(page), -EINVAL);
    CHECK(strstr(host_misuse_last(), "last freed from 0x") != NULL);
    CHECK_EQ(free_physical_page(FAKE_IMAGE_BASE), -EINVAL);
    CHECK(strstr(host_misuse_last(), "last freed") == NULL);
    CHECK(host_misuse_count() > 0);
    fake_machine_stop();
}
#endif

TEST(physical_check_finds_damage)
{
    page_t listed[3];
    free_page_marker_t *marker, saved;
    frame_t frame;

    start(&shapes[0]);
    for (size_t i = 0; i < 3; i++)
        listed[i] = alloc_physical_page(OWNER_ANON);
    for (size_t i = 0; i < 3; i++)
        CHECK_EQ(free_physical_page(listed[i]), 0);
    CHECK_EQ(physical_alloc_run(FRAMES_MAX, PAGE_SIZE, 0, OWNER_ANON), PAGE_NONE);
    CHECK_OK(physical_check());
    marker = fake_ram(listed[1]);
    saved = *marker;
    marker->check ^= 1;
    CHECK(physical_check() != NULL);
    *marker = saved;
    marker->next = marker->next == PAGE_NONE ? listed[0] : PAGE_NONE;
    CHECK(physical_check() != NULL);
    *marker = saved;
    marker->prev = marker->prev == PAGE_NONE ? listed[0] : PAGE_NONE;
    CHECK(physical_check() != NULL);
    *marker = saved;
    CHECK_OK(physical_check());
    frame = *physical_frame(listed[1]);
    physical_frame(listed[1])->state = FRAME_USED;
    CHECK(physical_check() != NULL);
    *physical_frame(listed[1]) = frame;
    physical_mem_info.owner[OWNER_IMAGE]--;
    CHECK(physical_check() != NULL);
    physical_mem_info.owner[OWNER_IMAGE]++;
    CHECK_OK(physical_check());
    fake_machine_stop();
}

/* One frame that is not what it was: a sentence, and silence when it is again. */
static void damage_frame(page_t page, frame_state_t state, unsigned owner)
{
    frame_t frame = *physical_frame(page);

    physical_frame(page)->state = (uint8_t)state;
    physical_frame(page)->owner = (uint8_t)owner;
    CHECK(physical_check() != NULL);
    *physical_frame(page) = frame;
    CHECK_OK(physical_check());
}

static void damage_figure(size_t *figure)
{
    ++*figure;
    CHECK(physical_check() != NULL);
    --*figure;
    CHECK_OK(physical_check());
}

TEST(physical_check_finds_damage_in_the_frame_table)
{
    page_t used, in_magazine, in_list, fresh;
    free_page_marker_t *marker, saved;

    start(&shapes[0]);
    in_list = alloc_physical_page(OWNER_ANON);
    CHECK_EQ(free_physical_page(in_list), 0);
    CHECK_EQ(physical_alloc_run(FRAMES_MAX, PAGE_SIZE, 0, OWNER_ANON), PAGE_NONE);
    CHECK_EQ(physical_frame(in_list)->state, FRAME_FREE);
    used = physical_alloc_run(1, 2 * MIB, 0, OWNER_ANON);
    in_magazine = physical_alloc_run(1, 2 * MIB, 0, OWNER_ANON);
    CHECK_EQ(free_physical_page(in_magazine), 0);
    CHECK_EQ(physical_frame(in_magazine)->state, FRAME_MAGAZINE);
    for (fresh = in_list; !is_usable(fresh) ||
         physical_frame(fresh)->state != FRAME_ABSENT; fresh += PAGE_SIZE)
        ;
    damage_frame(used, (frame_state_t)77, OWNER_ANON);
    damage_frame(used, FRAME_USED, OWNER_COUNT);
    damage_frame(used, FRAME_USED, OWNER_NONE);
    damage_frame(used, FRAME_USED, OWNER_HEAP);
    damage_frame(used, FRAME_RESERVED, OWNER_ANON);
    damage_frame(used, FRAME_FREE, OWNER_NONE);
    damage_frame(used, FRAME_MAGAZINE, OWNER_NONE);
    damage_frame(used, FRAME_ABSENT, OWNER_NONE);
    damage_frame(fresh, FRAME_FREE, OWNER_NONE);
    damage_frame(fresh, FRAME_USED, OWNER_ANON);
    damage_frame(in_magazine, FRAME_USED, OWNER_ANON);
    damage_frame(in_magazine, FRAME_FREE, OWNER_NONE);
    damage_frame(in_list, FRAME_MAGAZINE, OWNER_NONE);
    damage_frame(FAKE_IMAGE_BASE, FRAME_ABSENT, OWNER_NONE);
    damage_figure(&physical_mem_info.total);
    damage_figure(&physical_mem_info.reserved);
    for (size_t i = OWNER_NONE + 1; i < OWNER_COUNT; i++)
        damage_figure(&physical_mem_info.owner[i]);
    marker = fake_ram(in_list);
    saved = *marker;
    marker->next = 4 * MIB;                 /* in another block */
    CHECK(physical_check() != NULL);
    marker->next = in_list;                 /* to itself */
    CHECK(physical_check() != NULL);
    *marker = saved;
    CHECK_EQ(free_physical_page(used), 0);
    fake_machine_stop();
}

static void take_all(void *arg)
{
    (void)arg;
    while (alloc_physical_page(OWNER_ANON) != PAGE_NONE)
        ;
}

TEST(physical_notices_a_write_to_a_free_page)
{
    char message[128];
    char address[24];
    page_t page;

    start(&shapes[0]);
    page = alloc_physical_page(OWNER_ANON);
    CHECK_EQ(free_physical_page(page), 0);
    CHECK_EQ(physical_alloc_run(FRAMES_MAX, PAGE_SIZE, 0, OWNER_ANON), PAGE_NONE);
    memset(fake_ram(page), 0x55, 4);
    CHECK(test_expect_panic(take_all, NULL, message, sizeof(message)));
    format_text(address, sizeof(address), "%zx", page);
    CHECK(strstr(message, address) != NULL);
    fake_machine_abandon();
}

/* ---- owners */

TEST(physical_accounts_for_owners)
{
    size_t expected[OWNER_COUNT];

    start(&shapes[3]);
    memcpy(expected, physical_figures()->owner, sizeof(expected));
    for (frame_owner_t owner = OWNER_BOOT; owner < OWNER_COUNT; owner++) {
        page_t page = alloc_physical_page(owner);
        page_t run = physical_alloc_run(3, PAGE_SIZE, 0, owner);

        CHECK(frame_owner_name(owner)[0] != '\0');
        hold(page);
        for (size_t i = 0; i < 3; i++)
            hold(run + i * PAGE_SIZE);
        expected[owner] += 4;
        expected[OWNER_NONE] -= 4;
        CHECK_EQ(physical_frame(page)->owner, owner);
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
    start(&shapes[3]);
    check_log_lines(0);
    fake_machine_stop();
}

/* ---- references */

TEST(physical_references_in_any_order)
{
    start(&shapes[3]);
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

    start(&shapes[0]);
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

    start(&shapes[0]);
    page = page_new(OWNER_ANON);
    page_hold(page);
    page_hold(page);
    CHECK_EQ(free_physical_page(page), 0);
    CHECK_EQ(page_count(page), 0);
    fake_machine_stop();
}

/* ---- where pages come from */

TEST(physical_keeps_low_pages_for_last)
{
    size_t normal, low;

    start(&shapes[1]);
    low = physical_figures()->low_free;
    normal = physical_figures()->free - low;
    CHECK(normal > 1000 && low > 1000);
    for (size_t i = 0; i < normal; i++) {
        page_t page = alloc_physical_page(OWNER_ANON);

        hold(page);
        CHECK(page >= 16 * MIB || i > normal - 64);     /* a magazine's worth of mixing */
    }
    CHECK(physical_figures()->low_free > low - 64);
    while (page_total < normal + low)
        hold(alloc_physical_page(OWNER_ANON));
    CHECK_EQ(physical_figures()->low_free, 0);
    free_all_in_any_order();
    CHECK_EQ(physical_figures()->low_free, low);
    fake_machine_stop();
}

static void free_some_of(page_t block, size_t count)
{
    for (size_t i = 0; i < page_total && count > 0; ) {
        if (page_at[i] >> 21 == block >> 21) {
            CHECK_EQ(free_physical_page(give_at(i)), 0);
            count--;
        } else {
            i++;
        }
    }
    CHECK_EQ(count, 0);
}

static size_t held_of(page_t block)
{
    size_t held = 0;

    for (size_t i = 0; i < page_total; i++)
        held += page_at[i] >> 21 == block >> 21;
    return held;
}

/*
 * Blocks of 2 MiB, free pages:      A 100   B 250   C 400
 * Single pages come from A until it is full, then from B, and only then from C.
 */
TEST(physical_takes_from_the_fullest_block_first)
{
    const page_t a = 4 * MIB, b = 10 * MIB, c = 6 * MIB;
    const size_t slack = 64;            /* the magazine holds some of the next block */
    page_t page;

    for (size_t i = 0; i < 2; i++) {
        fake_config_t config = { .level = i == 0 ? FAKE_PHYSICAL : FAKE_PAGING,
                                 .megabytes = 16 };

        start(&config);
        while ((page = alloc_physical_page(OWNER_ANON)) != PAGE_NONE)
            hold(page);
        free_some_of(c, 400);
        free_some_of(a, 100);
        free_some_of(b, 250);
        /* A run that cannot be had empties the magazine. */
        CHECK_EQ(physical_alloc_run(FRAMES_MAX, PAGE_SIZE, 0, OWNER_ANON), PAGE_NONE);
        for (size_t n = 1; n <= 750; n++) {
            hold(alloc_physical_page(OWNER_ANON));
            if (n == 100 + slack)
                CHECK_EQ(held_of(a), 512);
            if (n <= 350 - slack)
                CHECK_EQ(held_of(c), 112);
            if (n == 350 + slack)
                CHECK_EQ(held_of(b), 512);
        }
        CHECK_EQ(physical_figures()->free, 0);
        free_all_in_any_order();
        fake_machine_stop();
    }
}

/* Half of memory in use, pages coming and going: most blocks stay whole. */
TEST(physical_keeps_blocks_whole)
{
    size_t blocks = 0;

    fake_machine_start(&(fake_config_t){ .level = FAKE_PHYSICAL, .megabytes = 32 });
    page_total = 0;
    memset(is_held, 0, sizeof(is_held));
    while (page_total < 4096)
        hold(alloc_physical_page(OWNER_ANON));
    for (size_t i = 0; i < 20000; i++) {
        CHECK_EQ(free_physical_page(give_at(test_random_below(page_total))), 0);
        hold(alloc_physical_page(OWNER_ANON));
    }
    CHECK_OK(physical_check());
    while (physical_alloc_run(512, 2 * MIB, 0, OWNER_KERNEL) != PAGE_NONE)
        blocks++;
    CHECK(blocks >= 5);                 /* of 8 in the half that is free */
    fake_machine_set_baseline();
    fake_machine_stop();
}

/* ---- runs */

static bool is_free_now(page_t page)
{
    return is_usable(page) && !is_held[page >> PAGE_SHIFT];
}

/* Whether a run could be had, by trying every place. */
static bool run_exists(size_t count, size_t align, page_t limit)
{
    page_t end = limit != 0 && limit < fake_ram_bytes() ? limit : fake_ram_bytes();

    for (uint64_t page = 0; page + count * PAGE_SIZE <= end; page += align) {
        size_t i = 0;

        while (i < count && is_free_now((page_t)page + i * PAGE_SIZE))
            i++;
        if (i == count)
            return true;
    }
    return false;
}

static void hold_run(page_t run, size_t count, size_t align, page_t limit)
{
    CHECK_EQ(run & (align - 1), 0);
    CHECK(limit == 0 || run + count * PAGE_SIZE <= limit);
    for (size_t i = 0; i < count; i++) {
        CHECK_EQ(page_count(run + i * PAGE_SIZE), 1);
        hold(run + i * PAGE_SIZE);
    }
}

TEST(physical_runs_are_found_if_there_is_one)
{
    static const size_t aligns[] = { 4 * KIB, 4 * KIB, 4 * KIB, 8 * KIB, 64 * KIB, 2 * MIB,
                                     4 * MIB };
    static const page_t limits[] = { 0, 0, 0, 640 * KIB, 1 * MIB, 4 * MIB, 16 * MIB,
                                     5 * MIB + 123 };

    for (size_t shape = 0; shape < 3; shape++) {
        start(&shapes[shape]);
        for (size_t step = 0; step < 400; step++) {
            size_t count = 1 + (test_random_below(8) == 0 ? test_random_below(1100)
                                                          : test_random_below(40));
            size_t align = aligns[test_random_below(ARRAY_LENGTH(aligns))];
            page_t limit = limits[test_random_below(ARRAY_LENGTH(limits))];
            page_t run = physical_alloc_run(count, align, limit, OWNER_KERNEL);

            if (run != PAGE_NONE)
                hold_run(run, count, align, limit);
            else
                CHECK(!run_exists(count, align, limit));
            CHECK_OK(physical_check());
            for (size_t i = test_random_below(50); i > 0 && page_total > 0; i--)
                CHECK_EQ(free_physical_page(give_at(test_random_below(page_total))), 0);
        }
        check_figures();
        free_all_in_any_order();
        fake_machine_stop();
    }
}

/* [0x1000, limit) is all there is below the limit: a run fits exactly or not. */
TEST(physical_runs_end_at_the_limit)
{
    for (size_t i = 0; i < 2; i++) {
        start(&shapes[i]);
        for (size_t count = 1; count < 100; count += 7) {
            page_t end = (1 + count) * PAGE_SIZE;

            CHECK_EQ(physical_alloc_run(count, PAGE_SIZE, end - PAGE_SIZE, OWNER_KERNEL),
                     PAGE_NONE);
            CHECK_EQ(physical_alloc_run(count, PAGE_SIZE, end - 1, OWNER_KERNEL), PAGE_NONE);
            CHECK_EQ(physical_alloc_run(count, PAGE_SIZE, end, OWNER_KERNEL), PAGE_SIZE);
            hold_run(PAGE_SIZE, count, PAGE_SIZE, end);
            CHECK_OK(physical_check());
            free_all_in_any_order();
        }
        fake_machine_stop();
    }
}

/* Alignments as large as an address is wide. */
TEST(physical_runs_of_absurd_alignment)
{
    start(&shapes[0]);
    for (unsigned shift = 21; shift < 8 * sizeof(size_t); shift++) {
        page_t run = physical_alloc_run(1, (size_t)1 << shift, 0, OWNER_KERNEL);

        if (run != PAGE_NONE)
            hold_run(run, 1, (size_t)1 << shift, 0);
        else
            CHECK(!run_exists(1, (size_t)1 << shift, 0));
    }
    CHECK_EQ(physical_alloc_run((size_t)-1, PAGE_SIZE, 0, OWNER_KERNEL), PAGE_NONE);
    CHECK_EQ(physical_alloc_run((size_t)-1 / PAGE_SIZE, PAGE_SIZE, 0, OWNER_KERNEL),
             PAGE_NONE);
    CHECK_EQ(physical_alloc_run(1, PAGE_SIZE, 1, OWNER_KERNEL), PAGE_NONE);
    free_all_in_any_order();
    check_figures();
    fake_machine_stop();
}

/* ---- failure */

TEST(physical_fail_after_fails_once)
{
    start(&shapes[0]);
    for (size_t n = 1; n < 100; n += 7) {
        uint64_t failures = physical_figures()->failures;

        physical_fail_after(n);
        for (size_t i = 1; i < n; i++)
            hold(i % 2 != 0 ? alloc_physical_page(OWNER_ANON)
                            : physical_alloc_run(1, PAGE_SIZE, 0, OWNER_ANON));
        CHECK_EQ(n % 2 != 0 ? page_new(OWNER_ANON)
                            : physical_alloc_run(1, PAGE_SIZE, 0, OWNER_ANON), PAGE_NONE);
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
    page_t run;             /* or this run */
    size_t run_length;
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
    for (; reclaimer.run_length > 0; given++)
        CHECK_EQ(free_physical_page(reclaimer.run + --reclaimer.run_length * PAGE_SIZE), 0);
    return given;
}

TEST(physical_asks_for_pages_once_before_it_fails)
{
    page_t page;

    for (size_t i = 0; i < 2; i++) {
        start(&shapes[3 * i]);
        memset(&reclaimer, 0, sizeof(reclaimer));
        while ((page = alloc_physical_page(OWNER_ANON)) != PAGE_NONE)
            hold(page);
        physical_set_reclaim(reclaim);
        CHECK_EQ(alloc_physical_page(OWNER_ANON), PAGE_NONE);
        CHECK_EQ(reclaimer.calls, 1);
        CHECK_EQ(reclaimer.wanted, 1);
        reclaimer.give = 3;
        for (size_t n = 0; n < 3; n++)
            hold(alloc_physical_page(OWNER_ANON));
        CHECK_EQ(reclaimer.calls, 2);
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

TEST(physical_asks_for_pages_before_a_run_fails)
{
    page_t page;

    start(&shapes[0]);
    memset(&reclaimer, 0, sizeof(reclaimer));
    reclaimer.run = physical_alloc_run(16, 64 * KIB, 0, OWNER_CACHE);
    reclaimer.run_length = 16;
    while ((page = alloc_physical_page(OWNER_ANON)) != PAGE_NONE)
        hold(page);
    physical_set_reclaim(reclaim);
    CHECK_EQ(physical_alloc_run(16, 64 * KIB, 0, OWNER_KERNEL), reclaimer.run);
    CHECK_EQ(reclaimer.calls, 1);
    CHECK_EQ(reclaimer.wanted, 16);
    CHECK_EQ(physical_alloc_run(16, 64 * KIB, 0, OWNER_KERNEL), PAGE_NONE);
    CHECK_EQ(reclaimer.calls, 2);
    physical_set_reclaim(NULL);
    for (size_t i = 0; i < 16; i++)
        CHECK_EQ(free_physical_page(reclaimer.run + i * PAGE_SIZE), 0);
    free_all_in_any_order();
    fake_machine_stop();
}

/* ---- the magazine */

TEST(physical_visits_the_linear_space_in_batches)
{
    size_t pages;
    size_t loads;

    start(&shapes[3]);
    take_and_free_all();        /* no intervals any more: each refill is a visit */
    pages = physical_figures()->free;
    fake_reset_events();
    while (page_total < pages) {
        page_at[page_total] = alloc_physical_page(OWNER_ANON);
        page_total++;
    }
    CHECK(fake_events.cr3_loads * 16 <= pages * 2);
    loads = fake_events.cr3_loads;
    while (page_total > 0)
        CHECK_EQ(free_physical_page(page_at[--page_total]), 0);
    CHECK((fake_events.cr3_loads - loads) * 16 <= pages * 2);
    /* Back and forth over a full or empty magazine is no ping-pong. */
    for (size_t i = 0; i < 64; i++)
        page_at[i] = alloc_physical_page(OWNER_ANON);
    fake_reset_events();
    for (size_t i = 0; i < 1000; i++) {
        free_physical_page(page_at[i % 64]);
        page_at[i % 64] = alloc_physical_page(OWNER_ANON);
    }
    CHECK(fake_events.cr3_loads <= 4);
    for (size_t i = 0; i < 64; i++)
        free_physical_page(page_at[i]);
    fake_machine_stop();
}

/* ---- a plain model, a million steps */

static struct {
    uint16_t count[FRAMES_MAX];
    uint8_t owner[FRAMES_MAX];
    size_t owners[OWNER_COUNT];
    size_t free;
} model;

static frame_owner_t any_owner(void)
{
    return (frame_owner_t)(OWNER_HEAP + test_random_below(5));
}

static void model_take(page_t page, frame_owner_t owner)
{
    size_t number = page >> PAGE_SHIFT;

    CHECK(is_usable(page));
    CHECK(!is_held[number]);
    is_held[number] = true;
    page_at[page_total++] = page;
    model.count[number] = 1;
    model.owner[number] = (uint8_t)owner;
    model.owners[owner]++;
    model.free--;
    *(uint64_t *)fake_ram(page) = test_random();    /* over the marker */
}

static void model_give(size_t index)
{
    page_t page = give_at(index);

    model.owners[model.owner[page >> PAGE_SHIFT]]--;
    model.free++;
}

static void step_alloc(void)
{
    frame_owner_t owner = any_owner();
    page_t page = test_random_below(2) != 0 ? alloc_physical_page(owner) : page_new(owner);

    if (page == PAGE_NONE)
        CHECK_EQ(model.free, 0);
    else
        model_take(page, owner);
}

static void step_run(void)
{
    size_t count = 1 + test_random_below(1 + test_random_below(40));
    size_t align = (size_t)PAGE_SIZE << test_random_below(6);
    page_t limit = test_random_below(3) == 0 ? test_random_below(fake_ram_bytes()) : 0;
    frame_owner_t owner = any_owner();
    page_t run = physical_alloc_run(count, align, limit, owner);

    if (run == PAGE_NONE) {
        CHECK(!run_exists(count, align, limit));
        return;
    }
    CHECK_EQ(run & (align - 1), 0);
    CHECK(limit == 0 || run + count * PAGE_SIZE <= limit);
    for (size_t i = 0; i < count; i++)
        model_take(run + i * PAGE_SIZE, owner);
}

static void step_free(void)
{
    size_t index = test_random_below(page_total);
    page_t page = page_at[index];

    CHECK_EQ(free_physical_page(page), 0);
    model_give(index);
}

static void step_references(void)
{
    size_t index = test_random_below(page_total);
    page_t page = page_at[index];
    uint16_t *count = &model.count[page >> PAGE_SHIFT];

    CHECK_EQ(page_count(page), *count);
    if (test_random_below(5) < 2) {
        page_hold(page);
        ++*count;
        return;
    }
    CHECK_EQ(page_release(page), --*count);
    if (*count == 0)
        model_give(index);
}

static void step_owner(void)
{
    page_t page = page_at[test_random_below(page_total)];
    frame_owner_t owner = any_owner();

    physical_set_owner(page, owner);
    model.owners[model.owner[page >> PAGE_SHIFT]]--;
    model.owners[owner]++;
    model.owner[page >> PAGE_SHIFT] = (uint8_t)owner;
}

static void step_misuse(void)
{
    page_t page = test_random_below(fake_ram_bytes());
    size_t reports = host_misuse_count();

    if ((page & PAGE_MASK) < 3000)
        page &= ~(page_t)PAGE_MASK;
    if ((page & PAGE_MASK) == 0 && physical_frame(page)->state == FRAME_USED)
        return;
    CHECK_EQ(page_release(page), -EINVAL);
    CHECK_EQ(host_misuse_count(), reports + 1);
}

static void random_step(size_t fill)
{
    size_t die = test_random_below(1000);

    if (die < 5)
        step_misuse();
    else if (die < 15)
        step_run();
    else if (page_total == 0 || die < fill)
        step_alloc();
    else if (die < 700)
        step_free();
    else if (die < 980)
        step_references();
    else
        step_owner();
}

static void compare_with_model(void)
{
    CHECK_EQ(physical_figures()->free, model.free);
    for (size_t i = OWNER_NONE + 1; i < OWNER_COUNT; i++)
        CHECK_EQ(physical_figures()->owner[i], model.owners[i]);
}

static void random_operations(const fake_config_t *config, size_t steps)
{
    size_t fill = 0;

    start(config);
    memset(&model, 0, sizeof(model));
    memcpy(model.owners, physical_figures()->owner, sizeof(model.owners));
    model.free = physical_figures()->free;
    for (page_t page = 0; page < fake_ram_bytes(); page += PAGE_SIZE)
        is_held[page >> PAGE_SHIFT] = physical_frame(page)->state == FRAME_USED;
    for (size_t step = 0; step < steps; step++) {
        if (step % 4096 == 0)           /* fuller for a while, then emptier */
            fill = 300 + test_random_below(350);
        random_step(fill);
        if (step >= 20000 && step % 256 != 0)
            continue;
        CHECK_OK(physical_check());
        compare_with_model();
    }
    while (page_total > 0) {
        CHECK_EQ(free_physical_page(page_at[page_total - 1]), 0);
        model_give(page_total - 1);
    }
    compare_with_model();
    check_figures();
    fake_machine_stop();
}

TEST(physical_agrees_with_a_model_before_paging)
{
    size_t steps = test_steps(1000000);

    random_operations(&(fake_config_t){ .level = FAKE_PHYSICAL, .megabytes = 4 }, steps / 2);
    random_operations(&shapes[2], steps - steps / 2);
}

TEST(physical_agrees_with_a_model_in_a_paged_kernel)
{
    static const boot_region_t map[] = { { 0, 0x9f000, BOOT_RAM },
                                         { 0x100000, 0x800000, BOOT_RAM } };

    random_operations(&(fake_config_t){ .level = FAKE_PAGING, .region = map,
                                        .region_count = ARRAY_LENGTH(map) },
                      test_steps(300000));
}
