/*
 * The processor of the fake machine: control registers, a TLB, a cache of
 * page-directory entries, and the page faults that map memory into this process.
 *
 * A page of the kernel window is accessible in this process if and only if the
 * fake TLB holds a translation for it. The tables themselves are read by
 * second_reader.c.
 */
#include <kernel/layout.h>
#include <kernel/panic.h>
#include <fake_machine.h>
#include <fake_cpu.h>
#include <x86/cpu.h>
#include <x86/features.h>

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define WINDOW_LENGTH   (GUARD_END - KERNEL_BASE)
#define WINDOW_PAGES    (WINDOW_LENGTH >> PAGE_SHIFT)
#define NUMBERS         (1u << 20)      /* page numbers of 4 GiB */
#define MAPPED_MAX      32768u          /* pages of the window at once: VMAs are scarce */
#define RAM_FILL        0xa7            /* RAM at power-on: looks like present entries */
#define FILL_MAX        (64 * MIB)      /* larger machines start with zeros */
#define EFER_LONG       0x500u          /* LME, LMA */
#define FAKE_STAC       0x100u          /* access: EFLAGS.AC is set */
#define RETRIES         8               /* of one access whose fault was handled */

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

/* A page-directory entry that the processor remembers (SDM 3A 4.10.3). */
typedef struct directory_entry {
    uint32_t generation;
    uint64_t table;
    bool write, user, execute;
} directory_entry_t;

/* Window pages mapped now; global ones and others apart. */
typedef struct mapped_list {
    size_t count;
    uint32_t number[MAPPED_MAX];
} mapped_list_t;

static tlb_entry_t tlb[NUMBERS];
static bool tlb_has_large[NUMBERS >> 10];       /* a hint, one for each 4 MiB */
static directory_entry_t directory_cache[NUMBERS >> 9];
static mapped_list_t mapped[2];                 /* [1]: global */
static uint32_t mapped_at[WINDOW_PAGES];        /* where a page is in its list */

static struct {
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
} cpu = { .fd = -1 };

fake_events_t fake_events;
cpu_features_t cpu_features;

second_mode_t fake_mode(void)
{
    if (!(cpu.cr4 & CR4_PAE))
        return SECOND_2LEVEL;
    return cpu.efer & EFER_LONG ? SECOND_4LEVEL : SECOND_PAE;
}

bool fake_cpu_is_paging(void)
{
    return cpu.cr0 & CR0_PG;
}

void fake_reset_events(void)
{
    memset(&fake_events, 0, sizeof(fake_events));
}

/* ---- the process: memory maps ---- */

static void must(bool condition, const char *what)
{
    if (!condition)
        panic("fake machine: %s: %s", what, strerror(errno));
}

static bool in_window(size_t vaddr)
{
    return vaddr >= KERNEL_BASE && vaddr - KERNEL_BASE < WINDOW_LENGTH;
}

static void close_window(size_t vaddr, size_t length, int fixed)
{
    void *place = mmap((void *)vaddr, length, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);

    must(place == (void *)vaddr, "the kernel's addresses are not free in this process");
}

static void open_view(size_t start, size_t length, int protection)
{
    must(mprotect(cpu.view + start, length, protection) == 0, "mprotect");
}

/* Close what is open of the view; with `global`, low RAM too. */
static void close_view(bool global)
{
    if (cpu.open_low < cpu.open_high)
        open_view(cpu.open_low, cpu.open_high - cpu.open_low, PROT_NONE);
    cpu.open_low = cpu.ram_bytes;
    cpu.open_high = 0;
    if (global)
        open_view(0, cpu.ram_bytes, PROT_NONE);
}

/* ---- the TLB ---- */

/* Where an address is cached; NULL: such an address never is. */
static tlb_entry_t *tlb_slot(size_t vaddr)
{
    if (vaddr < LINEAR_END || (vaddr >= KERNEL_BASE && vaddr - KERNEL_BASE < GIB))
        return &tlb[(uint32_t)vaddr >> PAGE_SHIFT];
    return NULL;
}

static bool tlb_is_valid(const tlb_entry_t *entry)
{
    return (entry->flags & TLB_VALID) != 0 &&
           entry->generation == (entry->flags & TLB_GLOBAL ? cpu.global_generation
                                                           : cpu.generation);
}

