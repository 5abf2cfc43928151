/*
 * The memory test, tested: broken RAM of several kinds, and that exactly its pages
 * are retired. Sound RAM stays, and what is not free is not touched.
 */
#include <kernel/layout.h>
#include <kernel/memtest.h>
#include <kernel/owner.h>
#include <kernel/printk.h>
#include <host_test.h>
#include <fake_machine.h>

#include <string.h>

#define RAM_END     0x260000u
#define PAGE_COUNT  (RAM_END / PAGE_SIZE)
#define PAGE_WORDS  (PAGE_SIZE / 4)
#define FAULTS_MAX  PAGE_COUNT

/* Free: 1000-20000, 120000-130000, 131000-180000, 200000-260000. */
static const boot_region_t map[] = {
    { 0x00000000, 0x00020800, BOOT_RAM },
    { 0x00100000, 0x00180000, BOOT_RAM },
    { 0x00200000, RAM_END, BOOT_RAM },
};
static const boot_reserved_t taken[] = {
    { 0x00130ffe, 0x00130fff, "a byte", OWNER_BOOT },
};
static const fake_config_t machine = {
    .level = FAKE_BOOT_INFO, .region = map, .region_count = ARRAY_LENGTH(map),
    .reserved = taken, .reserved_count = ARRAY_LENGTH(taken),
};

/* By the picture above. */
static bool is_free(page_t page)
{
    return (page >= 0x1000 && page < 0x20000) || (page >= 0x120000 && page < 0x130000) ||
           (page >= 0x131000 && page < 0x180000) || (page >= 0x200000 && page < RAM_END);
}

/* ---- RAM with faults */

typedef enum fault_kind {
    STUCK,      /* bits of a word are as in `value` */
    ALIAS,      /* a word's cells are those of another one */
    COUPLED,    /* a write that changes bits of `other` inverts those of the word */
    RAISED,     /* one that sets bits of `other` makes those of the word as in `value` */
    LOWERED,    /* one that clears them does */
    SHORTED,    /* a word reads as if two of its bits were joined: their AND */
    WORN,       /* bits are inverted once words of the page were read `value` times */
} fault_kind_t;

typedef struct fault {
    fault_kind_t kind;
    page_t address;
    uint32_t bits;
    uint32_t value;
    page_t other;               /* for ALIAS, COUPLED, RAISED, LOWERED */
} fault_t;

static uint32_t cell[RAM_END / 4];
static fault_t fault[FAULTS_MAX];
static size_t fault_count;
static page_t alias_bit;        /* an address line that is not connected; 0: none */
static bool has_fault[PAGE_COUNT];
static uint32_t reads[PAGE_COUNT];
static uint32_t writes[PAGE_COUNT];

static page_t cell_of(page_t address)
{
    CHECK(address < RAM_END && address % 4 == 0 && is_free(address & ~(page_t)PAGE_MASK));
    for (size_t i = 0; i < fault_count && has_fault[address >> PAGE_SHIFT]; i++)
        if (fault[i].kind == ALIAS && fault[i].address == address)
            return fault[i].other;
    return address & ~alias_bit;
}

static uint32_t read_broken(page_t address)
{
    page_t place = cell_of(address);
    uint32_t value = cell[place / 4];

    reads[address >> PAGE_SHIFT]++;
    for (size_t i = 0; i < fault_count && has_fault[place >> PAGE_SHIFT]; i++) {
        if (fault[i].address != place)
            continue;
        if (fault[i].kind == STUCK)
            value = (value & ~fault[i].bits) | fault[i].value;
        if (fault[i].kind == SHORTED && (value & fault[i].bits) != fault[i].bits)
            value &= ~fault[i].bits;
        if (fault[i].kind == WORN && reads[place >> PAGE_SHIFT] > fault[i].value)
            value ^= fault[i].bits;
    }
    return value;
}

/* What a write to fault->other does to the cells of fault->address. */
static void disturb(const fault_t *this, uint32_t changed, uint32_t value)
{
    uint32_t *victim = &cell[this->address / 4];
    uint32_t forced = this->bits & changed & (this->kind == RAISED ? value : ~value);

    if (this->kind == COUPLED)
        *victim ^= changed & this->bits;
    if (this->kind == RAISED || this->kind == LOWERED)
        *victim = (*victim & ~forced) | (this->value & forced);
}

static void write_broken(page_t address, uint32_t value)
{
    page_t place = cell_of(address);
    uint32_t changed = cell[place / 4] ^ value;

    writes[address >> PAGE_SHIFT]++;
    cell[place / 4] = value;
    for (size_t i = 0; i < fault_count && has_fault[place >> PAGE_SHIFT]; i++)
        if (fault[i].other == place)
            disturb(&fault[i], changed, value);
}

static const fake_words_t broken = { read_broken, write_broken };

