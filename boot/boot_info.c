/*
 * From Multiboot's structures to boot_info_t, and from the loader's memory map
 * to whole pages of RAM.
 *
 * Everything the loader left is checked before it is followed: maps overlap, run
 * past the end, and have entries of more than one size.
 */
#include <kernel/boot_info.h>
#include <kernel/errno.h>
#include <kernel/layout.h>
#include <kernel/owner.h>
#include <kernel/printk.h>
#include <kernel/string.h>

#include "multiboot.h"

enum { BAD_LINES_MAX = 16 };

boot_info_t boot_info;

static const void *at_physical(uint32_t address)
{
    return (const void *)(uintptr_t)address;
}

/* ---- strings */

/* Keep a copy. => NULL: it is longer than `limit` with its NUL, or there is no room */
static const char *keep_string(boot_info_t *info, uint32_t address, size_t limit)
{
    const char *text = at_physical(address);
    size_t room = BOOT_STRINGS_MAX - info->strings_used;
    size_t length;
    char *copy = info->strings + info->strings_used;

    if (limit > room)
        limit = room;
    length = strnlen(text, limit);
    if (length == limit)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    info->strings_used += length + 1;
    return copy;
}

static const char *keep_words(boot_info_t *info, uint32_t address)
{
    const char *text = at_physical(address);
    size_t length = strnlen(text, BOOT_WORDS_MAX);

    if (length == BOOT_WORDS_MAX)
        return "the kernel's command line is longer than 1023 characters";
    memcpy(info->words, text, length);
    info->words[length] = '\0';
    return NULL;
}

/* ---- the memory map */

static void add_region(boot_info_t *info, uint64_t base, uint64_t length, uint32_t type)
{
    uint64_t end = base + length;

    if (end < base)
        end = UINT64_MAX;       /* a length that wraps: to the end of everything */
    if (length != 0 && info->region_count < BOOT_REGIONS_MAX)
        info->region[info->region_count++] = (boot_region_t){ base, end, type };
}

static const char *read_map(boot_info_t *info, const multiboot_info_t *mbi)
{
    const char *map = at_physical(mbi->mmap_addr);
    uint32_t at = 0;

    info->map_rest = mbi->mmap_length;
    while (mbi->mmap_length - at >= sizeof(uint32_t)) {
        multiboot_map_entry_t entry;
        uint32_t left = mbi->mmap_length - at;

        memcpy(&entry.size, map + at, sizeof(entry.size));
        if (left < sizeof(entry) || entry.size < sizeof(entry) - sizeof(entry.size) ||
            entry.size > left - sizeof(entry.size))
            return NULL;        /* what came before it counts */
        if (info->region_count == BOOT_REGIONS_MAX)
            return "the memory map has more than 64 entries";
        memcpy(&entry, map + at, sizeof(entry));
        add_region(info, entry.base, entry.length, entry.type);
        info->map_rest = mbi->mmap_length - at - entry.size - (uint32_t)sizeof(entry.size);
        at += entry.size + (uint32_t)sizeof(entry.size);
    }
    return NULL;
}

static const char *read_regions(boot_info_t *info, const multiboot_info_t *mbi)
{
    const char *trouble = NULL;

    if (mbi->flags & MULTIBOOT_INFO_MAP) {
        info->map_source = "the firmware's map (Multiboot flag 6)";
        trouble = read_map(info, mbi);
    }
    if (trouble == NULL && info->region_count == 0 && (mbi->flags & MULTIBOOT_INFO_MEMORY)) {
        info->map_source = "two sizes only (Multiboot flag 0), for there is no map";
        add_region(info, 0, (uint64_t)mbi->mem_lower * KIB, BOOT_RAM);
        add_region(info, IMAGE_BASE, (uint64_t)mbi->mem_upper * KIB, BOOT_RAM);
    }
    if (trouble == NULL && info->region_count == 0)
        trouble = "the boot loader reported no memory";
    return trouble;
}

/* ---- modules */

