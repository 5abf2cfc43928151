/*
 * kernel/lib/string.c, under other names, against the C library: the same results,
 * and no byte touched outside the ranges (unreadable pages lie around them).
 */
#include <kernel/types.h>
#include <host_test.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* Else GCC puts the C library's calls in place of the loops under test. */
#pragma GCC diagnostic ignored "-Wunknown-pragmas"
#pragma GCC optimize ("no-tree-loop-distribute-patterns")

/* The C library has no strlcpy to compare with everywhere. */
static size_t library_strlcpy(char *dest, const char *src, size_t size)
{
    size_t length = strlen(src);

    if (size != 0) {
        memcpy(dest, src, length < size ? length : size - 1);
        dest[length < size ? length : size - 1] = '\0';
    }
    return length;
}

/* The C library's calls under names that stay theirs. */
static struct {
    void *(*set)(void *, int, size_t);
    int (*cmp)(const void *, const void *, size_t);
    void *(*move)(void *, const void *, size_t);
    void *(*cpy)(void *, const void *, size_t);
    void *(*ccpy)(void *, const void *, int, size_t);
    size_t (*text_cpy)(char *, const char *, size_t);
    int (*text_cmp)(const char *, const char *);
    int (*text_ncmp)(const char *, const char *, size_t);
    char *(*text_chr)(const char *, int);
    char *(*text_rchr)(const char *, int);
} library = {
    memset, memcmp, memmove, memcpy, memccpy,
    library_strlcpy, strcmp, strncmp, strchr, strrchr,
};

#define memset  grove_memset
#define memcpy  grove_memcpy
#define mempcpy grove_mempcpy
#define memmove grove_memmove
#define memccpy grove_memccpy
#define memcmp  grove_memcmp
#define memchr  grove_memchr
#define memrchr grove_memrchr
#define memmem  grove_memmem
#define memfrob grove_memfrob
#define strlen  grove_strlen
#define strnlen grove_strnlen
#define strcmp  grove_strcmp
#define strncmp grove_strncmp
#define strchr  grove_strchr
#define strrchr grove_strrchr
#define strlcpy grove_strlcpy

#include "../../kernel/lib/string.c"

#define PAGE      4096
#define AREA      (2 * (size_t)PAGE)
#define MOST      300           /* the longest range */
#define ALIGNS    (2 * sizeof(size_t))

/* Four areas of two pages, an unreadable page before and after each. */
static struct {
    unsigned char *area[4];
} guarded;

static unsigned char *area(size_t i)
{
    if (guarded.area[i] == NULL) {
        unsigned char *start = mmap(NULL, AREA + 2 * PAGE, PROT_NONE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        CHECK(start != MAP_FAILED);
        CHECK_EQ(mprotect(start + PAGE, AREA, PROT_READ | PROT_WRITE), 0);
        guarded.area[i] = start + PAGE;
    }
    return guarded.area[i];
}

/* A range right before an unreadable page, or `align` behind one. */
static unsigned char *place(size_t i, size_t length, size_t align, bool at_end)
{
    return at_end ? area(i) + AREA - length - align : area(i) + align;
}

static void fill(unsigned char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (unsigned char)test_random();
}

/* Few different bytes, so that searches find something. */
static void fill_few(unsigned char *bytes, size_t length, size_t kinds)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (unsigned char)(1 + test_random_below(kinds));
}

