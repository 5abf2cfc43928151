/*
 * The machine under the real page allocator: RAM in the process at the addresses
 * it says it has, and a linear space that only counts its visits.
 */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <kernel/boot_info.h>
#include <kernel/layout.h>
#include <kernel/types.h>

/* Where RAM begins: above the low zone, on the border of a block, out of valgrind's way. */
#define RAM_BASE  (256u * MIB)
#define RAM_MAX   (320u * MIB)

/* Visits to the linear space: each is two CR3 loads on a real machine. */
extern size_t machine_visits;

/* Take RAM_MAX bytes from the system. Once. */
void machine_map_ram(void);

/*
 * Start a machine and the real allocator with `page_count` pages of RAM.
 *
 * => the pages that can be handed out, in one piece: the frame table, which is
 *    in RAM as well, is outside it
 */
boot_range_t machine_start(size_t page_count);

#endif