static const char *read_modules(boot_info_t *info, const multiboot_info_t *mbi)
{
    const multiboot_module_t *modules = at_physical(mbi->mods_addr);

    if ((mbi->flags & MULTIBOOT_INFO_MODULES) == 0)
        return NULL;
    if (mbi->mods_count > BOOT_MODULES_MAX)
        return "the boot loader brought more than 16 modules";
    for (uint32_t i = 0; i < mbi->mods_count; i++) {
        multiboot_module_t from;
        boot_module_t *module = &info->module[info->module_count++];

        memcpy(&from, &modules[i], sizeof(from));
        if (from.end < from.start)
            return "a boot module ends before it begins";
        if (from.end > LINEAR_END)
            return "a boot module lies above 3 GiB, where the kernel cannot read it";
        if (from.start < info->image_end && from.end > info->image_text)
            return "a boot module overlaps the kernel image";
        module->base = from.start;
        module->length = from.end - from.start;
        module->string = "";
        if (from.string != 0)
            module->string = keep_string(info, from.string, BOOT_STRING_MAX);
        if (module->string == NULL)
            return "a program's name and arguments are longer than 4095 characters, or those of "
                   "all modules together than 8191";
        if (boot_info_reserve(info, from.start, from.end, "a boot module", OWNER_BOOT) != 0)
            return "too many reserved ranges for the boot modules";
    }
    return NULL;
}

/* ---- filling */

static const char *reserve_fixed(boot_info_t *info)
{
    if (boot_info_reserve(info, 0, PAGE_SIZE, "page 0: NULL must fault", OWNER_FIRMWARE) != 0 ||
        boot_info_reserve(info, VIDEO_BASE, VIDEO_END, "video memory and ROMs",
                          OWNER_FIRMWARE) != 0 ||
        boot_info_reserve(info, info->image_text, info->image_end, "the kernel image",
                          OWNER_IMAGE) != 0)
        return "too many reserved ranges";
    return NULL;
}

const char *boot_info_fill(boot_info_t *info, uint32_t magic, uint32_t address)
{
    multiboot_info_t mbi;
    const char *trouble;

    if (magic != MULTIBOOT_MAGIC)
        return "this kernel must be started by a Multiboot 1 loader: EAX is not 0x2badb002";
    memcpy(&mbi, at_physical(address), sizeof(mbi));
    info->loader = "unknown";
    if (mbi.flags & MULTIBOOT_INFO_LOADER) {
        const char *name = keep_string(info, mbi.boot_loader_name, 80);

        if (name != NULL)
            info->loader = name;
    }
    trouble = mbi.flags & MULTIBOOT_INFO_CMDLINE ? keep_words(info, mbi.cmdline) : NULL;
    if (trouble == NULL)
        trouble = reserve_fixed(info);
    if (trouble == NULL)
        trouble = read_regions(info, &mbi);
    if (trouble == NULL)
        trouble = read_modules(info, &mbi);
    if (trouble == NULL && boot_info_find_ram(info) != 0)
        trouble = "the memory map has too many pieces";
    return trouble;
}

int boot_info_reserve(boot_info_t *info, uint64_t base, uint64_t end,
                      const char *why, uint8_t owner)
{
    if (info->reserved_count == BOOT_RESERVED_MAX)
        return -ENOMEM;
    info->reserved[info->reserved_count++] = (boot_reserved_t){ base, end, why, owner };
    return 0;
}

int boot_info_retire(boot_info_t *info, uint64_t base, uint64_t end, const char *why)
{
    bool joined = false;

    for (size_t i = 0; i < info->reserved_count; i++) {
        boot_reserved_t *piece = &info->reserved[i];

        if (piece->owner != OWNER_BAD || piece->why != why || piece->base > end ||
            piece->end < base)
            continue;
        base = piece->base < base ? piece->base : base;
        end = piece->end > end ? piece->end : end;
        *piece = info->reserved[--info->reserved_count];
        joined = true;
        i = (size_t)-1;     /* so long, it may touch another one */
    }
    if (!joined && info->reserved_count >= BOOT_RESERVED_MAX - BOOT_RESERVED_SPARE)
        return -ENOMEM;
    return boot_info_reserve(info, base, end, why, OWNER_BAD);
}

/* ---- whole pages of RAM */

/* Some entry says RAM, and none says anything else. */
static bool is_ram(const boot_info_t *info, uint64_t at)
{
    bool ram = false;

    for (size_t i = 0; i < info->region_count; i++) {
        const boot_region_t *region = &info->region[i];

        if (at >= region->base && at < region->end) {
            if (region->type != BOOT_RAM)
                return false;
            ram = true;
        }
    }
    return ram;
}

