/*
 * What is wrong with a pointer that the heap was given, or with the memory that it
 * was about to give, told to the host.
 */
#include <kernel/kheap_slab.h>

#include <kernel/host.h>
#include <kernel/printk.h>

#define SENTENCE_SIZE 160

/* Find out what is wrong with a pointer into a slab. */
static void explain_cell(const kheap_t *heap, const char *call, size_t buffer, char *text,
                         size_t size)
{
    kheap_slab_t *slab = slab_of(heap, (void *)buffer);
    size_t cell_size = slab->class * KHEAP_ALIGN;
    size_t number = (buffer & PAGE_MASK) / cell_size;
    size_t last = heap->class[slab->class].cells - 1u;
    void *cell = (void *)((buffer & ~(size_t)PAGE_MASK)
                          + (number < last ? number : last) * cell_size);

    format_text(text, size, "%s(%p): %s %p of %zu bytes", call, (void *)buffer,
                number > last ? "behind the last buffer of its page,"
                : !cell_used(slab, cell) ? "free already: in the buffer"
                : "inside the buffer", cell, cell_size);
}

/* Find out what is wrong with a pointer: a walk over the heap, until it is found. */
static void explain(kheap_t *heap, const char *call, size_t buffer, char *text, size_t size)
{
    size_t block = heap->start;

    if (buffer - heap->start >= heap->end - heap->start) {
        format_text(text, size, "%s(%p): not in the heap, which is %p to %p", call,
                    (void *)buffer, (void *)heap->start, (void *)heap->end);
        return;
    }
    kheap_slab_t *slab = slab_of(heap, (void *)buffer);
    if (slab != NULL && slab->class != 0) {
        explain_cell(heap, call, buffer, text, size);
        return;
    }
    for (;;) {
        size_t word = *block_word(block);
        size_t length = word & BLOCK_LENGTH;
        bool used = (word & BLOCK_SUPERBUFFER) != 0;
        bool cached = used && (word & BLOCK_CACHED) != 0;
        bool sound = used ? any_sound(block, word) && length - 1 < heap->end - block
                                && cached == kheap_is_cached(heap, block, length)
                                && ((word & BLOCK_SLAB) != 0) == kheap_is_slab(heap, block)
                          : free_sound(heap, block);
        if (!sound) {
            format_text(text, size, "%s(%p): the registry at %p is damaged: %p", call,
                        (void *)buffer, (void *)block, (void *)word);
            return;
        }
        if (buffer - block < length) {
            bool start = block + REGISTRY == buffer;
            format_text(text, size, "%s(%p): %s %p of %zu bytes%s", call, (void *)buffer,
                        cached ? "free already: in the cached buffer"
                        : !used ? "free already: in the gap"
                        : start ? "buffer" : "inside the buffer",
                        used ? buffer_of(block) : (void *)block,
                        used ? length - REGISTRY : length,
                        used && start && !cached ? ", a registry next to it is damaged" : "");
            return;
        }
        block += length;
    }
}

void kheap_misuse(kheap_t *heap, const char *call, void *buffer)
{
    char text[SENTENCE_SIZE];

    heap->misuses++;
    explain(heap, call, (size_t)buffer, text, sizeof(text));
    splock_unlock(&heap->lock);
    host_misuse(text);
}

void kheap_overwritten(kheap_t *heap, const char *call, const void *buffer)
{
    char text[SENTENCE_SIZE];
    size_t at = heap->overwritten;
    size_t cached = heap->overwritten_cached;

    heap->misuses++;
    heap->overwritten = 0;
    heap->overwritten_cached = 0;
    if (cached > at)
        format_text(text, sizeof(text), "%s: the registry of the cached buffer %p, or one next "
                    "to it, is damaged", call, (void *)cached);
    else if (cached != 0)
        format_text(text, sizeof(text), "%s: the cached buffer %p was written to after it was "
                    "freed: at %p, byte %zu of it", call, (void *)cached, (void *)at, at - cached);
    else if (buffer == NULL)
        format_text(text, sizeof(text), "%s: the gap %p was written to after it was freed: "
                    "its links, or those of its equals, are damaged", call, (void *)at);
    else
        format_text(text, sizeof(text), "%s: the new buffer %p was written to after it was "
                    "freed: at %p, byte %zu of it", call, buffer, (void *)at, at - (size_t)buffer);
    splock_unlock(&heap->lock);
    host_misuse(text);
}
