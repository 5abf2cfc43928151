/*
 * mspace_remap when memory runs out: each frame and each buffer is refused once, for
 * every form of the call and every kind of area, and everything must be as it was.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/pagecache.h>
#include <kernel/printk.h>
#include <kernel/virtual.h>
#include <space_model.h>

#include <string.h>

#define TO (REMAP_MAY_MOVE | REMAP_FIXED)

/* Page n of these tests: the area has ten pages from F(0); at F(14) another table begins. */
#define F(n) AT(1010 + (n))

static const struct form {
    const char *name;
    size_t old, old_count, new_count;   /* pages from F(0) */
    size_t to;                          /* F(to); 0: none */
    int flags;
    size_t frames;                      /* at least so many can be refused */
    size_t buffers;                     /* exactly so many are needed */
} forms[] = {
    { "same", 0, 10, 10, 0, 0, 0, 0 },
    { "shrink", 0, 10, 4, 0, 0, 0, 0 },
    { "shrink in the middle", 2, 5, 1, 0, 0, 0, 1 },
    { "grow", 0, 10, 20, 0, 0, 0, 0 },
    { "grow and move", 3, 4, 6, 0, REMAP_MAY_MOVE, 0, 2 },
    { "the end, longer", 3, 7, 900, 1200, TO, 1, 1 },
    { "slide", 0, 10, 10, 400, TO, 0, 0 },
    { "slide over two tables", 0, 10, 10, 1038 - 5, TO, 1, 0 },
    { "the middle, far away", 3, 4, 4, 1200, TO, 1, 2 },
    { "the middle, over two tables", 3, 4, 4, 1038 - 2, TO, 1, 2 },
    { "the start", 0, 4, 4, 1200, TO, 1, 1 },
    { "shorter", 3, 6, 2, 1200, TO, 1, 2 },
    { "over its own area", 1, 2, 2, 6, TO, 0, 3 },
    { "over its own end, longer", 1, 2, 4, 8, TO, 0, 2 },
    { "dontunmap", 3, 4, 4, 0, REMAP_MAY_MOVE | REMAP_DONT_UNMAP, 0, 1 },
    { "dontunmap, fixed", 3, 4, 4, 1200, TO | REMAP_DONT_UNMAP, 1, 1 },
};

static const struct kind {
    const char *name;
    int flags;
    bool file;
} kinds[] = {
    { "anon", ANON_RW, false },
    { "no rights", ANON_RW, false },
    { "heap", VMA_HEAP_SEGMENT | VMA_CAPABILITIES, false },
    { "file", FILE_RW, true },
    { "shared file", VMA_FILE | VMA_SHARED | VMA_READ, true },
};

typedef struct failure {
    const struct form *form;
    const struct kind *kind;
    mspace_t *mspace;
    test_file_t file;
    mmu_entry_t entry[10];
    size_t counters[5];
    uint8_t byte[10];
} failure_t;

static void count(const mspace_t *ms, size_t *counters)
{
    counters[0] = ms->v_size;
    counters[1] = ms->p_size;
    counters[2] = ms->s_size;
    counters[3] = ms->phys_pg_count;
    counters[4] = ms->tree.count;
}

static int attempt(void *context)
{
    const failure_t *f = context;
    const struct form *form = f->form;

    return mspace_remap(f->mspace, F(form->old), PAGES(form->old_count), PAGES(form->new_count),
                        form->to != 0 ? F(form->to) : 0, form->flags) != NULL
           ? 0 : -*host_errno();
}

/* The area, each page of it in memory. */
static void set_up(failure_t *f)
{
    mspace_t *ms = f->mspace;

    CHECK_EQ(mspace_unmap(ms, AT(0), PAGES(4000)), 0);
    CHECK(mspace_map(ms, F(0), PAGES(10), f->kind->file ? &f->file.ino : NULL, 0, 0,
                     f->kind->flags | VMA_FIXED | VMA_RESOLVE) != NULL);
    if (f->kind == &kinds[1])
        CHECK_EQ(mspace_protect(ms, F(0), PAGES(10), 0), 0);
}

