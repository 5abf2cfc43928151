/*
 * Starting and stopping the fake machine with what mm/ has on it, and what every
 * test of it needs: the comparison of frames, all checkers, the failure sweep.
 * The processor is fake_cpu.c.
 */
#include <kernel/kheap.h>
#include <kernel/layout.h>
#include <kernel/linear.h>
#include <kernel/memory.h>
#include <kernel/physical.h>
#include <kernel/printk.h>
#include <kernel/segment.h>
#include <kernel/virtual.h>
#include <x86/features.h>
#include <host_test.h>
#include <fake_machine.h>
#include <fake_cpu.h>

#include <string.h>

/* Where a PC's RAM ends below 640 KiB, and what firmware keeps at the top. */
#define PC_LOW_END   0x9fc00u
#define PC_ROM       0xf0000u
#define PC_TOP_KEPT  0x20000u

#define SWEEP_MAX 10000u

/* What is allocated at some moment. */
typedef struct account {
    size_t owner[OWNER_COUNT];  /* frames */
    size_t heap_used;           /* bytes of the kernel heap */
    size_t heap_count;          /* superbuffers of it */
} account_t;

static struct {
    bool running;
    fake_level_t level;         /* reached */
    size_t region_count;
    const boot_region_t *region;
    boot_region_t pc[5];
    account_t baseline;         /* after the start */
    char sentence[160];
} machine;

/* ---- the map */

static void make_pc(size_t megabytes)
{
    uint64_t top = (uint64_t)(megabytes != 0 ? megabytes : 8) * MIB;
    boot_region_t pc[] = {
        { 0, PC_LOW_END, BOOT_RAM },
        { PC_LOW_END, VIDEO_BASE, BOOT_FIRMWARE },
        { PC_ROM, VIDEO_END, BOOT_FIRMWARE },
        { VIDEO_END, top - PC_TOP_KEPT, BOOT_RAM },
        { top - PC_TOP_KEPT, top, BOOT_FIRMWARE },
    };

    memcpy(machine.pc, pc, sizeof(pc));
    machine.region = machine.pc;
    machine.region_count = ARRAY_LENGTH(pc);
}

static bool overlaps(const boot_region_t *region, uint64_t base, uint64_t end)
{
    return region->base < end && base < region->end;
}

/* A byte of it is RAM if a region says so and no other region says otherwise. */
bool fake_is_ram(page_t page)
{
    uint64_t base = page;
    uint64_t at = base;

    for (size_t i = 0; i < machine.region_count; i++)
        if (machine.region[i].type != BOOT_RAM &&
            overlaps(&machine.region[i], base, base + PAGE_SIZE))
            return false;
    /* The regions of RAM that cover it, in whatever order. */
    for (bool moved = true; moved && at < base + PAGE_SIZE; ) {
        moved = false;
        for (size_t i = 0; i < machine.region_count; i++) {
            const boot_region_t *region = &machine.region[i];

            if (region->type == BOOT_RAM && region->base <= at && region->end > at) {
                at = region->end;
                moved = true;
            }
        }
    }
    return at >= base + PAGE_SIZE;
}

/* The end of all RAM that the kernel could ever touch. */
static size_t ram_end(void)
{
    uint64_t end = 0;

    for (size_t i = 0; i < machine.region_count; i++)
        if (machine.region[i].type == BOOT_RAM && machine.region[i].end > end &&
            machine.region[i].base < LINEAR_END)
            end = machine.region[i].end;
    if (end > LINEAR_END)
        end = LINEAR_END;
    return (size_t)(end + PAGE_MASK) & ~(size_t)PAGE_MASK;
}

/* What is no RAM cannot be touched. */
static void hide_holes(size_t end)
{
    page_t start = 0;

    for (page_t page = 0; page < end; page += PAGE_SIZE) {
        if (!fake_is_ram(page))
            continue;
        fake_cpu_hide(start, page);
        start = page + PAGE_SIZE;
    }
    fake_cpu_hide(start, end);
}

