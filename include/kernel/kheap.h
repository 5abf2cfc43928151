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
 * In front of that are two caches, which the trees know nothing of:
 *
 * Slabs. A size of up to KHEAP_CELL_LARGEST that is asked for often gets superbuffers of
 * a page, cut into equal cells without registries; see kheap_slab.h. Most of what a
 * kernel allocates is a cell.
 *
 * Cached superbuffers. One that is freed stays what it is, but for a flag in its
 * registry, and the next request of exactly its length gets it, the last one first. No
 * link lies in it: the cache is a table in the heap. A kfree that finds the cache full
 * merges another one of a sufficient length, or else its own. A few are merged before the
 * segment grows, all of them and all slabs without a cell in use before a request fails,
 * by kheap_trim and by kheap_flush. Until then they part the gaps around them, and at the
 * end of the segment keep what is before it from being given back.
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
 *    answer is NULL. What is cached is looked at when it is merged, too
 * => in every build, a cached superbuffer whose registry or neighbours' are damaged is
 *    reported when it is merged, and stays; the call goes on without it. One that is
 *    handed out before that is reported when it is freed
 *
 * How much is looked at is the heap's level, KHEAP_BASIC unless kheap_tune says KHEAP_FULL.
 * A full heap has no cache. Its superbuffers are longer:
 *
 *  +--------+------+------+------+-----+----------------------+--------+
 *  |registry| size | site | freed| sum | buffer               | canary |
 *  +--------+------+------+------+-----+----------------------+--------+
 *           header: size as asked      ^ kmalloc returns      ^ the first byte after it
 *
 * `site` is the call that allocated it, `freed` the one that freed it, or 0. The sum
 * is over all that and the address, the length and the heap's secret; the canary is a
 * pattern of its address and the secret. What is freed is filled and goes to the
 * quarantine, in the place of the cache: first in, first out, of so many bytes and
 * superbuffers. It is looked at when it leaves, and again when it is handed out.
 *
 * Links are not encoded in a full heap: each is followed only after it was compared
 * with what it leads to (gaptree_holds, gaptree_fits, gaptree_takes). Whatever an
 * encoding would find, that finds as well, before anything is changed, and it says
 * which gap it was; and at the other levels links cost nothing.
 *
 * => krealloc always moves, unless there is no memory and the buffer is to shrink
 * => kmalloc_usable_size is the size as asked
 * => a buffer that was written beyond is reported by the call that meets it, and stays
 * => of what is damaged in the quarantine one buffer is reported in a call; what was
 *    written to after it was freed leaves the next time, what has a damaged registry or
 *    header never
 * => a damaged gap stays, and is reported; the call goes on without it
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

/* 1: what is freed is looked at, level basic; 0: it is trusted, level none. */
#ifndef KHEAP_LEVEL
#define KHEAP_LEVEL 1
#endif

/* Every length is a multiple of this, and a superbuffer at least one registry. */
#define KHEAP_GRANULE (KHEAP_NO_VOID ? sizeof(kernel_heap_gap_t) : KHEAP_ALIGN)

/* Superbuffers up to this length (buffers of 1 KiB) are cached, so many of each length. */
#define KHEAP_CACHED_LENGTH \
    ((KIB + sizeof(size_t) + KHEAP_GRANULE - 1) / KHEAP_GRANULE * KHEAP_GRANULE)
#define KHEAP_CACHED_COUNT  12u
#define KHEAP_CACHED_LONGER 32u         /* so many greater lengths at a time are cached, too */
#define KHEAP_CACHED_BYTES  (32 * KIB)  /* in all, if kheap_tune does not say otherwise */
#define KHEAP_CACHE_PART    4u          /* no superbuffer takes more than such a part of these */

/* A slab is a superbuffer of a page, its buffer at the page's start, cut into cells. */
#define KHEAP_CELL_LARGEST  1008u       /* bytes; cells are multiples of KHEAP_ALIGN */
#define KHEAP_CLASSES       (KHEAP_CELL_LARGEST / KHEAP_ALIGN)
#define KHEAP_SLAB_CELLS    (PAGE_SIZE / KHEAP_ALIGN)
#define KHEAP_WORD_BITS     (sizeof(size_t) * 8)

