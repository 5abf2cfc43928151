/*
 * The kernel heap: buffers of any length out of a segment that grows.
 *
 *   superbuffer               void    gap                         tail
 *  +--------+-----------------+----+ +------------------+---+---+ - - - - - +--+
 *  |registry| buffer          |    | | gap registry     |   |len|           |S |
 *  +--------+-----------------+----+ +------------------+---+---+ - - - - - +--+
 *           ^ kmalloc returns  < one gap registry         end of the segment ^
 *
 * A superbuffer is a registry of one word (length, flags, check bits; drawn in
 * superbuffer.h) and the buffer behind it. A gap or void repeats its length in its
 * last word, and the superbuffer behind has a flag that says so: kfree finds both
 * neighbours without a search.
 *
 * Superbuffers, gaps and voids tile the segment between its first registry and a
 * superbuffer of length 0 in its last word. Two gaps never touch, nor does a void
 * touch a gap or a void: what is freed is merged with both neighbours.
 *
 * Placement is best fit, the lower part of the gap; the tail (the gap that ends
 * the segment) only when no other gap fits. See gaptree.h for the trees.
 *
 * With KHEAP_NO_VOID (the default) lengths are multiples of the gap registry's
 * size and every remainder can be a gap. With KHEAP_NO_VOID=0 they are multiples
 * of 16, and a remainder too small for a gap becomes a void: lost until the
 * superbuffer before or behind it is freed or reallocated.
 *
 * => one heap is one kheap_t over one segment_t; there is no other state
 * => locks: each call takes heap->lock, and calls the segment with it held
 * => no call panics for want of memory, nor for misuse: that goes to
 *    host_misuse(), with the lock free again, and changes nothing
 * => debug builds also look for writes to memory after it was freed. Where a buffer
 *    is to be, the first such byte is reported, its address and its offset in the
 *    buffer, and the buffer is handed out all the same: it is whole. Where the links
 *    of the gap to be used are damaged, that is reported, the gap stays, and the
 *    answer is NULL
 */
#ifndef KERNEL_KHEAP_H
#define KERNEL_KHEAP_H

#include <kernel/gaptree.h>
#include <kernel/segment.h>
#include <kernel/splock.h>
#include <kernel/types.h>

#ifndef KHEAP_NO_VOID
#define KHEAP_NO_VOID 1
#endif

/* Every length is a multiple of this, and a superbuffer at least one registry. */
#define KHEAP_GRANULE (KHEAP_NO_VOID ? sizeof(kernel_heap_gap_t) : KHEAP_ALIGN)

/* No buffer can be larger; the segment may end it earlier. */
#define KHEAP_LARGEST (((size_t)1 << KHEAP_LENGTH_BITS) - 2 * PAGE_SIZE)

typedef struct kernel_superbuffer {
    size_t word;            /* see above */
} kernel_superbuffer_t;

/*
 * Guards: (c) constant after kheap_init  (h) heap->lock
 *
 * used + void_bytes + bytes of all gaps = end - start
 */
typedef struct kheap {
    splock_t lock;
    segment_t *segment;         /* (c) what it points at: (h) */
    size_t start;               /* (c) the first superbuffer, gap or void */
    size_t end;                 /* (h) the superbuffer of length 0 */
    kernel_heap_gap_t *tail;    /* (h) the gap before `end`, or NULL */
    size_t trim_above;          /* (h) a longer tail is given back */
    size_t used;                /* (h) bytes of superbuffers, registries included */
    size_t superbuffers;        /* (h) how many */
    size_t voids;               /* (h) how many */
    size_t void_bytes;          /* (h) */
    size_t peak_used;           /* (h) */
    size_t peak_segment;        /* (h) */
    size_t misuses;             /* (h) reported so far */
    gaptree_t tree;             /* (h) every gap but the tail */
    size_t overwritten;         /* (h) debug builds: what a call found written to while it was
                                   free, until it reports that; 0: nothing */
} kheap_t;

