/*
 * The kernel segment: virtual pages in a row at SEGMENT_BASE, over frames from
 * anywhere, and those with the heap's notes at SEGMENT_SIDE_BASE.
 */
#include <kernel/errno.h>
#include <kernel/layout.h>
#include <kernel/panic.h>
#include <kernel/physical.h>
#include <kernel/segment.h>
#include <kernel/string.h>
#include <kernel/virtual.h>

static_assert((SEGMENT_END - SEGMENT_BASE) / PAGE_SIZE * SEGMENT_SIDE
              <= SEGMENT_SIDE_END - SEGMENT_SIDE_BASE, "each page of the segment has its notes");

void segment_unmap_page(size_t vaddr)
{
    page_t page = virtual_unmap_kernel(vaddr);

    ASSERT(page != NO_TRANSLATION);
    free_physical_page(page);
}

static void unmap_pages(size_t vaddr, size_t page_count)
{
    for (size_t i = 0; i < page_count; i++)
        segment_unmap_page(vaddr + i * PAGE_SIZE);
}

int segment_map_page(size_t vaddr)
{
    page_t page = alloc_physical_page(OWNER_HEAP);
    int err;

    if (page == PAGE_NONE)
        return -ENOMEM;
    err = virtual_map_kernel(vaddr, page, ACCESS_WRITE | ACCESS_NOEXEC | ACCESS_GLOBAL);
    if (err != 0)
        free_physical_page(page);
    return err;
}

/* => all or nothing */
static int map_pages(size_t vaddr, size_t page_count)
{
    for (size_t i = 0; i < page_count; i++) {
        int err = segment_map_page(vaddr + i * PAGE_SIZE);

        if (err != 0) {
            unmap_pages(vaddr, i);
            return err;
        }
    }
    return 0;
}

/* The pages of the notes for so many bytes of the segment. */
static size_t side_pages(size_t length)
{
    return (length / PAGE_SIZE * SEGMENT_SIDE + PAGE_MASK) / PAGE_SIZE;
}

static int extend(segment_t *segment, size_t page_count)
{
    size_t longer = page_count * PAGE_SIZE;
    size_t side = (size_t)segment->side + side_pages(segment->length) * PAGE_SIZE;
    int err;

    if (page_count > (segment->limit - segment->length) / PAGE_SIZE)
        return -ENOMEM;
    size_t more = side_pages(segment->length + longer) - side_pages(segment->length);
    err = map_pages(side, more);
    if (err != 0)
        return err;
    err = map_pages(segment->base + segment->length, page_count);
    if (err != 0) {
        unmap_pages(side, more);
        return err;
    }
    memset((void *)side, 0, more * PAGE_SIZE);
    segment->length += longer;
    return 0;
}

static void shrink(segment_t *segment, size_t page_count)
{
    ASSERT(page_count <= segment->length / PAGE_SIZE);
    size_t side = side_pages(segment->length);

    segment->length -= page_count * PAGE_SIZE;
    unmap_pages(segment->base + segment->length, page_count);
    size_t left = side_pages(segment->length);
    unmap_pages((size_t)segment->side + left * PAGE_SIZE, side - left);
}

segment_t kernel_segment;

void segment_init(void)
{
    kernel_segment = (segment_t){
        .base = SEGMENT_BASE,
        .limit = SEGMENT_END - SEGMENT_BASE,
        .side = (void *)SEGMENT_SIDE_BASE,
        .extend = extend,
        .shrink = shrink,
    };
}
