/*
 * Physical pages: every misuse is reported and changes nothing.
 */
#include "physical_cases.h"

enum misused { FREE, RELEASE, HOLD, FREE_RANGE };

static void misuse_once(enum misused call, page_t page, size_t count)
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
    else if (call == HOLD)
        page_hold(page);
    else
        CHECK_EQ(page_range_free(page, count), -EINVAL);
    CHECK_EQ(host_misuse_count(), reports + 1);
    format_text(address, sizeof(address), "%zx", page);
    CHECK(call == FREE_RANGE || strstr(host_misuse_last(), address) != NULL);
    CHECK(memcmp(&info, physical_figures(), sizeof(info)) == 0);
    CHECK(memcmp(frames, physical_frames, bytes) == 0);
    CHECK_OK(physical_check());
    free(frames);
}

static void misuse_each_way(page_t page)
{
    for (enum misused call = FREE; call <= FREE_RANGE; call++)
        misuse_once(call, page, 1);
    misuse_once(FREE_RANGE, page, 3);
    misuse_once(FREE_RANGE, page, (size_t)-1);
}

TEST(physical_reports_every_misuse_and_changes_nothing)
{
    for (size_t i = 0; i < SHAPE_COUNT; i++) {
        page_t used, in_magazine, in_list;

        cases_start(&shapes[i]);
        in_list = alloc_physical_page(OWNER_ANON);
        CHECK_EQ(free_physical_page(in_list), 0);
        empty_magazine();
        CHECK_EQ(physical_frame(in_list)->state, FRAME_FREE);
        used = page_range(1, PAGE_SIZE, 0, OWNER_ANON);
        if (used == in_list) {
            in_list = page_range(1, PAGE_SIZE, 0, OWNER_ANON);
            CHECK_EQ(page_range_free(in_list, 1), 0);
            empty_magazine();
        }
        in_magazine = alloc_physical_page(OWNER_ANON);
        CHECK_EQ(free_physical_page(in_magazine), 0);
        CHECK_EQ(physical_frame(in_magazine)->state, FRAME_MAGAZINE);
        CHECK_EQ(physical_frame(used)->state, FRAME_USED);
        misuse_each_way(PAGE_NONE);
        misuse_each_way(used + 1);
        misuse_each_way(used + PAGE_SIZE / 2);
        misuse_each_way(fake_ram_bytes());
        misuse_each_way(fake_ram_bytes() + 100 * PAGE_SIZE);
        misuse_each_way((page_t)-1);
        misuse_each_way((page_t)-PAGE_SIZE);
        misuse_each_way(VIDEO_BASE);
        misuse_each_way(FAKE_IMAGE_BASE);
        misuse_each_way(physical_frame_table());
        misuse_each_way(in_list);
        misuse_each_way(in_magazine);
        misuse_each_way(physical_figures()->physical_heap_end - PAGE_SIZE);
        CHECK_EQ(page_count(in_list), 0);
        CHECK_EQ(page_count((page_t)-PAGE_SIZE), 0);
        CHECK_EQ(page_count(used), 1);
        /* Freed twice in a row: the second time it is in the magazine. */
        CHECK_EQ(free_physical_page(used), 0);
        misuse_each_way(used);
        fake_machine_stop();
    }
}

/*
 * Behind a run in use, inside and behind one that is kept, and at no page's address.
 */
TEST(physical_reports_misuse_of_runs)
{
    size_t behind = 0;

    for (size_t i = 0; i < SHAPE_COUNT; i++) {
        page_t base, run, kept;

        cases_start(&shapes[i]);
        base = page_range(32, 32 * PAGE_SIZE, 0, OWNER_ANON);
        CHECK(base != PAGE_NONE);
        without_magazine();
        CHECK_EQ(page_range_free(base + PAGE_SIZE, 31), 0);
        physical_fail_after(0);
        run = page_range(4, 4 * PAGE_SIZE, 0, OWNER_ANON);
        if (chunk_at((run >> PAGE_SHIFT) + 4) >= 0) {
            misuse_each_way(run + 4 * PAGE_SIZE);
            behind++;
        }
        kept = page_range(4, 4 * PAGE_SIZE, 0, OWNER_ANON);
        CHECK_EQ(page_range_free(kept, 4), 0);
        CHECK_EQ(physical_frame(kept)->state, FRAME_KEPT);
        CHECK_EQ(physical_frame(run)->state, FRAME_RUN);
        for (size_t k = 0; k < 4; k++)
            misuse_each_way(kept + k * PAGE_SIZE);
        misuse_each_way(run + 1);
        misuse_each_way(run + PAGE_SIZE + 8);
        misuse_each_way(kept + 1);
        if (chunk_at((kept >> PAGE_SHIFT) + 4) >= 0)
            misuse_each_way(kept + 4 * PAGE_SIZE);
        CHECK_EQ(page_count(kept), 0);
        CHECK_EQ(page_count(kept + PAGE_SIZE), 0);
        CHECK_EQ(physical_frame(run)->state, FRAME_RUN);
        CHECK_EQ(page_range_free(run, 4), 0);
        CHECK_EQ(page_range_free(base, 1), 0);
        fake_machine_stop();
    }
    CHECK(behind > 0);
}

