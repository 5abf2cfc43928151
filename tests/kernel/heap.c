/*
 * The kernel's own heap, over scattered frames, and its guard mode.
 */
#include <kernel/boot_info.h>
#include <kernel/dump.h>
#include <kernel/kheap_guard.h>
#include <kernel/layout.h>
#include <kernel/physical.h>
#include <kernel/printk.h>
#include <kernel/string.h>
#include <test.h>

#include "probe.h"

enum { BUFFERS = 300 };

static void fill(uint8_t *buffer, size_t length, size_t seed)
{
    for (size_t i = 0; i < length; i++)
        buffer[i] = (uint8_t)(seed + i * 7);
}

static size_t spoiled(const uint8_t *buffer, size_t length, size_t seed)
{
    size_t wrong = 0;

    for (size_t i = 0; i < length; i++)
        wrong += buffer[i] != (uint8_t)(seed + i * 7);
    return wrong;
}

static size_t random_length(void)
{
    return test_random_below(8) == 0 ? test_random_below(20000) : test_random_below(300);
}

static void random_work(size_t steps)
{
    uint8_t *buffer[BUFFERS] = { 0 };
    size_t length[BUFFERS] = { 0 };
    size_t wrong = 0;

    for (size_t step = 0; step < steps; step++) {
        size_t i = test_random_below(BUFFERS);

        if (buffer[i] == NULL) {
            length[i] = random_length();
            buffer[i] = test_random_below(4) == 0 ? kmemalign(64u << test_random_below(7),
                                                              length[i]) : kmalloc(length[i]);
            CHECK(buffer[i] != NULL);
            fill(buffer[i], length[i], i);
        } else if (test_random_below(3) == 0) {
            size_t now = random_length();
            uint8_t *moved = krealloc(buffer[i], now);

            CHECK(moved != NULL);
            wrong += spoiled(moved, now < length[i] ? now : length[i], i);
            buffer[i] = moved;
            length[i] = now;
            fill(moved, now, i);
        } else {
            wrong += spoiled(buffer[i], length[i], i);
            kfree(buffer[i]);
            buffer[i] = NULL;
        }
        if (step % (steps / 20 + 1) == 0)
            CHECK_OK(kheap_check(&kernel_heap));
    }
    for (size_t i = 0; i < BUFFERS; i++) {
        if (buffer[i] != NULL)
            wrong += spoiled(buffer[i], length[i], i);
        kfree(buffer[i]);
    }
    CHECK_EQ(wrong, 0);
    CHECK_OK(kheap_check(&kernel_heap));
}

TEST(heap_random_work)
{
    random_work(test_steps(6000));
}

TEST(heap_buffers_are_aligned_and_apart)
{
    void *last = NULL;

    for (size_t size = 0; size < 200; size++) {
        void *buffer = kmalloc(size);

        CHECK(buffer != NULL && buffer != last);
        CHECK_EQ((size_t)buffer % KHEAP_ALIGN, 0);
        CHECK(kmalloc_usable_size(buffer) >= size);
        CHECK((size_t)buffer >= SEGMENT_BASE && (size_t)buffer < SEGMENT_END);
        kfree(last);
        last = buffer;
    }
    kfree(last);
    for (size_t align = 16; align <= 64 * KIB; align *= 2) {
        void *buffer = kmemalign(align, 100);

        CHECK_EQ((size_t)buffer % align, 0);
        kfree(buffer);
    }
}

/* A segment that shrinks gives its frames back; behind it nothing is mapped. */
TEST(heap_gives_pages_back)
{
    size_t frames;
    void *buffer;
    size_t end;

    kheap_trim(&kernel_heap, 0);
    frames = physical_figures()->owner[OWNER_HEAP];
    buffer = kmalloc(100 * PAGE_SIZE);
    CHECK(buffer != NULL);
    CHECK(physical_figures()->owner[OWNER_HEAP] >= frames + 100);
    size_t pages = kernel_segment.length / PAGE_SIZE;
    CHECK_EQ(physical_figures()->owner[OWNER_HEAP],
             pages + (pages * SEGMENT_SIDE + PAGE_MASK) / PAGE_SIZE);
    end = kernel_segment.base + kernel_segment.length;
    CHECK(!probe_read(end - 1).faulted);
    CHECK(probe_read(end).faulted);
    kfree(buffer);
    kheap_trim(&kernel_heap, 0);
    CHECK_EQ(physical_figures()->owner[OWNER_HEAP], frames);
    CHECK(probe_read(end - 1).faulted);
}

TEST(heap_overflows_are_refused)
{
    CHECK(kmalloc(SIZE_MAX) == NULL);
    CHECK(kmalloc(SIZE_MAX - PAGE_SIZE) == NULL);
    CHECK(kmalloc(SEGMENT_END - SEGMENT_BASE) == NULL);
    CHECK(kcalloc(SIZE_MAX / 2, 3) == NULL);
    CHECK(kcalloc(0x10000, 0x10001) == NULL);
    CHECK(kmemalign(SIZE_MAX / 2 + 1, 100) == NULL);
    CHECK(kmemalign(24, 100) == NULL);
    kfree(NULL);
    CHECK_OK(kheap_check(&kernel_heap));
}

