/*
 * The kernel's part of every space: the same in all of them, guarded, and with no
 * more rights than it needs.
 */
#include <kernel/errno.h>
#include <kernel/fault.h>
#include <kernel/kheap.h>
#include <kernel/linear.h>
#include <kernel/segment.h>
#include <kernel/string.h>
#include <kernel/virtual.h>
#include <test.h>

#include "probe.h"

extern const char image_text[], image_rodata[], image_data[], image_end[];
extern const char boot_stack_guard[];

/* A segment of our own where no kernel table is yet, its first border 2 pages away. */
static segment_t scratch_segment(void)
{
    segment_t segment = kernel_segment;

    segment.base = SEGMENT_BASE + 0x08000000 + 4 * MIB - 2 * PAGE_SIZE;
    segment.length = 0;
    segment.limit = 16 * MIB;
    segment.side = (void *)(SEGMENT_SIDE_BASE + 2 * MIB);
    return segment;
}

TEST(kernel_part_grows_in_every_space)
{
    page_t space[2];
    segment_t segment = scratch_segment();
    size_t wrong = 0;

    start_clean();
    space[0] = create_pagetable();
    space[1] = create_pagetable();
    switch_pagetable(space[0]);
    /* Over a border of 4 MiB and, where tables are smaller, two of 2 MiB. */
    CHECK_EQ(segment.extend(&segment, 516), 0);
    CHECK_EQ(segment.length, 516 * PAGE_SIZE);
    for (size_t i = 0; i < 516; i++)
        *(uint32_t *)(segment.base + i * PAGE_SIZE) = (uint32_t)i;

    page_t later = create_pagetable();
    page_t look_from[] = { space[1], later, kernel_pagetable(), linear_space_directory() };

    for (size_t k = 0; k < ARRAY_LENGTH(look_from); k++) {
        switch_pagetable(look_from[k]);
        for (size_t i = 0; i < 516; i++)
            wrong += !reads(segment.base + i * PAGE_SIZE, (uint8_t)i);
    }
    CHECK_OK(pagetable_check());
    switch_pagetable(space[1]);
    segment.shrink(&segment, 516);
    switch_pagetable(space[0]);
    for (size_t i = 0; i < 516; i++)
        wrong += !faults(probe_read(segment.base + i * PAGE_SIZE),
                         segment.base + i * PAGE_SIZE, 0);
    switch_pagetable(kernel_pagetable());
    delete_pagetable(space[0]);
    delete_pagetable(space[1]);
    delete_pagetable(later);
    CHECK_EQ(wrong, 0);
}

/*
 * More tables than one kernel table can show: a new one is needed to show the
 * next, several times.
 */
TEST(kernel_part_thousands_of_tables)
{
    enum { SPACES = 3 };
    page_t space[SPACES];
    size_t tables = 0;
    size_t wrong = 0;

    start_clean();
    if (physical_figures()->free < 6000)
        test_skip("it takes 24 MiB of memory");
    for (size_t i = 0; i < SPACES; i++) {
        space[i] = create_pagetable();
        tables = mmu_table_count(space[i]);
        for (size_t at = USER_BASE; at < USER_END; at += 2 * MIB)
            wrong += pagetable_map(space[i], at + i * PAGE_SIZE, kMMU.zero_page,
                                   ACCESS_KERNEL | ACCESS_NOEXEC) != 0;
    }
    CHECK_EQ(wrong, 0);
    CHECK_OK(pagetable_check());
    for (size_t i = 0; i < SPACES; i++) {
        switch_pagetable(space[i]);
        for (size_t at = USER_BASE; at < USER_END; at += 2 * MIB)
            wrong += !reads(at + i * PAGE_SIZE, 0) || !probe_read(at + 7 * PAGE_SIZE).faulted;
    }
    switch_pagetable(kernel_pagetable());
    for (size_t i = 0; i < SPACES; i++) {
        for (size_t at = USER_BASE; at < USER_END; at += 2 * MIB)
            wrong += pagetable_unmap(space[i], at + i * PAGE_SIZE) != kMMU.zero_page;
        wrong += mmu_table_count(space[i]) != tables;
        delete_pagetable(space[i]);
    }
    CHECK_EQ(wrong, 0);
}

/* In a row for the kernel, scattered in RAM. */
TEST(kernel_part_segment_over_scattered_frames)
{
    segment_t segment = scratch_segment();
    size_t wrong = 0;

    for (size_t round = 0; round < 5; round++) {
        page_t hole = alloc_physical_page(OWNER_ANON);

        CHECK_EQ(segment.extend(&segment, 1 + round), 0);
        free_physical_page(hole);
    }
    CHECK_EQ(segment.length, 15 * PAGE_SIZE);
    for (size_t i = 0; i < segment.length / sizeof(uint32_t); i++)
        ((uint32_t *)segment.base)[i] = (uint32_t)(i * 2654435761u);
    for (size_t at = 0; at < segment.length; at += PAGE_SIZE) {
        page_t page = get_translation(kernel_pagetable(), segment.base + at);
        size_t first = at / sizeof(uint32_t);

        enter_linear_space();
        for (size_t i = 0; i < PAGE_SIZE / sizeof(uint32_t); i++)
            wrong += ((const uint32_t *)physical_ptr(page))[i] != (first + i) * 2654435761u;
        leave_linear_space();
    }
    segment.shrink(&segment, 15);
    CHECK_EQ(wrong, 0);
}

