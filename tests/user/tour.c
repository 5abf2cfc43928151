// args: check
// linux: no
/*
 * The tour: what the memory subsystem does for a program, shown by a program, with
 * figures that it reads from the kernel. With the argument `check` it prints only
 * whether each figure is what the text claims.
 */
#include "user.h"

/* All in KiB, but for faults. */
typedef struct figures {
    unsigned total;         /* memory of the machine */
    unsigned free;
    unsigned promised;      /* to this program */
    unsigned used;          /* by this program */
    unsigned tables;        /* that say where its pages are */
    unsigned stack;
    unsigned faults;        /* of all programs since the start */
    unsigned heap;          /* the kernel's own, which comes and goes with each answer */
} figures_t;

enum {
    GIB_IN_PAGES = 262144,
    STEP = 8 * MIB,
    TOUCHED = 1024 / 8,         /* one page in each 8 MiB of a GiB */
    READ_AT_EACH = 8,
    DEPTH = 100,
};

static bool checking;
static char file_text[8192];

/* --- Figures */

static const char *read_file(const char *path)
{
    int fd = call(SYS_open, path, 0), length = 0, got;

    while ((got = call(SYS_read, fd, file_text + length, sizeof file_text - 1 - length)) > 0)
        length += got;
    call(SYS_close, fd);
    file_text[length] = '\0';
    return file_text;
}

/* The number behind `name` at the start of a line; 0: no such line. */
static unsigned number_of(const char *text, const char *name)
{
    size_t length = text_length(name);
    unsigned number = 0;

    for (; *text != '\0'; text++) {
        size_t same = 0;

        while (same < length && text[same] == name[same])
            same++;
        if (same == length)
            break;
        while (*text != '\0' && *text != '\n')
            text++;
        if (*text == '\0')
            return 0;
    }
    for (text += length; *text == ' ' || *text == '\t'; text++) {}
    for (; *text >= '0' && *text <= '9'; text++)
        number = number * 10 + (unsigned)(*text - '0');
    return number;
}

static figures_t look(void)
{
    figures_t now;
    const char *text = read_file("/proc/self/status");

    now.promised = number_of(text, "VmSize:");
    now.used = number_of(text, "VmRSS:");
    now.tables = number_of(text, "VmPTE:");
    now.stack = number_of(text, "VmStk:");
    text = read_file("/proc/vmstat");
    now.faults = number_of(text, "pgfault");
    text = read_file("/proc/meminfo");
    now.total = number_of(text, "MemTotal:");
    now.free = number_of(text, "MemFree:");
    now.heap = number_of(text, "Slab:");
    return now;
}

/* --- Printing */

static void text(const char *line)
{
    if (!checking)
        say("%s\n", line);
}

static void claim(const char *what, bool holds)
{
    if (checking)
        check(what, holds);
    else if (!holds)
        say("   (This is not as it should be: %s)\n", what);
}

static void heading(const char *title)
{
    if (!checking)
        say("\n--- %s\n\n", title);
}

/* 1048576 as 1,048,576, to the right of `width` columns. */
static void put_number(user_line_t *line, unsigned number, int width)
{
    char digits[16];
    int count = 0;

    for (int place = 1; number != 0 || place == 1; place++) {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
        if (place % 3 == 0 && number != 0)
            digits[count++] = ',';
    }
    for (int i = count; i < width; i++)
        user_put(line, ' ');
    while (count > 0)
        user_put(line, digits[--count]);
}

static void print_columns(const char *what, const unsigned *numbers, int count)
{
    user_line_t line = { .length = 0 };

    if (checking)
        return;
    user_put_text(&line, "   ", 0);
    user_put_text(&line, what, 35);
    for (int i = 0; i < count; i++)
        put_number(&line, numbers[i], 12);
    user_put(&line, '\n');
    write_all(1, line.text, line.length);
}

static void print_figure(const char *what, unsigned number)
{
    print_columns(what, &number, 1);
}

static void print_head(void)
{
    if (!checking)
        say("   %35s%12s%12s%12s\n", "", "    promised", "        used", "        free");
}

