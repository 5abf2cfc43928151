/*
 * User memory that changes behind the kernel's back: each byte turns into another one as
 * soon as it was read. What a call makes of a string, a vector or a struct has to follow
 * from the first read alone.
 *
 * The sources are compiled into this file; the loops of entry.asm are stood in for.
 */
#include "../../kernel/x86/usercopy.c"
#include "../../kernel/linux/vector.c"
#include "../../kernel/linux/limits.c"

#include <space.h>

#include <string.h>

/* ---- user memory */

enum { PLACE = 0x40000000, BYTES = 3 * PAGE_SIZE };

static uint8_t memory[BYTES];
static uint8_t reads[BYTES];        /* how often each byte was read */
static bool changes;                /* a byte that was read is another one then */

/* => NULL: a fault */
static uint8_t *reach(size_t address)
{
    return address >= PLACE && address - PLACE < BYTES ? &memory[address - PLACE] : NULL;
}

static bool load(size_t address, uint8_t *byte)
{
    uint8_t *at = reach(address);

    if (at == NULL)
        return false;
    *byte = *at;
    if (reads[at - memory] < 255)
        reads[at - memory]++;
    if (changes)
        *at ^= 0xff;
    return true;
}

int usercopy_bytes(void *to, const void *from, size_t length)
{
    uint8_t *out = reach((size_t)to);
    uint8_t *bytes = to;

    for (size_t i = 0; i < length; i++) {
        if (out != NULL && reach((size_t)to + i) == NULL)
            return -1;
        if (out != NULL)
            out[i] = ((const uint8_t *)from)[i];
        else if (!load((size_t)from + i, &bytes[i]))
            return -1;
    }
    return 0;
}

int usercopy_clear(size_t to, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (reach(to + i) == NULL)
            return -1;
        *reach(to + i) = 0;
    }
    return 0;
}

int usercopy_string(char *to, size_t from, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!load(from + i, (uint8_t *)&to[i]))
            return -1;
        if (to[i] == '\0')
            return (int)i;
    }
    return (int)size;
}

/* User memory that holds these bytes at its start, and changes from now on. */
static void put(const void *bytes, size_t length)
{
    memset(memory, 0, sizeof memory);
    memset(reads, 0, sizeof reads);
    memcpy(memory, bytes, length);
    changes = true;
}

/* How many bytes were read; none twice. */
static size_t bytes_read(void)
{
    size_t count = 0;

    for (size_t i = 0; i < BYTES; i++) {
        CHECK(reads[i] <= 1);
        count += reads[i];
    }
    return count;
}

static void start(void)
{
    fake_config_t config = { .level = FAKE_HEAP, .format = "pae" };

    fake_machine_start(&config);
}

/* ---- what the sources need besides */

static mspace_t space;
static task_t task = { .pid = 5, .mspace = &space };
task_t *task_current = &task;

task_t *task_find(int pid)
{
    return pid == task.pid ? &task : NULL;
}

int32_t linux_missing(unsigned number, const char *what)
{
    (void)number, (void)what;
    return -ENOSYS;
}

/* ---- strings */

TEST(usercopy_string_that_changes)
{
    char text[16];

    put("abc", 4);
    CHECK_EQ(copy_string_from_user(text, PLACE, sizeof text), 3);
    CHECK_STR(text, "abc");
    CHECK_EQ(bytes_read(), 4);
    put("abcdefgh", 8);
    CHECK_EQ(copy_string_from_user(text, PLACE, 8), -ENAMETOOLONG);
    CHECK_EQ(bytes_read(), 8);
}

