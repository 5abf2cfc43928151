/*
 * The model's steps: each does the same to the space and to the array, and compares
 * what the space answers.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <space_model.h>

#include <string.h>

/* ---- what a page is */

const size_t model_probe_offset[MODEL_PROBES] = { 0, 2047, PAGE_SIZE - 1 };

/* What an operation maps. */
typedef struct mapping {
    int kind;
    int rights;
    int capabilities;
    bool shared;
    bool no_reserve;
    bool grows;
    size_t index;
    size_t limit;           /* 0: none */
    bool resolve;
} mapping_t;

size_t model_vaddr(const model_t *model, size_t page)
{
    return model->mspace->lower_bound + PAGES(page);
}

uint8_t *model_value(model_t *model, size_t page)
{
    model_page_t *at = &model->page[page];

    return at->kind == VMA_PHYS ? model->frame_value[at->index] : at->value;
}

/* A page wholly past the file's end can be mapped, and not used. */
static bool has_content(const model_t *model, const model_page_t *at)
{
    return at->kind != VMA_FILE || at->below == 0 ||
           (off_t)at->index * (off_t)PAGE_SIZE < model->file->ino.length;
}

static resident_t after_read(const model_t *model, const model_page_t *at)
{
    off_t left = model->file->ino.length - (off_t)at->index * (off_t)PAGE_SIZE;

    if (at->resident != R_NONE)
        return at->resident;
    if (at->kind == VMA_PHYS)
        return R_FOREIGN;
    if (at->kind != VMA_FILE || at->below == 0)
        return R_ZERO;
    return at->below < PAGE_SIZE && (off_t)at->below < left ? R_PRIVATE : R_OBJECT;
}

static resident_t after_write(const model_page_t *at)
{
    return at->kind == VMA_PHYS ? R_FOREIGN : R_PRIVATE;
}

static void unmap_page(model_page_t *at)
{
    *at = (model_page_t){ .mapped = false };
}

static bool is_free(const model_t *model, size_t page, size_t count)
{
    for (size_t i = page; i < page + count; i++)
        if (model->page[i].mapped)
            return false;
    return true;
}

static bool is_stacks(const model_t *model, size_t page)
{
    return model->stack_base != 0 &&
           page + STACK_GUARD_GAP / PAGE_SIZE >= model->stack_base && page < model->stack_end;
}

static bool touches_stack(const model_t *model, size_t page, size_t count)
{
    for (size_t i = page; i < page + count; i++)
        if (is_stacks(model, i))
            return true;
    return false;
}

/* Whether a free range that ends here reaches into the gap below what grows down. */
static bool is_in_guard_gap(const model_t *model, size_t end)
{
    size_t next = end;

    while (next < model->pages && !model->page[next].mapped)
        next++;
    return next < model->pages && model->page[next].grows &&
           next - end < STACK_GUARD_GAP / PAGE_SIZE;
}

/* The lowest free place from `low` on. => model->pages: none */
static size_t find_from(const model_t *model, size_t low, size_t count)
{
    for (size_t page = low; page + count <= model->pages; page++)
        if (is_free(model, page, count) && !touches_stack(model, page, count) &&
            !is_in_guard_gap(model, page + count))
            return page;
    return model->pages;
}

