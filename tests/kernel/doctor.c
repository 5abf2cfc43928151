/*
 * The paging doctor: a table is broken on purpose in each way, and its sentence
 * compared.
 */
#include <kernel/doctor.h>
#include <kernel/layout.h>
#include <kernel/printk.h>
#include <kernel/string.h>
#include <kernel/virtual.h>
#include <test.h>

#include "probe.h"

extern const char image_text[], image_rodata[], image_data[], image_end[];

#define PLACE    ((size_t)0x50000000)
#define PRESENT  0x001ull
#define WRITABLE 0x002ull
#define USER     0x004ull
#define NX_BIT   (1ull << 63)

static bool is_pae(void)
{
    return strcmp(virtual_format_name(), "pae") == 0;
}

static unsigned index_of(size_t vaddr, unsigned level)
{
    if (level == 0)
        return vaddr >> 12 & (is_pae() ? 511 : 1023);
    return is_pae() ? vaddr >> 21 & 511 : vaddr >> 22;
}

/* A space with one kernel page at PLACE, sound for every item that needs no identity. */
static page_t patient(void)
{
    page_t space = create_pagetable();

    CHECK(space != PAGE_NONE);
    CHECK_EQ(pagetable_map(space, PLACE, frame_with(0), ACCESS_WRITE), 0);
    return space;
}

static void discharge(page_t space)
{
    free_physical_page(pagetable_unmap(space, PLACE));
    delete_pagetable(space);
}

/* Replace an entry, examine, and put it back. */
static const char *examine_with(page_t space, const doctor_item_t *item, unsigned level,
                                uint64_t entry)
{
    page_t table;
    uint64_t sound = physical_entry(space, PLACE, level, &table, &entry);
    const char *sentence = doctor_examine(&space, 1, item, 1);

    physical_entry(space, PLACE, level, &table, &sound);
    return sentence;
}

static const doctor_item_t bench = {
    "the bench", PLACE, PAGE_SIZE, DOCTOR_WRITE | DOCTOR_EXECUTE, false
};

TEST(doctor_finds_nothing_in_sound_tables)
{
    const doctor_item_t items[] = {
        bench,
        { "code", (size_t)image_text, (size_t)(image_rodata - image_text), DOCTOR_EXECUTE, true },
        { "constants", (size_t)image_rodata, (size_t)(image_data - image_rodata), DOCTOR_READ,
          true },
        { "the frame table", FRAME_TABLE_BASE, PAGE_SIZE, DOCTOR_WRITE, false },
    };
    page_t space = patient();
    const page_t both[] = { space, kernel_pagetable() };

    CHECK_OK(doctor_examine(&space, 1, items, ARRAY_LENGTH(items)));
    CHECK_OK(doctor_examine(both, ARRAY_LENGTH(both), items + 1, ARRAY_LENGTH(items) - 1));
    discharge(space);
}

TEST(doctor_sees_a_page_that_is_not_present)
{
    page_t space = patient();
    page_t table;
    uint64_t entry = physical_entry(space, PLACE, 0, &table, NULL);
    char expected[256];

    format_text(expected, sizeof(expected), "the bench: address %#zx is not mapped: entry %u of "
                "the page table at %#zx is not present", PLACE, index_of(PLACE, 0), table);
    CHECK_STR(examine_with(space, &bench, 0, entry & ~PRESENT), expected);
    CHECK_STR(examine_with(space, &bench, 0, 0), expected);

    entry = physical_entry(space, PLACE, 1, &table, NULL);
    format_text(expected, sizeof(expected), "the bench: address %#zx is not mapped: entry %u of "
                "the page directory at %#zx is not present", PLACE, index_of(PLACE, 1), table);
    CHECK_STR(examine_with(space, &bench, 1, entry & ~PRESENT), expected);
    discharge(space);
}

/* What is wrong with the last entry, told with the entry. */
static void check_lack(page_t space, const doctor_item_t *item, uint64_t entry,
                       const char *lacks)
{
    char expected[256];

    format_text(expected, sizeof(expected), "the bench: address %#zx %s: its entry in the page "
                "table is %#llx", PLACE, lacks, (unsigned long long)entry);
    CHECK_STR(examine_with(space, item, 0, entry), expected);
}

