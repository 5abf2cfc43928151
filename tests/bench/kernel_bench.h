/*
 * The parts of the kernel's bench that have files of their own.
 */
#ifndef TESTS_KERNEL_BENCH_H
#define TESTS_KERNEL_BENCH_H

/*
 * Replay the kernel's own allocations, if a module brings them, and print what a
 * call costs in the mean and at most.
 *
 * => NULL, or a sentence
 */
const char *bench_heap_mix(void);

#endif