static void print_row(const char *what, const figures_t *now)
{
    print_columns(what, (unsigned[]){ now->promised, now->used, now->free }, 3);
}

/* --- The stations */

static void show_machine(const figures_t *now)
{
    text("");
    text("==============================================================================");
    text("  A tour of Grove");
    text("==============================================================================");
    text("");
    text("You are reading the output of a program. It runs on a kernel whose only trade");
    text("is memory, and it will show you how that kernel treats a program. Every figure");
    text("below was asked of the kernel at that moment. All are KiB (1,024 bytes).");
    heading("1. What there is");
    text("A machine's memory is cut into pages of 4 KiB each. A page is free, or somebody");
    text("has it. This is the machine, and what this program has of it now:");
    text("");
    print_figure("memory of the machine", now->total);
    print_figure("free", now->free);
    print_figure("used by this program", now->used);
    claim("the program uses less than 256 KiB", now->used < 256);
    claim("most memory is free", now->free > now->total / 2);
}

static char *show_promise(const figures_t *before)
{
    heading("2. A promise is not a page");
    text("The program now asks for 1 GiB, that is 1,048,576 KiB. The kernel says yes and");
    text("writes down a promise. It looks for no pages: nobody has used one yet.");
    text("");
    char *memory = map_pages(GIB_IN_PAGES, PROT_RW);
    figures_t now = look();

    print_head();
    print_row("before", before);
    print_row("after asking for 1 GiB", &now);
    claim("1 GiB more is promised", now.promised == before->promised + 1048576);
    claim("nothing more is used", now.used == before->used);
    return memory;
}

static void show_writing(char *memory)
{
    figures_t before = look();

    for (size_t i = 0; i < TOUCHED; i++)
        memory[i * STEP] = 'x';
    figures_t now = look();

    heading("3. Pages come when they are used");
    text("It writes one letter into every eighth MiB of that, 128 letters. At each of them");
    text("the processor finds no page and calls the kernel (that is a page fault). The");
    text("kernel finds a free page, clears it and lets the program go on, which notices");
    text("nothing. 128 pages are 512 KiB:");
    text("");
    print_head();
    print_row("before", &before);
    print_row("after 128 letters", &now);
    text("");
    print_figure("more in use", now.used - before.used);
    print_figure("more for tables", now.tables - before.tables);
    print_figure("page faults", now.faults - before.faults);
    text("");
    text("The tables are the kernel's own notes about where each page is. The letters are");
    text("far apart, so that each needed a page of notes as well; and it may take one more");
    text("page to note where the notes are.");
    claim("512 KiB more are used", now.used == before.used + 4 * TOUCHED);
    claim("one table for each letter", now.tables - before.tables >= 4 * TOUCHED
                                     && now.tables - before.tables <= 4 * TOUCHED + 4);
    claim("a fault for each letter", now.faults - before.faults >= TOUCHED);
}

static void show_reading(const char *memory)
{
    figures_t before = look();
    unsigned sum = 0;

    for (size_t i = 0; i < TOUCHED; i++)
        for (size_t page = 1; page <= READ_AT_EACH; page++)
            sum += (unsigned char)((const volatile char *)memory)[i * STEP + page * PAGE];
    figures_t now = look();

    heading("4. Reading is free");
    text("Memory that was never written reads as zero. The kernel needs no pages for that:");
    text("it keeps a single page of zeroes and shows it wherever one is read. The program");
    text("reads from 1,024 pages that it never wrote, and adds up what it finds:");
    text("");
    print_head();
    print_row("before", &before);
    print_row("after reading 1,024 pages", &now);
    text("");
    print_figure("sum of all that was read", sum);
    claim("all zero", sum == 0);
    claim("reading takes no memory", now.used == before.used
                                     && now.free + now.heap == before.free + before.heap);
}

static void show_return(char *memory, const figures_t *start)
{
    figures_t before = look();

    call(SYS_munmap, memory, 1024 * MIB);
    figures_t now = look();

    heading("5. What is given back is free at once");
    text("The program returns the whole GiB. Pages and tables are free in that moment:");
    text("");
    print_head();
    print_row("before", &before);
    print_row("after giving it back", &now);
    claim("the promise is gone", now.promised == start->promised);
    claim("the memory is free", now.used == start->used
                              && now.free + now.heap == start->free + start->heap);
}

