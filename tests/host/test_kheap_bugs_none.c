/* The catalogue of bugs for a heap that looks at nothing. */
#include "kheap_bugs_run.h"

#include <kernel/errno.h>

TEST(kheap_bugs_at_level_none)
{
    run_column(COLUMN_NONE);
}

/* A build that looks at nothing is not asked to look at all. */
TEST(kheap_level_none_is_for_good)
{
    fake_segment_destroy(&memory);
    kheap_init(&bugged, fake_segment_init(&memory, LIMIT));
    CHECK_EQ(kheap_tune(&bugged, KHEAP_TUNE_LEVEL, KHEAP_FULL), -EINVAL);
    CHECK_EQ(kheap_tune(&bugged, KHEAP_TUNE_LEVEL, KHEAP_NONE), -EINVAL);
    CHECK_EQ(bugged.level, KHEAP_BASIC);        /* what of it there is in this build */
    CHECK_OK(kheap_check(&bugged));
}
