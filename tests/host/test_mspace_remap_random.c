/*
 * Random remaps against a plain array of pages: what each call answers is foretold from
 * the array alone, and where each entry of the page table must be is written down in it.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/pagecache.h>
#include <kernel/virtual.h>
#include <space_model.h>

#include <string.h>

enum { PAGE_MAX = 2600, NO_PAGE = 0xffffff };

typedef struct shadow_page {
    bool mapped;
    int flags;
    const inode_t *ino;
    size_t index;               /* page of the file */
    mmu_entry_t entry;
} shadow_page_t;

static struct shadow {
    mspace_t *mspace;
    size_t pages;
    size_t map_base;
    test_file_t file;
    shadow_page_t page[PAGE_MAX];
    size_t remaps;              /* that were done */
} shadow;

/* ---- what the rules say */

/* Whether page i continues the area of the page before it. */
static bool continues(size_t i)
{
    const shadow_page_t *page = &shadow.page[i], *before = page - 1;

    return i > 0 && i < shadow.pages && page->mapped && before->mapped &&
           page->flags == before->flags && page->ino == before->ino &&
           (page->ino == NULL || page->index == before->index + 1);
}

static size_t area_end(size_t i)
{
    do
        i++;
    while (continues(i));
    return i;
}

static bool is_free(size_t first, size_t count)
{
    if (first > shadow.pages || count > shadow.pages - first)
        return false;
    for (size_t i = first; i < first + count; i++)
        if (shadow.page[i].mapped)
            return false;
    return true;
}

static size_t first_fit(size_t low, size_t count)
{
    for (size_t i = low; i < shadow.pages; i++)
        if (is_free(i, count))
            return i;
    return NO_PAGE;
}

static size_t find_place(size_t hint, size_t count)
{
    size_t found;

    if (hint != NO_PAGE && is_free(hint, count))
        return hint;
    found = first_fit(shadow.map_base, count);
    return found != NO_PAGE ? found : first_fit(0, count);
}

typedef struct request {
    size_t old;
    size_t old_count;
    size_t new_count;
    size_t to;                  /* NO_PAGE: address 0 */
    int flags;
} request_t;

/* Or begins where the old range does, though that is empty. */
static bool overlaps(const request_t *r)
{
    return r->to != NO_PAGE && (r->to == r->old || (r->old + r->old_count > r->to &&
                                                    r->to + r->new_count > r->old));
}

/* What the call must answer. => 0 and *place, *moves; or an errno */
static int foretell(const request_t *r, size_t *place, bool *moves)
{
    const shadow_page_t *page = &shadow.page[r->old];
    bool goes = (r->flags & (REMAP_FIXED | REMAP_DONT_UNMAP)) != 0;
    size_t kept = r->old_count < r->new_count ? r->old_count : r->new_count;

    *place = r->old;
    *moves = false;
    if (r->new_count == 0 || (goes && (r->flags & REMAP_MAY_MOVE) == 0) ||
        ((r->flags & REMAP_DONT_UNMAP) != 0 && r->old_count != r->new_count))
        return EINVAL;
    if (!page->mapped)
        return EFAULT;
    if (goes && (r->to == NO_PAGE ? (r->flags & REMAP_FIXED) != 0
                 : overlaps(r) || r->to + r->new_count > shadow.pages))
        return EINVAL;
    if (r->old_count > r->new_count && r->old + r->old_count > shadow.pages)
        return EINVAL;
    if (!goes && r->old_count >= r->new_count)
        return 0;
    if (r->old_count == 0 && (page->flags & VMA_SHARED) == 0)
        return EINVAL;
    if (r->old + kept > area_end(r->old))
        return EFAULT;
    if (!goes && r->old + r->old_count == area_end(r->old) &&
        is_free(r->old + r->old_count, r->new_count - r->old_count))
        return 0;
    if ((r->flags & REMAP_MAY_MOVE) == 0)
        return ENOMEM;
    *moves = true;
    *place = (r->flags & REMAP_FIXED) != 0 ? r->to
             : find_place(goes ? r->to : NO_PAGE, r->new_count);
    return *place == NO_PAGE ? ENOMEM : 0;
}

/* Page i of an area as from `like` on, `distance` pages behind it. */
static void put_new(size_t i, const shadow_page_t *like, size_t distance)
{
    shadow.page[i] = *like;
    shadow.page[i].index = like->ino != NULL ? like->index + distance : 0;
    shadow.page[i].entry = 0;
}

static void forget(size_t first, size_t count)
{
    memset(&shadow.page[first], 0, count * sizeof(shadow.page[0]));
}

