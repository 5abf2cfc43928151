/*
 * Runs that are freed and kept for the next call: when they are, when they are given
 * back, and that no call fails for want of them.
 */
#include "physical_cases.h"

/* Freed and taken again: the last one, and the linear space is not visited. */
TEST(physical_runs_are_kept)
{
    for (size_t count = 2; count <= 32; count *= 2) {
        const size_t align = count * PAGE_SIZE;
        page_t run[2];

        cases_start(&shapes[PAGED_PC]);
        for (size_t i = 0; i < 2; i++)
            run[i] = page_range(count, align, 0, OWNER_STACK);
        fake_reset_events();
        for (size_t i = 0; i < 2; i++)
            CHECK_EQ(page_range_free(run[i], count), 0);
        CHECK_EQ(physical_figures()->kept, 2 * count);
        CHECK_EQ(physical_figures()->owner[OWNER_STACK], 0);
        check_figures();
        for (size_t n = 0; n < 100; n++) {
            CHECK_EQ(page_range(count, PAGE_SIZE << n % 2, 0, OWNER_STACK), run[1]);
            CHECK_EQ(physical_frame(run[1])->state, FRAME_RUN);
            CHECK_EQ(physical_frame(run[1])->owner, OWNER_STACK);
            CHECK_EQ(physical_figures()->owner[OWNER_STACK], count);
            CHECK_EQ(page_range_free(run[1], count), 0);
        }
        CHECK_EQ(page_range(count, align, 0, OWNER_STACK), run[1]);
        CHECK_EQ(page_range(count, align, 0, OWNER_STACK), run[0]);
        CHECK_EQ(fake_events.cr3_loads, 2);     /* those of the checker */
        CHECK_EQ(physical_figures()->kept, 0);
        for (size_t i = 0; i < 2; i++)
            CHECK_EQ(page_range_free(run[i], count), 0);
        fake_machine_stop();
    }
}

/* It would go out again before normal memory. */
TEST(physical_low_runs_are_not_kept)
{
    page_t run;

    cases_start(&shapes[LARGER_PC]);
    run = page_get(ZONE_LOW, 8, OWNER_KERNEL);
    CHECK(run != PAGE_NONE && run < LOW_ZONE_END);
    CHECK_EQ(page_range_free(run, 8), 0);
    CHECK_EQ(physical_figures()->kept, 0);
    run = page_get(ZONE_NORMAL, 8, OWNER_KERNEL);
    CHECK(run >= LOW_ZONE_END);
    CHECK_EQ(page_range_free(run, 8), 0);
    CHECK_EQ(physical_figures()->kept, 8);
    fake_machine_stop();
}

/* Only runs of 2, 4, ... 32 pages at multiples of their length are. */
TEST(physical_runs_that_are_not_kept)
{
    static const size_t counts[] = { 1, 3, 5, 6, 7, 31, 33, 64, 512 };
    page_t run;

    cases_start(&shapes[PC]);
    for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
        run = page_range(counts[i], PAGE_SIZE, 0, OWNER_STACK);
        CHECK_EQ(page_range_free(run, counts[i]), 0);
        CHECK_EQ(physical_figures()->kept, 0);
    }
    hold_all();
    free_held(4 * MIB + 3 * PAGE_SIZE, 2);
    CHECK_EQ(page_range(2, PAGE_SIZE, 0, OWNER_STACK), 4 * MIB + 3 * PAGE_SIZE);
    CHECK_EQ(page_range_free(4 * MIB + 3 * PAGE_SIZE, 2), 0);
    CHECK_EQ(physical_figures()->kept, 0);
    free_all_in_any_order();
    fake_machine_stop();
}

/* A limit or an alignment that a kept run may not have is for others to meet. */
TEST(physical_kept_runs_have_no_limit_and_no_alignment)
{
    const page_t low = 2 * MIB;
    page_t run, other;

    cases_start(&shapes[LARGER_PC]);
    run = page_range(4, 4 * PAGE_SIZE, 0, OWNER_STACK);
    CHECK(run >= LOW_ZONE_END);
    hold(run);          /* the next one is no multiple of more than 4 pages */
    give_page(run);
    other = page_range(4, 4 * PAGE_SIZE, 0, OWNER_STACK);
    CHECK_EQ(other % (8 * PAGE_SIZE), 4 * PAGE_SIZE);
    CHECK_EQ(page_range_free(other, 4), 0);
    CHECK_EQ(physical_figures()->kept, 4);
    hold_run(page_range(4, 8 * PAGE_SIZE, 0, OWNER_STACK), 4, 8 * PAGE_SIZE, 0);
    hold_run(page_range(4, 4 * PAGE_SIZE, low, OWNER_STACK), 4, 4 * PAGE_SIZE, low);
    hold_run(page_get(ZONE_LOW, 4, OWNER_STACK), 4, PAGE_SIZE, LOW_ZONE_END);
    CHECK_OK(physical_check());
    free_all_in_any_order();
    CHECK_EQ(page_range_free(run, 4), 0);
    fake_machine_stop();
}

