/*
 * The border (mmu.h): entries read and changed, ranges, flushes, temporary slots. The
 * second reader judges the tables, the fake processor the flushes.
 */
#include <kernel/layout.h>
#include <paging.h>

#include <string.h>

#define FLUSH_MANY 4096         /* pages: one full flush, DESIGN section 9 */

/* ---- one entry */

/* Every combination of bits, with frames at both ends of what there can be. */
TEST(mmu_entries_come_back_as_they_were)
{
    static const page_t frames[] = { 0x1000, 0x7fffff000 & (page_t)-1, 0xfffff000, 0x12345000 };

    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        mmu_place_t place;
        page_t space;

        paging_start(i);
        space = create_pagetable();
        CHECK_EQ(mmu_make(space, 0x40000000, &place), 0);
        for (mmu_entry_t bits = 0; bits < PAGE_SIZE; bits++) {
            for (size_t k = 0; k < ARRAY_LENGTH(frames); k++) {
                mmu_entry_t entry = (i == 0 ? frames[k] & 0xffffffff : frames[k]) | bits;

                if (bits & MMU_LARGE)       /* of a last-level entry: the PAT bit */
                    continue;
                mmu_set(&place, entry);
                CHECK_EQ(mmu_get(&place), entry);
                CHECK_EQ(mmu_read(space, 0x40000000), entry);
                paging_check_entry(space, 0x40000000, entry);
            }
        }
        mmu_set(&place, 0);
        CHECK_EQ(mmu_read(space, 0x40000000), 0);
        delete_pagetable(space);
        fake_machine_stop();
    }
}

TEST(mmu_find_and_make)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        mmu_place_t place;
        size_t tables;
        page_t space;

        paging_start(i);
        space = create_pagetable();
        tables = physical_figures()->owner[OWNER_PAGE_TABLE];
        mmu_find(space, 0x80001000, &place);
        CHECK(place.entry == NULL);
        CHECK_EQ(mmu_get(&place), 0);
        CHECK_EQ(mmu_read(space, 0x80001000), 0);
        CHECK_EQ(physical_figures()->owner[OWNER_PAGE_TABLE], tables);
        CHECK_EQ(mmu_make(space, 0x80001000, &place), 0);
        CHECK(place.entry != NULL);
        CHECK_EQ(mmu_get(&place), 0);
        tables = physical_figures()->owner[OWNER_PAGE_TABLE];
        CHECK_EQ(mmu_make(space, 0x80002000, &place), 0);
        CHECK_EQ(physical_figures()->owner[OWNER_PAGE_TABLE], tables);
        mmu_find(space, 0x80001000, &place);
        CHECK(place.entry != NULL);
        delete_pagetable(space);
        fake_machine_stop();
    }
}

TEST(mmu_can_forbid_execution_where_the_format_can)
{
    for (size_t i = 0; i < 2 * PAGING_FORMATS; i++) {
        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = paging_formats[i / 2],
                                             .lacks = i % 2 != 0 ? FAKE_NO_NX : 0 });
        CHECK_EQ(mmu_can_forbid_execution(), i / 2 != 0 && i % 2 == 0);
        fake_machine_stop();
    }
}

/*
 * Each change that takes something away is flushed, exactly once; what was not
 * present needs no flush, and what another space has neither.
 */
