/*
 * Files in spaces: shared memory that is written to, files that get shorter while they
 * are mapped, and the neighbours that a read fault maps.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/pagecache.h>
#include <kernel/shmem.h>
#include <space_model.h>

#include <string.h>

#define SHARED_RW (VMA_FILE | VMA_SHARED | VMA_RW | VMA_CAPABILITIES)
#define SHARED_RO (VMA_FILE | VMA_SHARED | VMA_RO | VMA_CAN_READ)

static size_t map(mspace_t *ms, size_t address, size_t pages, inode_t *ino, size_t index,
                  int flags)
{
    void *place = mspace_map(ms, address, PAGES(pages), ino, (off_t)PAGES(index), 0, flags);

    CHECK_EQ(*host_errno(), 0);
    return (size_t)place;
}

static mmu_entry_t entry_at(mspace_t *ms, size_t vaddr)
{
    return mmu_read(ms->directory, vaddr);
}

static uint8_t file_byte(inode_t *ino, off_t offset)
{
    uint8_t byte = 0xee;

    CHECK_EQ(shmem_read(ino, offset, &byte, 1), 1);
    return byte;
}

static void check_past_end(size_t vaddr)
{
    uint8_t byte;

    CHECK(!space_read(vaddr, &byte));
    CHECK_EQ(space_fault.reason, FAULT_PAST_END);
    CHECK(!space_write(vaddr, 1));
    CHECK_EQ(space_fault.reason, FAULT_PAST_END);
}

/* ---- shared memory */

/* One row after the other: empty and write; empty and read; present and write. */
TEST(shared_rows_of_the_table)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 64);
        inode_t *ino = shmem_create(PAGES(4), 0);
        mmu_entry_t entry;

        map(ms, AT(2), 4, ino, 0, SHARED_RW);
        CHECK(space_write(AT(2), 'a'));
        entry = entry_at(ms, AT(2));
        CHECK_EQ(entry & (MMU_WRITE | MMU_OBJECT), MMU_WRITE | MMU_OBJECT);
        CHECK_EQ(page_count(mmu_frame(entry)), 2);
        CHECK_EQ(file_byte(ino, 0), 'a');
        CHECK_EQ(space_byte(AT(3)), 0);
        entry = entry_at(ms, AT(3));
        CHECK_EQ(entry & (MMU_WRITE | MMU_OBJECT), MMU_OBJECT);
        CHECK(space_write(AT(3), 'b'));
        CHECK_EQ(mmu_frame(entry_at(ms, AT(3))), mmu_frame(entry));
        CHECK_EQ(file_byte(ino, PAGE_SIZE), 'b');
        CHECK_EQ(shmem_write(ino, PAGE_SIZE, "c", 1), 1);
        CHECK_EQ(space_byte(AT(3)), 'c');
        CHECK_EQ(ms->s_size, 2);
        CHECK_EQ(ms->p_size, 0);
        CHECK_OK(space_check(ms));
        /* Without a right, and back. */
        CHECK_EQ(mspace_protect(ms, AT(2), PAGES(4), 0), 0);
        CHECK_EQ(mspace_protect(ms, AT(2), PAGES(4), VMA_RW), 0);
        CHECK_OK(space_check(ms));
        CHECK(space_write(AT(2), 'd'));
        CHECK_EQ(file_byte(ino, 0), 'd');
        inode_release(ino);
        CHECK_EQ(space_byte(AT(3)), 'c');       /* it lives as long as it is mapped */
        CHECK_EQ(mspace_unmap(ms, AT(2), PAGES(4)), 0);
        CHECK_EQ(physical_figures()->owner[OWNER_CACHE], 0);
        space_stop(ms);
    }
}

TEST(shared_by_two_spaces)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 0);
        mspace_t *other = mspace_create();
        inode_t *ino = shmem_create(PAGES(4), 0);
        page_t page;

        map(ms, AT(2), 4, ino, 0, SHARED_RW);
        map(other, AT(9), 2, ino, 1, SHARED_RW);
        map(other, AT(20), 4, ino, 0, FILE_RW);
        inode_release(ino);
        CHECK(space_write(AT(3), 'a'));
        CHECK_EQ(mspace_resolve(other, AT(9), 1, true), 0);
        CHECK_EQ(mspace_resolve(other, AT(21), 1, false), 0);
        page = mmu_frame(entry_at(other, AT(9)));
        CHECK_EQ(page, mmu_frame(entry_at(ms, AT(3))));
        CHECK_EQ(page, mmu_frame(entry_at(other, AT(21))));
        CHECK_EQ(page_count(page), 4);
        CHECK_OK(mspace_check(other));
        *(char *)fake_ram(page) = 'b';
        CHECK_EQ(space_byte(AT(3)), 'b');
        /* Its private page is a copy once it was written. */
        CHECK_EQ(mspace_resolve(other, AT(21), 1, true), 0);
        CHECK(space_write(AT(3), 'c'));
        CHECK_EQ(*(char *)fake_ram(mmu_frame(entry_at(other, AT(21)))), 'b');
        CHECK_EQ(other->p_size, 1);
        CHECK_EQ(other->s_size, 1);
        CHECK_OK(mspace_check(other));
        CHECK_EQ(mspace_unmap(ms, AT(2), PAGES(4)), 0);
        CHECK_EQ(*(char *)fake_ram(page), 'c');
        CHECK_OK(space_check(ms));
        mspace_close(other);
        CHECK_EQ(physical_figures()->owner[OWNER_CACHE], 0);
        space_stop(ms);
    }
}