/* A page of the window goes out of this process. */
static void window_unmap(uint32_t number)
{
    uint32_t page = number - (uint32_t)(0xc0000000u >> PAGE_SHIFT);
    mapped_list_t *list = &mapped[(tlb[number].flags & TLB_GLOBAL) != 0];
    uint32_t last = list->number[--list->count];

    list->number[mapped_at[page]] = last;
    mapped_at[last - (uint32_t)(0xc0000000u >> PAGE_SHIFT)] = mapped_at[page];
    tlb[number].flags &= (uint8_t)~TLB_MAPPED;
    close_window(KERNEL_BASE + ((size_t)page << PAGE_SHIFT), PAGE_SIZE, MAP_FIXED);
}

static void window_map(size_t vaddr, tlb_entry_t *entry)
{
    uint32_t number = (uint32_t)vaddr >> PAGE_SHIFT;
    mapped_list_t *list = &mapped[(entry->flags & TLB_GLOBAL) != 0];
    bool write = (entry->flags & TLB_DIRTY) &&
                 ((entry->flags & TLB_WRITE) || !(cpu.cr0 & CR0_WP));
    size_t frame = (size_t)entry->frame << PAGE_SHIFT;
    void *place = (void *)(vaddr & ~(size_t)PAGE_MASK);

    if (frame >= cpu.ram_bytes)
        panic("fake machine: kernel address %#zx is mapped to %#zx: no RAM, no device",
              vaddr, frame);
    if (list->count == MAPPED_MAX)      /* forgetting is always allowed */
        window_unmap(list->number[0]);
    must(mmap(place, PAGE_SIZE, write ? PROT_READ | PROT_WRITE : PROT_READ,
              MAP_SHARED | MAP_FIXED, cpu.fd, (off_t)frame) == place, "mmap");
    if (entry->flags & TLB_MAPPED)
        return;
    entry->flags |= TLB_MAPPED;
    mapped_at[(vaddr - KERNEL_BASE) >> PAGE_SHIFT] = (uint32_t)list->count;
    list->number[list->count++] = number;
}

static void window_flush(bool global)
{
    while (mapped[0].count > 0)
        window_unmap(mapped[0].number[mapped[0].count - 1]);
    while (global && mapped[1].count > 0)
        window_unmap(mapped[1].number[mapped[1].count - 1]);
}

static void flush(bool global)
{
    window_flush(global);
    cpu.generation++;
    cpu.directory_generation++;
    if (global) {
        cpu.global_generation++;
        memset(tlb_has_large, 0, sizeof(tlb_has_large));
        fake_events.full_flushes++;
    }
    if (cpu.cr0 & CR0_PG)
        close_view(global);
}

static void forget(uint32_t number)
{
    if (tlb[number].flags & TLB_MAPPED)
        window_unmap(number);
    tlb[number].flags = 0;
}

/* All pages of the large page that the address is in. */
static void forget_large(uint32_t number)
{
    uint32_t count = fake_mode() == SECOND_2LEVEL ? 1024 : 512;
    uint32_t first = number & ~(count - 1);

    for (uint32_t i = first; i < first + count; i++)
        if (tlb[i].flags & TLB_LARGE)
            forget(i);
}

static void invalidate(size_t vaddr)
{
    tlb_entry_t *entry = tlb_slot(vaddr);
    uint32_t number = (uint32_t)vaddr >> PAGE_SHIFT;

    cpu.directory_generation++;
    if (entry == NULL)
        return;
    forget(number);
    if (tlb_has_large[number >> 10])
        forget_large(number);
    if (!(cpu.cr0 & CR0_PG) || vaddr >= cpu.ram_bytes)
        return;
    if (vaddr >= cpu.open_low && vaddr < cpu.open_high)
        close_view(false);
    else if (vaddr < LOW_END)
        open_view(vaddr & ~(size_t)PAGE_MASK, PAGE_SIZE, PROT_NONE);
}

/* ---- translation ---- */

