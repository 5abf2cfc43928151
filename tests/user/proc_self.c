/*
 * What /proc says of a program, held against what the program knows that it mapped.
 */
#include "user.h"

static char text[65536];

/* Read a whole file. => its length; text ends with NUL */
static int get(const char *path)
{
    int fd = call(SYS_open, path, 0), length = 0, done;

    if (is_error(fd)) {
        text[0] = '\0';
        return fd;
    }
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

static const char *next_line(const char *at)
{
    while (*at != '\0' && *at++ != '\n')
        continue;
    return at;
}

/* The number behind a row's name, which it ends at; -1: no such row. */
static int row(const char *name)
{
    for (const char *at = text; *at != '\0'; at = next_line(at)) {
        if (!starts(at, name))
            continue;
        int value = 0;

        at += text_length(name);
        while (*at == ' ' || *at == '\t')
            at++;
        while (*at >= '0' && *at <= '9')
            value = value * 10 + *at++ - '0';
        return value;
    }
    return -1;
}

/* ---- maps */

typedef struct line {
    unsigned start, end;
    char rights[5];
    const char *name;       /* ends with the line */
} line_t;

static unsigned hex(const char **at)
{
    unsigned value = 0;

    for (;; (*at)++) {
        if (**at >= '0' && **at <= '9')
            value = value * 16 + (unsigned)(**at - '0');
        else if (**at >= 'a' && **at <= 'f')
            value = value * 16 + (unsigned)(**at - 'a' + 10);
        else
            return value;
    }
}

static void parse(const char *at, line_t *line)
{
    line->start = hex(&at);
    at++;
    line->end = hex(&at);
    at++;
    for (int i = 0; i < 4; i++)
        line->rights[i] = *at++;
    line->rights[4] = '\0';
    for (int words = 0; words < 4 && *at != '\n'; words++) {
        while (*at != ' ' && *at != '\n')
            at++;
        while (*at == ' ')
            at++;
    }
    line->name = at;
}

/* The line of an address in `text`, which is maps. => false: none */
static bool find(const void *address, line_t *line)
{
    for (const char *at = text; *at != '\0'; at = next_line(at)) {
        parse(at, line);
        if ((unsigned)address >= line->start && (unsigned)address < line->end)
            return true;
    }
    return false;
}

/* Print whether an area is exactly this. */
static void check_area(const char *what, const char *base, unsigned pages, const char *rights)
{
    line_t line;

    say("%s:", what);
    if (!find(base, &line))
        say(" none\n");
    else
        say(" %s, from page %d, %u pages%s\n", line.rights,
            (int)(line.start - (unsigned)base) / (int)PAGE, (line.end - line.start) / PAGE,
            line.end - line.start == pages * PAGE && line.start == (unsigned)base
            && same_text(line.rights, rights) ? "" : " (NOT as mapped)");
}

static bool is_sorted(void)
{
    unsigned last = 0;

    for (const char *at = text; *at != '\0'; at = next_line(at)) {
        line_t line;

        parse(at, &line);
        if (line.start < last || line.end <= line.start || (line.start | line.end) % PAGE != 0)
            return false;
        last = line.end;
    }
    return true;
}

static void maps(char *arena)
{
    line_t line;
    int local;

    check("maps can be read", get("/proc/self/maps") > 0);
    check("it is sorted", is_sorted());
    check_area("the first part", arena, 2, "rw-p");
    check_area("the second", arena + 2 * PAGE, 1, "r--p");
    check_area("the third", arena + 3 * PAGE, 1, "---p");
    check_area("the fourth", arena + 4 * PAGE, 1, "r-xp");
    check("the hole", !find(arena + 5 * PAGE, &line));
    check_area("behind it", arena + 6 * PAGE, 2, "rw-p");
    check("the text", find((void *)main, &line) && starts(line.rights, "r-xp"));
    check("the text's file", find((void *)main, &line) && *line.name == '/');
    check("the stack", find(&local, &line) && starts(line.name, "[stack]\n"));
    check("the heap", find((char *)call(SYS_brk, 0) - 1, &line)
          && starts(line.name, "[heap]\n"));
}

/* ---- status */

static int before[20];
static const char *const rows[] = {
    "VmPeak:", "VmSize:", "VmLck:", "VmPin:", "VmHWM:", "VmRSS:", "RssAnon:", "RssFile:",
    "RssShmem:", "VmData:", "VmStk:",
    "VmExe:", "VmLib:", "VmPTE:", "VmSwap:",
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void remember(void)
{
    get("/proc/self/status");
    for (int i = 0; i < ROWS; i++)
        before[i] = row(rows[i]);
}

/* What Linux counts by and by, the page tables, which are the machine's affair, and the peak,
 * which may be from before the program began. */
static bool is_exact(const char *name)
{
    static const char *const others[] = { "VmPTE", "VmRSS", "Rss", "VmHWM", "VmPeak" };

    for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++)
        if (starts(name, others[i]))
            return false;
    return true;
}

/* By how many KiB the rows changed since. */
static void show_change(const char *what)
{
    get("/proc/self/status");
    say("%s:", what);
    for (int i = 0; i < ROWS; i++)
        if (row(rows[i]) != before[i] && is_exact(rows[i]))
            say(" %s %d", rows[i], row(rows[i]) - before[i]);
    say("\n");
    remember();
}

static void status(void)
{
    check("status can be read", get("/proc/self/status") > 0);
    for (int i = 0; i < ROWS; i++)
        if (row(rows[i]) < 0)
            say("there is no row %s\n", rows[i]);
    check("Pid", row("Pid:") == call(SYS_getpid));
    check("Tgid", row("Tgid:") == call(SYS_getpid));
    check("PPid", row("PPid:") == call(SYS_getppid));
    check("Threads", row("Threads:") == 1);
    check("the sum", row("VmRSS:") == row("RssAnon:") + row("RssFile:") + row("RssShmem:"));
    check("VmSize is the most", row("VmSize:") >= row("VmRSS:")
          && row("VmSize:") >= row("VmData:") + row("VmStk:") + row("VmExe:"));
    check("VmPTE", row("VmPTE:") > 0 && row("VmPTE:") % 4 == 0);
    check("VmExe", row("VmExe:") > 0 && row("VmExe:") < 100);
    remember();
    char *memory = map_pages(16, PROT_RW);
    show_change("16 pages mapped");
    memory[0] = 1;
    call(SYS_mprotect, memory, 8 * PAGE, PROT_READ);
    show_change("8 of them read-only");
    call(SYS_mprotect, memory, 8 * PAGE, PROT_NONE);
    show_change("without rights");
    call(SYS_munmap, memory, 16 * PAGE);
    show_change("unmapped");
    call(SYS_brk, call(SYS_brk, 0) + 3 * (int)PAGE);
    show_change("brk by 3 pages");
}

/* Whether a row is as many KiB more as 600 pages have, give or take 200. */
static bool grew(const char *name, int old)
{
    int pages = (row(name) - old) / 4;

    return pages > 400 && pages < 800;
}

static void resident(void)
{
    char *memory = map_pages(600, PROT_RW);

    get("/proc/self/status");
    int rss = row("VmRSS:"), anon = row("RssAnon:"), shared = row("RssFile:");

    for (int i = 0; i < 600; i++)
        memory[i * PAGE] = 1;
    get("/proc/self/status");
    check("VmRSS grew", grew("VmRSS:", rss));
    check("RssAnon grew", grew("RssAnon:", anon));
    check("RssFile did not", !grew("RssFile:", shared));
    call(SYS_mprotect, memory, 600 * PAGE, PROT_NONE);
    get("/proc/self/status");
    check("what has no rights is in memory", grew("RssAnon:", anon));
    call(SYS_munmap, memory, 600 * PAGE);
    get("/proc/self/status");
    check("RssAnon shrank", !grew("RssAnon:", anon));
    check("VmHWM did not", grew("VmHWM:", rss));
}

/* The same for shared memory, which is no file's and not the program's alone. */
static void resident_shared(void)
{
    char *memory = (char *)map_at(0, 600 * PAGE, PROT_RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    get("/proc/self/status");
    int anon = row("RssAnon:"), file = row("RssFile:"), shared = row("RssShmem:");

    for (int i = 0; i < 600; i++)
        memory[i * PAGE] = 1;
    get("/proc/self/status");
    check("RssShmem grew", grew("RssShmem:", shared));
    check("RssAnon and RssFile did not", !grew("RssAnon:", anon) && !grew("RssFile:", file));
    get("/proc/meminfo");
    check("Shmem has it", row("Shmem:") >= 2400);
    check("Mapped has it", row("Mapped:") >= 2400);
    call(SYS_munmap, memory, 600 * PAGE);
    get("/proc/self/status");
    check("RssShmem shrank", !grew("RssShmem:", shared));
}

/* The peak of what is promised rises with it and does not fall. */
static void peak(void)
{
    get("/proc/self/status");
    int size = row("VmSize:"), old = row("VmPeak:"), pages = (old - size) / 4 + 100;
    char *memory = map_pages((size_t)pages, PROT_NONE);

    get("/proc/self/status");
    check("VmPeak is VmSize", row("VmPeak:") == row("VmSize:")
          && row("VmPeak:") == size + 4 * pages);
    call(SYS_munmap, memory + PAGE, 50 * PAGE);
    memory = map_pages(20, PROT_NONE);
    get("/proc/self/status");
    check("VmSize fell", row("VmSize:") == size + 4 * (pages - 30));
    check("VmPeak did not", row("VmPeak:") == size + 4 * pages);
}

/* The numbers of statm, in pages. */
static void statm(void)
{
    unsigned number[7];
    const char *at = text;

    check("statm can be read", get("/proc/self/statm") > 0);
    for (int i = 0; i < 7; i++) {
        number[i] = 0;
        while (*at >= '0' && *at <= '9')
            number[i] = number[i] * 10 + (unsigned)(*at++ - '0');
        at += *at == ' ' || *at == '\n';
    }
    check("seven numbers and no more", *at == '\0');
    get("/proc/self/status");
    check("size", (int)number[0] * 4 == row("VmSize:"));
    check("text", (int)number[3] * 4 == row("VmExe:"));
    check("data", (int)number[5] * 4 == row("VmData:") + row("VmStk:"));
    check("zeroes", number[4] == 0 && number[6] == 0);
}

/* ---- by number */

/* The path of a task's file, with a number that may be any text. */
static const char *path_of(int pid, const char *before_it, const char *name)
{
    static user_line_t line;

    line.length = 0;
    user_put_text(&line, "/proc/", 0);
    user_put_text(&line, before_it, 0);
    user_put_number(&line, (unsigned)pid, 10, 0, ' ');
    user_put_text(&line, name, 0);
    user_put(&line, '\0');
    return line.text;
}

static void by_number(void)
{
    int pid = call(SYS_getpid);

    check("maps by number", get(path_of(pid, "", "/maps")) > 0);
    check("status by number", get(path_of(pid, "", "/status")) > 0 && row("Pid:") == pid);
    show("a zero before", call(SYS_open, path_of(pid, "0", "/maps"), 0));
    show("a letter before", call(SYS_open, path_of(pid, "x", "/maps"), 0));
    show("a letter behind", call(SYS_open, path_of(pid, "", "x/maps"), 0));
    show("nobody's number", call(SYS_open, path_of(999999999, "", "/maps"), 0));
    show("a number too long", call(SYS_open, "/proc/4294967297/maps", 0));
    show("the kernel's number", call(SYS_open, "/proc/0/maps", 0));
    show("no such file", call(SYS_open, path_of(pid, "", "/nothing"), 0));
    show("half a name", call(SYS_open, path_of(pid, "", "/map"), 0));
    show("below a file", call(SYS_open, path_of(pid, "", "/maps/more"), 0));
    show("below a file of self", call(SYS_open, "/proc/self/status/", 0));
}

/* ---- the machine */

static void meminfo(void)
{
    static const char *const names[] = {
        "MemTotal:", "MemFree:", "MemAvailable:", "Buffers:", "Cached:", "SwapCached:",
        "SwapTotal:", "SwapFree:", "Dirty:", "Writeback:", "AnonPages:", "Mapped:", "Slab:",
        "SReclaimable:", "SUnreclaim:", "KernelStack:", "PageTables:", "CommitLimit:",
        "Committed_AS:",
    };

    check("meminfo can be read", get("/proc/meminfo") > 0);
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (row(names[i]) < 0)
            say("there is no row %s\n", names[i]);
    check("free memory", row("MemFree:") > 0 && row("MemFree:") < row("MemTotal:"));
    check("anonymous memory", row("AnonPages:") > 0);
    check("page tables", row("PageTables:") > 0);
    check("promised memory", row("Committed_AS:") > 0);
    check("the heap is a sum", row("Slab:") == row("SReclaimable:") + row("SUnreclaim:"));
}

int main(int argc, char **argv)
{
    char *arena = map_pages(12, PROT_RW) + PAGE;

    (void)argc, (void)argv;
    call(SYS_munmap, arena - PAGE, PAGE);       /* whatever is below and above, is apart */
    call(SYS_munmap, arena + 8 * PAGE, 3 * PAGE);
    call(SYS_mprotect, arena + 2 * PAGE, PAGE, PROT_READ);
    call(SYS_mprotect, arena + 3 * PAGE, PAGE, PROT_NONE);
    call(SYS_mprotect, arena + 4 * PAGE, PAGE, PROT_READ | PROT_EXEC);
    call(SYS_munmap, arena + 5 * PAGE, PAGE);
    call(SYS_brk, call(SYS_brk, 0) + (int)PAGE);
    maps(arena);
    status();
    resident();
    resident_shared();
    peak();
    statm();
    by_number();
    meminfo();
    return 0;
}
