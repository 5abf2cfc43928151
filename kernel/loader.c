/*
 * ELF programs (System V gABI, chapters 4 and 5; i386 supplement).
 *
 * Nothing in the file is believed: headers are read through `read_at`, which ends
 * at the file's end, and every segment is checked before any is mapped.
 *
 *  a segment in memory             backing
 *  +---------------------------+
 *  | file pages                |   the file, privately
 *  |          +----------------+   <- p_filesz: bytes behind it in the page are
 *  |          |  zeroes        |      zero (the area's limit)
 *  +----------+----------------+
 *  | zeroes                    |   anonymous
 *  +---------------------------+   <- p_memsz, to a whole page
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/kheap.h>
#include <kernel/loader.h>
#include <kernel/random.h>
#include <kernel/string.h>
#include <x86/cpu.h>

typedef struct elf_header {
    uint8_t ident[16];
    uint16_t type;
    uint16_t machine;
    uint32_t version;
    uint32_t entry;
    uint32_t phoff;
    uint32_t shoff;
    uint32_t flags;
    uint16_t ehsize;
    uint16_t phentsize;
    uint16_t phnum;
    uint16_t shentsize;
    uint16_t shnum;
    uint16_t shstrndx;
} elf_header_t;

typedef struct elf_segment {
    uint32_t type;
    uint32_t offset;
    uint32_t vaddr;
    uint32_t paddr;
    uint32_t filesz;
    uint32_t memsz;
    uint32_t flags;
    uint32_t align;
} elf_segment_t;

static_assert(sizeof(elf_header_t) == 52 && sizeof(elf_segment_t) == 32, "as in the file");

enum {
    ELF_EXEC = 2,               /* type */
    ELF_DYN = 3,
    ELF_386 = 3,                /* machine */
    SEGMENT_LOAD = 1,           /* segment type */
    SEGMENT_INTERP = 3,
    SEGMENT_STACK = 0x6474e551, /* PT_GNU_STACK: its flags are the stack's rights */
    SEGMENT_EXEC = 1,           /* segment flags */
    SEGMENT_WRITE = 2,
    SEGMENT_READ = 4,
    SEGMENTS_MAX = 64,
};

/* Where position-independent programs go, and the stack. */
#define PIE_BASE     0x00800000u
#define STACK_LIMIT  (8 * MIB)
#define STACK_BOTTOM (USER_END - STACK_LIMIT - STACK_GUARD_GAP)
#define STACK_SPARE  (32 * PAGE_SIZE)   /* below the start-up block, there at once */

/* The file while it is read, and what is known of it. */
typedef struct image {
    mspace_t *mspace;
    inode_t *ino;
    const char *why;
    char *page;                 /* one page of the file */
    size_t page_index;          /* which; -1: none */
    elf_header_t header;
    elf_segment_t segment[SEGMENTS_MAX];    /* those to load, by address */
    size_t segment_count;
    size_t headers_at;          /* AT_PHDR; 0: the headers are not in memory */
    bool stack_exec;            /* code on the stack may run */
} image_t;

static int refuse(image_t *image, const char *why)
{
    image->why = why;
    return -ENOEXEC;
}

/* Read bytes of the file that were checked to be in it. */
static int read_at(image_t *image, uint64_t offset, void *buffer, size_t length)
{
    char *to = buffer;

    while (length > 0) {
        size_t index = (size_t)(offset >> PAGE_SHIFT);
        size_t in_page = (size_t)(offset & PAGE_MASK);
        size_t part = PAGE_SIZE - in_page < length ? PAGE_SIZE - in_page : length;

        if (image->page_index != index) {
            int err = image->ino->ops->read_page(image->ino, index, image->page);

            image->page_index = err == 0 ? index : (size_t)-1;
            if (err != 0)
                return err;
        }
        memcpy(to, image->page + in_page, part);
        to += part;
        offset += part;
        length -= part;
    }
    return 0;
}

static bool in_file(const image_t *image, uint64_t offset, uint64_t length)
{
    return offset + length <= (uint64_t)image->ino->length;
}

/* --- Checking */

