/*
 * The kernel's own tests (tests/kernel), and its ways to crash on purpose.
 */
#ifndef KERNEL_SELFTEST_H
#define KERNEL_SELFTEST_H

#include <kernel/types.h>

/*
 * Run the tests named, separated by commas (NULL or empty: all), in TAP; then
 * compare the frames of each owner with those before.
 *
 * => how many failed
 */
size_t selftest_run(const char *names);

/* Every checker there is. => NULL, or the first sentence */
const char *selftest_check(void);

/* Break the kernel in the way named; the report is what is tested. => false: no such way */
bool selftest_crash(const char *way);

#endif
