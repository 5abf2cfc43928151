/*
 * Formatted text, for the log and into buffers.
 *
 * One formatter writes characters into a sink: a caller's buffer that cuts what
 * does not fit, or a small one on the stack that goes out each time it is full.
 */
#include <kernel/printk.h>
#include <kernel/types.h>

#include <limits.h>

#define CHUNK_SIZE   128
#define DIGITS_SIZE  22         /* 2^64 - 1 in octal */

static struct {
    printk_output_t *output;
} log_to;

struct sink {
    char *buffer;
    size_t size;
    size_t used;                /* characters in buffer, at most size */
    size_t total;               /* characters of the whole text so far */
    printk_output_t *output;    /* takes a full buffer; NULL: cut the rest */
};

/* One conversion: %[flags][width][.precision][length]letter */
struct conversion {
    bool left;                  /* - */
    bool zeros;                 /* 0 */
    bool plus;                  /* + */
    bool space;                 /* ' ' */
    bool alternate;             /* # */
    bool has_precision;
    size_t width;
    size_t precision;
    size_t bytes;               /* of an integer argument */
    char letter;
};

static void flush(struct sink *sink)
{
    if (sink->used != 0)
        sink->output(sink->buffer, sink->used);
    sink->used = 0;
}

static void put(struct sink *sink, char c)
{
    sink->total++;
    if (sink->used == sink->size) {
        if (sink->output == NULL)
            return;
        flush(sink);
    }
    sink->buffer[sink->used++] = c;
}

static void put_text(struct sink *sink, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        put(sink, text[i]);
}

static void put_fill(struct sink *sink, char c, size_t count)
{
    while (count-- != 0)
        put(sink, c);
}

/* Text in its field of `width`, on the left or on the right. */
static void put_padded(struct sink *sink, const struct conversion *conv,
                       const char *text, size_t length)
{
    size_t fill = conv->width > length ? conv->width - length : 0;

    if (!conv->left)
        put_fill(sink, ' ', fill);
    put_text(sink, text, length);
    if (conv->left)
        put_fill(sink, ' ', fill);
}

/*
 * value / 10, in steps of 16 bits: the remainder and the next 16 bits fit into 32,
 * so that a 32-bit machine needs no 64-bit division.
 */
static uint64_t divide_by_ten(uint64_t value, unsigned *remainder)
{
    uint64_t quotient = 0;
    uint32_t rest = 0;

    for (int shift = 48; shift >= 0; shift -= 16) {
        uint32_t part = rest << 16 | (uint32_t)(value >> shift & 0xffff);

        quotient = quotient << 16 | part / 10;
        rest = part % 10;
    }
    *remainder = rest;
    return quotient;
}

/* The digits of a value, the last one at end[-1]; none for 0. => where they begin */
static char *make_digits(char *end, uint64_t value, char letter)
{
    const char *digits = letter == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    unsigned digit;
    uint32_t low;

    if (letter == 'x' || letter == 'X' || letter == 'p') {
        for (; value != 0; value >>= 4)
            *--end = digits[value & 15];
        return end;
    }
    if (letter == 'o') {
        for (; value != 0; value >>= 3)
            *--end = digits[value & 7];
        return end;
    }
    while (value >> 32 != 0) {
        value = divide_by_ten(value, &digit);
        *--end = digits[digit];
    }
    for (low = (uint32_t)value; low != 0; low /= 10)
        *--end = digits[low % 10];
    return end;
}

/* What stands before the digits: a sign, or the base that # asks for. */
static const char *prefix_of(const struct conversion *conv, bool negative, bool zero)
{
    if (conv->letter == 'd') {
        if (negative)
            return "-";
        return conv->plus ? "+" : conv->space ? " " : "";
    }
    if (conv->letter == 'p')
        return "0x";
    if (!conv->alternate || zero)
        return "";
    return conv->letter == 'x' ? "0x" : conv->letter == 'X' ? "0X" : "";
}

/* [blanks] prefix [zeros] digits [blanks] */
static void put_number(struct sink *sink, const struct conversion *conv,
                       uint64_t value, bool negative)
{
    char space[DIGITS_SIZE];
    char *digits = make_digits(space + sizeof(space), value, conv->letter);
    size_t length = (size_t)(space + sizeof(space) - digits);
    const char *prefix = prefix_of(conv, negative, value == 0);
    size_t prefix_length = prefix[0] == '\0' ? 0 : prefix[1] == '\0' ? 1 : 2;
    size_t least = conv->has_precision ? conv->precision : 1;
    size_t zeros;
    size_t fill;

    if (conv->letter == 'o' && conv->alternate && least <= length)
        least = length + 1;             /* # makes the first digit a 0 */
    zeros = least > length ? least - length : 0;
    fill = prefix_length + zeros + length;
    fill = conv->width > fill ? conv->width - fill : 0;
    if (conv->zeros && !conv->left && !conv->has_precision) {
        zeros += fill;
        fill = 0;
    }
    if (!conv->left)
        put_fill(sink, ' ', fill);
    put_text(sink, prefix, prefix_length);
    put_fill(sink, '0', zeros);
    put_text(sink, digits, length);
    if (conv->left)
        put_fill(sink, ' ', fill);
}

static void put_string(struct sink *sink, const struct conversion *conv,
                       const char *text)
{
    size_t length = 0;

    if (text == NULL)
        text = "(null)";
    while (!(conv->has_precision && length == conv->precision) && text[length] != '\0')
        length++;
    put_padded(sink, conv, text, length);
}

