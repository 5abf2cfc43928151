/*
 * A segment over one large mapping, with the heap's notes behind it.
 */
#ifndef RESERVED_SEGMENT_H
#define RESERVED_SEGMENT_H

#include <kernel/segment.h>

typedef struct reserved_segment {
    segment_t segment;
    bool keep_pages;            /* shrinking gives nothing back to the system */
} reserved_segment_t;

/*
 * Reserve `limit` bytes of address space, none of them mapped as far as a heap knows.
 *
 * => false, and a segment that can never grow: the process may not have so much
 */
bool reserved_segment_init(reserved_segment_t *reserved, size_t limit);

/* Forget all that is mapped, for another heap. */
void reserved_segment_clear(reserved_segment_t *reserved);

#endif