static void start(void)
{
    fake_machine_start(&machine);
    fake_set_words(&broken);
    memset(reads, 0, sizeof(reads));
    memset(writes, 0, sizeof(writes));
    for (size_t i = 0; i < ARRAY_LENGTH(cell); i++)
        cell[i] = (uint32_t)test_random();
    memset(has_fault, 0, sizeof(has_fault));
    fault_count = 0;
    alias_bit = 0;
}

static void add_fault(fault_t this)
{
    CHECK(fault_count < FAULTS_MAX);
    has_fault[this.address >> PAGE_SHIFT] = true;
    has_fault[this.other >> PAGE_SHIFT] = true;
    fault[fault_count++] = this;
}

static char log_text[2048];

static void keep_log(const char *text, size_t length)
{
    CHECK(strlen(log_text) + length < sizeof(log_text));
    strncat(log_text, text, length);
}

/* memtest_run; its log is in log_text. */
static const char *run(unsigned passes)
{
    printk_output_t *output = printk_set_output(keep_log);
    const char *trouble;

    log_text[0] = '\0';
    trouble = memtest_run(&boot_info, passes);
    printk_set_output(output);
    return trouble;
}

/* ---- what is found */

static void check_found(bool (*is_bad)(page_t page))
{
    for (page_t page = 0; page < RAM_END; page += PAGE_SIZE) {
        size_t times = 0;

        for (size_t i = 0; i < boot_info.reserved_count; i++) {
            const boot_reserved_t *piece = &boot_info.reserved[i];

            times += piece->owner == OWNER_BAD && page >= piece->base && page < piece->end;
        }
        if (times != (size_t)(is_free(page) && is_bad(page)))
            test_fail(__FILE__, __LINE__, "page %#zx is retired %zu times", (size_t)page, times);
    }
    test_checks++;
    fake_machine_stop();
}

static bool is_none(page_t page)
{
    (void)page;
    return false;
}

static bool is_all(page_t page)
{
    (void)page;
    return true;
}

/* The place of a word in its page. */
static page_t some_word(void)
{
    return 4 * test_random_below(PAGE_WORDS);
}

/* A page with the address of a fault. */
static bool is_faulty(page_t page)
{
    for (size_t i = 0; i < fault_count; i++)
        if (fault[i].address >> PAGE_SHIFT == page >> PAGE_SHIFT)
            return true;
    return false;
}

TEST(memtest_of_sound_ram)
{
    for (unsigned passes = 1; passes <= 2; passes++) {
        start();
        CHECK_OK(run(passes));
        for (page_t page = 0; page < RAM_END; page += PAGE_SIZE) {
            CHECK_EQ(reads[page >> PAGE_SHIFT], is_free(page) ? 7 * PAGE_WORDS * passes : 0);
            CHECK_EQ(writes[page >> PAGE_SHIFT], is_free(page) ? 8 * PAGE_WORDS * passes : 0);
        }
        check_found(is_none);
    }
}

/* Without a model: RAM itself, holes in which cannot be touched. */
TEST(memtest_overwrites_what_is_free_only)
{
    start();
    fake_set_words(NULL);
    for (page_t page = 0; page < RAM_END; page += PAGE_SIZE)
        memset(fake_ram(page), 0x77, PAGE_SIZE);
    CHECK_OK(run(1));
    for (page_t page = 0; page < RAM_END; page += PAGE_SIZE)
        for (size_t i = 0; i < PAGE_SIZE; i++)
            CHECK_EQ(((uint8_t *)fake_ram(page))[i], is_free(page) ? 0 : 0x77);
    check_found(is_none);
}

/* Each bit, at zero and at one; the first word there is, and the last. */
TEST(memtest_finds_stuck_bits)
{
    start();
    for (uint32_t i = 0; i < 64; i++)
        add_fault((fault_t){ STUCK, 0x200000 + i * PAGE_SIZE + some_word(), 1u << i / 2,
                             i % 2 << i / 2, 0 });
    add_fault((fault_t){ STUCK, 0x1000, 1, 1, 0 });
    add_fault((fault_t){ STUCK, RAM_END - 4, 0x80000000, 0, 0 });
    CHECK_OK(run(1));
    check_found(is_faulty);
}

/* Two words of one page, anywhere in it. */
TEST(memtest_finds_aliases_in_a_page)
{
    start();
    for (uint32_t i = 0; i < 40; i++) {
        page_t page = 0x200000 + i * 2 * PAGE_SIZE;
        page_t word = page + some_word();

        add_fault((fault_t){ ALIAS, word, 0, 0, page + ((word + 4 + 4 * (i % 1000)) & PAGE_MASK) });
    }
    CHECK_OK(run(1));
    check_found(is_faulty);
}

