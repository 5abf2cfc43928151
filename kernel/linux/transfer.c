/*
 * read, write, their vector forms and those with a position, in pieces of at most CHUNK bytes.
 *
 * A piece never crosses a page of user memory, so that a transfer ends exactly at
 * the first page that the program may not use.
 */
#include <kernel/console.h>
#include <kernel/ramfs.h>
#include <kernel/string.h>
#include "linux.h"

enum { CHUNK = 1024 };

/* Bytes for the next piece at this user address. */
static size_t piece(size_t address, size_t left)
{
    size_t in_page = PAGE_SIZE - (address & PAGE_MASK);
    size_t size = left < CHUNK ? left : CHUNK;

    return size < in_page ? size : in_page;
}

/* What a transfer that stopped at an error answers. */
static int32_t stopped(size_t done, int32_t err)
{
    return done > 0 ? (int32_t)done : err;
}

/* --- Files with an inode */

static int32_t read_inode(struct file *file, off_t *position, size_t to, size_t length)
{
    char buffer[CHUNK];
    size_t done = 0;

    while (done < length) {
        size_t size = piece(to + done, length - done);
        int got = ramfs_read(file->ino, *position, buffer, size);

        if (got > 0 && copy_to_user(to + done, buffer, (size_t)got) != 0)
            got = -EFAULT;
        if (got < 0)
            return stopped(done, got);
        *position += got;
        done += (size_t)got;
        if ((size_t)got < size)
            break;
    }
    return (int32_t)done;
}

const file_ops_t linux_inode_file_ops = { .read = read_inode };

/* --- The console and the debug port */

/* The line that a read has begun to take. */
static struct {
    char line[256];
    size_t length;
    size_t taken;
    bool interrupted;           /* by Ctrl-C, which ends the program after the call */
} console;

/* Wait for a line. => false: Ctrl-C */
static bool get_line(void)
{
    int length = console_read_line(console.line, sizeof console.line - 1);

    console.length = console.taken = 0;
    if (length < 0)
        return false;
    console.line[length] = '\n';
    console.length = (size_t)length + 1;
    return true;
}

static int32_t read_console(struct file *file, off_t *position, size_t to, size_t length)
{
    (void)file, (void)position;
    if (task_current->output_to_port)
        return 0;                   /* nobody is there to type */
    if (console.taken == console.length && !get_line()) {
        console.interrupted = true;
        return -EINTR;
    }
    size_t left = console.length - console.taken;
    size_t size = length < left ? length : left;

    if (copy_to_user(to, console.line + console.taken, size) != 0)
        return stopped(0, -EFAULT);
    console.taken += size;
    return (int32_t)size;
}

/* A terminal wants a carriage return before each line feed. */
static void write_lines(const char *text, size_t length)
{
    size_t start = 0;

    for (size_t i = 0; i < length; i++) {
        if (text[i] != '\n')
            continue;
        console_write(text + start, i - start);
        console_write("\r\n", 2);
        start = i + 1;
    }
    console_write(text + start, length - start);
}

static int32_t write_by(void (*put)(const char *, size_t), size_t from, size_t length)
{
    char buffer[CHUNK];
    size_t done = 0;

    while (done < length) {
        size_t size = piece(from + done, length - done);

        if (copy_from_user(buffer, from + done, size) != 0)
            return stopped(done, -EFAULT);
        put(buffer, size);
        done += size;
    }
    return (int32_t)done;
}

static int32_t write_output(struct file *file, off_t *position, size_t from, size_t length)
{
    (void)file, (void)position;
    return write_by(task_current->output_to_port ? debug_port_write : write_lines, from, length);
}

static int32_t write_error(struct file *file, off_t *position, size_t from, size_t length)
{
    (void)file, (void)position;
    return write_by(write_lines, from, length);
}

static const file_ops_t input_ops = { .read = read_console };
static const file_ops_t output_ops = { .write = write_output };
static const file_ops_t error_ops = { .write = write_error };

