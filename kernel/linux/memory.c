/*
 * brk, mmap, munmap, mprotect: Linux's rules in front of mspace_*.
 */
#include <kernel/commit.h>
#include <kernel/memory.h>
#include <kernel/shmem.h>
#include "linux.h"

enum {
    PROT_READ = 1,
    PROT_WRITE = 2,
    PROT_EXEC = 4,
    PROT_SEM = 8,
    PROT_GROWSDOWN = 0x01000000,
    PROT_GROWSUP = 0x02000000,
    PROT_GROWS = PROT_GROWSDOWN | PROT_GROWSUP,

    MAP_SHARED = 0x01,
    MAP_PRIVATE = 0x02,
    MAP_SHARED_VALIDATE = 0x03,
    MAP_TYPE = 0x0f,
    MAP_FIXED = 0x10,
    MAP_ANONYMOUS = 0x20,
    MAP_GROWSDOWN = 0x0100,
    MAP_LOCKED = 0x2000,
    MAP_NORESERVE = 0x4000,
    MAP_POPULATE = 0x8000,
    MAP_NONBLOCK = 0x10000,
    MAP_HUGETLB = 0x40000,
    MAP_FIXED_NOREPLACE = 0x100000,
    /* Linux's LEGACY_MAP_MASK: what MAP_SHARED_VALIDATE does not object to. */
    MAP_KNOWN = 0x7c07f973,
};

static_assert(PROT_READ == VMA_READ && PROT_WRITE == VMA_WRITE && PROT_EXEC == VMA_EXEC,
              "rights are the same bits");

int32_t linux_brk(const trap_frame_t *call)
{
    mspace_t *mspace = task_current->mspace;

    size_t old = align_up(mspace->break_end, PAGE_SIZE);

    mspace_break(mspace, call->ebx);        /* a refusal shows in the result */
    if (UNLIKELY(mspace->lock_future != 0) && mspace->break_end > old)
        linux_populate(old, align_up(mspace->break_end, PAGE_SIZE) - old, true);
    return (int32_t)mspace->break_end;
}

/*
 * Linux's checks of a range: whole pages, below the end of user memory. Below
 * USER_BASE nothing can be mapped, so that part of it is cut off.
 *
 * => false: the range is bad; *length may be 0 afterwards: nothing to do
 */
static bool cut_range(size_t *address, size_t *length)
{
    if ((*address & PAGE_MASK) != 0 || !is_user_range(*address, *length))
        return false;
    *length = align_up(*length, PAGE_SIZE);
    if (*address < USER_BASE) {
        size_t below = USER_BASE - *address;

        *length = *length > below ? *length - below : 0;
        *address = USER_BASE;
    }
    return true;
}

int32_t linux_munmap(const trap_frame_t *call)
{
    size_t address = call->ebx, length = call->ecx;

    if (length == 0 || !cut_range(&address, &length))
        return -EINVAL;
    return length == 0 ? 0 : mspace_unmap(task_current->mspace, address, length);
}

/* --- mmap */

/* What is asked for, on its way to mspace_map. */
typedef struct request {
    uint32_t call;          /* the number of the system call */
    size_t address;
    size_t length;
    uint32_t rights;
    uint32_t flags;         /* MAP_* */
    uint32_t file;          /* its number */
    uint32_t page;          /* of the file, the first */
    inode_t *ino;
    bool is_zeroes;         /* shared, of a fresh file of zeroes: ino is made for it */
} request_t;

/* Round the length, and make the address one that mspace_map accepts. */
static int32_t check_place(request_t *request)
{
    if (request->length == 0)
        return -EINVAL;
    request->length = align_up(request->length, PAGE_SIZE);
    if (request->length == 0)
        return -ENOMEM;
    if (request->page + (uint32_t)(request->length >> PAGE_SHIFT) < request->page)
        return -EOVERFLOW;
    if (request->length > USER_END)
        return -ENOMEM;
    if ((request->flags & MAP_FIXED) == 0) {        /* only a hint */
        request->address = align_down(request->address, PAGE_SIZE);
        if (request->address < USER_BASE || !is_user_range(request->address, request->length))
            request->address = 0;
        return 0;
    }
    if (!is_user_range(request->address, request->length))
        return -ENOMEM;
    if ((request->address & PAGE_MASK) != 0)
        return -EINVAL;
    return request->address < USER_BASE ? -EPERM : 0;   /* as below mmap_min_addr */
}

