/*
 * The border (mmu.h): a million random operations on several spaces against a plain
 * model. The second reader judges the tables, the fake processor the flushes.
 */
#include <kernel/errno.h>
#include <kernel/layout.h>
#include <paging.h>

#include <string.h>

enum {
    SPACES = 4,
    CLUSTER = 8,                    /* pages in a row */
    SLOTS = 8 * CLUSTER,
    KERNEL_SLOTS = 4 * CLUSTER,
    FRAMES = 16,
    FULL_CHECKS = 20000,            /* steps after each of which all is checked */
};

/* Where the pages lie: across the borders of tables in each format. */
static const size_t clusters[SLOTS / CLUSTER] = {
    0x00400000, 0x007fc000, 0x009fd000, 0x3fffc000, 0x40200000, 0x7fe00000, 0x80000000,
    0xbfff8000,
};
static const size_t kernel_clusters[KERNEL_SLOTS / CLUSTER] = {
    0x00000000, 0x001fd000, 0x03ffc000, 0x0a000000,
};

typedef struct space {
    page_t root;                    /* PAGE_NONE: there is none */
    mmu_entry_t entry[SLOTS];
} space_t;

static struct {
    space_t space[SPACES];
    size_t current;                 /* SPACES: the kernel's own */
    mmu_entry_t kernel[KERNEL_SLOTS];
    page_t frame[FRAMES];
    size_t fixed_tables;            /* page tables that are there without any space */
} model;

static size_t slot_address(size_t slot)
{
    return clusters[slot / CLUSTER] + slot % CLUSTER * PAGE_SIZE;
}

static size_t kernel_slot_address(size_t slot)
{
    return KSPACE_BASE + kernel_clusters[slot / CLUSTER] + slot % CLUSTER * PAGE_SIZE;
}

static page_t any_frame(void)
{
    return model.frame[test_random_below(FRAMES)];
}

static space_t *any_space(void)
{
    return &model.space[test_random_below(SPACES)];
}

/* How many tables a space with these entries needs, and not one more. */
static size_t tables_needed(const space_t *space)
{
    static const unsigned shifts[PAGING_FORMATS][3] = { { 22 }, { 21, 30 }, { 21, 30, 39 } };
    second_mode_t mode = fake_mode();
    size_t tables = 1;

    for (size_t level = 0; level < 3 && shifts[mode][level] != 0; level++) {
        size_t last = (size_t)-1;

        for (size_t slot = 0; slot < SLOTS; slot++) {
            size_t number = (size_t)((uint64_t)slot_address(slot) >> shifts[mode][level]);

            if (space->entry[slot] == 0 || number == last)
                continue;
            tables++;
            last = number;
            /* The first of each upper level holds low memory: it is always there. */
            tables -= number == 0;
        }
        tables += level > 0;
    }
    /* In long mode another one leads to the kernel's addresses. */
    return tables + (mode == SECOND_4LEVEL && (uint64_t)KERNEL_BASE >> 39 != 0);
}

static void check_space(const space_t *space)
{
    if (space->root == PAGE_NONE)
        return;
    for (size_t slot = 0; slot < SLOTS; slot++) {
        size_t vaddr = slot_address(slot);
        mmu_entry_t entry = space->entry[slot];

        CHECK_EQ(mmu_read(space->root, vaddr), entry);
        paging_check_entry(space->root, vaddr, entry);
        CHECK_EQ(get_translation(space->root, vaddr + 5),
                 entry & MMU_PRESENT ? mmu_frame(entry) + 5 : NO_TRANSLATION);
    }
    for (size_t slot = 0; slot < KERNEL_SLOTS; slot++)
        paging_check_entry(space->root, kernel_slot_address(slot), model.kernel[slot]);
    CHECK_EQ(mmu_table_count(space->root), tables_needed(space));
}

static void check_tables(void)
{
    size_t tables = model.fixed_tables;

    for (size_t i = 0; i < SPACES; i++)
        if (model.space[i].root != PAGE_NONE)
            tables += tables_needed(&model.space[i]);
    CHECK_EQ(physical_figures()->owner[OWNER_PAGE_TABLE], tables);
}

