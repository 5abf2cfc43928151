/*
 * The checker of spaces: areas, entries and counters are damaged on purpose, and its
 * sentence is read.
 */
#include <kernel/virtual.h>
#include <space.h>

/* Break a space in a way, see the sentence, and put it right. */
#define CHECK_FINDS(ms, sentence) CHECK_STR(mspace_check(ms), sentence)

TEST(mspace_check_finds_what_is_wrong)
{
    bbnode_t stray = { .left = NULL };
    bbnode_t *recent;
    size_t full_end;
    size_t full_length;
    mspace_t *ms = space_start("pae", 64);
    page_t other = page_new(OWNER_ANON);
    mmu_entry_t entry;
    vma_t *vma;

    space_map(ms, AT(4), PAGES(4), ANON_RW);
    space_map(ms, AT(8), PAGES(4), ANON_RO);
    CHECK(space_write(AT(4), 1));
    CHECK_EQ(space_byte(AT(9)), 0);
    CHECK_OK(mspace_check(ms));
    vma = mspace_search_vma(ms, AT(8));

    vma->largest_gap++;
    CHECK_FINDS(ms, "a node's summary of its subtree was out of date");
    vma->gap++;
    bbtree_refresh(&ms->tree, &vma->node);
    CHECK_FINDS(ms, "the gap before an area is wrong");
    vma->gap--;
    bbtree_refresh(&ms->tree, &vma->node);
    ms->v_size++;
    CHECK_FINDS(ms, "v_size is not the number of pages in areas");
    ms->v_size--;
    ms->p_size++;
    CHECK_FINDS(ms, "p_size is not the number of private pages");
    ms->p_size--;
    ms->s_size++;
    CHECK_FINDS(ms, "s_size is not the number of pages of files");
    ms->s_size--;
    ms->phys_pg_count++;
    CHECK_FINDS(ms, "phys_pg_count is not the number of frames in use");
    ms->phys_pg_count--;
    /* What searches and faults remember. */
    recent = ms->tree.recent;
    ms->tree.recent = &stray;
    CHECK_FINDS(ms, "the recent area is not in the tree");
    ms->tree.recent = recent;
    full_end = ms->full_end;
    full_length = ms->full_length;
    ms->full_end = ms->upper_bound;
    ms->full_length = PAGE_SIZE;
    CHECK_FINDS(ms, "a place is free where searches leave it out");
    ms->full_end = full_end;
    ms->full_length = full_length;
    ms->charged++;
    CHECK_FINDS(ms, "charged is not the number of pages in charged areas");
    ms->charged--;
    vma->flags |= VMA_WRITE;
    CHECK_FINDS(ms, "an area is private and writable and not charged");
    vma->flags |= VMA_ACCOUNTED;
    CHECK_FINDS(ms, "two equal neighbours were not merged");
    vma->flags &= ~(VMA_WRITE | VMA_ACCOUNTED);
    vma->flags &= ~VMA_COPY_ON_WRITE;
    CHECK_FINDS(ms, "an area's flags break the rules of its kind");
    vma->flags |= VMA_COPY_ON_WRITE;
    vma->limit = (off_t)vma->length;
    CHECK_FINDS(ms, "an area's flags break the rules of its kind");
    vma->limit = 0;
    vma->ops = &vma_ops_heap;
    CHECK_FINDS(ms, "an area has the ops of another kind");
    vma->ops = &vma_ops_anon;
    vma->length += 5;
    CHECK_FINDS(ms, "an area is empty or does not consist of whole pages");
    vma->length = PAGES(100);
    CHECK_FINDS(ms, "an area lies outside the space");
    vma->length = PAGES(4);
    CHECK_OK(mspace_check(ms));

    space_set_entry(ms, AT(20), other | MMU_PRESENT | MMU_USER);
    CHECK_FINDS(ms, "an entry lies outside all areas");
    space_set_entry(ms, AT(20), 0);
    entry = space_entry(ms, AT(9));
    space_set_entry(ms, AT(9), entry | MMU_WRITE);
    CHECK_FINDS(ms, "an entry is writable and its area is not");
    space_set_entry(ms, AT(9), entry & ~(mmu_entry_t)MMU_NOEXEC);
    CHECK_FINDS(ms, "an entry and its area differ about execution");
    space_set_entry(ms, AT(9), entry & ~(mmu_entry_t)MMU_OBJECT);
    CHECK_FINDS(ms, "the page of zeroes is mapped as private");
    space_set_entry(ms, AT(9), (entry & ~(mmu_entry_t)MMU_PRESENT) | MMU_HELD);
    CHECK_FINDS(ms, "an entry is held though its area grants a right");
    space_set_entry(ms, AT(9), 0x5000);
    CHECK_FINDS(ms, "an entry is neither present nor held");
    space_set_entry(ms, AT(9), entry & ~(mmu_entry_t)MMU_USER);
    CHECK_FINDS(ms, "an entry is present though its area grants no right");
    space_set_entry(ms, AT(9), entry);
    CHECK_OK(mspace_check(ms));

    entry = space_entry(ms, AT(4));
    page_hold(mmu_frame(entry));
    CHECK_FINDS(ms, "a private frame with several owners is writable");
    page_release(mmu_frame(entry));
    space_set_entry(ms, AT(4), entry | MMU_OBJECT);
    CHECK_FINDS(ms, "an entry marked as a file's does not name one of the page cache's frames");
    physical_set_owner(mmu_frame(entry), OWNER_CACHE);
    space_set_entry(ms, AT(4), entry);
    CHECK_FINDS(ms, "a private entry names a frame of another owner");
    physical_set_owner(mmu_frame(entry), OWNER_ANON);
    page_release(other);
    space_set_entry(ms, AT(4), other | MMU_PRESENT | MMU_USER | MMU_NOEXEC);
    CHECK_FINDS(ms, "an entry names a frame that is not in use");
    space_set_entry(ms, AT(4), entry);
    mspace_search_vma(ms, AT(4))->flags |= VMA_DEAD;
    CHECK_FINDS(ms, "a dead area has an entry");
    mspace_search_vma(ms, AT(4))->flags &= ~VMA_DEAD;
    space_stop(ms);
}

