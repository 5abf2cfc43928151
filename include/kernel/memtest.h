/*
 * The word `memtest`: a test of the RAM that nothing uses yet.
 */
#ifndef KERNEL_MEMTEST_H
#define KERNEL_MEMTEST_H

#include <kernel/boot_info.h>

enum { MEMTEST_PASSES_MAX = 99 };

/*
 * Test all free RAM below LINEAR_END and retire each page that fails.
 *
 * Found are bits that are stuck, cells that another one's write changes, and
 * addresses that lead to the same cell: of two such pages the lower one is retired,
 * after which the other is sound.
 *
 * => passes: 1 to MEMTEST_PASSES_MAX; each after the first has other patterns
 * => before paging and before physical_init; what is not free is not touched, what
 *    is free is overwritten
 * => NULL, or a sentence: there are more bad pieces than *info can hold
 * => logs how much it tested, and what it retired
 */
const char *memtest_run(boot_info_t *info, unsigned passes);

#endif
