/*
 * Guard mode: a pool over host memory, where what is not mapped faults for real.
 */
#include <kernel/errno.h>
#include <kernel/kheap_full.h>
#include <kernel/kheap_guard.h>
#include <kernel/physical.h>
#include <kernel/printk.h>
#include <kernel/virtual.h>
#include <host_test.h>
#include "fake_machine.h"
#include "fake_segment.h"

#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#define LIMIT   (4u * MIB)
#define SLOTS   7u
#define PATTERN 0xb5
#define FRESH   0xcc

/* ---- pages that come and go */

typedef struct fake_guard {
    guard_pages_t pages;
    bool mapped[2 * KHEAP_GUARD_SLOTS + 1];
    size_t maps;            /* calls so far, failed ones too */
    size_t fail_at;         /* the number of the call that fails; 0: none; SIZE_MAX: all */
    size_t caller;          /* what `caller` answers */
} fake_guard_t;

static fake_segment_t fake;
static fake_guard_t fake_guard;
static kheap_t heap;
static kheap_guard_t guard;

static size_t index_of(const guard_pages_t *pages, size_t address)
{
    size_t index = (address - pages->base) / PAGE_SIZE;

    ASSERT(address % PAGE_SIZE == 0 && index < 2 * pages->slots + 1);
    ASSERT(index % 2 == 1);             /* what is between the slots stays unmapped */
    return index;
}

static int map(guard_pages_t *pages, size_t address)
{
    size_t index = index_of(pages, address);

    ASSERT(!fake_guard.mapped[index]);
    if (++fake_guard.maps == fake_guard.fail_at || fake_guard.fail_at == SIZE_MAX)
        return -ENOMEM;
    fake_guard.mapped[index] = true;
    ASSERT(mprotect((void *)address, PAGE_SIZE, PROT_READ | PROT_WRITE) == 0);
    memset((void *)address, 0xa5, PAGE_SIZE);
    return 0;
}

static void unmap(guard_pages_t *pages, size_t address)
{
    size_t index = index_of(pages, address);

    ASSERT(fake_guard.mapped[index]);
    fake_guard.mapped[index] = false;
    ASSERT(mprotect((void *)address, PAGE_SIZE, PROT_NONE) == 0);
}

static size_t caller(void)
{
    return fake_guard.caller;
}

/* Functions are 0x100 bytes long, and begin at 0x1000. */
static const char *symbol(size_t address, size_t *offset)
{
    static const char *const names[] = { "first", "second", "third" };

    if (address - 0x1000 >= ARRAY_LENGTH(names) * 0x100)
        return NULL;
    *offset = address % 0x100;
    return names[(address - 0x1000) / 0x100];
}

static void end_guard(void)
{
    if (fake_guard.pages.slots != 0)
        munmap((void *)fake_guard.pages.base, KHEAP_GUARD_LENGTH(fake_guard.pages.slots));
    fake_guard = (fake_guard_t){ 0 };
}

static void new_heap(size_t slots, size_t every, uint32_t seed)
{
    fake_segment_destroy(&fake);
    end_guard();
    kheap_init(&heap, fake_segment_init(&fake, LIMIT));
    void *base = mmap(NULL, KHEAP_GUARD_LENGTH(slots), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
                      -1, 0);
    ASSERT(base != MAP_FAILED);
    fake_guard = (fake_guard_t){
        .pages = { (size_t)base, slots, map, unmap, caller, symbol },
        .caller = 0x1012,
    };
    kheap_guard_start(&heap, &guard, &fake_guard.pages, seed);
    CHECK_EQ(kheap_guard_tune(&heap, every), 0);
    CHECK_OK(kheap_check(&heap));
}

/* Everything was freed: no page is mapped, and the segment is given back. */
static void check_empty(void)
{
    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(guard.used, 0);
    CHECK_EQ(guard.free, fake_guard.pages.slots);
    for (size_t i = 0; i < ARRAY_LENGTH(fake_guard.mapped); i++)
        CHECK(!fake_guard.mapped[i]);
    kheap_trim(&heap, 0);
    CHECK_EQ(fake.segment.length, 0);
    CHECK_EQ(host_misuse_count(), 0);
}

/* ---- accesses that may fault */

static sigjmp_buf after_fault;
static volatile size_t fault_address;

static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    fault_address = (size_t)info->si_addr;
    siglongjmp(after_fault, 1);
}

