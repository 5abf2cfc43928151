/*
 * Allocate before there is a main: before any constructor, in one, and once more at exit.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *before;
static char *during;

static void first(void)
{
    before = malloc(1000);
    memset(before, 'b', 1000);
}

__attribute__((section(".preinit_array"), used)) static void (*const preinit)(void) = first;

static __attribute__((constructor)) void second(void)
{
    during = calloc(10, 100);
    before = realloc(before, 2000);
}

static __attribute__((destructor)) void last(void)
{
    free(during);
    free(malloc(100));
}

int main(void)
{
    int bad = during[999] != 0;

    for (int i = 0; i < 1000; i++)
        bad += before[i] != 'b';
    free(before);
    printf("%d wrong\n", bad);
    return bad != 0;
}
