/*
 * The heap at level none, which only a build can choose: it must work for programs that have
 * no bugs. Of the tests of kheap_cases.h only those of random operations are run: others misuse
 * the heap; what happens then is in test_kheap_bugs_none.c.
 */
#include <host_test.h>

#pragma push_macro("TEST")
#undef TEST
#define TEST(name) static __attribute__((unused)) void test_##name(void)
#include "kheap_cases.h"
#pragma pop_macro("TEST")

TEST(kheap_none_random_operations)
{
    test_kheap_random_operations();
}

TEST(kheap_none_random_operations_with_cache)
{
    random_operations(LIMIT, 4000, test_steps(100000), true);
}

TEST(kheap_none_random_operations_with_large_sizes)
{
    test_kheap_random_operations_with_large_sizes();
}

TEST(kheap_none_random_operations_in_too_little_memory)
{
    random_operations(128 * KIB, 8000, test_steps(100000) / 5, true);
}

TEST(kheap_none_random_operations_with_cells)
{
    size_t most_cells = 0;

    new_cached_heap(LIMIT);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_SLABS, SIZE_MAX), 0);
    memset(slots, 0, sizeof(slots));
    for (size_t step = 0; step < test_steps(100000); step++) {
        random_step(test_random_below(SLOTS), 2000);
        if (stat_of().cell_count > most_cells)
            most_cells = stat_of().cell_count;
        if (test_random_below(300) == 0)
            kheap_flush(&heap);
        if (step % 64 == 0)
            CHECK_OK(kheap_check(&heap));
    }
    CHECK(most_cells > 100);
    free_slots();
}

TEST(kheap_none_takes_null)
{
    new_heap(LIMIT);
    kheap_free(&heap, NULL);
    CHECK_EQ(kheap_usable_size(&heap, NULL), 0);
    char *a = kheap_realloc(&heap, NULL, 100);
    CHECK(a != NULL);
    kheap_free(&heap, a);
    kheap_free(&heap, NULL);
    CHECK_EQ(host_misuse_count(), 0);
    check_empty();
}