/* => the access faulted, there */
static bool faults(const volatile char *byte, bool write)
{
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };
    struct sigaction old;
    volatile bool faulted = true;

    sigaction(SIGSEGV, &action, &old);
    if (sigsetjmp(after_fault, 1) == 0) {
        if (write)
            *(volatile char *)(size_t)byte = 1;
        else
            (void)*byte;
        faulted = false;
    }
    sigaction(SIGSEGV, &old, NULL);
    if (faulted)
        CHECK_EQ(fault_address, (size_t)byte);
    return faulted;
}

static bool is_guarded(const void *buffer)
{
    return (size_t)buffer - fake_guard.pages.base < KHEAP_GUARD_LENGTH(fake_guard.pages.slots);
}

static bool is_left(const char *buffer)
{
    return (size_t)buffer % PAGE_SIZE == 0;
}

/* A buffer in the pool, at the left or the right of its page. */
static char *buffer_at(bool left, size_t size)
{
    char *buffer;

    do {
        buffer = kheap_alloc(&heap, size);
        CHECK(is_guarded(buffer));
        if (is_left(buffer) != left)
            kheap_free(&heap, buffer);
    } while (is_left(buffer) != left);
    return buffer;
}

static bool all_bytes(const char *from, const char *end, int byte)
{
    while (from < end && *(const unsigned char *)from == byte)
        from++;
    return from >= end;
}

/* ---- where buffers are */

TEST(kheap_guard_places_left_and_right)
{
    size_t lefts = 0;

    new_heap(SLOTS, 1, 1);
    for (size_t size = 1; size <= PAGE_SIZE - KHEAP_ALIGN; size += 1 + size / 50) {
        char *buffer = kheap_alloc(&heap, size);
        char *page = (char *)align_down((size_t)buffer, PAGE_SIZE);
        char *end = buffer + size;

        CHECK(is_guarded(buffer));
        CHECK_EQ((size_t)buffer % KHEAP_ALIGN, 0);
        CHECK_EQ(kheap_usable_size(&heap, buffer), size);
        CHECK(all_bytes(buffer, end, FRESH));
        CHECK(all_bytes(page, buffer, PATTERN));
        CHECK(all_bytes(end, page + PAGE_SIZE, PATTERN));
        CHECK(is_left(buffer) || end + KHEAP_ALIGN > page + PAGE_SIZE);
        CHECK(faults(page - 1, false) && faults(page + PAGE_SIZE, false));
        CHECK_OK(kheap_check(&heap));
        lefts += is_left(buffer);
        kheap_free(&heap, buffer);
    }
    CHECK(lefts > guard.served / 3 && lefts < guard.served * 2 / 3);
    check_empty();
}

TEST(kheap_guard_of_a_page)
{
    new_heap(SLOTS, 1, 2);
    for (size_t i = 0; i < 20; i++) {
        char *buffer = kheap_alloc(&heap, PAGE_SIZE);

        CHECK(is_guarded(buffer) && is_left(buffer));
        CHECK(!faults(buffer, true) && !faults(buffer + PAGE_SIZE - 1, true));
        CHECK(faults(buffer - 1, true) && faults(buffer + PAGE_SIZE, true));
        CHECK_OK(kheap_check(&heap));
        kheap_free(&heap, buffer);
    }
    char *longer = kheap_alloc(&heap, PAGE_SIZE + 1);
    CHECK(longer != NULL && !is_guarded(longer));
    CHECK_EQ(guard.refused, 0);         /* it was not due */
    kheap_free(&heap, longer);
    check_empty();
}

TEST(kheap_guard_of_nothing)
{
    new_heap(SLOTS, 1, 3);
    for (size_t i = 0; i < 20; i++) {
        char *buffer = kheap_alloc(&heap, 0);

        CHECK(is_guarded(buffer));
        CHECK_EQ(kheap_usable_size(&heap, buffer), 1);
        CHECK(!faults(buffer, true));
        kheap_free(&heap, buffer);
    }
    check_empty();
}

