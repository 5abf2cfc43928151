/*
 * Files that are nowhere but in memory: their bytes beside a plain array, their
 * length, and what happens when memory is refused.
 */
#include <kernel/commit.h>
#include <kernel/errno.h>
#include <kernel/kheap.h>
#include <kernel/pagecache.h>
#include <kernel/shmem.h>
#include <space_model.h>

#include <string.h>

static void start(void)
{
    fake_config_t config = { .level = FAKE_MEMORY };

    fake_machine_start(&config);
}

static uint8_t byte_of(inode_t *ino, off_t offset)
{
    uint8_t byte;

    CHECK_EQ(shmem_read(ino, offset, &byte, 1), 1);
    return byte;
}

static size_t cache_frames(void)
{
    return physical_figures()->owner[OWNER_CACHE];
}

TEST(shmem_of_zeroes_takes_no_frame)
{
    uint8_t buffer[PAGE_SIZE + 10];
    inode_t *ino;

    start();
    ino = shmem_create(PAGES(3) + 5, 0);
    CHECK(ino != NULL && inode_is_memory(ino));
    memset(buffer, 1, sizeof(buffer));
    CHECK_EQ(shmem_read(ino, 100, buffer, sizeof(buffer)), sizeof(buffer));
    for (size_t i = 0; i < sizeof(buffer); i++)
        CHECK_EQ(buffer[i], 0);
    CHECK_EQ(shmem_read(ino, PAGES(3), buffer, sizeof(buffer)), 5);
    CHECK_EQ(shmem_read(ino, PAGES(3) + 5, buffer, 1), 0);
    CHECK_EQ(shmem_read(ino, INT64_MAX, buffer, 1), 0);
    CHECK(ino->pages == NULL);
    CHECK_EQ(cache_frames(), 0);
    inode_release(ino);
    fake_machine_stop();
}

TEST(shmem_pages_stay_while_the_file_lives)
{
    inode_t *ino;

    start();
    ino = shmem_create(0, 0);
    CHECK_EQ(shmem_write(ino, PAGES(2) + 7, "abc", 3), 3);
    CHECK_EQ(ino->length, PAGES(2) + 10);
    CHECK_EQ(cache_frames(), 1);
    CHECK_EQ(pagecache_memory_pages(), 1);
    CHECK_EQ(pagecache_drop(ino), 0);
    pagecache_empty(ino);
    CHECK_EQ(byte_of(ino, PAGES(2) + 9), 'c');
    CHECK_EQ(byte_of(ino, PAGES(2) + 6), 0);
    CHECK_OK(memory_check());
    inode_release(ino);
    CHECK_EQ(cache_frames(), 0);
    CHECK_EQ(pagecache_memory_pages(), 0);
    fake_machine_stop();
}

/* Over a page's end: two pages, one call. */
TEST(shmem_write_over_pages)
{
    uint8_t bytes[3 * PAGE_SIZE];
    uint8_t back[3 * PAGE_SIZE];
    inode_t *ino;

    start();
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + 1);
    ino = shmem_create(0, 0);
    CHECK_EQ(shmem_write(ino, 4000, bytes, sizeof(bytes)), sizeof(bytes));
    CHECK_EQ(ino->length, 4000 + sizeof(bytes));
    CHECK_EQ(cache_frames(), 4);
    CHECK_EQ(shmem_read(ino, 4000, back, sizeof(back)), sizeof(back));
    CHECK(memcmp(bytes, back, sizeof(bytes)) == 0);
    inode_release(ino);
    fake_machine_stop();
}

/* Bytes that a mapping left behind the end are zeroes when the file grows. */
TEST(shmem_growth_clears_the_tail)
{
    static const struct {
        off_t length;       /* to which it grows by shmem_set_length; 0: by a write */
        off_t offset;       /* of the write */
    } cases[] = { { 200, 0 }, { PAGES(1), 0 }, { PAGES(3), 0 }, { 0, 200 }, { 0, PAGES(2) } };

    start();
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        inode_t *ino = shmem_create(0, 0);
        off_t old = 100;
        page_t page;

        CHECK_EQ(shmem_write(ino, 0, "x", 1), 1);
        CHECK_EQ(shmem_set_length(ino, old), 0);
        CHECK_EQ(pagecache_get(ino, 0, &page), 0);
        memset(fake_ram(page), 'm', PAGE_SIZE);
        page_release(page);
        if (cases[i].length != 0)
            CHECK_EQ(shmem_set_length(ino, cases[i].length), 0);
        else
            CHECK_EQ(shmem_write(ino, cases[i].offset, "y", 1), 1);
        CHECK_EQ(byte_of(ino, 99), 'm');
        for (off_t at = old; at < ino->length - 1; at++)
            CHECK_EQ(byte_of(ino, at), 0);
        CHECK_EQ(byte_of(ino, ino->length - 1), cases[i].length != 0 ? 0 : 'y');
        inode_release(ino);
    }
    fake_machine_stop();
}

