/*
 * Ranges filled in one call: mmu_fill_range in a space, virtual_map_kernel_range in
 * the kernel's part. What is left when one fails is half of the contract.
 */
#include <kernel/errno.h>
#include <kernel/layout.h>
#include <paging.h>

/* ---- a range of a space */

/* What fill does, and what it saw. */
typedef struct filling {
    page_t space;
    page_t page;
    size_t base, length;
    size_t empty_from, empty_end;   /* it leaves these addresses empty */
    size_t refuse;                  /* it fails there; 0: nowhere */
    size_t count;
    size_t last;
} filling_t;

static int fill(void *context, size_t vaddr, mmu_entry_t *entry)
{
    filling_t *f = context;

    CHECK(vaddr >= f->base && vaddr - f->base < f->length);
    CHECK(f->count == 0 || vaddr > f->last);
    f->last = vaddr;
    if (f->refuse == vaddr)
        return -EIO;
    f->count++;
    *entry = vaddr >= f->empty_from && vaddr < f->empty_end
             ? 0 : f->page | USER_RW | MMU_PRESENT;
    return 0;
}

static int fill_range(filling_t *f)
{
    f->count = 0;
    return mmu_fill_range(f->space, f->base, f->length, fill, f);
}

static mmu_entry_t drop(void *context, size_t vaddr, mmu_entry_t entry)
{
    (void)vaddr;
    (void)entry;
    ++*(size_t *)context;
    return 0;
}

/* => how many entries there were */
static size_t empty_space(page_t space)
{
    size_t count = 0;

    mmu_change_range(space, USER_BASE, USER_END - USER_BASE, drop, &count);
    return count;
}

static filling_t filling_start(size_t format)
{
    filling_t f = { .base = 0x40000000 };

    paging_start(format);
    f.space = create_pagetable();
    f.page = page_new(OWNER_ANON);
    return f;
}

static void filling_stop(filling_t *f)
{
    switch_pagetable(kernel_pagetable());
    delete_pagetable(f->space);
    page_release(f->page);
    fake_machine_stop();
}

/*
 * Three tables, the first and the last in part; what is there already is passed over:
 *
 *      table 0           table 1           table 2
 *     |     ffffffSfffff|fffffffffPffffff|ffffff          |     S slot  P present
 */
TEST(fill_range_takes_the_empty_entries)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        filling_t f = filling_start(i);
        size_t tables = mmu_table_count(f.space);
        size_t slot, present;
        mmu_place_t place;

        f.base += 7 * PAGE_SIZE;
        f.length = 2 * paging_table_span();
        slot = f.base + 3 * PAGE_SIZE;
        present = f.base + paging_table_span();
        CHECK_EQ(mmu_make(f.space, slot, &place), 0);
        mmu_set(&place, 0x12345000);
        CHECK_EQ(pagetable_map(f.space, present, f.page, ACCESS_USER), 0);
        switch_pagetable(f.space);
        CHECK_EQ(fake_user_access(f.base, FAKE_WRITE), FAKE_USER | FAKE_WRITE);
        CHECK_EQ(fake_user_access(present, 0), 0);
        fake_reset_events();
        CHECK_EQ(fill_range(&f), 0);
        CHECK_EQ(fake_events.invlpgs + fake_events.cr3_loads, 0);
        CHECK_EQ(f.count, f.length / PAGE_SIZE - 2);
        CHECK_EQ(f.last, f.base + f.length - PAGE_SIZE);
        CHECK_EQ(mmu_read(f.space, slot), 0x12345000);
        CHECK_EQ(mmu_read(f.space, present) & ~(mmu_entry_t)MMU_ACCESSED,
                 f.page | ACCESS_USER | MMU_PRESENT);
        for (size_t at = f.base; at < f.base + f.length; at += PAGE_SIZE)
            CHECK_EQ(fake_user_access(at, FAKE_WRITE) == 0, at != slot && at != present);
        CHECK(!paging_look(f.space, f.base - PAGE_SIZE).present);
        CHECK(!paging_look(f.space, f.base + f.length).present);
        CHECK_OK(pagetable_check());
        CHECK_EQ(fill_range(&f), 0);                /* nothing is empty any more */
        CHECK_EQ(f.count, 0);
        CHECK_EQ(empty_space(f.space), f.length / PAGE_SIZE);
        CHECK_EQ(mmu_table_count(f.space), tables);
        filling_stop(&f);
    }
}

TEST(fill_range_of_nothing)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        filling_t f = filling_start(i);
        size_t tables = mmu_table_count(f.space);

        CHECK_EQ(fill_range(&f), 0);
        CHECK_EQ(f.count, 0);
        CHECK_EQ(mmu_table_count(f.space), tables);
        filling_stop(&f);
    }
}

