/*
 * The fake processor's TLB and its cache of page-directory entries: stale until they
 * are flushed. The tables themselves are read by second_reader.c.
 */
#include <kernel/panic.h>
#include <fake_cpu_parts.h>
#include <x86/cpu.h>

#include <string.h>
#include <sys/mman.h>

/* A page-directory entry that the processor remembers (SDM 3A 4.10.3). */
typedef struct directory_entry {
    uint32_t generation;
    uint64_t table;
    bool write, user, execute;
} directory_entry_t;

tlb_entry_t fake_tlb[NUMBERS];
static bool tlb_has_large[NUMBERS >> 10];       /* a hint, one for each 4 MiB */
static directory_entry_t directory_cache[NUMBERS >> 9];

/* ---- what is cached, and forgotten */

static bool tlb_is_valid(const tlb_entry_t *entry)
{
    return (entry->flags & TLB_VALID) != 0 &&
           entry->generation == (entry->flags & TLB_GLOBAL ? fake_cpu.global_generation
                                                           : fake_cpu.generation);
}

void fake_tlb_flush(bool global)
{
    fake_window_flush(global);
    fake_cpu.generation++;
    fake_cpu.directory_generation++;
    if (global) {
        fake_cpu.global_generation++;
        memset(tlb_has_large, 0, sizeof(tlb_has_large));
        fake_events.full_flushes++;
    }
    if (fake_cpu.cr0 & CR0_PG)
        fake_view_close(global);
}

static void forget(uint32_t number)
{
    if (fake_tlb[number].flags & TLB_MAPPED)
        fake_window_unmap(number);
    fake_tlb[number].flags = 0;
}

/* All pages of the large page that the address is in. */
static void forget_large(uint32_t number)
{
    uint32_t count = fake_mode() == SECOND_2LEVEL ? 1024 : 512;
    uint32_t first = number & ~(count - 1);

    for (uint32_t i = first; i < first + count; i++)
        if (fake_tlb[i].flags & TLB_LARGE)
            forget(i);
}

void fake_tlb_invalidate(size_t vaddr)
{
    tlb_entry_t *entry = fake_tlb_slot(vaddr);
    uint32_t number = (uint32_t)vaddr >> PAGE_SHIFT;

    fake_cpu.directory_generation++;
    if (entry == NULL)
        return;
    forget(number);
    if (tlb_has_large[number >> 10])
        forget_large(number);
    if (!(fake_cpu.cr0 & CR0_PG) || vaddr >= fake_cpu.ram_bytes)
        return;
    if (vaddr >= fake_cpu.open_low && vaddr < fake_cpu.open_high)
        fake_view_close(false);
    else if (vaddr < LOW_END)
        fake_view_open(vaddr & ~(size_t)PAGE_MASK, PAGE_SIZE, PROT_NONE);
}

/* ---- translation */

static void set_bits(uint64_t address, uint8_t bits)
{
    fake_cpu.ram[address] |= bits;
}

static directory_entry_t *directory_of(size_t vaddr)
{
    return &directory_cache[(uint32_t)vaddr >> (fake_mode() == SECOND_2LEVEL ? 22 : 21)];
}

/* Read the tables, or what is cached of them; cache what was read. */
static void read_tables(size_t vaddr, second_view_t *view)
{
    second_mode_t mode = fake_mode();
    directory_entry_t *known = directory_of(vaddr);

    if (fake_tlb_slot(vaddr) != NULL && known->generation == fake_cpu.directory_generation) {
        view->write = known->write;
        view->user = known->user;
        view->execute = known->execute;
        second_reader_last(mode, known->table, vaddr, view);
        return;
    }
    if (mode == SECOND_PAE)
        second_reader_pae(fake_cpu.cr3, fake_cpu.top, vaddr, view);
    else
        second_reader_read(mode, fake_cpu.cr3, vaddr, view);
    if (view->broken)
        panic("fake machine: a page table on the way to %#zx lies outside RAM", vaddr);
    for (unsigned i = 0; i + 1 < view->depth; i++)
        set_bits(view->at[i], 0x20);
    if (view->table == 0 || view->reserved || fake_tlb_slot(vaddr) == NULL)
        return;
    known->generation = fake_cpu.directory_generation;
    known->table = view->table;
    known->write = view->table_write;
    known->user = view->table_user;
    known->execute = view->table_execute;
}

