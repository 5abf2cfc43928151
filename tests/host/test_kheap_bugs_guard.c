/* The catalogue of bugs for a release build of the heap, every buffer in a guarded page. */
#include "kheap_bugs_run.h"

TEST(kheap_bugs_in_guard_mode)
{
    run_column(COLUMN_GUARD);
}
