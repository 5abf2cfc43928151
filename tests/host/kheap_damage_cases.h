/*
 * More tests of the heap's checker, its log and its reports, where memory is damaged.
 */
#ifndef KHEAP_DAMAGE_CASES_H
#define KHEAP_DAMAGE_CASES_H

#include "kheap_slab_cell_cases.h"

/* The word of a superbuffer in use of this length, there. */
static size_t sound_word(const void *word, size_t length)
{
    size_t hash = ((size_t)word + 3 * length) * (size_t)0x9e3779b97f4a7c15ull;

    return (hash & ~(((size_t)1 << KHEAP_LENGTH_BITS) - 1)) | length | 1;
}

TEST(kheap_check_notices_lengths_that_are_never_given)
{
    size_t kept[4];

    new_heap(LIMIT);
    char *gap = buffer_of(512);
    char *used = buffer_of(512);
    char *wall = buffer_of(512);
    kheap_free(&heap, gap);
    CHECK_EQ(*word_of(wall), sound_word(word_of(wall), 512));
    if (SMALLEST > KHEAP_ALIGN) {
        CHECK_NOTICES(*word_of(wall), sound_word(word_of(wall), KHEAP_ALIGN));
        *word_of(wall) = sound_word(word_of(wall), KHEAP_ALIGN);
        CHECK_STR(kheap_check(&heap), "a superbuffer has a length that is never given");
        *word_of(wall) = sound_word(word_of(wall), 512);

        size_t *word = word_of(gap);            /* its first and last word both say 16 */
        memcpy(kept, word, KHEAP_ALIGN);
        word[0] = word[KHEAP_ALIGN / WORD - 1] = KHEAP_ALIGN;
        CHECK_STR(kheap_check(&heap), "a gap has a length that is never left");
        memcpy(word, kept, KHEAP_ALIGN);
    }
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, used);
    kheap_free(&heap, wall);
    check_empty();
}

TEST(kheap_check_notices_a_gap_within_a_buffer)
{
    new_heap(LIMIT);
    char *buffer = buffer_of(1024);
    kernel_heap_gap_t *inside = (kernel_heap_gap_t *)(void *)(word_of(buffer) + 256 / WORD);

    inside->length = 512;
    gaptree_insert(&heap.tree, inside, true);
    CHECK_STR(kheap_check(&heap), "the trees hold other gaps than the segment");
    gaptree_remove(&heap.tree, inside, true);
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, buffer);
    check_empty();
}

TEST(kheap_check_notices_another_segment)
{
    new_heap(LIMIT);
    void *side = fake.segment.side;
    fake.segment.side = NULL;
    kheap_init(&heap, &fake.segment);
    char *buffer = buffer_of(512);

    CHECK_NOTICES(fake.segment.length, fake.segment.length + PAGE_SIZE);
    CHECK_NOTICES(fake.segment.side, side);
    CHECK_NOTICES(heap.slab_span, fake.segment.length);
    CHECK_NOTICES(heap.peak_segment, (size_t)0);
    kheap_free(&heap, buffer);
    check_cached_empty();
    fake.segment.side = side;
}

static void log_heap(size_t lines)
{
    log_length = 0;
    printk_output_t *output = printk_set_output(keep_text);
    kheap_log(&heap, lines);
    printk_set_output(output);
}

TEST(kheap_log_ends_at_damage)
{
    static const size_t lengths[] = { 0, 16 * MIB };
    char line[64];

    new_heap(LIMIT);
    char *first = buffer_of(512);
    char *second = buffer_of(512);
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
        size_t kept = *word_of(second);
        *word_of(second) = lengths[i] | 1;
        log_heap(100);
        format_text(line, sizeof(line), "  %p damaged: %p\n", (void *)word_of(second),
                    (void *)(lengths[i] | 1));
        CHECK(strstr(log_text, line) != NULL);
        CHECK(strstr(log_text, "length tree: ") != NULL);
        *word_of(second) = kept;
    }
    kheap_free(&heap, first);
    kheap_free(&heap, second);
    check_empty();
}

TEST(kheap_log_shows_voids)
{
    char *left;
    char *right;

    if (!HAS_VOIDS)
        test_skip("this build has no voids");
    new_heap(LIMIT);
    make_void(&left, &right, KHEAP_ALIGN);
    log_heap(100);
    CHECK(strstr(log_text, " 16 void\n") != NULL);
    CHECK(strstr(log_text, "  1 voids: 16 bytes\n") != NULL);
    kheap_free(&heap, left);
    kheap_free(&heap, right);
    check_empty();
}

/* The walk that explains a pointer ends where it meets what it cannot read. */
TEST(kheap_report_ends_at_damage)
{
    static const size_t words[] = { 0, 16, 16 * MIB };
    char text[64];

    new_heap(LIMIT);
    char *first = buffer_of(512);
    char *second = buffer_of(512);
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
        size_t kept = *word_of(first);
        kheap_stat_t before = stat_of();
        *word_of(first) = words[i];
        kheap_free(&heap, second + 16);
        *word_of(first) = kept;
        format_text(text, sizeof(text), "the registry at %p is damaged: %p",
                    (void *)word_of(first), (void *)words[i]);
        CHECK_MISUSE(&before, text);
    }
    kheap_free(&heap, first);
    kheap_free(&heap, second);
    check_empty();
}

/* Marks that nothing bears out: a slab without notes, a cached one that is not in the table. */
TEST(kheap_marks_that_nothing_bears_out_are_damage)
{
    static const size_t marks[] = { 4, 8, 12 };

    new_heap(LIMIT);
    char *first = buffer_of(512);
    char *second = buffer_of(512);
    char *wall = buffer_of(512);
    for (size_t i = 0; i < ARRAY_LENGTH(marks); i++) {
        *word_of(second) ^= marks[i];
        kheap_stat_t before = stat_of();
        kheap_free(&heap, second);
        CHECK_MISUSE(&before, "is damaged");
        if (marks[i] != 8) {            /* C may be there: it is compared when it matters */
            before = stat_of();
            kheap_free(&heap, first);
            CHECK_MISUSE(&before, "is damaged");
        }
        *word_of(second) ^= marks[i];
        CHECK_OK(kheap_check(&heap));
    }
    kheap_free(&heap, first);
    kheap_free(&heap, second);
    kheap_free(&heap, wall);
    check_empty();
}

/* A slab is a sound neighbour: what lies on both its sides can be freed. */
TEST(kheap_slab_next_to_what_is_freed)
{
    char *buffer[256];

    new_slab_heap(12 * PAGE_SIZE);
    char *cell = first_cell(1008);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_SLABS, 1), 0);
    size_t count = fill_up(buffer, ARRAY_LENGTH(buffer), 2 * PAGE_SIZE);
    free_all(buffer, count);
    CHECK_EQ(stat_of().misuse_count, 0);
    CHECK_EQ(stat_of().buffer_count, 1);
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, cell);
    check_all_empty();
}

#endif