TEST(shared_rules)
{
    mspace_t *ms = space_start("2level", 64);
    inode_t *ino = shmem_create(PAGES(4), 0);
    test_file_t file;

    test_file_init(&file, "file", PAGES(4));
    CHECK(mspace_map(ms, AT(2), PAGES(1), &file.ino, 0, 0, SHARED_RW) == NULL);
    CHECK_EQ(*host_errno(), EINVAL);                /* nobody would write it back */
    CHECK(mspace_map(ms, AT(2), PAGES(1), ino, 0, 100, SHARED_RW) == NULL);
    CHECK_EQ(*host_errno(), EINVAL);                /* a page that the limit cuts */
    CHECK(mspace_map(ms, AT(2), PAGES(1), NULL, 0, 0, VMA_ANON | VMA_SHARED | VMA_RW) == NULL);
    CHECK_EQ(*host_errno(), EINVAL);
    /* Not open for writing: no capability. */
    map(ms, AT(2), 1, ino, 0, SHARED_RO);
    CHECK_EQ(mspace_protect(ms, AT(2), PAGE_SIZE, VMA_RW), -EPERM);
    CHECK(!space_write(AT(2), 1));
    CHECK_EQ(space_fault.reason, FAULT_NO_RIGHT);
    /* With it, and the right later. */
    map(ms, AT(4), 1, ino, 0, SHARED_RO | VMA_CAN_WRITE);
    CHECK_EQ(space_byte(AT(4)), 0);
    CHECK_EQ(mspace_protect(ms, AT(4), PAGE_SIZE, VMA_RW), 0);
    CHECK(space_write(AT(4), 7));
    CHECK_EQ(space_byte(AT(2)), 7);
    inode_release(ino);
    inode_release(&file.ino);
    space_stop(ms);
}

/* Its count is full: a private page is a copy, a shared one would not be shared. */
TEST(shared_with_all_references_given)
{
    mspace_t *ms = space_start("pae", 64);
    inode_t *ino = shmem_create(PAGES(2), 0);
    frame_t *frame;
    page_t page;

    CHECK_EQ(shmem_write(ino, 0, "abc", 3), 3);
    page = pagecache_peek(ino, 0);
    frame = physical_frame(page);
    frame->count = PAGECACHE_SHARES + 1;
    map(ms, AT(2), 2, ino, 0, SHARED_RW);
    map(ms, AT(6), 2, ino, 0, SHARED_RO);
    map(ms, AT(10), 2, ino, 0, FILE_RW);
    CHECK(!space_write(AT(2), 1));
    CHECK_EQ(space_fault.reason, FAULT_NO_MEMORY);
    CHECK_EQ(mspace_resolve(ms, AT(2), 1, false), -ENOMEM);
    CHECK_EQ(mspace_resolve(ms, AT(6), 1, false), -ENOMEM);
    CHECK_EQ(frame->count, PAGECACHE_SHARES + 1);
    CHECK_EQ(space_byte(AT(10)), 'a');
    CHECK_EQ(entry_at(ms, AT(10)) & MMU_OBJECT, 0);
    kMMU.fault_around = FAULT_AROUND;
    CHECK_EQ(space_byte(AT(11)), 0);
    CHECK_EQ(space_byte(AT(7)), 0);                 /* its neighbour cannot come along */
    CHECK_EQ(entry_at(ms, AT(6)), 0);
    CHECK_EQ(frame->count, PAGECACHE_SHARES + 1);
    frame->count = 2;
    CHECK_EQ(page_release(page), 1);
    inode_release(ino);
    space_stop(ms);
}

