/*
 * The processor, instruction by instruction: the only inline assembly.
 *
 * The host tests have a file of the same name whose functions drive a fake
 * machine.
 */
#ifndef X86_CPU_H
#define X86_CPU_H

#include <kernel/types.h>
#include <x86/registers.h>

static inline uint32_t cpu_cr0(void)
{
    uint32_t value;

    __asm__ volatile("mov %%cr0, %0" : "=r"(value));
    return value;
}

static inline void cpu_set_cr0(uint32_t value)
{
    __asm__ volatile("mov %0, %%cr0" : : "r"(value) : "memory");
}

static inline uint32_t cpu_cr2(void)
{
    uint32_t value;

    __asm__ volatile("mov %%cr2, %0" : "=r"(value));
    return value;
}

static inline uint32_t cpu_cr3(void)
{
    uint32_t value;

    __asm__ volatile("mov %%cr3, %0" : "=r"(value));
    return value;
}

/* Switches the space; flushes every entry that is not global. */
static inline void cpu_set_cr3(uint32_t value)
{
    __asm__ volatile("mov %0, %%cr3" : : "r"(value) : "memory");
}

static inline uint32_t cpu_cr4(void)
{
    uint32_t value;

    __asm__ volatile("mov %%cr4, %0" : "=r"(value));
    return value;
}

static inline void cpu_set_cr4(uint32_t value)
{
    __asm__ volatile("mov %0, %%cr4" : : "r"(value) : "memory");
}

/* Flushes one page, global or not, and the paging-structure caches. */
static inline void cpu_invlpg(size_t vaddr)
{
    __asm__ volatile("invlpg (%0)" : : "r"(vaddr) : "memory");
}

static inline void cpu_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    __asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                     : "a"(leaf), "c"(subleaf));
}

static inline uint64_t cpu_rdmsr(uint32_t msr)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static inline void cpu_wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value),
                     "d"((uint32_t)(value >> 32)) : "memory");
}

static inline uint32_t cpu_dr7(void)
{
    uint32_t value;

    __asm__ volatile("mov %%dr7, %0" : "=r"(value));
    return value;
}

/* What the last debug trap was, and forget it: the processor never clears a bit. */
static inline uint32_t cpu_take_dr6(void)
{
    uint32_t value;

    __asm__ volatile("mov %%dr6, %0" : "=r"(value));
    __asm__ volatile("mov %0, %%dr6" : : "r"(0xffff0ff0u));
    return value;
}

/* DR7 = 0: no hardware breakpoint. */
static inline void cpu_clear_breakpoints(void)
{
    __asm__ volatile("mov %0, %%dr7" : : "r"(0));
}

static inline uint64_t cpu_rdtsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

/* Fill a page with zeros: 1,024 iterations. */
static inline void cpu_clear_page(void *page)
{
    uint32_t count = 1024;

    __asm__ volatile("rep stosl" : "+D"(page), "+c"(count) : "a"(0) : "memory");
}

/* Fill `count` words; the first of them that is not `value`, or NULL. */
static inline void cpu_fill_words(uint32_t *words, size_t count, uint32_t value)
{
    __asm__ volatile("rep stosl" : "+D"(words), "+c"(count) : "a"(value) : "memory");
}

static inline const uint32_t *cpu_find_other(const uint32_t *words, size_t count,
                                             uint32_t value)
{
    bool same;

    __asm__ volatile("repe scasl" : "+D"(words), "+c"(count), "=@ccz"(same)
                     : "a"(value) : "memory");
    return same ? NULL : words - 1;
}