TEST(mspace_check_areas_and_bounds)
{
    mspace_t *ms = space_start("2level", 64);
    test_file_t file;
    vma_t *vma, *next;

    test_file_init(&file, "file", PAGES(8));
    space_map(ms, AT(4), PAGES(4), ANON_RW);
    CHECK(mspace_map(ms, AT(12), PAGES(4), &file.ino, 0, 0, FILE_RO) != NULL);
    vma = mspace_search_vma(ms, AT(4));
    next = mspace_search_vma(ms, AT(12));
    CHECK_OK(mspace_check(ms));

    vma->flags &= ~VMA_CAN_WRITE;
    CHECK_FINDS(ms, "an area grants a right beyond its capabilities");
    vma->flags |= VMA_CAN_WRITE;
    vma->length = 0;
    CHECK_FINDS(ms, "an area is empty or does not consist of whole pages");
    vma->length = PAGES(9);
    CHECK_FINDS(ms, "two areas overlap");
    vma->length = PAGES(4);
    ms->lower_bound += PAGES(5);
    CHECK_FINDS(ms, "an area lies outside the space");
    ms->lower_bound -= PAGES(5);
    ms->upper_bound = AT(12);
    CHECK_FINDS(ms, "an area lies outside the space");
    ms->upper_bound = AT(64);
    next->limit = (off_t)PAGES(4);
    CHECK_FINDS(ms, "an area's limit does not lie inside it");
    next->limit = (off_t)PAGES(4) - 1;
    CHECK_OK(mspace_check(ms));
    next->limit = 0;
    file.ino.users = 0;
    CHECK_FINDS(ms, "an area's file has no users");
    file.ino.users = 2;
    CHECK_EQ(mspace_unmap(ms, AT(12), PAGES(4)), 0);
    inode_release(&file.ino);
    space_stop(ms);
}

