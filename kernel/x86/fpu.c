/*
 * Floating-point state of programs. The kernel itself uses none of it.
 */
#include <kernel/string.h>
#include <kernel/trap.h>
#include <x86/cpu.h>
#include <x86/features.h>

#define MXCSR_DEFAULT 0x1f80u   /* all exceptions masked (SDM 1 10.2.3) */
#define FCW_DEFAULT   0x037fu
enum { FXSAVE_MXCSR = 24 };

void fpu_init(void)
{
    uint32_t cr0 = cpu_cr0() & ~(CR0_EM | CR0_TS);

    cpu_set_cr0(cr0 | CR0_MP | CR0_NE);
    if (cpu_features.fxsr)
        cpu_set_cr4(cpu_cr4() | CR4_OSFXSR | (cpu_features.sse ? CR4_OSXMMEXCPT : 0));
    cpu_fninit();
}

void fpu_reset(fpu_state_t *state)
{
    memset(state, 0, sizeof(*state));
    if (cpu_features.fxsr) {
        uint16_t fcw = FCW_DEFAULT;
        uint32_t mxcsr = MXCSR_DEFAULT;

        memcpy(state->bytes, &fcw, sizeof(fcw));
        memcpy(state->bytes + FXSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
    } else {
        const uint32_t start[] = { 0xffff0000u | FCW_DEFAULT, 0xffff0000u, 0xffffffffu };

        memcpy(state->bytes, start, sizeof(start));
    }
}

void fpu_save(fpu_state_t *state)
{
    if (cpu_features.fxsr)
        cpu_fxsave(state);
    else
        cpu_fsave(state);
}

void fpu_restore(const fpu_state_t *state)
{
    if (cpu_features.fxsr) {
        cpu_fxrstor(state);
    } else {
        cpu_fninit();                   /* FRSTOR answers for an exception that waits */
        cpu_frstor(state);
    }
}

void trap_save_segments(uint16_t *fs, uint16_t *gs)
{
    cpu_segments(fs, gs);
}
