/*
 * What the kernel says of itself when it cannot go on.
 */
#ifndef KERNEL_DUMP_H
#define KERNEL_DUMP_H

#include <kernel/trap.h>

/* Make panic show registers, a backtrace and the walk of CR2, and stop the machine. */
void dump_init(void);

/* Print registers; the functions on the stack that begins at frame pointer ebp. */
void dump_registers(const trap_frame_t *frame);
void dump_backtrace(uint32_t eip, uint32_t ebp);

/* Where the heap, which is at work, was called from: a return address, or 0. */
size_t dump_heap_caller(void);

/* The function that made the call which returns there. => NULL: not known */
const char *dump_symbol(size_t address, size_t *offset);

#endif
