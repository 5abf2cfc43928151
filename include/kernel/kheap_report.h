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

/*
 * Find the superbuffer, gap or void that holds an address within the segment.
 *
 * => before: the one before it; 0: it is the first
 * => 0: the registry of `before` is damaged, and with it the way to the address
 */
size_t kheap_report_find(const kheap_t *heap, size_t address, size_t *before);

/* Its buffer, and how many bytes that has, if it is a superbuffer. */
size_t kheap_report_buffer(const kheap_t *heap, size_t block, size_t *size);

/*
 * Add lines: the call that is under way, if the heap knows, what holds the address,
 * and both neighbours, each with what is wrong with it.
 */
void kheap_report_place(kheap_report_t *report, const kheap_t *heap, size_t address);

#endif
