/*
 * Page tables when memory or slots run out: nothing is mapped, no table is left.
 */
#include <kernel/boot_info.h>
#include <kernel/errno.h>
#include <kernel/layout.h>
#include <paging.h>

typedef struct attempt {
    page_t space;
    page_t page;
    page_t made;
    size_t vaddr;
} attempt_t;

static int try_create(void *context)
{
    attempt_t *attempt = context;

    attempt->made = create_pagetable();
    return attempt->made == PAGE_NONE ? -ENOMEM : 0;
}

static void undo_create(void *context)
{
    delete_pagetable(((attempt_t *)context)->made);
}

static int try_map(void *context)
{
    attempt_t *attempt = context;

    return pagetable_map(attempt->space, attempt->vaddr, attempt->page, USER_RW);
}

static void undo_map(void *context)
{
    attempt_t *attempt = context;

    CHECK_EQ(pagetable_unmap(attempt->space, attempt->vaddr), attempt->page);
}

static int try_map_kernel(void *context)
{
    attempt_t *attempt = context;

    return virtual_map_kernel(attempt->vaddr, attempt->page, KERNEL_RW);
}

static void undo_map_kernel(void *context)
{
    attempt_t *attempt = context;

    CHECK_EQ(virtual_unmap_kernel(attempt->vaddr), attempt->page);
}

static int try_map_linear(void *context)
{
    attempt_t *attempt = context;

    attempt->made = create_pagetable();
    if (attempt->made == PAGE_NONE)
        return -ENOMEM;
    if (pagetable_map_linear(attempt->made, GIB - 8 * PAGE_SIZE, GIB + 9 * MIB + PAGE_SIZE,
                             USER_RW) == 0)
        return 0;
    delete_pagetable(attempt->made);
    return -ENOMEM;
}

/* After a failure nothing is mapped and no table is left; other pages stay. */
static const char *check_attempt(void *context)
{
    attempt_t *attempt = context;

    if (attempt->space != PAGE_NONE &&
        mmu_table_count(attempt->space) != paging_own_tables(attempt->space))
        return "the space's count of tables is wrong";
    return get_translation(kernel_pagetable(), attempt->vaddr) == NO_TRANSLATION
           ? NULL : "something is still mapped";
}

TEST(virtual_out_of_memory_at_every_point)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        attempt_t attempt = { .vaddr = 0x80000000 };

        paging_start(i);
        CHECK_EQ(fake_failure_sweep(try_create, undo_create, NULL, &attempt), i == 0 ? 1 :
                 i == 1 ? 2 : KERNEL_BASE >> 16 >> 16 != 0 ? 4 : 3);
        attempt.page = page_new(OWNER_ANON);
        attempt.space = create_pagetable();
        CHECK_EQ(fake_failure_sweep(try_map, undo_map, check_attempt, &attempt),
                 i == 0 ? 1 : 2);
        /* The same in the current space, beside something that is mapped. */
        switch_pagetable(attempt.space);
        CHECK_EQ(pagetable_map(attempt.space, 0x40000000, attempt.page, USER_RW), 0);
        CHECK_EQ(fake_failure_sweep(try_map, undo_map, check_attempt, &attempt),
                 i == 0 ? 1 : 2);
        CHECK_EQ(fake_user_access(0x40000000, FAKE_WRITE), 0);
        CHECK_EQ(pagetable_unmap(attempt.space, 0x40000000), attempt.page);
        switch_pagetable(kernel_pagetable());
        attempt.vaddr = paging_kernel_place(3);
        CHECK_EQ(fake_failure_sweep(try_map_kernel, undo_map_kernel, check_attempt, &attempt),
                 1);
        CHECK(fake_failure_sweep(try_map_linear, undo_create, NULL, &attempt) >= 3);
        delete_pagetable(attempt.space);
        page_release(attempt.page);
        fake_machine_stop();
    }
}

/*
 * The same where the window of tables ends: a new kernel table is needed in the
 * midst of it. Filler tables bring the window to each place around its border.
 */
