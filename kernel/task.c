/*
 * Tasks, in a ring by age.
 *
 * A task's kernel stack, from the top down: the registers of ring 3 (`frame`), then
 * whatever the kernel does for it, then a guard page. A task that ends gives its
 * space and files back itself; it still stands on its stack, so whoever waits for
 * it frees stack and task.
 */
#include <kernel/host.h>
#include <kernel/kheap.h>
#include <kernel/linear.h>
#include <kernel/linux.h>
#include <kernel/loader.h>
#include <kernel/physical.h>
#include <kernel/string.h>
#include <kernel/task.h>
#include <kernel/virtual.h>

static task_t kernel_task = {
    .state = TASK_RUNNING,
    .name = "kernel",
    .next = &kernel_task,
};

task_t *task_current = &kernel_task;

static int last_pid;

void task_init(void)
{
    task_set_trap_handlers();
}

int *host_errno(void)
{
    return &task_current->error;
}

task_t *task_find(int pid)
{
    task_t *task = &kernel_task;

    do {
        if (task->pid == pid)
            return task;
        task = task->next;
    } while (task != &kernel_task);
    return NULL;
}

/* --- Switching */

/*
 * The selector, or 0 if loading it would fault: its TLS entry may have gone since
 * the program loaded it.
 */
static uint16_t loadable(const task_t *task, uint16_t selector)
{
    unsigned tls = (selector >> 3) - GDT_TLS_FIRST;

    if (selector == SELECTOR_USER_DATA || selector == SELECTOR_USER_CODE)
        return selector;
    if ((selector & 4) == 0 && tls < GDT_TLS_COUNT && task->tls[tls][1] != 0)
        return selector;
    return 0;
}

static void save_processor_state(task_t *task)
{
    if (task->fpu == NULL)
        return;
    fpu_save(task->fpu);
    trap_save_segments(&task->fs, &task->gs);
}

static void load_processor_state(const task_t *task)
{
    if (task->mspace == NULL) {
        switch_pagetable(kernel_pagetable());
        return;
    }
    switch_pagetable(task->mspace->directory);
    trap_set_kernel_stack(task->kernel_stack + TASK_STACK_SIZE);
    for (unsigned i = 0; i < GDT_TLS_COUNT; i++)
        trap_set_tls(i, task->tls[i][0], task->tls[i][1]);
    trap_load_segments(loadable(task, task->fs), loadable(task, task->gs));
    fpu_restore(task->fpu);
}

/* The next task that can run; there always is one. */
static task_t *next_ready(void)
{
    task_t *task = task_current->next;

    while (task->state != TASK_READY) {
        ASSERT(task != task_current);
        task = task->next;
    }
    return task;
}

/* Let another task run; the current one goes on here when it is its turn again. */
static void give_up_processor(void)
{
    task_t *before = task_current;
    task_t *next = next_ready();

    ASSERT(linear_space_depth() == 0);
    save_processor_state(before);
    next->state = TASK_RUNNING;
    task_current = next;
    load_processor_state(next);
    trap_switch(&before->saved_stack, next->saved_stack);
}

/* --- Kernel stacks */

static void set_stack_owner(size_t stack)
{
    for (size_t at = 0; at < TASK_STACK_SIZE; at += PAGE_SIZE)
        physical_set_owner(get_translation(kernel_pagetable(), stack + at), OWNER_STACK);
}

/* => its lowest address, unmapped pages around it; 0: no memory */
static size_t new_kernel_stack(void)
{
    size_t stack = (size_t)kmap(TASK_STACK_SIZE, 0, VMA_PIPE | VMA_RW);

    if (stack != 0)
        set_stack_owner(stack);
    return stack;
}

/* --- Beginning and end */

static void begin(void)
{
    trap_return(task_current->frame);
}

static void insert(task_t *task)
{
    task_t *last = &kernel_task;

    while (last->next != &kernel_task)
        last = last->next;
    task->next = &kernel_task;
    last->next = task;
}

