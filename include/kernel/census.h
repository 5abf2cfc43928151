/*
 * Whose frames are whose, at two moments: what a test or a program leaves behind.
 */
#ifndef KERNEL_CENSUS_H
#define KERNEL_CENSUS_H

#include <kernel/owner.h>
#include <kernel/types.h>

typedef struct census {
    size_t owner[OWNER_COUNT];  /* frames */
    uint64_t kernel_tables;     /* installed so far */
    size_t superbuffers;        /* of the kernel heap */
} census_t;

/*
 * Count now.
 *
 * => first drops what is only kept in case it is wanted again: pages of files
 *    that nobody maps, the free end of the heap
 */
void census_take(census_t *census);

/*
 * Compare entry by entry.
 *
 * => NULL, or a sentence with the first entry that differs
 * => tables of the kernel's part are never given back: as many more are right as
 *    were installed in between
 */
const char *census_compare(const census_t *before, const census_t *after);

/* Print free + used + reserved = total, and both counts side by side. */
void census_print(const census_t *before, const census_t *after, const char *line_start);

#endif
