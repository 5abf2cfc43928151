/*
 * The few types every layer shares.
 */
#ifndef KERNEL_TYPES_H
#define KERNEL_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A physical address; where it names a page, the address of its first byte. */
typedef size_t page_t;

/* A byte offset in a file, or a physical address (VMA_PHYS). */
typedef int64_t file_offset_t;
#ifndef __off_t_defined
typedef file_offset_t off_t;
#define __off_t_defined
#endif

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* The struct of `type` whose member `member` is at `ptr`. */
#define CONTAINER_OF(ptr, type, member) \
    ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define NOINLINE      __attribute__((noinline))
#define LIKELY(x)     __builtin_expect(!!(x), 1)
#define UNLIKELY(x)   __builtin_expect(!!(x), 0)

/* Rounding to a power of two. align_up may wrap: check the range first. */
static inline size_t align_down(size_t value, size_t align)
{
    return value & ~(align - 1);
}

static inline size_t align_up(size_t value, size_t align)
{
    return (value + align - 1) & ~(align - 1);
}

#endif
