/*
 * Programs from ELF files, good, damaged and hostile; and the block on the stack
 * that they start with. The loader is compiled into this file.
 */
#include "../../kernel/random.c"
#include "../../kernel/loader.c"

#include <kernel/host.h>
#include <kernel/virtual.h>
#include <space.h>

#include <stdlib.h>
#include <string.h>

/* ---- a file in memory */

typedef struct elf_file {
    inode_t ino;
    uint8_t *bytes;
    int error;              /* what read_page returns, if not 0 */
} elf_file_t;

static int read_elf_page(inode_t *ino, size_t index, void *buffer)
{
    elf_file_t *file = CONTAINER_OF(ino, elf_file_t, ino);
    size_t from = index * PAGE_SIZE;
    size_t length = (size_t)ino->length > from ? (size_t)ino->length - from : 0;

    if (length > PAGE_SIZE)
        length = PAGE_SIZE;
    memset(buffer, 0, PAGE_SIZE);
    memcpy(buffer, file->bytes + from, length);
    return file->error;
}

static const inode_ops_t elf_file_ops = { .read_page = read_elf_page };

enum {
    TEXT = 0x08048000, TEXT_OFFSET = 0, TEXT_BYTES = 0x1234,
    DATA = 0x0804a234, DATA_OFFSET = 0x2234, DATA_BYTES = 0x1100, DATA_MEMORY = 0x3000,
    FILE_BYTES = DATA_OFFSET + DATA_BYTES + 0x100,
};

/*
 *  offset 0        headers, text     r-x  0x08048000 .. 0x08049234
 *  offset 0x2234   data, bss behind  rw-  0x0804a234 .. 0x0804b334 .. 0x0804d234
 *  offset 0x3334   bytes of no segment, where the bss begins
 */
static void make_file(elf_file_t *file)
{
    static const elf_segment_t segments[] = {
        { SEGMENT_LOAD, TEXT_OFFSET, TEXT, TEXT, TEXT_BYTES, TEXT_BYTES,
          SEGMENT_READ | SEGMENT_EXEC, PAGE_SIZE },
        { SEGMENT_LOAD, DATA_OFFSET, DATA, DATA, DATA_BYTES, DATA_MEMORY,
          SEGMENT_READ | SEGMENT_WRITE, PAGE_SIZE },
        { .type = 0x6474e551, .flags = SEGMENT_READ | SEGMENT_WRITE },     /* PT_GNU_STACK */
    };
    elf_header_t header = {
        .ident = { 0x7f, 'E', 'L', 'F', 1, 1, 1 },
        .type = ELF_EXEC, .machine = ELF_386, .version = 1, .entry = TEXT + 0x100,
        .phoff = sizeof header, .ehsize = sizeof header, .phentsize = sizeof(elf_segment_t),
        .phnum = ARRAY_LENGTH(segments),
    };

    *file = (elf_file_t){
        .ino = { .ops = &elf_file_ops, .name = "program", .length = FILE_BYTES, .users = 1 },
        .bytes = malloc(FILE_BYTES),
    };
    CHECK(file->bytes != NULL);
    for (size_t i = 0; i < FILE_BYTES; i++)
        file->bytes[i] = (uint8_t)(i * 7 + 1);
    memcpy(file->bytes, &header, sizeof header);
    memcpy(file->bytes + sizeof header, segments, sizeof segments);
}

static elf_header_t *header_of(elf_file_t *file)
{
    return (elf_header_t *)file->bytes;
}

static elf_segment_t *segment_of(elf_file_t *file, size_t index)
{
    return (elf_segment_t *)(file->bytes + sizeof(elf_header_t)) + index;
}

static void drop_file(elf_file_t *file)
{
    inode_release(&file->ino);
    free(file->bytes);
}

static char *const no_words[] = { NULL };
static char *const one_word[] = { "program", NULL };

/* Load into a space of its own that is closed again. => the error, and why */
static int load_and_close(elf_file_t *file, char *const argv[], const char **why)
{
    mspace_t *ms = mspace_create();
    program_t program;
    int err;

    CHECK(ms != NULL);
    err = program_load(ms, &file->ino, argv, no_words, &program, why);
    CHECK_OK(mspace_check(ms));
    CHECK((err == 0) == (*why == NULL));
    mspace_close(ms);
    return err;
}

