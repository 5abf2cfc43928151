/*
 * What a superbuffer of a heap at level full has besides its registry, and how it is
 * looked at. For the heap's own files; see kheap.h for the picture.
 *
 * => heap->lock is held in all of it
 */
#ifndef KERNEL_KHEAP_HEADER_H
#define KERNEL_KHEAP_HEADER_H

#include <kernel/superbuffer.h>

typedef struct kheap_full_header {
    size_t size;        /* as asked */
    size_t site;        /* that allocated it */
    size_t freed;       /* that freed it; 0: it is in use */
    size_t sum;         /* of all that and more: kheap_full_sum */
} kheap_full_header_t;

/* From the end of the registry to the buffer; what the header leaves of it is canary. */
#define FULL_BEFORE align_up(sizeof(kheap_full_header_t), KHEAP_GRANULE)

static_assert(sizeof(kheap_full_header_t) % KHEAP_ALIGN == 0, "buffers stay aligned");

static inline size_t full_buffer(size_t block)
{
    return block + REGISTRY + FULL_BEFORE;
}

static inline kheap_full_header_t *full_header(size_t block)
{
    return (kheap_full_header_t *)full_buffer(block) - 1;
}

/* What is wrong with a superbuffer of a full heap. */
typedef struct kheap_fault {
    const char *what;       /* NULL: nothing */
    size_t at;              /* the byte, if one is known; else 0 */
    unsigned char was;      /* what should be there */
} kheap_fault_t;

/*
 * Look at all of a superbuffer, and at what merging it will follow.
 *
 * => cached: BLOCK_CACHED if it is to be in quarantine, 0 if it is to be in use
 * => block: any address: nothing is read that is not in the segment
 */
kheap_fault_t kheap_full_fault(const kheap_t *heap, size_t block, size_t cached);

/*
 * The length that a superbuffer has by its header, if that is sound: as in its
 * registry or, where that is damaged, as for the size.
 *
 * => block: before the end of the segment. 0: the header tells nothing
 */
size_t kheap_full_length(const kheap_t *heap, size_t block);

/* What the sum of a header should be. => one other bit in any one word is another sum */
size_t kheap_full_sum(const kheap_t *heap, size_t block, size_t length,
                      const kheap_full_header_t *header);

/* The first byte of a gap or void that was written to after it was freed. => 0: none */
size_t kheap_full_gap_byte(const kheap_t *heap, size_t block);

/* Merge all that is in quarantine. => as kheap_merge_cached */
size_t kheap_full_merge(kheap_t *heap);

/* Is this superbuffer in quarantine? => at most KHEAP_QUARANTINE_COUNT */
bool kheap_full_holds(const kheap_t *heap, size_t block);

/* Fill what is in quarantine at this buffer again: its report was made. */
void kheap_full_mend(const kheap_t *heap, size_t buffer);

/* kheap_tune, for what a full heap has. => 0, -EINVAL or -EBUSY */
int kheap_full_tune(kheap_t *heap, kheap_tunable_t tunable, size_t value);

#endif
