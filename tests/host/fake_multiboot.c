/*
 * The Multiboot structure of tests, in an arena that is filled with 0xee before each.
 */
#include <fake_multiboot.h>

#include <string.h>
#include <sys/mman.h>

const boot_region_t multiboot_plain_map[MULTIBOOT_PLAIN] = {
    { 0, 0x9fc00, BOOT_RAM },
    { 0x9fc00, 0xa0000, BOOT_FIRMWARE },
    { 0xf0000, 0x100000, BOOT_FIRMWARE },
    { 0x100000, 0x7fe0000, BOOT_RAM },
    { 0x7fe0000, 0x8000000, BOOT_ACPI },
};

uint8_t *multiboot_arena;
uint8_t *multiboot_header;
static size_t arena_used;

void multiboot_put32(uint8_t *place, uint32_t value)
{
    memcpy(place, &value, sizeof(value));
}

uint32_t multiboot_address(const void *place)
{
    return (uint32_t)(size_t)place;
}

uint8_t *multiboot_take(size_t length)
{
    uint8_t *place = multiboot_arena + arena_used;

    CHECK(arena_used + length + 1 <= ARENA_SIZE);
    arena_used += length + 1;
    return place;
}

uint32_t multiboot_text(const char *text)
{
    uint8_t *place = multiboot_take(strlen(text) + 1);

    memcpy(place, text, strlen(text) + 1);
    return multiboot_address(place);
}

uint32_t multiboot_long_text(size_t length)
{
    uint8_t *place = multiboot_take(length + 1);

    memset(place, 'x', length);
    place[length] = '\0';
    return multiboot_address(place);
}

void multiboot_begin(uint32_t flags)
{
    if (multiboot_arena == NULL) {
        multiboot_arena = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS |
                               (sizeof(void *) == 8 ? MAP_32BIT : 0), -1, 0);
        CHECK(multiboot_arena != MAP_FAILED);
    }
    memset(multiboot_arena, 0xee, ARENA_SIZE);
    arena_used = 0;
    multiboot_header = multiboot_take(INFO_LENGTH);
    multiboot_put32(multiboot_header + AT_FLAGS, flags);
    memset(&boot_info, 0, sizeof(boot_info));
    boot_info.image_text = 0x100000;
    boot_info.image_rodata = 0x108000;
    boot_info.image_data = 0x110000;
    boot_info.image_end = 0x120000;
}

void multiboot_map(const boot_region_t *region, size_t count, uint32_t size)
{
    uint8_t *place = multiboot_take(count * (size + 4));

    multiboot_put32(multiboot_header + AT_MAP, multiboot_address(place));
    multiboot_put32(multiboot_header + AT_MAP_LENGTH, (uint32_t)(count * (size + 4)));
    for (size_t i = 0; i < count; i++, place += size + 4) {
        uint64_t length = region[i].end - region[i].base;

        memset(place, 0xee, size + 4);
        multiboot_put32(place, size);
        memcpy(place + 4, &region[i].base, 8);
        memcpy(place + 12, &length, 8);
        multiboot_put32(place + 20, region[i].type);
    }
}

const char *multiboot_fill(void)
{
    return boot_info_fill(&boot_info, MULTIBOOT_MAGIC, multiboot_address(multiboot_header));
}

const char *multiboot_fill_map(const boot_region_t *region, size_t count, uint32_t size)
{
    multiboot_begin(HAS_MAP);
    multiboot_map(region, count, size);
    return multiboot_fill();
}

void multiboot_modules(size_t count, uint32_t base, uint32_t length, uint32_t string)
{
    uint8_t *place = multiboot_take(count * 16);

    multiboot_put32(multiboot_header + AT_MODULES, multiboot_address(place));
    multiboot_put32(multiboot_header + AT_MODULE_COUNT, (uint32_t)count);
    for (size_t i = 0; i < count; i++, place += 16) {
        multiboot_put32(place, base + (uint32_t)i * length);
        multiboot_put32(place + 4, base + ((uint32_t)i + 1) * length);
        multiboot_put32(place + 8, string);
        multiboot_put32(place + 12, 0);
    }
}

void multiboot_begin_with_map(uint32_t flags)
{
    multiboot_begin(flags | HAS_MAP);
    multiboot_map(multiboot_plain_map, ARRAY_LENGTH(multiboot_plain_map), 24);
}

bool multiboot_is_reserved(uint64_t base, uint64_t end, frame_owner_t owner)
{
    for (size_t i = 0; i < boot_info.reserved_count; i++)
        if (boot_info.reserved[i].base == base && boot_info.reserved[i].end == end &&
            boot_info.reserved[i].owner == owner && boot_info.reserved[i].why[0] != '\0')
            return true;
    return false;
}