TEST(virtual_out_of_memory_while_the_window_grows)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        attempt_t attempt = { .vaddr = 0x80000000 };
        page_t filler[3];
        uint64_t kernel_tables;
        size_t refused = 0;

        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = paging_formats[i],
                                             .megabytes = 16 });
        attempt.page = page_new(OWNER_ANON);
        attempt.space = create_pagetable();
        kernel_tables = virtual_events.kernel_tables;
        for (size_t k = 0; k < 3; k++) {
            filler[k] = create_pagetable();
            for (uint64_t vaddr = USER_BASE; vaddr < USER_END &&
                 virtual_events.kernel_tables == kernel_tables; vaddr += paging_table_span()) {
                size_t tables = physical_figures()->owner[OWNER_PAGE_TABLE];

                CHECK_EQ(pagetable_map(filler[k], (size_t)vaddr, attempt.page, USER_RW), 0);
                if (tables > (fake_mode() == SECOND_2LEVEL ? 1015 : 500))
                    refused += fake_failure_sweep(try_map, undo_map, check_attempt, &attempt);
            }
        }
        CHECK(virtual_events.kernel_tables > kernel_tables);
        CHECK(refused > 2);
        for (size_t k = 0; k < 3; k++) {
            for (uint64_t vaddr = USER_BASE; vaddr < USER_END; vaddr += paging_table_span())
                (void)pagetable_unmap(filler[k], (size_t)vaddr);
            delete_pagetable(filler[k]);
        }
        delete_pagetable(attempt.space);
        page_release(attempt.page);
        fake_machine_stop();
    }
}

/* The window of top-level tables grows too; each is told of new kernel tables. */
TEST(virtual_directory_window_grows)
{
    enum { MANY = 1100 };
    static page_t space[MANY];

    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        attempt_t attempt = { 0 };
        page_t page;

        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = paging_formats[i],
                                             .megabytes = 32 });
        page = page_new(OWNER_KERNEL);
        for (size_t k = 0; k < MANY; k++) {
            if ((k & 511) > 505)            /* around the border of a kernel table */
                fake_failure_sweep(try_create, undo_create, NULL, &attempt);
            space[k] = create_pagetable();
            CHECK(space[k] != PAGE_NONE);
        }
        CHECK_EQ(virtual_map_kernel(paging_kernel_place(5), page, KERNEL_RW), 0);
        paging_check_everywhere(space, MANY, paging_kernel_place(5), page);
        CHECK_OK(pagetable_check());
        CHECK_EQ(virtual_unmap_kernel(paging_kernel_place(5)), page);
        for (size_t k = 0; k < MANY; k++)
            delete_pagetable(space[k]);
        page_release(page);
        fake_machine_stop();
    }
}

/* There are slots for 2,048 top-level tables; the next space is refused. */
TEST(virtual_directory_window_ends)
{
    static page_t space[2048];
    size_t count = 0;

    fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .megabytes = 16 });
    while (count < ARRAY_LENGTH(space) && (space[count] = create_pagetable()) != PAGE_NONE)
        count++;
    CHECK_EQ(count, 2048 - 2);              /* the kernel's own, the linear space */
    CHECK_EQ(create_pagetable(), PAGE_NONE);
    CHECK(physical_figures()->free > 1000);
    CHECK_OK(pagetable_check());
    delete_pagetable(space[--count]);
    space[count] = create_pagetable();
    CHECK(space[count] != PAGE_NONE);
    for (count++; count > 0; )
        delete_pagetable(space[--count]);
    fake_machine_stop();
}

/* Really no memory, not one refusal. */
TEST(virtual_without_any_memory)
{
    static page_t held[4096];

    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        page_t space;
        size_t count = 0;

        paging_start(i);
        space = create_pagetable();
        while ((held[count] = alloc_physical_page(OWNER_ANON)) != PAGE_NONE)
            count++;
        CHECK_EQ(create_pagetable(), PAGE_NONE);
        CHECK_EQ(pagetable_map(space, 0x40000000, held[0], USER_RW), -ENOMEM);
        CHECK_EQ(virtual_map_kernel(paging_kernel_place(7), held[0], KERNEL_RW), -ENOMEM);
        CHECK_OK(fake_machine_check());
        while (count > 0)
            CHECK_EQ(page_release(held[--count]), 0);
        delete_pagetable(space);
        fake_machine_stop();
    }
}

/* Memory runs out while the kernel's own tables are built: a sentence. */
TEST(virtual_init_without_memory)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        const char *trouble;
        size_t n = 0;

        do {
            fake_machine_start(&(fake_config_t){ .level = FAKE_PHYSICAL });
            physical_fail_after(++n);
            trouble = virtual_init(&boot_info, paging_formats[i]);
            physical_fail_after(0);
            CHECK(n < 100);
            CHECK_OK(physical_check());
            fake_machine_abandon();
        } while (trouble != NULL);
        CHECK(n > 4);
    }
}
