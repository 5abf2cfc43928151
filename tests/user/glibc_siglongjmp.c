// enosys: 386
/*
 * A program with a C library that recovers from faults by siglongjmp, 1,000 times each:
 * from a handler on the stack it has, and from one on an alternate stack.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static sigjmp_buf back;
static volatile sig_atomic_t faults, codes;
static void *volatile address;

static void handler(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    faults++;
    codes += info->si_code;
    if (info->si_addr != address)
        codes = -1000000;
    siglongjmp(back, 1);
}

static void write_there(const char *what, char *at)
{
    faults = codes = 0;
    address = at;
    for (volatile int i = 0; i < 1000; i++)
        if (sigsetjmp(back, 1) == 0)
            *(volatile char *)at = 1;
    printf("%s: %d faults, sum of si_code %d\n", what, faults, codes);
}

static int recurse(int level)
{
    volatile char space[1024];

    space[level % 1024] = (char)level;
    return level < 1000000 ? recurse(level + 1) + space[0] : 0;
}

int main(void)
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
    stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    volatile int overflows = 0;
    sigset_t mask;

    sigaction(SIGSEGV, &action, NULL);
    write_there("NULL", NULL);
    write_there("read-only", page);
    action.sa_flags |= SA_ONSTACK;
    sigaction(SIGSEGV, &action, NULL);
    printf("sigaltstack: %d\n", sigaltstack(&stack, NULL));
    write_there("on the alternate stack", page + 5);
    for (volatile int i = 0; i < 10; i++) {
        if (sigsetjmp(back, 1) == 0)
            return recurse(0);
        overflows++;
    }
    printf("%d overflows\n", overflows);
    sigprocmask(SIG_BLOCK, NULL, &mask);
    printf("SIGSEGV blocked: %d\n", sigismember(&mask, SIGSEGV));
    return 0;
}
