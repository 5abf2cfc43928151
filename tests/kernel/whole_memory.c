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
#include <kernel/selftest.h>
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

#define HELD_MAX 8192     /* buffers at once: of 64 KiB, as they are in the middle */

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

/* ---- the whole segment as buffers */

/* What marks a buffer: its own place and size, in its first words and its last byte. */
typedef struct mark {
    size_t place;
    size_t size;
} mark_t;

static struct {
    mark_t **buffer;        /* in the heap itself */
    size_t count;
    size_t wrong;
} held;

/* => false: kmalloc has none, or the list is full */
static bool hold_buffer(size_t size)
{
    mark_t *buffer = held.count < HELD_MAX ? kmalloc(size) : NULL;

    if (buffer == NULL)
        return false;
    *buffer = (mark_t){ (size_t)buffer, size };
    if (size > sizeof(*buffer))
        ((uint8_t *)buffer)[size - 1] = (uint8_t)size;
    held.buffer[held.count++] = buffer;
    return true;
}

static void free_buffer(mark_t *buffer)
{
    size_t size = buffer->size;

    held.wrong += buffer->place != (size_t)buffer ||
                  (size > sizeof(*buffer) && ((uint8_t *)buffer)[size - 1] != (uint8_t)size);
    kfree(buffer);
}

static size_t mixed_size(void)
{
    return sizeof(mark_t) + test_random_below(test_random_below(2) == 0 ? 2000 : 256 * KIB);
}

/* All of what kmalloc has: mixed sizes, then smaller and smaller ones. */
static void hold_all_buffers(void)
{
    static const size_t sizes[] = { 20000, 900, sizeof(mark_t) };

    held.count = 0;
    held.wrong = 0;
    while (hold_buffer(mixed_size()))
        ;
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        while (hold_buffer(sizes[i]))
            ;
    }
}

static void free_all_in_any_order(void)
{
    while (held.count > 0) {
        size_t i = test_random_below(held.count);
        mark_t *buffer = held.buffer[i];

        held.buffer[i] = held.buffer[--held.count];
        free_buffer(buffer);
        if (held.count % 1000 == 500)
            CHECK_OK(kheap_check(&kernel_heap));
    }
}

/* Why there is no more: the segment ends, or all pages are gone but some for tables. */
static bool is_all_gone(void)
{
    size_t length = kernel_segment.length;

    return length + 4 * PAGE_SIZE >= kernel_segment.limit || physical_figures()->free < 40;
}

/* kmalloc until there is none; what is freed grows together to one gap, and goes. */
TEST(whole_memory_as_buffers)
{
    kheap_stat_t before;
    kheap_stat_t after;
    uint64_t tables;
    size_t free;

    start_clean();
    kheap_trim(&kernel_heap, 0);
    kheap_stat(&kernel_heap, &before);
    tables = virtual_events.kernel_tables;
    free = physical_figures()->free;
    held.buffer = kmalloc(HELD_MAX * sizeof(held.buffer[0]));
    CHECK(held.buffer != NULL);

    hold_all_buffers();
    CHECK(held.count > 30 && held.count < HELD_MAX);
    CHECK(is_all_gone());
    CHECK(kmalloc(1) == NULL && kcalloc(100, 1000) == NULL);
    CHECK(krealloc(held.buffer[0], 300 * KIB) == NULL);
    CHECK(kmemalign(PAGE_SIZE, PAGE_SIZE) == NULL);
    CHECK_OK(selftest_check());

    free_all_in_any_order();
    CHECK_EQ(held.wrong, 0);
    kfree(held.buffer);
    kheap_flush(&kernel_heap);
    kheap_stat(&kernel_heap, &after);
    CHECK(after.gap_count <= before.gap_count + 1);
    CHECK_EQ(after.void_count, before.void_count);
    kheap_trim(&kernel_heap, 0);
    kheap_stat(&kernel_heap, &after);
    CHECK_OK(selftest_check());
    CHECK_EQ(after.buffer_count, before.buffer_count);
    CHECK_EQ(after.used, before.used);
    CHECK_EQ(after.gap_count, before.gap_count);
    CHECK_EQ(after.segment, before.segment);
    CHECK_EQ(physical_figures()->free + (virtual_events.kernel_tables - tables), free);
}
