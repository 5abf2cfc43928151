/*
 * Cloning spaces: who sees which bytes, who has which frames, and what is left when
 * memory runs out on the way.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/kheap.h>
#include <kernel/pagecache.h>
#include <kernel/virtual.h>
#include <space_model.h>

#include <string.h>

/* Page n of these tests; at P(24) another table begins, in every format. */
#define P(n) AT(1000 + (n))

static mspace_t *now;           /* the space that runs */

static bool handle_fault(size_t address, unsigned code)
{
    space_fault = (fault_t){ .address = address, .code = code };
    return fault_handle(now, &space_fault) == FAULT_RESOLVED;
}

/* Let a space run. */
static void run(mspace_t *ms)
{
    now = ms;
    switch_pagetable(ms->directory);
}

static mspace_t *start(const char *format)
{
    mspace_t *ms = space_start(format, 2100);

    fake_set_handler(handle_fault);
    now = ms;
    return ms;
}

static mspace_t *clone_of(mspace_t *ms)
{
    mspace_t *child = mspace_clone(ms);

    CHECK(child != NULL);
    CHECK_OK(mspace_check(ms));
    CHECK_OK(space_check(child));
    return child;
}

static void stop(mspace_t *ms)
{
    run(ms);
    space_stop(ms);
}

static uint8_t byte_of(mspace_t *ms, size_t vaddr)
{
    run(ms);
    return space_byte(vaddr);
}

static bool write_to(mspace_t *ms, size_t vaddr, uint8_t byte)
{
    run(ms);
    return space_write(vaddr, byte);
}

static mmu_entry_t entry_at(const mspace_t *ms, size_t vaddr)
{
    return mmu_read(ms->directory, vaddr);
}

static size_t owners(const mspace_t *ms, size_t vaddr)
{
    return page_count(mmu_frame(entry_at(ms, vaddr)));
}

/* Set or clear flags of the whole area at an address. */
static void set_flags(mspace_t *ms, size_t vaddr, int mask, int flags)
{
    vma_t *vma = mspace_search_vma(ms, vaddr);

    splock_lock(&ms->lock);
    if ((vma->flags & VMA_LOCKED) != 0)
        ms->locked -= vma->length / PAGE_SIZE;
    vma->flags = (vma->flags & ~mask) | flags;
    if ((vma->flags & VMA_LOCKED) != 0)
        ms->locked += vma->length / PAGE_SIZE;
    mspace_merge_range(ms, vma, vma_end(vma));
    splock_unlock(&ms->lock);
}

/* ---- copy on write */

TEST(clone_shares_until_someone_writes)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = start(*format);
        mspace_t *child;

        space_map(ms, P(20), PAGES(8), ANON_RW);
        for (size_t i = 20; i < 28; i++)
            CHECK(write_to(ms, P(i), (uint8_t)i));
        child = clone_of(ms);
        CHECK_EQ(child->v_size, 8);
        CHECK_EQ(child->p_size, 8);
        CHECK_EQ(child->users, 1);
        CHECK_EQ(ms->p_size, 8);
        for (size_t i = 20; i < 28; i++) {
            CHECK_EQ(mmu_frame(entry_at(ms, P(i))), mmu_frame(entry_at(child, P(i))));
            CHECK_EQ(owners(ms, P(i)), 2);
            CHECK_EQ(entry_at(ms, P(i)) & MMU_WRITE, 0);
            CHECK_EQ(entry_at(child, P(i)) & MMU_WRITE, 0);
        }
        /* The parent's old translations are gone. */
        CHECK(write_to(ms, P(20), 120));
        CHECK_EQ(byte_of(child, P(20)), 20);
        CHECK(write_to(child, P(21), 121));
        CHECK_EQ(byte_of(ms, P(21)), 21);
        CHECK_EQ(owners(ms, P(21)), 1);
        /* The last owner takes the frame over. */
        page_t page = mmu_frame(entry_at(ms, P(21)));
        CHECK(write_to(ms, P(21), 221));
        CHECK_EQ(mmu_frame(entry_at(ms, P(21))), page);
        run(ms);
        mspace_close(child);
        page = mmu_frame(entry_at(ms, P(25)));
        CHECK_EQ(owners(ms, P(25)), 1);
        CHECK(write_to(ms, P(25), 225));
        CHECK_EQ(mmu_frame(entry_at(ms, P(25))), page);
        stop(ms);
    }
}

