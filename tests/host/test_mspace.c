/*
 * Address spaces as a whole: ranges they refuse, dead areas, their end, and their text.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/printk.h>
#include <space.h>

#include <string.h>

/* ---- ranges */

typedef struct range_case {
    size_t address;
    size_t length;
} range_case_t;

/* Of a space of 16 pages at SPACE_BASE. */
static const range_case_t bad_ranges[] = {
    { AT(0), 0 },
    { AT(0) + 1, PAGE_SIZE },
    { AT(0), 1 },
    { AT(0), PAGE_SIZE + 1 },
    { AT(0) - PAGE_SIZE, PAGE_SIZE },
    { AT(0) - PAGE_SIZE, 2 * PAGE_SIZE },
    { AT(16), PAGE_SIZE },
    { AT(15), 2 * PAGE_SIZE },
    { AT(0), 17 * PAGE_SIZE },
    { 0, PAGE_SIZE },
    { USER_END, PAGE_SIZE },
    { KERNEL_BASE, PAGE_SIZE },
    { SIZE_MAX - PAGE_MASK, PAGE_SIZE },                /* ends at 4 GiB */
    { SIZE_MAX - PAGE_MASK, 2 * PAGE_SIZE },            /* wraps */
    { AT(1), (size_t)0 - PAGE_SIZE },                   /* wraps */
    { AT(1), (size_t)0 - AT(1) },
    { AT(1), (size_t)0 - AT(0) },
};

TEST(mspace_refuses_bad_ranges)
{
    mspace_t *ms = space_start("2level", 16);

    space_map(ms, AT(0), PAGES(16), ANON_RW);
    for (size_t i = 0; i < ARRAY_LENGTH(bad_ranges); i++) {
        size_t address = bad_ranges[i].address;
        size_t length = bad_ranges[i].length;

        CHECK(mspace_map(ms, address, length, NULL, 0, 0, ANON_RW | VMA_FIXED) == NULL);
        CHECK_EQ(*host_errno(), EINVAL);
        CHECK(mspace_replace(ms, address, length, NULL, 0, 0, ANON_RW) == NULL);
        CHECK_EQ(*host_errno(), EINVAL);
        CHECK_EQ(mspace_unmap(ms, address, length), -EINVAL);
        CHECK_EQ(mspace_protect(ms, address, length, VMA_RO), -EINVAL);
        CHECK_EQ(mspace_kill(ms, address, length), -EINVAL);
        CHECK_AREA(ms, AT(0), PAGES(16));
    }
    CHECK_EQ(mspace_protect(ms, AT(0), PAGE_SIZE, VMA_RO | VMA_SHARED), -EINVAL);
    CHECK_EQ(mspace_protect(ms, AT(0), PAGE_SIZE, VMA_RO | VMA_CAN_READ), -EINVAL);
    CHECK(mspace_map(kMMU.kspace, 0, PAGE_SIZE, NULL, 0, 0, VMA_PHYS | VMA_RO) == NULL);
    CHECK_EQ(*host_errno(), EINVAL);
    /* Without VMA_FIXED an address is a hint, but it is one of a page. */
    CHECK(mspace_map(ms, AT(0) + 1, PAGE_SIZE, NULL, 0, 0, ANON_RW) == NULL);
    CHECK_EQ(*host_errno(), EINVAL);
    CHECK(mspace_map(ms, 0, PAGE_SIZE, NULL, 0, 0, ANON_RW) == NULL);
    CHECK_EQ(*host_errno(), ENOMEM);
    space_stop(ms);
}

/* ---- dead areas */

