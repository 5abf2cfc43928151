// linux: no
/*
 * 20,000 returns by frames of random words: the program gets a signal, or goes on
 * somewhere, and the kernel lives.
 */
#include "signals.h"

enum { ROUNDS = 20000, WORDS = 720 / 4 };

static void *buffer[5];
static uint32_t state = 4711;
static uint32_t frame[1024] __attribute__((aligned(64)));
static unsigned caught_count;

static uint32_t random_word(void)
{
    state = state * 1664525 + 1013904223;
    return state ^ state >> 15;
}

__attribute__((noinline))
static void jump(void)
{
    __builtin_longjmp(buffer, 1);
}

static void caught(int signal)
{
    (void)signal;
    caught_count++;
    jump();
}

/* Where the frames that are good enough lead. */
void landing(void);
__asm__(
    ".text\n"
    "landing:\n"
    "    hlt\n");

static uint32_t selector(void)
{
    static const uint16_t values[] = { 0, 0x1b, 0x23, 0x33, 0x10, 0x08, 0x2b, 7, 0x4b, 0xfff8 };

    return values[random_word() % 10];
}

/* Mostly right, so that it is not refused at once. */
static void make_context(sigcontext_t *context)
{
    if (random_word() % 4 != 0)
        context->cs = 0x1b;
    else
        context->cs = selector();
    if (random_word() % 4 != 0)
        context->ss = 0x23;
    else
        context->ss = selector();
    context->ds = random_word() % 2 != 0 ? 0x23 : selector();
    context->es = selector();
    context->fs = selector();
    context->gs = selector();
    context->eip = random_word() % 2 != 0 ? (uint32_t)landing : random_word();
    context->fpstate = random_word() % 4 != 0 ? (uint32_t)(frame + 512)
                                              : random_word();
}

static void go(int number)
{
    size_t skip = number == SYS_sigreturn ? 8 : 4;

    __asm__ volatile("mov %1, %%esp\n int $0x80\n hlt"
                     : : "a"(number), "r"((char *)frame + skip) : "memory");
}

int main(int argc, char **argv)
{
    stack_t stack = { (uint32_t)map_pages(8, PROT_RW), 0, 8 * PAGE };

    (void)argc, (void)argv;
    call(SYS_sigaltstack, &stack, 0);
    for (int i = 1; i < 32; i++)
        handle(i, caught, SA_ONSTACK);
    for (volatile int i = 0; i < ROUNDS; i++) {
        int number = random_word() % 2 != 0 ? SYS_sigreturn : SYS_rt_sigreturn;
        size_t context = number == SYS_sigreturn ? 8 : 164;
        uint32_t *mask = number == SYS_sigreturn ? frame + (8 + 80) / 4 : frame + 252 / 4;

        for (int j = 0; j < 1024; j++)
            frame[j] = random_word();
        make_context((sigcontext_t *)((char *)frame + context));
        *mask = 0;
        if (__builtin_setjmp(buffer) == 0)
            go(number);
        change_mask(SIG_SETMASK, 0);
        call(SYS_sigaltstack, &stack, 0);
    }
    say("%d rounds\n", ROUNDS);
    check("caught", caught_count >= ROUNDS);
    return 0;
}
