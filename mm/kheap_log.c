/*
 * What a heap says about itself: its figures, and its structure as text.
 */
#include <kernel/kheap_guard.h>
#include <kernel/kheap_slab.h>

#include <kernel/printk.h>

/* Rounded up. => part is no more than `whole`, which may be 0 */
static size_t thousandths(size_t part, size_t whole)
{
    size_t unit = whole / 1000;

    if (whole < MIB)    /* or it could overflow */
        return whole == 0 ? 0 : (part * 1000 + whole - 1) / whole;
    return part / unit > 999 ? 1000 : (part + unit - 1) / unit;
}

void kheap_stat(kheap_t *heap, kheap_stat_t *stat)
{
    splock_lock(&heap->lock);
    size_t tail = heap->tail != NULL ? heap->tail->length : 0;
    size_t cached = kheap_cached_count(heap);
    size_t longest = gaptree_longest(&heap->tree, heap->end);
    size_t slab_bytes = heap->slabs * PAGE_SIZE;
    size_t cells = heap->cells;
    size_t cell_bytes = heap->cell_bytes;

    for (size_t i = 1; i <= KHEAP_CLASSES; i++) {
        cells -= count_bits(heap->class[i].free);
        cell_bytes -= count_bits(heap->class[i].free) * i * KHEAP_ALIGN;
    }
    size_t superbuffers = heap->superbuffers - cached - heap->slabs;
    size_t free = heap->end - heap->start - heap->taken - heap->void_bytes;
    size_t largest = longest > tail ? longest : tail;

    *stat = (kheap_stat_t){
        .segment = heap->segment->length,
        .used = heap->taken - heap->cached - slab_bytes + cell_bytes,
        .cached = heap->cached,
        .slab_free = slab_bytes - cell_bytes,
        .free = free,
        .largest_gap = largest,
        .tail = tail,
        .void_bytes = heap->void_bytes,
        .buffer_count = superbuffers + cells,
        .cell_count = cells,
        .slab_count = heap->slabs,
        .cached_count = cached,
        .gap_count = heap->tree.gaps + (tail != 0),
        .void_count = heap->voids,
        .internal = heap->cached + slab_bytes - cell_bytes + superbuffers * REGISTRY,
        .external = thousandths(free - largest, free),
        .peak_taken = heap->peak_taken,
        .peak_segment = heap->peak_segment,
        .misuse_count = heap->misuses,
        .last_visited_count = heap->tree.visited,
        .most_visited_count = heap->tree.most_visited,
    };
    splock_unlock(&heap->lock);
}

static const char *kind_of(const kheap_t *heap, size_t block)
{
    size_t word = *block_word(block);

    if ((word & BLOCK_SUPERBUFFER) != 0)
        return (word & BLOCK_CACHED) != 0 ? "cached superbuffer"
             : (word & BLOCK_SLAB) != 0 ? "superbuffer (slab)" : "superbuffer";
    if ((word & BLOCK_VOID) != 0)
        return "void";
    return block == (size_t)heap->tail ? "gap (tail)" : "gap";
}

static void log_segment(const kheap_t *heap, size_t lines)
{
    size_t block = heap->start;
    size_t left = 0;

    for (; block != heap->end; block += block_length(block)) {
        if (block_length(block) == 0 || block_length(block) > heap->end - block) {
            printk("  %p damaged: %p\n", (void *)block, (void *)*block_word(block));
            return;
        }
        if (lines == 0) {
            left++;
            continue;
        }
        lines--;
        printk("  %p %9zu %s\n", (void *)block, block_length(block), kind_of(heap, block));
    }
    if (left != 0)
        printk("  and %zu more\n", left);
}

static void log_trees(const gaptree_t *tree, size_t end)
{
    size_t bytes;
    const char *wrong = gaptree_check(tree, end, &bytes);
    size_t rings = 0;
    size_t tries = 0;

    if (wrong != NULL) {
        printk("  the trees are damaged: %s\n", wrong);
        return;
    }
    for (size_t i = 0; i < GAPTREE_BINS; i++)
        rings += tree->bin[i].next != &tree->bin[i];
    for (size_t i = 0; i < GAPTREE_ROOTS; i++)
        tries += tree->root[i] != NULL;
    printk("  length tree: %zu gaps, %zu rings below %zu bytes, %zu tries of up to %zu levels\n",
           tree->gaps, rings, GAPTREE_EXACT, tries, gaptree_length_depth(tree));
    printk("  addr tree: %zu levels; most gaps visited in one call: %zu\n",
           gaptree_addr_depth(tree), tree->most_visited);
}

static void log_guard(const kheap_guard_t *guard)
{
    printk("  guard mode, one in %zu: %zu buffers, %zu free slots; %zu served, %zu not\n",
           guard->every, guard->used, guard->free, guard->served, guard->refused);
}

void kheap_log(kheap_t *heap, size_t lines)
{
    kheap_stat_t stat;

    kheap_stat(heap, &stat);
    splock_lock(&heap->lock);
    printk("heap: segment %p, %zu bytes, most %zu\n", (void *)heap->segment->base, stat.segment,
           stat.peak_segment);
    printk("  %zu buffers: %zu bytes, %zu of them cells in %zu slabs with %zu bytes free\n",
           stat.buffer_count, stat.used, stat.cell_count, stat.slab_count, stat.slab_free);
    printk("  %zu cached: %zu bytes; most taken at once %zu\n", stat.cached_count, stat.cached,
           stat.peak_taken);
    printk("  %zu gaps: %zu bytes, largest %zu, tail %zu; %zu %% are not in the largest\n",
           stat.gap_count, stat.free, stat.largest_gap, stat.tail, stat.external / 10);
    printk("  %zu voids: %zu bytes\n", stat.void_count, stat.void_bytes);
    if (heap->guard != NULL)
        log_guard(heap->guard);
    log_segment(heap, lines);
    log_trees(&heap->tree, heap->end);
    splock_unlock(&heap->lock);
}
