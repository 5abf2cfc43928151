/*
 * Copies to, from and between spaces that need not be the current one.
 */
#include <kernel/errno.h>
#include <space.h>

#include <string.h>

/*
 * The space of the tests, which is current, has at AT(0) 2 pages rw-, 2 r--, 2 rw-,
 * 1 ---, 1 r--, and then nothing. The other one has the same.
 */
enum { ARENA = 8 };

static void map_arena(mspace_t *ms)
{
    space_map(ms, AT(0), PAGES(2), ANON_RW | VMA_FIXED);
    space_map(ms, AT(2), PAGES(2), ANON_RW | VMA_FIXED);
    CHECK_EQ(mspace_protect(ms, AT(2), PAGES(2), VMA_READ), 0);
    space_map(ms, AT(4), PAGES(2), ANON_RW | VMA_FIXED);
    space_map(ms, AT(6), PAGES(1), VMA_ANON | VMA_CAPABILITIES | VMA_FIXED);
    space_map(ms, AT(7), PAGES(1), ANON_RO | VMA_FIXED);
}

static mspace_t *make_other(void)
{
    mspace_t *other = mspace_create();

    CHECK(other != NULL);
    map_arena(other);
    return other;
}

static void check_both(mspace_t *ms, mspace_t *other)
{
    CHECK_OK(mspace_check(other));
    CHECK_OK(space_check(ms));
}

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 7 + i / 251 + 1);
}

static uint8_t bytes[PAGES(ARENA)], result[PAGES(ARENA) + 1];

static void fill_bytes(void)
{
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = pattern(i);
    memset(result, 0x5a, sizeof result);
}

/* A copy of `length` bytes at an address, and how far it comes. */
static const struct copy_case {
    size_t address, length;
    int out_err;
    size_t out_done;
    int in_err;
    size_t in_done;
} cases[] = {
    { AT(0), 1, 0, 1, 0, 1 },
    { AT(1) - 3, 6, 0, 6, 0, 6 },
    { AT(0) + 5, 2 * PAGE_SIZE - 5, 0, 2 * PAGE_SIZE - 5, 0, 2 * PAGE_SIZE - 5 },
    { AT(0) + 5, 2 * PAGE_SIZE - 4, -EFAULT, 2 * PAGE_SIZE - 5, 0, 2 * PAGE_SIZE - 4 },
    { AT(2), 4, -EFAULT, 0, 0, 4 },
    { AT(4) - 1, 2, -EFAULT, 0, 0, 2 },
    { AT(4), 2 * PAGE_SIZE + 1, -EFAULT, 2 * PAGE_SIZE, -EFAULT, 2 * PAGE_SIZE },
    { AT(0), 7 * PAGE_SIZE, -EFAULT, 2 * PAGE_SIZE, -EFAULT, 6 * PAGE_SIZE },
    { AT(6), 1, -EFAULT, 0, -EFAULT, 0 },
    { AT(7) - 1, 2, -EFAULT, 0, -EFAULT, 0 },
    { AT(7), PAGE_SIZE, -EFAULT, 0, 0, PAGE_SIZE },
    { AT(8) - 2, 5, -EFAULT, 0, -EFAULT, 2 },
    { AT(8), 1, -EFAULT, 0, -EFAULT, 0 },
    { AT(8), 0, 0, 0, 0, 0 },
    { 0, 0, 0, 0, 0, 0 },
    { 0, 1, -EFAULT, 0, -EFAULT, 0 },
    { SIZE_MAX, 1, -EFAULT, 0, -EFAULT, 0 },
    { SIZE_MAX - 1, 8, -EFAULT, 0, -EFAULT, 0 },
    { USER_END, 1, -EFAULT, 0, -EFAULT, 0 },
    { KERNEL_BASE, 8, -EFAULT, 0, -EFAULT, 0 },
};

static void try_case(mspace_t *ms, size_t i)
{
    const struct copy_case *c = &cases[i];
    size_t done;
    int err = mspace_copy_out(ms, c->address, bytes, c->length, &done);

    if (err != c->out_err || done != c->out_done)
        test_fail(__FILE__, __LINE__, "case %zu out is %d after %zu", i, err, done);
    memset(result, 0x5a, sizeof result);
    err = mspace_copy_in(ms, result, c->address, c->length, &done);
    if (err != c->in_err || done != c->in_done)
        test_fail(__FILE__, __LINE__, "case %zu in is %d after %zu", i, err, done);
    CHECK_EQ(memcmp(result, bytes, c->out_done), 0);
    CHECK_EQ(result[done], 0x5a);
}