static void put_page(model_t *model, size_t page, const mapping_t *mapping, size_t number)
{
    model_page_t *at = &model->page[page];
    size_t below = PAGE_SIZE;

    if (mapping->limit != 0) {
        below = mapping->limit > PAGES(number) ? mapping->limit - PAGES(number) : 0;
        below = below < PAGE_SIZE ? below : PAGE_SIZE;
    }
    *at = (model_page_t){
        .mapped = true,
        .shared = mapping->shared || mapping->kind == VMA_PHYS,
        .rights = (uint8_t)mapping->rights,
        .capabilities = (uint8_t)(mapping->capabilities | mapping->rights),
        .charged = (mapping->rights & VMA_WRITE) != 0 && !mapping->no_reserve &&
                   !mapping->shared && mapping->kind != VMA_PHYS,
        .no_reserve = mapping->no_reserve,
        .grows = mapping->grows || mapping->kind == VMA_STACK,
        .kind = mapping->kind,
        .index = mapping->index + number,
        .below = below,
    };
    if (mapping->kind == VMA_FILE)
        for (size_t i = 0; i < MODEL_PROBES; i++)
            if (model_probe_offset[i] < below)
                at->value[i] = test_file_byte(model->file, (off_t)(PAGES(at->index) +
                                                                   model_probe_offset[i]));
    if (mapping->resolve && mapping->rights != 0 && has_content(model, at))
        at->resident = (mapping->rights & VMA_WRITE) != 0 ? after_write(at)
                                                          : after_read(model, at);
}

static void put_pages(model_t *model, size_t page, size_t count, const mapping_t *mapping)
{
    for (size_t i = 0; i < count; i++)
        put_page(model, page + i, mapping, i);
}

/* ---- accesses */

/* Whether a stack above grows down to this page, for any access; then it does. */
static bool grow_stack(model_t *model, size_t page)
{
    size_t gap = STACK_GUARD_GAP / PAGE_SIZE;
    size_t above = page;
    size_t below = page;
    size_t end;
    const model_page_t *stack;

    while (above < model->pages && !model->page[above].mapped)
        above++;
    while (below > 0 && !model->page[below - 1].mapped)
        below--;
    if (above == model->pages)
        return false;
    stack = &model->page[above];
    for (end = above + 1; end < model->pages &&
                          model_continues(&model->page[end - 1], &model->page[end]); end++)
        ;
    if (!stack->grows || stack->dead || end - page > model->stack_limit)
        return false;
    if (below > 0 && model->page[below - 1].rights != 0 && !model->page[below - 1].grows &&
        page - below < gap)
        return false;
    for (size_t i = page; i < above; i++)
        model->page[i] = (model_page_t){
            .mapped = true, .rights = stack->rights, .capabilities = stack->capabilities,
            .charged = stack->charged, .no_reserve = stack->no_reserve, .grows = true,
            .kind = stack->kind, .below = PAGE_SIZE,
        };
    return true;
}

/*
 * Access a page in the model. => whether it is allowed
 *
 * => needed: the access is allowed by any of these rights
 */
static bool touch(model_t *model, size_t page, int needed)
{
    model_page_t *at = &model->page[page];

    if (!at->mapped && !grow_stack(model, page))
        return false;
    if (at->dead || (at->rights & needed) == 0)
        return false;
    if (at->resident == R_NONE && !has_content(model, at))
        return false;
    at->resident = needed == VMA_WRITE ? after_write(at) : after_read(model, at);
    return true;
}

static void step_write(model_t *model, size_t page)
{
    size_t probe = test_random_below(MODEL_PROBES);
    uint8_t byte = (uint8_t)test_random();
    bool allowed = touch(model, page, VMA_WRITE);

    CHECK_EQ(space_write(model_vaddr(model, page) + model_probe_offset[probe], byte), allowed);
    if (allowed)
        model_value(model, page)[probe] = byte;
}

static void step_read(model_t *model, size_t page)
{
    size_t probe = test_random_below(MODEL_PROBES);
    bool allowed = touch(model, page, VMA_RIGHTS);
    uint8_t byte = 0;

    CHECK_EQ(space_read(model_vaddr(model, page) + model_probe_offset[probe], &byte), allowed);
    if (allowed)
        CHECK_EQ(byte, model_value(model, page)[probe]);
}

static void step_execute(model_t *model, size_t page)
{
    if (mmu_can_forbid_execution())
        CHECK_EQ(space_execute(model_vaddr(model, page)), touch(model, page, VMA_EXEC));
}