TEST(kernel_part_segment_extends_wholly_or_not)
{
    segment_t segment = scratch_segment();
    size_t free;

    CHECK_EQ(segment.extend(&segment, 8), 0);       /* its tables exist from now on */
    segment.shrink(&segment, 8);
    free = physical_figures()->free;
    for (size_t n = 1; n <= 9; n++) {       /* one for the notes */
        int err;

        physical_fail_after(n);
        err = segment.extend(&segment, 8);
        physical_fail_after(0);
        CHECK_EQ(err, -ENOMEM);
        CHECK_EQ(segment.length, 0);
        CHECK_EQ(physical_figures()->free, free);
        CHECK(faults(probe_read(segment.base), segment.base, 0));
        CHECK(faults(probe_read((size_t)segment.side), (size_t)segment.side, 0));
    }
    CHECK_EQ(segment.extend(&segment, 16 * MIB / PAGE_SIZE + 1), -ENOMEM);
    CHECK_EQ(segment.extend(&segment, SIZE_MAX), -ENOMEM);
    CHECK_EQ(physical_figures()->free, free);
}

/* How many bytes from here on are not `value`. */
static size_t others(size_t vaddr, size_t length, uint8_t value)
{
    size_t count = 0;

    for (size_t i = 0; i < length; i++)
        count += ((const uint8_t *)vaddr)[i] != value;
    return count;
}

enum { NOTED = PAGE_SIZE / SEGMENT_SIDE };      /* pages of the segment that a page notes */

/* The heap's notes: a page of them comes with the first page that it has room for. */
TEST(kernel_part_segment_notes_come_and_go)
{
    segment_t segment = scratch_segment();
    size_t side = (size_t)segment.side;

    CHECK_EQ(segment.extend(&segment, 2 * NOTED), 0);   /* its tables exist from now on */
    segment.shrink(&segment, 2 * NOTED);
    size_t free = physical_figures()->free;
    size_t heap = physical_figures()->owner[OWNER_HEAP];

    CHECK_EQ(segment.extend(&segment, 3), 0);
    CHECK_EQ(physical_figures()->owner[OWNER_HEAP], heap + 3 + 1);
    CHECK_EQ(others(side, PAGE_SIZE, 0), 0);
    CHECK(faults(probe_read(side + PAGE_SIZE), side + PAGE_SIZE, 0));
    memset((void *)side, 0xa5, PAGE_SIZE);
    CHECK_EQ(segment.extend(&segment, NOTED - 3), 0);   /* what is there stays as it is */
    CHECK_EQ(physical_figures()->owner[OWNER_HEAP], heap + NOTED + 1);
    CHECK_EQ(others(side, PAGE_SIZE, 0xa5), 0);
    CHECK(faults(probe_read(side + PAGE_SIZE), side + PAGE_SIZE, 0));

    for (size_t round = 0; round < 3; round++) {
        CHECK_EQ(segment.extend(&segment, 1), 0);
        CHECK_EQ(physical_figures()->owner[OWNER_HEAP], heap + NOTED + 1 + 2);
        CHECK_EQ(others(side, PAGE_SIZE, 0xa5), 0);
        CHECK_EQ(others(side + PAGE_SIZE, PAGE_SIZE, 0), 0);
        CHECK(faults(probe_read(side + 2 * PAGE_SIZE), side + 2 * PAGE_SIZE, 0));
        memset((void *)(side + PAGE_SIZE), 0xa5, PAGE_SIZE);
        segment.shrink(&segment, 1);
        CHECK_EQ(physical_figures()->owner[OWNER_HEAP], heap + NOTED + 1);
        CHECK(faults(probe_read(side + PAGE_SIZE), side + PAGE_SIZE, 0));
    }
    segment.shrink(&segment, NOTED - 1);
    CHECK_EQ(others(side, PAGE_SIZE, 0xa5), 0);
    segment.shrink(&segment, 1);
    CHECK(faults(probe_read(side), side, 0));
    CHECK_EQ(segment.extend(&segment, 2 * NOTED), 0);   /* both pages at once */
    CHECK_EQ(others(side, 2 * PAGE_SIZE, 0), 0);
    segment.shrink(&segment, 2 * NOTED);
    CHECK(faults(probe_read(side), side, 0));
    CHECK(faults(probe_read(side + PAGE_SIZE), side + PAGE_SIZE, 0));
    CHECK_EQ(physical_figures()->free, free);
    CHECK_EQ(physical_figures()->owner[OWNER_HEAP], heap);
    CHECK_OK(pagetable_check());
}