TEST(kheap_guard_aligns)
{
    size_t rights = 0;

    new_heap(SLOTS, 1, 4);
    for (size_t align = 1; align <= PAGE_SIZE; align *= 2) {
        for (size_t size = 1; size <= PAGE_SIZE; size = size * 3 + 1) {
            char *buffer = kheap_memalign(&heap, align, size);
            size_t step = align < KHEAP_ALIGN ? KHEAP_ALIGN : align;
            size_t end = align_down((size_t)buffer, PAGE_SIZE) + PAGE_SIZE;

            CHECK(is_guarded(buffer));
            CHECK_EQ((size_t)buffer % step, 0);
            CHECK(is_left(buffer) || end - ((size_t)buffer + size) < step);
            rights += !is_left(buffer);
            CHECK_OK(kheap_check(&heap));
            kheap_free(&heap, buffer);
        }
    }
    CHECK(rights > 10);
    char *other = kheap_memalign(&heap, 2 * PAGE_SIZE, 1);
    CHECK(other != NULL && !is_guarded(other));
    CHECK(kheap_memalign(&heap, 3, 1) == NULL);
    kheap_free(&heap, other);
    check_empty();
}

TEST(kheap_guard_clears)
{
    new_heap(SLOTS, 1, 5);
    char *buffer = kheap_calloc(&heap, 10, 10);

    CHECK(is_guarded(buffer) && all_bytes(buffer, buffer + 100, 0));
    kheap_free(&heap, buffer);
    check_empty();
}

/* ---- accesses that are wrong */

TEST(kheap_guard_faults_past_the_end)
{
    new_heap(SLOTS, 1, 6);
    char *buffer = buffer_at(false, 112);

    CHECK(!faults(buffer, true) && !faults(buffer + 111, true));
    CHECK(faults(buffer + 112, false) && faults(buffer + 112, true));
    CHECK(faults(buffer + 112 + PAGE_SIZE - 1, false));
    kheap_free(&heap, buffer);
    buffer = buffer_at(false, 100);         /* 12 bytes are left by alignment */
    CHECK(!faults(buffer + 111, false) && faults(buffer + 112, false));
    kheap_free(&heap, buffer);
    check_empty();
}

TEST(kheap_guard_faults_before_the_start)
{
    new_heap(SLOTS, 1, 7);
    char *buffer = buffer_at(true, 100);

    CHECK(!faults(buffer, true));
    CHECK(faults(buffer - 1, false) && faults(buffer - 1, true));
    CHECK(faults(buffer - PAGE_SIZE, false));
    kheap_free(&heap, buffer);
    check_empty();
}

TEST(kheap_guard_faults_after_kfree)
{
    new_heap(SLOTS, 1, 8);
    for (size_t i = 0; i < 4; i++) {
        char *buffer = buffer_at(i % 2 == 0, 100);

        kheap_free(&heap, buffer);
        for (size_t at = 0; at < 100; at += 33)
            CHECK(faults(buffer + at, false) && faults(buffer + at, true));
    }
    check_empty();
}

/* ---- slots */

TEST(kheap_guard_uses_a_slot_after_all_others)
{
    char *buffer[SLOTS];
    size_t base;

    new_heap(SLOTS, 1, 9);
    base = fake_guard.pages.base;
    for (size_t i = 0; i < SLOTS; i++) {
        buffer[i] = kheap_alloc(&heap, 64);         /* 0123456 */
        CHECK_EQ(((size_t)buffer[i] - base) / PAGE_SIZE, 2 * i + 1);
    }
    static const size_t order[] = { 3, 0, 6, 1 };
    for (size_t i = 0; i < ARRAY_LENGTH(order); i++)
        kheap_free(&heap, buffer[order[i]]);        /* ..2.45.  */
    CHECK_OK(kheap_check(&heap));
    for (size_t i = 0; i < 3 * ARRAY_LENGTH(order); i++) {
        char *again = kheap_alloc(&heap, 64);
        CHECK_EQ(((size_t)again - base) / PAGE_SIZE, 2 * order[i % ARRAY_LENGTH(order)] + 1);
        kheap_free(&heap, again);
    }
    kheap_free(&heap, buffer[2]);
    kheap_free(&heap, buffer[4]);
    kheap_free(&heap, buffer[5]);
    check_empty();
}

TEST(kheap_guard_is_full)
{
    char *buffer[KHEAP_GUARD_SLOTS];

    new_heap(KHEAP_GUARD_SLOTS, 1, 10);
    for (size_t i = 0; i < KHEAP_GUARD_SLOTS; i++) {
        buffer[i] = kheap_alloc(&heap, i);
        CHECK(is_guarded(buffer[i]));
    }
    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(guard.free, 0);
    char *other = kheap_alloc(&heap, 10);
    CHECK(other != NULL && !is_guarded(other));
    CHECK_EQ(guard.refused, 1);
    CHECK_EQ(guard.served, KHEAP_GUARD_SLOTS);
    kheap_free(&heap, buffer[77]);
    CHECK(kheap_alloc(&heap, 10) != NULL);
    CHECK_EQ(guard.slot[77].state, GUARD_USED);
    buffer[77] = (char *)guard.slot[77].buffer;
    kheap_free(&heap, other);
    for (size_t i = 0; i < KHEAP_GUARD_SLOTS; i++)
        kheap_free(&heap, buffer[i]);
    check_empty();
}

