/*
 * Commit accounting: how many pages programs were promised that they may write to
 * and that nothing else backs.
 *
 * Charged are areas that are private and writable, or were so once
 * (VMA_ACCOUNTED), without VMA_NO_RESERVE. What is done when the promises pass what
 * the machine has depends on the mode (Linux's vm.overcommit_memory, with its
 * numbers).
 *
 * Guards: (k) the kernel: it is never preempted
 */
#ifndef KERNEL_COMMIT_H
#define KERNEL_COMMIT_H

#include <kernel/types.h>

typedef enum commit_mode {
    COMMIT_HEURISTIC,       /* refuse only a call that asks for more than all memory */
    COMMIT_ALWAYS,          /* refuse nothing */
    COMMIT_STRICT,          /* never promise more than the limit: nobody need be killed */
} commit_mode_t;

/* Fewer pages than any machine has that Grove boots on: 1 MiB. */
#define COMMIT_SMALL 256

struct commit {
    commit_mode_t mode;     /* (k) */
    unsigned ratio;         /* (k) percent of the memory that may be promised, if strict */
    size_t charged;         /* (k) pages promised */
};
extern struct commit commit;

/* Pages that may be promised in strict mode. */
size_t commit_limit(void);

/* Promise pages. => 0, or -ENOMEM and nothing is charged; O(1) */
int commit_charge_by_mode(size_t pages);
static inline int commit_charge(size_t pages)
{
    /* No call when a mode has nothing against any that small. */
    if (UNLIKELY(commit.mode == COMMIT_STRICT || pages > COMMIT_SMALL))
        return commit_charge_by_mode(pages);
    commit.charged += pages;
    return 0;
}

/* Take a promise back. */
static inline void commit_return(size_t pages)
{
    commit.charged -= pages;
}

/* The reverse of commit_return, of what was charged until just now: cannot fail. */
static inline void commit_recharge(size_t pages)
{
    commit.charged += pages;
}

/*
 * Set the mode by its name or number, with a ratio if one follows: "strict",
 * "2", "strict,80".
 *
 * => 0 or -EINVAL: nothing changed. Promises made so far stand.
 */
int commit_set(const char *text);

/* The mode's name. */
const char *commit_mode_name(void);

#endif
