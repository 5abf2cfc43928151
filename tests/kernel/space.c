/*
 * Address spaces under the real page fault: the kernel stands in a program's
 * space and copies to and from its memory, as a system call does.
 */
#include <kernel/errno.h>
#include <kernel/fault.h>
#include <kernel/host.h>
#include <kernel/kheap.h>
#include <kernel/memory.h>
#include <kernel/pagecache.h>
#include <kernel/ramfs.h>
#include <kernel/string.h>
#include <kernel/task.h>
#include <kernel/usercopy.h>
#include <kernel/virtual.h>
#include <test.h>
#include <x86/features.h>

#include "probe.h"

#define PLACE ((size_t)0x40000000)

static size_t map(mspace_t *mspace, size_t address, size_t length, int flags)
{
    size_t at = (size_t)mspace_map(mspace, address, length, NULL, 0, 0, flags | VMA_FIXED);

    CHECK_EQ(at, address);
    return at;
}

static int put_byte(size_t address, uint8_t value)
{
    return copy_to_user(address, &value, 1);
}

/* => the byte, or -EFAULT */
static int get_byte(size_t address)
{
    uint8_t value;
    int err = copy_from_user(&value, address, 1);

    return err != 0 ? err : value;
}

/* ---- first touch */

TEST(space_first_touch_takes_one_frame)
{
    mspace_t *mspace = enter_new_space();
    const size_t *frames = &physical_mem_info.owner[OWNER_ANON];
    size_t before = *frames;
    uint64_t faults;

    map(mspace, PLACE, 64 * PAGE_SIZE, VMA_ANON | VMA_RW);
    CHECK_EQ(mspace->phys_pg_count, mmu_table_count(mspace->directory));
    for (size_t i = 0; i < 64; i++)
        CHECK_EQ(get_byte(PLACE + i * PAGE_SIZE + i), 0);
    CHECK_EQ(*frames, before);              /* reading is free */
    CHECK_EQ(mspace->faults, 64);
    for (size_t i = 0; i < 10; i++)
        CHECK_EQ(put_byte(PLACE + i * PAGE_SIZE, (uint8_t)(i + 1)), 0);
    CHECK_EQ(*frames, before + 10);
    CHECK_EQ(mspace->p_size, 10);
    faults = mspace->faults;
    for (size_t i = 0; i < 10; i++) {
        CHECK_EQ(put_byte(PLACE + i * PAGE_SIZE + 1, 0xee), 0);
        CHECK_EQ(get_byte(PLACE + i * PAGE_SIZE), i + 1);
        CHECK_EQ(get_byte(PLACE + i * PAGE_SIZE + 2), 0);
    }
    CHECK_EQ(mspace->faults, faults);       /* the second touch is none */
    CHECK_EQ(frame_word(kMMU.zero_page), 0);
    CHECK_OK(mspace_check(mspace));
    leave_space(mspace);
    CHECK_EQ(*frames, before);
}

/* Frames are dirty when they come; programs must not see that. */
TEST(space_frames_are_cleared)
{
    uint32_t words[16];
    mspace_t *mspace = enter_new_space();
    size_t wrong = 0;

    for (size_t round = 0; round < 100; round++) {
        page_t page = frame_with(0xdeadbeef);

        memset(mmu_temporary_map(0, page), 0xa5, PAGE_SIZE);
        mmu_temporary_unmap(0);
        free_physical_page(page);
        map(mspace, PLACE, PAGE_SIZE, VMA_ANON | VMA_RW);
        wrong += put_byte(PLACE + 100, 1) != 0;
        for (size_t at = 128; at < PAGE_SIZE; at += sizeof(words)) {
            wrong += copy_from_user(words, PLACE + at, sizeof(words)) != 0;
            for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
                wrong += words[i] != 0;
        }
        CHECK_EQ(mspace_unmap(mspace, PLACE, PAGE_SIZE), 0);
    }
    leave_space(mspace);
    CHECK_EQ(wrong, 0);
}