static void set_bits(uint64_t address, uint8_t bits)
{
    cpu.ram[address] |= bits;
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

    if (tlb_slot(vaddr) != NULL && known->generation == cpu.directory_generation) {
        view->write = known->write;
        view->user = known->user;
        view->execute = known->execute;
        second_reader_last(mode, known->table, vaddr, view);
        return;
    }
    if (mode == SECOND_PAE)
        second_reader_pae(cpu.cr3, cpu.top, vaddr, view);
    else
        second_reader_read(mode, cpu.cr3, vaddr, view);
    if (view->broken)
        panic("fake machine: a page table on the way to %#zx lies outside RAM", vaddr);
    for (unsigned i = 0; i + 1 < view->depth; i++)
        set_bits(view->at[i], 0x20);
    if (view->table == 0 || view->reserved || tlb_slot(vaddr) == NULL)
        return;
    known->generation = cpu.directory_generation;
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
        ((access & FAKE_USER) || (cpu.cr0 & CR0_WP)))
        return false;
    if (access & FAKE_USER)
        return flags & TLB_USER;
    if (!(flags & TLB_USER))
        return true;
    if (access & FAKE_EXECUTE)
        return !(cpu.cr4 & CR4_SMEP);
    return !(cpu.cr4 & CR4_SMAP) || (access & FAKE_STAC);
}

static unsigned flags_of(const second_view_t *view)
{
    return TLB_VALID | (view->write ? TLB_WRITE : 0) | (view->user ? TLB_USER : 0) |
           (view->execute ? TLB_EXECUTE : 0) | (view->dirty ? TLB_DIRTY : 0) |
           (view->large ? TLB_LARGE : 0) |
           (view->global && (cpu.cr4 & CR4_PGE) ? TLB_GLOBAL : 0);
}

/*
 * A fault drops what was cached of the address, at all levels (SDM 3A 4.10.4.1).
 * The upper levels are read again at once: a processor may do that at any time.
 */
static int fault(size_t vaddr, unsigned access, unsigned code)
{
    second_view_t view;

    if (tlb_slot(vaddr) != NULL) {
        forget((uint32_t)vaddr >> PAGE_SHIFT);
        directory_of(vaddr)->generation = cpu.directory_generation - 1;
        read_tables(vaddr, &view);
    }
    cpu.cr2 = (uint32_t)vaddr;
    fake_events.faults++;
    code |= access & (FAKE_WRITE | FAKE_USER);
    if ((cpu.efer & EFER_NXE) || (cpu.cr4 & CR4_SMEP))
        code |= access & FAKE_EXECUTE;
    return (int)code;
}

/* => -1: allowed, and *out is its translation; else the error code */
static int translate(size_t vaddr, unsigned access, tlb_entry_t **out)
{
    static tlb_entry_t uncached;
    tlb_entry_t *entry = tlb_slot(vaddr);
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
    entry->generation = flags & TLB_GLOBAL ? cpu.global_generation : cpu.generation;
    if (view.large)
        tlb_has_large[(uint32_t)vaddr >> 22] = true;
    fake_events.fills++;
    return -1;
}

/* ---- accesses by plain pointers ---- */

static _Noreturn void kernel_fault(size_t vaddr, unsigned code, const char *what)
{
    if (cpu.expecting != NULL) {
        cpu.cr2 = (uint32_t)vaddr;
        siglongjmp(*cpu.expecting, 1);
    }
    panic("fake machine: page fault in the kernel: %s %#zx, error code %#x%s",
          code & FAKE_WRITE ? "write to" : "read of", vaddr, code, what);
}

static bool window_access(size_t vaddr, unsigned access)
{
    tlb_entry_t *entry;
    int code;

    if (!in_window(vaddr))
        return false;
    if (!(cpu.cr0 & CR0_PG))
        kernel_fault(vaddr, access, " (paging is off)");
    code = translate(vaddr, access, &entry);
    if (code >= 0)
        kernel_fault(vaddr, (unsigned)code, "");
    window_map(vaddr, entry);
    return true;
}

/* Whether the tables map the page to itself, as writable and dirty as the first. */
static bool continues(size_t page, const tlb_entry_t *first)
{
    second_view_t view;
    unsigned flags;

    if (page >= cpu.ram_bytes)
        return false;
    read_tables(page, &view);
    flags = flags_of(&view);
    return view.present && view.frame == page && flags == first->flags;
}

/* How much can be opened at once from a page on: a TLB may read ahead. */
static size_t open_length(size_t *start, const tlb_entry_t *entry)
{
    size_t length = PAGE_SIZE;

    if (entry->flags & TLB_LARGE) {
        length = fake_mode() == SECOND_2LEVEL ? 4 * MIB : 2 * MIB;
        *start &= ~(length - 1);
        return length < cpu.ram_bytes - *start ? length : cpu.ram_bytes - *start;
    }
    while (length < 64 * PAGE_SIZE && continues(*start + length, entry))
        length += PAGE_SIZE;
    return length;
}

