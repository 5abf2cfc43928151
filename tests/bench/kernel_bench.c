/*
 * What one operation of mm/x86 and of the heap costs, seen from inside the kernel.
 *
 * Each figure is measured once, over a batch; under -icount it is exact. What
 * the two rdtsc around it cost is subtracted; the loop around a batch (three to
 * six instructions a page) is not.
 *
 *   bench page.hit 38.0        instructions for one operation, or one page of many
 *   bench boot.net 214563      a whole number: a total
 *   bench pages.aged.cr3 0.125 events for one page, which instructions do not show
 */
#include "kernel_bench.h"

#include <kernel/bench.h>
#include <kernel/boot_info.h>
#include <kernel/census.h>
#include <kernel/kheap.h>
#include <kernel/linear.h>
#include <kernel/panic.h>
#include <kernel/physical.h>
#include <kernel/printk.h>
#include <kernel/selftest.h>
#include <kernel/virtual.h>
#include <x86/cpu.h>

enum {
    BOOT_PARTS_MAX = 16,
    BULK = 8192,                /* pages of the large batches */
    LARGE_PAGES = 512,          /* a block of the page allocator */
    CLEAR_PAGE_COST = 1029,     /* instructions to clear a page of the frame table */
    HEAP_GAPS = 32,             /* in the heap, of as many lengths */
    HEAP_GENERAL = 8,           /* lengths that the cache has room for */
};

#define LARGE_SIZE  (LARGE_PAGES * PAGE_SIZE)
#define USER_ACCESS (ACCESS_USER | ACCESS_WRITE | ACCESS_NOEXEC)

/*
 * Where pages are mapped: in 2-level and PAE in the middle of a last-level
 * table, with room below.
 */
#define PLACE ((size_t)0x50000000 + 256 * PAGE_SIZE)

#ifdef DEBUG
static const bool is_debug_build = true;
#else
static const bool is_debug_build = false;
#endif

/* What happened between begin() and end(). */
typedef struct cost {
    uint64_t ticks;
    uint64_t cr3_loads;         /* full flushes included */
    uint64_t invlpgs;
    uint64_t full_flushes;
} cost_t;

static struct bench {
    size_t parts;
    struct {
        const char *name;
        uint64_t end;
    } part[BOOT_PARTS_MAX];
    uint64_t empty;             /* what begin() and end() cost with nothing between */
    uint32_t random;
    virtual_events_t events;
    volatile uint64_t started;  /* volatile: the store is at one place in every use */
    page_t *pages;              /* BULK of them */
} bench;

/* ---- measuring and printing */

static ALWAYS_INLINE void begin(void)
{
    bench.events = virtual_events;
    bench.started = cpu_rdtsc();
}

static NOINLINE cost_t cost_until(uint64_t now)
{
    return (cost_t){
        .ticks = now - bench.started - bench.empty,
        .cr3_loads = virtual_events.cr3_loads - bench.events.cr3_loads,
        .invlpgs = virtual_events.invlpgs - bench.events.invlpgs,
        .full_flushes = virtual_events.full_flushes - bench.events.full_flushes,
    };
}

static ALWAYS_INLINE cost_t end(void)
{
    return cost_until(cpu_rdtsc());
}

static void calibrate(void)
{
    bench.empty = 0;
    begin();
    bench.empty = end().ticks;
}

static void print_total(const char *name, const char *what, uint64_t value)
{
    printk("bench %s%s %llu\n", name, what, value);
}

/*
 * total / count, rounded to the number of decimals whose power of ten is `parts`.
 *
 * => in 32 bits: 64-bit division would be libgcc's, and its arguments are not
 *    where -mregparm has ours; count * parts is small
 */
static void print_ratio(const char *name, const char *what, uint64_t total, size_t count,
                        int decimals, size_t parts)
{
    size_t amount = total <= SIZE_MAX ? (size_t)total : SIZE_MAX;
    size_t whole = amount / count;
    size_t part = (amount % count * parts + count / 2) / count;

    if (part == parts) {
        whole++;
        part = 0;
    }
    printk("bench %s%s %zu.%0*zu\n", name, what, whole, decimals, part);
}