/* So many superbuffers are in quarantine at most; in bytes, if kheap_tune says nothing else. */
#define KHEAP_QUARANTINE_COUNT 1024u
#define KHEAP_QUARANTINE_BYTES (256 * KIB)

/* No buffer can be larger; the segment may end it earlier. */
#define KHEAP_LARGEST (((size_t)1 << KHEAP_LENGTH_BITS) - 2 * PAGE_SIZE)

typedef struct kernel_superbuffer {
    size_t word;            /* see above */
} kernel_superbuffer_t;

/* The superbuffers of one length that are cached; the last one was freed last. */
typedef struct kheap_cached {
    size_t length;          /* (c) in the first part of the table */
    size_t taken;           /* there: all superbuffers of this length, in use or cached */
    size_t contested;       /* behind it: another length wanted the place since one was cached */
    size_t count;
    size_t block[KHEAP_CACHED_COUNT];
} kheap_cached_t;

/* By length / KHEAP_GRANULE; behind these the greater lengths, by a hash. */
#define KHEAP_CACHED_SHORT  (KHEAP_CACHED_LENGTH / KHEAP_GRANULE + 1)

typedef struct kheap_cache {
    size_t most_count;      /* of one length */
    size_t most_bytes;      /* in all, registries included */
    size_t turn;            /* index of what is merged next */
    kheap_cached_t of[KHEAP_CACHED_SHORT + KHEAP_CACHED_LONGER];
} kheap_cache_t;

typedef enum kheap_level {
    KHEAP_NONE,         /* a build's choice, not a heap's */
    KHEAP_BASIC,        /* double frees, foreign pointers, damaged registries */
    KHEAP_FULL,         /* see above */
} kheap_level_t;

/* What was written to while it was free: a byte, a gap's registry, or a link to one. */
typedef enum kheap_damage {
    KHEAP_BYTE,
    KHEAP_GAP,
    KHEAP_LINK,
} kheap_damage_t;

/* What a full heap has besides: what was freed, the first one first, in a ring. */
typedef struct kheap_full {
    size_t secret;
    size_t most_count;
    size_t most_bytes;      /* registries, headers and canaries included */
    size_t first;           /* the next one to leave */
    size_t count;
    size_t block[KHEAP_QUARANTINE_COUNT];
    size_t caller;          /* the site of the call that is under way */
    kheap_damage_t damage;  /* what kheap.overwritten is, if it is in no quarantine */
    unsigned char found;    /* if it is a byte: what it was when it was handed out */
} kheap_full_t;

/*
 * What the heap notes of a page that is a slab, at the page's place in segment->side.
 * All zeroes: the page is none.
 */
typedef struct kheap_slab {
    size_t used[KHEAP_SLAB_CELLS / KHEAP_WORD_BITS];    /* a bit for each cell: it is in use */
    uint32_t next;              /* in the list of its class: page numbers; 0: none */
    uint32_t previous;
    uint32_t reciprocal;        /* of its class; see kheap_slab.h */
    uint16_t cell_size;         /* 0: no slab */
    bool open;                  /* it is in the list */
    bool first;                 /* and there the first */
} __attribute__((aligned(16))) kheap_slab_t;

static_assert(sizeof(kheap_slab_t) == SEGMENT_SIDE, "what a segment has for a page");

/* The slabs of one size of cells. */
typedef struct kheap_class {
    size_t free;                /* cells of one word of the first slab's map that are not in
                                   use: a bit each. Others of this word may be free, too */
    size_t start;               /* where the cell of bit 0 is */
    size_t *used;               /* the word */
    size_t last_word;           /* the cells that the last word of a map has */
    uint32_t first;             /* page numbers of those that may have room: the first is the */
    uint32_t last;              /* one that cells are taken from; 0: none */
    uint32_t slabs;             /* how many */
    uint16_t cells;             /* of a slab; 0: there are no slabs of this size */
    uint16_t words;             /* of a map, that have cells */
    uint32_t reciprocal;
    uint16_t patience;          /* so many buffers more before it may have a slab early */
    bool early;                 /* it has, or had, one */
} __attribute__((aligned(16))) kheap_class_t;

