/*
 * The linear space on the real MMU: RAM at its own addresses, in pairs that nest.
 */
#include <kernel/boot_info.h>
#include <kernel/fault.h>
#include <kernel/kheap.h>
#include <kernel/layout.h>
#include <kernel/linear.h>
#include <kernel/physical.h>
#include <kernel/virtual.h>
#include <test.h>
#include <x86/cpu.h>

#include "probe.h"

#define PLACE ((size_t)0x50000000)

TEST(linear_space_pairs_nest)
{
    uint32_t cr3 = cpu_cr3();
    uint64_t loads = virtual_events.cr3_loads;
    uint32_t inside[3];
    size_t depth;

    enter_linear_space();
    inside[0] = cpu_cr3();
    enter_linear_space();
    enter_linear_space();
    inside[1] = cpu_cr3();
    depth = linear_space_depth();
    leave_linear_space();
    leave_linear_space();
    inside[2] = cpu_cr3();
    leave_linear_space();

    CHECK_EQ(depth, 3);
    CHECK_EQ(inside[0], linear_space_directory());
    CHECK_EQ(inside[1], linear_space_directory());
    CHECK_EQ(inside[2], linear_space_directory());
    CHECK_EQ(cpu_cr3(), cr3);
    CHECK_EQ(linear_space_depth(), 0);
    CHECK(!linear_space_is_on());
    CHECK_EQ(virtual_events.cr3_loads - loads, 2);
}

TEST(linear_space_shows_frames_and_the_kernel)
{
    static uint32_t of_the_image = 0x1111;
    uint32_t *of_the_heap = kmalloc(sizeof(*of_the_heap));
    volatile uint32_t of_the_stack = 0x3333;
    uint32_t seen[4];
    page_t page = frame_with(0x4444);

    *of_the_heap = 0x2222;
    enter_linear_space();
    seen[0] = of_the_image;
    seen[1] = *of_the_heap;
    seen[2] = of_the_stack;
    seen[3] = *(const uint32_t *)physical_ptr(page);
    *(uint32_t *)physical_ptr(page) = 0x5555;
    leave_linear_space();

    CHECK_EQ(seen[0], 0x1111);
    CHECK_EQ(seen[1], 0x2222);
    CHECK_EQ(seen[2], 0x3333);
    CHECK_EQ(seen[3], 0x4444);
    CHECK_EQ(frame_word(page), 0x5555);
    free_physical_page(page);
    kfree(of_the_heap);
}

/* In a process context: pages come and go, and the process's memory is as before. */
TEST(linear_space_comes_back_to_the_process)
{
    page_t space = create_pagetable();
    page_t frame = frame_with(0x600d);
    page_t pages[300];
    outcome_t before;
    outcome_t after;
    uint32_t cr3[2];

    CHECK_EQ(pagetable_map(space, PLACE, frame, ACCESS_WRITE | ACCESS_NOEXEC), 0);
    switch_pagetable(space);
    before = probe_read(PLACE);
    cr3[0] = cpu_cr3();
    for (size_t i = 0; i < ARRAY_LENGTH(pages); i++)
        pages[i] = alloc_physical_page(OWNER_ANON);
    for (size_t i = 0; i < ARRAY_LENGTH(pages); i++) {
        if (pages[i] != PAGE_NONE)
            free_physical_page(pages[i]);
    }
    cr3[1] = cpu_cr3();
    after = probe_read(PLACE);
    switch_pagetable(kernel_pagetable());

    CHECK_EQ(cr3[0], space);
    CHECK_EQ(cr3[1], space);
    CHECK(!before.faulted && before.value == 0x0d);
    CHECK(!after.faulted && after.value == 0x0d);
    CHECK_EQ(pagetable_unmap(space, PLACE), frame);
    delete_pagetable(space);
    free_physical_page(frame);
}

/* The process's own mapping must not shine through, not even from the TLB. */
TEST(linear_space_hides_the_process)
{
    page_t space = create_pagetable();
    page_t mapped = frame_with(0x11);
    page_t there = high_frame_with(0x22);
    outcome_t outside;
    outcome_t inside;

    /* In the process, the address `there` means another frame. */
    CHECK_EQ(pagetable_map(space, there, mapped, ACCESS_WRITE | ACCESS_NOEXEC), 0);
    switch_pagetable(space);
    outside = probe_read(there);
    enter_linear_space();
    inside = probe_read(there);
    leave_linear_space();
    switch_pagetable(kernel_pagetable());

    CHECK(!outside.faulted && outside.value == 0x11);
    CHECK(!inside.faulted && inside.value == 0x22);
    pagetable_unmap(space, there);
    delete_pagetable(space);
    free_physical_page(mapped);
    free_physical_page(there);
}

/* Every page of RAM is in it at its own address, and nothing but RAM is. */
TEST(linear_space_is_ram_and_nothing_else)
{
    page_t linear = linear_space_directory();
    size_t wrong = 0;
    uint64_t at = USER_BASE;

    for (size_t i = 0; i < boot_info.ram_count; i++) {
        const boot_range_t *ram = &boot_info.ram[i];
        uint64_t end = ram->end < LINEAR_END ? ram->end : LINEAR_END;

        for (; at < ram->base && at < LINEAR_END; at += PAGE_SIZE)
            wrong += get_translation(linear, (size_t)at) != NO_TRANSLATION;
        for (; at < end; at += PAGE_SIZE)
            wrong += get_translation(linear, (size_t)at) != (page_t)at;
    }
    /* Behind the last: all of it on small machines, some on large ones. */
    for (; at < LINEAR_END; at += 256 * PAGE_SIZE)
        wrong += get_translation(linear, (size_t)at) != NO_TRANSLATION;
    CHECK_EQ(wrong, 0);
}

TEST(linear_space_is_not_for_execution)
{
    /* One page among the low RAM that every space has, one above. */
    page_t page[] = { page_range(1, PAGE_SIZE, LOW_END, OWNER_ANON),
                      high_frame_with(0) };
    outcome_t outcome[2];

    for (size_t i = 0; i < ARRAY_LENGTH(page); i++) {
        CHECK(page[i] != PAGE_NONE);
        *(uint8_t *)mmu_temporary_map(0, page[i]) = 0xc3;      /* ret */
        mmu_temporary_unmap(0);
        enter_linear_space();
        outcome[i] = probe_execute(page[i]);
        leave_linear_space();
        free_physical_page(page[i]);
    }
    if (!mmu_can_forbid_execution())
        test_skip("this processor, or this format, cannot forbid execution");
    for (size_t i = 0; i < ARRAY_LENGTH(page); i++) {
        CHECK(outcome[i].faulted);
        CHECK_EQ(outcome[i].code, FAULT_PRESENT | FAULT_EXECUTE);
    }
}
