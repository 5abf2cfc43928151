/*
 * The paging doctor: tables are broken on purpose, and the sentence is read.
 */
#include <kernel/doctor.h>
#include <kernel/layout.h>
#include <kernel/linear.h>
#include <kernel/physical.h>
#include <kernel/printk.h>
#include <kernel/virtual.h>
#include <host_test.h>
#include <fake_machine.h>

#include <string.h>

static const char *const formats[] = { "2level", "pae", "long" };
enum { FORMATS = 3 };

/* What a processor needs to go on when paging is turned on. */
static const doctor_item_t items[] = {
    { "the code", FAKE_IMAGE_BASE + 123, 0x7000, DOCTOR_EXECUTE | DOCTOR_READONLY, true },
    { "constants", FAKE_IMAGE_RODATA, FAKE_IMAGE_DATA - FAKE_IMAGE_RODATA, DOCTOR_READONLY,
      true },
    { "the stack", FAKE_IMAGE_DATA + 0x1ff0, 0x20, DOCTOR_WRITE, true },
    { "the frame table", FRAME_TABLE_BASE, 8192, DOCTOR_WRITE, false },
};

static const char *examine(page_t space)
{
    return doctor_examine(&space, 1, items, ARRAY_LENGTH(items));
}

/* The entry, or the one above it, as a word in RAM. */
static uint32_t *entry_of(page_t space, size_t vaddr, unsigned above)
{
    second_view_t view;

    second_reader_read(fake_mode(), space, vaddr, &view);
    CHECK(view.depth > above);
    return fake_ram((page_t)view.at[view.depth - 1 - above]);
}

static bool has(const char *sentence, const char *part)
{
    return sentence != NULL && strstr(sentence, part) != NULL;
}

/* Break one entry's bits, and see whether the doctor says so. */
static void breaks(page_t space, size_t vaddr, unsigned above, uint32_t bits,
                   const char *what, const char *why)
{
    uint32_t *entry = entry_of(space, vaddr, above);
    const char *sentence;

    *entry ^= bits;
    sentence = examine(space);
    if (!has(sentence, what) || !has(sentence, why))
        test_fail(__FILE__, __LINE__, "\"%s\" does not say \"%s\" and \"%s\"",
                  sentence != NULL ? sentence : "nothing", what, why);
    test_checks++;
    *entry ^= bits;
    CHECK_OK(examine(space));
}

static void examine_breakages(void)
{
    page_t space = kernel_pagetable();
    size_t address = TABLE_WINDOW_BASE + physical_frame(space)->slot * PAGE_SIZE;
    page_t table = *entry_of(space, FAKE_IMAGE_BASE, 1) & ~(page_t)PAGE_MASK;
    page_t page = page_new(OWNER_ANON);

    CHECK_OK(examine(space));
    breaks(space, FAKE_IMAGE_BASE, 0, 1, "the code", "not mapped");
    breaks(space, FAKE_IMAGE_BASE + 0x7000, 0, 1, "the code", "page table");
    breaks(space, FAKE_IMAGE_BASE, 1, 1, "the code", "page directory");
    breaks(space, FAKE_IMAGE_BASE, 1, (uint32_t)(table ^ page), "the code", "not a table");
    breaks(space, FAKE_IMAGE_DATA + 0x1000, 0, 2, "the stack", "cannot be written");
    breaks(space, FAKE_IMAGE_DATA + 0x2000, 0, 2, "the stack", "cannot be written");
    breaks(space, FAKE_IMAGE_BASE, 0, 2, "the code", "can be written, which must be refused");
    breaks(space, FAKE_IMAGE_RODATA, 0, 2, "constants", "can be written, which must be refused");
    breaks(space, address, 0, 1, "the code", "but that is not mapped");
    breaks(space, address, 0, 0x1000, "the code", "but that is another page");
    breaks(space, FAKE_IMAGE_RODATA, 0, 4, "constants", "open to programs");
    breaks(space, FAKE_IMAGE_RODATA, 0, 0x1000, "constants", "not at the physical address");
    breaks(space, FRAME_TABLE_BASE + PAGE_SIZE, 0, 1, "the frame table", "not mapped");
    page_release(page);
}

TEST(doctor_finds_the_first_broken_link)
{
    for (size_t i = 0; i < 2 * FORMATS; i++) {
        fake_level_t level = i % 2 != 0 ? FAKE_TABLES : FAKE_PAGING;

        fake_machine_start(&(fake_config_t){ .level = level, .format = formats[i / 2] });
        CHECK_OK(examine(kernel_pagetable()));
        if (i / 2 != 0 && level == FAKE_PAGING) {
            uint32_t *high = entry_of(kernel_pagetable(), FAKE_IMAGE_BASE, 0) + 1;

            *high ^= 0x80000000u;
            CHECK(has(examine(kernel_pagetable()), "cannot be executed"));
            *high ^= 0x80000000u;
            /* An address bit that a processor with 36 does not have. */
            *high ^= 0x00000010u;
            CHECK(has(examine(kernel_pagetable()), "has a reserved bit set"));
            *high ^= 0x00000010u;
            high = entry_of(kernel_pagetable(), FRAME_TABLE_BASE, 0) + 1;
            *high ^= 0x00000010u;
            CHECK(has(examine(kernel_pagetable()), "the frame table"));
            CHECK(has(examine(kernel_pagetable()), "has a reserved bit set"));
            *high ^= 0x00000010u;
        }
        fake_machine_stop();
    }
}

