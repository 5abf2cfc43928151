/*
 * What malloc and its family answer in the corners: alignment, errno, sizes of 0 and sizes
 * that there are not. glibc's own must pass as well.
 */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNUSED_ERRNO 4711
#define PAGE         4096u
#define HUGE         (SIZE_MAX / 2 + 1)     /* more than any buffer may have */

static int failures;

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            failures++; \
        } \
    } while (0)

/* The compiler knows what malloc does: it must not answer for it. */
static size_t opaque(size_t value)
{
    volatile size_t hidden = value;

    return hidden;
}

/* => the call answers NULL and sets errno to `error` */
#define CHECK_REFUSED(call, error) \
    do { \
        errno = UNUSED_ERRNO; \
        CHECK((call) == NULL); \
        CHECK(errno == (error)); \
    } while (0)

static int aligned(const void *buffer, size_t align)
{
    return buffer != NULL && (uintptr_t)buffer % align == 0;
}

static void sizes_of_0(void)
{
    char *a = malloc(opaque(0));
    char *b = malloc(opaque(0));
    char *c = calloc(opaque(0), 8);
    char *d = realloc(NULL, opaque(0));

    CHECK(a != NULL && b != NULL && c != NULL && d != NULL);
    CHECK(a != b && a != c && a != d && b != c && b != d && c != d);
    errno = UNUSED_ERRNO;
    CHECK(realloc(a, opaque(0)) == NULL);
    CHECK(reallocarray(b, opaque(0), 8) == NULL);
    free(c);
    free(d);
    free(NULL);
    CHECK(errno == UNUSED_ERRNO);
    CHECK(malloc_usable_size(NULL) == 0);
}

static void sizes_that_there_are_not(void)
{
    size_t huge = opaque(HUGE);
    size_t root = (size_t)1 << sizeof(size_t) * 4;
    char *volatile kept = malloc(100);     /* a failed realloc leaves it */
    void *answer = kept;

    memset(kept, 'k', 100);
    CHECK_REFUSED(malloc(huge), ENOMEM);
    CHECK_REFUSED(malloc(opaque(SIZE_MAX)), ENOMEM);
    CHECK_REFUSED(calloc(huge, 2), ENOMEM);
    CHECK_REFUSED(calloc(opaque(root), root), ENOMEM);
    CHECK_REFUSED(realloc(kept, huge), ENOMEM);
    CHECK_REFUSED(reallocarray(kept, opaque(root), root), ENOMEM);
    CHECK_REFUSED(memalign(64, opaque(SIZE_MAX)), ENOMEM);
    CHECK_REFUSED(aligned_alloc(64, huge), ENOMEM);
    CHECK_REFUSED(valloc(huge), ENOMEM);
    CHECK_REFUSED(pvalloc(opaque(SIZE_MAX)), ENOMEM);
    CHECK(posix_memalign(&answer, 64, huge) == ENOMEM);
    CHECK(answer == kept);
    for (size_t i = 0; i < 100; i++)
        CHECK(kept[i] == 'k');
    free(kept);
}

static void alignments(void)
{
    void *buffer[64];
    size_t count = 0;

    for (size_t align = sizeof(void *); align <= 1 << 20; align *= 2) {
        errno = UNUSED_ERRNO;
        CHECK(posix_memalign(&buffer[count], align, align + 1) == 0);
        CHECK(aligned(buffer[count], align));
        CHECK(malloc_usable_size(buffer[count]) >= align + 1);
        memset(buffer[count++], 1, align + 1);
        buffer[count] = aligned_alloc(align, align);
        CHECK(aligned(buffer[count++], align));
        buffer[count] = memalign(align, 3);
        CHECK(aligned(buffer[count++], align));
        CHECK(errno == UNUSED_ERRNO);
    }
    while (count-- > 0)
        free(buffer[count]);

    for (size_t size = 0; size < 300; size++) {
        void *plain = malloc(size);
        CHECK(aligned(plain, 2 * sizeof(void *)) && malloc_usable_size(plain) >= size);
        plain = realloc(plain, 2 * size + 1);
        CHECK(aligned(plain, 2 * sizeof(void *)));
        free(plain);
    }

    void *page = valloc(1);
    void *pages = pvalloc(PAGE + 1);
    CHECK(aligned(page, PAGE) && aligned(pages, PAGE));
    CHECK(malloc_usable_size(pages) >= 2 * PAGE);
    memset(pages, 1, 2 * PAGE);
    free(page);
    free(pages);
}

static void alignments_that_there_are_not(void)
{
    void *answer = &failures;
    void *rounded = memalign(opaque(48), 10);

    errno = UNUSED_ERRNO;
    CHECK(posix_memalign(&answer, opaque(0), 8) == EINVAL);
    CHECK(posix_memalign(&answer, opaque(sizeof(void *) / 2), 8) == EINVAL);
    CHECK(posix_memalign(&answer, opaque(3 * sizeof(void *)), 8) == EINVAL);
    CHECK(errno == UNUSED_ERRNO);
    CHECK(answer == &failures);
    CHECK(aligned(rounded, 64));
    CHECK_REFUSED(memalign(opaque(SIZE_MAX), 8), EINVAL);
    free(rounded);
}

static void contents(void)
{
    unsigned char *dirty = malloc(5000);
    memset(dirty, 0x5a, 5000);
    free(dirty);
    unsigned char *clear = calloc(50, 100);
    for (size_t i = 0; i < 5000; i++)
        CHECK(clear[i] == 0);

    for (size_t i = 0; i < 5000; i++)
        clear[i] = (unsigned char)(i * 7);
    for (size_t size = 5000; size < 2000000; size = size * 3 / 2)
        clear = realloc(clear, size);
    clear = realloc(clear, 3000);
    clear = reallocarray(clear, 400, 10);
    for (size_t i = 0; i < 3000; i++)
        CHECK(clear[i] == (unsigned char)(i * 7));
    free(clear);
}

/* To the end of all memory and back; only under a limit on it. */
static void too_little_memory(void)
{
    enum { BLOCK = 1 << 20 };
    void **last = NULL;
    size_t count = 0;

    for (;;) {
        errno = UNUSED_ERRNO;
        void **block = malloc(BLOCK);
        if (block == NULL)
            break;
        *block = last;
        last = block;
        count++;
    }
    CHECK(errno == ENOMEM);
    CHECK(count > 8);
    while (last != NULL) {
        void **block = last;
        last = *block;
        free(block);
    }
    void *again = malloc(count / 2 * BLOCK);
    CHECK(again != NULL);
    free(again);
}

int main(int argc, char **argv)
{
    sizes_of_0();
    sizes_that_there_are_not();
    alignments();
    alignments_that_there_are_not();
    contents();
    if (argc > 1 && strcmp(argv[1], "limited") == 0)
        too_little_memory();
    printf("%d failures\n", failures);
    return failures != 0;
}