/* What a heap knows about itself. Bytes, unless the name says otherwise. */
typedef struct kheap_stat {
    size_t segment;             /* mapped now */
    size_t used;                /* in superbuffers, their registries included */
    size_t free;                /* in gaps */
    size_t largest_gap;         /* the segment can grow beyond it */
    size_t tail;                /* the gap that ends the segment; can be given back */
    size_t void_bytes;
    size_t superbuffer_count;
    size_t gap_count;
    size_t void_count;
    size_t peak_used;
    size_t peak_segment;
    size_t misuse_count;
    size_t last_visited_count;  /* gaps that the last allocating or freeing call looked at */
    size_t most_visited_count;  /* the most that any did */
} kheap_stat_t;

/*
 * Make a heap over all of a segment.
 *
 * => pages that are mapped already become a gap; none need be: it grows on demand
 * => the segment is the heap's alone from now on
 */
void kheap_init(kheap_t *heap, segment_t *segment);

/*
 * A buffer of at least `size` bytes, or NULL when there is no memory.
 *
 * => aligned to KHEAP_ALIGN, contents undefined (0xCC in debug builds)
 * => size 0: a buffer of the smallest size, its address unique, to be freed
 */
void *kheap_alloc(kheap_t *heap, size_t size);

/* The same for `count` elements, cleared. => NULL if count * size overflows */
void *kheap_calloc(kheap_t *heap, size_t count, size_t size);

/*
 * The same, aligned to `align`.
 *
 * => NULL if align is not a power of two; below KHEAP_ALIGN it means KHEAP_ALIGN
 */
void *kheap_memalign(kheap_t *heap, size_t align, size_t size);

/*
 * Free a buffer; NULL does nothing.
 *
 * => reported and ignored: not a buffer of this heap, freed already, or its
 *    registry or the one behind it was overwritten, or (debug builds) the links of
 *    a gap next to it
 * => may give pages back to the segment
 */
void kheap_free(kheap_t *heap, void *buffer);

/*
 * Change a buffer's size, keeping its contents up to the smaller of both sizes.
 *
 * => in place where the gap behind allows, otherwise the buffer moves
 * => NULL: no memory, or `buffer` is none; the old buffer is as it was
 * => buffer NULL: kheap_alloc(size). size 0: shrinks, as kheap_alloc(0); never frees
 */
void *kheap_realloc(kheap_t *heap, void *buffer, size_t size);

/* How many bytes a buffer has for use, at least what was asked. => 0 for NULL or misuse */
size_t kheap_usable_size(kheap_t *heap, void *buffer);

/*
 * Give whole pages of the tail back to the segment, all but about `keep` bytes.
 *
 * => returns the bytes given back
 * => an empty heap with keep 0 gives back everything
 */
size_t kheap_trim(kheap_t *heap, size_t keep);

/* O(1), but for the largest gap: the depth of one trie. */
void kheap_stat(kheap_t *heap, kheap_stat_t *stat);

/*
 * Verify the whole heap: tiles, tags, check bits, both trees, all figures.
 *
 * => NULL, or a sentence; O(superbuffers + gaps)
 * => follows no word or link out of the segment: damage to what lies in it, of any
 *    kind, is a sentence and not a fault
 */
const char *kheap_check(kheap_t *heap);

/*
 * Print superbuffers, gaps and voids in the order of addresses, and the shape of
 * both trees, to the log.
 *
 * => at most `lines` lines of the first; the rest is summed up
 */
void kheap_log(kheap_t *heap, size_t lines);

/* The kernel's heap, over kernel_segment, and the names the kernel calls it by. */
extern kheap_t kernel_heap;

void *kmalloc(size_t size);
void *kcalloc(size_t count, size_t size);
void *kmemalign(size_t align, size_t size);
void *krealloc(void *buffer, size_t size);
void kfree(void *buffer);
size_t kmalloc_usable_size(void *buffer);

/* kheap_log of the kernel's heap, 64 lines. */
void log_heap_structure(void);

#endif