TEST(kheap_guard_of_one_slot)
{
    new_heap(1, 1, 11);
    for (size_t i = 0; i < 10; i++) {
        char *buffer = kheap_alloc(&heap, 10);
        char *other = kheap_alloc(&heap, 10);

        CHECK(is_guarded(buffer) && !is_guarded(other));
        kheap_free(&heap, buffer);
        kheap_free(&heap, other);
    }
    check_empty();
}

TEST(kheap_guard_goes_on_without_a_page)
{
    char *buffer[SLOTS];

    for (size_t n = 1; n <= SLOTS; n++) {
        new_heap(SLOTS, 1, 12);
        fake_guard.fail_at = n;
        for (size_t i = 0; i < SLOTS; i++) {
            buffer[i] = kheap_alloc(&heap, 100);
            CHECK(buffer[i] != NULL);
            CHECK_EQ(is_guarded(buffer[i]), i + 1 != n);
            CHECK_OK(kheap_check(&heap));
        }
        CHECK_EQ(guard.refused, 1);
        CHECK_EQ(guard.used, SLOTS - 1);
        for (size_t i = 0; i < SLOTS; i++)
            kheap_free(&heap, buffer[i]);
        check_empty();
    }
    new_heap(SLOTS, 1, 12);
    fake_guard.fail_at = SIZE_MAX;
    fake.most_pages = 1;
    fake.fail_at = 1;
    CHECK(kheap_alloc(&heap, PAGE_SIZE) == NULL);       /* nor in the heap */
    CHECK_OK(kheap_check(&heap));
    check_empty();
}

/* ---- whose turn it is */

TEST(kheap_guard_takes_one_in_n)
{
    for (size_t every = 1; every <= 100; every = every * 3 + 1) {
        size_t since = 0;
        size_t longest = 0;

        new_heap(SLOTS, every, (uint32_t)every);
        for (size_t i = 0; i < 400 * every; i++) {
            void *buffer = kheap_alloc(&heap, 100);

            since++;
            if (is_guarded(buffer)) {
                longest = since > longest ? since : longest;
                since = 0;
            }
            kheap_free(&heap, buffer);
        }
        CHECK(guard.served >= 360 && guard.served <= 440);
        CHECK(longest <= 2 * every - 1 && longest >= 2 * every - 1 - every / 8);
        check_empty();
    }
}

TEST(kheap_guard_can_be_off)
{
    new_heap(SLOTS, 1, 0);              /* a seed of 0 will do */
    char *buffer = kheap_alloc(&heap, 10);
    CHECK(is_guarded(buffer));
    CHECK_EQ(kheap_guard_tune(&heap, KHEAP_GUARD_EVERY_MAX + 1), -EINVAL);
    CHECK_EQ(guard.every, 1);
    CHECK_EQ(kheap_guard_tune(&heap, KHEAP_GUARD_EVERY_MAX), 0);
    CHECK(guard.until >= 1 && guard.until < 2 * KHEAP_GUARD_EVERY_MAX);
    CHECK_EQ(kheap_guard_tune(&heap, 0), 0);
    for (size_t i = 0; i < 100; i++) {
        void *other = kheap_alloc(&heap, 10);
        CHECK(!is_guarded(other));
        kheap_free(&heap, other);
    }
    CHECK_EQ(kheap_usable_size(&heap, buffer), 10);
    kheap_free(&heap, buffer);          /* it was there still */
    check_empty();
    fake_segment_destroy(&fake);
    kheap_init(&heap, fake_segment_init(&fake, LIMIT));
    CHECK_EQ(kheap_guard_tune(&heap, 1), -EINVAL);      /* no pool */
    CHECK(!kheap_guard_explain(&heap, fake_guard.pages.base, "read", NULL, 0));
}

/* ---- krealloc */

static void paint(char *buffer, size_t size, size_t seed)
{
    for (size_t i = 0; i < size; i++)
        buffer[i] = (char)(seed * 31 + i * 7 + (i >> 8));
}

