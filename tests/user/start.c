// args: one 'two words' '' last
// status: 7
/*
 * The block on the stack that a program starts with.
 */
#include "user.h"

enum {
    AT_NULL = 0, AT_PHDR = 3, AT_PHENT = 4, AT_PHNUM = 5, AT_PAGESZ = 6, AT_BASE = 7,
    AT_FLAGS = 8, AT_ENTRY = 9, AT_UID = 11, AT_EUID = 12, AT_GID = 13, AT_EGID = 14,
    AT_PLATFORM = 15, AT_HWCAP = 16, AT_CLKTCK = 17, AT_SECURE = 23, AT_RANDOM = 25,
    AT_EXECFN = 31,
};

extern char _start[];

/* The pair of that type. => NULL: there is none */
static const uint32_t *find(const uint32_t *vector, uint32_t type)
{
    for (; vector[0] != AT_NULL; vector += 2)
        if (vector[0] == type)
            return vector;
    return NULL;
}

static uint32_t value(const uint32_t *vector, uint32_t type)
{
    const uint32_t *pair = find(vector, type);

    return pair != NULL ? pair[1] : (uint32_t)-1;
}

static const char *last_part(const char *path)
{
    const char *part = path;

    for (; *path != '\0'; path++)
        if (*path == '/')
            part = path + 1;
    return part;
}

int main(int argc, char **argv)
{
    static const uint32_t all[] = {
        AT_PHDR, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_BASE, AT_FLAGS, AT_ENTRY, AT_UID, AT_EUID,
        AT_GID, AT_EGID, AT_PLATFORM, AT_HWCAP, AT_CLKTCK, AT_SECURE, AT_RANDOM, AT_EXECFN,
    };
    const uint32_t *stack = user_start_stack;
    const uint32_t *vector = stack + 1 + argc + 1;

    check("esp is 16-aligned", (size_t)stack % 16 == 0);
    check("argc is at esp", (int)stack[0] == argc);
    say("argc %d\n", argc);
    for (int i = 0; i < argc; i++)
        say("argv[%d] '%s'\n", i, i == 0 ? last_part(argv[i]) : argv[i]);
    check("argv ends with NULL", argv[argc] == NULL);
    while (*vector++ != 0) {}                   /* the environment */
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (find(vector, all[i]) == NULL)
            say("no entry of type %u\n", all[i]);
    say("page size %u, clock %u\n", value(vector, AT_PAGESZ), value(vector, AT_CLKTCK));
    say("headers of %u bytes\n", value(vector, AT_PHENT));
    check("headers are the file's", *(uint32_t *)(value(vector, AT_PHDR) - 52) == 0x464c457f);
    check("the entry is _start", value(vector, AT_ENTRY) == (uint32_t)_start);
    say("base %u, flags %u, secure %u\n", value(vector, AT_BASE), value(vector, AT_FLAGS),
        value(vector, AT_SECURE));
    say("platform %s\n", (char *)value(vector, AT_PLATFORM));
    say("file %s\n", last_part((char *)value(vector, AT_EXECFN)));
    const uint32_t *random = (uint32_t *)value(vector, AT_RANDOM);

    check("16 random bytes", (random[0] | random[1] | random[2] | random[3]) != 0);
    return 7;
}
