/*
 * From the boot loader to the first program: each layer is started on the one
 * before it.
 */
#include <kernel/arguments.h>
#include <kernel/badram.h>
#include <kernel/bench.h>
#include <kernel/boot_info.h>
#include <kernel/census.h>
#include <kernel/console.h>
#include <kernel/doctor.h>
#include <kernel/dump.h>
#include <kernel/errno.h>
#include <kernel/fault.h>
#include <kernel/fw_cfg.h>
#include <kernel/host.h>
#include <kernel/kheap_guard.h>
#include <kernel/linear.h>
#include <kernel/linux.h>
#include <kernel/memory.h>
#include <kernel/memtest.h>
#include <kernel/monitor.h>
#include <kernel/panic.h>
#include <kernel/printk.h>
#include <kernel/ramfs.h>
#include <kernel/random.h>
#include <kernel/segment.h>
#include <kernel/selftest.h>
#include <kernel/string.h>
#include <kernel/symbols.h>
#include <kernel/task.h>
#include <kernel/tmpfs.h>
#include <kernel/trap.h>
#include <kernel/virtual.h>
#include <x86/cpu.h>
#include <x86/features.h>
#include <x86/tables.h>

enum { ARGUMENTS_COUNT_MAX = 1024, WORD_MAX = 256 };

/* linker.ld and boot/entry.asm */
extern const char image_text[], image_rodata[], image_data[], image_end[];
extern const char boot_stack_guard[], boot_stack[], boot_stack_top[];

_Noreturn void kernel_main(uint32_t magic, uint32_t address);

/* The words of the command line that mean something, for checking and for help. */
static const struct word {
    const char *name;
    const char *text;
} known_words[] = {
    { "paging", "paging=2level or paging=pae: the format of page tables" },
    { "run", "run the first module as a program, not the tour" },
    { "test", "test or test=NAME,...: run the kernel's tests" },
    { "bench", "count what memory operations cost (tools/bench)" },
    { "crash", "crash=WAY: break the kernel on purpose" },
    { "exit", "leave QEMU at the end; exit=poweroff: power off" },
    { "output", "output=e9: a program's output goes to port 0xE9" },
    { "badram", "badram=ADDRESS,MASK,... or START-END,...: RAM that is never used" },
    { "heap", "heap=basic or heap=full: what the heap looks at; heap=full,contain: and goes on" },
    { "memtest", "memtest or memtest=PASSES: test the free RAM first" },
    { "overcommit", "overcommit=heuristic, always or strict: what programs are promised" },
    { "guard", "guard=N: one in N buffers of the heap gets a page between unmapped ones" },
};

/* The machine cannot be booted, or was asked for what there is not. */
static _Noreturn void refuse(const char *format, const char *detail)
{
    printk("grove: ");
    printk(format, detail);
    printk("\n");
    machine_stop(MACHINE_REFUSED);
}

static void require(const char *trouble)
{
    if (trouble != NULL)
        refuse("this machine cannot run Grove: %s", trouble);
}

/* ---- the command line */

/* Copy the value of a word; "" if it has none. => false: there is no such word */
static bool word_value(const char *name, char value[WORD_MAX])
{
    size_t length;
    const char *text = boot_info_word(&boot_info, name, &length);

    if (text == NULL)
        return false;
    if (length >= WORD_MAX)
        refuse("the value of the word \"%s\" is too long", name);
    memcpy(value, text, length);
    value[length] = '\0';
    return true;
}

static bool is_known(const char *word, size_t length)
{
    for (size_t i = 0; i < ARRAY_LENGTH(known_words); i++) {
        size_t known = strlen(known_words[i].name);

        if (length >= known && memcmp(word, known_words[i].name, known) == 0 &&
            (length == known || word[known] == '='))
            return true;
    }
    return false;
}

