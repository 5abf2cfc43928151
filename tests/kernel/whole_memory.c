/*
 * All of the machine's memory. The last file: from here on pages of all blocks have
 * been in use, and a debug build looks at each before it goes out again.
 */
#include <kernel/boot_info.h>
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/kheap.h>
#include <kernel/layout.h>
#include <kernel/memory.h>
#include <kernel/string.h>
#include <kernel/virtual.h>
#include <test.h>

#include "probe.h"

/*
 * A page that is given back is written to for the first time, which is slow for a
 * large machine in an emulator.
 */
#define SMALL_MACHINE (64 * MIB / PAGE_SIZE)
#define LARGE_MACHINE (512 * MIB / PAGE_SIZE)

static bool is_reserved(page_t page)
{
    for (size_t i = 0; i < boot_info.reserved_count; i++) {
        const boot_reserved_t *reserved = &boot_info.reserved[i];

        if (reserved->base < (uint64_t)page + PAGE_SIZE && reserved->end > page)
            return true;
    }
    return false;
}

static bool is_ram(page_t page)
{
    for (size_t i = 0; i < boot_info.ram_count; i++) {
        if (page >= boot_info.ram[i].base && page < boot_info.ram[i].end)
            return true;
    }
    return false;
}

/*
 * Each free page is given out once, none of them is reserved or no RAM; then
 * there is none. A map of bits remembers, since it shares nothing with the frame
 * table. Of a large machine only a part is taken, unless this test is named.
 */
TEST(whole_memory_page_by_page)
{
    size_t length = physical_frame_count / 32 + 1;
    uint32_t *seen = kcalloc(length, sizeof(*seen));
    size_t free = physical_figures()->free;
    bool all = free < LARGE_MACHINE || test_is_named();
    size_t want = all ? SIZE_MAX : LARGE_MACHINE / 2;
    size_t count = 0;
    size_t twice = 0;
    size_t foreign = 0;
    page_t page;

    CHECK(seen != NULL);
    while (count < want && (page = alloc_physical_page(OWNER_ANON)) != PAGE_NONE) {
        size_t number = page >> PAGE_SHIFT;

        twice += (seen[number / 32] >> number % 32 & 1) != 0;
        seen[number / 32] |= 1u << number % 32;
        foreign += is_reserved(page) || !is_ram(page) || (page & PAGE_MASK) != 0;
        count++;
    }
    CHECK_EQ(twice, 0);
    CHECK_EQ(foreign, 0);
    CHECK_EQ(count, all ? free : want);
    CHECK_EQ(physical_figures()->free, free - count);
    if (all) {
        CHECK_EQ(alloc_physical_page(OWNER_ANON), PAGE_NONE);
        CHECK_EQ(page_range(1, PAGE_SIZE, 0, OWNER_ANON), PAGE_NONE);
    }
    CHECK_OK(physical_check());

    for (size_t number = 0; number < physical_frame_count; number++) {
        if ((seen[number / 32] >> number % 32 & 1) != 0)
            count -= free_physical_page((page_t)number << PAGE_SHIFT) == 0;
    }
    CHECK_EQ(count, 0);
    CHECK_EQ(physical_figures()->free, free);
    kfree(seen);
}

/* Without a page left, every layer says so, and goes on when there are some again. */
TEST(whole_memory_is_gone_for_everyone)
{
    page_t chain = PAGE_NONE;
    page_t page;
    mspace_t *mspace;
    bool refused;

    start_clean();
    if (physical_figures()->free > SMALL_MACHINE)
        test_skip("the machine is too large");
    kheap_trim(&kernel_heap, 0);
    mspace = mspace_create();
    CHECK(mspace != NULL);
    CHECK(mspace_map(mspace, 0x40000000, 100 * PAGE_SIZE, NULL, 0, 0, VMA_ANON | VMA_RW));
    /* Each page remembers the one before, in its own first word. */
    while ((page = alloc_physical_page(OWNER_ANON)) != PAGE_NONE) {
        *(page_t *)mmu_temporary_map(0, page) = chain;
        mmu_temporary_unmap(0);
        chain = page;
    }
    refused = kmalloc(16 * PAGE_SIZE) == NULL && kmap(PAGE_SIZE, 0, VMA_PIPE | VMA_RW) == NULL &&
              *host_errno() == ENOMEM && create_pagetable() == PAGE_NONE &&
              mspace_create() == NULL &&
              mspace_resolve(mspace, 0x40000000, PAGE_SIZE, true) == -ENOMEM;
    while (chain != PAGE_NONE) {
        page = chain;
        chain = frame_word(page);
        free_physical_page(page);
    }
    CHECK(refused);
    CHECK_EQ(mspace_resolve(mspace, 0x40000000, 100 * PAGE_SIZE, true), 0);
    CHECK_OK(mspace_check(mspace));
    mspace_close(mspace);
}

/* kmalloc until there is none, in two sizes; what is freed is one gap, and goes. */
TEST(whole_memory_as_buffers)
{
    struct buffer { struct buffer *before; size_t size; } *last = NULL;
    static const size_t sizes[] = { 60000, 900, 16 };
    kheap_stat_t before;
    kheap_stat_t after;
    size_t count = 0;
    size_t wrong = 0;
    size_t free;

    start_clean();
    if (physical_figures()->free > SMALL_MACHINE)
        test_skip("the machine is too large");
    kheap_trim(&kernel_heap, 0);
    kheap_stat(&kernel_heap, &before);
    free = physical_figures()->free;
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        struct buffer *buffer;

        while ((buffer = kmalloc(sizes[i])) != NULL) {
            *buffer = (struct buffer){ last, sizes[i] };
            last = buffer;
            count++;
        }
    }
    CHECK(count > 100);
    CHECK(last != NULL && krealloc(last, 100000) == NULL);
    CHECK(kcalloc(100, 1000) == NULL);
    CHECK(kmemalign(PAGE_SIZE, PAGE_SIZE) == NULL);
    CHECK(physical_figures()->free < 40);     /* what its last page table would take */
    CHECK_OK(kheap_check(&kernel_heap));
    while (last != NULL) {
        struct buffer *buffer = last;

        last = buffer->before;
        wrong += buffer->size != 16 && buffer->size != 900 && buffer->size != 60000;
        kfree(buffer);
    }
    CHECK_EQ(wrong, 0);
    CHECK_OK(kheap_check(&kernel_heap));
    kheap_trim(&kernel_heap, 0);
    kheap_stat(&kernel_heap, &after);
    CHECK_EQ(after.buffer_count, before.buffer_count);
    CHECK_EQ(after.used, before.used);
    CHECK(after.gap_count <= before.gap_count + 1);
    CHECK(after.segment <= before.segment + PAGE_SIZE);
    CHECK(physical_figures()->free + 80 > free);      /* kernel tables stay */
}