static bool is_allowed(unsigned flags, unsigned access)
{
    if ((access & FAKE_EXECUTE) && !(flags & TLB_EXECUTE))
        return false;
    if ((access & FAKE_WRITE) && !(flags & TLB_WRITE) &&
        ((access & FAKE_USER) || (fake_cpu.cr0 & CR0_WP)))
        return false;
    if (access & FAKE_USER)
        return flags & TLB_USER;
    if (!(flags & TLB_USER))
        return true;
    if (access & FAKE_EXECUTE)
        return !(fake_cpu.cr4 & CR4_SMEP);
    return !(fake_cpu.cr4 & CR4_SMAP) || (access & FAKE_STAC);
}

static unsigned flags_of(const second_view_t *view)
{
    return TLB_VALID | (view->write ? TLB_WRITE : 0) | (view->user ? TLB_USER : 0) |
           (view->execute ? TLB_EXECUTE : 0) | (view->dirty ? TLB_DIRTY : 0) |
           (view->large ? TLB_LARGE : 0) |
           (view->global && (fake_cpu.cr4 & CR4_PGE) ? TLB_GLOBAL : 0);
}

/*
 * A fault drops what was cached of the address, at all levels (SDM 3A 4.10.4.1).
 * The upper levels are read again at once: a processor may do that at any time.
 */
static int fault(size_t vaddr, unsigned access, unsigned code)
{
    second_view_t view;

    if (fake_tlb_slot(vaddr) != NULL) {
        forget((uint32_t)vaddr >> PAGE_SHIFT);
        directory_of(vaddr)->generation = fake_cpu.directory_generation - 1;
        read_tables(vaddr, &view);
    }
    fake_cpu.cr2 = (uint32_t)vaddr;
    fake_events.faults++;
    code |= access & (FAKE_WRITE | FAKE_USER);
    if ((fake_cpu.efer & EFER_NXE) || (fake_cpu.cr4 & CR4_SMEP))
        code |= access & FAKE_EXECUTE;
    return (int)code;
}

int fake_tlb_translate(size_t vaddr, unsigned access, tlb_entry_t **out)
{
    static tlb_entry_t uncached;
    tlb_entry_t *entry = fake_tlb_slot(vaddr);
    second_view_t view;
    unsigned flags;

    if (entry == NULL) {
        entry = &uncached;
        entry->flags = 0;
    }
    *out = entry;
    if (tlb_is_valid(entry)) {
        if (!is_allowed(entry->flags, access))
            return fault(vaddr, access, FAKE_PRESENT);
        if (!(access & FAKE_WRITE) || (entry->flags & TLB_DIRTY))
            return -1;
    }
    read_tables(vaddr, &view);
    flags = flags_of(&view);
    if (!view.present || !is_allowed(flags, access))
        return fault(vaddr, access, view.present ? FAKE_PRESENT :
                     view.reserved ? FAKE_PRESENT | FAKE_RESERVED : 0);
    set_bits(view.at[view.depth - 1], access & FAKE_WRITE ? 0x60 : 0x20);
    if (access & FAKE_WRITE)
        flags |= TLB_DIRTY;
    if (entry != &uncached)
        forget((uint32_t)vaddr >> PAGE_SHIFT);
    entry->flags = (uint8_t)flags;
    entry->frame = (uint32_t)(view.frame >> PAGE_SHIFT);
    entry->generation = flags & TLB_GLOBAL ? fake_cpu.global_generation : fake_cpu.generation;
    if (view.large)
        tlb_has_large[(uint32_t)vaddr >> 22] = true;
    fake_events.fills++;
    return -1;
}

bool fake_tlb_continues(size_t page, const tlb_entry_t *first)
{
    second_view_t view;
    unsigned flags;

    if (page >= fake_cpu.ram_bytes)
        return false;
    read_tables(page, &view);
    flags = flags_of(&view);
    return view.present && view.frame == page && flags == first->flags;
}
