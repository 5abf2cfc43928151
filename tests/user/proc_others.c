/*
 * /proc of other programs: a parent's, a child's, one that ended, one that is gone.
 */
#include "fork.h"

static char text[65536];

/* Read /proc/PID/NAME. => its length, or an error */
static int get(int pid, const char *name)
{
    user_line_t path = { .length = 0 };
    int length = 0, done;

    user_put_text(&path, "/proc/", 0);
    user_put_number(&path, (unsigned)pid, 10, 0, ' ');
    user_put(&path, '/');
    user_put_text(&path, name, 0);
    user_put(&path, '\0');
    int fd = call(SYS_open, path.text, 0);

    if (is_error(fd))
        return fd;
    while ((done = call(SYS_read, fd, text + length, sizeof text - 1 - length)) > 0)
        length += done;
    call(SYS_close, fd);
    text[length] = '\0';
    return length;
}

static bool starts(const char *at, const char *with)
{
    while (*with != '\0')
        if (*at++ != *with++)
            return false;
    return true;
}

/* What is behind a row's name; NULL: no such row. */
static const char *row(const char *name)
{
    for (const char *at = text; *at != '\0'; ) {
        if (starts(at, name)) {
            at += text_length(name);
            while (*at == '\t' || *at == ' ')
                at++;
            return at;
        }
        while (*at != '\0' && *at++ != '\n')
            continue;
    }
    return NULL;
}

static int number(const char *name)
{
    const char *at = row(name);
    int value = 0;

    if (at == NULL)
        return -1;
    while (*at >= '0' && *at <= '9')
        value = value * 10 + *at++ - '0';
    return value;
}

static bool has_line(const char *start)
{
    for (const char *at = text; *at != '\0'; ) {
        if (starts(at, start))
            return true;
        while (*at != '\0' && *at++ != '\n')
            continue;
    }
    return false;
}

/* Where both map a page that the other has not. */
enum { ARENA = 0x50000000, PARENTS = ARENA, CHILDS = ARENA + 16 * PAGE };

static void child(int parent)
{
    map_at(CHILDS, 2 * PAGE, PROT_RW, MAP_ANON_PRIVATE | MAP_FIXED, -1, 0);
    call(SYS_munmap, PARENTS, PAGE);
    check("the parent's maps", get(parent, "maps") > 0 && has_line("50000000-50001000 rw-p"));
    check("without the child's", !has_line("50010000-50012000"));
    check("the child's own", get(call(SYS_getpid), "maps") > 0
          && has_line("50010000-50012000 rw-p") && !has_line("50000000"));
    check("the parent's status", get(parent, "status") > 0 && number("Pid:") == parent);
    check("its memory", number("VmSize:") > 0 && number("VmRSS:") > 0);
    check("its statm", get(parent, "statm") > 0 && !starts(text, "0 "));
    leave(7);
}

int main(int argc, char **argv)
{
    int pid, parent = call(SYS_getpid);

    (void)argc, (void)argv;
    map_at(PARENTS, PAGE, PROT_RW, MAP_ANON_PRIVATE | MAP_FIXED, -1, 0);
    pid = fork_child();
    if (pid == 0)
        child(parent);
    /* Until it has ended; it is the one that prints now. */
    while (get(pid, "status") > 0 && !starts(row("State:"), "Z (zombie)\n"))
        call(SYS_sched_yield);
    check("the child has ended", starts(row("State:"), "Z (zombie)\n"));
    check("its parent", number("PPid:") == parent);
    check("it has no memory", row("VmSize:") == NULL && row("VmRSS:") == NULL);
    say("its maps: %d bytes\n", get(pid, "maps"));
    get(pid, "statm");
    say("its statm: %s", text);
    say("it was waited for: %d\n", wait_child(pid) >> 8);
    show("its maps", get(pid, "maps"));
    show("its status", get(pid, "status"));
    return 0;
}
