/* The tests of what guard mode says about misuse, and about a fault. */
#ifndef KHEAP_GUARD_REPORT_CASES_H
#define KHEAP_GUARD_REPORT_CASES_H

#include "kheap_guard_scene.h"

/* ---- misuse */

#define CHECK_MISUSE(text) \
    do { \
        CHECK_EQ(host_misuse_count(), ++misuses); \
        CHECK_EQ(heap.misuses, misuses); \
        if (strstr(host_misuse_last(), text) == NULL) \
            CHECK_STR(host_misuse_last(), text); \
        CHECK_OK(kheap_check(&heap)); \
    } while (0)

TEST(kheap_guard_misuse_is_reported)
{
    size_t misuses = 0;
    char text[200];

    new_heap(SLOTS, 1, 16);
    char *never = (char *)fake_guard.pages.base + 13 * PAGE_SIZE;
    char *buffer = buffer_at(true, 100);
    size_t served = guard.served;
    size_t used = guard.used;

    for (size_t i = 1; i < PAGE_SIZE; i += 37) {
        kheap_free(&heap, buffer + i);
        CHECK_MISUSE("of the buffer");
        kheap_free(&heap, buffer - i);
        CHECK_MISUSE("of the buffer");
    }
    kheap_free(&heap, buffer + 4);
    CHECK_MISUSE("kfree(");
    format_text(text, sizeof(text), "kfree(%p): byte 4 of the buffer %p of 100 bytes, "
                "allocated at first+0x12", (void *)(buffer + 4), (void *)buffer);
    CHECK_STR(host_misuse_last(), text);
    kheap_free(&heap, buffer + 100);
    CHECK_MISUSE("): 1 byte past the end of the buffer");
    kheap_free(&heap, never);
    CHECK_MISUSE("kfree(");
    format_text(text, sizeof(text), "kfree(%p): between guarded buffers, where none is or was",
                (void *)never);
    CHECK_STR(host_misuse_last(), text);
    CHECK(kheap_realloc(&heap, buffer + 16, 10) == NULL);
    CHECK_MISUSE("krealloc(");
    CHECK_EQ(kheap_usable_size(&heap, buffer + 16), 0);
    CHECK_MISUSE("kmalloc_usable_size(");
    CHECK(strstr(host_misuse_last(), "): byte 16 of the buffer") != NULL);
    CHECK_EQ(guard.used, used);
    CHECK_EQ(guard.served, served);

    fake_guard.caller = 0x1134;
    kheap_free(&heap, buffer);
    CHECK_EQ(host_misuse_count(), misuses);
    fake_guard.caller = 0x1256;
    kheap_free(&heap, buffer);
    CHECK_MISUSE("kfree(");
    format_text(text, sizeof(text), "kfree(%p): free already: byte 0 of the buffer %p of 100 "
                "bytes, allocated at first+0x12, freed at second+0x34", (void *)buffer,
                (void *)buffer);
    CHECK_STR(host_misuse_last(), text);
    CHECK_EQ(guard.free, SLOTS);
    CHECK(kheap_realloc(&heap, buffer, 10) == NULL);
    CHECK_MISUSE("krealloc(");
    CHECK(strstr(host_misuse_last(), "free already: ") != NULL);
    CHECK_EQ(kheap_usable_size(&heap, buffer), 0);
    CHECK_MISUSE("free already: ");
}

/* What is no buffer of the heap either does not move to the pool. */
TEST(kheap_guard_realloc_of_no_buffer)
{
    size_t misuses = 0;
    static char foreign[64] __attribute__((aligned(16)));

    new_heap(SLOTS, 1, 17);
    CHECK(kheap_realloc(&heap, foreign + 16, 10) == NULL);
    CHECK_MISUSE("krealloc(");
    CHECK(strstr(host_misuse_last(), "not in the heap") != NULL);
    CHECK_EQ(guard.used, 0);
    kheap_free(&heap, foreign + 16);
    CHECK_MISUSE("not in the heap");
    CHECK_EQ(guard.free, SLOTS);
}

TEST(kheap_guard_sees_writes_around_a_buffer)
{
    static const struct { bool left; int at; const char *where; } writes[] = {
        { true, 100, "there was a write 1 byte past the end of the buffer" },
        { true, 102, "there was a write 3 bytes past the end of the buffer" },
        { true, PAGE_SIZE - 1, "there was a write 3996 bytes past the end of the buffer" },
        { false, 100, "there was a write 1 byte past the end of the buffer" },
        { false, 111, "there was a write 12 bytes past the end of the buffer" },
        { false, -1, "there was a write 1 byte before the start of the buffer" },
        { false, -3984, "there was a write 3984 bytes before the start of the buffer" },
    };
    size_t misuses = 0;

    new_heap(SLOTS, 1, 18);
    for (size_t i = 0; i < ARRAY_LENGTH(writes); i++) {
        char *buffer = buffer_at(writes[i].left, 100);

        memset(buffer, 0, 100);
        CHECK_OK(kheap_check(&heap));
        buffer[writes[i].at] ^= 1;
        CHECK_STR(kheap_check(&heap), "the page of a guarded buffer was written to");
        kheap_free(&heap, buffer);
        CHECK_MISUSE(writes[i].where);      /* it is free, and all is well again */
        CHECK(faults(buffer, false));
    }
    CHECK_EQ(guard.free, SLOTS);
}

