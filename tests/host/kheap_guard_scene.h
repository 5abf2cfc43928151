/*
 * What the tests of guard mode share: a pool over host memory, where what is not mapped
 * faults for real.
 */
#ifndef KHEAP_GUARD_SCENE_H
#define KHEAP_GUARD_SCENE_H

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

#endif
