/*
 * The border (mmu.h): entries read and changed, ranges, flushes, temporary slots;
 * and a million random operations on several spaces against a plain model. The
 * second reader judges the tables, the fake processor the flushes.
 */
#include <kernel/boot_info.h>
#include <kernel/errno.h>
#include <kernel/layout.h>
#include <kernel/linear.h>
#include <kernel/physical.h>
#include <kernel/virtual.h>
#include <host_test.h>
#include <fake_machine.h>

#include <string.h>

#define USER_RW   (ACCESS_USER | ACCESS_WRITE | ACCESS_NOEXEC)
#define KERNEL_RW (ACCESS_WRITE | ACCESS_NOEXEC)
#define FLUSH_MANY 4096         /* pages: one full flush, DESIGN section 9 */

static const char *const formats[] = { "2level", "pae", "long" };
enum { FORMATS = 3 };

static void start(size_t format)
{
    fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = formats[format] });
}

static bool has_nx(void)
{
    return second_reader.nxe;
}

/* What the tables must say of an entry in the border's form. */
static void check_entry(page_t space, size_t vaddr, mmu_entry_t entry)
{
    second_view_t view;

    second_reader_read(fake_mode(), space, vaddr, &view);
    CHECK(!view.broken && !view.reserved);
    CHECK_EQ(view.present, (entry & MMU_PRESENT) != 0);
    if (!view.present)
        return;
    CHECK_EQ(view.frame, mmu_frame(entry));
    CHECK_EQ(view.write, (entry & MMU_WRITE) != 0);
    CHECK_EQ(view.user, (entry & MMU_USER) != 0);
    CHECK_EQ(view.write_through, (entry & MMU_WRITE_THROUGH) != 0);
    CHECK_EQ(view.cache_disable, (entry & MMU_UNCACHED) != 0);
    CHECK_EQ(view.accessed, (entry & MMU_ACCESSED) != 0);
    CHECK_EQ(view.dirty, (entry & MMU_DIRTY) != 0);
    CHECK_EQ(view.global, (entry & MMU_GLOBAL) != 0);
    CHECK_EQ(view.execute, !has_nx() || !(entry & MMU_NOEXEC));
}

/*
 * Freed tables lie in the magazine. Fill them with what looks like entries: who
 * still walks through one of them sees it.
 */
static void spoil_freed_pages(void)
{
    for (size_t number = 0; number < physical_frame_count; number++)
        if (physical_frames[number].state == FRAME_MAGAZINE)
            memset(fake_ram((page_t)number << PAGE_SHIFT), 0x27, PAGE_SIZE);
}

/* ---- one entry */

