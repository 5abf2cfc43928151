/*
 * Memory and text. What may be long goes a machine word at a time: x86 reads and
 * writes words at any address. Pages are not copied here: include/x86 has the
 * string instructions for that.
 *
 * Build with -fno-tree-loop-distribute-patterns, or these loops call themselves.
 */
#include <kernel/string.h>

#include <stdint.h>

/* A word anywhere, over objects of any type. */
typedef uintptr_t __attribute__((may_alias, aligned(1))) word_t;

#define WORD            sizeof(word_t)
#define BLOCK           (4 * WORD)
#define FROB            42
#define CHECKSUM_BASE   0x01000193u     /* FNV's prime: odd, its bits well spread */

void *memset(void *dest, int value, size_t length)
{
    unsigned char *to = dest;
    uintptr_t word = (unsigned char)value * (UINTPTR_MAX / 0xff);

    for (; length >= BLOCK; length -= BLOCK, to += BLOCK) {
        ((word_t *)to)[0] = word;
        ((word_t *)to)[1] = word;
        ((word_t *)to)[2] = word;
        ((word_t *)to)[3] = word;
    }
    for (; length >= WORD; length -= WORD, to += WORD)
        *(word_t *)to = word;
    for (; length != 0; length--)
        *to++ = (unsigned char)value;
    return dest;
}

/* Also right where `to` is inside the source, below `from`: it reads first. */
static inline unsigned char *copy_upwards(unsigned char *to, const unsigned char *from,
                                          size_t length)
{
    for (; length >= BLOCK; length -= BLOCK, to += BLOCK, from += BLOCK) {
        ((word_t *)to)[0] = ((const word_t *)from)[0];
        ((word_t *)to)[1] = ((const word_t *)from)[1];
        ((word_t *)to)[2] = ((const word_t *)from)[2];
        ((word_t *)to)[3] = ((const word_t *)from)[3];
    }
    for (; length >= WORD; length -= WORD, to += WORD, from += WORD)
        *(word_t *)to = *(const word_t *)from;
    for (; length != 0; length--)
        *to++ = *from++;
    return to;
}

/* From the end, for `to` above `from`. */
static inline void copy_downwards(unsigned char *to, const unsigned char *from, size_t length)
{
    for (; length >= WORD; length -= WORD)
        *(word_t *)(to + length - WORD) = *(const word_t *)(from + length - WORD);
    while (length-- != 0)
        to[length] = from[length];
}

void *memcpy(void *restrict dest, const void *restrict src, size_t length)
{
    copy_upwards(dest, src, length);
    return dest;
}

void *mempcpy(void *restrict dest, const void *restrict src, size_t length)
{
    return copy_upwards(dest, src, length);
}

void *memmove(void *dest, const void *src, size_t length)
{
    if ((uintptr_t)dest - (uintptr_t)src >= length)     /* also if dest < src */
        copy_upwards(dest, src, length);
    else
        copy_downwards(dest, src, length);
    return dest;
}

void *memccpy(void *restrict dest, const void *restrict src, int stop, size_t length)
{
    unsigned char *to = dest;
    const unsigned char *from = src;

    for (; length != 0; length--) {
        *to++ = *from;
        if (*from++ == (unsigned char)stop)
            return to;
    }
    return NULL;
}

int memcmp(const void *a, const void *b, size_t length)
{
    const unsigned char *p = a;
    const unsigned char *q = b;

    while (length >= WORD && *(const word_t *)p == *(const word_t *)q) {
        p += WORD;
        q += WORD;
        length -= WORD;
    }
    for (; length != 0; length--, p++, q++)
        if (*p != *q)
            return *p - *q;
    return 0;
}

void *memchr(const void *memory, int value, size_t length)
{
    const unsigned char *p = memory;

    for (; length != 0; length--, p++)
        if (*p == (unsigned char)value)
            return (void *)p;
    return NULL;
}

void *memrchr(const void *memory, int value, size_t length)
{
    const unsigned char *p = memory;

    while (length-- != 0)
        if (p[length] == (unsigned char)value)
            return (void *)(p + length);
    return NULL;
}

/*
 * Rabin and Karp: slide a window over the memory and keep the checksum of its bytes,
 * sum(byte[i] * base^(n - 1 - i)); compare only where it is the part's.
 */
void *memmem(const void *memory, size_t length, const void *part, size_t part_length)
{
    const unsigned char *window = memory;
    const unsigned char *wanted = part;
    uint32_t sum = 0;
    uint32_t wanted_sum = 0;
    uint32_t weight = 1;                /* of the byte that leaves the window, times base */

    if (part_length > length)
        return NULL;
    for (size_t i = 0; i < part_length; i++) {
        sum = sum * CHECKSUM_BASE + window[i];
        wanted_sum = wanted_sum * CHECKSUM_BASE + wanted[i];
        weight *= CHECKSUM_BASE;
    }
    for (size_t left = length - part_length;; left--, window++) {
        if (sum == wanted_sum && memcmp(window, wanted, part_length) == 0)
            return (void *)window;
        if (left == 0)
            return NULL;
        sum = sum * CHECKSUM_BASE + window[part_length] - window[0] * weight;
    }
}

void *memfrob(void *memory, size_t length)
{
    unsigned char *p = memory;

    for (; length != 0; length--)
        *p++ ^= FROB;
    return memory;
}

size_t strlen(const char *text)
{
    const char *end = text;

    while (*end != '\0')
        end++;
    return (size_t)(end - text);
}

size_t strnlen(const char *text, size_t limit)
{
    size_t length = 0;

    while (length < limit && text[length] != '\0')
        length++;
    return length;
}

int strcmp(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t limit)
{
    for (; limit != 0; limit--, a++, b++)
        if (*a != *b || *a == '\0')
            return (unsigned char)*a - (unsigned char)*b;
    return 0;
}

char *strchr(const char *text, int c)
{
    for (; *text != (char)c; text++)
        if (*text == '\0')
            return NULL;
    return (char *)text;
}

char *strrchr(const char *text, int c)
{
    const char *last = NULL;

    do {
        if (*text == (char)c)
            last = text;
    } while (*text++ != '\0');
    return (char *)last;
}

size_t strlcpy(char *restrict dest, const char *restrict src, size_t size)
{
    size_t length = strlen(src);
    size_t fits = length < size ? length : size - 1;

    if (size != 0) {
        memcpy(dest, src, fits);
        dest[fits] = '\0';
    }
    return length;
}
