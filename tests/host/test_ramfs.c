/*
 * The initial files: modules, paths, archives good and damaged. ramfs.c is compiled
 * into this file, which also stands in for /proc and /tmp.
 */
#include "../../kernel/ramfs.c"

#include <kernel/host.h>
#include <fake_machine.h>
#include <host_test.h>

#include <stdlib.h>
#include <string.h>

int proc_open(const char *path, inode_t **ino)
{
    char *text;

    if (strcmp(path, "/proc/test") != 0)
        return -ENOENT;
    text = kmalloc(5);
    CHECK(text != NULL);
    memcpy(text, "text\n", 5);
    *ino = ramfs_text("/proc/test", text, 5);
    return *ino != NULL ? 0 : -ENOMEM;
}

int tmpfs_open(const char *path, inode_t **ino)
{
    (void)ino;
    return strcmp(path, "/tmp") == 0 ? -EISDIR : -ENOENT;
}

/* ---- modules in the machine's memory */

enum { MODULE_PAGES = 8, SKEW = 100 };      /* modules need not begin at a page */

static page_t module_page;

static void *module_bytes(void)
{
    return (char *)fake_ram(module_page) + SKEW;
}

static void start(void)
{
    fake_config_t config = { .level = FAKE_HEAP, .format = "pae" };

    fake_machine_start(&config);
    ramfs.files = NULL;                     /* of a test that failed */
    module_page = page_range(MODULE_PAGES, PAGE_SIZE, 0, OWNER_BOOT);
    CHECK(module_page != PAGE_NONE);
    memset(fake_ram(module_page), 0, MODULE_PAGES * PAGE_SIZE);
}

static void forget_files(void)
{
    while (ramfs.files != NULL) {
        ramfs_file_t *file = ramfs.files;

        CHECK_EQ(file->inode.users, 1);
        ramfs.files = file->next;
        inode_release(&file->inode);
    }
}

static void stop(void)
{
    forget_files();
    for (size_t i = 0; i < MODULE_PAGES; i++)
        CHECK_EQ(free_physical_page(module_page + i * PAGE_SIZE), 0);
    fake_machine_stop();
}

static int take_in(size_t length, const char *string)
{
    static boot_info_t info;

    info.module_count = 1;
    info.module[0] = (boot_module_t){ module_page + SKEW, length, string };
    return ramfs_init(&info);
}

static int open_and_close(const char *path)
{
    inode_t *ino;
    int err = ramfs_open(path, &ino);

    if (err == 0)
        inode_release(ino);
    return err;
}

/* ---- archives */

static tar_header_t *tar_at;

static void finish_header(tar_header_t *header)
{
    unsigned sum = 0;

    memset(header->checksum, ' ', sizeof header->checksum);
    for (size_t i = 0; i < sizeof *header; i++)
        sum += ((unsigned char *)header)[i];
    format_text(header->checksum, sizeof header->checksum, "%06o", sum);
}

/* Append a member. => its header, to be damaged */
static tar_header_t *add_to_tar(const char *prefix, const char *name, char type, const char *data)
{
    tar_header_t *header = tar_at;
    size_t size = strlen(data);

    memcpy(header->name, name, strlen(name));
    memcpy(header->prefix, prefix, strlen(prefix));
    memcpy(header->mode, "0000640", 8);
    format_text(header->size, sizeof header->size, "%011zo", size);
    memcpy(header->magic, "ustar", 6);
    header->type = type;
    finish_header(header);
    memcpy(header + 1, data, size);
    tar_at += 1 + (size + TAR_BLOCK - 1) / TAR_BLOCK;
    return header;
}

static size_t tar_length(size_t end_blocks)
{
    return (size_t)((char *)(tar_at + end_blocks) - (char *)module_bytes());
}

static void check_file(const char *path, const char *data)
{
    char buffer[64];
    inode_t *ino;

    CHECK_EQ(ramfs_open(path, &ino), 0);
    CHECK_EQ(ino->length, strlen(data));
    CHECK_EQ(ramfs_read(ino, 0, buffer, sizeof buffer), strlen(data));
    CHECK_EQ(memcmp(buffer, data, strlen(data)), 0);
    inode_release(ino);
}

static void make_tar(void)
{
    tar_at = module_bytes();
    add_to_tar("", "./", '5', "");
    add_to_tar("", "./a", '0', "first");
    add_to_tar("", "dir/", '5', "");
    add_to_tar("", "dir/b", '0', "second");
    add_to_tar("very/deep", "c", '\0', "third");
    add_to_tar("", "link", '2', "");
    add_to_tar("", "empty", '0', "");
}

