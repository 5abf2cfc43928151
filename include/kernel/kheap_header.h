/*
 * What a superbuffer of a heap at level full has besides its registry, and how it is
 * looked at. For the heap's own files; see kheap.h for the picture.
 *
 * => heap->lock is held in all of it
 */
#ifndef KERNEL_KHEAP_HEADER_H
#define KERNEL_KHEAP_HEADER_H

#include <kernel/kheap_space.h>

typedef struct kheap_full_header {
    size_t size;        /* as asked */
    size_t site;        /* that allocated it */
    size_t freed;       /* that freed it; 0: it is in use */
    size_t sum;         /* of all that and more: kheap_header_sum */
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

/* The length of a superbuffer for so many bytes. => at most KHEAP_LARGEST */
size_t kheap_header_length_for(size_t size);

/* Make a superbuffer one with a buffer of `size` bytes: header and canary. */
void kheap_header_set(const kheap_t *heap, size_t block, size_t size, size_t site);

/* Make it one that is free, all of its buffer FILL_FREED. => site: 0 if it is unknown */
void kheap_header_set_freed(const kheap_t *heap, size_t block, size_t site);

/* Fill it again, as kheap_header_set_freed did. */
void kheap_header_fill(const kheap_t *heap, size_t block);

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
kheap_fault_t kheap_header_fault(const kheap_t *heap, size_t block, size_t cached);

/*
 * The length that a superbuffer has by its header, if that is sound: as in its
 * registry or, where that is damaged, as for the size.
 *
 * => block: before the end of the segment. 0: the header tells nothing
 */
size_t kheap_header_length(const kheap_t *heap, size_t block);

/* What the sum of a header should be. => one other bit in any one word is another sum */
size_t kheap_header_sum(const kheap_t *heap, size_t block, size_t length,
                       const kheap_full_header_t *header);

#define WORD       sizeof(size_t)
#define FREED_WORD (SIZE_MAX / 255 * FILL_FREED)

/* The first byte that is not FILL_FREED; `end`, or more if `at` is: all are */
static inline size_t after_fill(size_t at, size_t end)
{
    while (at < end && at % WORD != 0 && *(unsigned char *)at == FILL_FREED)
        at++;
    while (at % WORD == 0 && at + WORD <= end && *(size_t *)at == FREED_WORD)
        at += WORD;
    while (at < end && *(unsigned char *)at == FILL_FREED)
        at++;
    return at;
}

/* Can this gap or void, whose length is sound, be taken out of its tree? */
static inline bool links_hold(const kheap_t *heap, size_t block)
{
    kernel_heap_gap_t *gap = (kernel_heap_gap_t *)block;

    if ((gap->length & BLOCK_VOID) != 0)
        return gap->length - BLOCK_VOID < SMALLEST;
    return gap == heap->tail || gaptree_holds(&heap->tree, heap->end, gap);
}

/* The first byte of a gap or void that was written to after it was freed. => 0: none */
size_t kheap_full_gap_byte(const kheap_t *heap, size_t block);

/* Merge all that is in quarantine. => as kheap_merge_cached */
size_t kheap_full_merge(kheap_t *heap);

/* Is this superbuffer in quarantine? => at most KHEAP_QUARANTINE_COUNT */
bool kheap_full_holds(const kheap_t *heap, size_t block);

/* kheap_tune, for what a full heap has. => 0, -EINVAL or -EBUSY */
int kheap_full_tune(kheap_t *heap, kheap_tunable_t tunable, size_t value);

#endif