static void check_words(void)
{
    const char *word = boot_info.words;

    while (*word != '\0') {
        size_t length = 0;

        while (word[length] != '\0' && word[length] != ' ')
            length++;
        /* QEMU puts the kernel's path first. */
        if (length > 0 && !is_known(word, length) &&
            !(word == boot_info.words && strcmp(boot_info.loader, "qemu") == 0)) {
            printk("grove: the command line has an unknown word: \"%.*s\". Known are:\n",
                   (int)length, word);
            for (size_t i = 0; i < ARRAY_LENGTH(known_words); i++)
                printk("grove:   %-10s %s\n", known_words[i].name, known_words[i].text);
            machine_stop(MACHINE_REFUSED);
        }
        word += length;
        while (*word == ' ')
            word++;
    }
}

/* A word that can have one value, or maybe none. */
static void check_value(const char *name, const char *only, bool may_be_bare)
{
    char value[WORD_MAX];

    if (word_value(name, value) && strcmp(value, only) != 0 &&
        !(may_be_bare && *value == '\0')) {
        printk("grove: %s=%s: there is %s=%s\n", name, value, name, only);
        machine_stop(MACHINE_REFUSED);
    }
}

/* trouble: what boot_info_fill said; the words are read all the same, for `exit`. */
static void read_words(const char *trouble)
{
    char value[WORD_MAX];
    int err = fw_cfg_append_words(boot_info.words, sizeof(boot_info.words));

    machine_set_exit(word_value("exit", value) && strcmp(value, "poweroff") != 0);
    require(trouble);
    if (err != 0)
        refuse("%s", "the words of opt/grove/append do not fit on the command line");
    check_words();
    check_value("exit", "poweroff", true);
    check_value("output", "e9", false);
    printk("boot: command line: \"%s\"\n", boot_info.words);
}

static const char *choose_paging(void)
{
    static char format[WORD_MAX];

    if (!word_value("paging", format))
        return cpu_features.pae ? "pae" : "2level";
    if (strcmp(format, "2level") != 0 && strcmp(format, "pae") != 0)
        refuse("paging=%s: there are paging=2level and paging=pae", format);
    if (strcmp(format, "pae") == 0 && !cpu_features.pae)
        refuse("%s", "paging=pae: this processor has no PAE");
    return format;
}

/* ---- memory */

static void examine_before_paging(void)
{
    const page_t pagetables[] = { linear_space_directory(), kernel_pagetable() };
    table_place_t places[TABLE_PLACES];
    doctor_item_t items[TABLE_PLACES + 5] = {
        { "the kernel's code", (size_t)image_text, (size_t)(image_rodata - image_text),
          DOCTOR_EXECUTE | DOCTOR_READONLY, true },
        { "the kernel's constants", (size_t)image_rodata, (size_t)(image_data - image_rodata),
          DOCTOR_READONLY, true },
        { "the kernel's data", (size_t)image_data, (size_t)(image_end - image_data),
          DOCTOR_WRITE, true },
        { "the stack", (size_t)boot_stack, (size_t)(boot_stack_top - boot_stack),
          DOCTOR_WRITE, true },
        { "the frame table", FRAME_TABLE_BASE, physical_frame_table_length(),
          DOCTOR_WRITE, false },
    };
    const char *trouble;

    tables_places(places);
    for (size_t i = 0; i < TABLE_PLACES; i++)
        items[i + 5] = (doctor_item_t){ places[i].name, places[i].base, places[i].length,
                                        DOCTOR_WRITE, true };
    trouble = doctor_examine(pagetables, ARRAY_LENGTH(pagetables), items, ARRAY_LENGTH(items));
    if (trouble != NULL)
        refuse("the page tables are broken, paging stays off: %s", trouble);
}

static void start_paging(void)
{
    require(virtual_init(&boot_info, choose_paging()));
    bench_boot_part("tables");
    require(init_linear_space(&boot_info));
    bench_boot_part("linear");
    examine_before_paging();
    printk("paging: the doctor finds %s in order\n", virtual_format_name());
    bench_boot_part("doctor");
    tables_set_double_fault_space(kernel_pagetable());
    enable_linear_space();
    physical_move_frame_table();
    virtual_unmap_kernel((size_t)boot_stack_guard);
    switch_pagetable(kernel_pagetable());
    printk("paging: on, kernel text is read-only%s\n",
           mmu_can_forbid_execution() ? " and nothing else can be executed" : "");
}