TEST(clone_flushes_what_the_parent_could_write)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = start(*format);
        mspace_t *child;

        space_map(ms, P(20), PAGES(8), ANON_RW);
        physical_watch(false);          /* no visit to the linear space, which would flush */
        for (size_t i = 20; i < 28; i++)
            CHECK(write_to(ms, P(i), (uint8_t)i));
        child = mspace_clone(ms);
        CHECK(child != NULL);
        for (size_t i = 20; i < 28; i++)
            CHECK(space_write(P(i), 99));
        for (size_t i = 20; i < 28; i++)
            CHECK_EQ(byte_of(child, P(i)), i);
        physical_watch(true);
        run(ms);
        mspace_close(child);
        stop(ms);
    }
}

TEST(clone_of_a_clone)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *space[4] = { start(*format) };

        space_map(space[0], P(0), PAGES(2), ANON_RW);
        CHECK(write_to(space[0], P(0), 1));
        for (size_t i = 1; i < 4; i++) {
            space[i] = clone_of(space[i - 1]);
            CHECK_EQ(owners(space[0], P(0)), i + 1);
        }
        for (size_t i = 4; i-- > 1; ) {
            CHECK(write_to(space[i], P(0), (uint8_t)(10 + i)));
            CHECK_EQ(owners(space[0], P(0)), i);
        }
        for (size_t i = 1; i < 4; i++)
            CHECK_EQ(byte_of(space[i], P(0)), 10 + i);
        CHECK_EQ(byte_of(space[0], P(0)), 1);
        for (size_t i = 1; i < 4; i++)
            mspace_close(space[i]);
        stop(space[0]);
    }
}

TEST(clone_and_protect)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = start(*format);
        mspace_t *child;

        space_map(ms, P(0), PAGES(3), ANON_RW);
        for (size_t i = 0; i < 3; i++)
            CHECK(write_to(ms, P(i), 5));
        CHECK_EQ(mspace_protect(ms, P(0), PAGE_SIZE, VMA_RO), 0);
        CHECK_EQ(mspace_protect(ms, P(1), PAGE_SIZE, 0), 0);
        child = clone_of(ms);
        CHECK_EQ(child->p_size, 3);
        CHECK_EQ(entry_at(child, P(1)) & (MMU_PRESENT | MMU_HELD), MMU_HELD);
        /* Writable again: neither may write to the common frame. */
        CHECK_EQ(mspace_protect(ms, P(0), PAGES(3), VMA_RW), 0);
        CHECK_EQ(mspace_protect(child, P(0), PAGES(2), VMA_RW), 0);
        CHECK_OK(space_check(ms));
        CHECK_OK(mspace_check(child));
        for (size_t i = 0; i < 3; i++) {
            CHECK(write_to(ms, P(i), 6));
            CHECK_EQ(byte_of(child, P(i)), 5);
            CHECK(write_to(child, P(i), 7));
            CHECK_EQ(byte_of(ms, P(i)), 6);
        }
        run(ms);
        mspace_close(child);
        stop(ms);
    }
}

TEST(clone_of_pages_that_were_only_read)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = start(*format);
        mspace_t *child;
        test_file_t file;

        test_file_init(&file, "file", PAGES(3) + 100);
        space_map(ms, P(0), PAGES(2), ANON_RW);
        CHECK(mspace_map(ms, P(4), PAGES(4), &file.ino, 0, 0, FILE_RW | VMA_FIXED) != NULL);
        CHECK(mspace_map(ms, P(30), PAGES(4), &file.ino, 0, 0,
                         VMA_FILE | VMA_RO | VMA_SHARED | VMA_FIXED) != NULL);
        CHECK_EQ(byte_of(ms, P(0)), 0);
        CHECK_EQ(byte_of(ms, P(4) + 9), test_file_byte(&file, 9));
        CHECK_EQ(byte_of(ms, P(31)), test_file_byte(&file, PAGE_SIZE));
        CHECK(write_to(ms, P(5), 99));
        child = clone_of(ms);
        CHECK_EQ(child->p_size, 1);
        CHECK_EQ(child->s_size, 1);         /* a shared area's page comes by a fault */
        CHECK_EQ(entry_at(child, P(31)), 0);
        CHECK_EQ(page_count(kMMU.zero_page), 1);
        CHECK_EQ(file.ino.users, 5);
        CHECK(write_to(child, P(0), 1));
        CHECK_EQ(byte_of(ms, P(0)), 0);
        CHECK(write_to(child, P(4) + 9, 1));
        CHECK_EQ(byte_of(ms, P(4) + 9), test_file_byte(&file, 9));
        CHECK_EQ(byte_of(child, P(5)), 99);
        CHECK_EQ(byte_of(child, P(31)), test_file_byte(&file, PAGE_SIZE));
        CHECK_EQ(owners(ms, P(31)), 3);
        CHECK_OK(space_check(child));
        run(ms);
        mspace_close(child);
        CHECK_EQ(file.ino.users, 3);
        CHECK_EQ(mspace_unmap(ms, P(0), PAGES(40)), 0);
        inode_release(&file.ino);
        CHECK_EQ(file.released, 1);
        stop(ms);
    }
}