static int check_header(image_t *image)
{
    static const uint8_t magic[7] = { 0x7f, 'E', 'L', 'F', 1, 1, 1 };
    elf_header_t *header = &image->header;

    if (!in_file(image, 0, sizeof *header))
        return refuse(image, "it is too short for an ELF program");
    int err = read_at(image, 0, header, sizeof *header);
    if (err != 0)
        return err;
    if (memcmp(header->ident, magic, 4) != 0)
        return refuse(image, "it is not an ELF program");
    if (memcmp(header->ident, magic, sizeof magic) != 0 || header->machine != ELF_386)
        return refuse(image, "it is not a program for the i386");
    if (header->type != ELF_EXEC && header->type != ELF_DYN)
        return refuse(image, "it is an ELF file, but not an executable one");
    if (header->phentsize != sizeof(elf_segment_t))
        return refuse(image, "damaged: its program headers have the wrong size");
    if (header->phnum == 0)
        return refuse(image, "damaged: it has no program headers");
    if (!in_file(image, header->phoff, (uint64_t)header->phnum * sizeof(elf_segment_t)))
        return refuse(image, "damaged: its program headers lie outside the file");
    return 0;
}

/* Check one segment to load; all sums are made in 64 bits. */
static int check_segment(image_t *image, const elf_segment_t *segment)
{
    uint64_t end = (uint64_t)segment->vaddr + segment->memsz;

    if (segment->filesz > segment->memsz)
        return refuse(image, "damaged: a segment is larger in the file than in memory");
    if (!in_file(image, segment->offset, segment->filesz))
        return refuse(image, "damaged: a segment lies outside the file");
    if (segment->filesz > 0 && ((segment->vaddr ^ segment->offset) & PAGE_MASK) != 0)
        return refuse(image, "damaged: address and file offset of a segment do not match");
    if (segment->vaddr < USER_BASE || end > STACK_BOTTOM)
        return refuse(image, "a segment lies outside the memory of programs");
    return 0;
}

/* Note a segment to load. */
static int add_segment(image_t *image, elf_segment_t segment)
{
    if (segment.memsz == 0)
        return 0;
    if (image->segment_count == SEGMENTS_MAX)
        return refuse(image, "it has more than 64 segments");
    if (image->header.type == ELF_DYN) {
        if (segment.vaddr > UINT32_MAX - PIE_BASE)
            return refuse(image, "a segment lies outside the memory of programs");
        segment.vaddr += PIE_BASE;
    }
    int err = check_segment(image, &segment);
    if (err != 0)
        return err;
    if (image->segment_count > 0) {
        const elf_segment_t *last = &image->segment[image->segment_count - 1];

        if (align_down(segment.vaddr, PAGE_SIZE) < last->vaddr + last->memsz)
            return refuse(image, "damaged: its segments overlap or are out of order");
    }
    image->segment[image->segment_count++] = segment;
    return 0;
}

static int read_segments(image_t *image)
{
    for (size_t i = 0; i < image->header.phnum; i++) {
        elf_segment_t segment;
        int err = read_at(image, image->header.phoff + (uint64_t)i * sizeof segment,
                          &segment, sizeof segment);

        if (err == 0 && segment.type == SEGMENT_INTERP)
            err = refuse(image, "it needs a dynamic linker, which Grove does not run yet");
        if (err == 0 && segment.type == SEGMENT_LOAD)
            err = add_segment(image, segment);
        if (err == 0 && segment.type == SEGMENT_STACK)
            image->stack_exec = (segment.flags & SEGMENT_EXEC) != 0;
        if (err != 0)
            return err;
    }
    return image->segment_count > 0 ? 0 : refuse(image, "damaged: it has nothing to load");
}

/* The entry lies in a segment; and whether the program headers are in memory. */
static int check_entry(image_t *image)
{
    uint32_t phoff = image->header.phoff;
    bool found = false;

    if (image->header.type == ELF_DYN)
        image->header.entry += PIE_BASE;
    for (size_t i = 0; i < image->segment_count; i++) {
        const elf_segment_t *segment = &image->segment[i];

        if (image->header.entry - segment->vaddr < segment->memsz)
            found = true;
        if (phoff >= segment->offset && phoff - segment->offset < segment->filesz)
            image->headers_at = segment->vaddr + (phoff - segment->offset);
    }
    return found ? 0 : refuse(image, "damaged: its entry point is in none of its segments");
}

/* --- Mapping */

static int map_area(image_t *image, size_t base, size_t end, inode_t *ino, off_t offset,
                    off_t limit, int flags)
{
    if (base == end)
        return 0;
    if (mspace_map(image->mspace, base, end - base, ino, offset, limit, flags) == NULL)
        return -*host_errno();
    return 0;
}

