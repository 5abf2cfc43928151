/*
 * The page allocator's report, short and long.
 */
#include <kernel/printk.h>

#include "blocks.h"

enum { BAD_LINES_MAX = 16 };

void physical_log(void)
{
    const physical_mem_info_t *info = physical_figures();

    printk("frames: free %zu + used %zu + reserved %zu = total %zu (%zu KiB)\n",
           info->free, info->used, info->reserved, info->total,
           info->total * (PAGE_SIZE / KIB));
    for (size_t i = 0; i < OWNER_COUNT; i++) {
        if (info->owner[i] != 0)
            printk("frames: %8zu  %s\n", info->owner[i], frame_owner_name(i));
    }
    if (info->unmanaged != 0)
        printk("frames: %8zu  above 3 GiB, not managed\n", info->unmanaged);
}

static void log_zones(const physical_mem_info_t *info)
{
    printk("frames: zone low, below 16 MiB: free %zu of %zu\n", info->low_free,
           info->low_total);
    printk("frames: zone normal, the rest: free %zu of %zu\n", info->free - info->low_free,
           info->total - info->low_total);
}

static void log_bad_frames(const physical_mem_info_t *info)
{
    size_t left = info->owner[OWNER_BAD];
    size_t lines = 0;

    for (size_t i = 0; i < physical_frame_count && lines < BAD_LINES_MAX && left > 0; i++) {
        size_t first = i;

        while (i < physical_frame_count && physical_frames[i].owner == OWNER_BAD)
            i++;
        if (i == first)
            continue;
        printk("frames: bad: %010zx-%010zx\n", first << PAGE_SHIFT, i << PAGE_SHIFT);
        left -= i - first;
        lines++;
    }
    if (left > 0)
        printk("frames: bad: %zu more above\n", left);
}

void physical_log_details(void)
{
    const physical_mem_info_t *info = physical_figures();

    physical_log();
    log_zones(info);
    printk("frames: magazines: %zu of the free ones; refilled %llu times, drained %llu times\n",
           info->magazine, (unsigned long long)info->refills,
           (unsigned long long)info->drains);
    printk("frames: runs kept for reuse: %zu of the free ones\n", info->kept);
    log_bad_frames(info);
}