static void print_tenths(const char *name, const char *what, uint64_t total, size_t count)
{
    print_ratio(name, what, total, count, 1, 10);
}

static void print_thousandths(const char *name, const char *what, uint64_t total, size_t count)
{
    print_ratio(name, what, total, count, 3, 1000);
}

/* "name.512" */
static const char *with_count(const char *name, size_t count)
{
    static char text[64];

    format_text(text, sizeof(text), "%s.%zu", name, count);
    return text;
}

/* ---- boot */

void bench_boot_part(const char *name)
{
    if (boot_entry_time == 0)
        return;
    ASSERT(bench.parts < BOOT_PARTS_MAX);
    bench.part[bench.parts].end = cpu_rdtsc();
    bench.part[bench.parts++].name = name;
}

static void measure_boot(void)
{
    size_t pages = physical_frame_table_length() / PAGE_SIZE;
    uint64_t clear = (uint64_t)pages * CLEAR_PAGE_COST;
    uint64_t start = boot_entry_time;
    uint64_t gross;

    for (size_t i = 0; i < bench.parts; i++) {
        print_total("boot.", bench.part[i].name, bench.part[i].end - start);
        start = bench.part[i].end;
    }
    gross = start - boot_entry_time;
    print_total("boot", ".gross", gross);
    print_total("boot", ".clear", clear);
    print_total("boot", ".net", gross - clear);
    print_thousandths("metadata", ".bytes", physical_mem_info.metadata, physical_frame_count);
}

/* ---- single pages */

static const char *measure_hit(void)
{
    page_t page = alloc_physical_page(OWNER_KERNEL);
    uint64_t misses;
    cost_t alloc;
    cost_t pair;

    if (page == PAGE_NONE)
        return "there is no free page";
    free_physical_page(page);
    misses = physical_mem_info.refills + physical_mem_info.drains;
    begin();
    page = alloc_physical_page(OWNER_KERNEL);
    free_physical_page(page);
    pair = end();
    begin();
    page = alloc_physical_page(OWNER_KERNEL);
    alloc = end();
    free_physical_page(page);
    if (physical_mem_info.refills + physical_mem_info.drains != misses)
        return "the magazine was missed";
    print_tenths("page.hit", "", pair.ticks, 1);
    print_tenths("page.hit", ".alloc", alloc.ticks, 1);
    print_tenths("page.hit", ".free", pair.ticks - alloc.ticks, 1);
    begin();
    page = page_new(OWNER_KERNEL);
    page_release(page);
    print_tenths("page.counted", "", end().ticks, 1);
    return NULL;
}

/* xorshift32 */
static size_t random_below(size_t limit)
{
    bench.random ^= bench.random << 13;
    bench.random ^= bench.random >> 17;
    bench.random ^= bench.random << 5;
    return bench.random % limit;
}

static void shuffle_pages(void)
{
    for (size_t i = BULK; i > 1; i--) {
        size_t other = random_below(i);
        page_t page = bench.pages[i - 1];

        bench.pages[i - 1] = bench.pages[other];
        bench.pages[other] = page;
    }
}

/* Take BULK pages, give them back in random order. */
static const char *measure_bulk(const char *name)
{
    cost_t alloc;
    cost_t free;

    if (physical_figures()->free < BULK)
        return "there are not 8,192 free pages";
    begin();
    for (size_t i = 0; i < BULK; i++)
        bench.pages[i] = alloc_physical_page(OWNER_KERNEL);
    alloc = end();
    shuffle_pages();
    begin();
    for (size_t i = 0; i < BULK; i++)
        free_physical_page(bench.pages[i]);
    free = end();
    print_tenths(name, ".alloc", alloc.ticks, BULK);
    print_tenths(name, ".free", free.ticks, BULK);
    print_tenths(name, ".pair", alloc.ticks + free.ticks, BULK);
    print_thousandths(name, ".cr3", alloc.cr3_loads + free.cr3_loads, BULK);
    return NULL;
}

/* ---- runs */

