/*
 * physical_check: each of its sentences, for the damage that it is about.
 */
#include "physical_cases.h"
#include "../../mm/x86/blocks.h"

/*
 * One block above 16 MiB, page by page:   f u f u f u u u ffffffff ffff u ...
 *                                         0   2   4       8        16    (u: in use)
 */
static page_t base;
static page_t run;              /* of 5 pages, in use */
static page_t kept;             /* of 4 pages, kept */
static page_t held_back;        /* in the magazine, the only one */
static page_t used;             /* neither half of its pair is free */

/* Damage: bytes that change for a while. */
static struct {
    void *at;
    unsigned char saved[16];
    size_t size;
} damage[4];
static size_t damages;

#define FRAME(n) physical_frame(base + (page_t)(n) * PAGE_SIZE)
#define MARKER(n) ((free_page_marker_t *)fake_ram(base + (page_t)(n) * PAGE_SIZE))

static void free_some(size_t first, size_t count)
{
    for (size_t i = 0; i < count; i++)
        CHECK_EQ(free_physical_page(base + (first + i) * PAGE_SIZE), 0);
}

static void start(void)
{
    fake_machine_start(&(fake_config_t){ .level = FAKE_PHYSICAL, .megabytes = 32 });
    damages = 0;
    page_range(BLOCK_PAGES, BLOCK, 0, OWNER_ANON);          /* the one that stands alone */
    base = page_range(BLOCK_PAGES, BLOCK, 0, OWNER_ANON);   /* half of a pair */
    run = page_range(5, PAGE_SIZE, 0, OWNER_ANON);
    kept = page_range(4, 4 * PAGE_SIZE, 0, OWNER_ANON);
    held_back = page_range(1, PAGE_SIZE, 0, OWNER_ANON);
    used = base + 6 * PAGE_SIZE;
    without_magazine();
    free_some(0, 1);
    free_some(2, 1);
    free_some(4, 1);
    free_some(8, 12);
    physical_fail_after(0);
    CHECK_EQ(page_range_free(kept, 4), 0);
    CHECK_EQ(free_physical_page(held_back), 0);
    CHECK_EQ(physical_frame(kept)->state, FRAME_KEPT);
    CHECK_EQ(FRAME(8)->count, 4);
    CHECK_EQ(FRAME(16)->count, 3);
    CHECK_OK(physical_check());
}

static void put(void *at, const void *bytes, size_t size)
{
    CHECK(size <= sizeof(damage->saved));
    damage[damages].at = at;
    damage[damages].size = size;
    memcpy(damage[damages++].saved, at, size);
    memcpy(at, bytes, size);
}

#define PUT(place, value) \
    do { \
        __typeof__(place) value_ = (__typeof__(place))(value); \
        put(&(place), &value_, sizeof(value_)); \
    } while (0)

/* What is said of all that was PUT; then it is as it was. */
static void expect(const char *sentence)
{
    CHECK_STR(physical_check(), sentence);
    while (damages > 0) {
        damages--;
        memcpy(damage[damages].at, damage[damages].saved, damage[damages].size);
    }
    CHECK_OK(physical_check());
}

static frame_t frame_of(frame_state_t state, frame_owner_t owner, uint16_t count, uint16_t slot)
{
    return (frame_t){ .state = (uint8_t)state, .owner = (uint8_t)owner, .count = count,
                      .slot = slot };
}

