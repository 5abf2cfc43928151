/*
 * Small questions: the system's name, random numbers, limits.
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

/* --- Limits: fixed, and the same for all */

enum {
    RLIMIT_STACK = 3,
    RLIMIT_CORE = 4,
    RLIMIT_NPROC = 6,
    RLIMIT_NOFILE = 7,
    RLIMIT_COUNT = 16,
};

#define RLIM_INFINITY UINT64_MAX

static uint64_t limit_of(uint32_t resource)
{
    switch (resource) {
    case RLIMIT_STACK:
        return 8 * MIB;
    case RLIMIT_CORE:
        return 0;
    case RLIMIT_NPROC:
        return 1;
    case RLIMIT_NOFILE:
        return TASK_FILES_MAX;
    default:
        return RLIM_INFINITY;
    }
}

/* The forms with 32-bit limits; `infinity` stands for what does not fit. */
static int32_t give_limit(uint32_t resource, size_t to, uint32_t infinity)
{
    uint32_t pair[2];

    if (resource >= RLIMIT_COUNT)
        return -EINVAL;
    uint64_t limit = limit_of(resource);
    pair[0] = pair[1] = limit < infinity ? (uint32_t)limit : infinity;
    return copy_to_user(to, pair, sizeof pair);
}

int32_t linux_getrlimit(const trap_frame_t *call)
{
    return give_limit(call->ebx, call->ecx, INT32_MAX);
}

int32_t linux_ugetrlimit(const trap_frame_t *call)
{
    return give_limit(call->ebx, call->ecx, UINT32_MAX);
}

int32_t linux_prlimit64(const trap_frame_t *call)
{
    int32_t pid = (int32_t)call->ebx;
    uint64_t pair[2];

    if (call->edx != 0 && copy_from_user(pair, call->edx, sizeof pair) != 0)
        return -EFAULT;
    if (pid != 0 && pid != task_current->pid)
        return -ESRCH;
    if (call->ecx >= RLIMIT_COUNT)
        return -EINVAL;
    if (call->edx != 0)
        return linux_missing(call->eax, "a new limit");
    if (call->esi == 0)
        return 0;
    pair[0] = pair[1] = limit_of(call->ecx);
    return copy_to_user(call->esi, pair, sizeof pair);
}