/* ---- areas */

TEST(clone_keeps_what_an_area_says)
{
    mspace_t *ms = start("pae");
    mspace_t *child;

    /* leave out | lock | as it is | wipe | dead */
    space_map(ms, P(0), PAGES(2), ANON_RW | VMA_RESOLVE);
    space_map(ms, P(4), PAGES(2), ANON_RO | VMA_RESOLVE);
    space_map(ms, P(6), PAGES(2), ANON_RW | VMA_RESOLVE);
    set_flags(ms, P(0), VMA_ADVICE, VMA_DONT_FORK);
    set_flags(ms, P(6), 0, VMA_LOCKED | VMA_LOCK_ON_FAULT);
    space_map(ms, P(8), PAGES(2), ANON_RW | VMA_RESOLVE);
    space_map(ms, P(12), PAGES(2), ANON_RW);
    set_flags(ms, P(12), VMA_ADVICE, VMA_WIPE_ON_FORK);
    CHECK(write_to(ms, P(12), 12));
    space_map(ms, P(40), PAGES(2), ANON_RW | VMA_RESOLVE);
    CHECK_EQ(mspace_kill(ms, P(40), PAGES(2)), 0);
    CHECK_EQ(ms->tree.count, 6);
    child = clone_of(ms);
    CHECK(mspace_search_vma(child, P(0)) == NULL);
    CHECK(mspace_search_vma(child, P(40)) == NULL);
    CHECK_AREA(child, P(4), PAGES(2));
    CHECK_AREA(child, P(6), PAGES(4));      /* one area without the lock */
    CHECK_EQ(mspace_search_vma(child, P(6))->flags & (VMA_LOCKED | VMA_LOCK_ON_FAULT), 0);
    CHECK((mspace_search_vma(ms, P(6))->flags & VMA_LOCKED) != 0);
    CHECK_AREA(child, P(12), PAGES(2));
    CHECK_EQ(child->v_size, 8);
    CHECK_EQ(child->p_size, 4);
    CHECK_EQ(byte_of(child, P(12)), 0);
    CHECK_EQ(byte_of(ms, P(12)), 12);
    CHECK_EQ(owners(ms, P(0)), 1);
    /* The flag itself is handed on. */
    CHECK((mspace_search_vma(child, P(12))->flags & VMA_WIPE_ON_FORK) != 0);
    run(ms);
    mspace_close(child);
    stop(ms);
}

TEST(clone_copies_bounds_break_and_stack)
{
    mspace_t *ms = start("2level");
    mspace_t *child;

    ms->map_base = P(100);
    ms->break_start = P(0);
    ms->break_end = P(0);
    CHECK_EQ(mspace_break(ms, P(3) + 5), 0);
    CHECK_EQ(mspace_set_stack(ms, P(900), PAGES(2), PAGES(64)), 0);
    CHECK(write_to(ms, P(899), 1));
    CHECK(write_to(ms, P(1), 2));
    child = clone_of(ms);
    CHECK_EQ(child->lower_bound, ms->lower_bound);
    CHECK_EQ(child->upper_bound, ms->upper_bound);
    CHECK_EQ(child->map_base, P(100));
    CHECK_EQ(child->break_start, P(0));
    CHECK_EQ(child->break_end, P(3) + 5);
    CHECK_EQ(child->stack_base, ms->stack_base);
    CHECK_EQ(child->stack_end, P(900));
    /* Both grow for themselves. */
    CHECK(write_to(child, P(890), 3));
    CHECK_EQ(mspace_break(child, P(5)), 0);
    CHECK(mspace_search_vma(ms, P(890)) == NULL);
    CHECK_EQ(ms->break_end, P(3) + 5);
    CHECK_EQ(byte_of(child, P(899)), 1);
    CHECK_EQ(byte_of(child, P(1)), 2);
    CHECK_OK(space_check(child));
    run(ms);
    mspace_close(child);
    stop(ms);
}

