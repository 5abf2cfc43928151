/*
 * A catalogue of memory bugs: each is done to a heap of its own in a process of its
 * own, at each level that the build has, and where it was caught is compared with
 * what the catalogue says. Included once by each test_kheap_bugs*.c.
 *
 * The scene: four buffers of 100 bytes, one behind the other.
 *
 *      | left | b | right | wall | tail ...
 *
 * A cell of the table is the call that reported the bug first; kheap_flush and
 * kheap_check come after all that the bug itself does. `no`: nothing reported it;
 * `in part`: some of its variants were; `crash`: the program died, or hung; `or`:
 * one or the other.
 */
#ifndef KHEAP_BUGS_H
#define KHEAP_BUGS_H

#include <kernel/kheap_full.h>
#include <kernel/kheap_header.h>
#include <kernel/printk.h>
#include <host_test.h>
#include "fake_segment.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT  (4u * MIB)
#define SIZE   100u
#define LARGE  2100u        /* its gap is in a trie */
#define HUGE   9000u        /* in both */
#define BYTES  256u         /* variants: one for each value of a byte */
#define NAMES  4u

typedef struct bug {
    const char *name;
    void (*go)(size_t variant);
    size_t variants;
    const char *caught[KHEAP_FULL + 1];     /* by level; NULL: this build does not tell */
    const char *says;                       /* the report of a full heap has these words */
} bug_t;

/* What the process with the bug tells. */
typedef struct outcome {
    size_t done;            /* variants so far */
    size_t missed;
    size_t names;
    char name[NAMES][32];   /* of the calls that caught one */
    char says[2048];        /* the first report, or sentence of kheap_check */
} outcome_t;

/* In a build for coverage: what a process reached counts. */
extern void __gcov_exit(void) __attribute__((weak));

static fake_segment_t memory;
static kheap_t bugged;
static char *left;
static char *b;
static char *right;
static char *wall;
static char first_report[2048];
static size_t reports_before;       /* what other variants did */

/* --- Calls, and who reported first --- */

static void listen(void)
{
    if (host_misuse_count() != reports_before && first_report[0] == '\0')
        format_text(first_report, sizeof(first_report), "%s", host_misuse_last());
}

static char *get(size_t size)
{
    char *buffer = kheap_alloc(&bugged, size);

    listen();
    return buffer;
}

static void drop(void *buffer)
{
    kheap_free(&bugged, buffer);
    listen();
}

static char *resize(void *buffer, size_t size)
{
    char *moved = kheap_realloc(&bugged, buffer, size);

    listen();
    return moved;
}

static void flush(void)
{
    kheap_flush(&bugged);
    listen();
}

static void scene(void)
{
    left = get(SIZE);
    b = get(SIZE);
    right = get(SIZE);
    wall = get(SIZE);
}

/* => a gap for `size` bytes between b and the wall */
static char *gap_behind(size_t size)
{
    left = get(SIZE);
    b = get(SIZE);
    right = get(size);
    wall = get(SIZE);
    drop(right);
    flush();
    return right;
}

/* Where b's superbuffer begins, and the next one. */
static char *registry(char *buffer)
{
    return buffer - REGISTRY - (bugged.level == KHEAP_FULL ? FULL_BEFORE : 0);
}

static size_t usable(char *buffer)
{
    return kheap_usable_size(&bugged, buffer);
}

/* --- Overflows --- */

static void overflow_slack(size_t variant)
{
    (void)variant;
    scene();
    b[SIZE] = 'x';
    drop(b);
}

static void overflow_nul(size_t variant)
{
    (void)variant;
    scene();
    b[SIZE] = '\0';
    drop(b);
}

static void overflow_any(size_t variant)
{
    scene();
    b[SIZE] = (char)(b[SIZE] ^ (variant + 1));
    drop(b);
}

static void overflow_usable(size_t variant)
{
    (void)variant;
    scene();
    b[usable(b)] = 'x';
    drop(b);
}

static void overflow_word(size_t variant)
{
    (void)variant;
    scene();
    memset(b + usable(b), 'x', sizeof(size_t));
    drop(b);
}