/* One page of them is not in use: all those that are stay so. */
TEST(physical_range_with_a_hole_stays)
{
    enum { COUNT = 12 };

    for (size_t hole = 0; hole < COUNT; hole++) {
        page_t run;
        size_t used, reports;

        cases_start(&shapes[PC]);
        run = page_range(COUNT, PAGE_SIZE, 0, OWNER_ANON);
        hold_run(run, COUNT, PAGE_SIZE, 0);
        CHECK_EQ(free_physical_page(give_page(run + hole * PAGE_SIZE)), 0);
        used = physical_figures()->used;
        reports = host_misuse_count();
        CHECK_EQ(page_range_free(run, COUNT), -EINVAL);
        CHECK_EQ(host_misuse_count(), reports + 1);
        CHECK_EQ(physical_figures()->used, used);
        for (size_t i = 0; i < COUNT; i++)
            CHECK_EQ(page_count(run + i * PAGE_SIZE), i != hole);
        check_figures();
        CHECK_EQ(page_range_free(run, hole), 0);
        CHECK_EQ(page_range_free(run + (hole + 1) * PAGE_SIZE, COUNT - hole - 1), 0);
        fake_machine_stop();
    }
}

/* A run's length is not what was asked for: too long fails, too short is a part. */
TEST(physical_run_freed_with_a_wrong_length)
{
    static const struct { ptrdiff_t from; size_t count; } tries[] = {
        { 0, 9 }, { PAGE_SIZE, 8 }, { -(ptrdiff_t)PAGE_SIZE, 9 }, { 0, (size_t)-1 / PAGE_SIZE },
        { PAGE_SIZE / 2, 8 }, { PAGE_SIZE / 2, 7 }, { 8 * PAGE_SIZE, 1 },
        { -(ptrdiff_t)PAGE_SIZE, 1 },
    };

    for (size_t i = 0; i <= ARRAY_LENGTH(tries); i++) {
        page_t run;
        size_t used;

        cases_start(&shapes[PC]);
        used = physical_figures()->used;
        run = page_range(8, 16 * PAGE_SIZE, 0, OWNER_ANON);
        if (i < ARRAY_LENGTH(tries))
            CHECK_EQ(page_range_free(run + (page_t)tries[i].from, tries[i].count), -EINVAL);
        else
            CHECK_EQ(free_physical_page(run + 8 * PAGE_SIZE), -EINVAL);
        CHECK_EQ(host_misuse_count(), i + 1);
        CHECK_EQ(page_range_free(run, 0), 0);
        CHECK_EQ(physical_figures()->used, used + 8);
        CHECK_EQ(page_range_free(run, 7), 0);
        CHECK_EQ(physical_figures()->used, used + 1);
        CHECK_EQ(page_count(run + 7 * PAGE_SIZE), 1);
        check_figures();
        CHECK_EQ(page_range_free(run + 7 * PAGE_SIZE, 1), 0);
        fake_machine_stop();
    }
}

/* ---- what no caller may do */

static void take_no_page(void *arg)
{
    (void)arg;
    page_range(0, PAGE_SIZE, 0, OWNER_ANON);
}

static void take_with_alignment(void *arg)
{
    page_range(1, *(size_t *)arg, 0, OWNER_ANON);
}

static void take_for(void *arg)
{
    alloc_physical_page(*(frame_owner_t *)arg);
}

