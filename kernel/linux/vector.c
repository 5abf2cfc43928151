/*
 * The vectors of readv and writev. The program's array is copied once and judged by the
 * copy: what another thread writes there afterwards is nobody's concern.
 */
#include <kernel/kheap.h>
#include "linux.h"

enum { IOV_MAX = 1024 };

/* A negative length counts before an address that no program has. */
static int32_t check(const linux_vector_t *vector)
{
    for (uint32_t i = 0; i < vector->count; i++)
        if (vector->element[i].length > INT32_MAX)
            return -EINVAL;
    for (uint32_t i = 0; i < vector->count; i++)
        if (!is_user_range(vector->element[i].base, vector->element[i].length))
            return -EFAULT;
    return 0;
}

/* All elements together move no more than one call may. */
static void limit(linux_vector_t *vector)
{
    uint32_t left = LINUX_COUNT_MAX;

    for (uint32_t i = 0; i < vector->count; i++) {
        if (vector->element[i].length > left)
            vector->element[i].length = left;
        left -= vector->element[i].length;
    }
}

int32_t linux_get_vector(linux_vector_t *vector, size_t address, uint32_t count)
{
    size_t size = count * sizeof vector->element[0];
    int32_t err;

    if (count > IOV_MAX)
        return -EINVAL;
    vector->count = count;
    vector->element = vector->few;
    if (count > LINUX_VECTOR_FEW)
        vector->element = kmalloc(size);
    if (vector->element == NULL)
        return -ENOMEM;
    err = copy_from_user(vector->element, address, size);
    if (count == 0)
        err = is_user_range(address, 0) ? 0 : -EFAULT;
    if (err == 0)
        err = check(vector);
    if (err != 0)
        linux_drop_vector(vector);
    else
        limit(vector);
    return err;
}

void linux_drop_vector(linux_vector_t *vector)
{
    if (vector->element != vector->few)
        kfree(vector->element);
}
