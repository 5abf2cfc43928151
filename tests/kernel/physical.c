/*
 * Physical pages on the real machine: what is handed out can be written, is
 * nobody else's, and comes back.
 */
#include <kernel/kheap.h>
#include <kernel/layout.h>
#include <kernel/linear.h>
#include <kernel/physical.h>
#include <kernel/virtual.h>
#include <test.h>

#include "probe.h"

enum { SOME_PAGES = 600 };

/* Write a page's own number all over it, or count the words that are not it. */
static size_t differs(page_t page, bool write)
{
    uint32_t *words = mmu_temporary_map(0, page);
    size_t wrong = 0;

    for (size_t i = 0; i < PAGE_SIZE / sizeof(*words); i++) {
        if (write)
            words[i] = (uint32_t)(page + i);
        wrong += words[i] != (uint32_t)(page + i);
    }
    mmu_temporary_unmap(0);
    return wrong;
}

TEST(physical_pages_hold_what_is_written)
{
    page_t *pages = kmalloc(SOME_PAGES * sizeof(*pages));
    size_t wrong = 0;

    CHECK(pages != NULL);
    for (size_t i = 0; i < SOME_PAGES; i++) {
        pages[i] = alloc_physical_page(OWNER_ANON);
        CHECK(pages[i] != PAGE_NONE);
        differs(pages[i], true);
    }
    for (size_t i = 0; i < SOME_PAGES; i++)
        wrong += differs(pages[i], false);
    CHECK_EQ(wrong, 0);
    CHECK_OK(physical_check());
    for (size_t i = 0; i < SOME_PAGES; i++)
        CHECK_EQ(free_physical_page(pages[i]), 0);
    kfree(pages);
}

TEST(physical_figures_add_up)
{
    const physical_mem_info_t *info = physical_figures();
    size_t before = info->free;
    page_t page = alloc_physical_page(OWNER_ANON);

    physical_figures();
    CHECK_EQ(info->free + info->used + info->reserved, info->total);
    CHECK_EQ(info->free, before - 1);
    CHECK_EQ(physical_frame(page)->owner, OWNER_ANON);
    CHECK_EQ(page_count(page), 1);
    page_hold(page);
    CHECK_EQ(page_release(page), 1);
    CHECK_EQ(info->free, before - 1);
    CHECK_EQ(page_release(page), 0);
    CHECK_EQ(physical_figures()->free, before);
    kmmu_refresh();
    CHECK_EQ(kMMU.free_pages, before);
    CHECK_EQ(kMMU.pages_amount, info->total);
}

TEST(physical_runs_are_aligned_and_below_their_limit)
{
    static const struct { size_t count, align; page_t limit; } runs[] = {
        { 1, PAGE_SIZE, 0 }, { 3, PAGE_SIZE, 0 }, { 16, 64 * KIB, 0 },
        { 32, PAGE_SIZE, 16 * MIB }, { 7, 128 * KIB, 16 * MIB }, { 300, PAGE_SIZE, 0 },
    };
    page_t first[ARRAY_LENGTH(runs)];

    for (size_t i = 0; i < ARRAY_LENGTH(runs); i++) {
        first[i] = page_range(runs[i].count, runs[i].align, runs[i].limit, OWNER_ANON);
        CHECK(first[i] != PAGE_NONE);
        CHECK_EQ(first[i] % runs[i].align, 0);
        CHECK(runs[i].limit == 0 || first[i] + runs[i].count * PAGE_SIZE <= runs[i].limit);
        for (size_t k = 0; k < runs[i].count; k++)
            differs(first[i] + k * PAGE_SIZE, true);
    }
    CHECK_OK(physical_check());
    for (size_t i = 0; i < ARRAY_LENGTH(runs); i++) {
        for (size_t k = 0; k < runs[i].count; k++) {
            CHECK_EQ(differs(first[i] + k * PAGE_SIZE, false), 0);
            if (i % 2 == 0)
                CHECK_EQ(free_physical_page(first[i] + k * PAGE_SIZE), 0);
        }
        if (i % 2 != 0)
            CHECK_EQ(page_range_free(first[i], runs[i].count), 0);
    }
    CHECK_OK(physical_check());
    CHECK_EQ(page_range(physical_figures()->total, PAGE_SIZE, 0, OWNER_ANON), PAGE_NONE);
    CHECK_EQ(page_range(2, PAGE_SIZE, 2 * PAGE_SIZE, OWNER_ANON), PAGE_NONE);
}

