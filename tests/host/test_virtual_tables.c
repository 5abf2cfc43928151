/*
 * Page tables themselves: made and freed with their entries, and left out where large
 * pages do.
 */
#include <kernel/errno.h>
#include <kernel/layout.h>
#include <paging.h>

/* ---- tables come and go */

/*
 * Two pages under one table, a third under its neighbour. A table goes with its
 * last entry and never before, and each level by itself.
 */
TEST(virtual_tables_are_freed_with_their_last_entry)
{
    static const size_t bases[] = { 0x40000000, 0x00400000, 0xbfc00000, 0x7fe00000 };

    for (size_t i = 0; i < PAGING_FORMATS * ARRAY_LENGTH(bases); i++) {
        size_t base = bases[i % ARRAY_LENGTH(bases)];
        page_t space, page;
        size_t before, one;

        paging_start(i / ARRAY_LENGTH(bases));
        base &= ~(paging_table_span() - 1);
        page = page_new(OWNER_ANON);
        space = create_pagetable();
        switch_pagetable(space);
        before = physical_figures()->owner[OWNER_PAGE_TABLE];
        CHECK_EQ(pagetable_map(space, base, page, USER_RW), 0);
        one = physical_figures()->owner[OWNER_PAGE_TABLE];
        CHECK(one > before);
        CHECK_EQ(mmu_table_count(space), paging_own_tables(space));
        CHECK_EQ(pagetable_map(space, base + paging_table_span() - PAGE_SIZE, page, USER_RW), 0);
        CHECK_EQ(physical_figures()->owner[OWNER_PAGE_TABLE], one);
        CHECK_EQ(fake_user_access(base, 0), 0);
        CHECK_EQ(pagetable_unmap(space, base), page);
        CHECK_EQ(physical_figures()->owner[OWNER_PAGE_TABLE], one);
        CHECK_EQ(paging_look(space, base + paging_table_span() - PAGE_SIZE).frame, page);
        CHECK_EQ(fake_user_access(base + paging_table_span() - PAGE_SIZE, 0), 0);
        CHECK_EQ(pagetable_unmap(space, base + paging_table_span() - PAGE_SIZE), page);
        CHECK_EQ(physical_figures()->owner[OWNER_PAGE_TABLE], before);
        CHECK_EQ(mmu_table_count(space), paging_own_tables(space));
        CHECK_EQ(fake_user_access(base + paging_table_span() - PAGE_SIZE, 0), FAKE_USER);
        CHECK_EQ(pagetable_map(space, base, page, USER_RW), 0);
        CHECK_EQ(fake_user_access(base, FAKE_WRITE), 0);
        CHECK_EQ(pagetable_unmap(space, base), page);
        CHECK_EQ(fake_user_access(base, 0), FAKE_USER);
        CHECK_OK(pagetable_check());
        switch_pagetable(kernel_pagetable());
        delete_pagetable(space);
        page_release(page);
        fake_machine_stop();
    }
}

/* How many tables one page needs: one a level that is not there yet. */
TEST(virtual_first_page_makes_a_table_a_level)
{
    static const size_t expected[PAGING_FORMATS][3] = {    /* at 4 MiB, 1 GiB, 1 GiB + a span */
        { 1, 1, 1 }, { 1, 2, 1 }, { 1, 2, 1 },
    };

    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        page_t space, page;
        size_t base[3];

        paging_start(i);
        base[0] = 0x00400000;
        base[1] = 0x40000000;
        base[2] = 0x40000000 + paging_table_span();
        page = page_new(OWNER_ANON);
        space = create_pagetable();
        for (size_t k = 0; k < 3; k++) {
            size_t before = physical_figures()->owner[OWNER_PAGE_TABLE];

            CHECK_EQ(pagetable_map(space, base[k], page, USER_RW), 0);
            CHECK_EQ(physical_figures()->owner[OWNER_PAGE_TABLE] - before, expected[i][k]);
        }
        for (size_t k = 3; k-- > 0; ) {
            size_t before = physical_figures()->owner[OWNER_PAGE_TABLE];

            CHECK_EQ(pagetable_unmap(space, base[k]), page);
            CHECK_EQ(before - physical_figures()->owner[OWNER_PAGE_TABLE], expected[i][k]);
        }
        delete_pagetable(space);
        page_release(page);
        fake_machine_stop();
    }
}

/* Tables whose entries were cleared one by one stay; delete takes them all. */
TEST(virtual_delete_frees_every_table)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        page_t space, page;

        paging_start(i);
        page = page_new(OWNER_ANON);
        space = create_pagetable();
        for (uint64_t vaddr = USER_BASE; vaddr < USER_END; vaddr += 0x02801000) {
            mmu_place_t place;

            CHECK_EQ(mmu_make(space, (size_t)vaddr & ~(size_t)PAGE_MASK, &place), 0);
            mmu_set(&place, page | MMU_PRESENT | MMU_USER);
            mmu_set(&place, 0);
        }
        CHECK_EQ(mmu_table_count(space), paging_own_tables(space));
        CHECK_OK(pagetable_check());
        delete_pagetable(space);
        page_release(page);
        fake_machine_stop();
    }
}