static const char *measure_run(const char *name, size_t count)
{
    cost_t alloc;
    cost_t free;
    page_t first;

    begin();
    first = page_range(count, PAGE_SIZE, 0, OWNER_KERNEL);
    alloc = end();
    if (first == PAGE_NONE)
        return "there is no free run";
    begin();
    page_range_free(first, count);
    free = end();
    print_total(with_count(name, count), ".alloc", alloc.ticks);
    print_total(with_count(name, count), ".free", free.ticks);
    print_tenths(with_count(name, count), ".page", alloc.ticks + free.ticks, count);
    print_total(with_count(name, count), ".cr3", alloc.cr3_loads + free.cr3_loads);
    return NULL;
}

/*
 * A run has to be looked for:
 *
 *     block 0    1        2        ...  n - 1    n
 *     |IIII....|U.......|U.......|     |U.......|........|     U one page in use
 *
 * Once there is a run of LARGE_PAGES, at the far end, and once there is none.
 */
static const char *measure_search(void)
{
    const char *trouble = NULL;
    size_t count = 0;
    size_t last = 0;
    page_t page;
    cost_t found;
    cost_t none;

    while (count < BULK &&
           (page = page_range(1, LARGE_SIZE, 0, OWNER_KERNEL)) != PAGE_NONE)
        bench.pages[count++] = page;
    if (count == 0)
        return "no block begins with a free page";
    for (size_t i = 0; i < count; i++) {
        if (physical_mem_info.physical_heap_end - bench.pages[i] >= LARGE_SIZE &&
            (bench.pages[i] > bench.pages[last]))
            last = i;
    }
    free_physical_page(bench.pages[last]);
    begin();
    page = page_range(LARGE_PAGES, PAGE_SIZE, 0, OWNER_KERNEL);
    found = end();
    if (page == PAGE_NONE)
        trouble = "the run at the far end was not found";
    begin();
    if (page_range(2 * LARGE_PAGES, PAGE_SIZE, 0, OWNER_KERNEL) != PAGE_NONE)
        trouble = "a run was found where none is";
    none = end();
    if (page != PAGE_NONE)
        page_range_free(page, LARGE_PAGES);
    for (size_t i = 0; i < count; i++) {
        if (i != last)
            free_physical_page(bench.pages[i]);
    }
    print_total("search", ".blocks", count);
    print_total("search", ".found.512", found.ticks);
    print_total("search", ".none.1024", none.ticks);
    return trouble;
}

/* ---- the linear space */

static void measure_linear(void)
{
    cost_t cost;

    begin();
    enter_linear_space();
    leave_linear_space();
    cost = end();
    print_tenths("linear.pair", "", cost.ticks, 1);
    print_total("linear.pair", ".cr3", cost.cr3_loads);
    enter_linear_space();
    begin();
    enter_linear_space();
    leave_linear_space();
    cost = end();
    leave_linear_space();
    print_tenths("linear.nested", "", cost.ticks, 1);
}

/* ---- page tables */

static mmu_entry_t take_out(void *context, size_t vaddr, mmu_entry_t entry)
{
    (void)context, (void)vaddr, (void)entry;
    return 0;
}

static mmu_entry_t forbid_writing(void *context, size_t vaddr, mmu_entry_t entry)
{
    (void)context, (void)vaddr;
    return entry & ~(mmu_entry_t)MMU_WRITE;
}

static int put_frame(void *context, size_t vaddr, mmu_entry_t *entry)
{
    (void)vaddr;
    *entry = *(page_t *)context | USER_ACCESS | MMU_PRESENT;
    return 0;
}

/* Map `count` pages, all of them to one frame. => false: no memory for a table */
static bool map_batch(page_t space, size_t count, page_t frame)
{
    return mmu_fill_range(space, PLACE, count * PAGE_SIZE, put_frame, &frame) == 0;
}

/* One entry at a time. => the tables stay */
static void clear_batch(page_t space, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mmu_place_t place;

        mmu_find(space, PLACE + i * PAGE_SIZE, &place);
        mmu_set(&place, 0);
    }
}

