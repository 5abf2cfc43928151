/*
 * The page allocator against a plain model: a million random steps.
 */
#include "physical_cases.h"

static struct {
    uint16_t count[FRAMES_MAX];
    uint8_t owner[FRAMES_MAX];
    uint64_t stamp[FRAMES_MAX];     /* what a page in use begins with */
    size_t index[FRAMES_MAX];       /* where page_at has it */
    size_t owners[OWNER_COUNT];
    size_t free;
} model;

/* Runs that were handed out, some of them in use as they were. */
static struct {
    page_t first;
    size_t count;
} runs[64];

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
    model.index[number] = page_total;
    page_at[page_total++] = page;
    model.count[number] = 1;
    model.owner[number] = (uint8_t)owner;
    model.owners[owner]++;
    model.free--;
    model.stamp[number] = test_random();
    *(uint64_t *)fake_ram(page) = model.stamp[number];      /* over the marker */
}

/* Before it is freed: nobody wrote to it. */
static void check_stamp(page_t page)
{
    CHECK_EQ(*(uint64_t *)fake_ram(page), model.stamp[page >> PAGE_SHIFT]);
}

static void model_give(page_t page)
{
    size_t number = page >> PAGE_SHIFT;

    give_at(model.index[number]);
    if (model.index[number] < page_total)
        model.index[page_at[model.index[number]] >> PAGE_SHIFT] = model.index[number];
    model.owners[model.owner[number]]--;
    model.count[number] = 0;
    model.free++;
}

static page_t any_held(void)
{
    return page_at[test_random_below(page_total)];
}

/* How many pages in a row are ours from this one on, at most so many. */
static size_t held_from(page_t page, size_t most)
{
    size_t count = 0;

    while (count < most && page / PAGE_SIZE + count < physical_frame_count &&
           model.count[page / PAGE_SIZE + count] > 0)
        count++;
    return count;
}

/* Page tables are in use too, from the start. */
static bool all_in_use(page_t page, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (page / PAGE_SIZE + i >= physical_frame_count || !is_held[page / PAGE_SIZE + i])
            return false;
    return true;
}

/* ---- steps */

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
    size_t place = test_random_below(ARRAY_LENGTH(runs));
    page_t run;

    if (test_random_below(2) == 0) {            /* one that may be kept */
        count = (size_t)1 << test_random_below(6);
        limit = 0;
    }
    if (test_random_below(3) == 0) {
        zone_t zone = test_random_below(2) == 0 ? ZONE_LOW : ZONE_NORMAL;

        align = PAGE_SIZE;
        limit = zone == ZONE_LOW ? LOW_ZONE_END : 0;
        run = page_get(zone, count, owner);
    } else {
        run = page_range(count, align, limit, owner);
    }
    if (run == PAGE_NONE) {
        CHECK(!run_exists(count, align, limit));
        return;
    }
    CHECK_EQ(run & (align - 1), 0);
    CHECK(limit == 0 || run + count * PAGE_SIZE <= limit);
    for (size_t i = 0; i < count; i++)
        model_take(run + i * PAGE_SIZE, owner);
    runs[place].first = run;
    runs[place].count = count;
}

static void free_range(page_t first, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_stamp(first + i * PAGE_SIZE);
        model_give(first + i * PAGE_SIZE);
    }
    CHECK_EQ(page_range_free(first, count), 0);
}

/* A run as it was, or a part of it, or any pages in a row. */
static void step_free_run(void)
{
    size_t place = test_random_below(ARRAY_LENGTH(runs));
    page_t first = runs[place].first;
    size_t count = runs[place].count;
    size_t skip;

    if (count == 0 || test_random_below(4) == 0) {
        first = any_held();
        free_range(first, held_from(first, 1 + test_random_below(12)));
        return;
    }
    runs[place].count = 0;
    skip = test_random_below(4) == 0 ? test_random_below(count) : 0;
    first += skip * PAGE_SIZE;
    count = held_from(first, count - skip);
    if (test_random_below(4) == 0 && count > 0)
        count = 1 + test_random_below(count);
    if (count > 0)
        free_range(first, count);
}

static void step_free(void)
{
    page_t page = any_held();

    check_stamp(page);
    CHECK_EQ(free_physical_page(page), 0);
    model_give(page);
}

