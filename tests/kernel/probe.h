/*
 * What several test files share: accesses that may fault, frames to play with, a
 * program's space to stand in.
 */
#ifndef TESTS_KERNEL_PROBE_H
#define TESTS_KERNEL_PROBE_H

#include <kernel/memory.h>
#include <kernel/types.h>

/* How an access went. */
typedef struct outcome {
    bool faulted;
    unsigned code;          /* FAULT_*, when it faulted */
    size_t address;         /* CR2, when it faulted */
    uint8_t value;          /* what was read */
} outcome_t;

/*
 * One access to a byte, by a plain instruction of the kernel. A fault is caught,
 * never resolved.
 */
outcome_t probe_read(size_t address);
outcome_t probe_write(size_t address, uint8_t value);

/* Call the address. => what is there returns at once */
outcome_t probe_execute(size_t address);

/* Whether a byte can be read and has that value; whether it was that fault. */
bool reads(size_t vaddr, uint8_t value);
bool faults(outcome_t outcome, size_t vaddr, unsigned code);

/* A frame for programs whose first word is `word`; checks that there is one. */
page_t frame_with(uint32_t word);

/* The same, where the linear space has it: at or above LOW_END. */
page_t high_frame_with(uint32_t word);

/* The first word of a frame. */
uint32_t frame_word(page_t page);

/* Whether the command line names the current test, and not only `test`. */
bool test_is_named(void);

/* Undo what a test that failed half-way may have left: for the start of a test. */
void start_clean(void);

/*
 * For sweeps: let the n-th allocation of a frame from now on fail; afterwards,
 * whether there was an n-th. A call may succeed all the same, by trying again.
 */
void fail_nth(size_t n);
bool nth_failed(void);

/* A new space, and the kernel stands in it as if for a program. */
mspace_t *enter_new_space(void);

/* Stand in another space; NULL: the kernel's own. */
void stand_in(mspace_t *mspace);

/* Leave the space and close it. */
void leave_space(mspace_t *mspace);

/*
 * The entry for vaddr at a level (0: the last), by walking the physical memory
 * in the linear space: a second reader that shares nothing with the kernel's.
 * With `change` the entry is then replaced by *value.
 *
 * => the entry; present entries above lead to it, else 0 and *table PAGE_NONE
 */
uint64_t physical_entry(page_t root, size_t vaddr, unsigned level, page_t *table,
                        const uint64_t *change);

#endif
