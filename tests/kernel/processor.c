/*
 * What the boot loader may have left on in the processor, and Grove has not.
 */
#include <kernel/physical.h>
#include <kernel/virtual.h>
#include <test.h>
#include <x86/cpu.h>
#include <x86/features.h>

/* A selector with TI set must have no table to read: 64 KiB at address 0 would be
 * frames that programs can have. */
TEST(processor_has_no_ldt)
{
    CHECK_EQ(cpu_ldt(), 0);
}

/* A descriptor put where the table would be after reset is not found. */
TEST(processor_finds_no_descriptor_in_low_memory)
{
    page_t page = page_range(1, PAGE_SIZE, 64 * KIB, OWNER_KERNEL);
    volatile uint64_t *descriptor = (volatile uint64_t *)page;
    bool found;

    CHECK(page != PAGE_NONE);
    *descriptor = 0x00cff3000000ffffull;    /* all of memory, for ring 3 */
    found = cpu_can_read_segment((uint16_t)(page | 7));
    *descriptor = 0;
    CHECK_EQ(free_physical_page(page), 0);
    CHECK(!found);
}

TEST(processor_has_only_the_control_bits_grove_sets)
{
    uint32_t ours = CR4_PSE | CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP |
                    CR4_SMEP | CR4_SMAP;
    uint32_t cr0 = cpu_cr0();

    CHECK_EQ(cpu_cr4() & ~ours, 0);
    CHECK_EQ((cpu_cr4() & CR4_PAE) != 0, virtual_format_name()[0] == 'p');
    CHECK_EQ(cr0 & (CR0_CD | CR0_NW | CR0_EM | CR0_TS), 0);
    CHECK_EQ(cr0 & (CR0_WP | CR0_AM | CR0_NE), CR0_WP | CR0_AM | CR0_NE);
}

/* DR7 reads as 0x400 when nothing is on (SDM 3B 18.2). */
TEST(processor_has_no_breakpoints)
{
    CHECK_EQ(cpu_dr7(), 0x400);
}

TEST(processor_has_one_way_into_ring_0)
{
    if (!cpu_features.msr || !cpu_features.sep)
        test_skip("no SYSENTER");
    CHECK_EQ(cpu_rdmsr(MSR_SYSENTER_CS), 0);
    if (cpu_features.nx)
        CHECK_EQ(cpu_rdmsr(MSR_EFER) & ~(uint64_t)EFER_NXE, 0);
}
