/*
 * Signals for programs without a C library: Linux's structs of i386, the calls, and
 * where handlers return to.
 */
#ifndef SIGNALS_H
#define SIGNALS_H

#include "user.h"

enum {
    SYS_signal = 48, SYS_sigaction = 67, SYS_sigpending = 73, SYS_sigreturn = 119,
    SYS_sigprocmask = 126, SYS_rt_sigreturn = 173, SYS_rt_sigaction = 174,
    SYS_rt_sigprocmask = 175, SYS_rt_sigpending = 176, SYS_rt_sigsuspend = 179,
    SYS_sigaltstack = 186,
};

enum {
    SIGHUP = 1, SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGKILL = 9, SIGUSR1 = 10,
    SIGSEGV = 11, SIGUSR2 = 12, SIGTERM = 15, SIGCHLD = 17, SIGSTOP = 19, SIGWINCH = 28,
    SIGSYS = 31, SIGNALS = 64,
};

#define SIG_DFL 0u
#define SIG_IGN 1u
enum { SIG_BLOCK = 0, SIG_UNBLOCK = 1, SIG_SETMASK = 2 };

#define SA_NOCLDSTOP 0x00000001u
#define SA_NOCLDWAIT 0x00000002u
#define SA_SIGINFO   0x00000004u
#define SA_RESTORER  0x04000000u
#define SA_ONSTACK   0x08000000u
#define SA_RESTART   0x10000000u
#define SA_NODEFER   0x40000000u
#define SA_RESETHAND 0x80000000u

#define SS_ONSTACK    1u
#define SS_DISABLE    2u
#define SS_AUTODISARM 0x80000000u

typedef uint64_t signal_set_t;

typedef struct action {
    uint32_t handler, flags, restorer;
    signal_set_t mask;
} action_t;

typedef struct old_action {
    uint32_t handler, mask, flags, restorer;
} old_action_t;

typedef struct stack {
    uint32_t base, flags, size;
} stack_t;

typedef struct siginfo {
    int signo, error, code;
    uint32_t address;           /* or the sender's pid */
    uint32_t uid;
    uint32_t rest[27];
} siginfo_t;

typedef struct sigcontext {
    uint32_t gs, fs, es, ds, edi, esi, ebp, esp, ebx, edx, ecx, eax;
    uint32_t trap, error, eip, cs, eflags, esp_again, ss, fpstate, mask, cr2;
} sigcontext_t;

typedef struct ucontext {
    uint32_t flags, link;
    stack_t stack;
    sigcontext_t context;
    signal_set_t mask;
} ucontext_t;

/* The floating-point state that sigcontext's fpstate points to. */
typedef struct fpstate {
    uint32_t control, status, tags, ip, cs, data, ds;
    uint8_t st[8][10];
    uint16_t status_copy, magic;
    uint8_t fxsave[512];
} fpstate_t;

typedef void handler_t(int signal);
typedef void info_handler_t(int signal, siginfo_t *info, ucontext_t *context);

void signals_restore(void);
void signals_restore_info(void);
__asm__(
    ".text\n"
    ".globl signals_restore, signals_restore_info\n"
    "signals_restore:\n"
    "    pop %eax\n"
    "    mov $119, %eax\n"
    "    int $0x80\n"
    "signals_restore_info:\n"
    "    mov $173, %eax\n"
    "    int $0x80\n");

static inline signal_set_t bit(int signal)
{
    return (signal_set_t)1 << (signal - 1);
}

__attribute__((unused))
static int set_action(int signal, uint32_t handler, uint32_t flags, signal_set_t mask)
{
    action_t action = {
        handler, flags | SA_RESTORER,
        (uint32_t)((flags & SA_SIGINFO) != 0 ? signals_restore_info : signals_restore), mask,
    };

    return call(SYS_rt_sigaction, signal, &action, 0, sizeof mask);
}

__attribute__((unused))
static int handle(int signal, handler_t *handler, uint32_t flags)
{
    return set_action(signal, (uint32_t)handler, flags, 0);
}

__attribute__((unused))
static int handle_info(int signal, info_handler_t *handler, uint32_t flags)
{
    return set_action(signal, (uint32_t)handler, flags | SA_SIGINFO, 0);
}

__attribute__((unused))
static signal_set_t change_mask(int how, signal_set_t set)
{
    signal_set_t before = 0;

    call(SYS_rt_sigprocmask, how, &set, &before, sizeof set);
    return before;
}

__attribute__((unused))
static signal_set_t mask_now(void)
{
    return change_mask(SIG_BLOCK, 0);
}

__attribute__((unused))
static void raise_signal(int signal)
{
    call(SYS_kill, call(SYS_getpid), signal);
}

__attribute__((unused))
static void say_mask(const char *what, signal_set_t mask)
{
    say("%s: %08x%08x\n", what, (unsigned)(mask >> 32), (unsigned)mask);
}

/*
 * An instruction that faults, with a handler that makes the program go on behind it
 * (`context->context.eip = signals_resume`).
 */
static volatile uint32_t signals_resume __attribute__((used));
#define FAULTING(instructions, ...) \
    __asm__ volatile("movl $99f, signals_resume\n" instructions "\n99:\n" \
                     : : __VA_ARGS__ : "memory", "cc", "eax", "edx")

#endif
