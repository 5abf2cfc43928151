/*
 * What tests on the host have besides test.h: expected panics, misuses, and
 * hooks of their own around each test.
 *
 * => include <kernel/...> headers before libc's: <kernel/types.h> must be the one
 *    that defines off_t, which is 32 bits wide in a 32-bit libc
 */
#ifndef HOST_TEST_H
#define HOST_TEST_H

#include <kernel/types.h>
#include <test.h>

_Static_assert(sizeof(off_t) == 8, "include <kernel/types.h> before libc's headers");

/*
 * Call fn(arg) and see it panic. => true if it did: its message is in `message`,
 * cut to size - 1 characters
 *
 * => fn's frames are abandoned: what it locked or allocated stays so
 * => message may be NULL with size 0; calls do not nest
 * => a panic that no one expects prints itself and aborts the program
 */
bool test_expect_panic(void (*fn)(void *arg), void *arg, char *message, size_t size);

/*
 * How often host_misuse was called since the test began. A misuse that happened
 * after the last call of this function makes the test fail.
 */
size_t host_misuse_count(void);

/* The sentence of the last misuse in this test; "" if there was none. */
const char *host_misuse_last(void);

/*
 * As test_before and test_after (test_hooks.h), which the host's part of the
 * runner keeps for itself. Weak; a fake machine defines them to check for leaks.
 */
void host_test_before(const test_t *test);
const char *host_test_after(const test_t *test);

#endif
