/*
 * A heap and what is known of it: which buffers are live, and each of their bytes. Every
 * call is made to the heap and to the model; whatever differs ends the program.
 *
 * => one heap at a time, over a segment of MODEL_LIMIT bytes
 */
#ifndef FUZZ_MODEL_H
#define FUZZ_MODEL_H

#include <kernel/kheap.h>

#define MODEL_LIMIT (2 * MIB)
#define MODEL_SLOTS 256u    /* buffers that can be live at once; slots count from 0 */

/* A new heap without a buffer. */
void model_start(void);

/* Free every buffer: the heap must then give the whole segment back. */
void model_finish(void);

/* Has the slot a buffer? How many have? */
bool model_live(size_t slot);
size_t model_live_count(void);

/* Fill an empty slot, if there is memory. */
void model_alloc(size_t slot, size_t size);
void model_calloc(size_t slot, size_t count, size_t size);
void model_memalign(size_t slot, size_t align, size_t size);

void model_realloc(size_t slot, size_t size);       /* or to another size, if it is not empty */

/* For slots that have a buffer. */
void model_free(size_t slot);
void model_use_all(size_t slot);        /* as much as kheap_usable_size says */

/*
 * Calls that must be refused, be reported once, and change nothing: of a pointer into the
 * slot's buffer, or, where it was, of the buffer it had.
 *
 * => call: any number; it chooses among kheap_free, kheap_realloc, kheap_usable_size
 */
void model_misuse(size_t slot, size_t offset, size_t call);

/*
 * Put another word into the segment, where no live buffer is, and back: kheap_check may say
 * anything of it, but neither faults nor hangs.
 */
void model_damage(size_t offset, size_t word);

/*
 * Change a byte for good, of those that the heap's level promises to survive.
 *
 * => place: any number; it chooses one. change: what is flipped in it
 * => false: nothing changed. Else only these can be called: they look at no answer
 * => call: any number; it chooses one of the heap's calls, most of them of a slot's buffer
 * => model_abandon: after the last call, or after none. The heap is asked for all that it
 *    can say of itself, and the segment is as new
 */
bool model_break(size_t place, unsigned char change);
void model_meet(size_t call, size_t slot, size_t size);
void model_abandon(void);

/* Where the segment begins, and its length now. */
size_t model_base(void);
size_t model_length(void);

/* Ask for level basic (even) or full (odd): answered while nothing is in use. */
void model_level(size_t value);

void model_trim(size_t keep);
void model_flush(void);
void model_tune(size_t tunable, size_t value);

/* The segment's n-th extension from now fails, and any of more than `most` pages. => 0: none */
void model_fail(size_t nth, size_t most);

/* Is the heap sound: kheap_check, and its figures against the model's? */
void model_check(void);

#endif
