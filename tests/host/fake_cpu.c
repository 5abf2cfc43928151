/*
 * The processor of the fake machine: its registers and instructions, and power.
 */
#include <kernel/panic.h>
#include <fake_cpu.h>
#include <fake_cpu_parts.h>
#include <x86/cpu.h>
#include <x86/features.h>

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM_FILL        0xa7            /* RAM at power-on: looks like present entries */
#define FILL_MAX        (64 * MIB)      /* larger machines start with zeros */

fake_cpu_t fake_cpu = { .fd = -1 };
fake_events_t fake_events;
cpu_features_t cpu_features;

second_mode_t fake_mode(void)
{
    if (!(fake_cpu.cr4 & CR4_PAE))
        return SECOND_2LEVEL;
    return fake_cpu.efer & EFER_LONG ? SECOND_4LEVEL : SECOND_PAE;
}

bool fake_cpu_is_paging(void)
{
    return fake_cpu.cr0 & CR0_PG;
}

void fake_reset_events(void)
{
    memset(&fake_events, 0, sizeof(fake_events));
}

/* ---- the instructions */

uint32_t cpu_cr0(void) { return fake_cpu.cr0; }
uint32_t cpu_cr2(void) { return fake_cpu.cr2; }
uint32_t cpu_cr3(void) { return fake_cpu.cr3; }
uint32_t cpu_cr4(void) { return fake_cpu.cr4; }

/* PAE's processor reads the four top entries now, and no later. */
static void load_top(void)
{
    if (!(fake_cpu.cr0 & CR0_PG) || fake_mode() != SECOND_PAE)
        return;
    if ((fake_cpu.cr3 & ~31u) + sizeof(fake_cpu.top) > fake_cpu.ram_bytes)
        panic("fake machine: CR3 %#x is outside RAM", fake_cpu.cr3);
    memcpy(fake_cpu.top, fake_cpu.ram + (fake_cpu.cr3 & ~31u), sizeof(fake_cpu.top));
    for (unsigned i = 0; i < 4; i++)
        if (second_reader_bad_top(fake_cpu.top[i]))
            panic("fake machine: #GP: top entry %u of PAE is %#llx", i,
                  (unsigned long long)fake_cpu.top[i]);
}

void cpu_set_cr3(uint32_t value)
{
    fake_cpu.cr3 = value;
    fake_events.cr3_loads++;
    fake_tlb_flush(false);
    load_top();
}

void cpu_set_cr0(uint32_t value)
{
    uint32_t changed = fake_cpu.cr0 ^ value;

    if ((changed & CR0_PG) && !(value & CR0_PG))
        panic("fake machine: paging is turned off");
    if ((value & CR0_PG) && (fake_cpu.efer & EFER_LONG) && !(fake_cpu.cr4 & CR4_PAE))
        panic("fake machine: #GP: long mode without CR4.PAE");
    fake_cpu.cr0 = value;
    if (changed & (CR0_PG | CR0_WP))
        fake_tlb_flush(true);
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
    uint32_t changed = fake_cpu.cr4 ^ value;

    need(cpu_features.pse, value & CR4_PSE, "CR4.PSE");
    need(cpu_features.pae, value & CR4_PAE, "CR4.PAE");
    need(cpu_features.pge, value & CR4_PGE, "CR4.PGE");
    need(cpu_features.smep, value & CR4_SMEP, "CR4.SMEP");
    need(cpu_features.smap, value & CR4_SMAP, "CR4.SMAP");
    need(cpu_features.umip, value & CR4_UMIP, "CR4.UMIP");
    if ((changed & CR4_PAE) && (fake_cpu.cr0 & CR0_PG))
        panic("fake machine: CR4.PAE changes while paging is on");
    fake_cpu.cr4 = value;
    second_reader.pse = value & CR4_PSE;
    if (changed & (CR4_PGE | CR4_PAE | CR4_PSE | CR4_SMEP))
        fake_tlb_flush(true);
    load_top();
}

void cpu_invlpg(size_t vaddr)
{
    fake_events.invlpgs++;
    fake_tlb_invalidate(vaddr);
}

void cpu_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    (void)leaf;
    (void)subleaf;
    memset(out, 0, 4 * sizeof(out[0]));
}

uint64_t cpu_rdmsr(uint32_t msr)
{
    return msr == MSR_EFER ? fake_cpu.efer : 0;
}

void cpu_wrmsr(uint32_t msr, uint64_t value)
{
    if (msr != MSR_EFER)
        return;
    need(cpu_features.nx, value & EFER_NXE, "EFER.NXE");
    fake_cpu.efer = value;
    second_reader.nxe = value & EFER_NXE;
    fake_tlb_flush(true);
}

uint64_t cpu_rdtsc(void)
{
    return fake_cpu.clock++;
}

void cpu_allow_user_access(void)
{
    need(cpu_features.smap, true, "STAC");
    fake_cpu.user_access = true;
}