TEST(doctor_sees_missing_rights)
{
    page_t space = patient();
    page_t table;
    uint64_t entry = physical_entry(space, PLACE, 0, &table, NULL);

    check_lack(space, &bench, entry & ~WRITABLE, "cannot be written");
    check_lack(space, &bench, entry | USER, "is open to programs");
    if (mmu_can_forbid_execution())
        check_lack(space, &bench, entry | NX_BIT, "cannot be executed");
    discharge(space);
}

/* Rights are those of all levels together. */
TEST(doctor_sees_missing_rights_above)
{
    page_t space = patient();
    page_t table;
    uint64_t last = physical_entry(space, PLACE, 0, &table, NULL);
    uint64_t entry = physical_entry(space, PLACE, 1, &table, NULL);
    char expected[256];

    format_text(expected, sizeof(expected), "the bench: address %#zx cannot be written: its "
                "entry in the page table is %#llx", PLACE, (unsigned long long)last);
    CHECK_STR(examine_with(space, &bench, 1, entry & ~WRITABLE), expected);
    if (mmu_can_forbid_execution()) {
        format_text(expected, sizeof(expected), "the bench: address %#zx cannot be executed: "
                    "its entry in the page table is %#llx", PLACE, (unsigned long long)last);
        CHECK_STR(examine_with(space, &bench, 1, entry | NX_BIT), expected);
    }
    discharge(space);
}

TEST(doctor_sees_the_wrong_frame)
{
    static const doctor_item_t item = { "the bench", PLACE, 1, DOCTOR_READ, true };
    page_t space = patient();
    page_t table;
    uint64_t entry = physical_entry(space, PLACE, 0, &table, NULL);
    page_t frame = (page_t)(entry & 0xfffff000);
    uint64_t identity = entry - frame + PLACE;

    check_lack(space, &item, entry, "is not at the physical address of the same value");
    CHECK_OK(examine_with(space, &item, 0, identity));
    discharge(space);
}

TEST(doctor_sees_a_table_that_is_none)
{
    page_t space = patient();
    page_t other = frame_with(0);
    page_t table;
    uint64_t entry = physical_entry(space, PLACE, 1, &table, NULL);
    uint64_t wrong = entry - (entry & 0xfffff000) + other;
    char expected[256];

    format_text(expected, sizeof(expected), "the bench: the page table for address %#zx should "
                "be at %#zx, but that page is not a table", PLACE, other);
    CHECK_STR(examine_with(space, &bench, 1, wrong), expected);
    free_physical_page(other);
    discharge(space);
}

/* The page that is wrong need not be the first, nor the item. */
TEST(doctor_looks_at_every_page_of_every_item)
{
    const doctor_item_t items[] = {
        { "code", (size_t)image_text, (size_t)(image_rodata - image_text), DOCTOR_EXECUTE, true },
        { "two pages", PLACE + 5, PAGE_SIZE, DOCTOR_READ, false },
    };
    page_t space = patient();
    const char *sentence = doctor_examine(&space, 1, items, ARRAY_LENGTH(items));
    char expected[64];

    format_text(expected, sizeof(expected), "two pages: address %#zx is not mapped",
                PLACE + PAGE_SIZE);
    CHECK(sentence != NULL);
    CHECK_EQ(strncmp(sentence, expected, strlen(expected)), 0);
    discharge(space);
}

static char log_text[512];
static size_t log_length;

static void keep_log(const char *text, size_t length)
{
    for (size_t i = 0; i < length && log_length < sizeof(log_text) - 1; i++)
        log_text[log_length++] = text[i];
    log_text[log_length] = '\0';
}

TEST(doctor_walks_level_by_level)
{
    page_t space = patient();
    page_t table[2];
    uint64_t entry[2];
    char expected[512];
    printk_output_t *output;
    const char *tail;

    for (unsigned level = 0; level < 2; level++)
        entry[level] = physical_entry(space, PLACE, level, &table[level], NULL);
    log_length = 0;
    output = printk_set_output(keep_log);
    doctor_walk(space, PLACE + 7);
    printk_set_output(output);
    format_text(expected, sizeof(expected),
                "walk: page directory at %#zx, entry %u: %#llx, table %#zx, writable, for "
                "programs\nwalk: page table at %#zx, entry %u: %#llx, page %#zx, writable\n",
                table[1], index_of(PLACE, 1), (unsigned long long)entry[1], table[0],
                table[0], index_of(PLACE, 0), (unsigned long long)entry[0],
                (page_t)(entry[0] & 0xfffff000));
    tail = log_length < strlen(expected) ? log_text : log_text + log_length - strlen(expected);
    CHECK_STR(tail, expected);
    discharge(space);
}
