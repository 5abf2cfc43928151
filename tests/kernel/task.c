/*
 * Programs, made here byte by byte: how they begin and end, what they find, and
 * files that are none.
 */
#include <kernel/errno.h>
#include <kernel/kheap.h>
#include <kernel/layout.h>
#include <kernel/loader.h>
#include <kernel/pagecache.h>
#include <kernel/ramfs.h>
#include <kernel/string.h>
#include <kernel/task.h>
#include <kernel/virtual.h>
#include <test.h>
#include <x86/features.h>

#include "probe.h"

/*
 * What the programs do, in ring 3: code that does not mind where it is. It ends
 * with the exit call, its status in %ebx.
 */
#define PROGRAM(name_, code_) \
    extern const uint8_t program_##name_[], program_##name_##_end[]; \
    __asm__(".section .rodata\n" \
            "program_" #name_ ":\n" code_ "\n" \
            "    mov $1, %eax\n" \
            "    int $0x80\n" \
            "    ud2\n" \
            "program_" #name_ "_end:\n" \
            ".text\n")

#define MAKE(name_) make_program(program_##name_, \
                                 (size_t)(program_##name_##_end - program_##name_))

PROGRAM(status_42, "mov $42, %ebx");
PROGRAM(argc, "mov (%esp), %ebx");
PROGRAM(null_write, "xor %eax, %eax\n mov %eax, (%eax)");
PROGRAM(kernel_read, "mov $0xc0000000, %eax\n mov (%eax), %ebx");
PROGRAM(image_read, "mov $0x00100000, %eax\n mov (%eax), %ebx");
PROGRAM(undefined, "ud2");
PROGRAM(privileged, "cli");
/* write(1, the kernel's heap, 4): the answer, negated */
PROGRAM(bad_pointer, "mov $4, %eax\n mov $1, %ebx\n mov $0xc0000000, %ecx\n mov $4, %edx\n"
        "int $0x80\n mov %eax, %ebx\n neg %ebx");
/* The bss and the page behind the file's bytes are zero; the sum of what is not. */
PROGRAM(bss, "mov $0x08060000, %esi\n mov $4096, %ecx\n xor %ebx, %ebx\n"
        "1: or (%esi), %ebx\n add $4, %esi\n loop 1b\n"
        "movl $1, 0x08060000\n");
/* 100 KiB of stack, touched downwards */
PROGRAM(stack, "mov $25, %ecx\n 1: sub $4096, %esp\n mov %ecx, (%esp)\n loop 1b\n"
        "mov (%esp), %ebx");
PROGRAM(stack_overflow, "1: push %eax\n jmp 1b");
/* brk(0), then more and more, each page written, until it is killed */
PROGRAM(greedy, "mov $45, %eax\n xor %ebx, %ebx\n int $0x80\n mov %eax, %esi\n"
        "1: lea 4096(%esi), %ebx\n mov $45, %eax\n int $0x80\n cmp %ebx, %eax\n jne 2f\n"
        "movl $1, (%esi)\n mov %ebx, %esi\n jmp 1b\n"
        "2: mov $7, %ebx");
/* Leave the floating-point unit full, in another mode. */
PROGRAM(fpu_dirty, "push $0x0e7f\n fldcw (%esp)\n fldpi\n fldpi\n fldpi\n"
        "mov $3, %ebx");
PROGRAM(sse_dirty, "pcmpeqd %xmm0, %xmm0\n movdqa %xmm0, %xmm7\n push $0x7f80\n"
        "ldmxcsr (%esp)\n mov $3, %ebx");
/* Status 0 if it is as a new program must find it. */
PROGRAM(fpu_fresh, "mov $1, %ebx\n sub $32, %esp\n fnstcw (%esp)\n cmpw $0x037f, (%esp)\n"
        "jne 1f\n fnstenv (%esp)\n cmpw $0xffff, 8(%esp)\n jne 1f\n xor %ebx, %ebx\n 1:");
PROGRAM(sse_fresh, "mov $1, %ebx\n sub $32, %esp\n stmxcsr (%esp)\n cmpl $0x1f80, (%esp)\n"
        "jne 1f\n por %xmm7, %xmm0\n movdqu %xmm0, (%esp)\n mov (%esp), %ebx\n"
        "or 4(%esp), %ebx\n or 8(%esp), %ebx\n or 12(%esp), %ebx\n 1:");
/* State stays over faults and calls: pi and a pattern, then a touch and a call. */
PROGRAM(fpu_kept, "fldpi\n movl $1, 0x08060000\n mov $20, %eax\n int $0x80\n fldpi\n"
        "fcompp\n fnstsw %ax\n mov $1, %ebx\n sahf\n jne 1f\n xor %ebx, %ebx\n 1:");
PROGRAM(flags, "pushf\n pop %ebx\n and $0x7d5, %ebx");

/* ---- ELF (System V gABI, chapters 4 and 5) */

typedef struct elf {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version, entry, phoff, shoff, flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
    struct elf_load {
        uint32_t type, offset, vaddr, paddr, filesz, memsz, flags, align;
    } load[2];
    uint8_t code[160];
} elf_t;

static_assert(offsetof(elf_t, load) == 52 && sizeof(struct elf_load) == 32, "as in the file");

static elf_t sound_elf(void)
{
    return (elf_t){
        .ident = { 0x7f, 'E', 'L', 'F', 1, 1, 1 },
        .type = 2, .machine = 3, .version = 1,
        .entry = 0x08048000 + offsetof(elf_t, code),
        .phoff = offsetof(elf_t, load),
        .ehsize = 52, .phentsize = 32, .phnum = 2,
        .load = {
            { 1, 0, 0x08048000, 0x08048000, sizeof(elf_t), sizeof(elf_t), 5, 4096 },
            { 1, 0, 0x08060000, 0x08060000, 0, 16384, 6, 4096 },
        },
    };
}

static inode_t *file_of(const void *bytes, size_t length)
{
    char *text = kmalloc(length);
    inode_t *ino;

    CHECK(text != NULL);
    memcpy(text, bytes, length);
    ino = ramfs_text("/program", text, length);
    CHECK(ino != NULL);
    return ino;
}

static inode_t *make_program(const uint8_t *code, size_t length)
{
    elf_t elf = sound_elf();

    CHECK(length <= sizeof(elf.code));
    memcpy(elf.code, code, length);
    return file_of(&elf, sizeof(elf));
}

static char *const no_strings[] = { NULL };

static task_t *create(inode_t *ino)
{
    static char name[] = "program";
    static char *const argv[] = { name, NULL };
    const char *why = NULL;
    task_t *task = task_create(ino, name, argv, no_strings, &why);

    if (task == NULL)
        test_fail(__FILE__, __LINE__, "the program was refused: %s", why);
    return task;
}

/* Run a program to its end. Its file goes. => as task_wait */
static int run(inode_t *ino)
{
    task_t *task;

    start_clean();
    task = create(ino);
    inode_release(ino);
    return task_wait(task);
}

static int exited(int status)
{
    return status << 8;
}

/* ---- beginning and end */

TEST(task_ends_with_its_status)
{
    CHECK_EQ(run(MAKE(status_42)), exited(42));
    CHECK_EQ(current_pagetable(), kernel_pagetable());
}

TEST(task_finds_its_arguments)
{
    static char word[] = "word";
    char *const argv[] = { word, word, word, word, word, NULL };
    inode_t *ino = MAKE(argc);
    const char *why = NULL;
    task_t *task = task_create(ino, "argc", argv, no_strings, &why);

    inode_release(ino);
    CHECK(task != NULL);
    CHECK_EQ(task_wait(task), exited(5));
}

TEST(task_memory_is_as_the_file_says)
{
    CHECK_EQ(run(MAKE(bss)), exited(0));
    CHECK_EQ(run(MAKE(stack)), exited(1));
    CHECK_EQ(run(MAKE(flags)) & ~exited(0x200), 0);     /* none but IF */
}

TEST(task_is_killed_for_what_it_may_not_do)
{
    CHECK_EQ(run(MAKE(null_write)), SIGSEGV);
    CHECK_EQ(run(MAKE(kernel_read)), SIGSEGV);
    CHECK_EQ(run(MAKE(image_read)), SIGSEGV);
    if (physical_figures()->free > 9 * MIB / PAGE_SIZE)      /* or memory ends before */
        CHECK_EQ(run(MAKE(stack_overflow)), SIGSEGV);
    CHECK_EQ(run(MAKE(undefined)), SIGILL);
    CHECK_EQ(run(MAKE(privileged)), SIGSEGV);
    CHECK_EQ(run(MAKE(bad_pointer)), exited(EFAULT));
    CHECK_EQ(run(MAKE(status_42)), exited(42));         /* the kernel goes on */
}

TEST(task_floating_point_is_fresh_and_kept)
{
    if (!cpu_features.fpu)
        test_skip("this processor has no floating-point unit");
    CHECK_EQ(run(MAKE(fpu_dirty)), exited(3));
    CHECK_EQ(run(MAKE(fpu_fresh)), exited(0));
    CHECK_EQ(run(MAKE(fpu_kept)), exited(0));
    if (!cpu_features.sse2)
        return;
    CHECK_EQ(run(MAKE(sse_dirty)), exited(3));
    CHECK_EQ(run(MAKE(sse_fresh)), exited(0));
}

/* Many at once, waited for in another order than they were made. */
TEST(task_many_at_once)
{
    enum { TASKS = 12 };
    inode_t *ino = MAKE(status_42);
    task_t *task[TASKS];
    size_t wrong = 0;

    start_clean();
    for (size_t i = 0; i < TASKS; i++) {
        task[i] = create(ino);
        for (size_t k = 0; k < i; k++)
            wrong += task[k]->pid == task[i]->pid;
        wrong += task_find(task[i]->pid) != task[i];
        wrong += !probe_read(task[i]->kernel_stack - 1).faulted;
        wrong += probe_read(task[i]->kernel_stack).faulted;
        wrong += probe_read(task[i]->kernel_stack + TASK_STACK_SIZE - 1).faulted;
        wrong += !probe_read(task[i]->kernel_stack + TASK_STACK_SIZE).faulted;
    }
    inode_release(ino);
    CHECK_EQ(physical_figures()->owner[OWNER_STACK], TASKS * TASK_STACK_SIZE / PAGE_SIZE);
    for (size_t i = 0; i < TASKS; i++)
        wrong += task_wait(task[(i * 5 + 3) % TASKS]) != exited(42);
    CHECK_EQ(wrong, 0);
    CHECK_EQ(physical_figures()->owner[OWNER_STACK], 0);
}

TEST(task_that_takes_everything_is_killed)
{
    size_t free;
    int status;

    start_clean();
    if (physical_figures()->free > 32 * MIB / PAGE_SIZE)
        test_skip("the machine is too large");
    free = physical_figures()->free;
    status = run(MAKE(greedy));
    CHECK(status == SIGKILL || status == exited(7));
    kheap_trim(&kernel_heap, 0);
    CHECK(physical_figures()->free + 64 > free);          /* kernel tables stay */
    CHECK_EQ(run(MAKE(status_42)), exited(42));
}

/* ---- programs that cannot be loaded */

/* Every allocation on the way fails in turn; each time nothing may be missing. */
TEST(task_without_memory_loses_nothing)
{
    inode_t *ino = MAKE(status_42);
    bool failed = true;
    size_t refused = 0;

    start_clean();
    CHECK_EQ(task_wait(create(ino)), exited(42));       /* kernel tables exist now */
    for (size_t n = 1; failed; n++) {
        const char *why = NULL;
        size_t owner[OWNER_COUNT];
        kheap_stat_t before;
        kheap_stat_t after;
        task_t *task;

        pagecache_drop(ino);
        kheap_trim(&kernel_heap, 0);
        kheap_stat(&kernel_heap, &before);
        memcpy(owner, physical_figures()->owner, sizeof(owner));
        fail_nth(n);
        task = task_create(ino, "none", no_strings, no_strings, &why);
        failed = nth_failed();
        refused += task == NULL;
        CHECK(task != NULL || (failed && why != NULL));
        if (task != NULL)
            CHECK_EQ(task_wait(task), exited(42));
        pagecache_drop(ino);
        kheap_trim(&kernel_heap, 0);
        kheap_stat(&kernel_heap, &after);
        CHECK_EQ(memcmp(owner, physical_figures()->owner, sizeof(owner)), 0);
        CHECK_EQ(after.buffer_count, before.buffer_count);
        CHECK_OK(mspace_check(kMMU.kspace));
    }
    CHECK(refused >= 5);    /* a stack of two, a directory, a table, a page of stack */
    inode_release(ino);
}

/* The same while it runs: it ends by itself, or is killed for want of memory. */
TEST(task_without_memory_while_it_runs)
{
    inode_t *ino = MAKE(bss);
    bool failed = true;
    size_t killed = 0;

    start_clean();
    for (size_t n = 1; failed; n++) {
        task_t *task = create(ino);
        int status;

        pagecache_drop(ino);
        kheap_trim(&kernel_heap, 0);    /* or it would have pages for whoever needs one */
        fail_nth(n);
        status = task_wait(task);
        failed = nth_failed();
        CHECK(status == exited(0) || (failed && status == SIGKILL));
        killed += status == SIGKILL;
    }
    CHECK(killed > 1);
    inode_release(ino);
}

/* One field of a sound file is changed. */
static void refused(elf_t elf, size_t length, const char *sentence, int line)
{
    inode_t *ino = file_of(&elf, length);
    const char *why = NULL;
    task_t *task = task_create(ino, "damaged", no_strings, no_strings, &why);

    inode_release(ino);
    if (task != NULL) {
        task_wait(task);
        test_fail(__FILE__, line, "it was loaded, expected \"%s\"", sentence);
    }
    if (!test_same_text(why, sentence))
        test_fail(__FILE__, line, "\"%s\", expected \"%s\"", why, sentence);
}

#define REFUSED(change_, sentence_) \
    do { \
        elf_t elf = sound_elf(); \
        change_; \
        refused(elf, sizeof(elf), sentence_, __LINE__); \
    } while (0)

#define OUTSIDE "a segment lies outside the memory of programs"

TEST(task_damaged_headers_are_refused)
{
    start_clean();
    CHECK_EQ(run(MAKE(status_42)), exited(42));
    for (size_t length = 1; length < 52; length += 10)
        refused(sound_elf(), length, "it is too short for an ELF program", __LINE__);
    for (size_t length = 52; length < 52 + 64; length += 9)
        refused(sound_elf(), length, "damaged: its program headers lie outside the file",
                __LINE__);
    refused(sound_elf(), 200, "damaged: a segment lies outside the file", __LINE__);
    REFUSED(elf.ident[0] = 0, "it is not an ELF program");
    REFUSED(elf.ident[3] = 'f', "it is not an ELF program");
    REFUSED(elf.ident[4] = 2, "it is not a program for the i386");
    REFUSED(elf.ident[5] = 2, "it is not a program for the i386");
    REFUSED(elf.machine = 62, "it is not a program for the i386");
    REFUSED(elf.type = 1, "it is an ELF file, but not an executable one");
    REFUSED(elf.type = 4, "it is an ELF file, but not an executable one");
    REFUSED(elf.phentsize = 31, "damaged: its program headers have the wrong size");
    REFUSED(elf.phnum = 0, "damaged: it has no program headers");
    REFUSED(elf.phnum = 0xffff, "damaged: its program headers lie outside the file");
    REFUSED(elf.phoff = 0xfffffff0, "damaged: its program headers lie outside the file");
    REFUSED(elf.phoff = sizeof(elf) - 63, "damaged: its program headers lie outside the file");
    REFUSED(elf.entry = 0, "damaged: its entry point is in none of its segments");
    REFUSED(elf.entry = 0x08048000 + sizeof(elf),
            "damaged: its entry point is in none of its segments");
    REFUSED(elf.entry = 0xc0000000, "damaged: its entry point is in none of its segments");
    REFUSED(elf.load[0].type = elf.load[1].type = 0, "damaged: it has nothing to load");
    REFUSED(elf.load[1].type = 3, "it needs a dynamic linker, which Grove does not run yet");
}

TEST(task_damaged_segments_are_refused)
{
    start_clean();
    REFUSED(elf.load[0].filesz = 0x1000, "damaged: a segment is larger in the file than in memory");
    REFUSED(elf.load[0].filesz = elf.load[0].memsz = 0xfffff000,
            "damaged: a segment lies outside the file");
    REFUSED(elf.load[0].offset = 0xfffff000, "damaged: a segment lies outside the file");
    REFUSED(elf.load[0].vaddr += 4,
            "damaged: address and file offset of a segment do not match");
    REFUSED(elf.load[1].memsz = 0xffffffff, OUTSIDE);
    REFUSED(elf.load[1].memsz = 0xf7fa0000, OUTSIDE);      /* ends at 4 GiB: a sum of 0 */
    REFUSED(elf.load[1].vaddr = 0xc0000000, OUTSIDE);
    REFUSED(elf.load[1].vaddr = 0xbffff000, OUTSIDE);
    REFUSED(elf.load[1].vaddr = 0xfffff000, OUTSIDE);
    REFUSED(elf.load[0].vaddr = 0x00100000, OUTSIDE);
    REFUSED(elf.load[0].vaddr = 0, OUTSIDE);
    REFUSED(elf.load[0].vaddr = 0x003ff000, OUTSIDE);
    REFUSED(elf.load[1].vaddr = 0x08048000, "damaged: its segments overlap or are out of order");
    REFUSED(elf.load[1].vaddr = 0x08040000, "damaged: its segments overlap or are out of order");
    REFUSED(elf.type = 3; elf.load[1].vaddr = 0xffffff00, OUTSIDE);
    REFUSED(elf.type = 3; elf.entry = 0xfffffff0,
            "damaged: its entry point is in none of its segments");
}

/* Random damage: whatever comes of it, the kernel goes on and nothing is lost. */
TEST(task_random_damage)
{
    size_t steps = test_steps(300);
    size_t loaded = 0;

    start_clean();
    for (size_t step = 0; step < steps; step++) {
        elf_t elf = sound_elf();
        size_t changes = 1 + test_random_below(3);
        const char *why = NULL;
        inode_t *ino;
        task_t *task;

        memcpy(elf.code, program_status_42,
               (size_t)(program_status_42_end - program_status_42));
        while (changes-- > 0)
            ((uint8_t *)&elf)[test_random_below(offsetof(elf_t, code))] =
                (uint8_t)test_random();
        ino = file_of(&elf, sizeof(elf));
        task = task_create(ino, "damaged", no_strings, no_strings, &why);
        inode_release(ino);
        loaded += task != NULL;
        if (task != NULL)
            task_wait(task);
        else
            CHECK(why != NULL);
    }
    CHECK(loaded < steps);
}
