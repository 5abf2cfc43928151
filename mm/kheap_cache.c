/*
 * The cache of a heap: freed superbuffers that were not merged yet, out of the
 * table and into the trees.
 */
#include <kernel/kheap_slab.h>

#include <kernel/errno.h>
#include <kernel/kheap_full.h>
#include <kernel/kheap_header.h>

static_assert(KHEAP_CACHED_LENGTH >= KIB + REGISTRY && KHEAP_CACHED_LENGTH % KHEAP_GRANULE == 0,
              "buffers of 1 KiB are cached");

/* So many places of the table are looked at for a superbuffer that is long enough. */
#define ROOM_LOOKS 8u

size_t kheap_cached_count(const kheap_t *heap)
{
    size_t count = heap->full.count;

    for (size_t i = 0; i < ARRAY_LENGTH(heap->cache.of); i++)
        count += heap->cache.of[i].count;
    return count;
}

bool kheap_is_cached(const kheap_t *heap, size_t block, size_t length)
{
    const kheap_cached_t *same = cached_of((kheap_cache_t *)&heap->cache, length);

    if (heap->level == KHEAP_FULL)
        return kheap_full_holds(heap, block);
    for (size_t i = 0; same->length == length && i < same->count; i++) {
        if (same->block[i] == block)
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
    heap->cached -= length;
    count_out(heap, length);
    kheap_release(heap, block, length, *block_word(block));
}

/* Merge number i of a length. => false: it is damaged, and stays */
static bool merge_number(kheap_t *heap, kheap_cached_t *same, size_t i)
{
    size_t block = same->block[i];

    if (UNLIKELY(sound_length(heap, block, BLOCK_CACHED) != same->length)) {
        heap->overwritten = block;
        heap->overwritten_cached = block + REGISTRY;
        return false;
    }
    for (same->count--; i < same->count; i++)
        same->block[i] = same->block[i + 1];
    merge_one(heap, block, same->length);
    return true;
}

bool kheap_cache_contest(kheap_t *heap, kheap_cached_t *same)
{
    return same->contested++ != 0 && same->count == 1 && merge_number(heap, same, 0);
}

size_t kheap_merge_cached(kheap_t *heap)
{
    size_t bytes = heap->cached;

    if (heap->level == KHEAP_FULL)
        return kheap_full_merge(heap);
    for (size_t i = 0; i < ARRAY_LENGTH(heap->cache.of) && heap->cached != 0; i++) {
        kheap_cached_t *same = &heap->cache.of[i];

        for (size_t n = same->count; n > 0; n--)
            merge_number(heap, same, n - 1);
    }
    return bytes - heap->cached + kheap_slab_merge(heap);
}

bool kheap_merge_some(kheap_t *heap, size_t count, size_t most_visited)
{
    kheap_cache_t *cache = &heap->cache;
    size_t merged = 0;

    for (size_t i = 0; i < ARRAY_LENGTH(cache->of) && heap->cached != 0; i++) {
        kheap_cached_t *same = &cache->of[cache->turn];

        if (same->count != 0 && merge_number(heap, same, 0)
            && (++merged == count || heap->tree.visited >= most_visited))
            break;
        cache->turn = (cache->turn + 1) % ARRAY_LENGTH(cache->of);
    }
    return merged != 0;
}

bool kheap_cache_room(kheap_t *heap, size_t length)
{
    kheap_cache_t *cache = &heap->cache;

    if (length > cache->most_bytes / KHEAP_CACHE_PART || heap->tree.visited != 0)
        return false;
    for (size_t i = 0; i < ROOM_LOOKS; i++) {
        kheap_cached_t *same = &cache->of[cache->turn];

        cache->turn = (cache->turn + 1) % ARRAY_LENGTH(cache->of);
        if (same->count != 0 && heap->cached - same->length + length <= cache->most_bytes)
            return merge_number(heap, same, 0);
    }
    return false;
}

/* Take a superbuffer out of the middle of the table and merge it. => false: it is damaged */
static bool merge_from_table(kheap_t *heap, size_t block, size_t length)
{
    kheap_cached_t *same = cached_of(&heap->cache, length);
    size_t i = 0;

    while (same->block[i] != block)
        i++;
    return merge_number(heap, same, i);
}

/* The length of the cached superbuffer here. => 0: there is none, or it is damaged */
static size_t cached_length(kheap_t *heap, size_t block)
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
            bool merged = merge_from_table(heap, at, block_length(at));
            at = merged ? block + old : end;    /* one gap now, up to it and further */
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
    } else if (tunable == KHEAP_TUNE_SLABS && (value == 0 || heap->slab != NULL)) {
        kheap_merge_cached(heap);
        heap->most_slabs = value;
    } else {
        err = kheap_full_tune(heap, tunable, value);
    }
    unlock(heap, "kheap_tune", NULL);
    return err;
}
