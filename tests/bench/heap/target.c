/*
 * Grove's heap over a reserved mapping, with the least that it needs around it;
 * the process's malloc; and a heap that does nothing, for the cost of the replay.
 */
#include <kernel/host.h>
#include <kernel/panic.h>
#include <kernel/printk.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <reserved_segment.h>
#include "target.h"
#include "trace.h"

#define RESERVED (512u * MIB)

kheap_t grove_heap;

static reserved_segment_t reserved;
static char nothing_buffer[64];

/* ---- what the kernel would provide */

void panic(const char *format, ...)
{
    char sentence[2048];
    va_list args;

    va_start(args, format);
    vformat_text(sentence, sizeof(sentence), format, args);
    va_end(args);
    give_up(sentence, "panic");
}

int *host_errno(void)
{
    static int number;

    return &number;
}

void host_misuse(const char *sentence)
{
    panic("misuse: %s", sentence);
}

void host_symbol(size_t address, char *text, size_t size)
{
    format_text(text, size, "%#zx", address);
}

/* ---- the segment */

void target_new_heap(bool keep)
{
    const char *level = getenv("HEAP_LEVEL");

    if (reserved.segment.base == 0 && !reserved_segment_init(&reserved, RESERVED))
        panic("no %u bytes of address space", RESERVED);
    reserved.keep_pages = keep;
    reserved_segment_clear(&reserved);
    kheap_init(&grove_heap, &reserved.segment);
    if (level != NULL && strcmp(level, "full") == 0)
        kheap_tune(&grove_heap, KHEAP_TUNE_LEVEL, KHEAP_FULL);
}

void target_bounds(size_t *base, size_t *limit)
{
    *base = reserved.segment.base;
    *limit = reserved.segment.limit;
}

/* ---- the targets */

static void *grove_alloc(size_t size)
{
    return kheap_alloc(&grove_heap, size);
}

static void *grove_resize(void *buffer, size_t size)
{
    return kheap_realloc(&grove_heap, buffer, size);
}

static void grove_release(void *buffer)
{
    kheap_free(&grove_heap, buffer);
}

static void *nothing_alloc(size_t size)
{
    (void)size;
    return nothing_buffer;
}

static void *nothing_resize(void *buffer, size_t size)
{
    (void)size;
    return buffer;
}

static void nothing_release(void *buffer)
{
    (void)buffer;
}

/* A realloc to 0 bytes may free the buffer: a replay never means that. */
static void *system_resize(void *buffer, size_t size)
{
    return realloc(buffer, size + (size == 0));
}

static const target_t targets[] = {
    { "grove", grove_alloc, grove_resize, grove_release },
    { "system", malloc, system_resize, free },
    { "nothing", nothing_alloc, nothing_resize, nothing_release },
};

const target_t *target_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(targets); i++) {
        if (strcmp(targets[i].name, name) == 0)
            return &targets[i];
    }
    return NULL;
}