TEST(check_of_a_file_page_in_a_private_area)
{
    mspace_t *ms = space_start("pae", 64);
    inode_t *ino = shmem_create(PAGES(2), 0);
    mmu_place_t place;

    map(ms, AT(2), 2, ino, 0, FILE_RW);
    CHECK_EQ(space_byte(AT(2)), 0);
    mmu_find(ms->directory, AT(2), &place);
    mmu_set(&place, mmu_get(&place) | MMU_WRITE);
    CHECK_STR(mspace_check(ms), "a file's page is writable in a private area");
    mmu_set(&place, mmu_get(&place) & ~(mmu_entry_t)MMU_WRITE);
    inode_release(ino);
    space_stop(ms);
}

/* ---- shorter */

TEST(truncation_leaves_all_spaces)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 0);
        mspace_t *other = mspace_create();
        inode_t *ino = shmem_create(PAGES(8), 0);
        uint8_t byte;

        map(ms, AT(0), 8, ino, 0, SHARED_RW);
        map(ms, AT(10), 4, ino, 4, SHARED_RO);
        map(ms, AT(20), 8, ino, 0, FILE_RW);
        map(other, AT(0), 6, ino, 2, SHARED_RW);
        space_map(ms, AT(30), PAGES(2), ANON_RW | VMA_RESOLVE);
        for (size_t i = 0; i < 8; i++)
            CHECK(space_write(AT(i), (uint8_t)('a' + i)));
        for (size_t i = 0; i < 4; i++)
            CHECK_EQ(space_byte(AT(10 + i)), 'e' + i);
        for (size_t i = 0; i < 8; i += 2)
            CHECK(space_write(AT(20 + i), 'p'));
        CHECK_EQ(mspace_resolve(other, AT(0), PAGES(6), true), 0);
        CHECK_OK(space_check(ms));

        CHECK_EQ(shmem_set_length(ino, PAGES(5) + 1), 0);
        CHECK_OK(space_check(ms));
        CHECK_OK(mspace_check(other));
        CHECK_EQ(pagecache_memory_pages(), 6);
        CHECK_EQ(ms->s_size, 6 + 2);
        CHECK_EQ(ms->p_size, 2 + 3);            /* the copy of page 6 went, too */
        CHECK_EQ(other->s_size, 4);
        CHECK_EQ(ms->v_size, 8 + 4 + 8 + 2);    /* no area did */
        for (size_t i = 0; i < 6; i++)
            CHECK_EQ(space_byte(AT(i)), 'a' + i);
        CHECK_EQ(space_byte(AT(5) + 1), 0);
        check_past_end(AT(6));
        CHECK(!space_read(AT(12), &byte));
        CHECK_EQ(space_fault.reason, FAULT_PAST_END);
        check_past_end(AT(26));
        CHECK_EQ(mspace_resolve(other, AT(4), 1, true), -EFAULT);
        CHECK_EQ(space_byte(AT(24)), 'p');

        CHECK_EQ(shmem_set_length(ino, PAGES(8)), 0);
        CHECK_EQ(space_byte(AT(6)), 0);
        CHECK_EQ(space_byte(AT(26)), 0);
        CHECK_OK(space_check(ms));
        CHECK_EQ(shmem_set_length(ino, 0), 0);
        CHECK_EQ(ms->s_size + other->s_size, 0);
        CHECK_EQ(ms->p_size, 2);
        CHECK_EQ(physical_figures()->owner[OWNER_CACHE], 0);
        mspace_close(other);
        inode_release(ino);
        space_stop(ms);
    }
}

/* Pages past an area's limit are not the file's; held ones and dead areas are looked at. */
TEST(truncation_and_limits)
{
    mspace_t *ms = space_start("2level", 64);
    inode_t *ino = shmem_create(PAGES(8), 0);

    CHECK(mspace_map(ms, AT(0), PAGES(6), ino, (off_t)PAGES(1), (off_t)PAGES(2) + 10, FILE_RW));
    CHECK(mspace_map(ms, AT(10), PAGES(4), ino, 0, 0, FILE_RW));
    map(ms, AT(20), 4, ino, 0, SHARED_RW);
    map(ms, AT(30), 4, ino, 4, SHARED_RW);
    for (size_t i = 0; i < 6; i++)
        CHECK(space_write(AT(i), 'p'));
    CHECK(space_write(AT(20) , 's') && space_write(AT(22), 's'));
    CHECK_EQ(mspace_protect(ms, AT(20), PAGES(4), 0), 0);
    CHECK(space_write(AT(30), 's'));
    CHECK_EQ(mspace_kill(ms, AT(30), PAGES(4)), 0);
    CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(1)), 0);
    CHECK_EQ(mspace_protect(ms, AT(5), PAGES(1), VMA_READ), 0);     /* VMA_ALL_ZERO */

    CHECK_EQ(shmem_set_length(ino, PAGES(2)), 0);
    CHECK_OK(space_check(ms));
    /* Pages 2 and 3 of the file went, zeroes behind the limit stay as written. */
    check_past_end(AT(1));
    check_past_end(AT(2));
    for (size_t i = 3; i < 6; i++)
        CHECK_EQ(space_byte(AT(i)), 'p');
    CHECK_EQ(mspace_protect(ms, AT(20), PAGES(4), VMA_RW), 0);
    CHECK_EQ(space_byte(AT(20)), 's');
    check_past_end(AT(22));
    inode_release(ino);
    space_stop(ms);
}