TEST(doctor_says_what_is_wrong)
{
    for (size_t i = 0; i < FORMATS; i++) {
        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = formats[i],
                                             .lacks = FAKE_NO_NX });
        examine_breakages();
        fake_machine_stop();
    }
}

/* A page is open to programs if every level that can say so does. */
TEST(doctor_rights_are_those_of_all_levels)
{
    static const doctor_item_t item = { "the page", GIB, 1, DOCTOR_WRITE, false };
    static const unsigned levels[FORMATS] = { 1, 1, 3 };    /* not the top one of PAE */

    for (size_t i = 0; i < FORMATS; i++) {
        page_t space, page;

        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = formats[i] });
        space = create_pagetable();
        page = page_new(OWNER_ANON);
        CHECK_EQ(pagetable_map(space, GIB, page, ACCESS_USER | ACCESS_WRITE), 0);
        CHECK(has(doctor_examine(&space, 1, &item, 1), "open to programs"));
        for (unsigned above = 1; above <= levels[i]; above++) {
            *entry_of(space, GIB, above) ^= 4;
            CHECK_OK(doctor_examine(&space, 1, &item, 1));
            *entry_of(space, GIB, above) ^= 2;
            CHECK(has(doctor_examine(&space, 1, &item, 1), "cannot be written"));
            *entry_of(space, GIB, above) ^= 6;
        }
        CHECK_EQ(pagetable_unmap(space, GIB), page);
        page_release(page);
        delete_pagetable(space);
        fake_machine_stop();
    }
}

/* A walk ends at a large page, and the rights are its. */
TEST(doctor_examines_large_pages)
{
    static const boot_region_t ram[] = {
        { 0, 0x9f000, BOOT_RAM }, { 0x100000, 0x800000, BOOT_RAM },
    };

    for (size_t i = 0; i < FORMATS; i++) {
        page_t space;
        doctor_item_t item = { "RAM", 0x600123, 3 * PAGE_SIZE, DOCTOR_WRITE, true };
        const char *sentence;

        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = formats[i],
                                             .region = ram, .region_count = 2 });
        space = linear_space_directory();
        CHECK_OK(doctor_examine(&space, 1, &item, 1));
        *entry_of(space, 0x600000, 0) ^= 2;
        sentence = doctor_examine(&space, 1, &item, 1);
        CHECK(has(sentence, "RAM: address 0x600000 cannot be written: its entry in the page "
                            "directory is"));
        *entry_of(space, 0x600000, 0) ^= 2;
        item.needs = DOCTOR_EXECUTE;
        CHECK_EQ(has(doctor_examine(&space, 1, &item, 1), "cannot be executed"), i != 0);
        item = (doctor_item_t){ "no RAM", 0x7ff000, PAGE_SIZE + 1, DOCTOR_READ, true };
        CHECK(has(doctor_examine(&space, 1, &item, 1), "no RAM: address 0x800000 is not mapped"));
        fake_machine_stop();
    }
}

/*
 * One page in two spaces, each with a table of its own for it; and a kernel table in
 * both, reached by entries of their own.
 */
TEST(doctor_examines_every_space)
{
    static const doctor_item_t item = { "the page", 0x40000000, PAGE_SIZE, DOCTOR_WRITE, false };
    static const doctor_item_t shared = { "the frame table", FRAME_TABLE_BASE, PAGE_SIZE,
                                          DOCTOR_WRITE, false };

    for (size_t i = 0; i < FORMATS; i++) {
        page_t space[2], page;
        uint32_t *above;

        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = formats[i] });
        page = page_new(OWNER_ANON);
        for (size_t k = 0; k < 2; k++) {
            space[k] = create_pagetable();
            CHECK_EQ(pagetable_map(space[k], 0x40000000, page, ACCESS_WRITE), 0);
        }
        CHECK_OK(doctor_examine(space, 2, &item, 1));
        for (size_t k = 0; k < 2; k++) {
            uint32_t *entry = entry_of(space[k], 0x40000000, 0);

            *entry &= ~2u;
            CHECK(has(doctor_examine(space, 2, &item, 1), "cannot be written"));
            *entry &= ~1u;
            CHECK(has(doctor_examine(space, 2, &item, 1), "not mapped"));
            *entry |= 3;
        }
        CHECK_OK(doctor_examine(space, 2, &item, 1));
        CHECK_OK(doctor_examine(space, 2, &shared, 1));
        /* In PAE that is a top entry, which says nothing of writing. */
        above = entry_of(space[1], FRAME_TABLE_BASE, i == 0 ? 1 : 2);
        *above &= ~2u;
        CHECK_EQ(has(doctor_examine(space, 2, &shared, 1), "cannot be written"), i != 1);
        *above |= i == 1 ? 0 : 2;
        for (size_t k = 0; k < 2; k++) {
            CHECK_EQ(pagetable_unmap(space[k], 0x40000000), page);
            delete_pagetable(space[k]);
        }
        page_release(page);
        fake_machine_stop();
    }
}