TEST(mmu_set_flushes_what_was_present)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        page_t space, other, page;
        mmu_place_t place;

        paging_start(i);
        space = create_pagetable();
        other = create_pagetable();
        page = page_new(OWNER_ANON);
        switch_pagetable(space);
        CHECK_EQ(mmu_make(space, 0x40000000, &place), 0);
        fake_reset_events();
        mmu_set(&place, page | MMU_PRESENT | MMU_USER | MMU_WRITE);
        CHECK_EQ(fake_events.invlpgs, 0);
        CHECK_EQ(fake_user_access(0x40000000, FAKE_WRITE), 0);
        mmu_set(&place, page | MMU_PRESENT | MMU_USER);         /* read-only */
        CHECK_EQ(fake_events.invlpgs, 1);
        CHECK_EQ(fake_user_access(0x40000000, FAKE_WRITE),
                 FAKE_PRESENT | FAKE_WRITE | FAKE_USER);
        CHECK_EQ(fake_user_access(0x40000000, 0), 0);
        mmu_set(&place, page | MMU_HELD);                       /* no right at all */
        CHECK_EQ(fake_events.invlpgs, 2);
        CHECK_EQ(fake_user_access(0x40000000, 0), FAKE_USER);
        mmu_set(&place, page | MMU_PRESENT | MMU_USER);
        CHECK_EQ(fake_events.invlpgs, 2);
        CHECK_EQ(fake_user_access(0x40000000, 0), 0);
        switch_pagetable(other);
        mmu_set(&place, 0);
        CHECK_EQ(fake_events.invlpgs, 2);
        switch_pagetable(space);
        CHECK_EQ(fake_user_access(0x40000000, 0), FAKE_USER);
        CHECK_EQ(fake_events.full_flushes, 0);
        switch_pagetable(kernel_pagetable());
        delete_pagetable(space);
        delete_pagetable(other);
        page_release(page);
        fake_machine_stop();
    }
}

TEST(mmu_flush_is_for_the_current_space)
{
    page_t space;

    paging_start(0);
    space = create_pagetable();
    fake_reset_events();
    mmu_flush(space, 0x40000000);
    CHECK_EQ(fake_events.invlpgs, 0);
    switch_pagetable(space);
    mmu_flush(space, 0x40000000);
    CHECK_EQ(fake_events.invlpgs, 1);
    switch_pagetable(kernel_pagetable());
    delete_pagetable(space);
    fake_machine_stop();
}

/* ---- ranges */

static struct {
    size_t count;
    size_t last;
    size_t first;
} visits;

static mmu_entry_t drop(void *context, size_t vaddr, mmu_entry_t entry)
{
    CHECK(context == &visits);
    CHECK(entry != 0);
    CHECK(visits.count == 0 || vaddr > visits.last);
    if (visits.count++ == 0)
        visits.first = vaddr;
    visits.last = vaddr;
    return 0;
}

static mmu_entry_t protect(void *context, size_t vaddr, mmu_entry_t entry)
{
    (void)context;
    (void)vaddr;
    return entry & ~(mmu_entry_t)MMU_WRITE;
}

static mmu_entry_t keep(void *context, size_t vaddr, mmu_entry_t entry)
{
    (void)context;
    (void)vaddr;
    return entry;
}

static void map_many(page_t space, size_t vaddr, size_t count, page_t page)
{
    for (size_t k = 0; k < count; k++) {
        CHECK_EQ(pagetable_map(space, vaddr + k * PAGE_SIZE, page, USER_RW), 0);
        if (current_pagetable() == space)
            CHECK_EQ(fake_user_access(vaddr + k * PAGE_SIZE, FAKE_WRITE), 0);
    }
}

/* The whole user part with a few pages in it: all are found, in order. */
TEST(mmu_change_range_over_a_sparse_space)
{
    static const size_t at[] = { 0x00400000, 0x007ff000, 0x3ffff000, 0x40000000, 0x40200000,
                                 0x7fe01000, 0x80000000, 0xbffff000 };

    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        size_t tables;
        page_t space, page;

        paging_start(i);
        space = create_pagetable();
        tables = physical_figures()->owner[OWNER_PAGE_TABLE];
        page = page_new(OWNER_ANON);
        for (size_t k = 0; k < ARRAY_LENGTH(at); k++)
            CHECK_EQ(pagetable_map(space, at[k], page, USER_RW), 0);
        memset(&visits, 0, sizeof(visits));
        mmu_change_range(space, at[1], at[6] - at[1], drop, &visits);
        CHECK_EQ(visits.count, 5);
        CHECK_EQ(visits.first, at[1]);
        CHECK_EQ(visits.last, at[5]);
        paging_check_entry(space, at[0], page | USER_RW | MMU_PRESENT);
        paging_check_entry(space, at[6], page | USER_RW | MMU_PRESENT);
        visits.count = 0;
        mmu_change_range(space, USER_BASE, USER_END - USER_BASE, drop, &visits);
        CHECK_EQ(visits.count, 3);
        CHECK_EQ(physical_figures()->owner[OWNER_PAGE_TABLE], tables);
        mmu_change_range(space, USER_BASE, USER_END - USER_BASE, drop, &visits);
        CHECK_EQ(visits.count, 3);
        mmu_change_range(space, 0x40000000, 0, drop, &visits);
        CHECK_OK(pagetable_check());
        delete_pagetable(space);
        page_release(page);
        fake_machine_stop();
    }
}

