/*
 * Physical pages: what is written to a free page is noticed: to a chunk's marker always,
 * elsewhere in debug builds.
 */
#include "physical_cases.h"

static void take_all(void *arg)
{
    (void)arg;
    while (alloc_physical_page(OWNER_ANON) != PAGE_NONE)
        ;
}

/* A free chunk of at least two pages. => its first page */
static page_t some_chunk(void)
{
    page_t run = page_range(16, 16 * PAGE_SIZE, 0, OWNER_ANON);

    CHECK(run != PAGE_NONE);
    without_magazine();
    CHECK_EQ(free_physical_page(run + 6 * PAGE_SIZE), 0);
    CHECK_EQ(free_physical_page(run + 7 * PAGE_SIZE), 0);
    physical_fail_after(0);
    CHECK_EQ(chunk_at((run >> PAGE_SHIFT) + 6), 1);
    return run + 6 * PAGE_SIZE;
}

TEST(physical_notices_a_write_to_a_marker)
{
    char message[128];
    char address[24];
    page_t page;

    cases_start(&shapes[PC]);
    page = some_chunk();
    memset(fake_ram(page), 0x55, 4);
    CHECK(test_expect_panic(take_all, NULL, message, sizeof(message)));
    format_text(address, sizeof(address), "%zx", page);
    CHECK(strstr(message, address) != NULL);
    fake_machine_abandon();
}

struct merge {
    page_t first;
    size_t count;
    bool as_a_run;
};

static void free_them(void *arg)
{
    const struct merge *merge = arg;

    if (merge->as_a_run)
        page_range_free(merge->first, merge->count);
    for (size_t i = 0; i < merge->count; i++)
        free_physical_page(merge->first + i * PAGE_SIZE);
}

/* The other half of a chunk comes back, below or above it, and they would merge. */
TEST(physical_notices_a_write_to_a_marker_when_it_merges)
{
    char message[128];

    for (size_t i = 0; i < 4; i++) {
        struct merge merge = { .count = 32, .as_a_run = i % 2 == 0 };
        page_t both;

        cases_start(&shapes[PC]);
        both = page_range(64, 64 * PAGE_SIZE, 0, OWNER_ANON);
        without_magazine();
        CHECK_EQ(page_range_free(both, 64), 0);
        CHECK_EQ(page_range(32, 64 * PAGE_SIZE, 0, OWNER_ANON), both);
        CHECK_EQ(page_range(32, 32 * PAGE_SIZE, 0, OWNER_ANON), both + 32 * PAGE_SIZE);
        merge.first = both + (i < 2 ? 0 : 32) * PAGE_SIZE;
        CHECK_EQ(page_range_free(both + (i < 2 ? 32 : 0) * PAGE_SIZE, 32), 0);
        memset(fake_ram(both + (i < 2 ? 32 : 0) * PAGE_SIZE), 0x55, 4);
        CHECK(test_expect_panic(free_them, &merge, message, sizeof(message)));
        CHECK(strstr(message, "marker is damaged") != NULL);
        fake_machine_abandon();
    }
}

static void take_one(void *arg)
{
    (void)arg;
    alloc_physical_page(OWNER_ANON);
}

/* What is on top of the magazine has another state: the next call says so. */
TEST(physical_notices_a_frame_that_is_not_in_the_magazine)
{
    char message[192];
    page_t page;

    cases_start(&shapes[PC]);
    page = alloc_physical_page(OWNER_ANON);
    CHECK_EQ(free_physical_page(page), 0);
    physical_frame(page)->state = FRAME_USED;
    CHECK(test_expect_panic(take_one, NULL, message, sizeof(message)));
    CHECK(strstr(message, "FRAME_MAGAZINE") != NULL);
    fake_machine_abandon();
}

#ifdef DEBUG
/* Write to free pages, take all, and see it reported: once, with the place. */
static void check_report(page_t page, size_t offset)
{
    char text[64];
    size_t reports = host_misuse_count();

    ((uint32_t *)fake_ram(page))[offset / 4] = 0x12345678;
    take_all(NULL);
    CHECK_EQ(host_misuse_count(), reports + 1);
    format_text(text, sizeof(text), "free page %#zx was written to", page);
    CHECK(strstr(host_misuse_last(), text) != NULL);
    format_text(text, sizeof(text), "0x12345678 at offset %zu", offset);
    CHECK(strstr(host_misuse_last(), text) != NULL);
    CHECK_OK(physical_check());
    fake_machine_abandon();
}

