/*
 * The kernel's log: formatted text to wherever `printk_set_output` says.
 */
#ifndef KERNEL_PRINTK_H
#define KERNEL_PRINTK_H

#include <stdarg.h>
#include <stddef.h>

/*
 * Write formatted text to the log.
 *
 * => conversions: %% %c %s %d %i %u %x %X %o %p, with flags - 0 + space #, width
 *    and precision (also *), lengths hh h l ll z t j; 64-bit values on 32-bit
 *    machines too, without libgcc; an unknown conversion is printed as it stands
 * => %p prints 0x and as many digits as a pointer has
 * => a NULL string is printed as (null); never allocates, never fails
 */
void printk(const char *format, ...) __attribute__((format(printf, 1, 2)));
void vprintk(const char *format, va_list args);

/*
 * The same into a buffer: at most size - 1 characters and a NUL.
 *
 * => returns the length the whole text has, as C's snprintf does
 */
int format_text(char *buffer, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int vformat_text(char *buffer, size_t size, const char *format, va_list args);

/* Where text goes: called with pieces of any length, not NUL-terminated. */
typedef void printk_output_t(const char *text, size_t length);

/* => returns the output used so far; NULL drops everything (the state at start) */
printk_output_t *printk_set_output(printk_output_t *output);

#endif
