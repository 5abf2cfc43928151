/*
 * The checker of references: frames, entries and files are made to disagree, and
 * its sentence is read.
 */
#include <kernel/pagecache.h>
#include <kernel/printk.h>
#include <space.h>

#define CHECK_FINDS(sentence) CHECK_STR(memory_check(), sentence)

static void check_finds_counts(page_t page, unsigned count, unsigned entries, unsigned files)
{
    char sentence[128];

    format_text(sentence, sizeof(sentence), "the frame at %#zx is counted %u times, but %u "
                "entries and %u files have it", page, count, entries, files);
    CHECK_FINDS(sentence);
}

static void check_finds_files(page_t page, unsigned files)
{
    char sentence[128];

    format_text(sentence, sizeof(sentence), "the page cache's frame at %#zx is a page of %u "
                "files", page, files);
    CHECK_FINDS(sentence);
}

/* A private page is counted too often, too seldom, and lost. */
TEST(memory_check_private_pages)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 64);
        mmu_entry_t entry;
        page_t page;

        space_map(ms, AT(4), PAGES(4), ANON_RW | VMA_RESOLVE);
        CHECK_OK(memory_check());
        entry = space_entry(ms, AT(5));
        page = mmu_frame(entry);
        page_hold(page);
        check_finds_counts(page, 2, 1, 0);
        space_set_entry(ms, AT(9), entry);              /* and now somebody has it */
        CHECK_OK(memory_check());
        page_release(page);
        check_finds_counts(page, 1, 2, 0);
        space_set_entry(ms, AT(9), 0);
        space_set_entry(ms, AT(5), 0);
        check_finds_counts(page, 1, 0, 0);
        space_set_entry(ms, AT(5), page | MMU_HELD);    /* held is had */
        CHECK_OK(memory_check());
        space_set_entry(ms, AT(5), page);               /* this is no frame, but a slot */
        check_finds_counts(page, 1, 0, 0);
        space_set_entry(ms, AT(5), entry | MMU_OBJECT); /* a foreign page, like a device's */
        check_finds_counts(page, 1, 0, 0);
        space_set_entry(ms, AT(5), entry);
        /* A count that sticks is no count any more. */
        physical_frame(page)->count = UINT16_MAX;
        CHECK_OK(memory_check());
        physical_frame(page)->count = 1;
        space_stop(ms);
    }
}

/* A frame shared by two spaces, of which one is not current: both are counted. */
TEST(memory_check_every_space)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 64);
        mspace_t *other = mspace_create();
        mmu_entry_t entry;
        page_t page;

        CHECK(other != NULL);
        space_map(ms, AT(4), PAGES(1), ANON_RO | VMA_RESOLVE);
        space_map(ms, AT(5), PAGES(1), ANON_RW | VMA_RESOLVE);
        space_map(other, AT(4), PAGES(1), ANON_RW | VMA_RESOLVE);
        space_map(other, AT(0x40000), PAGES(1), ANON_RW | VMA_RESOLVE);
        CHECK_OK(memory_check());
        entry = space_entry(ms, AT(5));
        page = mmu_frame(entry);
        space_set_entry(other, AT(5), page | MMU_PRESENT | MMU_USER);
        check_finds_counts(page, 1, 2, 0);
        page_hold(page);
        CHECK_OK(memory_check());
        space_set_entry(ms, AT(5), 0);
        check_finds_counts(page, 2, 1, 0);
        space_set_entry(ms, AT(5), entry);
        space_set_entry(other, AT(5), 0);
        check_finds_counts(page, 2, 1, 0);
        page_release(page);
        page = mmu_frame(space_entry(other, AT(0x40000)));
        page_hold(page);
        check_finds_counts(page, 2, 1, 0);
        page_release(page);
        CHECK_OK(memory_check());
        mspace_close(other);
        space_stop(ms);
    }
}

TEST(memory_check_frames_not_in_use)
{
    static const char sentence[] = "an entry names a frame that is not in use";
    mspace_t *ms = space_start("2level", 64);
    page_t page = page_new(OWNER_ANON);

    space_map(ms, AT(4), PAGES(2), ANON_RW | VMA_RESOLVE);
    check_finds_counts(page, 1, 0, 0);
    page_release(page);
    CHECK_OK(memory_check());
    space_set_entry(ms, AT(9), page | MMU_PRESENT | MMU_USER);
    CHECK_FINDS(sentence);
    space_set_entry(ms, AT(9), 0x70000000 | MMU_HELD);  /* behind the frame table's end */
    CHECK_FINDS(sentence);
    space_set_entry(ms, AT(9), 0x70000000 | MMU_PRESENT | MMU_USER | MMU_OBJECT);
    CHECK_OK(memory_check());
    space_set_entry(ms, AT(9), 0);
    space_stop(ms);
}

