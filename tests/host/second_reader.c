/*
 * Page tables read from the manual: one plain function a format.
 */
#include "second_reader.h"

#include <string.h>

second_reader_t second_reader;

static uint64_t bits(unsigned high, unsigned low)
{
    return (((uint64_t)2 << (high - low)) - 1) << low;
}

static bool bit(uint64_t entry, unsigned number)
{
    return entry >> number & 1;
}

/* Read an entry of `bytes` bytes; note where. => 0 outside RAM */
static uint64_t fetch(uint64_t address, unsigned bytes, second_view_t *view)
{
    uint64_t entry = 0;

    if (address + bytes > second_reader.ram_bytes) {
        view->broken = true;
        return 0;
    }
    memcpy(&entry, second_reader.ram + address, bytes);
    view->at[view->depth++] = address;
    view->leaf = entry;
    return entry;
}

static void start(second_view_t *view)
{
    memset(view, 0, sizeof(*view));
    view->write = view->user = view->execute = true;
}

/* R/W and U/S are bits 1 and 2 in every entry that has them; XD is bit 63. */
static void and_rights(second_view_t *view, uint64_t entry, bool has_xd)
{
    view->write = view->write && bit(entry, 1);
    view->user = view->user && bit(entry, 2);
    if (has_xd && second_reader.nxe && bit(entry, 63))
        view->execute = false;
}

/* The entry maps a page: its remaining bits, which all formats share. */
static void found(second_view_t *view, uint64_t entry, uint64_t frame, uint64_t size)
{
    view->present = !view->reserved;
    view->write_through = bit(entry, 3);
    view->cache_disable = bit(entry, 4);
    view->accessed = bit(entry, 5);
    view->dirty = bit(entry, 6);
    view->global = bit(entry, 8);
    view->frame = frame;
    view->size = size;
    view->large = size > 4096;
}

static void note_table(second_view_t *view, uint64_t table)
{
    view->table = table;
    view->table_write = view->write;
    view->table_user = view->user;
    view->table_execute = view->execute;
}

/* Table 4-6: a 4-byte entry that maps a 4 KiB page. */
static void last_4bytes(uint64_t table, uint64_t vaddr, second_view_t *view)
{
    uint64_t pte = fetch(table + (vaddr >> 12 & 0x3ff) * 4, 4, view);

    note_table(view, table);
    if (!bit(pte, 0))
        return;
    and_rights(view, pte, false);
    found(view, pte, pte & bits(31, 12), 4096);
}

/* Table 4-11 and 4-20: an 8-byte entry that maps a 4 KiB page. */
static void last_8bytes(uint64_t table, uint64_t vaddr, second_view_t *view,
                        unsigned first_ignored)
{
    uint64_t pte = fetch(table + (vaddr >> 12 & 0x1ff) * 8, 8, view);

    note_table(view, table);
    if (!bit(pte, 0))
        return;
    if (pte & bits(first_ignored - 1, second_reader.physical_bits))
        view->reserved = true;
    if (!second_reader.nxe && bit(pte, 63))
        view->reserved = true;
    and_rights(view, pte, true);
    found(view, pte, pte & bits(second_reader.physical_bits - 1, 12), 4096);
}

/* Section 4.3. MAXPHYADDR of at most 40 counts; bits 20:13 of a 4 MiB entry. */
void second_reader_2level(uint64_t cr3, uint64_t vaddr, second_view_t *view)
{
    uint64_t pde;
    unsigned m = second_reader.physical_bits > 40 ? 40 : second_reader.physical_bits;

    start(view);
    vaddr &= 0xffffffff;
    pde = fetch((cr3 & bits(31, 12)) + (vaddr >> 22) * 4, 4, view);
    if (!bit(pde, 0))
        return;
    and_rights(view, pde, false);
    if (second_reader.pse && bit(pde, 7)) {
        if (pde & bits(21, m - 19))
            view->reserved = true;
        found(view, pde, (pde & bits(31, 22)) | (pde & bits(m - 20, 13)) << 19 |
              (vaddr & bits(21, 12)), 4096 * 1024);
        return;
    }
    last_4bytes(pde & bits(31, 12), vaddr, view);
}

/* Table 4-8: bits 2:1, 8:5 and 63:MAXPHYADDR of a present entry are reserved. */
bool second_reader_bad_top(uint64_t entry)
{
    return bit(entry, 0) &&
           (entry & (bits(2, 1) | bits(8, 5) | bits(63, second_reader.physical_bits))) != 0;
}

/* An entry of a page directory of 512 entries (PAE and 4-level). */
static void directory_8bytes(uint64_t directory, uint64_t vaddr, second_view_t *view,
                             unsigned first_ignored)
{
    unsigned m = second_reader.physical_bits;
    uint64_t pde = fetch(directory + (vaddr >> 21 & 0x1ff) * 8, 8, view);

    if (!bit(pde, 0))
        return;
    if (pde & bits(first_ignored - 1, m))
        view->reserved = true;
    if (!second_reader.nxe && bit(pde, 63))
        view->reserved = true;
    and_rights(view, pde, true);
    if (bit(pde, 7)) {
        if (pde & bits(20, 13))
            view->reserved = true;
        found(view, pde, (pde & bits(m - 1, 21)) | (vaddr & bits(20, 12)), 4096 * 512);
        return;
    }
    last_8bytes(pde & bits(m - 1, 12), vaddr, view, first_ignored);
}

