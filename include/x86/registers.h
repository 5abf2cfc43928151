/*
 * Control registers and model-specific registers: the bits Grove names.
 */
#ifndef X86_REGISTERS_H
#define X86_REGISTERS_H

/* CR0 (Intel SDM 3A 2.5) */
#define CR0_MP 0x00000002u
#define CR0_EM 0x00000004u
#define CR0_TS 0x00000008u
#define CR0_NE 0x00000020u
#define CR0_WP 0x00010000u
#define CR0_AM 0x00040000u
#define CR0_NW 0x20000000u
#define CR0_CD 0x40000000u
#define CR0_PG 0x80000000u

/* DR6 (Intel SDM 3B 17.2.3): a single step */
#define DR6_STEP 0x00004000u

/* CR4 (Intel SDM 3A 2.5) */
#define CR4_PSE        0x00000010u
#define CR4_PAE        0x00000020u
#define CR4_PGE        0x00000080u
#define CR4_OSFXSR     0x00000200u
#define CR4_OSXMMEXCPT 0x00000400u
#define CR4_UMIP       0x00000800u
#define CR4_SMEP       0x00100000u
#define CR4_SMAP       0x00200000u

#define MSR_SYSENTER_CS 0x00000174u
#define MSR_EFER 0xc0000080u
#define EFER_NXE 0x00000800u

#endif