static void overflow_sixteen(size_t variant)
{
    (void)variant;
    scene();
    memset(b + usable(b), 0, 16);
    drop(b);
}

static void overflow_neighbour(size_t variant)
{
    (void)variant;
    scene();
    memset(b, 'x', (size_t)(wall - b));
    drop(b);
}

static void overflow_into_gap(size_t variant)
{
    (void)variant;
    gap_behind(SIZE);
    memset(b, 'x', (size_t)(right - b) + 4);
    drop(b);
}

static void overflow_into_tail(size_t variant)
{
    (void)variant;
    scene();
    memset(wall, 'x', usable(wall) + 16);
    drop(wall);
}

static void overflow_skipping(size_t variant)
{
    (void)variant;
    scene();
    right[10] = 'x';        /* as b[...] */
    drop(b);
    drop(right);
}

static void overflow_of_nothing(size_t variant)
{
    (void)variant;
    scene();
    b = get(0);
    b[0] = 'x';
    drop(b);
}

static void overflow_cleared(size_t variant)
{
    (void)variant;
    scene();
    b = kheap_calloc(&bugged, 10, 10);
    b[SIZE] = 1;
    drop(b);
}

static void overflow_aligned(size_t variant)
{
    (void)variant;
    scene();
    b = kheap_memalign(&bugged, PAGE_SIZE, SIZE);
    b[SIZE] = 1;
    drop(b);
}

static void overflow_grown(size_t variant)
{
    (void)variant;
    scene();
    b = resize(b, 2 * SIZE);
    b[2 * SIZE] = 1;
    drop(b);
}

static void overflow_shrunk(size_t variant)
{
    (void)variant;
    scene();
    b = resize(b, SIZE / 2);
    b[SIZE / 2] = 1;        /* it had that byte once */
    drop(b);
}

static void overflow_before_realloc(size_t variant)
{
    (void)variant;
    scene();
    b[SIZE] = 1;
    resize(b, 2 * SIZE);
}

static void overflow_never_freed(size_t variant)
{
    (void)variant;
    scene();
    b[SIZE] = 1;
}

static void overflow_far(size_t variant)
{
    (void)variant;
    scene();
    b = get(HUGE);
    b[HUGE] = 1;
    drop(b);
}

/* --- Underflows --- */

static void underflow(size_t count)
{
    scene();
    memset(b - count, 'x', count);
    drop(b);
}

static void underflow_one(size_t variant)
{
    (void)variant;
    underflow(1);
}

static void underflow_word(size_t variant)
{
    (void)variant;
    underflow(sizeof(size_t));
}

static void underflow_sixteen(size_t variant)
{
    (void)variant;
    underflow(16);
}

static void underflow_far(size_t variant)
{
    (void)variant;
    underflow((size_t)(b - left) / 2 + SIZE / 2);
}

static void underflow_aligned(size_t variant)
{
    (void)variant;
    scene();
    b = kheap_memalign(&bugged, PAGE_SIZE, SIZE);
    b[-1] = 'x';
    drop(b);
}

static void underflow_skipping(size_t variant)
{
    (void)variant;
    scene();
    registry(b)[-1] ^= 0x55;        /* the last byte of what is left's */
    drop(b);
    drop(left);
}

/* --- Frees --- */

static void free_twice(size_t variant)
{
    (void)variant;
    scene();
    drop(b);
    drop(b);
}

static void free_twice_later(size_t variant)
{
    (void)variant;
    scene();
    drop(b);
    drop(left);
    drop(right);
    drop(b);
}

static void free_twice_merged(size_t variant)
{
    (void)variant;
    scene();
    drop(b);
    drop(left);
    flush();
    drop(b);
}

static void free_twice_reused(size_t variant)
{
    (void)variant;
    scene();
    drop(b);
    get(SIZE);
    drop(b);
}

static void free_inside(size_t variant)
{
    scene();
    drop(b + 16 * (variant + 1));
}

static void free_unaligned(size_t variant)
{
    scene();
    drop(b + variant + 1);
}

static void free_in_front(size_t variant)
{
    (void)variant;
    scene();
    drop(b - 16);
}

