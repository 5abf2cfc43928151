/*
 * Address spaces when a frame, a buffer or a page of a file cannot be had: nothing is
 * lost, and nothing is left half done.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/pagecache.h>
#include <kernel/printk.h>
#include <space.h>

/* Page n of these tests: they have ten pages from F(0); at F(14) another table begins. */
#define F(n) AT(1010 + (n))

typedef struct failure {
    const char *name;
    mspace_t *mspace;
    test_file_t file;
    int (*attempt)(struct failure *failure);
    void (*undo)(struct failure *failure);
    size_t in_use;
    size_t v_size;
    size_t areas;
    void *address;
} failure_t;

static int result_of(void *address)
{
    return address != NULL ? 0 : -*host_errno();
}

static int attempt_map(failure_t *f)
{
    return result_of(mspace_map(f->mspace, F(60), PAGES(3), NULL, 0, 0, ANON_RW));
}

static int attempt_map_resolved(failure_t *f)
{
    /* Next to an area that it merges with: the failure must not cut that one. */
    return result_of(mspace_map(f->mspace, F(10), PAGES(20), NULL, 0, 0,
                                ANON_RW | VMA_RESOLVE));
}

static int attempt_map_file(failure_t *f)
{
    int err = result_of(mspace_map(f->mspace, F(60), PAGES(4), &f->file.ino, 0, 6000,
                                   FILE_RW | VMA_RESOLVE));

    pagecache_drop(&f->file.ino);
    return err;
}

static void undo_all(failure_t *f)
{
    CHECK_EQ(mspace_unmap(f->mspace, F(10), PAGES(980)), 0);
    pagecache_drop(&f->file.ino);
}

static int attempt_replace(failure_t *f)
{
    return result_of(mspace_replace(f->mspace, F(3), PAGES(2), NULL, 0, 0, ANON_RO));
}

static int attempt_replace_resolved(failure_t *f)
{
    int err = result_of(mspace_replace(f->mspace, F(3), PAGES(30), &f->file.ino, 0, 6000,
                                       FILE_RW | VMA_RESOLVE));

    if (err != 0)
        pagecache_drop(&f->file.ino);
    return err;
}

static void undo_replace(failure_t *f)
{
    CHECK_EQ(mspace_unmap(f->mspace, F(0), PAGES(990)), 0);
    pagecache_drop(&f->file.ino);
    space_map(f->mspace, F(0), PAGES(10), ANON_RW | VMA_RESOLVE);
}

static int attempt_unmap(failure_t *f)
{
    return mspace_unmap(f->mspace, F(3), PAGES(2));
}

static int attempt_protect(failure_t *f)
{
    return mspace_protect(f->mspace, F(3), PAGES(2), VMA_RO);
}

static void undo_protect(failure_t *f)
{
    CHECK_EQ(mspace_protect(f->mspace, F(3), PAGES(2), VMA_RW), 0);
}

static int attempt_kill(failure_t *f)
{
    return mspace_kill(f->mspace, F(3), PAGES(2));
}

static int attempt_break(failure_t *f)
{
    f->mspace->break_start = f->mspace->break_end = F(60);
    return mspace_break(f->mspace, F(63));
}

static int attempt_shrink(failure_t *f)
{
    f->mspace->break_start = F(1);
    f->mspace->break_end = F(8);
    return mspace_break(f->mspace, F(2));
}

static int attempt_stack(failure_t *f)
{
    int err = mspace_set_stack(f->mspace, F(900), PAGES(10), PAGES(100));

    CHECK_EQ(f->mspace->stack_base, err == 0 ? F(800) : 0);
    return err;
}

static void undo_stack(failure_t *f)
{
    CHECK_EQ(mspace_unmap(f->mspace, F(890), PAGES(10)), 0);
    f->mspace->stack_base = f->mspace->stack_end = 0;
}

static int attempt_resolve(failure_t *f)
{
    int err;

    if (mspace_map(f->mspace, F(11), PAGES(20), NULL, 0, 0, ANON_RW) == NULL)
        return -*host_errno();
    err = mspace_resolve(f->mspace, F(12) + 5, PAGES(18), true);
    /* What is done so far stays: take it out to compare. */
    CHECK_EQ(mspace_unmap(f->mspace, F(11), PAGES(20)), 0);
    return err;
}

static int attempt_create(failure_t *f)
{
    f->address = mspace_create();
    return f->address != NULL ? 0 : -ENOMEM;
}

static void undo_create(failure_t *f)
{
    mspace_close(f->address);
}

static int attempt_kmap(failure_t *f)
{
    f->address = kmap(PAGES(20), 0, VMA_PIPE | VMA_RW);
    return result_of(f->address);
}

static int attempt_kmap_phys(failure_t *f)
{
    f->address = kmap(PAGES(20), 0, VMA_PHYS | VMA_RW);
    return result_of(f->address);
}

static void undo_kmap(failure_t *f)
{
    kunmap(f->address, PAGES(20));
}

