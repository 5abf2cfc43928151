/*
 * A plain list of free pages, linked through the pages. And, for the cost of the
 * replay itself, an allocator that does nothing.
 */
#include <kernel/errno.h>
#include <kernel/layout.h>
#include <x86/cpu.h>

#include "baseline.h"

#define END ((page_t)0)

typedef struct free_page {
    page_t next;
} free_page_t;

static _Alignas(64) struct list {
    page_t head;
    size_t free;
    page_t start;
    page_t end;
} list;

static page_t nothing_page;

page_t list_alloc(void)
{
    page_t page = list.head;

    if (page != END) {
        list.head = ((free_page_t *)cpu_physical_address(page))->next;
        list.free--;
    }
    return page;
}

int list_free(page_t page)
{
    if (page < list.start || page >= list.end || (page & PAGE_MASK) != 0)
        return -EINVAL;
    ((free_page_t *)cpu_physical_address(page))->next = list.head;
    list.head = page;
    list.free++;
    return 0;
}

/* The lowest page comes first. */
void list_init(const boot_range_t *range)
{
    list = (struct list){ .head = END, .start = (page_t)range->base, .end = (page_t)range->end };
    for (page_t page = list.end; page > list.start; ) {
        page -= PAGE_SIZE;
        list_free(page);
    }
}

void nothing_init(const boot_range_t *range)
{
    nothing_page = (page_t)range->base;
}

NOINLINE page_t nothing_alloc(unsigned order)
{
    __asm__ volatile("" : : "r"(order));
    return nothing_page;
}

NOINLINE int nothing_free(page_t page, unsigned order)
{
    __asm__ volatile("" : : "r"(page), "r"(order));
    return 0;
}