TEST(clone_of_an_empty_space)
{
    mspace_t *ms = start("pae");
    mspace_t *child = clone_of(ms);

    CHECK_EQ(child->phys_pg_count, mmu_table_count(child->directory));
    CHECK_EQ(child->tree.count, 0);
    mspace_close(child);
    stop(ms);
}

TEST(clone_shows_physical_memory_uncounted)
{
    mspace_t *ms = start("2level");
    page_t frame = page_range(2, PAGE_SIZE, 0, OWNER_BOOT);
    mspace_t *child;

    CHECK(mspace_map(ms, P(4), PAGES(2), NULL, (off_t)frame, 0,
                     VMA_PHYS | VMA_RW | VMA_FIXED) != NULL);
    space_map(ms, P(2), PAGES(2), ANON_RW | VMA_RESOLVE);
    space_map(ms, P(6), PAGES(2), ANON_RW | VMA_RESOLVE);
    CHECK(write_to(ms, P(4), 44));
    child = clone_of(ms);
    CHECK_EQ(child->p_size, 4);
    CHECK_EQ(child->s_size, 0);
    CHECK_EQ(byte_of(child, P(4)), 44);
    CHECK(write_to(child, P(4), 45));
    CHECK_EQ(byte_of(ms, P(4)), 45);
    CHECK_EQ(page_count(frame), 1);
    mspace_close(child);
    CHECK_EQ(mspace_unmap(ms, P(4), PAGES(2)), 0);
    CHECK_EQ(page_release(frame), 0);
    CHECK_EQ(page_release(frame + PAGE_SIZE), 0);
    stop(ms);
}

/* ---- counts that would stick */

TEST(clone_copies_a_frame_that_has_too_many_owners)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = start(*format);
        mspace_t *child;
        frame_t *own, *cached;
        test_file_t file;

        test_file_init(&file, "file", PAGES(1));
        space_map(ms, P(0), PAGES(1), ANON_RW);
        CHECK(mspace_map(ms, P(2), PAGE_SIZE, &file.ino, 0, 0, FILE_RW | VMA_FIXED) != NULL);
        CHECK(write_to(ms, P(0) + 7, 7));
        CHECK_EQ(byte_of(ms, P(2)), test_file_byte(&file, 0));
        own = physical_frame(mmu_frame(entry_at(ms, P(0))));
        cached = physical_frame(mmu_frame(entry_at(ms, P(2))));
        own->count += PHYSICAL_SHARES - 1;
        cached->count += PHYSICAL_SHARES - 2;
        physical_fail_after(4);             /* directory and tables, then the copy */
        while ((child = mspace_clone(ms)) == NULL)
            ;
        physical_fail_after(0);
        CHECK_EQ(own->count, PHYSICAL_SHARES);
        CHECK_EQ(cached->count, PHYSICAL_SHARES);
        own->count -= PHYSICAL_SHARES - 1;
        cached->count -= PHYSICAL_SHARES - 2;
        CHECK_OK(space_check(ms));
        CHECK_OK(mspace_check(child));
        CHECK_EQ(child->p_size, 1);
        CHECK_EQ(child->s_size, 0);
        CHECK_EQ(byte_of(child, P(0) + 7), 7);
        CHECK_EQ(byte_of(child, P(2)), test_file_byte(&file, 0));
        mspace_close(ms);
        CHECK(write_to(child, P(0) + 7, 8));
        CHECK_EQ(mspace_unmap(child, P(2), PAGE_SIZE), 0);
        inode_release(&file.ino);
        stop(child);
    }
}

/* ---- no memory */

typedef struct refusal {
    mspace_t *mspace;
    mspace_t *child;
    test_file_t file;
} refusal_t;

static int attempt(void *context)
{
    refusal_t *r = context;

    r->child = mspace_clone(r->mspace);
    return r->child != NULL ? 0 : -ENOMEM;
}

