/*
 * The initial files, in a list by name.
 *
 * A file is a run of bytes in physical memory (a module, or part of one), read
 * page by page through a temporary slot, or a text in the kernel heap.
 */
#include <kernel/errno.h>
#include <kernel/kheap.h>
#include <kernel/layout.h>
#include <kernel/mmu.h>
#include <kernel/pagecache.h>
#include <kernel/panic.h>
#include <kernel/physical.h>
#include <kernel/printk.h>
#include <kernel/proc.h>
#include <kernel/ramfs.h>
#include <kernel/string.h>
#include <kernel/tmpfs.h>

/* Guards: (c) constant after ramfs_init, or after ramfs_text for a text */
typedef struct ramfs_file ramfs_file_t;
struct ramfs_file {
    inode_t inode;
    ramfs_file_t *next;     /* (c) */
    page_t base;            /* (c) physical address of the first byte, in a module */
    char *text;             /* (c) the bytes, if they are not in a module */
    unsigned mode;          /* (c) permission bits */
    unsigned number;        /* (c) */
    bool is_directory;      /* (c) */
    char path[];            /* (c) folded: "/bin/wild" */
};

static struct {
    ramfs_file_t *files;    /* latest first */
    unsigned count;         /* numbers given so far */
} ramfs;

/* Copy bytes of physical memory, page by page. */
static void read_physical(page_t address, void *buffer, size_t length)
{
    char *to = buffer;

    while (length > 0) {
        size_t in_page = address & PAGE_MASK;
        size_t part = PAGE_SIZE - in_page < length ? PAGE_SIZE - in_page : length;
        const char *from = mmu_temporary_map(1, address - in_page);

        memcpy(to, from + in_page, part);
        mmu_temporary_unmap(1);
        address += part;
        to += part;
        length -= part;
    }
}

static ramfs_file_t *file_of(inode_t *ino)
{
    return CONTAINER_OF(ino, ramfs_file_t, inode);
}

static int read_page(inode_t *ino, size_t index, void *buffer)
{
    int got = ramfs_read(ino, (off_t)index << PAGE_SHIFT, buffer, PAGE_SIZE);

    if (got < 0)
        return got;
    memset((char *)buffer + got, 0, PAGE_SIZE - (size_t)got);
    return 0;
}

/* Only texts come to this: the list keeps a reference of every other file. */
static void release(inode_t *ino)
{
    ramfs_file_t *file = file_of(ino);

    kfree(file->text);
    kfree(file);
}

static const inode_ops_t ramfs_ops = {
    .read_page = read_page,
    .release = release,
};

int ramfs_read(inode_t *ino, off_t offset, void *buffer, size_t length)
{
    ramfs_file_t *file = file_of(ino);

    ASSERT(ino->ops == &ramfs_ops);
    if (offset < 0)
        return -EIO;
    if (offset >= ino->length)
        return 0;
    if ((off_t)length > ino->length - offset)
        length = (size_t)(ino->length - offset);
    if (file->text != NULL)
        memcpy(buffer, file->text + (size_t)offset, length);
    else
        read_physical(file->base + (size_t)offset, buffer, length);
    return (int)length;
}

void ramfs_about(const inode_t *ino, unsigned *mode, unsigned *number)
{
    const ramfs_file_t *file = CONTAINER_OF(ino, const ramfs_file_t, inode);

    *mode = file->mode;
    *number = file->number;
}

/* FNV-1a of the folded path; files count from 1 up and do not come that far. */
static unsigned directory_number(const char *folded)
{
    uint32_t hash = 0x811c9dc5;

    while (*folded != '\0')
        hash = (hash ^ (unsigned char)*folded++) * 0x01000193;
    return hash | 0x80000000;
}

static ramfs_file_t *new_file(const char *path)
{
    size_t size = strlen(path) + 1;
    ramfs_file_t *file = kcalloc(1, sizeof *file + size);

    if (file == NULL)
        return NULL;
    memcpy(file->path, path, size);
    file->inode.ops = &ramfs_ops;
    file->inode.name = file->path;
    file->inode.users = 1;
    file->number = ++ramfs.count;
    return file;
}