/* A page that the limit cuts, of a file that others write to, is always a copy. */
TEST(limit_of_a_file_that_is_written_to)
{
    mspace_t *ms = space_start("pae", 64);
    inode_t *ino = shmem_create(0, 0);

    CHECK_EQ(shmem_write(ino, 0, "abcdefgh", 8), 8);
    CHECK(mspace_map(ms, AT(0), PAGES(1), ino, 0, 8, FILE_RO));
    CHECK_EQ(space_byte(AT(0)), 'a');
    CHECK_EQ(shmem_write(ino, 8, "ij", 2), 2);
    CHECK_EQ(space_byte(AT(0) + 8), 0);
    CHECK_EQ(ms->p_size, 1);
    inode_release(ino);
    space_stop(ms);
}

/* ---- neighbours */

static size_t present_pages(mspace_t *ms, size_t first, size_t count)
{
    size_t present = 0;

    for (size_t i = 0; i < count; i++)
        present += (entry_at(ms, AT(first + i)) & MMU_PRESENT) != 0;
    return present;
}

static void cache_pages(test_file_t *file, size_t first, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        page_t page;

        CHECK_EQ(pagecache_get(&file->ino, first + i, &page), 0);
        page_release(page);
    }
}

TEST(neighbours_that_are_cached)
{
    /* pages of the space mapped, the page read, pages of the file cached, and how many
     * are present then; the space's page n shows the file's n - 3 */
    static const struct {
        size_t from, count, read, cached_from, cached, present;
    } cases[] = {
        { 3, 61, 20, 0, 60, 16 },       /* 16 .. 31 */
        { 3, 61, 16, 0, 60, 16 },
        { 3, 61, 31, 0, 60, 16 },
        { 3, 61, 32, 0, 60, 16 },
        { 3, 61, 3, 0, 60, 13 },        /* the area begins at 3 */
        { 3, 10, 5, 0, 60, 10 },        /* it begins and ends in the window */
        { 3, 61, 63, 0, 60, 15 },       /* the file's last page is the space's 62 */
        { 3, 61, 20, 14, 3, 4 },        /* only three, and its own */
        { 3, 61, 20, 17, 1, 1 },        /* only its own */
        { 3, 61, 20, 0, 0, 1 },
    };

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        FOR_EACH_FORMAT(format) {
            mspace_t *ms = space_start(*format, 64);
            test_file_t file;
            size_t reads;
            bool is_past;
            uint8_t byte;

            test_file_init(&file, "file", PAGES(60) - 100);
            kMMU.fault_around = FAULT_AROUND;
            cache_pages(&file, cases[i].cached_from, cases[i].cached);
            reads = file.reads;
            map(ms, AT(cases[i].from), cases[i].count, &file.ino, 0, FILE_RW);
            is_past = cases[i].read - 3 >= 60;
            CHECK_EQ(space_read(AT(cases[i].read), &byte), !is_past);
            if (is_past) {
                CHECK_EQ(present_pages(ms, 0, 64), 0);
                CHECK(space_read(AT(62), &byte));
            }
            CHECK_EQ(present_pages(ms, 0, 64), cases[i].present);
            CHECK_EQ(ms->s_size, cases[i].present);
            CHECK(file.reads <= reads + 1);
            CHECK_OK(space_check(ms));
            for (size_t n = cases[i].from; n < cases[i].from + cases[i].count && n < 63; n++)
                CHECK_EQ(space_byte(AT(n)), test_file_byte(&file, (off_t)PAGES(n - 3)));
            CHECK_OK(space_check(ms));
            inode_release(&file.ino);
            space_stop(ms);
        }
    }
}

