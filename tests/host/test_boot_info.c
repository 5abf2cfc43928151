/*
 * What boot loaders say of RAM, crooked maps included, and what is made of it.
 */
#include <kernel/printk.h>
#include <fake_multiboot.h>

#include <string.h>

/* ---- maps: exact sets of pages */

typedef struct map_case {
    const char *what;
    boot_region_t region[8];    /* up to the first with base == end == type == 0 */
    boot_range_t ram[6];        /* up to the first empty one */
} map_case_t;

#define TOP UINT64_MAX

static const map_case_t maps[] = {
    { "one piece", { { 0x1000, 0x5000, 1 } }, { { 0x1000, 0x5000 } } },
    { "page 0 is RAM like any other", { { 0, 0x2000, 1 } }, { { 0, 0x2000 } } },
    { "unaligned ends lose their pages", { { 0x1001, 0x5fff, 1 } }, { { 0x2000, 0x5000 } } },
    { "less than a page", { { 0x1001, 0x2fff, 1 } }, { { 0 } } },
    { "one byte too few on each side", { { 0x1001, 0x3000, 1 }, { 0x5000, 0x5fff, 1 } },
      { { 0x2000, 0x3000 } } },
    { "a hole", { { 0x1000, 0x3000, 1 }, { 0x4000, 0x6000, 1 } },
      { { 0x1000, 0x3000 }, { 0x4000, 0x6000 } } },
    { "a hole smaller than a page", { { 0x1000, 0x3800, 1 }, { 0x3801, 0x6000, 1 } },
      { { 0x1000, 0x3000 }, { 0x4000, 0x6000 } } },
    { "a hole across a border", { { 0x1000, 0x3fff, 1 }, { 0x4001, 0x8000, 1 } },
      { { 0x1000, 0x3000 }, { 0x5000, 0x8000 } } },
    { "neighbours make one", { { 0x1000, 0x3800, 1 }, { 0x3800, 0x6000, 1 } },
      { { 0x1000, 0x6000 } } },
    { "in any order", { { 0x5000, 0x6000, 1 }, { 0x1000, 0x2000, 1 }, { 0x2000, 0x5000, 1 } },
      { { 0x1000, 0x6000 } } },
    { "RAM over RAM", { { 0x1000, 0x5000, 1 }, { 0x3000, 0x8000, 1 }, { 0x4000, 0x4800, 1 } },
      { { 0x1000, 0x8000 } } },
    { "twice the same", { { 0x1000, 0x5000, 1 }, { 0x1000, 0x5000, 1 } },
      { { 0x1000, 0x5000 } } },
    { "something else wins over RAM, listed last", { { 0, 0x8000, 1 }, { 0x3000, 0x5000, 2 } },
      { { 0, 0x3000 }, { 0x5000, 0x8000 } } },
    { "and listed first", { { 0x3000, 0x5000, 3 }, { 0, 0x8000, 1 } },
      { { 0, 0x3000 }, { 0x5000, 0x8000 } } },
    { "one byte of it takes the page", { { 0, 0x8000, 1 }, { 0x3fff, 0x4000, 5 } },
      { { 0, 0x3000 }, { 0x4000, 0x8000 } } },
    { "and two bytes two", { { 0, 0x8000, 1 }, { 0x3fff, 0x4001, 4 } },
      { { 0, 0x3000 }, { 0x5000, 0x8000 } } },
    { "inside two overlapping RAM entries",
      { { 0, 0x6000, 1 }, { 0x2000, 0x8000, 1 }, { 0x3000, 0x4000, 2 } },
      { { 0, 0x3000 }, { 0x4000, 0x8000 } } },
    { "unknown types are not RAM",
      { { 0, 0x1000, 0 }, { 0x1000, 0x2000, 6 }, { 0x2000, 0x3000, 0xffffffff },
        { 0x3000, 0x4000, 1 } }, { { 0x3000, 0x4000 } } },
    { "empty entries say nothing", { { 0, 0x4000, 1 }, { 0x2000, 0x2000, 2 } },
      { { 0, 0x4000 } } },
    { "across 4 GiB", { { 0xfffff000, 0x100001000, 1 } }, { { 0xfffff000, 0x100001000 } } },
    { "above 4 GiB", { { 0x123456000, 0x200000000, 1 } }, { { 0x123456000, 0x200000000 } } },
    { "a RAM length that wraps ends nowhere",
      { { 0x10000, 0x8000, 1 }, { 0x20000, TOP, 2 } }, { { 0x10000, 0x20000 } } },
    { "a reserved length that wraps takes the rest",
      { { 0, 0x100000, 1 }, { 0x80000, 0x1000, 2 } }, { { 0, 0x80000 } } },
    { "the last byte there is", { { 0, 0x3000, 1 }, { TOP - 0xfff, TOP, 1 } },
      { { 0, 0x3000 } } },
    { "RAM in RAM's hole", { { 0, 0x9000, 1 }, { 0x2000, 0x7000, 2 }, { 0x4000, 0x5000, 1 } },
      { { 0, 0x2000 }, { 0x7000, 0x9000 } } },
};