/* Few pages one by one, many at once; nothing for another space or for nothing. */
TEST(mmu_change_range_flushes_no_more_than_needed)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        page_t space, page;

        paging_start(i);
        space = create_pagetable();
        page = page_new(OWNER_ANON);
        switch_pagetable(space);
        map_many(space, 0x40000000, FLUSH_MANY, page);
        fake_reset_events();
        mmu_change_range(space, 0x40000000, FLUSH_MANY * PAGE_SIZE, keep, NULL);
        CHECK_EQ(fake_events.invlpgs + fake_events.cr3_loads, 0);
        mmu_change_range(space, 0x40003000, 4 * PAGE_SIZE, protect, NULL);
        CHECK_EQ(fake_events.invlpgs, 4);
        CHECK_EQ(fake_events.cr3_loads, 0);
        for (size_t k = 0; k < 10; k++)
            CHECK_EQ(fake_user_access(0x40000000 + k * PAGE_SIZE, FAKE_WRITE) == 0,
                     k < 3 || k >= 7);
        fake_reset_events();
        mmu_change_range(space, 0x40000000, FLUSH_MANY * PAGE_SIZE, protect, NULL);
        CHECK_EQ(fake_events.cr3_loads, 1);
        CHECK_EQ(fake_events.invlpgs, 0);
        for (size_t k = 0; k < FLUSH_MANY; k += 7)
            CHECK(fake_user_access(0x40000000 + k * PAGE_SIZE, FAKE_WRITE) != 0);
        for (size_t k = 0; k < FLUSH_MANY; k++)
            CHECK_EQ(fake_user_access(0x40000000 + k * PAGE_SIZE, 0), 0);
        fake_reset_events();
        visits.count = 0;
        mmu_change_range(space, 0x40000000, FLUSH_MANY * PAGE_SIZE, drop, &visits);
        CHECK_EQ(visits.count, FLUSH_MANY);
        CHECK_EQ(fake_events.cr3_loads, 1);
        for (size_t k = 0; k < FLUSH_MANY; k++)
            CHECK_EQ(fake_user_access(0x40000000 + k * PAGE_SIZE, 0), FAKE_USER);
        switch_pagetable(kernel_pagetable());
        map_many(space, 0x40000000, 100, page);
        fake_reset_events();
        visits.count = 0;
        mmu_change_range(space, 0x40000000, 99 * PAGE_SIZE, drop, &visits);
        CHECK_EQ(fake_events.cr3_loads + fake_events.invlpgs, 0);
        CHECK_EQ(pagetable_unmap(space, 0x40063000), page);
        delete_pagetable(space);
        page_release(page);
        fake_machine_stop();
    }
}