void cpu_forbid_user_access(void)
{
    need(cpu_features.smap, true, "CLAC");
    fake_cpu.user_access = false;
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
    return (page_t)((const uint8_t *)word - fake_cpu.view);
}

uint32_t cpu_read_word(const uint32_t *word)
{
    return fake_cpu.words != NULL ? fake_cpu.words->read(place_in_ram(word)) : *word;
}

void cpu_write_word(uint32_t *word, uint32_t value)
{
    if (fake_cpu.words != NULL)
        fake_cpu.words->write(place_in_ram(word), value);
    else
        *word = value;
}

void cpu_empty_caches(void) { }

void fake_set_words(const fake_words_t *words)
{
    fake_cpu.words = words;
}

void cpu_copy_page(void *to, const void *from)
{
    size_t vaddr = (size_t)from;
    const void *source = from;

    if ((fake_cpu.cr0 & CR0_PG) && vaddr < LINEAR_END) {
        source = fake_access_reach(vaddr, fake_cpu.user_access ? FAKE_STAC : 0);
        if (source == NULL)
            fake_access_fault(vaddr, 0, " (the source of a copied page)");
    }
    memcpy(to, source, PAGE_SIZE);
}

void *cpu_physical_address(page_t page)
{
    if (page >= fake_cpu.ram_bytes)
        panic("fake machine: %#zx is touched, RAM ends at %#zx", (size_t)page,
              fake_cpu.ram_bytes);
    return fake_cpu.view + page;
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

/* ---- power */

static void install(void)
{
    static bool done;
    struct sigaction action = { .sa_sigaction = fake_access_on_signal,
                                .sa_flags = SA_SIGINFO | SA_NODEFER };

    if (done)
        return;
    done = true;
    fake_window_close(KERNEL_BASE, WINDOW_LENGTH, MAP_FIXED_NOREPLACE);
    fake_must(sigaction(SIGSEGV, &action, &fake_cpu.old_action) == 0, "sigaction");
}

/*
 * In a 32-bit process the processor's view of RAM lies above the kernel's
 * addresses, so that no pointer into it can be taken for a user address.
 */
static uint8_t *map_ram(bool is_view)
{
    void *hint = is_view && sizeof(size_t) == 4 ? (void *)0xe0000000u : NULL;
    void *place = mmap(hint, fake_cpu.ram_bytes, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_NORESERVE | (hint != NULL ? MAP_FIXED_NOREPLACE : 0),
                       fake_cpu.fd, 0);

    fake_must(place != MAP_FAILED, "no room for RAM");
    return place;
}

void fake_cpu_start(size_t ram_bytes, bool long_mode)
{
    install();
    fake_cpu.fd = memfd_create("fake RAM", 0);
    fake_must(fake_cpu.fd >= 0 && ftruncate(fake_cpu.fd, (off_t)ram_bytes) == 0, "memfd");
    fake_cpu.ram_bytes = ram_bytes;
    fake_cpu.ram = map_ram(false);
    fake_cpu.view = map_ram(true);
    if (ram_bytes <= FILL_MAX)
        memset(fake_cpu.ram, RAM_FILL, ram_bytes);
    fake_cpu.open_low = ram_bytes;
    fake_cpu.open_high = 0;
    fake_cpu.cr0 = fake_cpu.cr2 = fake_cpu.cr3 = fake_cpu.cr4 = 0;
    fake_cpu.efer = long_mode ? EFER_LONG : 0;
    second_reader = (second_reader_t){ .ram = fake_cpu.ram, .ram_bytes = ram_bytes,
                                       .physical_bits = long_mode ? 46 : 36 };
    fake_cpu.handler = NULL;
    fake_cpu.words = NULL;
    fake_cpu.expecting = NULL;
    fake_tlb_flush(true);
    fake_reset_events();
}

void fake_cpu_hide(page_t start, page_t end)
{
    if (start < end)
        fake_view_open(start, end - start, PROT_NONE);
}

void fake_cpu_stop(void)
{
    fake_window_flush(true);
    munmap(fake_cpu.view, fake_cpu.ram_bytes);
    munmap(fake_cpu.ram, fake_cpu.ram_bytes);
    close(fake_cpu.fd);
    fake_cpu.view = fake_cpu.ram = NULL;
    fake_cpu.fd = -1;
    fake_cpu.ram_bytes = 0;
    fake_cpu.cr0 = 0;
    second_reader = (second_reader_t){ .ram_bytes = 0 };
}

void *fake_ram(page_t page)
{
    if (page >= fake_cpu.ram_bytes)
        panic("fake machine: the test reads RAM at %#zx", (size_t)page);
    return fake_cpu.ram + page;
}

size_t fake_ram_bytes(void)
{
    return fake_cpu.ram_bytes;
}

page_t fake_cr3(void)
{
    return fake_cpu.cr3;
}
