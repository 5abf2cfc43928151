/*
 * The kernel's view of memory elsewhere: devices, pages of its own.
 */
#include <kernel/errno.h>
#include <kernel/fault.h>
#include <kernel/host.h>
#include <kernel/kheap.h>
#include <kernel/layout.h>
#include <kernel/linear.h>
#include <kernel/memory.h>
#include <kernel/virtual.h>
#include <test.h>
#include <x86/cpu.h>

#include "probe.h"

enum { VGA_TEXT = 0xb8000, APIC = 0xfee00000, APIC_VERSION = 0x30 };

TEST(kmap_video_text)
{
    size_t free = physical_figures()->free;
    volatile uint16_t *text = kmap(2 * PAGE_SIZE, VGA_TEXT, VMA_PHYS | VMA_RW | VMA_UNCACHED);
    mmu_entry_t entry;
    size_t heap;

    CHECK(text != NULL);
    entry = mmu_read(kernel_pagetable(), (size_t)text);
    CHECK_EQ(mmu_frame(entry), VGA_TEXT);
    CHECK((entry & MMU_UNCACHED) != 0);
    CHECK((entry & MMU_WRITE) != 0);
    CHECK((entry & MMU_USER) == 0);
    /* A machine without an adapter has nothing there: reads are all ones. */
    text[5] = 0x0741;
    if (text[5] != 0xffff)
        CHECK_EQ(text[5], 0x0741);
    CHECK_OK(mspace_check(kMMU.kspace));
    heap = physical_figures()->owner[OWNER_HEAP];
    kunmap((void *)text, 2 * PAGE_SIZE);
    CHECK(probe_read((size_t)text).faulted);
    CHECK(probe_read((size_t)text + PAGE_SIZE).faulted);
    CHECK_EQ(physical_figures()->owner[OWNER_HEAP], heap);
    kheap_trim(&kernel_heap, 0);
    CHECK(physical_figures()->free <= free);
}

TEST(kmap_local_apic)
{
    uint32_t out[4];
    volatile uint32_t *apic;
    uint32_t version;

    cpu_cpuid(1, 0, out);
    if ((out[3] & 1u << 9) == 0)
        test_skip("this processor has no local APIC");
    apic = kmap(PAGE_SIZE, APIC, VMA_PHYS | VMA_RW | VMA_UNCACHED);
    CHECK(apic != NULL);
    CHECK((mmu_read(kernel_pagetable(), (size_t)apic) & MMU_UNCACHED) != 0);
    version = apic[APIC_VERSION / sizeof(*apic)];
    kunmap((void *)apic, PAGE_SIZE);
    /* Version 0x10 to 0x15, at least four entries in its vector table (SDM 3A 10.4.8). */
    CHECK((version & 0xff) >= 0x10 && (version & 0xff) <= 0x15);
    CHECK((version >> 16 & 0xff) >= 3 && (version >> 16 & 0xff) < 16);
    CHECK(probe_read((size_t)apic).faulted);
}

TEST(kmap_shows_frames_it_does_not_own)
{
    page_t page = frame_with(0xfeed);
    uint32_t *view[2] = { kmap(PAGE_SIZE, page, VMA_PHYS | VMA_RW),
                          kmap(PAGE_SIZE, page, VMA_PHYS | VMA_READ) };

    CHECK(view[0] != NULL && view[1] != NULL && view[0] != view[1]);
    CHECK_EQ(*view[1], 0xfeed);
    *view[0] = 0xcafe;
    CHECK_EQ(*view[1], 0xcafe);
    CHECK_EQ(probe_write((size_t)view[1], 1).code, FAULT_PRESENT | FAULT_WRITE);
    kunmap(view[0], PAGE_SIZE);
    kunmap(view[1], PAGE_SIZE);
    CHECK_EQ(page_count(page), 1);
    CHECK_EQ(frame_word(page), 0xcafe);
    CHECK_EQ(free_physical_page(page), 0);
}

/* One frame after another at one address: each time what is there now is seen. */
TEST(kmap_shows_the_new_frame_at_an_old_address)
{
    page_t page[4];
    uint32_t *before = NULL;

    for (size_t i = 0; i < ARRAY_LENGTH(page); i++) {
        uint32_t *view;

        page[i] = frame_with(0x1000 + i);
        view = kmap(PAGE_SIZE, page[i], VMA_PHYS | VMA_RW);
        CHECK(view != NULL && (before == NULL || view == before));
        CHECK_EQ(*(volatile uint32_t *)view, 0x1000 + i);
        *(volatile uint32_t *)view = 0x2000 + i;
        kunmap(view, PAGE_SIZE);
        before = view;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(page); i++) {
        CHECK_EQ(frame_word(page[i]), 0x2000 + i);
        free_physical_page(page[i]);
    }
}

