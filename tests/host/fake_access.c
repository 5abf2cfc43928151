/*
 * Accesses to the fake machine's memory: by plain pointers, which fault into the handler
 * of SIGSEGV, and by functions, for user addresses and for asking.
 */
#include <kernel/panic.h>
#include <fake_cpu_parts.h>
#include <x86/cpu.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define RETRIES         8               /* of one access whose fault was handled */

/* ---- by plain pointers */

_Noreturn void fake_access_fault(size_t vaddr, unsigned code, const char *what)
{
    if (fake_cpu.expecting != NULL) {
        fake_cpu.cr2 = (uint32_t)vaddr;
        siglongjmp(*fake_cpu.expecting, 1);
    }
    panic("fake machine: page fault in the kernel: %s %#zx, error code %#x%s",
          code & FAKE_WRITE ? "write to" : "read of", vaddr, code, what);
}

static bool window_access(size_t vaddr, unsigned access)
{
    tlb_entry_t *entry;
    int code;

    if (!fake_window_has(vaddr))
        return false;
    if (!(fake_cpu.cr0 & CR0_PG))
        fake_access_fault(vaddr, access, " (paging is off)");
    code = fake_tlb_translate(vaddr, access, &entry);
    if (code >= 0)
        fake_access_fault(vaddr, (unsigned)code, "");
    fake_window_map(vaddr, entry);
    return true;
}

/* How much can be opened at once from a page on: a TLB may read ahead. */
static size_t open_length(size_t *start, const tlb_entry_t *entry)
{
    size_t length = PAGE_SIZE;

    if (entry->flags & TLB_LARGE) {
        length = fake_mode() == SECOND_2LEVEL ? 4 * MIB : 2 * MIB;
        *start &= ~(length - 1);
        return length < fake_cpu.ram_bytes - *start ? length : fake_cpu.ram_bytes - *start;
    }
    while (length < 64 * PAGE_SIZE && fake_tlb_continues(*start + length, entry))
        length += PAGE_SIZE;
    return length;
}

static bool view_access(size_t address, unsigned access)
{
    size_t page = (address - (size_t)fake_cpu.view) & ~(size_t)PAGE_MASK;
    tlb_entry_t *entry;
    size_t length;
    int code;

    if (fake_cpu.view == NULL || address < (size_t)fake_cpu.view || page >= fake_cpu.ram_bytes)
        return false;
    if (!(fake_cpu.cr0 & CR0_PG))
        fake_access_fault(page, access, " (no RAM there)");
    code = fake_tlb_translate(page, access, &entry);
    if (code >= 0)
        fake_access_fault(page, (unsigned)code, " (RAM touched outside the linear space)");
    if ((size_t)entry->frame << PAGE_SHIFT != page)
        fake_access_fault(page, access, " (RAM touched outside the linear space: the current "
                          "tables have another page there)");
    length = open_length(&page, entry);
    fake_view_open(page, length, (entry->flags & TLB_DIRTY) && (entry->flags & TLB_WRITE)
                   ? PROT_READ | PROT_WRITE : PROT_READ);
    if (!(entry->flags & TLB_GLOBAL)) {
        if (page < fake_cpu.open_low)
            fake_cpu.open_low = page;
        if (page + length > fake_cpu.open_high)
            fake_cpu.open_high = page + length;
    }
    return true;
}

void fake_access_on_signal(int number, siginfo_t *info, void *context)
{
    const ucontext_t *state = context;
    unsigned access = state->uc_mcontext.gregs[REG_ERR] & FAKE_WRITE;
    size_t address = (size_t)info->si_addr;
    int saved = errno;

    if (!window_access(address, access) && !view_access(address, access))
        sigaction(number, &fake_cpu.old_action, NULL);   /* not ours: it comes again */
    errno = saved;
}

bool fake_expect_fault(void (*fn)(void *arg), void *arg, size_t *address)
{
    static sigjmp_buf place;

    if (sigsetjmp(place, 1) == 0) {
        fake_cpu.expecting = &place;
        fn(arg);
        fake_cpu.expecting = NULL;
        return false;
    }
    fake_cpu.expecting = NULL;
    if (address != NULL)
        *address = fake_cpu.cr2;
    return true;
}

/* ---- by functions */

unsigned fake_user_access(size_t vaddr, unsigned access)
{
    tlb_entry_t *entry;
    int code = fake_tlb_translate(vaddr, access | FAKE_USER, &entry);

    return code < 0 ? 0 : (unsigned)code;
}

int fake_kernel_access(size_t vaddr, unsigned access)
{
    tlb_entry_t *entry;

    return fake_tlb_translate(vaddr, access & ~FAKE_USER, &entry);
}

void fake_set_handler(fake_handler_t *handler)
{
    fake_cpu.handler = handler;
}

uint8_t *fake_access_reach(size_t vaddr, unsigned access)
{
    tlb_entry_t *entry;
    size_t frame;
    int code;
    int tries = 0;

    while ((code = fake_tlb_translate(vaddr, access, &entry)) >= 0) {
        if (fake_cpu.handler == NULL || !fake_cpu.handler(vaddr, (unsigned)code))
            return NULL;
        if (++tries == RETRIES)
            panic("fake machine: %#zx faults with %#x again and again", vaddr, code);
    }
    frame = (size_t)entry->frame << PAGE_SHIFT;
    if (frame >= fake_cpu.ram_bytes)
        panic("fake machine: user address %#zx is mapped to %#zx: no RAM", vaddr, frame);
    return fake_cpu.ram + frame + (vaddr & PAGE_MASK);
}

static bool transfer(size_t vaddr, uint8_t *buffer, size_t length, unsigned access)
{
    while (length > 0) {
        size_t piece = PAGE_SIZE - (vaddr & PAGE_MASK);
        uint8_t *place = fake_access_reach(vaddr, access);

        if (place == NULL)
            return false;
        if (piece > length)
            piece = length;
        if (access & FAKE_WRITE)
            memcpy(place, buffer, piece);
        else
            memcpy(buffer, place, piece);
        vaddr += piece;
        buffer += piece;
        length -= piece;
    }
    return true;
}

bool fake_read(size_t vaddr, void *buffer, size_t length)
{
    return transfer(vaddr, buffer, length, FAKE_USER);
}

bool fake_write(size_t vaddr, const void *buffer, size_t length)
{
    return transfer(vaddr, (uint8_t *)(size_t)buffer, length, FAKE_USER | FAKE_WRITE);
}