TEST(space_populate_is_at_once)
{
    mspace_t *mspace = enter_new_space();
    uint64_t faults = mspace->faults;

    map(mspace, PLACE, 50 * PAGE_SIZE, VMA_ANON | VMA_RW | VMA_RESOLVE);
    CHECK_EQ(mspace->p_size, 50);
    for (size_t i = 0; i < 50; i++)
        CHECK_EQ(put_byte(PLACE + i * PAGE_SIZE, 1), 0);
    CHECK_EQ(mspace->faults, faults);
    leave_space(mspace);
}

/* ---- copies */

TEST(space_copies_span_pages_and_areas)
{
    mspace_t *mspace = enter_new_space();
    uint8_t *pattern = kmalloc(5 * PAGE_SIZE);
    uint8_t *back = kmalloc(5 * PAGE_SIZE);

    CHECK(pattern != NULL && back != NULL);
    for (size_t i = 0; i < 5 * PAGE_SIZE; i++)
        pattern[i] = (uint8_t)(i * 31 + (i >> 8));
    map(mspace, PLACE, 2 * PAGE_SIZE, VMA_ANON | VMA_RW);
    map(mspace, PLACE + 2 * PAGE_SIZE, 4 * PAGE_SIZE, VMA_ANON | VMA_RW | VMA_EXEC);
    CHECK(mspace_search_vma(mspace, PLACE) != mspace_search_vma(mspace, PLACE + 2 * PAGE_SIZE));
    for (size_t skew = 0; skew < 4; skew++) {
        memset(back, 0, 5 * PAGE_SIZE);
        CHECK_EQ(copy_to_user(PLACE + 77 + skew, pattern, 5 * PAGE_SIZE), 0);
        CHECK_EQ(copy_from_user(back, PLACE + 77 + skew, 5 * PAGE_SIZE), 0);
        CHECK_EQ(memcmp(pattern, back, 5 * PAGE_SIZE), 0);
    }
    CHECK_EQ(clear_user(PLACE + 1000, PAGE_SIZE), 0);
    CHECK_EQ(get_byte(PLACE + 999) == 0, pattern[999 - 80] == 0);
    CHECK_EQ(get_byte(PLACE + 1000), 0);
    CHECK_EQ(get_byte(PLACE + 1000 + PAGE_SIZE - 1), 0);
    CHECK_EQ(get_byte(PLACE + 1000 + PAGE_SIZE), pattern[1000 + PAGE_SIZE - 80]);
    kfree(back);
    kfree(pattern);
    leave_space(mspace);
}

TEST(space_bad_pointers_are_efault)
{
    mspace_t *mspace = enter_new_space();
    size_t none = PLACE + 4 * PAGE_SIZE;
    size_t read_only = PLACE + 2 * PAGE_SIZE;
    size_t no_right = PLACE + 8 * PAGE_SIZE;
    char buffer[16] = "";

    map(mspace, PLACE, 2 * PAGE_SIZE, VMA_ANON | VMA_RW);
    map(mspace, read_only, 2 * PAGE_SIZE, VMA_ANON | VMA_RO);
    map(mspace, no_right, PAGE_SIZE, VMA_ANON);
    const struct { size_t address, length; bool read, write; } cases[] = {
        { PLACE, 16, true, true },
        { PLACE + 2 * PAGE_SIZE - 16, 16, true, true },
        { PLACE + 2 * PAGE_SIZE - 8, 16, true, false },
        { read_only + 100, 16, true, false },
        { none - 16, 16, true, false },
        { none - 15, 16, false, false },
        { none, 1, false, false },
        { no_right, 1, false, false },
        { 0, 1, false, false },
        { 8, 16, false, false },
        { USER_BASE - 1, 1, false, false },
        { 0x00100000, 16, false, false },
        { USER_END - 8, 16, false, false },
        { USER_END, 1, false, false },
        { (size_t)mspace, 16, false, false },
        { 0xfffffff8, 16, false, false },
        { (size_t)-1, 1, false, false },
    };

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        int in = copy_from_user(buffer, cases[i].address, cases[i].length);
        int out = copy_to_user(cases[i].address, "0123456789abcdef", cases[i].length);
        int clear = clear_user(cases[i].address, cases[i].length);

        if (in != (cases[i].read ? 0 : -EFAULT) || out != (cases[i].write ? 0 : -EFAULT) ||
            clear != out)
            test_fail(__FILE__, __LINE__, "case %zu at %#zx: read %d, write %d, clear %d", i,
                      cases[i].address, in, out, clear);
    }
    CHECK_EQ(copy_from_user(buffer, PLACE, SIZE_MAX), -EFAULT);
    CHECK_EQ(copy_from_user(buffer, PLACE, USER_END - PLACE + 1), -EFAULT);
    CHECK_OK(mspace_check(mspace));
    leave_space(mspace);
}

