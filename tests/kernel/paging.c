/*
 * Page tables on the real MMU: what is mapped is what is seen, at once, in every
 * space, and with no more rights than were given.
 */
#include <kernel/errno.h>
#include <kernel/fault.h>
#include <kernel/kheap.h>
#include <kernel/linear.h>
#include <kernel/string.h>
#include <kernel/virtual.h>
#include <test.h>
#include <x86/cpu.h>
#include <x86/features.h>

#include "probe.h"

extern const char image_text[], image_rodata[], image_data[];

/* A place for programs; supervisor pages there are reached without SMAP's leave. */
#define PLACE ((size_t)0x50000000)

#define DATA (ACCESS_WRITE | ACCESS_NOEXEC)

static bool is_pae(void)
{
    return strcmp(virtual_format_name(), "pae") == 0;
}

/* A table that is current, with `count` frames from PLACE on: 0x100, 0x101, ... */
static page_t scratch_space(size_t count)
{
    page_t space;

    start_clean();
    space = create_pagetable();
    CHECK(space != PAGE_NONE);
    for (size_t i = 0; i < count; i++)
        CHECK_EQ(pagetable_map(space, PLACE + i * PAGE_SIZE, frame_with(0x100 + i), DATA), 0);
    switch_pagetable(space);
    return space;
}

static void drop_scratch_space(page_t space, size_t count)
{
    switch_pagetable(kernel_pagetable());
    for (size_t i = 0; i < count; i++) {
        page_t page = pagetable_unmap(space, PLACE + i * PAGE_SIZE);

        if (page != NO_TRANSLATION)
            free_physical_page(page);
    }
    delete_pagetable(space);
}

static void set_bits(page_t space, size_t vaddr, mmu_entry_t clear, mmu_entry_t set)
{
    mmu_place_t place;

    mmu_find(space, vaddr, &place);
    CHECK(place.entry != NULL);
    mmu_set(&place, (mmu_get(&place) & ~clear) | set);
}

/* ---- switching */

TEST(paging_one_address_in_two_tables)
{
    page_t space[2];
    page_t frame[2];
    size_t wrong = 0;

    start_clean();
    for (size_t i = 0; i < 2; i++) {
        space[i] = create_pagetable();
        frame[i] = frame_with(0xa0 + i);
        CHECK(space[i] != PAGE_NONE);
        CHECK_EQ(pagetable_map(space[i], PLACE, frame[i], DATA), 0);
    }
    for (size_t round = 0; round < 200; round++) {
        switch_pagetable(space[round % 2]);
        wrong += !reads(PLACE, (uint8_t)(0xa0 + round % 2));
        wrong += current_pagetable() != space[round % 2] || cpu_cr3() != space[round % 2];
    }
    switch_pagetable(kernel_pagetable());
    wrong += !faults(probe_read(PLACE), PLACE, 0);

    CHECK_EQ(wrong, 0);
    for (size_t i = 0; i < 2; i++) {
        CHECK_EQ(pagetable_unmap(space[i], PLACE), frame[i]);
        delete_pagetable(space[i]);
        free_physical_page(frame[i]);
    }
}

TEST(paging_control_registers)
{
    uint32_t cr0 = cpu_cr0();
    uint32_t cr4 = cpu_cr4();

    CHECK((cr0 & CR0_PG) != 0);
    CHECK((cr0 & CR0_WP) != 0);
    CHECK_EQ((cr4 & CR4_PAE) != 0, is_pae());
    CHECK_EQ((cr4 & CR4_PGE) != 0, cpu_features.pge);
    CHECK_EQ((cr4 & CR4_SMEP) != 0, cpu_features.smep);
    CHECK_EQ((cr4 & CR4_SMAP) != 0, cpu_features.smap);
    CHECK_EQ((cr4 & CR4_UMIP) != 0, cpu_features.umip);
    CHECK_EQ(mmu_can_forbid_execution(), is_pae() && cpu_features.nx);
    if (mmu_can_forbid_execution())
        CHECK((cpu_rdmsr(MSR_EFER) & EFER_NXE) != 0);
}

/* ---- changes are seen at once */

TEST(paging_remap_is_seen)
{
    page_t space = scratch_space(2);
    page_t frame[2];
    bool good[3];

    good[0] = reads(PLACE, 0x00) && reads(PLACE + PAGE_SIZE, 0x01);
    frame[0] = pagetable_unmap(space, PLACE);
    frame[1] = pagetable_unmap(space, PLACE + PAGE_SIZE);
    good[1] = faults(probe_read(PLACE), PLACE, 0);
    pagetable_map(space, PLACE, frame[1], DATA);
    pagetable_map(space, PLACE + PAGE_SIZE, frame[0], DATA);
    good[2] = reads(PLACE, 0x01) && reads(PLACE + PAGE_SIZE, 0x00);

    drop_scratch_space(space, 2);
    CHECK(good[0]);
    CHECK(good[1]);
    CHECK(good[2]);
}