/* No more than so many: the oldest half goes when there is no room. */
TEST(physical_keeps_some_runs)
{
    static const struct { size_t pages, runs; } most[] = {
        { 2, 16 }, { 4, 8 }, { 8, 4 }, { 16, 2 }, { 32, 2 },
    };
    page_t run[20];

    for (size_t i = 0; i < ARRAY_LENGTH(most); i++) {
        const size_t pages = most[i].pages, runs = most[i].runs;

        cases_start(&shapes[PAGED_PC]);
        for (size_t k = 0; k <= runs; k++)
            run[k] = page_range(pages, pages * PAGE_SIZE, 0, OWNER_STACK);
        for (size_t k = 0; k < runs; k++)
            CHECK_EQ(page_range_free(run[k], pages), 0);
        CHECK_EQ(physical_figures()->kept, pages * runs);
        CHECK_EQ(page_range_free(run[runs], pages), 0);
        CHECK_EQ(physical_figures()->kept, pages * (runs - runs / 2 + 1));
        check_figures();
        for (size_t k = runs; k >= runs / 2; k--)
            CHECK_EQ(page_range(pages, PAGE_SIZE, 0, OWNER_STACK), run[k]);
        CHECK_EQ(physical_figures()->kept, 0);
        for (size_t k = runs / 2; k <= runs; k++)
            CHECK_EQ(page_range_free(run[k], pages), 0);
        fake_machine_stop();
    }
}

/* Kept runs go before a whole block is broken, for a page and for a run. */
TEST(physical_kept_runs_go_before_a_whole_block)
{
    for (size_t count = 1; count <= 16; count *= 16) {
        page_t kept[2], page;

        cases_start(&shapes[LARGER_PC]);
        hold_all();
        without_magazine();
        free_held(LOW_ZONE_END, 2 * PAGES_OF_BLOCK);
        physical_fail_after(0);
        for (size_t i = 0; i < 2; i++)
            kept[i] = page_range(32, 32 * PAGE_SIZE, 0, OWNER_STACK);
        /* Nothing but the two and a whole block. */
        while (whole_blocks() > 1 || unit_at(LOW_ZONE_END / PAGE_SIZE + 64) > 1 ||
               physical_figures()->magazine > 0)
            hold(alloc_physical_page(OWNER_ANON));
        while (physical_figures()->free > PAGES_OF_BLOCK)
            hold(alloc_physical_page(OWNER_ANON));
        for (size_t i = 0; i < 2; i++)
            CHECK_EQ(page_range_free(kept[i], 32), 0);
        CHECK_EQ(whole_blocks(), 1);
        CHECK_EQ(physical_figures()->free, PAGES_OF_BLOCK + 64);
        CHECK_EQ(physical_figures()->kept, 64);
        page = count == 1 ? alloc_physical_page(OWNER_ANON)
                          : page_range(count, PAGE_SIZE, 0, OWNER_ANON);
        CHECK(page >= kept[0] && page < kept[0] + 64 * PAGE_SIZE);
        CHECK_EQ(whole_blocks(), 1);
        CHECK_EQ(physical_figures()->kept, 0);
        CHECK_EQ(page_range_free(page, count), 0);
        free_all_in_any_order();
        check_figures();
        fake_machine_stop();
    }
}

/* All memory is in use, but for kept runs and a magazine: neither call may fail. */
TEST(physical_kept_runs_go_before_a_call_fails)
{
    for (size_t round = 0; round < 4; round++) {
        page_t run, page;

        cases_start(&shapes[round % 2 == 0 ? PC : PAGED_PC]);
        run = page_range(8, 8 * PAGE_SIZE, 0, OWNER_STACK);
        hold_all();
        CHECK_EQ(page_range_free(run, 8), 0);
        CHECK_EQ(physical_figures()->kept, 8);
        if (round < 2) {
            for (size_t i = 0; i < 8; i++)
                hold(alloc_physical_page(OWNER_ANON));
            CHECK_EQ(alloc_physical_page(OWNER_ANON), PAGE_NONE);
        } else {
            page = page_range(3, PAGE_SIZE, 0, OWNER_KERNEL);
            CHECK(page >= run && page + 3 * PAGE_SIZE <= run + 8 * PAGE_SIZE);
            hold_run(page, 3, PAGE_SIZE, 0);
            /* The rest is in the blocks; then in the magazine, which is emptied. */
            hold(alloc_physical_page(OWNER_ANON));
            CHECK_EQ(physical_figures()->magazine, 4);
            page = page_range(4, PAGE_SIZE, 0, OWNER_KERNEL);
            CHECK(page != PAGE_NONE);
            hold_run(page, 4, PAGE_SIZE, 0);
        }
        CHECK_EQ(physical_figures()->free, 0);
        free_all_in_any_order();
        check_figures();
        fake_machine_stop();
    }
}

/* ---- failure */

