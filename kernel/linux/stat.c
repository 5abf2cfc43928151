/*
 * What a file is: stat64 and its relatives, and statx.
 */
#include <kernel/kheap.h>
#include <kernel/ramfs.h>
#include <kernel/string.h>
#include <kernel/tmpfs.h>
#include "linux.h"

enum {
    S_IFCHR = 0020000,
    S_IFDIR = 0040000,
    S_IFREG = 0100000,
    STATX_BASIC_STATS = 0x7ff,
    STATX_RESERVED = (int)0x80000000,
};

/* Devices, by their minor numbers; the major one is 0, as of what is in memory. */
enum { DEVICE_FILES = 1, DEVICE_CONSOLE = 2, DEVICE_TMPFS = 3 };

/* /dev/null and /dev/zero have numbers behind those of the console. */
enum { FIRST_DEVICE_NUMBER = 16 };

/* What the forms below are filled from. */
typedef struct about {
    unsigned device;
    unsigned mode;
    unsigned number;
    off_t length;
    unsigned links;
} about_t;

/* struct stat64 of i386. */
typedef struct stat64 {
    uint64_t dev;
    uint32_t pad0;
    uint32_t ino_low;
    uint32_t mode;
    uint32_t nlink;
    uint32_t uid;
    uint32_t gid;
    uint64_t rdev;
    uint32_t pad1;
    int64_t size;
    uint32_t blksize;
    uint64_t blocks;
    uint32_t time[6];           /* access, modification, change: seconds, nanoseconds */
    uint64_t ino;
} __attribute__((packed)) stat64_t;

static_assert(sizeof(stat64_t) == 96, "as in Linux");

typedef struct statx {
    uint32_t mask;
    uint32_t blksize;
    uint64_t attributes;
    uint32_t nlink;
    uint32_t uid;
    uint32_t gid;
    uint16_t mode;
    uint16_t pad0;
    uint64_t ino;
    uint64_t size;
    uint64_t blocks;
    uint64_t attributes_mask;
    uint64_t time[8];           /* access, birth, change, modification */
    uint32_t rdev_major;
    uint32_t rdev_minor;
    uint32_t dev_major;
    uint32_t dev_minor;
    uint64_t pad1[14];
} statx_t;

static_assert(sizeof(statx_t) == 256, "as in Linux");

static void about_inode(const inode_t *ino, about_t *about)
{
    about->links = 1;
    if (inode_is_memory(ino)) {
        about->device = DEVICE_TMPFS;
        tmpfs_about(ino, &about->mode, &about->number, &about->links);
    } else {
        about->device = DEVICE_FILES;
        ramfs_about(ino, &about->mode, &about->number);
    }
    about->mode |= S_IFREG;
    about->length = ino->length;
}

static void about_device(const file_ops_t *ops, about_t *about)
{
    *about = (about_t){ DEVICE_CONSOLE, S_IFCHR | 0666, FIRST_DEVICE_NUMBER + ops->is_zeroes, 0,
                        1 };
}

static int about_file(uint32_t number, about_t *about)
{
    const struct file *file = linux_file(number);

    if (file == NULL)
        return -EBADF;
    if (file->ino != NULL)
        about_inode(file->ino, about);
    else if (file->ops->seeks_nowhere)
        about_device(file->ops, about);
    else
        *about = (about_t){ DEVICE_CONSOLE, S_IFCHR | 0620, number + 1, 0, 1 };
    return 0;
}

static int about_path(const char *path, about_t *about)
{
    const file_ops_t *device = linux_device(path);
    inode_t *ino;
    int err;

    if (device != NULL) {
        about_device(device, about);
        return 0;
    }
    err = ramfs_open(path, &ino);
    if (err == 0) {
        about_inode(ino, about);
        inode_release(ino);
    } else if (err == -EISDIR) {
        *about = (about_t){ .device = DEVICE_FILES, .links = 1 };
        err = ramfs_about_directory(path, &about->mode, &about->number);
        about->mode |= S_IFDIR;
    }
    return err;
}

/* A path from the program, or with AT_EMPTY_PATH and "" the open file itself. */
static int about_at(int32_t directory, size_t address, uint32_t flags, about_t *about)
{
    char *path;
    int err = linux_get_path(address, &path);

    if (err != 0)
        return err;
    if (path[0] == '\0' && (flags & AT_EMPTY_PATH) != 0) {
        err = directory == AT_FDCWD ? about_path("/", about)
                                    : about_file((uint32_t)directory, about);
    } else {
        err = linux_check_directory(directory, path);
        if (err == 0)
            err = about_path(path, about);
    }
    kfree(path);
    return err;
}

static uint64_t blocks_of(const about_t *about)
{
    return (uint64_t)(about->length + 511) >> 9;
}

static int32_t give_stat64(size_t to, const about_t *about)
{
    stat64_t stat;

    memset(&stat, 0, sizeof stat);
    stat.dev = about->device;
    stat.ino_low = about->number;
    stat.ino = about->number;
    stat.mode = about->mode;
    stat.nlink = about->links;
    stat.size = about->length;
    stat.blksize = PAGE_SIZE;
    stat.blocks = blocks_of(about);
    return copy_to_user(to, &stat, sizeof stat);
}

static int32_t give_statx(size_t to, const about_t *about)
{
    statx_t stat;

    memset(&stat, 0, sizeof stat);
    stat.mask = STATX_BASIC_STATS;
    stat.dev_minor = about->device;
    stat.ino = about->number;
    stat.mode = (uint16_t)about->mode;
    stat.nlink = about->links;
    stat.size = (uint64_t)about->length;
    stat.blksize = PAGE_SIZE;
    stat.blocks = blocks_of(about);
    return copy_to_user(to, &stat, sizeof stat);
}

int32_t linux_fstat64(const trap_frame_t *call)
{
    about_t about;
    int err = about_file(call->ebx, &about);

    return err != 0 ? err : give_stat64(call->ecx, &about);
}

int32_t linux_stat64(const trap_frame_t *call)
{
    about_t about;
    int err = about_at(AT_FDCWD, call->ebx, 0, &about);

    return err != 0 ? err : give_stat64(call->ecx, &about);
}

/* What a call with flags takes; how fresh the answer has to be is all the same. */
static const uint32_t known_flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH
                                  | AT_STATX_SYNC_TYPE;

int32_t linux_fstatat64(const trap_frame_t *call)
{
    about_t about;
    int err;

    if ((call->esi & ~known_flags) != 0)
        return -EINVAL;
    err = about_at((int32_t)call->ebx, call->ecx, call->esi, &about);
    return err != 0 ? err : give_stat64(call->edx, &about);
}

int32_t linux_statx(const trap_frame_t *call)
{
    about_t about;
    int err;

    if ((call->edx & ~known_flags) != 0 || (call->esi & (uint32_t)STATX_RESERVED) != 0
        || (call->edx & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
        return -EINVAL;
    err = about_at((int32_t)call->ebx, call->ecx, call->edx, &about);
    return err != 0 ? err : give_statx(call->edi, &about);
}