inode_t *ramfs_text(const char *name, char *text, size_t length)
{
    ramfs_file_t *file = new_file(name);

    if (file == NULL)
        return NULL;
    file->text = text;
    file->inode.length = (off_t)length;
    file->mode = 0444;
    return &file->inode;
}

/* --- Paths */

/* Drop the last part of a folded path. */
static size_t parent_length(const char *path, size_t length)
{
    while (length > 0 && path[length - 1] != '/')
        length--;
    return length > 0 ? length - 1 : 0;
}

int ramfs_fold(const char *path, char folded[static RAMFS_PATH_MAX], bool *directory)
{
    size_t length = 0;

    if (*path == '\0')
        return -ENOENT;
    *directory = false;
    while (*path != '\0') {
        const char *part = path;

        while (*path != '/' && *path != '\0')
            path++;
        size_t part_length = (size_t)(path - part);
        bool dot = part_length == 1 && part[0] == '.';
        bool dots = part_length == 2 && part[0] == '.' && part[1] == '.';

        *directory = *path == '/' || dot || dots;
        while (*path == '/')
            path++;
        if (dots)
            length = parent_length(folded, length);
        if (part_length == 0 || dot || dots)
            continue;
        if (part_length > 255)
            return -ENAMETOOLONG;
        if (length + 1 + part_length >= RAMFS_PATH_MAX)
            return -ENOENT;         /* no file has so long a path */
        folded[length++] = '/';
        memcpy(folded + length, part, part_length);
        length += part_length;
    }
    folded[length] = '\0';
    return 0;
}

/* Whether `path` lies below the directory `above`. */
static bool lies_below(const char *path, const char *above)
{
    size_t length = strlen(above);

    return strncmp(path, above, length) == 0 && path[length] == '/';
}

/*
 * => 0 and *found (a file); -EISDIR: a directory, named or implied by a file in
 *    it; -ENOTDIR: a part before the last is a file; -ENOENT
 */
static int find(const char *folded, ramfs_file_t **found)
{
    int err = *folded == '\0' ? -EISDIR : -ENOENT;

    for (ramfs_file_t *file = ramfs.files; file != NULL; file = file->next) {
        if (strcmp(file->path, folded) == 0) {
            *found = file;
            return file->is_directory ? -EISDIR : 0;
        }
        if (lies_below(file->path, folded))
            err = -EISDIR;
        else if (!file->is_directory && lies_below(folded, file->path))
            err = -ENOTDIR;
    }
    return err;
}

int ramfs_open(const char *path, inode_t **ino)
{
    char folded[RAMFS_PATH_MAX];
    ramfs_file_t *file;
    bool directory;
    int err = ramfs_fold(path, folded, &directory);

    if (err != 0)
        return err;
    err = find(folded, &file);
    if (err == 0 && !directory) {
        inode_hold(&file->inode);
        *ino = &file->inode;
    } else if (err == -ENOENT) {
        err = proc_open(folded, ino);
        if (err == -ENOENT)
            err = tmpfs_open(folded, ino);
        if (err == 0 && directory)
            inode_release(*ino);
    }
    return err == 0 && directory ? -ENOTDIR : err;
}

int ramfs_about_directory(const char *path, unsigned *mode, unsigned *number)
{
    char folded[RAMFS_PATH_MAX];
    bool directory;
    int err = ramfs_fold(path, folded, &directory);

    *mode = 0555;
    *number = err == 0 ? directory_number(folded) : 0;
    return err;
}

/* --- Modules and archives */

enum { PRINTABLE_MAX = 400 };       /* more of a name is not printed */

/*
 * At most `length` characters of a name that came from outside, fit for the log:
 * bytes that could steer a terminal are in octal.
 */
static const char *printable(char text[static PRINTABLE_MAX], const char *name, size_t length)
{
    size_t to = 0;

    for (size_t i = 0; i < length && name[i] != '\0' && to + 5 <= PRINTABLE_MAX; i++) {
        if (name[i] >= ' ' && name[i] <= '~')
            text[to++] = name[i];
        else
            to += (size_t)format_text(text + to, 5, "\\%03o", (unsigned char)name[i]);
    }
    text[to] = '\0';
    return text;
}

