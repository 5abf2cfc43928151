/*
 * Page faults: what an access to an absent or forbidden page leads to.
 */
#ifndef KERNEL_FAULT_H
#define KERNEL_FAULT_H

#include <kernel/memory.h>

/* What a kernel may set kMMU.fault_around to once memory_init was called: 64 KiB. */
#define FAULT_AROUND 16

/* What the processor says (Intel SDM 3A 4.7); the same bits. */
#define FAULT_PRESENT  0x01u    /* the page is present: a right was missing */
#define FAULT_WRITE    0x02u
#define FAULT_USER     0x04u
#define FAULT_RESERVED 0x08u    /* a reserved bit in a page table: a kernel bug */
#define FAULT_EXECUTE  0x10u

typedef enum fault_reason {
    FAULT_RESOLVED,
    FAULT_NO_AREA,          /* nothing is mapped there */
    FAULT_STACK_LIMIT,      /* below the lowest address the stack may reach */
    FAULT_NO_RIGHT,         /* the area does not grant this access */
    FAULT_DEAD_AREA,
    FAULT_PAST_END,         /* a page wholly past the end of its file: SIGBUS */
    FAULT_IO,               /* the page could not be read: SIGBUS */
    FAULT_NO_MEMORY,
    FAULT_KERNEL_BUG,       /* same fault twice with nothing to do, reserved bits */
} fault_reason_t;

/* Everything a report needs, filled by fault_describe. */
typedef struct fault {
    size_t address;
    unsigned code;          /* FAULT_* */
    fault_reason_t reason;
    mmu_entry_t entry;      /* the page's entry before */
    bool has_area;          /* the next five: an area is there, or above */
    size_t area_base;       /* of the area there, or of the next one above */
    size_t area_end;
    int area_flags;
    char area_name[32];
    bool has_below;         /* the next four: nothing is there, and an area below */
    size_t below_base;
    size_t below_end;
    int below_flags;
    char below_name[32];
    size_t stack_base;      /* lowest address the stack may reach; 0: no stack */
    bool was_unmapped;      /* the address is in what the program unmapped last */
} fault_t;

/*
 * Resolve a fault in a program's space. => code: FAULT_*
 *
 * => FAULT_RESOLVED: the access can be tried again
 * => any other: nothing changed; fault_describe says more
 * => takes mspace->lock; O(log areas + levels)
 */
fault_reason_t fault_resolve(mspace_t *mspace, size_t address, unsigned code);

/*
 * A fault that was not resolved: what a report needs to know of its surroundings.
 * => address, code and reason are set in *fault; takes mspace->lock
 */
void fault_describe(mspace_t *mspace, fault_t *fault);

/* Both; address and code are set in *fault. */
fault_reason_t fault_handle(mspace_t *mspace, fault_t *fault);

/*
 * Make pages of an area present that its kind can provide, as a write where the
 * area grants one; those past the file's end are left out, and those that have an
 * entry are left as they are. For VMA_RESOLVE.
 *
 * => [base, base + length) lies in the area; mspace->lock is held
 * => 0, -ENOMEM, -EIO; pages done so far stay
 */
int fault_populate(mspace_t *mspace, vma_t *vma, size_t base, size_t length);

/*
 * For fault.c: give a page of an area that has none its entry, and cached pages of the
 * aligned window around it that have none theirs, to be read.
 *
 * => entry: complete, its frame with a reference; the area's ops have `cached`
 * => mspace->lock is held; one walk, for the window has one page table
 * => 0; -ENOMEM: nothing changed, and the frame was released
 */
int fault_map_around(mspace_t *mspace, const vma_t *vma, size_t vaddr, mmu_entry_t entry);

/*
 * The fault as sentences, for a person, one a line; no newline at the end.
 * => as format_text
 */
int fault_explain(const fault_t *fault, char *buffer, size_t size);

#endif
