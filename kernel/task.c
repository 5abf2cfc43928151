/*
 * Tasks, in a ring by age: switching, beginning, ending, waiting.
 *
 * A task's kernel stack, from the top down: the registers of ring 3 (`frame`), then
 * whatever the kernel does for it, then a guard page. A task that ends gives its
 * space and files back itself; it still stands on its stack, so whoever waits for
 * it frees stack and task.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/kheap.h>
#include <kernel/linear.h>
#include <kernel/linux.h>
#include <kernel/loader.h>
#include <kernel/physical.h>
#include <kernel/string.h>
#include <kernel/task.h>
#include <kernel/usercopy.h>
#include <kernel/virtual.h>

static task_t kernel_task = {
    .state = TASK_RUNNING,
    .name = "kernel",
    .next = &kernel_task,
    .previous = &kernel_task,
};

task_t *task_current = &kernel_task;

void task_init(void)
{
    task_set_trap_handlers();
}

int *host_errno(void)
{
    return &task_current->error;
}

task_t *task_after(const task_t *after)
{
    task_t *next = after == NULL ? kernel_task.next : after->next;

    return next != &kernel_task ? next : NULL;
}

task_t *task_find(int pid)
{
    task_t *task = NULL;

    if (pid == kernel_task.pid)
        return &kernel_task;
    while ((task = task_after(task)) != NULL && task->pid != pid)
        ;
    return task;
}

/* --- Numbers */

enum {
    PID_END = 32768,
    PID_AGAIN = 300,            /* as Linux: those below are not given a second time */
};

static int last_pid;
static bool wrapped;

/* A number is taken as long as it names a task or a group. */
static bool is_taken(int pid)
{
    for (task_t *task = NULL; (task = task_after(task)) != NULL; )
        if (task->pid == pid || task->group == pid)
            return true;
    return false;
}

