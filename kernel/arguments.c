/*
 * Words of a boot module's string, or of a line typed at the prompt.
 */
#include <kernel/arguments.h>
#include <kernel/errno.h>

/* Take one word off *from and write it, unquoted, to *to. */
static void take_word(const char **from, char **to)
{
    const char *at = *from;
    char *out = *to;

    if (at[0] == '\'' && at[1] == '\'' && (at[2] == ' ' || at[2] == '\0')) {
        at += 2;
    } else {
        while (*at != '\0' && *at != ' ') {
            if (*at == '\\' && at[1] != '\0')
                at++;
            *out++ = *at++;
        }
    }
    *from = at;
    *to = out;
}

int arguments_split(char *text, char **argv, size_t size)
{
    const char *from = text;
    char *to = text;
    size_t count = 0;

    for (;;) {
        bool last;

        while (*from == ' ')
            from++;
        if (*from == '\0')
            break;
        if (count + 1 >= size)
            return -E2BIG;
        argv[count++] = to;
        take_word(&from, &to);
        /* The NUL may go where the space is that `from` is at. */
        last = *from == '\0';
        *to++ = '\0';
        if (last)
            break;
        from++;
    }
    argv[count] = NULL;
    return (int)count;
}
