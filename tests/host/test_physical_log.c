/*
 * The report `frames`: what it says of zones and bad frames is what there is.
 */
#include <kernel/boot_info.h>
#include <kernel/layout.h>
#include <kernel/physical.h>
#include <kernel/printk.h>
#include <host_test.h>
#include <fake_machine.h>

#include <stdio.h>
#include <string.h>

#define LOW_ZONE_END (16u * MIB)

static char log_text[8192];

static void keep_log(const char *text, size_t length)
{
    CHECK(strlen(log_text) + length < sizeof(log_text));
    strncat(log_text, text, length);
}

static const char *report(void (*print)(void))
{
    printk_output_t *output = printk_set_output(keep_log);

    log_text[0] = '\0';
    print();
    printk_set_output(output);
    return log_text;
}

/* The report has this line. */
static void check_line(const char *format, size_t first, size_t second)
{
    char line[128];

    snprintf(line, sizeof(line), format, first, second);
    if (strstr(log_text, line) == NULL)
        test_fail(__FILE__, __LINE__, "the report does not say \"%s\":\n%s", line, log_text);
    test_checks++;
}

static size_t ram_pages(page_t start, page_t end)
{
    size_t pages = 0;

    for (page_t page = start; page < end && page < fake_ram_bytes(); page += PAGE_SIZE)
        pages += fake_is_ram(page);
    return pages;
}

TEST(physical_log_of_zones)
{
    static const fake_config_t machines[] = {
        { .level = FAKE_PHYSICAL },
        { .level = FAKE_PAGING, .megabytes = 24 },
    };

    for (size_t i = 0; i < ARRAY_LENGTH(machines); i++) {
        const physical_mem_info_t *info;
        size_t low;
        size_t normal;

        fake_machine_start(&machines[i]);
        for (size_t count = 0; count < 100; count++)
            CHECK(alloc_physical_page(OWNER_ANON) != PAGE_NONE);
        CHECK(page_range(10, PAGE_SIZE, LOW_ZONE_END, OWNER_ANON) != PAGE_NONE);
        low = ram_pages(0, LOW_ZONE_END);
        normal = ram_pages(LOW_ZONE_END, 24 * MIB);
        report(physical_log_details);
        info = physical_figures();
        check_line("zone low, below 16 MiB: free %zu of %zu\n", info->low_free, low);
        check_line("zone normal, the rest: free %zu of %zu\n", info->free - info->low_free, normal);
        check_line("magazines: %zu of the free ones; refilled %zu times", info->magazine,
                   info->refills);
        CHECK(strstr(log_text, "bad") == NULL);
        fake_machine_set_baseline();
        fake_machine_stop();
    }
}

TEST(physical_log_of_bad_frames)
{
    boot_reserved_t bad[20];
    fake_config_t config = { .level = FAKE_PHYSICAL, .reserved = bad };

    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        bad[i] = (boot_reserved_t){ 0x700000 - i * 0x10000, 0x702000 - i * 0x10000, "bad",
                                    OWNER_BAD };
    for (config.reserved_count = 1; config.reserved_count <= 20; config.reserved_count++) {
        size_t lines = 0;

        fake_machine_start(&config);
        report(physical_log_details);
        check_line("frames: %8zu  bad\n", 2 * config.reserved_count, 0);
        for (const char *at = log_text; (at = strstr(at, "frames: bad: 0")) != NULL; at++)
            lines++;
        CHECK_EQ(lines, config.reserved_count < 16 ? config.reserved_count : 16);
        for (size_t i = 0; i < lines; i++)
            check_line("frames: bad: %010zx-%010zx\n",
                       0x710000 - (config.reserved_count - i) * 0x10000,
                       0x712000 - (config.reserved_count - i) * 0x10000);
        if (config.reserved_count > 16)
            check_line("frames: bad: %zu more above\n", 2 * (config.reserved_count - 16), 0);
        else
            CHECK(strstr(log_text, "more above") == NULL);
        /* The report at boot looks at no frame. */
        CHECK(strstr(report(physical_log), "frames: bad") == NULL);
        fake_machine_stop();
    }
}

/* To the last frame of the table. */
TEST(physical_log_of_a_bad_last_frame)
{
    static const boot_region_t map[] = { { 0, 0x800000, BOOT_RAM } };
    static const boot_reserved_t bad[] = { { 0x7ff000, 0x800000, "bad", OWNER_BAD } };
    static const fake_config_t config = {
        .level = FAKE_PHYSICAL, .region = map, .region_count = 1, .reserved = bad,
        .reserved_count = 1,
    };

    fake_machine_start(&config);
    report(physical_log_details);
    check_line("frames: bad: %010zx-%010zx\n", 0x7ff000, 0x800000);
    fake_machine_stop();
}
