/*
 * The checker of page tables: tables are damaged on purpose, and its sentence is
 * read.
 */
#include <kernel/layout.h>
#include <kernel/linear.h>
#include <paging.h>

#include <string.h>

#define PRESENT 0x1u
#define WRITE   0x2u
#define USER    0x4u

enum { TWO_LEVEL = 0 };

#define CHECK_FINDS(sentence) CHECK_STR(pagetable_check(), sentence)

/* A machine with a space that has a page at 1 GiB and one a table further. */
static struct {
    page_t space;
    page_t page;
} scene;

static void start(size_t format)
{
    fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = paging_formats[format] });
    scene.space = create_pagetable();
    scene.page = page_new(OWNER_KERNEL);
    CHECK_EQ(pagetable_map(scene.space, GIB, scene.page, USER_RW), 0);
    CHECK_EQ(pagetable_map(scene.space, GIB + paging_table_span(), scene.page, USER_RW), 0);
    CHECK_EQ(virtual_map_kernel(KSPACE_BASE, scene.page, KERNEL_RW), 0);
    CHECK_OK(pagetable_check());
}

static void stop(void)
{
    CHECK_OK(pagetable_check());
    CHECK_EQ(virtual_unmap_kernel(KSPACE_BASE), scene.page);
    CHECK_EQ(pagetable_unmap(scene.space, GIB), scene.page);
    CHECK_EQ(pagetable_unmap(scene.space, GIB + paging_table_span()), scene.page);
    page_release(scene.page);
    delete_pagetable(scene.space);
    fake_machine_stop();
}

/* The entry of vaddr, or one so many levels above it, in RAM. */
static uint8_t *place_of(page_t space, size_t vaddr, size_t above)
{
    second_view_t view;

    second_reader_read(fake_mode(), space, vaddr, &view);
    CHECK(view.depth > above);
    return fake_ram((page_t)view.at[view.depth - 1 - above]);
}

static page_t table_of(page_t space, size_t vaddr)
{
    second_view_t view;

    second_reader_read(fake_mode(), space, vaddr, &view);
    CHECK(view.table != 0);
    return (page_t)view.table;
}

static void change(uint8_t *place, uint32_t mask)
{
    uint32_t word;

    memcpy(&word, place, sizeof(word));
    word ^= mask;
    memcpy(place, &word, sizeof(word));
}

static uint32_t word_at(const uint8_t *place)
{
    uint32_t word;

    memcpy(&word, place, sizeof(word));
    return word;
}

/* Change bits of a word, see the sentence, and change them back. */
static void finds(uint8_t *place, uint32_t mask, const char *sentence)
{
    change(place, mask);
    CHECK_FINDS(sentence);
    change(place, mask);
    CHECK_OK(pagetable_check());
}

/* ---- the windows */

TEST(virtual_check_windows)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        page_t table;
        size_t shown;

        start(i);
        table = table_of(scene.space, GIB);
        shown = TABLE_WINDOW_BASE + physical_frame(table)->slot * PAGE_SIZE;
        finds(place_of(kernel_pagetable(), shown, 0), PRESENT,
              "the table window's bitmap is wrong");
        finds(place_of(kernel_pagetable(), TABLE_WINDOW_BASE + 300 * PAGE_SIZE, 0), PRESENT,
              "the table window's bitmap is wrong");
        stop();
    }
}

/* A slot whose kernel table is gone: the processor goes on with what it has cached. */
TEST(virtual_check_covers_every_slot)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        start(i);
        finds(place_of(kernel_pagetable(), DIRECTORY_WINDOW_BASE, 1), PRESENT,
              "a taken slot of the table window is not covered");
        stop();
    }
}

TEST(virtual_check_frames_of_tables)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        frame_t *frame;

        start(i);
        frame = physical_frame(table_of(scene.space, GIB));
        frame->slot++;
        CHECK_FINDS("a table's frame does not know its address");
        frame->slot--;
        frame->owner = OWNER_KERNEL;
        CHECK_FINDS("a table's frame does not know its address");
        frame->owner = OWNER_PAGE_TABLE;
        frame->count++;
        CHECK_FINDS("a table's count of entries is wrong");
        frame->count--;
        physical_frame(scene.space)->count++;
        CHECK_FINDS("a space's count of tables is wrong");
        physical_frame(scene.space)->count--;
        physical_mem_info.owner[OWNER_PAGE_TABLE]++;
        CHECK_FINDS("a page-table page is in no window");
        physical_mem_info.owner[OWNER_PAGE_TABLE]--;
        stop();
    }
}

/* ---- each table hangs in one place */

