/*
 * The reserved segment: what a heap has mapped is a number here, and the system's
 * pages come with the first touch. To ask for them when it grows (MADV_POPULATE_WRITE)
 * was tried: no faster.
 */
#include <kernel/errno.h>
#include <kernel/layout.h>
#include "reserved_segment.h"

#include <string.h>
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
    size_t side = (limit >> PAGE_SHIFT) * SEGMENT_SIDE;
    char *base = mmap(NULL, limit + side, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    *reserved = (reserved_segment_t){ .segment = { .extend = extend, .shrink = shrink } };
    if (base == MAP_FAILED)
        return false;
    reserved->segment.base = (size_t)base;
    reserved->segment.limit = limit;
    reserved->segment.side = base + limit;
    return true;
}

void reserved_segment_clear(reserved_segment_t *reserved)
{
    segment_t *segment = &reserved->segment;

    memset(segment->side, 0, (segment->length >> PAGE_SHIFT) * SEGMENT_SIDE);
    segment->length = 0;
}