static void step_resolve(model_t *model, size_t page, size_t count)
{
    bool write = test_random_below(2) == 0;
    size_t start = PAGES(page) + test_random_below(PAGE_SIZE);
    size_t length = PAGES(page + count) - start - test_random_below(PAGES(page + count) - start);
    size_t end = (start + length - 1) >> PAGE_SHIFT;
    int expected = 0;

    for (size_t i = page; i <= end && expected == 0; i++)
        if (!touch(model, i, write ? VMA_WRITE : VMA_RIGHTS))
            expected = -EFAULT;
    CHECK_EQ(mspace_resolve(model->mspace, model_vaddr(model, 0) + start, length, write), expected);
}

/* ---- changes of areas */

static mapping_t random_mapping(const model_t *model, size_t count)
{
    static const int kinds[] = {
        VMA_ANON, VMA_ANON, VMA_ANON, VMA_ANON, VMA_ANON, VMA_ANON, VMA_ANON, VMA_ANON,
        VMA_FILE, VMA_FILE, VMA_FILE, VMA_FILE, VMA_FILE, VMA_FILE, VMA_PHYS, VMA_PHYS,
        VMA_HEAP, VMA_HEAP, VMA_STACK,
    };
    mapping_t mapping = {
        .kind = kinds[test_random_below(ARRAY_LENGTH(kinds))],
        .rights = (int)test_random_below(8),
        .capabilities = test_random_below(3) != 0 ? VMA_RIGHTS : (int)test_random_below(8),
        .resolve = test_random_below(6) == 0,
        .no_reserve = test_random_below(8) == 0,
    };

    switch (mapping.kind) {
    case VMA_FILE:
        mapping.index = test_random_below(12);
        mapping.shared = test_random_below(4) == 0;
        if (mapping.shared) {
            mapping.rights &= ~VMA_WRITE;
            mapping.capabilities &= ~VMA_WRITE;
        } else if (test_random_below(2) == 0) {
            mapping.limit = 1 + test_random_below(PAGES(count + 2));
        }
        break;
    case VMA_PHYS:
        mapping.rights &= ~VMA_EXEC;
        mapping.capabilities &= ~VMA_EXEC;
        mapping.index = test_random_below(MODEL_FRAMES - count + 1);
        break;
    case VMA_HEAP:
    case VMA_STACK:
        mapping.rights = VMA_RW;
        break;
    default:
        mapping.grows = test_random_below(16) == 0;
        break;
    }
    if (test_random_below(4) != 0) {        /* mostly such as can merge */
        mapping.capabilities = mapping.kind == VMA_PHYS ? VMA_RW : VMA_RIGHTS;
        if (mapping.shared)
            mapping.capabilities &= ~VMA_WRITE;
        mapping.rights &= VMA_RW;
        if (mapping.kind == VMA_ANON)
            mapping.rights |= VMA_RW;
    }
    (void)model;
    return mapping;
}

typedef void *map_call_t(mspace_t *mspace, size_t address, size_t length,
                         inode_t *ino, off_t offset, off_t limit, int flags);

static size_t call_map(model_t *model, map_call_t *call, size_t address, size_t count,
                       const mapping_t *mapping, int flags)
{
    off_t offset = 0;
    inode_t *ino = NULL;

    if (mapping->kind == VMA_FILE) {
        ino = &model->file->ino;
        offset = (off_t)PAGES(mapping->index);
    } else if (mapping->kind == VMA_PHYS) {
        offset = (off_t)(model->frames + PAGES(mapping->index));
    }
    flags |= mapping->kind | mapping->rights | mapping->capabilities << 4;
    if (mapping->shared)
        flags |= VMA_SHARED;
    if (mapping->no_reserve)
        flags |= VMA_NO_RESERVE;
    if (mapping->grows)
        flags |= VMA_GROWS_DOWN;
    if (mapping->resolve)
        flags |= VMA_RESOLVE;
    return (size_t)call(model->mspace, address, PAGES(count), ino, offset,
                        (off_t)mapping->limit, flags);
}