TEST(shmem_lengths)
{
    inode_t *ino;

    start();
    ino = shmem_create(0, 0);
    CHECK_EQ(shmem_set_length(ino, SHMEM_LENGTH_MAX), 0);
    CHECK_EQ(shmem_set_length(ino, SHMEM_LENGTH_MAX + 1), -EFBIG);
    CHECK_EQ(ino->length, SHMEM_LENGTH_MAX);
    CHECK_EQ(byte_of(ino, SHMEM_LENGTH_MAX - 1), 0);
    CHECK_EQ(shmem_write(ino, SHMEM_LENGTH_MAX, "a", 1), -EFBIG);
    /* Further than a table of pages reaches: no room. */
    CHECK_EQ(shmem_write(ino, SHMEM_LENGTH_MAX - 1, "ab", 2), -ENOSPC);
    CHECK_EQ(shmem_write(ino, (off_t)PAGECACHE_SLOTS_MAX << PAGE_SHIFT, "a", 1), -ENOSPC);
    CHECK(ino->pages == NULL);
    CHECK_EQ(shmem_write(ino, 10, "abc", 3), 3);
    CHECK_EQ(shmem_set_length(ino, 11), 0);
    CHECK_EQ(shmem_set_length(ino, 13), 0);
    CHECK_EQ(byte_of(ino, 10), 'a');
    CHECK_EQ(byte_of(ino, 11), 0);
    CHECK_EQ(shmem_set_length(ino, 0), 0);
    CHECK(ino->pages == NULL);
    CHECK_EQ(cache_frames(), 0);
    inode_release(ino);
    fake_machine_stop();
}

/* A file of 64 MiB with one page has a table that reaches that page, no frame more. */
TEST(shmem_sparse_and_growing)
{
    inode_t *ino;
    size_t grown = 0;
    size_t slots = 0;

    start();
    ino = shmem_create(0, 0);
    CHECK_EQ(shmem_write(ino, 64 * (off_t)MIB, "s", 1), 1);
    CHECK_EQ(cache_frames(), 1);
    CHECK_EQ(ino->page_slots, 64 * MIB / PAGE_SIZE + 1);
    CHECK_EQ(shmem_set_length(ino, 0), 0);
    for (off_t i = 0; i < 300; i++) {
        CHECK_EQ(shmem_write(ino, i * PAGE_SIZE, "g", 1), 1);
        grown += ino->page_slots != slots;
        slots = ino->page_slots;
        CHECK(slots <= 2 * (size_t)i + 16);
    }
    CHECK_EQ(grown, 6);                 /* 16, 32, ... 512 */
    CHECK_EQ(cache_frames(), 300);
    inode_release(ino);
    fake_machine_stop();
}

/* Half of the memory, and what is there can still be written to. */
TEST(shmem_takes_half_of_the_memory)
{
    size_t half;
    inode_t *ino;
    inode_t *other;

    start();
    half = physical_figures()->total / 2;
    ino = shmem_create(0, 0);
    other = shmem_create(PAGES(1), 0);
    for (size_t i = 0; i < half; i++)
        CHECK_EQ(shmem_write(ino, (off_t)PAGES(i), "a", 1), 1);
    CHECK_EQ(shmem_write(ino, (off_t)PAGES(half), "a", 1), -ENOSPC);
    CHECK_EQ(ino->length, PAGES(half - 1) + 1);
    CHECK_EQ(shmem_write(other, 0, "a", 1), -ENOSPC);
    CHECK_EQ(shmem_write(ino, (off_t)PAGES(half - 1) + 1, "bc", 2), 2);
    CHECK_EQ(shmem_write(ino, (off_t)PAGES(half) - 1, "bc", 2), 1);     /* in part */
    CHECK_EQ(ino->length, PAGES(half));
    CHECK_EQ(shmem_set_length(ino, (off_t)PAGES(half - 1)), 0);
    CHECK_EQ(shmem_write(other, 0, "a", 1), 1);
    inode_release(ino);
    inode_release(other);
    fake_machine_stop();
}