static void free_faked(size_t variant)
{
    (void)variant;
    scene();
    size_t block = (size_t)b + 32 - REGISTRY;
    size_t length = (size_t)registry(right) - block;
    *(size_t *)block = superbuffer_word(block, length);
    drop((char *)block + REGISTRY);
}

static void free_stack(size_t variant)
{
    size_t words[8] __attribute__((aligned(16))) = { 0 };

    (void)variant;
    scene();
    drop(words + 2);
}

static void free_constant(size_t variant)
{
    (void)variant;
    scene();
    drop((void *)"a constant");
}

static void free_small_number(size_t variant)
{
    scene();
    drop((void *)(16 * (variant + 1)));
}

static void free_large_number(size_t variant)
{
    scene();
    drop((void *)(SIZE_MAX - 16 * variant - 15));
}

static void free_behind(size_t variant)
{
    scene();
    drop((void *)(bugged.end + REGISTRY + 16 * variant));
}

static void free_in_tail(size_t variant)
{
    scene();
    drop(wall + 256 + 16 * variant);
}

static void free_of_another(size_t variant)
{
    static kheap_t other;
    static fake_segment_t others;

    (void)variant;
    scene();
    kheap_init(&other, fake_segment_init(&others, LIMIT));
    drop(kheap_alloc(&other, SIZE));
}

static void free_after_realloc(size_t variant)
{
    (void)variant;
    scene();
    resize(b, HUGE);
    drop(b);
}

static void realloc_freed(size_t variant)
{
    (void)variant;
    scene();
    drop(b);
    resize(b, 2 * SIZE);
}

static void realloc_inside(size_t variant)
{
    (void)variant;
    scene();
    resize(b + 32, 2 * SIZE);
}

static void usable_of_freed(size_t variant)
{
    (void)variant;
    scene();
    drop(b);
    usable(b);
    listen();
}

/* --- Writes after the free --- */

static void write_freed(size_t at, char value)
{
    scene();
    drop(b);
    b[at] = value;
}

static void write_first(size_t variant)
{
    (void)variant;
    write_freed(0, 'x');
}

static void write_middle(size_t variant)
{
    (void)variant;
    write_freed(SIZE / 2, 0);
}

static void write_last(size_t variant)
{
    (void)variant;
    write_freed(SIZE - 1, 'x');
}

static void write_beyond(size_t variant)
{
    (void)variant;
    write_freed(SIZE, 'x');
}

static void write_large(size_t variant)
{
    (void)variant;
    scene();
    b = get(HUGE);
    drop(b);
    b[HUGE / 2] = 'x';
}

static void write_after_realloc(size_t variant)
{
    (void)variant;
    scene();
    resize(b, HUGE);
    b[10] = 'x';
}

static void write_reused(size_t variant)
{
    (void)variant;
    scene();
    drop(b);
    char *other = get(SIZE);
    memset(other, 0, SIZE);
    b[10] = 'x';            /* as b, not as its new owner */
    drop(other);
}

static void write_gap(size_t variant)
{
    (void)variant;
    char *gap = gap_behind(SIZE);
    gap[SIZE / 2] = 'x';
    get(SIZE);
}

static void write_gap_never_used(size_t variant)
{
    (void)variant;
    char *gap = gap_behind(SIZE);
    gap[SIZE / 2] = 'x';
}

static void write_tail(size_t variant)
{
    (void)variant;
    scene();
    wall[300] = 'x';
    for (size_t i = 0; i < 4; i++)
        get(SIZE);
}

static void write_gap_links(size_t size)
{
    char *gap = registry(gap_behind(size)) + sizeof(size_t);

    memset(gap, 'x', 2 * sizeof(size_t));
    get(size);
}

static void write_ring_links(size_t variant)
{
    (void)variant;
    write_gap_links(SIZE);
}

static void write_trie_links(size_t variant)
{
    (void)variant;
    write_gap_links(LARGE);
}

