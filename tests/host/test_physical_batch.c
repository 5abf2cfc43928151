/*
 * Many references dropped at once: rows upwards, downwards, in pieces, and pages that
 * somebody else has.
 */
#include <kernel/physical.h>
#include <fake_machine.h>
#include <host_test.h>

enum { BATCH = 96 };

static void start(void)
{
    fake_config_t config = { .level = FAKE_MEMORY };

    fake_machine_start(&config);
}

/* Counted pages in a row. */
static page_t take_row(size_t count)
{
    page_t first = page_range(count, PAGE_SIZE, 0, OWNER_ANON);

    CHECK(first != PAGE_NONE);
    CHECK_EQ(page_range_free(first, count), 0);
    return first;
}

/* `count` pages of page_new, sorted upwards. */
static void take_pages(page_t *pages, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        page_t page = page_new(OWNER_ANON);
        size_t at = i;

        CHECK(page != PAGE_NONE);
        for (; at > 0 && pages[at - 1] > page; at--)
            pages[at] = pages[at - 1];
        pages[at] = page;
    }
}

static void turn(page_t *pages, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        page_t page = pages[i];

        pages[i] = pages[count - 1 - i];
        pages[count - 1 - i] = page;
    }
}

static void shuffle(page_t *pages, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = test_random_below(i);
        page_t page = pages[i - 1];

        pages[i - 1] = pages[other];
        pages[other] = page;
    }
}

static void check_all_free(size_t free, size_t anonymous)
{
    CHECK_OK(physical_check());
    CHECK_EQ(physical_figures()->free, free);
    CHECK_EQ(physical_mem_info.owner[OWNER_ANON], anonymous);
}

TEST(page_release_all_of_rows)
{
    page_t pages[BATCH];
    size_t free;

    start();
    take_row(BATCH);
    free = physical_figures()->free;
    for (size_t count = 1; count <= BATCH; count++) {
        for (int order = 0; order < 3; order++) {
            take_pages(pages, count);
            if (order == 1)
                turn(pages, count);
            else if (order == 2)
                shuffle(pages, count);
            page_release_all(pages, count);
            check_all_free(free, 0);
        }
    }
    fake_machine_stop();
}

TEST(page_release_all_leaves_pages_of_others)
{
    page_t pages[BATCH];
    size_t free;

    start();
    free = physical_figures()->free;
    for (size_t held = 0; held < BATCH; held += 7) {
        take_pages(pages, BATCH);
        page_hold(pages[held]);
        physical_set_owner(pages[BATCH - 1 - held], OWNER_CACHE);
        page_release_all(pages, BATCH);
        CHECK_OK(physical_check());
        CHECK_EQ(page_count(pages[held]), 1);
        CHECK_EQ(physical_figures()->free, free - 1);
        CHECK_EQ(physical_mem_info.owner[OWNER_CACHE], 0);
        page_release(pages[held]);
        check_all_free(free, 0);
    }
    fake_machine_stop();
}

TEST(page_release_all_reports_what_is_no_page_of_ours)
{
    page_t pages[BATCH];

    start();
    take_pages(pages, BATCH);
    page_release(pages[20]);
    page_release_all(pages, BATCH);
    CHECK_EQ(host_misuse_count(), 1);
    CHECK_OK(physical_check());
    for (size_t i = 0; i < BATCH; i++)
        pages[i] = 5;
    page_release_all(pages, 10);
    CHECK_EQ(host_misuse_count(), 11);
    CHECK_OK(physical_check());
    fake_machine_stop();
}

TEST(page_release_all_with_failing_allocations)
{
    page_t pages[BATCH];
    size_t free;

    start();
    free = physical_figures()->free;
    take_pages(pages, BATCH);
    physical_fail_after(1000);
    page_release_all(pages, BATCH);
    physical_fail_after(0);
    check_all_free(free, 0);
    fake_machine_stop();
}