/* Section 4.4. In PAE bits 62:MAXPHYADDR are reserved; the top has no rights. */
void second_reader_pae(uint64_t cr3, const uint64_t *top, uint64_t vaddr,
                       second_view_t *view)
{
    uint64_t pdpte;

    start(view);
    vaddr &= 0xffffffff;
    if (top != NULL)
        pdpte = top[vaddr >> 30];
    else
        pdpte = fetch((cr3 & bits(31, 5)) + (vaddr >> 30) * 8, 8, view);
    if (!bit(pdpte, 0))
        return;
    if (second_reader_bad_top(pdpte))
        view->reserved = true;
    directory_8bytes(pdpte & bits(second_reader.physical_bits - 1, 12), vaddr, view, 63);
}

/* One of the two upper levels of 4-level paging. => false: the walk ends here */
static bool upper_4level(uint64_t table, unsigned index, bool may_map, uint64_t vaddr,
                         second_view_t *view, uint64_t *next)
{
    unsigned m = second_reader.physical_bits;
    uint64_t entry = fetch(table + index * 8, 8, view);

    if (!bit(entry, 0))
        return false;
    if (entry & bits(51, m))
        view->reserved = true;
    if (!second_reader.nxe && bit(entry, 63))
        view->reserved = true;
    and_rights(view, entry, true);
    if (bit(entry, 7) && !may_map)
        view->reserved = true;
    if (bit(entry, 7) && may_map) {
        if (entry & bits(29, 13))
            view->reserved = true;
        found(view, entry, (entry & bits(m - 1, 30)) | (vaddr & bits(29, 12)), 1u << 30);
        return false;
    }
    *next = entry & bits(m - 1, 12);
    return true;
}

/* Section 4.5. Addresses have 48 bits, and bits 63:48 equal bit 47. */
void second_reader_4level(uint64_t cr3, uint64_t vaddr, second_view_t *view)
{
    uint64_t pdpt, directory;

    start(view);
    if (vaddr >> 47 != 0 && vaddr >> 47 != 0x1ffff)
        return;
    if (!upper_4level(cr3 & bits(51, 12), vaddr >> 39 & 0x1ff, false, vaddr, view, &pdpt))
        return;
    if (!upper_4level(pdpt, vaddr >> 30 & 0x1ff, true, vaddr, view, &directory))
        return;
    directory_8bytes(directory, vaddr, view, 52);
}

void second_reader_read(second_mode_t mode, uint64_t cr3, uint64_t vaddr,
                        second_view_t *view)
{
    if (mode == SECOND_2LEVEL)
        second_reader_2level(cr3, vaddr, view);
    else if (mode == SECOND_PAE)
        second_reader_pae(cr3, NULL, vaddr, view);
    else
        second_reader_4level(cr3, vaddr, view);
}

void second_reader_last(second_mode_t mode, uint64_t table, uint64_t vaddr,
                        second_view_t *view)
{
    bool write = view->write;
    bool user = view->user;
    bool execute = view->execute;

    start(view);
    view->write = write;
    view->user = user;
    view->execute = execute;
    if (mode == SECOND_2LEVEL)
        last_4bytes(table, vaddr & 0xffffffff, view);
    else
        last_8bytes(table, vaddr, view, mode == SECOND_PAE ? 63 : 52);
}

/*
 * The tables are counted by walking addresses: a table is new when it serves an
 * address that the one before did not. Regions that no table serves are skipped
 * by what the walk could not read.
 */
size_t second_reader_count_tables(second_mode_t mode, uint64_t cr3, uint64_t first,
                                  uint64_t end, size_t *leaves)
{
    static const uint64_t span[3][4] = {    /* bytes below an entry, top first */
        { 1u << 22, 1u << 12 },
        { 1u << 30, 1u << 21, 1u << 12 },
        { 1ull << 39, 1u << 30, 1u << 21, 1u << 12 },
    };
    uint64_t seen[4] = { 0 };
    uint64_t vaddr = first;
    size_t count = 0;

    if (leaves != NULL)
        *leaves = 0;
    while (vaddr < end) {
        second_view_t view;
        uint64_t step;

        second_reader_read(mode, cr3, vaddr, &view);
        if (view.depth == 0)
            break;
        for (unsigned level = 1; level < view.depth; level++) {
            uint64_t table = view.at[level] & ~(uint64_t)4095;

            count += table != seen[level];
            seen[level] = table;
        }
        step = span[mode][view.depth - 1];
        if (leaves != NULL && view.present)
            ++*leaves;
        vaddr = (vaddr & ~(step - 1)) + step;
    }
    return count;
}