static void delete_it(void *space)
{
    delete_pagetable(*(page_t *)space);
}

TEST(virtual_delete_of_a_table_in_use_is_an_assertion)
{
    for (size_t i = 0; i < 2; i++) {
        page_t space;

        paging_start(0);
        space = i == 0 ? create_pagetable() : kernel_pagetable();
        switch_pagetable(space);
        if (i == 1)
            switch_pagetable(create_pagetable());
        CHECK(test_expect_panic(delete_it, &space, NULL, 0));
        fake_machine_abandon();
    }
}

/* ---- linear mappings */

typedef struct linear_case {
    size_t start, end;      /* in units of PAGE_SIZE, from 1 GiB */
} linear_case_t;

static void check_linear(const linear_case_t *c)
{
    page_t space = create_pagetable();
    size_t large = paging_table_span() / PAGE_SIZE;

    CHECK_EQ(pagetable_map_linear(space, GIB + c->start * PAGE_SIZE,
                                  GIB + c->end * PAGE_SIZE, ACCESS_WRITE), 0);
    for (size_t at = 0; at < 4096; at++) {
        second_view_t view = paging_look(space, GIB + at * PAGE_SIZE);
        size_t block = at / large * large;
        bool fits = block >= c->start && block + large <= c->end;

        CHECK_EQ(view.present, at >= c->start && at < c->end);
        if (!view.present)
            continue;
        CHECK_EQ(view.frame, GIB + at * PAGE_SIZE);
        CHECK(view.write && !view.user && !view.global && view.execute);
        CHECK_EQ(view.large, fits && (large == 512 || second_reader.pse));
        CHECK_EQ(get_translation(space, GIB + at * PAGE_SIZE + 7), GIB + at * PAGE_SIZE + 7);
    }
    CHECK_EQ(mmu_table_count(space), paging_own_tables(space));
    CHECK_OK(pagetable_check());
    delete_pagetable(space);
}

TEST(virtual_map_linear_takes_large_pages_where_they_fit)
{
    static const linear_case_t cases[] = {
        { 0, 0 }, { 0, 1 }, { 5, 6 }, { 0, 512 }, { 0, 1024 }, { 1, 512 }, { 511, 513 },
        { 0, 2048 }, { 1, 2049 }, { 512, 1536 }, { 1023, 2049 }, { 700, 3500 },
        { 1024, 1024 }, { 1024, 2047 }, { 100, 1123 },
    };

    for (size_t i = 0; i < ARRAY_LENGTH(paging_processors); i++) {
        fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING,
                                             .format = paging_processors[i].format,
                                             .lacks = paging_processors[i].lacks });
        for (size_t k = 0; k < ARRAY_LENGTH(cases); k++)
            check_linear(&cases[k]);
        fake_machine_stop();
    }
}

/* What is mapped already, large or small, is not mapped over. */
TEST(virtual_map_linear_does_not_overwrite)
{
    for (size_t i = 0; i < PAGING_FORMATS; i++) {
        page_t space;
        size_t span;

        paging_start(i);
        span = paging_table_span();
        space = create_pagetable();
        CHECK_EQ(pagetable_map_linear(space, GIB, GIB + span, USER_RW), 0);
        CHECK(paging_look(space, GIB).large);
        CHECK_EQ(pagetable_map_linear(space, GIB, GIB + span, USER_RW), -EEXIST);
        CHECK_EQ(pagetable_map_linear(space, GIB + PAGE_SIZE, GIB + 2 * PAGE_SIZE, USER_RW),
                 -EEXIST);
        CHECK_EQ(pagetable_map(space, GIB + PAGE_SIZE, 0x5000, USER_RW), -EEXIST);
        CHECK(paging_look(space, GIB + PAGE_SIZE).large);
        CHECK_EQ(paging_look(space, GIB + PAGE_SIZE).frame, GIB + PAGE_SIZE);
        CHECK_EQ(pagetable_map(space, GIB + span, 0x5000, USER_RW), 0);
        CHECK_EQ(pagetable_map_linear(space, GIB + span, GIB + 2 * span, USER_RW), -EEXIST);
        CHECK_EQ(pagetable_map_linear(space, GIB + span, GIB + span + PAGE_SIZE, USER_RW),
                 -EEXIST);
        CHECK_EQ(paging_look(space, GIB + span).frame, 0x5000);
        CHECK_EQ(pagetable_unmap(space, GIB + span), 0x5000);
        CHECK_EQ(mmu_table_count(space), paging_own_tables(space));
        CHECK_OK(pagetable_check());
        delete_pagetable(space);
        fake_machine_stop();
    }
}