/* The next address above `at` where an entry begins or ends. => 0: none */
static uint64_t next_border(const boot_info_t *info, uint64_t at)
{
    uint64_t next = 0;

    for (size_t i = 0; i < info->region_count; i++) {
        const boot_region_t *region = &info->region[i];

        if (region->base > at && (next == 0 || region->base < next))
            next = region->base;
        if (region->end > at && (next == 0 || region->end < next))
            next = region->end;
    }
    return next;
}

/* RAM in [base, end), bytes: its whole pages are ours. */
static int add_ram(boot_info_t *info, uint64_t base, uint64_t end)
{
    uint64_t first = (base + PAGE_MASK) & ~(uint64_t)PAGE_MASK;

    end &= ~(uint64_t)PAGE_MASK;
    if (first < base || first >= end)
        return 0;
    if (info->ram_count == BOOT_RANGES_MAX)
        return -ENOMEM;
    info->ram[info->ram_count++] = (boot_range_t){ first, end };
    return 0;
}

int boot_info_find_ram(boot_info_t *info)
{
    uint64_t at = 0;
    uint64_t base = 0;
    bool inside = is_ram(info, 0);

    info->ram_count = 0;
    while ((at = next_border(info, at)) != 0) {
        bool ram = is_ram(info, at);

        if (ram && !inside)
            base = at;
        if (!ram && inside && add_ram(info, base, at) != 0)
            return -ENOMEM;
        inside = ram;
    }
    return 0;
}

/* => the end of a reserved range that holds `at`, or `at` */
static uint64_t skip_reserved(const boot_info_t *info, uint64_t at)
{
    for (size_t i = 0; i < info->reserved_count; i++) {
        const boot_reserved_t *reserved = &info->reserved[i];
        uint64_t end = (reserved->end + PAGE_MASK) & ~(uint64_t)PAGE_MASK;

        if (reserved->base < at + PAGE_SIZE && end > at && reserved->end > reserved->base) {
            at = end;
            i = (size_t)-1;     /* another one may hold the new place */
        }
    }
    return at;
}

bool boot_info_next_free(const boot_info_t *info, uint64_t base, uint64_t limit,
                         boot_range_t *range)
{
    for (size_t i = 0; i < info->ram_count; i++) {
        uint64_t start = info->ram[i].base > base ? info->ram[i].base : base;
        uint64_t end = info->ram[i].end < limit ? info->ram[i].end : limit;

        start = skip_reserved(info, start);
        if (start >= end)
            continue;
        for (size_t k = 0; k < info->reserved_count; k++) {
            const boot_reserved_t *reserved = &info->reserved[k];

            if (reserved->end > reserved->base && reserved->base >= start &&
                reserved->base < end)
                end = reserved->base & ~(uint64_t)PAGE_MASK;
        }
        *range = (boot_range_t){ start, end };
        return true;
    }
    return false;
}

page_t boot_info_allocate(boot_info_t *info, size_t length, size_t align, const char *why,
                          uint8_t owner)
{
    boot_range_t range = { 0, IMAGE_BASE };

    while (boot_info_next_free(info, range.end, LINEAR_END, &range)) {
        uint64_t base = (range.base + align - 1) & ~(uint64_t)(align - 1);

        if (base > range.end || range.end - base < length)
            continue;
        if (boot_info_reserve(info, base, base + length, why, owner) != 0)
            return 0;
        return (page_t)base;
    }
    return 0;
}

/* ---- the command line */

/* Characters up to the next space or the end. */
static size_t word_length_at(const char *word)
{
    size_t length = 0;

    while (word[length] != '\0' && word[length] != ' ')
        length++;
    return length;
}

/* The word of that name at `word` or after it. => its value, or NULL */
static const char *find_word(const char *word, const char *name, size_t *length)
{
    size_t name_length = strlen(name);

    while (*word != '\0') {
        size_t word_length;

        while (*word == ' ')
            word++;
        word_length = word_length_at(word);
        if (word_length >= name_length && memcmp(word, name, name_length) == 0) {
            if (word_length == name_length) {
                *length = 0;
                return word + name_length;
            }
            if (word[name_length] == '=') {
                *length = word_length - name_length - 1;
                return word + name_length + 1;
            }
        }
        word += word_length;
    }
    return NULL;
}

