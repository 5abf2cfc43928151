/*
 * mmu_move_range: random moves in all formats against an array of entries. The second
 * reader's processor keeps what was not flushed; frames may be refused.
 */
#include <kernel/errno.h>
#include <kernel/physical.h>
#include <kernel/virtual.h>
#include <host_test.h>
#include <fake_machine.h>

#include <string.h>

/* Over the end of a gibibyte, where PAE has another table of the level above. */
#define BASE 0x3f800000u

enum { PAGES = 4096, FRAMES = 8, SAMPLES = 24 };

static const char *const formats[] = { "2level", "pae", "long" };

static struct state {
    page_t space;
    page_t frame[FRAMES];
    mmu_entry_t entry[PAGES];       /* without what the processor sets */
    size_t fixed_tables;
    size_t table_pages;             /* that one table maps */
    size_t refused;
    size_t dropped;
    size_t drop_base;
    size_t drop_end;
} state;

static size_t vaddr_of(size_t page)
{
    return BASE + page * PAGE_SIZE;
}

static mmu_entry_t as_written(mmu_entry_t entry)
{
    return entry & ~(mmu_entry_t)(MMU_ACCESSED | MMU_DIRTY);
}

static void start(const char *format, unsigned lacks)
{
    fake_machine_start(&(fake_config_t){ .level = FAKE_PAGING, .format = format,
                                         .lacks = lacks });
    memset(&state, 0, sizeof(state));
    for (size_t i = 0; i < FRAMES; i++)
        state.frame[i] = page_new(OWNER_ANON);
    state.space = create_pagetable();
    CHECK(state.space != PAGE_NONE);
    state.fixed_tables = mmu_table_count(state.space);
    state.table_pages = strcmp(format, "2level") == 0 ? 1024 : 512;
    switch_pagetable(state.space);
}

static mmu_entry_t clear(void *context, size_t vaddr, mmu_entry_t entry)
{
    (void)context, (void)vaddr, (void)entry;
    return 0;
}

static void stop(void)
{
    mmu_change_range(state.space, BASE, PAGES * PAGE_SIZE, clear, NULL);
    CHECK_EQ(mmu_table_count(state.space), state.fixed_tables);
    switch_pagetable(kernel_pagetable());
    delete_pagetable(state.space);
    for (size_t i = 0; i < FRAMES; i++)
        page_release(state.frame[i]);
    fake_machine_stop();
}

/* ---- what must be there */

static size_t tables_needed(void)
{
    size_t tables = state.fixed_tables;
    bool second_gibibyte = false;

    for (size_t first = 0; first < PAGES; first += state.table_pages) {
        size_t i = first;

        while (i < first + state.table_pages && state.entry[i] == 0)
            i++;
        if (i == first + state.table_pages)
            continue;
        tables++;
        second_gibibyte |= vaddr_of(first) >= 0x40000000;
    }
    return tables + (second_gibibyte && state.table_pages == 512);
}

static mmu_entry_t compare(void *context, size_t vaddr, mmu_entry_t entry)
{
    size_t *next = context;
    size_t page = (vaddr - BASE) / PAGE_SIZE;

    for (; *next < page; (*next)++)
        CHECK_EQ(state.entry[*next], 0);
    CHECK_EQ(as_written(entry), state.entry[page]);
    *next = page + 1;
    return entry;
}

/* The processor agrees about one page. */
static void check_access(size_t page)
{
    mmu_entry_t entry = state.entry[page];
    bool present = (entry & MMU_PRESENT) != 0;
    page_t seen;

    CHECK_EQ(fake_user_access(vaddr_of(page), 0), present ? 0 : FAKE_USER);
    if (!present)
        return;
    *(page_t *)fake_ram(mmu_frame(entry)) = mmu_frame(entry);
    CHECK(fake_read(vaddr_of(page), &seen, sizeof(seen)));
    CHECK_EQ(seen, mmu_frame(entry));
}

static void check_all(void)
{
    size_t next = 0;

    /* First: mmu_change_range frees empty tables itself. */
    CHECK_EQ(mmu_table_count(state.space), tables_needed());
    mmu_change_range(state.space, BASE, PAGES * PAGE_SIZE, compare, &next);
    for (; next < PAGES; next++)
        CHECK_EQ(state.entry[next], 0);
    CHECK_OK(pagetable_check());
}

/* ---- steps */

static mmu_entry_t any_entry(void)
{
    mmu_entry_t frame = state.frame[test_random_below(FRAMES)];

    switch (test_random_below(8)) {
    case 0:
        return frame | MMU_HELD | (test_random() & MMU_OBJECT);
    case 1:                                             /* a swap slot */
        return (mmu_entry_t)(1 + test_random_below(1000)) << 12;
    default:
        return frame | MMU_PRESENT | MMU_USER | (test_random() & (MMU_WRITE | MMU_NOEXEC));
    }
}

