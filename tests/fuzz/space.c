/*
 * The fuzzer's target for address spaces: its bytes are what the random model asks for, so
 * they choose the machine, each operation and its arguments. space_model.c takes the steps,
 * on the space and on an array of pages, and compares.
 *
 * The program of operations ends with its bytes; what is missing is 0.
 */
#include <kernel/host.h>
#include <kernel/panic.h>
#include <kernel/printk.h>
#include <space_model.h>
#include <test_hooks.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGES_OF_SPACE = 96, PAGES_WITH_STACK = 480 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    const uint8_t *at;
    const uint8_t *end;
} input;

static model_t model;
static test_file_t file;

/* ---- what test_core.c and test_main.c are to a test */

size_t test_checks;

static uint64_t read_byte(void)
{
    return input.at < input.end ? *input.at++ : 0;
}

/* Two bytes are enough for all but contents. */
uint64_t test_random(void)
{
    uint64_t low = read_byte();

    return low | read_byte() << 8;
}

/* One byte if that can choose all, so that a byte that changes changes one thing. */
size_t test_random_below(size_t limit)
{
    return (size_t)(limit <= 256 ? read_byte() : test_random()) % limit;
}

static _Noreturn void end(const char *what, const char *format, va_list args)
{
    fprintf(stderr, "fuzz: %s: ", what);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    abort();
}

_Noreturn void test_fail(const char *where, int line, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "fuzz: %s:%d\n", where, line);
    va_start(args, format);
    end("a check", format, args);
}

_Noreturn void test_skip(const char *reason)
{
    fprintf(stderr, "fuzz: skipped: %s\n", reason);
    abort();
}

_Noreturn void panic(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    end("panic", format, args);
}

int *host_errno(void)
{
    static int error;

    return &error;
}

void host_misuse(const char *sentence)
{
    fprintf(stderr, "fuzz: misuse: %s\n", sentence);
    abort();
}

void host_symbol(size_t address, char *text, size_t size)
{
    format_text(text, size, "the call at %#zx", address);
}

/* ---- the target */

static void check(mspace_t *mspace)
{
    CHECK_OK(mspace_check(mspace));
    CHECK_OK(physical_check());
    model_compare(&model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const formats[] = { "2level", "pae", "long" };
    mspace_t *mspace;
    page_t frames;

    input.at = data;
    input.end = data + size;

    size_t choice = read_byte();
    bool stack = choice >= 128;
    size_t pages = stack ? PAGES_WITH_STACK : PAGES_OF_SPACE;
    fake_config_t config = { .level = FAKE_MEMORY, .format = formats[choice % 3] };

    mspace = space_start_on(&config, pages);
    frames = page_range(MODEL_FRAMES, PAGE_SIZE, 0, OWNER_BOOT);
    test_file_init(&file, "file", 14 * PAGE_SIZE + 1234);
    model_init(&model, mspace, pages, &file, frames);
    if (stack)
        model_set_stack(&model, pages - 3, 4, 40);
    model_set_break(&model, 20);
    mspace->map_base = AT(pages / 8);
    model.map_base = pages / 8;
    for (size_t step = 0; input.at < input.end; step++) {
        model_step(&model);
        if (step % 8 == 0)
            check(mspace);
    }
    check(mspace);
    mspace_sweep(mspace);
    inode_release(&file.ino);
    for (size_t i = 0; i < MODEL_FRAMES; i++)
        CHECK_EQ(free_physical_page(frames + PAGES(i)), 0);
    space_stop(mspace);
    return 0;
}