/*
 * Guards: (c) constant after kheap_init  (h) heap->lock
 *
 * taken + void_bytes + bytes of all gaps = end - start
 */
typedef struct kheap {
    splock_t lock;
    size_t base;                /* (c) segment->base */
    size_t slab_span;           /* (h) the segment's length; 0 if it has no notes */
    kheap_slab_t *slab;         /* (c) segment->side; what it points at: (h) */
    segment_t *segment;         /* (c) what it points at: (h) */
    size_t start;               /* (c) the first superbuffer, gap or void */
    size_t end;                 /* (h) the superbuffer of length 0 */
    kernel_heap_gap_t *tail;    /* (h) the gap before `end`, or NULL */
    size_t trim_above;          /* (h) a longer tail is given back */
    size_t taken;               /* (h) bytes of superbuffers: in use, cached, slabs */
    size_t superbuffers;        /* (h) how many */
    size_t cached;              /* (h) bytes of those that are cached */
    size_t slabs;               /* (h) how many are slabs */
    size_t cells;               /* (h) in use, or at hand in a class */
    size_t cell_bytes;          /* (h) the bytes of these */
    size_t most_slabs;          /* (h) never more */
    size_t early_classes;       /* (h) how many have had a slab early */
    size_t voids;               /* (h) how many */
    size_t void_bytes;          /* (h) */
    size_t peak_taken;          /* (h) */
    size_t peak_segment;        /* (h) */
    size_t misuses;             /* (h) reported so far */
    gaptree_t tree;             /* (h) every gap but the tail */
    size_t overwritten;         /* (h) what a call found written to while it was free, until it
                                   reports that; 0: nothing */
    size_t overwritten_cached;  /* (h) the buffer, if that was a cached one or its registry, or
                                   a cell of a slab that was merged */
    kheap_class_t class[KHEAP_CLASSES + 1];     /* (h) by the size of a cell / KHEAP_ALIGN */
    kheap_cache_t cache;        /* (h) */
    struct kheap_guard *guard;  /* (c) once set: see kheap_guard.h; NULL: no guard mode */
    kheap_level_t level;        /* (h) changes only while nothing is in use */
    kheap_full_t full;          /* (h) */
    bool detour;                /* (h) guard or level: no cell is at hand, each call is to ask */
} kheap_t;

