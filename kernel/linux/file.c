/*
 * Open files: paths, positions. Files of tmpfs.h can be written to (memory_file.c),
 * others not.
 */
#include <kernel/console.h>
#include <kernel/kheap.h>
#include <kernel/printk.h>
#include <kernel/ramfs.h>
#include <kernel/shmem.h>
#include <kernel/string.h>
#include <kernel/tmpfs.h>
#include "linux.h"

enum {
    O_WRONLY = 1,
    O_ACCMODE = 3,
    O_CREAT = 0100,
    O_EXCL = 0200,
    O_TRUNC = 01000,
    O_APPEND = 02000,
    O_LARGEFILE = 0100000,
    O_DIRECTORY = 0200000,

    SEEK_SET = 0,
    SEEK_CUR = 1,
    SEEK_END = 2,
};

/* --- Paths */

int linux_get_path(size_t address, char **path)
{
    char *copy = kmalloc(LINUX_PATH_MAX);

    if (copy == NULL)
        return -ENOMEM;
    int length = copy_string_from_user(copy, address, LINUX_PATH_MAX);
    if (length < 0) {
        kfree(copy);
        return length;
    }
    *path = copy;
    return 0;
}

int linux_check_directory(int32_t directory, const char *path)
{
    if (path[0] == '/' || path[0] == '\0' || directory == AT_FDCWD)
        return 0;
    return linux_file((uint32_t)directory) == NULL ? -EBADF : -ENOTDIR;
}

/* --- open */