static void undo(void *context)
{
    mspace_close(((refusal_t *)context)->child);
}

/* The space is as it was. */
static const char *check_refusal(void *context)
{
    refusal_t *r = context;
    mspace_t *ms = r->mspace;

    if (ms->tree.count != 5 || ms->v_size != 40 || ms->p_size != 26 || ms->s_size != 0)
        return "the space is not what it was";
    if (r->file.ino.users != 2)
        return "the file has other users than before";
    if (owners(ms, P(10)) != 1)
        return "a frame has other owners than before";
    return mspace_check(ms);
}

static void refusal_init(refusal_t *r, const char *format)
{
    *r = (refusal_t){ .mspace = start(format) };
    test_file_init(&r->file, "file", PAGES(4));
    space_map(r->mspace, P(10), PAGES(20), ANON_RW | VMA_RESOLVE);
    space_map(r->mspace, P(32), PAGES(2), ANON_RW | VMA_RESOLVE);
    CHECK(mspace_map(r->mspace, P(40), PAGES(4), &r->file.ino, 0, 0,
                     FILE_RW | VMA_RESOLVE) != NULL);
    space_map(r->mspace, P(50), PAGES(10), ANON_RW);
    space_map(r->mspace, P(0), PAGES(4), ANON_RO);
    CHECK_OK(check_refusal(r));
}

TEST(clone_survives_every_refused_frame)
{
    FOR_EACH_FORMAT(format) {
        refusal_t r;

        refusal_init(&r, *format);
        for (int round = 0; round < 2; round++) {
            CHECK_EQ(attempt(&r), 0);
            undo(&r);
        }
        /* Untouched by a failure: entries change last. */
        CHECK(write_to(r.mspace, P(12), 12));
        physical_fail_after(2);
        CHECK_EQ(attempt(&r), -ENOMEM);
        CHECK((entry_at(r.mspace, P(12)) & MMU_WRITE) != 0);
        CHECK(fake_failure_sweep(attempt, undo, check_refusal, &r) >= 3);
        CHECK_EQ(mspace_unmap(r.mspace, P(40), PAGES(4)), 0);
        inode_release(&r.file.ino);
        stop(r.mspace);
    }
}

/* A promise for each page that the child may write to: whole, or none. */
TEST(clone_is_charged)
{
    mspace_t *ms = start("pae");
    mspace_t *child;
    size_t others;

    space_map(ms, P(0), PAGES(4), ANON_RW);
    space_map(ms, P(8), PAGES(4), ANON_RO);
    space_map(ms, P(16), PAGES(3), ANON_RW | VMA_RESOLVE);
    CHECK_EQ(commit_set("strict"), 0);
    others = commit_limit() - commit.charged - 6;
    commit.charged += others;
    CHECK(mspace_clone(ms) == NULL);
    CHECK_EQ(ms->charged, 7);
    CHECK_EQ(commit.charged, others + 7);
    CHECK_OK(space_check(ms));
    commit_return(1);
    child = clone_of(ms);
    CHECK_EQ(child->charged, 7);
    CHECK_EQ(commit.charged, commit_limit());
    run(ms);
    mspace_close(child);
    commit_return(others - 1);
    CHECK_EQ(commit.charged, 7);
    stop(ms);
}

TEST(clone_survives_every_refused_buffer)
{
    refusal_t r;
    int err = -ENOMEM;
    size_t refused = 0;

    refusal_init(&r, "pae");
    CHECK_EQ(attempt(&r), 0);
    undo(&r);
    for (size_t count = 0; err != 0; count++) {
        space_starve_heap(count, sizeof(mspace_t));
        err = attempt(&r);
        space_feed_heap();
        if (err == 0)
            undo(&r);
        else
            refused++;
        CHECK_OK(check_refusal(&r));
        CHECK_OK(memory_check());
    }
    CHECK(refused >= 3 && refused <= 6);        /* the space, and five areas */
    CHECK_EQ(mspace_unmap(r.mspace, P(40), PAGES(4)), 0);
    inode_release(&r.file.ino);
    stop(r.mspace);
}

/* ---- random families, against a model of who sees which bytes */

enum { FAMILY = 6, COUNT = 48 };

typedef enum content { C_NONE, C_ANON, C_FILE, C_SHARED, C_PHYS, C_DEAD } content_t;

