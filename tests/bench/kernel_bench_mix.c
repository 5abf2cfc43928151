/*
 * The kernel's own allocations once more, each call counted by itself.
 *
 * A module holds them, tests/bench/data/kernel_mix.atr.xz unpacked. Buffers live as
 * long as they did then; what is live at the end is freed uncounted. The segment
 * grows where it has to, which is the most that a call costs.
 */
#include "kernel_bench.h"
#include "trace_header.h"

#include <kernel/boot_info.h>
#include <kernel/kheap.h>
#include <kernel/memory.h>
#include <kernel/printk.h>
#include <kernel/string.h>
#include <x86/cpu.h>

#define ID_BITS 30u

enum { OP_FREE, OP_ALLOC, OP_REALLOC, OP_COUNT };

static const char *const op_names[OP_COUNT] = { "free", "alloc", "realloc" };

/* As in the file. */
typedef struct operation {
    uint32_t op_and_id;
    uint32_t size;
} operation_t;

/* Of one kind of operation. */
static struct sum {
    size_t count;
    size_t ticks;
    size_t most;
} sums[OP_COUNT];

static void print_sums(void)
{
    for (size_t i = OP_COUNT; i-- > 0; ) {
        const struct sum *sum = &sums[i];

        if (sum->count == 0)
            continue;
        size_t tenths = (sum->ticks * 10 + sum->count / 2) / sum->count;
        printk("bench heap.mix.%s %zu.%zu\n", op_names[i], tenths / 10, tenths % 10);
        printk("bench heap.mix.%s.most %zu\n", op_names[i], sum->most);
    }
}

/* What two reads of the counter cost with nothing between. */
static size_t cost_of_counting(void)
{
    uint64_t before = cpu_rdtsc();

    return (size_t)(cpu_rdtsc() - before);
}

/* One call. => false: there is no memory */
static bool carry_out(const operation_t *operation, void **buffers, size_t empty)
{
    unsigned op = operation->op_and_id >> ID_BITS;
    size_t size = operation->size;
    void **buffer = &buffers[operation->op_and_id & ((1u << ID_BITS) - 1)];
    void *now = NULL;
    void *old = *buffer;
    uint64_t start;
    uint64_t end;

    if (op == OP_FREE) {
        start = cpu_rdtsc();
        kfree(old);
        end = cpu_rdtsc();
    } else if (op == OP_ALLOC) {
        start = cpu_rdtsc();
        now = kmalloc(size);
        end = cpu_rdtsc();
    } else {
        start = cpu_rdtsc();
        now = krealloc(old, size);
        end = cpu_rdtsc();
    }
    *buffer = now;
    size_t ticks = (size_t)(end - start) - empty;
    sums[op].count++;
    sums[op].ticks += ticks;
    if (ticks > sums[op].most)
        sums[op].most = ticks;
    return now != NULL || op == OP_FREE;
}

static bool is_sound(const trace_header_t *header, size_t length)
{
    const operation_t *operation = (const operation_t *)(header + 1);

    if (length < sizeof(*header) || memcmp(header->magic, "ATR1", 4) != 0 ||
        header->kind != TRACE_KIND_HEAP ||
        header->count != (length - sizeof(*header)) / sizeof(*operation))
        return false;
    for (size_t i = 0; i < (size_t)header->count; i++) {
        if (operation[i].op_and_id >> ID_BITS >= OP_COUNT ||
            (operation[i].op_and_id & ((1u << ID_BITS) - 1)) >= header->id_count)
            return false;
    }
    return true;
}

static const char *replay(const trace_header_t *header, size_t length)
{
    const operation_t *operation = (const operation_t *)(header + 1);
    const char *trouble = NULL;
    size_t empty = cost_of_counting();

    if (!is_sound(header, length))
        return "the module is no trace of a heap";
    void **buffers = kcalloc(header->id_count, sizeof(*buffers));
    if (buffers == NULL)
        return "there is no memory for a list of buffers";
    for (size_t i = 0; i < (size_t)header->count && trouble == NULL; i++) {
        if (!carry_out(&operation[i], buffers, empty))
            trouble = "there is no memory for the kernel's own mix of buffers";
    }
    for (size_t i = 0; i < header->id_count; i++)
        kfree(buffers[i]);
    kfree(buffers);
    print_sums();
    return trouble;
}

const char *bench_heap_mix(void)
{
    const boot_module_t *module = &boot_info.module[0];

    if (boot_info.module_count == 0)
        return NULL;
    page_t first = (page_t)align_down((size_t)module->base, PAGE_SIZE);
    size_t lead = (size_t)(module->base - first);
    size_t length = align_up(lead + (size_t)module->length, PAGE_SIZE);
    char *view = kmap(length, first, VMA_PHYS | VMA_READ);
    if (view == NULL)
        return "there is no room to read the module";
    const char *trouble = replay((const trace_header_t *)(void *)(view + lead),
                                 (size_t)module->length);
    kunmap(view, length);
    return trouble;
}
