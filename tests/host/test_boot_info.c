/*
 * What boot loaders say, crooked maps included, and what is made of it.
 *
 * The structures are written byte by byte from the Multiboot specification 0.6.96,
 * section 3.3, into memory below 4 GiB.
 */
#include <kernel/boot_info.h>
#include <kernel/errno.h>
#include <kernel/layout.h>
#include <kernel/physical.h>
#include <kernel/printk.h>
#include <host_test.h>

#include <string.h>
#include <sys/mman.h>

#define MAGIC       0x2badb002u
#define ARENA_SIZE  (256u * KIB)
#define HAS_SIZES   0x001u
#define HAS_WORDS   0x004u
#define HAS_MODULES 0x008u
#define HAS_MAP     0x040u
#define HAS_LOADER  0x200u

/* Where the specification puts things. */
enum {
    AT_FLAGS = 0, AT_LOWER = 4, AT_UPPER = 8, AT_WORDS = 16, AT_MODULE_COUNT = 20,
    AT_MODULES = 24, AT_MAP_LENGTH = 44, AT_MAP = 48, AT_LOADER = 64, INFO_LENGTH = 120,
};

static const boot_region_t plain_map[] = {
    { 0, 0x9fc00, BOOT_RAM },
    { 0x9fc00, 0xa0000, BOOT_FIRMWARE },
    { 0xf0000, 0x100000, BOOT_FIRMWARE },
    { 0x100000, 0x7fe0000, BOOT_RAM },
    { 0x7fe0000, 0x8000000, BOOT_ACPI },
};

static uint8_t *arena;
static size_t arena_used;
static uint8_t *header;         /* the Multiboot structure, in the arena */

static void put32(uint8_t *place, uint32_t value)
{
    memcpy(place, &value, sizeof(value));
}

static uint32_t address_of(const void *place)
{
    return (uint32_t)(size_t)place;
}

/* => misaligned on purpose by one byte: loaders promise nothing */
static uint8_t *arena_take(size_t length)
{
    uint8_t *place = arena + arena_used;

    CHECK(arena_used + length + 1 <= ARENA_SIZE);
    arena_used += length + 1;
    return place;
}

static uint32_t put_text(const char *text)
{
    uint8_t *place = arena_take(strlen(text) + 1);

    memcpy(place, text, strlen(text) + 1);
    return address_of(place);
}

/* A text of `length` characters. */
static uint32_t put_long_text(size_t length)
{
    uint8_t *place = arena_take(length + 1);

    memset(place, 'x', length);
    place[length] = '\0';
    return address_of(place);
}

static void begin(uint32_t flags)
{
    if (arena == NULL) {
        arena = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | (sizeof(void *) == 8 ? MAP_32BIT : 0),
                     -1, 0);
        CHECK(arena != MAP_FAILED);
    }
    memset(arena, 0xee, ARENA_SIZE);
    arena_used = 0;
    header = arena_take(INFO_LENGTH);
    put32(header + AT_FLAGS, flags);
    memset(&boot_info, 0, sizeof(boot_info));
    boot_info.image_text = 0x100000;
    boot_info.image_rodata = 0x108000;
    boot_info.image_data = 0x110000;
    boot_info.image_end = 0x120000;
}

/* The map, each entry `size` bytes long without its size word. */
static void put_map(const boot_region_t *region, size_t count, uint32_t size)
{
    uint8_t *place = arena_take(count * (size + 4));

    put32(header + AT_MAP, address_of(place));
    put32(header + AT_MAP_LENGTH, (uint32_t)(count * (size + 4)));
    for (size_t i = 0; i < count; i++, place += size + 4) {
        uint64_t length = region[i].end - region[i].base;

        memset(place, 0xee, size + 4);
        put32(place, size);
        memcpy(place + 4, &region[i].base, 8);
        memcpy(place + 12, &length, 8);
        put32(place + 20, region[i].type);
    }
}

static const char *fill(void)
{
    return boot_info_fill(&boot_info, MAGIC, address_of(header));
}