static mmu_entry_t any_entry(void)
{
    mmu_entry_t bits = test_random() & (MMU_WRITE | MMU_USER | MMU_ACCESSED | MMU_DIRTY |
                                        MMU_NOEXEC | MMU_OBJECT);

    switch (test_random_below(8)) {
    case 0:
        return any_frame() | (bits & (MMU_NOEXEC | MMU_OBJECT)) | MMU_HELD;
    case 1:                                             /* a swap slot */
        return (mmu_entry_t)(1 + test_random_below(1000)) << 12;
    default:
        return any_frame() | bits | MMU_USER | MMU_PRESENT;
    }
}

static void step_map(void)
{
    static const access_t kinds[] = { ACCESS_USER, USER_RW, USER_RW, USER_RW | ACCESS_WRITE,
                                      ACCESS_USER | ACCESS_NOEXEC, ACCESS_WRITE };
    space_t *space = any_space();
    size_t slot = test_random_below(SLOTS);
    access_t access = kinds[test_random_below(ARRAY_LENGTH(kinds))];
    page_t page = any_frame();
    bool may_fail = test_random_below(20) == 0;
    int error;

    if (space->root == PAGE_NONE)
        return;
    if (may_fail)
        physical_fail_after(1 + test_random_below(3));
    error = pagetable_map(space->root, slot_address(slot), page, access);
    physical_fail_after(0);
    if (may_fail && error == -ENOMEM)
        return;
    CHECK_EQ(error, space->entry[slot] != 0 ? -EEXIST : 0);
    if (error == 0)
        space->entry[slot] = page | access | MMU_PRESENT;
}

static void step_unmap(void)
{
    space_t *space = any_space();
    size_t slot = test_random_below(SLOTS);
    mmu_entry_t entry = space->entry[slot];

    if (space->root == PAGE_NONE)
        return;
    CHECK_EQ(pagetable_unmap(space->root, slot_address(slot)),
             entry & MMU_PRESENT ? mmu_frame(entry) : NO_TRANSLATION);
    space->entry[slot] = 0;
}

static void step_set(void)
{
    space_t *space = any_space();
    size_t slot = test_random_below(SLOTS);
    mmu_entry_t entry = any_entry();
    mmu_place_t place;

    if (space->root == PAGE_NONE)
        return;
    CHECK_EQ(mmu_make(space->root, slot_address(slot), &place), 0);
    CHECK_EQ(mmu_get(&place), space->entry[slot]);
    mmu_set(&place, entry);
    space->entry[slot] = entry;
}

/* What a range's change does to an entry, by a number. */
static mmu_entry_t changed(size_t kind, size_t vaddr, mmu_entry_t entry)
{
    switch (kind) {
    case 0:
        return 0;
    case 1:
        return entry & MMU_PRESENT ? entry & ~(mmu_entry_t)(MMU_WRITE | MMU_ACCESSED) : entry;
    case 2:
        return entry & MMU_PRESENT ? (mmu_entry_t)(vaddr >> 12 & 0xff) << 12 | 0x100000 : entry;
    case 3:
        return vaddr >> 12 & 1 ? entry : 0;
    default:
        return entry;
    }
}

typedef struct range {
    space_t *space;
    size_t kind;
    size_t next;                    /* the slot to look at next */
    size_t end;
} range_t;

static mmu_entry_t change(void *context, size_t vaddr, mmu_entry_t entry)
{
    range_t *range = context;
    size_t slot = range->next;
    mmu_entry_t after = changed(range->kind, vaddr, entry);

    while (slot < range->end && range->space->entry[slot] == 0)
        slot++;
    CHECK(slot < range->end);
    CHECK_EQ(slot_address(slot), vaddr);
    CHECK_EQ(entry, range->space->entry[slot]);
    range->space->entry[slot] = after;
    range->next = slot + 1;
    return after;
}

