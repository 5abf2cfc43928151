/*
 * Page faults: each row of the decision table, and what a failure reports.
 */
#include <kernel/errno.h>
#include <kernel/pagecache.h>
#include <kernel/virtual.h>
#include <space.h>

TEST(fault_no_area)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 32);
        uint64_t hard = kMMU.hard_faults;

        space_map(ms, AT(4), PAGES(2), ANON_RW);
        space_map(ms, AT(8), PAGES(2), ANON_RO);
        CHECK(!space_read(AT(6) + 5, &(uint8_t){ 0 }));
        CHECK_EQ(space_fault.reason, FAULT_NO_AREA);
        CHECK_EQ(space_fault.code, FAULT_USER);
        CHECK_EQ(space_fault.address, AT(6) + 5);
        CHECK_EQ(space_fault.entry, 0);
        CHECK(space_fault.has_area);
        CHECK_EQ(space_fault.area_base, AT(8));
        CHECK_EQ(space_fault.area_end, AT(10));
        CHECK_EQ(space_fault.area_flags & VMA_RIGHTS, VMA_RO);
        CHECK(space_fault.has_below);
        CHECK_EQ(space_fault.below_base, AT(4));
        CHECK_EQ(space_fault.below_end, AT(6));
        CHECK_EQ(space_fault.below_flags & VMA_RIGHTS, VMA_RW);
        CHECK(!space_fault.was_unmapped);
        CHECK(!space_write(AT(20), 1));
        CHECK(!space_fault.has_area && space_fault.has_below);
        CHECK(!space_write(AT(0), 1));
        CHECK(space_fault.has_area && !space_fault.has_below);
        CHECK(!space_write(0, 1));
        CHECK_EQ(space_fault.reason, FAULT_NO_AREA);
        /* The kernel's addresses are nobody's area, also where they are mapped. */
        CHECK(!space_write(FAKE_IMAGE_BASE, 1));
        CHECK_EQ(space_fault.reason, FAULT_NO_AREA);
        CHECK(!space_read((size_t)ms, &(uint8_t){ 0 }));
        CHECK_EQ(space_fault.reason, FAULT_NO_AREA);
        CHECK_EQ(kMMU.hard_faults - hard, 6);
        CHECK_EQ(ms->faults, 0);
        /* A fault of the kernel's own ends no program. */
        fault_t fault = { .address = AT(20), .code = FAULT_WRITE };
        CHECK_EQ(fault_handle(ms, &fault), FAULT_NO_AREA);
        CHECK_EQ(kMMU.hard_faults - hard, 6);
        space_stop(ms);
    }
}

/* Rights of the area, and which accesses they allow. */
static const struct {
    int rights;
    bool read, write, execute, execute_without_nx;
} rights_cases[] = {
    { 0, false, false, false, false },
    { VMA_READ, true, false, false, true },
    { VMA_WRITE, true, true, false, true },
    { VMA_RW, true, true, false, true },
    { VMA_EXEC, true, false, true, true },
    { VMA_RX, true, false, true, true },
    { VMA_WRITE | VMA_EXEC, true, true, true, true },
    { VMA_RIGHTS, true, true, true, true },
};

static void check_rights(const char *format, unsigned lacks, size_t touched)
{
    fake_config_t config = { .level = FAKE_MEMORY, .format = format, .lacks = lacks };
    mspace_t *ms = space_start_on(&config, 32);
    uint8_t byte;

    for (size_t i = 0; i < ARRAY_LENGTH(rights_cases); i++) {
        size_t page = AT(2 * i);
        bool execute = mmu_can_forbid_execution() ? rights_cases[i].execute
                                                  : rights_cases[i].execute_without_nx;

        space_map(ms, page, PAGE_SIZE, VMA_ANON | VMA_CAPABILITIES | VMA_RW);
        if (touched == 1)
            CHECK(space_read(page, &byte));
        if (touched == 2)
            CHECK(space_write(page, 1));
        CHECK_EQ(mspace_protect(ms, page, PAGE_SIZE, rights_cases[i].rights), 0);
        CHECK_EQ(space_execute(page), execute);
        CHECK_EQ(space_read(page, &byte), rights_cases[i].read);
        CHECK_EQ(space_execute(page), execute);
        if (!execute)
            CHECK_EQ(space_fault.reason, FAULT_NO_RIGHT);
        CHECK_EQ(space_write(page, 1), rights_cases[i].write);
        if (!rights_cases[i].write) {
            CHECK_EQ(space_fault.reason, FAULT_NO_RIGHT);
            CHECK_EQ(space_fault.area_base, page);
        }
        CHECK_EQ(space_execute(page), execute);
        CHECK_OK(mspace_check(ms));
    }
    space_stop(ms);
}

