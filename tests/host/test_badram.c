/*
 * badram=: what is named is never handed out, and nothing else is lost.
 */
#include <kernel/badram.h>
#include <kernel/errno.h>
#include <kernel/layout.h>
#include <kernel/physical.h>
#include <kernel/printk.h>
#include <host_test.h>
#include <fake_machine.h>

#include <string.h>

#define PAGES   (16u * MIB / PAGE_SIZE)
#define ROOM    (BOOT_RESERVED_MAX - BOOT_RESERVED_SPARE)
#define MODULE  0x00134567u     /* and MODULE_LENGTH bytes: three pages */
#define MODULE_LENGTH 0x1f00u

/* Free RAM: 1000-9f000, 120000-134000, 137000-800000, 900000-a00000, b01000-1000000. */
static const boot_region_t map[] = {
    { 0x00000000, 0x0009f800, BOOT_RAM },
    { 0x00100000, 0x00800000, BOOT_RAM },
    { 0x00900000, 0x00a00000, BOOT_RAM },
    { 0x00b00800, 0x01000000, BOOT_RAM },
    { 0x100000000, 0x200000000, BOOT_RAM },
};
static const boot_reserved_t taken[] = {
    { MODULE, MODULE + MODULE_LENGTH, "a module", OWNER_BOOT },
};
static const fake_config_t machine = {
    .level = FAKE_BOOT_INFO, .region = map, .region_count = ARRAY_LENGTH(map),
    .reserved = taken, .reserved_count = ARRAY_LENGTH(taken),
};

static char log_text[8192];
static size_t log_length;

static void keep_log(const char *text, size_t length)
{
    CHECK(log_length + length < sizeof(log_text));
    memcpy(log_text + log_length, text, length);
    log_length += length;
    log_text[log_length] = '\0';
}

static void start(void)
{
    fake_machine_start(&machine);
    boot_info.module_count = 2;
    boot_info.module[0] = (boot_module_t){ MODULE, MODULE_LENGTH, "tour" };
    boot_info.module[1] = (boot_module_t){ 0x00300000, 0, "empty" };
    log_length = 0;
    log_text[0] = '\0';
}

/* badram_retire; what it logs is in log_text. */
static const char *retire(const char *list)
{
    printk_output_t *output = printk_set_output(keep_log);
    const char *trouble = badram_retire(&boot_info, list, strlen(list));

    printk_set_output(output);
    return trouble;
}

/* How often the page is in a piece of bad RAM; pieces are whole pages. */
static size_t times_bad(uint64_t page)
{
    size_t times = 0;

    for (size_t i = 0; i < boot_info.reserved_count; i++) {
        const boot_reserved_t *piece = &boot_info.reserved[i];

        if (piece->owner != OWNER_BAD)
            continue;
        CHECK(((piece->base | piece->end) & PAGE_MASK) == 0 && piece->base < piece->end);
        times += page >= piece->base && page < piece->end;
    }
    return times;
}

static size_t bad_pages(void)
{
    size_t pages = 0;

    for (size_t i = 0; i < boot_info.reserved_count; i++)
        if (boot_info.reserved[i].owner == OWNER_BAD)
            pages += (size_t)((boot_info.reserved[i].end - boot_info.reserved[i].base) >> 12);
    return pages;
}

/* By the picture above. */
static bool is_free(uint64_t page)
{
    return (page >= 0x1000 && page < 0x9f000) || (page >= 0x120000 && page < 0x134000) ||
           (page >= 0x137000 && page < 0x800000) || (page >= 0x900000 && page < 0xa00000) ||
           (page >= 0xb01000 && page < 0x1000000);
}

/* ---- lists that are none */

TEST(badram_refuses_what_is_no_list)
{
    static const char *const bad[] = {
        "", ",", "x", "0x", "0x1000", "4096,4096", "1000-2000", "0x1000,", "0x1000-",
        "0x1000,0xfffff000,", "0x1000,,0xfffff000", ",0x1000,0xfffff000", "0x1000-0x2000,0x3000",
        "0x1000-0x2000-0x3000", "0x1000-0x2000 ", "0x1000,0xfffff00g", "0x1000;0xfffff000",
        "0X1000,0xfffff000", "-0x1000,0xfffff000", "0x12345678901234567,0xfffff000",
        "0x1000,0x12345678901234567", "0x2000-0x1000", "0x1000-0x1000", "0x1000-0x0",
        "0x200000-0x201000,0x202000,oops",
    };

    start();
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        if (retire(bad[i]) == NULL)
            test_fail(__FILE__, __LINE__, "\"%s\" is accepted", bad[i]);
        CHECK_EQ(bad_pages(), 0);
        CHECK_EQ(log_length, 0);
    }
    /* The sentence begins with the entry that is wrong, not with all before it. */
    CHECK(strncmp(retire("0x200000-0x201000,0x5,oops"), "0x5,oops: there are", 19) == 0);
    CHECK(strncmp(retire("0x1000,0xfffff000,0x9-0x8,0x1"), "0x9-0x8: that range ends", 23) == 0);
    fake_machine_stop();
}

