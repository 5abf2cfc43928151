/*
 * Advice: pages discarded, flags for a fork; and questions: parts, residency, translation.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/kheap.h>
#include <kernel/pagecache.h>
#include <kernel/virtual.h>
#include <space_model.h>

#include <string.h>

#define FILE_SHARED (VMA_FILE | VMA_SHARED | VMA_RO | VMA_CAN_READ)
#define PHYS_RW     (VMA_PHYS | VMA_RW)

static size_t map_file(mspace_t *ms, size_t address, size_t length, test_file_t *file, int flags)
{
    void *at = mspace_map(ms, address, length, &file->ino, 0, 0, flags | VMA_FIXED);

    CHECK(at != NULL);
    return (size_t)at;
}

static int flags_at(mspace_t *ms, size_t address)
{
    const vma_t *vma = mspace_search_vma(ms, address);

    return vma == NULL ? 0 : vma->flags & (VMA_ADVICE | VMA_LOCKS);
}

/* ---- discard */

TEST(mspace_discard_gives_zeroes)
{
    FOR_EACH_FORMAT(format) {
        /* 01234567    wwwwwwww    discard 2..4    ww...www */
        mspace_t *ms = space_start(*format, 64);

        space_map(ms, AT(0), PAGES(8), ANON_RW);
        for (size_t i = 0; i < 8; i++)
            CHECK(space_write(AT(i), (uint8_t)(i + 1)));
        CHECK_EQ(mspace_discard(ms, AT(2), PAGES(3), false), 0);
        CHECK_EQ(ms->p_size, 5);
        CHECK_EQ(ms->v_size, 8);
        CHECK_OK(space_check(ms));
        for (size_t i = 0; i < 8; i++)
            CHECK_EQ(space_byte(AT(i)), i >= 2 && i < 5 ? 0 : i + 1);
        CHECK_EQ(mspace_discard(ms, AT(0), PAGES(8), false), 0);
        CHECK_EQ(mspace_discard(ms, AT(0), PAGES(8), false), 0);
        CHECK_EQ(ms->p_size, 0);
        CHECK_EQ(ms->phys_pg_count, mmu_table_count(ms->directory));
        CHECK_AREA(ms, AT(0), PAGES(8));
        space_stop(ms);
    }
}

TEST(mspace_discard_gives_the_file_back)
{
    mspace_t *ms = space_start("pae", 64);
    test_file_t file;

    test_file_init(&file, "file", PAGES(4));
    map_file(ms, AT(0), PAGES(4), &file, FILE_RW);
    map_file(ms, AT(4), PAGES(4), &file, FILE_SHARED);
    CHECK(space_write(AT(1), 0xee));
    CHECK_EQ(space_byte(AT(5)), test_file_byte(&file, PAGE_SIZE));
    CHECK_EQ(ms->s_size, 1);
    CHECK_EQ(mspace_discard(ms, AT(0), PAGES(8), false), 0);
    CHECK_EQ(ms->p_size, 0);
    CHECK_EQ(ms->s_size, 0);
    CHECK_EQ(space_byte(AT(1)), test_file_byte(&file, PAGE_SIZE));
    CHECK_EQ(space_byte(AT(5)), test_file_byte(&file, PAGE_SIZE));
    CHECK_EQ(file.reads, 1);
    CHECK_OK(space_check(ms));
    mspace_sweep(ms);
    inode_release(&file.ino);
    space_stop(ms);
}

