/*
 * Page faults: each row of the decision table, what a failure reports, and what it
 * says to a person.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/pagecache.h>
#include <kernel/virtual.h>
#include <space.h>

#include <stdio.h>
#include <string.h>

/* ---- the rows */

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

/* ---- stacks */

TEST(fault_stack_grows_to_its_limit)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 400);

        CHECK_EQ(mspace_set_stack(ms, AT(400), PAGES(2), PAGES(100)), 0);
        CHECK(space_write(AT(397), 1));
        CHECK_AREA(ms, AT(397), PAGES(3));
        CHECK_EQ(space_byte(AT(350)), 0);               /* far below: all of it */
        CHECK_AREA(ms, AT(350), PAGES(50));
        CHECK_EQ(ms->v_size, 50);
        CHECK_EQ(ms->p_size, 1);
        CHECK_OK(mspace_check(ms));
        CHECK(!space_write(AT(299) + 4095, 1));
        CHECK_EQ(space_fault.reason, FAULT_STACK_LIMIT);
        CHECK_EQ(space_fault.stack_base, AT(300));
        if (mmu_can_forbid_execution()) {
            CHECK(!space_execute(AT(310)));             /* it would not be allowed */
            CHECK_EQ(space_fault.reason, FAULT_NO_AREA);
        }
        CHECK(space_write(AT(300), 1));
        CHECK_AREA(ms, AT(300), PAGES(100));
        CHECK(!space_write(AT(299), 1));
        CHECK_EQ(space_fault.reason, FAULT_STACK_LIMIT);
        CHECK(!space_write(AT(300) - STACK_GUARD_GAP, 1));
        CHECK_EQ(space_fault.reason, FAULT_STACK_LIMIT);
        CHECK(!space_write(AT(300) - STACK_GUARD_GAP - 1, 1));
        CHECK_EQ(space_fault.reason, FAULT_NO_AREA);
        CHECK_EQ(space_fault.area_base, AT(300));
        CHECK_STR(space_fault.area_name, "[stack]");
        /* Copies to the program grow it too. */
        CHECK_EQ(mspace_unmap(ms, AT(300), PAGES(98)), 0);
        CHECK_EQ(mspace_resolve(ms, AT(390) + 5, PAGES(3), true), 0);
        CHECK_AREA(ms, AT(390), PAGES(10));
        CHECK_OK(mspace_check(ms));
        space_stop(ms);
    }
}

TEST(fault_stack_respects_its_neighbours)
{
    mspace_t *ms = space_start("pae", 1000);

    CHECK_EQ(mspace_set_stack(ms, AT(1000), PAGES(2), PAGES(600)), 0);
    /* An area that the program put into the stack's range keeps its distance. */
    space_map(ms, AT(500), PAGES(1), ANON_RO | VMA_FIXED);
    CHECK(space_write(AT(757), 1));                     /* 256 pages are free between */
    CHECK_AREA(ms, AT(757), PAGES(243));
    CHECK(!space_write(AT(756), 1));
    CHECK_EQ(space_fault.reason, FAULT_STACK_LIMIT);
    CHECK_AREA(ms, AT(757), PAGES(243));
    /* One without rights is a guard itself. */
    CHECK_EQ(mspace_protect(ms, AT(500), PAGES(1), 0), 0);
    CHECK(space_write(AT(501), 1));
    CHECK_AREA(ms, AT(501), PAGES(499));
    /* A hole in the stack closes again, and the two parts are one. */
    CHECK_EQ(mspace_unmap(ms, AT(600), PAGES(10)), 0);
    CHECK_EQ(ms->tree.count, 3);
    CHECK(space_write(AT(600), 1));
    CHECK_AREA(ms, AT(501), PAGES(499));
    CHECK_OK(mspace_check(ms));
    /* A dead stack does not grow, nor a read-only one by a write. */
    CHECK_EQ(mspace_protect(ms, AT(501), PAGES(499), VMA_READ), 0);
    CHECK_EQ(mspace_unmap(ms, AT(501), PAGES(400)), 0);
    CHECK(!space_write(AT(890), 1));
    CHECK_EQ(space_fault.reason, FAULT_NO_AREA);
    CHECK_EQ(space_byte(AT(890)), 0);
    CHECK_EQ(mspace_kill(ms, AT(880), PAGES(120)), 0);
    CHECK(!space_read(AT(870), &(uint8_t){ 0 }));
    CHECK_EQ(space_fault.reason, FAULT_NO_AREA);
    CHECK(!space_read(AT(890), &(uint8_t){ 0 }));
    CHECK_EQ(space_fault.reason, FAULT_DEAD_AREA);
    CHECK_EQ(mspace_scavenge(ms), 1);
    space_stop(ms);
}

