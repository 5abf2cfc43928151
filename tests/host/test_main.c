/*
 * The host's part of the test runner, and the host's share of a kernel: `panic`,
 * `host_errno`, `host_misuse`, `host_symbol`.
 *
 *     test_x [name]... [--seed N] [--steps N] [--list]
 */
#include <kernel/host.h>
#include <kernel/panic.h>
#include <kernel/printk.h>
#include <host_test.h>
#include <test_hooks.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SENTENCE_SIZE 2048

static struct {
    const char *program;
    size_t steps;                       /* --steps; 0: not given */
    int error;                          /* the current task's errno */
    size_t misuses;                     /* in this test */
    size_t misuses_seen;                /* of them, known to the test */
    char misuse[SENTENCE_SIZE];         /* the last one */
    char leftover[SENTENCE_SIZE + 128]; /* what test_after says of it */
    bool panic_expected;
    char panic_message[SENTENCE_SIZE];
    jmp_buf after_panic;
} host;

int *host_errno(void)
{
    return &host.error;
}

void host_misuse(const char *sentence)
{
    host.misuses++;
    snprintf(host.misuse, sizeof(host.misuse), "%s", sentence);
}

void host_symbol(size_t address, char *text, size_t size)
{
    format_text(text, size, "the call at %#zx", address);
}

size_t host_misuse_count(void)
{
    host.misuses_seen = host.misuses;
    return host.misuses;
}

const char *host_misuse_last(void)
{
    return host.misuse;
}

_Noreturn void panic(const char *format, ...)
{
    const test_t *test = test_current();
    va_list args;

    va_start(args, format);
    vsnprintf(host.panic_message, sizeof(host.panic_message), format, args);
    va_end(args);
    if (host.panic_expected) {
        host.panic_expected = false;
        longjmp(host.after_panic, 1);
    }
    fflush(stdout);
    fprintf(stderr, "# panic: %s\n", host.panic_message);
    if (test != NULL)
        fprintf(stderr, "# in %s, repeat: %s %s --seed 0x%llx\n", test->name,
                host.program, test->name, (unsigned long long)test_seed());
    abort();
}

bool test_expect_panic(void (*fn)(void *arg), void *arg, char *message, size_t size)
{
    if (size != 0)
        message[0] = '\0';
    if (setjmp(host.after_panic) == 0) {
        host.panic_expected = true;
        fn(arg);
        host.panic_expected = false;
        return false;
    }
    snprintf(message, size, "%s", host.panic_message);
    return true;
}

__attribute__((weak)) void host_test_before(const test_t *test)
{
    (void)test;
}

__attribute__((weak)) const char *host_test_after(const test_t *test)
{
    (void)test;
    return NULL;
}

void test_before(const test_t *test)
{
    host.error = 0;
    host.misuses = 0;
    host.misuses_seen = 0;
    host.misuse[0] = '\0';
    host_test_before(test);
}

const char *test_after(const test_t *test)
{
    const char *sentence;

    host.panic_expected = false;        /* a test may have failed inside fn */
    sentence = host_test_after(test);
    if (sentence == NULL && host.misuses != host.misuses_seen) {
        snprintf(host.leftover, sizeof(host.leftover),
                 "%zu misuses that the test did not ask for, the last: %s",
                 host.misuses - host.misuses_seen, host.misuse);
        sentence = host.leftover;
    }
    return sentence;
}

void test_print_repeat(const test_t *test)
{
    printk("%s %s --seed 0x%llx", host.program, test->name,
           (unsigned long long)test_seed());
    if (host.steps != 0)
        printk(" --steps %zu", host.steps);
}

static void print(const char *text, size_t length)
{
    fwrite(text, 1, length, stdout);
}

static int usage(void)
{
    fprintf(stderr, "usage: %s [name]... [--seed N] [--steps N] [--list]\n",
            host.program);
    return 2;
}

static bool parse_number(const char *text, uint64_t *number)
{
    char *end;

    if (text == NULL || *text < '0' || *text > '9')
        return false;
    errno = 0;
    *number = strtoull(text, &end, 0);
    return *end == '\0' && errno == 0;
}

int main(int argc, char **argv)
{
    char names[4096] = "";
    size_t used = 0;
    uint64_t seed = 0;
    uint64_t steps = 0;

    (void)argc;
    host.program = *argv;
    setvbuf(stdout, NULL, _IOLBF, 0);   /* a crash must not swallow results */
    printk_set_output(print);
    while (*++argv != NULL) {
        if (strcmp(*argv, "--list") == 0) {
            for (const test_t *test = test_first(); test < test_end(); test++)
                printf("%s\n", test->name);
            return 0;
        }
        if (strcmp(*argv, "--seed") == 0) {
            if (!parse_number(*++argv, &seed))
                return usage();
        } else if (strcmp(*argv, "--steps") == 0) {
            if (!parse_number(*++argv, &steps))
                return usage();
        } else if (**argv == '-' || used + strlen(*argv) + 2 > sizeof(names)) {
            return usage();
        } else {
            used += (size_t)sprintf(names + used, "%s ", *argv);
        }
    }
    host.steps = (size_t)steps;
    test_set_steps(host.steps);
    return test_run(names, seed) == 0 ? 0 : 1;
}
