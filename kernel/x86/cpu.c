/*
 * What this processor is, by CPUID (Intel SDM 2A, "CPUID").
 */
#include <kernel/printk.h>
#include <kernel/string.h>
#include <x86/cpu.h>
#include <x86/features.h>

enum { EAX, EBX, ECX, EDX };

cpu_features_t cpu_features;

static bool bit(uint32_t value, unsigned number)
{
    return (value >> number & 1) != 0;
}

static void read_brand(void)
{
    for (uint32_t leaf = 0; leaf < 3; leaf++) {
        uint32_t out[4];

        cpu_cpuid(0x80000002 + leaf, 0, out);
        memcpy(cpu_features.model + leaf * sizeof(out), out, sizeof(out));
    }
}

void cpu_detect(void)
{
    cpu_features_t *cpu = &cpu_features;
    uint32_t out[4];
    uint32_t leaves;

    memset(cpu, 0, sizeof(*cpu));
    cpu_cpuid(0, 0, out);
    leaves = out[EAX];
    memcpy(cpu->vendor, &out[EBX], 4);
    memcpy(cpu->vendor + 4, &out[EDX], 4);
    memcpy(cpu->vendor + 8, &out[ECX], 4);

    cpu_cpuid(1, 0, out);
    cpu->fpu = bit(out[EDX], 0);
    cpu->pse = bit(out[EDX], 3);
    cpu->msr = bit(out[EDX], 5);
    cpu->pae = bit(out[EDX], 6);
    cpu->sep = bit(out[EDX], 11);
    cpu->pge = bit(out[EDX], 13);
    cpu->pat = bit(out[EDX], 16);
    cpu->fxsr = bit(out[EDX], 24);
    cpu->sse = bit(out[EDX], 25);
    cpu->sse2 = bit(out[EDX], 26);
    cpu->hypervisor = bit(out[ECX], 31);

    if (leaves >= 7) {
        cpu_cpuid(7, 0, out);
        cpu->smep = bit(out[EBX], 7);
        cpu->smap = bit(out[EBX], 20);
        cpu->umip = bit(out[ECX], 2);
    }
    cpu_cpuid(0x80000000, 0, out);
    leaves = out[EAX];
    if (leaves >= 0x80000001 && leaves < 0x80010000) {
        cpu_cpuid(0x80000001, 0, out);
        /* NX needs PAE's entries and an MSR to turn it on. */
        cpu->nx = bit(out[EDX], 20) && cpu->msr;
    }
    cpu->physical_bits = cpu->pae ? 36 : 32;
    if (leaves >= 0x80000008 && leaves < 0x80010000) {
        cpu_cpuid(0x80000008, 0, out);
        cpu->physical_bits = out[EAX] & 0xff;
    }
    if (leaves >= 0x80000004 && leaves < 0x80010000)
        read_brand();
}

void cpu_log(void)
{
    const struct {
        bool has;
        const char *lacks;
    } wanted[] = {
        { cpu_features.pse, "PSE (large pages)" },
        { cpu_features.pae, "PAE (the three-level format)" },
        { cpu_features.pge, "PGE (global pages)" },
        { cpu_features.nx, "NX (pages that cannot be executed)" },
        { cpu_features.smep, "SMEP (the kernel cannot run a program's pages)" },
        { cpu_features.smap, "SMAP (the kernel cannot touch them by mistake)" },
        { cpu_features.umip, "UMIP (programs cannot read system tables)" },
        { cpu_features.fxsr && cpu_features.sse2, "SSE2" },
    };
    bool lacks = false;

    printk("cpu: %s %s\n", cpu_features.vendor, cpu_features.model);
    for (size_t i = 0; i < ARRAY_LENGTH(wanted); i++) {
        if (!wanted[i].has) {
            printk("cpu: lacks %s\n", wanted[i].lacks);
            lacks = true;
        }
    }
    if (!lacks)
        printk("cpu: has everything Grove uses\n");
}