TEST(fault_stack_areas_grow_only_above_the_limit)
{
    mspace_t *ms = space_start("2level", 1000);

    /* A stack area of a space without a stack, and one below the stack's range. */
    space_map(ms, AT(50), PAGES(2), VMA_STACK_SEGMENT);
    CHECK(!space_write(AT(49), 1));
    CHECK_EQ(space_fault.reason, FAULT_NO_AREA);
    CHECK_EQ(mspace_set_stack(ms, AT(1000), PAGES(2), PAGES(100)), 0);
    CHECK(!space_write(AT(49), 1));
    CHECK_EQ(space_fault.reason, FAULT_NO_AREA);
    CHECK_AREA(ms, AT(50), PAGES(2));
    space_stop(ms);
}

/* ---- resolve */

/* Several tables, in which pages of each kind are there already. */
TEST(mspace_resolve_brings_what_is_not_there_yet)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 1500);
        page_t own;

        space_map(ms, AT(0), PAGES(1500), ANON_RW);
        CHECK_EQ(space_byte(AT(3)), 0);             /* the zero frame, read-only */
        CHECK_EQ(space_byte(AT(1400)), 0);
        CHECK(space_write(AT(700), 7));
        own = mmu_frame(space_entry(ms, AT(700)));
        CHECK_EQ(mspace_resolve(ms, AT(1), PAGES(1498), true), 0);
        CHECK_EQ(ms->p_size, 1498);
        CHECK_EQ(mmu_frame(space_entry(ms, AT(700))), own);
        CHECK_EQ(space_entry(ms, AT(0)), 0);
        CHECK_EQ(space_entry(ms, AT(1499)), 0);
        CHECK_OK(mspace_check(ms));
        fake_reset_events();
        for (size_t page = 1; page < 1499; page++)
            CHECK(space_write(AT(page), 1));
        CHECK_EQ(fake_events.faults, 0);
        CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(1500)), 0);
        space_stop(ms);
    }
}

TEST(mspace_resolve_ranges)
{
    static const struct { size_t address; size_t length; bool write; int expected; } cases[] = {
        { AT(0), 0, true, 0 },
        { 0, 0, true, 0 },
        { AT(0), PAGES(6), false, 0 },
        { AT(0) + 5, PAGES(3) - 5, true, 0 },
        { AT(0) + 5, PAGES(3) - 4, true, -EFAULT },     /* one byte of a read-only page */
        { AT(5) + 4095, 1, false, 0 },
        { AT(5) + 4095, 2, false, -EFAULT },            /* one byte of nothing */
        { AT(0) - 1, 2, false, -EFAULT },
        { AT(31), PAGES(1) + 1, false, -EFAULT },
        { AT(32), 1, false, -EFAULT },
        { 0, 1, false, -EFAULT },
        { AT(0), SIZE_MAX, false, -EFAULT },
        { SIZE_MAX, 1, false, -EFAULT },
        { SIZE_MAX - 5, 100, false, -EFAULT },
        { KERNEL_BASE, 1, false, -EFAULT },
    };

    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 32);

        space_map(ms, AT(0), PAGES(3), ANON_RW);
        space_map(ms, AT(3), PAGES(3), ANON_RO);
        for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
            int err = mspace_resolve(ms, cases[i].address, cases[i].length, cases[i].write);

            if (err != cases[i].expected)
                test_fail(__FILE__, __LINE__, "case %zu is %d", i, err);
            CHECK_OK(mspace_check(ms));
        }
        CHECK_EQ(ms->p_size, 3);
        CHECK_EQ(mmu_frame(space_entry(ms, AT(5))), kMMU.zero_page);
        fake_reset_events();
        CHECK(space_write(AT(2), 1));
        CHECK_EQ(fake_events.faults, 0);
        space_stop(ms);
    }
}