/* => the area's flags, or a negative errno */
static int32_t check_anonymous(request_t *request)
{
    switch (request->flags & MAP_TYPE) {
    case MAP_PRIVATE:
        return VMA_ANON | VMA_CAPABILITIES |
               ((request->flags & MAP_GROWSDOWN) != 0 ? VMA_GROWS_DOWN : 0);
    case MAP_SHARED:
        if ((request->flags & MAP_GROWSDOWN) != 0)
            return -EINVAL;
        request->is_zeroes = true;
        return VMA_FILE | VMA_SHARED | VMA_CAPABILITIES;
    default:
        return -EINVAL;
    }
}

/*
 * A mapping of /dev/zero is as an anonymous one; but a shared one begins at its offset
 * in a file that is as long as the mapping, as Linux has it. => the area's flags
 */
static int32_t map_zeroes(request_t *request, int32_t flags)
{
    request->is_zeroes = (flags & VMA_SHARED) != 0;
    if (request->is_zeroes)
        return flags;
    return VMA_ANON | VMA_CAPABILITIES;
}

/* => the area's flags, or a negative errno; request->ino is set */
static int32_t check_file(request_t *request)
{
    const struct file *file = linux_file(request->file);
    int32_t flags = VMA_FILE | VMA_CAPABILITIES;

    switch (request->flags & MAP_TYPE) {
    case MAP_SHARED_VALIDATE:
        if ((request->flags & ~(uint32_t)MAP_KNOWN) != 0)
            return -EOPNOTSUPP;
        /* fall through */
    case MAP_SHARED:
        flags |= VMA_SHARED;
        if ((file->mode & FILE_WRITE) != 0)
            break;
        if ((request->rights & PROT_WRITE) != 0)
            return -EACCES;
        flags &= ~VMA_CAN_WRITE;
        break;
    case MAP_PRIVATE:
        break;
    default:
        return -EINVAL;
    }
    if ((file->mode & FILE_READ) == 0)
        return -EACCES;
    if (file->ino == NULL && !file->ops->is_zeroes)
        return -ENODEV;
    if ((request->flags & MAP_GROWSDOWN) != 0)
        return -EINVAL;
    if (file->ops->is_zeroes)
        return map_zeroes(request, flags);
    request->ino = file->ino;
    return flags;
}

/*
 * Make the pages present, as far as that goes: the mapping stands in any case.
 * A private page that may be written gets its own frame now.
 */
static void populate(size_t address, const request_t *request)
{
    bool write = (request->rights & PROT_WRITE) != 0;

    if ((request->rights & (PROT_READ | PROT_WRITE | PROT_EXEC)) != 0)
        mspace_resolve(task_current->mspace, address, request->length, write);
}

static bool is_populated(uint32_t flags)
{
    return (flags & (MAP_POPULATE | MAP_NONBLOCK)) == MAP_POPULATE;
}

/* The errno of mspace_map, for a fixed address or not. */
static int32_t map_error(bool no_replace)
{
    int err = task_current->error;

    return err == ERANGE && no_replace ? -EEXIST : -err;
}

static int32_t map(const request_t *request, int32_t flags)
{
    mspace_t *mspace = task_current->mspace;
    bool no_replace = (request->flags & MAP_FIXED_NOREPLACE) != 0;
    bool replace = (request->flags & MAP_FIXED) != 0 && !no_replace;
    off_t offset = request->ino != NULL ? (off_t)request->page << PAGE_SHIFT : 0;
    int locks = mspace->lock_future;
    void *place;

    if (no_replace)
        flags |= VMA_FIXED;
    if ((request->flags & MAP_NORESERVE) != 0)
        flags |= VMA_NO_RESERVE;
    flags |= (int32_t)(request->rights & VMA_RIGHTS);
    if (UNLIKELY((request->flags & MAP_LOCKED) != 0))
        mspace_lock_future(mspace, locks | VMA_LOCKED);
    place = (replace ? mspace_replace : mspace_map)(mspace, request->address, request->length,
                                                    request->ino, offset, 0, flags);
    if (UNLIKELY((request->flags & MAP_LOCKED) != 0))
        mspace_lock_future(mspace, locks);
    if (place == NULL)
        return map_error(no_replace);
    /* Where pages are to be locked on access, Linux leaves that to come even so. */
    if (is_populated(request->flags) && (locks & VMA_LOCK_ON_FAULT) == 0)
        populate((size_t)place, request);
    else if (UNLIKELY(locks != 0) || (request->flags & MAP_LOCKED) != 0)
        linux_populate((size_t)place, request->length, true);
    return (int32_t)(size_t)place;
}