/* ---- good programs */

static const vma_t *vma_at(mspace_t *ms, size_t vaddr)
{
    splock_lock(&ms->lock);
    const vma_t *vma = mspace_search_vma(ms, vaddr);

    splock_unlock(&ms->lock);
    CHECK(vma != NULL);
    return vma;
}

/* A word of a space that need not be the current one. */
static uint32_t word_at(mspace_t *ms, size_t vaddr)
{
    uint32_t word = 0;

    for (size_t i = 0; i < 4; i++) {
        CHECK_EQ(mspace_resolve(ms, align_down(vaddr + i, PAGE_SIZE), PAGE_SIZE, false), 0);
        page_t page = mmu_frame(mmu_read(ms->directory, vaddr + i));
        const uint8_t *bytes = fake_ram(page);

        word |= (uint32_t)bytes[(vaddr + i) & PAGE_MASK] << 8 * i;
    }
    return word;
}

TEST(loader_maps_segments_with_zeroed_tails)
{
    FOR_EACH_FORMAT(format) {
        mspace_t *ms = space_start(*format, 0);
        const char *why;
        program_t program;
        elf_file_t file;

        make_file(&file);
        CHECK_EQ(program_load(ms, &file.ino, one_word, no_words, &program, &why), 0);
        CHECK(why == NULL);
        CHECK_EQ(program.entry, TEXT + 0x100);
        CHECK_AREA(ms, TEXT, 2 * PAGE_SIZE);
        CHECK_AREA(ms, 0x0804a000, 2 * PAGE_SIZE);
        CHECK_AREA(ms, 0x0804c000, 2 * PAGE_SIZE);
        for (size_t i = 0; i < DATA_MEMORY; i++)
            CHECK_EQ(space_byte(DATA + i), i < DATA_BYTES ? file.bytes[DATA_OFFSET + i] : 0);
        for (size_t i = 0; i < TEXT_BYTES; i++)
            CHECK_EQ(space_byte(TEXT + i), file.bytes[i]);
        CHECK(!space_write(TEXT, 1));
        CHECK(space_write(DATA + DATA_MEMORY - 1, 1));
        CHECK(!space_read(0x08049000 + PAGE_SIZE * 5, &(uint8_t){ 0 }));
        CHECK_EQ(ms->break_start, 0x0804e000);
        CHECK_EQ(ms->break_end, 0x0804e000);
        CHECK_EQ(ms->map_base, MAP_BASE);
        CHECK_EQ(ms->stack_base, USER_END - STACK_LIMIT);
        CHECK_EQ(vma_at(ms, program.stack)->flags & VMA_RIGHTS, VMA_RW);
        mspace_sweep(ms);
        drop_file(&file);
        space_stop(ms);
    }
}

static void check_string(mspace_t *ms, size_t vaddr, const char *text)
{
    for (size_t i = 0; i <= strlen(text); i++)
        CHECK_EQ(word_at(ms, vaddr + i) & 0xff, (uint8_t)text[i]);
}

TEST(loader_writes_the_block_of_another_space)
{
    static char *const argv[] = { "name", "", "two words", NULL };
    static char *const envp[] = { "A=1", NULL };
    mspace_t *current = space_start("pae", 0);
    mspace_t *ms = mspace_create();
    program_t program;
    const char *why;
    elf_file_t file;

    make_file(&file);
    CHECK_EQ(program_load(ms, &file.ino, argv, envp, &program, &why), 0);
    size_t at = program.stack;

    CHECK_EQ(at % 16, 0);
    CHECK_EQ(word_at(ms, at), 3);
    for (size_t i = 0; i < 3; i++)
        check_string(ms, word_at(ms, at + 4 + 4 * i), argv[i]);
    CHECK_EQ(word_at(ms, at + 16), 0);
    check_string(ms, word_at(ms, at + 20), "A=1");
    CHECK_EQ(word_at(ms, at + 24), 0);
    size_t seen = 0;
    for (at += 28; word_at(ms, at) != AT_NULL; at += 8, seen++) {
        uint32_t type = word_at(ms, at), value = word_at(ms, at + 4);

        CHECK(type != AT_PHDR || value == TEXT + sizeof(elf_header_t));
        CHECK(type != AT_PHNUM || value == 3);
        CHECK(type != AT_ENTRY || value == TEXT + 0x100);
        CHECK(type != AT_PAGESZ || value == PAGE_SIZE);
        if (type == AT_EXECFN)
            check_string(ms, value, "name");
        if (type == AT_PLATFORM)
            check_string(ms, value, "i686");
    }
    CHECK_EQ(seen, VECTOR_PAIRS - 1);
    CHECK_OK(mspace_check(ms));
    mspace_close(ms);
    drop_file(&file);
    space_stop(current);
}

