/*
 * The files under /proc: a row of a table names the function that writes one. Here are
 * those of the machine, and how all are opened.
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
#include <kernel/virtual.h>

void proc_add(void *context, const char *bytes, size_t length)
{
    proc_text_t *text = context;

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

void proc_print(proc_text_t *text, const char *format, ...)
{
    char line[128];
    va_list args;

    va_start(args, format);
    int length = vformat_text(line, sizeof line, format, args);
    va_end(args);
    proc_add(text, line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
}

/* --- The machine */

static void count_if_mapped(void *context, page_t page)
{
    size_t *count = context;

    *count += page_count(page) > 1;         /* one is the file's own */
}

/* Pages of files that some space has. */
static size_t mapped_pages(void)
{
    size_t count = 0;

    pagecache_visit(count_if_mapped, &count);
    return count;
}

static void write_meminfo(proc_text_t *text)
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
        { "SwapCached:", 0 },
        { "SwapTotal:", 0 },
        { "SwapFree:", 0 },
        { "Dirty:", 0 },
        { "Writeback:", 0 },
        { "AnonPages:", info->owner[OWNER_ANON] },
        { "Mapped:", mapped_pages() },
        { "Shmem:", pagecache_memory_pages() },
        { "Slab:", info->owner[OWNER_HEAP] },
        { "SReclaimable:", 0 },
        { "SUnreclaim:", info->owner[OWNER_HEAP] },
        { "KernelStack:", info->owner[OWNER_STACK] },
        { "PageTables:", info->owner[OWNER_PAGE_TABLE] },
        { "CommitLimit:", commit_limit() },
        { "Committed_AS:", commit.charged },
    };

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        proc_print(text, "%-15s %8lu kB\n", rows[i].name, proc_kib(rows[i].pages));
}

static void write_vmstat(proc_text_t *text)
{
    const physical_mem_info_t *info = physical_figures();

    proc_print(text, "nr_free_pages %zu\n", info->free);
    proc_print(text, "nr_anon_pages %zu\n", info->owner[OWNER_ANON]);
    proc_print(text, "nr_file_pages %zu\n", info->owner[OWNER_CACHE]);
    proc_print(text, "nr_page_table_pages %zu\n", info->owner[OWNER_PAGE_TABLE]);
    proc_print(text, "pgfault %llu\n", (unsigned long long)(kMMU.soft_faults + kMMU.hard_faults));
    proc_print(text, "nr_tlb_local_flush_all %llu\n",
               (unsigned long long)virtual_events.cr3_loads);
    proc_print(text, "nr_tlb_local_flush_one %llu\n",
               (unsigned long long)virtual_events.invlpgs);
}

static void write_overcommit_memory(proc_text_t *text)
{
    proc_print(text, "%d\n", (int)commit.mode);
}

static void write_overcommit_ratio(proc_text_t *text)
{
    proc_print(text, "%u\n", commit.ratio);
}

static void write_max_map_count(proc_text_t *text)
{
    proc_print(text, "%d\n", MSPACE_AREAS_MAX);
}

/* --- Opening */

static const struct proc_file {
    const char *path;
    void (*write)(proc_text_t *text);
} proc_files[] = {
    { "/proc/meminfo", write_meminfo },
    { "/proc/vmstat", write_vmstat },
    { "/proc/sys/vm/max_map_count", write_max_map_count },
    { "/proc/sys/vm/overcommit_memory", write_overcommit_memory },
    { "/proc/sys/vm/overcommit_ratio", write_overcommit_ratio },
};

/* => takes the text's memory */
static int make_file(const char *path, proc_text_t *text, inode_t **ino)
{
    if (!text->failed) {
        *ino = ramfs_text(path, text->bytes, text->length);
        if (*ino != NULL)
            return 0;
    }
    kfree(text->bytes);
    return -ENOMEM;
}

static int open_machine_file(const char *path, inode_t **ino)
{
    size_t length = strlen(path);

    for (size_t i = 0; i < ARRAY_LENGTH(proc_files); i++) {
        const char *name = proc_files[i].path;
        size_t name_length = strlen(name);

        if (strcmp(path, name) == 0) {
            proc_text_t text = { NULL, 0, 0, false };

            proc_files[i].write(&text);
            return make_file(path, &text, ino);
        }
        if (strncmp(path, name, length) == 0 && name[length] == '/')
            return -EISDIR;
        if (strncmp(path, name, name_length) == 0 && path[name_length] == '/')
            return -ENOTDIR;
    }
    return -ENOENT;
}

/* The program that a path's part names: its pid, or "self". => NULL: none */
static const task_t *find_task(const char *name, size_t length)
{
    int pid = 0;

    if (length == 4 && strncmp(name, "self", 4) == 0)
        return task_current;
    if (length == 0 || length > 9 || name[0] == '0')
        return NULL;                    /* 0 is the kernel, which is no program */
    for (size_t i = 0; i < length; i++) {
        if (name[i] < '0' || name[i] > '9')
            return NULL;
        pid = pid * 10 + (name[i] - '0');
    }
    return task_find(pid);
}

/* => rest: what follows the task in the path, a slash first */
static int open_task_file(const task_t *task, const char *path, const char *rest, inode_t **ino)
{
    if (rest[0] == '\0')
        return -EISDIR;
    rest++;
    for (const proc_task_file_t *file = proc_task_files; file->name != NULL; file++) {
        size_t length = strlen(file->name);

        if (strcmp(rest, file->name) == 0) {
            proc_text_t text = { NULL, 0, 0, false };

            file->write(&text, task);
            return make_file(path, &text, ino);
        }
        if (strncmp(rest, file->name, length) == 0 && rest[length] == '/')
            return -ENOTDIR;
    }
    return -ENOENT;
}

int proc_open(const char *path, inode_t **ino)
{
    static const char root[] = "/proc/";
    const task_t *task = NULL;
    size_t length = 0;

    if (strncmp(path, root, sizeof root - 1) == 0) {
        const char *name = path + sizeof root - 1;

        while (name[length] != '\0' && name[length] != '/')
            length++;
        task = find_task(name, length);
        if (task != NULL)
            return open_task_file(task, path, name + length, ino);
    }
    return open_machine_file(path, ino);
}