static void follow(const request_t *r, size_t place, bool moves)
{
    shadow_page_t like = shadow.page[r->old];
    size_t kept = r->old_count < r->new_count ? r->old_count : r->new_count;
    static mmu_entry_t entries[PAGE_MAX];

    if (!moves) {
        for (size_t i = r->old_count; i < r->new_count; i++)
            put_new(r->old + i, &like, i);
        if (r->old_count > r->new_count)
            forget(r->old + r->new_count, r->old_count - r->new_count);
        return;
    }
    for (size_t i = 0; i < kept; i++) {
        entries[i] = shadow.page[r->old + i].entry;
        shadow.page[r->old + i].entry = 0;
    }
    if ((r->flags & REMAP_DONT_UNMAP) == 0)
        forget(r->old, r->old_count);
    for (size_t i = 0; i < r->new_count; i++) {
        put_new(place + i, &like, i);
        shadow.page[place + i].entry = i < kept ? entries[i] : 0;
    }
}

/* ---- comparing */

static mmu_entry_t as_written(mmu_entry_t entry)
{
    return entry & ~(mmu_entry_t)(MMU_ACCESSED | MMU_DIRTY);
}

static void compare(void)
{
    size_t mapped = 0, areas = 0, private = 0;

    for (size_t i = 0; i < shadow.pages; i++) {
        const shadow_page_t *page = &shadow.page[i];
        const vma_t *vma;

        CHECK_EQ(as_written(mmu_read(shadow.mspace->directory, AT(i))), page->entry);
        if (!page->mapped)
            continue;
        mapped++;
        private += page->entry != 0 && (page->entry & MMU_OBJECT) == 0;
        if (continues(i))
            continue;
        areas++;
        vma = mspace_search_vma(shadow.mspace, AT(i));
        CHECK(vma != NULL);
        CHECK_EQ(vma_base(vma), AT(i));
        CHECK_EQ(vma_end(vma), AT(area_end(i)));
        CHECK_EQ(vma->flags, page->flags);
        CHECK(vma->ino == page->ino);
        if (page->ino != NULL)
            CHECK_EQ(vma->offset, (off_t)PAGES(page->index));
    }
    CHECK_EQ(shadow.mspace->tree.count, areas);
    CHECK_EQ(shadow.mspace->v_size, mapped);
    CHECK_EQ(shadow.mspace->p_size, private);
}

/* ---- steps */

static void step_map(void)
{
    static const int kinds[] = { ANON_RW, ANON_RW, ANON_RO, FILE_RW, FILE_RO,
                                 VMA_ANON | VMA_CAPABILITIES, VMA_HEAP_SEGMENT | VMA_CAPABILITIES,
                                 VMA_FILE | VMA_SHARED | VMA_READ };
    int kind = kinds[test_random_below(ARRAY_LENGTH(kinds))];
    size_t first = test_random_below(shadow.pages);
    size_t most = shadow.pages - first < 12 ? shadow.pages - first : 12;
    size_t count = 1 + test_random_below(most);
    bool file = (kind & VMA_FILE) != 0;
    size_t index = file ? test_random_below(4) : 0;
    const vma_t *vma;

    if (!file && shadow.pages > 1000 && test_random_below(8) == 0)
        count = 1 + test_random_below(shadow.pages - first);    /* whole tables */
    CHECK(mspace_replace(shadow.mspace, AT(first), PAGES(count),
                         file ? &shadow.file.ino : NULL, (off_t)PAGES(index), 0, kind) != NULL);
    vma = mspace_search_vma(shadow.mspace, AT(first));
    for (size_t i = 0; i < count; i++)
        shadow.page[first + i] = (shadow_page_t){
            .mapped = true,
            .flags = vma->flags,
            .ino = file ? &shadow.file.ino : NULL,
            .index = file ? index + i : 0,
        };
}

static void step_unmap(void)
{
    size_t first = test_random_below(shadow.pages);
    size_t most = shadow.pages - first < 30 ? shadow.pages - first : 30;
    size_t count = 1 + test_random_below(most);

    CHECK_EQ(mspace_unmap(shadow.mspace, AT(first), PAGES(count)), 0);
    forget(first, count);
}

static void read_entries(size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++)
        shadow.page[i].entry = as_written(mmu_read(shadow.mspace->directory, AT(i)));
}

static void step_touch(void)
{
    size_t first = test_random_below(shadow.pages);
    size_t count = 1 + test_random_below(8);

    for (size_t i = first; i < first + count && i < shadow.pages; i++) {
        uint8_t byte;

        if (test_random_below(2) != 0)
            (void)space_write(AT(i), (uint8_t)test_random());
        else
            (void)space_read(AT(i), &byte);
        read_entries(i, 1);
    }
}

static void step_protect(void)
{
    static const int rights[] = { 0, VMA_READ, VMA_RW };
    size_t first = test_random_below(shadow.pages);
    size_t most = area_end(first) - first;
    size_t count;
    int flags = rights[test_random_below(ARRAY_LENGTH(rights))];

    if (!shadow.page[first].mapped)
        return;
    count = 1 + test_random_below(most);
    if (mspace_protect(shadow.mspace, AT(first), PAGES(count), flags) != 0)
        return;
    for (size_t i = first; i < first + count; i++) {
        int now = (shadow.page[i].flags & ~VMA_RIGHTS) | flags;

        shadow.page[i].flags = now | (vma_is_charged(now) ? VMA_ACCOUNTED : 0);
    }
    read_entries(first, count);
}

