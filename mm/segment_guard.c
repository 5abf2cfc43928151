/*
 * The pages of guard mode in the kernel: frames from anywhere, in a range of their own.
 */
#include <kernel/kheap_guard.h>
#include <kernel/layout.h>
#include <kernel/segment.h>

static_assert(KHEAP_GUARD_LENGTH(KHEAP_GUARD_SLOTS) <= GUARD_END - GUARD_BASE,
              "there is room for all slots");

static int map(guard_pages_t *pages, size_t address)
{
    (void)pages;
    return segment_map_page(address);
}

static void unmap(guard_pages_t *pages, size_t address)
{
    (void)pages;
    segment_unmap_page(address);
}

static guard_pages_t kernel_guard_pages = {
    .base = GUARD_BASE,
    .slots = KHEAP_GUARD_SLOTS,
    .map = map,
    .unmap = unmap,
};

void kernel_guard_start(size_t (*caller)(void),
                        const char *(*symbol)(size_t address, size_t *offset), uint32_t seed)
{
    static kheap_guard_t kernel_guard;

    kernel_guard_pages.caller = caller;
    kernel_guard_pages.symbol = symbol;
    kheap_guard_start(&kernel_heap, &kernel_guard, &kernel_guard_pages, seed);
}