static void print_range(const char *name, size_t count, cost_t cost)
{
    print_tenths(with_count(name, count), "", cost.ticks, count);
    print_total(with_count(name, count), ".invlpg", cost.invlpgs);
    print_total(with_count(name, count), ".full", cost.full_flushes);
}

/* Ranges with mmu_fill_range and mmu_change_range; cleared one at a time with mmu_set. */
static const char *measure_batch(page_t space, size_t count, page_t frame)
{
    bool made;
    cost_t cost;

    begin();
    made = map_batch(space, count, frame);
    cost = end();
    if (!made)
        return "there is no memory for page tables";
    print_tenths(with_count("mmu.map_new", count), "", cost.ticks, count);
    begin();
    clear_batch(space, count);
    cost = end();
    print_tenths(with_count("mmu.clear", count), "", cost.ticks, count);
    begin();
    map_batch(space, count, frame);
    cost = end();
    print_tenths(with_count("mmu.map", count), "", cost.ticks, count);
    begin();
    mmu_change_range(space, PLACE, count * PAGE_SIZE, forbid_writing, NULL);
    cost = end();
    print_range("mmu.protect", count, cost);
    begin();
    mmu_change_range(space, PLACE, count * PAGE_SIZE, take_out, NULL);
    cost = end();
    print_range("mmu.unmap", count, cost);
    return NULL;
}

/* The documents' calls: a page at a time. */
static const char *measure_documented(page_t space, size_t count, page_t frame)
{
    int err = 0;
    cost_t cost;

    begin();
    for (size_t i = 0; i < count; i++)
        err |= pagetable_map(space, PLACE + i * PAGE_SIZE, frame, USER_ACCESS);
    cost = end();
    if (err == 0)
        print_tenths(with_count("pagetable.map", count), "", cost.ticks, count);
    begin();
    for (size_t i = 0; i < count; i++)
        pagetable_unmap(space, PLACE + i * PAGE_SIZE);
    cost = end();
    print_tenths(with_count("pagetable.unmap", count), "", cost.ticks, count);
    return err == 0 ? NULL : "there is no memory for page tables";
}

/*
 * In a space that is current. The pages just before and behind those measured
 * stay mapped, and so do the tables at both ends: what 1 and 512 pages cost is
 * without making and freeing tables, what 8,192 cost is with those between
 * (but for mmu.map, which finds all of them present).
 */
static const char *measure_tables(page_t space, page_t frame)
{
    static const size_t counts[] = { 1, LARGE_PAGES, BULK };
    const char *trouble = NULL;

    for (size_t i = 0; i < ARRAY_LENGTH(counts) && trouble == NULL; i++) {
        size_t before = PLACE - PAGE_SIZE;
        size_t behind = PLACE + counts[i] * PAGE_SIZE;

        if (pagetable_map(space, before, frame, USER_ACCESS) != 0 ||
            pagetable_map(space, behind, frame, USER_ACCESS) != 0)
            trouble = "there is no memory for page tables";
        if (trouble == NULL)
            trouble = measure_batch(space, counts[i], frame);
        if (trouble == NULL)
            trouble = measure_documented(space, counts[i], frame);
        mmu_change_range(space, before, behind + PAGE_SIZE - before, take_out, NULL);
    }
    return trouble;
}

static const char *measure_space(void)
{
    page_t frame = alloc_physical_page(OWNER_KERNEL);
    page_t space = create_pagetable();
    page_t current = current_pagetable();
    const char *trouble = "there is no memory for a space";

    if (frame != PAGE_NONE && space != PAGE_NONE) {
        switch_pagetable(space);
        trouble = measure_tables(space, frame);
        switch_pagetable(current);
    }
    if (space != PAGE_NONE)
        delete_pagetable(space);
    if (frame != PAGE_NONE)
        free_physical_page(frame);
    return trouble;
}

/* ---- the heap */

static NOINLINE uint64_t heap_pair(size_t size)
{
    begin();
    kfree(kmalloc(size));
    return end().ticks;
}