/* A space with an area of each kind that refuses something. */
static mspace_t *start_with_kinds(test_file_t *file, page_t *frames)
{
    mspace_t *ms = space_start("2level", 64);

    /* 0..3 anon, 4 locked, 5..6 anon, 8 private file, 9 shared file, 10 phys, 11 dead,
     * 12 no rights, 14 stack */
    test_file_init(file, "file", PAGES(4));
    *frames = page_range(1, PAGE_SIZE, 0, OWNER_BOOT);
    space_map(ms, AT(0), PAGES(7), ANON_RW | VMA_FIXED);
    CHECK_EQ(mspace_lock(ms, AT(4), PAGE_SIZE, VMA_LOCKED), 0);
    map_file(ms, AT(8), PAGE_SIZE, file, FILE_RW);
    map_file(ms, AT(9), PAGE_SIZE, file, FILE_SHARED);
    CHECK(mspace_map(ms, AT(10), PAGE_SIZE, NULL, (off_t)*frames, 0, PHYS_RW | VMA_FIXED) != NULL);
    space_map(ms, AT(11), PAGE_SIZE, ANON_RW | VMA_FIXED);
    CHECK_EQ(mspace_kill(ms, AT(11), PAGE_SIZE), 0);
    space_map(ms, AT(12), PAGE_SIZE, VMA_ANON | VMA_CAPABILITIES | VMA_FIXED);
    for (size_t i = 0; i < 7; i++)
        CHECK(space_write(AT(i), (uint8_t)(i + 1)));
    CHECK(space_write(AT(10), 0x77));
    CHECK_OK(space_check(ms));
    return ms;
}

static void stop_with_kinds(mspace_t *ms, test_file_t *file, page_t frames)
{
    mspace_sweep(ms);
    inode_release(&file->ino);
    CHECK_EQ(free_physical_page(frames), 0);
    space_stop(ms);
}

TEST(mspace_discard_refuses)
{
    static const struct { size_t address, length; bool locked_too; int err; } cases[] = {
        { AT(0), 0, false, -EINVAL },
        { AT(0) + 1, PAGE_SIZE, false, -EINVAL },
        { AT(0), 1, false, -EINVAL },
        { AT(63), PAGES(2), false, -EINVAL },
        { AT(1), (size_t)0 - PAGE_SIZE, false, -EINVAL },
        { KERNEL_BASE, PAGE_SIZE, false, -EINVAL },
        { AT(0), PAGES(5), false, -EINVAL },            /* locked */
        { AT(4), PAGE_SIZE, false, -EINVAL },
        { AT(5), PAGES(3), false, -ENOENT },            /* a hole behind */
        { AT(7), PAGES(2), false, -ENOENT },            /* a hole before */
        { AT(7), PAGE_SIZE, false, -ENOENT },
        { AT(20), PAGE_SIZE, false, -ENOENT },
        { AT(9), PAGES(2), false, -EINVAL },            /* foreign */
        { AT(10), PAGE_SIZE, true, -EINVAL },
        { AT(11), PAGE_SIZE, false, -ENOENT },          /* dead */
        { AT(11), PAGES(2), false, -ENOENT },
    };
    test_file_t file;
    page_t frames;
    mspace_t *ms = start_with_kinds(&file, &frames);
    size_t pages = ms->p_size;

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        CHECK_EQ(mspace_discard(ms, cases[i].address, cases[i].length, cases[i].locked_too),
                 cases[i].err);
        CHECK_EQ(ms->p_size, pages);
        CHECK_OK(space_check(ms));
    }
    for (size_t i = 0; i < 7; i++)
        CHECK_EQ(space_byte(AT(i)), i + 1);
    CHECK_EQ(mspace_discard(ms, AT(0), PAGES(7), true), 0);
    CHECK_EQ(space_byte(AT(4)), 0);
    CHECK_EQ(mspace_discard(ms, AT(12), PAGE_SIZE, false), 0);
    CHECK_EQ(mspace_discard(kMMU.kspace, KSPACE_BASE, PAGE_SIZE, false), -EINVAL);
    CHECK_EQ(ms->locked, 1);
    stop_with_kinds(ms, &file, frames);
}

TEST(mspace_discard_of_pages_without_rights)
{
    mspace_t *ms = space_start("pae", 64);

    space_map(ms, AT(0), PAGES(4), ANON_RW);
    for (size_t i = 0; i < 4; i++)
        CHECK(space_write(AT(i), 9));
    CHECK_EQ(mspace_protect(ms, AT(1), PAGES(2), 0), 0);
    CHECK_EQ(mspace_discard(ms, AT(2), PAGES(2), false), 0);
    CHECK_EQ(ms->p_size, 2);
    CHECK_EQ(mspace_protect(ms, AT(0), PAGES(4), VMA_RW), 0);
    CHECK_EQ(space_byte(AT(1)), 9);
    CHECK_EQ(space_byte(AT(2)), 0);
    space_stop(ms);
}

