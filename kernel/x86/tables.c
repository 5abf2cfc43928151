/*
 * GDT, IDT and TSS: flat segments, one gate a vector, and a second TSS on which
 * a double fault arrives.
 */
#include <kernel/panic.h>
#include <kernel/string.h>
#include <kernel/trap.h>
#include <x86/cpu.h>
#include <x86/tables.h>

enum {
    GDT_ENTRIES = 10,
    IDT_ENTRIES = 256,
    GDT_TSS = SELECTOR_TSS / 8,
    GDT_DOUBLE_FAULT_TSS = SELECTOR_DOUBLE_FAULT_TSS / 8,
    DOUBLE_FAULT_STACK = 4096,
};

/* Intel SDM 3A figure 7-2. */
typedef struct tss {
    uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
    uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi;
    uint32_t es, cs, ss, ds, fs, gs, ldt;
    uint16_t trap, io_map;
} tss_t;

/* Intel SDM 3A section 3.4.5: a descriptor's upper word without base and limit. */
#define DESCRIPTOR_CODE     0x00c09a00u     /* 4 KiB units, 32 bits, code, readable */
#define DESCRIPTOR_DATA     0x00c09200u     /* the same, data, writable */
#define DESCRIPTOR_TSS      0x00008900u     /* available 32-bit TSS, byte units */
#define DESCRIPTOR_RING3    0x00006000u
#define DESCRIPTOR_ACCESSED 0x00000100u     /* set beforehand: the GDT is not written */

/* Intel SDM 3A section 6.11. */
#define GATE_INTERRUPT   0x00008e00u
#define GATE_TASK        0x00008500u
#define GATE_RING3       0x00006000u

void double_fault_entry(void);          /* entry.asm */

static uint64_t gdt[GDT_ENTRIES] __attribute__((aligned(8)));
static uint64_t idt[IDT_ENTRIES] __attribute__((aligned(8)));
static tss_t tss;
static tss_t double_fault_tss;
static uint8_t double_fault_stack[DOUBLE_FAULT_STACK] __attribute__((aligned(16)));

static uint64_t descriptor(uint32_t base, uint32_t limit, uint32_t bits)
{
    uint32_t low = (base << 16) | (limit & 0xffff);
    uint32_t high = (base & 0xff000000) | (base >> 16 & 0xff) | (limit & 0xf0000) | bits;

    return (uint64_t)high << 32 | low;
}

static uint64_t gate(uint32_t selector, uint32_t offset, uint32_t bits)
{
    uint32_t low = selector << 16 | (offset & 0xffff);
    uint32_t high = (offset & 0xffff0000) | bits;

    return (uint64_t)high << 32 | low;
}

static void fill_gdt(void)
{
    uint32_t code = DESCRIPTOR_CODE | DESCRIPTOR_ACCESSED;
    uint32_t data = DESCRIPTOR_DATA | DESCRIPTOR_ACCESSED;

    gdt[SELECTOR_KERNEL_CODE / 8] = descriptor(0, 0xfffff, code);
    gdt[SELECTOR_KERNEL_DATA / 8] = descriptor(0, 0xfffff, data);
    gdt[SELECTOR_USER_CODE / 8] = descriptor(0, 0xfffff, code | DESCRIPTOR_RING3);
    gdt[SELECTOR_USER_DATA / 8] = descriptor(0, 0xfffff, data | DESCRIPTOR_RING3);
    gdt[GDT_TSS] = descriptor((uint32_t)&tss, sizeof(tss) - 1, DESCRIPTOR_TSS);
    gdt[GDT_DOUBLE_FAULT_TSS] = descriptor((uint32_t)&double_fault_tss,
                                           sizeof(double_fault_tss) - 1, DESCRIPTOR_TSS);
}

static void fill_tss(void)
{
    tss.ss0 = SELECTOR_KERNEL_DATA;
    tss.io_map = sizeof(tss);           /* past the limit: no port for ring 3 */
    double_fault_tss = (tss_t){
        .eip = (uint32_t)double_fault_entry,
        .eflags = EFLAGS_FIXED,
        .esp = (uint32_t)(double_fault_stack + sizeof(double_fault_stack)),
        .cs = SELECTOR_KERNEL_CODE,
        .ss = SELECTOR_KERNEL_DATA,
        .ds = SELECTOR_KERNEL_DATA,
        .es = SELECTOR_KERNEL_DATA,
        .io_map = sizeof(tss_t),
    };
}

static bool open_to_ring3(size_t vector)
{
    return vector == TRAP_BREAKPOINT || vector == TRAP_OVERFLOW;
}

void tables_load(const uint32_t *stubs, size_t stub_count, uint32_t system_call,
                 uint32_t spurious)
{
    fill_gdt();
    fill_tss();
    for (size_t vector = 0; vector < stub_count; vector++)
        idt[vector] = gate(SELECTOR_KERNEL_CODE, stubs[vector],
                           GATE_INTERRUPT | (open_to_ring3(vector) ? GATE_RING3 : 0));
    for (size_t vector = stub_count; vector < IDT_ENTRIES; vector++)
        idt[vector] = gate(SELECTOR_KERNEL_CODE, spurious, GATE_INTERRUPT);
    idt[TRAP_DOUBLE_FAULT] = gate(SELECTOR_DOUBLE_FAULT_TSS, 0, GATE_TASK);
    idt[TRAP_SYSTEM_CALL] = gate(SELECTOR_KERNEL_CODE, system_call,
                                 GATE_INTERRUPT | GATE_RING3);
    cpu_load_gdt(gdt, sizeof(gdt), SELECTOR_KERNEL_CODE, SELECTOR_KERNEL_DATA);
    cpu_load_ldt(0);
    cpu_load_idt(idt, sizeof(idt));
    cpu_load_tss(SELECTOR_TSS);
}

void trap_set_kernel_stack(size_t top)
{
    tss.esp0 = (uint32_t)top;
}

void trap_set_tls(unsigned index, uint32_t low, uint32_t high)
{
    ASSERT(index < GDT_TLS_COUNT);
    gdt[GDT_TLS_FIRST + index] = (uint64_t)high << 32 | low;
}

void tables_set_double_fault_space(page_t directory)
{
    double_fault_tss.cr3 = (uint32_t)directory;
}

void tables_interrupted_frame(trap_frame_t *frame)
{
    *frame = (trap_frame_t){
        .ebx = tss.ebx, .ecx = tss.ecx, .edx = tss.edx, .esi = tss.esi, .edi = tss.edi,
        .ebp = tss.ebp, .eax = tss.eax, .ds = tss.ds, .es = tss.es, .eip = tss.eip,
        .cs = tss.cs, .eflags = tss.eflags, .esp = tss.esp, .ss = tss.ss,
    };
}

void tables_places(table_place_t places[TABLE_PLACES])
{
    places[0] = (table_place_t){ "the GDT", (size_t)gdt, sizeof(gdt) };
    places[1] = (table_place_t){ "the IDT", (size_t)idt, sizeof(idt) };
    places[2] = (table_place_t){ "the TSS", (size_t)&tss, sizeof(tss) };
    places[3] = (table_place_t){ "the double fault's stack", (size_t)double_fault_stack,
                                 sizeof(double_fault_stack) };
}
