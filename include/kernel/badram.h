/*
 * The word `badram=`: RAM that someone knows to be bad is never used.
 */
#ifndef KERNEL_BADRAM_H
#define KERNEL_BADRAM_H

#include <kernel/boot_info.h>

/*
 * Retire the free pages below LINEAR_END that a value of the word names.
 *
 * The value is a list with commas of
 *
 *     ADDRESS,MASK    each page with a byte whose address has ADDRESS's bits where
 *                     MASK has ones: what memtest86+ prints and GRUB's badram takes
 *     START-END       each page with a byte in [START, END)
 *
 * all in hexadecimal with 0x, up to 64 bits.
 *
 * => text: `length` characters, not NUL-terminated
 * => NULL, or a sentence that begins with what it is about: not such a list; a page
 *    of the kernel image or of a module is bad: nothing is retired. Or too many
 *    pieces: those before are retired
 * => what is no free RAM is left as it is; an entry without any is noted in the log
 * => O(pieces), however many pages
 */
const char *badram_retire(boot_info_t *info, const char *text, size_t length);

#endif