static const char *fill_boot_info(const fake_config_t *config)
{
    memset(&boot_info, 0, sizeof(boot_info));
    boot_info.loader = "the fake machine";
    boot_info.map_source = "a test";
    memcpy(boot_info.region, machine.region, machine.region_count * sizeof(boot_region_t));
    boot_info.region_count = machine.region_count;
    boot_info.image_text = FAKE_IMAGE_BASE;
    boot_info.image_rodata = FAKE_IMAGE_RODATA;
    boot_info.image_data = FAKE_IMAGE_DATA;
    boot_info.image_end = FAKE_IMAGE_END;
    if (config->words != NULL)
        format_text(boot_info.words, sizeof(boot_info.words), "%s", config->words);
    if (boot_info_find_ram(&boot_info) != 0)
        return "boot_info_find_ram";
    boot_info_reserve(&boot_info, 0, PAGE_SIZE, "page 0", OWNER_FIRMWARE);
    boot_info_reserve(&boot_info, FAKE_IMAGE_BASE, FAKE_IMAGE_END, "the image", OWNER_IMAGE);
    for (size_t i = 0; i < config->reserved_count; i++) {
        const boot_reserved_t *more = &config->reserved[i];

        if (boot_info_reserve(&boot_info, more->base, more->end, more->why, more->owner) != 0)
            return "boot_info_reserve";
    }
    return NULL;
}

static void set_features(unsigned lacks)
{
    cpu_features = (cpu_features_t){
        .physical_bits = 36,
        .vendor = "FakeMachine", .model = "host process",
        .fpu = true, .msr = true, .fxsr = true, .sse = true, .sse2 = true,
        .pse = !(lacks & FAKE_NO_PSE), .pae = !(lacks & FAKE_NO_PAE),
        .pge = !(lacks & FAKE_NO_PGE), .pat = !(lacks & FAKE_NO_PAT),
        .nx = !(lacks & FAKE_NO_NX), .smep = !(lacks & FAKE_NO_SMEP),
        .smap = !(lacks & FAKE_NO_SMAP), .umip = !(lacks & FAKE_NO_UMIP),
    };
}

/* ---- start */

static const char *start_levels(const fake_config_t *config)
{
    const char *trouble = fill_boot_info(config);

    /* Whatever ran before, paging is off and nothing is open. */
    virtual_init(&boot_info, "no format yet");
    linear_space_drop();
    if (trouble != NULL || config->level < FAKE_PHYSICAL)
        return trouble;
    trouble = physical_init(&boot_info);
    if (trouble != NULL)
        return trouble;
    machine.level = FAKE_PHYSICAL;
    physical_watch(false);      /* a test that counts flushes would count its visits */
    if (config->level < FAKE_TABLES)
        return NULL;
    trouble = virtual_init(&boot_info,
                           config->format != NULL ? config->format : "2level");
    if (trouble == NULL)
        trouble = init_linear_space(&boot_info);
    if (trouble != NULL)
        return trouble;
    machine.level = FAKE_TABLES;
    if (config->level < FAKE_PAGING)
        return NULL;
    enable_linear_space();
    physical_move_frame_table();
    switch_pagetable(kernel_pagetable());
    machine.level = FAKE_PAGING;
    if (config->level < FAKE_HEAP)
        return NULL;
    segment_init();
    kheap_init(&kernel_heap, &kernel_segment);
    machine.level = FAKE_HEAP;
    if (config->level < FAKE_MEMORY)
        return NULL;
    trouble = memory_init();
    if (trouble == NULL)
        machine.level = FAKE_MEMORY;
    return trouble;
}

const char *fake_machine_try_start(const fake_config_t *config)
{
    const char *trouble;
    size_t end;

    fake_machine_abandon();
    if (config->region != NULL) {
        machine.region = config->region;
        machine.region_count = config->region_count;
    } else {
        make_pc(config->megabytes);
    }
    end = ram_end();
    fake_cpu_start(end, config->format != NULL && strcmp(config->format, "long") == 0);
    hide_holes(end);
    set_features(config->lacks);
    machine.running = true;
    machine.level = FAKE_BOOT_INFO;
    trouble = start_levels(config);
    fake_machine_set_baseline();
    fake_reset_events();
    return trouble;
}

void fake_machine_start(const fake_config_t *config)
{
    CHECK_OK(fake_machine_try_start(config));
}

/* ---- what is allocated */

static void take_account(account_t *account)
{
    kheap_stat_t heap = { 0 };

    memset(account, 0, sizeof(*account));
    if (machine.level >= FAKE_HEAP)
        kheap_stat(&kernel_heap, &heap);
    if (machine.level >= FAKE_PHYSICAL)
        memcpy(account->owner, physical_figures()->owner, sizeof(account->owner));
    account->heap_used = heap.used;
    account->heap_count = heap.buffer_count;
}

void fake_machine_set_baseline(void)
{
    take_account(&machine.baseline);
}