static const char *fill_map(const boot_region_t *region, size_t count, uint32_t size)
{
    begin(HAS_MAP);
    put_map(region, count, size);
    return fill();
}

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
            CHECK_OK(fill_map(maps[i].region, region_count_of(&maps[i]), sizes[k]));
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

    begin(HAS_MAP);
    place = arena_take(200);
    put32(header + AT_MAP, address_of(place));
    put32(header + AT_MAP_LENGTH, 24 + 28 + 44);
    for (uint32_t i = 0, at = 0; i < 3; i++) {
        static const uint32_t size[] = { 20, 24, 40 };

        memset(place + at, 0, 24);
        put32(place + at, size[i]);
        put32(place + at + 4, 0x1000 + i * 0x2000);
        put32(place + at + 12, 0x1000);
        put32(place + at + 20, BOOT_RAM);
        at += size[i] + 4;
    }
    CHECK_OK(fill());
    check_ram(&expected);
}

/* Cut anywhere, the whole entries before the cut count, and nothing else. */
TEST(boot_info_truncated_map)
{
    for (uint32_t length = 0; length <= 72; length++) {
        const char *trouble;

        begin(HAS_MAP);
        put_map(&plain_map[1], 3, 20);
        put32(header + AT_MAP_LENGTH, length);
        trouble = fill();
        CHECK_EQ(trouble == NULL, length >= 24);
        CHECK_EQ(boot_info.region_count, length / 24);
    }
    /* An entry whose own size leads out of the map, or is too small. */
    for (uint32_t size = 0; size < 200; size += size < 24 ? 1 : 50) {
        begin(HAS_MAP);
        put_map(plain_map, 2, 20);
        put32(arena + (*(uint32_t *)(header + AT_MAP) - address_of(arena)) + 24, size);
        CHECK_OK(fill());
        CHECK_EQ(boot_info.region_count, size == 20 ? 2 : 1);
    }
    begin(HAS_MAP);
    put_map(plain_map, 2, 20);
    put32(arena + (*(uint32_t *)(header + AT_MAP) - address_of(arena)) + 24, 0xffffffff);
    CHECK_OK(fill());
    CHECK_EQ(boot_info.region_count, 1);
}

/* ---- no map */

TEST(boot_info_without_a_map)
{
    /* Nothing at all. */
    begin(0);
    CHECK(fill() != NULL);
    begin(HAS_MAP);
    put_map(plain_map, 0, 20);
    CHECK(fill() != NULL);
    /* The two sizes, in KiB, also when the map is there but empty. */
    for (size_t i = 0; i < 2; i++) {
        begin(HAS_SIZES | (i == 0 ? 0 : HAS_MAP));
        put_map(plain_map, 0, 20);
        put32(header + AT_LOWER, 639);
        put32(header + AT_UPPER, 7 * 1024 + 3);
        CHECK_OK(fill());
        CHECK_EQ(boot_info.ram_count, 2);
        CHECK_EQ(boot_info.ram[0].base, 0);
        CHECK_EQ(boot_info.ram[0].end, 0x9f000);
        CHECK_EQ(boot_info.ram[1].base, 0x100000);
        CHECK_EQ(boot_info.ram[1].end, 0x800000);
        CHECK(boot_info.map_source[0] != '\0');
    }
    /* With a map they do not count. */
    begin(HAS_SIZES | HAS_MAP);
    put_map(plain_map, 1, 20);
    put32(header + AT_UPPER, 1000000);
    CHECK_OK(fill());
    CHECK_EQ(boot_info.region_count, 1);
}

TEST(boot_info_bad_magic)
{
    static const uint32_t bad[] = { 0, 0x1badb002, 0x36d76289, 0x2badb003, 0xffffffff };

    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        begin(HAS_MAP);
        put_map(plain_map, ARRAY_LENGTH(plain_map), 20);
        CHECK(boot_info_fill(&boot_info, bad[i], address_of(header)) != NULL);
        /* The structure is not even looked at. */
        CHECK(boot_info_fill(&boot_info, bad[i], 4) != NULL);
    }
}

/* ---- limits */