TEST(mspace_kill_and_scavenge)
{
    mspace_t *ms = space_start("2level", 16);
    size_t tables = ms->phys_pg_count;

    space_map(ms, AT(0), PAGES(10), ANON_RW);
    for (size_t i = 0; i < 10; i++)
        CHECK(space_write(AT(i), 5));
    /* AAAAAAAAAA    kill 2..4    AAaaaAAAAA */
    CHECK_EQ(mspace_kill(ms, AT(2), PAGES(3)), 0);
    CHECK_EQ(ms->tree.count, 3);
    CHECK_AREA(ms, AT(2), PAGES(3));
    CHECK_EQ(ms->p_size, 7);
    CHECK_EQ(ms->v_size, 10);
    CHECK(!space_read(AT(3), &(uint8_t){ 0 }));
    CHECK_EQ(space_fault.reason, FAULT_DEAD_AREA);
    CHECK_EQ(mspace_resolve(ms, AT(3), 1, false), -EFAULT);
    CHECK_EQ(space_byte(AT(5)), 5);
    /* The range stays taken. */
    CHECK(mspace_map(ms, AT(3), PAGES(1), NULL, 0, 0, ANON_RW | VMA_FIXED) == NULL);
    CHECK_EQ(*host_errno(), ERANGE);
    CHECK_EQ(mspace_protect(ms, AT(1), PAGES(3), VMA_RO), -ENOENT);
    CHECK_OK(mspace_check(ms));
    CHECK_EQ(mspace_kill(ms, AT(7), PAGES(9)), 0);
    CHECK_EQ(mspace_scavenge(ms), 2);
    CHECK_EQ(mspace_scavenge(ms), 0);
    CHECK(mspace_search_vma(ms, AT(3)) == NULL);
    CHECK_EQ(ms->v_size, 4);
    CHECK_OK(mspace_check(ms));
    /* A dead area can be replaced, and unmapped. */
    CHECK_EQ(mspace_kill(ms, AT(0), PAGES(16)), 0);
    CHECK(mspace_replace(ms, AT(0), PAGES(1), NULL, 0, 0, ANON_RW) != NULL);
    CHECK(space_write(AT(0), 1));
    CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(16)), 0);
    CHECK_EQ(ms->tree.count, 0);
    CHECK_EQ(ms->phys_pg_count, tables);
    space_stop(ms);
}

/* ---- the end of a space */

TEST(mspace_sweep_leaves_nothing)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 0);
        mspace_t *other = mspace_create();
        size_t tables = ms->phys_pg_count;
        page_t frame = page_new(OWNER_BOOT);
        test_file_t file;

        test_file_init(&file, "file", PAGES(4));
        CHECK(other != NULL);
        space_map(other, AT(0), PAGES(4), ANON_RW);
        CHECK_EQ(mspace_resolve(other, AT(0), PAGES(4), true), 0);
        for (size_t i = 0; i < 20; i++) {
            size_t base = 0x10000000 + i * 0x8000000;

            space_map(ms, base, PAGES(3), i % 2 != 0 ? ANON_RO : ANON_RW);
            CHECK_EQ(mspace_resolve(ms, base, PAGES(3), i % 2 == 0), 0);
        }
        CHECK(mspace_map(ms, 0x800000, PAGES(4), &file.ino, 0, 0, FILE_RO | VMA_RESOLVE));
        CHECK(mspace_map(ms, 0x900000, PAGES(1), NULL, (off_t)frame, 0,
                         VMA_PHYS | VMA_RW | VMA_RESOLVE));
        CHECK_EQ(ms->p_size, 30);
        CHECK_EQ(ms->s_size, 4);
        CHECK_EQ(mspace_set_stack(ms, 0x80000000, PAGES(2), PAGES(100)), 0);
        mspace_sweep(ms);
        CHECK_EQ(ms->stack_base, 0);
        CHECK_EQ(ms->stack_end, 0);
        CHECK_EQ(ms->tree.count, 0);
        CHECK_EQ(ms->v_size + ms->p_size + ms->s_size, 0);
        CHECK_EQ(ms->phys_pg_count, tables);
        CHECK_OK(mspace_check(ms));
        CHECK_OK(mspace_check(other));
        CHECK_EQ(other->p_size, 4);
        CHECK_EQ(page_count(frame), 1);
        CHECK_EQ(page_release(frame), 0);
        mspace_close(other);
        inode_release(&file.ino);
        CHECK_EQ(file.released, 1);
        space_stop(ms);
    }
}

TEST(mspace_users_are_counted)
{
    mspace_t *ms = space_start("2level", 0);
    mspace_t *other = mspace_create();

    CHECK(other != NULL);
    CHECK_EQ(other->users, 1);
    CHECK_EQ(other->lower_bound, USER_BASE);
    CHECK_EQ(other->upper_bound, USER_END);
    CHECK_EQ(other->map_base, USER_BASE);
    CHECK_EQ(other->phys_pg_count, mmu_table_count(other->directory));
    CHECK(mspace_open(other) == other);
    mspace_close(other);
    CHECK_EQ(other->users, 1);
    space_map(other, 0, PAGES(5), ANON_RW | VMA_RESOLVE);
    CHECK_EQ(other->p_size, 5);
    mspace_close(other);
    space_stop(ms);
}

