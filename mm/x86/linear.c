/*
 * The linear space: RAM at its own addresses, for the short moments in which
 * free pages' markers are read or written.
 */
#include <kernel/linear.h>
#include <kernel/panic.h>
#include <kernel/virtual.h>

#include "walk.h"

static struct linear {
    page_t directory;
    page_t before;          /* the table that was current at the outermost enter */
    size_t depth;
} linear;

const char *init_linear_space(const boot_info_t *info)
{
    linear = (struct linear){ 0 };
    linear.directory = create_pagetable();
    if (linear.directory == PAGE_NONE)
        return "there is not enough memory for the linear space";
    for (size_t i = 0; i < info->ram_count; i++) {
        uint64_t base = info->ram[i].base > LOW_END ? info->ram[i].base : LOW_END;
        uint64_t end = info->ram[i].end < LINEAR_END ? info->ram[i].end : LINEAR_END;

        if (base < end &&
            pagetable_map_linear(linear.directory, (size_t)base, (size_t)end,
                                 ACCESS_WRITE | ACCESS_NOEXEC) != 0)
            return "there is not enough memory for the linear space";
    }
    return NULL;
}

void enable_linear_space(void)
{
    enable_pagetable(linear.directory);
}

void enter_linear_space(void)
{
    if (linear.depth++ == 0 && paging_state.on) {
        linear.before = current_pagetable();
        switch_pagetable(linear.directory);
    }
}

void leave_linear_space(void)
{
    ASSERT(linear.depth > 0);
    if (--linear.depth == 0 && paging_state.on)
        switch_pagetable(linear.before);
}

void linear_space_drop(void)
{
    linear.depth = 0;
}

size_t linear_space_depth(void)
{
    return linear.depth;
}

bool linear_space_is_on(void)
{
    return !paging_state.on || paging_state.current == linear.directory;
}

void *physical_ptr(page_t page)
{
    DEBUG_ASSERT(linear_space_is_on());
    return cpu_physical_address(page);
}

page_t linear_space_directory(void)
{
    return linear.directory;
}