/* A length: few pages, around a table's, or any. */
static size_t any_length(size_t most)
{
    size_t length = 1 + test_random_below(8);

    switch (test_random_below(4)) {
    case 0:
        length = state.table_pages * (1 + test_random_below(2)) + test_random_below(5) - 2;
        break;
    case 1:
        length = 1 + test_random_below(most);
        break;
    case 2:
        length = 1 + test_random_below(140);
        break;
    }
    return length < most ? length : most;
}

static void step_fill(void)
{
    size_t first = test_random_below(PAGES);
    size_t count = any_length(PAGES - first);
    size_t density = 1 + test_random_below(4) * test_random_below(200);

    for (size_t i = first; i < first + count; i++) {
        mmu_place_t place;

        if (test_random_below(density) != 0)
            continue;
        CHECK_EQ(mmu_make(state.space, vaddr_of(i), &place), 0);
        state.entry[i] = any_entry();
        mmu_set(&place, state.entry[i]);
    }
}

static void step_clear(void)
{
    /* All of it now and then, or no table would be missing any more. */
    bool all = test_random_below(2) != 0;
    size_t first = all ? 0 : test_random_below(PAGES);
    size_t count = all ? PAGES : any_length(PAGES - first);

    mmu_change_range(state.space, vaddr_of(first), count * PAGE_SIZE, clear, NULL);
    memset(&state.entry[first], 0, count * sizeof(state.entry[0]));
}

static mmu_entry_t drop(void *context, size_t vaddr, mmu_entry_t entry)
{
    size_t page = (vaddr - BASE) / PAGE_SIZE;

    CHECK(context == &state);
    CHECK(page >= state.drop_base && page < state.drop_end);
    CHECK_EQ(as_written(entry), state.entry[page]);
    state.drop_base = page + 1;
    state.dropped++;
    return entry;
}

static bool is_empty(size_t first, size_t count)
{
    while (count > 0 && state.entry[first] == 0)
        first++, count--;
    return count == 0;
}

static void move(size_t from, size_t to, size_t count, bool refuse)
{
    size_t expected = 0;
    size_t samples[SAMPLES];
    bool empty = is_empty(to, count);
    int err;

    for (size_t i = 0; i < count; i++)
        expected += state.entry[to + i] != 0;
    for (size_t i = 0; i < SAMPLES; i++) {
        samples[i] = (i % 2 != 0 ? from : to) + test_random_below(count);
        check_access(samples[i]);
    }
    state.dropped = 0;
    state.drop_base = to;
    state.drop_end = to + count;
    if (refuse)
        physical_fail_after(1 + test_random_below(3));
    err = mmu_move_range(state.space, vaddr_of(from), vaddr_of(to), count * PAGE_SIZE,
                         empty && test_random_below(4) != 0 ? NULL : drop, &state);
    physical_fail_after(0);
    if (refuse && err == -ENOMEM) {
        CHECK_EQ(state.dropped, 0);
        state.refused++;
    } else {
        CHECK_EQ(err, 0);
        CHECK_EQ(state.dropped, expected);
        memcpy(&state.entry[to], &state.entry[from], count * sizeof(state.entry[0]));
        memset(&state.entry[from], 0, count * sizeof(state.entry[0]));
    }
    for (size_t i = 0; i < SAMPLES; i++)
        check_access(samples[i]);
}

static void step_move(void)
{
    size_t count = any_length(PAGES / 2);
    size_t from = test_random_below(PAGES - count + 1);
    size_t to = test_random_below(PAGES - count + 1);

    /* Rather what is there to where nothing is. */
    for (size_t i = 0; i < 20 && (is_empty(from, count) || !is_empty(to, count)); i++) {
        from = test_random_below(PAGES - count + 1);
        to = test_random_below(PAGES - count + 1);
    }
    if (test_random_below(3) == 0)          /* equally aligned, as far as that goes */
        to = to / state.table_pages * state.table_pages + from % state.table_pages;
    if (test_random_below(4) == 0)
        from -= from % state.table_pages;
    if (test_random_below(4) == 0)
        to -= to % state.table_pages;
    if (from + count > PAGES || to + count > PAGES || (from < to + count && to < from + count))
        return;
    move(from, to, count, test_random_below(4) == 0);
}

static void random_moves(const char *format, size_t steps)
{
    start(format, 0);
    for (size_t step = 0; step < steps; step++) {
        size_t die = test_random_below(100);

        if (die < 25)
            step_fill();
        else if (die < 40)
            step_clear();
        else if (die < 97)
            step_move();
        else
            switch_pagetable(state.space);
        check_all();
    }
    CHECK(state.refused > steps / 400);
    stop();
}

TEST(mmu_random_moves_2level)
{
    random_moves("2level", test_steps(6000));
}

TEST(mmu_random_moves_pae)
{
    random_moves("pae", test_steps(6000));
}

TEST(mmu_random_moves_long)
{
    random_moves("long", test_steps(6000));
}

