/*
 * Out of memory: who has to go, once the kernel's heap has given back what it can.
 *
 * The largest program goes: what counts is what it has in frames, pages that it
 * shares and page tables included. A program that is not running holds nothing in
 * the kernel, so its memory is free at once.
 */
#include <kernel/kheap.h>
#include <kernel/physical.h>
#include <kernel/printk.h>
#include <kernel/task.h>

static task_t *find_largest(void)
{
    task_t *largest = NULL;
    size_t most = 0;

    for (task_t *task = NULL; (task = task_after(task)) != NULL; ) {
        if (task->mspace == NULL || task->mspace->phys_pg_count < most)
            continue;
        largest = task;
        most = task->mspace->phys_pg_count;
    }
    return largest;
}

void oom_report(const task_t *task)
{
    const physical_mem_info_t *info = physical_figures();
    const size_t page = PAGE_SIZE / KIB;

    printk("%s (pid %d) is killed by signal 9 (SIGKILL): out of memory; it has %zu KiB, the "
           "most of all; %zu of %zu KiB are free\n", task->name, task->pid,
           task->mspace->phys_pg_count * page, info->free * page, info->total * page);
}

bool oom_make_room(void)
{
    task_t *task;

    if (kheap_trim(&kernel_heap, 0) != 0)
        return true;
    task = find_largest();

    if (task == NULL || task == task_current)
        return false;
    oom_report(task);
    task_end(task, SIGKILL);
    return true;
}
