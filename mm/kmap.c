/*
 * The kernel's view of memory that it owns elsewhere, in the kernel mspace.
 *
 *      +-------+==============+-------+=========+-------+
 *      | guard | area         | guard | area    | guard |
 *      +-------+==============+-------+=========+-------+
 *
 * Areas are mapped whole when they are made, in every space, and never fault.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/kheap.h>
#include <kernel/memory.h>
#include <kernel/printk.h>
#include <kernel/virtual.h>

/* Take the first `length` bytes of an area out again. */
static void unmap_pages(const vma_t *vma, size_t length)
{
    for (size_t done = 0; done < length; done += PAGE_SIZE) {
        page_t page = virtual_unmap_kernel(vma_base(vma) + done);

        if (!vma->ops->foreign)
            page_release(page);
    }
}

static access_t access_of(const vma_t *vma)
{
    access_t access = ACCESS_KERNEL | ACCESS_GLOBAL | ACCESS_NOEXEC;

    if ((vma->flags & VMA_WRITE) != 0)
        access |= ACCESS_WRITE;
    if ((vma->flags & VMA_UNCACHED) != 0)
        access |= ACCESS_UNCACHED;
    return access;
}

/* Frames of our own for all of an area. => 0, or -ENOMEM and nothing is mapped */
static int map_own_pages(const vma_t *vma)
{
    access_t access = access_of(vma);

    for (size_t done = 0; done < vma->length; done += PAGE_SIZE) {
        page_t page = page_new(OWNER_KERNEL);
        int err = page == PAGE_NONE ? -ENOMEM
                                    : virtual_map_kernel(vma_base(vma) + done, page, access);

        if (err != 0) {
            if (page != PAGE_NONE)
                page_release(page);
            unmap_pages(vma, done);
            return err;
        }
    }
    return 0;
}

/* Map all of an area. => as map_own_pages */
static int map_pages(const vma_t *vma)
{
    if (vma->ops->foreign)
        return virtual_map_kernel_range(vma_base(vma), (page_t)vma->offset, vma->length,
                                        access_of(vma));
    return map_own_pages(vma);
}

static void count_pages(mspace_t *kspace, const vma_t *vma, bool more)
{
    size_t count = vma->length >> PAGE_SHIFT;
    size_t own = vma->ops->foreign ? 0 : count;

    kspace->v_size += more ? count : -count;
    kspace->p_size += more ? own : -own;
    kspace->phys_pg_count = kspace->p_size;
}

/* Find a place with a free page on both sides, and put the area there. */
static int place_and_map(mspace_t *kspace, vma_t *vma)
{
    vma_place_t place;
    vma_t *next;
    size_t hole = vma_find_hole(&kspace->tree, kspace->lower_bound, kspace->upper_bound,
                                vma->length + 2 * PAGE_SIZE, &next);
    int err;

    if (hole == 0)
        return -ENOMEM;
    vma->node.value = hole + PAGE_SIZE;
    err = map_pages(vma);
    if (err != 0)
        return err;
    place = vma_place_before(&kspace->tree, kspace->lower_bound, next);
    vma_insert(&kspace->tree, vma, &place);
    count_pages(kspace, vma, true);
    return 0;
}

/* => the area, in no tree yet, or NULL and *err */
static vma_t *make_area(size_t length, page_t physical, int flags, int *err)
{
    int area_flags = vma_check_flags(flags, NULL, (off_t)physical, 0, true);
    vma_t *vma;

    *err = -EINVAL;
    if (area_flags < 0 || (flags & VMA_FIXED) != 0 || length == 0 ||
        (length & PAGE_MASK) != 0 || physical > SIZE_MAX - (length - 1))
        return NULL;
    *err = -ENOMEM;
    if (length > KSPACE_END - KSPACE_BASE)
        return NULL;
    vma = kmalloc(sizeof(*vma));
    if (vma != NULL)
        *vma = (vma_t){
            .length = length,
            .offset = (off_t)physical,
            .flags = area_flags,
            .ops = vma_ops_of(area_flags),
        };
    return vma;
}

void *kmap(size_t length, page_t physical, int flags)
{
    mspace_t *kspace = kMMU.kspace;
    void *address = NULL;
    int err;
    vma_t *vma = make_area(length, physical, flags, &err);

    if (vma != NULL) {
        splock_lock(&kspace->lock);
        err = place_and_map(kspace, vma);
        splock_unlock(&kspace->lock);
        if (err == 0)
            address = (void *)vma_base(vma);
        else
            kfree(vma);
    }
    *host_errno() = -err;
    return address;
}

void kunmap(void *address, size_t length)
{
    mspace_t *kspace = kMMU.kspace;
    char sentence[96];
    vma_t *vma;

    splock_lock(&kspace->lock);
    vma = mspace_search_vma(kspace, (size_t)address);
    if (vma != NULL && vma_base(vma) == (size_t)address && vma->length == length) {
        unmap_pages(vma, length);
        count_pages(kspace, vma, false);
        vma_remove(&kspace->tree, vma, vma_next(vma));
    } else {
        vma = NULL;
    }
    splock_unlock(&kspace->lock);
    if (vma == NULL) {
        format_text(sentence, sizeof(sentence),
                    "kunmap of %zu bytes at %p, which kmap did not give", length, address);
        host_misuse(sentence);
    }
    kfree(vma);
}