/* What has an entry keeps it; a write maps itself only; a limit is the end. */
TEST(neighbours_that_are_left_out)
{
    mspace_t *ms = space_start("2level", 64);
    test_file_t file;

    test_file_init(&file, "file", PAGES(60));
    cache_pages(&file, 0, 60);
    map(ms, AT(0), 16, &file.ino, 0, FILE_RW);
    CHECK_EQ(space_byte(AT(4)), test_file_byte(&file, (off_t)PAGES(4)));
    CHECK_EQ(present_pages(ms, 0, 16), 1);          /* memory_init's: only its own */
    kMMU.fault_around = FAULT_AROUND;
    CHECK(space_write(AT(5), 'p'));
    CHECK_EQ(present_pages(ms, 0, 16), 2);
    CHECK(space_byte(AT(6)) != 0);
    CHECK_EQ(present_pages(ms, 0, 16), 16);
    CHECK_EQ(space_byte(AT(5)), 'p');
    CHECK_EQ(ms->p_size, 1);
    CHECK_EQ(ms->s_size, 15);
    CHECK(mspace_map(ms, AT(16), PAGES(16), &file.ino, 0, (off_t)PAGES(4) + 10, FILE_RO));
    CHECK(space_byte(AT(17)) != 0);
    CHECK_EQ(present_pages(ms, 16, 16), 4);
    CHECK_EQ(space_byte(AT(25)), 0);                /* past the limit: zeroes, and those of */
    CHECK_EQ(present_pages(ms, 16, 16), 5);         /* a fault there are its own */
    CHECK_EQ(space_byte(AT(20) + 10), 0);
    CHECK_EQ(ms->p_size, 2);
    CHECK_OK(space_check(ms));
    inode_release(&file.ino);
    space_stop(ms);
}

/* ---- without memory */

typedef struct sweep {
    mspace_t *ms;
    inode_t *ino;
    bool write;
} sweep_t;

/* Pages of the file that came stay, as of any file, whatever failed then: take them out. */
static void forget_pages(const sweep_t *sweep)
{
    CHECK_EQ(shmem_set_length(sweep->ino, PAGES(1)), 0);
    CHECK_EQ(shmem_set_length(sweep->ino, PAGES(40)), 0);
    space_drop_spares(sweep->ms);
}

static int attempt_fault(void *context)
{
    sweep_t *sweep = context;
    uint8_t byte;

    if (sweep->write ? space_write(AT(5), 'w') : space_read(AT(5), &byte))
        return 0;
    CHECK_EQ(space_fault.reason, FAULT_NO_MEMORY);
    forget_pages(sweep);
    return -ENOMEM;
}

static int attempt_resolve(void *context)
{
    sweep_t *sweep = context;
    int err = mspace_resolve(sweep->ms, AT(3), PAGES(4), sweep->write);

    if (err != 0)
        forget_pages(sweep);
    return err;
}

/* Over what is there, with pages of another kind. */
static int attempt_replace(void *context)
{
    sweep_t *sweep = context;

    mspace_replace(sweep->ms, AT(2), PAGES(6), sweep->ino, (off_t)PAGES(9), 0,
                   SHARED_RW | VMA_RESOLVE);
    if (*host_errno() == 0)
        return 0;
    CHECK_AREA(sweep->ms, AT(0), PAGES(40));
    forget_pages(sweep);
    return -*host_errno();
}

static void undo_fault(void *context)
{
    sweep_t *sweep = context;

    forget_pages(sweep);
    CHECK_EQ(mspace_unmap(sweep->ms, AT(0), PAGES(40)), 0);
    map(sweep->ms, AT(0), 40, sweep->ino, 0, SHARED_RW);
    space_drop_spares(sweep->ms);
}

static const char *check_sweep(void *context)
{
    return space_check(((sweep_t *)context)->ms);
}

/* Frame, table: a read fault with a cached neighbour, and a write fault. */
TEST(shared_faults_without_memory)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 64);
        sweep_t sweep = { ms, shmem_create(PAGES(40), 0), false };

        kMMU.fault_around = FAULT_AROUND;
        CHECK_EQ(shmem_write(sweep.ino, 0, "a", 1), 1);
        map(ms, AT(0), 40, sweep.ino, 0, SHARED_RW);
        CHECK(fake_failure_sweep(attempt_fault, undo_fault, check_sweep, &sweep) >= 2);
        CHECK(fake_failure_sweep(attempt_resolve, undo_fault, check_sweep, &sweep) >= 5);
        sweep.write = true;
        CHECK(fake_failure_sweep(attempt_fault, undo_fault, check_sweep, &sweep) >= 2);
        CHECK(fake_failure_sweep(attempt_resolve, undo_fault, check_sweep, &sweep) >= 5);
        CHECK(fake_failure_sweep(attempt_replace, undo_fault, check_sweep, &sweep) >= 6);
        inode_release(sweep.ino);
        space_stop(ms);
    }
}
