/*
 * Registers over a handler: all are kept, x87 and SSE ones too, whatever the handler
 * does with them; and what the handler changes in the frame is what they are then.
 */
#include "signals.h"

uint32_t before[8], after[8];               /* eax ebx ecx edx esi edi ebp eflags */
static uint32_t handler_mxcsr;
static uint16_t handler_control, handler_tags;
static bool change;
static uint32_t xmm_out[8];
static uint32_t st_out[3];
static bool has_xmm;

static bool has_sse2(void)
{
    unsigned a = 1, b, c = 0, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return (d & 1u << 26) != 0;
}

static void spoil_fpu(void)
{
    static uint8_t image[108];
    static const uint32_t mxcsr = 0x1fbf;

    __asm__ volatile("fnsave %0\n frstor %0" : "+m"(image));
    handler_control = *(uint16_t *)image;
    handler_tags = *(uint16_t *)(image + 8);
    __asm__ volatile("fninit\n fldpi\n fldpi\n fldpi\n fldpi");
    if (has_xmm)
        __asm__ volatile("stmxcsr %0\n pcmpeqd %%xmm0, %%xmm0\n pcmpeqd %%xmm7, %%xmm7\n ldmxcsr %1"
                         : "=m"(handler_mxcsr) : "m"(mxcsr));
}

static void handler(int signal, siginfo_t *info, ucontext_t *at)
{
    fpstate_t *fpu = (fpstate_t *)at->context.fpstate;

    (void)signal, (void)info;
    spoil_fpu();
    if (!change)
        return;
    at->context.eax = 0xa1;
    at->context.ebx = 0xb1;
    at->context.ecx = 0xc1;
    at->context.edx = 0xd1;
    at->context.esi = 0xe1;
    at->context.edi = 0xf1;
    at->context.ebp = 0x71;
    at->context.eflags = 0xffffffff & ~(0x100u | 0x40000u);     /* not TF, AC */
    at->mask |= bit(SIGUSR2);
    fpu->control = 0xffff0f7f;
    fpu->st[0][9] ^= 0x80;                      /* minus */
    *(uint32_t *)(fpu->fxsave + 160) = 0x12345678;
    *(uint32_t *)(fpu->fxsave + 24) = 0x7f80;
}

/* Set all registers, send the signal, see what they are. */
static void go(int pid)
{
    static const uint32_t xmm[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    uint32_t ignored;

    if (has_xmm)
        __asm__ volatile("movdqu (%0), %%xmm0\n movdqu 16(%0), %%xmm7" : : "r"(xmm));
    __asm__ volatile("fninit\n fld1\n fldpi\n fldl2e");
    __asm__ volatile(
        "push %%ebp\n"
        "mov $0x55, %%edx\n mov $0x66, %%esi\n mov $0x77, %%edi\n mov $0x88, %%ebp\n"
        "mov %%ebx, before+4\n mov %%ecx, before+8\n"
        "mov $37, %%eax\n"
        "cmp %%eax, %%eax\n"
        "std\n"
        "pushf\n popl before+28\n"
        "int $0x80\n"
        "pushf\n popl after+28\n"
        "cld\n"
        "mov %%eax, after\n mov %%ebx, after+4\n mov %%ecx, after+8\n mov %%edx, after+12\n"
        "mov %%esi, after+16\n mov %%edi, after+20\n mov %%ebp, after+24\n"
        "pop %%ebp\n"
        : "=b"(ignored) : "b"(pid), "c"(SIGUSR1) : "eax", "edx", "esi", "edi", "memory", "cc");
    if (has_xmm)
        __asm__ volatile("movdqu %%xmm0, (%0)\n movdqu %%xmm7, 16(%0)" : : "r"(xmm_out) : "memory");
}

static void tell_fpu(void)
{
    static const uint32_t expected[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    uint16_t control;
    uint32_t mxcsr = 0x1f80;
    bool same = true;

    __asm__ volatile("fnstcw %0" : "=m"(control));
    __asm__ volatile("fstps %0\n fstps %1\n fstps %2"
                     : "=m"(st_out[0]), "=m"(st_out[1]), "=m"(st_out[2]));
    say("x87: control %04x, %08x %08x %08x\n", control, st_out[0], st_out[1], st_out[2]);
    __asm__ volatile("fninit");
    if (has_xmm)
        __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    else
        for (int i = 0; i < 8; i++)
            xmm_out[i] = expected[i];
    for (int i = 1; i < 8; i++)
        same = same && xmm_out[i] == expected[i];
    check("SSE", same && (xmm_out[0] == 1 || xmm_out[0] == 0x12345678));
    check("SSE's first word and mxcsr",
          !has_xmm || (change ? xmm_out[0] == 0x12345678 && mxcsr == 0x7f80
                              : xmm_out[0] == 1 && mxcsr == 0x1f80));
    if (has_xmm) {
        mxcsr = 0x1f80;
        __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    }
}

static void round(const char *what, int pid)
{
    say("--- %s\n", what);
    go(pid);
    say("eax %08x edx %08x esi %08x edi %08x ebp %08x\n", after[0], after[3], after[4], after[5],
        after[6]);
    check("ebx, ecx", change ? after[1] == 0xb1 && after[2] == 0xc1
                             : after[1] == before[1] && after[2] == before[2]);
    say("eflags %08x, before %08x\n", after[7], before[7]);
    say("in the handler: control %04x tags %04x\n", handler_control, handler_tags);
    check("and mxcsr", !has_xmm || handler_mxcsr == 0x1f80);
    tell_fpu();
    say_mask("mask", mask_now());
    change_mask(SIG_SETMASK, 0);
}

/* A classic frame: the context is behind the signal's number. */
static void classic(int signal, sigcontext_t context)
{
    sigcontext_t *at = &context;

    (void)signal;
    spoil_fpu();
    if (change)
        ((volatile sigcontext_t *)at)->edx = 0xd2;
    if (change)
        ((volatile sigcontext_t *)at)->mask = 0x800;
}

static void no_fpu(int signal, siginfo_t *info, ucontext_t *at)
{
    (void)signal, (void)info;
    at->context.fpstate = 0;
}

static void empty(int pid)
{
    uint8_t image[28];

    say("--- no fpstate\n");
    handle_info(SIGUSR1, no_fpu, 0);
    go(pid);
    __asm__ volatile("fnstenv %0" : "=m"(image));
    say("control %04x status %04x tags %04x\n", *(uint16_t *)image, *(uint16_t *)(image + 4),
        *(uint16_t *)(image + 8));
    check("SSE", !has_xmm || (xmm_out[0] == 0 && xmm_out[7] == 0));
}

int main(int argc, char **argv)
{
    int pid = call(SYS_getpid);

    (void)argc, (void)argv;
    has_xmm = has_sse2();
    handle_info(SIGUSR1, handler, 0);
    round("kept", pid);
    change = true;
    round("changed", pid);
    change = false;
    handle(SIGUSR1, (handler_t *)(void *)classic, 0);
    round("a classic frame", pid);
    change = true;
    go(pid);
    say("edx %08x esi %08x\n", after[3], after[4]);
    say_mask("mask", mask_now());
    empty(pid);
    return 0;
}