/*
 * A header of the ustar format (POSIX.1-2008, pax, "ustar Interchange Format"):
 * 512 bytes, text fields filled with NULs, numbers in octal.
 */
typedef struct tar_header {
    char name[100];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char mtime[12];
    char checksum[8];
    char type;
    char link_name[100];
    char magic[6];
    char version[2];
    char user[32];
    char group[32];
    char device_major[8];
    char device_minor[8];
    char prefix[155];
    char padding[12];
} tar_header_t;

enum { TAR_BLOCK = 512 };

static_assert(sizeof(tar_header_t) == TAR_BLOCK, "a header is one block");

/* An octal number, blanks before it, a blank, NUL or the field's end behind it. */
static bool read_octal(const char *field, size_t size, uint64_t *value)
{
    size_t at = 0;

    *value = 0;
    while (at < size && field[at] == ' ')
        at++;
    size_t first = at;
    for (; at < size && field[at] >= '0' && field[at] <= '7'; at++)
        *value = *value << 3 | (uint64_t)(field[at] - '0');
    return at > first && (at == size || field[at] == ' ' || field[at] == '\0');
}

/* The sum of the header's bytes, its checksum field taken as blanks. */
static bool checksum_fits(const tar_header_t *header)
{
    const unsigned char *bytes = (const unsigned char *)header;
    size_t from = offsetof(tar_header_t, checksum);
    uint64_t sum = 0, wanted;

    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += i >= from && i < from + sizeof header->checksum ? ' ' : bytes[i];
    return read_octal(header->checksum, sizeof header->checksum, &wanted) && sum == wanted;
}

