// linux: no
/*
 * Reserved bits of MXCSR in a frame are cleared, as i386 does it (Linux for x86-64
 * refuses the frame); and code on the stack returns from a handler without SA_RESTORER
 * where the stack can be executed.
 */
#include "signals.h"

static int count;

static void handler(int signal, siginfo_t *info, ucontext_t *at)
{
    (void)signal, (void)info;
    for (int i = 0; i < 512; i++)
        ((fpstate_t *)at->context.fpstate)->fxsave[i] = 0xff;
    count++;
}

static void quiet(int signal)
{
    count += signal;
}

/* Runs handlers on a stack that can be executed. */
static void without_restorer(void)
{
    stack_t stack = { (uint32_t)map_pages(4, PROT_RW | PROT_EXEC), 0, 4 * PAGE };
    action_t action = { (uint32_t)quiet, SA_ONSTACK, 0, 0 };

    call(SYS_sigaltstack, &stack, 0);
    call(SYS_rt_sigaction, SIGUSR2, &action, 0, 8);
    raise_signal(SIGUSR2);
    say("a classic frame: %d\n", count);
    action.flags |= SA_SIGINFO;
    call(SYS_rt_sigaction, SIGUSR2, &action, 0, 8);
    raise_signal(SIGUSR2);
    say("an rt frame: %d\n", count);
    say_mask("mask", mask_now());
}

int main(int argc, char **argv)
{
    uint32_t mxcsr = 0;

    (void)argc, (void)argv;
    handle_info(SIGUSR1, handler, 0);
    raise_signal(SIGUSR1);
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    check("mxcsr has no reserved bits", (mxcsr & 0xffff0000) == 0 && (mxcsr & 0xffbf) == 0xffbf);
    mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0\n fninit" : : "m"(mxcsr));
    say("%d\n", count);
    count = 0;
    without_restorer();
    return 0;
}