/* The last page of one PAE directory and the first of the next; both ends of the part. */
TEST(fill_range_at_borders)
{
    static const size_t bases[] = { USER_BASE, 0x3ffff000, 0x7ffff000, USER_END - 2 * PAGE_SIZE };

    for (size_t i = 0; i < PAGING_FORMATS * ARRAY_LENGTH(bases); i++) {
        filling_t f = filling_start(i / ARRAY_LENGTH(bases));

        f.base = bases[i % ARRAY_LENGTH(bases)];
        f.length = 2 * PAGE_SIZE;
        switch_pagetable(f.space);
        CHECK_EQ(fill_range(&f), 0);
        CHECK_EQ(f.count, 2);
        CHECK_EQ(fake_user_access(f.base, FAKE_WRITE), 0);
        CHECK_EQ(fake_user_access(f.base + PAGE_SIZE, FAKE_WRITE), 0);
        CHECK_OK(pagetable_check());
        CHECK_EQ(empty_space(f.space), 2);
        filling_stop(&f);
    }
}

/* A table whose entries all stay empty does not stay. */
TEST(fill_range_leaves_no_empty_table)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        filling_t f = filling_start(i);
        size_t tables = mmu_table_count(f.space);
        size_t full;

        f.length = 4 * paging_table_span();
        CHECK_EQ(fill_range(&f), 0);
        full = mmu_table_count(f.space);
        CHECK_EQ(empty_space(f.space), f.length / PAGE_SIZE);
        f.empty_from = f.base + paging_table_span();
        f.empty_end = f.base + 3 * paging_table_span();
        CHECK_EQ(fill_range(&f), 0);
        CHECK_EQ(f.count, f.length / PAGE_SIZE);
        CHECK_EQ(mmu_table_count(f.space), full - 2);
        CHECK_OK(pagetable_check());
        CHECK_EQ(empty_space(f.space), f.length / PAGE_SIZE / 2);
        f.empty_from = f.base;
        f.empty_end = f.base + f.length;
        CHECK_EQ(fill_range(&f), 0);
        CHECK_EQ(mmu_table_count(f.space), tables);
        filling_stop(&f);
    }
}

/* fill fails: what was filled stays, and its tables; those behind it go. */
TEST(fill_range_ends_where_fill_fails)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        filling_t f = filling_start(i);
        size_t tables = mmu_table_count(f.space);
        size_t one;

        f.length = PAGE_SIZE;
        CHECK_EQ(fill_range(&f), 0);
        one = mmu_table_count(f.space);
        CHECK_EQ(empty_space(f.space), 1);
        f.length = 3 * paging_table_span();
        f.refuse = f.base + 5 * PAGE_SIZE;
        CHECK_EQ(fill_range(&f), -EIO);
        CHECK_EQ(f.count, 5);
        CHECK_EQ(mmu_table_count(f.space), one);
        CHECK_OK(pagetable_check());
        CHECK_EQ(empty_space(f.space), 5);
        f.refuse = f.base;
        CHECK_EQ(fill_range(&f), -EIO);
        CHECK_EQ(mmu_table_count(f.space), tables);
        CHECK_OK(pagetable_check());
        filling_stop(&f);
    }
}

/* Large pages are only in the linear space: nothing is put under or over one. */
TEST(fill_range_stops_before_a_large_page)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        filling_t f = filling_start(i);
        size_t large = f.base + paging_table_span();
        size_t tables;

        CHECK_EQ(pagetable_map_linear(f.space, large, large + paging_table_span(),
                                      ACCESS_WRITE), 0);
        tables = mmu_table_count(f.space);
        f.length = 3 * paging_table_span();
        CHECK_EQ(fill_range(&f), -EEXIST);
        CHECK_EQ(f.count, 0);
        CHECK_EQ(mmu_table_count(f.space), tables);
        CHECK(paging_look(f.space, large).large);
        CHECK_OK(pagetable_check());
        filling_stop(&f);
    }
}

static int try_fill(void *context)
{
    filling_t *f = context;
    int err = fill_range(f);

    CHECK_EQ(f->count, err == 0 ? f->length / PAGE_SIZE : 0);
    return err;
}

static void undo_fill(void *context)
{
    filling_t *f = context;
    size_t count = 0;

    mmu_change_range(f->space, f->base, f->length, drop, &count);
    CHECK_EQ(count, f->length / PAGE_SIZE);
}

