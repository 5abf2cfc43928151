/* Guard mode: the checker, the log, the kernel's own pool, and a long mixture of all calls. */
#include "kheap_guard_slot_cases.h"
#include "kheap_guard_realloc_cases.h"
#include "kheap_guard_report_cases.h"

/* ---- the checker */

TEST(kheap_guard_check_sees_damage)
{
    new_heap(SLOTS, 1, 21);
    char *buffer = buffer_at(false, 100);
    size_t slot = ((size_t)buffer - fake_guard.pages.base) / PAGE_SIZE / 2;
    kheap_guard_t sound = guard;

#define CHECK_DAMAGE(change, sentence) \
    do { \
        CHECK_OK(kheap_check(&heap)); \
        change; \
        CHECK_STR(kheap_check(&heap), sentence); \
        guard = sound; \
    } while (0)

    CHECK_DAMAGE(guard.used++, "the figures of guarded buffers are wrong");
    CHECK_DAMAGE(guard.first = SLOTS, "the figures of guarded buffers are wrong");
    CHECK_DAMAGE(guard.ring[guard.first] = SLOTS,
                 "the ring of slots for guarded buffers is damaged");
    CHECK_DAMAGE(guard.ring[guard.first] = guard.ring[(guard.first + 1) % SLOTS],
                 "the ring of slots for guarded buffers is damaged");
    CHECK_DAMAGE(guard.slot[slot].state = GUARD_FREED,
                 "a slot for guarded buffers is lost, or free and in use");
    CHECK_DAMAGE(guard.slot[(slot + 1) % SLOTS].state = GUARD_USED,
                 "a slot for guarded buffers is lost, or free and in use");
    CHECK_DAMAGE(guard.slot[slot].buffer++, "what is known of a guarded buffer is damaged");
    CHECK_DAMAGE(guard.slot[slot].buffer += PAGE_SIZE,
                 "what is known of a guarded buffer is damaged");
    CHECK_DAMAGE(guard.slot[slot].size = 0, "what is known of a guarded buffer is damaged");
    CHECK_DAMAGE(guard.slot[slot].size = 113, "what is known of a guarded buffer is damaged");
    CHECK_DAMAGE(guard.slot[slot].size = 99, "the page of a guarded buffer was written to");
    kheap_free(&heap, buffer);
    check_empty();
}

static char log_text[4096];
static size_t log_length;

static void keep_log(const char *text, size_t length)
{
    if (length > sizeof(log_text) - 1 - log_length)
        length = sizeof(log_text) - 1 - log_length;
    memcpy(log_text + log_length, text, length);
    log_length += length;
}

TEST(kheap_guard_is_logged)
{
    new_heap(SLOTS, 1, 22);
    void *buffer = kheap_alloc(&heap, 10);
    memset(log_text, 0, sizeof(log_text));
    log_length = 0;
    printk_output_t *output = printk_set_output(keep_log);
    kheap_log(&heap, 10);
    printk_set_output(output);
    kheap_free(&heap, buffer);
    CHECK(strstr(log_text, "  guard mode, one in 1: 1 buffers, 6 free slots; 1 served, 0 not\n"));
    check_empty();
}

/* ---- the kernel's pool, on the fake machine */

static bool is_mapped(size_t address)
{
    return get_translation(kernel_pagetable(), address) != NO_TRANSLATION;
}

static int attempt_buffer(void *context)
{
    char **buffer = context;

    *buffer = kmalloc(100);
    if (*buffer == NULL)
        return -ENOMEM;
    paint(*buffer, 100, 1);
    return 0;
}

static void undo_buffer(void *context)
{
    char **buffer = context;

    kfree(*buffer);
    kheap_trim(&kernel_heap, 0);
}

TEST(kheap_guard_in_the_kernel)
{
    static const char *const formats[] = { "2level", "pae", "long" };

    for (size_t i = 0; i < (sizeof(size_t) == 8 ? 3 : 2); i++) {
        fake_machine_start(&(fake_config_t){ .level = FAKE_HEAP, .format = formats[i] });
        kernel_guard_start(caller, symbol, 1);
        CHECK_EQ(kheap_guard_tune(&kernel_heap, 1), 0);
        char *buffer;
        CHECK(fake_failure_sweep(attempt_buffer, undo_buffer, NULL, &buffer) >= 1);
        for (size_t turn = 0; turn < 2 * KHEAP_GUARD_SLOTS; turn++) {
            size_t free = physical_figures()->free;
            buffer = kmalloc(turn);
            size_t page = align_down((size_t)buffer, PAGE_SIZE);

            CHECK(page >= GUARD_BASE && page < GUARD_END);
            paint(buffer, turn, turn);
            CHECK(is_mapped(page) && !is_mapped(page - PAGE_SIZE) && !is_mapped(page + PAGE_SIZE));
            CHECK(physical_figures()->free < free);
            CHECK(painted(buffer, turn, turn));
            kfree(buffer);
            CHECK(!is_mapped(page));
        }
        fake_machine_stop();
    }
}

/* ---- a long mixture of all calls */

TEST(kheap_guard_random_work)
{
    enum { BUFFERS = 40 };
    static const size_t every[] = { 1, 2, 5, 20 };
    char *buffer[BUFFERS] = { 0 };
    size_t size[BUFFERS] = { 0 };
    size_t steps = test_steps(8000);

    for (size_t turn = 0; turn < ARRAY_LENGTH(every); turn++) {
        new_heap(25, every[turn], (uint32_t)test_random());
        for (size_t step = 0; step < steps; step++) {
            size_t i = test_random_below(BUFFERS);
            size_t now = test_random_below(test_random_below(10) == 0 ? 3 * PAGE_SIZE : 500);

            if (test_random_below(20 * every[turn]) == 0)
                fake_guard.fail_at = fake_guard.maps + 1;
            if (buffer[i] == NULL) {
                buffer[i] = test_random_below(4) == 0
                    ? kheap_memalign(&heap, (size_t)1 << test_random_below(13), now)
                    : kheap_alloc(&heap, now);
            } else if (test_random_below(3) == 0) {
                buffer[i] = kheap_realloc(&heap, buffer[i], now);
                CHECK(painted(buffer[i], now < size[i] ? now : size[i], i));
            } else {
                CHECK(painted(buffer[i], size[i], i));
                kheap_free(&heap, buffer[i]);
                buffer[i] = NULL;
                continue;
            }
            CHECK(buffer[i] != NULL && kheap_usable_size(&heap, buffer[i]) >= now);
            size[i] = now;
            paint(buffer[i], now, i);
            if (step % 16 == 0)
                CHECK_OK(kheap_check(&heap));
        }
        for (size_t i = 0; i < BUFFERS; i++) {
            CHECK(painted(buffer[i], buffer[i] != NULL ? size[i] : 0, i));
            kheap_free(&heap, buffer[i]);
            buffer[i] = NULL;
        }
        CHECK(guard.served > steps / every[turn] / 4);
        CHECK(guard.refused > 0);
        check_empty();
    }
}