TEST(boot_info_too_many_regions)
{
    static boot_region_t many[BOOT_REGIONS_MAX + 1];

    for (size_t i = 0; i < ARRAY_LENGTH(many); i++)
        many[i] = (boot_region_t){ i * 0x3000, i * 0x3000 + 0x1000, BOOT_RAM };
    CHECK_OK(fill_map(many, BOOT_REGIONS_MAX, 20));
    CHECK_EQ(boot_info.region_count, BOOT_REGIONS_MAX);
    CHECK_EQ(boot_info.ram_count, BOOT_REGIONS_MAX);
    CHECK(strstr(fill_map(many, BOOT_REGIONS_MAX + 1, 20), "64") != NULL);
}

static void put_modules(size_t count, uint32_t base, uint32_t length, uint32_t string)
{
    uint8_t *place = arena_take(count * 16);

    put32(header + AT_MODULES, address_of(place));
    put32(header + AT_MODULE_COUNT, (uint32_t)count);
    for (size_t i = 0; i < count; i++, place += 16) {
        put32(place, base + (uint32_t)i * length);
        put32(place + 4, base + ((uint32_t)i + 1) * length);
        put32(place + 8, string);
        put32(place + 12, 0);
    }
}

static void begin_with_map(uint32_t flags)
{
    begin(flags | HAS_MAP);
    put_map(plain_map, ARRAY_LENGTH(plain_map), 24);
}

static bool is_reserved(uint64_t base, uint64_t end, frame_owner_t owner)
{
    for (size_t i = 0; i < boot_info.reserved_count; i++)
        if (boot_info.reserved[i].base == base && boot_info.reserved[i].end == end &&
            boot_info.reserved[i].owner == owner && boot_info.reserved[i].why[0] != '\0')
            return true;
    return false;
}

TEST(boot_info_modules_are_noted_and_reserved)
{
    begin_with_map(HAS_MODULES);
    put_modules(BOOT_MODULES_MAX, 0x200123, 0x1077, put_text("tour --slow  a b"));
    CHECK_OK(fill());
    CHECK_EQ(boot_info.module_count, BOOT_MODULES_MAX);
    for (uint32_t i = 0; i < BOOT_MODULES_MAX; i++) {
        CHECK_EQ(boot_info.module[i].base, 0x200123 + i * 0x1077);
        CHECK_EQ(boot_info.module[i].length, 0x1077);
        CHECK_STR(boot_info.module[i].string, "tour --slow  a b");
        CHECK(is_reserved(0x200123 + i * 0x1077, 0x200123 + (i + 1) * 0x1077, OWNER_BOOT));
    }
    CHECK(is_reserved(0, PAGE_SIZE, OWNER_FIRMWARE));
    CHECK(is_reserved(0x100000, 0x120000, OWNER_IMAGE));
    /* What was copied lives on when the loader's memory does not. */
    memset(arena, 0, ARENA_SIZE);
    CHECK_STR(boot_info.module[15].string, "tour --slow  a b");
}

TEST(boot_info_modules_that_cannot_be)
{
    begin_with_map(HAS_MODULES);
    put_modules(BOOT_MODULES_MAX + 1, 0x200000, 0x1000, put_text("m"));
    CHECK(strstr(fill(), "16") != NULL);
    begin_with_map(HAS_MODULES);
    put_modules(0xffffffff % 1000 + 5, 0x200000, 0x1000, put_text("m"));
    CHECK(fill() != NULL);
    begin_with_map(HAS_MODULES);        /* it ends before it begins */
    put_modules(1, 0x200000, (uint32_t)-4096, put_text("m"));
    CHECK(fill() != NULL);
    begin_with_map(HAS_MODULES);        /* over 3 GiB */
    put_modules(1, 0xbffff000, 0x1001, put_text("m"));
    CHECK(fill() != NULL);
    begin_with_map(HAS_MODULES);
    put_modules(1, 0xbffff000, 0x1000, put_text("m"));
    CHECK_OK(fill());
    begin_with_map(HAS_MODULES);        /* over the image: end, start, all, inside */
    put_modules(1, 0xff000, 0x1001, put_text("m"));
    CHECK(fill() != NULL);
    begin_with_map(HAS_MODULES);
    put_modules(1, 0x11ffff, 0x1000, put_text("m"));
    CHECK(fill() != NULL);
    begin_with_map(HAS_MODULES);
    put_modules(1, 0xf0000, 0x100000, put_text("m"));
    CHECK(fill() != NULL);
    begin_with_map(HAS_MODULES);
    put_modules(1, 0x110000, 0x10, put_text("m"));
    CHECK(fill() != NULL);
    begin_with_map(HAS_MODULES);        /* right behind it is where loaders put them */
    put_modules(1, 0x120000, 0x1000, put_text("m"));
    CHECK_OK(fill());
    begin_with_map(0);                  /* without the flag there are none */
    put_modules(3, 0x200000, 0x1000, put_text("m"));
    CHECK_OK(fill());
    CHECK_EQ(boot_info.module_count, 0);
}

