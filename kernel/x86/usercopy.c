/*
 * Copies to and from the current program's memory: the bounds; the loops are in
 * entry.asm, where a fault can be recovered from.
 */
#include <kernel/errno.h>
#include <kernel/layout.h>
#include <kernel/usercopy.h>

/* entry.asm: 0, or -1 after a fault */
int usercopy_bytes(void *to, const void *from, size_t length);
int usercopy_clear(size_t to, size_t length);
int usercopy_string(char *to, size_t from, size_t size);

static bool is_user(size_t address, size_t length)
{
    return address >= USER_BASE && address <= USER_END && length <= USER_END - address;
}

int copy_from_user(void *to, size_t from, size_t length)
{
    if (!is_user(from, length) || usercopy_bytes(to, (const void *)from, length) != 0)
        return -EFAULT;
    return 0;
}

int copy_to_user(size_t to, const void *from, size_t length)
{
    if (!is_user(to, length) || usercopy_bytes((void *)to, from, length) != 0)
        return -EFAULT;
    return 0;
}

int clear_user(size_t to, size_t length)
{
    if (!is_user(to, length) || usercopy_clear(to, length) != 0)
        return -EFAULT;
    return 0;
}

int copy_string_from_user(char *to, size_t from, size_t size)
{
    size_t room = size;
    int length;

    if (!is_user(from, 0) || from == USER_END)
        return -EFAULT;
    if (room > USER_END - from)
        room = USER_END - from;
    length = usercopy_string(to, from, room);
    if (length < 0)
        return -EFAULT;
    if ((size_t)length < room)
        return length;
    return room < size ? -EFAULT : -ENAMETOOLONG;
}
