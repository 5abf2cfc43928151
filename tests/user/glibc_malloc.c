// grove-run: --memory 256M
// enosys: 386
/*
 * 100 MiB through the C library's malloc, in pieces of all sizes, half of them
 * freed and taken again, and every byte checked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECES = 4000 };

static unsigned char *piece[PIECES];
static size_t length[PIECES];

static void take(size_t i, size_t size)
{
    piece[i] = malloc(size);
    if (piece[i] == NULL) {
        printf("no memory for piece %zu\n", i);
        exit(1);
    }
    length[i] = size;
    memset(piece[i], (int)(i & 0xff), size);
}

static size_t check_all(void)
{
    size_t wrong = 0;

    for (size_t i = 0; i < PIECES; i++)
        for (size_t at = 0; at < length[i]; at++)
            wrong += piece[i][at] != (i & 0xff);
    return wrong;
}

int main(void)
{
    size_t total = 0;
    unsigned random = 1;

    for (size_t i = 0; i < PIECES; i++) {
        random = random * 1103515245 + 12345;
        /* most are small, some so large that they are mapped by themselves */
        size_t size = i % 40 == 0 ? 600000 + random % 600000 : 1 + random % 8000;

        take(i, size);
        total += size;
    }
    printf("%d pieces, %zu bytes, %zu wrong\n", PIECES, total, check_all());
    for (size_t i = 0; i < PIECES; i += 2)
        free(piece[i]);
    for (size_t i = 0; i < PIECES; i += 2)
        take(i, length[i] / 2 + 1);
    printf("half of them again: %zu wrong\n", check_all());
    for (size_t i = 0; i < PIECES; i++)
        free(piece[i]);
    char *last = calloc(1, 1 << 20);

    printf("cleared memory: %d\n", last[12345]);
    free(last);
    return 0;
}
