/*
 * What is wrong with a pointer that the heap was given, or with the memory that it
 * was about to give, told to the host: a sentence, and lines about the place.
 */
#include <kernel/kheap_report.h>

#include <kernel/host.h>
#include <kernel/kheap_slab.h>

/* Find out what is wrong with a pointer into a slab. */
static void explain_cell(kheap_report_t *report, const kheap_t *heap, const kheap_slab_t *slab,
                         size_t buffer)
{
    size_t number = (buffer & PAGE_MASK) / slab->cell_size;
    size_t last = heap->class[class_number(slab)].cells - 1u;
    void *cell = (void *)((buffer & ~(size_t)PAGE_MASK)
                          + (number < last ? number : last) * slab->cell_size);

    kheap_report_add(report, "%s %p of %u bytes",
                     number > last ? "behind the last buffer of its page,"
                     : !cell_used(slab, cell) ? "free already: in the buffer"
                     : "inside the buffer", cell, slab->cell_size);
}

/* Find out what is wrong with a pointer: a walk over the heap, until it is found. */
static void explain(kheap_report_t *report, const kheap_t *heap, const char *call, size_t buffer)
{
    bool full = heap->level == KHEAP_FULL;

    kheap_report_add(report, "%s(%p): ", call, (void *)buffer);
    if (buffer - heap->start >= heap->end - heap->start) {
        kheap_report_add(report, "not in the heap, which is %p to %p", (void *)heap->start,
                         (void *)heap->end);
        return;
    }
    const kheap_slab_t *slab = slab_of(heap, (void *)buffer);
    if (slab != NULL && slab->cell_size != 0) {
        explain_cell(report, heap, slab, buffer);
        return;
    }
    kheap_place_t place = kheap_report_find(heap, buffer);
    if (place.length == 0) {
        kheap_report_add(report, "the registry at %p is damaged: %p", (void *)place.block,
                         (void *)*block_word(place.block));
        return;
    }
    kheap_report_add(report, "%s %p of %zu bytes",
                     place.free ? "free already: in the gap"
                     : place.freed ? full ? "free already: in the quarantined buffer"
                                          : "free already: in the cached buffer"
                     : place.buffer == buffer ? "buffer" : "inside the buffer",
                     (void *)(place.free ? place.block : place.buffer),
                     place.free ? place.length : place.size);
    if (!place.free && !place.freed && place.buffer == buffer)
        kheap_report_add(report, ", %s", full ? kheap_header_fault(heap, place.block, 0).what
                                              : "a registry next to it is damaged");
}

void kheap_misuse(kheap_t *heap, const char *call, void *buffer)
{
    kheap_report_t report = { .used = 0 };

    heap->misuses++;
    explain(&report, heap, call, (size_t)buffer);
    kheap_report_place(&report, heap, (size_t)buffer);
    splock_unlock(&heap->lock);
    host_misuse(report.text);
}

static void explain_overwritten(kheap_report_t *report, const kheap_t *heap, const char *call,
                                const void *buffer)
{
    const char *kind = heap->level == KHEAP_FULL ? "quarantined" : "cached";
    size_t at = heap->overwritten;
    size_t cached = heap->overwritten_cached;

    kheap_report_add(report, "%s: ", call);
    if (at == heap->end)
        kheap_report_add(report, "the end of the segment, %p, or what is before it is damaged",
                         (void *)at);
    else if (cached > at)
        kheap_report_add(report, "the registry of the %s buffer %p, or one next to it, is damaged",
                         kind, (void *)cached);
    else if (cached != 0)
        kheap_report_add(report, "the %s buffer %p was written to after it was freed: at %p, "
                         "byte %zu of it", kind, (void *)cached, (void *)at, at - cached);
    else if (heap->full.damage == KHEAP_LINK)
        kheap_report_add(report, "the link at %p leads to %p, which does not lead back: a gap "
                         "was written to after it was freed", (void *)at, *(void **)at);
    else if (buffer == NULL || heap->full.damage == KHEAP_GAP)
        kheap_report_add(report, "the gap %p was written to after it was freed: its links, or "
                         "those of its equals, are damaged", (void *)at);
    else
        kheap_report_add(report, "the new buffer %p was written to after it was freed: at %p, "
                         "byte %td of it", buffer, (void *)at, (ptrdiff_t)(at - (size_t)buffer));
    if (heap->level == KHEAP_FULL && cached == 0 && at != heap->end
        && heap->full.damage == KHEAP_BYTE)
        kheap_report_add(report, " is 0x%02x, not 0x%02x", heap->full.found, FILL_FREED);
}

void kheap_overwritten(kheap_t *heap, const char *call, const void *buffer)
{
    kheap_report_t report = { .used = 0 };
    size_t cached = heap->overwritten_cached;

    heap->misuses++;
    explain_overwritten(&report, heap, call, buffer);
    size_t at = heap->overwritten;
    if (at - heap->start >= heap->end - heap->start)
        at = *(size_t *)at;     /* a link in the heap itself */
    kheap_report_place(&report, heap, at);
    if (heap->level == KHEAP_FULL && cached != 0 && cached <= heap->overwritten)
        kheap_header_fill(heap, cached - FULL_BEFORE - REGISTRY);
    heap->overwritten = 0;
    heap->overwritten_cached = 0;
    splock_unlock(&heap->lock);
    host_misuse(report.text);
}