/* ---- what a fault is told to be */

static const char *explained(const char *address, const char *access)
{
    static char text[256];

    memset(text, 0, sizeof(text));
    CHECK(kheap_guard_explain(&heap, (size_t)address, access, text, sizeof(text)));
    return text;
}

static void check_explained(const char *address, const char *access, const char *begin,
                            const char *buffer, const char *end)
{
    char text[256];

    format_text(text, sizeof(text), "%s of the buffer %p of 112 bytes, allocated at %s", begin,
                (void *)(size_t)buffer, end);
    CHECK_STR(explained(address, access), text);
}

TEST(kheap_guard_explains_faults)
{
    char text[8] = "kept";

    new_heap(SLOTS, 1, 19);
    const char *base = (const char *)fake_guard.pages.base;
    const char *end = base + KHEAP_GUARD_LENGTH(SLOTS);
    char *right = buffer_at(false, 112);
    fake_guard.caller = 0x5678;             /* no function that is known */
    char *left = buffer_at(true, 112);

    check_explained(right + 112, "read", "read 1 byte past the end", right, "first+0x12");
    check_explained(right + 113, "write", "write 2 bytes past the end", right, "first+0x12");
    check_explained(right + 3, "execution", "execution byte 3", right, "first+0x12");
    char unknown[32];
    format_text(unknown, sizeof(unknown), "%p", (void *)0x5678);
    check_explained(left - 1, "read", "read 1 byte before the start", left, unknown);
    fake_guard.caller = 0x1204;
    kheap_free(&heap, right);
    check_explained(right, "read", "read after free, byte 0", right,
                    "first+0x12, freed at third+0x4");
    check_explained(right + 4, "write", "write after free, byte 4", right,
                    "first+0x12, freed at third+0x4");
    check_explained(right + 112, "write", "write after free, 1 byte past the end", right,
                    "first+0x12, freed at third+0x4");
    kheap_free(&heap, left);
    CHECK_STR(explained(end - 1, "read"),
              "read between guarded buffers, where none is or was");
    CHECK_STR(explained(end - 2 * PAGE_SIZE, "read"),
              "read between guarded buffers, where none is or was");
    CHECK(!kheap_guard_explain(&heap, (size_t)base - 1, "read", text, sizeof(text)));
    CHECK(!kheap_guard_explain(&heap, (size_t)end, "read", text, sizeof(text)));
    CHECK_STR(text, "kept");
    check_empty();
}

/* The buffers of slots 0 and 1 around an unmapped page, by hand. */
static void place(size_t slot, guard_state_t state, size_t start, size_t size)
{
    guard.slot[slot] = (guard_slot_t){
        .buffer = fake_guard.pages.base + (2 * slot + 1) * PAGE_SIZE + start,
        .size = size,
        .state = state,
    };
}

TEST(kheap_guard_explains_by_the_nearer_buffer)
{
    new_heap(2, 0, 20);
    const char *between = (const char *)fake_guard.pages.base + 2 * PAGE_SIZE;

    place(0, GUARD_USED, PAGE_SIZE - 16, 16);       /*  |....BB|      |BB....|  */
    place(1, GUARD_USED, 0, 16);
    CHECK(strstr(explained(between, "read"), "read 1 byte past the end") != NULL);
    CHECK(strstr(explained(between + 2047, "read"), "2048 bytes past the end") != NULL);
    CHECK(strstr(explained(between + 2048, "read"), "2048 bytes before the start") != NULL);
    CHECK(strstr(explained(between + 4095, "read"), "1 byte before the start") != NULL);
    guard.slot[0].state = GUARD_FREED;              /*  |....bb|      |BB....|  */
    CHECK(strstr(explained(between, "read"), "after free, 1 byte past the end") != NULL);
    CHECK(strstr(explained(between + 1535, "read"), "after free, 1536 bytes past") != NULL);
    CHECK(strstr(explained(between + 1536, "read"), "2560 bytes before the start") != NULL);
    guard.slot[1].state = GUARD_FREED;              /*  |....bb|      |bb....|  */
    CHECK(strstr(explained(between, "read"), "after free, 1 byte past the end") != NULL);
    guard.slot[0].state = GUARD_NEVER_USED;         /*  |......|      |bb....|  */
    CHECK(strstr(explained(between, "read"), "4096 bytes before the start") != NULL);
    CHECK(strstr(explained(between - PAGE_SIZE, "read"), "where none is or was") != NULL);
    CHECK(strstr(explained(between - 2 * PAGE_SIZE, "read"), "where none is or was") != NULL);
    CHECK(strstr(explained(between + 2 * PAGE_SIZE, "read"), "4081 bytes past") != NULL);
    guard.slot[1] = (guard_slot_t){ 0 };
}

#endif
