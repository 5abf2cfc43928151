/*
 * Floating-point state as FSAVE writes it in 32-bit protected mode (Intel SDM 1
 * figure 8-9) with Linux's two words behind it: the form that signal handlers of
 * i386 know, also where the processor has FXSAVE.
 */
#ifndef X86_FPU_LEGACY_H
#define X86_FPU_LEGACY_H

#include <kernel/trap.h>

typedef struct fpu_legacy {
    uint32_t control, status, tags;
    uint32_t ip, cs_and_opcode;
    uint32_t data, ds;
    uint8_t registers[8][10];   /* ST(0) first */
    uint16_t status_copy;
    uint16_t magic;             /* 0: FXSAVE's form follows; 0xffff: nothing does */
} fpu_legacy_t;

_Static_assert(sizeof(fpu_legacy_t) == 112, "Linux's struct _fpstate has SSE's part there");

/* Bytes of an fpu_state_t that FSAVE fills. */
enum { FPU_FSAVE_SIZE = 108 };

/* The x87 part of FXSAVE's form in FSAVE's, and back; the rest of `state` stays. */
void fpu_to_legacy(const fpu_state_t *state, fpu_legacy_t *legacy);
void fpu_from_legacy(fpu_state_t *state, const fpu_legacy_t *legacy);

/*
 * The exceptions that x87, or SSE, has raised and does not mask, as six bits in the
 * order of MXCSR: invalid, denormal, divided by zero, overflow, underflow, inexact.
 */
unsigned fpu_exceptions(bool sse);

/* Clear what FXRSTOR would refuse in bytes that come from a program. */
void fpu_make_loadable(fpu_state_t *state);

#endif