static void step_range(void)
{
    size_t first = test_random_below(SLOTS);
    range_t range = { any_space(), test_random_below(5), first, 0 };
    size_t last = first + test_random_below(SLOTS - first);

    if (range.space->root == PAGE_NONE)
        return;
    range.end = last + 1;
    mmu_change_range(range.space->root, slot_address(first),
                     slot_address(last) + PAGE_SIZE - slot_address(first), change, &range);
    while (range.next < range.end)
        CHECK_EQ(range.space->entry[range.next++], 0);
}

static int fill(void *context, size_t vaddr, mmu_entry_t *entry)
{
    range_t *range = context;
    size_t slot = range->next;

    while (slot < range->end && range->space->entry[slot] != 0)
        slot++;
    /* Pages between the clusters stay empty. */
    *entry = 0;
    if (slot == range->end || slot_address(slot) != vaddr)
        return 0;
    if (range->kind == 0 && test_random_below(8) == 0)
        return -EIO;
    if (range->kind != 1)
        *entry = any_entry();
    range->space->entry[slot] = *entry;
    range->next = slot + 1;
    return 0;
}

static void step_fill(void)
{
    size_t first = test_random_below(SLOTS);
    size_t left = CLUSTER - first % CLUSTER;
    size_t count = 1 + test_random_below(left);
    range_t range = { any_space(), test_random_below(4), first, first + count };
    bool may_fail = test_random_below(10) == 0;
    int error;

    if (range.space->root == PAGE_NONE)
        return;
    if (may_fail)
        physical_fail_after(1 + test_random_below(3));
    error = mmu_fill_range(range.space->root, slot_address(first), count * PAGE_SIZE, fill,
                           &range);
    physical_fail_after(0);
    if (error == -ENOMEM)
        CHECK(may_fail && range.next == first);
    else
        CHECK(error == 0 || (error == -EIO && range.kind == 0));
}

/* A program touches a page: what happens is what the model says, and nothing older. */
static void step_access(void)
{
    static const unsigned kinds[] = { 0, FAKE_WRITE, FAKE_EXECUTE };
    space_t *space = &model.space[model.current];
    size_t slot = test_random_below(SLOTS);
    unsigned access = kinds[test_random_below(3)];
    mmu_entry_t *entry = &space->entry[slot];
    unsigned code;
    bool allowed;

    if (model.current == SPACES)
        return;
    allowed = (*entry & (MMU_PRESENT | MMU_USER)) == (MMU_PRESENT | MMU_USER) &&
              (!(access & FAKE_WRITE) || (*entry & MMU_WRITE)) &&
              (!(access & FAKE_EXECUTE) || !(*entry & MMU_NOEXEC) || !paging_has_nx());
    code = fake_user_access(slot_address(slot), access);
    if (!allowed) {
        CHECK_EQ(code & ~FAKE_EXECUTE, (*entry & MMU_PRESENT) | FAKE_USER |
                 (access & FAKE_WRITE));
        return;
    }
    CHECK_EQ(code, 0);
    *entry |= MMU_ACCESSED | (access & FAKE_WRITE ? MMU_DIRTY : 0);
    if (access == 0) {              /* not only a page: the right one */
        page_t *word = fake_ram(mmu_frame(*entry));
        page_t read;

        *word = mmu_frame(*entry);
        CHECK(fake_read(slot_address(slot), &read, sizeof(read)));
        CHECK_EQ(read, mmu_frame(*entry));
    }
}

static void step_switch(void)
{
    size_t next = test_random_below(SPACES + 1);

    if (next < SPACES && model.space[next].root == PAGE_NONE)
        next = SPACES;
    switch_pagetable(next == SPACES ? kernel_pagetable() : model.space[next].root);
    model.current = next;
}