TEST(badram_cuts_a_long_value_in_its_sentence)
{
    static char list[1000];

    start();
    memset(list, 'x', sizeof(list) - 1);
    CHECK(strstr(retire(list), "xxxxx: there are") != NULL);
    CHECK(strlen(retire(list)) < 250);
    fake_machine_stop();
}

/* ---- lists that are */

typedef struct list_case {
    const char *list;
    uint64_t base[4];           /* of its pages, up to the first 0 */
} list_case_t;

TEST(badram_retires_the_pages_of_the_list)
{
    static const list_case_t lists[] = {
        { "0x200000,0xfffff000", { 0x200000 } },
        { "0x200ABc,0xFFFFFFFC", { 0x200000 } },                    /* memtest86+, 32 bits */
        { "0x00000000007ffff8,0xfffffffffffffff8", { 0x7ff000 } },  /* and 64 */
        { "0x200000,0xffffe000", { 0x200000, 0x201000 } },
        { "0x201fff,0xffffe000", { 0x200000, 0x201000 } },
        { "0x200000,0xffff9000", { 0x200000, 0x202000, 0x204000, 0x206000 } },
        { "0x200000-0x201000", { 0x200000 } },
        { "0x200fff-0x201001", { 0x200000, 0x201000 } },
        { "0x200123-0x200124", { 0x200000 } },
        { "0xfff000-0xffffffffffffffff", { 0xfff000 } },
        { "0x7ff000-0x901000", { 0x7ff000, 0x900000 } },            /* over a hole */
        { "0x0-0x2000", { 0x1000 } },                               /* page 0 is taken */
        { "0x9e000-0x100000", { 0x9e000 } },                        /* so is video memory */
        { "0x132fff-0x134000", { 0x132000, 0x133000 } },            /* up to a module */
        { "0x200000-0x201000,0x300000,0xfffff000,0x201000-0x202000",
          { 0x200000, 0x201000, 0x300000 } },
        { "0x200000,0xfffff000,0x200000,0xfffff000", { 0x200000 } },
        { "0x200000-0x202000,0x201000-0x203000", { 0x200000, 0x201000, 0x202000 } },
        { "0xa00000-0xb01000", { 0 } },                             /* no RAM */
        { "0x4000000,0xfffff000", { 0 } },
        { "0x100200000,0xfffffffffffff000", { 0 } },                /* RAM above 3 GiB */
    };

    for (size_t i = 0; i < ARRAY_LENGTH(lists); i++) {
        size_t count = 0;

        start();
        /* Its end is not where a NUL is. */
        if (i % 2 == 0) {
            CHECK_OK(retire(lists[i].list));
        } else {
            char longer[100];

            strcpy(longer, lists[i].list);
            strcat(longer, ",0x400000-0x500000");
            CHECK_OK(badram_retire(&boot_info, longer, strlen(lists[i].list)));
        }
        for (; count < 4 && lists[i].base[count] != 0; count++)
            if (times_bad(lists[i].base[count]) != 1)
                test_fail(__FILE__, __LINE__, "%s: 0x%llx is not bad", lists[i].list,
                          (unsigned long long)lists[i].base[count]);
        if (bad_pages() != count)
            test_fail(__FILE__, __LINE__, "%s: %zu pages are bad", lists[i].list, bad_pages());
        if (i % 2 == 0)
            CHECK_EQ(strstr(log_text, "nothing there is free RAM") != NULL, count == 0);
        fake_machine_stop();
    }
}

/* Each page of 16 MiB by itself, from the definition. */
static bool pair_names(uint64_t page, uint64_t address, uint64_t mask)
{
    for (uint64_t bit = PAGE_SIZE; bit != 0; bit <<= 1)
        if ((mask & bit) != 0 && (page & bit) != (address & bit))
            return false;
    return true;
}