TEST(fault_rights_of_empty_and_touched_pages)
{
    for (size_t touched = 0; touched < 3; touched++) {
        FOR_EACH_FORMAT(format)
            check_rights(*format, 0, touched);
        check_rights("pae", FAKE_NO_NX, touched);
    }
}

TEST(fault_read_of_untouched_memory_is_the_zero_frame)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 128);
        size_t free;
        size_t zero_count = page_count(kMMU.zero_page);
        int kinds[] = { VMA_ANON, VMA_HEAP, VMA_STACK };

        for (size_t k = 0; k < ARRAY_LENGTH(kinds); k++) {
            space_map(ms, AT(0), PAGES(100), kinds[k] | VMA_RW | VMA_CAPABILITIES);
            CHECK_EQ(space_byte(AT(0)), 0);         /* with the table */
            free = physical_figures()->free;
            for (size_t i = 1; i < 100; i++)
                CHECK_EQ(space_byte(AT(i) + i), 0);
            CHECK_EQ(physical_figures()->free, free);
            CHECK_EQ(ms->p_size + ms->s_size, 0);
            CHECK_EQ(mmu_frame(space_entry(ms, AT(7))), kMMU.zero_page);
            CHECK_EQ(space_entry(ms, AT(7)) & (MMU_OBJECT | MMU_WRITE), MMU_OBJECT);
            /* A write gets a frame, and leaves the zero frame zero. */
            CHECK(space_write(AT(7) + 8, 77));
            CHECK_EQ(ms->p_size, 1);
            CHECK_EQ(space_byte(AT(7) + 8), 77);
            CHECK_EQ(space_byte(AT(7) + 9), 0);
            CHECK_EQ(space_byte(AT(8) + 8), 0);
            CHECK_EQ(((uint8_t *)fake_ram(kMMU.zero_page))[8], 0);
            CHECK_EQ(page_count(kMMU.zero_page), zero_count);
            CHECK_OK(mspace_check(ms));
            CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(100)), 0);
            CHECK_EQ(page_count(kMMU.zero_page), zero_count);
        }
        space_stop(ms);
    }
}

TEST(fault_write_takes_one_zeroed_frame)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 128);
        size_t free;

        space_map(ms, AT(0), PAGES(4), ANON_RW);
        CHECK(space_write(AT(0), 1));
        free = physical_figures()->free;
        fake_reset_events();
        CHECK(space_write(AT(1) + 9, 1));
        CHECK_EQ(fake_events.faults, 1);
        CHECK_EQ(physical_figures()->free, free - 1);
        CHECK(fake_events.invlpgs <= 1);
        CHECK_EQ(fake_events.cr3_loads, 0);
        CHECK(space_write(AT(1) + 10, 2));
        CHECK_EQ(space_byte(AT(1)), 0);
        CHECK_EQ(fake_events.faults, 1);
        CHECK_EQ(physical_figures()->free, free - 1);
        CHECK_EQ(ms->faults, 2);
        CHECK_EQ(ms->phys_pg_count, 2 + mmu_table_count(ms->directory));
        space_stop(ms);
    }
}

