/*
 * Address spaces: random operations on a space and on its model, compared.
 */
#include <space_model.h>

#include <stdlib.h>

static void run_model(const char *format, unsigned lacks, size_t pages, bool stack, size_t steps)
{
    fake_config_t config = { .level = FAKE_MEMORY, .format = format, .lacks = lacks };
    mspace_t *ms = space_start_on(&config, pages);
    model_t *model = malloc(sizeof(*model));
    test_file_t file;
    page_t frames = page_range(MODEL_FRAMES, PAGE_SIZE, 0, OWNER_BOOT);

    CHECK(model != NULL && frames != PAGE_NONE);
    test_file_init(&file, "file", 14 * PAGE_SIZE + 1234);
    model_init(model, ms, pages, &file, frames);
    if (stack)
        model_set_stack(model, pages - 3, 4, 40);
    model_set_break(model, 20);
    ms->map_base = AT(pages / 8);
    model->map_base = pages / 8;
    for (size_t step = 0; step < steps; step++) {
        model_step(model);
        if (step < 20000 || step % 256 == 0) {
            CHECK_OK(mspace_check(ms));
            CHECK_OK(physical_check());
            CHECK_OK(memory_check());
        }
        if (step % 16 == 0)
            model_compare(model);
    }
    model_compare(model);
    mspace_sweep(ms);
    CHECK_EQ(ms->phys_pg_count, mmu_table_count(ms->directory));
    inode_release(&file.ino);
    CHECK_EQ(file.released, 1);
    for (size_t i = 0; i < MODEL_FRAMES; i++)
        CHECK_EQ(free_physical_page(frames + PAGES(i)), 0);
    free(model);
    space_stop(ms);
}

TEST(mspace_random_operations_2level)
{
    run_model("2level", 0, 160, false, test_steps(20000));
}

TEST(mspace_random_operations_pae)
{
    run_model("pae", 0, 160, false, test_steps(20000));
}

TEST(mspace_random_operations_long)
{
    if (sizeof(size_t) == 4)
        test_skip("long mode needs a 64-bit host");
    run_model("long", 0, 160, false, test_steps(20000));
}

TEST(mspace_random_operations_with_a_stack)
{
    run_model("pae", 0, 480, true, test_steps(20000));
}

TEST(mspace_random_operations_without_no_execute)
{
    run_model("pae", FAKE_NO_NX, 160, false, test_steps(20000));
}

TEST(mspace_random_operations_in_a_crowd)
{
    run_model("2level", 0, 48, false, test_steps(20000));
}

TEST(mspace_random_operations_long_run)
{
    run_model("2level", 0, 160, false, test_steps(100000));
}
