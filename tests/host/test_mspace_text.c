/*
 * A space as text: areas, runs of pages, counters; letter by letter.
 */
#include <kernel/errno.h>
#include <space.h>

#include <stdio.h>
#include <string.h>

static char text[65536];
static size_t text_length;

static void add(void *context, const char *bytes, size_t length)
{
    CHECK(context == text);
    CHECK(text_length + length < sizeof text);
    CHECK_EQ(strlen(bytes), length);
    CHECK_EQ(bytes[length - 1], '\n');
    memcpy(text + text_length, bytes, length + 1);
    text_length += length;
}

typedef void describe_t(mspace_t *mspace, mspace_print_t *print, void *context);

static const char *described(describe_t *describe, mspace_t *ms)
{
    text_length = 0;
    text[0] = '\0';
    describe(ms, add, text);
    CHECK(!splock_held(&ms->lock));
    return text;
}

/* One of each kind that a program's space has. */
static void map_all_kinds(mspace_t *ms, test_file_t *file)
{
    space_map(ms, AT(0), PAGES(2), VMA_ANON | VMA_RW | VMA_EXEC | VMA_FIXED);
    CHECK(mspace_map(ms, AT(2), PAGES(2), &file->ino, PAGES(1), 0,
                     VMA_FILE | VMA_RX | VMA_SHARED | VMA_FIXED) != NULL);
    CHECK(mspace_map(ms, AT(5), PAGES(1), &file->ino, 0, 0, FILE_RW | VMA_FIXED) != NULL);
    CHECK(mspace_map(ms, AT(8), PAGES(1), NULL, 0xfee00000, 0,
                     VMA_PHYS | VMA_RW | VMA_SHARED | VMA_UNCACHED | VMA_FIXED) != NULL);
    space_map(ms, AT(10), PAGES(3), VMA_ANON | VMA_FIXED);
    CHECK_EQ(mspace_kill(ms, AT(11), PAGES(1)), 0);
    space_map(ms, AT(14), PAGES(1), VMA_HEAP_SEGMENT | VMA_FIXED);
}

TEST(mspace_text_areas)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 1000);
        test_file_t file;

        CHECK_STR(described(mspace_describe, ms), "");
        test_file_init(&file, "/a file", PAGES(4));
        map_all_kinds(ms, &file);
        CHECK_EQ(mspace_set_stack(ms, AT(900), PAGES(2), PAGES(16)), 0);
        CHECK_STR(described(mspace_describe, ms),
            "40000000-40002000 rwxp 00000000 00:00 0 \n"
            "40002000-40004000 r-xs 00001000 00:00 0          /a file\n"
            "40005000-40006000 rw-p 00000000 00:00 0          /a file\n"
            "40008000-40009000 rw-s fee00000 00:00 0          phys=fee00000\n"
            "4000a000-4000b000 ---p 00000000 00:00 0 \n"
            "4000b000-4000c000 ---p 00000000 00:00 0           (dead)\n"
            "4000c000-4000d000 ---p 00000000 00:00 0 \n"
            "4000e000-4000f000 rw-p 00000000 00:00 0          [heap]\n"
            "40382000-40384000 rw-p 00000000 00:00 0          [stack]\n");
        mspace_sweep(ms);
        inode_release(&file.ino);
        space_stop(ms);
    }
}

/* Names that a program chose. */
TEST(mspace_text_names)
{
    mspace_t *ms = space_start("pae", 16);
    char name[301];
    test_file_t file;

    test_file_init(&file, "/tmp/a\nb\n", PAGES(1));
    CHECK(mspace_map(ms, AT(0), PAGES(1), &file.ino, 0, 0, FILE_RO | VMA_FIXED) != NULL);
    CHECK_STR(described(mspace_describe, ms),
              "40000000-40001000 r--p 00000000 00:00 0          /tmp/a\\012b\\012\n");
    mspace_sweep(ms);
    inode_release(&file.ino);
    memset(name, '\n', 300);
    name[300] = '\0';
    test_file_init(&file, name, PAGES(1));
    CHECK(mspace_map(ms, AT(0), PAGES(1), &file.ino, 0, 0, FILE_RO | VMA_FIXED) != NULL);
    CHECK_EQ(strlen(described(mspace_describe, ms)), 49 + 4 * 159 + 1);
    CHECK_EQ(strcspn(text, "\n"), text_length - 1);
    mspace_sweep(ms);
    inode_release(&file.ino);
    space_stop(ms);
}

/* x where the format cannot forbid it. */
static const char *with_execution(const char *golden)
{
    static char copy[4096];

    strcpy(copy, golden);
    if (!mmu_can_forbid_execution())
        for (char *at = copy; (at = strchr(at, '?')) != NULL; )
            *at = 'x';
    else
        for (char *at = copy; (at = strchr(at, '?')) != NULL; )
            *at = '-';
    return copy;
}

