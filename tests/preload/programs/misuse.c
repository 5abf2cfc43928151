/*
 * One misuse of malloc, named by the argument; then work as before. glibc would abort, or not
 * notice, so this is for the preloaded heap only.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *volatile here;     /* the compiler must not see what it points at */

static int work(void)
{
    char *kept[100];
    int bad = 0;

    for (int i = 0; i < 100; i++) {
        kept[i] = malloc((size_t)i * 20 + 1);
        memset(kept[i], i, (size_t)i * 20 + 1);
    }
    for (int i = 0; i < 100; i++) {
        for (int n = 0; n < i * 20 + 1; n++)
            bad += kept[i][n] != i;
        free(kept[i]);
    }
    return bad;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    char local[64] = "on the stack";
    char *volatile buffer = malloc(100);
    char *volatile behind = malloc(100);

    here = buffer;
    if (strcmp(what, "double") == 0) {
        free(here);
        free(buffer);
    } else if (strcmp(what, "foreign") == 0) {
        here = local + 16 - (size_t)local % 16;
        free(here);
    } else if (strcmp(what, "inside") == 0) {
        free(here + 16);
    } else if (strcmp(what, "realloc") == 0) {
        here = realloc(here + 32, 1000);
        if (here != NULL)
            return 1;
    } else if (strcmp(what, "usable") == 0) {
        here += 48;
        if (malloc_usable_size(here) != 0)
            return 1;
    } else if (strcmp(what, "overrun") == 0) {
        memset(here, 'x', malloc_usable_size(here) + sizeof(size_t));
        free(here);
        free(behind);
    }
    if (work() != 0)
        return 1;
    puts("went on");
    return 0;
}