static size_t region_count_of(const map_case_t *map)
{
    size_t count = 0;

    while (count < ARRAY_LENGTH(map->region) &&
           (map->region[count].end != 0 || map->region[count].base != 0))
        count++;
    return count;
}

static void check_ram(const map_case_t *map)
{
    size_t count = 0;

    while (count < ARRAY_LENGTH(map->ram) && map->ram[count].end != 0)
        count++;
    for (size_t i = 0; i < count; i++) {
        if (i < boot_info.ram_count && boot_info.ram[i].base == map->ram[i].base &&
            boot_info.ram[i].end == map->ram[i].end)
            continue;
        test_fail(__FILE__, __LINE__, "%s: piece %zu is not 0x%llx-0x%llx", map->what, i,
                  (unsigned long long)map->ram[i].base, (unsigned long long)map->ram[i].end);
    }
    if (boot_info.ram_count != count)
        test_fail(__FILE__, __LINE__, "%s: %zu pieces, not %zu", map->what,
                  boot_info.ram_count, count);
    test_checks++;
}

TEST(boot_info_maps_give_exact_pages)
{
    static const uint32_t sizes[] = { 20, 24, 21, 64 };

    for (size_t i = 0; i < ARRAY_LENGTH(maps); i++) {
        for (size_t k = 0; k < ARRAY_LENGTH(sizes); k++) {
            CHECK_OK(multiboot_fill_map(maps[i].region, region_count_of(&maps[i]), sizes[k]));
            check_ram(&maps[i]);
        }
    }
}

TEST(boot_info_entries_of_different_sizes)
{
    static const map_case_t expected = { "mixed", { { 0 } },
                                         { { 0x1000, 0x2000 }, { 0x3000, 0x4000 },
                                           { 0x5000, 0x6000 } } };
    uint8_t *place;

    multiboot_begin(HAS_MAP);
    place = multiboot_take(200);
    multiboot_put32(multiboot_header + AT_MAP, multiboot_address(place));
    multiboot_put32(multiboot_header + AT_MAP_LENGTH, 24 + 28 + 44);
    for (uint32_t i = 0, at = 0; i < 3; i++) {
        static const uint32_t size[] = { 20, 24, 40 };

        memset(place + at, 0, 24);
        multiboot_put32(place + at, size[i]);
        multiboot_put32(place + at + 4, 0x1000 + i * 0x2000);
        multiboot_put32(place + at + 12, 0x1000);
        multiboot_put32(place + at + 20, BOOT_RAM);
        at += size[i] + 4;
    }
    CHECK_OK(multiboot_fill());
    check_ram(&expected);
}

/* Where the second entry of a map of small ones is. */
static uint8_t *second_entry(void)
{
    uint32_t map = *(uint32_t *)(multiboot_header + AT_MAP);

    return multiboot_arena + (map - multiboot_address(multiboot_arena)) + 24;
}

/* Cut anywhere, the whole entries before the cut count, and nothing else. */
TEST(boot_info_truncated_map)
{
    for (uint32_t length = 0; length <= 72; length++) {
        const char *trouble;

        multiboot_begin(HAS_MAP);
        multiboot_map(&multiboot_plain_map[1], 3, 20);
        multiboot_put32(multiboot_header + AT_MAP_LENGTH, length);
        trouble = multiboot_fill();
        CHECK_EQ(trouble == NULL, length >= 24);
        CHECK_EQ(boot_info.region_count, length / 24);
    }
    /* An entry whose own size leads out of the map, or is too small. */
    for (uint32_t size = 0; size < 200; size += size < 24 ? 1 : 50) {
        multiboot_begin(HAS_MAP);
        multiboot_map(multiboot_plain_map, 2, 20);
        multiboot_put32(second_entry(), size);
        CHECK_OK(multiboot_fill());
        CHECK_EQ(boot_info.region_count, size == 20 ? 2 : 1);
    }
    multiboot_begin(HAS_MAP);
    multiboot_map(multiboot_plain_map, 2, 20);
    multiboot_put32(second_entry(), 0xffffffff);
    CHECK_OK(multiboot_fill());
    CHECK_EQ(boot_info.region_count, 1);
}

