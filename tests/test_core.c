/*
 * The test runner that the host and the kernel share.
 *
 * Freestanding: it prints with printk, and a failed check leaves its test through
 * the compiler's own setjmp. The tests are the linker section `tests`.
 */
#include <kernel/printk.h>
#include <test_hooks.h>

#define DEFAULT_SEED  0x47726f7665ull       /* "Grove" */
#define MESSAGE_SIZE  1024

/* Given by the linker; weak, since a program without tests has no section. */
extern const test_t __start_tests[] __attribute__((weak));
extern const test_t __stop_tests[] __attribute__((weak));

enum verdict { PASSED, SKIPPED, FAILED };

static struct {
    uint64_t seed;
    uint64_t random;            /* the generator's state */
    size_t steps;               /* 0: as many as usual */
    const test_t *test;         /* the one that runs */
    enum verdict verdict;
    const char *reason;         /* SKIPPED: why */
    const char *file;           /* FAILED: where; line 0: no line */
    int line;
    char message[MESSAGE_SIZE];
    void *leave[5];             /* __builtin_setjmp's buffer */
} run = { .seed = DEFAULT_SEED };

size_t test_checks;

__attribute__((weak)) void test_before(const test_t *test)
{
    (void)test;
}

__attribute__((weak)) const char *test_after(const test_t *test)
{
    (void)test;
    return NULL;
}

__attribute__((weak)) void test_print_repeat(const test_t *test)
{
    printk("%s", test->name);
}

const test_t *test_first(void)
{
    return __start_tests;
}

const test_t *test_end(void)
{
    return __stop_tests;
}

const test_t *test_current(void)
{
    return run.test;
}

uint64_t test_seed(void)
{
    return run.seed;
}

void test_set_steps(size_t steps)
{
    run.steps = steps;
}

size_t test_steps(size_t usual)
{
    return run.steps != 0 ? run.steps : usual;
}

/* splitmix64, by Sebastiano Vigna: one word of state, any seed will do. */
uint64_t test_random(void)
{
    uint64_t mixed = run.random += 0x9e3779b97f4a7c15ull;

    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ull;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebull;
    return mixed ^ (mixed >> 31);
}

size_t test_random_below(size_t limit)
{
    uint64_t random = test_random();

    /* A product, not a remainder: i386 has no 64-bit division. */
    if ((uint64_t)limit >> 32 == 0)
        return (size_t)(((random >> 32) * limit) >> 32);
    return (size_t)random % limit;
}

bool test_same_text(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/*
 * Back to attempt(). A function of its own, with no locals: its callers' frames
 * are what AddressSanitizer forgets when it sees a call that does not return.
 */
static _Noreturn __attribute__((noinline)) void leave_test(void)
{
    __builtin_longjmp(run.leave, 1);
}

_Noreturn void test_skip(const char *reason)
{
    run.verdict = SKIPPED;
    run.reason = reason;
    leave_test();
}

_Noreturn void test_fail(const char *file, int line, const char *format, ...)
{
    va_list args;

    if (run.verdict != FAILED) {        /* a failure in test_after hides none */
        run.verdict = FAILED;
        run.file = file;
        run.line = line;
        va_start(args, format);
        vformat_text(run.message, sizeof(run.message), format, args);
        va_end(args);
    }
    leave_test();
}

static void before_and_test(void)
{
    test_before(run.test);
    run.test->run();
    if (test_checks == 0)
        test_fail(run.test->file, 0, "%s made no check", run.test->name);
}

static void after_test(void)
{
    const char *sentence = test_after(run.test);

    if (sentence != NULL)
        test_fail(run.test->file, 0, "after %s: %s", run.test->name, sentence);
}

/* Do a step that may end in leave_test. No locals: they would not survive. */
static __attribute__((noinline)) void attempt(void (*step)(void))
{
    if (__builtin_setjmp(run.leave) == 0)
        step();
}

static void print_result(size_t number)
{
    const char *name = run.test->name;

    if (run.verdict == PASSED) {
        printk("ok %zu - %s\n", number, name);
        return;
    }
    if (run.verdict == SKIPPED) {
        printk("ok %zu - %s # SKIP %s\n", number, name, run.reason);
        return;
    }
    printk("not ok %zu - %s\n", number, name);
    if (run.line != 0)
        printk("# %s:%d: %s\n", run.file, run.line, run.message);
    else
        printk("# %s: %s\n", run.file, run.message);
    printk("# seed 0x%llx\n# repeat: ", (unsigned long long)run.seed);
    test_print_repeat(run.test);
    printk("\n");
}

static bool run_one(const test_t *test, size_t number)
{
    printk_output_t *output = printk_set_output(NULL);

    printk_set_output(output);
    run.test = test;
    run.verdict = PASSED;
    run.random = run.seed;
    test_checks = 0;
    attempt(before_and_test);
    attempt(after_test);
    printk_set_output(output);          /* the test may have left another one */
    print_result(number);
    run.test = NULL;
    return run.verdict != FAILED;
}

static bool is_separator(char c)
{
    return c == ',' || c == ' ';
}

/* The next word at *text; moves *text past it. => its length, 0 at the end */
static size_t next_word(const char **text, const char **word)
{
    size_t length = 0;

    while (is_separator(**text))
        (*text)++;
    *word = *text;
    while (**text != '\0' && !is_separator(**text)) {
        (*text)++;
        length++;
    }
    return length;
}

static bool word_is(const char *word, size_t length, const char *name)
{
    for (size_t i = 0; i < length; i++)
        if (name[i] == '\0' || name[i] != word[i])
            return false;
    return name[length] == '\0';
}

static bool is_wanted(const test_t *test, const char *names)
{
    const char *word;
    size_t length = next_word(&names, &word);
    bool all = length == 0;

    for (; length != 0; length = next_word(&names, &word))
        if (word_is(word, length, test->name))
            return true;
    return all;
}

static bool is_known(const char *word, size_t length)
{
    for (const test_t *test = test_first(); test < test_end(); test++)
        if (word_is(word, length, test->name))
            return true;
    return false;
}

/* Report the names that no test has, from `number` on; or only count them. */
static size_t unknown_names(const char *names, size_t number, bool report)
{
    const char *word;
    size_t length;
    size_t count = 0;

    while ((length = next_word(&names, &word)) != 0) {
        if (is_known(word, length))
            continue;
        if (report)
            printk("not ok %zu - %.*s\n# no test has this name\n",
                   number + count, (int)length, word);
        count++;
    }
    return count;
}

size_t test_run(const char *names, uint64_t seed)
{
    size_t number = 1;
    size_t failed = 0;
    size_t count;

    if (names == NULL)
        names = "";
    run.seed = seed != 0 ? seed : DEFAULT_SEED;
    count = unknown_names(names, 0, false);
    for (const test_t *test = test_first(); test < test_end(); test++)
        count += is_wanted(test, names);
    if (count == 0) {                   /* the section was lost, most likely */
        printk("Bail out! this program has no tests\n");
        return 1;
    }
    printk("1..%zu\n", count);
    for (const test_t *test = test_first(); test < test_end(); test++)
        if (is_wanted(test, names))
            failed += !run_one(test, number++);
    return failed + unknown_names(names, number, true);
}
