/*
 * random_memory's uses of pages: reads and writes where that is known to be allowed, and
 * through the kernel anywhere, which answers EFAULT instead of a signal; the break; and
 * children, which do the same in their own copy.
 */
#ifndef RANDOM_MEMORY_USE_H
#define RANDOM_MEMORY_USE_H

#include "random_memory_calls.h"

enum { CALL_FORK = 2, CALL_WAITPID = 7 };

/* ---- by the program itself */

static volatile uint32_t *word_of(uint32_t page, uint32_t offset)
{
    return (volatile uint32_t *)(address_of(page) + offset);
}

static uint32_t any_offset(void)
{
    static const uint16_t often[] = { 0, 4, 1024, 2048, PAGE - 4 };

    return once_in(4) ? below(PAGE / 4) * 4 : often[below(5)];
}

/* Values that no path begins with. */
static uint32_t any_value(void)
{
    return random_word() | 0x80808080u;
}

static void do_write(void)
{
    uint32_t page = any_mapped_page(), count = 1 + below(4);

    for (uint32_t i = page; i < page + count && i < USED_PAGES; i++) {
        uint32_t offset = any_offset(), value = any_value();

        if (!may_write(&pages[i]))
            continue;
        note("write", i, offset, value, 0, (int)*word_of(i, offset));
        *word_of(i, offset) = value;
    }
}

static void read_page(uint32_t page)
{
    if (may_read(&pages[page]))
        note("read", page, 0, 0, 0, (int)(*word_of(page, 0) + 3 * *word_of(page, 1024) +
                                          5 * *word_of(page, PAGE - 4)));
}

static void do_read(void)
{
    uint32_t page = any_mapped_page(), count = any_count();

    for (uint32_t i = page; i < page + count && i < USED_PAGES; i++)
        read_page(i);
}

/* Everything at the places that are used most. */
static void read_all(void)
{
    for (uint32_t i = 0; i < 64; i++)
        read_page(i);
    for (uint32_t i = 1000; i < 1064; i++)
        read_page(i);
    for (uint32_t i = 8192 - 300; i < 8192 + 300; i += 7)
        read_page(i);
    for (uint32_t i = 2000; i < USED_PAGES; i += 501)
        read_page(i);
}

/* ---- through the kernel */

/* The kernel was at this page and maybe the next two: has an area grown down to them? */
static void saw(uint32_t page)
{
    uint8_t vec[1];

    for (uint32_t i = page; i < page + 3 && i < USED_PAGES; i++)
        if (pages[i].kind == NONE && (left_out & NO_GROWS) == 0 &&
            note("grown", i, 0, 0, 0, call(CALL_MINCORE, address_of(i), PAGE, vec)) == 0)
            pages_grown(i);
}

static void kernel_write(uint32_t page, uint32_t offset, uint32_t value)
{
    int result = call(SYS__llseek, data_file, 0, value, address_of(page) + offset, 0);

    note("kernel write", page, offset, value, 0, result);
    saw(page);
}

/* As a path, by whole words: none goes over into the next page unless the text does. */
static void kernel_read(uint32_t page, uint32_t offset)
{
    int result = call(SYS_access, address_of(page) + offset, 0);

    result = result == -EFAULT ? result : 0;
    note("kernel read", page, offset, 0, 0, result);
    saw(page);
}

static void do_kernel(void)
{
    uint32_t page = once_in(2) ? any_page(1) : any_mapped_page();
    uint32_t offset = any_offset() & ~7u;

    if (pages[page].kind == NONE && (left_out & NO_GROWS) == 0)
        page = any_page(1);
    if (once_in(2))
        kernel_write(page, offset, random_word() >> 1 | 0x808080u);
    else
        kernel_read(page, once_in(2) ? PAGE - 8 : offset & ~7u);
}

/* A part of a file: what does not fit is cut off at a page. */
static void do_file_read(void)
{
    uint32_t page = any_mapped_page(), offset = any_offset(), length = 1 + below(2 * PAGE);
    int result;

    call(SYS_lseek, data_file, below(5000), 0);
    result = call(SYS_read, data_file, address_of(page) + offset, length);
    note("file read", page, offset, length, 0, result);
    saw(page);
}

/* Never a page of the file itself. */
static void do_file_write(void)
{
    uint32_t page = any_mapped_page(), offset = any_offset(), length = 1 + below(PAGE);
    uint32_t to = below(TMP_PAGES * PAGE - PAGE);

    if (pages[page].kind >= TMP_COPY || (left_out & NO_TMP) != 0)
        return;
    if (length > PAGE - offset)
        length = PAGE - offset;
    call(SYS_lseek, tmp_file, to, 0);
    int result = call(SYS_write, tmp_file, address_of(page) + offset, length);

    note("file write", page, offset, length, to, result);
    saw(page);
}

/* ---- the break */

enum { BREAK_MOST = 64 * PAGE };

static uint32_t break_start, break_now;

static void do_break(void)
{
    uint32_t wanted = break_start + (once_in(4) ? below(BREAK_MOST) : below(16 * PAGE));
    uint32_t old = break_now;

    bool bad = once_in(16);

    maybe_lock_more(64);

    if (bad)
        wanted = once_in(2) ? below(PAGE) : LAST_PAGE + below(PAGE);
    break_now = (uint32_t)call(SYS_brk, wanted);
    note("brk", bad ? wanted : wanted - break_start, bad, 0, 0, (int)(break_now - break_start));
    for (uint32_t at = break_start; at + PAGE <= break_now; at += PAGE)
        if (at >= old || once_in(4)) {
            mix(*(volatile uint32_t *)at);
            *(volatile uint32_t *)at = any_value();
        }
}

/* ---- children */

/* What a child sees of the pages near one, and does to them. => the sum */
static uint32_t look_around(uint32_t page)
{
    bool write = once_in(2);

    for (uint32_t i = page; i < page + 40 && i < USED_PAGES; i++) {
        uint32_t at = address_of(i);

        if (call(SYS_access, at + PAGE - 8, 0) != -EFAULT)
            mix(*word_of(i, 0) + 3 * *word_of(i, PAGE - 4));
        else
            mix(0);
        if (write && i % 3 == 0)
            mix((uint32_t)call(SYS__llseek, data_file, 0, i << 8 | 0x80, at + 8 * (i % 512), 0));
    }
    return sum;
}

/* Shared pages keep what the child wrote: all else it says by its status. */
static void do_fork(void)
{
    uint32_t page = once_in(2) ? 1000 : any_page(1), grand = once_in(8);
    int status = -1, child;

    child = call(CALL_FORK);
    if (child == 0) {
        uint32_t seen = look_around(page);

        if (grand) {
            int grandchild = call(CALL_FORK);

            if (grandchild == 0)
                leave((int)(look_around(page) % 251));
            call(CALL_WAITPID, grandchild, &status, 0);
            seen = look_around(page) ^ (uint32_t)status;
        }
        leave((int)(seen % 251));
    }
    if (!is_error(child))
        call(CALL_WAITPID, child, &status, 0);
    note("fork", page, grand, 0, 0, is_error(child) ? child : status);
}

#endif
