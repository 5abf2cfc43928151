/*
 * Formatting against the C library's snprintf, and the log's output.
 */
#include <kernel/printk.h>
#include <host_test.h>

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_SIZE 1024

/* Formats made at run time are the point here. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"

static struct {
    char text[4 * TEXT_SIZE];
    size_t length;
    size_t pieces;
    size_t longest;
} captured;

static void capture(const char *text, size_t length)
{
    CHECK(length > 0);
    CHECK(captured.length + length < sizeof(captured.text));
    memcpy(captured.text + captured.length, text, length);
    captured.length += length;
    captured.text[captured.length] = '\0';
    captured.pieces++;
    if (length > captured.longest)
        captured.longest = length;
}

static void capture_log(const char *format, va_list args)
{
    printk_output_t *old;

    memset(&captured, 0, sizeof(captured));
    old = printk_set_output(capture);
    vprintk(format, args);
    CHECK(printk_set_output(old) == capture);
}

/* Ours and the C library's text and length; the log's text; each shorter buffer. */
static void compare(const char *format, ...)
{
    char ours[TEXT_SIZE];
    char theirs[TEXT_SIZE];
    va_list args;
    va_list copy;
    int length;

    va_start(args, format);
    va_copy(copy, args);
    length = vsnprintf(theirs, sizeof(theirs), format, copy);
    va_end(copy);
    va_copy(copy, args);
    memset(ours, '?', sizeof(ours));
    if (vformat_text(ours, sizeof(ours), format, copy) != length || strcmp(ours, theirs) != 0)
        test_fail(__FILE__, __LINE__, "\"%s\" gives \"%s\", expected \"%s\"", format, ours,
                  theirs);
    va_end(copy);
    test_checks++;
    va_copy(copy, args);
    capture_log(format, copy);
    va_end(copy);
    CHECK_STR(captured.text, theirs);
    for (size_t size = 0; size <= (size_t)length + 1 && size < 40; size++) {
        memset(ours, '?', sizeof(ours));
        va_copy(copy, args);
        CHECK_EQ(vformat_text(ours, size, format, copy), length);
        va_end(copy);
        if (size > 0) {
            CHECK_EQ(memcmp(ours, theirs, size - 1), 0);
            CHECK_EQ(ours[size - 1], '\0');
        }
        CHECK_EQ(ours[size], '?');
    }
    va_end(args);
}

TEST(printk_table)
{
    static const int ints[] = { 0, 1, -1, 7, 8, 9, 10, 42, -42, 99, 100, 65535, 65536,
                                1000000, INT_MAX, INT_MIN, INT_MIN + 1 };
    static const char *const formats[] = {
        "%d", "%i", "%u", "%x", "%X", "%o", "%5d", "%-5d|", "%05d", "%+d", "% d", "%+5d",
        "%-+5d|", "% 05d", "%.3d", "%8.3d", "%-8.3d|", "%08.3d", "%.0d", "%5.0d", "%#x",
        "%#X", "%#o", "%#010x", "%#10x", "%-#10x|", "%#.5x", "%#.5o", "%#.0o", "%#.0x",
        "%.0u", "%.0o", "%+u", "%hd", "%hhd", "%hu", "%hhu", "%hx", "%hhx", "%+hhi", "%-05d|",
        "%020d", "%-20d|", "%.20d", "%25.20d", "a%db", "%d%%", "%%%d", "%.d", "%+.0d",
        "%+ d", "%0-8x|", "%#8o", "%-#8o|", "%#08o",
    };

    for (size_t i = 0; i < ARRAY_LENGTH(formats); i++)
        for (size_t j = 0; j < ARRAY_LENGTH(ints); j++)
            compare(formats[i], ints[j]);
}

TEST(printk_table_64_bit)
{
    static const uint64_t values[] = {
        0, 1, 9, 10, 0xffffffff, 0x100000000, 0x100000001, 9999999999, 10000000000,
        0x7fffffffffffffff, 0x8000000000000000, 0x8000000000000001, UINT64_MAX,
        1234567890123456789, 10000000000000000000u, 9999999999999999999u, 0xffff0000ffff0000,
    };
    static const char *const formats[] = {
        "%lld", "%llu", "%llx", "%llX", "%llo", "%lli", "%30lld", "%-30llu|", "%030llx",
        "%#llo", "%#llx", "%.25lld", "%+lld", "% lld", "%jd", "%ju", "%jx",
    };

    for (size_t i = 0; i < ARRAY_LENGTH(formats); i++)
        for (size_t j = 0; j < ARRAY_LENGTH(values); j++)
            compare(formats[i], values[j]);
}

TEST(printk_every_length)
{
    long big = LONG_MIN;
    size_t size = SIZE_MAX;
    ptrdiff_t distance = PTRDIFF_MIN;

    compare("%ld %lu %lx %lo|%ld", big, LONG_MAX, big, ULONG_MAX, -1L);
    compare("%zu %zx %zd|%td %td", size, size, (ssize_t)-5, distance, PTRDIFF_MAX);
    compare("%d %lld %d %llu %hhd", 1, LLONG_MIN, 2, ULLONG_MAX, 300);
    compare("%hd %hu %hhx %hhu", 70000, 70000, 0x1234, -1);
}