TEST(virtual_check_what_is_no_table)
{
    static const char sentence[] = "an entry leads to a page that is no table";

    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        uint8_t *entry;

        start(i);
        entry = place_of(scene.space, GIB, 1);
        finds(entry, (uint32_t)(table_of(scene.space, GIB) ^ scene.page), sentence);
        finds(entry, 0x7f000000, sentence);                     /* far behind RAM */
        finds(entry, (uint32_t)(table_of(scene.space, GIB) ^
                                table_of(kernel_pagetable(), KSPACE_BASE)), sentence);
        finds(place_of(kernel_pagetable(), KSPACE_BASE, 1),
              (uint32_t)(table_of(kernel_pagetable(), KSPACE_BASE) ^ scene.page), sentence);
        stop();
    }
}

/* The first table takes the place of the second: all counts are right. */
TEST(virtual_check_table_in_two_places)
{
    static const char sentence[] = "a table hangs in two places";

    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        page_t other;
        uint8_t *entry;

        start(i);
        entry = place_of(scene.space, GIB, 1);
        finds(place_of(scene.space, GIB + paging_table_span(), 1),
              (uint32_t)(table_of(scene.space, GIB) ^
                         table_of(scene.space, GIB + paging_table_span())), sentence);
        other = create_pagetable();
        CHECK_EQ(pagetable_map(other, GIB, scene.page, USER_RW), 0);
        finds(place_of(other, GIB, 1), word_at(entry) ^ word_at(place_of(other, GIB, 1)),
              sentence);
        CHECK_EQ(pagetable_unmap(other, GIB), scene.page);
        delete_pagetable(other);
        entry = place_of(kernel_pagetable(), KSPACE_BASE, 1);
        CHECK_EQ(virtual_map_kernel(KSPACE_BASE + 16 * MIB, scene.page, KERNEL_RW), 0);
        finds(place_of(kernel_pagetable(), KSPACE_BASE + 16 * MIB, 1),
              word_at(entry) ^ word_at(place_of(kernel_pagetable(), KSPACE_BASE + 16 * MIB, 1)),
              sentence);
        CHECK_EQ(virtual_unmap_kernel(KSPACE_BASE + 16 * MIB), scene.page);
        stop();
    }
}

/* An entry is lost, and the counts with it. */
TEST(virtual_check_table_that_hangs_nowhere)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        second_view_t view;
        uint8_t *entry;
        uint32_t word;

        start(i);
        second_reader_read(fake_mode(), scene.space, GIB, &view);
        entry = place_of(scene.space, GIB, 1);
        word = word_at(entry);
        change(entry, word);
        CHECK_FINDS(i == TWO_LEVEL ? "a space's count of tables is wrong"
                                   : "a table's count of entries is wrong");
        if (i != TWO_LEVEL)
            physical_frame((page_t)view.at[view.depth - 2] & ~(page_t)PAGE_MASK)->count--;
        CHECK_FINDS("a space's count of tables is wrong");
        physical_frame(scene.space)->count--;
        CHECK_FINDS("a table of a space hangs nowhere");
        physical_frame(scene.space)->count++;
        if (i != TWO_LEVEL)
            physical_frame((page_t)view.at[view.depth - 2] & ~(page_t)PAGE_MASK)->count++;
        change(entry, word);
        finds(place_of(kernel_pagetable(), KSPACE_BASE, 1), PRESENT,
              "a table of the kernel's part hangs nowhere");
        stop();
    }
}

/* What entries above the last say besides where the table is. */
TEST(virtual_check_rights_of_upper_levels)
{
    static const char sentence[] = "an entry that leads to a table grants too much or too little";

    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        start(i);
        finds(place_of(scene.space, GIB, 1), WRITE, sentence);
        finds(place_of(scene.space, GIB, 1), USER, sentence);
        if (i != TWO_LEVEL) {
            finds(place_of(scene.space, GIB, 1) + 4, 0x80000000, sentence);     /* NX */
            finds(place_of(scene.space, GIB, 2), WRITE, sentence);
        }
        change(place_of(scene.space, GIB, 1), 0x20);                            /* A */
        CHECK_OK(pagetable_check());
        stop();
    }
}

/* ---- the kernel's part */

TEST(virtual_check_kernel_pages)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        uint8_t *entry;

        start(i);
        entry = place_of(kernel_pagetable(), KSPACE_BASE, 0);
        finds(entry, USER, "a kernel page is open to programs");
        finds(place_of(kernel_pagetable(), FAKE_IMAGE_END, 0), USER,
              "a kernel page is open to programs");
        if (i != TWO_LEVEL)
            finds(entry + 4, 0x80000000, "a kernel page is writable and executable");
        stop();
    }
}