TEST(physical_check_of_lists)
{
    block_t *block;

    start();
    block = block_of(base);
    PUT(block->list[0], base ^ BLOCK);
    expect("a free list leads out of its block");
    PUT(block->list[3], base + PAGE_SIZE);
    expect("a free list leads out of its block");
    PUT(MARKER(4)->next, LINEAR_END - PAGE_SIZE);
    expect("a free list leads out of its block");
    PUT(MARKER(2)->check, MARKER(2)->check ^ 1);
    expect("a free page's marker is damaged");
    PUT(MARKER(2)->prev, base);
    expect("a free list's backward link is wrong");
    PUT(MARKER(4)->prev, base);
    expect("a free list's backward link is wrong");
    PUT(MARKER(0)->next, base + 4 * PAGE_SIZE);     /* round and round */
    expect("a free list's backward link is wrong");
    PUT(*FRAME(2), frame_of(FRAME_FREE, OWNER_NONE, 2, 0));
    expect("a listed page is no free chunk in the frame table");
    PUT(*FRAME(2), frame_of(FRAME_USED, OWNER_ANON, 1, 0));
    expect("a listed page is no free chunk in the frame table");
    PUT(*FRAME(3), frame_of(FRAME_FREE, OWNER_NONE, 1, 0));
    expect("two halves of a chunk are free and not merged");
    PUT(MARKER(4)->next, PAGE_NONE);                /* the rest is lost */
    expect("a block's counter differs from its lists");
    PUT(block->free, block->free + 1);
    expect("a block's counter differs from its lists");
    PUT(physical.block_free, physical.block_free + 1);
    expect("the sum of the blocks' counters is wrong");
    fake_machine_abandon();
}

/* A set's bit of a block, with what goes with it. */
static void put_in_set(block_set_t *set, size_t number, bool in)
{
    uint32_t bit = 1u << number % 32;

    PUT(set->word[number / 32], in ? set->word[number / 32] | bit
                                   : set->word[number / 32] & ~bit);
    if ((set->word[number / 32] != 0) == in)
        PUT(set->summary[number / 1024], in ? set->summary[number / 1024] | 1u << number / 32 % 32
                                            : 0);
}

TEST(physical_check_of_sets)
{
    const char *wrong = "a set of blocks is wrong";
    zone_blocks_t *zone = &physical.zone[ZONE_NORMAL];
    size_t number, alone = 0, pair = 0;
    block_t *block;

    start();
    block = block_of(base);
    number = base / BLOCK;
    for (size_t i = LOW_ZONE_END / BLOCK; i < block_count(); i++) {
        bool whole = physical.block[i].free == BLOCK_PAGES;
        bool other = physical.block[i ^ 1].free == BLOCK_PAGES;

        alone = whole && !other ? i : alone;
        pair = whole && other ? i & ~(size_t)1 : pair;
    }
    CHECK(alone != 0 && pair != 0);
    PUT(block->listed, block->listed ^ 1);          /* the set has it */
    expect(wrong);
    put_in_set(&zone->have[0], number, false);      /* the block says that it has */
    expect(wrong);
    PUT(block->listed, block->listed & ~1u);        /* neither: but there is a list */
    put_in_set(&zone->have[0], number, false);
    expect(wrong);
    PUT(block->listed, block->listed | 1u << 5);    /* both: that is allowed to be stale */
    put_in_set(&zone->have[5], number, true);
    PUT(zone->orders, zone->orders | 1u << 5);
    expect(NULL);
    PUT(block->listed, block->listed | 1u << BLOCK_ORDER);      /* not whole */
    put_in_set(&zone->have[BLOCK_ORDER], number, true);
    expect(wrong);
    PUT(physical.block[alone].listed, physical.block[alone].listed & ~(1u << BLOCK_ORDER));
    put_in_set(&zone->have[BLOCK_ORDER], alone, false);
    expect(wrong);
    for (size_t i = 0; i < 2; i++) {                /* half of a pair, by itself */
        block = &physical.block[pair + i];
        PUT(block->listed, block->listed | 1u << BLOCK_ORDER);
        put_in_set(&zone->have[BLOCK_ORDER], pair + i, true);
        expect(wrong);
    }
    PUT(physical.block[pair].listed, physical.block[pair].listed & ~(1u << PAIR_ORDER));
    put_in_set(&zone->have[PAIR_ORDER], pair, false);
    expect(wrong);
    PUT(block->listed, block->listed | 1u << PAIR_ORDER);       /* by its second */
    put_in_set(&zone->have[PAIR_ORDER], pair + 1, true);
    expect(wrong);
    PUT(zone->orders, zone->orders ^ 1u << 5);
    expect("a zone's orders are wrong");
    PUT(zone->orders, zone->orders ^ 1u);
    expect("a zone's orders are wrong");
    PUT(zone->have[0].summary[1], 1u << 7);
    expect("a summary of a set of blocks is wrong");
    put_in_set(&zone->have[0], BLOCK_COUNT - 1, true);
    expect("a set has a block that is not there");
    put_in_set(&zone->have[0], block_count(), true);
    expect("a set has a block that is not there");
    fake_machine_abandon();
}

