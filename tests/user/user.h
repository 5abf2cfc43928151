/*
 * The runtime of the test programs: how they begin, system calls through
 * `int 0x80`, and printing. No C library. Each program defines `main`; what it
 * prints has to be the same on Grove and on Linux.
 */
#ifndef USER_H
#define USER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE 4096u
#define MIB  (1024u * 1024u)

enum {
    SYS_exit = 1, SYS_read = 3, SYS_write = 4, SYS_open = 5, SYS_close = 6, SYS_lseek = 19,
    SYS_getpid = 20, SYS_access = 33, SYS_kill = 37, SYS_brk = 45, SYS_ioctl = 54,
    SYS_getppid = 64, SYS_readlink = 85, SYS_old_mmap = 90, SYS_munmap = 91, SYS_uname = 122,
    SYS_mprotect = 125, SYS__llseek = 140, SYS_readv = 145, SYS_writev = 146,
    SYS_ugetrlimit = 191, SYS_mmap2 = 192, SYS_stat64 = 195, SYS_fstat64 = 197,
    SYS_madvise = 219, SYS_gettid = 224, SYS_tkill = 238, SYS_set_thread_area = 243,
    SYS_creat = 8, SYS_unlink = 10, SYS_dup = 41, SYS_dup2 = 63, SYS_ftruncate = 93,
    SYS_pread64 = 180, SYS_pwrite64 = 181, SYS_ftruncate64 = 194, SYS_unlinkat = 301,
    SYS_exit_group = 252, SYS_set_tid_address = 258, SYS_tgkill = 270, SYS_openat = 295,
    SYS_fstatat64 = 300, SYS_prlimit64 = 340, SYS_getrandom = 355, SYS_statx = 383,
};

enum {
    PROT_NONE = 0, PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4, PROT_RW = 3,
    MAP_SHARED = 0x01, MAP_PRIVATE = 0x02, MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20,
    MAP_NORESERVE = 0x4000, MAP_POPULATE = 0x8000, MAP_FIXED_NOREPLACE = 0x100000,
    MAP_ANON_PRIVATE = MAP_ANONYMOUS | MAP_PRIVATE,
};

enum {
    EPERM = 1, ENOENT = 2, ESRCH = 3, EIO = 5, EBADF = 9, ENOMEM = 12, EACCES = 13, EFAULT = 14,
    EBUSY = 16, EFBIG = 27, ENOSPC = 28,
    EEXIST = 17, ENODEV = 19, ENOTDIR = 20, EISDIR = 21, EINVAL = 22, ENOTTY = 25, ESPIPE = 29,
    EROFS = 30, ENAMETOOLONG = 36, ENOSYS = 38, EOVERFLOW = 75,
    EOPNOTSUPP = 95,
};

/* --- The beginning */

extern uint32_t *user_start_stack;      /* the stack pointer that the kernel gave */
int main(int argc, char **argv);

__asm__(
    ".text\n"
    ".globl _start\n"
    "_start:\n"
    "    mov %esp, user_start_stack\n"
    "    mov (%esp), %eax\n"            /* argc */
    "    lea 4(%esp), %ecx\n"           /* argv */
    "    xor %ebp, %ebp\n"
    "    and $-16, %esp\n"
    "    sub $8, %esp\n"
    "    push %ecx\n"
    "    push %eax\n"
    "    call main\n"
    "    mov %eax, %ebx\n"
    "    mov $252, %eax\n"
    "    int $0x80\n"
    ".globl user_call\n"
    "user_call:\n"
    "    push %ebp\n"
    "    push %edi\n"
    "    push %esi\n"
    "    push %ebx\n"
    "    mov 20(%esp), %eax\n"
    "    mov 24(%esp), %ebx\n"
    "    mov 28(%esp), %ecx\n"
    "    mov 32(%esp), %edx\n"
    "    mov 36(%esp), %esi\n"
    "    mov 40(%esp), %edi\n"
    "    mov 44(%esp), %ebp\n"
    "    int $0x80\n"
    "    pop %ebx\n"
    "    pop %esi\n"
    "    pop %edi\n"
    "    pop %ebp\n"
    "    ret\n"
    ".bss\n"
    ".align 4\n"
    ".globl user_start_stack\n"
    "user_start_stack: .skip 4\n"
    ".text\n");

/* --- System calls: call(SYS_close, fd); arguments that are left out are 0 */

int user_call(int number, int a, int b, int c, int d, int e, int f);

#define USER_CALL(number, a, b, c, d, e, f, ...) \
    user_call(number, (int)(a), (int)(b), (int)(c), (int)(d), (int)(e), (int)(f))
#define call(...) USER_CALL(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

static inline bool is_error(int result)
{
    return (unsigned)result > -4096u;
}

static inline int map_at(size_t address, size_t length, int rights, int flags, int fd,
                         unsigned page)
{
    return call(SYS_mmap2, address, length, rights, flags, fd, page);
}

static inline void leave(int status)
{
    for (;;)
        call(SYS_exit_group, status);
}

/* --- Text */

static inline size_t text_length(const char *text)
{
    size_t length = 0;

    while (text[length] != '\0')
        length++;
    return length;
}