typedef struct family {
    mspace_t *ms;               /* NULL: none */
    struct {
        content_t content;
        int rights;
        int advice;
        uint8_t value;          /* of the byte at probe() */
    } page[COUNT];
} family_t;

typedef struct world {
    family_t space[FAMILY];
    test_file_t file;
    page_t frames;              /* COUNT of them */
    uint8_t frame_value[COUNT];
} world_t;

static size_t probe(size_t page)
{
    return P(page) + page * 37;
}

/* A map of random kind over [page, page + count), which is free. */
static void random_map(world_t *w, family_t *f, size_t page, size_t count)
{
    static const int rights[] = { VMA_RO, VMA_RW, VMA_RW, VMA_RX, 0 };
    content_t content = C_ANON + (content_t)test_random_below(4);
    int right = rights[test_random_below(ARRAY_LENGTH(rights))];
    int flags = right | VMA_CAPABILITIES | VMA_FIXED;
    inode_t *ino = NULL;
    off_t offset = 0;
    void *place;

    if (content == C_SHARED || content == C_FILE) {
        ino = &w->file.ino;
        offset = (off_t)PAGES(page);
    }
    if (content == C_SHARED) {
        right = VMA_RO;
        flags = VMA_FILE | VMA_SHARED | VMA_RO | VMA_FIXED;
    } else if (content == C_PHYS) {
        right = VMA_RW;
        offset = (off_t)(w->frames + PAGES(page));
        flags = VMA_PHYS | VMA_RW | VMA_FIXED;
    } else {
        flags |= content == C_ANON ? VMA_ANON : VMA_FILE;
    }
    place = mspace_map(f->ms, P(page), PAGES(count), ino, offset, 0, flags);
    CHECK(place != NULL);
    for (size_t i = page; i < page + count; i++) {
        off_t at = (off_t)(probe(i) - P(0));

        f->page[i].content = content;
        f->page[i].rights = right;
        f->page[i].advice = 0;
        f->page[i].value = ino != NULL ? test_file_byte(&w->file, at) : 0;
    }
}

static void random_protect(family_t *f, size_t page, size_t count)
{
    static const int rights[] = { 0, VMA_RO, VMA_RW };
    int right = rights[test_random_below(3)];
    int err = mspace_protect(f->ms, P(page), PAGES(count), right);

    if (err != 0)
        return;
    for (size_t i = page; i < page + count; i++)
        f->page[i].rights = right;
}

static void random_advice(family_t *f, size_t page)
{
    static const int advices[] = { 0, VMA_DONT_FORK, VMA_WIPE_ON_FORK };
    int advice = advices[test_random_below(3)];
    vma_t *vma = mspace_search_vma(f->ms, P(page));

    if (vma == NULL || f->page[page].content != C_ANON)
        return;
    for (size_t at = vma_base(vma); at < vma_end(vma); at += PAGE_SIZE)
        f->page[(at - P(0)) >> PAGE_SHIFT].advice = advice;
    set_flags(f->ms, P(page), VMA_ADVICE | VMA_LOCKED,
              advice | (test_random_below(4) == 0 ? VMA_LOCKED : 0));
}

static void random_access(world_t *w, family_t *f, size_t page)
{
    content_t content = f->page[page].content;
    bool there = content != C_NONE && content != C_DEAD;
    uint8_t byte = (uint8_t)test_random();
    uint8_t *value = content == C_PHYS ? &w->frame_value[page] : &f->page[page].value;

    run(f->ms);
    if (test_random_below(2) == 0) {
        bool may = there && (f->page[page].rights & VMA_WRITE) != 0;

        CHECK_EQ(space_write(probe(page), byte), may);
        if (may)
            *value = byte;
    } else {
        bool may = there && f->page[page].rights != 0;

        CHECK_EQ(space_read(probe(page), &byte), may);
        if (may)
            CHECK_EQ(byte, *value);
    }
}

static void random_clone(world_t *w, family_t *f)
{
    family_t *child = &w->space[test_random_below(FAMILY)];

    if (child->ms != NULL)
        return;
    *child = *f;
    child->ms = mspace_clone(f->ms);
    CHECK(child->ms != NULL);
    for (size_t i = 0; i < COUNT; i++) {
        if (child->page[i].content == C_DEAD || child->page[i].advice == VMA_DONT_FORK)
            child->page[i].content = C_NONE;
        if (child->page[i].advice == VMA_WIPE_ON_FORK)
            child->page[i].value = 0;
    }
}

