/*
 * The end of the kernel, when it is broken, and the checks that find out.
 */
#ifndef KERNEL_PANIC_H
#define KERNEL_PANIC_H

#include <kernel/types.h>

/*
 * Print the message, the registers and a backtrace, and stop.
 *
 * => for a broken kernel only; never for what a program or a full memory causes
 * => callable from anywhere, with any lock held, before or after paging
 */
_Noreturn void panic(const char *format, ...)
    __attribute__((format(printf, 1, 2), cold));

/*
 * What panic calls after printing its message, to show more and to stop the
 * machine; it does not return. Without one, panic halts.
 *
 * => first: false when the report itself panicked: only stop
 */
typedef void panic_hook_t(bool first);
void panic_set_hook(panic_hook_t *hook);

/* A promise that a caller or a structure must keep; checked in every build. */
#define ASSERT(condition) \
    do { \
        if (__builtin_expect(!(condition), 0)) \
            panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #condition); \
    } while (0)

/* A check too dear for a hot path: only in debug builds. */
#ifdef DEBUG
#define DEBUG_ASSERT(condition) ASSERT(condition)
#else
#define DEBUG_ASSERT(condition) ((void)sizeof(condition))
#endif

#endif