TEST(fault_file_pages)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 32);
        test_file_t file;
        page_t cached;

        test_file_init(&file, "file", PAGES(4));
        CHECK(mspace_map(ms, AT(0), PAGES(4), &file.ino, 0, 0, FILE_RW) != NULL);
        CHECK(mspace_map(ms, AT(8), PAGES(4), &file.ino, 0, 0, VMA_FILE | VMA_SHARED | VMA_RO));
        /* Read: the cache's frame, once, in every area. */
        CHECK_EQ(space_byte(AT(1) + 3), test_file_byte(&file, 4099));
        CHECK_EQ(space_byte(AT(9) + 4), test_file_byte(&file, 4100));
        CHECK_EQ(file.reads, 1);
        cached = mmu_frame(space_entry(ms, AT(1)));
        CHECK_EQ(mmu_frame(space_entry(ms, AT(9))), cached);
        CHECK_EQ(page_count(cached), 3);
        CHECK_EQ(ms->s_size, 2);
        CHECK_EQ(ms->p_size, 0);
        /* Write after read, and write at once: own copies. */
        fake_reset_events();
        CHECK(space_write(AT(1) + 3, 200));
        CHECK(fake_events.invlpgs <= 2);
        CHECK_EQ(fake_events.cr3_loads, 0);
        CHECK(space_write(AT(2) + 3, 201));
        CHECK_EQ(space_byte(AT(1) + 3), 200);
        CHECK_EQ(space_byte(AT(1) + 4), test_file_byte(&file, 4100));
        CHECK_EQ(space_byte(AT(2) + 4), test_file_byte(&file, 8196));
        CHECK_EQ(space_byte(AT(9) + 3), test_file_byte(&file, 4099));
        CHECK_EQ(page_count(cached), 2);
        CHECK_EQ(ms->p_size, 2);
        CHECK_EQ(ms->s_size, 1);
        CHECK(!space_write(AT(9), 1));
        CHECK_EQ(space_fault.reason, FAULT_NO_RIGHT);
        CHECK_STR(space_fault.area_name, "file");
        /* A mapping holds its page, not the cache's word for it. */
        CHECK_EQ(pagecache_drop(&file.ino), 1);         /* page 2: only copied */
        CHECK_OK(mspace_check(ms));
        CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(32)), 0);
        CHECK_EQ(ms->s_size, 0);
        CHECK_EQ(page_count(cached), 1);
        /* A page that cannot be read. */
        file.error = -EIO;
        CHECK(mspace_map(ms, AT(0), PAGES(4), &file.ino, 0, 0, FILE_RW) != NULL);
        CHECK(!space_read(AT(3), &(uint8_t){ 0 }));
        CHECK_EQ(space_fault.reason, FAULT_IO);
        CHECK_EQ(mspace_resolve(ms, AT(3), 1, false), -EIO);
        CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(4)), 0);
        inode_release(&file.ino);
        CHECK_EQ(file.released, 1);
        space_stop(ms);
    }
}

TEST(fault_file_page_with_too_many_users_is_copied)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 32);
        test_file_t file;
        page_t cached;

        test_file_init(&file, "file", PAGES(1));
        CHECK_EQ(pagecache_get(&file.ino, 0, &cached), 0);
        while (page_count(cached) < PAGECACHE_SHARES - 2)
            page_hold(cached);
        for (size_t i = 0; i < 4; i++)
            CHECK(mspace_map(ms, AT(2 * i), PAGES(1), &file.ino, 0, 0,
                             i == 3 ? VMA_FILE | VMA_SHARED | VMA_RO : FILE_RW) != NULL);
        /* One more may map it; the second, whoever it is, gets a copy. */
        for (size_t i = 0; i < 4; i++)
            CHECK_EQ(space_byte(AT(2 * i) + 3), test_file_byte(&file, 3));
        CHECK_EQ(mmu_frame(space_entry(ms, AT(0))), cached);
        CHECK_EQ(page_count(cached), PAGECACHE_SHARES - 1);
        CHECK_EQ(ms->s_size, 1);
        CHECK_EQ(ms->p_size, 3);
        CHECK(space_write(AT(2) + 3, 200));
        CHECK(!space_write(AT(6) + 3, 200));
        CHECK_EQ(space_byte(AT(2) + 3), 200);
        CHECK_EQ(space_byte(AT(4) + 3), test_file_byte(&file, 3));
        CHECK_OK(mspace_check(ms));
        /* All of them come back. */
        CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(32)), 0);
        while (page_count(cached) > 1)
            page_release(cached);
        inode_release(&file.ino);
        CHECK_EQ(page_count(cached), 0);
        space_stop(ms);
    }
}

TEST(fault_physical_pages_are_nobodys)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 32);
        page_t frames = page_range(3, PAGE_SIZE, 0, OWNER_BOOT);
        uint8_t *ram = fake_ram(frames);

        ram[0] = 3;
        CHECK(mspace_map(ms, AT(0), PAGES(3), NULL, (off_t)frames, 0, VMA_PHYS | VMA_RW));
        CHECK_EQ(space_byte(AT(0)), 3);
        CHECK(space_write(AT(0), 4));
        CHECK(space_write(AT(2), 5));
        CHECK_EQ(ram[0], 4);
        CHECK_EQ(ram[PAGES(2)], 5);
        CHECK_EQ(ms->p_size + ms->s_size, 0);
        CHECK_EQ(ms->v_size, 3);
        /* Read-only and back: a write makes it writable again, and copies nothing. */
        CHECK_EQ(mspace_protect(ms, AT(0), PAGES(3), VMA_READ), 0);
        CHECK(!space_write(AT(0), 6));
        CHECK_EQ(mspace_protect(ms, AT(0), PAGES(3), 0), 0);
        CHECK_EQ(mspace_protect(ms, AT(0), PAGES(3), VMA_RW), 0);
        CHECK(space_write(AT(0), 7));
        CHECK_EQ(ram[0], 7);
        CHECK_EQ(page_count(frames), 1);
        CHECK_OK(mspace_check(ms));
        CHECK_EQ(mspace_unmap(ms, AT(1), PAGES(1)), 0);
        CHECK_EQ(mspace_search_vma(ms, AT(2))->offset, (off_t)(frames + PAGES(2)));
        CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(3)), 0);
        for (size_t i = 0; i < 3; i++)
            CHECK_EQ(page_release(frames + PAGES(i)), 0);
        space_stop(ms);
    }
}