/* Every combination of bits, with frames at both ends of what there can be. */
TEST(mmu_entries_come_back_as_they_were)
{
    static const page_t frames[] = { 0x1000, 0x7fffff000 & (page_t)-1, 0xfffff000, 0x12345000 };

    for (size_t i = 0; i < FORMATS; i++) {
        mmu_place_t place;
        page_t space;

        start(i);
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
                check_entry(space, 0x40000000, entry);
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
    for (size_t i = 0; i < FORMATS; i++) {
        mmu_place_t place;
        size_t tables;
        page_t space;

        start(i);
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
    for (size_t i = 0; i < 2 * FORMATS; i++) {
        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = formats[i / 2],
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
    for (size_t i = 0; i < FORMATS; i++) {
        page_t space, other, page;
        mmu_place_t place;

        start(i);
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

    start(0);
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

    for (size_t i = 0; i < FORMATS; i++) {
        size_t tables;
        page_t space, page;

        start(i);
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
        check_entry(space, at[0], page | USER_RW | MMU_PRESENT);
        check_entry(space, at[6], page | USER_RW | MMU_PRESENT);
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
    for (size_t i = 0; i < FORMATS; i++) {
        page_t space, page;

        start(i);
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

        start(1);
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
    for (size_t i = 0; i < FORMATS; i++) {
        page_t space, page;
        mmu_place_t place;
        size_t tables;

        start(i);
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
        spoil_freed_pages();
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

    for (size_t i = 0; i < FORMATS * ARRAY_LENGTH(at); i++) {
        size_t vaddr = at[i % ARRAY_LENGTH(at)];
        page_t space, page;

        start(i / ARRAY_LENGTH(at));
        space = create_pagetable();
        page = page_new(OWNER_ANON);
        switch_pagetable(space);
        CHECK_EQ(pagetable_map(space, vaddr, page, USER_RW), 0);
        CHECK_EQ(fake_user_access(vaddr, FAKE_WRITE), 0);
        CHECK_EQ(pagetable_unmap(space, vaddr), page);
        spoil_freed_pages();
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
    for (size_t i = 0; i < 2 * FORMATS; i++) {
        page_t space, page[4];

        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = formats[i / 2],
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
    for (size_t i = 0; i < FORMATS; i++) {
        page_t page[3];
        uint8_t *one, *two;

        start(i);
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

    start(0);
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

/* ---- several spaces at random, against a model */

enum {
    SPACES = 4,
    CLUSTER = 8,                    /* pages in a row */
    SLOTS = 8 * CLUSTER,
    KERNEL_SLOTS = 4 * CLUSTER,
    FRAMES = 16,
    FULL_CHECKS = 20000,            /* steps after each of which all is checked */
};

/* Where the pages lie: across the borders of tables in each format. */
static const size_t clusters[SLOTS / CLUSTER] = {
    0x00400000, 0x007fc000, 0x009fd000, 0x3fffc000, 0x40200000, 0x7fe00000, 0x80000000,
    0xbfff8000,
};
static const size_t kernel_clusters[KERNEL_SLOTS / CLUSTER] = {
    0x00000000, 0x001fd000, 0x03ffc000, 0x0a000000,
};

typedef struct space {
    page_t root;                    /* PAGE_NONE: there is none */
    mmu_entry_t entry[SLOTS];
} space_t;

static struct {
    space_t space[SPACES];
    size_t current;                 /* SPACES: the kernel's own */
    mmu_entry_t kernel[KERNEL_SLOTS];
    page_t frame[FRAMES];
    size_t fixed_tables;            /* page tables that are there without any space */
} model;

static size_t slot_address(size_t slot)
{
    return clusters[slot / CLUSTER] + slot % CLUSTER * PAGE_SIZE;
}

static size_t kernel_slot_address(size_t slot)
{
    return KSPACE_BASE + kernel_clusters[slot / CLUSTER] + slot % CLUSTER * PAGE_SIZE;
}

static page_t any_frame(void)
{
    return model.frame[test_random_below(FRAMES)];
}

static space_t *any_space(void)
{
    return &model.space[test_random_below(SPACES)];
}

/* How many tables a space with these entries needs, and not one more. */
static size_t tables_needed(const space_t *space)
{
    static const unsigned shifts[FORMATS][3] = { { 22 }, { 21, 30 }, { 21, 30, 39 } };
    second_mode_t mode = fake_mode();
    size_t tables = 1;

    for (size_t level = 0; level < 3 && shifts[mode][level] != 0; level++) {
        size_t last = (size_t)-1;

        for (size_t slot = 0; slot < SLOTS; slot++) {
            size_t number = (size_t)((uint64_t)slot_address(slot) >> shifts[mode][level]);

            if (space->entry[slot] == 0 || number == last)
                continue;
            tables++;
            last = number;
            /* The first of each upper level holds low memory: it is always there. */
            tables -= number == 0;
        }
        tables += level > 0;
    }
    /* In long mode another one leads to the kernel's addresses. */
    return tables + (mode == SECOND_4LEVEL && (uint64_t)KERNEL_BASE >> 39 != 0);
}

static void check_space(const space_t *space)
{
    if (space->root == PAGE_NONE)
        return;
    for (size_t slot = 0; slot < SLOTS; slot++) {
        size_t vaddr = slot_address(slot);
        mmu_entry_t entry = space->entry[slot];

        CHECK_EQ(mmu_read(space->root, vaddr), entry);
        check_entry(space->root, vaddr, entry);
        CHECK_EQ(get_translation(space->root, vaddr + 5),
                 entry & MMU_PRESENT ? mmu_frame(entry) + 5 : NO_TRANSLATION);
    }
    for (size_t slot = 0; slot < KERNEL_SLOTS; slot++)
        check_entry(space->root, kernel_slot_address(slot), model.kernel[slot]);
    CHECK_EQ(mmu_table_count(space->root), tables_needed(space));
}

static void check_tables(void)
{
    size_t tables = model.fixed_tables;

    for (size_t i = 0; i < SPACES; i++)
        if (model.space[i].root != PAGE_NONE)
            tables += tables_needed(&model.space[i]);
    CHECK_EQ(physical_figures()->owner[OWNER_PAGE_TABLE], tables);
}

static mmu_entry_t any_entry(void)
{
    mmu_entry_t bits = test_random() & (MMU_WRITE | MMU_USER | MMU_ACCESSED | MMU_DIRTY |
                                        MMU_NOEXEC | MMU_OBJECT);

    switch (test_random_below(8)) {
    case 0:
        return any_frame() | (bits & (MMU_NOEXEC | MMU_OBJECT)) | MMU_HELD;
    case 1:                                             /* a swap slot */
        return (mmu_entry_t)(1 + test_random_below(1000)) << 12;
    default:
        return any_frame() | bits | MMU_USER | MMU_PRESENT;
    }
}

static void step_map(void)
{
    static const access_t kinds[] = { ACCESS_USER, USER_RW, USER_RW, USER_RW | ACCESS_WRITE,
                                      ACCESS_USER | ACCESS_NOEXEC, ACCESS_WRITE };
    space_t *space = any_space();
    size_t slot = test_random_below(SLOTS);
    access_t access = kinds[test_random_below(ARRAY_LENGTH(kinds))];
    page_t page = any_frame();
    bool may_fail = test_random_below(20) == 0;
    int error;

    if (space->root == PAGE_NONE)
        return;
    if (may_fail)
        physical_fail_after(1 + test_random_below(3));
    error = pagetable_map(space->root, slot_address(slot), page, access);
    physical_fail_after(0);
    if (may_fail && error == -ENOMEM)
        return;
    CHECK_EQ(error, space->entry[slot] != 0 ? -EEXIST : 0);
    if (error == 0)
        space->entry[slot] = page | access | MMU_PRESENT;
}

static void step_unmap(void)
{
    space_t *space = any_space();
    size_t slot = test_random_below(SLOTS);
    mmu_entry_t entry = space->entry[slot];

    if (space->root == PAGE_NONE)
        return;
    CHECK_EQ(pagetable_unmap(space->root, slot_address(slot)),
             entry & MMU_PRESENT ? mmu_frame(entry) : NO_TRANSLATION);
    space->entry[slot] = 0;
}

static void step_set(void)
{
    space_t *space = any_space();
    size_t slot = test_random_below(SLOTS);
    mmu_entry_t entry = any_entry();
    mmu_place_t place;

    if (space->root == PAGE_NONE)
        return;
    CHECK_EQ(mmu_make(space->root, slot_address(slot), &place), 0);
    CHECK_EQ(mmu_get(&place), space->entry[slot]);
    mmu_set(&place, entry);
    space->entry[slot] = entry;
}

/* What a range's change does to an entry, by a number. */
static mmu_entry_t changed(size_t kind, size_t vaddr, mmu_entry_t entry)
{
    switch (kind) {
    case 0:
        return 0;
    case 1:
        return entry & MMU_PRESENT ? entry & ~(mmu_entry_t)(MMU_WRITE | MMU_ACCESSED) : entry;
    case 2:
        return entry & MMU_PRESENT ? (mmu_entry_t)(vaddr >> 12 & 0xff) << 12 | 0x100000 : entry;
    case 3:
        return vaddr >> 12 & 1 ? entry : 0;
    default:
        return entry;
    }
}

typedef struct range {
    space_t *space;
    size_t kind;
    size_t next;                    /* the slot to look at next */
    size_t end;
} range_t;

static mmu_entry_t change(void *context, size_t vaddr, mmu_entry_t entry)
{
    range_t *range = context;
    size_t slot = range->next;
    mmu_entry_t after = changed(range->kind, vaddr, entry);

    while (slot < range->end && range->space->entry[slot] == 0)
        slot++;
    CHECK(slot < range->end);
    CHECK_EQ(slot_address(slot), vaddr);
    CHECK_EQ(entry, range->space->entry[slot]);
    range->space->entry[slot] = after;
    range->next = slot + 1;
    return after;
}

static void step_range(void)
{
    size_t first = test_random_below(SLOTS);
    range_t range = { any_space(), test_random_below(5), first, 0 };
    size_t last = first + test_random_below(SLOTS - first);

    if (range.space->root == PAGE_NONE)
        return;
    range.end = last + 1;
    mmu_change_range(range.space->root, slot_address(first),
                     slot_address(last) + PAGE_SIZE - slot_address(first), change, &range);
    while (range.next < range.end)
        CHECK_EQ(range.space->entry[range.next++], 0);
}

static int fill(void *context, size_t vaddr, mmu_entry_t *entry)
{
    range_t *range = context;
    size_t slot = range->next;

    while (slot < range->end && range->space->entry[slot] != 0)
        slot++;
    /* Pages between the clusters stay empty. */
    *entry = 0;
    if (slot == range->end || slot_address(slot) != vaddr)
        return 0;
    if (range->kind == 0 && test_random_below(8) == 0)
        return -EIO;
    if (range->kind != 1)
        *entry = any_entry();
    range->space->entry[slot] = *entry;
    range->next = slot + 1;
    return 0;
}

static void step_fill(void)
{
    size_t first = test_random_below(SLOTS);
    size_t left = CLUSTER - first % CLUSTER;
    size_t count = 1 + test_random_below(left);
    range_t range = { any_space(), test_random_below(4), first, first + count };
    bool may_fail = test_random_below(10) == 0;
    int error;

    if (range.space->root == PAGE_NONE)
        return;
    if (may_fail)
        physical_fail_after(1 + test_random_below(3));
    error = mmu_fill_range(range.space->root, slot_address(first), count * PAGE_SIZE, fill,
                           &range);
    physical_fail_after(0);
    if (error == -ENOMEM)
        CHECK(may_fail && range.next == first);
    else
        CHECK(error == 0 || (error == -EIO && range.kind == 0));
}

/* A program touches a page: what happens is what the model says, and nothing older. */
static void step_access(void)
{
    static const unsigned kinds[] = { 0, FAKE_WRITE, FAKE_EXECUTE };
    space_t *space = &model.space[model.current];
    size_t slot = test_random_below(SLOTS);
    unsigned access = kinds[test_random_below(3)];
    mmu_entry_t *entry = &space->entry[slot];
    unsigned code;
    bool allowed;

    if (model.current == SPACES)
        return;
    allowed = (*entry & (MMU_PRESENT | MMU_USER)) == (MMU_PRESENT | MMU_USER) &&
              (!(access & FAKE_WRITE) || (*entry & MMU_WRITE)) &&
              (!(access & FAKE_EXECUTE) || !(*entry & MMU_NOEXEC) || !has_nx());
    code = fake_user_access(slot_address(slot), access);
    if (!allowed) {
        CHECK_EQ(code & ~FAKE_EXECUTE, (*entry & MMU_PRESENT) | FAKE_USER |
                 (access & FAKE_WRITE));
        return;
    }
    CHECK_EQ(code, 0);
    *entry |= MMU_ACCESSED | (access & FAKE_WRITE ? MMU_DIRTY : 0);
    if (access == 0) {              /* not only a page: the right one */
        page_t *word = fake_ram(mmu_frame(*entry));
        page_t read;

        *word = mmu_frame(*entry);
        CHECK(fake_read(slot_address(slot), &read, sizeof(read)));
        CHECK_EQ(read, mmu_frame(*entry));
    }
}

static void step_switch(void)
{
    size_t next = test_random_below(SPACES + 1);

    if (next < SPACES && model.space[next].root == PAGE_NONE)
        next = SPACES;
    switch_pagetable(next == SPACES ? kernel_pagetable() : model.space[next].root);
    model.current = next;
}

static void step_kernel(void)
{
    size_t slot = test_random_below(KERNEL_SLOTS);
    size_t vaddr = kernel_slot_address(slot);
    mmu_entry_t *entry = &model.kernel[slot];
    access_t access = ACCESS_NOEXEC | (test_random_below(2) != 0 ? ACCESS_WRITE : 0) |
                      (test_random_below(2) != 0 ? ACCESS_GLOBAL : 0);
    page_t page = any_frame();

    switch (test_random_below(3)) {
    case 0:
        CHECK_EQ(virtual_map_kernel(vaddr, page, access), *entry != 0 ? -EEXIST : 0);
        if (*entry == 0)
            *entry = page | access | MMU_PRESENT;
        break;
    case 1:
        CHECK_EQ(virtual_unmap_kernel(vaddr), *entry != 0 ? mmu_frame(*entry) : NO_TRANSLATION);
        *entry = 0;
        break;
    default:
        CHECK_EQ(fake_kernel_access(vaddr, 0), *entry != 0 ? -1 : 0);
        CHECK_EQ(fake_user_access(vaddr, 0), (*entry & MMU_PRESENT) | FAKE_USER);
        if (*entry != 0)
            *entry |= MMU_ACCESSED;
        if (*entry & MMU_WRITE) {   /* through the very pointer */
            *(volatile page_t *)vaddr = mmu_frame(*entry);
            CHECK_EQ(*(page_t *)fake_ram(mmu_frame(*entry)), mmu_frame(*entry));
            *entry |= MMU_DIRTY;
        }
    }
}

static void step_life(void)
{
    size_t number = test_random_below(SPACES);
    space_t *space = &model.space[number];
    range_t range = { space, 0, 0, SLOTS };

    if (space->root == PAGE_NONE) {
        memset(space, 0, sizeof(*space));
        space->root = create_pagetable();
        CHECK(space->root != PAGE_NONE);
        return;
    }
    if (model.current == number)
        return;
    mmu_change_range(space->root, USER_BASE, USER_END - USER_BASE, change, &range);
    CHECK_EQ(mmu_table_count(space->root), tables_needed(space));
    delete_pagetable(space->root);
    space->root = PAGE_NONE;
}

static void random_step(void)
{
    size_t die = test_random_below(1000);

    if (die < 250)
        step_map();
    else if (die < 430)
        step_unmap();
    else if (die < 540)
        step_set();
    else if (die < 570)
        step_range();
    else if (die < 610)
        step_fill();
    else if (die < 900)
        step_access();
    else if (die < 950)
        step_kernel();
    else if (die < 995)
        step_switch();
    else
        step_life();
}

static void model_start(size_t format)
{
    start(format);
    memset(&model, 0, sizeof(model));
    model.current = SPACES;
    for (size_t i = 0; i < FRAMES; i++)
        model.frame[i] = page_new(OWNER_ANON);
    model.fixed_tables = physical_figures()->owner[OWNER_PAGE_TABLE];
}

static void model_stop(void)
{
    switch_pagetable(kernel_pagetable());
    for (size_t i = 0; i < SPACES; i++) {
        if (model.space[i].root == PAGE_NONE)
            continue;
        for (size_t slot = 0; slot < SLOTS; slot++)
            (void)pagetable_unmap(model.space[i].root, slot_address(slot));
        delete_pagetable(model.space[i].root);
    }
    for (size_t slot = 0; slot < KERNEL_SLOTS; slot++)
        (void)virtual_unmap_kernel(kernel_slot_address(slot));
    for (size_t i = 0; i < FRAMES; i++)
        page_release(model.frame[i]);
    fake_machine_stop();
}

static void random_operations(size_t format, size_t steps)
{
    model_start(format);
    for (size_t step = 0; step < steps; step++) {
        uint64_t freed = virtual_events.tables_freed;

        random_step();
        if (virtual_events.tables_freed != freed && step % 8 == 0)
            spoil_freed_pages();
        if (step >= FULL_CHECKS && step % 256 != 0)
            continue;
        check_space(&model.space[step % SPACES]);
        check_tables();
        CHECK_OK(pagetable_check());
    }
    model_stop();
}

TEST(mmu_agrees_with_a_model_2level)
{
    random_operations(0, test_steps(1000000));
}

TEST(mmu_agrees_with_a_model_pae)
{
    random_operations(1, test_steps(1000000));
}

TEST(mmu_agrees_with_a_model_long)
{
    random_operations(2, test_steps(1000000));
}
