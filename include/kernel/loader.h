/*
 * ELF programs: from a file to a space with a stack, ready for ring 3.
 */
#ifndef KERNEL_LOADER_H
#define KERNEL_LOADER_H

#include <kernel/memory.h>

/* Arguments and environment together: strings, pointers, NULs. */
#define ARGUMENTS_MAX (128 * KIB)

typedef struct program {
    size_t entry;           /* where ring 3 begins */
    size_t stack;           /* its stack pointer */
} program_t;

/*
 * Map the program's segments, its break and its stack, and write the start-up
 * block (argc, argv, envp, auxiliary vector) on the stack.
 *
 * => 0 and *program; -ENOEXEC with *why, a sentence: not a static i386 ELF
 *    executable, damaged, or outside user memory; -E2BIG; -EIO; those of mspace_map
 * => the space may be half filled after a failure: close it
 * => the space need not be the current one
 */
int program_load(mspace_t *mspace, inode_t *ino, char *const argv[],
                 char *const envp[], program_t *program, const char **why);

#endif
