/*
 * The heap of a Linux process: made by the first call of malloc, one lock around it,
 * and what it says on stderr.
 *
 * The environment variable GROVE_MALLOC has words, separated by commas:
 *
 *  abort   a misuse ends the program, after it was reported
 *  basic   the heap's usual level
 *  full    the heap looks at everything it can (the hardening level)
 *  stat    figures, and whether the heap is sound, are printed at exit
 *
 * => a word that is none of these is reported and does nothing
 * => no call here allocates, and none needs a constructor to have run
 */
#ifndef PRELOAD_PROCESS_H
#define PRELOAD_PROCESS_H

#include <kernel/kheap.h>

/* The heap, and its lock taken. => the first call makes it */
kheap_t *process_heap_enter(void);

/* Release the lock. => does not return if there was a misuse and GROVE_MALLOC has abort */
void process_heap_leave(void);

#endif