TEST(mspace_map_resolved_takes_its_frames_at_once)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 64);
        size_t free;

        space_map(ms, AT(0), PAGES(1), ANON_RW | VMA_RESOLVE);  /* the table */
        free = physical_figures()->free;
        space_map(ms, AT(1), PAGES(10), ANON_RW);
        CHECK_EQ(physical_figures()->free, free);
        space_map(ms, AT(11), PAGES(10), ANON_RW | VMA_RESOLVE);
        CHECK_EQ(physical_figures()->free, free - 10);
        CHECK_AREA(ms, AT(0), PAGES(21));
        space_map(ms, AT(30), PAGES(10), ANON_RO | VMA_RESOLVE);
        space_map(ms, AT(40), PAGES(10), VMA_ANON | VMA_RESOLVE);
        CHECK_EQ(physical_figures()->free, free - 10);
        fake_reset_events();
        CHECK_EQ(space_byte(AT(30)), 0);
        CHECK(space_write(AT(20), 1));
        CHECK_EQ(fake_events.faults, 0);
        CHECK_OK(mspace_check(ms));
        space_stop(ms);
    }
}

/* ---- in words */

static void check_text(const char *expected)
{
    char text[1024];
    char small[40];
    int length = fault_explain(&space_fault, text, sizeof(text));

    CHECK_STR(text, expected);
    CHECK_EQ(length, strlen(text));
    /* Cut to fit, and its length all the same. */
    CHECK_EQ(fault_explain(&space_fault, small, sizeof(small)), length);
    CHECK_EQ(strlen(small), sizeof(small) - 1);
    CHECK(strncmp(small, text, sizeof(small) - 1) == 0);
    CHECK_EQ(fault_explain(&space_fault, NULL, 0), length);
}

static bool says(const char *part)
{
    char text[1024];

    fault_explain(&space_fault, text, sizeof(text));
    if (strstr(text, part) == NULL)
        printf("# %s\n", text);
    return strstr(text, part) != NULL;
}

