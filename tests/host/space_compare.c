/*
 * A space against its model: page-table entries, contents, counters, areas.
 */
#include <kernel/pagecache.h>
#include <space_model.h>

bool model_continues(const model_page_t *at, const model_page_t *next)
{
    return at->mapped && next->mapped && at->kind == next->kind && at->rights == next->rights &&
           at->capabilities == next->capabilities && at->shared == next->shared &&
           at->charged == next->charged && at->no_reserve == next->no_reserve &&
           at->grows == next->grows && !at->dead && !next->dead &&
           ((at->kind != VMA_FILE && at->kind != VMA_PHYS) || at->index + 1 == next->index) &&
           (at->below == PAGE_SIZE || next->below == 0);
}

/* Areas, not counting the second of two dead ones in a row, which stay apart. */
static void compare_areas(const model_t *model)
{
    size_t expected = 0;
    size_t areas = 0;
    const vma_t *previous = NULL;

    for (size_t i = 0; i < model->pages; i++) {
        const model_page_t *at = &model->page[i];

        if (!at->mapped)
            continue;
        expected += i == 0 || (!model_continues(at - 1, at) && !(at->dead && at[-1].dead));
    }
    for (vma_t *vma = vma_of(bbtree_first(&model->mspace->tree)); vma != NULL;
         vma = vma_next(vma)) {
        areas += !(previous != NULL && vma_end(previous) == vma_base(vma) &&
                   (previous->flags & vma->flags & VMA_DEAD) != 0);
        previous = vma;
    }
    CHECK_EQ(areas, expected);
}

static void compare_entry(model_t *model, size_t page)
{
    const model_page_t *at = &model->page[page];
    mmu_entry_t entry = mmu_read(model->mspace->directory, model_vaddr(model, page));
    const uint8_t *ram;
    page_t cached;

    if (at->resident == R_NONE) {
        CHECK_EQ(entry, 0);
        return;
    }
    CHECK_EQ((entry & MMU_PRESENT) != 0, at->rights != 0);
    CHECK_EQ((entry & MMU_HELD) != 0, at->rights == 0);
    CHECK_EQ((entry & MMU_OBJECT) != 0, at->resident != R_PRIVATE);
    CHECK_EQ(mmu_frame(entry) == kMMU.zero_page, at->resident == R_ZERO);
    if (at->resident == R_FOREIGN) {
        CHECK_EQ(mmu_frame(entry), model->frames + PAGES(at->index));
    } else if (at->rights != 0) {
        CHECK_EQ((entry & MMU_WRITE) != 0,
                 at->resident == R_PRIVATE && (at->rights & VMA_WRITE) != 0);
    }
    if (at->resident == R_OBJECT) {
        cached = pagecache_peek(&model->file->ino, at->index);
        CHECK_EQ(mmu_frame(entry), cached);
        page_release(cached);
    }
    if (at->rights != 0 && mmu_can_forbid_execution())
        CHECK_EQ((entry & MMU_NOEXEC) == 0, (at->rights & VMA_EXEC) != 0);
    ram = fake_ram(mmu_frame(entry));
    for (size_t i = 0; i < MODEL_PROBES; i++)
        CHECK_EQ(ram[model_probe_offset[i]], model_value(model, page)[i]);
}

void model_compare(model_t *model)
{
    const mspace_t *mspace = model->mspace;
    size_t promised = 0;
    size_t charged = 0;
    size_t private = 0;
    size_t object = 0;

    for (size_t i = 0; i < model->pages; i++) {
        promised += model->page[i].mapped;
        charged += model->page[i].charged;
        private += model->page[i].resident == R_PRIVATE;
        object += model->page[i].resident == R_OBJECT;
        compare_entry(model, i);
    }
    CHECK_EQ(mspace->v_size, promised);
    CHECK_EQ(mspace->charged, charged);
    CHECK_EQ(commit.charged, charged);
    CHECK_EQ(mspace->p_size, private);
    CHECK_EQ(mspace->s_size, object);
    compare_areas(model);
}
