/*
 * The model: a slot for each live buffer, whose bytes are those of one table of random
 * bytes from the slot's own place on.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/panic.h>
#include <kernel/printk.h>
#include <kernel/superbuffer.h>
#include "model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fake_segment.h>

#define SEEDS    4096u      /* places in the table */
#define FULL_MORE 256u      /* what a full heap's header, canary and alignment take at most */

typedef struct slot {
    unsigned char *buffer;  /* NULL: none */
    unsigned char *last;    /* the buffer that was freed last, or NULL */
    size_t size;
    size_t seed;
} slot_t;

static struct {
    fake_segment_t fake;
    kheap_t heap;
    slot_t slot[MODEL_SLOTS];
    size_t live;
    size_t next_seed;
    size_t misuses;         /* reported to host_misuse */
    char misuse[512];       /* the last one */
} model;

static unsigned char bytes[MODEL_LIMIT + SEEDS];

/* ---- the end of the program */

static _Noreturn __attribute__((format(printf, 1, 2))) void fail(const char *format, ...)
{
    va_list args;

    fputs("fuzz: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

#define CHECK(condition, ...) \
    do { \
        if (!(condition)) \
            fail(__VA_ARGS__); \
    } while (0)

/* ---- what the kernel would provide */

void panic(const char *format, ...)
{
    char sentence[512];
    va_list args;

    va_start(args, format);
    vformat_text(sentence, sizeof(sentence), format, args);
    va_end(args);
    fail("panic: %s", sentence);
}

int *host_errno(void)
{
    static int number;

    return &number;
}

void host_symbol(size_t address, char *text, size_t size)
{
    format_text(text, size, "%#zx", address);
}

void host_misuse(const char *sentence)
{
    model.misuses++;
    snprintf(model.misuse, sizeof(model.misuse), "%s", sentence);
}

/* ---- contents */

static void paint(slot_t *slot)
{
    slot->seed = model.next_seed++ % SEEDS;
    memcpy(slot->buffer, bytes + slot->seed, slot->size);
}

static void check_painted(const slot_t *slot, const unsigned char *buffer, size_t size)
{
    const unsigned char *expected = bytes + slot->seed;

    if (memcmp(buffer, expected, size) == 0)
        return;
    for (size_t i = 0; i < size; i++)
        CHECK(buffer[i] == expected[i], "byte %zu of the %zu at %p is %#x, was %#x", i,
              slot->size, (const void *)buffer, buffer[i], expected[i]);
}

/* ---- the heap */

static kheap_stat_t stat_of(void)
{
    kheap_stat_t stat;

    kheap_stat(&model.heap, &stat);
    return stat;
}

static void check_silent(void)
{
    CHECK(model.misuses == 0, "reported without a misuse: %s", model.misuse);
}

/* Is it a buffer that may be handed out: in the segment, aligned, and nobody else's? */
static void check_new(const slot_t *slot, const unsigned char *buffer, size_t size, size_t align)
{
    const segment_t *segment = &model.fake.segment;
    size_t start = (size_t)buffer;
    size_t usable = kheap_usable_size(&model.heap, (void *)start);

    check_silent();
    CHECK(start % align == 0, "%p is not aligned to %zu", (const void *)buffer, align);
    CHECK(usable >= size, "%zu bytes asked for, %zu usable", size, usable);
    CHECK(start - segment->base < segment->length
          && usable <= segment->base + segment->length - start,
          "%p with %zu bytes leaves the segment", (const void *)buffer, usable);
    for (size_t i = 0; i < MODEL_SLOTS; i++) {
        const slot_t *other = &model.slot[i];
        size_t other_start = (size_t)other->buffer;
        CHECK(other == slot || other->buffer == NULL
              || start + (usable != 0 ? usable : 1) <= other_start
              || other_start + (other->size != 0 ? other->size : 1) <= start,
              "%p with %zu bytes overlaps %p with %zu", (const void *)buffer, usable,
              (const void *)other->buffer, other->size);
    }
}

/* Did a call have to succeed: is there, before it, a gap that is long enough? */
static bool must_fit(size_t size, size_t align)
{
    size_t more = REGISTRY + KHEAP_GRANULE + (align > KHEAP_GRANULE ? align : 0)
                + (model.heap.level == KHEAP_FULL ? FULL_MORE : 0);

    return size <= MODEL_LIMIT && stat_of().largest_gap >= size + more;
}

static void fill_slot(slot_t *slot, unsigned char *buffer, size_t size, size_t align, bool fits)
{
    check_silent();
    CHECK(buffer != NULL || !fits, "no %zu bytes, though there is a gap for them", size);
    if (buffer == NULL)
        return;
    check_new(slot, buffer, size, align);
    slot->buffer = buffer;
    slot->size = size;
    model.live++;
    paint(slot);
}

/* ---- the calls */

void model_start(void)
{
    if (model.fake.segment.base == 0) {
        size_t state = 1;
        for (size_t i = 0; i < sizeof(bytes); i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            bytes[i] = (unsigned char)(state >> 56);
        }
        fake_segment_init(&model.fake, MODEL_LIMIT);
    }
    memset(model.slot, 0, sizeof(model.slot));
    model.live = 0;
    model.next_seed = 0;
    model.misuses = 0;
    model_fail(0, 0);
    kheap_init(&model.heap, &model.fake.segment);
}

bool model_live(size_t slot)
{
    return model.slot[slot].buffer != NULL;
}

size_t model_live_count(void)
{
    return model.live;
}

void model_alloc(size_t slot, size_t size)
{
    bool fits = must_fit(size, 1);

    fill_slot(&model.slot[slot], kheap_alloc(&model.heap, size), size, KHEAP_ALIGN, fits);
}

void model_calloc(size_t slot, size_t count, size_t size)
{
    size_t total;
    bool overflow = __builtin_mul_overflow(count, size, &total);
    bool fits = !overflow && must_fit(total, 1);
    unsigned char *buffer = kheap_calloc(&model.heap, count, size);

    CHECK(buffer == NULL || !overflow, "calloc of %zu times %zu bytes", count, size);
    CHECK(buffer == NULL || total == 0
          || (buffer[0] == 0 && memcmp(buffer, buffer + 1, total - 1) == 0),
          "calloc of %zu times %zu bytes is not clear", count, size);
    fill_slot(&model.slot[slot], buffer, total, KHEAP_ALIGN, fits);
}

void model_memalign(size_t slot, size_t align, size_t size)
{
    bool power = align != 0 && (align & (align - 1)) == 0;
    bool fits = power && align <= MODEL_LIMIT && must_fit(size, align);
    unsigned char *buffer = kheap_memalign(&model.heap, align, size);

    CHECK(buffer == NULL || power, "memalign to %zu", align);
    fill_slot(&model.slot[slot], buffer, size, align > KHEAP_ALIGN ? align : KHEAP_ALIGN, fits);
}

void model_realloc(size_t slot, size_t size)
{
    slot_t *of = &model.slot[slot];
    size_t kept = size < of->size ? size : of->size;
    bool fits = (of->buffer != NULL && size <= of->size) || must_fit(size, 1);
    unsigned char *buffer = kheap_realloc(&model.heap, of->buffer, size);

    check_silent();
    if (of->buffer == NULL) {
        fill_slot(of, buffer, size, KHEAP_ALIGN, fits);
        return;
    }
    if (buffer == NULL) {
        CHECK(!fits, "realloc from %zu to %zu bytes failed", of->size, size);
        check_painted(of, of->buffer, of->size);
        return;
    }
    check_new(of, buffer, size, KHEAP_ALIGN);
    check_painted(of, buffer, kept);
    if (buffer != of->buffer)
        of->last = of->buffer;
    of->buffer = buffer;
    of->size = size;
    paint(of);
}

void model_free(size_t slot)
{
    slot_t *of = &model.slot[slot];

    check_painted(of, of->buffer, of->size);
    kheap_free(&model.heap, of->buffer);
    check_silent();
    of->last = of->buffer;
    of->buffer = NULL;
    of->size = 0;
    model.live--;
}

void model_use_all(size_t slot)
{
    slot_t *of = &model.slot[slot];
    size_t usable = kheap_usable_size(&model.heap, of->buffer);

    check_silent();
    CHECK(usable >= of->size, "%zu bytes asked for, %zu usable", of->size, usable);
    check_painted(of, of->buffer, of->size);
    of->size = usable;
    paint(of);
}

static bool is_live(const void *buffer)
{
    for (size_t i = 0; i < MODEL_SLOTS; i++) {
        if (model.slot[i].buffer == buffer)
            return true;
    }
    return false;
}

void model_misuse(size_t slot, size_t offset, size_t call)
{
    slot_t *of = &model.slot[slot];
    void *wrong = of->buffer != NULL ? (void *)((size_t)of->buffer + offset) : of->last;
    kheap_stat_t before = stat_of();

    if (wrong == NULL || is_live(wrong))
        return;
    if (call % 3 == 0)
        kheap_free(&model.heap, wrong);
    else if (call % 3 == 1)
        CHECK(kheap_realloc(&model.heap, wrong, offset) == NULL, "realloc of %p, which is no"
              " buffer", wrong);
    else
        CHECK(kheap_usable_size(&model.heap, wrong) == 0, "%p, which is no buffer, has a size",
              wrong);
    CHECK(model.misuses == 1, "%zu reports of the misuse of %p", model.misuses, wrong);
    model.misuses = 0;
    kheap_stat_t after = stat_of();
    CHECK(after.misuse_count == before.misuse_count + 1, "a misuse was not counted");
    CHECK(after.used == before.used && after.free == before.free
          && after.cached == before.cached, "a misuse of %p changed the heap", wrong);
}

void model_damage(size_t offset, size_t word)
{
    size_t at = model.fake.segment.base + align_down(offset, sizeof(size_t));

    if (offset >= model.fake.segment.length)
        return;
    for (size_t i = 0; i < MODEL_SLOTS; i++) {
        const slot_t *slot = &model.slot[i];
        if (slot->buffer != NULL && at + sizeof(size_t) > (size_t)slot->buffer
            && at < (size_t)slot->buffer + slot->size)
            return;
    }
    size_t kept = *(size_t *)at;
    *(size_t *)at = word;
    kheap_check(&model.heap);
    *(size_t *)at = kept;
    model_check();
}

/* The registry of the n-th superbuffer, slabs and cached ones included; then that of the end. */
static size_t registry(size_t n)
{
    size_t at = model.heap.start;

    for (; at != model.heap.end; at += block_length(at)) {
        if ((*block_word(at) & BLOCK_SUPERBUFFER) != 0 && n-- == 0)
            break;
    }
    return at;
}

bool model_break(size_t place, unsigned char change)
{
    size_t length = model_length();
    size_t at = model_base() + place % (length != 0 ? length : 1);

    if (length == 0)
        return false;
    if (model.heap.level != KHEAP_FULL || place % 2 != 0) {
        size_t n = (place >> 4) % (model.heap.superbuffers + 1);
        at = registry(n) + (place >> 1) % REGISTRY;
    }
    *(unsigned char *)at ^= change;
    return true;
}

void model_meet(size_t call, size_t slot, size_t size)
{
    slot_t *of = &model.slot[slot];
    void *moved;

    switch (call % 10) {
    case 0:
    case 1:
    case 2:
        kheap_free(&model.heap, of->buffer);
        of->buffer = NULL;
        break;
    case 3:
        moved = kheap_realloc(&model.heap, of->buffer, size);
        of->buffer = moved != NULL ? moved : of->buffer;
        break;
    case 4:
        kheap_memalign(&model.heap, (size_t)1 << call / 10 % 13, size);
        break;
    case 5:
        kheap_usable_size(&model.heap, of->buffer);
        break;
    case 6:
        kheap_flush(&model.heap);
        break;
    case 7:
        kheap_trim(&model.heap, size);
        break;
    default:
        kheap_alloc(&model.heap, size);
    }
}

void model_abandon(void)
{
    segment_t *segment = &model.fake.segment;
    kheap_site_t row[4];

    kheap_check(&model.heap);
    kheap_leaks(&model.heap, row, ARRAY_LENGTH(row), NULL, 0);
    memset(segment->side, 0, segment->length / PAGE_SIZE * SEGMENT_SIDE);
    if (segment->length != 0)
        segment->shrink(segment, segment->length / PAGE_SIZE);
}

size_t model_base(void)
{
    return model.fake.segment.base;
}

size_t model_length(void)
{
    return model.fake.segment.length;
}

void model_trim(size_t keep)
{
    size_t length = model.fake.segment.length;
    size_t given = kheap_trim(&model.heap, keep);

    check_silent();
    CHECK(model.fake.segment.length == length - given, "trim says %zu bytes, the segment %zu",
          given, length - model.fake.segment.length);
    CHECK(stat_of().cached == 0, "trim left %zu bytes cached", stat_of().cached);
}

void model_flush(void)
{
    kheap_stat_t before = stat_of();
    size_t flushed = kheap_flush(&model.heap);
    kheap_stat_t after = stat_of();

    check_silent();
    CHECK(flushed == before.cached + (before.slab_count - after.slab_count) * PAGE_SIZE
          && after.cached == 0, "flush of %zu cached bytes merged %zu", before.cached, flushed);
}

void model_tune(size_t tunable, size_t value)
{
    static const struct {
        kheap_tunable_t tunable;
        size_t most;
    } known[] = {
        { KHEAP_TUNE_CACHE_BYTES, SIZE_MAX },
        { KHEAP_TUNE_CACHE_COUNT, KHEAP_CACHED_COUNT },
        { KHEAP_TUNE_SLABS, SIZE_MAX },
        { KHEAP_TUNE_QUARANTINE_BYTES, SIZE_MAX },
        { KHEAP_TUNE_QUARANTINE_COUNT, KHEAP_QUARANTINE_COUNT },
        { (kheap_tunable_t)0x4711, 0 },
    };
    size_t i = tunable % ARRAY_LENGTH(known);
    bool valid = i + 1 < ARRAY_LENGTH(known) && value <= known[i].most;
    int err = kheap_tune(&model.heap, known[i].tunable, value);

    check_silent();
    CHECK(err == (valid ? 0 : -EINVAL), "tune %zu to %zu: %d", i, value, err);
}

void model_level(size_t value)
{
    kheap_level_t level = value % 2 != 0 ? KHEAP_FULL : KHEAP_BASIC;
    int err = kheap_tune(&model.heap, KHEAP_TUNE_LEVEL, level);

    check_silent();
    CHECK(err == (model.live == 0 ? 0 : -EBUSY), "level with %zu in use: %d", model.live, err);
}

void model_fail(size_t nth, size_t most)
{
    model.fake.fail_at = nth != 0 ? model.fake.extend_count + nth : 0;
    model.fake.most_pages = most;
}

void model_check(void)
{
    const char *wrong = kheap_check(&model.heap);
    kheap_stat_t stat = stat_of();

    CHECK(wrong == NULL, "kheap_check: %s", wrong);
    CHECK(stat.buffer_count == model.live, "%zu buffers, the heap says %zu", model.live,
          stat.buffer_count);
    CHECK(stat.used + stat.cached + stat.slab_free + stat.free + stat.void_bytes
          == (stat.segment == 0 ? 0 : stat.segment - KHEAP_GRANULE),
          "the figures do not add up to %zu bytes", stat.segment);
    CHECK(stat.segment == model.fake.segment.length, "the segment has %zu bytes, the heap says"
          " %zu", model.fake.segment.length, stat.segment);
}

void model_finish(void)
{
    for (size_t i = 0; i < MODEL_SLOTS; i++) {
        if (model_live(i))
            model_free(i);
    }
    kheap_free(&model.heap, NULL);
    CHECK(kheap_usable_size(&model.heap, NULL) == 0, "NULL has a size");
    model_trim(0);
    model_check();
    CHECK(model.fake.segment.length == 0, "%zu bytes stay in the segment of an empty heap",
          model.fake.segment.length);
}
