/*
 * What memory operations cost, counted in the booted kernel (tests/bench).
 *
 * The unit is the time-stamp counter's. QEMU's -icount makes that one guest
 * instruction (tools/bench); elsewhere the figures are cycles of some clock.
 */
#ifndef KERNEL_BENCH_H
#define KERNEL_BENCH_H

#include <kernel/types.h>

/* boot/entry.asm: the counter at the entry, 0 without one. A constant after it. */
extern uint64_t boot_entry_time;

/*
 * A part of boot is over: note when. The last one is over when memory is ready.
 *
 * => name: a constant; the part is printed as boot.NAME
 * => from the entry on, before paging too
 */
void bench_boot_part(const char *name);

/*
 * Measure everything and print a line `bench NAME VALUE` for each figure.
 *
 * => NULL, or a sentence: why it could not be measured to the end, or which
 *    checker is not content afterwards
 * => with no program running; figures of fresh memory are those of the first
 *    run after boot
 */
const char *bench_run(void);

#endif