/* MAP_FIXED_NOREPLACE over an area is refused as such, whatever else would be wrong. */
static bool is_taken(const request_t *request)
{
    mspace_t *mspace = task_current->mspace;
    const vma_t *area;

    splock_lock(&mspace->lock);
    area = vma_at_or_above(&mspace->tree, request->address);
    splock_unlock(&mspace->lock);
    return area != NULL && vma_base(area) < request->address + request->length;
}

/* Shared memory of its own: a file that lives as long as it is mapped. */
static int32_t map_shared_zeroes(request_t *request, int32_t flags)
{
    size_t pages = request->length >> PAGE_SHIFT;
    int32_t result;

    if ((request->flags & MAP_NORESERVE) != 0 && commit.mode != COMMIT_STRICT)
        pages = 0;
    request->ino = shmem_create((off_t)request->length, pages);
    if (request->ino == NULL)
        return -ENOMEM;
    result = map(request, flags);
    inode_release(request->ino);
    return result;
}

static int32_t check_and_map(request_t *request)
{
    bool anonymous = (request->flags & MAP_ANONYMOUS) != 0;
    int32_t err, flags;

    if (!anonymous && linux_file(request->file) == NULL)
        return -EBADF;
    if ((request->flags & MAP_HUGETLB) != 0)
        return -EINVAL;                             /* no pages of that kind */
    if ((request->flags & MAP_FIXED_NOREPLACE) != 0)
        request->flags |= MAP_FIXED;
    err = check_place(request);
    if (err != 0)
        return err;
    if (anonymous)
        request->page = 0;
    flags = anonymous ? check_anonymous(request) : check_file(request);
    if (UNLIKELY(flags < 0))
        return (request->flags & MAP_FIXED_NOREPLACE) != 0 && is_taken(request) ? -EEXIST : flags;
    return request->is_zeroes ? map_shared_zeroes(request, flags) : map(request, flags);
}

/* What most calls ask for, and all of it right: private memory of no file, anywhere. */
static int32_t map_anywhere(size_t length, uint32_t rights)
{
    int32_t flags = VMA_ANON | VMA_CAPABILITIES | (int32_t)(rights & VMA_RIGHTS);
    void *place = mspace_map(task_current->mspace, 0, align_up(length, PAGE_SIZE), NULL, 0, 0,
                             flags);

    return place != NULL ? (int32_t)(size_t)place : map_error(false);
}

int32_t linux_mmap2(const trap_frame_t *call)
{
    if (LIKELY(call->esi == (MAP_PRIVATE | MAP_ANONYMOUS) && (call->ebx | call->ebp) == 0 &&
               call->ecx - 1 < USER_END && task_current->mspace->lock_future == 0))
        return map_anywhere(call->ecx, call->edx);

    request_t request = {
        .call = call->eax,
        .address = call->ebx,
        .length = call->ecx,
        .rights = call->edx,
        .flags = call->esi,
        .file = call->edi,
        .page = call->ebp,
    };

    return check_and_map(&request);
}

/* The first mmap: its arguments are six words in memory, the offset in bytes. */
int32_t linux_old_mmap(const trap_frame_t *call)
{
    uint32_t word[6];

    if (copy_from_user(word, call->ebx, sizeof word) != 0)
        return -EFAULT;
    if ((word[5] & PAGE_MASK) != 0)
        return -EINVAL;
    request_t request = {
        .call = call->eax,
        .address = word[0],
        .length = word[1],
        .rights = word[2],
        .flags = word[3],
        .file = word[4],
        .page = word[5] >> PAGE_SHIFT,
    };

    return check_and_map(&request);
}