/* Debug builds look at a free page before it goes out again, behind its marker too. */
/* Pages in a magazine, and a run that is kept: handed out again, or given back first. */
TEST(physical_write_to_what_is_held_back_is_reported)
{
    for (size_t i = 0; i < 8; i++) {
        bool is_run = (i & 1) != 0;
        bool is_watched = (i & 2) == 0;
        bool is_drained = (i & 4) != 0;
        size_t count = is_run ? 4 : 1;
        size_t reports = host_misuse_count();
        page_t page;

        cases_start(&shapes[PAGED_PC]);
        physical_watch(is_watched);
        page = is_run ? page_range(4, 4 * PAGE_SIZE, 0, OWNER_ANON)
                      : alloc_physical_page(OWNER_ANON);
        CHECK_EQ(page_range_free(page, count), 0);
        CHECK_OK(physical_check());
        *(uint32_t *)((char *)fake_ram(page + (count - 1) * PAGE_SIZE) + 100) = 0xabcd;
        if (is_drained)
            without_magazine();
        else if (is_run)
            CHECK_EQ(page_range(4, 4 * PAGE_SIZE, 0, OWNER_KERNEL), page);
        else
            CHECK_EQ(alloc_physical_page(OWNER_KERNEL), page);
        CHECK_EQ(host_misuse_count(), reports + is_watched);
        if (is_watched)
            CHECK(strstr(host_misuse_last(), "0xabcd at offset 100") != NULL);
        if (!is_drained)
            CHECK_EQ(page_range_free(page, count), 0);
        fake_machine_stop();
    }
}

TEST(physical_write_after_free_is_reported)
{
    static const size_t offsets[] = { 0, 64, 2048, PAGE_SIZE - 4 };

    for (size_t i = 0; i < ARRAY_LENGTH(offsets); i++) {
        if (i > 0) {            /* a chunk's first page: what is behind the marker */
            cases_start(&shapes[PC]);
            check_report(some_chunk(), offsets[i]);
        }
        cases_start(&shapes[PC]);
        check_report(some_chunk() + PAGE_SIZE, offsets[i]);
    }
}

/*
 * A page inside a chunk that becomes the first of a smaller one: its marker covers
 * what was written, and what was written is seen all the same, once.
 */
TEST(physical_write_where_a_marker_goes_is_reported)
{
    for (size_t offset = 0; offset <= 64; offset += 4) {
        page_t run;

        cases_start(&shapes[PC]);
        run = page_range(16, 16 * PAGE_SIZE, 0, OWNER_ANON);
        without_magazine();
        CHECK_EQ(page_range_free(run, 16), 0);
        CHECK_EQ(chunk_at(run >> PAGE_SHIFT), 4);
        ((uint32_t *)fake_ram(run + 8 * PAGE_SIZE))[offset / 4] = 1;
        CHECK_EQ(page_range(8, 16 * PAGE_SIZE, 0, OWNER_ANON), run);
        CHECK_EQ(chunk_at((run >> PAGE_SHIFT) + 8), 3);
        CHECK_EQ(page_range(8, 8 * PAGE_SIZE, 0, OWNER_ANON), run + 8 * PAGE_SIZE);
        CHECK_EQ(host_misuse_count(), offset / 4 + 1);
        CHECK(strstr(host_misuse_last(), "was written to after it was freed: 0x1 ") != NULL);
        fake_machine_abandon();
    }
}

/* The same of a run that is taken as one, and was freed as one. */
TEST(physical_write_to_a_freed_run_is_reported)
{
    page_t run;

    cases_start(&shapes[PC]);
    run = page_range(48, 64 * PAGE_SIZE, 0, OWNER_ANON);
    CHECK_EQ(page_range_free(run, 48), 0);
    ((uint8_t *)fake_ram(run + 47 * PAGE_SIZE))[100] = 1;
    CHECK_EQ(host_misuse_count(), 0);
    CHECK_EQ(page_range(48, 64 * PAGE_SIZE, 0, OWNER_ANON), run);
    CHECK_EQ(host_misuse_count(), 1);
    CHECK(strstr(host_misuse_last(), "at offset 100") != NULL);
    CHECK_EQ(page_range_free(run, 48), 0);
    fake_machine_stop();
}
#endif