static bool painted(const char *buffer, size_t size, size_t seed)
{
    for (size_t i = 0; i < size; i++) {
        if (buffer[i] != (char)(seed * 31 + i * 7 + (i >> 8)))
            return false;
    }
    return true;
}

TEST(kheap_guard_realloc_moves)
{
    static const size_t sizes[] = { 50, 200, 10, 0, 5000, 9000, 300, 4096, 4097, 1 };
    char *buffer;
    size_t size = 100;

    new_heap(SLOTS, 1, 13);
    buffer = kheap_realloc(&heap, NULL, size);
    CHECK(is_guarded(buffer));
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        size_t least = sizes[i] < size ? sizes[i] : size;

        paint(buffer, size, i);
        char *moved = kheap_realloc(&heap, buffer, sizes[i]);
        CHECK(moved != NULL && (moved != buffer || !is_guarded(buffer)));
        CHECK_EQ(is_guarded(moved), sizes[i] <= PAGE_SIZE);
        CHECK(painted(moved, least, i));
        CHECK(!is_guarded(buffer) || faults(buffer, false));
        CHECK_OK(kheap_check(&heap));
        buffer = moved;
        size = sizes[i];
    }
    kheap_free(&heap, buffer);
    check_empty();
}

TEST(kheap_guard_realloc_without_memory)
{
    new_heap(2, 1, 14);
    char *buffer = kheap_alloc(&heap, 100);
    char *other = kheap_alloc(&heap, 100);

    paint(buffer, 100, 1);
    fake_guard.fail_at = SIZE_MAX;
    fake.segment.limit = 0;
    CHECK(kheap_realloc(&heap, buffer, 101) == NULL);
    CHECK(kheap_realloc(&heap, buffer, PAGE_SIZE + 1) == NULL);
    CHECK(kheap_realloc(&heap, buffer, 100) == buffer);     /* it is no longer than that */
    CHECK(kheap_realloc(&heap, buffer, 50) == buffer);
    CHECK(painted(buffer, 100, 1));
    CHECK_EQ(kheap_usable_size(&heap, buffer), 100);
    CHECK_OK(kheap_check(&heap));
    fake.segment.limit = LIMIT;
    kheap_free(&heap, buffer);
    kheap_free(&heap, other);
    check_empty();
}

TEST(kheap_guard_realloc_from_the_heap)
{
    new_heap(SLOTS, 0, 15);
    char *buffer = kheap_alloc(&heap, 100);
    char *large = kheap_alloc(&heap, 10000);
    char *stays = kheap_alloc(&heap, 100);

    paint(buffer, 100, 2);
    paint(large, 10000, 3);
    CHECK(!is_guarded(stays) && kheap_realloc(&heap, stays, 90) == stays);  /* not due */
    CHECK_EQ(kheap_guard_tune(&heap, 1), 0);
    buffer = kheap_realloc(&heap, buffer, 2000);
    CHECK(is_guarded(buffer) && painted(buffer, 100, 2));
    large = kheap_realloc(&heap, large, 2000);
    CHECK(is_guarded(large) && painted(large, 2000, 3));
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, buffer);
    kheap_free(&heap, large);
    kheap_free(&heap, stays);
    check_empty();
}

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
    CHECK_MISUSE("not in the heap");
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

/* ---- level full */

TEST(guard_serves_full_heaps)
{
    char *buffer[6];

    new_heap(4, 1, 9);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_LEVEL, KHEAP_FULL), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(buffer); i++) {
        buffer[i] = kheap_alloc(&heap, 100 + i);
        CHECK(buffer[i] != NULL && is_guarded(buffer[i]) == (i < 4));
        CHECK_EQ(kheap_usable_size(&heap, buffer[i]), 100 + i);
        paint(buffer[i], 100 + i, i);
    }
    CHECK_OK(kheap_check(&heap));
    kheap_free(&heap, buffer[0]);
    buffer[4] = kheap_realloc(&heap, buffer[4], 50);    /* into the pool */
    CHECK(is_guarded(buffer[4]) && painted(buffer[4], 50, 4));
    buffer[1] = kheap_realloc(&heap, buffer[1], 500);   /* out of it: it is full */
    CHECK(!is_guarded(buffer[1]) && painted(buffer[1], 101, 1));
    buffer[0] = kheap_memalign(&heap, 256, 60);
    CHECK(is_guarded(buffer[0]) && (size_t)buffer[0] % 256 == 0);
    CHECK_OK(kheap_check(&heap));
    for (size_t i = 0; i < ARRAY_LENGTH(buffer); i++)
        kheap_free(&heap, buffer[i]);
    check_empty();
    kheap_free(&heap, buffer[0]);
    CHECK_EQ(host_misuse_count(), 1);
    CHECK(strstr(host_misuse_last(), "free already") != NULL);
}