static void retire_bad_ram(void)
{
    const char *trouble = NULL;
    size_t length;
    const char *value = boot_info_word(&boot_info, "badram", &length);

    for (; value != NULL && trouble == NULL;
         value = boot_info_next_word(value, "badram", &length))
        trouble = badram_retire(&boot_info, value, length);
    if (trouble != NULL)
        refuse("badram=%s", trouble);
}

/* => 1 to most, or 0 */
static unsigned parse_number(const char *text, unsigned most)
{
    unsigned number = 0;

    for (; *text >= '0' && *text <= '9' && number <= most; text++)
        number = number * 10 + (unsigned)(*text - '0');
    return *text == '\0' && number <= most ? number : 0;
}

static void test_ram(void)
{
    char value[WORD_MAX];
    unsigned passes = 1;

    if (!word_value("memtest", value))
        return;
    if (*value != '\0')
        passes = parse_number(value, MEMTEST_PASSES_MAX);
    if (passes == 0)
        refuse("memtest=%s: there are memtest, for one pass, and memtest=1 to memtest=99", value);
    require(memtest_run(&boot_info, passes));
}

static void start_guard(void)
{
    char value[WORD_MAX];
    unsigned every;
    uint32_t seed;

    if (!word_value("guard", value))
        return;
    every = parse_number(value, KHEAP_GUARD_EVERY_MAX);
    if (every == 0)
        refuse("guard=%s: there are guard=1 to guard=1000000", value);
    random_fill(&seed, sizeof(seed));
    kernel_guard_start(dump_heap_caller, dump_symbol, seed);
    kheap_guard_tune(&kernel_heap, every);
    printk("heap: one buffer in %u is guarded\n", every);
}

/* What is known about the misuses that mm/ found. */
static struct {
    bool contain;       /* count them and go on */
    size_t count;
} misuses;

static void start_heap(void)
{
    static const struct {
        const char *name;
        kheap_level_t level;
        bool contain;
    } ways[] = {
        { "basic", KHEAP_BASIC, false },
        { "full", KHEAP_FULL, false },
        { "basic,contain", KHEAP_BASIC, true },
        { "full,contain", KHEAP_FULL, true },
    };
    char value[WORD_MAX] = "basic";
    size_t secret;
    size_t i = 0;

    if (word_value("heap", value))
        printk("boot: the heap is %s\n", value);
    while (i < ARRAY_LENGTH(ways) && strcmp(value, ways[i].name) != 0)
        i++;
    if (i == ARRAY_LENGTH(ways))
        refuse("heap=%s: there are heap=basic and heap=full, and each with ,contain", value);
    misuses.contain = ways[i].contain;
    random_fill(&secret, sizeof(secret));
    segment_init();
    kheap_init(&kernel_heap, &kernel_segment);
    kheap_tune(&kernel_heap, KHEAP_TUNE_SECRET, secret);
    kheap_tune(&kernel_heap, KHEAP_TUNE_LEVEL, ways[i].level);
}

static void start_commit(void)
{
    char value[WORD_MAX];

    if (word_value("overcommit", value) && commit_set(value) != 0)
        refuse("overcommit=%s: there are heuristic, always and strict, and each with "
               ",PERCENT of the memory", value);
}

static void start_memory(void)
{
    start_commit();
    retire_bad_ram();
    boot_info_log(&boot_info);
    test_ram();
    bench_boot_part("map");
    require(physical_init(&boot_info));
    printk("boot: the frame table: %010zx-%010zx, %zu bytes a page\n", physical_frame_table(),
           physical_frame_table() + physical_frame_table_length(), sizeof(frame_t));
    bench_boot_part("frames");
    start_paging();
    bench_boot_part("paging");
    start_heap();
    start_guard();
    require(memory_init());
    kMMU.fault_around = FAULT_AROUND;
    bench_boot_part("heap");
    physical_log();
    printk("boot: memory ready\n");
    bench_boot_part("figures");
}