/* Text of that length: the NUL is its last byte of length + 1. */
static char *text_at(size_t i, size_t length, size_t align, bool at_end)
{
    unsigned char *text = place(i, length + 1, align, at_end);

    fill_few(text, length, 255);
    text[length] = '\0';
    return (char *)text;
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

/* The whole areas 0 and 2, and 1 and 3, are alike before and must be after. */
static void mirror(void)
{
    library.cpy(area(2), area(0), AREA);
    library.cpy(area(3), area(1), AREA);
}

static void check_mirrored(void)
{
    CHECK_EQ(library.cmp(area(2), area(0), AREA), 0);
    CHECK_EQ(library.cmp(area(3), area(1), AREA), 0);
}

static unsigned char *mirrored(unsigned char *p)
{
    return p >= area(0) && p <= area(0) + AREA ? area(2) + (p - area(0))
                                               : area(3) + (p - area(1));
}

/* Run `body` for every length, alignment of one range, and end of the area. */
static void each_place(void (*body)(size_t length, size_t align, bool at_end))
{
    for (size_t i = 0; i < 4; i++)
        fill(area(i), AREA);
    for (size_t length = 0; length <= MOST; length++) {
        size_t step = length < 2 * ALIGNS ? 1 : 3;

        for (size_t align = 0; align < ALIGNS; align += step) {
            body(length, align, false);
            body(length, align, true);
        }
    }
}

static void try_memset(size_t length, size_t align, bool at_end)
{
    unsigned char *to = place(0, length, align, at_end);
    int value = (int)test_random();

    mirror();
    CHECK(grove_memset(to, value, length) == to);
    library.set(mirrored(to), value, length);
    check_mirrored();
}

TEST(string_memset)
{
    each_place(try_memset);
}

static void try_copies(size_t length, size_t align, bool at_end)
{
    unsigned char *to = place(0, length, align, at_end);
    unsigned char *from = place(1, length, test_random_below(ALIGNS), test_random_below(2) == 0);
    int stop = from[test_random_below(length + 1) % (length + (length == 0))];
    unsigned char *theirs;

    mirror();
    CHECK(grove_memcpy(to, from, length) == to);
    library.cpy(mirrored(to), mirrored(from), length);
    check_mirrored();

    fill(from, length);
    mirror();
    CHECK(grove_mempcpy(to, from, length) == to + length);
    library.cpy(mirrored(to), mirrored(from), length);
    check_mirrored();

    fill(from, length);
    mirror();
    theirs = library.ccpy(mirrored(to), mirrored(from), stop, length);
    if (theirs == NULL)
        CHECK(grove_memccpy(to, from, stop, length) == NULL);
    else
        CHECK(mirrored(grove_memccpy(to, from, stop, length)) == theirs);
    check_mirrored();
}

TEST(string_memcpy_mempcpy_memccpy)
{
    each_place(try_copies);
}

TEST(string_memccpy_stops)
{
    char to[8] = "-------";

    CHECK(grove_memccpy(to, "abcabc", 'c', 6) == to + 3);
    CHECK_STR(to, "abc----");
    CHECK(grove_memccpy(to, "xyz", 'q', 3) == NULL);
    CHECK_STR(to, "xyz----");
    CHECK(grove_memccpy(to, "12\377", 0x1ff, 3) == to + 3);     /* the low byte counts */
    CHECK(grove_memccpy(to, "777", '7', 0) == NULL);
}

/* Every distance between the ranges, both ways. */
TEST(string_memmove_overlaps)
{
    fill(area(0), AREA);
    fill(area(1), AREA);
    for (size_t length = 0; length <= MOST; length += length < 70 ? 1 : 23) {
        for (size_t distance = 0; distance <= length + 2 && distance < 80; distance++) {
            unsigned char *low = area(0) + test_random_below(ALIGNS);
            unsigned char *high = low + distance;
            unsigned char *end = area(0) + AREA - length;

            mirror();
            CHECK(grove_memmove(low, high, length) == low);
            library.move(mirrored(low), mirrored(high), length);
            CHECK(grove_memmove(high, low, length) == high);
            library.move(mirrored(high), mirrored(low), length);
            CHECK(grove_memmove(end, end - distance, length) == end);
            library.move(mirrored(end), mirrored(end - distance), length);
            CHECK(grove_memmove(end - distance, end, length) == end - distance);
            library.move(mirrored(end - distance), mirrored(end), length);
            CHECK(grove_memmove(area(0), area(0) + distance, length) == area(0));
            library.move(area(2), area(2) + distance, length);
            check_mirrored();
        }
    }
}

static void try_memcmp(size_t length, size_t align, bool at_end)
{
    unsigned char *a = place(0, length, align, at_end);
    unsigned char *b = place(1, length, test_random_below(ALIGNS), test_random_below(2) == 0);

    fill(a, length);
    library.cpy(b, a, length);
    CHECK_EQ(grove_memcmp(a, b, length), 0);
    for (int i = 0; length != 0 && i < 3; i++) {
        b[test_random_below(length)] ^= (unsigned char)(1 << test_random_below(8));
        CHECK_EQ(sign(grove_memcmp(a, b, length)), sign(library.cmp(a, b, length)));
        CHECK_EQ(sign(grove_memcmp(b, a, length)), sign(library.cmp(b, a, length)));
    }
}

TEST(string_memcmp)
{
    each_place(try_memcmp);
}

/* The first or the last, counted the slow way. */
static unsigned char *seek(unsigned char *memory, int value, size_t length, bool last)
{
    unsigned char *found = NULL;

    for (size_t i = 0; i < length; i++)
        if (memory[i] == (unsigned char)value && (last || found == NULL))
            found = memory + i;
    return found;
}

static void try_searches(size_t length, size_t align, bool at_end)
{
    unsigned char *memory = place(0, length, align, at_end);

    fill_few(memory, length, 1 + test_random_below(200));
    for (int i = 0; i < 4; i++) {
        int value = (int)test_random_below(0x400);

        CHECK(grove_memchr(memory, value, length) == seek(memory, value, length, false));
        CHECK(grove_memrchr(memory, value, length) == seek(memory, value, length, true));
    }
    for (size_t i = 0; i < length && length < 10; i++) {
        CHECK(grove_memchr(memory, memory[i], length) ==
              seek(memory, memory[i], length, false));
        CHECK(grove_memrchr(memory, memory[i], length) ==
              seek(memory, memory[i], length, true));
    }
}

TEST(string_memchr_memrchr)
{
    each_place(try_searches);
}

static void *slow_memmem(unsigned char *memory, size_t length, const unsigned char *part,
                         size_t part_length)
{
    for (size_t i = 0; i + part_length <= length; i++)
        if (library.cmp(memory + i, part, part_length) == 0)
            return memory + i;
    return NULL;
}

static void try_memmem(size_t length, size_t align, bool at_end)
{
    unsigned char *memory = place(0, length, align, at_end);
    size_t part_length = test_random_below(test_random_below(2) == 0 ? 6 : length + 3);
    unsigned char *part = place(1, part_length, 0, test_random_below(2) == 0);

    fill_few(memory, length, 1 + test_random_below(3));
    fill_few(part, part_length, 1 + test_random_below(3));
    CHECK(grove_memmem(memory, length, part, part_length) ==
          slow_memmem(memory, length, part, part_length));
    if (part_length > length)
        return;
    library.cpy(part, memory + test_random_below(length - part_length + 1), part_length);
    CHECK(grove_memmem(memory, length, part, part_length) ==
          slow_memmem(memory, length, part, part_length));
}

TEST(string_memmem)
{
    each_place(try_memmem);
    CHECK(grove_memmem("abc", 3, "", 0) != NULL);
    CHECK(grove_memmem("", 0, "a", 1) == NULL);
}

/* A comparison at each place would take 2^38 steps: minutes. */
TEST(string_memmem_of_a_long_part)
{
    enum { LENGTH = 1 << 20, PART = 1 << 19 };
    unsigned char *memory = malloc(LENGTH);
    unsigned char *part = malloc(PART);
    clock_t start = clock();

    library.set(memory, 'a', LENGTH);
    library.set(part, 'a', PART);
    part[PART - 1] = 'b';
    CHECK(grove_memmem(memory, LENGTH, part, PART) == NULL);
    part[PART - 1] = 'a';
    part[0] = 'b';
    CHECK(grove_memmem(memory, LENGTH, part, PART) == NULL);
    memory[LENGTH - PART] = 'b';
    CHECK(grove_memmem(memory, LENGTH, part, PART) == memory + LENGTH - PART);
    CHECK(clock() - start < 5 * CLOCKS_PER_SEC);
    free(memory);
    free(part);
}

static void try_memfrob(size_t length, size_t align, bool at_end)
{
    unsigned char *memory = place(0, length, align, at_end);
    unsigned char *copy;

    mirror();
    CHECK(grove_memfrob(memory, length) == memory);
    copy = mirrored(memory);
    for (size_t i = 0; i < length; i++)
        copy[i] ^= 42;
    check_mirrored();
}

TEST(string_memfrob)
{
    each_place(try_memfrob);
}

static void try_lengths(size_t length, size_t align, bool at_end)
{
    char *text = text_at(0, length, align, at_end);
    unsigned char *open = place(1, length, align, at_end);

    CHECK_EQ(grove_strlen(text), length);
    CHECK_EQ(grove_strnlen(text, SIZE_MAX), length);
    CHECK_EQ(grove_strnlen(text, length / 2), length / 2);
    fill_few(open, length, 255);                /* no NUL before the guard page */
    CHECK_EQ(grove_strnlen((char *)open, length), length);
}

TEST(string_strlen_strnlen)
{
    each_place(try_lengths);
}

static void try_strcmp(size_t length, size_t align, bool at_end)
{
    char *a = text_at(0, length, align, at_end);
    char *b = text_at(1, length, test_random_below(ALIGNS), test_random_below(2) == 0);
    size_t limit = test_random_below(length + 3);

    CHECK_EQ(sign(grove_strcmp(a, b)), sign(library.text_cmp(a, b)));
    library.cpy(b, a, length + 1);
    CHECK_EQ(grove_strcmp(a, b), 0);
    CHECK_EQ(grove_strncmp(a, b, limit), 0);
    CHECK_EQ(grove_strncmp(a, b, SIZE_MAX), 0);
    for (int i = 0; i < 3; i++) {
        b[test_random_below(length + 1)] = i == 0 ? '\0' : (char)(1 + test_random_below(255));
        b[length] = '\0';
        CHECK_EQ(sign(grove_strcmp(a, b)), sign(library.text_cmp(a, b)));
        CHECK_EQ(sign(grove_strcmp(b, a)), sign(library.text_cmp(b, a)));
        CHECK_EQ(sign(grove_strncmp(a, b, limit)), sign(library.text_ncmp(a, b, limit)));
    }
}

TEST(string_strcmp_strncmp)
{
    each_place(try_strcmp);
}

TEST(string_strncmp_reads_no_further_than_its_limit)
{
    char *a = (char *)place(0, 5, 0, true);
    char *b = (char *)place(1, 5, 0, true);

    library.cpy(a, "abcde", 5);
    library.cpy(b, "abcde", 5);
    CHECK_EQ(grove_strncmp(a, b, 5), 0);
    CHECK_EQ(grove_strncmp("x", "y", 0), 0);
}

static void try_strchr(size_t length, size_t align, bool at_end)
{
    char *text = text_at(0, length, align, at_end);

    for (int i = 0; i < 4; i++) {
        int c = i == 0 ? 0 : (int)test_random_below(0x200);

        CHECK(grove_strchr(text, c) == library.text_chr(text, c));
        CHECK(grove_strrchr(text, c) == library.text_rchr(text, c));
    }
    if (length > 0) {
        int c = text[test_random_below(length)];

        CHECK(grove_strchr(text, c) == library.text_chr(text, c));
        CHECK(grove_strrchr(text, c) == library.text_rchr(text, c));
    }
}

TEST(string_strchr_strrchr)
{
    each_place(try_strchr);
}

static void try_strlcpy(size_t length, size_t align, bool at_end)
{
    char *text = text_at(1, length, align, at_end);
    size_t size = test_random_below(length + 3);
    unsigned char *to = place(0, size, test_random_below(ALIGNS), true);

    mirror();
    CHECK_EQ(grove_strlcpy((char *)to, text, size), length);
    library.text_cpy((char *)mirrored(to), text, size);
    check_mirrored();
}

TEST(string_strlcpy)
{
    each_place(try_strlcpy);
}

TEST(string_high_bytes_compare_as_unsigned)
{
    CHECK(grove_memcmp("\200", "\177", 1) > 0);
    CHECK(grove_strcmp("\200", "\177") > 0);
    CHECK(grove_strncmp("\200", "\177", 1) > 0);
    CHECK(grove_memcmp("\1\0\0\0\0\0\0\2", "\2\0\0\0\0\0\0\1", 8) < 0);
}