static void close_current(void *mspace)
{
    mspace_close(mspace);
}

TEST(mspace_close_of_the_current_space_is_refused)
{
    mspace_t *ms = space_start("2level", 0);
    char message[200];

    CHECK(test_expect_panic(close_current, ms, message, sizeof(message)));
    CHECK(strstr(message, "current_pagetable") != NULL);
    fake_machine_abandon();
}

/* ---- text */

typedef struct page_text {
    char text[2048];
    size_t length;
    size_t lines;
} page_text_t;

static page_text_t logged;

static void collect(void *context, const char *text, size_t length)
{
    page_text_t *all = context;

    CHECK(all->length + length < sizeof(all->text));
    memcpy(all->text + all->length, text, length);
    all->length += length;
    all->text[all->length] = '\0';
    all->lines++;
}

static void collect_log(const char *text, size_t length)
{
    collect(&logged, text, length);
}

static const char golden[] =
    "40000000-40002000 r-xp 00001000 00:00 0          /bin/tour\n"
    "40002000-40004000 rw-p 00003000 00:00 0          /bin/tour\n"
    "40004000-40006000 rw-p 00000000 00:00 0          [heap]\n"
    "40008000-40009000 ---p 00000000 00:00 0 \n"
    "40009000-4000a000 rwxp 00000000 00:00 0 \n"
    "4000c000-4000d000 rw-s 000b8000 00:00 0          phys=000b8000\n"
    "40010000-40012000 r--s 00000000 00:00 0          /bin/tour\n"
    "40012000-40014000 rw-p 00000000 00:00 0           (dead)\n"
    "40181000-40190000 rw-p 00000000 00:00 0          [stack]\n";

TEST(mspace_describe_is_the_form_of_proc)
{
    mspace_t *ms = space_start("2level", 400);
    page_text_t all = { .length = 0 };
    printk_output_t *output;
    test_file_t file;

    test_file_init(&file, "/bin/tour", PAGES(8));
    CHECK(mspace_map(ms, AT(0), PAGES(2), &file.ino, PAGE_SIZE, 0,
                     VMA_TEXT_SEGMENT | VMA_FIXED) != NULL);
    CHECK(mspace_map(ms, AT(2), PAGES(2), &file.ino, PAGES(3), 5000,
                     VMA_DATA_SEGMENT | VMA_FIXED) != NULL);
    ms->break_start = ms->break_end = AT(4);
    CHECK_EQ(mspace_break(ms, AT(6) - 10), 0);
    space_map(ms, AT(8), PAGES(1), VMA_ANON);
    space_map(ms, AT(9), PAGES(1), VMA_ANON | VMA_RIGHTS);
    CHECK(mspace_map(ms, AT(12), PAGES(1), NULL, 0xb8000, 0, VMA_PHYS | VMA_RW) != NULL);
    CHECK(mspace_map(ms, AT(16), PAGES(2), &file.ino, 0, 0, VMA_FILE | VMA_SHARED | VMA_RO));
    space_map(ms, AT(18), PAGES(2), ANON_RW);
    CHECK_EQ(mspace_kill(ms, AT(18), PAGES(2)), 0);
    CHECK_EQ(mspace_set_stack(ms, AT(400), PAGES(15), PAGES(64)), 0);
    mspace_describe(ms, collect, &all);
    CHECK_STR(all.text, golden);
    CHECK_EQ(all.lines, 9);

    CHECK(space_write(AT(9), 1));
    CHECK_EQ(space_byte(AT(16)), test_file_byte(&file, 0));
    logged.length = 0;
    output = printk_set_output(collect_log);
    mspace_display(ms);
    printk_set_output(output);
    CHECK(strncmp(logged.text, golden, sizeof(golden) - 1) == 0);
    CHECK_STR(logged.text + sizeof(golden) - 1,
              "areas 9, pages: promised 28, private 1, shared 1, in use 4; faults 2\n");
    mspace_sweep(ms);
    inode_release(&file.ino);
    space_stop(ms);
}