/* kmalloc and kfree of `count` sizes, one after the other. => their instructions, no loop's */
static uint64_t heap_pairs(size_t size, size_t step, size_t count)
{
    uint64_t ticks = 0;

    for (size_t i = 0; i < count; i++)
        ticks += heap_pair(size + i * step);
    return ticks;
}

/*
 * cell: one size, in use often enough for a slab. small: 16 to 512 bytes, each size freed
 * before. general: 1,200 to 2,600 bytes, freed before, too. tree: 1,200 to 7,400 bytes,
 * without the cache, each out of a gap that is cut for it, and grows together again:
 *
 *     |......W........W..........W ...      gaps of 1,500 bytes and, each, 200 more
 */
static const char *measure_heap(void)
{
    void *gap[HEAP_GAPS];
    void *wall[HEAP_GAPS];
    size_t made = 0;

    kfree(kmalloc(64 * PAGE_SIZE));     /* the segment stays so long */
    heap_pairs(64, 0, 2 * HEAP_GAPS);
    print_tenths("heap.cell.pair", "", heap_pairs(64, 0, HEAP_GAPS), HEAP_GAPS);
    heap_pairs(16, 16, HEAP_GAPS);
    print_tenths("heap.small.pair", "", heap_pairs(16, 16, HEAP_GAPS), HEAP_GAPS);
    for (size_t i = 0; i < HEAP_GAPS; i++) {
        gap[i] = kmalloc(1500 + i * 200);
        wall[i] = kmalloc(100);
        made += gap[i] != NULL && wall[i] != NULL;
    }
    for (size_t i = 0; i < HEAP_GAPS; i++)
        kfree(gap[i]);
    for (size_t i = 0; i < 4; i++)      /* until the cache holds them instead of the gaps */
        heap_pairs(1200, 200, HEAP_GENERAL);
    print_tenths("heap.general.pair", "", heap_pairs(1200, 200, HEAP_GENERAL), HEAP_GENERAL);
    kheap_tune(&kernel_heap, KHEAP_TUNE_CACHE_COUNT, 0);
    print_tenths("heap.tree.pair", "", heap_pairs(1200, 200, HEAP_GAPS), HEAP_GAPS);
    kheap_tune(&kernel_heap, KHEAP_TUNE_CACHE_COUNT, KHEAP_CACHED_COUNT);
    for (size_t i = 0; i < HEAP_GAPS; i++)
        kfree(wall[i]);
    return made == HEAP_GAPS ? NULL : "there is no memory for buffers";
}

/* ---- all of it */

static const char *measure_all(void)
{
    const char *trouble = measure_hit();

    if (trouble == NULL)
        trouble = measure_bulk("pages.fresh");
    if (trouble == NULL)
        trouble = measure_bulk("pages.aged");
    for (size_t count = LARGE_PAGES; count <= 2 * LARGE_PAGES && trouble == NULL; count *= 2) {
        trouble = measure_run("run", count);
        if (trouble == NULL)
            trouble = measure_run("run_again", count);
    }
    if (trouble == NULL)
        trouble = measure_search();
    measure_linear();
    if (trouble == NULL)
        trouble = measure_heap();
    if (trouble == NULL)
        trouble = bench_heap_mix();
    if (trouble == NULL)
        trouble = measure_space();
    return trouble;
}

const char *bench_run(void)
{
    census_t before;
    census_t after;
    const char *trouble;

    if (boot_entry_time == 0)
        return "this processor has no time-stamp counter";
    bench.random = 2463534242;
    census_take(&before);
    bench.pages = kmalloc(BULK * sizeof(bench.pages[0]));
    if (bench.pages == NULL)
        return "there is no memory for a list of pages";
    print_total("build", ".debug", is_debug_build);
    calibrate();
    print_total("cal", ".empty", bench.empty);
    measure_boot();
    trouble = measure_all();
    kfree(bench.pages);
    census_take(&after);
    if (trouble == NULL)
        trouble = census_compare(&before, &after);
    if (trouble == NULL)
        trouble = selftest_check();
    printk("bench %s\n", trouble == NULL ? "done" : "failed");
    return trouble;
}