static void remove(task_t *task)
{
    task_t *before = &kernel_task;

    while (before->next != task)
        before = before->next;
    before->next = task->next;
}

/* Free what a task still has: all of it, for one that was never begun. */
static void free_task(task_t *task)
{
    if (task->mspace != NULL)
        mspace_close(task->mspace);
    inode_release(task->program);
    if (task->kernel_stack != 0)
        kunmap((void *)task->kernel_stack, TASK_STACK_SIZE);
    kfree(task->fpu);
    kfree(task);
}

/* A task with everything but a program. => NULL: no memory */
static task_t *new_task(inode_t *ino, const char *name)
{
    task_t *task = kcalloc(1, sizeof *task);

    if (task == NULL)
        return NULL;
    strlcpy(task->name, name, sizeof task->name);
    task->program = ino;
    inode_hold(ino);
    task->state = TASK_READY;
    task->parent = task_current;
    task->fpu = kmalloc(sizeof *task->fpu);
    task->kernel_stack = new_kernel_stack();
    task->mspace = mspace_create();
    if (task->fpu == NULL || task->kernel_stack == 0 || task->mspace == NULL) {
        free_task(task);
        return NULL;
    }
    return task;
}

/* Registers, stack and files such that the task begins in ring 3. */
static void prepare(task_t *task, const program_t *program)
{
    size_t top = task->kernel_stack + TASK_STACK_SIZE;

    ASSERT((uintptr_t)task->fpu % _Alignof(fpu_state_t) == 0);
    fpu_reset(task->fpu);
    task->frame = (trap_frame_t *)(top - sizeof(trap_frame_t));
    memset(task->frame, 0, sizeof *task->frame);
    task->frame->eip = program->entry;
    task->frame->esp = program->stack;
    task->frame->eflags = EFLAGS_FIXED | EFLAGS_IF;
    task->frame->cs = SELECTOR_USER_CODE;
    task->frame->ss = SELECTOR_USER_DATA;
    task->frame->ds = SELECTOR_USER_DATA;
    task->frame->es = SELECTOR_USER_DATA;
    task->saved_stack = trap_prepare_stack((size_t)task->frame, begin);
    linux_open_standard_files(task);
    linux_init_limits(task);
}

task_t *task_create(inode_t *ino, const char *name, char *const argv[],
                    char *const envp[], const char **why)
{
    task_t *task = new_task(ino, name);
    program_t program;

    if (task == NULL) {
        *why = "there is not enough memory for it";
        return NULL;
    }
    if (program_load(task->mspace, ino, argv, envp, &program, why) != 0) {
        free_task(task);
        return NULL;
    }
    prepare(task, &program);
    task->pid = ++last_pid;
    insert(task);
    return task;
}

int task_wait(task_t *task)
{
    int status;

    ASSERT(task != task_current);
    while (task->state != TASK_ENDED) {
        task_current->state = TASK_WAITING;
        give_up_processor();
    }
    status = task->exit_status;
    remove(task);
    free_task(task);
    return status;
}

/* Children of a task that ends belong to the kernel from now on. */
static void leave_children(const task_t *parent)
{
    for (task_t *task = kernel_task.next; task != &kernel_task; task = task->next)
        if (task->parent == parent)
            task->parent = &kernel_task;
}

void task_exit(int exit_status)
{
    task_t *task = task_current;
    mspace_t *mspace = task->mspace;

    ASSERT(task != &kernel_task);
    ASSERT(linear_space_depth() == 0 && !splock_held(&mspace->lock));
    linux_close_files(task);
    switch_pagetable(kernel_pagetable());
    task->mspace = NULL;
    mspace_close(mspace);
    leave_children(task);
    task->exit_status = exit_status;
    task->state = TASK_ENDED;
    if (task->parent->state == TASK_WAITING)
        task->parent->state = TASK_READY;
    give_up_processor();
    panic("task %d goes on after its end", task->pid);
}
