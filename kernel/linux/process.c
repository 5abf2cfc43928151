/*
 * Calls about the program itself: its end, its ids, signals, and the
 * segments that its thread-local storage is reached through.
 */
#include "linux.h"

/* Continues a call that a signal interrupted: there never is one. */
int32_t linux_restart_syscall(const trap_frame_t *call)
{
    (void)call;
    return -EINTR;
}

int32_t linux_exit(const trap_frame_t *call)
{
    task_exit((int)(call->ebx & 0xff) << 8);
}

int32_t linux_getpid(const trap_frame_t *call)
{
    (void)call;
    return task_current->pid;
}

int32_t linux_gettid(const trap_frame_t *call)
{
    (void)call;
    return task_current->pid;
}

int32_t linux_getppid(const trap_frame_t *call)
{
    (void)call;
    return task_current->parent->pid;
}

int32_t linux_set_tid_address(const trap_frame_t *call)
{
    task_current->clear_child_tid = call->ebx;
    return task_current->pid;
}

enum { ROBUST_LIST_SIZE = 12 };

/* The list tells others of locks that the program held when it ended; there are
 * no others. */
int32_t linux_set_robust_list(const trap_frame_t *call)
{
    return call->ecx == ROBUST_LIST_SIZE ? 0 : -EINVAL;
}

/* --- Signals */

/* Send the current program a signal, which it gets when the call ends. */
static int32_t send_to_self(const trap_frame_t *call, uint32_t signal, int32_t code)
{
    const signal_info_t info = { .code = code, .pid = task_current->pid };

    if (signal == 0)
        return 0;
    if (signal_stops(task_current, (int)signal))
        return linux_missing(call->eax, "a signal that stops");
    signal_send(task_current, (int)signal, &info);
    return 0;
}

/* Send another program one. What it waits for in the kernel is nothing that it holds. */
static int32_t send_to_other(const trap_frame_t *call, task_t *task, uint32_t signal,
                             int32_t code)
{
    const signal_info_t info = { .code = code, .pid = task_current->pid };

    if (signal == 0 || task->state == TASK_ENDED)
        return 0;
    if (signal_stops(task, (int)signal))
        return linux_missing(call->eax, "a signal that stops");
    if (signal_kills(task, (int)signal))
        task_kill_other(task, (int)signal);
    else
        signal_send(task, (int)signal, &info);
    return 0;
}

static int32_t send(const trap_frame_t *call, int32_t pid, uint32_t signal, int32_t code)
{
    task_t *task = pid > 0 ? task_find(pid) : NULL;

    if (task == NULL)
        return -ESRCH;
    if (signal > SIGNAL_MAX)
        return -EINVAL;
    return task == task_current ? send_to_self(call, signal, code)
                                : send_to_other(call, task, signal, code);
}

enum { ALL_OTHERS = -1 };

/* Send it to a group, or to all others; the sender is the last to get it. */
static int32_t send_to_group(const trap_frame_t *call, int32_t group, uint32_t signal)
{
    int32_t result = -ESRCH;

    /* One that is killed stays; its children that had ended go with it. */
    for (task_t *task = NULL; (task = task_after(task)) != NULL; )
        if (task != task_current && (group == ALL_OTHERS || task->group == group))
            result = signal > SIGNAL_MAX ? -EINVAL : send_to_other(call, task, signal, SI_USER);
    return group == task_current->group ? send(call, task_current->pid, signal, SI_USER) : result;
}

int32_t linux_kill(const trap_frame_t *call)
{
    int32_t pid = (int32_t)call->ebx;

    if (pid > 0)
        return send(call, pid, call->ecx, SI_USER);
    if (pid == INT32_MIN)
        return -ESRCH;
    if (pid == 0)
        return send_to_group(call, task_current->group, call->ecx);
    return send_to_group(call, pid == -1 ? ALL_OTHERS : -pid, call->ecx);
}

int32_t linux_tkill(const trap_frame_t *call)
{
    if ((int32_t)call->ebx <= 0)
        return -EINVAL;
    return send(call, (int32_t)call->ebx, call->ecx, SI_TKILL);
}

int32_t linux_tgkill(const trap_frame_t *call)
{
    if ((int32_t)call->ebx <= 0 || (int32_t)call->ecx <= 0)
        return -EINVAL;
    if (call->ebx != call->ecx)
        return -ESRCH;                  /* one thread a program: its ids are equal */
    return send(call, (int32_t)call->ecx, call->edx, SI_TKILL);
}

/* --- Thread-local storage */

/* Linux's struct user_desc: what a program says of a segment. */
typedef struct user_descriptor {
    uint32_t entry_number;
    uint32_t base;
    uint32_t limit;
    uint32_t flags;
} user_descriptor_t;

enum {
    DESC_32BIT = 1 << 0,
    DESC_CONTENTS = 3 << 1,         /* 0 data, 1 data that expands down, 2 and 3 code */
    DESC_CONTENTS_SHIFT = 1,
    DESC_CODE = 2 << 1,
    DESC_READ_ONLY = 1 << 3,
    DESC_LIMIT_IN_PAGES = 1 << 4,
    DESC_NOT_PRESENT = 1 << 5,
    DESC_USEABLE = 1 << 6,
    DESC_FLAGS = 0x7f,

    /* The high word of a descriptor (Intel SDM 3A 3.4.5). */
    GDT_ACCESSED = 1 << 8,
    GDT_WRITABLE = 1 << 9,
    GDT_TYPE_SHIFT = 10,
    GDT_SEGMENT = 1 << 12,
    GDT_RING3 = 3 << 13,
    GDT_PRESENT = 1 << 15,
    GDT_AVAILABLE = 1 << 20,
    GDT_32BIT = 1 << 22,
    GDT_PAGES = 1 << 23,
};

