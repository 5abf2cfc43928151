/*
 * The linear space: a page table whose user part is RAM itself, virtual =
 * physical, and whose kernel parts are the usual ones. Stacks, heap and handlers
 * stay valid inside; user pointers do not.
 *
 * Its entries are supervisor, writable, never executable where the processor
 * can tell, and not global. What is not RAM is not in it; reserved RAM (modules,
 * the frame table) is, for this is how it is read.
 */
#ifndef KERNEL_LINEAR_H
#define KERNEL_LINEAR_H

#include <kernel/boot_info.h>
#include <kernel/types.h>

/* Build the table. => NULL or a sentence; before paging */
const char *init_linear_space(const boot_info_t *info);

/* Turn paging on, in the linear space. Once. */
void enable_linear_space(void);

/*
 * Go in, and come back to the space that was current. Pairs nest: only the
 * outermost switches.
 *
 * => two CR3 loads a pair: do a batch of work inside, not one page
 * => leave without enter is an assertion; so is sleeping inside
 * => before paging both only count
 */
void enter_linear_space(void);
void leave_linear_space(void);

/*
 * Forget the pairs that are open, because a switch to another space is about to
 * happen without their leave.
 */
void linear_space_drop(void);

/* Where a page's bytes are, in the linear space. => asserts that it is on */
void *physical_ptr(page_t page);

/* How many pairs are open. */
size_t linear_space_depth(void);

/* True between enter and leave, and as long as paging is off. */
bool linear_space_is_on(void);

/* The linear space's own table. */
page_t linear_space_directory(void);

#endif