TEST(loader_takes_position_independent_programs)
{
    mspace_t *ms = space_start("2level", 0);
    program_t program;
    const char *why;
    elf_file_t file;

    make_file(&file);
    header_of(&file)->type = ELF_DYN;
    header_of(&file)->entry -= TEXT;
    segment_of(&file, 0)->vaddr -= TEXT;
    segment_of(&file, 1)->vaddr -= TEXT;
    CHECK_EQ(program_load(ms, &file.ino, one_word, no_words, &program, &why), 0);
    CHECK_EQ(program.entry, PIE_BASE + 0x100);
    CHECK_AREA(ms, PIE_BASE, 2 * PAGE_SIZE);
    mspace_sweep(ms);
    drop_file(&file);
    space_stop(ms);
}

TEST(loader_gives_the_stack_the_rights_that_are_asked_for)
{
    mspace_t *ms = space_start("pae", 0);
    program_t program;
    const char *why;
    elf_file_t file;

    make_file(&file);
    elf_segment_t stack = *segment_of(&file, 2);

    stack.flags |= SEGMENT_EXEC;
    memmove(segment_of(&file, 1), segment_of(&file, 0), 2 * sizeof stack);
    *segment_of(&file, 0) = stack;
    CHECK_EQ(program_load(ms, &file.ino, one_word, no_words, &program, &why), 0);
    CHECK_EQ(vma_at(ms, program.stack)->flags & VMA_RIGHTS, VMA_RW | VMA_EXEC);
    commit.mode = COMMIT_ALWAYS;        /* the stack may be larger than this machine */
    CHECK_EQ(mspace_resolve(ms, USER_END - STACK_LIMIT, PAGE_SIZE, true), 0);
    CHECK_EQ(vma_at(ms, USER_END - STACK_LIMIT)->flags & VMA_RIGHTS, VMA_RW | VMA_EXEC);
    CHECK_OK(mspace_check(ms));
    mspace_sweep(ms);
    drop_file(&file);
    space_stop(ms);
}

/* ---- damaged ones */

typedef void damage_t(elf_file_t *file);

static void bad_magic(elf_file_t *file) { header_of(file)->ident[1] = 'e'; }
static void other_class(elf_file_t *file) { header_of(file)->ident[4] = 2; }
static void other_machine(elf_file_t *file) { header_of(file)->machine = 62; }
static void an_object(elf_file_t *file) { header_of(file)->type = 1; }
static void empty_file(elf_file_t *file) { file->ino.length = 0; }
static void short_file(elf_file_t *file) { file->ino.length = 51; }
static void no_segments(elf_file_t *file) { header_of(file)->phnum = 0; }
static void odd_entries(elf_file_t *file) { header_of(file)->phentsize = 31; }
static void far_headers(elf_file_t *file) { header_of(file)->phoff = FILE_BYTES - 95; }
static void farther_headers(elf_file_t *file) { header_of(file)->phoff = 0xfffffff0; }
static void many_headers(elf_file_t *file) { header_of(file)->phnum = 0xffff; }
static void interpreter(elf_file_t *file) { segment_of(file, 2)->type = SEGMENT_INTERP; }
static void more_file(elf_file_t *file) { segment_of(file, 1)->memsz = DATA_BYTES - 1; }
static void past_file(elf_file_t *file) { file->ino.length = DATA_OFFSET + DATA_BYTES - 1; }
static void wrapping_file(elf_file_t *file)
{
    segment_of(file, 1)->offset = 0xfffff234;
    segment_of(file, 1)->filesz = 0xfff;
}
static void odd_offset(elf_file_t *file) { segment_of(file, 1)->offset--; }
static void below_user(elf_file_t *file) { segment_of(file, 0)->vaddr = 0x1000; }
static void at_zero(elf_file_t *file) { segment_of(file, 0)->vaddr = 0; }
static void in_kernel(elf_file_t *file) { segment_of(file, 1)->vaddr = 0xc0000234; }
static void into_stack(elf_file_t *file) { segment_of(file, 1)->memsz = STACK_BOTTOM + 1 - DATA; }
static void wrapping_memory(elf_file_t *file) { segment_of(file, 1)->memsz = 0xffffffff; }
static void overlap(elf_file_t *file) { segment_of(file, 1)->vaddr = 0x08049234; }
static void disorder(elf_file_t *file) { segment_of(file, 1)->vaddr = 0x07000234; }
static void entry_outside(elf_file_t *file) { header_of(file)->entry = TEXT - 1; }
static void entry_behind(elf_file_t *file) { header_of(file)->entry = DATA + DATA_MEMORY; }
static void nothing(elf_file_t *file)
{
    segment_of(file, 0)->type = 0;
    segment_of(file, 1)->type = 0;
}
static void high_pie(elf_file_t *file)
{
    header_of(file)->type = ELF_DYN;
    segment_of(file, 1)->vaddr = 0xfffff234;
}

