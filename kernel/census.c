/*
 * Counting frames by owner before and after.
 */
#include <kernel/census.h>
#include <kernel/kheap_guard.h>
#include <kernel/physical.h>
#include <kernel/printk.h>
#include <kernel/ramfs.h>
#include <kernel/string.h>
#include <kernel/virtual.h>

void census_take(census_t *census)
{
    kheap_stat_t heap;

    ramfs_drop_pages();
    kheap_trim(&kernel_heap, 0);
    kheap_stat(&kernel_heap, &heap);
    memcpy(census->owner, physical_figures()->owner, sizeof(census->owner));
    census->kernel_tables = virtual_events.kernel_tables;
    census->superbuffers = heap.buffer_count;
    if (kernel_heap.guard != NULL)
        census->superbuffers += kernel_heap.guard->used;
}

const char *census_compare(const census_t *before, const census_t *after)
{
    static char sentence[128];

    /* Nobody's last: whose frames are missing says more than how many. */
    for (size_t k = 1; k <= OWNER_COUNT; k++) {
        size_t i = k % OWNER_COUNT;
        size_t was = before->owner[i];
        size_t added = (size_t)(after->kernel_tables - before->kernel_tables);

        if (i == OWNER_KERNEL_TABLE)
            was += added;
        if (i == OWNER_NONE)
            was -= added;
        if (after->owner[i] != was) {
            format_text(sentence, sizeof(sentence), "frames of \"%s\": %zu before, %zu after",
                        frame_owner_name(i), was, after->owner[i]);
            return sentence;
        }
    }
    if (before->superbuffers != after->superbuffers) {
        format_text(sentence, sizeof(sentence), "buffers of the heap: %zu before, %zu after",
                    before->superbuffers, after->superbuffers);
        return sentence;
    }
    return NULL;
}

void census_print(const census_t *before, const census_t *after, const char *line_start)
{
    const physical_mem_info_t *info = physical_figures();

    printk("%sfree %zu + used %zu + reserved %zu = total %zu\n", line_start,
           info->free, info->used, info->reserved, info->total);
    printk("%s%-20s %10s %10s\n", line_start, "of", "before", "after");
    for (size_t i = 0; i < OWNER_COUNT; i++) {
        if (before->owner[i] != 0 || after->owner[i] != 0)
            printk("%s%-20s %10zu %10zu\n", line_start, frame_owner_name(i),
                   before->owner[i], after->owner[i]);
    }
}
