/*
 * The prompt: a line, a command, an answer.
 */
#include <kernel/arguments.h>
#include <kernel/bench.h>
#include <kernel/boot_info.h>
#include <kernel/console.h>
#include <kernel/doctor.h>
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/kheap.h>
#include <kernel/memory.h>
#include <kernel/monitor.h>
#include <kernel/printk.h>
#include <kernel/ramfs.h>
#include <kernel/selftest.h>
#include <kernel/string.h>
#include <kernel/task.h>
#include <kernel/virtual.h>
#include <x86/cpu.h>

enum { LINE_MAX = 256, WORDS_MAX = 32 };

/* ---- programs */

/* Whether fd 1 of programs is the debug port. */
static bool output_to_port(void)
{
    size_t length;
    const char *value = boot_info_word(&boot_info, "output", &length);

    return value != NULL && length == 2 && memcmp(value, "e9", 2) == 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

int monitor_run_program(char *const argv[])
{
    static char *const environment[] = { NULL };
    const char *name = base_name(argv[0]);
    const char *why = NULL;
    inode_t *ino;
    task_t *task;
    int status;

    if (ramfs_open(argv[0], &ino) != 0 && ramfs_open(name, &ino) != 0) {
        printk("grove: there is no file \"%s\"; `files` lists them\n", argv[0]);
        return -1;
    }
    task = task_create(ino, name, argv, environment, &why);
    inode_release(ino);
    if (task == NULL) {
        printk("grove: cannot run \"%s\": %s\n", name, why);
        return -1;
    }
    task->output_to_port = output_to_port();
    status = task_wait(task);
    task_end_all();                 /* what it started and did not wait for */
    if ((status & 0x7f) != 0) {
        printk("grove: \"%s\" was killed by signal %d; the kernel goes on\n", name,
               status & 0x7f);
        return 128 + (status & 0x7f);
    }
    printk("grove: \"%s\" ended with status %d\n", name, status >> 8 & 0xff);
    return status >> 8 & 0xff;
}

/* ---- commands: argv[0] is the command's name */

static void command_help(int argc, char **argv);

static void command_regions(int argc, char **argv)
{
    (void)argc, (void)argv;
    boot_info_log(&boot_info);
}

static void command_frames(int argc, char **argv)
{
    (void)argc, (void)argv;
    physical_log_details();
}

static void command_heap(int argc, char **argv)
{
    (void)argc, (void)argv;
    log_heap_structure();
}

enum { LEAK_ROWS = 64 };

/* Buffers of the heap by site, as they were at `leaks mark`. */
static struct {
    kheap_site_t row[LEAK_ROWS];
    size_t count;
} leaks_marked;

static void print_leaks(const kheap_site_t *before, size_t before_count)
{
    static kheap_site_t row[LEAK_ROWS];
    int count = kheap_leaks(&kernel_heap, row, LEAK_ROWS, before, before_count);
    ptrdiff_t buffers = 0;
    ptrdiff_t bytes = 0;

    if (count == -EINVAL)
        printk("the heap does not know who allocates: boot with heap=full\n");
    else if (count < 0)
        printk("the heap is damaged: %s\n", kheap_check(&kernel_heap));
    for (int i = 0; i < count; i++) {
        char symbol[64] = "all others";

        if (row[i].site != 0)
            host_symbol(row[i].site, symbol, sizeof(symbol));
        printk("  %9td bytes in %6td buffers, allocated by %s\n", row[i].bytes, row[i].count,
               symbol);
        bytes += row[i].bytes;
        buffers += row[i].count;
    }
    if (count >= 0)
        printk("  %9td bytes in %6td buffers in all\n", bytes, buffers);
}

static void command_leaks(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (argc == 1) {
        print_leaks(NULL, 0);
    } else if (strcmp(what, "mark") == 0) {
        int count = kheap_leaks(&kernel_heap, leaks_marked.row, LEAK_ROWS, NULL, 0);

        leaks_marked.count = count > 0 ? (size_t)count : 0;
        printk("marked; `leaks since` prints what comes and goes from now on\n");
    } else if (strcmp(what, "since") == 0) {
        print_leaks(leaks_marked.row, leaks_marked.count);
    } else {
        printk("usage: leaks, leaks mark or leaks since\n");
    }
}

static bool parse_pid(const char *text, int *pid)
{
    *pid = 0;
    for (; *text >= '0' && *text <= '9' && *pid < 100000000; text++)
        *pid = *pid * 10 + (*text - '0');
    return *text == '\0';
}

/* The space of the task that the command names, or the kernel's own. => NULL: said so */
static mspace_t *named_space(int argc, char **argv)
{
    const task_t *task;
    int pid;

    if (argc == 1)
        return kMMU.kspace;
    if (argc > 2 || !parse_pid(argv[1], &pid)) {
        printk("usage: %s [PID], for example: %s 1\n", argv[0], argv[0]);
        return NULL;
    }
    task = task_find(pid);
    if (task != NULL && pid == 0)
        return kMMU.kspace;
    if (task == NULL || task->mspace == NULL) {
        printk("there is no program with the number %d\n", pid);
        return NULL;
    }
    return task->mspace;
}

static void command_maps(int argc, char **argv)
{
    mspace_t *mspace = named_space(argc, argv);

    if (mspace != NULL)
        mspace_display(mspace);
}

static void print_to_log(void *context, const char *text, size_t length)
{
    (void)context;
    printk("%.*s", (int)length, text);
}

static void command_pages(int argc, char **argv)
{
    mspace_t *mspace = named_space(argc, argv);

    if (mspace == kMMU.kspace)
        printk("all of the kernel's pages are in memory; `maps` lists its areas\n");
    else if (mspace != NULL)
        mspace_describe_pages(mspace, print_to_log, NULL);
}

static void command_files(int argc, char **argv)
{
    (void)argc, (void)argv;
    ramfs_log();
}

static void command_check(int argc, char **argv)
{
    const char *trouble = selftest_check();

    (void)argc, (void)argv;
    printk("%s\n", trouble != NULL ? trouble : "every checker is content");
}

static bool parse_address(const char *text, size_t *address)
{
    size_t value = 0;
    size_t digits = 0;

    if (text[0] == '0' && text[1] == 'x')
        text += 2;
    for (; *text != '\0' && digits < 2 * sizeof(size_t); text++, digits++) {
        static const char hex[] = "0123456789abcdef";
        const char *digit = strchr(hex, *text);

        if (digit == NULL)
            return false;
        value = value << 4 | (size_t)(digit - hex);
    }
    *address = value;
    return digits > 0 && *text == '\0';
}

static void command_walk(int argc, char **argv)
{
    size_t address;

    if (argc != 2 || !parse_address(argv[1], &address))
        printk("usage: walk ADDRESS (hexadecimal), for example: walk c0000000\n");
    else
        doctor_walk(current_pagetable(), address);
}

static void command_run(int argc, char **argv)
{
    if (argc < 2)
        printk("usage: run PROGRAM [ARGUMENT...], for example: run tour\n");
    else
        monitor_run_program(argv + 1);
}

static void command_test(int argc, char **argv)
{
    selftest_run(argc > 1 ? argv[1] : NULL);
}

static void command_bench(int argc, char **argv)
{
    const char *trouble = bench_run();

    (void)argc, (void)argv;
    if (trouble != NULL)
        printk("bench: %s\n", trouble);
}

static void command_poweroff(int argc, char **argv)
{
    (void)argc, (void)argv;
    machine_power_off();
}

static void command_overcommit(int argc, char **argv)
{
    if (argc > 1 && commit_set(argv[1]) != 0)
        printk("overcommit: there are heuristic, always and strict, and each with ,PERCENT\n");
    printk("%s, %u%% of memory if strict: %zu KiB of %zu KiB are promised\n", commit_mode_name(),
           commit.ratio, commit.charged * (PAGE_SIZE / KIB), commit_limit() * (PAGE_SIZE / KIB));
}

static const struct command {
    const char *name;
    void (*run)(int argc, char **argv);
    const char *text;
} commands[] = {
    { "help", command_help, "this list" },
    { "regions", command_regions, "the memory map, and what of it is taken or bad" },
    { "frames", command_frames, "physical memory by owner and zone, and what of it is bad" },
    { "heap", command_heap, "the kernel heap: superbuffers, gaps, both trees" },
    { "leaks", command_leaks, "leaks [mark|since]: who has the heap's buffers, or got them since" },
    { "maps", command_maps, "maps [PID]: the areas of a program's space, or of the kernel's" },
    { "pages", command_pages, "pages PID: what of a program's space is in memory, run by run" },
    { "walk", command_walk, "walk ADDRESS: what the processor finds there, level by level" },
    { "overcommit", command_overcommit, "overcommit [MODE]: what programs are promised, at most" },
    { "files", command_files, "the initial files" },
    { "run", command_run, "run PROGRAM [ARGUMENT...]: start a program and wait for it" },
    { "check", command_check, "run every checker" },
    { "test", command_test, "test [NAME,...]: run the kernel's tests" },
    { "bench", command_bench, "what memory operations cost, in units of the time-stamp counter" },
    { "poweroff", command_poweroff, "turn the machine off" },
};

static void command_help(int argc, char **argv)
{
    (void)argc, (void)argv;
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
        printk("  %-10s %s\n", commands[i].name, commands[i].text);
}

static void carry_out(char *line)
{
    char *argv[WORDS_MAX];
    int argc = arguments_split(line, argv, ARRAY_LENGTH(argv));

    if (argc == 0)
        return;
    if (argc < 0) {
        printk("that line has too many words\n");
        return;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
        if (strcmp(argv[0], commands[i].name) == 0) {
            commands[i].run(argc, argv);
            return;
        }
    }
    printk("there is no command \"%s\"; `help` lists them\n", argv[0]);
}

_Noreturn void monitor_run(void)
{
    static char line[LINE_MAX];

    printk("\nType `help` for what this prompt can do, `poweroff` to end.\n");
    for (;;) {
        printk("grove> ");
        if (console_read_line(line, sizeof(line)) >= 0)
            carry_out(line);
    }
}