/* A table of the source that is also one of the target stays where it is. */
TEST(mmu_moves_between_ranges_that_share_a_table)
{
    for (size_t i = 0; i < ARRAY_LENGTH(formats); i++) {
        static const size_t offsets[] = { 3, 20, 648, 699 };
        size_t base;

        start(formats[i], 0);
        base = 2 * state.table_pages - 624;     /* 624 pages, and 76 of the next table */
        for (size_t k = 0; k < ARRAY_LENGTH(offsets); k++) {
            mmu_place_t place;
            size_t page = base + offsets[k];

            CHECK_EQ(mmu_make(state.space, vaddr_of(page), &place), 0);
            state.entry[page] = state.frame[k] | MMU_PRESENT | MMU_USER;
            mmu_set(&place, state.entry[page]);
        }
        /* The last step has all that its table had, but not what came there since. */
        for (size_t distance = 700; distance <= 1024; distance++) {
            if (base + distance + 700 > PAGES)
                break;
            move(base, base + distance, 700, false);
            check_all();
            move(base + distance, base, 700, false);
            check_all();
        }
        stop();
    }
}

/* Each table that the target needs is refused once: nothing has changed. */
TEST(mmu_moves_all_or_nothing)
{
    for (size_t i = 0; i < ARRAY_LENGTH(formats); i++) {
        size_t refused = 0;
        int err;

        start(formats[i], 0);
        for (size_t page = 0; page < 1200; page += 3) {
            mmu_place_t place;

            CHECK_EQ(mmu_make(state.space, vaddr_of(page), &place), 0);
            state.entry[page] = state.frame[page % FRAMES] | MMU_PRESENT | MMU_USER;
            mmu_set(&place, state.entry[page]);
        }
        do {
            physical_fail_after(refused + 1);
            err = mmu_move_range(state.space, vaddr_of(0), vaddr_of(2500), 1200 * PAGE_SIZE,
                                 NULL, NULL);
            physical_fail_after(0);
            if (err == 0)
                break;
            CHECK_EQ(err, -ENOMEM);
            refused++;
            check_all();
        } while (true);
        CHECK(refused >= 2);
        memcpy(&state.entry[2500], &state.entry[0], 1200 * sizeof(state.entry[0]));
        memset(&state.entry[0], 0, 1200 * sizeof(state.entry[0]));
        check_all();
        stop();
    }
}

/* ---- what it takes */

/* The same frames, and a table more or less: none is made to move a whole one. */
TEST(mmu_moves_whole_tables)
{
    for (size_t i = 0; i < ARRAY_LENGTH(formats); i++) {
        size_t count;
        uint64_t made;

        start(formats[i], 0);
        count = state.table_pages;
        for (size_t page = 0; page < 2 * count; page++) {
            mmu_place_t place;

            CHECK_EQ(mmu_make(state.space, vaddr_of(page), &place), 0);
            state.entry[page] = state.frame[page % FRAMES] | MMU_PRESENT | MMU_USER;
            mmu_set(&place, state.entry[page]);
        }
        made = virtual_events.tables_made;
        fake_reset_events();
        move(0, PAGES / 2, 2 * count, false);
        /* In PAE and long mode the level above is another table there. */
        CHECK_EQ(virtual_events.tables_made - made, count == 512);
        check_all();
        made = virtual_events.tables_made;
        move(PAGES / 2, 0, 2 * count, false);
        CHECK_EQ(virtual_events.tables_made - made, 0);
        check_all();
        /* One page alone in its table takes it along, to any place. */
        mmu_change_range(state.space, vaddr_of(1), (2 * count - 1) * PAGE_SIZE, clear, NULL);
        memset(&state.entry[1], 0, (2 * count - 1) * sizeof(state.entry[0]));
        made = virtual_events.tables_made;
        move(0, count + 7, 1, false);
        move(count + 7, 3, 1, false);
        CHECK_EQ(virtual_events.tables_made - made, 0);
        check_all();
        stop();
    }
}

/* One flush for many pages, one a page for few; none of a space that is not current. */
TEST(mmu_moves_flush_what_was_there)
{
    for (size_t i = 0; i < ARRAY_LENGTH(formats); i++) {
        start(formats[i], 0);
        for (size_t page = 0; page < 600; page++) {
            mmu_place_t place;

            CHECK_EQ(mmu_make(state.space, vaddr_of(page), &place), 0);
            state.entry[page] = state.frame[page % FRAMES] | MMU_PRESENT | MMU_USER;
            mmu_set(&place, state.entry[page]);
        }
        fake_reset_events();
        move(0, 700, 32, false);
        CHECK_EQ(fake_events.cr3_loads, 0);
        CHECK(fake_events.invlpgs >= 32);
        fake_reset_events();
        move(32, 732, 100, false);
        CHECK_EQ(fake_events.cr3_loads, 1);
        switch_pagetable(kernel_pagetable());
        fake_reset_events();
        CHECK_EQ(mmu_move_range(state.space, vaddr_of(700), vaddr_of(0), 100 * PAGE_SIZE, NULL,
                                NULL), 0);
        memcpy(&state.entry[0], &state.entry[700], 100 * sizeof(state.entry[0]));
        memset(&state.entry[700], 0, 100 * sizeof(state.entry[0]));
        CHECK_EQ(fake_events.cr3_loads, 0);
        switch_pagetable(state.space);
        check_all();
        stop();
    }
}