static void expect_map(model_t *model, size_t got, size_t page, size_t count,
                       const mapping_t *mapping)
{
    CHECK_EQ(*host_errno(), 0);
    CHECK_EQ(got, model_vaddr(model, page));
    put_pages(model, page, count, mapping);
}

static void step_map_fixed(model_t *model, size_t page, size_t count)
{
    mapping_t mapping = random_mapping(model, count);
    size_t got = call_map(model, mspace_map, model_vaddr(model, page), count, &mapping, VMA_FIXED);

    if (is_free(model, page, count)) {
        expect_map(model, got, page, count, &mapping);
    } else {
        CHECK_EQ(got, 0);
        CHECK_EQ(*host_errno(), ERANGE);
    }
}

static void step_map(model_t *model, size_t hint, size_t count)
{
    bool any = test_random_below(3) != 0;
    mapping_t mapping = random_mapping(model, count);
    size_t address = any ? 0 : model_vaddr(model, hint);
    size_t got = call_map(model, mspace_map, address, count, &mapping, 0);
    size_t page = hint;

    if (any || !is_free(model, hint, count) || touches_stack(model, hint, count) ||
        is_in_guard_gap(model, hint + count))
        page = find_from(model, model->map_base, count);
    if (page == model->pages)
        page = find_from(model, 0, count);
    if (page != model->pages) {
        expect_map(model, got, page, count, &mapping);
    } else {
        CHECK_EQ(got, 0);
        CHECK_EQ(*host_errno(), ENOMEM);
    }
}

static void step_replace(model_t *model, size_t page, size_t count)
{
    mapping_t mapping = random_mapping(model, count);
    size_t got = call_map(model, mspace_replace, model_vaddr(model, page), count, &mapping, 0);

    expect_map(model, got, page, count, &mapping);
}

static void step_unmap(model_t *model, size_t page, size_t count)
{
    CHECK_EQ(mspace_unmap(model->mspace, model_vaddr(model, page), PAGES(count)), 0);
    for (size_t i = page; i < page + count; i++)
        unmap_page(&model->page[i]);
}

static void step_protect(model_t *model, size_t page, size_t count)
{
    int rights = (int)test_random_below(8);
    int expected = 0;

    for (size_t i = page; i < page + count && expected == 0; i++) {
        const model_page_t *at = &model->page[i];

        if (!at->mapped || at->dead)
            expected = -ENOENT;
        else if ((rights & ~at->capabilities) != 0)
            expected = -EPERM;
    }
    CHECK_EQ(mspace_protect(model->mspace, model_vaddr(model, page), PAGES(count), rights),
             expected);
    if (expected == 0)
        for (size_t i = page; i < page + count; i++) {
            model_page_t *at = &model->page[i];

            at->rights = (uint8_t)rights;
            at->charged |= (rights & VMA_WRITE) != 0 && !at->shared && !at->no_reserve;
        }
}

static void step_kill(model_t *model, size_t page, size_t count)
{
    CHECK_EQ(mspace_kill(model->mspace, model_vaddr(model, page), PAGES(count)), 0);
    for (size_t i = page; i < page + count; i++) {
        model->page[i].dead = model->page[i].mapped;
        model->page[i].resident = R_NONE;
    }
}

static void step_scavenge(model_t *model)
{
    int dead = 0;

    for (const vma_t *vma = vma_of(bbtree_first(&model->mspace->tree)); vma != NULL;
         vma = vma_next(vma))
        dead += (vma->flags & VMA_DEAD) != 0;
    CHECK_EQ(mspace_scavenge(model->mspace), dead);
    for (size_t i = 0; i < model->pages; i++)
        if (model->page[i].dead)
            unmap_page(&model->page[i]);
}

static void step_sweep(model_t *model)
{
    mspace_sweep(model->mspace);
    CHECK_EQ(model->mspace->tree.count, 0);
    for (size_t i = 0; i < model->pages; i++)
        unmap_page(&model->page[i]);
    if (model->stack_end != 0)
        model_set_stack(model, model->stack_end, 4, model->stack_end - model->stack_base);
    if (model->break_start != 0)
        model_set_break(model, model->break_start);
}

