/*
 * Memory before there is an allocator: what is reserved, what is free, and taking of it.
 */
#include <kernel/errno.h>
#include <fake_multiboot.h>

#include <string.h>

TEST(boot_info_reserve_has_an_end)
{
    multiboot_begin_with_map(0);
    CHECK_OK(multiboot_fill());
    while (boot_info.reserved_count < BOOT_RESERVED_MAX)
        CHECK_EQ(boot_info_reserve(&boot_info, 0x200000, 0x201000, "test", OWNER_BOOT), 0);
    CHECK_EQ(boot_info_reserve(&boot_info, 0x200000, 0x201000, "test", OWNER_BOOT), -ENOMEM);
    CHECK_EQ(boot_info.reserved_count, BOOT_RESERVED_MAX);
    multiboot_begin_with_map(HAS_MODULES);
    multiboot_modules(1, 0x200000, 0x1000, 0);
    boot_info.reserved_count = BOOT_RESERVED_MAX - 1;
    CHECK(multiboot_fill() != NULL);
    multiboot_begin_with_map(HAS_MODULES);
    multiboot_modules(1, 0x200000, 0x1000, 0);
    boot_info.reserved_count = BOOT_RESERVED_MAX - 3;
    CHECK(multiboot_fill() != NULL);
}

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

    multiboot_begin_with_map(0);
    CHECK_OK(multiboot_fill());
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
    multiboot_begin_with_map(0);
    CHECK_OK(multiboot_fill());
    CHECK_EQ(boot_info_allocate(&boot_info, 2 * PAGE_SIZE, PAGE_SIZE, "first", OWNER_KERNEL),
             0x120000);
    CHECK(multiboot_is_reserved(0x120000, 0x122000, OWNER_KERNEL));
    CHECK_EQ(boot_info_reserve(&boot_info, 0x124001, 0x124002, "test", OWNER_BOOT), 0);
    CHECK_EQ(boot_info_allocate(&boot_info, 3 * PAGE_SIZE, PAGE_SIZE, "second", OWNER_KERNEL),
             0x125000);
    CHECK_EQ(boot_info_allocate(&boot_info, 2 * PAGE_SIZE, PAGE_SIZE, "third", OWNER_KERNEL),
             0x122000);
    CHECK_EQ(boot_info_allocate(&boot_info, 2 * PAGE_SIZE, 2 * MIB, "aligned", OWNER_KERNEL),
             0x200000);
    CHECK(multiboot_is_reserved(0x200000, 0x202000, OWNER_KERNEL));
    CHECK_EQ(boot_info_allocate(&boot_info, 0xd8000, PAGE_SIZE, "exactly", OWNER_KERNEL),
             0x128000);
    CHECK_EQ(boot_info_allocate(&boot_info, 0x7fe0000 - 0x202000 + PAGE_SIZE, PAGE_SIZE,
                                "too much", OWNER_KERNEL), 0);
    CHECK_EQ(boot_info_allocate(&boot_info, 0x7fe0000 - 0x202000, PAGE_SIZE, "all",
                                OWNER_KERNEL), 0x202000);
    CHECK_EQ(boot_info_allocate(&boot_info, PAGE_SIZE, PAGE_SIZE, "none", OWNER_KERNEL), 0);
    check_free_pages(16 * MIB);
    multiboot_begin_with_map(0);
    CHECK_OK(multiboot_fill());
    boot_info.reserved_count = BOOT_RESERVED_MAX;
    CHECK_EQ(boot_info_allocate(&boot_info, PAGE_SIZE, PAGE_SIZE, "no room", OWNER_KERNEL), 0);
}