static const struct {
    damage_t *damage;
    const char *why;        /* part of the sentence */
} damages[] = {
    { bad_magic, "not an ELF program" },
    { other_class, "not a program for the i386" },
    { other_machine, "not a program for the i386" },
    { an_object, "not an executable one" },
    { empty_file, "too short" },
    { short_file, "too short" },
    { no_segments, "has no program headers" },
    { odd_entries, "wrong size" },
    { far_headers, "lie outside the file" },
    { farther_headers, "lie outside the file" },
    { many_headers, "lie outside the file" },
    { interpreter, "needs a dynamic linker, which Grove does not run yet" },
    { more_file, "larger in the file" },
    { past_file, "a segment lies outside the file" },
    { wrapping_file, "a segment lies outside the file" },
    { odd_offset, "do not match" },
    { below_user, "outside the memory of programs" },
    { at_zero, "outside the memory of programs" },
    { in_kernel, "outside the memory of programs" },
    { into_stack, "outside the memory of programs" },
    { wrapping_memory, "outside the memory of programs" },
    { overlap, "overlap" },
    { disorder, "out of order" },
    { entry_outside, "entry point" },
    { entry_behind, "entry point" },
    { nothing, "nothing to load" },
    { high_pie, "outside the memory of programs" },
};

TEST(loader_refuses_what_is_damaged)
{
    mspace_t *ms = space_start("2level", 0);

    for (size_t i = 0; i < ARRAY_LENGTH(damages); i++) {
        const char *why;
        elf_file_t file;

        make_file(&file);
        damages[i].damage(&file);
        CHECK_EQ(load_and_close(&file, one_word, &why), -ENOEXEC);
        if (strstr(why, damages[i].why) == NULL)
            test_fail(__FILE__, __LINE__, "damage %zu (%s) is \"%s\"", i, damages[i].why, why);
        drop_file(&file);
    }
    space_stop(ms);
}

/* The checks let no two segments meet in a page; if they did, it would be said. */
TEST(loader_passes_on_what_mspace_map_says)
{
    mspace_t *ms = space_start("2level", 0);
    image_t image = { .mspace = ms };
    int flags = VMA_RW | VMA_CAPABILITIES | VMA_FIXED | VMA_ANON;

    CHECK_EQ(map_area(&image, DATA - 0x234, DATA - 0x234 + PAGE_SIZE, NULL, 0, 0, flags), 0);
    CHECK_EQ(map_area(&image, DATA - 0x234, DATA - 0x234 + PAGE_SIZE, NULL, 0, 0, flags), -ERANGE);
    CHECK_STR(sentence(-ERANGE), "its segments could not be mapped");
    CHECK_STR(sentence(-ENOMEM), "there is not enough memory for it");
    mspace_sweep(ms);
    space_stop(ms);
}

