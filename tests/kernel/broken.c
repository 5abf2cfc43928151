/*
 * Tests that break something on purpose, to see that the check after each test
 * goes red. Each runs only when it is named; tests/tools/leak.t expects its
 * sentence.
 */
#include <kernel/kheap.h>
#include <kernel/layout.h>
#include <kernel/memory.h>
#include <kernel/virtual.h>
#include <test.h>

#include "probe.h"

extern const char image_rodata[];

/* Skip the current test unless the command line names it. */
static void only_by_name(void)
{
    if (!test_is_named())
        test_skip("it breaks something on purpose: run it by name");
    test_checks++;
}

TEST(broken_leak_of_a_frame)
{
    only_by_name();
    CHECK(alloc_physical_page(OWNER_KERNEL) != PAGE_NONE);
}

TEST(broken_program_frame_without_a_program)
{
    only_by_name();
    CHECK(alloc_physical_page(OWNER_ANON) != PAGE_NONE);
}

TEST(broken_leak_of_a_buffer)
{
    only_by_name();
    CHECK(kmalloc(10) != NULL);
}

TEST(broken_leak_of_a_space)
{
    only_by_name();
    CHECK(create_pagetable() != PAGE_NONE);
}

TEST(broken_owner_of_a_frame)
{
    page_t page;

    only_by_name();
    page = alloc_physical_page(OWNER_ANON);
    physical_frame(page)->owner = OWNER_KERNEL;     /* behind the allocator's back */
    CHECK(page != PAGE_NONE);
}

TEST(broken_free_list)
{
    page_t page;

    only_by_name();
    page = page_range(1, PAGE_SIZE, 0, OWNER_ANON);
    CHECK(page != PAGE_NONE);
    free_physical_page(page);
    physical_frame(page)->state = FRAME_USED;       /* it is free all the same */
}

TEST(broken_kernel_page_is_open)
{
    only_by_name();
    CHECK_EQ(virtual_map_kernel(KSPACE_END - 4 * PAGE_SIZE, kMMU.zero_page,
                                ACCESS_USER | ACCESS_NOEXEC), 0);
}

TEST(broken_kernel_page_is_writable_and_executable)
{
    only_by_name();
    if (!mmu_can_forbid_execution())
        test_skip("this processor, or this format, cannot forbid execution");
    CHECK_EQ(virtual_map_kernel(KSPACE_END - 4 * PAGE_SIZE, kMMU.zero_page, ACCESS_WRITE), 0);
}

TEST(broken_constants_are_writable)
{
    only_by_name();
    CHECK_EQ(virtual_map_kernel(KSPACE_END - 4 * PAGE_SIZE, (page_t)image_rodata,
                                ACCESS_WRITE | ACCESS_NOEXEC), 0);
}

TEST(broken_heap)
{
    uint32_t *buffer;

    only_by_name();
    buffer = kmalloc(64);
    CHECK(buffer != NULL);
    buffer[-1] ^= 0x00000100;                       /* the length in its registry */
}
