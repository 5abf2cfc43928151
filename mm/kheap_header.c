/*
 * Superbuffers of a heap at level full: what they look like, and whether they do.
 */
#include <kernel/kheap_header.h>

#define CANARY_BITS (SIZE_MAX / 255 * 0x80)     /* no canary's byte is a character, or 0 */
#define UNKNOWN     ((size_t)1)     /* the site of a free that has none */

/* --- What a superbuffer should look like --- */

size_t kheap_header_length_for(size_t size)
{
    size_t length = align_up(REGISTRY + FULL_BEFORE + size + WORD, KHEAP_GRANULE);

    return length < SMALLEST ? SMALLEST : length;
}

static unsigned char canary_byte(const kheap_t *heap, size_t at)
{
    size_t word = (align_down(at, WORD) ^ heap->full.secret) * HASH_FACTOR | CANARY_BITS;

    return (unsigned char)(word >> at % WORD * 8);
}

static void set_canary(const kheap_t *heap, size_t at, size_t end)
{
    for (; at < end; at++)
        *(unsigned char *)at = canary_byte(heap, at);
}

/* The first byte that is not the canary's; `end`: all are */
static size_t after_canary(const kheap_t *heap, size_t at, size_t end)
{
    while (at < end && *(unsigned char *)at == canary_byte(heap, at))
        at++;
    return at;
}

/* => each step is one to one in each of its words */
size_t kheap_header_sum(const kheap_t *heap, size_t block, size_t length,
                       const kheap_full_header_t *header)
{
    size_t sum = heap->full.secret + block;

    sum = (sum ^ length) * HASH_FACTOR;
    sum = (sum ^ sum >> WORD * 4 ^ header->size) * HASH_FACTOR;
    sum = (sum ^ sum >> WORD * 4 ^ header->site) * HASH_FACTOR;
    sum = (sum ^ sum >> WORD * 4 ^ header->freed) * HASH_FACTOR;
    return sum ^ sum >> WORD * 4;
}

static void seal(const kheap_t *heap, size_t block)
{
    kheap_full_header_t *header = full_header(block);

    header->sum = kheap_header_sum(heap, block, block_length(block), header);
}

void kheap_header_set(const kheap_t *heap, size_t block, size_t size, size_t site)
{
    *full_header(block) = (kheap_full_header_t){ .size = size, .site = site };
    seal(heap, block);
    set_canary(heap, block + REGISTRY, (size_t)full_header(block));
    set_canary(heap, full_buffer(block) + size, block + block_length(block));
}

void kheap_header_set_freed(const kheap_t *heap, size_t block, size_t site)
{
    full_header(block)->freed = site != 0 ? site : UNKNOWN;
    seal(heap, block);
    kheap_header_fill(heap, block);
}

void kheap_header_fill(const kheap_t *heap, size_t block)
{
    size_t buffer = full_buffer(block);
    size_t size = full_header(block)->size;

    set_canary(heap, block + REGISTRY, (size_t)full_header(block));
    __builtin_memset((void *)buffer, FILL_FREED, size);
    set_canary(heap, buffer + size, block + block_length(block));
}

/* --- Is it so? --- */

/*
 * Can what is free next to a superbuffer be taken out of the trees? A gap before it
 * that the registry denies is found by its own last word: a canary is none.
 *
 * => sound_length was content with it
 */
static bool around_full(const kheap_t *heap, size_t block, size_t length)
{
    size_t next = block + length;
    size_t before = block != heap->start ? *block_length_before(block) : 0;
    bool denied = (*block_word(block) & BLOCK_AFTER_FREE) == 0;

    if (free_here(next) != 0 && !links_hold(heap, next))
        return false;
    if (before - 1 >= block - heap->start || before % KHEAP_ALIGN != 0
        || before != (*block_word(block - before) & ~BLOCK_VOID))
        return true;
    return !denied && links_hold(heap, block - before);
}

kheap_fault_t kheap_header_fault(const kheap_t *heap, size_t block, size_t cached)
{
    size_t length = sound_length(heap, block, cached);

    if (length < kheap_header_length_for(0))
        return (kheap_fault_t){ "its registry, or one next to it, is damaged", 0, 0 };
    const kheap_full_header_t *header = full_header(block);
    size_t buffer = full_buffer(block);
    size_t end = block + length;
    if (header->sum != kheap_header_sum(heap, block, length, header)
        || header->size > end - buffer - WORD || (header->freed != 0) != (cached != 0))
        return (kheap_fault_t){ "its header, or its registry, is damaged", 0, 0 };
    if (!around_full(heap, block, length))
        return (kheap_fault_t){ "the links of a gap next to it, or its registry, are damaged",
                                0, 0 };
    size_t at = after_canary(heap, block + REGISTRY, (size_t)header);
    if (at == (size_t)header)
        at = after_canary(heap, buffer + header->size, end);
    if (at != end)
        return (kheap_fault_t){ "its canary is damaged", at, canary_byte(heap, at) };
    at = cached != 0 ? after_fill(buffer, buffer + header->size) : buffer + header->size;
    if (at != buffer + header->size)
        return (kheap_fault_t){ "it was written to after it was freed", at, FILL_FREED };
    return (kheap_fault_t){ NULL, 0, 0 };
}

size_t kheap_header_length(const kheap_t *heap, size_t block)
{
    size_t left = heap->end - block;

    if (left < kheap_header_length_for(0))
        return 0;
    const kheap_full_header_t *header = full_header(block);
    size_t length = block_length(block);
    if (header->sum == kheap_header_sum(heap, block, length, header) && length - 1 < left)
        return length;
    length = header->size < left ? kheap_header_length_for(header->size) : 0;
    return header->sum == kheap_header_sum(heap, block, length, header) && length - 1 < left
         ? length : 0;
}
