/*
 * What the entry code leaves on the kernel stack; kernel/x86/entry.asm and this
 * file must agree.
 */
#ifndef X86_TRAP_FRAME_H
#define X86_TRAP_FRAME_H

#include <kernel/types.h>

typedef struct trap_frame {
    /* pushed by the entry code */
    uint32_t ebx, ecx, edx, esi, edi, ebp, eax;
    uint32_t ds, es;
    uint32_t vector;
    uint32_t error;
    /* pushed by the processor */
    uint32_t eip, cs, eflags;
    /* only when the trap came from ring 3 */
    uint32_t esp, ss;
} trap_frame_t;

/* Vectors (Intel SDM 3A table 6-1). */
enum {
    TRAP_DIVIDE = 0,
    TRAP_DEBUG = 1,
    TRAP_NMI = 2,
    TRAP_BREAKPOINT = 3,
    TRAP_OVERFLOW = 4,
    TRAP_BOUND = 5,
    TRAP_INVALID_OPCODE = 6,
    TRAP_NO_FPU = 7,
    TRAP_DOUBLE_FAULT = 8,
    TRAP_INVALID_TSS = 10,
    TRAP_NO_SEGMENT = 11,
    TRAP_STACK_SEGMENT = 12,
    TRAP_PROTECTION = 13,
    TRAP_PAGE_FAULT = 14,
    TRAP_FPU_ERROR = 16,
    TRAP_ALIGNMENT = 17,
    TRAP_MACHINE_CHECK = 18,
    TRAP_SIMD_ERROR = 19,
    TRAP_SYSTEM_CALL = 0x80,
};

/* Segment selectors: one flat GDT. */
enum {
    SELECTOR_KERNEL_CODE = 0x08,
    SELECTOR_KERNEL_DATA = 0x10,
    SELECTOR_USER_CODE = 0x1b,      /* 0x18 | 3 */
    SELECTOR_USER_DATA = 0x23,      /* 0x20 | 3 */
    SELECTOR_TSS = 0x28,
    /* 6, 7, 8: thread-local storage, as on Linux i386 */
    GDT_TLS_FIRST = 6,
    GDT_TLS_COUNT = 3,
    SELECTOR_DOUBLE_FAULT_TSS = 0x48,
};

/* EFLAGS (Intel SDM 3A 2.3). */
#define EFLAGS_FIXED 0x00000002u
#define EFLAGS_TF    0x00000100u
#define EFLAGS_IF    0x00000200u
#define EFLAGS_DF    0x00000400u
#define EFLAGS_NT    0x00004000u
#define EFLAGS_AC    0x00040000u

static inline bool trap_from_user(const trap_frame_t *frame)
{
    return (frame->cs & 3) != 0;
}

#endif
