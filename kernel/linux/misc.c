/*
 * Small questions: the system's name, random numbers.
 */
#include <kernel/random.h>
#include <kernel/string.h>
#include "linux.h"

enum { NAME_SIZE = 65 };

int32_t linux_uname(const trap_frame_t *call)
{
    /* Programs compare the release with the Linux they need: the one whose calls
     * these are. */
    static const char *const fields[6] = {
        "Grove", "grove", "6.1.0", "Grove, with the system calls of Linux 6.1", "i686", "(none)",
    };
    char name[NAME_SIZE];

    for (size_t i = 0; i < ARRAY_LENGTH(fields); i++) {
        memset(name, 0, sizeof name);
        strlcpy(name, fields[i], sizeof name);
        if (copy_to_user(call->ebx + i * NAME_SIZE, name, NAME_SIZE) != 0)
            return -EFAULT;
    }
    return 0;
}

enum {
    GRND_NONBLOCK = 1,
    GRND_RANDOM = 2,
    GRND_INSECURE = 4,
    RANDOM_CHUNK = 256,
};

int32_t linux_getrandom(const trap_frame_t *call)
{
    uint8_t bytes[RANDOM_CHUNK];
    size_t to = call->ebx;
    size_t length = call->ecx < LINUX_COUNT_MAX ? call->ecx : LINUX_COUNT_MAX;
    uint32_t flags = call->edx;
    size_t done = 0;

    if ((flags & ~(uint32_t)(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) != 0
        || (flags & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
        return -EINVAL;
    if (!is_user_range(to, length))
        return -EFAULT;
    while (done < length) {
        size_t part = length - done < RANDOM_CHUNK ? length - done : RANDOM_CHUNK;

        random_fill(bytes, part);
        if (copy_to_user(to + done, bytes, part) != 0)
            return done > 0 ? (int32_t)done : -EFAULT;
        done += part;
    }
    return (int32_t)done;
}