/* --- mprotect */

/*
 * How much of the range from its start may be protected: up to the first page
 * that has no area, or whose area cannot have these rights.
 *
 * => *err: what that page is refused with; 0: there is none such
 */
static size_t protectable(mspace_t *mspace, size_t address, size_t length, uint32_t rights,
                          int32_t *err)
{
    size_t end = address + length, at = address;

    *err = 0;
    splock_lock(&mspace->lock);
    while (at < end && *err == 0) {
        const vma_t *area = mspace_search_vma(mspace, at);

        if (area == NULL)
            *err = -ENOMEM;
        else if ((rights & ~((uint32_t)area->flags / (VMA_CAN_READ / VMA_READ)) & VMA_RIGHTS) != 0)
            *err = -EACCES;
        else
            at = vma_end(area);
    }
    splock_unlock(&mspace->lock);
    return (at < end ? at : end) - address;
}

static_assert(VMA_CAPABILITIES == VMA_RIGHTS * (VMA_CAN_READ / VMA_READ),
              "capabilities are the rights' bits, shifted");

/* All of a range. What is locked and becomes writable is present from then on. */
static int protect_whole(size_t address, size_t length, uint32_t rights)
{
    mspace_t *mspace = task_current->mspace;
    int err = mspace_protect(mspace, address, length, (int)rights);

    if (UNLIKELY(mspace->locked != 0) && err == 0 && (rights & PROT_WRITE) != 0)
        linux_populate(address, length, true);
    return err;
}

/* Linux changes what lies before the first page that it refuses. */
static int32_t protect(size_t address, size_t length, uint32_t rights)
{
    int err = protect_whole(address, length, rights);
    int32_t refused;

    if (err != -ENOENT && err != -EPERM)
        return err;
    length = protectable(task_current->mspace, address, length, rights, &refused);
    if (length > 0)
        err = protect_whole(address, length, rights);
    return length > 0 && err == -ENOMEM ? err : refused;
}

/*
 * PROT_GROWSDOWN: from the start of the stack area that the range begins in.
 * PROT_GROWSUP: no area is of that kind.
 */
static int32_t extend(size_t *address, size_t *length, uint32_t rights)
{
    mspace_t *mspace = task_current->mspace;
    int32_t err = 0;

    splock_lock(&mspace->lock);
    const vma_t *area = mspace_search_vma(mspace, *address);

    if (area == NULL)
        err = -ENOMEM;
    else if ((rights & PROT_GROWSUP) != 0 || (area->flags & VMA_GROWS_DOWN) == 0)
        err = -EINVAL;
    else {
        *length += *address - vma_base(area);
        *address = vma_base(area);
    }
    splock_unlock(&mspace->lock);
    return err;
}

int32_t linux_mprotect(const trap_frame_t *call)
{
    size_t address = call->ebx, length = call->ecx;
    uint32_t rights = call->edx;
    mspace_t *mspace = task_current->mspace;
    int32_t err;

    /* Most calls are right; what is refused is looked at. */
    if (LIKELY((rights & ~(uint32_t)VMA_RIGHTS) == 0 && mspace->locked == 0) &&
        mspace_protect(mspace, address, align_up(length, PAGE_SIZE), (int)rights) == 0)
        return 0;
    if ((address & PAGE_MASK) != 0 || (rights & PROT_GROWS) == PROT_GROWS)
        return -EINVAL;
    if (length == 0)
        return 0;
    length = align_up(length, PAGE_SIZE);
    if (address + length <= address)
        return -ENOMEM;
    if ((rights & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM | PROT_GROWS)) != 0)
        return -EINVAL;
    if (address < USER_BASE || address >= USER_END)
        return -ENOMEM;
    if ((rights & PROT_GROWS) != 0) {
        err = extend(&address, &length, rights);
        if (err != 0)
            return err;
    }
    if (!is_user_range(address, length)) {
        err = protect(address, USER_END - address, rights & VMA_RIGHTS);
        return err != 0 ? err : -ENOMEM;
    }
    return protect(address, length, rights & VMA_RIGHTS);
}
