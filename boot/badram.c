/*
 * From the list of `badram=` to pieces of RAM that are retired.
 *
 * An entry is a set of pages that can be walked upwards in pieces, from any page
 * on: a pattern of fixed and free bits is never written out page by page.
 */
#include <kernel/badram.h>
#include <kernel/layout.h>
#include <kernel/printk.h>

enum { TEXT_SHOWN = 60 };

static const char why_bad[] = "named by badram=";

/* Pages in [base, end) whose address has the bits of `value` where `fixed` has ones. */
typedef struct entry {
    const char *text;
    int length;         /* of the text, as much as is shown */
    uint32_t base;
    uint32_t end;
    uint32_t fixed;
    uint32_t value;
} entry_t;

/* What is left of the list. */
typedef struct list {
    const char *text;
    const char *end;
} list_t;

static char sentence[256];

/* => `what` about the entry */
static const char *complain(const entry_t *entry, const char *what)
{
    format_text(sentence, sizeof(sentence), "%.*s: %s", entry->length, entry->text, what);
    return sentence;
}

/* ---- reading the list */

static int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 'a' ^ 'A';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* "0x" and 1 to 16 digits. => false: it is something else */
static bool read_number(list_t *list, uint64_t *number)
{
    size_t digits = 0;

    if (list->end - list->text < 2 || list->text[0] != '0' || list->text[1] != 'x')
        return false;
    list->text += 2;
    *number = 0;
    for (; list->text < list->end && digit_value(*list->text) >= 0; list->text++, digits++)
        *number = *number << 4 | (unsigned)digit_value(*list->text);
    return digits >= 1 && digits <= 16;
}

static bool read_character(list_t *list, char character)
{
    if (list->text == list->end || *list->text != character)
        return false;
    list->text++;
    return true;
}

/* A byte's address, or LINEAR_END if that is lower. */
static uint32_t clip(uint64_t address)
{
    return address < LINEAR_END ? (uint32_t)address : (uint32_t)LINEAR_END;
}

/* => false: it ends before it begins */
static bool set_range(entry_t *entry, uint64_t start, uint64_t end)
{
    entry->base = clip(start) & ~(uint32_t)PAGE_MASK;
    entry->end = clip(clip(end) + (uint64_t)PAGE_MASK) & ~(uint32_t)PAGE_MASK;
    return start < end;
}

static void set_pattern(entry_t *entry, uint64_t address, uint64_t mask)
{
    /* Bits above the 32nd are zero in all pages that are ours. */
    entry->end = (address & mask) >> 32 == 0 ? (uint32_t)LINEAR_END : 0;
    entry->fixed = (uint32_t)mask & ~(uint32_t)PAGE_MASK;
    entry->value = (uint32_t)address & entry->fixed;
}

/* Read an entry and the comma after it. => NULL, or a sentence */
static const char *read_entry(list_t *list, entry_t *entry)
{
    static const char form[] = "there are pairs of address and mask, as badram=0x1234000,"
                               "0xfffff000, and ranges, as badram=0x1234000-0x1236000";
    const char *start = list->text;
    const char *trouble = NULL;
    uint64_t first;
    uint64_t second;

    *entry = (entry_t){ .text = start };
    if (!read_number(list, &first)) {
        trouble = form;
    } else if (read_character(list, '-')) {
        if (!read_number(list, &second))
            trouble = form;
        else if (!set_range(entry, first, second))
            trouble = "that range ends before it begins";
    } else if (read_character(list, ',') && read_number(list, &second)) {
        set_pattern(entry, first, second);
    } else {
        trouble = form;
    }
    entry->length = (int)(list->text - start);
    if (list->text != list->end && (!read_character(list, ',') || list->text == list->end))
        trouble = form;
    if (trouble == form)
        entry->length = (int)(list->end - start);
    if (entry->length > TEXT_SHOWN)
        entry->length = TEXT_SHOWN;
    return trouble != NULL ? complain(entry, trouble) : NULL;
}

/* ---- its pages */

/* The lowest address at or above `at` that the pattern allows. => or LINEAR_END */
static uint32_t next_match(const entry_t *entry, uint32_t at)
{
    uint32_t wrong = (at ^ entry->value) & entry->fixed;
    uint32_t changed;       /* the result's bits from here down: the smallest there are */
    uint32_t carry;

    if (wrong == 0)
        return at;
    changed = UINT32_MAX >> __builtin_clz(wrong);
    if ((at & (changed ^ changed >> 1)) == 0)
        return (at & ~changed) | (entry->value & changed);
    /* The highest wrong bit must become zero: a free bit above it becomes one. */
    carry = ~at & ~entry->fixed & ~changed;
    carry &= -carry;
    if (carry == 0)
        return (uint32_t)LINEAR_END;
    return (at & -carry) | carry | (entry->value & (carry - 1));
}

/* The first piece of the entry in [at, limit). => false: there is none */
static bool next_piece(const entry_t *entry, uint64_t at, uint64_t limit, boot_range_t *piece)
{
    uint32_t run = entry->fixed & -entry->fixed;

    if (at < entry->base)
        at = entry->base;
    if (limit > entry->end)
        limit = entry->end;
    if (at >= limit)
        return false;
    piece->base = next_match(entry, (uint32_t)at);
    piece->end = run == 0 ? limit : (piece->base | (run - 1)) + (uint64_t)1;
    if (piece->end > limit)
        piece->end = limit;
    return piece->base < limit;
}

static bool touches(const entry_t *entry, uint64_t base, uint64_t end)
{
    boot_range_t piece;

    return base < end && next_piece(entry, base & ~(uint64_t)PAGE_MASK, end, &piece);
}

/* What the kernel runs in or reads from must be sound. => NULL, or a sentence */
static const char *check_entry(const boot_info_t *info, const entry_t *entry)
{
    if (touches(entry, info->image_text, info->image_end))
        return complain(entry, "the kernel image is there, and has no other place");
    for (size_t i = 0; i < info->module_count; i++) {
        const boot_module_t *module = &info->module[i];

        if (touches(entry, module->base, (uint64_t)module->base + module->length))
            return complain(entry, "a boot module is there: have it loaded elsewhere");
    }
    return NULL;
}

static const char *retire_entry(boot_info_t *info, const entry_t *entry)
{
    boot_range_t free = { 0 };
    boot_range_t piece;
    bool any = false;

    while (boot_info_next_free(info, free.end, LINEAR_END, &free)) {
        uint64_t at = free.base;

        for (; next_piece(entry, at, free.end, &piece); at = piece.end) {
            if (boot_info_retire(info, piece.base, piece.end, why_bad) != 0)
                return complain(entry, "bad RAM is in more pieces than there is room for");
            any = true;
        }
    }
    if (!any)
        printk("boot: badram=%.*s: nothing there is free RAM below 3 GiB\n", entry->length,
               entry->text);
    return NULL;
}

const char *badram_retire(boot_info_t *info, const char *text, size_t length)
{
    list_t list = { text, text + length };
    const char *trouble = NULL;
    entry_t entry;

    do {
        trouble = read_entry(&list, &entry);
        if (trouble == NULL)
            trouble = check_entry(info, &entry);
    } while (trouble == NULL && list.text != list.end);
    list.text = text;
    while (trouble == NULL && list.text != list.end) {
        trouble = read_entry(&list, &entry);
        if (trouble == NULL)
            trouble = retire_entry(info, &entry);
    }
    return trouble;
}