TEST(paging_an_entry_replaced_is_seen)
{
    page_t space = scratch_space(1);
    page_t other = frame_with(0x77);
    page_t first;
    mmu_place_t place;
    bool good[2];

    good[0] = reads(PLACE, 0x00);
    mmu_find(space, PLACE, &place);
    first = mmu_frame(mmu_get(&place));
    mmu_set(&place, other | DATA | MMU_PRESENT);
    good[1] = reads(PLACE, 0x77);
    free_physical_page(first);

    drop_scratch_space(space, 1);
    CHECK(good[0]);
    CHECK(good[1]);
}

/* Supervisor writes to read-only pages fault: CR0.WP, and the entry is flushed. */
TEST(paging_read_only_is_enforced_at_once)
{
    page_t space = scratch_space(1);
    bool writable = !probe_write(PLACE, 1).faulted;
    outcome_t refused;
    bool readable;
    bool again;

    set_bits(space, PLACE, MMU_WRITE, 0);
    refused = probe_write(PLACE, 2);
    readable = reads(PLACE, 1);
    set_bits(space, PLACE, 0, MMU_WRITE);
    again = !probe_write(PLACE, 3).faulted && reads(PLACE, 3);

    drop_scratch_space(space, 1);
    CHECK(writable);
    CHECK(faults(refused, PLACE, FAULT_PRESENT | FAULT_WRITE));
    CHECK(readable);
    CHECK(again);
}

static mmu_entry_t make_read_only(void *context, size_t vaddr, mmu_entry_t entry)
{
    (void)context;
    (void)vaddr;
    return entry & ~(mmu_entry_t)MMU_WRITE;
}

static mmu_entry_t take_out(void *context, size_t vaddr, mmu_entry_t entry)
{
    (void)context;
    (void)vaddr;
    free_physical_page(mmu_frame(entry));
    return 0;
}

/* Few pages are flushed one by one, many at once; none may stay behind. */
TEST(paging_ranges_are_flushed)
{
    static const size_t counts[] = { 1, 5, 31, 32, 33, 100, 300 };

    for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
        size_t length = counts[i] * PAGE_SIZE;
        page_t space = scratch_space(counts[i]);
        size_t wrong = 0;

        for (size_t at = PLACE; at < PLACE + length; at += PAGE_SIZE)
            wrong += probe_write(at, 9).faulted;
        mmu_change_range(space, PLACE, length, make_read_only, NULL);
        for (size_t at = PLACE; at < PLACE + length; at += PAGE_SIZE)
            wrong += !faults(probe_write(at, 8), at, FAULT_PRESENT | FAULT_WRITE) ||
                     !reads(at, 9);
        mmu_change_range(space, PLACE, length, take_out, NULL);
        for (size_t at = PLACE; at < PLACE + length; at += PAGE_SIZE)
            wrong += !faults(probe_read(at), at, 0);
        drop_scratch_space(space, 0);
        CHECK_EQ(wrong, 0);
    }
}

/* A table that became empty is freed; neither it nor its frame may be seen again. */
TEST(paging_a_table_that_went_is_not_walked)
{
    page_t space = scratch_space(1);
    size_t tables = mmu_table_count(space);
    page_t page;
    page_t greedy[8];
    size_t wrong = 0;

    for (uint8_t round = 0; round < 20; round++) {
        wrong += !reads(PLACE, round);
        page = pagetable_unmap(space, PLACE);
        wrong += mmu_table_count(space) >= tables;
        free_physical_page(page);
        /* Whoever gets the table's frame writes what looks like an entry. */
        for (size_t i = 0; i < ARRAY_LENGTH(greedy); i++)
            greedy[i] = frame_with(0x63);
        wrong += !faults(probe_read(PLACE), PLACE, 0);
        for (size_t i = 0; i < ARRAY_LENGTH(greedy); i++)
            free_physical_page(greedy[i]);
        wrong += pagetable_map(space, PLACE, frame_with(round + 1u), DATA) != 0;
        wrong += mmu_table_count(space) != tables;
    }
    drop_scratch_space(space, 1);
    CHECK_EQ(wrong, 0);
}