TEST(space_strings)
{
    mspace_t *mspace = enter_new_space();
    size_t end = PLACE + PAGE_SIZE;
    char text[32];

    map(mspace, PLACE, PAGE_SIZE, VMA_ANON | VMA_RW);
    CHECK_EQ(copy_to_user(end - 6, "grove", 6), 0);
    CHECK_EQ(copy_string_from_user(text, end - 6, sizeof(text)), 5);
    CHECK_STR(text, "grove");
    CHECK_EQ(copy_string_from_user(text, end - 6, 6), 5);
    CHECK_EQ(copy_string_from_user(text, end - 6, 5), -ENAMETOOLONG);
    CHECK_EQ(put_byte(end - 1, 'x'), 0);            /* no NUL before the end */
    CHECK_EQ(copy_string_from_user(text, end - 6, sizeof(text)), -EFAULT);
    CHECK_EQ(copy_string_from_user(text, end - 6, 6), -ENAMETOOLONG);
    CHECK_EQ(copy_string_from_user(text, 0, sizeof(text)), -EFAULT);
    CHECK_EQ(copy_string_from_user(text, USER_END, sizeof(text)), -EFAULT);
    CHECK_EQ(copy_string_from_user(text, PLACE, sizeof(text)), 0);
    leave_space(mspace);
}

/* The kernel reaches programs' pages through the copies only, where SMAP is. */
TEST(space_the_kernel_looks_away)
{
    mspace_t *mspace = enter_new_space();
    outcome_t outcome[2];

    map(mspace, PLACE, PAGE_SIZE, VMA_ANON | VMA_RW | VMA_EXEC);
    CHECK_EQ(put_byte(PLACE, 0xc3), 0);
    outcome[0] = probe_read(PLACE);
    outcome[1] = probe_execute(PLACE);
    CHECK_EQ(get_byte(PLACE), 0xc3);
    leave_space(mspace);
    CHECK_EQ(outcome[0].faulted, cpu_features.smap);
    CHECK_EQ(outcome[1].faulted, cpu_features.smep);
    if (!cpu_features.smap)
        test_skip("this processor has no SMAP");
}

/* ---- rights */

TEST(space_protect_follows_at_once)
{
    mspace_t *mspace = enter_new_space();
    size_t length = 40 * PAGE_SIZE;

    map(mspace, PLACE, length, VMA_ANON | VMA_RW);
    for (size_t at = 0; at < length; at += PAGE_SIZE)
        CHECK_EQ(put_byte(PLACE + at, 1), 0);
    CHECK_EQ(mspace_protect(mspace, PLACE, length, VMA_READ), 0);
    for (size_t at = 0; at < length; at += PAGE_SIZE) {
        CHECK_EQ(put_byte(PLACE + at, 2), -EFAULT);
        CHECK_EQ(get_byte(PLACE + at), 1);
    }
    CHECK_EQ(mspace_protect(mspace, PLACE, length, 0), 0);
    for (size_t at = 0; at < length; at += PAGE_SIZE)
        CHECK_EQ(get_byte(PLACE + at), -EFAULT);
    CHECK_EQ(mspace->p_size, 40);
    CHECK_EQ(mspace_protect(mspace, PLACE, length, VMA_RW), 0);
    for (size_t at = 0; at < length; at += PAGE_SIZE) {
        CHECK_EQ(get_byte(PLACE + at), 1);
        CHECK_EQ(put_byte(PLACE + at, 3), 0);
    }
    CHECK_OK(mspace_check(mspace));
    leave_space(mspace);
}