TEST(printk_text)
{
    char open[3] = { 'a', 'b', 'c' };       /* no NUL */

    compare("");
    compare("plain");
    compare("%%");
    compare("100%% of %s", "it");
    compare("%s", "");
    compare("%s|%5s|%-5s|%.2s|%5.2s|%-5.2s|%.0s|%.s", "one", "two", "three", "four", "five",
            "six", "seven", "eight");
    compare("%10s|%-10s|%.10s", "longer than ten", "longer than ten", "longer than ten");
    compare("%c|%3c|%-3c|%c", 'a', 'b', 'c', 0x100 + 'd');
    compare("%.3s", open);
    compare("%.*s", 3, open);
    compare("%*d|%-*d|%*d|%.*d|%.*d", 5, 1, 5, 2, -5, 3, 4, 4, -4, 5);
    compare("%0*d|%*.*x", 6, 42, 8, 4, 0xabc);
    compare("%s", (char *)NULL);
    compare("%10s|%-10s|", (char *)NULL, (char *)NULL);
}

TEST(printk_pointers)
{
    char ours[TEXT_SIZE];
    char theirs[TEXT_SIZE];
    const void *pointers[] = { NULL, (void *)1, (void *)0xc0de, &ours, (void *)UINTPTR_MAX };

    for (size_t i = 0; i < ARRAY_LENGTH(pointers); i++) {
        size_t digits = 2 * sizeof(void *);

        snprintf(theirs, sizeof(theirs), "0x%0*llx|", (int)digits,
                 (unsigned long long)(uintptr_t)pointers[i]);
        CHECK_EQ(format_text(ours, sizeof(ours), "%p|", pointers[i]), digits + 3);
        CHECK_STR(ours, theirs);
    }
    CHECK_EQ(format_text(ours, sizeof(ours), "%20p|%-20p|", NULL, NULL), 42);
    CHECK_EQ(ours[0], ' ');
    CHECK_EQ(ours[19], '0');
    CHECK_EQ(memcmp(ours + 20, "|0x0", 4), 0);
    CHECK_EQ(ours[40], ' ');
}

TEST(printk_unknown_conversions_stand_as_they_are)
{
    static const char *const formats[] = { "%q", "%-5.3y!", "%", "%l", "%ll", "%5", "%.",
                                           "%08k and on", "%-", "%h" };
    char ours[TEXT_SIZE];

    for (size_t i = 0; i < ARRAY_LENGTH(formats); i++) {
        CHECK_EQ(format_text(ours, sizeof(ours), formats[i], 0), strlen(formats[i]));
        CHECK_STR(ours, formats[i]);
    }
}

TEST(printk_absurd_widths_end)
{
    char ours[16];

    CHECK_EQ(format_text(ours, sizeof(ours), "%100000d", 1), 100000);
    CHECK_STR(ours, "               ");
    CHECK_EQ(format_text(NULL, 0, "%.100000d", 1), 100000);
}

/* A random conversion, as text. => the bytes of its argument */
static size_t random_format(char *format)
{
    static const char flags[] = "-0+ #";
    static const char *const lengths[] = { "hh", "h", "", "l", "ll", "z", "t", "j" };
    static const size_t bytes[] = { 4, 4, 4, sizeof(long), 8, sizeof(size_t),
                                    sizeof(ptrdiff_t), 8 };
    static const char letters[] = "diuxXo";
    size_t length = test_random_below(ARRAY_LENGTH(lengths));
    char *end = format;

    *end++ = '%';
    while (test_random_below(2) == 0)
        *end++ = flags[test_random_below(sizeof(flags) - 1)];
    if (test_random_below(2) == 0)
        end += sprintf(end, "%u", (unsigned)test_random_below(40) + 1);
    if (test_random_below(2) == 0)
        end += sprintf(end, ".%u", (unsigned)test_random_below(40));
    end += sprintf(end, "%s", lengths[length]);
    *end++ = letters[test_random_below(sizeof(letters) - 1)];
    *end = '\0';
    return bytes[length];
}

TEST(printk_random_against_the_library)
{
    size_t steps = test_steps(50000);
    char format[128];

    for (size_t i = 0; i < steps; i++) {
        size_t bytes = random_format(format);
        uint64_t value = test_random() >> test_random_below(64);

        if (test_random_below(2) == 0)
            value = 0 - value;
        if (bytes == 8)
            compare(format, value);
        else
            compare(format, (uint32_t)value);
    }
}

TEST(printk_emits_pieces_of_a_small_buffer)
{
    char text[TEXT_SIZE];
    printk_output_t *old;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    memset(&captured, 0, sizeof(captured));
    old = printk_set_output(capture);
    printk("<%s>\n", text);
    CHECK(printk_set_output(old) == capture);
    CHECK_EQ(captured.length, sizeof(text) - 1 + 3);
    CHECK_EQ(captured.text[0], '<');
    CHECK_EQ(strspn(captured.text + 1, "x"), sizeof(text) - 1);
    CHECK_STR(captured.text + sizeof(text), ">\n");
    CHECK(captured.longest <= 256);
    CHECK(captured.pieces >= 4);
}

TEST(printk_without_output_is_dropped)
{
    printk_output_t *old = printk_set_output(NULL);

    printk("nobody reads %d %s\n", 1, "this");
    CHECK(printk_set_output(capture) == NULL);
    memset(&captured, 0, sizeof(captured));
    printk("%s", "");
    CHECK(printk_set_output(old) == capture);
    CHECK_EQ(captured.pieces, 0);
}