static void step_kernel(void)
{
    size_t slot = test_random_below(KERNEL_SLOTS);
    size_t vaddr = kernel_slot_address(slot);
    mmu_entry_t *entry = &model.kernel[slot];
    access_t access = ACCESS_NOEXEC | (test_random_below(2) != 0 ? ACCESS_WRITE : 0) |
                      (test_random_below(2) != 0 ? ACCESS_GLOBAL : 0);
    page_t page = any_frame();

    switch (test_random_below(3)) {
    case 0:
        CHECK_EQ(virtual_map_kernel(vaddr, page, access), *entry != 0 ? -EEXIST : 0);
        if (*entry == 0)
            *entry = page | access | MMU_PRESENT;
        break;
    case 1:
        CHECK_EQ(virtual_unmap_kernel(vaddr), *entry != 0 ? mmu_frame(*entry) : NO_TRANSLATION);
        *entry = 0;
        break;
    default:
        CHECK_EQ(fake_kernel_access(vaddr, 0), *entry != 0 ? -1 : 0);
        CHECK_EQ(fake_user_access(vaddr, 0), (*entry & MMU_PRESENT) | FAKE_USER);
        if (*entry != 0)
            *entry |= MMU_ACCESSED;
        if (*entry & MMU_WRITE) {   /* through the very pointer */
            *(volatile page_t *)vaddr = mmu_frame(*entry);
            CHECK_EQ(*(page_t *)fake_ram(mmu_frame(*entry)), mmu_frame(*entry));
            *entry |= MMU_DIRTY;
        }
    }
}

static void step_life(void)
{
    size_t number = test_random_below(SPACES);
    space_t *space = &model.space[number];
    range_t range = { space, 0, 0, SLOTS };

    if (space->root == PAGE_NONE) {
        memset(space, 0, sizeof(*space));
        space->root = create_pagetable();
        CHECK(space->root != PAGE_NONE);
        return;
    }
    if (model.current == number)
        return;
    mmu_change_range(space->root, USER_BASE, USER_END - USER_BASE, change, &range);
    CHECK_EQ(mmu_table_count(space->root), tables_needed(space));
    delete_pagetable(space->root);
    space->root = PAGE_NONE;
}

static void random_step(void)
{
    size_t die = test_random_below(1000);

    if (die < 250)
        step_map();
    else if (die < 430)
        step_unmap();
    else if (die < 540)
        step_set();
    else if (die < 570)
        step_range();
    else if (die < 610)
        step_fill();
    else if (die < 900)
        step_access();
    else if (die < 950)
        step_kernel();
    else if (die < 995)
        step_switch();
    else
        step_life();
}

static void model_start(size_t format)
{
    paging_start(format);
    memset(&model, 0, sizeof(model));
    model.current = SPACES;
    for (size_t i = 0; i < FRAMES; i++)
        model.frame[i] = page_new(OWNER_ANON);
    model.fixed_tables = physical_figures()->owner[OWNER_PAGE_TABLE];
}

static void model_stop(void)
{
    switch_pagetable(kernel_pagetable());
    for (size_t i = 0; i < SPACES; i++) {
        if (model.space[i].root == PAGE_NONE)
            continue;
        for (size_t slot = 0; slot < SLOTS; slot++)
            (void)pagetable_unmap(model.space[i].root, slot_address(slot));
        delete_pagetable(model.space[i].root);
    }
    for (size_t slot = 0; slot < KERNEL_SLOTS; slot++)
        (void)virtual_unmap_kernel(kernel_slot_address(slot));
    for (size_t i = 0; i < FRAMES; i++)
        page_release(model.frame[i]);
    fake_machine_stop();
}

static void random_operations(size_t format, size_t steps)
{
    model_start(format);
    for (size_t step = 0; step < steps; step++) {
        uint64_t freed = virtual_events.tables_freed;

        random_step();
        if (virtual_events.tables_freed != freed && step % 8 == 0)
            paging_spoil_freed_pages();
        if (step >= FULL_CHECKS && step % 256 != 0)
            continue;
        check_space(&model.space[step % SPACES]);
        check_tables();
        CHECK_OK(pagetable_check());
    }
    model_stop();
}

TEST(mmu_agrees_with_a_model_2level)
{
    random_operations(0, test_steps(1000000));
}

TEST(mmu_agrees_with_a_model_pae)
{
    random_operations(1, test_steps(1000000));
}

TEST(mmu_agrees_with_a_model_long)
{
    random_operations(2, test_steps(1000000));
}