/* ---- flags */

TEST(mspace_set_advice_cuts_and_merges)
{
    mspace_t *ms = space_start("2level", 64);

    space_map(ms, AT(0), PAGES(8), ANON_RW);
    CHECK_EQ(mspace_set_advice(ms, AT(2), PAGES(2), VMA_DONT_FORK, 0), 0);
    CHECK_EQ(ms->tree.count, 3);
    CHECK_AREA(ms, AT(2), PAGES(2));
    CHECK_EQ(flags_at(ms, AT(3)), VMA_DONT_FORK);
    CHECK_EQ(flags_at(ms, AT(1)), 0);
    CHECK_EQ(flags_at(ms, AT(4)), 0);
    CHECK_EQ(mspace_set_advice(ms, AT(3), PAGES(3), VMA_WIPE_ON_FORK | VMA_DONT_DUMP, 0), 0);
    CHECK_EQ(ms->tree.count, 5);
    CHECK_EQ(flags_at(ms, AT(3)), VMA_ADVICE);
    CHECK_OK(space_check(ms));
    /* Set what is set, clear what is clear: nothing is cut. */
    CHECK_EQ(mspace_set_advice(ms, AT(3), PAGE_SIZE, VMA_DONT_FORK, 0), 0);
    CHECK_EQ(mspace_set_advice(ms, AT(7), PAGE_SIZE, 0, VMA_ADVICE), 0);
    CHECK_EQ(ms->tree.count, 5);
    CHECK_EQ(mspace_set_advice(ms, AT(0), PAGES(8), 0, VMA_DONT_FORK | VMA_DONT_DUMP), 0);
    CHECK_EQ(ms->tree.count, 3);
    CHECK_AREA(ms, AT(3), PAGES(3));
    CHECK_EQ(mspace_set_advice(ms, AT(0), PAGES(8), VMA_DONT_DUMP, VMA_WIPE_ON_FORK), 0);
    CHECK_AREA(ms, AT(0), PAGES(8));
    CHECK_EQ(flags_at(ms, AT(0)), VMA_DONT_DUMP);
    CHECK_OK(space_check(ms));
    space_stop(ms);
}

TEST(mspace_set_advice_refuses)
{
    static const struct { size_t address, length; int set, clear, err; } cases[] = {
        { AT(0), 0, VMA_DONT_FORK, 0, -EINVAL },
        { AT(0) + 1, PAGE_SIZE, VMA_DONT_FORK, 0, -EINVAL },
        { AT(1), (size_t)0 - PAGE_SIZE, VMA_DONT_FORK, 0, -EINVAL },
        { AT(0), PAGE_SIZE, VMA_READ, 0, -EINVAL },
        { AT(0), PAGE_SIZE, 0, VMA_READ, -EINVAL },
        { AT(0), PAGE_SIZE, VMA_LOCKED, 0, -EINVAL },
        { AT(0), PAGE_SIZE, VMA_DONT_FORK, VMA_DONT_FORK, -EINVAL },
        { AT(6), PAGES(2), VMA_DONT_FORK, 0, -ENOENT },
        { AT(7), PAGES(2), VMA_DONT_FORK, 0, -ENOENT },
        { AT(11), PAGE_SIZE, VMA_DONT_FORK, 0, -ENOENT },
        { AT(8), PAGE_SIZE, VMA_WIPE_ON_FORK, 0, -EINVAL },
        { AT(9), PAGE_SIZE, VMA_WIPE_ON_FORK, 0, -EINVAL },
        { AT(10), PAGE_SIZE, VMA_WIPE_ON_FORK, 0, -EINVAL },
        { AT(8), PAGES(3), 0, VMA_DONT_FORK, -EINVAL },
    };
    test_file_t file;
    page_t frames;
    mspace_t *ms = start_with_kinds(&file, &frames);
    size_t areas = ms->tree.count;

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        CHECK_EQ(mspace_set_advice(ms, cases[i].address, cases[i].length, cases[i].set,
                                   cases[i].clear), cases[i].err);
        CHECK_EQ(ms->tree.count, areas);
        CHECK_OK(space_check(ms));
    }
    CHECK_EQ(mspace_set_advice(ms, AT(8), PAGES(3), VMA_DONT_FORK, 0), 0);
    CHECK_EQ(mspace_set_advice(ms, AT(8), PAGES(2), 0, VMA_DONT_FORK), 0);
    CHECK_EQ(mspace_set_advice(kMMU.kspace, KSPACE_BASE, PAGE_SIZE, VMA_DONT_FORK, 0), -EINVAL);
    CHECK_OK(space_check(ms));
    stop_with_kinds(ms, &file, frames);
}

