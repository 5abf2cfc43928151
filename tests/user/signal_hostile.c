/*
 * Frames that no kernel wrote: each return by one is a SIGSEGV without an address,
 * which a handler on the alternate stack gets; segments that are none become the null
 * selector.
 */
#include "signals.h"

enum { CS, SS, FPSTATE, ES };

static void *buffer[5];
static siginfo_t info;
static uint32_t esp_in_context;
static int field;
static uint32_t value;

__attribute__((noinline))
static void jump(void)
{
    __builtin_longjmp(buffer, 1);
}

static void caught(int signal, siginfo_t *told, ucontext_t *at)
{
    (void)signal;
    info = *told;
    esp_in_context = at->context.esp;
    jump();
}

static void spoil(int signal, siginfo_t *told, ucontext_t *at)
{
    (void)signal, (void)told;
    if (field == CS)
        at->context.cs = value;
    else if (field == SS)
        at->context.ss = value;
    else if (field == FPSTATE)
        at->context.fpstate = value;
    else
        at->context.es = at->context.fs = at->context.gs = value;
}

static void tell(const char *what)
{
    say("%s %08x: signal %d code %d address %x\n", what, value, info.signo, info.code,
        info.address);
    info = (siginfo_t){ 0 };
    change_mask(SIG_SETMASK, 0);
}

static void spoiled(const char *what, int which, const uint32_t *values, size_t count)
{
    for (volatile size_t i = 0; i < count; i++) {
        field = which;
        value = values[i];
        if (__builtin_setjmp(buffer) == 0) {
            raise_signal(SIGUSR1);
            say("came back\n");
        }
        tell(what);
    }
}

/* A call of sigreturn or rt_sigreturn with that stack pointer. */
__attribute__((noinline))
static void return_from(int number, uint32_t esp)
{
    __asm__ volatile("mov %1, %%esp\n int $0x80\n hlt" : : "a"(number), "r"(esp) : "memory");
}

static void nowhere(const char *what, int number)
{
    char *page = map_pages(2, PROT_RW);
    const uint32_t places[] = {
        0, 4, 16, 0xfffffffc, 0xfffffff0, 0xc0000004, 0xbffffff0, (uint32_t)page + PAGE - 40,
    };

    call(SYS_munmap, page + PAGE, PAGE);
    for (volatile size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (__builtin_setjmp(buffer) == 0)
            return_from(number, places[i]);
        value = i;
        check("the stack pointer is in the next frame", esp_in_context == places[i]);
        tell(what);
    }
}

/* A signal for which the stack has no room; SIGSEGV has another stack. */
static void no_room(void)
{
    for (volatile int i = 0; i < 3; i++) {
        static const uint32_t places[] = { 16, 0xfffffffc, 0x1000 };

        if (__builtin_setjmp(buffer) == 0) {
            int pid = call(SYS_getpid);

            __asm__ volatile("mov %0, %%esp\n int $0x80\n hlt"
                             : : "r"(places[i]), "a"(SYS_kill), "b"(pid), "c"(SIGUSR1)
                             : "memory");
        }
        value = i;
        check("the stack pointer is in the next frame", esp_in_context == places[i]);
        tell("no room");
    }
}

uint32_t null_es = 1, null_fs = 1, null_gs = 1;

static void null_segments(void)
{
    int pid = call(SYS_getpid), number = SYS_kill, signal = SIGUSR1;

    field = ES;
    value = 0xfff8;
    __asm__ volatile("int $0x80\n"
                     "mov %%es, %%eax\n mov %%fs, %%edx\n mov %%gs, %%esi\n"
                     "mov %%ds, %%ecx\n mov %%ecx, %%es\n"
                     "mov %%eax, null_es\n mov %%edx, null_fs\n mov %%esi, null_gs\n"
                     : "+a"(number), "+c"(signal) : "b"(pid) : "edx", "esi", "memory");
    say("es %x fs %x gs %x\n", null_es, null_fs, null_gs);
}

int main(int argc, char **argv)
{
    static const uint32_t selectors[] = { 0, 4, 8, 0xfff8, 0xffff, 0x28 };  /* ss: not the last */
    static const uint32_t places[] = { 16, 0xffffffff, 0xfffffff0, 0xc0000000, 0xbfffffff };
    stack_t stack = { (uint32_t)map_pages(16, PROT_RW), 0, 16 * PAGE };

    (void)argc, (void)argv;
    call(SYS_sigaltstack, &stack, 0);
    handle_info(SIGSEGV, caught, SA_ONSTACK);
    handle_info(SIGUSR1, spoil, 0);
    spoiled("cs", CS, selectors, 6);
    spoiled("ss", SS, selectors, 5);
    spoiled("fpstate", FPSTATE, places, 5);
    nowhere("sigreturn", SYS_sigreturn);
    nowhere("rt_sigreturn", SYS_rt_sigreturn);
    no_room();
    null_segments();
    return 0;
}
