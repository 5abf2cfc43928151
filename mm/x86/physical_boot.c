/*
 * Taking the machine over: the frame table, and the first free blocks.
 */
#include <kernel/string.h>
#include <x86/cpu.h>

#include "blocks.h"

/* => how many of the frames were not reserved yet */
static size_t mark_frames(frame_t *frame, const frame_t *end, frame_owner_t owner)
{
    size_t count = 0;

    for (; frame < end; frame++) {
        if (frame->state == FRAME_ABSENT) {
            frame_set(frame, FRAME_RESERVED, owner, 0);
            count++;
        }
    }
    return count;
}

/* RAM in [base, end) is reserved: mark its frames. */
static void mark_reserved(const boot_info_t *info, const boot_reserved_t *reserved)
{
    size_t count = 0;

    for (size_t i = 0; i < info->ram_count && reserved->base < reserved->end; i++) {
        uint64_t base = reserved->base & ~(uint64_t)PAGE_MASK;
        uint64_t end = reserved->end;

        if (base < info->ram[i].base)
            base = info->ram[i].base;
        if (end > info->ram[i].end)
            end = info->ram[i].end;
        if (end > (uint64_t)physical_frame_count << PAGE_SHIFT)
            end = (uint64_t)physical_frame_count << PAGE_SHIFT;
        if (base < end)
            count += mark_frames(frame_at((page_t)base), frame_at((page_t)(end - 1)) + 1,
                                 reserved->owner);
    }
    physical_mem_info.reserved += count;
    physical_mem_info.owner[reserved->owner] += count;
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
            if (base < LOW_ZONE_END)
                physical_mem_info.low_total +=
                    (size_t)(((end < LOW_ZONE_END ? end : LOW_ZONE_END) - base) >> PAGE_SHIFT);
        }
    }
}

/* Find room for the frame table and clear it. */
static const char *place_frame_table(boot_info_t *info)
{
    size_t length = physical_frame_table_length();
    void *table;

    /* Where large pages can map it. */
    physical.frame_table = PAGE_NONE;
    for (size_t align = 4 * MIB; physical.frame_table == PAGE_NONE && align >= PAGE_SIZE;
         align /= 2)
        if (length >= align)
            physical.frame_table = boot_info_allocate(info, length, align, "the frame table",
                                                      OWNER_FRAME_TABLE);
    if (physical.frame_table == PAGE_NONE) {
        physical_frame_count = 0;
        return "there is not enough free memory for the frame table";
    }
    table = cpu_physical_address(physical.frame_table);
    cpu_fill_words(table, length / sizeof(uint32_t), 0);
    blocks_move(table);
    return NULL;
}

const char *physical_init(boot_info_t *info)
{
    const char *trouble;
    boot_range_t range = { 0 };

    memset(&physical, 0, sizeof(physical));
    memset(&physical_mem_info, 0, sizeof(physical_mem_info));
    physical_frame_count = 0;
    count_ram(info);
    trouble = place_frame_table(info);
    if (trouble != NULL)
        return trouble;
    physical_mem_info.metadata = physical_frame_table_length() + sizeof(physical);
    physical.watching = true;
    magazine_init();
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

static void find_frames(page_slot_t *slots, size_t count)
{
    for (size_t i = 0; i < count; i++)
        slots[i].frame = frame_at(slots[i].page);
}

void physical_move_frame_table(void)
{
    blocks_move((void *)FRAME_TABLE_BASE);
    for (size_t i = 0; i < ARRAY_LENGTH(physical.magazine); i++)
        find_frames(&physical.magazine[i].none, 1);
    find_frames(loaded_pages(), loaded_count());
    find_frames(spare_pages(), physical.spare);
    for (unsigned order = 1; order <= KEPT_ORDER; order++)
        find_frames(physical.kept[order].run, physical.kept[order].count);
}

page_t physical_frame_table(void)
{
    return physical.frame_table;
}

size_t physical_frame_table_length(void)
{
    return blocks_table_length(physical_frame_count);
}
