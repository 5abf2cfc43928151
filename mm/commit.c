/*
 * Commit accounting: one sum for all spaces, and what it is held against.
 */
#include <kernel/commit.h>
#include <kernel/errno.h>
#include <kernel/string.h>
#include <kernel/vma.h>

enum { RATIO = 50, RATIO_MAX = 100 };

struct commit commit = { .mode = COMMIT_HEURISTIC, .ratio = RATIO };

static const char *const mode_names[] = { "heuristic", "always", "strict" };

size_t commit_limit(void)
{
    return (size_t)((uint64_t)kMMU.pages_amount * commit.ratio / 100);
}

int commit_charge_by_mode(size_t pages)
{
    if (commit.mode == COMMIT_HEURISTIC) {
        if (pages > kMMU.pages_amount)
            return -ENOMEM;
    } else if (commit.mode == COMMIT_STRICT) {
        size_t limit = commit_limit();

        if (commit.charged > limit || pages > limit - commit.charged)
            return -ENOMEM;
    }
    commit.charged += pages;
    return 0;
}

/* A decimal number up to `most`, and nothing behind it. => false: it is none */
static bool read_number(const char *text, unsigned most, unsigned *number)
{
    *number = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        *number = *number * 10 + (unsigned)(*text - '0');
        if (*number > most)
            return false;
    }
    return true;
}

int commit_set(const char *text)
{
    const char *comma = strchr(text, ',');
    size_t length = comma != NULL ? (size_t)(comma - text) : strlen(text);
    unsigned ratio = commit.ratio;

    if (comma != NULL && !read_number(comma + 1, RATIO_MAX, &ratio))
        return -EINVAL;
    for (unsigned mode = 0; mode < ARRAY_LENGTH(mode_names); mode++) {
        const char *name = mode_names[mode];

        if ((length == strlen(name) && strncmp(text, name, length) == 0) ||
            (length == 1 && *text == (char)('0' + mode))) {
            commit.mode = (commit_mode_t)mode;
            commit.ratio = ratio;
            return 0;
        }
    }
    return -EINVAL;
}

const char *commit_mode_name(void)
{
    return mode_names[commit.mode];
}
