/*
 * The files of a task under /proc. One that has ended has no memory any more.
 */
#include <kernel/memory.h>
#include <kernel/proc.h>

static void write_maps(proc_text_t *text, const task_t *task)
{
    if (task->mspace != NULL)
        mspace_describe(task->mspace, proc_add, text);
}

/* What Linux has not: the runs of pages that are in memory. */
static void write_pages(proc_text_t *text, const task_t *task)
{
    if (task->mspace != NULL)
        mspace_describe_pages(task->mspace, proc_add, text);
}

/* Pages promised by kind: what Linux calls data, stack, text and libraries. */
typedef struct promised {
    size_t data, stack, text, libraries;
} promised_t;

static void count_area(promised_t *pages, const task_t *task, const vma_t *area)
{
    size_t count = area->length / PAGE_SIZE;

    if ((area->flags & VMA_GROWS_DOWN) != 0)
        pages->stack += count;
    else if (vma_is_data(area->flags))
        pages->data += count;
    else if ((area->flags & (VMA_EXEC | VMA_WRITE)) != VMA_EXEC)
        return;
    else if (area->ino == task->program)
        pages->text += count;
    else
        pages->libraries += count;
}

static promised_t count_promised(const task_t *task)
{
    mspace_t *mspace = task->mspace;
    promised_t pages = { 0, 0, 0, 0 };

    splock_lock(&mspace->lock);
    for (bbnode_t *node = bbtree_first(&mspace->tree); node != NULL; node = bbtree_next(node))
        count_area(&pages, task, vma_of(node));
    splock_unlock(&mspace->lock);
    return pages;
}

static mmu_entry_t count_object(void *context, size_t vaddr, mmu_entry_t entry)
{
    size_t *count = context;

    (void)vaddr;
    *count += (entry & MMU_OBJECT) != 0 && mmu_frame(entry) != kMMU.zero_page;
    return entry;
}

/* Of s_size, the pages of files that are nowhere but in memory: shared objects. */
static size_t count_in_memory(mspace_t *mspace)
{
    size_t count = 0;

    splock_lock(&mspace->lock);
    for (vma_t *area = vma_of(bbtree_first(&mspace->tree)); area != NULL; area = vma_next(area))
        if (area->ino != NULL && inode_is_memory(area->ino))
            mmu_change_range(mspace->directory, vma_base(area), area->length, count_object,
                             &count);
    splock_unlock(&mspace->lock);
    return count;
}

static void print_memory(proc_text_t *text, const task_t *task)
{
    mspace_t *mspace = task->mspace;
    promised_t pages = count_promised(task);
    size_t in_memory = count_in_memory(mspace);

    splock_lock(&mspace->lock);
    mspace_note_peaks(mspace);
    splock_unlock(&mspace->lock);
    const struct {
        const char *name;
        size_t pages;
    } rows[] = {
        { "VmPeak:", mspace->v_peak },
        { "VmSize:", mspace->v_size },
        { "VmLck:", mspace->locked },
        { "VmPin:", 0 },
        { "VmHWM:", mspace->resident_peak },
        { "VmRSS:", mspace->p_size + mspace->s_size },
        { "RssAnon:", mspace->p_size },
        { "RssFile:", mspace->s_size - in_memory },
        { "RssShmem:", in_memory },
        { "VmData:", pages.data },
        { "VmStk:", pages.stack },
        { "VmExe:", pages.text },
        { "VmLib:", pages.libraries },
        { "VmPTE:", mmu_table_count(mspace->directory) },
        { "VmSwap:", 0 },
    };

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        proc_print(text, "%s\t%8lu kB\n", rows[i].name, proc_kib(rows[i].pages));
}

static const char *state_of(const task_t *task)
{
    switch (task->state) {
    case TASK_WAITING:
        return "S (sleeping)";
    case TASK_ENDED:
        return "Z (zombie)";
    default:
        return "R (running)";
    }
}

static void write_status(proc_text_t *text, const task_t *task)
{
    proc_print(text, "Name:\t%s\n", task->name);
    proc_print(text, "State:\t%s\n", state_of(task));
    proc_print(text, "Tgid:\t%d\nNgid:\t0\nPid:\t%d\n", task->pid, task->pid);
    proc_print(text, "PPid:\t%d\n", task->parent != NULL ? task->parent->pid : 0);
    proc_print(text, "TracerPid:\t0\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n");
    proc_print(text, "FDSize:\t%d\n", TASK_FILES_MAX);
    if (task->mspace != NULL)
        print_memory(text, task);
    proc_print(text, "Threads:\t1\n");
}

/* Pages: size resident shared text 0 data 0. */
static void write_statm(proc_text_t *text, const task_t *task)
{
    const mspace_t *mspace = task->mspace;

    if (mspace == NULL) {
        proc_print(text, "0 0 0 0 0 0 0\n");
        return;
    }
    promised_t pages = count_promised(task);

    proc_print(text, "%zu %zu %zu %zu 0 %zu 0\n", mspace->v_size,
               mspace->p_size + mspace->s_size, mspace->s_size, pages.text,
               pages.data + pages.stack);
}

const proc_task_file_t proc_task_files[] = {
    { "maps", write_maps },
    { "pages", write_pages },
    { "statm", write_statm },
    { "status", write_status },
    { NULL, NULL },
};
