/*
 * The end of the kernel.
 */
#include <kernel/panic.h>
#include <kernel/printk.h>
#include <kernel/types.h>

static panic_hook_t *panic_hook;

void panic_set_hook(panic_hook_t *hook)
{
    panic_hook = hook;
}

_Noreturn void panic(const char *format, ...)
{
    static unsigned depth;
    panic_hook_t *hook = panic_hook;
    va_list args;

    /* A panic inside the report prints itself and stops; one inside that, nothing. */
    if (++depth > 2) {
        for (;;)
            ;
    }
    va_start(args, format);
    printk("\npanic: ");
    vprintk(format, args);
    printk("\n");
    va_end(args);
    if (hook != NULL)
        hook(depth == 1);
    for (;;)
        ;
}
