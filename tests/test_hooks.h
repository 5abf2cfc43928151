/*
 * What surrounds the tests: calls that the host's and the kernel's part of the
 * runner make, and calls that they may define. Test files need only test.h.
 */
#ifndef TEST_HOOKS_H
#define TEST_HOOKS_H

#include <test.h>

/*
 * Defined by test_core.c as weak functions that do nothing; a strong definition
 * replaces them.
 *
 * test_before: before each test, with the generator already seeded.
 * test_after: after each test, failed and skipped ones too; cleans up.
 *
 * => both may use CHECK and test_fail: the test fails
 * => test_after returns NULL, or a sentence that makes the test fail ("frames
 *    leaked"); of a test that failed already, only its own failure is shown
 */
void test_before(const test_t *test);
const char *test_after(const test_t *test);

/*
 * Print, with printk, the command that repeats only this test; no newline.
 *
 * => weak as above; the default prints the test's name
 */
void test_print_repeat(const test_t *test);

/* The test that runs now; NULL outside tests. */
const test_t *test_current(void);

/* The seed of this run. */
uint64_t test_seed(void);

/* What test_steps answers from now on; 0: what the test calls usual. */
void test_set_steps(size_t steps);

/* All tests of this program are in [test_first(), test_end()). */
const test_t *test_first(void);
const test_t *test_end(void);

#endif