TEST(boot_info_too_many_regions)
{
    static boot_region_t many[BOOT_REGIONS_MAX + 1];

    for (size_t i = 0; i < ARRAY_LENGTH(many); i++)
        many[i] = (boot_region_t){ i * 0x3000, i * 0x3000 + 0x1000, BOOT_RAM };
    CHECK_OK(multiboot_fill_map(many, BOOT_REGIONS_MAX, 20));
    CHECK_EQ(boot_info.region_count, BOOT_REGIONS_MAX);
    CHECK_EQ(boot_info.ram_count, BOOT_REGIONS_MAX);
    CHECK(strstr(multiboot_fill_map(many, BOOT_REGIONS_MAX + 1, 20), "64") != NULL);
}

/* Random maps against one byte for each byte of 64 small pages' worth of borders. */
TEST(boot_info_random_maps)
{
    enum { PAGES = 48, UNIT = 512, UNITS = PAGES * (4096 / UNIT) };
    static uint8_t says_ram[UNITS], says_other[UNITS];

    for (size_t round = 0; round < test_steps(20000); round++) {
        boot_region_t region[12];
        size_t count = 1 + test_random_below(ARRAY_LENGTH(region));
        size_t next = 0;

        memset(says_ram, 0, sizeof(says_ram));
        memset(says_other, 0, sizeof(says_other));
        for (size_t i = 0; i < count; i++) {
            size_t first = test_random_below(UNITS);
            size_t last = first + test_random_below(UNITS - first) / (1 + round % 3);

            region[i].base = first * UNIT;
            region[i].end = last * UNIT;
            region[i].type = test_random_below(3) == 0 ? 2 + (uint32_t)test_random_below(4) : 1;
            for (size_t unit = first; unit < last; unit++)
                (region[i].type == 1 ? says_ram : says_other)[unit] = 1;
        }
        multiboot_begin(HAS_MAP | HAS_SIZES);   /* some maps are empty throughout */
        multiboot_put32(multiboot_header + AT_LOWER, 0);
        multiboot_put32(multiboot_header + AT_UPPER, 0);
        multiboot_map(region, count, 20 + 4 * (uint32_t)test_random_below(2));
        if (multiboot_fill() != NULL) {
            CHECK_EQ(boot_info.region_count, 0);
            continue;
        }
        for (uint64_t page = 0; page < PAGES; page++) {
            bool ram = true;
            bool given;

            for (size_t unit = page * (4096 / UNIT); unit < (page + 1) * (4096 / UNIT); unit++)
                ram = ram && says_ram[unit] && !says_other[unit];
            while (next < boot_info.ram_count && boot_info.ram[next].end <= page * 4096)
                next++;
            given = next < boot_info.ram_count && boot_info.ram[next].base <= page * 4096;
            CHECK_EQ(given, ram);
        }
        for (size_t i = 0; i < boot_info.ram_count; i++) {      /* sorted, not adjacent */
            CHECK(boot_info.ram[i].base < boot_info.ram[i].end);
            CHECK(i == 0 || boot_info.ram[i].base > boot_info.ram[i - 1].end);
        }
    }
}

/* 63 holes in one stretch of RAM make 64 pieces: all of what 64 entries can do. */
TEST(boot_info_the_most_ragged_map)
{
    static boot_region_t ragged[BOOT_REGIONS_MAX];

    ragged[0] = (boot_region_t){ 0, 0x1000000, BOOT_RAM };
    for (size_t i = 1; i < ARRAY_LENGTH(ragged); i++)
        ragged[i] = (boot_region_t){ i * 0x10000, i * 0x10000 + 1, BOOT_FIRMWARE };
    CHECK_OK(multiboot_fill_map(ragged, ARRAY_LENGTH(ragged), 20));
    CHECK_EQ(boot_info.ram_count, BOOT_REGIONS_MAX);
    for (size_t i = 0; i + 1 < BOOT_REGIONS_MAX; i++)
        CHECK_EQ(boot_info.ram[i].end, (i + 1) * 0x10000);
}

