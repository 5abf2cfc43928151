/*
 * A space on the fake machine, and a file whose bytes follow from their offsets.
 */
#include <kernel/host.h>
#include <kernel/kheap.h>
#include <kernel/segment.h>
#include <kernel/virtual.h>
#include <space.h>

/* ---- a space to test */

const char *const space_formats[] = {
    "2level", "pae",
#if SIZE_MAX > UINT32_MAX
    "long",
#endif
};
const size_t space_format_count = ARRAY_LENGTH(space_formats);

fault_t space_fault;
static mspace_t *current;

static bool handle_fault(size_t address, unsigned error_code)
{
    space_fault = (fault_t){ .address = address, .code = error_code };
    return fault_handle(current, &space_fault) == FAULT_RESOLVED;
}

mspace_t *space_start_on(const fake_config_t *config, size_t pages)
{
    fake_machine_start(config);
    CHECK_EQ(commit_set("heuristic,50"), 0);
    current = mspace_create();
    CHECK(current != NULL);
    if (pages != 0) {
        current->lower_bound = current->map_base = SPACE_BASE;
        current->upper_bound = AT(pages);
    }
    switch_pagetable(current->directory);
    fake_set_handler(handle_fault);
    return current;
}

mspace_t *space_start(const char *format, size_t pages)
{
    fake_config_t config = { .level = FAKE_MEMORY, .format = format };

    return space_start_on(&config, pages);
}

const char *space_check(mspace_t *mspace)
{
    const char *wrong = mspace_check(mspace);

    if (wrong == NULL)
        wrong = fake_machine_check();
    return wrong != NULL ? wrong : memory_check();
}

void space_stop(mspace_t *mspace)
{
    CHECK_OK(space_check(mspace));
    CHECK_OK(mspace_check(kMMU.kspace));
    switch_pagetable(kernel_pagetable());
    mspace_close(mspace);
    CHECK_EQ(commit.charged, 0);
    fake_machine_stop();
}

size_t space_map(mspace_t *mspace, size_t address, size_t length, int flags)
{
    void *place = mspace_map(mspace, address, length, NULL, 0, 0, flags);

    CHECK_EQ(*host_errno(), 0);
    CHECK(place != NULL);
    return (size_t)place;
}

bool space_write(size_t vaddr, uint8_t byte)
{
    return fake_write(vaddr, &byte, 1);
}

bool space_read(size_t vaddr, uint8_t *byte)
{
    return fake_read(vaddr, byte, 1);
}

uint8_t space_byte(size_t vaddr)
{
    uint8_t byte;

    CHECK(space_read(vaddr, &byte));
    return byte;
}

bool space_execute(size_t vaddr)
{
    unsigned code;

    while ((code = fake_user_access(vaddr, FAKE_EXECUTE)) != 0)
        if (!handle_fault(vaddr, code))
            return false;
    return true;
}

mmu_entry_t space_entry(const mspace_t *mspace, size_t vaddr)
{
    return mmu_read(mspace->directory, vaddr);
}

void space_set_entry(const mspace_t *mspace, size_t vaddr, mmu_entry_t entry)
{
    mmu_place_t place;

    CHECK_EQ(mmu_make(mspace->directory, vaddr, &place), 0);
    mmu_set(&place, entry);
}

void space_drop_spares(mspace_t *mspace)
{
    while (mspace->spare != NULL)
        kfree(mspace_take_node(mspace));
}

/* Buffers that space_starve_heap took, each pointing to the next. */
static struct {
    void **first;
    size_t limit;
} starved;

void space_starve_heap(size_t count, size_t size)
{
    void *kept[16];

    CHECK(count <= ARRAY_LENGTH(kept) && starved.first == NULL);
    starved.limit = kernel_segment.limit;
    kernel_segment.limit = kernel_segment.length;
    for (size_t i = 0; i < count; i++) {
        kept[i] = kmalloc(size);
        CHECK(kept[i] != NULL);
    }
    for (size_t piece = PAGES(16); piece >= sizeof(void *); piece /= 2) {
        void **buffer;

        while ((buffer = kmalloc(piece)) != NULL) {
            *buffer = starved.first;
            starved.first = buffer;
        }
    }
    while (count > 0)
        kfree(kept[--count]);
}

void space_feed_heap(void)
{
    while (starved.first != NULL) {
        void **next = *starved.first;

        kfree(starved.first);
        starved.first = next;
    }
    kernel_segment.limit = starved.limit;
}

/* ---- a file */

uint8_t test_file_byte(const test_file_t *file, off_t offset)
{
    uint64_t at = (uint64_t)offset;

    if (offset >= file->ino.length)
        return 0;
    return (uint8_t)(1 + (at * 7 + (at >> PAGE_SHIFT) * 31) % 255);
}

static int read_page(inode_t *ino, size_t index, void *buffer)
{
    test_file_t *file = CONTAINER_OF(ino, test_file_t, ino);
    uint8_t *byte = buffer;

    file->reads++;
    if (file->error != 0 && (file->fail_index == SIZE_MAX || file->fail_index == index))
        return file->error;
    for (size_t i = 0; i < PAGE_SIZE; i++)
        byte[i] = test_file_byte(file, (off_t)index * (off_t)PAGE_SIZE + (off_t)i);
    return 0;
}

static void release(inode_t *ino)
{
    CONTAINER_OF(ino, test_file_t, ino)->released++;
}

static const inode_ops_t test_file_ops = { read_page, release };

void test_file_init(test_file_t *file, const char *name, off_t length)
{
    *file = (test_file_t){
        .ino = { .ops = &test_file_ops, .name = name, .length = length, .users = 1 },
        .fail_index = SIZE_MAX,
    };
}
