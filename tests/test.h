/*
 * Tests, the same for the host and for the booted kernel.
 *
 *     TEST(vma_split_in_the_middle)
 *     {
 *         CHECK_EQ(mspace_unmap(...), 0);
 *         CHECK_OK(mspace_check(...));
 *     }
 *
 * A test is a function in the linker section `tests`. The first failed check
 * ends its test and prints file, line, values, the seed, and the command that
 * repeats only this test. Output is TAP.
 */
#ifndef TEST_H
#define TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct test {
    const char *name;
    void (*run)(void);
    const char *file;
} test_t;

#define TEST(name_) \
    static void test_##name_(void); \
    static const test_t test_entry_##name_ \
        __attribute__((used, section("tests"), aligned(sizeof(void *)))) = \
        { #name_, test_##name_, __FILE__ }; \
    static void test_##name_(void)

/*
 * Run the tests named in `names` (words separated by commas or spaces; NULL or
 * empty: all), print TAP, return the number that failed.
 *
 * => before each test the random generator is seeded with `seed`; 0: the default
 * => a name that no test has counts as a failure
 */
size_t test_run(const char *names, uint64_t seed);

/* Numbers for random tests: the same after the same seed on every machine. */
uint64_t test_random(void);
/* One of 0 .. limit - 1. => limit at least 1 */
size_t test_random_below(size_t limit);
/* How many steps a random test takes: `usual`, unless the run asks for more. */
size_t test_steps(size_t usual);

/* Ends the test with a reason that the TAP line shows. */
_Noreturn void test_skip(const char *reason);

_Noreturn void test_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* How many checks the current test has made: a test without any fails. */
extern size_t test_checks;

#define CHECK(condition) \
    do { \
        test_checks++; \
        if (!(condition)) \
            test_fail(__FILE__, __LINE__, "%s is false", #condition); \
    } while (0)

#define CHECK_EQ(actual, expected) \
    do { \
        long long actual_ = (long long)(actual); \
        long long expected_ = (long long)(expected); \
        test_checks++; \
        if (actual_ != expected_) \
            test_fail(__FILE__, __LINE__, "%s is %lld (0x%llx), expected %lld (0x%llx)", \
                      #actual, actual_, actual_, expected_, expected_); \
    } while (0)

/* For checkers: NULL, or a sentence that says what is wrong. */
#define CHECK_OK(sentence) \
    do { \
        const char *sentence_ = (sentence); \
        test_checks++; \
        if (sentence_ != NULL) \
            test_fail(__FILE__, __LINE__, "%s: %s", #sentence, sentence_); \
    } while (0)

#define CHECK_STR(actual, expected) \
    do { \
        const char *actual_ = (actual); \
        const char *expected_ = (expected); \
        test_checks++; \
        if (!test_same_text(actual_, expected_)) \
            test_fail(__FILE__, __LINE__, "%s is \"%s\", expected \"%s\"", \
                      #actual, actual_, expected_); \
    } while (0)

bool test_same_text(const char *a, const char *b);

#endif