/* All zero, or only "read-only and not present": no segment at all. */
static bool is_no_segment(const user_descriptor_t *user)
{
    uint32_t flags = user->flags & DESC_FLAGS;

    return user->base == 0 && user->limit == 0
        && (flags == 0 || flags == (DESC_READ_ONLY | DESC_NOT_PRESENT));
}

/* Only data segments that are there, of 32 bits. */
static bool is_data_segment(const user_descriptor_t *user)
{
    return (user->flags & DESC_32BIT) != 0 && (user->flags & DESC_CODE) == 0
        && (user->flags & DESC_NOT_PRESENT) == 0;
}

static void make_descriptor(const user_descriptor_t *user, uint32_t word[2])
{
    uint32_t contents = (user->flags & DESC_CONTENTS) >> DESC_CONTENTS_SHIFT;

    word[0] = (user->base & 0xffff) << 16 | (user->limit & 0xffff);
    word[1] = (user->base & 0xff000000) | (user->base >> 16 & 0xff) | (user->limit & 0xf0000)
            | contents << GDT_TYPE_SHIFT
            | GDT_ACCESSED | GDT_SEGMENT | GDT_RING3 | GDT_PRESENT | GDT_32BIT
            | ((user->flags & DESC_READ_ONLY) == 0 ? GDT_WRITABLE : 0)
            | ((user->flags & DESC_USEABLE) != 0 ? GDT_AVAILABLE : 0)
            | ((user->flags & DESC_LIMIT_IN_PAGES) != 0 ? GDT_PAGES : 0);
}

static uint32_t bit(uint32_t word, uint32_t mask, uint32_t flag)
{
    return (word & mask) != 0 ? flag : 0;
}

static void describe(const uint32_t word[2], user_descriptor_t *user)
{
    uint32_t high = word[1];

    user->base = word[0] >> 16 | (high & 0xff) << 16 | (high & 0xff000000);
    user->limit = (word[0] & 0xffff) | (high & 0xf0000);
    user->flags = (high >> GDT_TYPE_SHIFT & 3) << DESC_CONTENTS_SHIFT
                | (bit(high, GDT_WRITABLE, DESC_READ_ONLY) ^ DESC_READ_ONLY)
                | (bit(high, GDT_PRESENT, DESC_NOT_PRESENT) ^ DESC_NOT_PRESENT)
                | bit(high, GDT_32BIT, DESC_32BIT)
                | bit(high, GDT_PAGES, DESC_LIMIT_IN_PAGES)
                | bit(high, GDT_AVAILABLE, DESC_USEABLE);
}

/* => the first TLS entry that is not used, or -1 */
static int find_free_entry(void)
{
    for (int i = 0; i < GDT_TLS_COUNT; i++)
        if ((task_current->tls[i][0] | task_current->tls[i][1]) == 0)
            return i;
    return -1;
}

/*
 * The program's selectors that name this entry are loaded again on the way back,
 * or on the next switch: let none of them fault in the kernel.
 */
static void drop_stale_selectors(trap_frame_t *frame, unsigned index)
{
    uint32_t selector = (GDT_TLS_FIRST + index) << 3 | 3;
    uint32_t high = task_current->tls[index][1];
    uint16_t fs, gs;

    if (high == 0) {
        if ((frame->ds & 0xffff) == selector)
            frame->ds = 0;
        if ((frame->es & 0xffff) == selector)
            frame->es = 0;
    }
    if ((frame->ss & 0xffff) == selector && (high & GDT_WRITABLE) == 0)
        task_kill(SIGSEGV, frame, NULL);        /* it has no stack any more */
    /* A segment register keeps what it was loaded with: load the new entry. */
    trap_save_segments(&fs, &gs);
    trap_load_segments(fs == selector && high == 0 ? 0 : fs, gs == selector && high == 0 ? 0 : gs);
}

static void set_entry(unsigned index, const user_descriptor_t *user)
{
    uint32_t *word = task_current->tls[index];

    word[0] = word[1] = 0;
    if (!is_no_segment(user))
        make_descriptor(user, word);
    trap_set_tls(index, word[0], word[1]);
    drop_stale_selectors(task_current->frame, index);
}

int32_t linux_set_thread_area(const trap_frame_t *call)
{
    user_descriptor_t user;
    int entry;

    if (copy_from_user(&user, call->ebx, sizeof user) != 0)
        return -EFAULT;
    if (!is_no_segment(&user) && !is_data_segment(&user))
        return -EINVAL;
    if (user.entry_number == (uint32_t)-1) {
        entry = find_free_entry();
        if (entry < 0)
            return -ESRCH;
        user.entry_number = GDT_TLS_FIRST + (uint32_t)entry;
        if (copy_to_user(call->ebx, &user.entry_number, sizeof user.entry_number) != 0)
            return -EFAULT;
    }
    if (user.entry_number - GDT_TLS_FIRST >= GDT_TLS_COUNT)
        return -EINVAL;
    set_entry(user.entry_number - GDT_TLS_FIRST, &user);
    return 0;
}

int32_t linux_get_thread_area(const trap_frame_t *call)
{
    user_descriptor_t user;

    if (copy_from_user(&user.entry_number, call->ebx, sizeof user.entry_number) != 0)
        return -EFAULT;
    if (user.entry_number - GDT_TLS_FIRST >= GDT_TLS_COUNT)
        return -EINVAL;
    describe(task_current->tls[user.entry_number - GDT_TLS_FIRST], &user);
    return copy_to_user(call->ebx, &user, sizeof user);
}