TEST(loader_passes_on_a_read_error)
{
    mspace_t *ms = space_start("2level", 0);
    const char *why;
    elf_file_t file;

    make_file(&file);
    file.error = -EIO;
    CHECK_EQ(load_and_close(&file, one_word, &why), -EIO);
    CHECK_STR(why, "it could not be read");
    drop_file(&file);
    space_stop(ms);
}

/* Any bytes in the headers: an answer, a sound space, and nothing lost. */
TEST(loader_survives_random_headers)
{
    mspace_t *ms = space_start("pae", 0);
    size_t steps = test_steps(3000), good = 0;

    for (size_t step = 0; step < steps; step++) {
        size_t changes = 1 + test_random_below(4);
        const char *why;
        elf_file_t file;

        make_file(&file);
        while (changes-- > 0) {
            size_t at = test_random_below(sizeof(elf_header_t) + 3 * sizeof(elf_segment_t));

            file.bytes[at] = test_random_below(2) == 0 ? (uint8_t)test_random()
                           : (uint8_t)(file.bytes[at] + (test_random_below(2) != 0 ? 1 : -1));
        }
        if (test_random_below(8) == 0)
            file.ino.length = (off_t)test_random_below(FILE_BYTES);
        good += load_and_close(&file, one_word, &why) == 0;
        drop_file(&file);
    }
    CHECK(good > 0 && good < steps);
    space_stop(ms);
}

/* ---- limits */

TEST(loader_refuses_too_many_arguments)
{
    static char word[ARGUMENTS_MAX];
    static char *many[ARGUMENTS_MAX / 8 + 1];
    mspace_t *ms = space_start("2level", 0);
    char *long_one[] = { word, NULL };
    const char *why;
    elf_file_t file;

    make_file(&file);
    /* One string: with its NUL, a pointer and two NULLs exactly the limit. */
    memset(word, 'x', sizeof word - 1);
    word[ARGUMENTS_MAX - 13] = '\0';
    CHECK_EQ(load_and_close(&file, long_one, &why), 0);
    word[ARGUMENTS_MAX - 13] = 'x';
    word[ARGUMENTS_MAX - 12] = '\0';
    CHECK_EQ(load_and_close(&file, long_one, &why), -E2BIG);
    CHECK(strstr(why, "arguments") != NULL);
    for (size_t i = 0; i < ARRAY_LENGTH(many) - 1; i++)
        many[i] = "abc";
    CHECK_EQ(load_and_close(&file, many, &why), -E2BIG);
    many[ARRAY_LENGTH(many) - 2] = NULL;
    CHECK_EQ(load_and_close(&file, many, &why), 0);
    drop_file(&file);
    space_stop(ms);
}

typedef struct attempt {
    elf_file_t *file;
    mspace_t *ms;
} attempt_t;

static int attempt_load(void *context)
{
    attempt_t *attempt = context;
    program_t program;
    const char *why;
    int err;

    attempt->ms = mspace_create();
    if (attempt->ms == NULL)
        return -ENOMEM;
    err = program_load(attempt->ms, &attempt->file->ino, one_word, no_words, &program, &why);
    if (err != 0)
        mspace_close(attempt->ms);
    return err;
}

static void undo_load(void *context)
{
    mspace_close(((attempt_t *)context)->ms);
}

TEST(loader_survives_every_refused_frame)
{
    mspace_t *ms = space_start("pae", 0);
    elf_file_t file;
    attempt_t attempt = { &file, NULL };

    make_file(&file);
    CHECK(fake_failure_sweep(attempt_load, undo_load, NULL, &attempt) >= 3);
    drop_file(&file);
    space_stop(ms);
}

TEST(loader_survives_every_refused_buffer)
{
    mspace_t *ms = space_start("2level", 0);
    elf_file_t file;
    attempt_t attempt = { &file, NULL };
    int err = -ENOMEM;

    make_file(&file);
    for (size_t count = 0; err != 0; count++) {
        CHECK(count < 20);
        space_starve_heap(count, sizeof(image_t) > PAGE_SIZE ? sizeof(image_t) : PAGE_SIZE);
        err = attempt_load(&attempt);
        space_feed_heap();
        CHECK(err == 0 || err == -ENOMEM);
        CHECK_OK(space_check(ms));
    }
    undo_load(&attempt);
    drop_file(&file);
    space_stop(ms);
}