TEST(mspace_text_pages)
{
    char counters[100];

    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 4000);
        test_file_t file;

        CHECK_STR(described(mspace_describe_pages, ms), "");
        test_file_init(&file, "/a file", PAGES(4));
        map_all_kinds(ms, &file);
        CHECK_STR(described(mspace_describe_pages, ms), "");
        CHECK(space_write(AT(0), 1));
        CHECK_EQ(space_byte(AT(1)), 0);
        space_byte(AT(2));
        space_byte(AT(3));
        CHECK(space_write(AT(5), 1));
        CHECK(space_write(AT(14), 1));
        CHECK_EQ(mspace_resolve(ms, AT(8), 1, true), 0);
        CHECK_STR(described(mspace_describe_pages, ms), with_execution(
            "40000000-40001000 rwxu private       1\n"
            "40001000-40002000 r-xu zero          1\n"
            "40002000-40004000 r-xu shared        2\n"
            "40005000-40006000 rw?u private       1\n"
            "40008000-40009000 rw?u foreign       1\n"
            "4000e000-4000f000 rw?u private       1\n"));
        CHECK_EQ(mspace_protect(ms, AT(14), PAGES(1), 0), 0);
        CHECK_EQ(mspace_protect(ms, AT(0), PAGES(2), VMA_READ), 0);
        CHECK_EQ(mspace_unmap(ms, AT(2), PAGES(7)), 0);
        CHECK_STR(described(mspace_describe_pages, ms), with_execution(
            "40000000-40001000 r-?u private       1\n"
            "40001000-40002000 r-?u zero          1\n"
            "4000e000-4000f000 ---- private       1\n"));
        snprintf(counters, sizeof counters,
                 "areas 5, pages: promised 6, private 2, shared 0, in use %zu; faults 6\n",
                 2 + mmu_table_count(ms->directory));
        CHECK_STR(described(mspace_describe_counters, ms), counters);
        mspace_sweep(ms);
        inode_release(&file.ino);
        space_stop(ms);
    }
}

/* Runs go on over pieces of the walk, tables and areas; holes end them; marks that the
 * processor sets do not. */
TEST(mspace_text_long_runs)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 4000);

        space_map(ms, AT(10), PAGES(1100), ANON_RW | VMA_FIXED | VMA_RESOLVE);
        space_map(ms, AT(1110), PAGES(300), VMA_ANON | VMA_RW | VMA_FIXED | VMA_RESOLVE);
        CHECK(space_write(AT(100), 1));
        CHECK(space_byte(AT(101)) == 0);
        CHECK_STR(described(mspace_describe_pages, ms),
                  with_execution("4000a000-40582000 rw?u private    1400\n"));
        CHECK_EQ(mspace_unmap(ms, AT(1000), PAGES(1)), 0);
        space_map(ms, AT(3000), PAGES(65), ANON_RW | VMA_FIXED);
        CHECK(space_write(AT(3063), 1));
        CHECK(space_write(AT(3064), 1));
        CHECK_STR(described(mspace_describe_pages, ms), with_execution(
                  "4000a000-403e8000 rw?u private     990\n"
                  "403e9000-40582000 rw?u private     409\n"
                  "40bf7000-40bf9000 rw?u private       2\n"));
        CHECK_OK(mspace_check(ms));
        mspace_sweep(ms);
        space_stop(ms);
    }
}

/* The peaks as they would be told now. */
static void check_peaks(mspace_t *ms, size_t promised, size_t resident)
{
    CHECK(!splock_held(&ms->lock));
    mspace_note_peaks(ms);
    CHECK_EQ(ms->v_peak, promised);
    CHECK_EQ(ms->resident_peak, resident);
}

/* Each way for pages to go notes what there was. */
TEST(mspace_text_peaks)
{
    mspace_t *ms = space_start("pae", 200);
    test_file_t file;

    test_file_init(&file, "/a file", PAGES(2));
    check_peaks(ms, 0, 0);
    space_map(ms, AT(0), PAGES(10), ANON_RW | VMA_FIXED | VMA_RESOLVE);
    CHECK(mspace_map(ms, AT(20), PAGES(2), &file.ino, 0, 0,
                     FILE_RO | VMA_FIXED | VMA_RESOLVE) != NULL);
    CHECK_EQ(mspace_unmap(ms, AT(5), PAGES(20)), 0);
    check_peaks(ms, 12, 12);
    CHECK_EQ(ms->p_size + ms->s_size, 5);
    space_map(ms, AT(40), PAGES(9), ANON_RW | VMA_FIXED | VMA_RESOLVE);
    CHECK_EQ(mspace_kill(ms, AT(40), PAGES(9)), 0);
    check_peaks(ms, 14, 14);
    CHECK_EQ(mspace_scavenge(ms), 1);
    space_map(ms, AT(40), PAGES(11), ANON_RW | VMA_FIXED | VMA_RESOLVE);
    CHECK(mspace_replace(ms, AT(41), PAGES(9), &file.ino, 0, 0, FILE_RO | VMA_RESOLVE) != NULL);
    check_peaks(ms, 16, 16);            /* only two of them are the file's */
    CHECK_EQ(ms->p_size + ms->s_size, 9);
    CHECK(mspace_replace(ms, AT(60), PAGES(3), NULL, 0, 0, VMA_ANON | VMA_RO) != NULL);
    check_peaks(ms, 19, 16);
    mspace_sweep(ms);
    check_peaks(ms, 19, 16);
    CHECK_EQ(ms->v_size, 0);
    inode_release(&file.ino);
    space_stop(ms);
}

/* The kernel's space has areas; its pages are no run. */
TEST(mspace_text_kernel)
{
    mspace_t *ms = space_start("pae", 16);
    void *place = kmap(PAGE_SIZE, 0, VMA_PIPE | VMA_RW);
    const char *line;

    CHECK(place != NULL);
    line = described(mspace_describe, kMMU.kspace);
    CHECK(strstr(line, "[pipe]\n") != NULL);
    CHECK_STR(described(mspace_describe_pages, kMMU.kspace), "");
    kunmap(place, PAGE_SIZE);
    space_stop(ms);
}