/* In every format, at its own address and at any other. */
TEST(virtual_check_text_and_constants)
{
    static const char sentence[] = "the kernel's text or constants can be written";
    static const page_t pages[] = {
        FAKE_IMAGE_BASE, FAKE_IMAGE_RODATA - PAGE_SIZE, FAKE_IMAGE_RODATA,
        FAKE_IMAGE_DATA - PAGE_SIZE,
    };

    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        start(i);
        for (size_t k = 0; k < ARRAY_LENGTH(pages); k++) {
            size_t elsewhere = KSPACE_BASE + PAGE_SIZE;

            finds(place_of(kernel_pagetable(), pages[k], 0), WRITE, sentence);
            CHECK_EQ(virtual_map_kernel(elsewhere, pages[k], KERNEL_RW), 0);
            CHECK_FINDS(sentence);
            CHECK_EQ(virtual_unmap_kernel(elsewhere), pages[k]);
            CHECK_EQ(virtual_map_kernel(elsewhere, pages[k], ACCESS_NOEXEC), 0);
            CHECK_OK(pagetable_check());
            CHECK_EQ(virtual_unmap_kernel(elsewhere), pages[k]);
        }
        CHECK_EQ(virtual_map_kernel(KSPACE_BASE + PAGE_SIZE, FAKE_IMAGE_DATA, KERNEL_RW), 0);
        CHECK_OK(pagetable_check());
        CHECK_EQ(virtual_unmap_kernel(KSPACE_BASE + PAGE_SIZE), FAKE_IMAGE_DATA);
        stop();
    }
}

TEST(virtual_check_kernel_table_has_no_user_part)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        start(i);
        finds(place_of(kernel_pagetable(), 2 * GIB, 0), PAGE_SIZE,
              "the kernel's own table has a user part");
        finds(place_of(kernel_pagetable(), LOW_END, 0), PAGE_SIZE,
              "the kernel's own table has a user part");
        stop();
    }
}

/* One space differs from the kernel's own table above KERNEL_BASE, and below LOW_END. */
TEST(virtual_check_spaces_have_the_kernel_part)
{
    static const char lacks[] = "a space lacks a table of the kernel's part";
    static const char other[] = "a space has another table in the kernel's part";

    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        /* The highest level at which the entry is the kernel's alone: in PAE and in
         * long mode the level above the tables is shared itself. */
        size_t above = i == TWO_LEVEL ? 1 : 2;
        uint8_t *entry;

        start(i);
        entry = place_of(scene.space, KSPACE_BASE, above);
        finds(entry, PRESENT, lacks);
        finds(entry, (uint32_t)(word_at(entry) & ~PAGE_MASK) ^
                     (uint32_t)table_of(scene.space, GIB), other);
        finds(entry, i == TWO_LEVEL ? USER : 0x8, other);
        finds(place_of(scene.space, FAKE_IMAGE_BASE, 1), PRESENT, lacks);
        finds(place_of(scene.space, FAKE_IMAGE_BASE, 1), USER, other);
        finds(place_of(scene.space, FAKE_IMAGE_BASE, i == TWO_LEVEL ? 1 : 2), PRESENT, lacks);
        if (i == TWO_LEVEL) {       /* a table of its own, where the kernel has none */
            entry = place_of(scene.space, DEVICE_BASE, 0);
            CHECK_EQ(word_at(entry), 0);
            finds(entry, word_at(place_of(scene.space, GIB, 1)), other);
        }
        stop();
    }
}

TEST(virtual_check_linear_space)
{
    static const size_t pages[] = { 0x600000, 0x700000 };

    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        for (size_t k = 0; k < 2; k++) {                /* large pages, small pages */
            fake_machine_start(&(fake_config_t){
                .level = FAKE_PAGING, .format = paging_formats[i],
                .region = (const boot_region_t []){ { 0, 0x9f000, BOOT_RAM },
                                                    { 0x100000, 0x800000, BOOT_RAM },
                                                    { 0x480000, 0x481000, BOOT_NVS },
                                                    { 0x680000, 0x681000, BOOT_NVS } },
                .region_count = k == 0 ? 2 : 4 });
            for (size_t n = 0; n < ARRAY_LENGTH(pages); n++) {
                uint8_t *entry = place_of(linear_space_directory(), pages[n], 0);

                CHECK_EQ((word_at(entry) & 0x80) == 0, k == 1);
                finds(entry, USER, "the linear space is open to programs");
                if (i != TWO_LEVEL)
                    finds(entry + 4, 0x80000000, "a page of the linear space is executable");
            }
            fake_machine_stop();
        }
    }
}