/* Strict mode: what is reserved can always be had, the rest only while there is some. */
TEST(shmem_is_charged)
{
    inode_t *sure;
    inode_t *other;
    size_t left;

    start();
    CHECK_EQ(commit_set("strict"), 0);
    sure = shmem_create(PAGES(8), 8);
    other = shmem_create(PAGES(8), 0);
    CHECK_EQ(commit.charged, 8);
    CHECK_EQ(shmem_write(other, 0, "a", 1), 1);
    CHECK_EQ(shmem_write(other, PAGE_SIZE, "a", 1), 1);
    CHECK_EQ(shmem_write(sure, 0, "a", 1), 1);
    CHECK_EQ(commit.charged, 10);
    CHECK_EQ(shmem_set_length(other, PAGE_SIZE), 0);
    CHECK_EQ(shmem_set_length(sure, 0), 0);
    CHECK_EQ(shmem_set_length(sure, PAGES(8)), 0);
    CHECK_EQ(commit.charged, 9);
    left = commit_limit() - commit.charged;
    CHECK_EQ(commit_charge(left), 0);
    CHECK(shmem_create(PAGES(1), 1) == NULL);
    CHECK_EQ(shmem_write(other, PAGE_SIZE, "a", 1), -ENOSPC);
    CHECK_EQ(other->length, PAGE_SIZE);
    CHECK_EQ(shmem_write(other, 0, "b", 1), 1);
    CHECK_EQ(shmem_write(sure, PAGE_SIZE, "a", 1), 1);
    CHECK_EQ(commit.charged, commit_limit());
    commit_return(left);
    physical_fail_after(1);
    CHECK_EQ(shmem_write(other, PAGE_SIZE, "a", 1), -ENOSPC);
    physical_fail_after(0);
    CHECK_EQ(commit.charged, 9);
    space_starve_heap(0, sizeof(inode_t));
    CHECK(shmem_create(PAGES(4), 4) == NULL);
    space_feed_heap();
    CHECK_EQ(commit.charged, 9);
    inode_release(sure);
    inode_release(other);
    CHECK_EQ(commit.charged, 0);
    CHECK_EQ(commit_set("heuristic"), 0);
    fake_machine_stop();
}

/* ---- beside an array */

enum { LENGTH = 6 * PAGE_SIZE };

static uint8_t model[LENGTH];
static uint8_t buffer[LENGTH];

static void compare(inode_t *ino, off_t length)
{
    CHECK_EQ(ino->length, length);
    CHECK_EQ(shmem_read(ino, 0, buffer, LENGTH), (size_t)length);
    for (off_t i = 0; i < length; i++)
        if (buffer[i] != model[i])
            CHECK_EQ(buffer[i], model[i]);
}

TEST(shmem_random)
{
    inode_t *ino;
    off_t length = 0;

    start();
    memset(model, 0, sizeof(model));
    ino = shmem_create(0, 0);
    for (size_t step = test_steps(2000); step > 0; step--) {
        off_t at = (off_t)test_random_below(LENGTH);
        size_t count = 1 + test_random_below(LENGTH - (size_t)at);

        if (test_random_below(3) == 0) {
            CHECK_EQ(shmem_set_length(ino, at), 0);
            if (at < length)
                memset(model + at, 0, (size_t)(length - at));
            length = at;
        } else if (test_random_below(2) == 0) {
            /* What a mapping would leave behind the end. */
            page_t page = pagecache_peek(ino, (size_t)(length >> PAGE_SHIFT));

            if (page != PAGE_NONE) {
                memset((char *)fake_ram(page) + (length & PAGE_MASK), 'm',
                       PAGE_SIZE - (size_t)(length & PAGE_MASK));
                page_release(page);
            }
        } else {
            count = count < 3000 ? count : 3000;
            for (size_t i = 0; i < count; i++)
                model[(size_t)at + i] = (uint8_t)test_random();
            CHECK_EQ(shmem_write(ino, at, model + at, count), count);
            if (length < at + (off_t)count)
                length = at + (off_t)count;
        }
        compare(ino, length);
        CHECK_EQ(cache_frames(), pagecache_memory_pages());
        if (step % 64 == 0)
            CHECK_OK(memory_check());
    }
    inode_release(ino);
    fake_machine_stop();
}

/* ---- without memory */

static int attempt_write(void *context)
{
    static const uint8_t bytes[3 * PAGE_SIZE];
    inode_t *ino = context;
    off_t before = ino->length;
    int done = shmem_write(ino, before + 10, bytes, sizeof(bytes));

    if (done == (int)sizeof(bytes))
        return 0;
    /* As much as fitted is there, or nothing and no longer file. */
    CHECK_EQ(ino->length, done > 0 ? before + 10 + done : before);
    CHECK(done > 0 || done == -ENOSPC);
    CHECK_EQ(shmem_set_length(ino, before), 0);
    return -ENOSPC;
}

static void undo_write(void *context)
{
    CHECK_EQ(shmem_set_length(context, PAGE_SIZE + 20), 0);
}

TEST(shmem_write_without_memory)
{
    inode_t *ino;
    uint8_t byte = 1;

    start();
    ino = shmem_create(PAGE_SIZE + 20, 0);
    CHECK_EQ(shmem_write(ino, 0, &byte, 1), 1);
    CHECK_EQ(shmem_write(ino, PAGE_SIZE, &byte, 1), 1);
    CHECK_EQ(fake_failure_sweep(attempt_write, undo_write, NULL, ino), 3);
    CHECK_EQ(byte_of(ino, 0), 1);
    inode_release(ino);

    ino = shmem_create(0, 0);
    space_starve_heap(0, sizeof(page_t));
    CHECK_EQ(shmem_write(ino, 5, &byte, 1), -ENOSPC);       /* no table */
    CHECK_EQ(ino->length, 0);
    CHECK(shmem_create(PAGE_SIZE, 0) == NULL);
    space_feed_heap();
    CHECK_EQ(shmem_write(ino, 5, &byte, 1), 1);
    inode_release(ino);
    fake_machine_stop();
}