TEST(mspace_copy_ranges)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 0);

        map_arena(ms);
        mspace_t *other = make_other();

        fill_bytes();
        for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
            try_case(ms, i);
            try_case(other, i);
            check_both(ms, other);
        }
        mspace_close(other);
        space_stop(ms);
    }
}

/* What was copied into the current space its program sees, and the other way round. */
TEST(mspace_copy_is_what_the_program_sees)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 0);
        size_t done;
        uint8_t byte = 0;

        map_arena(ms);
        CHECK_EQ(space_byte(AT(0)), 0);             /* the zero frame, in the TLB */
        CHECK_EQ(space_byte(AT(1)), 0);
        fill_bytes();
        CHECK_EQ(mspace_copy_out(ms, AT(0) + 9, bytes, PAGE_SIZE, &done), 0);
        CHECK_EQ(space_byte(AT(0) + 8), 0);
        CHECK_EQ(space_byte(AT(0) + 9), bytes[0]);
        CHECK_EQ(space_byte(AT(1) + 8), bytes[PAGE_SIZE - 1]);
        CHECK_EQ(space_byte(AT(1) + 9), 0);
        CHECK(space_write(AT(1) + 3, 77));
        CHECK_EQ(mspace_copy_in(ms, &byte, AT(1) + 3, 1, &done), 0);
        CHECK_EQ(byte, 77);
        CHECK_EQ(mspace_copy_in(ms, result, AT(2), PAGES(2), &done), 0);
        CHECK_EQ(mmu_frame(space_entry(ms, AT(3))), kMMU.zero_page);
        CHECK_EQ(result[0] | result[PAGES(2) - 1], 0);
        CHECK_EQ(ms->p_size, 2);
        space_stop(ms);
    }
}

/* Rights are the area's: an entry that allows more, or less, says nothing. */
TEST(mspace_copy_asks_the_area)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 0);
        size_t done;

        map_arena(ms);
        fill_bytes();
        CHECK(space_write(AT(0), 5));
        CHECK_EQ(mspace_protect(ms, AT(0), PAGES(2), 0), 0);        /* held */
        CHECK_EQ(mspace_copy_in(ms, result, AT(0), 1, &done), -EFAULT);
        CHECK_EQ(mspace_copy_out(ms, AT(0), bytes, 1, &done), -EFAULT);
        CHECK_EQ(mspace_protect(ms, AT(0), PAGES(2), VMA_READ), 0);
        CHECK_EQ(mspace_copy_in(ms, result, AT(0), 1, &done), 0);
        CHECK_EQ(result[0], 5);
        CHECK_EQ(mspace_copy_out(ms, AT(0), bytes, 1, &done), -EFAULT);
        mmu_entry_t entry = space_entry(ms, AT(0));

        space_set_entry(ms, AT(0), entry | MMU_WRITE);              /* more than the area */
        CHECK_EQ(mspace_copy_out(ms, AT(0), bytes, 1, &done), -EFAULT);
        space_set_entry(ms, AT(0), entry);
        CHECK_EQ(mspace_kill(ms, AT(0), PAGES(1)), 0);
        CHECK_EQ(mspace_copy_in(ms, result, AT(0), 1, &done), -EFAULT);
        space_stop(ms);
    }
}

static void fill_space(mspace_t *ms, size_t address, size_t length)
{
    size_t done;

    fill_bytes();
    CHECK_EQ(mspace_copy_out(ms, address, bytes, length, &done), 0);
}

/* Ends of pages at different places on both sides. */
TEST(mspace_copy_between_two)
{
    static const struct { size_t to, from, length; int err; size_t done; } between[] = {
        { AT(4), AT(0), PAGES(2), 0, PAGES(2) },
        { AT(4) + 1, AT(0), PAGES(2) - 1, 0, PAGES(2) - 1 },
        { AT(4) + 100, AT(0) + 4000, 5000, 0, 5000 },     /* AT(2) on: zeroes */
        { AT(5) - 1, AT(0) + 3, 2, 0, 2 },
        { AT(6) - 3, AT(0), 10, -EFAULT, 3 },
        { AT(2) - 3, AT(0), 10, -EFAULT, 3 },
        { AT(4), AT(6) - 5, 10, -EFAULT, 5 },
        { AT(4), AT(6), 1, -EFAULT, 0 },
        { AT(6), AT(0), 1, -EFAULT, 0 },
        { AT(4), AT(8) - 1, 2, -EFAULT, 1 },
        { AT(4), SIZE_MAX, 2, -EFAULT, 0 },
        { SIZE_MAX, AT(0), 2, -EFAULT, 0 },
        { 0, 0, 0, 0, 0 },
    };

    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 0);

        map_arena(ms);
        mspace_t *other = make_other();

        fill_space(other, AT(0), PAGES(2));
        for (size_t i = 0; i < ARRAY_LENGTH(between); i++) {
            size_t done, in;
            int err = mspace_copy(ms, between[i].to, other, between[i].from,
                                  between[i].length, &done);

            if (err != between[i].err || done != between[i].done)
                test_fail(__FILE__, __LINE__, "case %zu is %d after %zu", i, err, done);
            if (done > 0) {
                CHECK_EQ(mspace_copy_in(ms, result, between[i].to, done, &in), 0);
                CHECK_EQ(mspace_copy_in(other, bytes, between[i].from, done, &in), 0);
                CHECK_EQ(memcmp(result, bytes, done), 0);
            }
            check_both(ms, other);
        }
        mspace_close(other);
        space_stop(ms);
    }
}