static void forget(family_t *f, size_t page, size_t count, content_t content)
{
    for (size_t i = page; i < page + count; i++)
        if (content == C_NONE || f->page[i].content != C_NONE)
            f->page[i].content = content;
}

static void random_end(world_t *w, family_t *f)
{
    size_t others = 0;

    for (size_t i = 0; i < FAMILY; i++)
        others += &w->space[i] != f && w->space[i].ms != NULL;
    if (others == 0)
        return;
    switch_pagetable(kernel_pagetable());
    mspace_close(f->ms);
    f->ms = NULL;
}

static void random_step(world_t *w)
{
    family_t *f = &w->space[test_random_below(FAMILY)];
    size_t page = test_random_below(COUNT);
    size_t count = 1 + test_random_below(COUNT - page < 12 ? COUNT - page : 12);

    if (f->ms == NULL)
        return;
    switch (test_random_below(20)) {
    case 0: case 1: case 2:
        CHECK_EQ(mspace_unmap(f->ms, P(page), PAGES(count)), 0);
        forget(f, page, count, C_NONE);
        random_map(w, f, page, count);
        break;
    case 3:
        CHECK_EQ(mspace_unmap(f->ms, P(page), PAGES(count)), 0);
        forget(f, page, count, C_NONE);
        break;
    case 4:
        CHECK_EQ(mspace_kill(f->ms, P(page), PAGES(count)), 0);
        forget(f, page, count, C_DEAD);
        break;
    case 5: case 6:
        random_protect(f, page, count);
        break;
    case 7:
        random_advice(f, page);
        break;
    case 8: case 9:
        random_clone(w, f);
        break;
    case 10:
        random_end(w, f);
        break;
    default:
        random_access(w, f, page);
        break;
    }
}

/* Read everything that can be read, everywhere. */
static void compare_all(world_t *w)
{
    for (size_t s = 0; s < FAMILY; s++) {
        family_t *f = &w->space[s];

        for (size_t i = 0; f->ms != NULL && i < COUNT; i++) {
            content_t content = f->page[i].content;
            uint8_t byte;

            if (content == C_NONE || content == C_DEAD || f->page[i].rights == 0)
                continue;
            run(f->ms);
            CHECK(space_read(probe(i), &byte));
            CHECK_EQ(byte, content == C_PHYS ? w->frame_value[i] : f->page[i].value);
        }
    }
}

static void check_world(world_t *w)
{
    for (size_t s = 0; s < FAMILY; s++)
        if (w->space[s].ms != NULL)
            CHECK_OK(mspace_check(w->space[s].ms));
    CHECK_OK(fake_machine_check());
    CHECK_OK(memory_check());
}

static void run_family(const char *format)
{
    static world_t world;
    world_t *w = &world;
    mspace_t *last = NULL;
    size_t steps = test_steps(4000);

    memset(w, 0, sizeof(*w));
    w->space[0].ms = start(format);
    w->frames = page_range(COUNT, PAGE_SIZE, 0, OWNER_BOOT);
    CHECK(w->frames != PAGE_NONE);
    for (size_t i = 0; i < COUNT; i++)
        memset(fake_ram(w->frames + PAGES(i)), 0, PAGE_SIZE);
    test_file_init(&w->file, "file", PAGES(COUNT));
    for (size_t step = 0; step < steps; step++) {
        random_step(w);
        check_world(w);
        if (step % 128 == 0)
            compare_all(w);
    }
    compare_all(w);
    switch_pagetable(kernel_pagetable());
    for (size_t s = 0; s < FAMILY; s++) {
        if (w->space[s].ms == NULL)
            continue;
        if (last != NULL)
            mspace_close(last);
        last = w->space[s].ms;
    }
    mspace_sweep(last);
    inode_release(&w->file.ino);
    CHECK_EQ(w->file.released, 1);
    for (size_t i = 0; i < COUNT; i++)
        CHECK_EQ(page_release(w->frames + PAGES(i)), 0);
    stop(last);
}

TEST(clone_random_families_2level)
{
    run_family("2level");
}

TEST(clone_random_families_pae)
{
    run_family("pae");
}

TEST(clone_random_families_long)
{
    if (sizeof(size_t) == 4)
        test_skip("long mode needs a 64-bit host");
    run_family("long");
}
