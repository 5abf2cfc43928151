/*
 * The heap of a process: address space for it, its lock, fork, exit, and the calls that
 * it needs from its host.
 */
#include <kernel/host.h>
#include <kernel/panic.h>
#include <kernel/printk.h>
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <reserved_segment.h>

#define VARIABLE       "GROVE_MALLOC"
#define LINE_SIZE      512
#define KEPT_FROM      200      /* file descriptors that programs do not count on */
#define RESERVED_MOST  (sizeof(size_t) == 8 ? (size_t)1 << 36 : KHEAP_LARGEST)
#define RESERVED_LEAST ((size_t)MIB)

static struct {
    pthread_mutex_t lock;
    bool made;
    bool abort;                 /* what GROVE_MALLOC says */
    bool basic;             /* or full: the level */
    bool full;
    bool stat;
    bool misused;               /* since the lock was taken */
    int say_to;
    int stderr_kept;            /* for finish(): many programs close theirs before */
    kheap_t heap;
    reserved_segment_t reserved;
} process = { .lock = PTHREAD_MUTEX_INITIALIZER, .say_to = STDERR_FILENO, .stderr_kept = -1 };

/* ---- stderr */

static void vsay(const char *format, va_list args)
{
    char line[LINE_SIZE];
    int error = errno;
    size_t start = (size_t)format_text(line, sizeof(line), "grove-malloc[%d]: ", (int)getpid());
    size_t length = (size_t)vformat_text(line + start, sizeof(line) - start, format, args);

    length = start + length < sizeof(line) ? start + length : sizeof(line) - 1;
    line[length] = '\n';
    ssize_t written = write(process.say_to, line, length + 1);
    (void)written;              /* if nobody listens, so be it */
    errno = error;
}

/* Write one line to stderr, cut to fit. => errno is kept */
static __attribute__((format(printf, 1, 2))) void say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsay(format, args);
    va_end(args);
}

/* ---- what the kernel would provide */

void panic(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsay(format, args);
    va_end(args);
    abort();
}

int *host_errno(void)
{
    return &errno;
}

void host_symbol(size_t address, char *text, size_t size)
{
    format_text(text, size, "%#zx", address);
}

void host_misuse(const char *sentence)
{
    say("%s", sentence);
    process.misused = true;
}

/* ---- GROVE_MALLOC */

static void read_words(const char *words)
{
    static const struct {
        const char *word;
        bool *is_set;
    } known[] = {
        { "abort", &process.abort }, { "basic", &process.basic }, { "full", &process.full },
        { "stat", &process.stat },
    };

    while (*words != '\0') {
        size_t length = strcspn(words, ",");
        size_t i = 0;

        while (i < ARRAY_LENGTH(known) && (strlen(known[i].word) != length
                                           || strncmp(known[i].word, words, length) != 0))
            i++;
        if (i < ARRAY_LENGTH(known))
            *known[i].is_set = true;
        else if (length != 0)
            say(VARIABLE ": no such word: %.*s", (int)length, words);
        words += length + (words[length] == ',');
    }
}

/* ---- the heap */

/* At most half of the address space that the process may have: it has stacks and files, too. */
static size_t limit_to_try(void)
{
    struct rlimit space;
    size_t limit = RESERVED_MOST;

    if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur / 2 < limit)
        limit = (size_t)space.rlim_cur / 2;
    return align_down(limit, PAGE_SIZE);
}

/* => without any address space, the heap has no memory */
static void make_heap(void)
{
    size_t limit = limit_to_try();
    int error = errno;

    while (!reserved_segment_init(&process.reserved, limit) && limit > RESERVED_LEAST)
        limit = align_down(limit / 2, PAGE_SIZE);
    kheap_init(&process.heap, &process.reserved.segment);
    process.made = true;
    errno = error;
}

kheap_t *process_heap_enter(void)
{
    pthread_mutex_lock(&process.lock);
    if (!process.made)
        make_heap();
    return &process.heap;
}

void process_heap_leave(void)
{
    bool stop = process.misused && process.abort;

    process.misused = false;
    pthread_mutex_unlock(&process.lock);
    if (stop)
        abort();
}

/* ---- start, fork and exit */

static void before_fork(void)
{
    process_heap_enter();
}

/*
 * The library is linked with -z initfirst: this runs before all other constructors, and the
 * C library knows no environment yet. So its handlers are the first as well: before fork
 * they run last, behind others that may allocate, and after fork first.
 */
static __attribute__((constructor)) void start(int argc, char **argv, char **environment)
{
    (void)argc;
    (void)argv;
    process_heap_enter();
    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, VARIABLE "=", sizeof(VARIABLE)) == 0)
            read_words(*environment + sizeof(VARIABLE));
    }
    if (process.full && kheap_tune(&process.heap, KHEAP_TUNE_LEVEL, KHEAP_FULL) != 0)
        say(VARIABLE ": full: refused by the heap");
    if (process.stat)
        process.stderr_kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, KEPT_FROM);
    process_heap_leave();
    pthread_atfork(before_fork, process_heap_leave, process_heap_leave);
}

static __attribute__((destructor)) void finish(void)
{
    kheap_t *heap = process_heap_enter();
    const char *wrong = process.stat ? kheap_check(heap) : NULL;
    kheap_stat_t stat;

    kheap_stat(heap, &stat);
    process_heap_leave();
    if (!process.stat)
        return;
    if (process.stderr_kept >= 0)
        process.say_to = process.stderr_kept;
    say("segment %zu (peak %zu), used %zu (most taken %zu) in %zu buffers, cached %zu in %zu, "
        "free %zu in %zu gaps (largest %zu, tail %zu), voids %zu in %zu, misuses %zu; %s",
        stat.segment, stat.peak_segment, stat.used, stat.peak_taken, stat.buffer_count,
        stat.cached, stat.cached_count, stat.free, stat.gap_count, stat.largest_gap, stat.tail,
        stat.void_bytes, stat.void_count, stat.misuse_count, wrong != NULL ? wrong : "sound");
}
