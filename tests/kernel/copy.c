/*
 * Copies between spaces under real page tables: neither has to be the current one, and
 * what the processor sees afterwards is what was copied.
 */
#include <kernel/errno.h>
#include <kernel/memory.h>
#include <kernel/string.h>
#include <kernel/usercopy.h>
#include <kernel/virtual.h>
#include <test.h>

#include "probe.h"

#define PLACE ((size_t)0x40000000)
#define PAGES(n) ((size_t)(n) * PAGE_SIZE)

enum { RIGHTS = VMA_ANON | VMA_RW | VMA_CAPABILITIES | VMA_FIXED };

static mspace_t *make_space(size_t pages)
{
    mspace_t *mspace = mspace_create();

    CHECK(mspace != NULL);
    CHECK(mspace_map(mspace, PLACE, PAGES(pages), NULL, 0, 0, RIGHTS) != NULL);
    return mspace;
}

TEST(copy_between_spaces_that_are_not_current)
{
    mspace_t *a = make_space(3), *b = make_space(3);
    char text[64];
    size_t done;

    CHECK_EQ(mspace_copy_out(a, PLACE + PAGE_SIZE - 3, "abcdef", 7, &done), 0);
    CHECK_EQ(mspace_copy(b, PLACE + PAGE_SIZE - 5, a, PLACE + PAGE_SIZE - 3, 7, &done), 0);
    CHECK_EQ(done, 7);
    CHECK_EQ(mspace_copy_in(b, text, PLACE + PAGE_SIZE - 5, 7, &done), 0);
    CHECK_STR(text, "abcdef");
    CHECK_EQ(a->p_size, 2);
    CHECK_EQ(b->p_size, 2);
    CHECK_OK(mspace_check(a));
    CHECK_OK(mspace_check(b));
    mspace_close(a);
    mspace_close(b);
}

/* One of them is current; its zero page is in the TLB when it is replaced. */
TEST(copy_to_the_current_space)
{
    mspace_t *a = make_space(2), *b = make_space(2);
    char byte = 1;
    size_t done;

    CHECK_EQ(mspace_copy_out(b, PLACE, "x", 1, &done), 0);
    switch_pagetable(a->directory);
    CHECK_EQ(mspace_resolve(a, PLACE, 1, false), 0);
    CHECK_EQ(copy_from_user(&byte, PLACE, 1), 0);
    CHECK_EQ(byte, 0);
    CHECK_EQ(mspace_copy(a, PLACE, b, PLACE, 1, &done), 0);
    CHECK_EQ(copy_from_user(&byte, PLACE, 1), 0);
    CHECK_EQ(byte, 'x');
    CHECK_EQ(mspace_copy(a, PLACE + PAGES(2) - 1, b, PLACE, 2, &done), -EFAULT);
    CHECK_EQ(done, 1);
    switch_pagetable(kernel_pagetable());
    mspace_close(a);
    mspace_close(b);
}