TEST(boot_info_module_without_a_string)
{
    begin_with_map(HAS_MODULES);
    put_modules(1, 0x200000, 0x1000, 0);
    CHECK_OK(fill());
    CHECK_STR(boot_info.module[0].string, "");
    begin_with_map(HAS_MODULES);
    put_modules(1, 0x200000, 0, put_text("empty"));
    CHECK_OK(fill());
    CHECK_EQ(boot_info.module[0].length, 0);
}

TEST(boot_info_strings_too_long)
{
    /* One string: 4,095 characters fit. */
    begin_with_map(HAS_MODULES);
    put_modules(1, 0x200000, 0x1000, put_long_text(BOOT_STRING_MAX - 1));
    CHECK_OK(fill());
    CHECK_EQ(strlen(boot_info.module[0].string), BOOT_STRING_MAX - 1);
    begin_with_map(HAS_MODULES);
    put_modules(1, 0x200000, 0x1000, put_long_text(BOOT_STRING_MAX));
    CHECK(fill() != NULL);
    /* All together: 8,192 bytes. */
    begin_with_map(HAS_MODULES);
    put_modules(2, 0x200000, 0x1000, put_long_text(BOOT_STRING_MAX - 1));
    CHECK_OK(fill());
    CHECK_EQ(boot_info.strings_used, BOOT_STRINGS_MAX);
    begin_with_map(HAS_MODULES);
    put_modules(3, 0x200000, 0x1000, put_long_text(BOOT_STRING_MAX - 1));
    CHECK(fill() != NULL);
    begin_with_map(HAS_MODULES | HAS_LOADER);
    put32(header + AT_LOADER, put_text("GRUB 2.06"));
    put_modules(2, 0x200000, 0x1000, put_long_text(BOOT_STRING_MAX - 1));
    CHECK(fill() != NULL);
}

TEST(boot_info_command_line)
{
    begin_with_map(HAS_WORDS);
    put32(header + AT_WORDS, put_text("/boot/grove.elf paging=pae quiet"));
    CHECK_OK(fill());
    CHECK_STR(boot_info.words, "/boot/grove.elf paging=pae quiet");
    begin_with_map(HAS_WORDS);
    put32(header + AT_WORDS, put_long_text(BOOT_WORDS_MAX - 1));
    CHECK_OK(fill());
    CHECK_EQ(strlen(boot_info.words), BOOT_WORDS_MAX - 1);
    begin_with_map(HAS_WORDS);
    put32(header + AT_WORDS, put_long_text(BOOT_WORDS_MAX));
    CHECK(strstr(fill(), "command line") != NULL);
    begin_with_map(0);
    put32(header + AT_WORDS, put_text("not told of"));
    CHECK_OK(fill());
    CHECK_STR(boot_info.words, "");
}

TEST(boot_info_loader_name)
{
    begin_with_map(HAS_LOADER);
    put32(header + AT_LOADER, put_text("GRUB 2.06"));
    CHECK_OK(fill());
    CHECK_STR(boot_info.loader, "GRUB 2.06");
    begin_with_map(0);
    CHECK_OK(fill());
    CHECK_STR(boot_info.loader, "unknown");
    begin_with_map(HAS_LOADER);         /* absurdly long: the machine starts all the same */
    put32(header + AT_LOADER, put_long_text(10000));
    CHECK_OK(fill());
    CHECK_STR(boot_info.loader, "unknown");
}

