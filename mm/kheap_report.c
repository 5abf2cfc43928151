/*
 * What the heap says about the place where it found something wrong: what is there,
 * before it and after it. Each word is looked at before it is believed, for any of
 * them may be what is wrong.
 */
#include <kernel/kheap_report.h>

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

/* The length of what is here. => 0: its registry is damaged, or it is the end of the segment */
static size_t length_at(const kheap_t *heap, size_t block)
{
    size_t word = *block_word(block);
    size_t length = word & BLOCK_LENGTH;
    bool used = (word & BLOCK_SUPERBUFFER) != 0;

    if (!used && free_sound(heap, block))
        return word & ~BLOCK_VOID;
    if (heap->level == KHEAP_FULL && block != heap->end)
        return kheap_full_length(heap, block);
    return used && superbuffer_sound(block, word & ~BLOCK_CACHED)
        && length - 1 < heap->end - block ? length : 0;
}

size_t kheap_report_find(const kheap_t *heap, size_t address, size_t *before)
{
    size_t block = heap->start;
    size_t last = 0;
    size_t length = length_at(heap, block);

    while (length != 0 && address - block >= length) {
        last = block;
        block += length;
        length = length_at(heap, block);
    }
    *before = length != 0 ? last : block;
    return length != 0 ? block : 0;
}

size_t kheap_report_buffer(const kheap_t *heap, size_t block, size_t *size)
{
    bool full = heap->level == KHEAP_FULL;

    *size = full ? full_header(block)->size : length_at(heap, block) - REGISTRY;
    return full ? full_buffer(block) : block + REGISTRY;
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
            if (header.sum == kheap_full_sum(heap, block, length, &header)) {
                kheap_report_add(report, ": byte %zu of its header is 0x%02x, not 0x%02x", i, is,
                                 was);
                return;
            }
        }
        byte[i] = is;
    }
}

static void add_full(kheap_report_t *report, const kheap_t *heap, size_t block)
{
    const kheap_full_header_t *header = full_header(block);
    size_t cached = *block_word(block) & BLOCK_CACHED;
    kheap_fault_t fault = kheap_full_fault(heap, block, cached);
    size_t buffer = full_buffer(block);

    kheap_report_add(report, "%s %p of %zu bytes",
                     header->freed != 0 ? "quarantined buffer" : "buffer", (void *)buffer,
                     header->size);
    add_site(report, ", allocated by ", header->site);
    if (header->freed != 0)
        add_site(report, ", freed by ", header->freed);
    if (fault.what != NULL)
        kheap_report_add(report, "; %s", fault.what);
    if (fault.at != 0)
        kheap_report_add(report, ": byte %td, at %p, is 0x%02x, not 0x%02x",
                         (ptrdiff_t)(fault.at - buffer), (void *)fault.at,
                         *(unsigned char *)fault.at, fault.was);
}

/* The header tells nothing, but a byte of it may. */
static void add_damaged(kheap_report_t *report, const kheap_t *heap, size_t block)
{
    kheap_report_add(report, "the registry at %p is damaged: %p", (void *)block,
                     (void *)*block_word(block));
    if (heap->level == KHEAP_FULL && block_length(block) > sizeof(size_t) + FULL_BEFORE
        && block_length(block) <= heap->end - block)
        add_header_byte(report, heap, block);
}

/* --- Lines --- */

static void add_block(kheap_report_t *report, const kheap_t *heap, const char *where, size_t block)
{
    size_t length = length_at(heap, block);
    size_t word = *block_word(block);

    kheap_report_add(report, "\n  %s: ", where);
    if (block == heap->end)
        kheap_report_add(report, "the end of the segment");
    else if (length == 0)
        add_damaged(report, heap, block);
    else if ((word & BLOCK_SUPERBUFFER) == 0 && free_sound(heap, block))
        kheap_report_add(report, "%s %p of %zu bytes", (word & BLOCK_VOID) != 0 ? "void" : "gap",
                         (void *)block, length);
    else if (heap->level == KHEAP_FULL)
        add_full(report, heap, block);
    else
        kheap_report_add(report, "%s %p of %zu bytes",
                         (word & BLOCK_CACHED) != 0 ? "cached buffer" : "buffer",
                         buffer_of(block), length - REGISTRY);
}

void kheap_report_place(kheap_report_t *report, const kheap_t *heap, size_t address)
{
    size_t before;

    if (heap->level == KHEAP_FULL)
        add_site(report, "\n  the call: ", heap->full.caller);
    if (address - heap->start >= heap->end - heap->start)
        return;
    size_t block = kheap_report_find(heap, address, &before);
    if (block == 0) {
        add_block(report, heap, "on the way", before);
        return;
    }
    add_block(report, heap, "there", block);
    if (before != 0)
        add_block(report, heap, "before", before);
    else
        kheap_report_add(report, "\n  before: the start of the segment");
    add_block(report, heap, "after", block + length_at(heap, block));
}
