/*
 * What the boot loader said, copied once and explained.
 *
 * Everything above reads this instead of Multiboot's structures, so that
 * another boot protocol needs another filler and nothing else.
 */
#ifndef KERNEL_BOOT_INFO_H
#define KERNEL_BOOT_INFO_H

#include <kernel/types.h>

enum {
    BOOT_REGIONS_MAX = 64,
    BOOT_RESERVED_MAX = 256,
    BOOT_RESERVED_SPARE = 8,    /* of them: not for bad RAM, for boot_info_allocate */
    BOOT_RANGES_MAX = 160,
    BOOT_MODULES_MAX = 16,
    BOOT_WORDS_MAX = 1024,      /* bytes of the command line, with its NUL */
    BOOT_STRING_MAX = 4096,     /* bytes of one module's string, with its NUL */
    BOOT_STRINGS_MAX = 8192,    /* bytes of all modules' strings */
};

/* Multiboot's region types (Multiboot 0.6.96, section 3.3, and ACPI's). */
enum {
    BOOT_RAM = 1,
    BOOT_FIRMWARE = 2,
    BOOT_ACPI = 3,
    BOOT_NVS = 4,
    BOOT_BAD = 5,
};

/* One entry of the loader's map, as reported: [base, end), bytes. */
typedef struct boot_region {
    uint64_t base;
    uint64_t end;
    uint32_t type;
} boot_region_t;

/* RAM that is taken: [base, end), bytes as given; `why` for the log. */
typedef struct boot_reserved {
    uint64_t base;
    uint64_t end;
    const char *why;
    uint8_t owner;              /* frame_owner_t of its frames (physical.h) */
} boot_reserved_t;

/* Whole pages: [base, end), multiples of PAGE_SIZE. */
typedef struct boot_range {
    uint64_t base;
    uint64_t end;
} boot_range_t;

typedef struct boot_module {
    page_t base;
    size_t length;
    const char *string;         /* the whole string the loader gave */
} boot_module_t;

typedef struct boot_info {
    /* Where the kernel image lies; set before boot_info_fill. Page-aligned. */
    page_t image_text;          /* first byte: executable, read-only */
    page_t image_rodata;        /* read-only */
    page_t image_data;          /* writable */
    page_t image_end;           /* past bss */

    const char *loader;         /* its name, or "unknown" */
    const char *map_source;     /* who reported the regions */

    uint32_t map_rest;          /* bytes at the map's end that are no entry */

    size_t region_count;
    boot_region_t region[BOOT_REGIONS_MAX];
    size_t reserved_count;
    boot_reserved_t reserved[BOOT_RESERVED_MAX];
    size_t module_count;
    boot_module_t module[BOOT_MODULES_MAX];

    /* Whole pages of RAM: sorted, disjoint, not adjacent, nothing else in them. */
    size_t ram_count;
    boot_range_t ram[BOOT_RANGES_MAX];

    char words[BOOT_WORDS_MAX];         /* the command line, then fw_cfg's */
    char strings[BOOT_STRINGS_MAX];     /* behind loader and module[].string */
    size_t strings_used;
} boot_info_t;

extern boot_info_t boot_info;

/*
 * Fill *info, all zero but for the image's addresses, from what a Multiboot 1
 * loader left.
 *
 * => magic and address: EAX and EBX at the entry
 * => NULL, or a sentence that says why this cannot be booted
 * => reads the loader's structures by their physical addresses: before paging
 */
const char *boot_info_fill(boot_info_t *info, uint32_t magic, uint32_t address);

/*
 * Note that [base, end) is taken. Overlaps with other reserved ranges are fine.
 *
 * => -ENOMEM when the list is full
 */
int boot_info_reserve(boot_info_t *info, uint64_t base, uint64_t end,
                      const char *why, uint8_t owner);

/*
 * Retire bad RAM: pages [base, end), all of them free, are OWNER_BAD for good.
 *
 * => base and end are multiples of PAGE_SIZE; `why` is a constant: pieces that
 *    touch and have the same one become one entry
 * => -ENOMEM when the list is full but for BOOT_RESERVED_SPARE
 */
int boot_info_retire(boot_info_t *info, uint64_t base, uint64_t end, const char *why);

/* Work out ram[] from region[]. => -ENOMEM if the map is too ragged to hold */
int boot_info_find_ram(boot_info_t *info);

/*
 * The lowest whole pages of RAM in [base, limit) that nothing reserves, as one
 * range of at most `limit`; repeated with base = the last range's end, it walks
 * all free memory in order.
 *
 * => false: there is none
 */
bool boot_info_next_free(const boot_info_t *info, uint64_t base, uint64_t limit,
                         boot_range_t *range);

/*
 * The early allocator, until physical_init has built the real one: the lowest
 * whole free pages at or above IMAGE_BASE, in a row, reserved for good.
 *
 * => length in bytes, a multiple of PAGE_SIZE; contents undefined
 * => align: a power of two, at least PAGE_SIZE
 * => the address of the first page, or 0: no memory, or the list is full
 */
page_t boot_info_allocate(boot_info_t *info, size_t length, size_t align, const char *why,
                          uint8_t owner);

/* Print who reported each region, what becomes of it, and what is taken or bad. */
void boot_info_log(const boot_info_t *info);

/* Print what is retired, lowest first, 16 pieces at most; nothing if there is none. */
void boot_info_log_bad(const boot_info_t *info);

/*
 * The value of the word `name=value` or `name` on the command line.
 *
 * => NULL: no such word; a value ends at a space or at the end; *length is its
 *    length, 0 for a bare word
 */
const char *boot_info_word(const boot_info_t *info, const char *name, size_t *length);

/* The next word of that name. => value: what the call before returned */
const char *boot_info_next_word(const char *value, const char *name, size_t *length);

#endif
