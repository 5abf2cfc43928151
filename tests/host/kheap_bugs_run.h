/*
 * How the catalogue of bugs is run: each bug in a process of its own, the heap that is
 * made for each of its variants, and the comparison with what the catalogue says.
 * Included once by each test_kheap_bugs*.c.
 */
#ifndef KHEAP_BUGS_RUN_H
#define KHEAP_BUGS_RUN_H

#include "kheap_bugs.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/ucontext.h>
#include <sys/wait.h>

#define CPU_SECONDS   10u       /* what takes longer hangs */
#define MANY_VARIANTS 1000u     /* of so many one in PART is run, if it is costly */
#define PART          37u       /* has no factor in common with BYTES - 1 */
#define SEEDS         8u        /* a guarded buffer is at the left of its page, or the right */
#define POOL_SLOTS    200u
#define PAGE_WRITE    2         /* in the error code of a page fault */

/* What the process with the bug tells. */
typedef struct outcome {
    size_t runs;
    size_t missed;
    size_t names;
    char name[NAMES][32];   /* of the calls that caught one */
    char says[2048];        /* the first report, or sentence of kheap_check */
    char unsaid[2048];      /* one without the words that it is to have */
} outcome_t;

/* In a build for coverage: what a process reached counts. */
extern void __gcov_exit(void) __attribute__((weak));

/* --- The pool of a guarded heap --- */

static kheap_guard_t guard;
static sigjmp_buf after_fault;

static int map(guard_pages_t *pages, size_t address)
{
    (void)pages;
    return mprotect((void *)address, PAGE_SIZE, PROT_READ | PROT_WRITE);
}

static void unmap(guard_pages_t *pages, size_t address)
{
    (void)pages;
    ASSERT(mprotect((void *)address, PAGE_SIZE, PROT_NONE) == 0);
}

static size_t caller(void)
{
    return 1;
}

static const char *symbol(size_t address, size_t *offset)
{
    *offset = address;
    return "bug";
}

static guard_pages_t pool = { 0, POOL_SLOTS, map, unmap, caller, symbol };

/* Every allocation that fits a page goes to the pool, which is as new. */
static void start_pool(uint32_t seed)
{
    size_t length = KHEAP_GUARD_LENGTH(POOL_SLOTS);

    if (pool.base == 0) {
        void *base = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(base != MAP_FAILED);
        pool.base = (size_t)base;
    }
    CHECK_EQ(mprotect((void *)pool.base, length, PROT_NONE), 0);
    kheap_guard_start(&bugged, &guard, &pool, seed);
    CHECK_EQ(kheap_guard_tune(&bugged, 1), 0);
}

/* An access to the pool that faults is a report: the sentence that a kernel would print. */
static void on_fault(int number, siginfo_t *info, void *context)
{
    const ucontext_t *machine = context;
    bool write = (machine->uc_mcontext.gregs[REG_ERR] & PAGE_WRITE) != 0;
    char sentence[256];

    if (!kheap_guard_explain(&bugged, (size_t)info->si_addr, write ? "write" : "read", sentence,
                             sizeof(sentence))) {
        signal(number, SIG_DFL);        /* once more, and the process dies of it */
        return;
    }
    if (first_report[0] == '\0')
        format_text(first_report, sizeof(first_report), "fault: %s", sentence);
    siglongjmp(after_fault, 1);
}

/* --- One variant --- */

/* A heap as new: the same memory, none of it mapped. */
static void new_bugged(column_t column, uint32_t seed)
{
    segment_t *segment = &memory.segment;

    if (segment->limit == 0) {
        fake_segment_init(&memory, LIMIT);
    } else {
        CHECK_EQ(mprotect((void *)segment->base, LIMIT, PROT_NONE), 0);
        memset(segment->side, 0, bugged.peak_segment / PAGE_SIZE * SEGMENT_SIDE);
        segment->length = 0;
    }
    kheap_init(&bugged, segment);
    if (column == COLUMN_FULL)
        CHECK_EQ(kheap_tune(&bugged, KHEAP_TUNE_LEVEL, KHEAP_FULL), 0);
    if (column == COLUMN_GUARD)
        start_pool(seed);
}

static void count_name(outcome_t *outcome, const char *name, size_t length)
{
    size_t i = 0;

    while (i < outcome->names && (strlen(outcome->name[i]) != length
                                  || memcmp(outcome->name[i], name, length) != 0))
        i++;
    if (i == outcome->names && i < NAMES) {
        format_text(outcome->name[i], sizeof(outcome->name[i]), "%.*s", (int)length, name);
        outcome->names++;
    }
}

/* What was found and contained must not keep the heap from going on. */
static void go_on(void)
{
    char *buffer[40];

    for (size_t i = 0; i < ARRAY_LENGTH(buffer); i++) {
        buffer[i] = kheap_alloc(&bugged, i * 37);
        if (buffer[i] != NULL)
            memset(buffer[i], (int)i, i * 37);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(buffer); i++)
        kheap_free(&bugged, buffer[i]);
    kheap_trim(&bugged, 0);
}

/* The words that a report is to have. => NULL: any */
static const char *words_for(const bug_t *bug, column_t column)
{
    const char *words = column == COLUMN_FULL ? bug->says[0] : column == COLUMN_GUARD ? bug->says[1]
                      : column == COLUMN_BASIC ? bug->says[2] : NULL;

#ifndef __OPTIMIZE__    /* the build for coverage reads what it is to change, and faults there */
    if (words != NULL && strncmp(words, "write ", 6) == 0)
        words += 6;
#endif
    return words;
}

