/*
 * What the heap says about the place where it found something wrong. For the heap's
 * own files.
 */
#ifndef KERNEL_KHEAP_REPORT_H
#define KERNEL_KHEAP_REPORT_H

#include <kernel/kheap_header.h>

#define REPORT_SIZE 1280    /* a sentence and four lines, a symbol or two in each */

/* Text that is added to; what does not fit is cut. */
typedef struct kheap_report {
    char text[REPORT_SIZE];
    size_t used;
} kheap_report_t;

void kheap_report_add(kheap_report_t *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A superbuffer, gap or void, and what is said of it. */
typedef struct kheap_place {
    size_t before;      /* the one before it; 0: it is the first */
    size_t block;
    size_t length;      /* 0: its registry is damaged */
    bool free;          /* a gap or a void */
    bool freed;         /* a superbuffer in the cache, or in quarantine */
    bool slab;          /* a superbuffer that is a slab */
    size_t buffer;      /* of a superbuffer */
    size_t size;        /* of the buffer: as asked, if that is known */
} kheap_place_t;

/*
 * The one that holds an address within the segment, or the first one before it with a
 * registry that is damaged: the way ends there.
 */
kheap_place_t kheap_report_find(const kheap_t *heap, size_t address);

/*
 * Add lines: the call that is under way, if the heap knows, what holds the address,
 * and both neighbours, each with what is wrong with it.
 */
void kheap_report_place(kheap_report_t *report, const kheap_t *heap, size_t address);

#endif
