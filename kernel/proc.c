/*
 * The files under /proc: a row of a table names the function that writes one.
 */
#include <kernel/errno.h>
#include <kernel/kheap.h>
#include <kernel/memory.h>
#include <kernel/pagecache.h>
#include <kernel/physical.h>
#include <kernel/printk.h>
#include <kernel/proc.h>
#include <kernel/ramfs.h>
#include <kernel/string.h>
#include <kernel/task.h>

/* A text that grows. `failed`: memory was short, the text is not whole. */
typedef struct text {
    char *bytes;
    size_t length;
    size_t size;
    bool failed;
} text_t;

static void add(void *context, const char *bytes, size_t length)
{
    text_t *text = context;

    if (text->failed)
        return;
    if (length > text->size - text->length) {
        size_t size = 2 * text->size + length + 512;
        char *larger = krealloc(text->bytes, size);

        if (larger == NULL) {
            text->failed = true;
            return;
        }
        text->bytes = larger;
        text->size = size;
    }
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
}

__attribute__((format(printf, 2, 3)))
static void print(text_t *text, const char *format, ...)
{
    char line[128];
    va_list args;

    va_start(args, format);
    int length = vformat_text(line, sizeof line, format, args);
    va_end(args);
    add(text, line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
}

static unsigned long kib(size_t pages)
{
    return (unsigned long)(pages * (PAGE_SIZE / KIB));
}

/* --- The machine */

static void write_meminfo(text_t *text)
{
    const physical_mem_info_t *info = physical_figures();
    const struct {
        const char *name;
        size_t pages;
    } rows[] = {
        { "MemTotal:", info->total },
        { "MemFree:", info->free },
        { "MemAvailable:", info->free + ramfs_droppable() },
        { "Buffers:", 0 },
        { "Cached:", info->owner[OWNER_CACHE] },
        { "Shmem:", pagecache_memory_pages() },
        { "SwapTotal:", 0 },
        { "SwapFree:", 0 },
        { "AnonPages:", info->owner[OWNER_ANON] },
        { "Slab:", info->owner[OWNER_HEAP] },
        { "KernelStack:", info->owner[OWNER_STACK] },
        { "PageTables:", info->owner[OWNER_PAGE_TABLE] },
        { "CommitLimit:", commit_limit() },
        { "Committed_AS:", commit.charged },
    };

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        print(text, "%-15s %8lu kB\n", rows[i].name, kib(rows[i].pages));
}

static void write_vmstat(text_t *text)
{
    const physical_mem_info_t *info = physical_figures();

    print(text, "nr_free_pages %zu\n", info->free);
    print(text, "nr_anon_pages %zu\n", info->owner[OWNER_ANON]);
    print(text, "nr_file_pages %zu\n", info->owner[OWNER_CACHE]);
    print(text, "nr_page_table_pages %zu\n", info->owner[OWNER_PAGE_TABLE]);
    print(text, "pgfault %llu\n", (unsigned long long)(kMMU.soft_faults + kMMU.hard_faults));
}

static void write_overcommit_memory(text_t *text)
{
    print(text, "%d\n", (int)commit.mode);
}

static void write_overcommit_ratio(text_t *text)
{
    print(text, "%u\n", commit.ratio);
}

static void write_max_map_count(text_t *text)
{
    print(text, "%d\n", MSPACE_AREAS_MAX);
}

/* --- The current task */

static void write_maps(text_t *text)
{
    if (task_current->mspace != NULL)
        mspace_describe(task_current->mspace, add, text);
}

/* Pages promised by kind: what Linux calls data, stack and text. */
typedef struct promised {
    size_t data, stack, text;
} promised_t;

static void count_area(promised_t *pages, const vma_t *area)
{
    size_t count = area->length / PAGE_SIZE;

    if ((area->flags & VMA_GROWS_DOWN) != 0)
        pages->stack += count;
    else if (vma_is_data(area->flags))
        pages->data += count;
    else if ((area->flags & VMA_EXEC) != 0)
        pages->text += count;
}

static promised_t count_promised(mspace_t *mspace)
{
    promised_t pages = { 0, 0, 0 };

    splock_lock(&mspace->lock);
    for (bbnode_t *node = bbtree_first(&mspace->tree); node != NULL; node = bbtree_next(node))
        count_area(&pages, CONTAINER_OF(node, vma_t, node));
    splock_unlock(&mspace->lock);
    return pages;
}

static void print_memory(text_t *text, mspace_t *mspace)
{
    promised_t pages = count_promised(mspace);

    print(text, "VmSize:\t%8lu kB\n", kib(mspace->v_size));
    print(text, "VmLck:\t%8lu kB\n", kib(mspace->locked));
    print(text, "VmRSS:\t%8lu kB\n", kib(mspace->p_size + mspace->s_size));
    print(text, "RssAnon:\t%8lu kB\n", kib(mspace->p_size));
    print(text, "RssFile:\t%8lu kB\n", kib(mspace->s_size));
    print(text, "VmData:\t%8lu kB\n", kib(pages.data));
    print(text, "VmStk:\t%8lu kB\n", kib(pages.stack));
    print(text, "VmExe:\t%8lu kB\n", kib(pages.text));
    print(text, "VmPTE:\t%8lu kB\n", kib(mmu_table_count(mspace->directory)));
}

static void write_status(text_t *text)
{
    const task_t *task = task_current;

    print(text, "Name:\t%s\n", task->name);
    print(text, "State:\tR (running)\n");
    print(text, "Tgid:\t%d\nPid:\t%d\n", task->pid, task->pid);
    print(text, "PPid:\t%d\n", task->parent != NULL ? task->parent->pid : 0);
    if (task->mspace != NULL)
        print_memory(text, task->mspace);
}

/* --- Opening */

static const struct proc_file {
    const char *path;
    void (*write)(text_t *text);
} proc_files[] = {
    { "/proc/meminfo", write_meminfo },
    { "/proc/vmstat", write_vmstat },
    { "/proc/self/maps", write_maps },
    { "/proc/self/status", write_status },
    { "/proc/sys/vm/max_map_count", write_max_map_count },
    { "/proc/sys/vm/overcommit_memory", write_overcommit_memory },
    { "/proc/sys/vm/overcommit_ratio", write_overcommit_ratio },
};

static int open_file(const struct proc_file *file, inode_t **ino)
{
    text_t text = { NULL, 0, 0, false };

    file->write(&text);
    if (!text.failed) {
        *ino = ramfs_text(file->path, text.bytes, text.length);
        if (*ino != NULL)
            return 0;
    }
    kfree(text.bytes);
    return -ENOMEM;
}

int proc_open(const char *path, inode_t **ino)
{
    size_t length = strlen(path);

    for (size_t i = 0; i < ARRAY_LENGTH(proc_files); i++) {
        const char *name = proc_files[i].path;
        size_t name_length = strlen(name);

        if (strcmp(path, name) == 0)
            return open_file(&proc_files[i], ino);
        if (strncmp(path, name, length) == 0 && name[length] == '/')
            return -EISDIR;
        if (strncmp(path, name, name_length) == 0 && path[name_length] == '/')
            return -ENOTDIR;
    }
    return -ENOENT;
}