static bool is_lower_alias(page_t page)
{
    return (page >= 0x140000 && page < 0x160000) || (page >= 0x200000 && page < 0x220000);
}

/* An address line that leads nowhere: half of the pages are enough, the rest is sound. */
TEST(memtest_finds_aliases_of_pages)
{
    start();
    alias_bit = 0x20000;        /* 160000 is 140000, 220000 is 200000, and so on */
    CHECK_OK(run(1));
    alias_bit = 0;
    check_found(is_lower_alias);
}

/* A word that another one's write changes: above it or below, in its page or another. */
TEST(memtest_finds_coupled_cells)
{
    static const struct { fault_kind_t kind; uint32_t value; } kinds[] = {
        { COUPLED, 0 }, { RAISED, 0 }, { RAISED, UINT32_MAX }, { LOWERED, 0 },
        { LOWERED, UINT32_MAX },
    };

    for (size_t kind = 0; kind < ARRAY_LENGTH(kinds); kind++) {
        start();
        for (uint32_t i = 0; i < 32; i++) {
            page_t victim = 0x200000 + (i * 3 + 1) * PAGE_SIZE + some_word();
            page_t place[] = { victim ^ 4, victim ^ 0x800, victim - PAGE_SIZE, victim + PAGE_SIZE };

            add_fault((fault_t){ kinds[kind].kind, victim, 1u << i, kinds[kind].value,
                                 place[(i ^ i >> 2) % 4] });
        }
        CHECK_OK(run(1));
        check_found(is_faulty);
    }
}

/* Bits 28 and 30 are the same in all patterns of the first pass, not in the second's. */
TEST(memtest_has_other_patterns_in_later_passes)
{
    for (unsigned passes = 1; passes <= 2; passes++) {
        start();
        add_fault((fault_t){ SHORTED, 0x123450, 0x50000000, 0, 0 });
        CHECK_OK(run(passes));
        check_found(passes == 1 ? is_none : is_faulty);
    }
}

TEST(memtest_of_ram_that_is_all_bad)
{
    static char line[100];

    start();
    for (page_t page = 0; page < RAM_END; page += PAGE_SIZE)
        add_fault((fault_t){ STUCK, page + some_word(), 0x00100000, 0x00100000, 0 });
    CHECK_OK(run(2));
    format_text(line, sizeof(line), "%zu entries", boot_info.reserved_count);
    CHECK_STR(line, "7 entries");       /* 3 that were there, 4 pieces */
    check_found(is_all);
}

/* More pieces than the list of reserved ranges holds. */
TEST(memtest_says_when_there_are_too_many_pieces)
{
    start();
    while (boot_info.reserved_count < BOOT_RESERVED_MAX - BOOT_RESERVED_SPARE - 2)
        CHECK_EQ(boot_info_reserve(&boot_info, 0, 1, "a test's", OWNER_FIRMWARE), 0);
    add_fault((fault_t){ STUCK, 0x121000, 1, 1, 0 });
    add_fault((fault_t){ STUCK, 0x123000, 1, 1, 0 });
    CHECK_OK(run(1));
    add_fault((fault_t){ STUCK, 0x125000, 1, 1, 0 });
    CHECK(strstr(run(1), "more pieces") != NULL);
    fake_machine_stop();
}

/* No room for the first bad page: whichever sweep finds it, the test ends there. */
TEST(memtest_ends_in_the_sweep_that_finds_too_many)
{
    for (uint32_t sweep = 1; sweep <= 7; sweep++) {
        const char *trouble;

        start();
        while (boot_info.reserved_count < BOOT_RESERVED_MAX - BOOT_RESERVED_SPARE)
            CHECK_EQ(boot_info_reserve(&boot_info, 0, 1, "a test's", OWNER_FIRMWARE), 0);
        add_fault((fault_t){ WORN, 0x150000 + some_word(), 1, (sweep - 1) * PAGE_WORDS, 0 });
        trouble = run(2);
        CHECK(trouble != NULL && strstr(trouble, "more pieces") != NULL);
        CHECK_EQ(reads[0x1000 >> PAGE_SHIFT], sweep * PAGE_WORDS);
        CHECK_EQ(reads[0x200000 >> PAGE_SHIFT], (sweep - 1) * PAGE_WORDS);
        check_found(is_none);
    }
}

TEST(memtest_logs_what_it_did)
{
    start();
    add_fault((fault_t){ STUCK, 0x121ffc, 1, 1, 0 });
    CHECK_OK(run(2));
    CHECK_STR(log_text, "memtest: testing 888 KiB of free RAM\n"
                        "memtest: pass 1 of 2: 1 pages are bad\n"
                        "memtest: pass 2 of 2: 1 pages are bad\n"
                        "boot: bad RAM, never used: 1 pages\n"
                        "boot:   0000121000-0000122000  found bad by memtest\n");
    check_found(is_faulty);
}
