/*
 * The reserved segment: what a heap has mapped is a number here, and the system's
 * pages come with the first touch.
 */
#include <kernel/errno.h>
#include <kernel/layout.h>
#include "reserved_segment.h"

#include <sys/mman.h>

static int extend(segment_t *segment, size_t page_count)
{
    if (page_count > (segment->limit - segment->length) >> PAGE_SHIFT)
        return -ENOMEM;
    segment->length += page_count << PAGE_SHIFT;
    return 0;
}

/* Locked memory cannot be given back; then it stays, which no heap minds. */
static void shrink(segment_t *segment, size_t page_count)
{
    reserved_segment_t *reserved = CONTAINER_OF(segment, reserved_segment_t, segment);
    size_t bytes = page_count << PAGE_SHIFT;

    segment->length -= bytes;
    if (!reserved->keep_pages)
        (void)madvise((void *)(segment->base + segment->length), bytes, MADV_DONTNEED);
}

bool reserved_segment_init(reserved_segment_t *reserved, size_t limit)
{
    void *base = mmap(NULL, limit, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    *reserved = (reserved_segment_t){ .segment = { .extend = extend, .shrink = shrink } };
    if (base == MAP_FAILED)
        return false;
    reserved->segment.base = (size_t)base;
    reserved->segment.limit = limit;
    return true;
}
