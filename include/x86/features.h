/*
 * What this processor has, found once by CPUID.
 */
#ifndef X86_FEATURES_H
#define X86_FEATURES_H

#include <kernel/types.h>

typedef struct cpu_features {
    char vendor[13];
    char model[49];         /* the brand string, or "" */
    bool fpu, pse, pae, msr, sep, pge, pat, fxsr, sse, sse2;
    bool nx, smep, smap, umip;
    unsigned physical_bits; /* width of a physical address */
    bool hypervisor;        /* says that it is not real */
} cpu_features_t;

extern cpu_features_t cpu_features;

/* Fill cpu_features. */
void cpu_detect(void);

/* Print what the processor is, and what it lacks that Grove would use. */
void cpu_log(void);

#endif