/* Just at the limit between the two, and what a page among kept ones costs. */
TEST(mmu_change_range_around_the_flush_limit)
{
    for (size_t count = 30; count < 36; count++) {
        page_t space, page;

        paging_start(1);
        space = create_pagetable();
        page = page_new(OWNER_ANON);
        switch_pagetable(space);
        map_many(space, 0x40000000, count + 1, page);
        fake_reset_events();
        visits.count = 0;
        mmu_change_range(space, 0x40000000, count * PAGE_SIZE, drop, &visits);
        CHECK(fake_events.cr3_loads == 1 ? fake_events.invlpgs == 0
                                         : fake_events.invlpgs == count);
        for (size_t k = 0; k < count; k++)
            CHECK_EQ(fake_user_access(0x40000000 + k * PAGE_SIZE, 0), FAKE_USER);
        CHECK_EQ(fake_user_access(0x40000000 + count * PAGE_SIZE, FAKE_WRITE), 0);
        CHECK_EQ(pagetable_unmap(space, 0x40000000 + count * PAGE_SIZE), page);
        switch_pagetable(kernel_pagetable());
        delete_pagetable(space);
        page_release(page);
        fake_machine_stop();
    }
}

/*
 * A table of entries that are not present goes too; what the processor cached of
 * the entry above it must go with it, though no page needs a flush.
 */
TEST(mmu_change_range_frees_a_table_of_slots)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        page_t space, page;
        mmu_place_t place;
        size_t tables;

        paging_start(i);
        space = create_pagetable();
        page = page_new(OWNER_ANON);
        tables = physical_figures()->owner[OWNER_PAGE_TABLE];
        switch_pagetable(space);
        CHECK_EQ(mmu_make(space, 0x40000000, &place), 0);
        mmu_set(&place, 0x12345000);
        CHECK_EQ(fake_user_access(0x40001000, 0), FAKE_USER);
        visits.count = 0;
        mmu_change_range(space, 0x40000000, PAGE_SIZE, drop, &visits);
        CHECK_EQ(visits.count, 1);
        CHECK_EQ(physical_figures()->owner[OWNER_PAGE_TABLE], tables);
        paging_spoil_freed_pages();
        CHECK_EQ(fake_user_access(0x40001000, 0), FAKE_USER);
        CHECK_EQ(fake_user_access(0x40000000, 0), FAKE_USER);
        switch_pagetable(kernel_pagetable());
        delete_pagetable(space);
        page_release(page);
        fake_machine_stop();
    }
}

/* The last page goes, and with it a table at each level: none is walked any more. */
TEST(mmu_change_range_leaves_no_freed_table_in_use)
{
    static const size_t at[] = { 0x00400000, 0x40000000, 0x80200000, 0xbffff000 };

    for (size_t i = 0; i < PAGING_FORMATS * ARRAY_LENGTH(at); i++) {
        size_t vaddr = at[i % ARRAY_LENGTH(at)];
        page_t space, page;

        paging_start(i / ARRAY_LENGTH(at));
        space = create_pagetable();
        page = page_new(OWNER_ANON);
        switch_pagetable(space);
        CHECK_EQ(pagetable_map(space, vaddr, page, USER_RW), 0);
        CHECK_EQ(fake_user_access(vaddr, FAKE_WRITE), 0);
        CHECK_EQ(pagetable_unmap(space, vaddr), page);
        paging_spoil_freed_pages();
        CHECK_EQ(fake_user_access(vaddr, 0), FAKE_USER);
        CHECK_EQ(fake_user_access(vaddr ^ PAGE_SIZE, 0), FAKE_USER);
        switch_pagetable(kernel_pagetable());
        delete_pagetable(space);
        page_release(page);
        fake_machine_stop();
    }
}

/* ---- temporary slots */

static bool is_page_of(page_t page, uint8_t byte)
{
    const uint8_t *bytes = fake_ram(page);

    for (size_t i = 0; i < PAGE_SIZE; i++)
        if (bytes[i] != byte)
            return false;
    return true;
}

