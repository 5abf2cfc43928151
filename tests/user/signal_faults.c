// grove-run: --file tests/user/data.txt:data.txt
/*
 * What a handler is told of each kind of fault: siginfo, and trap, error and cr2 of
 * sigcontext. The handler goes on behind the instruction. (QEMU has neither alignment
 * checks nor int1 nor SSE exceptions.)
 */
#include "signals.h"

static siginfo_t info;
static sigcontext_t context;
static uint32_t handler_eflags;
static int count;

static void handler(int signal, siginfo_t *told, ucontext_t *at)
{
    (void)signal;
    __asm__ volatile("pushf\npop %0" : "=r"(handler_eflags));
    info = *told;
    context = at->context;
    at->context.eip = signals_resume;
    at->context.eflags &= ~0x100u;      /* no more single steps */
    count++;
}

/* address: where si_addr should point, 0 for nowhere. */
static void tell(const char *what, uint32_t address)
{
    bool rest = info.uid == 0 || info.code <= 0;

    for (int i = 0; i < 27; i++)
        rest = rest && info.rest[i] == 0;
    say("%s: %d handled, signal %d errno %d code %d, trap %d error %x\n", what, count,
        info.signo, info.error, info.code, context.trap,
        context.trap == 14 ? context.error & 7 : context.error);
    check("  si_addr", info.address == address);
    if (context.trap == 14)
        check("  cr2", context.cr2 == address);
    check("  the rest is 0", rest);
    check("  flags in the handler", (handler_eflags & 0x500) == 0);
    count = 0;
    info = (siginfo_t){ 0 };
}

/* The instruction that faulted, or the next one. */
#define AT_FAULT context.eip

static void memory_faults(void)
{
    char *page = map_pages(4, PROT_RW);

    FAULTING("movl (%0), %%eax", "r"(16));
    tell("read near 0", 16);
    FAULTING("movl %%eax, (%0)", "r"(20));
    tell("write near 0", 20);
    call(SYS_munmap, page + PAGE, PAGE);
    FAULTING("movb $1, (%0)", "r"(page + PAGE + 5));
    tell("write to an unmapped page", (uint32_t)page + PAGE + 5);
    call(SYS_mprotect, page + 2 * PAGE, PAGE, PROT_READ);
    FAULTING("movb $1, (%0)", "r"(page + 2 * PAGE + 7));
    tell("write to read-only, untouched", (uint32_t)page + 2 * PAGE + 7);
    FAULTING("movb (%0), %%al\n movb $1, (%0)", "r"(page + 2 * PAGE + 8));
    tell("write to read-only, read before", (uint32_t)page + 2 * PAGE + 8);
    page[0] = 1;
    call(SYS_mprotect, page, PAGE, PROT_READ);
    FAULTING("movb $1, (%0)", "r"(page + 9));
    tell("write to read-only, written before", (uint32_t)page + 9);
    call(SYS_mprotect, page, PAGE, PROT_NONE);
    FAULTING("movb (%0), %%al", "r"(page + 10));
    tell("read of PROT_NONE", (uint32_t)page + 10);
    call(SYS_mprotect, page + 3 * PAGE, PAGE, PROT_NONE);
    FAULTING("movb $1, (%0)", "r"(page + 3 * PAGE));
    tell("write of PROT_NONE, untouched", (uint32_t)page + 3 * PAGE);
    FAULTING("movl (%0), %%eax", "r"(page + PAGE - 2));
    tell("read over two pages, from PROT_NONE", (uint32_t)page + PAGE - 2);
    FAULTING("calll *%0", "r"(24));
    tell("jump to nothing", 24);
}

static void file_faults(void)
{
    int fd = call(SYS_open, "data.txt", 0);
    char *page = (char *)map_at(0, 64 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);

    FAULTING("movb (%0), %%al", "r"(page + 63 * PAGE + 1));
    tell("past a file's end", (uint32_t)page + 63 * PAGE + 1);
    FAULTING("movb $1, (%0)", "r"(page + 3));
    tell("write to a read-only file", (uint32_t)page + 3);
}

static void other_faults(void)
{
    static const int bounds[2] = { 1, 2 };

    FAULTING("xorl %%edx, %%edx\n movl $1, %%eax\n divl %0", "r"(0));
    tell("divide by zero", AT_FAULT);
    FAULTING("ud2", "r"(0));
    tell("ud2", AT_FAULT);
    FAULTING("int3", "r"(0));
    tell("int3", 0);
    FAULTING("hlt", "r"(0));
    tell("hlt", 0);
    FAULTING("movl $0x7f, %%eax\n movl %%eax, %%es", "r"(0));
    tell("a bad segment", 0);
    FAULTING("int $0x90", "r"(0));
    tell("int $0x90", 0);
    FAULTING("movb $0x7f, %%al\n addb $1, %%al\n into", "r"(0));
    tell("into", 0);
    FAULTING("movl $5, %%eax\n boundl %%eax, (%0)", "r"(bounds));
    tell("bound", 0);
    FAULTING("pushfl\n orl $0x100, (%%esp)\n popfl\n nop\n nop\n nop", "r"(0));
    tell("a single step", AT_FAULT);
}

static void fpu_faults(void)
{
    static const uint16_t control = 0x0340;     /* nothing masked */

    FAULTING("fninit\n fldcw (%0)\n fld1\n fldz\n fdivrp\n fwait", "r"(&control));
    tell("x87: divide by zero", AT_FAULT);
    FAULTING("fninit\n fldcw (%0)\n fldz\n fldz\n fdivrp\n fwait", "r"(&control));
    tell("x87: 0 / 0", AT_FAULT);
    FAULTING("fninit\n fldcw (%0)\n fld1\n fldpi\n fdivrp\n fwait", "r"(&control));
    tell("x87: 1 / pi", AT_FAULT);
}

static void quiet(int signal, siginfo_t *told, ucontext_t *at)
{
    (void)signal, (void)at;
    info = *told;
    count++;
}

static void sent_by_self(void)
{
    int pid = call(SYS_getpid);

    handle_info(SIGUSR1, quiet, 0);
    handle_info(SIGSEGV, quiet, 0);
    call(SYS_kill, pid, SIGUSR1);
    say("kill: %d signal %d code %d\n", count, info.signo, info.code);
    check("its pid", info.address == (uint32_t)pid);
    call(SYS_tkill, pid, SIGUSR1);
    say("tkill: %d signal %d code %d\n", count, info.signo, info.code);
    check("its pid", info.address == (uint32_t)pid);
    call(SYS_tgkill, pid, pid, SIGSEGV);
    say("tgkill: %d signal %d code %d\n", count, info.signo, info.code);
    check("its pid", info.address == (uint32_t)pid);
}

int main(int argc, char **argv)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };

    (void)argc, (void)argv;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        handle_info(signals[i], handler, 0);
    memory_faults();
    file_faults();
    other_faults();
    fpu_faults();
    sent_by_self();
    return 0;
}
