/*
 * Memory and text, byte by byte: the calls of C and GNU under their own names.
 *
 * On the host mm/ takes the C library's, so the prototypes are the C library's too.
 *
 * => lengths are bytes; a length of 0 is fine with any pointer but NULL
 * => nothing is read or written outside the ranges given, not even to round up
 */
#ifndef KERNEL_STRING_H
#define KERNEL_STRING_H

#include <stddef.h>

/* Fill with the low byte of `value`. => returns dest */
void *memset(void *dest, int value, size_t length);

/* Copy. => the ranges do not overlap; returns dest, mempcpy dest + length */
void *memcpy(void *restrict dest, const void *restrict src, size_t length);
void *mempcpy(void *restrict dest, const void *restrict src, size_t length);

/* Copy as if through a third place: the ranges may overlap. => returns dest */
void *memmove(void *dest, const void *src, size_t length);

/*
 * Copy up to and with the first byte `stop`, at most length bytes.
 *
 * => returns what follows the copied `stop` in dest; NULL if there was none, and
 *    then all length bytes were copied
 * => the ranges do not overlap
 */
void *memccpy(void *restrict dest, const void *restrict src, int stop, size_t length);

/* Compare as unsigned bytes. => the sign of the first difference; 0: equal */
int memcmp(const void *a, const void *b, size_t length);

/* The first, or last, byte equal to the low byte of `value`. => NULL: none */
void *memchr(const void *memory, int value, size_t length);
void *memrchr(const void *memory, int value, size_t length);

/*
 * The first place in `memory` that holds the bytes of `part`. => NULL: none
 *
 * => an empty part is found at the start
 * => time: length + part_length steps, each place that has the part's checksum
 *    costing a comparison besides: length * part_length at worst, which takes
 *    an input made to collide, since the checksum has 32 bits
 */
void *memmem(const void *memory, size_t length, const void *part, size_t part_length);

/* Hide the bytes by exclusive or with 42; twice brings them back. => memory */
void *memfrob(void *memory, size_t length);

/* The characters before the NUL; strnlen looks at most at `limit` of them. */
size_t strlen(const char *text);
size_t strnlen(const char *text, size_t limit);

/* Compare as unsigned characters; strncmp the first `limit` at most. => the sign */
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t limit);

/* The first, or last, `c` in the text. => NULL: none; c 0: the text's end */
char *strchr(const char *text, int c);
char *strrchr(const char *text, int c);

/*
 * Copy text into a buffer of `size` bytes, cut to fit, with a NUL if size > 0.
 *
 * => returns strlen(src): the text was cut if that is size or more
 * => the buffers do not overlap
 */
size_t strlcpy(char *restrict dest, const char *restrict src, size_t size);

#endif