/* They have one user more than tasks: nobody frees them. */
struct file linux_console_input = { .ops = &input_ops, .mode = FILE_READ, .users = 1 };
struct file linux_console_output = { .ops = &output_ops, .mode = FILE_WRITE, .users = 1 };
struct file linux_console_error = { .ops = &error_ops, .mode = FILE_WRITE, .users = 1 };

/* Once the call has given back what it had: Ctrl-C. */
static int32_t done_reading(int32_t result)
{
    if (!console.interrupted)
        return result;
    console.interrupted = false;
    task_kill(SIGINT, task_current->frame, NULL);
}

/* --- The calls */

typedef int32_t (*transfer_t)(struct file *file, off_t *position, size_t address,
                              size_t length);

/* The function that moves bytes for this file. => NULL: it is not open for that */
static transfer_t transfer_of(const struct file *file, bool write)
{
    if ((file->mode & (write ? FILE_WRITE : FILE_READ)) == 0)
        return NULL;
    return write ? file->ops->write : file->ops->read;
}

/* position: where to begin; NULL: where the file stands */
static int32_t transfer(const trap_frame_t *call, bool write, off_t *position)
{
    struct file *file = linux_file(call->ebx);
    size_t address = call->ecx, length = call->edx;
    transfer_t move = file != NULL ? transfer_of(file, write) : NULL;

    if (move == NULL)
        return -EBADF;
    if (!is_user_range(address, length))
        return -EFAULT;
    if (length > INT32_MAX)
        return -EINVAL;
    if (length > LINUX_COUNT_MAX)
        length = LINUX_COUNT_MAX;
    if (position == NULL)
        position = &file->position;
    return length == 0 ? 0 : move(file, position, address, length);
}

int32_t linux_read(const trap_frame_t *call)
{
    return done_reading(transfer(call, false, NULL));
}

int32_t linux_write(const trap_frame_t *call)
{
    return transfer(call, true, NULL);
}

/* The position is an argument, and the file's own stays. */
static int32_t transfer_at(const trap_frame_t *call, bool write)
{
    off_t position = (off_t)((uint64_t)call->edi << 32 | call->esi);
    const struct file *file = linux_file(call->ebx);

    if (position < 0)
        return -EINVAL;
    if (file == NULL)
        return -EBADF;
    if (file->ino == NULL && !file->ops->seeks_nowhere)
        return -ESPIPE;
    return transfer(call, write, &position);
}

int32_t linux_pread64(const trap_frame_t *call)
{
    return done_reading(transfer_at(call, false));
}

int32_t linux_pwrite64(const trap_frame_t *call)
{
    return transfer_at(call, true);
}

/* Element by element, up to the first that is not moved whole. */
static int32_t move_elements(struct file *file, transfer_t move, const linux_vector_t *vector)
{
    size_t done = 0;
    int32_t err = 0;

    for (uint32_t i = 0; i < vector->count; i++) {
        iovec_t element = vector->element[i];

        if (element.length == 0)
            continue;
        err = move(file, &file->position, element.base, element.length);
        if (err < 0)
            return stopped(done, err);
        done += (size_t)err;
        if ((uint32_t)err < element.length)
            break;
    }
    return (int32_t)done;
}

static int32_t transfer_vector(const trap_frame_t *call, bool write)
{
    struct file *file = linux_file(call->ebx);
    linux_vector_t vector;
    int32_t result;

    if (file == NULL)
        return -EBADF;
    result = linux_get_vector(&vector, call->ecx, call->edx);
    if (result != 0)
        return result;
    transfer_t move = transfer_of(file, write);
    result = move != NULL ? move_elements(file, move, &vector) : -EBADF;
    linux_drop_vector(&vector);
    return result;
}

int32_t linux_readv(const trap_frame_t *call)
{
    return done_reading(transfer_vector(call, false));
}

int32_t linux_writev(const trap_frame_t *call)
{
    return transfer_vector(call, true);
}