/* The links of a node that is on the way to the gap that will be asked for. */
static void write_node_on_the_way(size_t variant)
{
    (void)variant;
    scene();
    char *gap = get(LARGE);
    get(SIZE);
    char *second = get(LARGE + 64);
    get(SIZE);
    drop(gap);
    drop(second);
    flush();
    memset(registry(gap) + offsetof(kernel_heap_large_gap_t, by_length.child), 'x',
           2 * sizeof(void *));
    get(LARGE + 64);
}

static void write_addr_node(size_t variant)
{
    (void)variant;
    char *gap = registry(gap_behind(HUGE));
    memset(gap + offsetof(kernel_heap_large_gap_t, by_addr), 'x', sizeof(gap_node_t));
    get(HUGE);
}

/* The same, and it is the neighbour that is freed. */
static void write_gap_then_merge(size_t variant)
{
    (void)variant;
    char *gap = registry(gap_behind(LARGE)) + sizeof(size_t);
    memset(gap, 'x', 2 * sizeof(size_t));
    drop(b);
}

static void write_gap_length(size_t variant)
{
    (void)variant;
    *registry(gap_behind(LARGE)) = 'x';
    drop(b);
}

static void write_gap_last_word(size_t variant)
{
    (void)variant;
    gap_behind(LARGE);
    memset(registry(wall) - sizeof(size_t), 'x', sizeof(size_t));
    drop(wall);
}

static void write_end_of_segment(size_t variant)
{
    (void)variant;
    scene();
    memset((void *)bugged.end, 'x', sizeof(size_t));
    get(2 * MIB);
}

/* --- Wild writes of one byte, each value --- */

static void wild(char *at, size_t variant, size_t bytes)
{
    at += variant / (BYTES - 1) % bytes;
    *at = (char)(*at ^ (variant % (BYTES - 1) + 1));
}

static void wild_registry(size_t variant)
{
    scene();
    wild(registry(b), variant, sizeof(size_t));
    drop(b);
}

static void wild_before(size_t variant, size_t word)
{
    scene();
    wild(b - (4 - word) * sizeof(size_t), variant, sizeof(size_t));
    drop(b);
}

static void wild_size(size_t variant)
{
    wild_before(variant, 0);
}

static void wild_site(size_t variant)
{
    wild_before(variant, 1);
}

static void wild_freed(size_t variant)
{
    wild_before(variant, 2);
}

static void wild_sum(size_t variant)
{
    wild_before(variant, 3);
}

static void wild_canary(size_t variant)
{
    scene();
    wild(b + SIZE, variant, 4);
    drop(b);
}

static void wild_next_registry(size_t variant)
{
    scene();
    wild(registry(right), variant, sizeof(size_t));
    drop(b);
    drop(right);
}

static void wild_behind_gap(size_t variant)
{
    gap_behind(SIZE);
    wild(registry(wall), variant, sizeof(size_t));
    drop(wall);
}

static void wild_quarantined_registry(size_t variant)
{
    scene();
    drop(b);
    wild(registry(b), variant, sizeof(size_t));
}

static void wild_quarantined_header(size_t variant)
{
    scene();
    drop(b);
    wild(b - 4 * sizeof(size_t), variant, 4 * sizeof(size_t));
}

static void wild_quarantined(size_t variant)
{
    scene();
    drop(b);
    wild(b, variant, SIZE);
}

static void wild_gap_registry(size_t variant)
{
    char *gap = registry(gap_behind(SIZE));

    wild(gap, variant, 3 * sizeof(size_t));
    drop(b);
    drop(wall);
}

static void wild_gap(size_t variant)
{
    wild(gap_behind(SIZE), variant, SIZE);
    get(SIZE);
}

/* --- Reads, and what is never freed --- */

static void read_at(char *at)
{
    volatile char byte = *at;

    (void)byte;
}

static void read_beyond(size_t variant)
{
    (void)variant;
    scene();
    read_at(b + SIZE);
}

static void read_before(size_t variant)
{
    (void)variant;
    scene();
    read_at(b - 1);
}

static void read_far(size_t variant)
{
    (void)variant;
    scene();
    read_at(right);
}

static void read_freed(size_t variant)
{
    (void)variant;
    scene();
    drop(b);
    read_at(b + 10);
}