TEST(kernel_part_segment_without_a_page_for_notes)
{
    segment_t segment = scratch_segment();
    size_t side = (size_t)segment.side;
    size_t end = segment.base + NOTED * PAGE_SIZE;

    CHECK_EQ(segment.extend(&segment, 3 * NOTED), 0);   /* its tables exist from now on */
    segment.shrink(&segment, 2 * NOTED);
    memset((void *)side, 0xa5, PAGE_SIZE);
    size_t free = physical_figures()->free;
    for (size_t n = 1; n <= 4; n++) {       /* two pages of notes, two pages */
        physical_fail_after(n);
        int err = segment.extend(&segment, n == 4 ? 2 * NOTED : NOTED + 1);
        physical_fail_after(0);
        CHECK_EQ(err, -ENOMEM);
        CHECK_EQ(segment.length, NOTED * PAGE_SIZE);
        CHECK_EQ(physical_figures()->free, free);
        CHECK(faults(probe_read(side + PAGE_SIZE), side + PAGE_SIZE, 0));
        CHECK(faults(probe_read(side + 2 * PAGE_SIZE), side + 2 * PAGE_SIZE, 0));
        CHECK(faults(probe_read(end), end, 0));
        CHECK_EQ(others(side, PAGE_SIZE, 0xa5), 0);
    }
    segment.shrink(&segment, NOTED);
    CHECK(faults(probe_read(side), side, 0));
    CHECK_OK(pagetable_check());
}

/* ---- what must not be there */

TEST(kernel_part_guards)
{
    size_t heap_end = kernel_segment.base + kernel_segment.length;
    const size_t nothing[] = {
        0, 8, PAGE_SIZE - 1, (size_t)boot_stack_guard, (size_t)boot_stack_guard + PAGE_SIZE - 1,
        VIDEO_BASE, 0xb8000, VIDEO_END - 1, SEGMENT_BASE - 1, heap_end, FRAME_TABLE_END - 1,
        KSPACE_BASE, KSPACE_END - 1, DEVICE_BASE, 0xfee00000, 0xffffffff, USER_BASE, 0x50000000,
    };

    for (size_t i = 0; i < ARRAY_LENGTH(nothing); i++) {
        outcome_t outcome = probe_read(nothing[i]);

        if (!faults(outcome, nothing[i], 0))
            test_fail(__FILE__, __LINE__, "%#zx can be read", nothing[i]);
        CHECK(faults(probe_write(nothing[i], 1), nothing[i], FAULT_WRITE));
    }
    CHECK(!probe_read((size_t)boot_stack_guard - 1).faulted);
    CHECK(!probe_read((size_t)boot_stack_guard + PAGE_SIZE).faulted);
}

TEST(kernel_part_image_is_written_or_executed_never_both)
{
    unsigned refused = FAULT_PRESENT | FAULT_WRITE;

    for (size_t at = (size_t)image_text; at < (size_t)image_data; at += PAGE_SIZE) {
        outcome_t outcome = probe_write(at + 123, 0);

        if (!faults(outcome, at + 123, refused))
            test_fail(__FILE__, __LINE__, "%#zx of the image can be written", at);
    }
    for (size_t at = (size_t)image_data; at < (size_t)image_end; at += PAGE_SIZE) {
        outcome_t outcome = probe_read(at);

        if (at != (size_t)boot_stack_guard)
            CHECK(!outcome.faulted && !probe_write(at, outcome.value).faulted);
    }
    CHECK_OK(pagetable_check());
}

TEST(kernel_part_data_is_not_executed)
{
    static const uint8_t constant[1] = { 0xc3 };        /* ret */
    static uint8_t variable[1] = { 0xc3 };
    uint8_t on_stack[1] = { 0xc3 };
    uint8_t *on_heap = kmalloc(1);
    uint8_t *mapped = kmap(PAGE_SIZE, 0, VMA_PIPE | VMA_RW);
    const uint8_t *const code[] = { constant, variable, on_stack, on_heap, mapped };
    outcome_t outcome[ARRAY_LENGTH(code)];

    *on_heap = 0xc3;
    *mapped = 0xc3;
    for (size_t i = 0; i < ARRAY_LENGTH(code); i++)
        outcome[i] = probe_execute((size_t)code[i]);
    kunmap(mapped, PAGE_SIZE);
    kfree(on_heap);
    for (size_t i = 0; i < ARRAY_LENGTH(code); i++) {
        if (mmu_can_forbid_execution())
            CHECK(faults(outcome[i], (size_t)code[i], FAULT_PRESENT | FAULT_EXECUTE));
        else
            CHECK(!outcome[i].faulted);
    }
    if (!mmu_can_forbid_execution())
        test_skip("this processor, or this format, cannot forbid execution");
}
