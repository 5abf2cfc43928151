/*
 * sigaltstack: what it refuses and says, handlers on the alternate stack, and a stack
 * overflow that is caught there.
 */
#include "signals.h"

enum { SIZE = 16384 };

static char *area;
static void *buffer[5];

static bool on_area(const void *at)
{
    return (const char *)at > area && (const char *)at < area + SIZE;
}

static int set_stack(void *base, uint32_t flags, uint32_t size)
{
    stack_t stack = { (uint32_t)base, flags, size };

    return call(SYS_sigaltstack, &stack, 0);
}

static void tell_stack(const char *what)
{
    stack_t stack = { 1, 1, 1 };
    int result = call(SYS_sigaltstack, 0, &stack);

    say("%s: %d, %s base, flags %x, size %d\n", what, result,
        stack.base == 0 ? "no" : stack.base == (uint32_t)area ? "our" : "another", stack.flags,
        stack.size);
}

static void refused(void)
{
    tell_stack("at first");
    show("nothing of nothing", set_stack(0, 0, 0));
    show("too small", set_stack(area, 0, 2047));
    show("just large enough", set_stack(area, 0, 2048));
    tell_stack("now");
    show("flags 3", set_stack(area, 3, SIZE));
    show("flags 4", set_stack(area, 4, SIZE));
    show("flags 0x40000000", set_stack(area, 0x40000000, SIZE));
    show("from nowhere", call(SYS_sigaltstack, 16, 0));
    show("to nowhere", call(SYS_sigaltstack, 0, 16));
    tell_stack("still");
    show("SS_ONSTACK", set_stack(area, SS_ONSTACK, SIZE));
    tell_stack("now");
    show("SS_DISABLE", set_stack(area, SS_DISABLE, SIZE));
    tell_stack("now");
    show("SS_AUTODISARM", set_stack(area, SS_AUTODISARM, SIZE));
    tell_stack("now");
    show("SS_AUTODISARM and SS_DISABLE", set_stack(area, SS_AUTODISARM | SS_DISABLE, SIZE));
    tell_stack("now");
    show("wherever it is", set_stack((void *)0xfffff000, 0, 0x10000));
    show("off", set_stack(0, SS_DISABLE, 0));
}

static bool inner_on_area;

static void inner(int signal)
{
    inner_on_area = on_area(&signal);
}

static void handler(int signal, siginfo_t *info, ucontext_t *at)
{
    say("handler of %d, on it: %d\n", signal, on_area(&info));
    tell_stack("inside");
    show("changed inside", set_stack(area, 0, SIZE / 2));
    show("disabled inside", set_stack(0, SS_DISABLE, 0));
    say("saved: flags %x size %d\n", at->stack.flags, at->stack.size);
    raise_signal(SIGUSR2);
    say("nested with SA_ONSTACK: on it: %d\n", inner_on_area);
    raise_signal(SIGTERM);
    say("nested without: on it: %d\n", inner_on_area);
}

static void handlers(void)
{
    handle(SIGUSR2, inner, SA_ONSTACK);
    handle(SIGTERM, inner, 0);
    show("set", set_stack(area, 0, SIZE));
    handle_info(SIGUSR1, handler, SA_ONSTACK);
    raise_signal(SIGUSR1);
    tell_stack("afterwards");
    say("--- without SA_ONSTACK\n");
    handle_info(SIGUSR1, handler, 0);
    raise_signal(SIGUSR1);
    tell_stack("afterwards");
    say("--- SS_AUTODISARM\n");
    set_stack(area, SS_AUTODISARM, SIZE);
    handle_info(SIGUSR1, handler, SA_ONSTACK);
    raise_signal(SIGUSR1);
    tell_stack("afterwards");
    say("--- a classic frame\n");
    set_stack(area, 0, SIZE);
    raise_signal(SIGUSR2);
    say("on it: %d\n", inner_on_area);
    set_stack(area, SS_AUTODISARM, SIZE);
    raise_signal(SIGUSR2);
    say("on it: %d\n", inner_on_area);
    tell_stack("afterwards, for a classic frame does not keep it");
}

static int depth;
static siginfo_t overflow_info;
static bool overflow_on_area;

static int deeper(int level)
{
    volatile char space[4096];

    space[0] = (char)level;
    depth = level;
    return level < 1000000 ? deeper(level + 1) + space[0] : 0;
}

/* Not inlined: a jump goes to another function. */
__attribute__((noinline))
static void overflow(void)
{
    __builtin_longjmp(buffer, 1);
}

static void overflow_longjmp(int signal, siginfo_t *info, ucontext_t *at)
{
    (void)signal, (void)at;
    overflow_info = *info;
    overflow_on_area = on_area(&info);
    overflow();
}

static void stack_overflow(void)
{
    set_stack(area, SS_ONSTACK, SIZE);
    handle_info(SIGSEGV, overflow_longjmp, SA_ONSTACK);
    for (volatile int i = 0; i < 3; i++) {
        if (__builtin_setjmp(buffer) == 0) {
            depth = deeper(0);
            say("came back\n");
        }
        say("overflow: code %d, on it: %d, deep enough: %d\n", overflow_info.code,
            overflow_on_area, depth > 1000);
        say_mask("mask", change_mask(SIG_UNBLOCK, bit(SIGSEGV)));
        tell_stack("afterwards");
    }
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    area = map_pages(SIZE / PAGE, PROT_RW);
    refused();
    handlers();
    stack_overflow();
    return 0;
}