/* Copy a page; both are page-aligned. */
static inline void cpu_copy_page(void *to, const void *from)
{
    uint32_t count = 1024;

    __asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

/* One access to a word of RAM, which the compiler neither leaves out nor moves. */
static inline uint32_t cpu_read_word(const uint32_t *word)
{
    return *(const volatile uint32_t *)word;
}

static inline void cpu_write_word(uint32_t *word, uint32_t value)
{
    *(volatile uint32_t *)word = value;
}

/* Write what the caches hold to RAM and empty them: the next access goes there. */
static inline void cpu_empty_caches(void)
{
    __asm__ volatile("wbinvd" : : : "memory");
}

/* Let the kernel touch programs' pages, and no longer. => only where SMAP exists */
static inline void cpu_allow_user_access(void)
{
    __asm__ volatile("stac" : : : "memory");
}

static inline void cpu_forbid_user_access(void)
{
    __asm__ volatile("clac" : : : "memory");
}

/*
 * Where a frame is, in the linear space or before paging.
 *
 * => physical_ptr (linear.h) asserts that; use that one
 */
static inline void *cpu_physical_address(page_t page)
{
    return (void *)page;
}

static inline void cpu_out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void cpu_out16(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline void cpu_out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t cpu_in8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline void cpu_enable_interrupts(void)
{
    __asm__ volatile("sti");
}

static inline void cpu_disable_interrupts(void)
{
    __asm__ volatile("cli");
}

/* Stop until an interrupt; with interrupts off, for good. */
static inline void cpu_halt(void)
{
    __asm__ volatile("hlt");
}

/* Load the GDT and, from it, all segment registers. */
static inline void cpu_load_gdt(const void *table, size_t length, uint16_t code, uint16_t data)
{
    struct { uint16_t limit; uint32_t base; } __attribute__((packed)) place =
        { (uint16_t)(length - 1), (uint32_t)(uintptr_t)table };

    __asm__ volatile("lgdt %0\n\t"
                     "mov %2, %%ds\n\tmov %2, %%es\n\tmov %2, %%ss\n\t"
                     "mov %3, %%fs\n\tmov %3, %%gs\n\t"
                     "push %1\n\tpush $1f\n\tlret\n1:"
                     : : "m"(place), "r"((uint32_t)code), "r"((uint32_t)data), "r"(0)
                     : "memory");
}

static inline void cpu_load_idt(const void *table, size_t length)
{
    struct { uint16_t limit; uint32_t base; } __attribute__((packed)) place =
        { (uint16_t)(length - 1), (uint32_t)(uintptr_t)table };

    __asm__ volatile("lidt %0" : : "m"(place) : "memory");
}

/* => 0: no LDT. After reset it is 64 KiB at address 0 (SDM 3A table 9-1). */
static inline void cpu_load_ldt(uint16_t selector)
{
    __asm__ volatile("lldt %0" : : "r"(selector) : "memory");
}

/* Whether a selector names a segment that can be read at its privilege. */
static inline bool cpu_can_read_segment(uint16_t selector)
{
    bool can;

    __asm__ volatile("verr %w1" : "=@ccz"(can) : "r"(selector) : "memory");
    return can;
}

static inline uint16_t cpu_ldt(void)
{
    uint16_t selector;

    __asm__ volatile("sldt %0" : "=r"(selector));
    return selector;
}

static inline void cpu_load_tss(uint16_t selector)
{
    __asm__ volatile("ltr %0" : : "r"(selector) : "memory");
}

/* Floating-point state; the area is 16-aligned for fxsave. */
static inline void cpu_fxsave(void *state)
{
    __asm__ volatile("fxsave (%0)" : : "r"(state) : "memory");
}

static inline void cpu_fxrstor(const void *state)
{
    __asm__ volatile("fxrstor (%0)" : : "r"(state) : "memory");
}

static inline void cpu_fsave(void *state)
{
    __asm__ volatile("fnsave (%0)" : : "r"(state) : "memory");
}

static inline void cpu_frstor(const void *state)
{
    __asm__ volatile("frstor (%0)" : : "r"(state) : "memory");
}

static inline void cpu_fninit(void)
{
    __asm__ volatile("fninit");
}

static inline void cpu_segments(uint16_t *fs, uint16_t *gs)
{
    uint32_t f, g;

    __asm__ volatile("mov %%fs, %0\n\tmov %%gs, %1" : "=r"(f), "=r"(g));
    *fs = (uint16_t)f;
    *gs = (uint16_t)g;
}

static inline uint32_t cpu_frame_pointer(void)
{
    uint32_t value;

    __asm__ volatile("mov %%ebp, %0" : "=r"(value));
    return value;
}

#endif