static void undo(void *context)
{
    set_up(context);
}

static const char *check_as_before(const failure_t *f)
{
    size_t counters[5];
    const char *wrong = mspace_check(f->mspace);

    if (wrong != NULL)
        return wrong;
    count(f->mspace, counters);
    if (memcmp(counters, f->counters, sizeof(counters)) != 0)
        return "the counters are not what they were";
    for (size_t i = 0; i < 10; i++)
        if (((mmu_read(f->mspace->directory, F(i)) ^ f->entry[i]) & MMU_PRESENT) != 0 ||
            (mmu_read(f->mspace->directory, F(i)) == 0) != (f->entry[i] == 0))
            return "an entry is not what it was";
    if (f->file.ino.users != (f->kind->file ? 2 : 1))
        return "the file has other users than before";
    return NULL;
}

static const char *check(void *context)
{
    static char sentence[200];
    const failure_t *f = context;
    const char *wrong = check_as_before(f);

    if (wrong == NULL)
        return NULL;
    format_text(sentence, sizeof(sentence), "%s, %s: %s", f->form->name, f->kind->name, wrong);
    return sentence;
}

static void failure_init(failure_t *f, const char *format, const struct form *form,
                         const struct kind *kind)
{
    fake_config_t config = { .level = FAKE_MEMORY, .format = format, .megabytes = 4 };

    memset(f, 0, sizeof(*f));
    f->form = form;
    f->kind = kind;
    f->mspace = space_start_on(&config, 4000);
    test_file_init(&f->file, "file", PAGES(40));
    set_up(f);
    /* Once without failures, so that the heap has its pages and the kernel its tables. */
    for (int round = 0; round < 2; round++) {
        CHECK_EQ(attempt(f), 0);
        CHECK_OK(mspace_check(f->mspace));
        set_up(f);
    }
    count(f->mspace, f->counters);
    for (size_t i = 0; i < 10; i++)
        f->entry[i] = mmu_read(f->mspace->directory, F(i));
}

static void failure_stop(failure_t *f)
{
    CHECK_EQ(mspace_unmap(f->mspace, AT(0), PAGES(4000)), 0);
    pagecache_drop(&f->file.ino);
    CHECK_EQ(f->file.ino.users, 1);
    inode_release(&f->file.ino);
    space_stop(f->mspace);
}

TEST(mspace_remap_survives_every_refused_frame)
{
    FOR_EACH_FORMAT(format) {
        for (size_t i = 0; i < ARRAY_LENGTH(forms) * ARRAY_LENGTH(kinds); i++) {
            const struct form *form = &forms[i / ARRAY_LENGTH(kinds)];
            failure_t f;
            size_t refused;

            failure_init(&f, *format, form, &kinds[i % ARRAY_LENGTH(kinds)]);
            refused = fake_failure_sweep(attempt, undo, check, &f);
            if (refused < form->frames)
                test_fail(__FILE__, __LINE__, "%s: %zu frames were refused", form->name,
                          refused);
            failure_stop(&f);
        }
    }
}

TEST(mspace_remap_survives_every_refused_buffer)
{
    for (size_t i = 0; i < ARRAY_LENGTH(forms) * ARRAY_LENGTH(kinds); i++) {
        const struct form *form = &forms[i / ARRAY_LENGTH(kinds)];
        failure_t f;

        failure_init(&f, "2level", form, &kinds[i % ARRAY_LENGTH(kinds)]);
        for (size_t buffers = 0; buffers <= form->buffers; buffers++) {
            int err;

            space_drop_spares(f.mspace);
            space_starve_heap(buffers, sizeof(vma_t));
            err = attempt(&f);
            space_feed_heap();
            if (err != (buffers < form->buffers ? -ENOMEM : 0))
                test_fail(__FILE__, __LINE__, "%s, %s with %zu buffers is %d", form->name,
                          f.kind->name, buffers, err);
            if (err == 0)
                set_up(&f);
            CHECK_OK(check(&f));
        }
        failure_stop(&f);
    }
}