const char *boot_info_word(const boot_info_t *info, const char *name, size_t *length)
{
    return find_word(info->words, name, length);
}

const char *boot_info_next_word(const char *value, const char *name, size_t *length)
{
    return find_word(value + word_length_at(value), name, length);
}

/* ---- the log */

static const char *type_name(uint32_t type)
{
    switch (type) {
    case BOOT_RAM:
        return "RAM";
    case BOOT_FIRMWARE:
        return "reserved";
    case BOOT_ACPI:
        return "ACPI tables";
    case BOOT_NVS:
        return "ACPI, kept over sleep";
    case BOOT_BAD:
        return "bad RAM";
    default:
        return "unknown type";
    }
}

/* What becomes of a region. */
static const char *what_we_do(const boot_region_t *region)
{
    if (region->type != BOOT_RAM)
        return "left alone";
    if (region->base >= LINEAR_END)
        return "counted only: above 3 GiB";
    if (region->end > LINEAR_END)
        return "ours up to 3 GiB";
    if ((region->base | region->end) & PAGE_MASK)
        return "ours, its whole pages";
    return "ours";
}

static bool overlaps_other(const boot_info_t *info, const boot_region_t *region)
{
    for (size_t i = 0; i < info->region_count; i++) {
        const boot_region_t *other = &info->region[i];

        if (other != region && other->base < region->end && other->end > region->base)
            return true;
    }
    return false;
}

static void log_reserved(const boot_reserved_t *reserved)
{
    printk("boot:   %010llx-%010llx  %s\n", (unsigned long long)reserved->base,
           (unsigned long long)reserved->end, reserved->why);
}

void boot_info_log(const boot_info_t *info)
{
    uint64_t pages = 0;

    printk("boot: started by %s\n", info->loader);
    printk("boot: memory as told by %s:\n", info->map_source);
    for (size_t i = 0; i < info->region_count; i++) {
        const boot_region_t *region = &info->region[i];

        printk("boot:   %010llx-%010llx  %-12s %s%s\n",
               (unsigned long long)region->base, (unsigned long long)region->end,
               type_name(region->type), what_we_do(region),
               overlaps_other(info, region) ?
               "; overlaps another entry: what is not RAM in both is not used" : "");
    }
    if (info->map_rest != 0)
        printk("boot:   the map's last %u bytes are no whole entry: ignored\n", info->map_rest);
    for (size_t i = 0; i < info->ram_count; i++)
        pages += (info->ram[i].end - info->ram[i].base) >> PAGE_SHIFT;
    printk("boot: %llu whole pages of RAM. Taken already:\n", (unsigned long long)pages);
    for (size_t i = 0; i < info->reserved_count; i++) {
        const boot_reserved_t *reserved = &info->reserved[i];

        if (reserved->owner != OWNER_BAD)
            log_reserved(reserved);
    }
    boot_info_log_bad(info);
}

/* => the lowest piece of bad RAM at or above `from`, or NULL */
static const boot_reserved_t *next_bad(const boot_info_t *info, uint64_t from)
{
    const boot_reserved_t *next = NULL;

    for (size_t i = 0; i < info->reserved_count; i++) {
        const boot_reserved_t *piece = &info->reserved[i];

        if (piece->owner == OWNER_BAD && piece->base >= from &&
            (next == NULL || piece->base < next->base))
            next = piece;
    }
    return next;
}

void boot_info_log_bad(const boot_info_t *info)
{
    const boot_reserved_t *piece = NULL;
    uint64_t pages = 0;
    size_t count = 0;

    for (size_t i = 0; i < info->reserved_count; i++) {
        if (info->reserved[i].owner != OWNER_BAD)
            continue;
        pages += (info->reserved[i].end - info->reserved[i].base) >> PAGE_SHIFT;
        count++;
    }
    if (count == 0)
        return;
    printk("boot: bad RAM, never used: %llu pages\n", (unsigned long long)pages);
    for (size_t i = 0; i < count && i < BAD_LINES_MAX; i++) {
        piece = next_bad(info, piece != NULL ? piece->end : 0);
        log_reserved(piece);
    }
    if (count > BAD_LINES_MAX)
        printk("boot:   and %zu more pieces above\n", count - BAD_LINES_MAX);
}
