/*
 * Copies between the kernel and the current program's memory.
 *
 * Every byte is read or written once. A page that is not there yet is faulted
 * in; an address that the program may not use ends the copy.
 *
 * => 0, or -EFAULT: some bytes may have been copied; *_string: see there
 * => an address at or past USER_END, or a range that wraps, is -EFAULT
 * => not inside the linear space; no mspace lock held
 */
#ifndef KERNEL_USERCOPY_H
#define KERNEL_USERCOPY_H

#include <kernel/types.h>

int copy_from_user(void *to, size_t from, size_t length);
int copy_to_user(size_t to, const void *from, size_t length);
int clear_user(size_t to, size_t length);

/*
 * Copy a NUL-terminated string of at most size - 1 characters.
 *
 * => its length, -EFAULT, or -ENAMETOOLONG: no NUL in the first `size` bytes
 */
int copy_string_from_user(char *to, size_t from, size_t size);

#endif