static const struct {
    const char *name;
    int (*attempt)(failure_t *failure);
    void (*undo)(failure_t *failure);
    size_t frames;          /* at least so many allocations of frames can fail */
    size_t buffers;         /* exactly so many buffers of an area's size are needed */
} failures[] = {
    { "map", attempt_map, undo_all, 0, 1 },
    { "map resolved", attempt_map_resolved, undo_all, 20, 1 },
    { "map a file", attempt_map_file, undo_all, 4, 1 },
    { "replace", attempt_replace, undo_replace, 0, 2 },
    { "replace resolved", attempt_replace_resolved, undo_replace, 30, SIZE_MAX },
    { "unmap", attempt_unmap, undo_replace, 0, 1 },
    { "protect", attempt_protect, undo_protect, 0, 2 },
    { "kill", attempt_kill, undo_replace, 0, 2 },
    { "break", attempt_break, undo_all, 0, 1 },
    { "shrink", attempt_shrink, undo_replace, 0, 1 },
    { "stack", attempt_stack, undo_stack, 0, 1 },
    { "resolve", attempt_resolve, NULL, 19, SIZE_MAX },
    { "create", attempt_create, undo_create, 1, SIZE_MAX },
    { "kmap", attempt_kmap, undo_kmap, 20, 1 },
    { "kmap phys", attempt_kmap_phys, undo_kmap, 0, 1 },
};

static int sweep_attempt(void *context)
{
    failure_t *f = context;

    return f->attempt(f);
}

static void sweep_undo(void *context)
{
    failure_t *f = context;

    f->undo(f);
}

/* The space is as it was: ten pages of one area, all there. */
static const char *check_space(const failure_t *f)
{
    mspace_t *ms = f->mspace;
    const char *wrong = mspace_check(ms);

    if (wrong == NULL)
        wrong = mspace_check(kMMU.kspace);
    if (wrong != NULL)
        return wrong;
    if (ms->v_size != f->v_size || ms->tree.count != f->areas || ms->p_size != 10)
        return "the space is not what it was";
    if (ms->phys_pg_count != f->in_use)
        return "the space has other page tables than before";
    if (f->file.ino.users != 1)
        return "the file has other users than before";
    return NULL;
}

static const char *sweep_check(void *context)
{
    static char sentence[200];
    const failure_t *f = context;
    const char *wrong = check_space(f);

    if (wrong == NULL)
        return NULL;
    format_text(sentence, sizeof(sentence), "%s: %s", f->name, wrong);
    return sentence;
}

static void failure_init(failure_t *f, const char *format, size_t i)
{
    fake_config_t config = { .level = FAKE_MEMORY, .format = format, .megabytes = 4 };

    *f = (failure_t){
        .mspace = space_start_on(&config, 2000),
        .name = failures[i].name,
        .attempt = failures[i].attempt,
        .undo = failures[i].undo,
    };
    test_file_init(&f->file, "file", PAGES(4));
    space_map(f->mspace, F(0), PAGES(10), ANON_RW | VMA_RESOLVE);
    f->in_use = f->mspace->phys_pg_count;
    f->v_size = f->mspace->v_size;
    f->areas = f->mspace->tree.count;
    /* Once without failures, so that the heap has its pages, the file its slots
     * and the kernel its tables. */
    for (int round = 0; round < 2; round++) {
        CHECK_EQ(f->attempt(f), 0);
        if (f->undo != NULL)
            f->undo(f);
        CHECK_OK(sweep_check(f));
    }
}

TEST(mspace_survives_every_refused_frame)
{
    FOR_EACH_FORMAT(format) {
        for (size_t i = 0; i < ARRAY_LENGTH(failures); i++) {
            failure_t f;
            size_t refused;

            failure_init(&f, *format, i);
            refused = fake_failure_sweep(sweep_attempt, f.undo != NULL ? sweep_undo : NULL,
                                         sweep_check, &f);
            if (refused < failures[i].frames)
                test_fail(__FILE__, __LINE__, "%s: %zu frames were refused", failures[i].name,
                          refused);
            inode_release(&f.file.ino);
            space_stop(f.mspace);
        }
    }
}

TEST(mspace_survives_every_refused_buffer)
{
    for (size_t i = 0; i < ARRAY_LENGTH(failures); i++) {
        failure_t f;

        if (failures[i].buffers == SIZE_MAX)
            continue;
        failure_init(&f, "2level", i);
        for (size_t count = 0; count <= failures[i].buffers; count++) {
            int err;

            space_drop_spares(f.mspace);
            space_starve_heap(count, sizeof(vma_t));
            err = f.attempt(&f);
            space_feed_heap();
            if (err != (count < failures[i].buffers ? -ENOMEM : 0))
                test_fail(__FILE__, __LINE__, "%s with %zu buffers is %d", failures[i].name,
                          count, err);
            if (err == 0)
                f.undo(&f);
            CHECK_OK(sweep_check(&f));
            CHECK_EQ(space_byte(F(9)), 0);
        }
        inode_release(&f.file.ino);
        space_stop(f.mspace);
    }
}

TEST(mspace_map_resolved_passes_on_a_read_error)
{
    mspace_t *ms = space_start("2level", 32);
    test_file_t file;

    test_file_init(&file, "file", PAGES(4));
    space_map(ms, AT(0), PAGES(2), ANON_RW | VMA_RESOLVE);
    file.error = -EIO;
    file.fail_index = 2;
    CHECK(mspace_map(ms, AT(2), PAGES(4), &file.ino, 0, 0, FILE_RW | VMA_RESOLVE) == NULL);
    CHECK_EQ(*host_errno(), EIO);
    CHECK(mspace_replace(ms, AT(0), PAGES(4), &file.ino, 0, 0, FILE_RO | VMA_RESOLVE) == NULL);
    CHECK_EQ(*host_errno(), EIO);
    CHECK_EQ(ms->tree.count, 1);
    CHECK_EQ(ms->p_size, 2);
    CHECK_EQ(ms->s_size, 0);
    CHECK_EQ(file.ino.users, 1);
    CHECK_OK(mspace_check(ms));
    inode_release(&file.ino);
    space_stop(ms);
}
