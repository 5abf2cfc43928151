/*
 * Which free pages go out: the smallest chunk that will do, of the lowest block;
 * low memory last; whole blocks only when nothing else will do, and pairs of them
 * after those that stand alone.
 */
#include "physical_cases.h"

static unsigned order_for(size_t page_count)
{
    unsigned order = 0;

    while ((size_t)1 << order < page_count)
        order++;
    return order;
}

static bool is_whole(page_t page)
{
    return page < fake_ram_bytes() && chunk_at(page >> PAGE_SHIFT) == WHOLE;
}

/*
 * How good it is to take a chunk for so many pages: its zone, its size, where a whole
 * block that is half of 4 MiB counts as 4 MiB, and its block. The lowest is best.
 */
static size_t rank_of(size_t number, size_t page_count)
{
    const page_t page = (page_t)number << PAGE_SHIFT;
    size_t order = (size_t)chunk_at(number);

    if (order < order_for(page_count))
        return (size_t)-1;
    if (order == WHOLE && is_whole(page ^ BLOCK))
        order++;
    return ((page < LOW_ZONE_END ? 100 : 0) + order) * 10000 + page / BLOCK;
}

/* The best that any free chunk has. => -1: none will do */
static size_t best_rank(size_t page_count)
{
    size_t best = (size_t)-1;

    for (size_t number = 0, length; number < physical_frame_count; number += length) {
        length = unit_at(number);
        if (chunk_at(number) >= 0 && rank_of(number, page_count) < best)
            best = rank_of(number, page_count);
    }
    return best;
}

/* The ranks of all chunks, by their first frame, before an allocation. */
static size_t rank_at[FRAMES_MAX];

static void note_ranks(size_t page_count)
{
    for (size_t number = 0, length; number < physical_frame_count; number += length) {
        length = unit_at(number);
        rank_at[number] = chunk_at(number) >= 0 ? rank_of(number, page_count) : (size_t)-1;
        if (chunk_at(number) >= 0 && chunk_at(number) < WHOLE &&
            ((free_page_marker_t *)fake_ram((page_t)number << PAGE_SHIFT))->prev != PAGE_NONE)
            rank_at[number] = (size_t)-1;       /* not the last that came */
    }
}

/*
 * Pages and runs come and go without a magazine, and each is what the rule says,
 * the last freed of its list. A run is at the start of its chunk.
 */
static void follow_the_rule(const fake_config_t *config, size_t steps)
{
    cases_start(config);
    without_magazine();
    for (size_t step = 0; step < steps; step++) {
        size_t count = test_random_below(4) != 0 ? 1 : 1 + test_random_below(60);
        size_t best;
        page_t page;

        if (step % 700 < 350 ? test_random_below(3) == 0 : test_random_below(3) != 0) {
            for (size_t i = test_random_below(64); i > 0 && page_total > 0; i--)
                CHECK_EQ(free_physical_page(give_at(test_random_below(page_total))), 0);
            continue;
        }
        best = best_rank(count);
        note_ranks(count);
        page = count == 1 && test_random_below(2) != 0 ? alloc_physical_page(OWNER_ANON)
             : page_range(count, PAGE_SIZE, 0, OWNER_ANON);
        if (page == PAGE_NONE) {
            CHECK(!run_exists(count, PAGE_SIZE, 0));
            continue;
        }
        if (best != (size_t)-1)
            CHECK_EQ(rank_at[page >> PAGE_SHIFT], best);
        for (size_t i = 0; i < count; i++)
            hold(page + i * PAGE_SIZE);
    }
    physical_fail_after(0);
    check_figures();
    free_all_in_any_order();
    fake_machine_stop();
}

TEST(physical_takes_the_smallest_chunk_of_the_lowest_block)
{
    follow_the_rule(&(fake_config_t){ .level = FAKE_PHYSICAL, .megabytes = 28 }, 3000);
    follow_the_rule(&shapes[RAGGED], 3000);
    follow_the_rule(&shapes[PAGED_PC], 3000);
}

/* ---- by hand, through the magazine: all of memory is in use, then some is freed */

#define NORMAL(n) (LOW_ZONE_END + (n) * (page_t)BLOCK)

static void start_full(const fake_config_t *config)
{
    cases_start(config);
    hold_all();
}

static void expect_pages(page_t first, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        page_t page = alloc_physical_page(OWNER_ANON);

        hold(page);
        CHECK(page >= first && page < first + count * PAGE_SIZE);
    }
}

/*
 * Blocks of 2 MiB:   16 MiB ........   18 ..uuuuuu   20 ....uuuu   22 uuuu.uuu
 * The single page, the two, the four, and then the whole block.
 */
