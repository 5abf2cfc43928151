/*
 * The page cache: one frame a page of a file, read once, counted.
 */
#include <kernel/errno.h>
#include <kernel/kheap.h>
#include <kernel/pagecache.h>
#include <space.h>

#include <string.h>

static void start(void)
{
    fake_config_t config = { .level = FAKE_MEMORY };

    fake_machine_start(&config);
}

TEST(pagecache_reads_a_page_once)
{
    test_file_t file;
    page_t page = PAGE_NONE;
    page_t again = PAGE_NONE;
    const uint8_t *byte;

    start();
    test_file_init(&file, "file", 5000);
    CHECK_EQ(pagecache_peek(&file.ino, 0), PAGE_NONE);
    CHECK(file.ino.pages == NULL);
    CHECK_EQ(pagecache_get(&file.ino, 1, &page), 0);
    CHECK_EQ(file.reads, 1);
    CHECK_EQ(file.ino.page_slots, 2);
    CHECK_EQ(page_count(page), 2);                  /* the cache's and ours */
    CHECK_EQ(physical_frame(page)->owner, OWNER_CACHE);
    byte = fake_ram(page);
    CHECK_EQ(byte[0], test_file_byte(&file, 4096));
    CHECK_EQ(byte[903], test_file_byte(&file, 4999));
    CHECK_EQ(byte[904], 0);
    CHECK_EQ(pagecache_get(&file.ino, 1, &again), 0);
    CHECK_EQ(again, page);
    CHECK_EQ(file.reads, 1);
    CHECK_EQ(pagecache_peek(&file.ino, 1), page);
    CHECK_EQ(page_count(page), 4);
    CHECK_EQ(pagecache_peek(&file.ino, 0), PAGE_NONE);
    CHECK_EQ(pagecache_peek(&file.ino, 2), PAGE_NONE);
    for (int i = 3; i > 0; i--)
        CHECK_EQ(page_release(page), i);
    inode_release(&file.ino);
    CHECK_EQ(file.released, 1);
    fake_machine_stop();
}

TEST(pagecache_refuses_pages_past_the_end)
{
    static const struct { off_t length; size_t pages; } cases[] = {
        { 0, 0 }, { 1, 1 }, { PAGE_SIZE - 1, 1 }, { PAGE_SIZE, 1 }, { PAGE_SIZE + 1, 2 },
    };

    start();
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        test_file_t file;
        page_t page = 1;

        test_file_init(&file, "file", cases[i].length);
        CHECK_EQ(pagecache_get(&file.ino, cases[i].pages, &page), -EINVAL);
        CHECK_EQ(pagecache_get(&file.ino, SIZE_MAX, &page), -EINVAL);
        CHECK_EQ(page, 1);
        CHECK(file.ino.pages == NULL);
        if (cases[i].pages > 0) {
            CHECK_EQ(pagecache_get(&file.ino, cases[i].pages - 1, &page), 0);
            CHECK_EQ(page_release(page), 1);
        }
        inode_release(&file.ino);
    }
    fake_machine_stop();
}

TEST(pagecache_passes_on_read_errors)
{
    static const int errors[] = { -EIO, -ENOMEM };

    start();
    for (size_t i = 0; i < ARRAY_LENGTH(errors); i++) {
        test_file_t file;
        page_t page = 1;

        test_file_init(&file, "file", PAGES(3));
        file.error = errors[i];
        CHECK_EQ(pagecache_get(&file.ino, 1, &page), errors[i]);
        CHECK_EQ(page, 1);
        CHECK_EQ(physical_figures()->owner[OWNER_CACHE], 0);
        file.error = 0;                             /* it is tried again */
        CHECK_EQ(pagecache_get(&file.ino, 1, &page), 0);
        CHECK_EQ(file.reads, 2);
        CHECK_EQ(page_release(page), 1);
        inode_release(&file.ino);
    }
    fake_machine_stop();
}

TEST(pagecache_drop_keeps_what_is_used)
{
    test_file_t file;
    page_t page[4];

    start();
    test_file_init(&file, "file", PAGES(4));
    CHECK_EQ(pagecache_drop(&file.ino), 0);
    for (size_t i = 0; i < 4; i++)
        CHECK_EQ(pagecache_get(&file.ino, i, &page[i]), 0);
    CHECK_EQ(pagecache_drop(&file.ino), 0);
    page_release(page[1]);
    page_release(page[3]);
    CHECK_EQ(pagecache_drop(&file.ino), 2);
    CHECK_EQ(pagecache_peek(&file.ino, 1), PAGE_NONE);
    CHECK_EQ(pagecache_peek(&file.ino, 0), page[0]);
    page_release(page[0]);
    page_release(page[0]);
    page_release(page[2]);
    CHECK_EQ(pagecache_drop(&file.ino), 2);
    CHECK_EQ(physical_figures()->owner[OWNER_CACHE], 0);
    inode_release(&file.ino);
    fake_machine_stop();
}

TEST(pagecache_of_a_large_file)
{
    test_file_t file;
    page_t page;

    start();
    test_file_init(&file, "large", 100 * (off_t)MIB);
    CHECK_EQ(pagecache_get(&file.ino, 25599, &page), 0);
    CHECK_EQ(file.ino.page_slots, 25600);
    page_release(page);
    inode_release(&file.ino);
    /* Its first pages need no more words than a small file's. */
    test_file_init(&file, "huge", INT64_MAX);
    CHECK_EQ(pagecache_get(&file.ino, 0, &page), 0);
    CHECK_EQ(file.ino.page_slots, 16);
    page_release(page);
    /* Too far for words: no memory, and nothing else. */
    CHECK_EQ(pagecache_get(&file.ino, PAGECACHE_SLOTS_MAX, &page), -ENOMEM);
    CHECK_EQ(file.ino.page_slots, 16);
    inode_release(&file.ino);
    CHECK_EQ(file.released, 1);
    fake_machine_stop();
}

TEST(inode_release_empties_the_cache_last)
{
    test_file_t file;
    page_t page;

    start();
    test_file_init(&file, "file", PAGES(2));
    inode_hold(&file.ino);
    CHECK_EQ(pagecache_get(&file.ino, 0, &page), 0);
    page_release(page);
    inode_release(&file.ino);
    CHECK_EQ(file.released, 0);
    CHECK_EQ(page_count(page), 1);
    inode_release(&file.ino);
    CHECK_EQ(file.released, 1);
    CHECK_EQ(page_count(page), 0);
    CHECK(file.ino.pages == NULL);
    fake_machine_stop();
}

static int attempt(void *context)
{
    test_file_t *file = context;
    page_t page;
    int err = pagecache_get(&file->ino, 1, &page);

    if (err == 0)
        page_release(page);
    return err;
}

static void undo(void *context)
{
    pagecache_drop(&((test_file_t *)context)->ino);
}

TEST(pagecache_survives_refused_memory)
{
    test_file_t file;

    start();
    test_file_init(&file, "file", PAGES(40));
    space_starve_heap(0, sizeof(page_t));
    CHECK_EQ(attempt(&file), -ENOMEM);              /* no words */
    CHECK(file.ino.pages == NULL);
    space_feed_heap();
    CHECK_EQ(attempt(&file), 0);
    undo(&file);
    CHECK_EQ(fake_failure_sweep(attempt, undo, NULL, &file), 1);
    inode_release(&file.ino);
    fake_machine_stop();
}
