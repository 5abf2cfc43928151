/*
 * Programs that fork: whatever allocation fails on the way, nothing is lost; and who
 * is killed, or left behind, leaves nothing.
 */
#include <kernel/kheap.h>
#include <kernel/pagecache.h>
#include <kernel/physical.h>
#include <kernel/ramfs.h>
#include <kernel/string.h>
#include <kernel/task.h>
#include <test.h>

#include "probe.h"

/*
 * An ELF file: one segment of two pages with all rights, and the code right behind the
 * headers.
 */
#define PROGRAM(name_, code_) \
    extern const uint8_t file_##name_[], file_##name_##_end[]; \
    __asm__(".section .rodata\n" \
            "file_" #name_ ":\n" \
            ".byte 0x7f, 'E', 'L', 'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0\n" \
            ".short 2, 3\n .long 1, 0x08048054, 52, 0, 0\n .short 52, 32, 1, 0, 0, 0\n" \
            ".long 1, 0, 0x08048000, 0x08048000, file_" #name_ "_end - file_" #name_ \
            ", 8192, 7, 4096\n" \
            code_ "\n" \
            "file_" #name_ "_end:\n" \
            ".text\n")

/* fork; the child writes to two pages and ends; the parent waits. 12: no memory */
PROGRAM(forks,
        "mov $2, %eax\n int $0x80\n test %eax, %eax\n js 2f\n jz 1f\n"
        "mov %eax, %ebx\n xor %ecx, %ecx\n xor %edx, %edx\n mov $7, %eax\n int $0x80\n"
        "movl $1, 0x08049000\n xor %ebx, %ebx\n jmp 3f\n"
        "1: movl $1, 0x08049000\n movl $1, 0x08049800\n push %eax\n mov $5, %ebx\n jmp 3f\n"
        "2: mov $12, %ebx\n"
        "3: mov $1, %eax\n int $0x80\n ud2\n");

static inode_t *make(const uint8_t *from, size_t length)
{
    char *text = kmalloc(length);
    inode_t *ino;

    CHECK(text != NULL);
    memcpy(text, from, length);
    ino = ramfs_text("/program", text, length);
    CHECK(ino != NULL);
    return ino;
}

static task_t *create(inode_t *ino)
{
    static char *const no_strings[] = { NULL };
    const char *why = NULL;
    task_t *task = task_create(ino, "program", no_strings, no_strings, &why);

    if (task == NULL)
        test_fail(__FILE__, __LINE__, "the program was refused: %s", why);
    return task;
}

typedef struct figures {
    size_t owner[OWNER_COUNT];
    kheap_stat_t heap;
} figures_t;

static void take_figures(inode_t *ino, figures_t *figures)
{
    pagecache_drop(ino);
    kheap_trim(&kernel_heap, 0);
    kheap_stat(&kernel_heap, &figures->heap);
    memcpy(figures->owner, physical_figures()->owner, sizeof(figures->owner));
}

static void check_figures(inode_t *ino, const figures_t *before)
{
    figures_t after;

    take_figures(ino, &after);
    CHECK_EQ(memcmp(after.owner, before->owner, sizeof(after.owner)), 0);
    CHECK_EQ(after.heap.buffer_count, before->heap.buffer_count);
    CHECK_OK(mspace_check(kMMU.kspace));
    CHECK_OK(memory_check());
}

TEST(fork_without_memory_loses_nothing)
{
    inode_t *ino = make(file_forks, (size_t)(file_forks_end - file_forks));
    size_t refused = 0, killed = 0;
    bool failed = true;
    figures_t before;

    start_clean();
    CHECK_EQ(task_wait(create(ino)), 0);
    take_figures(ino, &before);
    for (size_t n = 1; failed; n++) {
        task_t *task = create(ino);
        int status;

        kheap_trim(&kernel_heap, 0);    /* or it would have pages for whoever needs one */
        fail_nth(n);
        status = task_wait(task);
        failed = nth_failed();
        task_end_all();
        CHECK(status == 0 || (failed && (status == 12 << 8 || status == SIGKILL)));
        refused += status == 12 << 8;
        killed += status == SIGKILL;
        check_figures(ino, &before);
    }
    CHECK(refused >= 5);        /* stack, space, areas, tables */
    CHECK(killed >= 1);
    inode_release(ino);
}
