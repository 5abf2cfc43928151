/*
 * The paging doctor: walks a page table in software, as the processor would,
 * and says in plain words where it breaks. Run it before paging is turned on: a
 * mistake then is a sentence instead of a reset.
 */
#ifndef KERNEL_DOCTOR_H
#define KERNEL_DOCTOR_H

#include <kernel/types.h>

#define DOCTOR_READ     0x0u
#define DOCTOR_WRITE    0x1u
#define DOCTOR_EXECUTE  0x2u
#define DOCTOR_READONLY 0x4u    /* writing must be refused */

/* Something the processor will need: [vaddr, vaddr + length). */
typedef struct doctor_item {
    const char *what;       /* "the stack" */
    size_t vaddr;
    size_t length;
    unsigned needs;         /* DOCTOR_* */
    bool identity;          /* must be where its address says, in RAM too */
} doctor_item_t;

/*
 * Check each item in each space; and that every table on the way to one is a table,
 * has no reserved bit set, and is mapped at the kernel address that it is known by.
 *
 * => NULL, or the first broken link as a sentence, valid until the next call
 * => O(pages of the items), and a few walks a table and space: a table that spaces
 *    next to each other in the list reach in the same way is looked at once
 */
const char *doctor_examine(const page_t *pagetables, size_t pagetable_count,
                           const doctor_item_t *items, size_t item_count);

/*
 * Explain what the processor does with vaddr, level by level, in the log.
 */
void doctor_walk(page_t pagetable, size_t vaddr);

#endif
