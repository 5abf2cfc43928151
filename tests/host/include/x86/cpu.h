/*
 * The processor of the host tests: the same calls as include/x86/cpu.h, driving
 * the fake machine of tests/host/fake_machine.c. Found first by include order.
 */
#ifndef X86_CPU_H
#define X86_CPU_H

#include <kernel/types.h>
#include <x86/registers.h>

uint32_t cpu_cr0(void);
void cpu_set_cr0(uint32_t value);
uint32_t cpu_cr2(void);
uint32_t cpu_cr3(void);
void cpu_set_cr3(uint32_t value);
uint32_t cpu_cr4(void);
void cpu_set_cr4(uint32_t value);
void cpu_invlpg(size_t vaddr);

void cpu_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
uint64_t cpu_rdmsr(uint32_t msr);
void cpu_wrmsr(uint32_t msr, uint64_t value);
uint64_t cpu_rdtsc(void);

/* EFLAGS.AC: with SMAP, what lets the kernel touch programs' pages. */
void cpu_allow_user_access(void);
void cpu_forbid_user_access(void);

void cpu_clear_page(void *page);
void cpu_fill_words(uint32_t *words, size_t count, uint32_t value);
const uint32_t *cpu_find_other(const uint32_t *words, size_t count, uint32_t value);

/*
 * => word: in what cpu_physical_address gives. Its RAM may be broken (fake_set_words)
 */
uint32_t cpu_read_word(const uint32_t *word);
void cpu_write_word(uint32_t *word, uint32_t value);
void cpu_empty_caches(void);

/*
 * => from: a kernel address, or, with paging on, an address below LINEAR_END,
 *    which is read through the fake tables as a supervisor reads
 */
void cpu_copy_page(void *to, const void *from);

/*
 * Where a frame is in the processor's view of RAM. A page that the current
 * tables do not map to itself cannot be touched there: that is a panic.
 */
void *cpu_physical_address(page_t page);

void cpu_out8(uint16_t port, uint8_t value);
void cpu_out16(uint16_t port, uint16_t value);
void cpu_out32(uint16_t port, uint32_t value);
uint8_t cpu_in8(uint16_t port);

void cpu_enable_interrupts(void);
void cpu_disable_interrupts(void);
void cpu_halt(void);
uint32_t cpu_frame_pointer(void);

#endif