TEST(memory_check_page_of_zeroes)
{
    mspace_t *ms = space_start("pae", 64);

    space_map(ms, AT(4), PAGES(4), ANON_RO | VMA_RESOLVE);
    CHECK_OK(memory_check());
    page_hold(kMMU.zero_page);
    CHECK_FINDS("the page of zeroes is counted");
    page_release(kMMU.zero_page);
    space_stop(ms);
}

/* A file's page takes the place of another's: the lower one of the two is told. */
static void check_shared_slot(page_t *slot, page_t page)
{
    page_t own = *slot;

    *slot = page;
    check_finds_files(page < own ? page : own, page < own ? 2 : 0);
    *slot = own;
    CHECK_OK(memory_check());
}

/* A file's page has one reference of the file, mapped or not. */
TEST(memory_check_pages_of_files)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 64);
        test_file_t file[3];
        mmu_entry_t entry;
        page_t page;
        page_t stranger;

        for (size_t i = 0; i < ARRAY_LENGTH(file); i++) {
            test_file_init(&file[i], "file", PAGES(4));
            CHECK(mspace_map(ms, AT(8 * i), PAGES(4), &file[i].ino, 0, 0,
                             FILE_RO | VMA_RESOLVE) != NULL);
        }
        CHECK_OK(memory_check());
        entry = space_entry(ms, AT(9));
        page = mmu_frame(entry);
        page_hold(page);
        check_finds_counts(page, 3, 1, 1);
        page_release(page);
        space_set_entry(ms, AT(9), 0);
        check_finds_counts(page, 2, 0, 1);
        space_set_entry(ms, AT(9), entry);

        stranger = file[1].ino.pages[2];
        file[1].ino.pages[2] = PAGE_NONE;
        check_finds_files(stranger, 0);
        file[1].ino.pages[2] = stranger;
        check_shared_slot(&file[1].ino.pages[2], file[0].ino.pages[2]);
        check_shared_slot(&file[0].ino.pages[2], stranger);
        file[1].ino.pages[2] = kMMU.zero_page;
        CHECK_FINDS("a file has a page that is no frame of the page cache");
        file[1].ino.pages[2] = 0x70000000;
        CHECK_FINDS("a file has a page that is no frame of the page cache");
        file[1].ino.pages[2] = stranger;
        physical_frame(stranger)->state = FRAME_FREE;
        CHECK_FINDS("a file has a page that is no frame of the page cache");
        physical_frame(stranger)->state = FRAME_USED;
        CHECK_OK(memory_check());

        pagecache_empty(&file[1].ino);                  /* all its pages are mapped */
        CHECK_EQ(file[1].ino.page_slots, 4);
        CHECK_OK(memory_check());

        /* Files leave the row of those with pages: in the midst, first, last. */
        CHECK_EQ(mspace_unmap(ms, AT(8), PAGES(4)), 0);
        CHECK_OK(memory_check());
        pagecache_empty(&file[1].ino);
        CHECK_OK(memory_check());
        page_hold(file[0].ino.pages[0]);
        check_finds_counts(file[0].ino.pages[0], 3, 1, 1);
        page_release(file[0].ino.pages[0]);
        page_hold(file[2].ino.pages[0]);
        check_finds_counts(file[2].ino.pages[0], 3, 1, 1);
        page_release(file[2].ino.pages[0]);
        CHECK_EQ(mspace_unmap(ms, AT(16), PAGES(4)), 0);
        inode_release(&file[2].ino);
        CHECK_OK(memory_check());
        CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(4)), 0);
        inode_release(&file[0].ino);
        inode_release(&file[1].ino);
        CHECK_OK(memory_check());
        space_stop(ms);
    }
}

/* Frames from the first to the last of a machine of several passes; no memory is left. */
TEST(memory_check_all_of_memory)
{
    fake_config_t config = { .level = FAKE_MEMORY, .format = "pae", .megabytes = 40 };
    mspace_t *ms = space_start_on(&config, 20008);
    test_file_t file;
    size_t pages = 0;

    test_file_init(&file, "file", PAGES(4));
    CHECK(mspace_map(ms, AT(20000), PAGES(4), &file.ino, 0, 0, FILE_RO | VMA_RESOLVE) != NULL);
    commit.mode = COMMIT_ALWAYS;
    space_map(ms, AT(0), PAGES(20000), ANON_RW);
    while (mspace_resolve(ms, AT(pages), PAGE_SIZE, true) == 0)
        pages++;
    CHECK(pages > 9000);
    CHECK_EQ(physical_figures()->free, 0);
    CHECK_OK(memory_check());
    for (size_t i = 0; i < pages; i += 37) {
        page_t page = mmu_frame(space_entry(ms, AT(i)));

        page_hold(page);
        check_finds_counts(page, 2, 1, 0);
        page_release(page);
    }
    CHECK_OK(memory_check());
    CHECK_EQ(mspace_unmap(ms, AT(20000), PAGES(4)), 0);
    inode_release(&file.ino);
    space_stop(ms);
}
