/*
 * The kernel's own allocations, written down: with RECORD=1 the linker sends every
 * call of these names here (tools/record-heap).
 *
 * Each call that changed something is four words on the debug port: what it was, the
 * buffer before, the buffer now, and the size.
 */
#include <kernel/console.h>
#include <kernel/kheap.h>

enum { RECORD_FREE, RECORD_ALLOC, RECORD_REALLOC };     /* as in tests/bench/data/README */

void *__real_kmalloc(size_t size);
void *__real_kcalloc(size_t count, size_t size);
void *__real_kmemalign(size_t align, size_t size);
void *__real_krealloc(void *buffer, size_t size);
void __real_kfree(void *buffer);
void *__wrap_kmalloc(size_t size);
void *__wrap_kcalloc(size_t count, size_t size);
void *__wrap_kmemalign(size_t align, size_t size);
void *__wrap_krealloc(void *buffer, size_t size);
void __wrap_kfree(void *buffer);

/* => the buffer now */
static void *record(uint32_t what, void *before, void *now, size_t size)
{
    uint32_t words[] = { what, (uint32_t)(size_t)before, (uint32_t)(size_t)now, (uint32_t)size };

    if (what == RECORD_FREE || now != NULL)
        debug_port_write((const char *)words, sizeof(words));
    return now;
}

void *__wrap_kmalloc(size_t size)
{
    return record(RECORD_ALLOC, NULL, __real_kmalloc(size), size);
}

void *__wrap_kcalloc(size_t count, size_t size)
{
    return record(RECORD_ALLOC, NULL, __real_kcalloc(count, size), count * size);
}

void *__wrap_kmemalign(size_t align, size_t size)
{
    return record(RECORD_ALLOC, NULL, __real_kmemalign(align, size), size);
}

void *__wrap_krealloc(void *buffer, size_t size)
{
    return record(buffer != NULL ? RECORD_REALLOC : RECORD_ALLOC, buffer,
                  __real_krealloc(buffer, size), size);
}

void __wrap_kfree(void *buffer)
{
    if (buffer != NULL)
        record(RECORD_FREE, buffer, NULL, 0);
    __real_kfree(buffer);
}
