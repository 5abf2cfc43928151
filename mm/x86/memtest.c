/*
 * The memory test: each word in turn is read, compared and overwritten, in sweeps
 * over all free RAM.
 *
 * A pass is memtest86's test with each word's own address, then the march test C-
 * (A. J. van de Goor, "Testing Semiconductor Memories", after M. Marinescu 1982) with
 * stripes p; -> is up and <- is down:
 *
 *     ->  write address
 *     ->  expect address, write ~address
 *     ->  expect ~address, write p
 *     ->  expect p, write ~p
 *     ->  expect ~p, write p
 *     <-  expect p, write ~p
 *     <-  expect ~p, write p
 *     ->  expect p, write zeros
 *
 * Each bit is so read as one and as zero after it was the other; and, while it was
 * the one and the other, after each change of the words above it and below. Caches
 * are on, and written back after each sweep: within one, RAM sees whole lines of them,
 * in an order of its own. Down is down within a piece of free RAM; the pieces are
 * always taken upwards.
 *
 * A page that fails is left at once: what it shares cells with is not overwritten.
 */
#include <kernel/layout.h>
#include <kernel/memtest.h>
#include <kernel/printk.h>
#include <x86/cpu.h>

enum { PAGE_WORDS = PAGE_SIZE / sizeof(uint32_t) };

typedef enum direction { UP, DOWN } direction_t;

static const char why_bad[] = "found bad by memtest";

/* A word at `address` has (address & of_address) ^ flip. */
typedef struct pattern {
    uint32_t of_address;    /* all ones, or zero */
    uint32_t flip;
} pattern_t;

/* One for each pass, in turn: neighbours that differ at distance 1, 2, 4, 8. */
static const uint32_t stripes[] = { 0x55555555, 0x33333333, 0x0f0f0f0f, 0x00ff00ff };

static uint32_t pattern_at(pattern_t pattern, page_t address)
{
    return ((uint32_t)address & pattern.of_address) ^ pattern.flip;
}

/* From one word to the next, a pattern changes by so much: by nothing, by 4 or by -4. */
static uint32_t pattern_step(pattern_t pattern)
{
    return pattern_at(pattern, sizeof(uint32_t)) - pattern_at(pattern, 0);
}

/* ---- one page */

static void fill_page(page_t page, pattern_t fresh)
{
    uint32_t *word = cpu_physical_address(page);
    uint32_t value = pattern_at(fresh, page);

    for (size_t at = 0; at < PAGE_WORDS; at++, value += pattern_step(fresh))
        cpu_write_word(&word[at], value);
}

/* Compare and overwrite. => false: a word was not as expected; those after it stay */
static bool sweep_page(page_t page, direction_t direction, pattern_t expected, pattern_t fresh)
{
    uint32_t *word = cpu_physical_address(page);
    size_t at = direction == UP ? 0 : PAGE_WORDS - 1;
    size_t step = direction == UP ? 1 : (size_t)-1;
    uint32_t value = pattern_at(expected, page + at * sizeof(*word));
    uint32_t next = pattern_at(fresh, page + at * sizeof(*word));
    uint32_t value_step = pattern_step(expected) * (uint32_t)step;
    uint32_t next_step = pattern_step(fresh) * (uint32_t)step;

    for (; at < PAGE_WORDS; at += step, value += value_step, next += next_step) {
        if (cpu_read_word(&word[at]) != value)
            return false;
        cpu_write_word(&word[at], next);
    }
    return true;
}

/* ---- all free RAM */

static void fill(const boot_info_t *info, pattern_t fresh)
{
    boot_range_t free = { 0 };

    while (boot_info_next_free(info, free.end, LINEAR_END, &free)) {
        for (page_t page = (page_t)free.base; page < free.end; page += PAGE_SIZE)
            fill_page(page, fresh);
    }
    cpu_empty_caches();
}

/* => false: the list of bad RAM is full */
static bool sweep(boot_info_t *info, direction_t direction, pattern_t expected, pattern_t fresh)
{
    boot_range_t free = { 0 };

    while (boot_info_next_free(info, free.end, LINEAR_END, &free)) {
        for (page_t at = 0; at < free.end - free.base; at += PAGE_SIZE) {
            page_t page = (page_t)(direction == UP ? free.base + at : free.end - PAGE_SIZE - at);

            if (!sweep_page(page, direction, expected, fresh) &&
                boot_info_retire(info, page, page + PAGE_SIZE, why_bad) != 0)
                return false;
        }
    }
    cpu_empty_caches();
    return true;
}

static bool run_pass(boot_info_t *info, uint32_t stripe)
{
    static const pattern_t address = { UINT32_MAX, 0 };
    static const pattern_t inverse_address = { UINT32_MAX, UINT32_MAX };
    static const pattern_t zeros = { 0, 0 };
    pattern_t striped = { 0, stripe };
    pattern_t inverse = { 0, ~stripe };

    fill(info, address);
    return sweep(info, UP, address, inverse_address) &&
           sweep(info, UP, inverse_address, striped) &&
           sweep(info, UP, striped, inverse) &&
           sweep(info, UP, inverse, striped) &&
           sweep(info, DOWN, striped, inverse) &&
           sweep(info, DOWN, inverse, striped) &&
           sweep(info, UP, striped, zeros);
}

static size_t free_pages(const boot_info_t *info)
{
    boot_range_t free = { 0 };
    size_t pages = 0;

    while (boot_info_next_free(info, free.end, LINEAR_END, &free))
        pages += (size_t)((free.end - free.base) >> PAGE_SHIFT);
    return pages;
}

const char *memtest_run(boot_info_t *info, unsigned passes)
{
    size_t pages = free_pages(info);
    size_t bad = 0;

    printk("memtest: testing %zu KiB of free RAM\n", pages * (PAGE_SIZE / KIB));
    for (unsigned pass = 1; pass <= passes; pass++) {
        if (!run_pass(info, stripes[(pass - 1) % ARRAY_LENGTH(stripes)]))
            return "memtest finds bad RAM in more pieces than there is room for";
        bad = pages - free_pages(info);
        printk("memtest: pass %u of %u: %zu pages are bad\n", pass, passes, bad);
    }
    if (bad != 0)
        boot_info_log_bad(info);
    return NULL;
}
