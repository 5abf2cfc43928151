/*
 * The numbers under which a task has files open. 0, 1 and 2 are devices at first
 * (transfer.c).
 */
#include <kernel/kheap.h>
#include <kernel/panic.h>
#include "linux.h"

struct file *linux_file(uint32_t number)
{
    return number < TASK_FILES_MAX ? task_current->files[number] : NULL;
}

void linux_open_standard_files(task_t *task)
{
    task->files[0] = &linux_console_input;
    task->files[1] = &linux_console_output;
    task->files[2] = &linux_console_error;
    for (size_t i = 0; i < 3; i++)
        linux_hold_file(task->files[i]);
}

void linux_release_file(struct file *file)
{
    ASSERT(file->users > 0);
    if (--file->users != 0)
        return;
    if (file->ino != NULL)
        inode_release(file->ino);
    kfree(file);
}

void linux_hold_files(task_t *task, const task_t *from)
{
    for (size_t i = 0; i < TASK_FILES_MAX; i++) {
        task->files[i] = from->files[i];
        if (task->files[i] != NULL)
            linux_hold_file(task->files[i]);
    }
}

void linux_close_files(task_t *task)
{
    for (size_t i = 0; i < TASK_FILES_MAX; i++) {
        if (task->files[i] != NULL)
            linux_release_file(task->files[i]);
        task->files[i] = NULL;
    }
}

int32_t linux_close(const trap_frame_t *call)
{
    struct file *file = linux_file(call->ebx);

    if (file == NULL)
        return -EBADF;
    task_current->files[call->ebx] = NULL;
    linux_release_file(file);
    return 0;
}

int32_t linux_free_number(void)
{
    for (int32_t i = 0; i < TASK_FILES_MAX; i++)
        if (task_current->files[i] == NULL)
            return i;
    return -EMFILE;
}

int32_t linux_dup(const trap_frame_t *call)
{
    struct file *file = linux_file(call->ebx);
    int32_t number = linux_free_number();

    if (file == NULL)
        return -EBADF;
    if (number < 0)
        return number;
    linux_hold_file(file);
    task_current->files[number] = file;
    return number;
}

int32_t linux_dup2(const trap_frame_t *call)
{
    struct file *file = linux_file(call->ebx);
    struct file *before = linux_file(call->ecx);

    if (file == NULL || call->ecx >= TASK_FILES_MAX)
        return -EBADF;
    linux_hold_file(file);
    if (before != NULL)
        linux_release_file(before);
    task_current->files[call->ecx] = file;
    return (int32_t)call->ecx;
}
