/*
 * /dev/null and /dev/zero.
 */
#include <kernel/string.h>
#include "linux.h"

static int32_t read_nothing(struct file *file, off_t *position, size_t to, size_t length)
{
    (void)file, (void)position, (void)to, (void)length;
    return 0;
}

static int32_t read_zeroes(struct file *file, off_t *position, size_t to, size_t length)
{
    size_t done = 0;

    (void)file, (void)position;
    while (done < length) {
        size_t in_page = PAGE_SIZE - ((to + done) & PAGE_MASK);
        size_t part = length - done < in_page ? length - done : in_page;

        if (clear_user(to + done, part) != 0)
            return done > 0 ? (int32_t)done : -EFAULT;
        done += part;
    }
    return (int32_t)done;
}

/* The bytes are not even looked at. */
static int32_t write_nowhere(struct file *file, off_t *position, size_t from, size_t length)
{
    (void)file, (void)position, (void)from;
    return (int32_t)length;
}

static const file_ops_t null_ops = {
    .read = read_nothing,
    .write = write_nowhere,
    .seeks_nowhere = true,
};

static const file_ops_t zero_ops = {
    .read = read_zeroes,
    .write = write_nowhere,
    .is_zeroes = true,
    .seeks_nowhere = true,
};

const file_ops_t *linux_device(const char *path)
{
    if (strcmp(path, "/dev/null") == 0)
        return &null_ops;
    return strcmp(path, "/dev/zero") == 0 ? &zero_ops : NULL;
}
