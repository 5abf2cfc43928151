/*
 * Trace files. The format: tests/bench/data/README.
 */
#include <kernel/layout.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../trace_header.h"
#include "trace.h"

static_assert(sizeof(op_t) == 8, "as in the file");

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        abort();
}

void give_up(const char *what, const char *which)
{
    say("bench-heap: ");
    say(which);
    say(": ");
    say(what);
    say("\n");
    exit(1);
}

void *take_pages(size_t bytes)
{
    void *memory = mmap(NULL, align_up(bytes + 1, PAGE_SIZE), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (memory == MAP_FAILED)
        give_up("out of memory", "replay");
    return memory;
}

/* An id is allocated before it is freed, and freed before it is allocated again. */
static bool ops_sound(const trace_t *trace)
{
    char *live = take_pages(trace->id_count);
    bool sound = true;

    for (const op_t *op = trace->op; op < trace->op + trace->count && sound; op++) {
        sound = op_kind(op) <= OP_REALLOC && op_id(op) < trace->id_count &&
                live[op_id(op)] == (op_kind(op) != OP_ALLOC);
        if (sound)
            live[op_id(op)] = op_kind(op) != OP_FREE;
    }
    munmap(live, align_up(trace->id_count + 1, PAGE_SIZE));
    return sound;
}

trace_t trace_load(const char *path)
{
    int file = open(path, O_RDONLY);
    struct stat stat;
    const trace_header_t *header;
    trace_t trace;

    if (file < 0 || fstat(file, &stat) != 0 || (size_t)stat.st_size < sizeof(*header))
        give_up("cannot be read", path);
    header = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    close(file);
    if (header == MAP_FAILED || memcmp(header->magic, "ATR1", 4) != 0 ||
        header->kind != TRACE_KIND_HEAP ||
        header->count != ((size_t)stat.st_size - sizeof(*header)) / sizeof(op_t))
        give_up("no trace of a heap", path);
    trace = (trace_t){
        .count = (size_t)header->count,
        .id_count = header->id_count,
        .peak = (size_t)header->peak,
        .op = (const op_t *)(header + 1),
        .held = take_pages(header->id_count * sizeof(void *)),
        .size = take_pages(header->id_count * sizeof(size_t)),
    };
    if (!ops_sound(&trace))
        give_up("damaged", path);
    return trace;
}
