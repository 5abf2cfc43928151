/*
 * Paging on the fake machine, for tests: started in each format, read by the second reader.
 */
#include <kernel/layout.h>
#include <paging.h>

#include <string.h>

const char *const paging_formats[PAGING_FORMATS] = { "2level", "pae", "long" };

const paging_processor_t paging_processors[PAGING_PROCESSORS] = {
    { "2level", 0 },
    { "2level", FAKE_NO_PSE | FAKE_NO_PGE | FAKE_NO_NX | FAKE_NO_SMEP | FAKE_NO_SMAP |
                FAKE_NO_PAE },
    { "pae", 0 },
    { "pae", FAKE_NO_NX | FAKE_NO_SMEP },
    { "pae", FAKE_NO_PGE | FAKE_NO_SMAP | FAKE_NO_UMIP },
    { "pae", FAKE_NO_PSE },
    { "long", 0 },
};

void paging_start(size_t format)
{
    fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING,
                                         .format = paging_formats[format] });
}

bool paging_has_nx(void)
{
    return second_reader.nxe;
}

second_view_t paging_look(page_t space, size_t vaddr)
{
    second_view_t view;

    second_reader_read(fake_mode(), space, vaddr, &view);
    CHECK(!view.broken && !view.reserved);
    return view;
}

size_t paging_table_span(void)
{
    return fake_mode() == SECOND_2LEVEL ? 4 * MIB : 2 * MIB;
}

size_t paging_own_tables(page_t space)
{
    size_t tables = 1 + second_reader_count_tables(fake_mode(), space, USER_BASE, USER_END,
                                                   NULL);

    /* In long mode the way to the kernel's addresses, if it is another one. */
    if (fake_mode() == SECOND_4LEVEL && (uint64_t)KERNEL_BASE >> 39 != 0)
        tables++;
    return tables;
}

void paging_check_entry(page_t space, size_t vaddr, mmu_entry_t entry)
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
    CHECK_EQ(view.execute, !paging_has_nx() || !(entry & MMU_NOEXEC));
}

size_t paging_kernel_place(size_t number)
{
    return KSPACE_BASE + 2 * MIB + number * 8 * MIB;
}

void paging_check_everywhere(const page_t *space, size_t count, size_t vaddr, page_t page)
{
    for (size_t i = 0; i < count; i++) {
        second_view_t view = paging_look(space[i], vaddr);

        CHECK(view.present && view.frame == page && view.write && !view.user);
        CHECK_EQ(view.execute, !paging_has_nx());
    }
}

void paging_spoil_freed_pages(void)
{
    for (size_t number = 0; number < physical_frame_count; number++)
        if (physical_frames[number].state == FRAME_MAGAZINE)
            memset(fake_ram((page_t)number << PAGE_SHIFT), 0x27, PAGE_SIZE);
}