/* ---- no map */

TEST(boot_info_without_a_map)
{
    /* Nothing at all. */
    multiboot_begin(0);
    CHECK(multiboot_fill() != NULL);
    multiboot_begin(HAS_MAP);
    multiboot_map(multiboot_plain_map, 0, 20);
    CHECK(multiboot_fill() != NULL);
    /* The two sizes, in KiB, also when the map is there but empty. */
    for (size_t i = 0; i < 2; i++) {
        multiboot_begin(HAS_SIZES | (i == 0 ? 0 : HAS_MAP));
        multiboot_map(multiboot_plain_map, 0, 20);
        multiboot_put32(multiboot_header + AT_LOWER, 639);
        multiboot_put32(multiboot_header + AT_UPPER, 7 * 1024 + 3);
        CHECK_OK(multiboot_fill());
        CHECK_EQ(boot_info.ram_count, 2);
        CHECK_EQ(boot_info.ram[0].base, 0);
        CHECK_EQ(boot_info.ram[0].end, 0x9f000);
        CHECK_EQ(boot_info.ram[1].base, 0x100000);
        CHECK_EQ(boot_info.ram[1].end, 0x800000);
        CHECK(boot_info.map_source[0] != '\0');
    }
    /* With a map they do not count. */
    multiboot_begin(HAS_SIZES | HAS_MAP);
    multiboot_map(multiboot_plain_map, 1, 20);
    multiboot_put32(multiboot_header + AT_UPPER, 1000000);
    CHECK_OK(multiboot_fill());
    CHECK_EQ(boot_info.region_count, 1);
}

TEST(boot_info_bad_magic)
{
    static const uint32_t bad[] = { 0, 0x1badb002, 0x36d76289, 0x2badb003, 0xffffffff };

    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        multiboot_begin(HAS_MAP);
        multiboot_map(multiboot_plain_map, ARRAY_LENGTH(multiboot_plain_map), 20);
        CHECK(boot_info_fill(&boot_info, bad[i], multiboot_address(multiboot_header)) != NULL);
        /* The structure is not even looked at. */
        CHECK(boot_info_fill(&boot_info, bad[i], 4) != NULL);
    }
}

/* ---- the log */

static char log_text[16384];
static size_t log_length;

static void keep_log(const char *text, size_t length)
{
    if (log_length + length >= sizeof(log_text))
        return;
    memcpy(log_text + log_length, text, length);
    log_length += length;
    log_text[log_length] = '\0';
}

TEST(boot_info_log_explains)
{
    static const boot_region_t map[] = {
        { 0, 0x9fc00, BOOT_RAM },
        { 0x100000, 0x200000, BOOT_RAM },
        { 0x180000, 0x181000, BOOT_NVS },
        { 0xbff00000, 0xc0100000, BOOT_RAM },
        { 0x100000000, 0x200000000, BOOT_RAM },
        { 0xd0000000, 0xd0001000, BOOT_BAD },
        { 0xd1000000, 0xd1001000, 77 },
        { 0xd2000000, 0xd2001000, BOOT_ACPI },
        { 0xd3000000, 0xd3001000, BOOT_FIRMWARE },
    };
    static const char *const expected[] = {
        "a test's loader", "Multiboot", "RAM", "overlaps", "above 3 GiB", "whole pages",
        "unknown", "bad", "ACPI", "00001ff000", "0100000000-0200000000", "the kernel image",
        "a boot module",
    };
    printk_output_t *output;

    multiboot_begin(HAS_MAP | HAS_LOADER | HAS_MODULES);
    multiboot_map(map, ARRAY_LENGTH(map), 20);
    multiboot_put32(multiboot_header + AT_LOADER, multiboot_text("a test's loader"));
    multiboot_modules(1, 0x1ff000, 0x1000, multiboot_text("m"));
    CHECK_OK(multiboot_fill());
    log_length = 0;
    output = printk_set_output(keep_log);
    boot_info_log(&boot_info);
    printk_set_output(output);
    for (size_t i = 0; i < ARRAY_LENGTH(expected); i++)
        if (strstr(log_text, expected[i]) == NULL)
            test_fail(__FILE__, __LINE__, "the log does not say \"%s\"", expected[i]);
    CHECK(log_length > 0);
}
