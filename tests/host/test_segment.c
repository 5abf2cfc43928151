/*
 * The kernel segment and the pages with the heap's notes of it, over the fake machine.
 */
#include <kernel/errno.h>
#include <kernel/layout.h>
#include <kernel/physical.h>
#include <kernel/segment.h>
#include <kernel/virtual.h>
#include <host_test.h>
#include "fake_machine.h"

#include <string.h>

enum { NOTED = PAGE_SIZE / SEGMENT_SIDE };      /* pages of the segment that a page notes */

static const char *const formats[] = { "2level", "pae" };

/* A segment of our own, where no kernel table is yet; the heap's stays as it is. */
static segment_t new_segment(const char *format)
{
    fake_machine_start(&(fake_config_t){ .level = FAKE_HEAP, .format = format,
                                         .megabytes = 16 });
    segment_t segment = kernel_segment;

    segment.base = SEGMENT_BASE + 0x08000000 + 4 * MIB - 2 * PAGE_SIZE;
    segment.length = 0;
    segment.limit = 8 * MIB;
    segment.side = (void *)(SEGMENT_SIDE_BASE + 2 * MIB);
    return segment;
}

static bool mapped(size_t vaddr)
{
    return get_translation(kernel_pagetable(), vaddr) != NO_TRANSLATION;
}

static bool all_bytes(const void *buffer, int byte, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (((const unsigned char *)buffer)[i] != byte)
            return false;
    }
    return true;
}

/* Just so many pages of the segment are mapped, and the notes for them. */
static void check_mapped(const segment_t *segment, size_t pages)
{
    size_t side = (size_t)segment->side;
    size_t notes = (pages + NOTED - 1) / NOTED;

    CHECK_EQ(segment->length, pages * PAGE_SIZE);
    for (size_t i = 0; i < 3 * NOTED; i++)
        CHECK_EQ(mapped(segment->base + i * PAGE_SIZE), i < pages);
    for (size_t i = 0; i < 5; i++)
        CHECK_EQ(mapped(side + i * PAGE_SIZE), i < notes);
    CHECK_OK(pagetable_check());
    CHECK_OK(physical_check());
}

TEST(segment_notes_come_and_go)
{
    for (size_t i = 0; i < ARRAY_LENGTH(formats); i++) {
        segment_t segment = new_segment(formats[i]);
        char *side = segment.side;

        CHECK_EQ(segment.extend(&segment, 1), 0);
        check_mapped(&segment, 1);
        CHECK(all_bytes(side, 0, PAGE_SIZE));
        memset(side, 0xa5, PAGE_SIZE);
        memset((void *)segment.base, 0x5a, PAGE_SIZE);
        CHECK_EQ(segment.extend(&segment, NOTED - 1), 0);
        check_mapped(&segment, NOTED);
        for (size_t round = 0; round < 3; round++) {
            CHECK_EQ(segment.extend(&segment, 1), 0);
            check_mapped(&segment, NOTED + 1);
            CHECK(all_bytes(side, 0xa5, PAGE_SIZE));            /* stays as it is */
            CHECK(all_bytes(side + PAGE_SIZE, 0, PAGE_SIZE));   /* new each time */
            memset(side + PAGE_SIZE, 0xa5, PAGE_SIZE);
            segment.shrink(&segment, 1);
            check_mapped(&segment, NOTED);
        }
        CHECK(all_bytes((void *)segment.base, 0x5a, PAGE_SIZE));
        segment.shrink(&segment, NOTED - 1);
        check_mapped(&segment, 1);
        segment.shrink(&segment, 1);
        check_mapped(&segment, 0);
        CHECK_EQ(segment.extend(&segment, 3 * NOTED - 1), 0);
        check_mapped(&segment, 3 * NOTED - 1);
        CHECK(all_bytes(side, 0, 3 * PAGE_SIZE));
        segment.shrink(&segment, 3 * NOTED - 1);
        check_mapped(&segment, 0);
        fake_machine_stop();
    }
}

TEST(segment_extends_wholly_or_not)
{
    static const size_t counts[] = { 1, 8, NOTED, NOTED + 1, 2 * NOTED + 3 };

    for (size_t i = 0; i < ARRAY_LENGTH(formats); i++) {
        for (size_t k = 0; k < ARRAY_LENGTH(counts); k++) {
            segment_t segment = new_segment(formats[i]);
            size_t notes = (counts[k] + NOTED - 1) / NOTED;
            size_t failures = 0;

            for (size_t n = 1; ; n++) {         /* tables, notes, pages: each may fail */
                size_t frames = physical_figures()->owner[OWNER_HEAP];
                physical_fail_after(n);
                int err = segment.extend(&segment, counts[k]);
                physical_fail_after(0);
                if (err == 0)
                    break;
                CHECK_EQ(err, -ENOMEM);
                CHECK_EQ(physical_figures()->owner[OWNER_HEAP], frames);
                check_mapped(&segment, 0);
                failures++;
            }
            CHECK(failures >= counts[k] + notes);
            check_mapped(&segment, counts[k]);
            segment.shrink(&segment, counts[k]);
            check_mapped(&segment, 0);
            fake_machine_stop();
        }
    }
}

TEST(segment_never_passes_its_limit)
{
    segment_t segment = new_segment(formats[0]);

    segment.limit = 10 * PAGE_SIZE;
    CHECK_EQ(segment.extend(&segment, 11), -ENOMEM);
    CHECK_EQ(segment.extend(&segment, SIZE_MAX), -ENOMEM);
    CHECK_EQ(segment.extend(&segment, 7), 0);
    CHECK_EQ(segment.extend(&segment, 4), -ENOMEM);
    check_mapped(&segment, 7);
    CHECK_EQ(segment.extend(&segment, 3), 0);
    CHECK_EQ(segment.extend(&segment, 1), -ENOMEM);
    check_mapped(&segment, 10);
    segment.shrink(&segment, 10);
    check_mapped(&segment, 0);
    fake_machine_stop();
}