TEST(mspace_check_entries_and_frames)
{
    mspace_t *ms = space_start("pae", 64);
    page_t frames = page_range(2, PAGE_SIZE, 0, OWNER_BOOT);
    test_file_t file;
    mmu_entry_t entry;
    page_t page;

    test_file_init(&file, "file", PAGES(8));
    space_map(ms, AT(4), PAGES(4), ANON_RW);
    CHECK(mspace_map(ms, AT(12), PAGES(2), NULL, (off_t)frames, 0,
                     VMA_PHYS | VMA_RW | VMA_RESOLVE) != NULL);
    CHECK(mspace_map(ms, AT(16), PAGES(2), &file.ino, 0, 0, FILE_RO | VMA_RESOLVE) != NULL);
    CHECK_EQ(space_byte(AT(4)), 0);
    CHECK(space_write(AT(5), 1));
    CHECK_OK(mspace_check(ms));

    space_set_entry(ms, AT(2), frames | MMU_PRESENT | MMU_USER);
    CHECK_FINDS(ms, "an entry lies outside all areas");
    space_set_entry(ms, AT(2), 0);
    entry = space_entry(ms, AT(12));
    space_set_entry(ms, AT(12), entry & ~(mmu_entry_t)MMU_OBJECT);
    CHECK_FINDS(ms, "a foreign frame is mapped as private");
    space_set_entry(ms, AT(12), entry);
    entry = space_entry(ms, AT(4));
    space_set_entry(ms, AT(4), entry | MMU_WRITE);
    CHECK_FINDS(ms, "the page of zeroes is mapped writable");
    space_set_entry(ms, AT(4), entry);
    entry = space_entry(ms, AT(5));
    page = mmu_frame(entry);
    space_set_entry(ms, AT(5), entry - page + 0x70000000);    /* behind the frame table's end */
    CHECK_FINDS(ms, "an entry names a frame that is not in use");
    space_set_entry(ms, AT(5), entry);
    physical_frame(page)->count = 0;
    CHECK_FINDS(ms, "an entry names a frame that is not in use");
    physical_frame(page)->count = 1;
    page = mmu_frame(space_entry(ms, AT(16)));
    physical_frame(page)->count = 1;
    CHECK_FINDS(ms, "an entry marked as a file's does not name one of the page cache's frames");
    physical_frame(page)->count = 2;
    CHECK_EQ(mspace_protect(ms, AT(5), PAGE_SIZE, 0), 0);
    CHECK_OK(mspace_check(ms));
    space_set_entry(ms, AT(5), entry);
    CHECK_FINDS(ms, "an entry is present though its area grants no right");
    space_set_entry(ms, AT(5), mmu_frame(entry) | MMU_HELD);
    CHECK_OK(mspace_check(ms));

    CHECK_EQ(mspace_unmap(ms, AT(12), PAGES(8)), 0);
    inode_release(&file.ino);
    for (size_t i = 0; i < 2; i++)
        CHECK_EQ(free_physical_page(frames + PAGES(i)), 0);
    space_stop(ms);
}

TEST(mspace_check_of_the_kernel)
{
    static const char no_guard[] = "an area of the kernel has no guard page";
    static const char counters[] = "the kernel mspace's counters are wrong";

    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 64);
        mspace_t *kspace = kMMU.kspace;
        page_t frames = page_range(2, PAGE_SIZE, 0, OWNER_BOOT);
        size_t view = (size_t)kmap(PAGES(2), frames, VMA_PHYS | VMA_RW);
        size_t own = (size_t)kmap(PAGES(2), 0, VMA_PIPE | VMA_RW);
        size_t upper_bound = kspace->upper_bound;
        vma_t *vma = mspace_search_vma(kspace, view);
        page_t page;

        CHECK(view != 0 && own == view + PAGES(3));
        CHECK_OK(mspace_check(kspace));
        CHECK_EQ(virtual_map_kernel(view - PAGE_SIZE, frames, ACCESS_NOEXEC), 0);
        CHECK_FINDS(kspace, no_guard);
        CHECK_EQ(virtual_unmap_kernel(view - PAGE_SIZE), frames);
        CHECK_EQ(virtual_map_kernel(own + PAGES(2), frames, ACCESS_NOEXEC), 0);
        CHECK_FINDS(kspace, no_guard);
        CHECK_EQ(virtual_unmap_kernel(own + PAGES(2)), frames);
        kspace->upper_bound = own + PAGES(2);
        CHECK_FINDS(kspace, no_guard);
        kspace->upper_bound = upper_bound;
        kspace->lower_bound = view;
        vma->gap = 0;
        bbtree_refresh(&kspace->tree, &vma->node);
        CHECK_FINDS(kspace, no_guard);
        kspace->lower_bound = KSPACE_BASE;
        vma->gap = view - KSPACE_BASE;
        bbtree_refresh(&kspace->tree, &vma->node);

        page = virtual_unmap_kernel(own + PAGE_SIZE);
        CHECK_FINDS(kspace, "an area of the kernel is not mapped whole");
        CHECK_EQ(virtual_map_kernel(own + PAGE_SIZE, page, ACCESS_WRITE | ACCESS_NOEXEC), 0);
        vma->offset += PAGE_SIZE;
        CHECK_FINDS(kspace, "an area of the kernel shows another frame");
        vma->offset -= PAGE_SIZE;
        kspace->p_size++;
        CHECK_FINDS(kspace, counters);
        kspace->p_size--;
        kspace->s_size++;
        CHECK_FINDS(kspace, counters);
        kspace->s_size--;
        kspace->phys_pg_count++;
        CHECK_FINDS(kspace, counters);
        kspace->phys_pg_count--;
        CHECK_OK(mspace_check(kspace));

        kunmap((void *)view, PAGES(2));
        kunmap((void *)own, PAGES(2));
        for (size_t i = 0; i < 2; i++)
            CHECK_EQ(free_physical_page(frames + PAGES(i)), 0);
        space_stop(ms);
    }
}
