/* The catalogue of bugs for a release build of the heap, at the levels it can have. */
#include "kheap_bugs_run.h"

TEST(kheap_bugs_at_level_basic)
{
    run_column(COLUMN_BASIC);
}

TEST(kheap_bugs_at_level_full)
{
    run_column(COLUMN_FULL);
}

/* The scene of the bugs in cells: four neighbours, the next one never given out. */
TEST(kheap_bugs_have_cells)
{
    fake_segment_destroy(&memory);
    kheap_init(&bugged, fake_segment_init(&memory, LIMIT));
    cells();
    const kheap_slab_t *slab = slab_of(&bugged, b);
    const size_t length = align_up(SIZE, KHEAP_ALIGN);
    CHECK_EQ(slab->cell_size, length);
    CHECK_EQ(b - left, length);
    CHECK_EQ(right - b, length);
    CHECK_EQ(wall - right, length);
    CHECK(page_of(left) == page_of(wall + 4 * length));     /* the last of those */
    CHECK(cell_used(slab, wall));
    for (size_t i = 1; i <= 4; i++)
        CHECK(!cell_used(slab, wall + i * length));
    fake_segment_destroy(&memory);
}

/* A header that its own sum approves of is compared with its registry all the same. */
TEST(kheap_forged_headers_are_not_followed)
{
    fake_segment_destroy(&memory);
    kheap_init(&bugged, fake_segment_init(&memory, LIMIT));
    CHECK_EQ(kheap_tune(&bugged, KHEAP_TUNE_LEVEL, KHEAP_FULL), 0);
    scene();
    size_t block = (size_t)registry(b);
    size_t length = block_length(block);
    size_t word = *block_word(block);
    kheap_full_header_t kept = *full_header(block);
    const size_t sizes[] = { SIZE_MAX, length, bugged.end - block + 1, LIMIT };

    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        full_header(block)->size = sizes[i];
        full_header(block)->sum = kheap_header_sum(&bugged, block, length, full_header(block));
        drop(b);
        CHECK_EQ(host_misuse_count(), 2 * i + 1);
        CHECK(kheap_check(&bugged) != NULL);
        *block_word(block) = superbuffer_word(block, 2 * LIMIT);     /* and its registry, too */
        full_header(block)->sum = kheap_header_sum(&bugged, block, 2 * LIMIT, full_header(block));
        drop(b);
        CHECK_EQ(host_misuse_count(), 2 * i + 2);
        *block_word(block) = word;
    }
    *full_header(block) = kept;
    CHECK_OK(kheap_check(&bugged));
    full_header(block)->freed = 1;              /* free, and not in quarantine */
    full_header(block)->sum = kheap_header_sum(&bugged, block, length, full_header(block));
    drop(b);
    CHECK_EQ(host_misuse_count(), 2 * ARRAY_LENGTH(sizes) + 1);
    *full_header(block) = kept;

    size_t more = kheap_header_length_for(0) - sizeof(size_t) + KHEAP_GRANULE;
    get(bugged.tail->length - more);
    CHECK_EQ(bugged.tail->length, KHEAP_GRANULE);
    bugged.tail->length ^= 16;                  /* too short for a header, and damaged */
    drop((void *)(bugged.end - 8));
    CHECK(strstr(host_misuse_last(), "the registry at ") != NULL);
    CHECK_EQ(host_misuse_count(), 2 * ARRAY_LENGTH(sizes) + 2);
}

/* The end of a canary that looks like that of a gap: only if there is one, it counts. */
TEST(kheap_canary_like_a_gap)
{
    static const size_t last[] = { 0, 8, 16, 24, 32, 48, SIZE_MAX & ~(size_t)15 };

    for (size_t i = 0; i < ARRAY_LENGTH(last); i++) {
        fake_segment_destroy(&memory);
        kheap_init(&bugged, fake_segment_init(&memory, LIMIT));
        CHECK_EQ(kheap_tune(&bugged, KHEAP_TUNE_LEVEL, KHEAP_FULL), 0);
        scene();
        size_t *word = (size_t *)registry(b) - 1;
        size_t kept = *word;
        *word = last[i];
        drop(b);
        CHECK_EQ(host_misuse_count(), 2 * i);
        drop(left);
        CHECK_EQ(host_misuse_count(), 2 * i + 1);
        CHECK(strstr(host_misuse_last(), "its canary is damaged") != NULL);
        *word = kept;
        drop(left);
        *(size_t *)(registry(wall) - 32) = 32;  /* a gap in all but the trees */
        *((size_t *)registry(wall) - 1) = 32;
        drop(wall);
        CHECK_EQ(host_misuse_count(), 2 * i + 2);
        CHECK(strstr(host_misuse_last(), "the links of a gap next to it") != NULL);
    }
}