TEST(boot_info_words_by_name)
{
    static const struct {
        const char *words, *name, *value;   /* value NULL: no such word */
    } cases[] = {
        { "paging=pae quiet", "paging", "pae" },
        { "paging=pae quiet", "quiet", "" },
        { "paging=pae quiet", "pag", NULL },
        { "paging=pae quiet", "pagingx", NULL },
        { "paging=pae quiet", "pae", NULL },
        { "  a=1   b=2  ", "a", "1" },
        { "  a=1   b=2  ", "b", "2" },
        { "  a=1   b=2  ", "c", NULL },
        { "a= b", "a", "" },
        { "a=b=c", "a", "b=c" },
        { "xa=1 a=2", "a", "2" },
        { "ax a", "a", "" },
        { "a=1 a=2", "a", "1" },
        { "", "a", NULL },
        { "   ", "a", NULL },
        { "last", "last", "" },
        { "x last=1", "last", "1" },
    };

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const char *value;
        size_t length = 12345;
        char text[32] = "";

        begin_with_map(HAS_WORDS);
        put32(header + AT_WORDS, put_text(cases[i].words));
        CHECK_OK(fill());
        value = boot_info_word(&boot_info, cases[i].name, &length);
        if (cases[i].value == NULL) {
            CHECK(value == NULL);
            continue;
        }
        CHECK(value != NULL && length < sizeof(text));
        memcpy(text, value, length);
        CHECK_STR(text, cases[i].value);
    }
}

TEST(boot_info_reserve_has_an_end)
{
    begin_with_map(0);
    CHECK_OK(fill());
    while (boot_info.reserved_count < BOOT_RESERVED_MAX)
        CHECK_EQ(boot_info_reserve(&boot_info, 0x200000, 0x201000, "test", OWNER_BOOT), 0);
    CHECK_EQ(boot_info_reserve(&boot_info, 0x200000, 0x201000, "test", OWNER_BOOT), -ENOMEM);
    CHECK_EQ(boot_info.reserved_count, BOOT_RESERVED_MAX);
    begin_with_map(HAS_MODULES);
    put_modules(1, 0x200000, 0x1000, 0);
    boot_info.reserved_count = BOOT_RESERVED_MAX - 1;
    CHECK(fill() != NULL);
    begin_with_map(HAS_MODULES);
    put_modules(1, 0x200000, 0x1000, 0);
    boot_info.reserved_count = BOOT_RESERVED_MAX - 3;
    CHECK(fill() != NULL);
}

/* ---- free memory, in order */

/* Every page that boot_info_next_free gives, against one page at a time. */
static void check_free_pages(uint64_t limit)
{
    static uint8_t expected[4096];
    static uint8_t given[4096];
    boot_range_t range = { 0, 0 };
    uint64_t before = 0;

    for (size_t number = 0; number < ARRAY_LENGTH(expected); number++) {
        uint64_t base = (uint64_t)number * PAGE_SIZE;

        expected[number] = 0;
        for (size_t i = 0; i < boot_info.ram_count; i++)
            if (boot_info.ram[i].base <= base && boot_info.ram[i].end >= base + PAGE_SIZE)
                expected[number] = 1;
        for (size_t i = 0; i < boot_info.reserved_count; i++)
            if (boot_info.reserved[i].base < boot_info.reserved[i].end &&
                boot_info.reserved[i].base < base + PAGE_SIZE &&
                boot_info.reserved[i].end > base)
                expected[number] = 0;
        if (base + PAGE_SIZE > limit)
            expected[number] = 0;
    }
    memset(given, 0, sizeof(given));
    while (boot_info_next_free(&boot_info, range.end, limit, &range)) {
        CHECK(range.base >= before && range.base < range.end && range.end <= limit);
        CHECK(((range.base | range.end) & PAGE_MASK) == 0);
        for (uint64_t base = range.base; base < range.end; base += PAGE_SIZE)
            given[base / PAGE_SIZE] = 1;
        before = range.end;
    }
    CHECK(memcmp(given, expected, sizeof(given)) == 0);
}

