/*
 * The kernel segment: virtual pages in a row at SEGMENT_BASE, over frames from
 * anywhere.
 */
#include <kernel/errno.h>
#include <kernel/layout.h>
#include <kernel/panic.h>
#include <kernel/physical.h>
#include <kernel/segment.h>
#include <kernel/virtual.h>

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

static int extend(segment_t *segment, size_t page_count)
{
    size_t end = segment->base + segment->length;
    size_t done = 0;
    int err = 0;

    if (page_count > (segment->limit - segment->length) / PAGE_SIZE)
        return -ENOMEM;
    while (done < page_count && err == 0) {
        err = segment_map_page(end + done * PAGE_SIZE);
        if (err == 0)
            done++;
    }
    if (err != 0)
        unmap_pages(end, done);     /* all or nothing */
    else
        segment->length += done * PAGE_SIZE;
    return err;
}

static void shrink(segment_t *segment, size_t page_count)
{
    ASSERT(page_count <= segment->length / PAGE_SIZE);
    segment->length -= page_count * PAGE_SIZE;
    unmap_pages(segment->base + segment->length, page_count);
}

segment_t kernel_segment;

void segment_init(void)
{
    kernel_segment = (segment_t){
        .base = SEGMENT_BASE,
        .limit = SEGMENT_END - SEGMENT_BASE,
        .extend = extend,
        .shrink = shrink,
    };
}