TEST(ramfs_unpacks_an_archive)
{
    unsigned mode, number;
    inode_t *ino;

    start();
    make_tar();
    CHECK_EQ(take_in(tar_length(2), "/boot/files.tar some words"), 0);
    check_file("/a", "first");
    check_file("dir/b", "second");
    check_file("/very/deep/c", "third");
    check_file("empty", "");
    CHECK_EQ(ramfs_open("a", &ino), 0);
    ramfs_about(ino, &mode, &number);
    CHECK_EQ(mode, 0640);
    CHECK(number != 0);
    inode_release(ino);
    CHECK_EQ(open_and_close("link"), -ENOENT);
    CHECK_EQ(open_and_close("files.tar"), -ENOENT);
    stop();
}

TEST(ramfs_folds_paths)
{
    char name[300];

    start();
    make_tar();
    CHECK_EQ(take_in(tar_length(2), "files.tar"), 0);
    CHECK_EQ(open_and_close("//dir//b"), 0);
    CHECK_EQ(open_and_close("./dir/./b"), 0);
    CHECK_EQ(open_and_close("dir/../very/../dir/b"), 0);
    CHECK_EQ(open_and_close("../../a"), 0);
    CHECK_EQ(open_and_close(""), -ENOENT);
    CHECK_EQ(open_and_close("/"), -EISDIR);
    CHECK_EQ(open_and_close("."), -EISDIR);
    CHECK_EQ(open_and_close("dir"), -EISDIR);
    CHECK_EQ(open_and_close("dir/"), -EISDIR);
    CHECK_EQ(open_and_close("very"), -EISDIR);
    CHECK_EQ(open_and_close("very/deep"), -EISDIR);
    CHECK_EQ(open_and_close("ver"), -ENOENT);
    CHECK_EQ(open_and_close("dir/x"), -ENOENT);
    CHECK_EQ(open_and_close("a/x"), -ENOTDIR);
    CHECK_EQ(open_and_close("a/"), -ENOTDIR);
    CHECK_EQ(open_and_close("dir/b/."), -ENOTDIR);
    memset(name, 'n', sizeof name);
    name[255] = '\0';
    CHECK_EQ(open_and_close(name), -ENOENT);
    name[255] = 'n';
    name[256] = '\0';
    CHECK_EQ(open_and_close(name), -ENAMETOOLONG);
    memset(name, '/', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    CHECK_EQ(open_and_close(name), -EISDIR);
    for (size_t i = 1; i < sizeof name - 1; i += 2)
        name[i] = 'x';
    CHECK_EQ(open_and_close(name), -ENOENT);
    stop();
}

TEST(ramfs_reads_any_part_of_a_module)
{
    const size_t length = 3 * PAGE_SIZE + 17;
    uint8_t *bytes, buffer[2 * PAGE_SIZE];
    inode_t *ino;

    start();
    bytes = module_bytes();
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(i * 13 + i / 256);
    CHECK_EQ(take_in(length, "/boot/my\\ program with words"), 0);
    CHECK_EQ(ramfs_open("my program", &ino), 0);
    CHECK_EQ(ino->length, length);
    for (size_t step = 0; step < 2000; step++) {
        size_t offset = test_random_below(length + 100);
        size_t wanted = test_random_below(sizeof buffer);
        size_t left = offset < length ? length - offset : 0;
        int got = ramfs_read(ino, (off_t)offset, buffer, wanted);

        CHECK_EQ(got, wanted < left ? wanted : left);
        CHECK_EQ(memcmp(buffer, bytes + offset, (size_t)got), 0);
    }
    CHECK_EQ(ino->ops->read_page(ino, 3, buffer), 0);
    CHECK_EQ(memcmp(buffer, bytes + 3 * PAGE_SIZE, 17), 0);
    for (size_t i = 17; i < PAGE_SIZE; i++)
        CHECK_EQ(buffer[i], 0);
    inode_release(ino);
    stop();
}

TEST(ramfs_gives_up_cached_pages_when_memory_is_short)
{
    page_t cached;
    inode_t *ino;

    start();
    CHECK_EQ(take_in(3 * PAGE_SIZE, "program"), 0);
    CHECK_EQ(ramfs_open("program", &ino), 0);
    for (size_t i = 0; i < 3; i++) {
        CHECK_EQ(pagecache_get(ino, i, &cached), 0);
        if (i > 0)
            page_release(cached);           /* page 0 stays in use */
    }
    CHECK_EQ(physical_figures()->owner[OWNER_CACHE], 3);
    CHECK_EQ(ramfs_droppable(), 2);
    CHECK_EQ(reclaim(1), 2);
    CHECK_EQ(ramfs_droppable(), 0);
    CHECK_EQ(physical_figures()->owner[OWNER_CACHE], 1);
    page_release(pagecache_peek(ino, 0));   /* peek's reference */
    page_release(ino->pages[0]);            /* the one kept above */
    CHECK_EQ(reclaim(1), 1);
    inode_release(ino);
    stop();
}

TEST(ramfs_texts_go_with_their_last_reference)
{
    char buffer[8];
    inode_t *ino;

    start();
    CHECK_EQ(ramfs_open("/proc//test", &ino), 0);
    inode_hold(ino);
    inode_release(ino);
    CHECK_EQ(ramfs_read(ino, 1, buffer, sizeof buffer), 4);
    CHECK_EQ(memcmp(buffer, "ext\n", 4), 0);
    inode_release(ino);
    CHECK_EQ(open_and_close("/proc/test/"), -ENOTDIR);
    stop();
}

/* ---- damaged archives: what came before the damage is kept */

static char log_text[4096];

static void keep_log(const char *text, size_t length)
{
    size_t used = strlen(log_text);

    if (used + length < sizeof log_text)
        memcpy(log_text + used, text, length);
}

static void check_damage(size_t length, const char *why)
{
    printk_output_t *output = printk_set_output(keep_log);

    memset(log_text, 0, sizeof log_text);
    CHECK_EQ(take_in(length, "files.tar"), 0);
    printk_set_output(output);
    if (strstr(log_text, why) == NULL)
        test_fail(__FILE__, __LINE__, "not reported: %s; the log is: %s", why, log_text);
    forget_files();
}

TEST(ramfs_reports_damaged_archives)
{
    tar_header_t *header, *first;

    start();
    first = tar_at = module_bytes();
    add_to_tar("", "a", '0', "first");
    header = add_to_tar("", "b", '0', "second");
    check_damage(tar_length(0), "its end is missing");
    check_damage(tar_length(0) - TAR_BLOCK + 6, "its end is missing");
    check_damage(tar_length(0) - TAR_BLOCK + 5, "longer than the archive");
    check_damage(tar_length(0) - TAR_BLOCK - 1, "its end is missing");
    header->name[0] = 'x';
    check_damage(tar_length(2), "checksum");
    header->name[0] = 'b';
    memcpy(header->size, "77777777777", 12);
    finish_header(header);
    check_damage(tar_length(2), "longer than the archive");
    memcpy(header->size, "0000000x000", 12);
    finish_header(header);
    check_damage(tar_length(2), "not a number");
    memcpy(header->magic, "other", 6);
    finish_header(header);
    check_damage(tar_length(2), "ustar");
    CHECK_EQ(take_in(tar_length(2), "files.tar"), 0);
    check_file("a", "first");
    CHECK_EQ(open_and_close("b"), -ENOENT);
    forget_files();
    first->name[0] = '.';
    first->name[1] = '\0';
    finish_header(first);
    check_damage(100, "its end is missing");
    check_damage(0, "its end is missing");
    stop();
}

/* The log is read on terminals: nothing in a name may steer one. */
TEST(ramfs_names_are_printed_without_control_characters)
{
    printk_output_t *output;

    start();
    memset(log_text, 0, sizeof log_text);
    tar_at = module_bytes();
    add_to_tar("", "a\033[2J\n\377", '0', "first");
    add_to_tar("", "link\007", '\033', "");
    add_to_tar("", "x/../\a/..", '0', "");
    output = printk_set_output(keep_log);
    CHECK_EQ(take_in(tar_length(0), "\033c.tar"), 0);
    ramfs_log();
    printk_set_output(output);
    for (const char *at = log_text; *at != '\0'; at++)
        CHECK(*at == '\n' || (*at >= ' ' && *at <= '~'));
    CHECK(strstr(log_text, "5 bytes /a\\033[2J\\012\\377\n") != NULL);
    CHECK(strstr(log_text, "\\033c.tar: member link\\007 is of type '\\033', left out") != NULL);
    check_file("a\033[2J\n\377", "first");
    stop();
}

TEST(ramfs_numbers_directories_by_their_paths)
{
    unsigned mode, root, one, other, same;

    start();
    make_tar();
    CHECK_EQ(take_in(tar_length(2), "files.tar"), 0);
    CHECK_EQ(ramfs_about_directory("/", &mode, &root), 0);
    CHECK_EQ(ramfs_about_directory("very", &mode, &one), 0);
    CHECK_EQ(ramfs_about_directory("very/deep", &mode, &other), 0);
    CHECK_EQ(ramfs_about_directory("/very/./deep/", &mode, &same), 0);
    CHECK(root != one && root != other && one != other);
    CHECK_EQ(other, same);
    CHECK_EQ(mode, 0555);
    stop();
}

TEST(ramfs_survives_random_archives)
{
    start();
    printk_output_t *output = printk_set_output(NULL);

    for (size_t step = 0; step < test_steps(2000); step++) {
        memset(module_bytes(), 0, MODULE_PAGES * PAGE_SIZE - SKEW);
        make_tar();
        for (size_t i = test_random_below(6); i > 0; i--) {
            size_t block = test_random_below(7);
            tar_header_t *header = (tar_header_t *)module_bytes() + block;

            ((uint8_t *)header)[test_random_below(TAR_BLOCK)] = (uint8_t)test_random();
            if (test_random_below(4) != 0)
                finish_header(header);
        }
        CHECK_EQ(take_in(tar_length(2) - test_random_below(2000), "files.tar"), 0);
        open_and_close("dir/b");
        forget_files();
    }
    printk_set_output(output);
    stop();
}