/* ---- failures */

TEST(mspace_set_advice_without_nodes_changes_nothing)
{
    static const struct { size_t first, count, buffers; } cases[] = {
        { 2, 3, 2 }, { 0, 3, 1 }, { 5, 3, 1 }, { 0, 8, 0 },
    };

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        mspace_t *ms = space_start("2level", 64);

        space_map(ms, AT(0), PAGES(8), ANON_RW);
        for (size_t count = 0; count <= cases[i].buffers; count++) {
            int err;

            space_drop_spares(ms);
            space_starve_heap(count, sizeof(vma_t));
            err = mspace_set_advice(ms, AT(cases[i].first), PAGES(cases[i].count),
                                    VMA_DONT_FORK, 0);
            space_feed_heap();
            CHECK_EQ(err, count < cases[i].buffers ? -ENOMEM : 0);
            CHECK_EQ(flags_at(ms, AT(cases[i].first)), err == 0 ? VMA_DONT_FORK : 0);
            if (err != 0)
                CHECK_AREA(ms, AT(0), PAGES(8));
            CHECK_OK(space_check(ms));
        }
        space_stop(ms);
    }
}

static int attempt_discard(void *context)
{
    return mspace_discard(context, AT(0), PAGES(8), false);
}

static void undo_discard(void *context)
{
    (void)context;
    for (size_t i = 0; i < 8; i++)
        CHECK(space_write(AT(i), 1));
}

TEST(mspace_discard_takes_no_memory)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 64);

        space_map(ms, AT(0), PAGES(8), ANON_RW);
        undo_discard(ms);
        CHECK_EQ(fake_failure_sweep(attempt_discard, undo_discard, NULL, ms), 0);
        space_drop_spares(ms);
        space_starve_heap(0, sizeof(vma_t));
        CHECK_EQ(mspace_discard(ms, AT(2), PAGES(3), false), 0);
        space_feed_heap();
        space_stop(ms);
    }
}

/* ---- questions */

TEST(mspace_find_part_goes_from_area_to_area)
{
    static const struct { size_t base, end, from, length; } cases[] = {
        { AT(0), AT(20), 0, 4 }, { AT(1), AT(20), 1, 3 }, { AT(1), AT(2), 1, 1 },
        { AT(4), AT(20), 4, 1 }, { AT(7), AT(20), 8, 1 }, { AT(7), AT(9), 8, 1 },
        { AT(11), AT(20), 12, 1 }, { 0, SIZE_MAX, 0, 4 }, { AT(7), AT(8), 0, 0 },
        { AT(0), AT(0), 0, 0 }, { AT(2), AT(2), 0, 0 }, { AT(3), AT(1), 0, 0 },
        { AT(13), SIZE_MAX, 0, 0 }, { AT(11), AT(12), 0, 0 }, { SIZE_MAX, SIZE_MAX, 0, 0 },
    };
    test_file_t file;
    page_t frames;
    mspace_t *ms = start_with_kinds(&file, &frames);

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        mspace_part_t part = { 0, 0, 0 };
        bool found = mspace_find_part(ms, cases[i].base, cases[i].end, &part);

        CHECK_EQ(found, cases[i].length != 0);
        if (found) {
            CHECK_EQ(part.base, AT(cases[i].from));
            CHECK_EQ(part.length, PAGES(cases[i].length));
            CHECK_EQ(part.flags, mspace_search_vma(ms, part.base)->flags);
        }
    }
    stop_with_kinds(ms, &file, frames);
}

