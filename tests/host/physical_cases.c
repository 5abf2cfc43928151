/*
 * What the tests of the page allocator share.
 */
#include "physical_cases.h"

#define MARKER_CHECK 0x50474621u        /* "!FGP" */

/* RAM with holes, unaligned ends, overlaps, and a last page in a block of its own. */
static const boot_region_t ragged[] = {
    { 0x00000000, 0x0009f800, BOOT_RAM },
    { 0x00100000, 0x00203123, BOOT_RAM },
    { 0x00203124, 0x00280000, BOOT_RAM },
    { 0x00270000, 0x00300001, BOOT_RAM },
    { 0x002a0ff0, 0x002a1010, BOOT_NVS },
    { 0x00340800, 0x00440000, BOOT_RAM },
    { 0x00600000, 0x00602000, BOOT_RAM },
    { 0x007ff000, 0x00a00fff, BOOT_RAM },
    { 0x00c00000, 0x00c01000, BOOT_RAM },
};

static const boot_reserved_t taken[] = {
    { 0x00130010, 0x00130020, "a few bytes", OWNER_BOOT },
    { 0x001fffff, 0x00202001, "across a block", OWNER_BOOT },
    { 0x00350010, 0x00350010, "nothing", OWNER_BOOT },
    { 0x00500000, 0x00700000, "mostly no RAM", OWNER_BOOT },
    { 0x00118000, 0x00131000, "over the image and the few bytes", OWNER_KERNEL },
};

const fake_config_t shapes[SHAPE_COUNT] = {
    [PC] = { .level = FAKE_PHYSICAL },
    [LARGER_PC] = { .level = FAKE_PHYSICAL, .megabytes = 24 },
    [RAGGED] = { .level = FAKE_PHYSICAL, .region = ragged, .region_count = ARRAY_LENGTH(ragged),
                 .reserved = taken, .reserved_count = ARRAY_LENGTH(taken) },
    [PAGED_PC] = { .level = FAKE_PAGING, .format = "2level" },
    { .level = FAKE_PAGING, .format = "pae", .megabytes = 24 },
    { .level = FAKE_PAGING, .format = "long" },
    [PAGED_RAGGED] = { .level = FAKE_PAGING, .format = "2level", .region = ragged,
                       .region_count = ARRAY_LENGTH(ragged), .reserved = taken,
                       .reserved_count = ARRAY_LENGTH(taken) },
    { .level = FAKE_PAGING, .format = "2level", .lacks = FAKE_NO_PSE | FAKE_NO_PGE },
};

page_t page_at[FRAMES_MAX];
size_t page_total;
bool is_held[FRAMES_MAX];

void cases_start(const fake_config_t *config)
{
    fake_machine_start(config);
    page_total = 0;
    memset(is_held, 0, sizeof(is_held));
}

bool is_usable(page_t page)
{
    if (page >= fake_ram_bytes() || !fake_is_ram(page))
        return false;
    for (size_t i = 0; i < boot_info.reserved_count; i++) {
        const boot_reserved_t *reserved = &boot_info.reserved[i];

        if (reserved->base < reserved->end && reserved->base < (uint64_t)page + PAGE_SIZE &&
            page < reserved->end)
            return false;
    }
    return true;
}

/* ---- pages held */

void hold(page_t page)
{
    CHECK(page != PAGE_NONE && (page & PAGE_MASK) == 0);
    CHECK(is_usable(page));
    CHECK(!is_held[page >> PAGE_SHIFT]);
    is_held[page >> PAGE_SHIFT] = true;
    page_at[page_total++] = page;
    memset(fake_ram(page), (int)test_random(), PAGE_SIZE);
}

void hold_run(page_t run, size_t count, size_t align, page_t limit)
{
    CHECK_EQ(run & (align - 1), 0);
    CHECK(limit == 0 || run + count * PAGE_SIZE <= limit);
    for (size_t i = 0; i < count; i++)
        hold(run + i * PAGE_SIZE);
}

void hold_all(void)
{
    page_t page;

    while ((page = alloc_physical_page(OWNER_ANON)) != PAGE_NONE)
        hold(page);
}

page_t give_at(size_t index)
{
    page_t page = page_at[index];

    page_at[index] = page_at[--page_total];
    is_held[page >> PAGE_SHIFT] = false;
    return page;
}

page_t give_page(page_t page)
{
    size_t index = 0;

    while (index < page_total && page_at[index] != page)
        index++;
    CHECK(index < page_total);
    return give_at(index);
}