/* What the flags say about a path: err is what ramfs_open said, *ino a file if that is 0. */
static int check_open_flags(int err, const inode_t *ino, uint32_t flags)
{
    bool to_write = (flags & O_ACCMODE) != 0 || (flags & O_TRUNC) != 0;

    if ((err == 0 || err == -EISDIR) && (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return -EEXIST;
    if (err != 0)
        return err;
    if ((flags & O_DIRECTORY) != 0)
        return -ENOTDIR;
    if (to_write && !inode_is_memory(ino))
        return -EROFS;
    return (flags & O_LARGEFILE) == 0 && ino->length > INT32_MAX ? -EOVERFLOW : 0;
}

/* A file that is not there is to be made. The last part is cut off its path. */
static int refuse_to_create(char *path)
{
    char *slash = strrchr(path, '/');
    inode_t *ino;
    int err;

    if (path[0] == '\0')
        return -ENOENT;
    if (slash == NULL)
        return -EROFS;
    slash[slash == path] = '\0';         /* the root keeps its slash */
    err = ramfs_open(path, &ino);
    if (err == 0)
        inode_release(ino);
    return err == -EISDIR ? -EROFS : -ENOENT;
}

enum { UMASK = 022 };

/* => 0 and *ino with a reference; path is changed */
static int create(char *path, uint32_t mode, inode_t **ino)
{
    char folded[RAMFS_PATH_MAX];
    bool directory;
    int err = ramfs_fold(path, folded, &directory);

    if (err == 0)
        err = directory ? -EROFS : tmpfs_create(folded, mode & 07777 & ~UMASK, ino);
    return err == -EROFS ? refuse_to_create(path) : err;
}

/* => 0 and *ino with a reference; path is changed */
static int open_inode(char *path, uint32_t flags, uint32_t mode, inode_t **ino)
{
    int err = ramfs_open(path, ino);

    if (err == -ENOENT && (flags & O_CREAT) != 0)
        return create(path, mode, ino);
    int refused = check_open_flags(err, *ino, flags);
    if (err == 0 && refused != 0)
        inode_release(*ino);
    if (refused == 0 && (flags & O_TRUNC) != 0)
        refused = shmem_set_length(*ino, 0);
    return refused;
}

/* => 0 and what is behind the path is in *file; path is changed */
static int open_file(int32_t directory, char *path, uint32_t flags, uint32_t mode,
                     struct file *file)
{
    int err = linux_check_directory(directory, path);

    if (err != 0)
        return err;
    file->ops = linux_device(path);
    if (file->ops != NULL) {
        if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
            return -EEXIST;
        return (flags & O_DIRECTORY) != 0 ? -ENOTDIR : 0;
    }
    err = open_inode(path, flags, mode, &file->ino);
    if (err == 0)
        file->ops = inode_is_memory(file->ino) ? &linux_memory_file_ops : &linux_inode_file_ops;
    return err;
}

/* FILE_* of an open call's flags. */
static unsigned file_mode(uint32_t flags)
{
    static const unsigned access[] = { FILE_READ, FILE_WRITE, FILE_READ | FILE_WRITE, 0 };

    return access[flags & O_ACCMODE] | ((flags & O_APPEND) != 0 ? FILE_APPEND : 0)
         | ((flags & O_LARGEFILE) != 0 ? FILE_LARGE : 0);
}

static int32_t open_path(int32_t directory, char *path, uint32_t flags, uint32_t mode)
{
    int32_t number = linux_free_number();

    if (number < 0)
        return number;
    struct file *file = kcalloc(1, sizeof *file);
    if (file == NULL)
        return -ENOMEM;
    int err = open_file(directory, path, flags, mode, file);
    if (err != 0) {
        kfree(file);
        return err;
    }
    file->mode = file_mode(flags);
    file->users = 1;
    task_current->files[number] = file;
    return number;
}

static int32_t open_at(int32_t directory, size_t address, uint32_t flags, uint32_t mode)
{
    char *path;
    int32_t result = linux_get_path(address, &path);

    if (result != 0)
        return result;
    result = open_path(directory, path, flags, mode);
    kfree(path);
    return result;
}

int32_t linux_open(const trap_frame_t *call)
{
    return open_at(AT_FDCWD, call->ebx, call->ecx, call->edx);
}

int32_t linux_openat(const trap_frame_t *call)
{
    return open_at((int32_t)call->ebx, call->ecx, call->edx, call->esi);
}

int32_t linux_creat(const trap_frame_t *call)
{
    return open_at(AT_FDCWD, call->ebx, O_CREAT | O_WRONLY | O_TRUNC, call->ecx);
}

/* --- Questions about a path */

enum { X_OK = 1, W_OK = 2, R_OK = 4 };

static int32_t access_path(const char *path, uint32_t wanted)
{
    inode_t *ino;
    unsigned mode, number, links;
    int err;

    if (linux_device(path) != NULL)
        return (wanted & X_OK) != 0 ? -EACCES : 0;
    err = ramfs_open(path, &ino);
    if (err == -EISDIR)
        return (wanted & W_OK) != 0 ? -EROFS : 0;
    if (err != 0)
        return err;
    bool is_memory = inode_is_memory(ino);
    if (is_memory)
        tmpfs_about(ino, &mode, &number, &links);
    else
        ramfs_about(ino, &mode, &number);
    inode_release(ino);
    if ((wanted & W_OK) != 0 && !is_memory)
        return -EROFS;
    return (wanted & X_OK) != 0 && (mode & 0111) == 0 ? -EACCES : 0;
}

int32_t linux_access(const trap_frame_t *call)
{
    char *path;
    int32_t result;

    if ((call->ecx & ~(uint32_t)(R_OK | W_OK | X_OK)) != 0)
        return -EINVAL;
    result = linux_get_path(call->ebx, &path);
    if (result != 0)
        return result;
    result = access_path(path, call->ecx);
    kfree(path);
    return result;
}

/* The one symbolic link there is: /proc/self/exe. => its text's length, or an errno */
static int32_t read_link(const char *path, char *text, size_t size)
{
    inode_t *ino;
    int err;

    if (strcmp(path, "/proc/self/exe") == 0)
        return format_text(text, size, "%s", task_current->program->name);
    if (linux_device(path) != NULL)
        return -EINVAL;
    err = ramfs_open(path, &ino);
    if (err == 0)
        inode_release(ino);
    return err == 0 || err == -EISDIR ? -EINVAL : err;
}

int32_t linux_readlink(const trap_frame_t *call)
{
    char text[RAMFS_PATH_MAX];
    char *path;
    int32_t size = (int32_t)call->edx, result;

    if (size <= 0)
        return -EINVAL;
    result = linux_get_path(call->ebx, &path);
    if (result != 0)
        return result;
    result = read_link(path, text, sizeof text);
    kfree(path);
    if (result > size)
        result = size;
    if (result > 0 && copy_to_user(call->ecx, text, (size_t)result) != 0)
        result = -EFAULT;
    return result;
}

/* No file is a terminal yet. */
int32_t linux_ioctl(const trap_frame_t *call)
{
    return linux_file(call->ebx) == NULL ? -EBADF : -ENOTTY;
}

/* --- Positions */

/* => 0 and *position, or a negative errno */
static int seek(struct file *file, off_t offset, uint32_t whence, off_t *position)
{
    off_t base;

    if (file->ops->seeks_nowhere) {
        *position = 0;
        return 0;
    }
    if (file->ino == NULL)
        return -ESPIPE;
    switch (whence) {
    case SEEK_SET:
        base = 0;
        break;
    case SEEK_CUR:
        base = file->position;
        break;
    case SEEK_END:
        base = file->ino->length;
        break;
    default:
        return -EINVAL;
    }
    if (__builtin_add_overflow(base, offset, position) || *position < 0)
        return -EINVAL;
    file->position = *position;
    return 0;
}

int32_t linux_lseek(const trap_frame_t *call)
{
    struct file *file = linux_file(call->ebx);
    off_t position;
    int err;

    if (file == NULL)
        return -EBADF;
    err = seek(file, (int32_t)call->ecx, call->edx, &position);
    if (err == 0 && position > INT32_MAX)
        err = -EOVERFLOW;
    return err != 0 ? err : (int32_t)position;
}

int32_t linux_llseek(const trap_frame_t *call)
{
    struct file *file = linux_file(call->ebx);
    off_t offset = (off_t)((uint64_t)call->ecx << 32 | call->edx);
    off_t position;
    int err;

    if (file == NULL)
        return -EBADF;
    err = seek(file, offset, call->edi, &position);
    return err != 0 ? err : copy_to_user(call->esi, &position, sizeof position);
}
