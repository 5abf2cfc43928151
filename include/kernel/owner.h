/*
 * Whose a frame of physical memory is.
 */
#ifndef KERNEL_OWNER_H
#define KERNEL_OWNER_H

/* The report `frames` has one line for each. */
typedef enum frame_owner {
    OWNER_NONE,         /* nobody's: free, or no RAM */
    OWNER_FIRMWARE,     /* the first MiB's adapters, ACPI tables: never ours */
    OWNER_IMAGE,        /* the kernel image */
    OWNER_BOOT,         /* modules and what the loader left */
    OWNER_FRAME_TABLE,
    OWNER_PAGE_TABLE,       /* of spaces: they go with them */
    OWNER_KERNEL_TABLE,     /* of the kernel's part: never given back */
    OWNER_HEAP,         /* the kernel segment, and guarded buffers */
    OWNER_STACK,        /* kernel stacks */
    OWNER_KERNEL,       /* other kernel memory: the zero frame, kmap */
    OWNER_ANON,         /* private memory of programs */
    OWNER_CACHE,        /* pages of files */
    OWNER_BAD,          /* retired */
    OWNER_COUNT,
} frame_owner_t;

/* "page tables" */
const char *frame_owner_name(frame_owner_t owner);

#endif