static void never_freed(size_t variant)
{
    kheap_site_t row[4];

    (void)variant;
    scene();
    if (kheap_leaks(&bugged, row, ARRAY_LENGTH(row), NULL, 0) > 0)
        format_text(first_report, sizeof(first_report), "kheap_leaks: %td buffers", row[0].count);
}

/* ---- The catalogue */

static const bug_t bugs[] = {
    { "write 1 byte behind the size, into what is rounded up", overflow_slack, 1,
      { NULL, "no", "kfree" }, "its canary is damaged: byte 100, at " },
    { "write a NUL behind the size, as strcpy does", overflow_nul, 1,
      { NULL, "no", "kfree" }, "its canary is damaged: byte 100, at " },
    { "write any other value there", overflow_any, BYTES - 1,
      { NULL, "no", "kfree" }, "its canary is damaged: byte 100, at " },
    { "write 1 byte behind the usable size", overflow_usable, 1,
      { NULL, "kfree", "kfree" }, "its canary is damaged: byte 100, at " },
    { "write a word behind the usable size", overflow_word, 1,
      { NULL, "kfree", "kfree" }, "its canary is damaged: byte 100, at " },
    { "write 16 zero bytes behind the usable size", overflow_sixteen, 1,
      { NULL, "kfree", "kfree" }, "is damaged" },
    { "write all over the next buffer", overflow_neighbour, 1,
      { NULL, "kfree", "kfree" }, "  after: the registry at " },
    { "write on into a gap", overflow_into_gap, 1,
      { NULL, "kfree", "kfree" }, "  after: the registry at " },
    { "write on into the tail", overflow_into_tail, 1,
      { NULL, "kfree", "kfree" }, "is damaged" },
    { "write far behind, into the bytes of another buffer", overflow_skipping, 1,
      { NULL, "no", "no" }, NULL },
    { "write to a buffer of 0 bytes", overflow_of_nothing, 1,
      { NULL, "no", "kfree" }, "its canary is damaged: byte 0, at " },
    { "write 1 byte behind a kcalloc", overflow_cleared, 1,
      { NULL, "no", "kfree" }, "its canary is damaged: byte 100, at " },
    { "write 1 byte behind a kmemalign", overflow_aligned, 1,
      { NULL, "no", "kfree" }, "its canary is damaged: byte 100, at " },
    { "write 1 byte behind a krealloc that grew", overflow_grown, 1,
      { NULL, "no", "kfree" }, "its canary is damaged: byte 200, at " },
    { "write 1 byte behind a krealloc that shrank", overflow_shrunk, 1,
      { NULL, "no", "kfree" }, "its canary is damaged: byte 50, at " },
    { "write 1 byte behind, then krealloc", overflow_before_realloc, 1,
      { NULL, "no", "krealloc" }, "its canary is damaged: byte 100, at " },
    { "write 1 byte behind, and never free", overflow_never_freed, 1,
      { NULL, "no", "kheap_check" }, "its canary is damaged" },
    { "write 1 byte behind a large buffer", overflow_far, 1,
      { NULL, "no", "kfree" }, "its canary is damaged: byte 9000, at " },
    { "write 1 byte before a buffer", underflow_one, 1,
      { NULL, "kfree", "kfree" }, "its header is damaged: byte " },
    { "write a word before a buffer", underflow_word, 1,
      { NULL, "kfree", "kfree" }, "; its header is damaged" },
    { "write 16 bytes before a buffer", underflow_sixteen, 1,
      { NULL, "kfree", "kfree" }, "; its header is damaged" },
    { "write on backwards into the buffer before", underflow_far, 1,
      { NULL, "kfree", "kfree" }, "the registry at " },
    { "write 1 byte before a kmemalign", underflow_aligned, 1,
      { NULL, "kfree", "kfree" }, "its header is damaged: byte " },
    { "write the last byte of the superbuffer before", underflow_skipping, 1,
      { NULL, "no", "kfree" }, "its canary is damaged: byte 1" },
    { "free twice", free_twice, 1,
      { NULL, "kfree", "kfree" }, "free already: in the quarantined buffer " },
    { "free twice, other frees between", free_twice_later, 1,
      { NULL, "kfree", "kfree" }, "free already: in the quarantined buffer " },
    { "free twice, merged between", free_twice_merged, 1,
      { NULL, "kfree", "kfree" }, "free already: in the gap " },
    { "free twice, its memory asked for between", free_twice_reused, 1,
      { NULL, "no", "kfree" }, "free already: in the quarantined buffer " },
    { "free inside a buffer", free_inside, 6,
      { NULL, "kfree", "kfree" }, ": inside the buffer " },
    { "free inside a buffer, not aligned", free_unaligned, 15,
      { NULL, "kfree", "kfree" }, ": inside the buffer " },
    { "free 16 bytes before a buffer", free_in_front, 1,
      { NULL, "kfree", "kfree" }, ": inside the buffer " },
    { "free inside a buffer, on a registry made up there", free_faked, 1,
      { NULL, "kheap_check", "kfree" }, ": inside the buffer " },
    { "free a variable on the stack", free_stack, 1,
      { NULL, "kfree", "kfree" }, ": not in the heap, which is " },
    { "free a constant", free_constant, 1,
      { NULL, "kfree", "kfree" }, ": not in the heap, which is " },
    { "free a small number", free_small_number, 100,
      { NULL, "kfree", "kfree" }, ": not in the heap, which is " },
    { "free a number near the largest", free_large_number, 100,
      { NULL, "kfree", "kfree" }, ": not in the heap, which is " },
    { "free behind the segment", free_behind, 100,
      { NULL, "kfree", "kfree" }, ": not in the heap, which is " },
    { "free in the tail", free_in_tail, 8,
      { NULL, "kfree", "kfree" }, "free already: in the gap " },
    { "free to another heap", free_of_another, 1,
      { NULL, "kfree", "kfree" }, ": not in the heap, which is " },
    { "free what krealloc moved", free_after_realloc, 1,
      { NULL, "kfree", "kfree" }, "free already: in the quarantined buffer " },
    { "krealloc of what is free", realloc_freed, 1,
      { NULL, "krealloc", "krealloc" }, "free already: in the quarantined buffer " },
    { "krealloc inside a buffer", realloc_inside, 1,
      { NULL, "krealloc", "krealloc" }, ": inside the buffer " },
    { "kmalloc_usable_size of what is free", usable_of_freed, 1,
      { NULL, "kmalloc_usable_size", "kmalloc_usable_size" },
      "free already: in the quarantined buffer " },
    { "write the first byte of what is free", write_first, 1,
      { NULL, "no", "kheap_flush" }, "it was written to after it was freed: byte 0, at " },
    { "write a zero into the middle of what is free", write_middle, 1,
      { NULL, "no", "kheap_flush" }, "it was written to after it was freed: byte 50, at " },
    { "write the last byte of what is free", write_last, 1,
      { NULL, "no", "kheap_flush" }, "it was written to after it was freed: byte 99, at " },
    { "write behind what is free", write_beyond, 1,
      { NULL, "no", "kheap_flush" }, "its canary is damaged: byte 100, at " },
    { "write into a large buffer that is free", write_large, 1,
      { NULL, "no", "kheap_flush" }, "it was written to after it was freed: byte 4500, at " },
    { "write to what krealloc moved", write_after_realloc, 1,
      { NULL, "no", "kheap_flush" }, "it was written to after it was freed: byte 10, at " },
    { "write to what is free, its memory asked for before", write_reused, 1,
      { NULL, "no", "kheap_flush" }, "it was written to after it was freed: byte 10, at " },
    { "write into a gap, then kmalloc of it", write_gap, 1,
      { NULL, "no", "kmalloc" }, "byte 50 of it is 0x78, not 0xdd" },
    { "write into a gap that nobody asks for", write_gap_never_used, 1,
      { NULL, "no", "kheap_check" }, "a gap or void was written to after it was freed" },
    { "write into the tail, then kmalloc of it", write_tail, 1,
      { NULL, "no", "kmalloc" }, " of it is 0x78, not 0xdd" },
    { "write to the links of a gap in a ring", write_ring_links, 1,
      { NULL, "crash", "kmalloc" }, "its links, or those of its equals, are damaged" },
    { "write to the links of a gap in a trie", write_trie_links, 1,
      { NULL, "crash", "kmalloc" }, "which does not lead back" },
    { "write to the links on the way to a gap", write_node_on_the_way, 1,
      { NULL, "crash", "kmalloc" }, "which does not lead back" },
    { "write to the links in the addr tree", write_addr_node, 1,
      { NULL, "crash", "kmalloc" }, "its links, or those of its equals, are damaged" },
    { "write to the links of a gap, then free beside it", write_gap_then_merge, 1,
      { NULL, "crash", "kfree" }, "the links of a gap next to it" },
    { "write to the length of a gap", write_gap_length, 1,
      { NULL, "kfree", "kfree" }, "  after: the registry at " },
    { "write to the last word of a gap", write_gap_last_word, 1,
      { NULL, "kfree", "kfree" }, "  on the way: the registry at " },
    { "write to the end of the segment", write_end_of_segment, 1,
      { NULL, "kheap_check", "kmalloc" }, "the end of the segment, its registry is damaged" },
    { "wild byte: registry", wild_registry, (BYTES - 1) * sizeof(size_t),
      { NULL, "kfree", "kfree" }, "registry" },
    { "wild byte: 4th word before a buffer (size)", wild_size, (BYTES - 1) * sizeof(size_t),
      { NULL, "no", "kfree" }, "its header is damaged: byte " },
    { "wild byte: 3rd word before (site)", wild_site, (BYTES - 1) * sizeof(size_t),
      { NULL, "no", "kfree" }, "its header is damaged: byte " },
    { "wild byte: 2nd word before (freed)", wild_freed, (BYTES - 1) * sizeof(size_t),
      { NULL, "no", "kfree" }, "its header is damaged: byte " },
    { "wild byte: last word before (sum)", wild_sum, (BYTES - 1) * sizeof(size_t),
      { NULL, "kfree", "kfree" }, "its header is damaged: byte " },
    { "wild byte: canary", wild_canary, (BYTES - 1) * 4,
      { NULL, "no", "kfree" }, "its canary is damaged: byte 100, at " },
    { "wild byte: the next registry", wild_next_registry, (BYTES - 1) * sizeof(size_t),
      { NULL, "kfree", "kfree" }, "registry" },
    { "wild byte: registry behind a gap", wild_behind_gap, (BYTES - 1) * sizeof(size_t),
      { NULL, "kfree or kheap_check", "kfree" }, "registry" },
    { "wild byte: registry, after the free", wild_quarantined_registry,
      (BYTES - 1) * sizeof(size_t),
      { NULL, "kheap_flush", "kheap_flush" }, "registry" },
    { "wild byte: 4 words before, after the free", wild_quarantined_header,
      (BYTES - 1) * 4 * sizeof(size_t),
      { NULL, "in part", "kheap_flush" }, "its header is damaged: byte " },
    { "wild byte: all of a buffer, after the free", wild_quarantined, (BYTES - 1) * SIZE,
      { NULL, "no", "kheap_flush" }, "it was written to after it was freed: byte 0, at " },
    { "wild byte: registry of a gap", wild_gap_registry, (BYTES - 1) * 3 * sizeof(size_t),
      { NULL, "crash", "kfree" }, "registry" },
    { "wild byte: inside of a gap", wild_gap, (BYTES - 1) * SIZE,
      { NULL, "crash", "kmalloc" }, "byte 0 of it is 0xdc, not 0xdd" },
    { "read 1 byte behind a buffer", read_beyond, 1,
      { NULL, "no", "no" }, NULL },
    { "read 1 byte before a buffer", read_before, 1,
      { NULL, "no", "no" }, NULL },
    { "read in another buffer", read_far, 1,
      { NULL, "no", "no" }, NULL },
    { "read what is free", read_freed, 1,
      { NULL, "no", "no" }, NULL },
    { "never free", never_freed, 1,
      { NULL, "no", "kheap_leaks" }, NULL },
};

