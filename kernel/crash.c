/*
 * Ways to break the kernel on purpose: what is tested is the report.
 */
#include <kernel/kheap.h>
#include <kernel/layout.h>
#include <kernel/linear.h>
#include <kernel/memory.h>
#include <kernel/panic.h>
#include <kernel/printk.h>
#include <kernel/ramfs.h>
#include <kernel/selftest.h>
#include <kernel/string.h>
#include <kernel/task.h>
#include <kernel/types.h>
#include <kernel/virtual.h>

extern char image_text[], image_rodata[];

#define USER_PLACE ((size_t)0x40000000)

/* ---- stacks */

static NOINLINE size_t overflow_stack(size_t depth)
{
    volatile char space[256];

    space[0] = (char)depth;
    if (depth == SIZE_MAX)
        return 0;
    return overflow_stack(depth + 1) + (size_t)space[0];
}

static void crash_stack(void)
{
    overflow_stack(0);
}

/* The same on the kernel stack of a task: the first module's, or the tour's. */
static void crash_task_stack(void)
{
    static char name[] = "tour";
    char *const argv[] = { name, NULL };
    const char *why;
    inode_t *ino;
    task_t *task;

    if (ramfs_open(name, &ino) != 0)
        panic("crash=task-stack needs the program %s", name);
    task = task_create(ino, "overflowing", argv, argv + 1, &why);
    ASSERT(task != NULL);
    task->saved_stack = trap_prepare_stack((size_t)task->frame, crash_stack);
    task_wait(task);
}

/* ---- addresses */

static void crash_null(void)
{
    static volatile int *const volatile null;

    null[2] = 1;
}

static void crash_call_null(void)
{
    void (*volatile null)(void) = NULL;

    null();
    printk("crash: the call of NULL returned\n");
}

static void crash_text(void)
{
    *(volatile char *)image_text = 0;
}

static void crash_rodata(void)
{
    *(volatile char *)image_rodata = 0;
}

static void crash_data(void)
{
    static char code[] = "\xc3";        /* ret */
    void (*volatile run)(void) = (void (*)(void))(uintptr_t)code;

    run();
    /* Where nothing forbids it, it just returns. */
    printk("crash: data was executed\n");
}

static void crash_user(void)
{
    *(volatile int *)USER_PLACE = 1;
}

/* Memory that the current program does have, but touched outside a copy. */
static void crash_stray(void)
{
    mspace_t *mspace = mspace_create();

    ASSERT(mspace != NULL);
    task_current->mspace = mspace;
    switch_pagetable(mspace->directory);
    mspace_map(mspace, USER_PLACE, PAGE_SIZE, NULL, 0, 0, VMA_ANON | VMA_RW | VMA_FIXED);
    *(volatile int *)USER_PLACE = 1;
}

/* A kernel page taken away, and used still. */
static void crash_unmapped(void)
{
    volatile char *area = kmap(PAGE_SIZE, 0, VMA_PIPE | VMA_RW);

    ASSERT(area != NULL);
    area[1] = 1;
    kunmap((void *)area, PAGE_SIZE);
    area[1] = 2;
}

/* ---- promises */

static void crash_assert(void)
{
    ASSERT(1 + 1 == 3);
}

static void crash_leave(void)
{
    leave_linear_space();
}

/* The backtrace must end where the frame pointers do. */
static NOINLINE void crash_frame(void)
{
    volatile size_t *frame = __builtin_frame_address(0);

    frame[0] = 0x12345678;
    ASSERT(frame[0] == 0);
}

/* ---- misuse */

static void crash_double_free(void)
{
    void *volatile buffer = kmalloc(100);

    kfree(buffer);
    kfree(buffer);
}

static void crash_foreign_free(void)
{
    kfree(image_text + 64);
}

static void crash_inner_free(void)
{
    char *buffer = kcalloc(1, 100);

    kfree(buffer + 32);
}

static void crash_overrun(void)
{
    char *volatile buffer = kmalloc(100);

    memset(buffer, 0xff, kmalloc_usable_size(buffer) + 4);
    kfree(buffer);
    kheap_flush(&kernel_heap);      /* kfree may only have cached it */
}

/* A buffer of 112 bytes that ends its page, or begins it. */
static NOINLINE volatile char *guarded_buffer(bool at_end)
{
    size_t wanted = at_end ? PAGE_SIZE - 112 : 0;

    for (size_t i = 0; i < 100; i++) {
        size_t buffer = (size_t)kmalloc(112);

        if (buffer >= GUARD_BASE && buffer < GUARD_END && (buffer & PAGE_MASK) == wanted)
            return (volatile char *)buffer;
    }
    panic("crash=guard-... needs guard=1");
}

static void crash_guard_past(void)
{
    volatile char *buffer = guarded_buffer(true);

    (void)buffer[111];
    (void)buffer[112];
}