static void step_references(void)
{
    page_t page = any_held();
    uint16_t *count = &model.count[page >> PAGE_SHIFT];

    CHECK_EQ(page_count(page), *count);
    if (test_random_below(5) < 2) {
        page_hold(page);
        ++*count;
        return;
    }
    check_stamp(page);
    CHECK_EQ(page_release(page), --*count);
    if (*count == 0)
        model_give(page);
}

static void step_owner(void)
{
    page_t page = any_held();
    frame_owner_t owner = any_owner();

    physical_set_owner(page, owner);
    model.owners[model.owner[page >> PAGE_SHIFT]]--;
    model.owners[owner]++;
    model.owner[page >> PAGE_SHIFT] = (uint8_t)owner;
}

static void step_misuse(void)
{
    page_t page = test_random_below(fake_ram_bytes());
    size_t count = 1 + test_random_below(20);
    size_t reports = host_misuse_count();

    if ((page & PAGE_MASK) < 3000)
        page &= ~(page_t)PAGE_MASK;
    if ((page & PAGE_MASK) == 0 && all_in_use(page, count))
        count = FRAMES_MAX;
    CHECK_EQ(page_range_free(page, count), -EINVAL);
    CHECK_EQ(host_misuse_count(), reports + 1);
    if ((page & PAGE_MASK) == 0 && is_held[page >> PAGE_SHIFT])
        return;
    CHECK_EQ(page_release(page), -EINVAL);
    CHECK_EQ(host_misuse_count(), reports + 2);
}

static void random_step(size_t fill)
{
    size_t die = test_random_below(1000);

    if (die < 5)
        step_misuse();
    else if (die < 25)
        step_run();
    else if (page_total == 0 || die < fill)
        step_alloc();
    else if (die < 690)
        step_free();
    else if (die < 710)
        step_free_run();
    else if (die < 980)
        step_references();
    else
        step_owner();
}

static void compare_with_model(void)
{
    const physical_mem_info_t *info = physical_figures();

    CHECK_EQ(info->free, model.free);
    for (size_t i = OWNER_NONE + 1; i < OWNER_COUNT; i++)
        CHECK_EQ(info->owner[i], model.owners[i]);
}

static void random_operations(const fake_config_t *config, size_t steps)
{
    size_t fill = 0;

    cases_start(config);
    memset(&model, 0, sizeof(model));
    memset(runs, 0, sizeof(runs));
    memcpy(model.owners, physical_figures()->owner, sizeof(model.owners));
    model.free = physical_figures()->free;
    for (page_t page = 0; page < fake_ram_bytes(); page += PAGE_SIZE)
        is_held[page >> PAGE_SHIFT] = physical_frame(page)->state == FRAME_USED;
    for (size_t step = 0; step < steps; step++) {
        if (step % 4096 == 0)           /* fuller for a while, then emptier */
            fill = 300 + test_random_below(350);
        random_step(fill);
        if (step >= CHECK_EACH && step % 256 != 0)
            continue;
        CHECK_OK(physical_check());
        compare_with_model();
    }
    check_figures();
    while (page_total > 0) {
        page_t page = page_at[page_total - 1];

        free_range(page, 1);
    }
    compare_with_model();
    check_figures();
    fake_machine_stop();
}

TEST(physical_agrees_with_a_model_before_paging)
{
    size_t steps = test_steps(1000000);

    random_operations(&(fake_config_t){ .level = FAKE_PHYSICAL, .megabytes = 4 }, steps / 2);
    random_operations(&shapes[RAGGED], steps - steps / 2);
}

/* Low memory is the smaller part of it. */
TEST(physical_agrees_with_a_model_in_both_zones)
{
    static const boot_region_t map[] = { { 0, 0x9f000, BOOT_RAM },
                                         { 0x100000, 0x180000, BOOT_RAM },
                                         { 0xf80000, 0x1480000, BOOT_RAM } };

    random_operations(&(fake_config_t){ .level = FAKE_PHYSICAL, .region = map,
                                        .region_count = ARRAY_LENGTH(map) },
                      test_steps(300000));
}

TEST(physical_agrees_with_a_model_in_a_paged_kernel)
{
    static const boot_region_t map[] = { { 0, 0x9f000, BOOT_RAM },
                                         { 0x100000, 0x800000, BOOT_RAM } };

    random_operations(&(fake_config_t){ .level = FAKE_PAGING, .region = map,
                                        .region_count = ARRAY_LENGTH(map) },
                      test_steps(300000));
}