TEST(fault_explain_in_plain_sentences)
{
    mspace_t *ms = space_start("pae", 600);
    test_file_t file;
    uint8_t byte;

    test_file_init(&file, "/bin/tour", PAGES(2));
    CHECK(!space_write(0, 1));
    check_text("The program tried to write to address 00000000.\n"
               "Nothing is mapped there. The program has no memory at all.\n"
               "The page table has no entry for this page.\n"
               "Most likely a NULL pointer was used.");
    CHECK(mspace_map(ms, AT(0), PAGES(4), &file.ino, 0, 0, VMA_TEXT_SEGMENT));
    CHECK(!space_read(24, &byte));
    check_text("The program tried to read from address 00000018.\n"
               "Nothing is mapped there. The nearest area above is 40000000-40004000 "
               "(read, execute; /bin/tour), which begins 1023 MiB further on.\n"
               "The page table has no entry for this page.\n"
               "Most likely a NULL pointer was used, with an offset of 24 bytes: a member of a "
               "structure, or an element of an array.");
    CHECK(!space_write(AT(0) + 16, 1));
    check_text("The program tried to write to address 40000010.\n"
               "The address lies in the area 40000000-40004000 (read, execute; /bin/tour), "
               "16 bytes from its start.\n"
               "The page table has no entry for this page.\n"
               "This is the program's code, which is read-only. Most likely a wild pointer was "
               "written through.");
    CHECK(!space_read(AT(2), &byte));
    CHECK(says("\nThe page lies wholly past the end of the mapped file. Most likely the file is "
               "shorter than the program believes."));
    space_map(ms, AT(8), PAGES(2), ANON_RW);
    CHECK(space_write(AT(8), 1));
    CHECK(!space_execute(AT(8)));
    CHECK(says("The program tried to execute code at address 40008000."));
    CHECK(says("writable, never executed."));
    CHECK(says("This is data, not code."));
    CHECK(!space_write(AT(10), 1));
    CHECK(says("Nothing is mapped there. The nearest area below is 40008000-4000a000 "
               "(read, write), which ends 0 bytes before.\n"));
    CHECK(says("Most likely the program ran past the end of the area below."));
    CHECK(!space_write(AT(100), 1));
    CHECK(says("Most likely the pointer was never set, was overwritten, or points to memory "
               "that was freed."));
    CHECK_EQ(mspace_protect(ms, AT(8), PAGES(1), VMA_READ), 0);
    CHECK(!space_write(AT(8), 1));
    CHECK(says("read-only"));
    CHECK(says("Most likely a constant (a string literal, say) was written to."));
    CHECK_EQ(mspace_protect(ms, AT(8), PAGES(1), 0), 0);
    CHECK(!space_read(AT(8), &byte));
    CHECK(says("(no rights)"));
    CHECK(says("for this page, out of reach."));
    CHECK(says("The area grants no access at all: it is a guard, or its rights were taken away "
               "with mprotect."));
    CHECK_EQ(mspace_unmap(ms, AT(8), PAGES(2)), 0);
    CHECK(!space_read(AT(8) + 4, &byte));
    CHECK(says("The program itself unmapped this address shortly before: most likely memory was "
               "used after it was freed."));
    CHECK(!space_read(0xfffff000, &byte));
    CHECK(says("This address belongs to the kernel; programs have 00400000 to bfffffff."));
    CHECK_EQ(mspace_set_stack(ms, AT(600), PAGES(2), PAGES(64)), 0);
    CHECK(!space_write(AT(535), 1));
    CHECK(says("The stack is full: it may not grow below 40218000. Most likely a function calls "
               "itself without end, or has very large local variables."));
    CHECK_EQ(mspace_kill(ms, AT(0), PAGES(1)), 0);
    CHECK(!space_read(AT(0), &byte));
    CHECK(says("The area was taken away from the program and waits to be reclaimed."));
    CHECK_EQ(mspace_scavenge(ms), 1);
    space_map(ms, AT(8), PAGES(1), VMA_ANON | VMA_WRITE | VMA_EXEC);
    physical_fail_after(1);
    CHECK(!space_write(AT(8), 1));
    CHECK(says("(write, execute)"));
    CHECK(says("the machine has no free memory for the page."));
    file.error = -EIO;
    CHECK(!space_read(AT(1), &byte));
    CHECK(says("The page could not be read from its file or disk."));
    mspace_sweep(ms);
    inode_release(&file.ino);
    space_stop(ms);
}

TEST(fault_explain_what_is_not_the_programs_fault)
{
    mspace_t *ms = space_start("2level", 32);

    space_fault = (fault_t){ .address = AT(0), .reason = FAULT_KERNEL_BUG, .entry = 0x5000 };
    CHECK(says("The kernel, on behalf of the program, tried to read from address 40000000."));
    CHECK(says("The page table has a swapped-out page here."));
    CHECK(says("The page table and the processor disagree about this page."));
    space_fault.code = FAULT_RESERVED;
    CHECK(says("A reserved bit is set in a page table."));
    space_fault.reason = FAULT_RESOLVED;
    CHECK(says("there is nothing wrong."));
    space_fault.has_area = true;
    space_fault.area_end = USER_END;
    space_fault.area_flags = VMA_ANON | VMA_EXEC;
    CHECK(says("(execute)"));
    space_stop(ms);
}