TEST(mmu_clears_and_copies_pages)
{
    for (size_t i = 0; i < 2 * PAGING_FORMATS; i++) {
        page_t space, page[4];

        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = paging_formats[i / 2],
                                             .lacks = i % 2 != 0 ? FAKE_NO_SMAP : 0 });
        space = create_pagetable();
        for (size_t k = 0; k < 4; k++) {
            page[k] = page_new(OWNER_ANON);
            memset(fake_ram(page[k]), 0x11 * (int)(k + 1), PAGE_SIZE);
        }
        CHECK_EQ(pagetable_map(space, 0x40000000, page[3], ACCESS_USER), 0);
        CHECK_EQ(virtual_map_kernel(KSPACE_BASE, page[2], KERNEL_RW), 0);
        switch_pagetable(space);
        fake_reset_events();
        mmu_clear_page(page[0]);
        CHECK(is_page_of(page[0], 0));
        CHECK(is_page_of(page[1], 0x22));
        mmu_clear_page(page[1]);            /* the slot has another page now */
        CHECK(is_page_of(page[1], 0));
        mmu_copy_page(page[0], (void *)KSPACE_BASE);
        CHECK(is_page_of(page[0], 0x33));
        mmu_copy_page(page[1], (void *)0x40000000);
        CHECK(is_page_of(page[1], 0x44));
        CHECK(is_page_of(page[2], 0x33) && is_page_of(page[3], 0x44));
        memset(fake_ram(FAKE_IMAGE_DATA), 0x55, PAGE_SIZE);
        mmu_copy_page(page[0], (void *)(size_t)FAKE_IMAGE_DATA);
        CHECK(is_page_of(page[0], 0x55));
        CHECK(fake_events.invlpgs <= 5);
        CHECK_EQ(fake_events.cr3_loads, 0);
        switch_pagetable(kernel_pagetable());
        CHECK_EQ(pagetable_unmap(space, 0x40000000), page[3]);
        CHECK_EQ(virtual_unmap_kernel(KSPACE_BASE), page[2]);
        for (size_t k = 0; k < 4; k++)
            page_release(page[k]);
        delete_pagetable(space);
        fake_machine_stop();
    }
}

static void read_byte(void *address)
{
    (void)*(volatile uint8_t *)address;
}

TEST(mmu_temporary_slots)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        page_t page[3];
        uint8_t *one, *two;

        paging_start(i);
        for (size_t k = 0; k < 3; k++)
            page[k] = page_new(OWNER_ANON);
        one = mmu_temporary_map(0, page[0]);
        two = mmu_temporary_map(1, page[1]);
        CHECK(one != two && ((size_t)one & PAGE_MASK) == 0);
        memset(one, 0x31, PAGE_SIZE);
        memset(two, 0x32, PAGE_SIZE);
        mmu_clear_page(page[2]);            /* does not need either of them */
        CHECK(is_page_of(page[0], 0x31) && is_page_of(page[1], 0x32));
        mmu_temporary_unmap(0);
        CHECK(fake_expect_fault(read_byte, one, NULL));
        CHECK_EQ(*two, 0x32);
        CHECK(mmu_temporary_map(0, page[2]) == one);
        CHECK_EQ(*one, 0);
        mmu_temporary_unmap(1);
        mmu_temporary_unmap(0);
        CHECK(fake_expect_fault(read_byte, one, NULL));
        CHECK(fake_expect_fault(read_byte, two, NULL));
        for (size_t k = 0; k < 3; k++)
            page_release(page[k]);
        fake_machine_stop();
    }
}

static void take_slot_0(void *page)
{
    mmu_temporary_map(0, *(page_t *)page);
}

static void take_slot_2(void *page)
{
    mmu_temporary_map(2, *(page_t *)page);
}

static void drop_slot(void *index)
{
    mmu_temporary_unmap(*(unsigned *)index);
}

TEST(mmu_temporary_slots_are_not_taken_twice)
{
    unsigned index;
    page_t page;

    paging_start(0);
    page = page_new(OWNER_ANON);
    mmu_temporary_map(0, page);
    CHECK(test_expect_panic(take_slot_0, &page, NULL, 0));
    CHECK(test_expect_panic(take_slot_2, &page, NULL, 0));
    index = 1;
    CHECK(test_expect_panic(drop_slot, &index, NULL, 0));
    index = 2;
    CHECK(test_expect_panic(drop_slot, &index, NULL, 0));
    mmu_temporary_unmap(0);
    page_release(page);
    fake_machine_stop();
}