TEST(usercopy_string_to_the_end)
{
    char text[16];

    put("", 0);
    memset(memory, 'x', sizeof memory);
    CHECK_EQ(copy_string_from_user(text, PLACE + BYTES - 4, sizeof text), -EFAULT);
    memory[BYTES - 1] = '\0';
    memset(memory + BYTES - 4, 'y', 3);
    CHECK_EQ(copy_string_from_user(text, PLACE + BYTES - 4, sizeof text), 3);
    CHECK_STR(text, "yyy");
    CHECK_EQ(copy_string_from_user(text, PLACE + BYTES, sizeof text), -EFAULT);
    CHECK_EQ(copy_string_from_user(text, 0, sizeof text), -EFAULT);
    CHECK_EQ(copy_string_from_user(text, USER_END, sizeof text), -EFAULT);
    CHECK_EQ(copy_string_from_user(text, SIZE_MAX, sizeof text), -EFAULT);
}

TEST(usercopy_bounds)
{
    static const struct { size_t address; size_t length; } bad[] = {
        { 0, 1 }, { USER_BASE - 1, 1 }, { USER_END, 1 }, { USER_END - 1, 2 }, { SIZE_MAX, 1 },
        { SIZE_MAX, 2 }, { PLACE, SIZE_MAX }, { PLACE - 1, 2 }, { PLACE + BYTES - 1, 2 },
        { KERNEL_BASE, 4 },
    };
    char byte[4] = "abc";

    put("", 0);
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        CHECK_EQ(copy_from_user(byte, bad[i].address, bad[i].length), -EFAULT);
        CHECK_EQ(clear_user(bad[i].address, bad[i].length), -EFAULT);
        if (bad[i].length <= sizeof byte)
            CHECK_EQ(copy_to_user(bad[i].address, byte, bad[i].length), -EFAULT);
    }
    CHECK_EQ(copy_from_user(byte, USER_END, 0), 0);
    CHECK_EQ(copy_to_user(PLACE + BYTES - 3, "xyz", 3), 0);
    CHECK_EQ(memcmp(memory + BYTES - 3, "xyz", 3), 0);
    CHECK_EQ(clear_user(PLACE + BYTES - 2, 2), 0);
    CHECK_EQ(memory[BYTES - 3], 'x');
    CHECK_EQ(memory[BYTES - 2] | memory[BYTES - 1], 0);
}

/* ---- vectors */

static void fill_vector(iovec_t *element, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        element[i] = (iovec_t){ PLACE + i, 100 * i };
}

TEST(usercopy_vector_that_changes)
{
    static const uint32_t counts[] = { 1, 2, LINUX_VECTOR_FEW, LINUX_VECTOR_FEW + 1, 1024 };
    iovec_t element[1024];
    linux_vector_t vector;

    start();
    fill_vector(element, 1024);
    for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
        put(element, counts[i] * sizeof element[0]);
        CHECK_EQ(linux_get_vector(&vector, PLACE, counts[i]), 0);
        CHECK_EQ(vector.count, counts[i]);
        CHECK_EQ(memcmp(vector.element, element, counts[i] * sizeof element[0]), 0);
        CHECK_EQ(bytes_read(), counts[i] * sizeof element[0]);
        linux_drop_vector(&vector);
    }
    fake_machine_stop();
}