/* The kernel's pages are global: a switch of spaces does not flush them. */
TEST(paging_kernel_remap_is_seen)
{
    page_t frame[2] = { frame_with(0x31), frame_with(0x32) };
    size_t vaddr = KSPACE_END - 4 * PAGE_SIZE;
    size_t wrong = 0;

    for (size_t i = 0; i < 20; i++) {
        wrong += virtual_map_kernel(vaddr, frame[i % 2], DATA | ACCESS_GLOBAL) != 0;
        wrong += virtual_map_kernel(vaddr, frame[0], DATA) != -EEXIST;
        wrong += !reads(vaddr, (uint8_t)(0x31 + i % 2));
        enter_linear_space();
        wrong += !reads(vaddr, (uint8_t)(0x31 + i % 2));
        leave_linear_space();
        wrong += virtual_unmap_kernel(vaddr) != frame[i % 2];
        wrong += !faults(probe_read(vaddr), vaddr, 0);
        enter_linear_space();
        wrong += !faults(probe_read(vaddr), vaddr, 0);
        leave_linear_space();
    }
    free_physical_page(frame[0]);
    free_physical_page(frame[1]);
    CHECK_EQ(wrong, 0);
}

TEST(paging_accessed_and_dirty_are_noted)
{
    page_t space = scratch_space(1);
    mmu_entry_t entry[3];

    entry[0] = mmu_read(space, PLACE);
    probe_read(PLACE);
    entry[1] = mmu_read(space, PLACE);
    probe_write(PLACE, 1);
    entry[2] = mmu_read(space, PLACE);

    drop_scratch_space(space, 1);
    CHECK_EQ(entry[0] & (MMU_ACCESSED | MMU_DIRTY), 0);
    CHECK_EQ(entry[1] & (MMU_ACCESSED | MMU_DIRTY), MMU_ACCESSED);
    CHECK_EQ(entry[2] & (MMU_ACCESSED | MMU_DIRTY), MMU_ACCESSED | MMU_DIRTY);
}

/* ---- tables from any context */

/* How many of these addresses read otherwise through the kernel's view of tables. */
static size_t misread(page_t root, const size_t *vaddr, size_t count)
{
    size_t wrong = 0;

    for (size_t i = 0; i < count; i++) {
        page_t table;
        uint64_t entry = physical_entry(root, vaddr[i], 0, &table, NULL);
        page_t page = (page_t)(entry & 0xfffff000);
        mmu_place_t place;

        mmu_find(root, vaddr[i], &place);
        if ((place.entry == NULL) != (table == PAGE_NONE)) {
            wrong++;
        } else if (place.entry != NULL) {
            wrong += is_pae() ? *(const uint64_t *)place.entry != entry
                              : *(const uint32_t *)place.entry != entry;
            wrong += get_translation(root, vaddr[i]) !=
                     ((entry & 1) ? page | (vaddr[i] & PAGE_MASK) : NO_TRANSLATION);
        }
    }
    return wrong;
}

TEST(paging_tables_read_the_same_physically)
{
    void *buffer = kmalloc(100);
    page_t space[2];
    size_t wrong = 0;

    space[0] = scratch_space(3);
    space[1] = create_pagetable();
    for (size_t i = 0; i < 3; i++) {
        const size_t vaddr[] = {
            0, PAGE_SIZE, (size_t)image_text, (size_t)image_rodata, (size_t)image_data + 5,
            PLACE, PLACE + PAGE_SIZE + 17, PLACE + 2 * PAGE_SIZE, PLACE + 3 * PAGE_SIZE,
            PLACE + 64 * MIB, USER_END - 1, (size_t)buffer, FRAME_TABLE_BASE,
            TABLE_WINDOW_BASE, DIRECTORY_WINDOW_BASE, TEMPORARY_BASE, KSPACE_BASE,
        };

        switch_pagetable(i < 2 ? space[i] : kernel_pagetable());
        wrong += misread(space[0], vaddr, ARRAY_LENGTH(vaddr));
        wrong += misread(space[1], vaddr, ARRAY_LENGTH(vaddr));
        wrong += misread(kernel_pagetable(), vaddr, ARRAY_LENGTH(vaddr));
    }
    delete_pagetable(space[1]);
    drop_scratch_space(space[0], 3);
    kfree(buffer);
    CHECK_EQ(wrong, 0);
}