TEST(badram_masks_of_all_kinds)
{
    static boot_info_t fresh;

    start();
    fresh = boot_info;
    for (size_t round = 0; round < test_steps(400); round++) {
        uint64_t address = test_random() % (16 * MIB);
        uint64_t mask = ~(uint64_t)0;
        bool kept = false;
        bool before = false;
        size_t pieces = 0;
        char list[64];
        const char *trouble;

        for (size_t free_bits = test_random_below(9); free_bits > 0; free_bits--)
            mask &= ~((uint64_t)1 << test_random_below(36));
        if (test_random_below(2) == 0)
            mask &= 0xffffffff;
        boot_info = fresh;
        for (uint64_t page = 0; page < PAGES * PAGE_SIZE; page += PAGE_SIZE) {
            bool named = pair_names(page, address, mask);

            kept = kept || (named && ((page >= 0x100000 && page < 0x120000) ||
                                      (page >= 0x134000 && page < 0x137000)));
            named = named && is_free(page);
            pieces += named && !before;
            before = named;
        }
        format_text(list, sizeof(list), "%#llx,%#llx", (unsigned long long)address,
                    (unsigned long long)mask);
        trouble = retire(address == 0 ? "0x0,0xffffffff" : list);
        if ((trouble != NULL) != (kept || pieces > ROOM - 3))
            test_fail(__FILE__, __LINE__, "%s: %s", list, trouble != NULL ? trouble : "accepted");
        for (uint64_t page = 0; trouble == NULL && page < PAGES * PAGE_SIZE; page += PAGE_SIZE)
            if (times_bad(page) != (size_t)(pair_names(page, address, mask) && is_free(page)))
                test_fail(__FILE__, __LINE__, "%s: 0x%llx", list, (unsigned long long)page);
    }
    fake_machine_stop();
}

TEST(badram_in_the_image_or_a_module)
{
    static const char *const image[] = {
        "0x100000,0xfffff000", "0x11f000-0x120000", "0xff000-0x100001", "0x11ffff-0x400000",
        "0x5,0x0", "0x1000,0xfff", "0x0,0xfffff", "0x0-0xffffffff",
        "0x200000-0x201000,0x108123,0xfffffffffffffffc",
    };
    static const char *const module[] = {
        "0x134000-0x134001", "0x136000,0xfffff000", "0x135000,0xffffffff", "0x120000-0x134568",
    };

    start();
    for (size_t i = 0; i < ARRAY_LENGTH(image); i++) {
        CHECK(strstr(retire(image[i]), "the kernel image is there") != NULL);
        CHECK_EQ(bad_pages(), 0);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(module); i++) {
        CHECK(strstr(retire(module[i]), "a boot module is there") != NULL);
        CHECK_EQ(bad_pages(), 0);
    }
    CHECK_OK(retire("0x300000-0x301000"));      /* an empty module is nowhere */
    CHECK_EQ(bad_pages(), 1);
    fake_machine_stop();
}

TEST(badram_in_too_many_pieces)
{
    start();
    CHECK(strstr(retire("0x400000,0xffc01000"), "more pieces") != NULL);    /* 512 */
    CHECK_EQ(boot_info.reserved_count, ROOM);
    CHECK(retire("0xc00000-0xc01000") != NULL);
    CHECK_OK(retire("0x401000-0x402000"));      /* joins two */
    CHECK_EQ(boot_info.reserved_count, ROOM - 1);
    CHECK_OK(retire("0xc00000-0xc01000"));
    /* There is room for the frame table all the same. */
    CHECK_OK(physical_init(&boot_info));
    CHECK_OK(physical_check());
    fake_machine_stop();
}

/* ---- what becomes of it */

TEST(badram_is_never_handed_out)
{
    size_t count = 0;
    size_t free = 0;
    page_t table;
    page_t page;

    start();
    for (uint64_t at = 0; at < PAGES * PAGE_SIZE; at += PAGE_SIZE)
        free += is_free(at);
    /* The frame table would be at 120000. */
    CHECK_OK(retire("0x123000,0xfffff000,0x1000,0xff7ff000,0x200000-0x210000,0xfff123,0xffffffff,"
                    "0xa00000-0xa10000"));
    CHECK_EQ(bad_pages(), 1 + 1 + 16 + 1);      /* 801000 is no RAM */
    CHECK_OK(physical_init(&boot_info));
    CHECK_EQ(physical_figures()->owner[OWNER_BAD], 19);
    table = physical_frame_table();
    for (size_t at = 0; at < physical_frame_table_length(); at += PAGE_SIZE, free--)
        CHECK_EQ(times_bad(table + at), 0);
    CHECK_EQ(physical_figures()->free, free - 19);
    while ((page = alloc_physical_page(OWNER_ANON)) != PAGE_NONE) {
        CHECK_EQ(times_bad(page), 0);
        count++;
    }
    CHECK_EQ(count, free - 19);
    CHECK_EQ(page_range(1, PAGE_SIZE, 0, OWNER_ANON), PAGE_NONE);
    CHECK_OK(physical_check());
    CHECK_EQ(free_physical_page(0x200000), -EINVAL);
    CHECK(strstr(host_misuse_last(), "bad") != NULL && host_misuse_count() == 1);
    fake_machine_abandon();
}

