/*
 * Files that programs make, in a list by name; their bytes are shmem.c's.
 *
 * The list has a reference of each file, so that a file with a name lives.
 */
#include <kernel/errno.h>
#include <kernel/kheap.h>
#include <kernel/shmem.h>
#include <kernel/string.h>
#include <kernel/tmpfs.h>

/* Guards: (c) constant after creation  (k) the kernel: it is never preempted */
typedef struct tmpfs_file tmpfs_file_t;
struct tmpfs_file {
    inode_t inode;
    tmpfs_file_t *next;     /* (k) in the list */
    unsigned mode;          /* (c) permission bits */
    unsigned number;        /* (c) */
    bool is_linked;         /* (k) it is in the list */
    char path[];            /* (c) "/tmp/a" */
};

static struct {
    tmpfs_file_t *files;    /* latest first */
    unsigned count;         /* numbers given so far */
} tmpfs;

static const char *const directories[] = { "/tmp", "/dev/shm", "/dev" };

/* How many of them can have files. */
enum { WRITABLE = 2 };

static tmpfs_file_t *file_of(inode_t *ino)
{
    return CONTAINER_OF(ino, tmpfs_file_t, inode);
}

static void release(inode_t *ino)
{
    kfree(file_of(ino));
}

static const inode_ops_t tmpfs_ops = { .release = release };

/* Where in the list the file is, or the list's end. */
static tmpfs_file_t **find(const char *path)
{
    tmpfs_file_t **link = &tmpfs.files;

    while (*link != NULL && strcmp((*link)->path, path) != 0)
        link = &(*link)->next;
    return link;
}

/* What a path is that no file has. */
static int about_missing(const char *path)
{
    for (size_t i = 0; i < ARRAY_LENGTH(directories); i++)
        if (strcmp(path, directories[i]) == 0)
            return -EISDIR;
    for (const tmpfs_file_t *file = tmpfs.files; file != NULL; file = file->next) {
        size_t length = strlen(file->path);

        if (strncmp(path, file->path, length) == 0 && path[length] == '/')
            return -ENOTDIR;
    }
    return -ENOENT;
}

int tmpfs_open(const char *path, inode_t **ino)
{
    tmpfs_file_t *file = *find(path);

    if (file == NULL)
        return about_missing(path);
    inode_hold(&file->inode);
    *ino = &file->inode;
    return 0;
}

/* Whether the path is a name in one of the directories. */
static bool can_have(const char *path)
{
    const char *slash = strrchr(path, '/');

    for (size_t i = 0; i < WRITABLE && slash != NULL; i++) {
        size_t length = strlen(directories[i]);

        if ((size_t)(slash - path) == length && strncmp(path, directories[i], length) == 0)
            return true;
    }
    return false;
}

int tmpfs_create(const char *path, unsigned mode, inode_t **ino)
{
    size_t size = strlen(path) + 1;
    tmpfs_file_t *file;

    if (!can_have(path))
        return -EROFS;
    file = kcalloc(1, sizeof *file + size);
    if (file == NULL)
        return -ENOSPC;
    memcpy(file->path, path, size);
    file->inode.ops = &tmpfs_ops;
    file->inode.name = file->path;
    file->inode.users = 2;              /* the list's and the caller's */
    file->mode = mode;
    file->number = ++tmpfs.count;
    file->is_linked = true;
    file->next = tmpfs.files;
    tmpfs.files = file;
    *ino = &file->inode;
    return 0;
}

static void unlink(tmpfs_file_t **link)
{
    tmpfs_file_t *file = *link;

    *link = file->next;
    file->is_linked = false;
    inode_release(&file->inode);
}

int tmpfs_unlink(const char *path)
{
    tmpfs_file_t **link = find(path);

    if (*link == NULL)
        return about_missing(path);
    unlink(link);
    return 0;
}

void tmpfs_empty(void)
{
    while (tmpfs.files != NULL)
        unlink(&tmpfs.files);
}

void tmpfs_about(const inode_t *ino, unsigned *mode, unsigned *number, unsigned *links)
{
    const tmpfs_file_t *file = CONTAINER_OF(ino, const tmpfs_file_t, inode);

    *mode = file->mode;
    *number = file->number;
    *links = file->is_linked;
}
