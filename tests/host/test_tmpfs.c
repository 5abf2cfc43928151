/*
 * Names in /tmp and /dev/shm. tmpfs.c is compiled into this file.
 */
#include "../../kernel/tmpfs.c"

#include <kernel/pagecache.h>
#include <space_model.h>

static void start(void)
{
    fake_config_t config = { .level = FAKE_MEMORY };

    fake_machine_start(&config);
    tmpfs.files = NULL;                     /* of a test that failed */
}

static inode_t *create(const char *path)
{
    inode_t *ino = NULL;

    CHECK_EQ(tmpfs_create(path, 0640, &ino), 0);
    return ino;
}

TEST(tmpfs_paths)
{
    static const struct { const char *path; int open; int create; } cases[] = {
        { "/tmp", -EISDIR, -EROFS }, { "/dev/shm", -EISDIR, -EROFS }, { "/dev", -EISDIR, -EROFS },
        { "/tmp/a", 0, 0 }, { "/dev/shm/a", 0, 0 }, { "/tmp/missing", -ENOENT, 0 },
        { "/tmp/a/b", -ENOTDIR, -EROFS }, { "/tmp/ab/c", -ENOENT, -EROFS },
        { "/tmpa", -ENOENT, -EROFS }, { "/tm/a", -ENOENT, -EROFS }, { "/a", -ENOENT, -EROFS },
        { "/dev/a", -ENOENT, -EROFS }, { "", -ENOENT, -EROFS }, { "/dev/shma/x", -ENOENT, -EROFS },
    };

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        inode_t *ino = NULL;

        start();
        inode_release(create("/tmp/a"));
        inode_release(create("/dev/shm/a"));
        CHECK_EQ(tmpfs_open(cases[i].path, &ino), cases[i].open);
        if (ino != NULL)
            inode_release(ino);
        else
            CHECK_EQ(tmpfs_unlink(cases[i].path), cases[i].open);
        ino = NULL;
        if (cases[i].open != 0) {
            CHECK_EQ(tmpfs_create(cases[i].path, 0, &ino), cases[i].create);
            if (ino != NULL)
                inode_release(ino);
        }
        tmpfs_empty();
        CHECK_EQ(tmpfs_open("/tmp/a", &ino), -ENOENT);
        fake_machine_stop();
    }
}

TEST(tmpfs_files_outlive_their_names)
{
    unsigned mode, number, again, links;
    inode_t *one, *same, *two;

    start();
    one = create("/tmp/a");
    CHECK(inode_is_memory(one) && one->length == 0);
    CHECK_EQ(tmpfs_open("/tmp/a", &same), 0);
    CHECK(same == one);
    CHECK_EQ(one->users, 3);
    inode_release(same);
    CHECK_EQ(shmem_write(one, 0, "x", 1), 1);
    tmpfs_about(one, &mode, &number, &links);
    CHECK_EQ(mode, 0640);
    CHECK_EQ(links, 1);
    CHECK_EQ(tmpfs_unlink("/tmp/a"), 0);
    CHECK_EQ(tmpfs_unlink("/tmp/a"), -ENOENT);
    two = create("/tmp/a");
    tmpfs_about(one, &mode, &again, &links);
    CHECK_EQ(links, 0);
    CHECK_EQ(again, number);
    tmpfs_about(two, &mode, &again, &links);
    CHECK(again != number);
    CHECK_EQ(pagecache_memory_pages(), 1);
    inode_release(one);
    CHECK_EQ(pagecache_memory_pages(), 0);
    inode_release(two);
    CHECK_EQ(tmpfs_unlink("/tmp/a"), 0);
    fake_machine_stop();
}

TEST(tmpfs_without_memory)
{
    inode_t *ino = NULL;

    start();
    space_starve_heap(0, sizeof(tmpfs_file_t));
    CHECK_EQ(tmpfs_create("/tmp/a", 0600, &ino), -ENOSPC);
    CHECK(ino == NULL && tmpfs.files == NULL);
    space_feed_heap();
    inode_release(create("/tmp/a"));
    tmpfs_empty();
    fake_machine_stop();
}