/* Within a space, from a page that the write moves to another frame. */
TEST(mspace_copy_within_one)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 0);
        size_t done;

        map_arena(ms);
        CHECK_EQ(space_byte(AT(4)), 0);             /* the zero frame: written, it goes */
        CHECK_EQ(mspace_copy(ms, AT(4) + 2048, ms, AT(4), 2048, &done), 0);
        CHECK_EQ(space_byte(AT(4) + 3000), 0);
        fill_space(ms, AT(0), PAGES(2));
        CHECK_EQ(mspace_copy(ms, AT(4) + 1, ms, AT(0), PAGES(2) - 1, &done), 0);
        CHECK_EQ(mspace_copy_in(ms, result, AT(4) + 1, PAGES(2) - 1, &done), 0);
        CHECK_EQ(memcmp(result, bytes, PAGES(2) - 1), 0);
        space_stop(ms);
    }
}

/* ---- memory runs out, and files that cannot be read */

static mspace_t *to_space, *from_space;

static int attempt(void *context)
{
    size_t done;
    int err = mspace_copy(to_space, AT(4) + 10, from_space, AT(0), PAGES(2) - 10, &done);

    (void)context;
    CHECK(err == 0 || err == -ENOMEM);
    CHECK_EQ(done == PAGES(2) - 10, err == 0);
    CHECK(done == 0 || done == PAGE_SIZE - 10 || err == 0);
    /* What it made present stays; for the sweep it goes. */
    CHECK_EQ(mspace_unmap(to_space, AT(4), PAGES(2)), 0);
    space_map(to_space, AT(4), PAGES(2), ANON_RW | VMA_FIXED);
    return err;
}

TEST(mspace_copy_without_memory)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 0);

        map_arena(ms);
        to_space = make_other();
        from_space = ms;
        fill_space(ms, AT(0), PAGES(2));
        CHECK(fake_failure_sweep(attempt, NULL, NULL, NULL) >= 2);
        check_both(ms, to_space);
        mspace_close(to_space);
        space_stop(ms);
    }
}

TEST(mspace_copy_of_a_file)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 0);
        test_file_t file;
        size_t done;

        test_file_init(&file, "file", PAGE_SIZE + 100);
        CHECK(mspace_map(ms, AT(0), PAGES(3), &file.ino, 0, 0, FILE_RW | VMA_FIXED) != NULL);
        CHECK_EQ(mspace_copy_in(ms, result, AT(0), PAGES(3), &done), -EFAULT);
        CHECK_EQ(done, PAGES(2));
        CHECK_EQ(result[PAGE_SIZE + 99], test_file_byte(&file, PAGE_SIZE + 99));
        CHECK_EQ(result[PAGE_SIZE + 100], 0);
        fill_bytes();
        CHECK_EQ(mspace_copy_out(ms, AT(1) - 1, bytes, 2, &done), 0);
        CHECK_EQ(space_byte(AT(1)), bytes[1]);
        CHECK_EQ(space_byte(AT(1) + 1), test_file_byte(&file, PAGE_SIZE + 1));
        CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(3)), 0);
        inode_release(&file.ino);
        test_file_init(&file, "file", PAGE_SIZE);
        file.error = -EIO;
        CHECK(mspace_map(ms, AT(0), PAGES(1), &file.ino, 0, 0, FILE_RW | VMA_FIXED) != NULL);
        CHECK_EQ(mspace_copy_in(ms, result, AT(0), 1, &done), -EIO);
        CHECK_EQ(mspace_copy_out(ms, AT(0), bytes, 1, &done), -EIO);
        CHECK_EQ(mspace_copy(ms, AT(0), ms, AT(0), 1, &done), -EIO);
        CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(1)), 0);
        inode_release(&file.ino);
        space_stop(ms);
    }
}
