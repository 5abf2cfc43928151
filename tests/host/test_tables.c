/*
 * Page-table pages where the window that shows them ends: by the header of mm/x86
 * itself, for these cases hang on which slot is next.
 */
#include <kernel/layout.h>
#include <kernel/physical.h>
#include <kernel/virtual.h>
#include <host_test.h>
#include <fake_machine.h>
#include "../../mm/x86/walk.h"

static const char *const formats[] = { "2level", "pae", "long" };
enum { FORMATS = 3, SPACES_MAX = 1100 };

static page_t space[SPACES_MAX];
static size_t space_count;
static page_t page;

static void start(size_t format)
{
    fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = formats[format],
                                         .megabytes = 32 });
    page = page_new(OWNER_KERNEL);
    space_count = 0;
}

static void make_spaces(size_t count)
{
    while (space_count < count) {
        space[space_count] = create_pagetable();
        CHECK(space[space_count++] != PAGE_NONE);
    }
}

/* How many pages one table of the last level shows. */
static size_t stretch(void)
{
    return (size_t)1 << paging_format->index_bits[0];
}

/* How many tables the window shows, not counting top levels. */
static size_t tables_shown(void)
{
    size_t count = 0;

    for (size_t i = 0; i < physical_frame_count; i++) {
        const frame_t *frame = &physical_frames[i];

        count += (frame->owner == OWNER_PAGE_TABLE || frame->owner == OWNER_KERNEL_TABLE) &&
                 table_slot_address(frame->slot) < TABLE_WINDOW_END;
    }
    return count;
}

/* Map pages in the spaces until the window's tables are `count`. */
static void fill_window(size_t count)
{
    size_t span = stretch() * PAGE_SIZE;

    for (size_t k = 0; tables_shown() < count; k++) {
        CHECK(k < space_count);
        for (uint64_t vaddr = USER_BASE; vaddr < USER_END && tables_shown() < count;
             vaddr += span)
            CHECK_EQ(pagetable_map(space[k], (size_t)vaddr, page, ACCESS_USER), 0);
    }
    CHECK_EQ(tables_shown(), count);
    CHECK_OK(pagetable_check());
}

static void stop(void)
{
    size_t span = stretch() * PAGE_SIZE;

    CHECK_OK(pagetable_check());
    for (size_t k = 0; k < space_count; k++) {
        for (uint64_t vaddr = USER_BASE; vaddr < USER_END && mmu_table_count(space[k]) > 1;
             vaddr += span)
            (void)pagetable_unmap(space[k], (size_t)vaddr);
        delete_pagetable(space[k]);
    }
    page_release(page);
    fake_machine_stop();
}

/* A kernel address is covered once. */
TEST(tables_cover_kernel_once)
{
    for (size_t i = 0; i < FORMATS; i++) {
        uint64_t tables;

        start(i);
        CHECK_EQ(tables_cover_kernel(KSPACE_BASE + 64 * MIB), 0);
        CHECK_EQ(virtual_map_kernel(KSPACE_BASE + 64 * MIB, page, ACCESS_NOEXEC), 0);
        tables = virtual_events.kernel_tables;
        CHECK_EQ(tables_cover_kernel(KSPACE_BASE + 64 * MIB + PAGE_SIZE), 0);
        CHECK_EQ(virtual_events.kernel_tables, tables);
        CHECK_EQ(get_translation(kernel_pagetable(), KSPACE_BASE + 64 * MIB), page);
        CHECK_EQ(virtual_unmap_kernel(KSPACE_BASE + 64 * MIB), page);
        stop();
    }
}

/* To cover the window's own next stretch takes a table there: that one has covered it. */
TEST(tables_cover_the_window_itself)
{
    for (size_t i = 0; i < FORMATS; i++) {
        size_t next = TABLE_WINDOW_BASE;
        size_t spaces, kernel;

        start(i);
        make_spaces(3);
        fill_window(stretch());
        next += stretch() * PAGE_SIZE;
        spaces = physical_mem_info.owner[OWNER_PAGE_TABLE];
        kernel = physical_mem_info.owner[OWNER_KERNEL_TABLE];
        CHECK_EQ(tables_cover_kernel(next), 0);
        CHECK_EQ(physical_mem_info.owner[OWNER_PAGE_TABLE], spaces);
        CHECK_EQ(physical_mem_info.owner[OWNER_KERNEL_TABLE], kernel + 1);
        CHECK_EQ(get_translation(kernel_pagetable(), next + PAGE_SIZE), NO_TRANSLATION);
        stop();
    }
}

/* Both windows end at once: a space cannot be shown before its table can be. */
TEST(tables_of_both_windows_end_at_once)
{
    for (size_t i = 0; i < FORMATS; i++) {
        uint64_t tables;
        size_t tops;

        start(i);
        tops = stretch();
        make_spaces(tops - 2);          /* the kernel's own, the linear space */
        fill_window((tables_shown() / stretch() + 1) * stretch());
        tables = virtual_events.kernel_tables;
        make_spaces(tops - 1);
        CHECK_EQ(virtual_events.kernel_tables, tables + 2);
        CHECK_EQ(virtual_map_kernel(KSPACE_BASE + 64 * MIB, page, ACCESS_NOEXEC), 0);
        for (size_t k = 0; k < space_count; k++)
            CHECK_EQ(get_translation(space[k], KSPACE_BASE + 64 * MIB), page);
        CHECK_EQ(virtual_unmap_kernel(KSPACE_BASE + 64 * MIB), page);
        stop();
    }
}