/* An integer argument as 64 bits, extended from its own width. */
static uint64_t take_integer(va_list *args, const struct conversion *conv)
{
    int unused = 64 - 8 * (int)conv->bytes;
    uint64_t value;

    if (conv->bytes == sizeof(uint64_t))
        value = va_arg(*args, uint64_t);
    else
        value = va_arg(*args, unsigned int);
    value <<= unused;
    if (conv->letter == 'd')
        return (uint64_t)((int64_t)value >> unused);
    return value >> unused;
}

static bool parse_flag(struct conversion *conv, char c)
{
    switch (c) {
    case '-': conv->left = true; return true;
    case '0': conv->zeros = true; return true;
    case '+': conv->plus = true; return true;
    case ' ': conv->space = true; return true;
    case '#': conv->alternate = true; return true;
    }
    return false;
}

/* Digits at *format, or `*`: an argument. => false: a negative argument, made positive */
static bool parse_count(const char **format, va_list *args, size_t *count)
{
    int given;

    *count = 0;
    if (**format == '*') {
        (*format)++;
        given = va_arg(*args, int);
        *count = given < 0 ? 0 - (size_t)given : (size_t)given;
        return given >= 0;
    }
    for (; **format >= '0' && **format <= '9'; (*format)++)
        if (*count < INT_MAX / 10)
            *count = *count * 10 + (size_t)(**format - '0');
    return true;
}

/* The size that hh h l ll z t j stand for; moves *format past them. */
static size_t parse_length(const char **format)
{
    char first = **format;
    bool twice;

    switch (first) {
    case 'h':
    case 'l':
        twice = *++*format == first;
        *format += twice;
        if (first == 'h')
            return twice ? sizeof(char) : sizeof(short);
        return twice ? sizeof(long long) : sizeof(long);
    case 'z':
        ++*format;
        return sizeof(size_t);
    case 't':
        ++*format;
        return sizeof(ptrdiff_t);
    case 'j':
        ++*format;
        return sizeof(intmax_t);
    }
    return sizeof(int);
}

/* Read a conversion from behind its %. => the first character after it */
static const char *parse_conversion(struct conversion *conv, const char *format,
                                    va_list *args)
{
    *conv = (struct conversion){ 0 };
    while (parse_flag(conv, *format))
        format++;
    if (!parse_count(&format, args, &conv->width))
        conv->left = true;
    if (*format == '.') {
        format++;
        conv->has_precision = parse_count(&format, args, &conv->precision);
    }
    conv->bytes = parse_length(&format);
    conv->letter = *format == 'i' ? 'd' : *format;
    return *format == '\0' ? format : format + 1;
}

/* => false: no conversion of ours */
static bool put_conversion(struct sink *sink, struct conversion *conv, va_list *args)
{
    uint64_t value;
    char c;

    switch (conv->letter) {
    case '%':
        put(sink, '%');
        return true;
    case 'c':
        c = (char)va_arg(*args, int);
        put_padded(sink, conv, &c, 1);
        return true;
    case 's':
        put_string(sink, conv, va_arg(*args, const char *));
        return true;
    case 'd':
        value = take_integer(args, conv);
        if ((int64_t)value < 0)
            put_number(sink, conv, 0 - value, true);
        else
            put_number(sink, conv, value, false);
        return true;
    case 'u':
    case 'x':
    case 'X':
    case 'o':
        put_number(sink, conv, take_integer(args, conv), false);
        return true;
    case 'p':
        conv->has_precision = true;
        conv->precision = 2 * sizeof(void *);
        put_number(sink, conv, (uintptr_t)va_arg(*args, void *), false);
        return true;
    }
    return false;
}

static void format_into(struct sink *sink, const char *format, va_list *args)
{
    struct conversion conv;
    const char *start;

    while (*format != '\0') {
        if (*format != '%') {
            put(sink, *format++);
            continue;
        }
        start = format;
        format = parse_conversion(&conv, start + 1, args);
        if (!put_conversion(sink, &conv, args))
            put_text(sink, start, (size_t)(format - start));
    }
}

int vformat_text(char *buffer, size_t size, const char *format, va_list args)
{
    struct sink sink = { .buffer = buffer, .size = size != 0 ? size - 1 : 0 };
    va_list copy;

    va_copy(copy, args);                /* a pointer to a parameter is no va_list * */
    format_into(&sink, format, &copy);
    va_end(copy);
    if (size != 0)
        buffer[sink.used] = '\0';
    return sink.total > INT_MAX ? INT_MAX : (int)sink.total;
}

int format_text(char *buffer, size_t size, const char *format, ...)
{
    va_list args;
    int length;

    va_start(args, format);
    length = vformat_text(buffer, size, format, args);
    va_end(args);
    return length;
}

void vprintk(const char *format, va_list args)
{
    char chunk[CHUNK_SIZE];
    struct sink sink = { .buffer = chunk, .size = CHUNK_SIZE, .output = log_to.output };
    va_list copy;

    if (log_to.output == NULL)
        return;
    va_copy(copy, args);
    format_into(&sink, format, &copy);
    va_end(copy);
    flush(&sink);
}

void printk(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintk(format, args);
    va_end(args);
}

printk_output_t *printk_set_output(printk_output_t *output)
{
    printk_output_t *old = log_to.output;

    log_to.output = output;
    return old;
}