TEST(space_dead_areas_fault_until_they_go)
{
    mspace_t *mspace = enter_new_space();
    size_t free;

    map(mspace, PLACE, 8 * PAGE_SIZE, VMA_ANON | VMA_RW | VMA_RESOLVE);
    free = physical_figures()->free;
    CHECK_EQ(mspace_kill(mspace, PLACE + 2 * PAGE_SIZE, 4 * PAGE_SIZE), 0);
    CHECK_EQ(physical_figures()->free, free + 4);
    CHECK_EQ(get_byte(PLACE + 2 * PAGE_SIZE), -EFAULT);
    CHECK_EQ(get_byte(PLACE + PAGE_SIZE), 0);
    CHECK_EQ(get_byte(PLACE + 6 * PAGE_SIZE), 0);
    CHECK(mspace_map(mspace, PLACE + 2 * PAGE_SIZE, PAGE_SIZE, NULL, 0, 0,
                     VMA_ANON | VMA_RW | VMA_FIXED) == NULL);
    CHECK_EQ(*host_errno(), ERANGE);
    CHECK_EQ(mspace_scavenge(mspace), 1);
    map(mspace, PLACE + 2 * PAGE_SIZE, PAGE_SIZE, VMA_ANON | VMA_RW);
    leave_space(mspace);
}

/* ---- two spaces */

TEST(space_one_address_in_two_spaces)
{
    mspace_t *space[2] = { enter_new_space(), enter_new_space() };

    for (size_t i = 0; i < 2; i++) {
        stand_in(space[i]);
        map(space[i], PLACE, 4 * PAGE_SIZE, VMA_ANON | VMA_RW);
        CHECK_EQ(put_byte(PLACE, (uint8_t)(10 + i)), 0);
    }
    for (size_t round = 0; round < 50; round++) {
        stand_in(space[round % 2]);
        CHECK_EQ(get_byte(PLACE), 10 + round % 2);
    }
    /* A space that is not current is changed; it shows when one comes back. */
    CHECK_EQ(mspace_unmap(space[0], PLACE, PAGE_SIZE), 0);
    CHECK_EQ(get_byte(PLACE), 11);
    CHECK_EQ(mspace_resolve(space[0], PLACE + PAGE_SIZE, 1, true), 0);
    stand_in(space[0]);
    CHECK_EQ(get_byte(PLACE), -EFAULT);
    CHECK_EQ(get_byte(PLACE + PAGE_SIZE), 0);
    leave_space(space[1]);
    stand_in(space[0]);
    CHECK_EQ(put_byte(PLACE + PAGE_SIZE, 5), 0);
    leave_space(space[0]);
}

TEST(space_users_are_counted)
{
    mspace_t *mspace = enter_new_space();
    size_t free;

    map(mspace, PLACE, PAGE_SIZE, VMA_ANON | VMA_RW | VMA_RESOLVE);
    CHECK(mspace_open(mspace) == mspace);
    free = physical_figures()->free;
    leave_space(mspace);
    CHECK_EQ(physical_figures()->free, free);
    stand_in(mspace);
    CHECK_EQ(put_byte(PLACE, 1), 0);
    leave_space(mspace);
    CHECK(physical_figures()->free > free);
}

/* ---- stacks */

