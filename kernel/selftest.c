/*
 * Running the tests in the booted kernel: TAP on the console, and no frame
 * missing afterwards.
 */
#include <kernel/census.h>
#include <kernel/kheap.h>
#include <kernel/memory.h>
#include <kernel/printk.h>
#include <kernel/selftest.h>
#include <kernel/virtual.h>
#include <test.h>
#include <test_hooks.h>

static census_t before_test;

const char *selftest_check(void)
{
    const char *trouble = physical_check();

    if (trouble == NULL)
        trouble = pagetable_check();
    if (trouble == NULL)
        trouble = kheap_check(&kernel_heap);
    if (trouble == NULL)
        trouble = mspace_check(kMMU.kspace);
    if (trouble == NULL)
        trouble = memory_check();
    return trouble;
}

void test_before(const test_t *test)
{
    (void)test;
    census_take(&before_test);
}

const char *test_after(const test_t *test)
{
    census_t after;
    const char *trouble = selftest_check();

    (void)test;
    census_take(&after);
    return trouble != NULL ? trouble : census_compare(&before_test, &after);
}

void test_print_repeat(const test_t *test)
{
    printk("make test T=%s", test->name);
}

size_t selftest_run(const char *names)
{
    census_t before;
    census_t after;
    const char *trouble;
    size_t failed;

    census_take(&before);
    failed = test_run(names, 0);
    census_take(&after);
    census_print(&before, &after, "# ");
    trouble = census_compare(&before, &after);
    if (trouble == NULL)
        trouble = selftest_check();
    if (trouble == NULL)
        return failed;
    printk("# after all tests: %s\n", trouble);
    return failed + 1;
}