void free_all_in_any_order(void)
{
    while (page_total > 0)
        CHECK_EQ(free_physical_page(give_at(test_random_below(page_total))), 0);
}

void free_held(page_t first, size_t count)
{
    for (size_t i = 0; i < count; i++)
        CHECK_EQ(free_physical_page(give_page(first + i * PAGE_SIZE)), 0);
}

void without_magazine(void)
{
    physical_fail_after((size_t)-1);
}

void empty_magazine(void)
{
    without_magazine();
    physical_fail_after(0);
}

bool run_exists(size_t count, size_t align, page_t limit)
{
    page_t end = limit != 0 && limit < fake_ram_bytes() ? limit : fake_ram_bytes();

    for (uint64_t page = 0; page + count * PAGE_SIZE <= end; page += align) {
        size_t i = 0;

        while (i < count && !is_held[page / PAGE_SIZE + i] &&
               is_usable((page_t)page + i * PAGE_SIZE))
            i++;
        if (i == count)
            return true;
    }
    return false;
}

/* ---- the figures, counted again from the frame table */

int chunk_at(size_t number)
{
    const frame_t *frame = &physical_frames[number];

    if (frame->state == FRAME_FREE && frame->count > 0)
        return frame->count - 1;
    if ((frame->state == FRAME_FREE || frame->state == FRAME_ABSENT) &&
        is_usable((page_t)number << PAGE_SHIFT))
        return WHOLE;
    return -1;
}

size_t unit_at(size_t number)
{
    const frame_t *frame = &physical_frames[number];
    int order = chunk_at(number);
    size_t length = 1;

    if (order >= 0) {
        CHECK(order <= WHOLE && (order == WHOLE) == (frame->count == 0));
        length = (size_t)1 << order;
        CHECK_EQ(number % length, 0);
        CHECK_EQ(frame->owner, OWNER_NONE);
    } else if (frame->state == FRAME_RUN || frame->state == FRAME_KEPT) {
        length = frame->slot;
        CHECK(length > 1);
    }
    CHECK(number + length <= physical_frame_count);
    for (size_t i = 1; i < length; i++) {
        CHECK(frame[i].state == FRAME_FREE || frame[i].state == FRAME_ABSENT);
        CHECK_EQ(frame[i].count, 0);
        CHECK_EQ(frame[i].owner, OWNER_NONE);
    }
    return length;
}

size_t whole_blocks(void)
{
    size_t count = 0;

    for (size_t number = 0; number < physical_frame_count; number += unit_at(number))
        count += chunk_at(number) == WHOLE;
    return count;
}

/* The marker of a chunk that has one, and its neighbours in the list. */
static const free_page_marker_t *check_marker(size_t number, unsigned order)
{
    const page_t page = (page_t)number << PAGE_SHIFT;
    const free_page_marker_t *marker = fake_ram(page);
    const page_t sides[] = { marker->prev, marker->next };

    for (size_t i = 0; i < 2; i++) {
        const free_page_marker_t *other;

        if (sides[i] == PAGE_NONE)
            continue;
        CHECK_EQ(sides[i] / BLOCK, page / BLOCK);
        CHECK_EQ(chunk_at(sides[i] >> PAGE_SHIFT), order);
        other = fake_ram(sides[i]);
        CHECK_EQ(i == 0 ? other->next : other->prev, page);
    }
    /* The other half is not free, or they would be one chunk. */
    CHECK(physical_frames[number ^ 1u << order].state != FRAME_FREE ||
          physical_frames[number ^ 1u << order].count != order + 1);
    CHECK_EQ(marker->check, MARKER_CHECK ^ (uint32_t)page);
    return marker;
}

/* Each list of a block both ways: one first, one last, and all between them. */
static void check_markers(void)
{
    for (size_t base = 0; base < physical_frame_count; base += PAGES_OF_BLOCK) {
        size_t firsts[WHOLE] = { 0 }, lasts[WHOLE] = { 0 }, chunks[WHOLE] = { 0 };
        page_t first[WHOLE] = { 0 };

        for (size_t i = 0; i < PAGES_OF_BLOCK && base + i < physical_frame_count; i++) {
            const frame_t *frame = &physical_frames[base + i];
            const free_page_marker_t *marker;
            unsigned order = frame->count - 1u;

            if (frame->state != FRAME_FREE || frame->count == 0)
                continue;
            CHECK(order < WHOLE);
            marker = check_marker(base + i, order);
            chunks[order]++;
            lasts[order] += marker->next == PAGE_NONE;
            if (marker->prev == PAGE_NONE) {
                firsts[order]++;
                first[order] = (page_t)(base + i) << PAGE_SHIFT;
            }
        }
        for (unsigned order = 0; order < WHOLE; order++) {
            CHECK_EQ(firsts[order], chunks[order] > 0);
            CHECK_EQ(lasts[order], chunks[order] > 0);
            for (page_t page = first[order]; page != PAGE_NONE; chunks[order]--)
                page = ((const free_page_marker_t *)fake_ram(page))->next;
            CHECK_EQ(chunks[order], 0);
        }
    }
}