TEST(space_stack_grows_to_its_limit)
{
    mspace_t *mspace = enter_new_space();
    size_t limit = 64 * PAGE_SIZE;
    size_t at;

    CHECK_EQ(mspace_set_stack(mspace, USER_END, 4 * PAGE_SIZE, limit), 0);
    for (at = USER_END - 1; at >= USER_END - limit; at -= PAGE_SIZE)
        CHECK_EQ(put_byte(at, 1), 0);
    CHECK_EQ(mspace->p_size, 64);
    CHECK_EQ(put_byte(at, 1), -EFAULT);
    CHECK_EQ(put_byte(USER_END - limit - STACK_GUARD_GAP - 1, 1), -EFAULT);
    /* The guard gap is given to nobody who does not insist. */
    CHECK(mspace_map(mspace, USER_END - limit - PAGE_SIZE, PAGE_SIZE, NULL, 0, 0,
                     VMA_ANON | VMA_RW) == (void *)mspace->map_base);
    CHECK_OK(mspace_check(mspace));
    leave_space(mspace);
}

TEST(space_stack_may_grow_by_leaps)
{
    mspace_t *mspace = enter_new_space();
    size_t limit = 64 * PAGE_SIZE;

    CHECK_EQ(mspace_set_stack(mspace, USER_END, PAGE_SIZE, limit), 0);
    CHECK_EQ(put_byte(USER_END - limit, 7), 0);
    CHECK_EQ(mspace->p_size, 1);
    CHECK_EQ(get_byte(USER_END - limit + PAGE_SIZE), 0);
    CHECK_EQ(get_byte(USER_END - limit), 7);
    leave_space(mspace);
}

/* ---- files */

static inode_t *text_file(size_t length)
{
    char *text = kmalloc(length);
    inode_t *ino;

    CHECK(text != NULL);
    for (size_t i = 0; i < length; i++)
        text[i] = (char)('a' + i % 26);
    ino = ramfs_text("/text", text, length);
    CHECK(ino != NULL);
    return ino;
}

TEST(space_file_pages_are_shared_until_written)
{
    mspace_t *mspace = enter_new_space();
    inode_t *ino = text_file(2 * PAGE_SIZE + 100);
    const size_t *cache = &physical_mem_info.owner[OWNER_CACHE];
    size_t before = *cache;
    size_t twin = PLACE + 16 * PAGE_SIZE;

    CHECK(mspace_map(mspace, PLACE, 3 * PAGE_SIZE, ino, 0, 0, VMA_DATA_SEGMENT | VMA_FIXED));
    CHECK(mspace_map(mspace, twin, 3 * PAGE_SIZE, ino, 0, 0, VMA_FILE | VMA_RO | VMA_FIXED));
    for (size_t at = 0; at < 2 * PAGE_SIZE + 100; at += 37) {
        CHECK_EQ(get_byte(PLACE + at), 'a' + at % 26);
        CHECK_EQ(get_byte(twin + at), 'a' + at % 26);
    }
    CHECK_EQ(*cache, before + 3);
    CHECK_EQ(mspace->p_size, 0);
    CHECK_EQ(get_byte(PLACE + 2 * PAGE_SIZE + 100), 0);     /* behind the file's end */
    CHECK_EQ(get_byte(twin + 3 * PAGE_SIZE - 1), 0);
    CHECK_EQ(put_byte(PLACE + 5, '!'), 0);                  /* read before: copied now */
    CHECK_EQ(mspace->p_size, 1);
    CHECK_EQ(get_byte(PLACE + 5), '!');
    CHECK_EQ(get_byte(PLACE + 6), 'a' + 6);
    CHECK_EQ(get_byte(twin + 5), 'a' + 5);
    CHECK_EQ(put_byte(twin, '!'), -EFAULT);
    CHECK_OK(mspace_check(mspace));
    inode_release(ino);
    leave_space(mspace);
    CHECK_EQ(*cache, before);
}

