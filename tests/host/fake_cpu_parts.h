/*
 * What the parts of the fake processor share: its registers, its TLB, and what each part
 * does for the others. fake_cpu.c has the registers and instructions, fake_tlb.c caches
 * and translates, fake_window.c maps into this process, fake_access.c is what reads,
 * writes and faults. fake_machine.c uses fake_cpu.h, tests fake_machine.h.
 *
 * => what goes wrong here is the fault of mm/ or of a test, and a panic
 */
#ifndef FAKE_CPU_PARTS_H
#define FAKE_CPU_PARTS_H

#include <kernel/layout.h>
#include <fake_machine.h>

#include <setjmp.h>
#include <signal.h>

/* ---- the state */

#define WINDOW_LENGTH   (GUARD_END - KERNEL_BASE)
#define NUMBERS         (1u << 20)      /* page numbers of 4 GiB */
#define EFER_LONG       0x500u          /* LME, LMA */
#define FAKE_STAC       0x100u          /* access: EFLAGS.AC is set */

typedef struct fake_cpu {
    int fd;
    uint8_t *ram;               /* the machine's own mapping */
    uint8_t *view;              /* the processor's, see cpu_physical_address */
    size_t ram_bytes;
    size_t open_low, open_high; /* of the view: what is open and not global */
    uint32_t cr0, cr2, cr3, cr4;
    uint64_t efer;
    bool user_access;           /* EFLAGS.AC */
    uint64_t top[4];            /* PAE's top entries, read when CR3 is loaded */
    uint32_t generation;        /* of TLB entries that are not global */
    uint32_t global_generation;
    uint32_t directory_generation;
    uint64_t clock;
    fake_handler_t *handler;
    const fake_words_t *words;  /* NULL: RAM is sound */
    sigjmp_buf *expecting;      /* a kernel fault goes there */
    struct sigaction old_action;
} fake_cpu_t;
extern fake_cpu_t fake_cpu;

/* ---- fake_tlb.c */

enum {
    TLB_VALID = 1,
    TLB_WRITE = 2,
    TLB_USER = 4,
    TLB_EXECUTE = 8,
    TLB_GLOBAL = 16,
    TLB_DIRTY = 32,
    TLB_LARGE = 64,
    TLB_MAPPED = 128,                   /* into this process: window pages only */
};

typedef struct tlb_entry {
    uint32_t generation;
    uint32_t frame;                     /* page number */
    uint8_t flags;
} tlb_entry_t;

extern tlb_entry_t fake_tlb[NUMBERS];

/* Where an address is cached; NULL: such an address never is. */
static inline tlb_entry_t *fake_tlb_slot(size_t vaddr)
{
    if (vaddr < LINEAR_END || (vaddr >= KERNEL_BASE && vaddr - KERNEL_BASE < GIB))
        return &fake_tlb[(uint32_t)vaddr >> PAGE_SHIFT];
    return NULL;
}

/*
 * What vaddr is translated to, by the TLB or the tables; what was read is cached.
 * => -1: allowed, and *out is its translation; else the error code
 *
 * => access: FAKE_WRITE, FAKE_USER, FAKE_EXECUTE, FAKE_STAC
 * => a fault is counted and sets CR2
 */
int fake_tlb_translate(size_t vaddr, unsigned access, tlb_entry_t **out);

/* Whether the tables map the page to itself, as writable and dirty as the first. */
bool fake_tlb_continues(size_t page, const tlb_entry_t *first);

/* INVLPG. */
void fake_tlb_invalidate(size_t vaddr);

/* Forget everything; what is global only if asked. */
void fake_tlb_flush(bool global);

/* ---- fake_window.c: maps of this process. The window: the kernel's addresses; the view:
 * where the processor sees RAM (cpu_physical_address). */

/* A call to the system that must not fail: panics with `what` and errno. */
void fake_must(bool condition, const char *what);

static inline bool fake_window_has(size_t vaddr)
{
    return vaddr >= KERNEL_BASE && vaddr - KERNEL_BASE < WINDOW_LENGTH;
}

/* Make a page of the window accessible, as its entry says. */
void fake_window_map(size_t vaddr, tlb_entry_t *entry);

/* A page of the window goes out of this process. => it is mapped: TLB_MAPPED */
void fake_window_unmap(uint32_t number);

/* All mapped pages of the window go; global ones only if asked. */
void fake_window_flush(bool global);

/* Take addresses of the window without access. => fixed: MAP_FIXED, MAP_FIXED_NOREPLACE */
void fake_window_close(size_t vaddr, size_t length, int fixed);

/* Give RAM from `start` on this protection in the view. */
void fake_view_open(size_t start, size_t length, int protection);

/* Close what is open of the view; with `global`, low RAM too. */
void fake_view_close(bool global);

/* ---- fake_access.c */

/* The handler of SIGSEGV: what the processor would do about an access, if it is one of
 * the machine's; else the action in fake_cpu.old_action. */
void fake_access_on_signal(int number, siginfo_t *info, void *context);

/* A page fault in the kernel: expected by the test, or a panic; `what` is for its end. */
_Noreturn void fake_access_fault(size_t vaddr, unsigned code, const char *what);

/* RAM behind a user address, faults handled. => NULL: given up */
uint8_t *fake_access_reach(size_t vaddr, unsigned access);

#endif