TEST(physical_takes_small_chunks_first)
{
    for (size_t i = 0; i < 2; i++) {
        uint64_t refills;

        start_full(&(fake_config_t){ .level = i == 0 ? FAKE_PHYSICAL : FAKE_PAGING,
                                     .megabytes = 26 });
        without_magazine();
        free_held(NORMAL(0), PAGES_OF_BLOCK);
        free_held(NORMAL(1), 2);
        free_held(NORMAL(2) + 4 * PAGE_SIZE, 4);
        free_held(NORMAL(3) + 5 * PAGE_SIZE, 1);
        physical_fail_after(0);
        CHECK_EQ(whole_blocks(), 1);
        refills = physical_figures()->refills;
        /* One batch: the last to come into the magazine are the first to go out. */
        expect_pages(NORMAL(2) + 4 * PAGE_SIZE, 4);
        CHECK_EQ(physical_figures()->magazine, 3);
        expect_pages(NORMAL(1), 2);
        expect_pages(NORMAL(3) + 5 * PAGE_SIZE, 1);
        /* The whole block was not broken for the rest of a batch. */
        CHECK_EQ(physical_figures()->refills, refills + 1);
        CHECK_EQ(whole_blocks(), 1);
        expect_pages(NORMAL(0), PAGES_OF_BLOCK);
        CHECK_EQ(physical_figures()->free, 0);
        free_all_in_any_order();
        fake_machine_stop();
    }
}

/* Chunks of one size: those of the lowest block, the last freed of them first. */
TEST(physical_takes_from_the_lowest_block_first)
{
    static const size_t order[] = { 1, 0, 3, 2 };

    start_full(&(fake_config_t){ .level = FAKE_PHYSICAL, .megabytes = 26 });
    without_magazine();
    for (size_t i = 0; i < 4; i++) {
        free_held(NORMAL(order[i]) + 8 * PAGE_SIZE, 1);
        free_held(NORMAL(order[i]) + 10 * PAGE_SIZE, 1);
    }
    for (size_t i = 0; i < 4; i++) {
        CHECK_EQ(alloc_physical_page(OWNER_ANON), NORMAL(i) + 10 * PAGE_SIZE);
        CHECK_EQ(alloc_physical_page(OWNER_ANON), NORMAL(i) + 8 * PAGE_SIZE);
    }
    fake_machine_abandon();
}

/* Blocks:   16 MiB whole   18 whole   20 in use   22 whole   24 whole   26 in use */
TEST(physical_breaks_a_whole_block_that_stands_alone_first)
{
    for (size_t alone = 2; alone <= 3; alone++) {
        start_full(&(fake_config_t){ .level = FAKE_PHYSICAL, .megabytes = 30 });
        without_magazine();
        free_held(NORMAL(0), 2 * PAGES_OF_BLOCK);
        free_held(NORMAL(alone), PAGES_OF_BLOCK);
        free_held(NORMAL(4), 2 * PAGES_OF_BLOCK);
        physical_fail_after(0);
        CHECK_EQ(whole_blocks(), 5);
        expect_pages(NORMAL(alone), PAGES_OF_BLOCK);
        CHECK_EQ(whole_blocks(), 4);
        hold(alloc_physical_page(OWNER_ANON));
        CHECK_EQ(page_at[page_total - 1] / BLOCK, NORMAL(0) / BLOCK);
        CHECK_EQ(whole_blocks(), 3);
        /* 4 MiB can still be had, where both halves are whole. */
        hold_run(page_range(2 * PAGES_OF_BLOCK, 2 * BLOCK, 0, OWNER_ANON), 2 * PAGES_OF_BLOCK,
                 2 * BLOCK, 0);
        CHECK(is_held[NORMAL(4) >> PAGE_SHIFT]);
        check_figures();
        free_all_in_any_order();
        fake_machine_stop();
    }
}

/* A large page is not taken out of a pair either, if there is another. */
TEST(physical_large_page_comes_from_no_pair)
{
    start_full(&(fake_config_t){ .level = FAKE_PHYSICAL, .megabytes = 26 });
    without_magazine();
    free_held(NORMAL(0), 3 * PAGES_OF_BLOCK);
    CHECK_EQ(page_range(PAGES_OF_BLOCK, BLOCK, 0, OWNER_ANON), NORMAL(2));
    CHECK_EQ(page_range(PAGES_OF_BLOCK, BLOCK, 0, OWNER_ANON), NORMAL(0));
    CHECK_EQ(page_range(PAGES_OF_BLOCK, BLOCK, 0, OWNER_ANON), NORMAL(1));
    CHECK_EQ(page_range(PAGES_OF_BLOCK, BLOCK, 0, OWNER_ANON), PAGE_NONE);
    CHECK_OK(physical_check());
    fake_machine_abandon();
}

TEST(physical_keeps_low_pages_for_last)
{
    enum { BATCH = 128 };
    size_t normal, low;

    cases_start(&shapes[LARGER_PC]);
    low = physical_figures()->low_free;
    normal = physical_figures()->free - low;
    CHECK(normal > 1000 && low > 1000);
    for (size_t i = 0; i < normal; i++) {
        page_t page = alloc_physical_page(OWNER_ANON);

        hold(page);
        CHECK(page >= LOW_ZONE_END);
    }
    CHECK_EQ(physical_figures()->low_free, low);
    hold(alloc_physical_page(OWNER_ANON));
    CHECK_EQ(physical_figures()->low_free, low - 1);
    CHECK(physical_figures()->magazine < BATCH);
    while (page_total < normal + low)
        hold(alloc_physical_page(OWNER_ANON));
    CHECK_EQ(physical_figures()->low_free, 0);
    free_all_in_any_order();
    CHECK_EQ(physical_figures()->low_free, low);
    fake_machine_stop();
}