TEST(space_file_past_its_limit_is_zero)
{
    mspace_t *mspace = enter_new_space();
    inode_t *ino = text_file(4 * PAGE_SIZE);
    size_t limit = PAGE_SIZE + 1000;

    CHECK(mspace_map(mspace, PLACE, 3 * PAGE_SIZE, ino, PAGE_SIZE, (off_t)limit,
                     VMA_DATA_SEGMENT | VMA_FIXED));
    inode_release(ino);                                     /* the area holds it */
    CHECK_EQ(get_byte(PLACE + limit - 1), 'a' + (PAGE_SIZE + limit - 1) % 26);
    CHECK_EQ(get_byte(PLACE + limit), 0);
    CHECK_EQ(get_byte(PLACE + 2 * PAGE_SIZE - 1), 0);
    CHECK_EQ(get_byte(PLACE + 2 * PAGE_SIZE), 0);
    CHECK_EQ(put_byte(PLACE + limit, 1), 0);
    CHECK_EQ(get_byte(PLACE + limit - 1), 'a' + (PAGE_SIZE + limit - 1) % 26);
    leave_space(mspace);
}

TEST(space_file_ends)
{
    mspace_t *mspace = enter_new_space();
    inode_t *ino = text_file(PAGE_SIZE + 1);

    CHECK(mspace_map(mspace, PLACE, 4 * PAGE_SIZE, ino, 0, 0, VMA_FILE | VMA_RO | VMA_FIXED));
    CHECK_EQ(get_byte(PLACE + PAGE_SIZE), 'a' + PAGE_SIZE % 26);
    CHECK_EQ(get_byte(PLACE + PAGE_SIZE + 1), 0);
    CHECK_EQ(get_byte(PLACE + 2 * PAGE_SIZE), -EFAULT);     /* wholly past the end */
    inode_release(ino);
    leave_space(mspace);
}

TEST(space_physical_range)
{
    mspace_t *mspace = enter_new_space();
    page_t page = frame_with(0x12345678);
    uint32_t word = 0;

    physical_set_owner(page, OWNER_KERNEL);         /* it is no program's */
    CHECK(mspace_map(mspace, PLACE, PAGE_SIZE, NULL, (off_t)page, 0,
                     VMA_PHYS | VMA_RW | VMA_FIXED));
    CHECK_EQ(copy_from_user(&word, PLACE, sizeof(word)), 0);
    CHECK_EQ(word, 0x12345678);
    CHECK_EQ(put_byte(PLACE, 0x99), 0);
    CHECK_EQ(mspace->p_size, 0);
    leave_space(mspace);
    CHECK_EQ(page_count(page), 1);
    CHECK_EQ(frame_word(page), 0x12345699);
    CHECK_EQ(free_physical_page(page), 0);
}

/* ---- many, and none */

TEST(space_with_60000_areas)
{
    enum { AREAS = 60000 };
    mspace_t *mspace = enter_new_space();
    size_t wrong = 0;
    size_t seen = 0;

    if (physical_figures()->free < 1400) {
        leave_space(mspace);
        test_skip("it takes 5 MiB of memory");
    }
    /* Neighbours differ in rights, so that they are not merged. */
    for (size_t i = 0; i < AREAS; i++)
        wrong += mspace_map(mspace, 0, PAGE_SIZE, NULL, 0, 0,
                            VMA_ANON | (i % 2 ? VMA_RW : VMA_RO)) == NULL;
    CHECK_EQ(wrong, 0);
    CHECK_EQ(mspace->v_size, AREAS);
    for (vma_t *vma = mspace_search_vma(mspace, USER_BASE); vma != NULL; vma = vma_next(vma))
        seen++;
    CHECK_EQ(seen, AREAS);
    for (size_t i = 0; i < 300; i++) {
        size_t area = test_random_below(AREAS);
        size_t at = USER_BASE + area * PAGE_SIZE;

        wrong += get_byte(at) != 0;
        wrong += put_byte(at, 0) != (area % 2 ? 0 : -EFAULT);
    }
    CHECK_EQ(wrong, 0);
    CHECK_OK(mspace_check(mspace));
    for (size_t i = 0; i < 1000; i++)
        wrong += mspace_unmap(mspace, USER_BASE + test_random_below(AREAS) * PAGE_SIZE,
                              PAGE_SIZE) != 0;
    CHECK_EQ(wrong, 0);
    leave_space(mspace);
}