/* A table that is not current is edited from another one. */
TEST(paging_edits_another_table)
{
    page_t other = create_pagetable();
    page_t space = scratch_space(1);
    page_t frame = frame_with(0x99);
    bool good[3];

    good[0] = pagetable_map(other, PLACE, frame, DATA) == 0 && reads(PLACE, 0x00);
    switch_pagetable(other);
    good[1] = reads(PLACE, 0x99);
    switch_pagetable(space);
    good[2] = pagetable_unmap(other, PLACE) == frame && reads(PLACE, 0x00);

    drop_scratch_space(space, 1);
    delete_pagetable(other);
    free_physical_page(frame);
    CHECK(good[0]);
    CHECK(good[1]);
    CHECK(good[2]);
}

TEST(paging_without_memory_changes_nothing)
{
    page_t frame = frame_with(1);
    page_t space = scratch_space(0);
    size_t tables = mmu_table_count(space);
    size_t free = physical_figures()->free;
    bool failed = true;
    size_t n;

    for (n = 1; failed; n++) {
        int err;

        fail_nth(n);
        err = pagetable_map(space, PLACE, frame, DATA);
        failed = nth_failed();
        CHECK_EQ(err, failed ? -ENOMEM : 0);
        if (err == 0)
            CHECK_EQ(pagetable_unmap(space, PLACE), frame);
        CHECK_EQ(physical_figures()->free, free);
        CHECK_EQ(mmu_table_count(space), tables);
    }
    CHECK(n > 2);
    drop_scratch_space(space, 0);

    free = physical_figures()->free;
    for (n = 1, failed = true; failed; n++) {
        fail_nth(n);
        space = create_pagetable();
        failed = nth_failed();
        CHECK_EQ(space == PAGE_NONE, failed);
        if (space != PAGE_NONE)
            delete_pagetable(space);
        CHECK_EQ(physical_figures()->free, free);
    }
    CHECK(n > 2);
    free_physical_page(frame);
}

/* ---- rights */

TEST(paging_execution_is_forbidden_page_by_page)
{
    page_t space = scratch_space(1);
    outcome_t outcome[3];

    probe_write(PLACE, 0xc3);
    outcome[0] = probe_execute(PLACE);
    set_bits(space, PLACE, MMU_NOEXEC, 0);
    outcome[1] = probe_execute(PLACE);
    set_bits(space, PLACE, 0, MMU_NOEXEC);
    outcome[2] = probe_execute(PLACE);

    drop_scratch_space(space, 1);
    CHECK(!outcome[1].faulted);
    if (!mmu_can_forbid_execution())
        test_skip("this processor, or this format, cannot forbid execution");
    CHECK(faults(outcome[0], PLACE, FAULT_PRESENT | FAULT_EXECUTE));
    CHECK(faults(outcome[2], PLACE, FAULT_PRESENT | FAULT_EXECUTE));
}

/* Programs' pages: neither executed nor touched by the kernel where it can be helped. */
TEST(paging_user_pages_are_not_the_kernels)
{
    page_t space = scratch_space(1);
    outcome_t outcome[3];

    probe_write(PLACE, 0xc3);
    set_bits(space, PLACE, MMU_NOEXEC, MMU_USER);
    outcome[0] = probe_execute(PLACE);
    outcome[1] = probe_read(PLACE);
    outcome[2] = probe_write(PLACE, 1);

    drop_scratch_space(space, 1);
    CHECK_EQ(outcome[0].faulted, cpu_features.smep);
    CHECK_EQ(outcome[1].faulted, cpu_features.smap);
    CHECK_EQ(outcome[2].faulted, cpu_features.smap);
    if (cpu_features.smep)
        CHECK_EQ(outcome[0].code & ~FAULT_EXECUTE, FAULT_PRESENT);
    if (cpu_features.smap)
        CHECK(faults(outcome[2], PLACE, FAULT_PRESENT | FAULT_WRITE));
}

TEST(paging_reserved_bits_are_reported)
{
    page_t space;
    outcome_t outcome;
    uint64_t entry;
    uint64_t bad;
    page_t table;

    start_clean();
    if (!is_pae())
        test_skip("entries of 32 bits have no reserved bits");
    space = scratch_space(1);
    entry = physical_entry(space, PLACE, 0, &table, NULL);
    bad = entry | 1ull << 51;
    physical_entry(space, PLACE, 0, &table, &bad);
    cpu_invlpg(PLACE);
    outcome = probe_read(PLACE);
    physical_entry(space, PLACE, 0, &table, &entry);
    cpu_invlpg(PLACE);

    drop_scratch_space(space, 1);
    CHECK(outcome.faulted);
    CHECK_EQ(outcome.address, PLACE);
    /* With P set by the manual (SDM 3A 4.7), without by QEMU 7.2. */
    CHECK_EQ(outcome.code & ~FAULT_PRESENT, FAULT_RESERVED);
}
