/*
 * Files that programs make (tmpfs.h): reading, writing, their length, their end.
 */
#include <kernel/kheap.h>
#include <kernel/ramfs.h>
#include <kernel/shmem.h>
#include <kernel/tmpfs.h>
#include "linux.h"

enum {
    CHUNK = 1024,
    AT_REMOVEDIR = 0x200,
};

/* Bytes for the next piece at this user address: never past a page of it. */
static size_t piece(size_t address, size_t left)
{
    size_t in_page = PAGE_SIZE - (address & PAGE_MASK);
    size_t size = left < CHUNK ? left : CHUNK;

    return size < in_page ? size : in_page;
}

static int32_t read_memory(struct file *file, off_t *position, size_t to, size_t length)
{
    char buffer[CHUNK];
    size_t done = 0;

    while (done < length) {
        size_t size = piece(to + done, length - done);
        size_t got = shmem_read(file->ino, *position, buffer, size);

        if (got > 0 && copy_to_user(to + done, buffer, got) != 0)
            return done > 0 ? (int32_t)done : -EFAULT;
        *position += (off_t)got;
        done += got;
        if (got < size)
            break;
    }
    return (int32_t)done;
}

/* How much may be written at the position. => 0: nothing, it is too far */
static size_t writable(const struct file *file, off_t position, size_t length)
{
    off_t end = (file->mode & FILE_LARGE) != 0 ? SHMEM_LENGTH_MAX : INT32_MAX;

    if (position >= end)
        return 0;
    return (off_t)length < end - position ? length : (size_t)(end - position);
}

static int32_t write_memory(struct file *file, off_t *position, size_t from, size_t length)
{
    char buffer[CHUNK];
    size_t done = 0;

    if ((file->mode & FILE_APPEND) != 0)
        *position = file->ino->length;
    length = writable(file, *position, length);
    if (length == 0)
        return -EFBIG;
    while (done < length) {
        size_t size = piece(from + done, length - done);
        int put = copy_from_user(buffer, from + done, size);

        if (put == 0)
            put = shmem_write(file->ino, *position, buffer, size);
        if (put < 0)
            return done > 0 ? (int32_t)done : put;
        *position += put;
        done += (size_t)put;
        if ((size_t)put < size)
            break;
    }
    return (int32_t)done;
}

const file_ops_t linux_memory_file_ops = { .read = read_memory, .write = write_memory };

/* --- Length */

static int32_t set_length(uint32_t number, off_t length)
{
    const struct file *file = linux_file(number);

    if (length < 0)
        return -EINVAL;
    if (file == NULL)
        return -EBADF;
    if (file->ino == NULL || (file->mode & FILE_WRITE) == 0)
        return -EINVAL;
    return shmem_set_length(file->ino, length);
}

int32_t linux_ftruncate(const trap_frame_t *call)
{
    return set_length(call->ebx, (int32_t)call->ecx);
}

int32_t linux_ftruncate64(const trap_frame_t *call)
{
    return set_length(call->ebx, (off_t)((uint64_t)call->edx << 32 | call->ecx));
}

/* --- Names */

static int32_t unlink_path(const char *path, bool directory)
{
    char folded[RAMFS_PATH_MAX];
    bool says_directory, is_ours;
    inode_t *ino;
    int err = ramfs_open(path, &ino);

    if (err == -EISDIR && directory)
        return -EBUSY;
    if (err != 0)
        return err;
    is_ours = inode_is_memory(ino);
    inode_release(ino);
    if (directory)
        return -ENOTDIR;
    if (!is_ours)
        return -EROFS;
    err = ramfs_fold(path, folded, &says_directory);
    return err != 0 ? err : tmpfs_unlink(folded);
}

static int32_t unlink_at(int32_t directory, size_t address, uint32_t flags)
{
    char *path;
    int32_t err;

    if ((flags & ~(uint32_t)AT_REMOVEDIR) != 0)
        return -EINVAL;
    err = linux_get_path(address, &path);
    if (err != 0)
        return err;
    err = linux_check_directory(directory, path);
    if (err == 0)
        err = unlink_path(path, (flags & AT_REMOVEDIR) != 0);
    kfree(path);
    return err;
}

int32_t linux_unlink(const trap_frame_t *call)
{
    return unlink_at(AT_FDCWD, call->ebx, 0);
}

int32_t linux_unlinkat(const trap_frame_t *call)
{
    return unlink_at((int32_t)call->ebx, call->ecx, call->edx);
}
