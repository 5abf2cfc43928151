/*
 * The least that mm/x86/physical*.c needs around it: RAM, a memory map, the
 * linear space's calls, panic and host.h. RAM lies at its own addresses, as in
 * the linear space, so that the real x86/cpu.h does for clearing a page.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/linear.h>
#include <kernel/panic.h>
#include <kernel/physical.h>
#include <kernel/printk.h>
#include <x86/cpu.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "machine.h"

size_t machine_visits;

static size_t depth;

/* ---- what the kernel would provide */

void panic(const char *format, ...)
{
    char sentence[256];
    va_list args;

    va_start(args, format);
    vformat_text(sentence, sizeof(sentence), format, args);
    va_end(args);
    fprintf(stderr, "bench-pages: panic: %s\n", sentence);
    abort();
}

int *host_errno(void)
{
    static int number;

    return &number;
}

void host_misuse(const char *sentence)
{
    panic("misuse: %s", sentence);
}

void enter_linear_space(void)
{
    if (depth++ == 0)
        machine_visits++;
}

void leave_linear_space(void)
{
    ASSERT(depth > 0);
    depth--;
}

size_t linear_space_depth(void)
{
    return depth;
}

bool linear_space_is_on(void)
{
    return depth > 0;
}

void *physical_ptr(page_t page)
{
    return cpu_physical_address(page);
}

/* ---- RAM */

/* In large pages if the system has them, as the linear space is mapped. */
void machine_map_ram(void)
{
    void *ram = mmap((void *)(uintptr_t)RAM_BASE, RAM_MAX, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

    if (ram != (void *)(uintptr_t)RAM_BASE)
        panic("there is no room for RAM at %#x", RAM_BASE);
    madvise(ram, RAM_MAX, MADV_HUGEPAGE);
}

boot_range_t machine_start(size_t page_count)
{
    uint64_t end = RAM_BASE + (uint64_t)page_count * PAGE_SIZE;
    boot_range_t whole;
    boot_range_t more;
    const char *trouble;

    ASSERT(page_count <= RAM_MAX / PAGE_SIZE);
    memset(&boot_info, 0, sizeof(boot_info));
    boot_info.region[0] = (boot_region_t){ RAM_BASE, end, BOOT_RAM };
    boot_info.region_count = 1;
    depth = 0;
    if (boot_info_find_ram(&boot_info) != 0)
        panic("the memory map");
    trouble = physical_init(&boot_info);
    if (trouble != NULL)
        panic("%s", trouble);
    if (!boot_info_next_free(&boot_info, 0, LINEAR_END, &whole))
        panic("no free memory");
    if (boot_info_next_free(&boot_info, whole.end, LINEAR_END, &more))
        panic("free memory is in two pieces");
    machine_visits = 0;
    return whole;
}
