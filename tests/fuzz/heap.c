/*
 * The fuzzer's target: its bytes are a program of calls to a heap and to its model.
 *
 *   operation  1 byte     its place in the table below, modulo its length; 0xff: the last one
 *   slot       1 byte     which buffer
 *   size       2 bytes    the first chooses how the other is read: see read_size
 *
 * The program ends with its bytes; what is missing is 0. A buffer is freed before its slot
 * is filled again.
 *
 * The last operation damages a byte for good, calls the heap, and ends the program: the heap
 * may report that or not, and answer what it wants, but it neither faults nor hangs. Which
 * bytes is what the level promises (docs/heap.md): at level full any of the segment; at
 * level basic the registries, those of slabs and of what is cached too, and the end of the
 * segment. There a byte of a gap may well be a crash, and at every level the notes beside
 * the segment are taken to be out of reach.
 */
#include "model.h"

#define SMALL_HEAP 24u      /* up to so many buffers, the heap is checked after each call */
#define CHECK_EACH 8u       /* with more, after each so many */
#define MEET       0xffu    /* the last operation */
#define MEET_CALLS 8u       /* what calls it makes at most */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    const uint8_t *at;
    const uint8_t *end;
} input;

static size_t read_byte(void)
{
    return input.at < input.end ? *input.at++ : 0;
}

/*
 * Mostly small, and all that is next to where a heap may change its ways: powers of two,
 * pages, the whole segment, the end of the address space.
 */
static size_t read_size(void)
{
    size_t kind = read_byte();
    size_t value = read_byte();

    if (kind < 0x80)
        return value;
    if (kind < 0xc0)
        return value * KHEAP_ALIGN + kind % KHEAP_ALIGN;            /* up to 4 KiB */
    if (kind < 0xe0)
        return ((size_t)1 << value % 22) + kind % 32 - 16;
    if (kind < 0xf0)
        return (value % 64 + 1) * PAGE_SIZE + (kind % 16) * 8 - 64;
    if (kind < 0xfe)
        return value << (8 + kind % 7);                             /* up to 4 MiB */
    return kind == 0xfe ? MODEL_LIMIT - value * 16 : SIZE_MAX - value * 33;
}

static size_t read_slot(void)
{
    return read_byte() % MODEL_SLOTS;
}

static size_t read_empty_slot(void)
{
    size_t slot = read_slot();

    if (model_live(slot))
        model_free(slot);
    return slot;
}

/* ---- the operations */

static void do_alloc(void)
{
    size_t slot = read_empty_slot();

    model_alloc(slot, read_size());
}

static void do_calloc(void)
{
    size_t slot = read_empty_slot();
    size_t count = read_byte();

    model_calloc(slot, count < 0xf0 ? count % 16 : SIZE_MAX / (count - 0xef), read_size());
}

static void do_memalign(void)
{
    size_t slot = read_empty_slot();
    size_t align = read_byte();

    model_memalign(slot, align < 0xf0 ? (size_t)1 << align % 24 : align << 4, read_size());
}

static void do_realloc(void)
{
    size_t slot = read_slot();

    model_realloc(slot, read_size());
}

static void do_free(void)
{
    size_t slot = read_slot();

    if (model_live(slot))
        model_free(slot);
}

/* Free some slots that follow each other: what was allocated together goes together. */
static void do_free_many(void)
{
    size_t slot = read_slot();
    size_t step = read_byte();

    for (size_t count = step >> 4; count > 0; count--) {
        if (model_live(slot))
            model_free(slot);
        slot = (slot + step % 4 + 1) % MODEL_SLOTS;
    }
}

/* The same size for some slots that follow each other. */
static void do_alloc_many(void)
{
    size_t slot = read_slot();
    size_t count = read_byte() % 64;
    size_t size = read_size();

    for (; count > 0 && size <= 8 * PAGE_SIZE; count--) {
        if (!model_live(slot))
            model_alloc(slot, size);
        slot = (slot + 1) % MODEL_SLOTS;
    }
}

static void do_use_all(void)
{
    size_t slot = read_slot();

    if (model_live(slot))
        model_use_all(slot);
}

static void do_misuse(void)
{
    size_t slot = read_slot();
    size_t call = read_byte();

    model_misuse(slot, read_size(), call);
}

/* What a program that writes anywhere leaves: numbers, lengths, addresses in the segment. */
static void do_damage(void)
{
    size_t high = read_byte();
    size_t offset = (high << 8 | read_byte()) * sizeof(size_t);
    size_t kind = read_byte();
    size_t value = read_size();

    if (model_length() == 0)
        return;
    model_damage(offset % model_length(), kind < 0x40 ? value
                 : kind < 0x80 ? model_base() + value
                 : kind < 0xc0 ? value | 1 : ~(size_t)0 << kind % 64);
}

static void do_trim(void)
{
    model_trim(read_size());
}

static void do_tune(void)
{
    size_t tunable = read_byte();

    model_tune(tunable, tunable % 2 == 0 ? read_size() : read_byte() % 20);
}

static void do_level(void)
{
    model_level(read_byte());
}

static void do_fail(void)
{
    size_t nth = read_byte();

    model_fail(nth % 16, nth < 0x80 ? 0 : read_byte());
}

static void do_check(void)
{
    model_check();
}

/* What is left of the input are calls, which may meet the damage. */
static void do_meet(void)
{
    size_t place = read_byte() << 16;

    place |= read_byte() << 8;
    place |= read_byte();
    if (!model_break(place, (unsigned char)read_byte()))
        return;
    for (size_t count = 0; count < MEET_CALLS && input.at < input.end; count++) {
        size_t call = read_byte();
        size_t slot = read_slot();
        model_meet(call, slot, read_size());
    }
}

/* What is done most is named most. */
static void (*const operation[])(void) = {
    do_alloc, do_free, do_realloc, do_alloc, do_free, do_alloc_many, do_free_many, do_memalign,
    do_calloc, do_use_all, do_misuse, do_trim, model_flush, do_tune, do_fail, do_damage,
    do_check, do_level,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input.at = data;
    input.end = data + size;
    model_start();
    for (size_t count = 0; input.at < input.end; count++) {
        size_t number = read_byte();

        if (number == MEET) {
            do_meet();
            model_abandon();
            return 0;
        }
        operation[number % ARRAY_LENGTH(operation)]();
        if (count % CHECK_EACH == 0 || model_live_count() <= SMALL_HEAP)
            model_check();
    }
    model_finish();
    return 0;
}