/* A run that is freed comes back as it was, without a visit to the linear space. */
TEST(physical_runs_are_kept)
{
    page_t run = page_range(8, 8 * PAGE_SIZE, 0, OWNER_STACK);
    uint64_t loads = virtual_events.cr3_loads;
    size_t others = 0;

    CHECK(run != PAGE_NONE);
    physical_watch(false);
    for (size_t i = 0; i < 100; i++) {
        CHECK_EQ(page_range_free(run, 8), 0);
        others += page_range(8, 8 * PAGE_SIZE, 0, OWNER_STACK) != run;
    }
    CHECK_EQ(others, 0);
    CHECK(virtual_events.cr3_loads - loads < 20);       /* two visits a round: 400 */
    physical_watch(true);
    CHECK_EQ(page_range_free(run, 8), 0);
    CHECK_OK(physical_check());
}

/* More pages for a while, then fewer: more than a magazine takes. */
TEST(physical_lists_agree_after_random_work)
{
    static page_t held[SOME_PAGES];
    size_t steps = test_steps(20000);

    for (size_t i = 0; i < ARRAY_LENGTH(held); i++)
        held[i] = PAGE_NONE;
    for (size_t step = 0; step < steps; step++) {
        page_t *slot = &held[test_random_below(ARRAY_LENGTH(held))];
        bool against = test_random_below(4) == 0;
        bool want = step / 2048 % 2 == (against ? 1 : 0);

        if (want && *slot == PAGE_NONE) {
            *slot = alloc_physical_page(OWNER_ANON);
            CHECK(*slot != PAGE_NONE);
        } else if (!want && *slot != PAGE_NONE) {
            CHECK_EQ(free_physical_page(*slot), 0);
            *slot = PAGE_NONE;
        }
        if (step % (steps / 8 + 1) == 0)
            CHECK_OK(physical_check());
    }
    for (size_t i = 0; i < ARRAY_LENGTH(held); i++) {
        if (held[i] != PAGE_NONE)
            free_physical_page(held[i]);
    }
}

TEST(physical_visits_the_linear_space_in_batches)
{
    static page_t pages[SOME_PAGES];
    uint64_t loads;

    physical_watch(false);
    /* The second time from and to a magazine in some state, as is usual. */
    for (int round = 0; round < 2; round++) {
        loads = virtual_events.cr3_loads;
        for (size_t i = 0; i < ARRAY_LENGTH(pages); i++)
            pages[i] = alloc_physical_page(OWNER_ANON);
        for (size_t i = 0; i < ARRAY_LENGTH(pages); i++)
            free_physical_page(pages[i]);
    }
    /* A visit has two loads and is worth at least 16 pages, each way. */
    CHECK(virtual_events.cr3_loads - loads <= 2 * 2 * (ARRAY_LENGTH(pages) / 16 + 1));
    physical_watch(true);
}

TEST(physical_allocation_fails_on_demand)
{
    page_t page;

    physical_fail_after(2);
    page = alloc_physical_page(OWNER_ANON);
    CHECK(page != PAGE_NONE);
    CHECK_EQ(alloc_physical_page(OWNER_ANON), PAGE_NONE);
    CHECK_EQ(free_physical_page(page), 0);
    page = alloc_physical_page(OWNER_ANON);
    CHECK(page != PAGE_NONE);
    CHECK_EQ(free_physical_page(page), 0);
}