TEST(physical_check_of_what_is_held_back)
{
    const char *in_magazine = "a page in the magazine has another state";
    const char *is_kept = "a run that is kept has another state";

    start();
    PUT(physical_frame(held_back)->state, FRAME_USED);
    expect(in_magazine);
    PUT(physical.top[-1].page, used);
    expect(in_magazine);
    PUT(physical.top[-1].frame, physical_frame(used));
    expect(in_magazine);
    PUT(physical_frame(kept)->state, FRAME_RUN);
    expect(is_kept);
    PUT(physical_frame(kept)->slot, 8);
    expect(is_kept);
    PUT(physical.kept[2].run[0].page, used);
    expect(is_kept);
    PUT(physical.kept[2].run[0].frame, physical_frame(used));
    expect(is_kept);
    PUT(physical.kept_pages, physical.kept_pages + 4);
    expect("the kept runs are not exactly those of the frame table");
    PUT(*physical_frame(run), frame_of(FRAME_KEPT, OWNER_NONE, 0, 5));
    expect("the kept runs are not exactly those of the frame table");
    PUT(*physical_frame(used), frame_of(FRAME_MAGAZINE, OWNER_NONE, 0, 0));
    expect("the magazine does not hold exactly its frames");
    fake_machine_abandon();
}

/* A page is in the magazine twice and another not at all. */
TEST(physical_check_of_a_page_twice)
{
    start();
    CHECK_EQ(free_physical_page(used), 0);
    CHECK_EQ(free_physical_page(alloc_physical_page(OWNER_ANON)), 0);
    CHECK(magazine_count() > 1);
    PUT(physical.top[-1], physical.top[-2]);
    expect("a page in the magazine has another state");
    fake_machine_abandon();
}

