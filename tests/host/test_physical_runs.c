/*
 * Runs of pages: found if there is one, aligned and below their limit; freed as a
 * run, in parts or page by page; pages of them by themselves.
 */
#include "physical_cases.h"

/* ---- finding */

TEST(physical_runs_are_found_if_there_is_one)
{
    static const size_t aligns[] = { 4 * KIB, 4 * KIB, 4 * KIB, 8 * KIB, 64 * KIB, 2 * MIB,
                                     4 * MIB };
    static const page_t limits[] = { 0, 0, 0, 640 * KIB, 1 * MIB, 4 * MIB, 16 * MIB,
                                     5 * MIB + 123 };

    for (size_t shape = PC; shape <= RAGGED; shape++) {
        cases_start(&shapes[shape]);
        for (size_t step = 0; step < 400; step++) {
            size_t count = 1 + (test_random_below(8) == 0 ? test_random_below(1100)
                                                          : test_random_below(40));
            size_t align = aligns[test_random_below(ARRAY_LENGTH(aligns))];
            page_t limit = limits[test_random_below(ARRAY_LENGTH(limits))];
            page_t run = page_range(count, align, limit, OWNER_KERNEL);

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
    for (size_t i = PC; i <= LARGER_PC; i++) {
        cases_start(&shapes[i]);
        for (size_t count = 1; count < 100; count += 7) {
            page_t end = (1 + count) * PAGE_SIZE;

            CHECK_EQ(page_range(count, PAGE_SIZE, end - PAGE_SIZE, OWNER_KERNEL),
                     PAGE_NONE);
            CHECK_EQ(page_range(count, PAGE_SIZE, end - 1, OWNER_KERNEL), PAGE_NONE);
            CHECK_EQ(page_range(count, PAGE_SIZE, end, OWNER_KERNEL), PAGE_SIZE);
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
    cases_start(&shapes[PC]);
    for (unsigned shift = 21; shift < 8 * sizeof(size_t); shift++) {
        page_t run = page_range(1, (size_t)1 << shift, 0, OWNER_KERNEL);

        if (run != PAGE_NONE)
            hold_run(run, 1, (size_t)1 << shift, 0);
        else
            CHECK(!run_exists(1, (size_t)1 << shift, 0));
    }
    CHECK_EQ(page_range((size_t)-1, PAGE_SIZE, 0, OWNER_KERNEL), PAGE_NONE);
    CHECK_EQ(page_range((size_t)-1 / PAGE_SIZE, PAGE_SIZE, 0, OWNER_KERNEL),
             PAGE_NONE);
    CHECK_EQ(page_range(1, PAGE_SIZE, 1, OWNER_KERNEL), PAGE_NONE);
    free_all_in_any_order();
    check_figures();
    fake_machine_stop();
}

/*
 * All of memory in use but [first, first + count): that is found as one run, from
 * every page of it on, and no more.
 */
static void one_gap(page_t first, size_t count)
{
    CHECK_EQ(page_range(1, PAGE_SIZE, 0, OWNER_KERNEL), PAGE_NONE);
    free_held(first, count);
    CHECK_EQ(page_range(count + 1, PAGE_SIZE, 0, OWNER_KERNEL), PAGE_NONE);
    for (size_t n = count; n > 0; n--) {
        page_t end = first + n * PAGE_SIZE;
        page_t run;

        CHECK_EQ(page_range(n, PAGE_SIZE, end - 1, OWNER_KERNEL), PAGE_NONE);
        CHECK_EQ(page_range(n, PAGE_SIZE, end, OWNER_KERNEL), first);
        CHECK_OK(physical_check());
        CHECK_EQ(page_range_free(first, n), 0);
        run = page_range(n, PAGE_SIZE, 0, OWNER_KERNEL);
        CHECK(run >= first && run + n * PAGE_SIZE <= first + count * PAGE_SIZE);
        CHECK_EQ(page_range_free(run, n), 0);
    }
    hold_run(page_range(count, PAGE_SIZE, 0, OWNER_KERNEL), count, PAGE_SIZE, 0);
}

/* At no multiple of its length, over chunks, blocks and the end of low memory. */
TEST(physical_runs_across_chunks_and_blocks)
{
    static const page_t middles[] = { 3 * MIB, 4 * MIB, 4 * MIB + 32 * KIB, LOW_ZONE_END,
                                      LOW_ZONE_END + BLOCK };

    cases_start(&shapes[LARGER_PC]);
    hold_all();
    for (size_t i = 0; i < ARRAY_LENGTH(middles); i++) {
        one_gap(middles[i] - 1 * PAGE_SIZE, 2);
        one_gap(middles[i] - 1 * PAGE_SIZE, 3);
        one_gap(middles[i] - 2 * PAGE_SIZE, 3);
        one_gap(middles[i] - 3 * PAGE_SIZE, 6);
        one_gap(middles[i] - 7 * PAGE_SIZE, 15);
        one_gap(middles[i] - 15 * PAGE_SIZE, 18);
    }
    free_all_in_any_order();
    check_figures();
    fake_machine_stop();
}

/* More than two blocks: parts of the first and last, and a whole one between. */
TEST(physical_runs_over_whole_blocks)
{
    const page_t first = 4 * MIB + 300 * PAGE_SIZE;
    const size_t count = 212 + PAGES_OF_BLOCK + 100;

    cases_start(&shapes[LARGER_PC]);
    hold_all();
    free_held(first, count);
    CHECK_EQ(page_range(count + 1, PAGE_SIZE, 0, OWNER_KERNEL), PAGE_NONE);
    CHECK_EQ(page_range(count, PAGE_SIZE, first + count * PAGE_SIZE - 1, OWNER_KERNEL),
             PAGE_NONE);
    CHECK_EQ(page_range(count, PAGE_SIZE, 0, OWNER_KERNEL), first);
    CHECK_EQ(physical_figures()->free, 0);
    CHECK_EQ(physical_frame(first)->state, FRAME_RUN);
    CHECK_OK(physical_check());
    CHECK_EQ(page_range_free(first, count), 0);
    CHECK_EQ(whole_blocks(), 1);
    /* With an alignment that only its middle has; both ends stay. */
    CHECK_EQ(page_range(PAGES_OF_BLOCK + 1, BLOCK, 0, OWNER_KERNEL), 6 * MIB);
    check_figures();
    CHECK_EQ(page_range_free(6 * MIB, PAGES_OF_BLOCK + 1), 0);
    hold_run(page_range(count, PAGE_SIZE, 0, OWNER_KERNEL), count, PAGE_SIZE, 0);
    free_all_in_any_order();
    fake_machine_stop();
}

/* The first chunk that is long enough does not fit below the limit; another does. */
TEST(physical_runs_below_a_limit_inside_a_block)
{
    const page_t block = 4 * MIB;

    cases_start(&shapes[PC]);
    hold_all();
    without_magazine();
    free_held(block + 64 * PAGE_SIZE, 8);
    free_held(block + 128 * PAGE_SIZE, 8);
    for (size_t i = 64; i <= 136; i++) {
        page_t run;

        /* The upper one, which no other is a multiple of, is the last to come. */
        CHECK_EQ(page_range(8, 128 * PAGE_SIZE, 0, OWNER_KERNEL), block + 128 * PAGE_SIZE);
        CHECK_EQ(page_range_free(block + 128 * PAGE_SIZE, 8), 0);
        run = page_range(8, PAGE_SIZE, block + i * PAGE_SIZE, OWNER_KERNEL);
        CHECK_EQ(run, i < 72 ? PAGE_NONE : block + (i < 136 ? 64 : 128) * PAGE_SIZE);
        if (run != PAGE_NONE)
            CHECK_EQ(page_range_free(run, 8), 0);
    }
    physical_fail_after(0);
    free_all_in_any_order();
    fake_machine_stop();
}

TEST(physical_get_in_both_zones)
{
    cases_start(&shapes[LARGER_PC]);
    for (size_t count = 1; count < 200; count += 27) {
        page_t low = page_get(ZONE_LOW, count, OWNER_KERNEL);
        page_t normal = page_get(ZONE_NORMAL, count, OWNER_KERNEL);

        CHECK(low != PAGE_NONE && low + count * PAGE_SIZE <= LOW_ZONE_END);
        CHECK(normal >= LOW_ZONE_END);
        hold_run(low, count, PAGE_SIZE, LOW_ZONE_END);
        hold_run(normal, count, PAGE_SIZE, 0);
    }
    check_figures();
    /* With nothing left above, the low zone serves both; and only low ones the other. */
    while (physical_figures()->free > physical_figures()->low_free)
        hold(alloc_physical_page(OWNER_ANON));
    hold_run(page_get(ZONE_NORMAL, 5, OWNER_KERNEL), 5, PAGE_SIZE, LOW_ZONE_END);
    hold_all();
    free_held(LOW_ZONE_END + 64 * PAGE_SIZE, 64);
    CHECK_EQ(page_get(ZONE_LOW, 1, OWNER_KERNEL), PAGE_NONE);
    CHECK_EQ(page_get(ZONE_LOW, 64, OWNER_KERNEL), PAGE_NONE);
    CHECK_EQ(page_get(ZONE_NORMAL, 64, OWNER_KERNEL), LOW_ZONE_END + 64 * PAGE_SIZE);
    CHECK_EQ(page_range_free(LOW_ZONE_END + 64 * PAGE_SIZE, 64), 0);
    free_all_in_any_order();
    fake_machine_stop();
}

/* What a slot can say, and one page more. */
TEST(physical_runs_longer_than_a_frame_can_say)
{
    static const size_t counts[] = { 65535, 65536 };

    if (sizeof(void *) == 4)
        test_skip("a 32-bit process has no room for so much RAM");
    fake_machine_start(&(fake_config_t){ .level = FAKE_PHYSICAL, .megabytes = 264 });
    for (size_t i = 0; i < 2; i++) {
        page_t run = page_range(counts[i], PAGE_SIZE, 0, OWNER_KERNEL);

        CHECK(run != PAGE_NONE);
        CHECK_EQ(physical_frame(run)->state, i == 0 ? FRAME_RUN : FRAME_USED);
        CHECK_EQ(physical_figures()->owner[OWNER_KERNEL], counts[i]);
        CHECK_OK(physical_check());
        if (i == 0) {
            CHECK_EQ(page_range_free(run, counts[i]), 0);
            CHECK_EQ(physical_figures()->owner[OWNER_KERNEL], 0);
            continue;
        }
        CHECK_EQ(page_range_free(run, counts[i] + 1), -EINVAL);
        CHECK_EQ(page_range_free(run, 100), 0);
        CHECK_EQ(page_range_free(run, counts[i]), -EINVAL);
        CHECK_EQ(host_misuse_count(), 2);
        CHECK_EQ(physical_figures()->owner[OWNER_KERNEL], counts[i] - 100);
        CHECK_EQ(page_range_free(run + 100 * PAGE_SIZE, counts[i] - 100), 0);
    }
    fake_machine_stop();
}

/* ---- giving back */

enum freed_how { WHOLE_RUN, IN_PARTS, BACKWARDS, PAGE_BY_PAGE, RELEASED, HOWS };

static void free_run(page_t run, size_t count, enum freed_how how)
{
    for (size_t i = 0; i < count; i++)
        give_page(run + i * PAGE_SIZE);
    if (how == WHOLE_RUN)
        CHECK_EQ(page_range_free(run, count), 0);
    for (size_t at = 0; how == IN_PARTS && at < count; ) {
        size_t part = 1 + test_random_below(count - at);

        CHECK_EQ(page_range_free(run + at * PAGE_SIZE, part), 0);
        at += part;
    }
    for (size_t i = 0; i < count; i++) {
        if (how == BACKWARDS)
            CHECK_EQ(page_range_free(run + (count - 1 - i) * PAGE_SIZE, 1), 0);
        else if (how == PAGE_BY_PAGE)
            CHECK_EQ(free_physical_page(run + i * PAGE_SIZE), 0);
        else if (how == RELEASED)
            CHECK_EQ(page_release(run + i * PAGE_SIZE), 0);
    }
}

TEST(physical_runs_freed_in_every_way)
{
    static const size_t lengths[] = { 1, 2, 3, 4, 7, 8, 31, 32, 33, 64, 100, 512, 513 };

    for (size_t shape = PC; shape <= PAGED_PC; shape++) {
        for (enum freed_how how = WHOLE_RUN; how < HOWS; how++) {
            size_t free;

            cases_start(&shapes[shape]);
            free = physical_figures()->free;
            for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
                size_t count = lengths[i];
                page_t run = page_range(count, PAGE_SIZE, 0, OWNER_KERNEL);

                if (run == PAGE_NONE)       /* a ragged machine has none of the longest */
                    continue;
                hold_run(run, count, PAGE_SIZE, 0);
                CHECK_EQ(physical_figures()->free, free - count);
                free_run(run, count, how);
                CHECK_EQ(physical_figures()->free, free);
                check_figures();
            }
            fake_machine_stop();
        }
    }
}

/* Shared pages are freed all the same. */
TEST(physical_runs_of_shared_pages_are_freed)
{
    page_t run;

    cases_start(&shapes[PC]);
    run = page_range(8, PAGE_SIZE, 0, OWNER_ANON);
    for (size_t i = 0; i < 8; i += 3)
        page_hold(run + i * PAGE_SIZE);
    CHECK_EQ(page_count(run), 2);
    CHECK_EQ(page_range_free(run, 8), 0);
    for (size_t i = 0; i < 8; i++)
        CHECK_EQ(page_count(run + i * PAGE_SIZE), 0);
    fake_machine_stop();
}

/* Two runs side by side, and single pages around them: any part of it can be freed. */
TEST(physical_range_free_of_pages_in_a_row)
{
    enum { LENGTH = 12 };       /* 0 .. 11:  u 111 2222 uuuu */
    const page_t base = 4 * MIB;

    cases_start(&shapes[PC]);
    hold_all();
    free_held(base, 16);
    for (size_t from = 0; from < LENGTH; from++) {
        for (size_t count = 1; count <= LENGTH - from; count++) {
            CHECK_EQ(page_range(16, 16 * PAGE_SIZE, 0, OWNER_ANON), base);
            CHECK_EQ(page_count(base), 1);
            CHECK_EQ(page_range_free(base + 4 * PAGE_SIZE, 4), 0);
            CHECK_EQ(page_range(4, PAGE_SIZE, 0, OWNER_HEAP), base + 4 * PAGE_SIZE);
            CHECK_EQ(page_range_free(base + PAGE_SIZE, 3), 0);
            CHECK_EQ(page_range(3, PAGE_SIZE, 0, OWNER_STACK), base + PAGE_SIZE);
            CHECK_EQ(page_range_free(base + from * PAGE_SIZE, count), 0);
            for (size_t i = 0; i < LENGTH; i++)
                CHECK_EQ(page_count(base + i * PAGE_SIZE), i < from || i >= from + count);
            CHECK_OK(physical_check());
            for (size_t i = 0; i < 16; i++)
                if (i < from || i >= from + count)
                    CHECK_EQ(page_release(base + i * PAGE_SIZE), 0);
            CHECK_EQ(physical_figures()->free, 16);
        }
    }
    free_all_in_any_order();
    check_figures();
    fake_machine_stop();
}

/* ---- one page of a run */

static page_t new_run(size_t count)
{
    page_t run = page_range(count, PAGE_SIZE, 0, OWNER_HEAP);

    CHECK_EQ(physical_frame(run)->state, FRAME_RUN);
    CHECK_EQ(physical_frame(run)->slot, count);
    return run;
}

enum single { COUNT, HOLD, RELEASE, SET_OWNER, FREE, SINGLES };

/* Whatever is said of one page of a run: the others are there, each with a count of 1. */
TEST(physical_pages_of_a_run_by_themselves)
{
    enum { LENGTH = 6 };

    for (enum single what = COUNT; what < SINGLES; what++) {
        for (size_t at = 0; at < LENGTH; at++) {
            page_t run, page;
            size_t heap;

            cases_start(&shapes[what % 2 == 0 ? PC : PAGED_PC]);
            heap = physical_figures()->owner[OWNER_HEAP];
            run = new_run(LENGTH);
            page = run + at * PAGE_SIZE;
            if (what == COUNT)
                CHECK_EQ(page_count(page), 1);
            else if (what == HOLD)
                page_hold(page);
            else if (what == RELEASE)
                CHECK_EQ(page_release(page), 0);
            else if (what == SET_OWNER)
                physical_set_owner(page, OWNER_CACHE);
            else
                CHECK_EQ(free_physical_page(page), 0);
            CHECK_EQ(physical_figures()->owner[OWNER_HEAP],
                     heap + LENGTH - (what != COUNT && what != HOLD));
            CHECK_EQ(physical_figures()->owner[OWNER_CACHE], what == SET_OWNER);
            CHECK_OK(physical_check());
            for (size_t i = 0; i < LENGTH; i++) {
                bool gone = i == at && (what == RELEASE || what == FREE);

                CHECK_EQ(page_count(run + i * PAGE_SIZE),
                         gone ? 0 : i == at && what == HOLD ? 2 : 1);
                if (!gone)
                    CHECK_EQ(free_physical_page(run + i * PAGE_SIZE), 0);
            }
            check_figures();
            fake_machine_stop();
        }
    }
}