/* ---- One bug, in a process of its own */

static void count_name(outcome_t *outcome, const char *name, size_t length)
{
    size_t i = 0;

    while (i < outcome->names && (strlen(outcome->name[i]) != length
                                  || memcmp(outcome->name[i], name, length) != 0))
        i++;
    if (i == outcome->names && i < NAMES) {
        format_text(outcome->name[i], sizeof(outcome->name[i]), "%.*s", (int)length, name);
        outcome->names++;
    }
}

/* What was found and contained must not keep the heap from going on. */
static void go_on(void)
{
    char *buffer[40];

    for (size_t i = 0; i < ARRAY_LENGTH(buffer); i++) {
        buffer[i] = kheap_alloc(&bugged, i * 37);
        if (buffer[i] != NULL)
            memset(buffer[i], (int)i, i * 37);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(buffer); i++)
        kheap_free(&bugged, buffer[i]);
    kheap_trim(&bugged, 0);
}

static void run_variant(const bug_t *bug, kheap_level_t level, size_t variant, outcome_t *outcome)
{
    fake_segment_destroy(&memory);
    kheap_init(&bugged, fake_segment_init(&memory, LIMIT));
    CHECK_EQ(kheap_tune(&bugged, KHEAP_TUNE_LEVEL, level), 0);
    first_report[0] = '\0';
    reports_before = host_misuse_count();
    bug->go(variant);
    if (first_report[0] == '\0')
        flush();
    if (first_report[0] == '\0') {
        const char *wrong = kheap_check(&bugged);
        if (wrong != NULL)
            format_text(first_report, sizeof(first_report), "kheap_check: %s", wrong);
    }
    if (first_report[0] == '\0')
        outcome->missed++;
    else
        count_name(outcome, first_report, strcspn(first_report, ":("));
    if (outcome->says[0] == '\0')
        format_text(outcome->says, sizeof(outcome->says), "%s", first_report);
    if (level == KHEAP_FULL)
        go_on();
    outcome->done++;
}