TEST(physical_check_of_frames)
{
    const char *inside = "a page inside a free chunk or a run has a state of its own";
    const char *damaged = "a frame's state or owner is damaged";
    const char *owner = "a frame's owner does not fit its state";
    size_t whole = 0;

    start();
    for (size_t i = 0; i < block_count(); i++)
        whole = physical.block[i].free == BLOCK_PAGES ? i : whole;
    PUT(*FRAME(9), frame_of(FRAME_FREE, OWNER_ANON, 0, 0));
    expect(inside);
    PUT(*FRAME(15), frame_of(FRAME_FREE, OWNER_NONE, 1, 0));
    expect(inside);
    PUT(*FRAME(15), frame_of(FRAME_RESERVED, OWNER_NONE, 0, 0));
    expect(inside);
    PUT(physical_frame(run)[4], frame_of(FRAME_USED, OWNER_NONE, 0, 0));
    expect(inside);
    PUT(physical_frame(run)[4], frame_of(FRAME_MAGAZINE, OWNER_NONE, 0, 0));
    expect(inside);
    PUT(physical_frame(kept)[1], frame_of(FRAME_MAGAZINE, OWNER_NONE, 0, 0));
    expect(inside);
    PUT(physical_frames[whole * BLOCK_PAGES + 77], frame_of(FRAME_USED, OWNER_NONE, 0, 0));
    expect(inside);
    PUT(physical_frame(run)->slot, 1);
    expect(inside);
    PUT(physical_frame(used)->state, 77);
    expect(damaged);
    PUT(physical_frame(used)->owner, OWNER_COUNT);
    expect(damaged);
    PUT(physical_frame(used)->owner, OWNER_NONE);
    expect(owner);
    PUT(physical_frame(run)->owner, OWNER_NONE);
    expect(owner);
    PUT(physical_frame(held_back)->owner, OWNER_HEAP);
    expect("a page in the magazine has another state");
    PUT(physical_frame(FAKE_IMAGE_BASE)->owner, OWNER_NONE);
    expect(owner);
    PUT(physical_frame(VIDEO_BASE)->owner, OWNER_FIRMWARE);
    expect(owner);
    PUT(*physical_frame(used), frame_of(FRAME_FREE, OWNER_NONE, 0, 0));
    expect("a free page is in no chunk");
    PUT(physical_frame(used)->count, 0);
    expect("a used frame has no reference");
    PUT(physical_frame(run)->count, 0);
    expect("a used frame has no reference");
    PUT(*physical_frame(used), frame_of(FRAME_FREE, OWNER_NONE, 1, 0));
    expect("the lists do not hold exactly the free frames");
    /* A table that is empty has no reference. */
    physical_set_owner(used, OWNER_PAGE_TABLE);
    PUT(physical_frame(used)->count, 0);
    expect(NULL);
    physical_set_owner(used, OWNER_KERNEL_TABLE);
    PUT(physical_frame(used)->count, 0);
    expect(NULL);
    fake_machine_abandon();
}

/* The last page of RAM, as if it were a run. */
TEST(physical_check_of_the_last_frame)
{
    cases_start(&shapes[RAGGED]);
    hold_all();
    damages = 0;
    PUT(physical_frames[physical_frame_count - 1], frame_of(FRAME_RUN, OWNER_ANON, 1, 2));
    expect("a page inside a free chunk or a run has a state of its own");
    free_all_in_any_order();
    fake_machine_stop();
}

TEST(physical_check_of_figures)
{
    physical_mem_info_t *info = &physical_mem_info;

    start();
    PUT(info->total, info->total + 1);
    expect("the count of used pages is wrong");
    PUT(info->reserved, info->reserved + 1);
    expect("the count of used pages is wrong");
    PUT(*physical_frame(used), frame_of(FRAME_ABSENT, OWNER_NONE, 0, 0));
    expect("the count of used pages is wrong");
    PUT(*physical_frame(FAKE_IMAGE_BASE), frame_of(FRAME_USED, OWNER_IMAGE, 1, 0));
    expect("the count of used pages is wrong");
    PUT(info->total, info->total + 1);
    PUT(info->reserved, info->reserved + 1);
    expect("the count of reserved pages is wrong");
    PUT(*physical_frame(FAKE_IMAGE_BASE), frame_of(FRAME_ABSENT, OWNER_NONE, 0, 0));
    expect("the count of reserved pages is wrong");
    PUT(physical_frame(used)->owner, OWNER_HEAP);
    expect("an owner's count of pages is wrong");
    PUT(physical_frame(run)->owner, OWNER_HEAP);
    expect("an owner's count of pages is wrong");
    for (size_t i = OWNER_NONE + 1; i < OWNER_COUNT; i++) {
        PUT(info->owner[i], info->owner[i] + 1);
        expect("an owner's count of pages is wrong");
    }
    fake_machine_abandon();
}

/* All that is kept for the pages of 64 MiB: at most 8 bytes for each. */
TEST(physical_metadata_is_8_bytes_a_frame)
{
    fake_machine_start(&(fake_config_t){ .level = FAKE_PHYSICAL, .megabytes = 64 });
    CHECK(physical_frame_table_length() + sizeof(physical) <= 8 * physical_frame_count);
    fake_machine_stop();
}
