/*
 * The maps of this process that follow the fake TLB: a page of the kernel window is
 * accessible if and only if the TLB holds a translation for it, and RAM in the view if
 * the linear space is on.
 */
#include <kernel/panic.h>
#include <fake_cpu_parts.h>
#include <x86/cpu.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define WINDOW_PAGES    (WINDOW_LENGTH >> PAGE_SHIFT)
#define MAPPED_MAX      32768u          /* pages of the window at once: VMAs are scarce */

/* Window pages mapped now; global ones and others apart. */
typedef struct mapped_list {
    size_t count;
    uint32_t number[MAPPED_MAX];
} mapped_list_t;

static mapped_list_t mapped[2];                 /* [1]: global */
static uint32_t mapped_at[WINDOW_PAGES];        /* where a page is in its list */

void fake_must(bool condition, const char *what)
{
    if (!condition)
        panic("fake machine: %s: %s", what, strerror(errno));
}

/* ---- the window */

void fake_window_close(size_t vaddr, size_t length, int fixed)
{
    void *place = mmap((void *)vaddr, length, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);

    fake_must(place == (void *)vaddr, "the kernel's addresses are not free in this process");
}

void fake_window_unmap(uint32_t number)
{
    uint32_t page = number - (uint32_t)(0xc0000000u >> PAGE_SHIFT);
    mapped_list_t *list = &mapped[(fake_tlb[number].flags & TLB_GLOBAL) != 0];
    uint32_t last = list->number[--list->count];

    list->number[mapped_at[page]] = last;
    mapped_at[last - (uint32_t)(0xc0000000u >> PAGE_SHIFT)] = mapped_at[page];
    fake_tlb[number].flags &= (uint8_t)~TLB_MAPPED;
    fake_window_close(KERNEL_BASE + ((size_t)page << PAGE_SHIFT), PAGE_SIZE, MAP_FIXED);
}

void fake_window_map(size_t vaddr, tlb_entry_t *entry)
{
    uint32_t number = (uint32_t)vaddr >> PAGE_SHIFT;
    mapped_list_t *list = &mapped[(entry->flags & TLB_GLOBAL) != 0];
    bool write = (entry->flags & TLB_DIRTY) &&
                 ((entry->flags & TLB_WRITE) || !(fake_cpu.cr0 & CR0_WP));
    size_t frame = (size_t)entry->frame << PAGE_SHIFT;
    void *place = (void *)(vaddr & ~(size_t)PAGE_MASK);

    if (frame >= fake_cpu.ram_bytes)
        panic("fake machine: kernel address %#zx is mapped to %#zx: no RAM, no device",
              vaddr, frame);
    if (list->count == MAPPED_MAX)      /* forgetting is always allowed */
        fake_window_unmap(list->number[0]);
    fake_must(mmap(place, PAGE_SIZE, write ? PROT_READ | PROT_WRITE : PROT_READ,
                   MAP_SHARED | MAP_FIXED, fake_cpu.fd, (off_t)frame) == place, "mmap");
    if (entry->flags & TLB_MAPPED)
        return;
    entry->flags |= TLB_MAPPED;
    mapped_at[(vaddr - KERNEL_BASE) >> PAGE_SHIFT] = (uint32_t)list->count;
    list->number[list->count++] = number;
}

void fake_window_flush(bool global)
{
    while (mapped[0].count > 0)
        fake_window_unmap(mapped[0].number[mapped[0].count - 1]);
    while (global && mapped[1].count > 0)
        fake_window_unmap(mapped[1].number[mapped[1].count - 1]);
}

/* ---- the view */

void fake_view_open(size_t start, size_t length, int protection)
{
    fake_must(mprotect(fake_cpu.view + start, length, protection) == 0, "mprotect");
}

void fake_view_close(bool global)
{
    if (fake_cpu.open_low < fake_cpu.open_high)
        fake_view_open(fake_cpu.open_low, fake_cpu.open_high - fake_cpu.open_low, PROT_NONE);
    fake_cpu.open_low = fake_cpu.ram_bytes;
    fake_cpu.open_high = 0;
    if (global)
        fake_view_open(0, fake_cpu.ram_bytes, PROT_NONE);
}
