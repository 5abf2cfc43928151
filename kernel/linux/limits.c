/*
 * Limits of a program. Those of its memory are the space's to keep (memory.h); the
 * others are only remembered. No program is privileged: none raises a hard limit.
 */
#include <kernel/memory.h>
#include "linux.h"

enum {
    RLIMIT_DATA = 2,
    RLIMIT_STACK = 3,
    RLIMIT_CORE = 4,
    RLIMIT_NOFILE = 7,
    RLIMIT_MEMLOCK = 8,
    RLIMIT_AS = 9,
    /* What files a program may have open is a table of that length. */
    NOFILE_MAX = TASK_FILES_MAX,
};

static_assert(TASK_LIMITS_COUNT == 16, "as many as Linux has");

void linux_init_limits(task_t *task)
{
    for (size_t i = 0; i < TASK_LIMITS_COUNT; i++)
        task->limits[i] = (task_limit_t){ TASK_NO_LIMIT, TASK_NO_LIMIT };
    task->limits[RLIMIT_STACK].soft = 8 * MIB;
    task->limits[RLIMIT_CORE].soft = 0;
    task->limits[RLIMIT_MEMLOCK] = (task_limit_t){ MSPACE_LOCK_LIMIT * PAGE_SIZE,
                                                   MSPACE_LOCK_LIMIT * PAGE_SIZE };
    task->limits[RLIMIT_NOFILE] = (task_limit_t){ NOFILE_MAX, NOFILE_MAX };
}

/* Bytes as whole pages; no limit stays none. */
static size_t pages_of(uint64_t bytes)
{
    return bytes >= SIZE_MAX ? SIZE_MAX : (size_t)bytes >> PAGE_SHIFT;
}

/* Let the space know. */
static void apply_limits(const task_t *task)
{
    mspace_t *mspace = task->mspace;

    splock_lock(&mspace->lock);
    mspace->limits.address_space = pages_of(task->limits[RLIMIT_AS].soft);
    mspace->limits.data = pages_of(task->limits[RLIMIT_DATA].soft);
    mspace->limits.stack = pages_of(task->limits[RLIMIT_STACK].soft);
    mspace->limits.locked = pages_of(task->limits[RLIMIT_MEMLOCK].soft);
    splock_unlock(&mspace->lock);
}

static int32_t set_limit(uint32_t resource, task_limit_t limit)
{
    if (limit.soft > limit.hard)
        return -EINVAL;
    if (limit.hard > task_current->limits[resource].hard)
        return -EPERM;
    task_current->limits[resource] = limit;
    apply_limits(task_current);
    return 0;
}

/* --- The forms with 32-bit limits; `infinity` stands for what does not fit */

static int32_t give_limit(uint32_t resource, size_t to, uint32_t infinity)
{
    uint32_t pair[2];

    if (resource >= TASK_LIMITS_COUNT)
        return -EINVAL;
    task_limit_t limit = task_current->limits[resource];
    pair[0] = limit.soft < infinity ? (uint32_t)limit.soft : infinity;
    pair[1] = limit.hard < infinity ? (uint32_t)limit.hard : infinity;
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

static uint64_t widened(uint32_t limit)
{
    return limit == UINT32_MAX ? TASK_NO_LIMIT : limit;
}

int32_t linux_setrlimit(const trap_frame_t *call)
{
    uint32_t pair[2];

    if (copy_from_user(pair, call->ecx, sizeof pair) != 0)
        return -EFAULT;
    if (call->ebx >= TASK_LIMITS_COUNT)
        return -EINVAL;
    return set_limit(call->ebx, (task_limit_t){ widened(pair[0]), widened(pair[1]) });
}

/* --- The form with 64-bit limits */

int32_t linux_prlimit64(const trap_frame_t *call)
{
    int32_t pid = (int32_t)call->ebx;
    uint32_t resource = call->ecx;
    task_limit_t before, limit;
    int32_t err;

    if (call->edx != 0 && copy_from_user(&limit, call->edx, sizeof limit) != 0)
        return -EFAULT;
    if (pid != 0 && pid != task_current->pid)
        return task_find(pid) == NULL || pid < 0 ? -ESRCH
               : linux_missing(call->eax, "another program's limit");
    if (resource >= TASK_LIMITS_COUNT)
        return -EINVAL;
    before = task_current->limits[resource];
    if (call->edx != 0) {
        err = set_limit(resource, limit);
        if (err != 0)
            return err;
    }
    return call->esi == 0 ? 0 : copy_to_user(call->esi, &before, sizeof before);
}