/* => how the process ended: `crash`, or how its variants were caught, in `cell` */
static void run_bug(const bug_t *bug, kheap_level_t level, outcome_t *outcome, char *cell,
                    size_t size)
{
    size_t used = 0;
    pid_t child = fork();
    int status;

    CHECK(child >= 0);
    if (child == 0) {
        struct rlimit no_core = { 0, 0 };

        setrlimit(RLIMIT_CORE, &no_core);
        CHECK(freopen("/dev/null", "w", stderr) != NULL);
        alarm(20);
        for (size_t i = 0; i < bug->variants; i++)
            run_variant(bug, level, i, outcome);
        if (__gcov_exit != NULL)
            __gcov_exit();
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    cell[0] = '\0';
    for (size_t i = 0; i < outcome->names; i++)
        used += (size_t)format_text(cell + used, size - used, "%s%s", i == 0 ? "" : " or ",
                                    outcome->name[i]);
    if (status != 0)
        format_text(cell, size, "crash");
    else if (outcome->missed == bug->variants)
        format_text(cell, size, "no");
    else if (outcome->missed != 0)
        format_text(cell, size, "in part");
}

static const char *const level_names[] = { "none", "basic", "full" };

static void run_level(kheap_level_t level)
{
    outcome_t *outcome = mmap(NULL, sizeof(*outcome), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    size_t wrong = 0;
    char cell[128];

    CHECK(outcome != MAP_FAILED);
    for (size_t i = 0; i < ARRAY_LENGTH(bugs); i++) {
        const bug_t *bug = &bugs[i];

        *outcome = (outcome_t){ 0 };
        run_bug(bug, level, outcome, cell, sizeof(cell));
        printk("# bug\t%s\t%s\t%s\n", level_names[level], bug->name, cell);
        bool said = level != KHEAP_FULL || bug->says == NULL
            || strstr(outcome->says, bug->says) != NULL;
        if (strcmp(cell, bug->caught[level]) != 0 || !said) {
            printk("# expected: %s, \"%s\"; the first report: %s\n", bug->caught[level],
                   bug->says != NULL ? bug->says : "", outcome->says);
            wrong++;
        }
    }
    munmap(outcome, sizeof(*outcome));
    CHECK_EQ(wrong, 0);
}

#endif
