/*
 * Rights and releases of ranges: few pages and many, around the end of a table, with a
 * processor that remembers what was not flushed.
 */
#include <kernel/pagecache.h>
#include <space_model.h>

/* A table of PAE ends before page 512, one of two levels before page 1024. */
static const struct { size_t first, count; } ranges[] = {
    { 0, 1 }, { 3, 2 }, { 0, 31 }, { 0, 32 }, { 0, 33 }, { 0, 34 }, { 1000, 1 }, { 1000, 100 },
    { 500, 600 }, { 511, 2 }, { 1023, 2 }, { 1020, 40 },
};

enum { PAGES_MAX = 1200 };

static bool is_in(size_t i, size_t page)
{
    return page >= ranges[i].first && page < ranges[i].first + ranges[i].count;
}

/* All pages are there and writable, and the processor has seen them. */
static void write_all(uint8_t byte)
{
    for (size_t page = 0; page < PAGES_MAX; page++)
        CHECK(space_write(AT(page), byte));
}

static mspace_t *start(const char *format)
{
    mspace_t *ms = space_start(format, PAGES_MAX);

    space_map(ms, AT(0), PAGES(PAGES_MAX), ANON_RW | VMA_FIXED);
    write_all(1);
    return ms;
}

TEST(mmu_protect_range_is_seen_at_once)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = start(*format);

        for (size_t i = 0; i < ARRAY_LENGTH(ranges); i++) {
            size_t base = AT(ranges[i].first);
            size_t length = PAGES(ranges[i].count);

            CHECK_EQ(mspace_protect(ms, base, length, VMA_RO), 0);
            for (size_t page = 0; page < PAGES_MAX; page++)
                CHECK_EQ(space_write(AT(page), 2), !is_in(i, page));
            CHECK_OK(mspace_check(ms));
            CHECK_EQ(mspace_protect(ms, base, length, 0), 0);
            for (size_t page = 0; page < PAGES_MAX; page++) {
                uint8_t byte;

                CHECK_EQ(space_read(AT(page), &byte), !is_in(i, page));
            }
            CHECK_OK(mspace_check(ms));
            CHECK_EQ(mspace_protect(ms, base, length, VMA_RW), 0);
            write_all(1);
            CHECK_EQ(ms->p_size, PAGES_MAX);
        }
        space_stop(ms);
    }
}

TEST(mmu_release_range_is_seen_at_once)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = start(*format);

        for (size_t i = 0; i < ARRAY_LENGTH(ranges); i++) {
            for (size_t page = ranges[i].first; is_in(i, page); page++)
                CHECK_EQ(space_byte(AT(page)), 1);  /* remembered last */
            CHECK_EQ(mspace_discard(ms, AT(ranges[i].first), PAGES(ranges[i].count), false), 0);
            CHECK_EQ(ms->p_size, PAGES_MAX - ranges[i].count);
            for (size_t page = 0; page < PAGES_MAX; page++)
                CHECK_EQ(space_byte(AT(page)), !is_in(i, page));
            CHECK_OK(space_check(ms));
            write_all(1);
        }
        space_stop(ms);
    }
}

TEST(mmu_protect_range_keeps_frames_of_others_read_only)
{
    FOR_EACH_FORMAT(format) {
        for (size_t count = 1; count <= 64; count += 63) {
            mspace_t *ms = space_start(*format, 64);
            page_t held;

            space_map(ms, AT(0), PAGES(count), ANON_RW | VMA_FIXED | VMA_RESOLVE);
            held = mmu_frame(mmu_read(ms->directory, AT(0)));
            CHECK_EQ(mspace_protect(ms, AT(0), PAGES(count), VMA_RO), 0);
            page_hold(held);
            CHECK_EQ(mspace_protect(ms, AT(0), PAGES(count), VMA_RW), 0);
            CHECK_EQ(mmu_read(ms->directory, AT(0)) & MMU_WRITE, 0);
            CHECK(space_write(AT(0), 1));           /* a copy */
            CHECK(mmu_frame(mmu_read(ms->directory, AT(0))) != held);
            CHECK_EQ(page_release(held), 0);
            CHECK_OK(space_check(ms));
            space_stop(ms);
        }
    }
}