static bool is_empty(const tar_header_t *header)
{
    const char *bytes = (const char *)header;

    for (size_t i = 0; i < TAR_BLOCK; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static void add_file(ramfs_file_t *file)
{
    file->next = ramfs.files;
    ramfs.files = file;
}

/* Take in one member whose data begins at `data`. => 0, -ENOMEM, -EINVAL: its name */
static int add_member(const tar_header_t *header, page_t data, size_t size)
{
    char path[sizeof header->prefix + sizeof header->name + 2];
    char folded[RAMFS_PATH_MAX];
    uint64_t mode;
    bool directory;

    format_text(path, sizeof path, "%.155s%s%.100s", header->prefix,
                header->prefix[0] != '\0' ? "/" : "", header->name);
    if (ramfs_fold(path, folded, &directory) != 0)
        return -EINVAL;
    if (folded[0] == '\0')
        return 0;           /* the root is there already */
    ramfs_file_t *file = new_file(folded);
    if (file == NULL)
        return -ENOMEM;
    file->base = data;
    file->is_directory = header->type == '5';
    file->inode.length = file->is_directory ? 0 : (off_t)size;
    file->mode = read_octal(header->mode, sizeof header->mode, &mode) ? mode & 0777 : 0444;
    add_file(file);
    return 0;
}

/* What is wrong with a header, or NULL; *size is its member's. */
static const char *check_header(const tar_header_t *header, size_t left, uint64_t *size)
{
    if (!checksum_fits(header))
        return "the checksum of a header is wrong";
    if (memcmp(header->magic, "ustar", 5) != 0)
        return "a header is not in the ustar format";
    if (!read_octal(header->size, sizeof header->size, size))
        return "the size of a member is not a number";
    if (*size > left)
        return "a member is longer than the archive";
    return NULL;
}

/*
 * Take in the member whose header was read at *at, and move *at past it.
 *
 * => 0; -EINVAL with *damage a sentence; -ENOMEM
 */
static int read_member(const char *name, const boot_module_t *module,
                       const tar_header_t *header, size_t *at, const char **damage)
{
    size_t data = *at + TAR_BLOCK;
    char member[PRINTABLE_MAX], type[PRINTABLE_MAX];
    uint64_t size;
    int err = 0;

    *damage = check_header(header, module->length - data, &size);
    if (*damage != NULL)
        return -EINVAL;
    printable(member, header->name, sizeof header->name);
    if (header->type == '0' || header->type == '\0' || header->type == '5')
        err = add_member(header, module->base + data, (size_t)size);
    else
        printk("files: %s: member %s is of type '%s', left out\n", name, member,
               printable(type, &header->type, 1));
    if (err == -EINVAL)
        printk("files: %s: member %s has no usable name, left out\n", name, member);
    size = (size + TAR_BLOCK - 1) & ~(uint64_t)(TAR_BLOCK - 1);
    *at = size > module->length - data ? module->length : data + (size_t)size;
    return err == -ENOMEM ? err : 0;
}

/* => 0 or -ENOMEM; a damaged archive is reported */
static int unpack(const char *file_name, const boot_module_t *module)
{
    const char *damage = "its end is missing";
    char name[PRINTABLE_MAX];
    tar_header_t header;
    size_t at = 0;
    int err = 0;

    printable(name, file_name, PRINTABLE_MAX);
    while (err == 0 && module->length - at >= TAR_BLOCK) {
        read_physical(module->base + at, &header, TAR_BLOCK);
        if (is_empty(&header))
            return 0;
        err = read_member(name, module, &header, &at, &damage);
        if (err == 0)
            damage = "its end is missing";
    }
    if (err == -ENOMEM)
        return err;
    printk("files: the archive %s is damaged: %s, at byte %zu; what came before is kept\n",
           name, damage, at);
    return 0;
}

/* The first word of a module's string, backslashes taken off; its last part's start. */
static const char *module_name(const char *string, char *word, size_t size)
{
    size_t length = 0;

    for (; *string != '\0' && *string != ' ' && length + 1 < size; string++) {
        if (*string == '\\' && string[1] != '\0')
            string++;
        word[length++] = *string;
    }
    word[length] = '\0';
    const char *slash = strrchr(word, '/');
    return slash != NULL ? slash + 1 : word;
}

static bool is_archive(const boot_module_t *module, const char *name)
{
    size_t length = strlen(name);
    tar_header_t header;

    if (length > 4 && strcmp(name + length - 4, ".tar") == 0)
        return true;
    if (module->length < TAR_BLOCK)
        return false;
    read_physical(module->base, &header, TAR_BLOCK);
    return memcmp(header.magic, "ustar", 5) == 0 && checksum_fits(&header);
}

static int add_module(const boot_module_t *module, const char *name)
{
    char path[RAMFS_PATH_MAX];

    format_text(path, sizeof path, "/%s", name);
    ramfs_file_t *file = new_file(path);
    if (file == NULL)
        return -ENOMEM;
    file->base = module->base;
    file->inode.length = (off_t)module->length;
    file->mode = 0555;
    add_file(file);
    return 0;
}

/* Memory is short: pages in the cache that nobody maps can be read again. */
static size_t reclaim(size_t wanted)
{
    size_t count = 0;

    for (ramfs_file_t *file = ramfs.files; file != NULL && count < wanted; file = file->next)
        count += pagecache_drop(&file->inode);
    return count;
}

size_t ramfs_droppable(void)
{
    size_t count = 0;

    for (const ramfs_file_t *file = ramfs.files; file != NULL; file = file->next)
        for (size_t i = 0; i < file->inode.page_slots; i++) {
            page_t page = file->inode.pages[i];

            count += page != PAGE_NONE && page_count(page) == 1;
        }
    return count;
}

int ramfs_init(const boot_info_t *info)
{
    char word[RAMFS_PATH_MAX - 1];
    int err = 0;

    for (size_t i = 0; i < info->module_count && err == 0; i++) {
        const boot_module_t *module = &info->module[i];
        const char *name = module_name(module->string, word, sizeof word);

        if (*name == '\0')
            printk("files: module %zu has no name, left out\n", i);
        else if (is_archive(module, name))
            err = unpack(name, module);
        else
            err = add_module(module, name);
    }
    physical_set_reclaim(reclaim);
    return err;
}

void ramfs_drop_pages(void)
{
    for (ramfs_file_t *file = ramfs.files; file != NULL; file = file->next)
        pagecache_empty(&file->inode);
}

void ramfs_log(void)
{
    char path[PRINTABLE_MAX];

    for (const ramfs_file_t *file = ramfs.files; file != NULL; file = file->next)
        printk("files: %10lld bytes %s%s\n", (long long)file->inode.length,
               printable(path, file->path, PRINTABLE_MAX), file->is_directory ? "/" : "");
}