static const char *differs(const char *what, size_t before, size_t now)
{
    format_text(machine.sentence, sizeof(machine.sentence), "%s: %zu before, %zu now", what,
                before, now);
    return machine.sentence;
}

/*
 * NULL, or what is allocated now and was not before, or the reverse. Two things
 * grow and are no loss: tables of the kernel's part are never given back, and the
 * heap keeps pages for later; its superbuffers are compared instead.
 */
static const char *compare_with(const account_t *before)
{
    static const frame_owner_t kept[] = { OWNER_NONE, OWNER_KERNEL_TABLE, OWNER_HEAP };
    size_t kept_before = 0;
    size_t kept_now = 0;
    account_t now;

    take_account(&now);
    for (size_t i = 0; i < ARRAY_LENGTH(kept); i++) {
        kept_before += before->owner[kept[i]];
        kept_now += now.owner[kept[i]];
    }
    for (frame_owner_t i = 0; i < OWNER_COUNT; i++)
        if (now.owner[i] != before->owner[i] && i != OWNER_NONE && i != OWNER_KERNEL_TABLE &&
            i != OWNER_HEAP)
            return differs(frame_owner_name(i), before->owner[i], now.owner[i]);
    if (now.owner[OWNER_KERNEL_TABLE] < before->owner[OWNER_KERNEL_TABLE])
        return "a table of the kernel's part was given back";
    if (kept_before != kept_now)
        return differs("frames that nobody has", kept_before, kept_now);
    if (now.heap_count != before->heap_count)
        return differs("superbuffers", before->heap_count, now.heap_count);
    if (now.heap_used != before->heap_used)
        return differs("bytes in superbuffers", before->heap_used, now.heap_used);
    return NULL;
}

/* ---- what must hold at any time */

/* The frames of the kernel segment: its pages, and the heap's notes of them. */
static size_t segment_frames(void)
{
    size_t pages = kernel_segment.length / PAGE_SIZE;

    return pages + (pages * SEGMENT_SIDE + PAGE_MASK) / PAGE_SIZE;
}

const char *fake_machine_check(void)
{
    const char *trouble = NULL;

    if (machine.level >= FAKE_PHYSICAL)
        trouble = physical_check();
    if (trouble == NULL && machine.level >= FAKE_TABLES) {
        trouble = pagetable_check();
        if (trouble == NULL && linear_space_depth() != 0)
            trouble = "the linear space was not left";
    }
    if (trouble == NULL && machine.level >= FAKE_HEAP)
        trouble = kheap_check(&kernel_heap);
    if (trouble == NULL && machine.level >= FAKE_HEAP &&
        segment_frames() != physical_figures()->owner[OWNER_HEAP])
        trouble = "the heap's frames are not as many as its segment and notes are long";
    return trouble;
}

/* ---- stop */

void fake_machine_abandon(void)
{
    if (!machine.running)
        return;
    machine.running = false;
    fake_cpu_stop();
}

void fake_machine_stop(void)
{
    const char *trouble;

    CHECK(machine.running);
    trouble = fake_machine_check();
    if (trouble == NULL && machine.level >= FAKE_PHYSICAL)
        trouble = compare_with(&machine.baseline);
    physical_set_reclaim(NULL);
    fake_machine_abandon();
    CHECK_OK(trouble);
}

/* A test that failed, or forgot, leaves its machine running. */
const char *host_test_after(const test_t *test)
{
    bool was_running = machine.running;

    (void)test;
    fake_machine_abandon();
    return was_running ? "the test did not stop its machine" : NULL;
}

/* ---- failing allocations */

size_t fake_failure_sweep(int (*attempt)(void *context), void (*undo)(void *context),
                          const char *(*check)(void *context), void *context)
{
    account_t before;

    for (size_t n = 1; n <= SWEEP_MAX; n++) {
        uint64_t failures = physical_figures()->failures;
        bool refused;
        int error;

        take_account(&before);
        physical_fail_after(n);
        error = attempt(context);
        refused = physical_figures()->failures != failures;
        physical_fail_after(0);
        if (error == 0 && undo != NULL)
            undo(context);
        CHECK(error == 0 || refused);       /* it fails for want of memory only */
        CHECK_OK(fake_machine_check());
        CHECK_OK(compare_with(&before));
        if (check != NULL)
            CHECK_OK(check(context));
        if (!refused)
            return n - 1;
    }
    test_fail(__FILE__, __LINE__, "%u allocations and no end", SWEEP_MAX);
}