/* The same for runs: a whole block above 16 MiB is broken before low parts are used. */
TEST(physical_keeps_low_memory_from_runs)
{
    start_full(&shapes[LARGER_PC]);
    without_magazine();
    free_held(8 * MIB, 8);
    free_held(NORMAL(1), PAGES_OF_BLOCK);
    CHECK_EQ(page_range(8, 8 * PAGE_SIZE, 0, OWNER_ANON), NORMAL(1));
    CHECK_EQ(page_range(8, 8 * PAGE_SIZE, LOW_ZONE_END, OWNER_ANON), 8 * MIB);
    CHECK_EQ(page_range(8, 8 * PAGE_SIZE, LOW_ZONE_END, OWNER_ANON), PAGE_NONE);
    fake_machine_abandon();

    /* No chunk is as long, here or there. */
    start_full(&shapes[LARGER_PC]);
    without_magazine();
    free_held(8 * MIB + PAGE_SIZE, 2);
    free_held(NORMAL(1) + 3 * PAGE_SIZE, 2);
    CHECK_EQ(page_range(2, PAGE_SIZE, 0, OWNER_ANON), NORMAL(1) + 3 * PAGE_SIZE);
    CHECK_EQ(page_range(2, PAGE_SIZE, 0, OWNER_ANON), 8 * MIB + PAGE_SIZE);
    fake_machine_abandon();
}

/* Half of memory in use, pages coming and going: most blocks stay whole. */
TEST(physical_keeps_blocks_whole)
{
    size_t blocks = 0;

    cases_start(&(fake_config_t){ .level = FAKE_PHYSICAL, .megabytes = 32 });
    while (page_total < 4096)
        hold(alloc_physical_page(OWNER_ANON));
    for (size_t i = 0; i < 20000; i++) {
        CHECK_EQ(free_physical_page(give_at(test_random_below(page_total))), 0);
        hold(alloc_physical_page(OWNER_ANON));
    }
    CHECK_OK(physical_check());
    while (page_range(PAGES_OF_BLOCK, BLOCK, 0, OWNER_KERNEL) != PAGE_NONE)
        blocks++;
    CHECK(blocks >= 6);                 /* of 8 in the half that is free */
    fake_machine_set_baseline();
    fake_machine_stop();
}

/* Every second page is freed, then the others: each block is one chunk again. */
TEST(physical_merges_all_that_is_freed)
{
    for (size_t i = 0; i < SHAPE_COUNT; i++) {
        size_t whole;

        cases_start(&shapes[i]);
        whole = whole_blocks();
        hold_all();
        CHECK_EQ(whole_blocks(), 0);
        without_magazine();
        for (size_t parity = 0; parity < 2; parity++) {
            for (size_t k = page_total; k-- > 0; )
                if ((page_at[k] >> PAGE_SHIFT) % 2 == parity)
                    CHECK_EQ(free_physical_page(give_at(k)), 0);
            for (size_t n = 0; parity == 0 && n < physical_frame_count; n += unit_at(n))
                CHECK(chunk_at(n) <= 0);        /* no two in a row */
        }
        CHECK_EQ(page_total, 0);
        CHECK_EQ(whole_blocks(), whole);
        physical_fail_after(0);
        check_figures();
        fake_machine_stop();
    }
}

/*
 * Blocks on both sides of 2 GiB: a single one, a taken one and its other half, a pair, a
 * single one. No page of them is ever touched: there is no such RAM in this process.
 */
TEST(physical_blocks_around_two_gibibytes)
{
    static const page_t order[] = { 0x7fe00000, 0x80200000, 0x80800000, 0x80400000, 0x80600000 };
    const page_t middle = 0x80000000;

    fake_machine_start(&(fake_config_t){ .level = FAKE_BOOT_INFO, .megabytes = 16 });
    boot_info.ram[boot_info.ram_count++] = (boot_range_t){ 0x7fe00000, 0x80a00000 };
    CHECK_OK(physical_init(&boot_info));
    CHECK_OK(physical_check());
    CHECK_EQ(page_range(PAGES_OF_BLOCK, middle, 0, OWNER_KERNEL), middle);
    /* The next multiple is 4 GiB, which a 32-bit address cannot say. */
    CHECK_EQ(page_range(PAGES_OF_BLOCK, middle, 0, OWNER_KERNEL), PAGE_NONE);
    for (size_t i = 0; i < ARRAY_LENGTH(order); i++) {
        CHECK_EQ(page_range(PAGES_OF_BLOCK, BLOCK, 0, OWNER_KERNEL), order[i]);
        CHECK_OK(physical_check());
    }
    CHECK_EQ(physical_figures()->free, physical_figures()->low_free);
    CHECK(page_range(PAGES_OF_BLOCK, BLOCK, 0, OWNER_KERNEL) < LOW_ZONE_END);
    fake_machine_abandon();
}
