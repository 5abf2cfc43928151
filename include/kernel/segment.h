/*
 * A segment: contiguous virtual memory that grows and shrinks at its end by pages.
 *
 * The kernel segment backs its pages with scattered frames; a host library may
 * back them with one large reservation. A heap needs no more than this.
 */
#ifndef KERNEL_SEGMENT_H
#define KERNEL_SEGMENT_H

#include <kernel/types.h>

#define SEGMENT_SIDE 48u

typedef struct segment segment_t;
struct segment {
    size_t base;        /* constant; a multiple of PAGE_SIZE */
    size_t length;      /* bytes mapped now; a multiple of PAGE_SIZE */
    size_t limit;       /* constant; the length it can never pass */
    void *side;         /* constant: the heap's notes, SEGMENT_SIDE bytes for each page mapped, in
                           order; zeroes when a page is mapped the first time, and after it
                           was given back as the heap left them, or zeroes. NULL: there are none */

    /*
     * Map page_count more pages at base + length, contents undefined.
     *
     * => 0, or -ENOMEM and nothing changed
     * => never allocates from a heap
     */
    int (*extend)(segment_t *segment, size_t page_count);

    /* Give the last page_count pages back. => page_count * PAGE_SIZE <= length */
    void (*shrink)(segment_t *segment, size_t page_count);
};

/* The segment of the kernel heap, at SEGMENT_BASE. Call init once paging is on. */
extern segment_t kernel_segment;
void segment_init(void);

/*
 * One page of the heap's somewhere in the kernel's part, over a new frame.
 *
 * => 0, or -ENOMEM and nothing changed; unmap gives the frame back
 */
int segment_map_page(size_t vaddr);
void segment_unmap_page(size_t vaddr);

#endif