/* krealloc moves for its caller: into the pool, out of it, and when it is given no buffer. */
TEST(guard_serves_full_heaps_for_their_callers)
{
    const size_t site = 0x1111;
    kheap_site_t row[2];

    new_heap(1, 1, 9);
    CHECK_EQ(kheap_tune(&heap, KHEAP_TUNE_LEVEL, KHEAP_FULL), 0);
    char *out = kheap_full_alloc(&heap, 100, site);
    CHECK(is_guarded(out));
    out = kheap_full_realloc(&heap, out, 2 * PAGE_SIZE, 0x2222);
    CHECK(!is_guarded(out));
    CHECK_EQ(kheap_leaks(&heap, row, 2, NULL, 0), 1);
    CHECK_EQ(row[0].site, 0x2222);

    char *in = kheap_full_realloc(&heap, out, 100, site);
    CHECK(is_guarded(in));
    kheap_full_free(&heap, out, 0x3333);        /* free already: by krealloc's caller */
    CHECK_EQ(host_misuse_count(), 1);
    CHECK(strstr(host_misuse_last(), "freed by the call at 0x1111") != NULL);
    kheap_full_free(&heap, in, site);
    CHECK(kheap_full_realloc(&heap, out, 100, 0x4444) == NULL);
    CHECK_EQ(host_misuse_count(), 2);
    CHECK(strstr(host_misuse_last(), "the call: the call at 0x4444") != NULL);
    CHECK_OK(kheap_check(&heap));
    CHECK_EQ(guard.used, 0);
}

/* ---- the checker */

TEST(kheap_guard_check_sees_damage)
{
    new_heap(SLOTS, 1, 21);
    char *buffer = buffer_at(false, 100);
    size_t slot = ((size_t)buffer - fake_guard.pages.base) / PAGE_SIZE / 2;
    kheap_guard_t sound = guard;

#define CHECK_DAMAGE(change, sentence) \
    do { \
        CHECK_OK(kheap_check(&heap)); \
        change; \
        CHECK_STR(kheap_check(&heap), sentence); \
        guard = sound; \
    } while (0)

    CHECK_DAMAGE(guard.used++, "the figures of guarded buffers are wrong");
    CHECK_DAMAGE(guard.first = SLOTS, "the figures of guarded buffers are wrong");
    CHECK_DAMAGE(guard.ring[guard.first] = SLOTS,
                 "the ring of slots for guarded buffers is damaged");
    CHECK_DAMAGE(guard.ring[guard.first] = guard.ring[(guard.first + 1) % SLOTS],
                 "the ring of slots for guarded buffers is damaged");
    CHECK_DAMAGE(guard.slot[slot].state = GUARD_FREED,
                 "a slot for guarded buffers is lost, or free and in use");
    CHECK_DAMAGE(guard.slot[(slot + 1) % SLOTS].state = GUARD_USED,
                 "a slot for guarded buffers is lost, or free and in use");
    CHECK_DAMAGE(guard.slot[slot].buffer++, "what is known of a guarded buffer is damaged");
    CHECK_DAMAGE(guard.slot[slot].buffer += PAGE_SIZE,
                 "what is known of a guarded buffer is damaged");
    CHECK_DAMAGE(guard.slot[slot].size = 0, "what is known of a guarded buffer is damaged");
    CHECK_DAMAGE(guard.slot[slot].size = 113, "what is known of a guarded buffer is damaged");
    CHECK_DAMAGE(guard.slot[slot].size = 99, "the page of a guarded buffer was written to");
    kheap_free(&heap, buffer);
    check_empty();
}

static char log_text[4096];
static size_t log_length;

static void keep_log(const char *text, size_t length)
{
    if (length > sizeof(log_text) - 1 - log_length)
        length = sizeof(log_text) - 1 - log_length;
    memcpy(log_text + log_length, text, length);
    log_length += length;
}

