/*
 * The processor of the fake machine, as fake_machine.c starts and stops it. Tests
 * use fake_machine.h.
 */
#ifndef FAKE_CPU_H
#define FAKE_CPU_H

#include <kernel/types.h>

/* Power on, paging off, with so much RAM. => ram_bytes: a multiple of PAGE_SIZE */
void fake_cpu_start(size_t ram_bytes, bool long_mode);

/* There is no RAM in [start, end): touching it is a panic. => before paging */
void fake_cpu_hide(page_t start, page_t end);

void fake_cpu_stop(void);

/* Whether CR0.PG is set. */
bool fake_cpu_is_paging(void);

#endif
