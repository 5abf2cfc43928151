/*
 * A segment of host memory for heaps under test: what is not mapped faults, what
 * is fresh holds garbage, and extending fails when the test says so.
 */
#ifndef FAKE_SEGMENT_H
#define FAKE_SEGMENT_H

#include <kernel/segment.h>

typedef struct fake_segment {
    segment_t segment;
    size_t extend_count;        /* calls so far, failed ones too */
    size_t shrink_count;
    size_t fail_at;             /* the number of the call that fails; 0: none */
    size_t most_pages;          /* a call for more fails; 0: no bound */
} fake_segment_t;

/* Reserve `limit` bytes and map none. => the segment, to be given to a heap */
segment_t *fake_segment_init(fake_segment_t *fake, size_t limit);

/* Give the memory back. => does nothing to a zeroed or destroyed one */
void fake_segment_destroy(fake_segment_t *fake);

#endif
