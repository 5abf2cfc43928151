/*
 * The fake segment: one reservation of address space, made accessible by pages.
 */
#include <kernel/errno.h>
#include <kernel/layout.h>
#include <kernel/panic.h>
#include "fake_segment.h"

#include <string.h>
#include <sys/mman.h>

#define GARBAGE 0xa5
#define BASE    ((void *)0x30000000)    /* if it is free: check bits depend on the address */

static int extend(segment_t *segment, size_t page_count)
{
    fake_segment_t *fake = CONTAINER_OF(segment, fake_segment_t, segment);
    void *end = (void *)(segment->base + segment->length);
    size_t bytes = page_count * PAGE_SIZE;

    ASSERT(page_count > 0);
    if (++fake->extend_count == fake->fail_at)
        return -ENOMEM;
    if (fake->most_pages != 0 && page_count > fake->most_pages)
        return -ENOMEM;
    if (bytes > segment->limit - segment->length)
        return -ENOMEM;
    ASSERT(mprotect(end, bytes, PROT_READ | PROT_WRITE) == 0);
    memset(end, GARBAGE, bytes);
    segment->length += bytes;
    return 0;
}

static void shrink(segment_t *segment, size_t page_count)
{
    fake_segment_t *fake = CONTAINER_OF(segment, fake_segment_t, segment);
    size_t bytes = page_count * PAGE_SIZE;

    ASSERT(page_count > 0 && bytes <= segment->length);
    fake->shrink_count++;
    segment->length -= bytes;
    ASSERT(mprotect((void *)(segment->base + segment->length), bytes, PROT_NONE) == 0);
}

segment_t *fake_segment_init(fake_segment_t *fake, size_t limit)
{
    void *base = mmap(BASE, limit, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    ASSERT(base != MAP_FAILED);
    void *side = mmap(NULL, limit / PAGE_SIZE * SEGMENT_SIDE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT(side != MAP_FAILED);
    *fake = (fake_segment_t){
        .segment = { .base = (size_t)base, .limit = limit, .side = side, .extend = extend,
                     .shrink = shrink },
    };
    return &fake->segment;
}

void fake_segment_destroy(fake_segment_t *fake)
{
    if (fake->segment.limit != 0) {
        munmap((void *)fake->segment.base, fake->segment.limit);
        munmap(fake->segment.side, fake->segment.limit / PAGE_SIZE * SEGMENT_SIDE);
    }
    fake->segment.limit = 0;
}