TEST(kmap_is_guarded_and_in_every_space)
{
    page_t space;
    uint8_t *area[3];
    size_t wrong = 0;

    start_clean();
    space = create_pagetable();
    switch_pagetable(space);
    for (size_t i = 0; i < ARRAY_LENGTH(area); i++) {
        area[i] = kmap((i + 1) * PAGE_SIZE, 0, VMA_PIPE | VMA_RW);
        CHECK(area[i] != NULL);
        area[i][i * PAGE_SIZE] = (uint8_t)(0x70 + i);
    }
    switch_pagetable(kernel_pagetable());
    for (size_t i = 0; i < ARRAY_LENGTH(area); i++) {
        size_t base = (size_t)area[i];

        wrong += area[i][i * PAGE_SIZE] != 0x70 + i;
        wrong += !probe_read(base - 1).faulted || !probe_read(base + (i + 1) * PAGE_SIZE).faulted;
    }
    CHECK_OK(mspace_check(kMMU.kspace));
    for (size_t i = 0; i < ARRAY_LENGTH(area); i++)
        kunmap(area[i], (i + 1) * PAGE_SIZE);
    delete_pagetable(space);
    CHECK_EQ(wrong, 0);
}

TEST(kmap_over_a_border_of_tables)
{
    size_t length = 5 * MIB;
    uint8_t *area;

    if (physical_figures()->free < 3000)
        test_skip("it takes 12 MiB of memory");
    area = kmap(length, 0, VMA_PIPE | VMA_RW);
    CHECK(area != NULL);
    for (size_t at = 0; at < length; at += PAGE_SIZE)
        area[at] = (uint8_t)(at >> PAGE_SHIFT);
    for (size_t at = 0; at < length; at += PAGE_SIZE)
        CHECK_EQ(area[at], (uint8_t)(at >> PAGE_SHIFT));
    CHECK_OK(pagetable_check());
    kunmap(area, length);
}

TEST(kmap_refuses)
{
    static const struct { size_t length; page_t physical; int flags; int err; } calls[] = {
        { 0, VGA_TEXT, VMA_PHYS | VMA_RW, EINVAL },
        { 100, VGA_TEXT, VMA_PHYS | VMA_RW, EINVAL },
        { PAGE_SIZE, VGA_TEXT + 1, VMA_PHYS | VMA_RW, EINVAL },
        { PAGE_SIZE, VGA_TEXT, VMA_PHYS | VMA_RX, EINVAL },
        { PAGE_SIZE, VGA_TEXT, VMA_RW, EINVAL },
        { PAGE_SIZE, VGA_TEXT, VMA_ANON | VMA_RW, EINVAL },
        { 2 * PAGE_SIZE, 0xfffff000, VMA_PHYS | VMA_RW, EINVAL },
        { 512 * MIB, 0, VMA_PHYS | VMA_RW, ENOMEM },
    };

    for (size_t i = 0; i < ARRAY_LENGTH(calls); i++) {
        CHECK(kmap(calls[i].length, calls[i].physical, calls[i].flags) == NULL);
        CHECK_EQ(*host_errno(), calls[i].err);
    }
}

/* Every allocation on the way fails in turn; each time nothing may be missing. */
TEST(kmap_without_memory_changes_nothing)
{
    void *area = kmap(20 * PAGE_SIZE, 0, VMA_PIPE | VMA_RW);
    bool failed = true;
    size_t refused = 0;

    CHECK(area != NULL);            /* the tables of that place exist from now on */
    kunmap(area, 20 * PAGE_SIZE);
    for (size_t n = 1; failed; n++) {
        size_t pages = kMMU.kspace->v_size;
        size_t free;

        kheap_trim(&kernel_heap, 0);
        free = physical_figures()->free;
        fail_nth(n);
        area = kmap(20 * PAGE_SIZE, 0, VMA_PIPE | VMA_RW);
        failed = nth_failed();
        if (area == NULL) {
            CHECK_EQ(*host_errno(), ENOMEM);
            refused++;
        } else {
            kunmap(area, 20 * PAGE_SIZE);
        }
        kheap_trim(&kernel_heap, 0);
        CHECK_EQ(physical_figures()->free, free);
        CHECK_EQ(kMMU.kspace->v_size, pages);
    }
    CHECK(refused >= 20);
}