TEST(boot_info_free_memory_avoids_what_is_reserved)
{
    static const boot_range_t taken[] = {
        { 0x130010, 0x130020 }, { 0x140fff, 0x141001 }, { 0x150000, 0x150000 },
        { 0x120000, 0x121000 }, { 0x160000, 0x170000 }, { 0x168000, 0x178000 },
        { 0x90000, 0x100000 }, { 0x7fd0000, 0x9000000 }, { 0x200000, 0x200001 },
    };

    begin_with_map(0);
    CHECK_OK(fill());
    check_free_pages(16 * MIB);
    for (size_t i = 0; i < ARRAY_LENGTH(taken); i++) {
        CHECK_EQ(boot_info_reserve(&boot_info, taken[i].base, taken[i].end, "test",
                                   OWNER_BOOT), 0);
        check_free_pages(16 * MIB);
        check_free_pages(0x131000);
        check_free_pages(0x130000);
        check_free_pages(0);
    }
}

/* The early allocator: lowest first, whole pages, reserved for good. */
TEST(boot_info_allocates_early)
{
    begin_with_map(0);
    CHECK_OK(fill());
    CHECK_EQ(boot_info_allocate(&boot_info, 2 * PAGE_SIZE, PAGE_SIZE, "first", OWNER_KERNEL),
             0x120000);
    CHECK(is_reserved(0x120000, 0x122000, OWNER_KERNEL));
    CHECK_EQ(boot_info_reserve(&boot_info, 0x124001, 0x124002, "test", OWNER_BOOT), 0);
    CHECK_EQ(boot_info_allocate(&boot_info, 3 * PAGE_SIZE, PAGE_SIZE, "second", OWNER_KERNEL),
             0x125000);
    CHECK_EQ(boot_info_allocate(&boot_info, 2 * PAGE_SIZE, PAGE_SIZE, "third", OWNER_KERNEL),
             0x122000);
    CHECK_EQ(boot_info_allocate(&boot_info, 2 * PAGE_SIZE, 2 * MIB, "aligned", OWNER_KERNEL),
             0x200000);
    CHECK(is_reserved(0x200000, 0x202000, OWNER_KERNEL));
    CHECK_EQ(boot_info_allocate(&boot_info, 0xd8000, PAGE_SIZE, "exactly", OWNER_KERNEL),
             0x128000);
    CHECK_EQ(boot_info_allocate(&boot_info, 0x7fe0000 - 0x202000 + PAGE_SIZE, PAGE_SIZE,
                                "too much", OWNER_KERNEL), 0);
    CHECK_EQ(boot_info_allocate(&boot_info, 0x7fe0000 - 0x202000, PAGE_SIZE, "all",
                                OWNER_KERNEL), 0x202000);
    CHECK_EQ(boot_info_allocate(&boot_info, PAGE_SIZE, PAGE_SIZE, "none", OWNER_KERNEL), 0);
    check_free_pages(16 * MIB);
    begin_with_map(0);
    CHECK_OK(fill());
    boot_info.reserved_count = BOOT_RESERVED_MAX;
    CHECK_EQ(boot_info_allocate(&boot_info, PAGE_SIZE, PAGE_SIZE, "no room", OWNER_KERNEL), 0);
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
        begin(HAS_MAP | HAS_SIZES);     /* some maps are empty throughout */
        put32(header + AT_LOWER, 0);
        put32(header + AT_UPPER, 0);
        put_map(region, count, 20 + 4 * (uint32_t)test_random_below(2));
        if (fill() != NULL) {
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
    CHECK_OK(fill_map(ragged, ARRAY_LENGTH(ragged), 20));
    CHECK_EQ(boot_info.ram_count, BOOT_REGIONS_MAX);
    for (size_t i = 0; i + 1 < BOOT_REGIONS_MAX; i++)
        CHECK_EQ(boot_info.ram[i].end, (i + 1) * 0x10000);
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

    begin(HAS_MAP | HAS_LOADER | HAS_MODULES);
    put_map(map, ARRAY_LENGTH(map), 20);
    put32(header + AT_LOADER, put_text("a test's loader"));
    put_modules(1, 0x1ff000, 0x1000, put_text("m"));
    CHECK_OK(fill());
    log_length = 0;
    output = printk_set_output(keep_log);
    boot_info_log(&boot_info);
    printk_set_output(output);
    for (size_t i = 0; i < ARRAY_LENGTH(expected); i++)
        if (strstr(log_text, expected[i]) == NULL)
            test_fail(__FILE__, __LINE__, "the log does not say \"%s\"", expected[i]);
    CHECK(log_length > 0);
}