/* heap=...,contain: each is reported, changes nothing, and the kernel goes on. */
TEST(heap_contains_misuse)
{
    size_t length;
    const char *level = boot_info_word(&boot_info, "heap", &length);
    kheap_stat_t before;
    kheap_stat_t after;

    if (level == NULL || memmem(level, length, "contain", 7) == NULL)
        test_skip("the kernel ends at the first misuse: boot with heap=full,contain");
    char *buffer = kmalloc(2000);       /* no cell */
    char *wall = kmalloc(2000);
    char *before_it = buffer - 1;       /* its registry, or header */
    char kept = *before_it;
    kheap_stat(&kernel_heap, &before);

    kfree(buffer + 16);
    kfree(&before);
    *before_it ^= 0x55;
    kfree(buffer);
    *before_it = kept;
    kheap_stat(&kernel_heap, &after);
    CHECK_EQ(after.misuse_count, before.misuse_count + 3);
    CHECK_EQ(after.buffer_count, before.buffer_count);
    kfree(buffer);
    kfree(buffer);
    kfree(wall);
    kheap_stat(&kernel_heap, &after);
    CHECK_EQ(after.misuse_count, before.misuse_count + 4);
    CHECK_EQ(after.buffer_count, before.buffer_count - 2);
}

static char log_text[8192];
static size_t log_length;

static void keep_log(const char *text, size_t length)
{
    for (size_t i = 0; i < length && log_length < sizeof(log_text) - 1; i++)
        log_text[log_length++] = text[i];
    log_text[log_length] = '\0';
}

static bool log_has(const char *part)
{
    return memmem(log_text, log_length, part, strlen(part)) != NULL;
}

TEST(heap_structure_is_logged)
{
    void *buffer[3] = { kmalloc(1000), kmalloc(2000), kmalloc(3000) };
    printk_output_t *output;
    kheap_stat_t stat;
    char line[80];

    kfree(buffer[1]);
    log_length = 0;
    output = printk_set_output(keep_log);
    log_heap_structure();
    printk_set_output(output);
    kheap_stat(&kernel_heap, &stat);
    kfree(buffer[0]);
    kfree(buffer[2]);

    format_text(line, sizeof(line), "heap: segment %p, %zu bytes", (void *)SEGMENT_BASE,
                stat.segment);
    CHECK(log_has(line));
    format_text(line, sizeof(line), "%zu buffers: %zu bytes", stat.buffer_count, stat.used);
    CHECK(log_has(line));
    CHECK(log_has("superbuffer\n"));
    CHECK(log_has("gap"));
    CHECK(log_has("length tree: "));
    CHECK(log_has("addr tree: "));
}

/* ---- guard mode */

/* One buffer in `every` is guarded from now on. => 0: none */
static void guard(size_t every)
{
    if (kernel_heap.guard == NULL)
        kernel_guard_start(dump_heap_caller, dump_symbol, (uint32_t)test_random());
    CHECK_EQ(kheap_guard_tune(&kernel_heap, every), 0);
}

static bool is_guarded(const void *buffer)
{
    return (size_t)buffer >= GUARD_BASE && (size_t)buffer < GUARD_END;
}

/* What each access around a buffer of 112 bytes does: it is at an end of its page. */
static size_t wrong_accesses(size_t buffer)
{
    bool left = (buffer & PAGE_MASK) == 0;

    return probe_read(buffer).faulted + probe_write(buffer + 111, 1).faulted +
           (probe_read(buffer - 1).faulted != left) + (probe_read(buffer + 112).faulted == left) +
           !probe_write(align_down(buffer, PAGE_SIZE) - 1, 1).faulted +
           !probe_write(align_up(buffer + 112, PAGE_SIZE), 1).faulted;
}

TEST(guard_faults_around_buffers_and_after_kfree)
{
    size_t wrong = 0;
    size_t lefts = 0;

    guard(1);
    for (size_t i = 0; i < 100; i++) {
        size_t frames = physical_figures()->owner[OWNER_HEAP];
        uint8_t *buffer = kmalloc(112);

        CHECK(is_guarded(buffer));
        CHECK_EQ(physical_figures()->owner[OWNER_HEAP], frames + 1);
        lefts += ((size_t)buffer & PAGE_MASK) == 0;
        wrong += wrong_accesses((size_t)buffer);
        kfree(buffer);
        wrong += !probe_read((size_t)buffer).faulted + !probe_write((size_t)buffer, 1).faulted;
        CHECK_EQ(physical_figures()->owner[OWNER_HEAP], frames);
    }
    guard(0);
    CHECK_EQ(wrong, 0);
    CHECK(lefts > 20 && lefts < 80);
}

TEST(guard_says_whose_a_buffer_is)
{
    char text[256];

    guard(1);
    void *buffer = kmalloc(PAGE_SIZE);
    guard(0);
    CHECK(kheap_guard_explain(&kernel_heap, (size_t)buffer + PAGE_SIZE, "read", text,
                              sizeof(text)));
    kfree(buffer);
    CHECK(memmem(text, strlen(text), "read 1 byte past the end of", 27) != NULL);
    CHECK(memmem(text, strlen(text), "allocated at test_guard_says_whose", 34) != NULL);
}

TEST(guard_is_full)
{
    void *buffer[KHEAP_GUARD_SLOTS + 1];
    size_t guarded = 0;

    guard(1);
    for (size_t i = 0; i < ARRAY_LENGTH(buffer); i++) {
        buffer[i] = kmalloc(100);
        CHECK(buffer[i] != NULL);
        guarded += is_guarded(buffer[i]);
    }
    CHECK_OK(kheap_check(&kernel_heap));
    for (size_t i = 0; i < ARRAY_LENGTH(buffer); i++)
        kfree(buffer[i]);
    guard(0);
    CHECK_EQ(guarded, KHEAP_GUARD_SLOTS);
}

TEST(guard_random_work)
{
    guard(3);
    random_work(test_steps(3000));
    guard(0);
}