static bool view_access(size_t address, unsigned access)
{
    size_t page = (address - (size_t)cpu.view) & ~(size_t)PAGE_MASK;
    tlb_entry_t *entry;
    size_t length;
    int code;

    if (cpu.view == NULL || address < (size_t)cpu.view || page >= cpu.ram_bytes)
        return false;
    if (!(cpu.cr0 & CR0_PG))
        kernel_fault(page, access, " (no RAM there)");
    code = translate(page, access, &entry);
    if (code >= 0)
        kernel_fault(page, (unsigned)code, " (RAM touched outside the linear space)");
    if ((size_t)entry->frame << PAGE_SHIFT != page)
        kernel_fault(page, access, " (RAM touched outside the linear space: the current "
                     "tables have another page there)");
    length = open_length(&page, entry);
    open_view(page, length, (entry->flags & TLB_DIRTY) && (entry->flags & TLB_WRITE)
              ? PROT_READ | PROT_WRITE : PROT_READ);
    if (!(entry->flags & TLB_GLOBAL)) {
        cpu.open_low = page < cpu.open_low ? page : cpu.open_low;
        cpu.open_high = page + length > cpu.open_high ? page + length : cpu.open_high;
    }
    return true;
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    const ucontext_t *state = context;
    unsigned access = state->uc_mcontext.gregs[REG_ERR] & FAKE_WRITE;
    size_t address = (size_t)info->si_addr;
    int saved = errno;

    if (!window_access(address, access) && !view_access(address, access))
        sigaction(number, &cpu.old_action, NULL);   /* not ours: it comes again */
    errno = saved;
}

bool fake_expect_fault(void (*fn)(void *arg), void *arg, size_t *address)
{
    static sigjmp_buf place;

    if (sigsetjmp(place, 1) == 0) {
        cpu.expecting = &place;
        fn(arg);
        cpu.expecting = NULL;
        return false;
    }
    cpu.expecting = NULL;
    if (address != NULL)
        *address = cpu.cr2;
    return true;
}

/* ---- accesses by functions ---- */

unsigned fake_user_access(size_t vaddr, unsigned access)
{
    tlb_entry_t *entry;
    int code = translate(vaddr, access | FAKE_USER, &entry);

    return code < 0 ? 0 : (unsigned)code;
}

int fake_kernel_access(size_t vaddr, unsigned access)
{
    tlb_entry_t *entry;

    return translate(vaddr, access & ~FAKE_USER, &entry);
}

void fake_set_handler(fake_handler_t *handler)
{
    cpu.handler = handler;
}

/* RAM behind a user address, faults handled. => NULL: given up */
static uint8_t *reach(size_t vaddr, unsigned access)
{
    tlb_entry_t *entry;
    size_t frame;
    int code;
    int tries = 0;

    while ((code = translate(vaddr, access, &entry)) >= 0) {
        if (cpu.handler == NULL || !cpu.handler(vaddr, (unsigned)code))
            return NULL;
        if (++tries == RETRIES)
            panic("fake machine: %#zx faults with %#x again and again", vaddr, code);
    }
    frame = (size_t)entry->frame << PAGE_SHIFT;
    if (frame >= cpu.ram_bytes)
        panic("fake machine: user address %#zx is mapped to %#zx: no RAM", vaddr, frame);
    return cpu.ram + frame + (vaddr & PAGE_MASK);
}

