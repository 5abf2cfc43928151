/*
 * The cache of a heap: freed superbuffers that were not merged yet, out of the
 * table and into the trees.
 */
#include <kernel/kheap_space.h>

#include <kernel/errno.h>
#include <kernel/kheap_full.h>
#include <kernel/kheap_header.h>

static_assert(KHEAP_CACHED_LENGTH >= KIB + REGISTRY && KHEAP_CACHED_LENGTH % KHEAP_GRANULE == 0,
              "buffers of 1 KiB are cached");

size_t kheap_cached_count(const kheap_t *heap)
{
    size_t count = heap->full.count;

    for (size_t i = 0; i < ARRAY_LENGTH(heap->cache.of); i++)
        count += heap->cache.of[i].count;
    return count;
}

bool kheap_is_cached(const kheap_t *heap, size_t block, size_t length)
{
    size_t index = length / KHEAP_GRANULE;

    if (heap->level == KHEAP_FULL)
        return kheap_full_holds(heap, block);
    if (length > KHEAP_CACHED_LENGTH)
        return false;
    for (size_t i = 0; i < heap->cache.of[index].count; i++) {
        if (heap->cache.of[index].block[i] == block)
            return true;
    }
    return false;
}

/* Merge a superbuffer that is in the table no more. => its registry is sound */
static void merge_one(kheap_t *heap, size_t block, size_t length)
{
    unsigned char *buffer = buffer_of(block);
    bool found = heap->overwritten != 0;

    look(heap, buffer, buffer + length - REGISTRY);
    if (!found && heap->overwritten != 0)
        heap->overwritten_cached = (size_t)buffer;
    heap->superbuffers--;
    heap->taken -= length;
    kheap_release(heap, block, length, *block_word(block));
}

size_t kheap_merge_cached(kheap_t *heap)
{
    size_t bytes = cached_bytes(heap);

    if (heap->level == KHEAP_FULL)
        return kheap_full_merge(heap);
    for (size_t i = 0; i < ARRAY_LENGTH(heap->cache.of) && cached_bytes(heap) != 0; i++) {
        kheap_cached_t *same = &heap->cache.of[i];
        size_t kept = 0;

        for (size_t n = 0; n < same->count; n++) {
            size_t block = same->block[n];

            if (LIKELY(sound_length(heap, block, BLOCK_CACHED) == i * KHEAP_GRANULE)) {
                merge_one(heap, block, i * KHEAP_GRANULE);
            } else {
                heap->overwritten = block;
                heap->overwritten_cached = block + REGISTRY;
                same->block[kept++] = block;
            }
        }
        same->count = kept;
    }
    return bytes - cached_bytes(heap);
}

/* Take a superbuffer out of the middle of the table and merge it. */
static void merge_from_table(kheap_t *heap, size_t block, size_t length)
{
    kheap_cached_t *same = &heap->cache.of[length / KHEAP_GRANULE];
    size_t i = 0;

    while (same->block[i] != block)
        i++;
    for (same->count--; i < same->count; i++)
        same->block[i] = same->block[i + 1];
    merge_one(heap, block, length);
}

/* The length of the cached superbuffer here. => 0: there is none, or it is damaged */
static size_t cached_length(const kheap_t *heap, size_t block)
{
    size_t length = sound_length(heap, block, BLOCK_CACHED);

    return kheap_is_cached(heap, block, length) ? length : 0;
}

void kheap_merge_behind(kheap_t *heap, size_t block, size_t old, size_t length)
{
    size_t end = block + old;       /* of what is free or cached */
    size_t at = end;

    while (end - block < length && end != heap->end) {
        size_t step = free_here(end);

        if (step == 0)
            step = cached_length(heap, end);
        if (step == 0)
            return;
        end += step;
    }
    while (at < end) {
        size_t step = free_here(at);

        if (step == 0) {
            merge_from_table(heap, at, block_length(at));
            at = block + old;       /* one gap now, up to what was merged and further */
        } else {
            at += step;
        }
    }
}

size_t kheap_flush(kheap_t *heap)
{
    splock_lock(&heap->lock);
    heap->full.caller = CALL_SITE;
    size_t bytes = kheap_merge_cached(heap);
    unlock(heap, "kheap_flush", NULL);
    return bytes;
}

int kheap_tune(kheap_t *heap, kheap_tunable_t tunable, size_t value)
{
    int err = 0;

    splock_lock(&heap->lock);
    heap->full.caller = CALL_SITE;
    if (tunable == KHEAP_TUNE_CACHE_BYTES) {
        kheap_merge_cached(heap);
        heap->cache.most_bytes = value < KHEAP_LARGEST ? value : KHEAP_LARGEST;
    } else if (tunable == KHEAP_TUNE_CACHE_COUNT && value <= KHEAP_CACHED_COUNT) {
        kheap_merge_cached(heap);
        heap->cache.most_count = value;
    } else {
        err = kheap_full_tune(heap, tunable, value);
    }
    unlock(heap, "kheap_tune", NULL);
    return err;
}