static inline bool same_text(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b)
        a++, b++;
    return *a == *b;
}

static inline void fill(void *memory, int byte, size_t length)
{
    volatile char *at = memory;

    while (length-- > 0)
        *at++ = (char)byte;
}

typedef struct user_line {
    char text[512];
    size_t length;
} user_line_t;

static inline void user_put(user_line_t *line, char c)
{
    if (line->length < sizeof line->text)
        line->text[line->length++] = c;
}

static inline void user_put_number(user_line_t *line, unsigned value, unsigned base, int width,
                                   char pad)
{
    char digits[12];
    int count = 0;

    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    for (int i = count; i < width; i++)
        user_put(line, pad);
    while (count > 0)
        user_put(line, digits[--count]);
}

static inline void user_put_text(user_line_t *line, const char *text, int width)
{
    int length = (int)text_length(text);

    while (*text != '\0')
        user_put(line, *text++);
    for (; length < width; length++)
        user_put(line, ' ');
}

/* %d %u %x %s %c %%; a width (numbers to the right, text to the left), zeroes before it */
static inline void user_format(user_line_t *line, const char *format, va_list args)
{
    for (; *format != '\0'; format++) {
        if (*format != '%') {
            user_put(line, *format);
            continue;
        }
        char pad = ' ';
        int width = 0;

        if (*++format == '0')
            pad = '0';
        while (*format >= '0' && *format <= '9')
            width = width * 10 + *format++ - '0';
        if (*format == 'd') {
            int value = va_arg(args, int);

            if (value < 0)
                user_put(line, '-');
            user_put_number(line, value < 0 ? -(unsigned)value : (unsigned)value, 10, width, pad);
        } else if (*format == 'u' || *format == 'x') {
            user_put_number(line, va_arg(args, unsigned), *format == 'u' ? 10 : 16, width, pad);
        } else if (*format == 's') {
            user_put_text(line, va_arg(args, const char *), width);
        } else if (*format == 'c') {
            user_put(line, (char)va_arg(args, int));
        } else {
            user_put(line, *format);
        }
    }
}

static inline void write_all(int fd, const char *text, size_t length)
{
    while (length > 0) {
        int done = call(SYS_write, fd, text, length);

        if (done <= 0)
            return;
        text += done;
        length -= (size_t)done;
    }
}

/* Print to the standard output, at once. */
__attribute__((format(printf, 1, 2), unused))
static void say(const char *format, ...)
{
    user_line_t line = { .length = 0 };
    va_list args;

    va_start(args, format);
    user_format(&line, format, args);
    va_end(args);
    write_all(1, line.text, line.length);
}

static inline const char *error_name(int error)
{
    static const char *const names[] = {
        [EPERM] = "EPERM", [ENOENT] = "ENOENT", [ESRCH] = "ESRCH", [EIO] = "EIO",
        [EBADF] = "EBADF", [ENOMEM] = "ENOMEM", [EACCES] = "EACCES", [EFAULT] = "EFAULT",
        [EEXIST] = "EEXIST", [ENODEV] = "ENODEV", [ENOTDIR] = "ENOTDIR", [EISDIR] = "EISDIR",
        [EINVAL] = "EINVAL", [ENOTTY] = "ENOTTY", [ESPIPE] = "ESPIPE", [EROFS] = "EROFS",
        [ENAMETOOLONG] = "ENAMETOOLONG", [ENOSYS] = "ENOSYS", [EOVERFLOW] = "EOVERFLOW",
        [EOPNOTSUPP] = "EOPNOTSUPP", [EBUSY] = "EBUSY", [EFBIG] = "EFBIG", [ENOSPC] = "ENOSPC",
    };
    const char *name = error < (int)(sizeof names / sizeof names[0]) ? names[error] : NULL;

    return name != NULL ? name : "another error";
}

/* Print what a call returned: its error, or "ok" whatever the value. */
__attribute__((unused))
static void show(const char *what, int result)
{
    if (is_error(result))
        say("%s: %s\n", what, error_name(-result));
    else
        say("%s: ok\n", what);
}

/* Print whether something holds. */
__attribute__((unused))
static void check(const char *what, bool holds)
{
    say("%s: %s\n", what, holds ? "yes" : "NO");
}

/* --- Memory, without dying of it: the kernel is asked to read or write there */

/* The bytes there are taken as a path: a NUL should follow in the same page. */
__attribute__((unused))
static bool is_readable(const void *address)
{
    return call(SYS_access, address, 0) != -EFAULT;
}

/* Changes the byte if it can. */
__attribute__((unused))
static bool is_writable(void *address)
{
    return call(SYS_getrandom, address, 1, 0) == 1;
}

/* More than the machine has, if need be: without a reserve. */
__attribute__((unused))
static char *map_pages(size_t pages, int rights)
{
    int result = map_at(0, pages * PAGE, rights, MAP_ANON_PRIVATE | MAP_NORESERVE, -1, 0);

    if (is_error(result)) {
        show("mmap", result);
        leave(1);
    }
    return (char *)result;
}

#endif
