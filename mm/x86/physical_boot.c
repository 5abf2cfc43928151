/*
 * Taking the machine over: the frame table, and the first free blocks.
 */
#include <kernel/string.h>
#include <x86/cpu.h>

#include "blocks.h"

/* RAM in [base, end) is reserved: mark its frames. */
static void mark_reserved(const boot_info_t *info, const boot_reserved_t *reserved)
{
    for (size_t i = 0; i < info->ram_count; i++) {
        uint64_t base = reserved->base & ~(uint64_t)PAGE_MASK;
        uint64_t end = reserved->end;

        if (base < info->ram[i].base)
            base = info->ram[i].base;
        if (end > info->ram[i].end)
            end = info->ram[i].end;
        for (; base < end && base >> PAGE_SHIFT < physical_frame_count; base += PAGE_SIZE) {
            frame_t *frame = &physical_frames[base >> PAGE_SHIFT];

            if (frame->state != FRAME_ABSENT)
                continue;
            *frame = (frame_t){ .state = FRAME_RESERVED, .owner = reserved->owner };
            physical_mem_info.reserved++;
            physical_mem_info.owner[reserved->owner]++;
        }
    }
}

static void count_ram(const boot_info_t *info)
{
    for (size_t i = 0; i < info->ram_count; i++) {
        uint64_t base = info->ram[i].base;
        uint64_t end = info->ram[i].end;

        if (end > LINEAR_END) {
            uint64_t from = base > LINEAR_END ? base : LINEAR_END;

            physical_mem_info.unmanaged += (size_t)((end - from) >> PAGE_SHIFT);
            end = LINEAR_END;
        }
        if (base < end) {
            physical_mem_info.total += (size_t)((end - base) >> PAGE_SHIFT);
            physical_frame_count = (size_t)(end >> PAGE_SHIFT);
        }
    }
}

/* Find room for the frame table and clear it. */
static const char *place_frame_table(boot_info_t *info)
{
    size_t length = physical_frame_table_length();

    physical.frame_table = boot_info_allocate(info, length, "the frame table",
                                              OWNER_FRAME_TABLE);
    if (physical.frame_table == PAGE_NONE)
        return "there is not enough free memory for the frame table";
    physical_frames = cpu_physical_address(physical.frame_table);
    for (size_t at = 0; at < length; at += PAGE_SIZE)
        cpu_clear_page((char *)physical_frames + at);
    return NULL;
}

const char *physical_init(boot_info_t *info)
{
    const char *trouble;
    boot_range_t range = { 0 };

    memset(&physical, 0, sizeof(physical));
    memset(&physical_mem_info, 0, sizeof(physical_mem_info));
    physical_frame_count = 0;
    blocks_init();
    magazine_init();
    count_ram(info);
    trouble = place_frame_table(info);
    if (trouble != NULL)
        return trouble;
    for (size_t i = 0; i < info->reserved_count; i++)
        mark_reserved(info, &info->reserved[i]);
    while (boot_info_next_free(info, range.end, LINEAR_END, &range)) {
        if (physical_mem_info.physical_heap_end == 0)
            physical_mem_info.physical_heap_start = (page_t)range.base;
        physical_mem_info.physical_heap_end = (page_t)range.end;
        blocks_add((page_t)range.base, (page_t)range.end);
    }
    if (physical_figures()->total != physical_mem_info.free + physical_mem_info.reserved)
        return "the memory map cannot be counted";
    return NULL;
}

void physical_move_frame_table(void)
{
    physical_frames = (frame_t *)FRAME_TABLE_BASE;
}

page_t physical_frame_table(void)
{
    return physical.frame_table;
}

size_t physical_frame_table_length(void)
{
    return align_up(physical_frame_count * sizeof(frame_t), PAGE_SIZE);
}