/* ---- what to do */

/* The first module, with the arguments of its string; status to the debug port. */
static _Noreturn void run_module(void)
{
    static char text[BOOT_STRING_MAX];
    static char *argv[ARGUMENTS_COUNT_MAX + 1];
    census_t before;
    census_t after;
    const char *trouble;
    int status;

    if (boot_info.module_count == 0)
        refuse("%s", "run: there is no module to run; give one with -initrd or `module`");
    memcpy(text, boot_info.module[0].string, strlen(boot_info.module[0].string) + 1);
    if (arguments_split(text, argv, ARRAY_LENGTH(argv)) < 0)
        refuse("%s", "run: the program has more than 1024 arguments");
    if (argv[0] == NULL)
        refuse("%s", "run: the module's string does not name a program");
    census_take(&before);
    status = monitor_run_program(argv);
    if (status < 0)
        machine_stop(MACHINE_REFUSED);
    tmpfs_empty();              /* files that it made and left are no leak */
    census_take(&after);
    census_print(&before, &after, "frames: ");
    trouble = census_compare(&before, &after);
    if (trouble == NULL)
        trouble = selftest_check();
    if (trouble != NULL)
        refuse("the program left something behind: %s", trouble);
    debug_port_status((uint8_t)status);
    machine_stop(MACHINE_ENDED);
}

static _Noreturn void run_bench(void)
{
    const char *trouble = bench_run();

    if (trouble != NULL)
        refuse("bench: %s", trouble);
    machine_stop(MACHINE_ENDED);
}

/* The tour's programs, in turn; then the prompt, or the end. */
static _Noreturn void run_tour(void)
{
    static char *const programs[] = { "tour", "wild" };
    char value[WORD_MAX];

    for (size_t i = 0; i < ARRAY_LENGTH(programs); i++) {
        char *const argv[] = { programs[i], NULL };
        inode_t *ino;

        if (ramfs_open(programs[i], &ino) != 0)
            continue;
        inode_release(ino);
        monitor_run_program(argv);
    }
    if (!word_value("exit", value))
        monitor_run();
    if (strcmp(value, "poweroff") == 0)
        machine_power_off();
    machine_stop(MACHINE_ENDED);
}

_Noreturn void kernel_main(uint32_t magic, uint32_t address)
{
    char value[WORD_MAX];

    console_init();
    printk("\nGrove: a memory subsystem for x86 kernels\n");
    dump_init();
    cpu_detect();
    trap_init();
    fpu_init();
    boot_info.image_text = (page_t)image_text;
    boot_info.image_rodata = (page_t)image_rodata;
    boot_info.image_data = (page_t)image_data;
    boot_info.image_end = (page_t)image_end;
    read_words(boot_info_fill(&boot_info, magic, address));
    cpu_log();
    bench_boot_part("processor");
    start_memory();
    task_init();
    trap_set_system_call(linux_system_call);
    if (ramfs_init(&boot_info) != 0)
        refuse("%s", "there is not enough memory for the list of files");
    if (word_value("crash", value) && !selftest_crash(value))
        refuse("crash=%s: there is no such way", value);
    if (word_value("test", value))
        machine_stop(selftest_run(value) == 0 ? MACHINE_ENDED : MACHINE_REFUSED);
    if (word_value("bench", value))
        run_bench();
    if (word_value("run", value))
        run_module();
    run_tour();
}

void host_symbol(size_t address, char *text, size_t size)
{
    uint32_t offset;
    const char *name = symbol_find(address - 1, &offset);   /* of the call, not behind it */

    if (name != NULL)
        format_text(text, size, "%s+%#x", name, offset + 1);
    else
        format_text(text, size, "%#zx", address);
}

/* mm/ found a misuse and contained it: the kernel has a bug. */
void host_misuse(const char *sentence)
{
    if (!misuses.contain)
        panic("misuse of memory: %s", sentence);
    misuses.count++;
    printk("grove: misuse of memory, number %zu, contained: %s\n", misuses.count, sentence);
}