static int rights_of(uint32_t flags)
{
    return ((flags & SEGMENT_READ) != 0 ? VMA_READ : 0)
         | ((flags & SEGMENT_WRITE) != 0 ? VMA_WRITE : 0)
         | ((flags & SEGMENT_EXEC) != 0 ? VMA_EXEC : 0);
}

static int map_segment(image_t *image, const elf_segment_t *segment)
{
    int flags = rights_of(segment->flags) | VMA_CAPABILITIES | VMA_FIXED;
    size_t base = align_down(segment->vaddr, PAGE_SIZE);
    size_t skew = segment->vaddr - base;
    size_t middle = segment->filesz == 0 ? base
                  : align_up(segment->vaddr + segment->filesz, PAGE_SIZE);
    size_t end = align_up(segment->vaddr + segment->memsz, PAGE_SIZE);
    /* Without a bss the page's tail may show the file, as on Linux, and be shared. */
    off_t limit = segment->memsz > segment->filesz ? (off_t)skew + segment->filesz : 0;

    int err = map_area(image, base, middle, image->ino, (off_t)segment->offset - (off_t)skew,
                       limit, flags | VMA_FILE);
    if (err == 0)
        err = map_area(image, middle, end, NULL, 0, 0, flags | VMA_ANON);
    return err;
}

static int map_segments(image_t *image)
{
    const elf_segment_t *last = &image->segment[image->segment_count - 1];
    mspace_t *mspace = image->mspace;
    int err = 0;

    for (size_t i = 0; i < image->segment_count && err == 0; i++)
        err = map_segment(image, &image->segment[i]);
    mspace->map_base = MAP_BASE;
    mspace->break_start = align_up(last->vaddr + last->memsz, PAGE_SIZE);
    mspace->break_end = mspace->break_start;
    return err;
}

/* --- The start-up block (i386 supplement, "Process Initialization") */

/*
 *  USER_END    +--------------------------+
 *              | 0                        |
 *              | name of the file         |  strings, from the top down
 *              | environment, arguments   |
 *              | "i686", 16 random bytes  |
 *              +--------------------------+  16-aligned
 *              | auxiliary vector         |  pairs of words, the last AT_NULL
 *              | envp, 0                  |
 *              | argv, 0                  |
 *  esp ->      | argc                     |  16-aligned
 *              +--------------------------+
 */
enum {
    AT_NULL = 0, AT_PHDR = 3, AT_PHENT = 4, AT_PHNUM = 5, AT_PAGESZ = 6, AT_BASE = 7,
    AT_FLAGS = 8, AT_ENTRY = 9, AT_UID = 11, AT_EUID = 12, AT_GID = 13, AT_EGID = 14,
    AT_PLATFORM = 15, AT_HWCAP = 16, AT_CLKTCK = 17, AT_SECURE = 23, AT_RANDOM = 25,
    AT_EXECFN = 31,
};

/* The block while it is written: strings go down from the top, words up from esp. */
typedef struct block {
    mspace_t *mspace;
    size_t strings;         /* the lowest string so far */
    size_t words;           /* where the next word goes */
    int err;                /* the first thing that went wrong */
} block_t;

static void write_user(block_t *block, size_t to, const void *from, size_t length)
{
    size_t done;

    if (block->err == 0)
        block->err = mspace_copy_out(block->mspace, to, from, length, &done);
}

static size_t put_string(block_t *block, const void *bytes, size_t length)
{
    block->strings -= length;
    write_user(block, block->strings, bytes, length);
    return block->strings;
}

static void put_word(block_t *block, uint32_t word)
{
    write_user(block, block->words, &word, sizeof word);
    block->words += sizeof word;
}

static void put_pair(block_t *block, uint32_t type, uint32_t value)
{
    put_word(block, type);
    put_word(block, value);
}

/* => how many strings; *bytes grows by their lengths, NULs included */
static size_t count_strings(char *const strings[], size_t *bytes)
{
    size_t count = 0;

    for (; strings[count] != NULL; count++)
        *bytes += strlen(strings[count]) + 1;
    return count;
}