static unsigned descend(unsigned depth)
{
    volatile char frame[PAGE];

    frame[0] = 1;
    return depth == 0 ? 1 : descend(depth - 1) + (unsigned char)frame[0];
}

static void show_stack(void)
{
    figures_t before = look();
    unsigned depth = descend(DEPTH - 1);
    figures_t now = look();

    heading("6. The stack grows by itself");
    text("A function's variables live on the stack. This one calls itself 100 times, with");
    text("4 KiB of variables each time. Nobody told the kernel that this would happen; the");
    text("stack grows because it is used, as far as its limit of 8 MiB:");
    text("");
    print_figure("calls", depth);
    print_figure("stack before", before.stack);
    print_figure("stack after", now.stack);
    print_figure("more in use", now.used - before.used);
    claim("the stack has grown", now.stack >= before.stack && now.stack >= 4 * DEPTH);
    claim("its pages are used", now.used - before.used >= 4 * DEPTH - 4
                                && now.used - before.used <= 4 * DEPTH + 8);
}

static void show_protection(void)
{
    char *page = map_pages(1, PROT_RW);
    int fd = call(SYS_open, "/proc/meminfo", 0);

    fill(page, 'A', 8);
    int allowed = call(SYS_read, fd, page, 1);
    char first = page[0];

    call(SYS_mprotect, page, PAGE, PROT_READ);
    int refused = call(SYS_read, fd, page, 1);
    bool same = page[0] == first && page[1] == 'A';

    call(SYS_close, fd);
    call(SYS_munmap, page, PAGE);
    heading("7. Rights");
    text("Each page has rights: to be read, to be written, to be executed. The program");
    text("writes a page, then makes it read-only, and twice asks the kernel to read from a");
    text("file into it:");
    text("");
    if (!checking) {
        say("   while it may be written:  %s\n", allowed == 1 ? "1 byte read" : "refused");
        say("   while it is read-only:    %s\n",
            refused == -EFAULT ? "refused, \"bad address\"" : "read");
        say("   what the page holds:      %s\n", same ? "the same as before" : "something else");
    }
    text("");
    text("The kernel itself keeps to the rights of the program it works for.");
    claim("a page that may be written is", allowed == 1);
    claim("a read-only page is not", refused == -EFAULT && same);
}

static void show_map(void)
{
    heading("8. The map of this program");
    text("Each line is a stretch of memory: its first address and the first one behind it,");
    text("its rights (r read, w write, x execute, p its own), and the file it came from:");
    text("");
    const char *map = read_file("/proc/self/maps");

    if (!checking)
        write_all(1, map, text_length(map));
    text("");
    text("No stretch can be both written and executed. Between the stretches there is");
    text("nothing; a program that reaches there has made a mistake, and is ended.");
    bool both = false;

    for (size_t i = 0; map[i] != '\0'; i++)
        both = both || (map[i] == 'w' && map[i + 1] == 'x');
    claim("nothing is writable and executable", !both);
}

static void show_end(const figures_t *start)
{
    figures_t now = look();

    heading("9. The account");
    print_head();
    print_row("at the start of the tour", start);
    print_row("at its end", &now);
    text("");
    text("What is still in use more than at the start is the stack: it keeps what it");
    text("grew, until the program ends. Then the kernel takes back everything.");
    text("");
    text("The next program, `wild`, does on purpose what programs do by mistake: it writes");
    text("to an address where nothing is. It will be ended, you will read why, and the");
    text("kernel will go on.");
    text("");
    claim("only the stack is left", now.promised - start->promised == now.stack - start->stack);
}

int main(int argc, char **argv)
{
    checking = argc > 1 && same_text(argv[1], "check");
    look();                             /* once before it counts: this uses memory too */
    figures_t start = look();

    show_machine(&start);
    char *memory = show_promise(&start);

    show_writing(memory);
    show_reading(memory);
    show_return(memory, &start);
    show_stack();
    show_protection();
    show_map();
    show_end(&start);
    return 0;
}
