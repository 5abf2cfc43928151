/*
 * FSAVE's form of the x87 state from FXSAVE's, and back (Intel SDM 1 10.5.1). They
 * differ in the place of the registers and in the tags: two bits each, or one that
 * only says "not empty".
 */
#include <kernel/string.h>
#include <x86/features.h>
#include <x86/fpu_legacy.h>

typedef struct fxsave {
    uint16_t control, status;
    uint8_t used;               /* bit n: physical register n is not empty */
    uint8_t reserved;
    uint16_t opcode;
    uint32_t ip, cs;
    uint32_t data, ds;
    uint32_t mxcsr, mxcsr_mask;
    uint8_t registers[8][16];   /* ST(0) first */
} fxsave_t;

_Static_assert(offsetof(fxsave_t, registers) == 32, "Intel SDM 1 table 10-2");

enum {
    REGISTER_SIZE = 10,
    TAG_VALID = 0, TAG_ZERO = 1, TAG_SPECIAL = 2, TAG_EMPTY = 3,
    TOP_SHIFT = 11,             /* in the status word */
    EXCEPTIONS = 0x3f,          /* in the status word, the control word, and MXCSR, */
    MXCSR_MASKS_SHIFT = 7,      /* where the masks lie seven bits above */
    MXCSR_DEFAULT_MASK = 0xffbf,    /* where FXSAVE writes 0 (SDM 1 11.6.6) */
};

/* What a register holds: special is infinite, not a number, denormal. */
static unsigned tag_of(const uint8_t *value)
{
    unsigned exponent = (value[8] | (unsigned)value[9] << 8) & 0x7fff;
    uint64_t fraction;

    memcpy(&fraction, value, sizeof fraction);
    if (exponent == 0 && fraction == 0)
        return TAG_ZERO;
    if (exponent == 0 || exponent == 0x7fff || fraction >> 63 == 0)
        return TAG_SPECIAL;
    return TAG_VALID;
}

/* Tags go by physical register, the values by their place on the stack. */
static uint32_t make_tags(const fxsave_t *fx)
{
    unsigned top = fx->status >> TOP_SHIFT & 7;
    uint32_t tags = 0;

    for (unsigned i = 0; i < 8; i++) {
        bool used = (fx->used >> i & 1) != 0;

        tags |= (used ? tag_of(fx->registers[(i - top) & 7]) : TAG_EMPTY) << 2 * i;
    }
    return tags;
}

static uint8_t used_registers(uint32_t tags)
{
    unsigned used = 0;

    for (unsigned i = 0; i < 8; i++)
        if ((tags >> 2 * i & 3) != TAG_EMPTY)
            used |= 1u << i;
    return (uint8_t)used;
}

void fpu_to_legacy(const fpu_state_t *state, fpu_legacy_t *legacy)
{
    const fxsave_t *fx = (const void *)state->bytes;

    legacy->control = 0xffff0000u | fx->control;
    legacy->status = 0xffff0000u | fx->status;
    legacy->tags = 0xffff0000u | make_tags(fx);
    legacy->ip = fx->ip;
    legacy->cs_and_opcode = (fx->cs & 0xffff) | (uint32_t)fx->opcode << 16;
    legacy->data = fx->data;
    legacy->ds = fx->ds;
    for (unsigned i = 0; i < 8; i++)
        memcpy(legacy->registers[i], fx->registers[i], REGISTER_SIZE);
}

void fpu_from_legacy(fpu_state_t *state, const fpu_legacy_t *legacy)
{
    fxsave_t *fx = (void *)state->bytes;

    fx->control = (uint16_t)legacy->control;
    fx->status = (uint16_t)legacy->status;
    fx->used = used_registers(legacy->tags);
    fx->opcode = (uint16_t)(legacy->cs_and_opcode >> 16);
    fx->ip = legacy->ip;
    fx->cs = legacy->cs_and_opcode & 0xffff;
    fx->data = legacy->data;
    fx->ds = legacy->ds;
    for (unsigned i = 0; i < 8; i++)
        memcpy(fx->registers[i], legacy->registers[i], REGISTER_SIZE);
}

/* What the processor has now, which it keeps. */
static void look(fpu_state_t *now)
{
    memset(now, 0, sizeof *now);
    fpu_save(now);
    if (!cpu_features.fxsr)
        fpu_restore(now);               /* FSAVE has emptied the registers */
}

unsigned fpu_exceptions(bool sse)
{
    fpu_state_t now;
    const fxsave_t *fx = (const void *)now.bytes;
    const fpu_legacy_t *legacy = (const void *)now.bytes;

    look(&now);
    if (sse)
        return fx->mxcsr & ~(fx->mxcsr >> MXCSR_MASKS_SHIFT) & EXCEPTIONS;
    if (cpu_features.fxsr)
        return fx->status & ~(unsigned)fx->control & EXCEPTIONS;
    return legacy->status & ~legacy->control & EXCEPTIONS;
}

/* => the bits of MXCSR that this processor has */
static uint32_t mxcsr_mask(void)
{
    static uint32_t mask;
    fpu_state_t now;

    if (mask == 0 && cpu_features.sse) {
        look(&now);
        mask = ((const fxsave_t *)(const void *)now.bytes)->mxcsr_mask;
        if (mask == 0)
            mask = MXCSR_DEFAULT_MASK;
    }
    return mask;
}

void fpu_make_loadable(fpu_state_t *state)
{
    if (cpu_features.fxsr)
        ((fxsave_t *)(void *)state->bytes)->mxcsr &= mxcsr_mask();
}