static void give_to_the_cache(void *arg)
{
    physical_set_owner(*(page_t *)arg, OWNER_CACHE);
}

TEST(physical_panics_at_what_no_caller_may_do)
{
    static size_t aligns[] = { 0, 1, PAGE_SIZE / 2, PAGE_SIZE + 1, 3 * PAGE_SIZE };
    static page_t pages[] = { PAGE_NONE, FAKE_IMAGE_BASE, FAKE_IMAGE_BASE + 1, (page_t)-1 };
    static frame_owner_t owners[] = { OWNER_NONE, OWNER_COUNT };

    cases_start(&shapes[PC]);
    CHECK(test_expect_panic(take_no_page, NULL, NULL, 0));
    for (size_t i = 0; i < ARRAY_LENGTH(aligns); i++)
        CHECK(test_expect_panic(take_with_alignment, &aligns[i], NULL, 0));
    for (size_t i = 0; i < ARRAY_LENGTH(pages); i++)
        CHECK(test_expect_panic(give_to_the_cache, &pages[i], NULL, 0));
    CHECK_EQ(free_physical_page(alloc_physical_page(OWNER_ANON)), 0);
    CHECK_OK(physical_check());
    for (size_t i = 0; i < ARRAY_LENGTH(owners) && FILLS; i++)      /* debug builds look */
        CHECK(test_expect_panic(take_for, &owners[i], NULL, 0));
    fake_machine_abandon();
}

TEST(physical_says_that_a_state_is_damaged)
{
    page_t page;
    frame_t frame;

    cases_start(&shapes[PC]);
    page = alloc_physical_page(OWNER_ANON);
    frame = *physical_frame(page);
    physical_frame(page)->state = 77;
    CHECK_EQ(free_physical_page(page), -EINVAL);
    CHECK_EQ(host_misuse_count(), 1);
    CHECK(strstr(host_misuse_last(), "damaged") != NULL);
    *physical_frame(page) = frame;
    CHECK_EQ(free_physical_page(page), 0);
    fake_machine_stop();
}

/* ---- debug builds: where it was freed first */

#ifdef DEBUG
/* Where a page is freed, by one call for all. */
static __attribute__((noinline)) int free_here(page_t page)
{
    int error = free_physical_page(page);

    return error == 0 ? 0 : error;      /* not a jump, which would leave no address */
}

/* A page of a run was freed by whoever called, as a single page is. */
TEST(physical_double_free_of_a_page_of_a_run)
{
    char sentence[256];
    const char *site;
    page_t page[3];

    cases_start(&shapes[PC]);
    page[0] = alloc_physical_page(OWNER_ANON);
    page[1] = page_range(3, PAGE_SIZE, 0, OWNER_ANON);
    page[2] = page[1] + PAGE_SIZE;
    for (size_t i = 0; i < 3; i++) {
        CHECK_EQ(free_here(page[i]), 0);
        CHECK_EQ(free_here(page[i]), -EINVAL);
        CHECK_EQ(host_misuse_count(), i + 1);
        site = strstr(host_misuse_last(), "last freed from");
        CHECK(site != NULL);
        if (i == 0)
            strcpy(sentence, site);
        CHECK_STR(site, sentence);
    }
    CHECK_EQ(free_physical_page(page[2] + PAGE_SIZE), 0);
    fake_machine_stop();
}

/* A page freed twice: where the first time was. Never freed: nothing of the kind. */
TEST(physical_double_free_names_the_first)
{
    page_t page, run;

    cases_start(&shapes[PC]);
    page = alloc_physical_page(OWNER_ANON);
    CHECK_EQ(free_physical_page(page), 0);
    CHECK_EQ(free_physical_page(page), -EINVAL);
    CHECK(strstr(host_misuse_last(), "last freed from 0x") != NULL);
    run = page_range(3, PAGE_SIZE, 0, OWNER_ANON);
    CHECK_EQ(page_range_free(run, 3), 0);
    CHECK_EQ(page_range_free(run, 3), -EINVAL);
    CHECK(strstr(host_misuse_last(), "last freed from 0x") != NULL);
    CHECK_EQ(free_physical_page(FAKE_IMAGE_BASE), -EINVAL);
    CHECK(strstr(host_misuse_last(), "last freed") == NULL);
    CHECK(host_misuse_count() > 0);
    fake_machine_stop();
}
#endif
