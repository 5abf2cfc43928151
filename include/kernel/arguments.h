/*
 * A program's name and arguments, from the one string a boot loader passes.
 */
#ifndef KERNEL_ARGUMENTS_H
#define KERNEL_ARGUMENTS_H

#include <kernel/types.h>

/*
 * Split a string into words, in place, and point argv at them, NULL at the end.
 *
 * Words are separated by spaces; a backslash takes the next character as it is;
 * '' by itself is an empty word.
 *
 * => how many, or -E2BIG: more than `size` - 1
 */
int arguments_split(char *text, char **argv, size_t size);

#endif