static void crash_guard_before(void)
{
    volatile char *buffer = guarded_buffer(false);

    (void)buffer[0];
    (void)buffer[-1];
}

static void crash_guard_read_freed(void)
{
    volatile char *buffer = guarded_buffer(true);

    kfree((void *)buffer);
    (void)buffer[4];
}

static void crash_guard_write_freed(void)
{
    volatile char *buffer = guarded_buffer(false);

    kfree((void *)buffer);
    buffer[0] = 1;
}

static void crash_guard_double_free(void)
{
    void *buffer = (void *)guarded_buffer(true);

    kfree(buffer);
    kfree(buffer);
}

/* A write on the buffer's own page: nothing faults, kfree sees it. */
static void crash_guard_overrun(void)
{
    volatile char *buffer = guarded_buffer(false);

    buffer[112] = 1;
    kfree((void *)buffer);
}

/* One byte, which only a full heap sees. */
static void crash_overflow(void)
{
    char *volatile buffer = kmalloc(100);

    buffer[100] = 'x';
    kfree(buffer);
}

/* A write after the free, seen when the quarantine lets it go. */
static void crash_use_after_free(void)
{
    char *volatile buffer = kmalloc(100);

    kfree(buffer);
    buffer[50] = 'x';
    kheap_flush(&kernel_heap);
}

static void crash_page_double_free(void)
{
    page_t page = alloc_physical_page(OWNER_ANON);

    free_physical_page(page);
    free_physical_page(page);
}

static void crash_page_foreign_free(void)
{
    free_physical_page((page_t)image_text);
}

static void crash_page_marker(void)
{
    page_t page = page_range(2, 2 * PAGE_SIZE, 0, OWNER_ANON);

    /* Its other half is in use, and what cannot be had empties the magazines. */
    free_physical_page(page);
    page_range(physical_mem_info.total, PAGE_SIZE, 0, OWNER_ANON);
    enter_linear_space();
    memset(physical_ptr(page), 0, 16);
    leave_linear_space();
    while (alloc_physical_page(OWNER_ANON) != PAGE_NONE)
        ;
}

static void crash_kunmap(void)
{
    kunmap((void *)KSPACE_BASE, PAGE_SIZE);
}

/* ---- other traps */

static void crash_divide(void)
{
    volatile int zero = 0;
    volatile int hundred = 100;

    hundred = hundred / zero;
}

static void crash_opcode(void)
{
    __builtin_trap();
}

static const struct way {
    const char *name;
    void (*go)(void);
} ways[] = {
    { "stack", crash_stack },               /* overflow the kernel stack */
    { "task-stack", crash_task_stack },     /* overflow a task's kernel stack */
    { "null", crash_null },                 /* write through NULL plus 8 */
    { "call-null", crash_call_null },       /* call NULL */
    { "text", crash_text },                 /* write to the kernel's code */
    { "rodata", crash_rodata },             /* write to a constant */
    { "data", crash_data },                 /* execute data */
    { "user", crash_user },                 /* touch a program's part without a program */
    { "stray", crash_stray },               /* touch a program's memory outside a copy */
    { "unmapped", crash_unmapped },         /* use what was unmapped */
    { "assert", crash_assert },
    { "leave", crash_leave },               /* leave the linear space outside it */
    { "frame", crash_frame },               /* an assertion with a damaged frame pointer */
    { "double-free", crash_double_free },
    { "foreign-free", crash_foreign_free }, /* free what the heap never gave */
    { "inner-free", crash_inner_free },     /* free the middle of a buffer */
    { "overrun", crash_overrun },           /* write past a buffer, then free and merge it */
    { "guard-past", crash_guard_past },     /* with guard=1: read past a buffer's end */
    { "guard-before", crash_guard_before }, /* ... before its start */
    { "guard-read-freed", crash_guard_read_freed },
    { "guard-write-freed", crash_guard_write_freed },
    { "guard-double-free", crash_guard_double_free },
    { "guard-overrun", crash_guard_overrun },   /* write to the rest of its page */
    { "overflow", crash_overflow },         /* write one byte past a buffer; heap=full */
    { "use-after-free", crash_use_after_free },     /* write to a freed buffer; heap=full */
    { "page-double-free", crash_page_double_free },
    { "page-foreign-free", crash_page_foreign_free },
    { "page-marker", crash_page_marker },   /* write to free pages */
    { "kunmap", crash_kunmap },             /* unmap what kmap did not give */
    { "divide", crash_divide },
    { "opcode", crash_opcode },
};

bool selftest_crash(const char *way)
{
    for (size_t i = 0; i < ARRAY_LENGTH(ways); i++) {
        if (strcmp(ways[i].name, way) == 0) {
            ways[i].go();
            panic("crash=%s did not crash", way);
        }
    }
    return false;
}
