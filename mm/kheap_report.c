/*
 * What the heap says about the place where it found something wrong: what is there,
 * before it and after it. Each word is looked at before it is believed, for any of
 * them may be what is wrong.
 */
#include <kernel/kheap_report.h>
#include <kernel/kheap_slab.h>

#include <kernel/host.h>
#include <kernel/printk.h>

#define SYMBOL_SIZE 64

void kheap_report_add(kheap_report_t *report, const char *format, ...)
{
    size_t left = REPORT_SIZE - report->used;
    va_list args;

    va_start(args, format);
    size_t length = (size_t)vformat_text(report->text + report->used, left, format, args);
    va_end(args);
    report->used += length < left ? length : left - 1;
}

static void add_site(kheap_report_t *report, const char *what, size_t site)
{
    char symbol[SYMBOL_SIZE];

    host_symbol(site, symbol, sizeof(symbol));
    kheap_report_add(report, "%s%s", what, symbol);
}

/* What is here. => block: not the end of the segment */
static kheap_place_t place_at(const kheap_t *heap, size_t block)
{
    size_t word = *block_word(block);
    size_t length = word & BLOCK_LENGTH;
    bool used = (word & BLOCK_SUPERBUFFER) != 0;
    kheap_place_t place = { .block = block, .freed = (word & BLOCK_CACHED) != 0,
                            .buffer = block + REGISTRY };

    if (!used && free_sound(heap, block)) {
        place.length = word & ~BLOCK_VOID;
        place.free = true;
        return place;
    }
    place.slab = kheap_is_slab(heap, block);
    place.freed = place.freed && kheap_is_cached(heap, block, length);
    size_t marks = (place.slab ? BLOCK_SLAB : 0) | (place.freed ? BLOCK_CACHED : 0);
    if (used && length - 1 < heap->end - block && superbuffer_sound(block, word ^ marks))
        place.length = length;
    place.size = place.length - REGISTRY;
    if (heap->level != KHEAP_FULL)
        return place;
    place.buffer = full_buffer(block);
    length = kheap_header_length(heap, block);
    if (length != 0) {
        place.length = length;
        place.size = full_header(block)->size;
        place.freed = full_header(block)->freed != 0;
    } else if (place.length < REGISTRY + FULL_BEFORE) {
        place.length = 0;
    } else {
        place.size -= FULL_BEFORE;
    }
    return place;
}

kheap_place_t kheap_report_find(const kheap_t *heap, size_t address)
{
    kheap_place_t place = place_at(heap, heap->start);

    while (place.length != 0 && address - place.block >= place.length) {
        size_t before = place.block;

        place = place_at(heap, before + place.length);
        place.before = before;
    }
    return place;
}

/* --- Superbuffers of a full heap --- */

/* The one byte of a header, if there is one, that makes its sum right. */
static void add_header_byte(kheap_report_t *report, const kheap_t *heap, size_t block)
{
    kheap_full_header_t header = *full_header(block);
    size_t length = block_length(block);
    unsigned char *byte = (unsigned char *)&header;

    for (size_t i = 0; i < sizeof(header); i++) {
        unsigned char is = byte[i];

        for (unsigned was = 0; was < 256; was++) {
            byte[i] = (unsigned char)was;
            if (header.sum == kheap_header_sum(heap, block, length, &header)) {
                kheap_report_add(report, ": byte %zu of its header is 0x%02x, not 0x%02x", i, is,
                                 was);
                return;
            }
        }
        byte[i] = is;
    }
}

/* What is known and what is wrong of a superbuffer with a header. */
static void add_header(kheap_report_t *report, const kheap_t *heap, const kheap_place_t *place)
{
    const kheap_full_header_t *header = full_header(place->block);
    size_t cached = *block_word(place->block) & BLOCK_CACHED;
    kheap_fault_t fault = kheap_header_fault(heap, place->block, cached);

    if (kheap_header_length(heap, place->block) == 0) {
        kheap_report_add(report, "; its header is damaged");
        add_header_byte(report, heap, place->block);
        return;
    }
    add_site(report, ", allocated by ", header->site);
    if (header->freed != 0)
        add_site(report, ", freed by ", header->freed);
    if (fault.what != NULL)
        kheap_report_add(report, "; %s", fault.what);
    if (fault.at != 0)
        kheap_report_add(report, ": byte %td, at %p, is 0x%02x, not 0x%02x",
                         (ptrdiff_t)(fault.at - place->buffer), (void *)fault.at,
                         *(unsigned char *)fault.at, fault.was);
}

/* --- Lines --- */

static void add_place(kheap_report_t *report, const kheap_t *heap, const char *where,
                      const kheap_place_t *place)
{
    size_t word = *block_word(place->block);
    const char *freed = heap->level == KHEAP_FULL ? "quarantined " : "cached ";

    kheap_report_add(report, "\n  %s: ", where);
    if (place->length == 0) {
        kheap_report_add(report, "the registry at %p is damaged: %p", (void *)place->block,
                         (void *)word);
    } else if (place->free) {
        kheap_report_add(report, "%s %p of %zu bytes", (word & BLOCK_VOID) != 0 ? "void" : "gap",
                         (void *)place->block, place->length);
    } else {
        kheap_report_add(report, "%s%s %p of %zu bytes", place->freed ? freed : "",
                         place->slab ? "slab" : "buffer", (void *)place->buffer, place->size);
        if (heap->level == KHEAP_FULL)
            add_header(report, heap, place);
    }
}

static void add_end(kheap_report_t *report, const kheap_t *heap)
{
    size_t word = *block_word(heap->end);

    kheap_report_add(report, "\n  after: the end of the segment");
    if ((word & ~BLOCK_AFTER_FREE) != superbuffer_word(heap->end, 0))
        kheap_report_add(report, ", its registry is damaged: %p", (void *)word);
}

void kheap_report_place(kheap_report_t *report, const kheap_t *heap, size_t address)
{
    if (heap->level == KHEAP_FULL)
        add_site(report, "\n  the call: ", heap->full.caller);
    if (address - heap->start >= heap->end - heap->start)
        return;
    kheap_place_t place = kheap_report_find(heap, address);
    size_t after = place.block + place.length;
    add_place(report, heap, place.length != 0 ? "there" : "on the way", &place);
    if (place.before != 0) {
        kheap_place_t before = place_at(heap, place.before);
        add_place(report, heap, "before", &before);
    } else {
        kheap_report_add(report, "\n  before: the start of the segment");
    }
    if (after == heap->end) {
        add_end(report, heap);
    } else if (place.length != 0) {
        place = place_at(heap, after);
        add_place(report, heap, "after", &place);
    }
}