/* What fork will do to a page: one more owner, and nobody may write. */
static page_t share_page(mspace_t *ms, size_t vaddr)
{
    mmu_entry_t entry = space_entry(ms, vaddr);

    page_hold(mmu_frame(entry));
    space_set_entry(ms, vaddr, entry & ~(mmu_entry_t)MMU_WRITE);
    return mmu_frame(entry);
}

TEST(fault_copy_on_write)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 32);
        size_t free;
        page_t frame;

        space_map(ms, AT(0), PAGES(3), ANON_RW);
        CHECK(space_write(AT(0), 10));
        CHECK(space_write(AT(0) + 4095, 11));
        frame = share_page(ms, AT(0));
        CHECK_OK(mspace_check(ms));
        /* Two owners: a copy. */
        free = physical_figures()->free;
        fake_reset_events();
        CHECK(space_write(AT(0), 12));
        CHECK_EQ(fake_events.faults, 1);
        CHECK(fake_events.invlpgs <= 2);
        CHECK_EQ(physical_figures()->free, free - 1);
        CHECK(mmu_frame(space_entry(ms, AT(0))) != frame);
        CHECK_EQ(*(uint8_t *)fake_ram(frame), 10);
        CHECK_EQ(space_byte(AT(0)), 12);
        CHECK_EQ(space_byte(AT(0) + 4095), 11);
        CHECK_EQ(page_count(frame), 1);
        CHECK_EQ(ms->p_size, 1);
        /* The last owner: no copy. */
        free = physical_figures()->free;
        CHECK_EQ(page_release(frame), 0);
        frame = share_page(ms, AT(0));
        page_release(frame);
        CHECK(space_write(AT(0), 13));
        CHECK_EQ(mmu_frame(space_entry(ms, AT(0))), frame);
        CHECK_EQ(physical_figures()->free, free + 1);
        /* mprotect to and fro must not make a shared page writable. */
        frame = share_page(ms, AT(0));
        CHECK_EQ(mspace_protect(ms, AT(0), PAGES(1), VMA_READ), 0);
        CHECK_EQ(mspace_protect(ms, AT(0), PAGES(1), 0), 0);
        CHECK_EQ(mspace_protect(ms, AT(0), PAGES(1), VMA_RW), 0);
        CHECK_EQ(space_entry(ms, AT(0)) & MMU_WRITE, 0);
        CHECK(space_write(AT(0), 14));
        CHECK_EQ(*(uint8_t *)fake_ram(frame), 13);
        CHECK_EQ(page_release(frame), 0);
        /* The space of a copy need not be the current one. */
        frame = share_page(ms, AT(0));
        switch_pagetable(kernel_pagetable());
        CHECK_EQ(mspace_resolve(ms, AT(0), 1, true), 0);
        CHECK(mmu_frame(space_entry(ms, AT(0))) != frame);
        switch_pagetable(ms->directory);
        CHECK_EQ(space_byte(AT(0)), 14);
        CHECK_EQ(page_release(frame), 0);
        space_stop(ms);
    }
}

TEST(fault_held_page_comes_back)
{
    mspace_t *ms = space_start("2level", 32);
    mmu_entry_t entry;

    space_map(ms, AT(0), PAGES(1), ANON_RW);
    CHECK(space_write(AT(0), 10));
    entry = space_entry(ms, AT(0));
    space_set_entry(ms, AT(0), mmu_frame(entry) | MMU_HELD);
    CHECK(space_write(AT(0) + 1, 11));
    CHECK_EQ(space_byte(AT(0)), 10);
    CHECK_EQ(ms->p_size, 1);
    space_stop(ms);
}