/* Put the strings, and pointers to them with a NULL behind. */
static void put_strings(block_t *block, char *const strings[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        put_word(block, put_string(block, strings[i], strlen(strings[i]) + 1));
    put_word(block, 0);
}

enum { VECTOR_PAIRS = 18 };

static void put_vector(block_t *block, const image_t *image, size_t random, size_t platform,
                       size_t name)
{
    uint32_t features[4];

    cpu_cpuid(1, 0, features);
    put_pair(block, AT_HWCAP, features[3]);
    put_pair(block, AT_PAGESZ, PAGE_SIZE);
    put_pair(block, AT_CLKTCK, 100);
    put_pair(block, AT_PHDR, image->headers_at);
    put_pair(block, AT_PHENT, sizeof(elf_segment_t));
    put_pair(block, AT_PHNUM, image->header.phnum);
    put_pair(block, AT_BASE, 0);
    put_pair(block, AT_FLAGS, 0);
    put_pair(block, AT_ENTRY, image->header.entry);
    put_pair(block, AT_UID, 0);
    put_pair(block, AT_EUID, 0);
    put_pair(block, AT_GID, 0);
    put_pair(block, AT_EGID, 0);
    put_pair(block, AT_SECURE, 0);
    put_pair(block, AT_RANDOM, random);
    put_pair(block, AT_EXECFN, name);
    put_pair(block, AT_PLATFORM, platform);
    put_pair(block, AT_NULL, 0);
}

/* Lay out the stack and write the block. => 0, -E2BIG, -ENOMEM, -EIO */
static int make_stack(const image_t *image, char *const argv[], char *const envp[],
                      size_t *stack)
{
    const char *name = argv[0] != NULL ? argv[0] : image->ino->name;
    size_t bytes = 0;
    size_t argc = count_strings(argv, &bytes);
    size_t envc = count_strings(envp, &bytes);

    if (bytes + (argc + envc + 2) * sizeof(uint32_t) > ARGUMENTS_MAX
        || strlen(name) >= ARGUMENTS_MAX)
        return -E2BIG;
    size_t words = 1 + argc + 1 + envc + 1 + 2 * VECTOR_PAIRS;
    size_t extra = sizeof(uint32_t) + strlen(name) + 1 + sizeof "i686" + 16;
    size_t block_start = align_down(align_down(USER_END - bytes - extra, 16)
                                    - words * sizeof(uint32_t), 16);
    size_t base = align_down(block_start, PAGE_SIZE) - STACK_SPARE;
    int err = mspace_set_stack(image->mspace, USER_END, USER_END - base, STACK_LIMIT);

    if (err == 0 && image->stack_exec)
        err = mspace_protect(image->mspace, base, USER_END - base, VMA_RW | VMA_EXEC);
    if (err != 0)
        return err;
    block_t block = { image->mspace, USER_END - sizeof(uint32_t), block_start, 0 };
    uint8_t random[16];

    random_fill(random, sizeof random);
    size_t name_at = put_string(&block, name, strlen(name) + 1);
    size_t platform_at = put_string(&block, "i686", sizeof "i686");
    size_t random_at = put_string(&block, random, sizeof random);
    put_word(&block, argc);
    put_strings(&block, argv, argc);
    put_strings(&block, envp, envc);
    put_vector(&block, image, random_at, platform_at, name_at);
    *stack = block_start;
    return block.err;
}

/* --- All together */

static int load(image_t *image, char *const argv[], char *const envp[], program_t *program)
{
    int err = check_header(image);

    if (err == 0)
        err = read_segments(image);
    if (err == 0)
        err = check_entry(image);
    if (err == 0)
        err = map_segments(image);
    if (err == 0)
        err = make_stack(image, argv, envp, &program->stack);
    program->entry = image->header.entry;
    return err;
}

static const char *sentence(int err)
{
    switch (err) {
    case -E2BIG:
        return "its arguments are too long: 128 KiB are allowed";
    case -EIO:
        return "it could not be read";
    case -ENOMEM:
        return "there is not enough memory for it";
    default:
        return "its segments could not be mapped";
    }
}

int program_load(mspace_t *mspace, inode_t *ino, char *const argv[],
                 char *const envp[], program_t *program, const char **why)
{
    image_t *image = kcalloc(1, sizeof *image);
    int err = -ENOMEM;

    *why = NULL;
    if (image != NULL) {
        image->mspace = mspace;
        image->ino = ino;
        image->page_index = (size_t)-1;
        image->page = kmalloc(PAGE_SIZE);
        if (image->page != NULL)
            err = load(image, argv, envp, program);
        *why = image->why;
        kfree(image->page);
        kfree(image);
    }
    if (err != 0 && *why == NULL)
        *why = sentence(err);
    return err;
}