/* A bad element, first or last, few or many: refused, and nothing is left in the heap. */
TEST(usercopy_vector_refused)
{
    static const struct { iovec_t bad; int err; } cases[] = {
        { { PLACE, 0x80000000 }, -EINVAL },
        { { 0xfffffff0, 0x80000000 }, -EINVAL },
        { { PLACE, 0xffffffff }, -EINVAL },
        { { USER_END, 1 }, -EFAULT },
        { { USER_END - 1, 2 }, -EFAULT },
        { { 0xffffffff, 1 }, -EFAULT },
        { { PLACE, 0x7fffffff }, 0 },
        { { USER_END, 0 }, 0 },
    };
    static const uint32_t counts[] = { 1, LINUX_VECTOR_FEW, LINUX_VECTOR_FEW + 1, 1024 };
    iovec_t element[1024];
    linux_vector_t vector;

    start();
    for (size_t i = 0; i < ARRAY_LENGTH(cases) * ARRAY_LENGTH(counts) * 2; i++) {
        uint32_t count = counts[i / 2 % ARRAY_LENGTH(counts)];
        size_t which = i / 2 / ARRAY_LENGTH(counts);

        fill_vector(element, count);
        element[i % 2 == 0 ? 0 : count - 1] = cases[which].bad;
        put(element, count * sizeof element[0]);
        CHECK_EQ(linux_get_vector(&vector, PLACE, count), cases[which].err);
        bytes_read();
        if (cases[which].err == 0)
            linux_drop_vector(&vector);
    }
    CHECK_EQ(linux_get_vector(&vector, PLACE, 1025), -EINVAL);
    CHECK_EQ(linux_get_vector(&vector, PLACE, UINT32_MAX), -EINVAL);
    CHECK_EQ(linux_get_vector(&vector, PLACE + BYTES - 15, 2), -EFAULT);
    CHECK_EQ(linux_get_vector(&vector, PLACE + BYTES - 79, 10), -EFAULT);
    CHECK_EQ(linux_get_vector(&vector, 0, 1), -EFAULT);
    CHECK_EQ(linux_get_vector(&vector, 0, 0), 0);
    CHECK_EQ(linux_get_vector(&vector, KERNEL_BASE + 1, 0), -EFAULT);
    fake_machine_stop();
}

/* More elements than the kernel's stack has room for, and no memory. */
TEST(usercopy_vector_without_memory)
{
    iovec_t element[LINUX_VECTOR_FEW + 1];
    linux_vector_t vector;

    start();
    fill_vector(element, LINUX_VECTOR_FEW + 1);
    put(element, sizeof element);
    space_starve_heap(0, 0);
    CHECK_EQ(linux_get_vector(&vector, PLACE, LINUX_VECTOR_FEW + 1), -ENOMEM);
    CHECK_EQ(linux_get_vector(&vector, PLACE, LINUX_VECTOR_FEW), 0);
    linux_drop_vector(&vector);
    space_feed_heap();
    fake_machine_stop();
}

TEST(usercopy_vector_is_cut_at_the_most_that_moves)
{
    iovec_t element[3] = { { PLACE, 0x7fffeffe }, { PLACE, 0x7fffffff }, { PLACE, 7 } };
    linux_vector_t vector;

    put(element, sizeof element);
    CHECK_EQ(linux_get_vector(&vector, PLACE, 3), 0);
    CHECK_EQ(vector.element[0].length, 0x7fffeffe);
    CHECK_EQ(vector.element[1].length, 2);
    CHECK_EQ(vector.element[2].length, 0);
    linux_drop_vector(&vector);
}

/* ---- structs */

TEST(usercopy_struct_that_changes)
{
    const task_limit_t wanted = { 5 * MIB, 6 * MIB };
    const uint32_t pair[2] = { 3 * MIB, 4 * MIB };
    trap_frame_t call = { .ebx = 0, .ecx = RLIMIT_DATA, .edx = PLACE };

    start();
    linux_init_limits(&task);
    put(&wanted, sizeof wanted);
    CHECK_EQ(linux_prlimit64(&call), 0);
    CHECK_EQ(bytes_read(), sizeof wanted);
    CHECK_EQ(task.limits[RLIMIT_DATA].soft, 5 * MIB);
    CHECK_EQ(task.limits[RLIMIT_DATA].hard, 6 * MIB);
    CHECK_EQ(space.limits.data, 5 * MIB >> PAGE_SHIFT);
    call = (trap_frame_t){ .ebx = RLIMIT_DATA, .ecx = PLACE };
    put(pair, sizeof pair);
    CHECK_EQ(linux_setrlimit(&call), 0);
    CHECK_EQ(bytes_read(), sizeof pair);
    CHECK_EQ(task.limits[RLIMIT_DATA].soft, 3 * MIB);
    CHECK_EQ(task.limits[RLIMIT_DATA].hard, 4 * MIB);
    fake_machine_stop();
}