static void step_break(model_t *model, size_t new_end)
{
    static const mapping_t heap = { .kind = VMA_HEAP, .rights = VMA_RW,
                                    .capabilities = VMA_RIGHTS };
    mspace_t *mspace = model->mspace;
    size_t old_break = mspace->break_end;
    size_t new_break = model_vaddr(model, new_end) - test_random_below(PAGE_SIZE);
    int expected = 0;

    if (model->break_start == 0)
        return;
    if (new_end < model->break_start || new_break < mspace->break_start) {
        expected = -EINVAL;
    } else if (new_end > model->break_end) {
        size_t count = new_end - model->break_end;

        if (new_end + 1 > model->pages || !is_free(model, model->break_end, count + 1) ||
            touches_stack(model, model->break_end, count + 1) ||
            is_in_guard_gap(model, new_end + 1))
            expected = -ENOMEM;
        else
            put_pages(model, model->break_end, count, &heap);
    } else if (new_end < model->break_end) {
        if (is_free(model, new_end, model->break_end - new_end))
            expected = -ENOMEM;
        else
            for (size_t i = new_end; i < model->break_end; i++)
                unmap_page(&model->page[i]);
    }
    CHECK_EQ(mspace_break(mspace, new_break), expected);
    CHECK_EQ(mspace->break_end, expected == 0 ? new_break : old_break);
    if (expected == 0)
        model->break_end = new_end;
}

/* ---- steps */

void model_init(model_t *model, mspace_t *mspace, size_t pages, test_file_t *file,
                page_t frames)
{
    CHECK(pages <= MODEL_PAGES_MAX);
    memset(model, 0, sizeof(*model));
    model->mspace = mspace;
    model->pages = pages;
    model->stack_limit = SIZE_MAX;
    model->file = file;
    model->frames = frames;
    for (size_t i = 0; i < MODEL_FRAMES; i++)
        memset(fake_ram(frames + PAGES(i)), 0, PAGE_SIZE);
}

void model_set_stack(model_t *model, size_t top, size_t length, size_t limit)
{
    static const mapping_t stack = { .kind = VMA_STACK, .rights = VMA_RW,
                                     .capabilities = VMA_RIGHTS };

    CHECK_EQ(mspace_set_stack(model->mspace, model_vaddr(model, top), PAGES(length), PAGES(limit)),
             0);
    put_pages(model, top - length, length, &stack);
    model->stack_base = top - limit;
    model->stack_end = top;
    model->stack_limit = limit;
}

void model_set_break(model_t *model, size_t page)
{
    model->break_start = model->break_end = page;
    model->mspace->break_start = model->mspace->break_end = model_vaddr(model, page);
}

void model_step(model_t *model)
{
    size_t count = 1 + test_random_below(12);
    size_t page = test_random_below(model->pages - count + 1);

    switch (test_random_below(32)) {
    case 0: case 1: case 2:
        step_map(model, page, count);
        break;
    case 3: case 4:
        step_map_fixed(model, page, count);
        break;
    case 5: case 6:
        step_replace(model, page, count);
        break;
    case 7: case 8:
        step_unmap(model, page, count);
        break;
    case 9: case 10: case 11: case 12: case 13:
        step_protect(model, page, 1 + test_random_below(count));
        break;
    case 14:
        step_break(model, model->break_start + test_random_below(24));
        break;
    case 15:
        if (test_random_below(4) == 0)
            step_kill(model, page, count);
        break;
    case 16:
        if (test_random_below(4) == 0)
            step_scavenge(model);
        break;
    case 17:
        step_resolve(model, page, count);
        break;
    case 18:
        if (test_random_below(100) == 0)
            step_sweep(model);
        break;
    case 19: case 20:
        step_execute(model, page);
        break;
    case 21: case 22: case 23: case 24: case 25:
        step_read(model, page);
        break;
    default:
        step_write(model, page);
        break;
    }
}