/* While an allocation is to fail nothing is kept, and a run counts as one. */
TEST(physical_runs_fail_on_demand)
{
    enum { RUNS = 9 };
    page_t run[RUNS];

    cases_start(&shapes[PAGED_PC]);
    run[0] = page_range(4, 4 * PAGE_SIZE, 0, OWNER_STACK);
    CHECK_EQ(page_range_free(run[0], 4), 0);
    for (size_t n = 1; n < RUNS; n++) {
        uint64_t failures = physical_figures()->failures;

        physical_fail_after(n);
        CHECK_EQ(physical_figures()->kept, 0);
        for (size_t i = 1; i < n; i++) {
            run[i] = page_range(4, 4 * PAGE_SIZE, 0, OWNER_STACK);
            CHECK(run[i] != PAGE_NONE);
            if (i % 2 == 0) {
                CHECK_EQ(page_range_free(run[i], 4), 0);
                CHECK_EQ(physical_figures()->kept, 0);
            }
        }
        CHECK_EQ(page_range(4, 4 * PAGE_SIZE, 0, OWNER_STACK), PAGE_NONE);
        CHECK_EQ(physical_figures()->failures, failures + 1);
        for (size_t i = 1; i < n; i += 2)
            CHECK_EQ(page_range_free(run[i], 4), 0);
        CHECK(n == 1 || physical_figures()->kept > 0);      /* they are again */
        run[0] = page_range(4, 4 * PAGE_SIZE, 0, OWNER_STACK);
        CHECK(run[0] != PAGE_NONE);
        CHECK_EQ(page_range_free(run[0], 4), 0);
        check_figures();
    }
    fake_machine_stop();
}

static int take_three(void *context)
{
    page_t *run = context;

    for (size_t i = 0; i < 3; i++) {
        run[i] = page_range(i == 1 ? 5 : 16, PAGE_SIZE << i, 0, OWNER_STACK);
        if (run[i] == PAGE_NONE) {
            while (i-- > 0)
                page_range_free(run[i], i == 1 ? 5 : 16);
            return -ENOMEM;
        }
    }
    return 0;
}

static void give_three(void *context)
{
    page_t *run = context;

    for (size_t i = 0; i < 3; i++)
        page_range_free(run[i], i == 1 ? 5 : 16);
}

TEST(physical_runs_fail_one_by_one)
{
    page_t run[3];

    cases_start(&shapes[PAGED_PC]);
    CHECK_EQ(fake_failure_sweep(take_three, give_three, NULL, run), 3);
    fake_machine_stop();
}

static struct {
    size_t calls;
    size_t wanted;
    page_t run;             /* it has this to give */
    size_t length;          /* 0: no more */
    bool as_a_run;
} reclaimer;

static size_t reclaim(size_t wanted)
{
    size_t given = reclaimer.length;

    reclaimer.calls++;
    reclaimer.wanted = wanted;
    reclaimer.length = 0;
    if (reclaimer.as_a_run && given > 0)
        CHECK_EQ(page_range_free(reclaimer.run, given), 0);
    for (size_t i = 0; !reclaimer.as_a_run && i < given; i++)
        CHECK_EQ(free_physical_page(reclaimer.run + i * PAGE_SIZE), 0);
    return given;
}

/* What is reclaimed is in the magazine, is kept, or in a block: it is found. */
TEST(physical_asks_for_pages_before_a_run_fails)
{
    static const struct { size_t length, wanted; } tries[] = {
        { 16, 16 }, { 16, 12 }, { 48, 16 }, { 16, 1 },
    };

    for (size_t i = 0; i < 2 * ARRAY_LENGTH(tries); i++) {
        const size_t length = tries[i / 2].length, wanted = tries[i / 2].wanted;
        page_t run;

        cases_start(&shapes[PC]);
        memset(&reclaimer, 0, sizeof(reclaimer));
        reclaimer.run = page_range(length, 64 * PAGE_SIZE, 0, OWNER_CACHE);
        reclaimer.length = length;
        reclaimer.as_a_run = i % 2 == 0;
        hold_all();
        physical_set_reclaim(reclaim);
        run = wanted == 1 ? alloc_physical_page(OWNER_KERNEL)
                          : page_range(wanted, 16 * PAGE_SIZE, 0, OWNER_KERNEL);
        CHECK(run >= reclaimer.run && run < reclaimer.run + length * PAGE_SIZE);
        CHECK_EQ(reclaimer.calls, 1);
        CHECK_EQ(reclaimer.wanted, wanted);
        CHECK_EQ(page_range(length, 16 * PAGE_SIZE, 0, OWNER_KERNEL), PAGE_NONE);
        CHECK_EQ(reclaimer.calls, 2);
        CHECK_EQ(reclaimer.wanted, length);
        physical_set_reclaim(NULL);
        CHECK_EQ(page_range_free(run, wanted), 0);
        free_all_in_any_order();
        check_figures();
        fake_machine_set_baseline();        /* without what was the cache's */
        fake_machine_stop();
    }
}