TEST(kheap_guard_is_logged)
{
    new_heap(SLOTS, 1, 22);
    void *buffer = kheap_alloc(&heap, 10);
    memset(log_text, 0, sizeof(log_text));
    log_length = 0;
    printk_output_t *output = printk_set_output(keep_log);
    kheap_log(&heap, 10);
    printk_set_output(output);
    kheap_free(&heap, buffer);
    CHECK(strstr(log_text, "  guard mode, one in 1: 1 buffers, 6 free slots; 1 served, 0 not\n"));
    check_empty();
}

/* ---- the kernel's pool, on the fake machine */

static bool is_mapped(size_t address)
{
    return get_translation(kernel_pagetable(), address) != NO_TRANSLATION;
}

static int attempt_buffer(void *context)
{
    char **buffer = context;

    *buffer = kmalloc(100);
    if (*buffer == NULL)
        return -ENOMEM;
    paint(*buffer, 100, 1);
    return 0;
}

static void undo_buffer(void *context)
{
    char **buffer = context;

    kfree(*buffer);
    kheap_trim(&kernel_heap, 0);
}

TEST(kheap_guard_in_the_kernel)
{
    static const char *const formats[] = { "2level", "pae", "long" };

    for (size_t i = 0; i < (sizeof(size_t) == 8 ? 3 : 2); i++) {
        fake_machine_start(&(fake_config_t){ .level = FAKE_HEAP, .format = formats[i] });
        kernel_guard_start(caller, symbol, 1);
        CHECK_EQ(kheap_guard_tune(&kernel_heap, 1), 0);
        char *buffer;
        CHECK(fake_failure_sweep(attempt_buffer, undo_buffer, NULL, &buffer) >= 1);
        for (size_t turn = 0; turn < 2 * KHEAP_GUARD_SLOTS; turn++) {
            size_t free = physical_figures()->free;
            buffer = kmalloc(turn);
            size_t page = align_down((size_t)buffer, PAGE_SIZE);

            CHECK(page >= GUARD_BASE && page < GUARD_END);
            paint(buffer, turn, turn);
            CHECK(is_mapped(page) && !is_mapped(page - PAGE_SIZE) && !is_mapped(page + PAGE_SIZE));
            CHECK(physical_figures()->free < free);
            CHECK(painted(buffer, turn, turn));
            kfree(buffer);
            CHECK(!is_mapped(page));
        }
        fake_machine_stop();
    }
}

/* ---- a long mixture of all calls */

TEST(kheap_guard_random_work)
{
    enum { BUFFERS = 40 };
    static const size_t every[] = { 1, 2, 5, 20 };
    char *buffer[BUFFERS] = { 0 };
    size_t size[BUFFERS] = { 0 };
    size_t steps = test_steps(8000);

    for (size_t turn = 0; turn < ARRAY_LENGTH(every); turn++) {
        new_heap(25, every[turn], (uint32_t)test_random());
        for (size_t step = 0; step < steps; step++) {
            size_t i = test_random_below(BUFFERS);
            size_t now = test_random_below(test_random_below(10) == 0 ? 3 * PAGE_SIZE : 500);

            if (test_random_below(20 * every[turn]) == 0)
                fake_guard.fail_at = fake_guard.maps + 1;
            if (buffer[i] == NULL) {
                buffer[i] = test_random_below(4) == 0
                    ? kheap_memalign(&heap, (size_t)1 << test_random_below(13), now)
                    : kheap_alloc(&heap, now);
            } else if (test_random_below(3) == 0) {
                buffer[i] = kheap_realloc(&heap, buffer[i], now);
                CHECK(painted(buffer[i], now < size[i] ? now : size[i], i));
            } else {
                CHECK(painted(buffer[i], size[i], i));
                kheap_free(&heap, buffer[i]);
                buffer[i] = NULL;
                continue;
            }
            CHECK(buffer[i] != NULL && kheap_usable_size(&heap, buffer[i]) >= now);
            size[i] = now;
            paint(buffer[i], now, i);
            if (step % 16 == 0)
                CHECK_OK(kheap_check(&heap));
        }
        for (size_t i = 0; i < BUFFERS; i++) {
            CHECK(painted(buffer[i], buffer[i] != NULL ? size[i] : 0, i));
            kheap_free(&heap, buffer[i]);
            buffer[i] = NULL;
        }
        CHECK(guard.served > steps / every[turn] / 4);
        CHECK(guard.refused > 0);
        check_empty();
    }
}