static void note(outcome_t *outcome, const char *words, bool first)
{
    outcome->runs++;
    if (first_report[0] == '\0') {
        outcome->missed++;
        return;
    }
    count_name(outcome, first_report, strcspn(first_report, ":("));
    if (outcome->says[0] == '\0')
        format_text(outcome->says, sizeof(outcome->says), "%s", first_report);
    if (first && words != NULL && strstr(first_report, words) == NULL)
        format_text(outcome->unsaid, sizeof(outcome->unsaid), "%s", first_report);
}

static void run_variant(const bug_t *bug, column_t column, size_t variant, uint32_t seed,
                        outcome_t *outcome)
{
    new_bugged(column, seed);
    first_report[0] = '\0';
    reports_before = host_misuse_count();
    if (sigsetjmp(after_fault, 1) == 0) {
        bug->go(variant);
        if (first_report[0] == '\0')
            flush();
        const char *wrong = first_report[0] == '\0' ? kheap_check(&bugged) : NULL;
        if (wrong != NULL)
            format_text(first_report, sizeof(first_report), "kheap_check: %s", wrong);
    }
    note(outcome, words_for(bug, column), variant == 0 || column == COLUMN_GUARD);
    if (column == COLUMN_FULL && (bug->variants < MANY_VARIANTS || variant % PART == 0))
        go_on();
}

/* --- One bug, in a process of its own --- */

static void run_variants(const bug_t *bug, column_t column, outcome_t *outcome)
{
    bool few = column == COLUMN_NONE || column == COLUMN_GUARD;
    struct rlimit no_core = { 0, 0 };
    struct rlimit time = { CPU_SECONDS, CPU_SECONDS };
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
    size_t seeds = column == COLUMN_GUARD ? SEEDS : 1;

    setrlimit(RLIMIT_CORE, &no_core);
    setrlimit(RLIMIT_CPU, &time);
    sigaction(SIGSEGV, &action, NULL);
    signal(SIGABRT, SIG_DFL);
    CHECK(freopen("/dev/null", "w", stderr) != NULL);
    for (size_t i = 0; i < bug->variants; i += few && bug->variants > MANY_VARIANTS ? PART : 1) {
        for (uint32_t seed = 1; seed <= seeds; seed++)
            run_variant(bug, column, i, seed, outcome);
    }
    if (__gcov_exit != NULL)
        __gcov_exit();
    _exit(0);
}

/* => how the process ended: `crash`, or how its variants were caught, in `cell` */
static void run_bug(const bug_t *bug, column_t column, outcome_t *outcome, char *cell,
                    size_t size)
{
    size_t used = 0;
    pid_t child = fork();
    int status;

    CHECK(child >= 0);
    if (child == 0)
        run_variants(bug, column, outcome);
    CHECK_EQ(waitpid(child, &status, 0), child);
    cell[0] = '\0';
    for (size_t i = 0; i < outcome->names; i++)
        used += (size_t)format_text(cell + used, size - used, "%s%s", i == 0 ? "" : " or ",
                                    outcome->name[i]);
    if (status != 0)
        format_text(cell, size, "crash");
    else if (outcome->missed == outcome->runs)
        format_text(cell, size, "no");
    else if (outcome->missed != 0)
        format_text(cell, size, "in part");
}

/* Is each alternative of `cell` one of those expected? */
static bool is_expected(const char *cell, const char *expected)
{
    static const char or[] = " or ";

    while (cell != NULL) {
        const char *end = strstr(cell, or);
        size_t length = end != NULL ? (size_t)(end - cell) : strlen(cell);
        const char *at = expected;

        while (at != NULL && (memcmp(at, cell, strnlen(at, length)) != 0
                              || (at[length] != '\0' && strncmp(at + length, or, 4) != 0))) {
            at = strstr(at, or);
            at = at != NULL ? at + strlen(or) : NULL;
        }
        if (at == NULL)
            return false;
        cell = end != NULL ? end + strlen(or) : NULL;
    }
    return true;
}

static const char *const column_names[] = { "none", "basic", "full", "guard" };

static void run_column(column_t column)
{
    outcome_t *outcome = mmap(NULL, sizeof(*outcome), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    size_t wrong = 0;
    char cell[128];

    CHECK(outcome != MAP_FAILED);
    for (size_t i = 0; i < ARRAY_LENGTH(bugs); i++) {
        const bug_t *bug = &bugs[i];
        const char *expected = bug->caught[column];

        if (expected == NULL)
            continue;
        *outcome = (outcome_t){ 0 };
        run_bug(bug, column, outcome, cell, sizeof(cell));
        bool as_said = is_expected(cell, expected) && outcome->unsaid[0] == '\0';
        printk("# bug\t%s\t%s\t%s\n", column_names[column], bug->name, as_said ? expected : cell);
        if (!as_said) {
            const char *words = words_for(bug, column);
            printk("# expected: %s, \"%s\"; a report: %s\n", expected, words != NULL ? words : "",
                   outcome->unsaid[0] != '\0' ? outcome->unsaid : outcome->says);
            wrong++;
        }
    }
    munmap(outcome, sizeof(*outcome));
    CHECK_EQ(wrong, 0);
}

#endif
