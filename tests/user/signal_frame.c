/*
 * Where everything is in the frame of a handler, byte by byte from the stack pointer
 * that it begins with; and the registers that it begins with.
 */
#include "signals.h"

/* What the handler began with, saved before anything else. */
static uint32_t at_entry[12] __attribute__((used));     /* eax ecx edx ebp esp eflags cs ss ds es */
static uint8_t copy[2048] __attribute__((used));        /* of the stack from esp on */
static bool with_info;

static uint32_t cs_before, ss_before;

void entry(void);
__asm__(
    ".text\n"
    ".globl entry\n"
    "entry:\n"
    "    mov %eax, at_entry\n"
    "    mov %ecx, at_entry+4\n"
    "    mov %edx, at_entry+8\n"
    "    mov %ebp, at_entry+12\n"
    "    mov %esp, at_entry+16\n"
    "    pushf\n"
    "    popl at_entry+20\n"
    "    mov %cs, %eax\n"
    "    mov %eax, at_entry+24\n"
    "    mov %ss, %eax\n"
    "    mov %eax, at_entry+28\n"
    "    mov %ds, %eax\n"
    "    mov %eax, at_entry+32\n"
    "    mov %es, %eax\n"
    "    mov %eax, at_entry+36\n"
    "    push %esi\n"
    "    push %edi\n"
    "    lea 8(%esp), %esi\n"
    "    mov $copy, %edi\n"
    "    mov $400, %ecx\n"
    "    rep movsb\n"
    "    mov 8(%esp), %eax\n"                   /* 720 .. 732 of the classic frame */
    "    lea 728(%esp), %esi\n"
    "    mov $copy+720, %edi\n"
    "    mov $12, %ecx\n"
    "    rep movsb\n"
    "    pop %edi\n"
    "    pop %esi\n"
    "    ret\n");

static uint32_t word(size_t offset)
{
    return *(uint32_t *)(copy + offset);
}

static void inside(const char *what, uint32_t address, uint32_t expected)
{
    check(what, address == expected);
}

uint32_t known[8];                      /* edi esi ebp esp ebx edx ecx eax when the signal came */

/* kill(pid, 10) with known registers. */
static void send(int pid)
{
    __asm__ volatile(
        "push %%ebp\n"
        "mov %%esp, known+12\n"
        "mov $0x11111111, %%esi\n"
        "mov $0x22222222, %%edi\n"
        "mov $0x33333333, %%ebp\n"
        "mov $0x44444444, %%edx\n"
        "std\n"
        "mov $37, %%eax\n"
        "int $0x80\n"
        ".globl after_call\n"
        "after_call:\n"
        "cld\n"
        "pop %%ebp\n"
        : : "b"(pid), "c"(SIGUSR1) : "eax", "edx", "esi", "edi", "memory", "cc");
}

extern const char after_call[];

static void tell_context(size_t at, int pid)
{
    check("gs fs", word(at) == 0 && word(at + 4) == 0);
    check("es ds", word(at + 8) == ss_before && word(at + 12) == ss_before);
    say("edi %08x esi %08x ebp %08x edx %08x ecx %08x eax %08x\n", word(at + 16), word(at + 20),
        word(at + 24), word(at + 36), word(at + 40), word(at + 44));
    inside("esp", word(at + 28), known[3]);
    inside("ebx", word(at + 32), (uint32_t)pid);
    say("trap %d error %d\n", word(at + 48), word(at + 52));
    inside("eip", word(at + 56), (uint32_t)after_call);
    inside("cs", word(at + 60), cs_before);
    say("eflags %08x\n", word(at + 64) & ~0x108d5u);
    inside("esp again", word(at + 68), known[3]);
    inside("ss", word(at + 72), ss_before);
    inside("fpstate: 64-aligned behind its 112 bytes", (word(at + 76) + 112) & 63, 0);
    check("fpstate is above the frame", word(at + 76) > at_entry[4] && word(at + 76) < known[3]);
    say("oldmask %08x cr2 %08x\n", word(at + 80), word(at + 84));
}

static void tell_entry(void)
{
    say("eax %08x, esp %% 16 %d, eflags %08x\n", at_entry[0], at_entry[4] % 16,
        at_entry[5] & ~0x108d5u);          /* not RF, nor what arithmetic leaves */
    check("ebp as before", at_entry[3] == 0x33333333);
    check("cs ss ds es", at_entry[6] == cs_before && at_entry[7] == ss_before
          && at_entry[8] == ss_before && at_entry[9] == ss_before);
    if (with_info)
        check("ecx, edx: ucontext, siginfo",
              at_entry[1] == at_entry[4] + 144 && at_entry[2] == at_entry[4] + 16);
    else
        say("ecx %08x edx %08x\n", at_entry[1], at_entry[2]);
}

static void bytes(const char *what, size_t from, size_t length)
{
    say("%s:", what);
    for (size_t i = from; i < from + length; i++)
        say(" %02x", copy[i]);
    say("\n");
}

int main(int argc, char **argv)
{
    int pid = call(SYS_getpid);
    signal_set_t mask = bit(SIGHUP) | bit(33) | bit(64);

    (void)argc, (void)argv;
    __asm__ volatile("mov %%cs, %0\n mov %%ss, %1" : "=r"(cs_before), "=r"(ss_before));
    change_mask(SIG_SETMASK, mask);

    say("--- without SA_SIGINFO\n");
    handle(SIGUSR1, (handler_t *)entry, 0);
    send(pid);
    tell_entry();
    inside("return address", word(0), (uint32_t)signals_restore);
    say("signal %d\n", word(4));
    tell_context(8, pid);
    say("upper half of the mask %08x\n", word(720));
    bytes("code", 724, 8);

    say("--- with SA_SIGINFO\n");
    with_info = true;
    handle_info(SIGUSR1, (info_handler_t *)entry, 0);
    send(pid);
    tell_entry();
    inside("return address", word(0), (uint32_t)signals_restore_info);
    say("signal %d\n", word(4));
    inside("siginfo", word(8), at_entry[4] + 16);
    inside("ucontext", word(12), at_entry[4] + 144);
    say("siginfo %d %d %d\n", word(16), word(20), word(24));
    inside("pid", word(28), (uint32_t)pid);
    bytes("its end", 36, 108);
    say("uc_flags, but for xsave %x, uc_link %x\n", word(144) & ~1u, word(148));
    say("stack %x %x\n", word(152), word(160));
    tell_context(164, pid);
    say("mask %08x%08x\n", word(256), word(252));
    bytes("code", 260, 8);
    say_mask("the mask afterwards", mask_now());
    return 0;
}