/* What is mapped beside the range works on, after a failure too. */
static const char *check_fill(void *context)
{
    filling_t *f = context;

    if (current_pagetable() != f->space)
        return NULL;
    for (size_t at = f->base; at < f->base + f->length; at += paging_table_span())
        if (fake_user_access(at, 0) != FAKE_USER)
            return "something is still mapped";
    return fake_user_access(f->base + f->length + GIB / 2, 0) == 0 ? NULL : "the neighbour is lost";
}

TEST(fill_range_without_memory_for_a_table_changes_nothing)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        filling_t f = filling_start(i);
        size_t least = i == 0 ? 3 : 4;

        f.base -= paging_table_span();             /* across the border of a PAE directory */
        f.length = 3 * paging_table_span();
        CHECK_EQ(fake_failure_sweep(try_fill, undo_fill, check_fill, &f), least);
        CHECK_EQ(pagetable_map(f.space, f.base + f.length + GIB / 2, f.page, USER_RW), 0);
        switch_pagetable(f.space);
        CHECK_OK(check_fill(&f));
        CHECK(fake_failure_sweep(try_fill, undo_fill, check_fill, &f) >= 3);
        CHECK_EQ(empty_space(f.space), 1);
        filling_stop(&f);
    }
}

/* ---- a range of the kernel's part */

typedef struct kernel_range {
    size_t vaddr;
    page_t paddr;
    size_t length;
} kernel_range_t;

static int map_range(void *context)
{
    kernel_range_t *range = context;

    return virtual_map_kernel_range(range->vaddr, range->paddr, range->length, KERNEL_RW);
}

static void unmap_range(void *context)
{
    kernel_range_t *range = context;

    for (size_t at = 0; at < range->length; at += PAGE_SIZE)
        CHECK_EQ(virtual_unmap_kernel(range->vaddr + at), range->paddr + at);
}

static const char *nothing_is_mapped(void *context)
{
    kernel_range_t *range = context;

    for (size_t at = 0; at < range->length; at += PAGE_SIZE)
        if (get_translation(kernel_pagetable(), range->vaddr + at) != NO_TRANSLATION)
            return "something is still mapped";
    return NULL;
}

TEST(kernel_range_is_in_every_space)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        kernel_range_t range = { .paddr = 0xfd000000 };
        page_t space;

        paging_start(i);
        space = create_pagetable();
        range.vaddr = KSPACE_BASE + 0x3000000 + 5 * PAGE_SIZE;
        range.length = 2 * paging_table_span();
        CHECK_EQ(virtual_map_kernel_range(range.vaddr, range.paddr, 0, KERNEL_RW), 0);
        CHECK_OK(nothing_is_mapped(&range));
        CHECK_EQ(map_range(&range), 0);
        for (size_t at = 0; at < range.length; at += PAGE_SIZE) {
            second_view_t view = paging_look(space, range.vaddr + at);

            CHECK(view.present && view.write && !view.user && !view.global && !view.large);
            CHECK_EQ(view.frame, range.paddr + at);
            CHECK_EQ(view.execute, !second_reader.nxe);
        }
        CHECK(!paging_look(space, range.vaddr - PAGE_SIZE).present);
        CHECK(!paging_look(space, range.vaddr + range.length).present);
        CHECK_OK(pagetable_check());
        unmap_range(&range);
        delete_pagetable(space);
        fake_machine_stop();
    }
}

/* Something is in the way, at each place in turn: it stays, and nothing else does. */
TEST(kernel_range_is_all_or_nothing)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        kernel_range_t range = { .paddr = 0xfd000000, .length = 6 * PAGE_SIZE };

        paging_start(i);
        range.vaddr = KSPACE_BASE + 0x3000000 + paging_table_span() - 3 * PAGE_SIZE;
        for (size_t at = 0; at < range.length; at += PAGE_SIZE) {
            CHECK_EQ(virtual_map_kernel(range.vaddr + at, 0xfee00000, KERNEL_RW), 0);
            CHECK_EQ(map_range(&range), -EEXIST);
            CHECK_EQ(virtual_unmap_kernel(range.vaddr + at), 0xfee00000);
            CHECK_OK(nothing_is_mapped(&range));
        }
        CHECK_EQ(map_range(&range), 0);
        unmap_range(&range);
        fake_machine_stop();
    }
}

/* Tables of the kernel's part stay once they are made; what is mapped does not. */
TEST(kernel_range_without_memory_for_a_table)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        kernel_range_t range = { .paddr = 0xfd000000 };

        paging_start(i);
        range.vaddr = KSPACE_BASE + 0x3000000 + 7 * PAGE_SIZE;
        range.length = 2 * paging_table_span();
        CHECK(fake_failure_sweep(map_range, unmap_range, nothing_is_mapped, &range) >= 1);
        fake_machine_stop();
    }
}