/* Several tables: the first page that is wrong is named, wherever it is. */
TEST(doctor_names_the_first_wrong_page)
{
    static const size_t at[] = { 0, 1, 100, 511, 512, 1023, 1024, 1029 };
    static const doctor_item_t item = { "the room", KSPACE_BASE + 0x3000000, 1030 * PAGE_SIZE,
                                        DOCTOR_WRITE, false };

    for (size_t i = 0; i < FORMATS; i++) {
        page_t space;

        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = formats[i] });
        space = kernel_pagetable();
        CHECK_EQ(virtual_map_kernel_range(item.vaddr, 0xfd000000, item.length,
                                          ACCESS_WRITE | ACCESS_NOEXEC), 0);
        CHECK_OK(doctor_examine(&space, 1, &item, 1));
        for (size_t k = 0; k < ARRAY_LENGTH(at); k++) {
            uint32_t *entry = entry_of(space, item.vaddr + at[k] * PAGE_SIZE, 0);
            char expected[64];

            format_text(expected, sizeof(expected), "address %#zx cannot be written",
                        item.vaddr + at[k] * PAGE_SIZE);
            *entry ^= 2;
            CHECK(has(doctor_examine(&space, 1, &item, 1), expected));
            *entry ^= 2;
        }
        for (size_t done = 0; done < item.length; done += PAGE_SIZE)
            CHECK_EQ(virtual_unmap_kernel(item.vaddr + done), 0xfd000000 + done);
        fake_machine_stop();
    }
}

/* ---- the walk, explained */

static char log_text[4096];
static size_t log_length;

static void keep_log(const char *text, size_t length)
{
    if (log_length + length >= sizeof(log_text))
        return;
    memcpy(log_text + log_length, text, length);
    log_length += length;
    log_text[log_length] = '\0';
}

/* => the number of lines, one a level */
static size_t walk(page_t space, size_t vaddr)
{
    printk_output_t *output = printk_set_output(keep_log);
    size_t lines = 0;

    log_length = 0;
    doctor_walk(space, vaddr);
    printk_set_output(output);
    for (size_t i = 0; i < log_length; i++)
        lines += log_text[i] == '\n';
    return lines;
}

TEST(doctor_explains_a_walk)
{
    static const size_t levels[] = { 2, 3, 4 };

    for (size_t i = 0; i < FORMATS; i++) {
        page_t space, page;
        mmu_place_t place;
        uint32_t *entry, no_table;

        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = formats[i] });
        space = create_pagetable();
        page = page_new(OWNER_ANON);
        CHECK_EQ(pagetable_map(space, 0x40000000, page, ACCESS_USER | ACCESS_WRITE |
                               ACCESS_NOEXEC), 0);
        CHECK_EQ(walk(space, 0x40000123), levels[i]);
        CHECK(has(log_text, "writable") && has(log_text, "for programs"));
        CHECK_EQ(has(log_text, "not executable"), i != 0);
        CHECK_EQ(walk(space, 0x40001000), levels[i]);
        CHECK(has(log_text, "nothing is mapped there"));
        CHECK_EQ(walk(space, 0x80000000), i == 0 ? 1 : i);
        CHECK(has(log_text, "nothing is mapped there"));
        mmu_find(space, 0x40000000, &place);
        mmu_set(&place, page | MMU_HELD);
        CHECK_EQ(walk(space, 0x40000000), levels[i]);
        CHECK(has(log_text, "kept elsewhere"));
        CHECK_EQ(pagetable_map_linear(space, GIB + 8 * MIB, GIB + 12 * MIB, 0), 0);
        CHECK_EQ(walk(space, GIB + 9 * MIB), levels[i] - 1);
        CHECK(has(log_text, ", page"));
        entry = entry_of(space, 0x40000000, 1);
        no_table = (*entry & ~PAGE_MASK) ^ (uint32_t)page;
        *entry ^= no_table;
        walk(space, 0x40000000);
        CHECK(has(log_text, "not a table"));
        *entry ^= no_table;
        mmu_set(&place, 0);
        delete_pagetable(space);
        page_release(page);
        fake_machine_stop();
    }
}