TEST(mspace_resident_tells_what_is_in_memory)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 2000);
        test_file_t file;
        uint8_t vec[32];
        page_t page;

        test_file_init(&file, "file", PAGES(3));
        space_map(ms, AT(1020), PAGES(8), ANON_RW | VMA_FIXED);
        CHECK(mspace_map(ms, AT(1028), PAGES(4), &file.ino, 0, 5000, FILE_RW | VMA_FIXED) != NULL);
        CHECK(space_write(AT(1021), 1));
        CHECK_EQ(space_byte(AT(1025)), 0);
        CHECK(space_write(AT(1026), 1));
        CHECK_EQ(mspace_protect(ms, AT(1026), PAGE_SIZE, 0), 0);
        memset(vec, 0x55, sizeof(vec));
        CHECK_EQ(mspace_resident(ms, AT(1020), 32, vec), 6);
        CHECK_EQ(mspace_resident(ms, AT(1026), 32, vec + 6), 1);
        CHECK_EQ(mspace_resident(ms, AT(1027), 1, vec + 7), 1);
        CHECK_EQ(memcmp(vec, "\0\1\0\0\0\1\1\0\x55", 9), 0);
        /* The cache has page 1 and 2; what lies past the limit is not the file's. */
        CHECK_EQ(pagecache_get(&file.ino, 1, &page), 0);
        page_release(page);
        CHECK_EQ(pagecache_get(&file.ino, 2, &page), 0);
        page_release(page);
        CHECK_EQ(mspace_resident(ms, AT(1028), 32, vec), 4);
        CHECK_EQ(memcmp(vec, "\0\1\0\0", 4), 0);
        CHECK_EQ(page_count(page), 1);
        CHECK_EQ(mspace_resident(ms, AT(1028), 0, vec), 0);
        CHECK_EQ(mspace_resident(ms, AT(1028) + 1, 1, vec), -EINVAL);
        CHECK_EQ(mspace_resident(ms, AT(1032), 1, vec), -ENOENT);
        CHECK_EQ(mspace_kill(ms, AT(1027), PAGE_SIZE), 0);
        CHECK_EQ(mspace_resident(ms, AT(1027), 1, vec), -ENOENT);
        CHECK_OK(space_check(ms));
        mspace_sweep(ms);
        inode_release(&file.ino);
        space_stop(ms);
    }
}

TEST(mspace_translate_finds_the_frame)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 64);
        const uint8_t *byte;

        space_map(ms, AT(0), PAGES(4), ANON_RW);
        CHECK_EQ(mspace_translate(ms, AT(1)), NO_TRANSLATION);
        CHECK(space_write(AT(1) + 5, 0x99));
        CHECK_EQ(mspace_translate(ms, AT(1) + 5) & PAGE_MASK, 5);
        byte = fake_ram(mspace_translate(ms, AT(1)));
        CHECK_EQ(byte[5], 0x99);
        CHECK_EQ(mspace_translate(ms, AT(2)), NO_TRANSLATION);
        CHECK_EQ(space_byte(AT(2)), 0);
        CHECK_EQ(mspace_translate(ms, AT(2) + 1), kMMU.zero_page + 1);
        CHECK_EQ(mspace_protect(ms, AT(1), PAGE_SIZE, 0), 0);
        CHECK_EQ(mspace_translate(ms, AT(1)), NO_TRANSLATION);
        CHECK_EQ(mspace_translate(ms, AT(0) - 1), NO_TRANSLATION);
        CHECK_EQ(mspace_translate(ms, AT(64)), NO_TRANSLATION);
        CHECK_EQ(mspace_translate(ms, SIZE_MAX), NO_TRANSLATION);
        CHECK_EQ(mspace_translate(kMMU.kspace, KSPACE_BASE), NO_TRANSLATION);
        space_stop(ms);
    }
}