static bool transfer(size_t vaddr, uint8_t *buffer, size_t length, unsigned access)
{
    while (length > 0) {
        size_t piece = PAGE_SIZE - (vaddr & PAGE_MASK);
        uint8_t *place = reach(vaddr, access);

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

/* ---- the instructions ---- */

uint32_t cpu_cr0(void) { return cpu.cr0; }
uint32_t cpu_cr2(void) { return cpu.cr2; }
uint32_t cpu_cr3(void) { return cpu.cr3; }
uint32_t cpu_cr4(void) { return cpu.cr4; }

/* PAE's processor reads the four top entries now, and no later. */
static void load_top(void)
{
    if (!(cpu.cr0 & CR0_PG) || fake_mode() != SECOND_PAE)
        return;
    if ((cpu.cr3 & ~31u) + sizeof(cpu.top) > cpu.ram_bytes)
        panic("fake machine: CR3 %#x is outside RAM", cpu.cr3);
    memcpy(cpu.top, cpu.ram + (cpu.cr3 & ~31u), sizeof(cpu.top));
    for (unsigned i = 0; i < 4; i++)
        if (second_reader_bad_top(cpu.top[i]))
            panic("fake machine: #GP: top entry %u of PAE is %#llx", i,
                  (unsigned long long)cpu.top[i]);
}

void cpu_set_cr3(uint32_t value)
{
    cpu.cr3 = value;
    fake_events.cr3_loads++;
    flush(false);
    load_top();
}

void cpu_set_cr0(uint32_t value)
{
    uint32_t changed = cpu.cr0 ^ value;

    if ((changed & CR0_PG) && !(value & CR0_PG))
        panic("fake machine: paging is turned off");
    if ((value & CR0_PG) && (cpu.efer & EFER_LONG) && !(cpu.cr4 & CR4_PAE))
        panic("fake machine: #GP: long mode without CR4.PAE");
    cpu.cr0 = value;
    if (changed & (CR0_PG | CR0_WP))
        flush(true);
    if (changed & CR0_PG)
        load_top();
}

static void need(bool feature, bool asked, const char *name)
{
    if (asked && !feature)
        panic("fake machine: #GP: the processor has no %s", name);
}

void cpu_set_cr4(uint32_t value)
{
    uint32_t changed = cpu.cr4 ^ value;

    need(cpu_features.pse, value & CR4_PSE, "CR4.PSE");
    need(cpu_features.pae, value & CR4_PAE, "CR4.PAE");
    need(cpu_features.pge, value & CR4_PGE, "CR4.PGE");
    need(cpu_features.smep, value & CR4_SMEP, "CR4.SMEP");
    need(cpu_features.smap, value & CR4_SMAP, "CR4.SMAP");
    need(cpu_features.umip, value & CR4_UMIP, "CR4.UMIP");
    if ((changed & CR4_PAE) && (cpu.cr0 & CR0_PG))
        panic("fake machine: CR4.PAE changes while paging is on");
    cpu.cr4 = value;
    second_reader.pse = value & CR4_PSE;
    if (changed & (CR4_PGE | CR4_PAE | CR4_PSE | CR4_SMEP))
        flush(true);
    load_top();
}

void cpu_invlpg(size_t vaddr)
{
    fake_events.invlpgs++;
    invalidate(vaddr);
}

void cpu_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    (void)leaf;
    (void)subleaf;
    memset(out, 0, 4 * sizeof(out[0]));
}

uint64_t cpu_rdmsr(uint32_t msr)
{
    return msr == MSR_EFER ? cpu.efer : 0;
}

void cpu_wrmsr(uint32_t msr, uint64_t value)
{
    if (msr != MSR_EFER)
        return;
    need(cpu_features.nx, value & EFER_NXE, "EFER.NXE");
    cpu.efer = value;
    second_reader.nxe = value & EFER_NXE;
    flush(true);
}

uint64_t cpu_rdtsc(void)
{
    return cpu.clock++;
}

void cpu_allow_user_access(void)
{
    need(cpu_features.smap, true, "STAC");
    cpu.user_access = true;
}

void cpu_forbid_user_access(void)
{
    need(cpu_features.smap, true, "CLAC");
    cpu.user_access = false;
}

void cpu_fill_words(uint32_t *words, size_t count, uint32_t value)
{
    while (count-- > 0)
        *words++ = value;
}

const uint32_t *cpu_find_other(const uint32_t *words, size_t count, uint32_t value)
{
    for (; count > 0; count--, words++)
        if (*words != value)
            return words;
    return NULL;
}

void cpu_clear_page(void *page)
{
    memset(page, 0, PAGE_SIZE);
}

static page_t place_in_ram(const uint32_t *word)
{
    return (page_t)((const uint8_t *)word - cpu.view);
}

uint32_t cpu_read_word(const uint32_t *word)
{
    return cpu.words != NULL ? cpu.words->read(place_in_ram(word)) : *word;
}

void cpu_write_word(uint32_t *word, uint32_t value)
{
    if (cpu.words != NULL)
        cpu.words->write(place_in_ram(word), value);
    else
        *word = value;
}

void cpu_empty_caches(void) { }

void fake_set_words(const fake_words_t *words)
{
    cpu.words = words;
}

void cpu_copy_page(void *to, const void *from)
{
    size_t vaddr = (size_t)from;
    const void *source = from;

    if ((cpu.cr0 & CR0_PG) && vaddr < LINEAR_END) {
        source = reach(vaddr, cpu.user_access ? FAKE_STAC : 0);
        if (source == NULL)
            kernel_fault(vaddr, 0, " (the source of a copied page)");
    }
    memcpy(to, source, PAGE_SIZE);
}

void *cpu_physical_address(page_t page)
{
    if (page >= cpu.ram_bytes)
        panic("fake machine: %#zx is touched, RAM ends at %#zx", (size_t)page,
              cpu.ram_bytes);
    return cpu.view + page;
}

void cpu_out8(uint16_t port, uint8_t value) { (void)port; (void)value; }
void cpu_out16(uint16_t port, uint16_t value) { (void)port; (void)value; }
void cpu_out32(uint16_t port, uint32_t value) { (void)port; (void)value; }

uint8_t cpu_in8(uint16_t port)
{
    (void)port;
    return 0xff;
}

void cpu_enable_interrupts(void) { }
void cpu_disable_interrupts(void) { }

void cpu_halt(void)
{
    panic("fake machine: the processor was halted");
}

uint32_t cpu_frame_pointer(void)
{
    return 0;
}

/* ---- power ---- */

static void install(void)
{
    static bool done;
    struct sigaction action = { .sa_sigaction = on_fault,
                                .sa_flags = SA_SIGINFO | SA_NODEFER };

    if (done)
        return;
    done = true;
    close_window(KERNEL_BASE, WINDOW_LENGTH, MAP_FIXED_NOREPLACE);
    must(sigaction(SIGSEGV, &action, &cpu.old_action) == 0, "sigaction");
}

/*
 * In a 32-bit process the processor's view of RAM lies above the kernel's
 * addresses, so that no pointer into it can be taken for a user address.
 */
static uint8_t *map_ram(bool is_view)
{
    void *hint = is_view && sizeof(size_t) == 4 ? (void *)0xe0000000u : NULL;
    void *place = mmap(hint, cpu.ram_bytes, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_NORESERVE | (hint != NULL ? MAP_FIXED_NOREPLACE : 0),
                       cpu.fd, 0);

    must(place != MAP_FAILED, "no room for RAM");
    return place;
}

void fake_cpu_start(size_t ram_bytes, bool long_mode)
{
    install();
    cpu.fd = memfd_create("fake RAM", 0);
    must(cpu.fd >= 0 && ftruncate(cpu.fd, (off_t)ram_bytes) == 0, "memfd");
    cpu.ram_bytes = ram_bytes;
    cpu.ram = map_ram(false);
    cpu.view = map_ram(true);
    if (ram_bytes <= FILL_MAX)
        memset(cpu.ram, RAM_FILL, ram_bytes);
    cpu.open_low = ram_bytes;
    cpu.open_high = 0;
    cpu.cr0 = cpu.cr2 = cpu.cr3 = cpu.cr4 = 0;
    cpu.efer = long_mode ? EFER_LONG : 0;
    second_reader = (second_reader_t){ .ram = cpu.ram, .ram_bytes = ram_bytes,
                                       .physical_bits = long_mode ? 46 : 36 };
    cpu.handler = NULL;
    cpu.words = NULL;
    cpu.expecting = NULL;
    flush(true);
    fake_reset_events();
}

void fake_cpu_hide(page_t start, page_t end)
{
    if (start < end)
        open_view(start, end - start, PROT_NONE);
}

void fake_cpu_stop(void)
{
    window_flush(true);
    munmap(cpu.view, cpu.ram_bytes);
    munmap(cpu.ram, cpu.ram_bytes);
    close(cpu.fd);
    cpu.view = cpu.ram = NULL;
    cpu.fd = -1;
    cpu.ram_bytes = 0;
    cpu.cr0 = 0;
    second_reader = (second_reader_t){ .ram_bytes = 0 };
}

void *fake_ram(page_t page)
{
    if (page >= cpu.ram_bytes)
        panic("fake machine: the test reads RAM at %#zx", (size_t)page);
    return cpu.ram + page;
}

size_t fake_ram_bytes(void)
{
    return cpu.ram_bytes;
}

page_t fake_cr3(void)
{
    return cpu.cr3;
}