/* Frames that a failed fault may leave behind: in the file's cache and its index. */
static size_t free_or_cached(void)
{
    return physical_figures()->free + physical_figures()->owner[OWNER_CACHE] +
           physical_figures()->owner[OWNER_HEAP];
}

/* A fault whose n-th allocation fails: EFAULT, the reason noted, nothing lost. */
static bool fault_without_memory(inode_t *ino, bool read_first, size_t n)
{
    mspace_t *mspace = enter_new_space();
    size_t free;
    bool failed;
    int err;

    CHECK(mspace_map(mspace, PLACE, PAGE_SIZE, ino, 0, 0,
                     (ino == NULL ? VMA_ANON : VMA_FILE) | VMA_RW | VMA_FIXED));
    if (read_first)
        CHECK(get_byte(PLACE) >= 0);
    free = free_or_cached();
    task_current->out_of_memory = false;
    fail_nth(n);
    err = put_byte(PLACE, 1);
    failed = nth_failed();
    CHECK(err == 0 || (err == -EFAULT && failed));
    CHECK_EQ(task_current->out_of_memory, err != 0);
    CHECK_OK(mspace_check(mspace));
    if (err != 0)
        CHECK_EQ(free_or_cached(), free);
    CHECK_EQ(put_byte(PLACE, 2), 0);        /* with memory it works */
    CHECK_EQ(get_byte(PLACE), 2);
    task_current->out_of_memory = false;
    leave_space(mspace);
    return failed;
}

TEST(space_fault_without_memory)
{
    inode_t *ino = text_file(PAGE_SIZE);
    size_t n;

    for (n = 1; fault_without_memory(NULL, false, n); n++)
        ;
    CHECK(n > 2);                           /* a frame, a table, maybe a directory */
    for (n = 1; fault_without_memory(NULL, true, n); n++)
        ;
    CHECK_EQ(n, 2);                         /* a frame instead of the zero frame */
    for (n = 1; fault_without_memory(ino, false, n); n++)
        pagecache_drop(ino);
    CHECK(n > 3);
    for (n = 1; fault_without_memory(ino, true, n); n++)
        pagecache_drop(ino);
    CHECK_EQ(n, 2);
    inode_release(ino);
}

TEST(space_calls_without_memory_change_nothing)
{
    mspace_t *mspace = enter_new_space();
    size_t there = PLACE + 64 * PAGE_SIZE;
    size_t length = 40 * PAGE_SIZE;
    bool failed = true;
    size_t refused = 0;

    map(mspace, PLACE, 30 * PAGE_SIZE, VMA_ANON | VMA_RW | VMA_RESOLVE);
    for (size_t n = 1; failed; n++) {
        size_t free;
        void *at;

        kheap_trim(&kernel_heap, 0);
        free = physical_figures()->free;
        fail_nth(n);
        at = mspace_map(mspace, there, length, NULL, 0, 0,
                        VMA_ANON | VMA_RW | VMA_FIXED | VMA_RESOLVE);
        failed = nth_failed();
        CHECK(at != NULL || (failed && *host_errno() == ENOMEM));
        CHECK_OK(mspace_check(mspace));
        refused += at == NULL;
        if (at != NULL)
            CHECK_EQ(mspace_unmap(mspace, there, length), 0);
        kheap_trim(&kernel_heap, 0);
        CHECK_EQ(physical_figures()->free, free);
    }
    CHECK(refused >= 40);
    leave_space(mspace);
}

TEST(space_create_without_memory)
{
    bool failed = true;
    size_t refused = 0;

    start_clean();
    for (size_t n = 1; failed; n++) {
        mspace_t *mspace;
        size_t free;

        kheap_trim(&kernel_heap, 0);
        free = physical_figures()->free;
        fail_nth(n);
        mspace = mspace_create();
        failed = nth_failed();
        refused += mspace == NULL;
        if (mspace != NULL)
            mspace_close(mspace);
        kheap_trim(&kernel_heap, 0);
        CHECK_EQ(physical_figures()->free, free);
    }
    CHECK(refused >= 1);
}