/* What a heap knows about itself. Bytes, unless the name says otherwise. */
typedef struct kheap_stat {
    size_t segment;             /* mapped now */
    size_t used;                /* in cells, and superbuffers with their registries, in use */
    size_t cached;              /* in cached superbuffers, theirs included */
    size_t slab_free;           /* in slabs, and in no cell in use */
    size_t free;                /* in gaps */
    size_t largest_gap;         /* the segment can grow beyond it */
    size_t tail;                /* the gap that ends the segment; can be given back */
    size_t void_bytes;
    size_t buffer_count;        /* in use: superbuffers and cells */
    size_t cell_count;          /* of these, cells */
    size_t slab_count;
    size_t cached_count;
    size_t gap_count;
    size_t void_count;
    size_t internal;            /* taken, and in no buffer: registries, cached, slab_free */
    size_t external;            /* thousandths of `free` that are not in the largest gap,
                                   rounded up */
    size_t peak_taken;          /* the most that was used, cached and in slabs at once */
    size_t peak_segment;
    size_t misuse_count;
    size_t last_visited_count;  /* gaps looked at by the last allocating or freeing call that
                                   was not answered with a cell, or from the cache, at once:
                                   these look at none, and leave it as it is */
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
 * => reported and ignored: not a buffer of this heap, freed already, or its registry was
 *    overwritten. If it is merged at once, the words around it as well: the registry
 *    behind it, and (debug builds) the links of a gap next to it
 * => caches the superbuffer, or merges it; may then give pages back to the segment
 * => O(1), but for tries that a gap of 1 KiB and more enters or leaves
 */
void kheap_free(kheap_t *heap, void *buffer);

/*
 * Change a buffer's size, keeping its contents up to the smaller of both sizes.
 *
 * => in place where what is free behind allows, cached superbuffers included; otherwise
 *    the buffer moves. A cell stays while more than half of it is used
 * => NULL: no memory, or `buffer` is none; the old buffer is as it was. What was
 *    cached may have been merged
 * => buffer NULL: kheap_alloc(size). size 0: shrinks, as kheap_alloc(0); never frees
 */
void *kheap_realloc(kheap_t *heap, void *buffer, size_t size);

/* How many bytes a buffer has for use, at least what was asked. => 0 for NULL or misuse */
size_t kheap_usable_size(kheap_t *heap, void *buffer);

/*
 * Merge all that is cached, and every slab without a cell in use, into the trees.
 *
 * => returns the bytes merged; what is damaged stays, and is reported
 * => O(cached superbuffers): at most KHEAP_CACHED_COUNT for each length
 */
size_t kheap_flush(kheap_t *heap);

typedef enum kheap_tunable {
    KHEAP_TUNE_CACHE_BYTES,     /* so many bytes are cached at most */
    KHEAP_TUNE_CACHE_COUNT,     /* so many superbuffers of each length; 0: nothing is cached */
    KHEAP_TUNE_SLABS,           /* so many slabs at most; those that there are stay */
    KHEAP_TUNE_LEVEL,           /* KHEAP_BASIC or KHEAP_FULL */
    KHEAP_TUNE_SECRET,          /* of a full heap: any number, best one that nobody knows */
    KHEAP_TUNE_QUARANTINE_BYTES,    /* of a full heap: so many bytes are kept from reuse */
    KHEAP_TUNE_QUARANTINE_COUNT,    /* and so many superbuffers */
} kheap_tunable_t;

/*
 * Change what a heap does. What is cached is merged first, as by kheap_flush.
 *
 * => 0; else nothing changed: -EINVAL: no such tunable, or no such value, which is more
 *    than KHEAP_CACHED_COUNT or KHEAP_QUARANTINE_COUNT for a count;
 *    -EBUSY: level and secret, and there is a buffer in use
 */
int kheap_tune(kheap_t *heap, kheap_tunable_t tunable, size_t value);

/*
 * Flush the cache and give whole pages of the tail back to the segment, all but about
 * `keep` bytes.
 *
 * => returns the bytes given back
 * => an empty heap with keep 0 gives back everything
 */
size_t kheap_trim(kheap_t *heap, size_t keep);

/* O(1), cached ones counted by length, but for the largest gap: the depth of one trie. */
void kheap_stat(kheap_t *heap, kheap_stat_t *stat);

/*
 * Verify the whole heap: tiles, tags, check bits, both trees, the cache, all figures.
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

/* Buffers in use of a full heap that one call allocated. Differences may be negative. */
typedef struct kheap_site {
    size_t site;            /* the address the call returned to; 0: all that had no row */
    ptrdiff_t count;
    ptrdiff_t bytes;        /* as asked */
} kheap_site_t;

/*
 * The buffers in use by the site that allocated them, the most bytes first, less
 * those of an earlier answer.
 *
 * => rows: room for `most` of them, at least one; what finds no row is in a last one
 *    of site 0. Sites of which nothing is left over have no row
 * => before: the rows of that answer, before_count; NULL: none. It may not be `rows`
 * => how many rows it made; -EINVAL: not a full heap; -EFAULT: it is damaged
 * => allocates nothing; O(superbuffers * rows)
 */
int kheap_leaks(kheap_t *heap, kheap_site_t *rows, size_t most, const kheap_site_t *before,
                size_t before_count);

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