/* => 0: all are taken */
static int new_pid(void)
{
    for (int tried = 0; tried < PID_END; tried++) {
        if (++last_pid == PID_END) {
            last_pid = PID_AGAIN;
            wrapped = true;
        }
        if (!wrapped || !is_taken(last_pid))
            return last_pid;
    }
    return 0;
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

/*
 * The next task that can run; there always is one. The kernel first: programs that
 * outlive the one that it waits for may never give way.
 */
static task_t *next_ready(void)
{
    task_t *task = task_current->next;

    if (kernel_task.state == TASK_READY)
        return &kernel_task;
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
    next->state = TASK_RUNNING;
    if (next == before)
        return;
    save_processor_state(before);
    task_current = next;
    load_processor_state(next);
    trap_switch(&before->saved_stack, next->saved_stack);
}

void task_yield(void)
{
    task_current->state = TASK_READY;
    give_up_processor();
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
    task_t *task = task_current;

    if (task->set_child_tid != 0) {
        copy_to_user(task->set_child_tid, &task->pid, sizeof task->pid);
        task_check_memory(task->frame);
    }
    if (task->signal_waiting)
        signal_deliver(task->frame, NULL);
    trap_return(task->frame);
}

static void insert(task_t *task)
{
    task->next = &kernel_task;
    task->previous = kernel_task.previous;
    task->previous->next = task;
    kernel_task.previous = task;
}

static void remove(task_t *task)
{
    task->previous->next = task->next;
    task->next->previous = task->previous;
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

/* A task with everything but a space. => NULL: no memory */
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
    if (task->fpu == NULL || task->kernel_stack == 0) {
        free_task(task);
        return NULL;
    }
    ASSERT((uintptr_t)task->fpu % _Alignof(fpu_state_t) == 0);
    task->frame = (trap_frame_t *)(task->kernel_stack + TASK_STACK_SIZE) - 1;
    task->saved_stack = trap_prepare_stack((size_t)task->frame, begin);
    return task;
}

/* Registers, stack and files such that the task begins in ring 3. */
static void prepare(task_t *task, const program_t *program)
{
    fpu_reset(task->fpu);
    memset(task->frame, 0, sizeof *task->frame);
    task->frame->eip = program->entry;
    task->frame->esp = program->stack;
    task->frame->eflags = EFLAGS_FIXED | EFLAGS_IF;
    task->frame->cs = SELECTOR_USER_CODE;
    task->frame->ss = SELECTOR_USER_DATA;
    task->frame->ds = SELECTOR_USER_DATA;
    task->frame->es = SELECTOR_USER_DATA;
    linux_open_standard_files(task);
    linux_init_limits(task);
}

task_t *task_create(inode_t *ino, const char *name, char *const argv[],
                    char *const envp[], const char **why)
{
    task_t *task = new_task(ino, name);
    program_t program;

    *why = "there is not enough memory for it";
    if (task == NULL)
        return NULL;
    task->mspace = mspace_create();
    if (task->mspace == NULL || program_load(task->mspace, ino, argv, envp, &program, why) != 0) {
        free_task(task);
        return NULL;
    }
    prepare(task, &program);
    task->pid = new_pid();
    task->group = task->pid;
    insert(task);
    return task;
}

/* What the processor has of the current task, which goes on with it. */
static void copy_processor_state(task_t *child)
{
    fpu_save(child->fpu);
    fpu_restore(child->fpu);            /* FSAVE has cleared it */
    trap_save_segments(&child->fs, &child->gs);
    memcpy(child->tls, task_current->tls, sizeof child->tls);
    *child->frame = *task_current->frame;
    child->frame->eax = 0;
}

int task_fork(task_t **child)
{
    task_t *parent = task_current;
    int pid = new_pid();
    task_t *task;

    if (pid == 0)
        return -EAGAIN;
    task = new_task(parent->program, parent->name);
    if (task == NULL)
        return -ENOMEM;
    task->mspace = mspace_clone(parent->mspace);
    if (task->mspace == NULL) {
        free_task(task);
        return -ENOMEM;
    }
    copy_processor_state(task);
    linux_hold_files(task, parent);
    memcpy(task->unknown_calls, parent->unknown_calls, sizeof task->unknown_calls);
    memcpy(task->limits, parent->limits, sizeof task->limits);
    signal_inherit(task, parent);
    task->output_to_port = parent->output_to_port;
    task->pid = pid;
    task->group = parent->group;
    insert(task);
    *child = task;
    return 0;
}

/* --- End */

static void reap(task_t *task)
{
    ASSERT(task->state == TASK_ENDED && task != task_current);
    remove(task);
    free_task(task);
}

/* Children of a task that ends are the kernel's to wait for from now on. */
static void leave_children(const task_t *parent)
{
    task_t *next;

    for (task_t *task = kernel_task.next; task != &kernel_task; task = next) {
        next = task->next;
        if (task->parent != parent)
            continue;
        task->parent = &kernel_task;
        task->adopted = true;
        if (task->state == TASK_ENDED)
            reap(task);
    }
}

/* Wake it, and send SIGCHLD. */
static void tell_parent(const task_t *task)
{
    bool killed = (task->exit_status & 0x7f) != 0;
    const signal_info_t info = {
        .code = killed ? CLD_KILLED : CLD_EXITED,
        .pid = task->pid,
        .status = killed ? task->exit_status & 0x7f : task->exit_status >> 8,
    };

    if (task->parent->state == TASK_WAITING)
        task->parent->state = TASK_READY;
    if (task->parent != &kernel_task)
        signal_send(task->parent, SIGCHLD, &info);
}

void task_end(task_t *task, int exit_status)
{
    mspace_t *mspace = task->mspace;

    ASSERT(task != &kernel_task && task->state != TASK_ENDED && !splock_held(&mspace->lock));
    linux_close_files(task);
    task->mspace = NULL;
    mspace_close(mspace);
    leave_children(task);
    task->exit_status = exit_status;
    task->state = TASK_ENDED;
    tell_parent(task);
}

void task_exit(int exit_status)
{
    task_t *task = task_current;

    ASSERT(linear_space_depth() == 0);
    switch_pagetable(kernel_pagetable());
    task_end(task, exit_status);
    give_up_processor();
    panic("task %d goes on after its end", task->pid);
}

void task_end_all(void)
{
    ASSERT(task_current == &kernel_task);
    while (kernel_task.next != &kernel_task) {
        if (kernel_task.next->state != TASK_ENDED)
            task_end(kernel_task.next, SIGKILL);
        reap(kernel_task.next);
    }
}

/* --- Waiting */

static void wait_for_change(void)
{
    task_current->state = TASK_WAITING;
    give_up_processor();
}

static void reap_adopted(void)
{
    task_t *next;

    for (task_t *task = kernel_task.next; task != &kernel_task; task = next) {
        next = task->next;
        if (task->adopted && task->state == TASK_ENDED)
            reap(task);
    }
}

int task_wait(task_t *task)
{
    int status;

    ASSERT(task_current == &kernel_task && task != task_current);
    while (task->state != TASK_ENDED) {
        wait_for_change();
        reap_adopted();
    }
    status = task->exit_status;
    reap(task);
    return status;
}

static bool is_waited_for(const task_t *task, int pid)
{
    if (task->parent != task_current)
        return false;
    if (pid > 0)
        return task->pid == pid;
    return pid == -1 || task->group == (pid == 0 ? task_current->group : -pid);
}

/* => the first child of that kind, one that ended if there is one; NULL: none */
static task_t *find_child(int pid)
{
    task_t *found = NULL;

    for (task_t *task = NULL; (task = task_after(task)) != NULL; ) {
        if (!is_waited_for(task, pid))
            continue;
        if (task->state == TASK_ENDED)
            return task;
        found = task;
    }
    return found;
}

int task_wait_child(int pid, bool block, int *exit_status)
{
    for (;;) {
        task_t *child = find_child(pid);

        if (child == NULL)
            return -ECHILD;
        if (child->state == TASK_ENDED) {
            int ended = child->pid;

            *exit_status = child->exit_status;
            reap(child);
            return ended;
        }
        if (!block)
            return 0;
        if (task_current->signal_waiting)
            return -EINTR;
        wait_for_change();
    }
}