TEST(badram_everywhere_leaves_no_machine)
{
    start();
    CHECK_OK(retire("0x1000-0x100000,0x120000-0x134000,0x137000-0xffffffff"));
    CHECK(strstr(physical_init(&boot_info), "not enough free memory") != NULL);
    fake_machine_stop();
}

/* ---- retiring as such */

/* Page by page in any order: in the end one entry a piece. */
TEST(boot_info_retire_joins_pieces)
{
    static const char why[] = "a test's";
    uint64_t order[128];
    size_t before;

    start();
    before = boot_info.reserved_count;
    for (size_t i = 0; i < ARRAY_LENGTH(order); i++) {
        size_t k = test_random_below(i + 1);

        order[i] = order[k];
        order[k] = i;
    }
    CHECK_EQ(boot_info_retire(&boot_info, 0x280000, 0x281000, "another's"), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(order); i++) {
        uint64_t base = 0x200000 + order[i] * PAGE_SIZE;

        CHECK_EQ(boot_info_retire(&boot_info, base, base + PAGE_SIZE, why), 0);
        CHECK_EQ(bad_pages(), i + 2);
        for (size_t k = 0; k < ARRAY_LENGTH(order); k++)
            CHECK_EQ(times_bad(0x200000 + order[k] * PAGE_SIZE), k <= i);
    }
    CHECK_EQ(boot_info.reserved_count, before + 2);
    fake_machine_stop();
}

static size_t count_lines(void)
{
    size_t lines = 0;

    for (size_t i = 0; i < log_length; i++)
        lines += log_text[i] == '\n';
    return lines;
}

/* Lowest first, 16 lines at most, and they are not among what is taken. */
TEST(boot_info_log_lists_bad_ram)
{
    printk_output_t *output = printk_set_output(keep_log);

    start();
    boot_info_log_bad(&boot_info);
    CHECK_EQ(log_length, 0);
    for (size_t count = 1; count <= 20; count++) {
        uint64_t base = 0x700000 - count * 0x10000;

        CHECK_EQ(boot_info_retire(&boot_info, base, base + 0x2000, "a test's"), 0);
        log_length = 0;
        boot_info_log_bad(&boot_info);
        CHECK_EQ(count_lines(), count <= 16 ? 1 + count : 1 + 16 + 1);
        CHECK(strstr(log_text, "a test's") != NULL);
    }
    CHECK(strncmp(log_text, "boot: bad RAM, never used: 40 pages\n"
                            "boot:   00005c0000-00005c2000  a test's\n"
                            "boot:   00005d0000-", 91) == 0);
    CHECK(strstr(log_text, "00006b0000") != NULL && strstr(log_text, "00006c0000") == NULL);
    CHECK(strstr(log_text, "and 4 more pieces above") != NULL);
    log_length = 0;
    boot_info_log(&boot_info);
    printk_set_output(output);
    CHECK(strstr(strstr(log_text, "a test's") + 1, "the image") == NULL);
    CHECK(strstr(log_text, "the image") != NULL);
    fake_machine_stop();
}

TEST(boot_info_words_that_come_again)
{
    static const char words[] = "badram=1 xbadram=2 badramx=3 badram  badram=badram=4 x badram=5";
    static const char *const expected[] = { "1", "", "badram=4", "5" };
    const char *value;
    size_t length;
    size_t count = 0;

    start();
    memcpy(boot_info.words, words, sizeof(words));
    for (value = boot_info_word(&boot_info, "badram", &length); value != NULL;
         value = boot_info_next_word(value, "badram", &length)) {
        CHECK(count < ARRAY_LENGTH(expected));
        CHECK_EQ(length, strlen(expected[count]));
        CHECK(memcmp(value, expected[count++], length) == 0);
    }
    CHECK_EQ(count, ARRAY_LENGTH(expected));
    fake_machine_stop();
}
