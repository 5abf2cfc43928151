/* The catalogue of bugs for a release build of the heap, at the levels it can have. */
#include "kheap_bugs.h"

TEST(kheap_bugs_at_level_basic)
{
    run_level(KHEAP_BASIC);
}

TEST(kheap_bugs_at_level_full)
{
    run_level(KHEAP_FULL);
}
