/*
 * Ranges filled in one call: virtual_map_kernel_range in the kernel's part. What is
 * left when it fails is half of the contract.
 */
#include <kernel/errno.h>
#include <kernel/layout.h>
#include <kernel/physical.h>
#include <kernel/virtual.h>
#include <host_test.h>
#include <fake_machine.h>

#include <string.h>

#define KERNEL_RW (ACCESS_WRITE | ACCESS_NOEXEC)

static const char *const formats[] = { "2level", "pae", "long" };
enum { FORMATS = 3 };

static void start(size_t format)
{
    fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = formats[format] });
}

/* Bytes that one table of the last level spans. */
static size_t table_span(void)
{
    return fake_mode() == SECOND_2LEVEL ? 4 * MIB : 2 * MIB;
}

static second_view_t look(page_t space, size_t vaddr)
{
    second_view_t view;

    second_reader_read(fake_mode(), space, vaddr, &view);
    CHECK(!view.broken && !view.reserved);
    return view;
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
    for (size_t i = 0; i < FORMATS; i++) {
        kernel_range_t range = { .paddr = 0xfd000000 };
        page_t space;

        start(i);
        space = create_pagetable();
        range.vaddr = KSPACE_BASE + 0x3000000 + 5 * PAGE_SIZE;
        range.length = 2 * table_span();
        CHECK_EQ(virtual_map_kernel_range(range.vaddr, range.paddr, 0, KERNEL_RW), 0);
        CHECK_OK(nothing_is_mapped(&range));
        CHECK_EQ(map_range(&range), 0);
        for (size_t at = 0; at < range.length; at += PAGE_SIZE) {
            second_view_t view = look(space, range.vaddr + at);

            CHECK(view.present && view.write && !view.user && !view.global && !view.large);
            CHECK_EQ(view.frame, range.paddr + at);
            CHECK_EQ(view.execute, !second_reader.nxe);
        }
        CHECK(!look(space, range.vaddr - PAGE_SIZE).present);
        CHECK(!look(space, range.vaddr + range.length).present);
        CHECK_OK(pagetable_check());
        unmap_range(&range);
        delete_pagetable(space);
        fake_machine_stop();
    }
}

/* Something is in the way, at each place in turn: it stays, and nothing else does. */
TEST(kernel_range_is_all_or_nothing)
{
    for (size_t i = 0; i < FORMATS; i++) {
        kernel_range_t range = { .paddr = 0xfd000000, .length = 6 * PAGE_SIZE };

        start(i);
        range.vaddr = KSPACE_BASE + 0x3000000 + table_span() - 3 * PAGE_SIZE;
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
    for (size_t i = 0; i < FORMATS; i++) {
        kernel_range_t range = { .paddr = 0xfd000000 };

        start(i);
        range.vaddr = KSPACE_BASE + 0x3000000 + 7 * PAGE_SIZE;
        range.length = 2 * table_span();
        CHECK(fake_failure_sweep(map_range, unmap_range, nothing_is_mapped, &range) >= 1);
        fake_machine_stop();
    }
}