typedef struct counted {
    size_t used, reserved, magazine, kept, chunks, low;
    size_t owner[OWNER_COUNT];
} counted_t;

static void count_unit(size_t number, size_t length, counted_t *count)
{
    const frame_t *frame = &physical_frames[number];
    bool in_use = frame->state == FRAME_USED || frame->state == FRAME_RUN;

    for (size_t i = 0; i < length; i++) {
        page_t page = (page_t)(number + i) << PAGE_SHIFT;

        if (length > 1 || (frame->state != FRAME_ABSENT && frame->state != FRAME_RESERVED))
            CHECK(is_usable(page));
        if (frame->state == FRAME_RESERVED)
            CHECK(!is_usable(page));
        count->low += !in_use && page < LOW_ZONE_END && is_usable(page);
    }
    if (in_use)
        count->used += length;
    if (in_use || frame->state == FRAME_RESERVED)
        count->owner[frame->owner] += length;
    count->reserved += frame->state == FRAME_RESERVED;
    count->magazine += frame->state == FRAME_MAGAZINE;
    count->kept += frame->state == FRAME_KEPT ? length : 0;
    count->chunks += chunk_at(number) >= 0 ? length : 0;
}

void check_figures(void)
{
    const physical_mem_info_t *info = physical_figures();
    counted_t count = { 0 };
    size_t usable = 0, ram = 0;

    for (size_t number = 0; number < physical_frame_count; number++) {
        page_t page = (page_t)number << PAGE_SHIFT;

        ram += page < fake_ram_bytes() && fake_is_ram(page);
        usable += is_usable(page);
    }
    for (size_t number = 0; number < physical_frame_count; ) {
        size_t length = unit_at(number);

        count_unit(number, length, &count);
        number += length;
    }
    CHECK_EQ(info->total, ram);
    CHECK_EQ(info->used, count.used);
    CHECK_EQ(info->free, usable - count.used);
    CHECK_EQ(info->free, count.chunks + count.magazine + count.kept);
    CHECK_EQ(info->reserved, count.reserved);
    CHECK_EQ(info->reserved, ram - usable);
    CHECK_EQ(info->magazine, count.magazine);
    CHECK_EQ(info->kept, count.kept);
    CHECK_EQ(info->low_free, count.low);
    count.owner[OWNER_NONE] = usable - count.used;
    for (size_t i = 0; i < OWNER_COUNT; i++)
        CHECK_EQ(info->owner[i], count.owner[i]);
    CHECK_OK(physical_check());
    check_markers();
}

/* ---- the report */

static size_t log_lines;

static void count_lines(const char *text, size_t length)
{
    while (length-- > 0)
        log_lines += *text++ == '\n';
}

void check_log_lines(size_t more)
{
    printk_output_t *output = printk_set_output(count_lines);
    size_t owners = 0;

    for (size_t i = 0; i < OWNER_COUNT; i++)
        owners += physical_figures()->owner[i] != 0;
    log_lines = 0;
    physical_log();
    printk_set_output(output);
    CHECK_EQ(log_lines, 1 + owners + more);
}

void take_and_free_all(void)
{
    size_t free = physical_figures()->free;
    uint64_t failures = physical_figures()->failures;

    hold_all();
    CHECK_EQ(page_total, free);
    CHECK_EQ(physical_figures()->free, 0);
    CHECK_EQ(physical_figures()->failures, failures + 1);
    CHECK_EQ(alloc_physical_page(OWNER_ANON), PAGE_NONE);
    CHECK_EQ(page_new(OWNER_ANON), PAGE_NONE);
    CHECK_EQ(page_range(1, PAGE_SIZE, 0, OWNER_ANON), PAGE_NONE);
    check_figures();
    free_all_in_any_order();
    CHECK_EQ(physical_figures()->free, free);
    check_figures();
}
