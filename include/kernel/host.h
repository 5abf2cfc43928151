/*
 * What mm/ needs from the kernel around it: all of it. Provide these calls and
 * `panic`, and mm/ runs in your kernel; the host tests are the second kernel
 * that does.
 */
#ifndef KERNEL_HOST_H
#define KERNEL_HOST_H

#include <kernel/types.h>

/*
 * Where the current task's `errno` is.
 *
 * => never NULL; before there are tasks, any variable will do
 */
int *host_errno(void);

/*
 * A misuse of the memory subsystem was found and contained: report it.
 *
 * => the sentence names what was wrong, and is only valid during the call. Lines may
 *    follow it, indented, that say more
 * => may be called with locks held and in the linear space: it must not allocate
 *    or free
 * => may not return, if the kernel would rather stop
 */
void host_misuse(const char *sentence);

/*
 * Name the function that a call returns to, for a report: at most size - 1
 * characters and a NUL; at least the address, if nothing is known about it.
 *
 * => called as host_misuse is
 */
void host_symbol(size_t address, char *text, size_t size);

#endif