/* A number of pages: as the area has, a few, or many. */
static size_t any_count(size_t area)
{
    switch (test_random_below(8)) {
    case 0:
        return test_random_below(3);
    case 1:
        return test_random_below(shadow.pages);
    case 2:
        return area + test_random_below(3);
    case 3:
    case 4:
        return area;
    default:
        return 1 + test_random_below(area);
    }
}

/* Of the heap, what moves away becomes anonymous: as if it had been so before. */
static void leave_heap(const request_t *r, size_t place, bool moves)
{
    for (size_t i = 0; moves && i < r->new_count; i++) {
        int *flags = &shadow.page[place + i].flags;

        if ((*flags & VMA_HEAP) != 0)
            *flags ^= VMA_HEAP | VMA_ANON;
    }
}

static void step_remap(void)
{
    static const int kinds[] = {
        0, REMAP_MAY_MOVE, REMAP_MAY_MOVE, REMAP_MAY_MOVE | REMAP_FIXED,
        REMAP_MAY_MOVE | REMAP_FIXED, REMAP_MAY_MOVE | REMAP_FIXED,
        REMAP_MAY_MOVE | REMAP_DONT_UNMAP, REMAP_MAY_MOVE | REMAP_FIXED | REMAP_DONT_UNMAP,
        REMAP_FIXED, REMAP_DONT_UNMAP,
    };
    request_t r = {
        .old = test_random_below(shadow.pages),
        .flags = kinds[test_random_below(ARRAY_LENGTH(kinds))],
        .to = test_random_below(6) == 0 ? NO_PAGE : test_random_below(shadow.pages),
    };
    size_t area = area_end(r.old) - r.old;
    size_t place;
    bool moves;
    void *result;
    int err;

    while (r.old > 0 && test_random_below(2) != 0 && continues(r.old))
        r.old--, area++;
    r.old_count = any_count(area);
    r.new_count = test_random_below(3) == 0 ? r.old_count : any_count(area);
    if (test_random_below(4) == 0)          /* tables as a whole, where it fits */
        r.to = r.to == NO_PAGE ? r.to : r.to / 512 * 512 + r.old % 512;
    err = foretell(&r, &place, &moves);
    result = mspace_remap(shadow.mspace, AT(r.old), PAGES(r.old_count), PAGES(r.new_count),
                          r.to == NO_PAGE ? 0 : AT(r.to), r.flags);
    CHECK_EQ(*host_errno(), err);
    CHECK_EQ((size_t)result, err == 0 ? AT(place) : 0);
    if (err != 0)
        return;
    shadow.remaps++;
    follow(&r, place, moves);
    leave_heap(&r, place, moves);
}

static void random_remaps(const char *format, size_t pages, size_t steps)
{
    mspace_t *ms = space_start(format, pages);

    commit.mode = COMMIT_ALWAYS;        /* more is promised than this machine has */
    memset(&shadow, 0, sizeof(shadow));
    shadow.mspace = ms;
    shadow.pages = pages;
    shadow.map_base = pages / 8;
    ms->map_base = AT(shadow.map_base);
    test_file_init(&shadow.file, "file", PAGES(40));
    for (size_t step = 0; step < steps; step++) {
        size_t die = test_random_below(100);

        if (die < 15)
            step_map();
        else if (die < 22)
            step_unmap();
        else if (die < 45)
            step_touch();
        else if (die < 52)
            step_protect();
        else
            step_remap();
        CHECK_OK(mspace_check(ms));
        if (step % 16 == 0 || step < 1000)
            compare();
        if (step % 256 == 0)
            CHECK_OK(space_check(ms));
    }
    CHECK(shadow.remaps > steps / 20);
    mspace_sweep(ms);
    CHECK_EQ(ms->phys_pg_count, mmu_table_count(ms->directory));
    inode_release(&shadow.file.ino);
    CHECK_EQ(shadow.file.released, 1);
    space_stop(ms);
}

TEST(mspace_random_remaps_2level)
{
    random_remaps("2level", 90, test_steps(100000));
}

TEST(mspace_random_remaps_pae)
{
    random_remaps("pae", 90, test_steps(100000));
}

TEST(mspace_random_remaps_of_tables_2level)
{
    random_remaps("2level", 2600, test_steps(3000));
}

TEST(mspace_random_remaps_of_tables_pae)
{
    random_remaps("pae", 2600, test_steps(3000));
}

TEST(mspace_random_remaps_of_tables_long)
{
    if (sizeof(size_t) == 4)
        test_skip("long mode needs a 64-bit host");
    random_remaps("long", 2600, test_steps(3000));
}