TEST(fault_stale_translation)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 32);
        fault_t fault = { .address = AT(1) + 4, .code = FAULT_USER | FAULT_PRESENT | FAULT_WRITE };

        space_map(ms, AT(0), PAGES(4), ANON_RW);
        CHECK(space_write(AT(0), 1));
        CHECK(space_write(AT(1), 1));
        fake_reset_events();
        CHECK_EQ(fault_handle(ms, &fault), FAULT_RESOLVED);
        CHECK_EQ(fake_events.invlpgs, 1);
        /* Nothing changed: the page table and the processor cannot agree. */
        CHECK_EQ(fault_handle(ms, &fault), FAULT_KERNEL_BUG);
        CHECK_EQ(fault.reason, FAULT_KERNEL_BUG);
        CHECK_EQ(fault.entry, space_entry(ms, AT(1)));
        /* Another page, another access, or a change between is something else. */
        fault.address = AT(0);
        CHECK_EQ(fault_handle(ms, &fault), FAULT_RESOLVED);
        fault.code &= ~FAULT_WRITE;
        CHECK_EQ(fault_handle(ms, &fault), FAULT_RESOLVED);
        CHECK_EQ(mspace_protect(ms, AT(3), PAGES(1), VMA_READ), 0);
        CHECK_EQ(fault_handle(ms, &fault), FAULT_RESOLVED);
        CHECK(space_write(AT(2), 1));                   /* a fault that was resolved */
        CHECK_EQ(fault_handle(ms, &fault), FAULT_RESOLVED);
        CHECK_EQ(mspace_unmap(ms, AT(3), PAGES(1)), 0);
        CHECK_EQ(fault_handle(ms, &fault), FAULT_RESOLVED);
        CHECK_EQ(fault_handle(ms, &fault), FAULT_KERNEL_BUG);
        /* A reserved bit is never the program's doing. */
        fault.address = AT(2);
        fault.code = FAULT_USER | FAULT_PRESENT | FAULT_RESERVED;
        CHECK_EQ(fault_handle(ms, &fault), FAULT_KERNEL_BUG);
        /* Nor is an entry that we do not know. */
        space_set_entry(ms, AT(2), 0);
        ms->p_size--;
        ms->phys_pg_count--;
        space_set_entry(ms, AT(2), 0x5000);
        fault.code = FAULT_USER;
        CHECK_EQ(fault_handle(ms, &fault), FAULT_KERNEL_BUG);
        space_set_entry(ms, AT(2), 0);
        fake_machine_abandon();
    }
}

TEST(fault_without_memory)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 0);
        test_file_t file;
        size_t in_use;

        test_file_init(&file, "file", PAGES(4));
        commit.mode = COMMIT_ALWAYS;
        space_map(ms, AT(0), PAGES(2000), ANON_RW);
        CHECK(mspace_map(ms, 0x50000000, PAGES(4), &file.ino, 0, 0, FILE_RW));
        CHECK_EQ(space_byte(AT(0)), 0);
        CHECK_EQ(space_byte(0x50000000), test_file_byte(&file, 0));
        in_use = ms->phys_pg_count;
        physical_fail_after(1);
        CHECK(!space_write(AT(1), 1));                  /* the frame */
        CHECK_EQ(space_fault.reason, FAULT_NO_MEMORY);
        physical_fail_after(1);
        CHECK(!space_write(AT(0), 1));                  /* instead of the zero frame */
        CHECK_EQ(space_fault.reason, FAULT_NO_MEMORY);
        physical_fail_after(1);
        CHECK(!space_write(0x50000000, 1));             /* the copy */
        CHECK_EQ(space_fault.reason, FAULT_NO_MEMORY);
        physical_fail_after(1);
        CHECK(!space_read(AT(1500), &(uint8_t){ 0 }));  /* the table */
        CHECK_EQ(space_fault.reason, FAULT_NO_MEMORY);
        physical_fail_after(2);
        CHECK(!space_write(AT(1500), 1));               /* the table, after the frame */
        CHECK_EQ(space_fault.reason, FAULT_NO_MEMORY);
        physical_fail_after(2);
        CHECK(!space_write(0x50000000 + PAGE_SIZE, 1)); /* the copy, after reading */
        CHECK_EQ(space_fault.reason, FAULT_NO_MEMORY);
        CHECK_EQ(ms->phys_pg_count, in_use);
        CHECK_OK(space_check(ms));
        CHECK(space_write(AT(1500), 1));
        CHECK(space_write(0x50000000, 1));
        mspace_sweep(ms);
        inode_release(&file.ino);
        space_stop(ms);
    }
}
