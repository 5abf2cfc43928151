/*
 * Physical pages: the frame table, the blocks of free pages, and the magazine.
 *
 *   block (2 MiB)     0         1         2         3
 *                     +---------+---------+---------+---------+
 *                     |UUFUUUUFU|UUUUURRRR|RRRRRRRRR|RRRRRRRRR|
 *                     +---------+---------+---------+---------+
 *                         |    |     ^ interval: never handed out, no marker
 *          block 0: head -F----F                    U used  F free, marker
 *
 * A block with free pages hangs in the list of its zone and class of fullness;
 * class 0 is the fullest. Markers are touched in the linear space only.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/linear.h>
#include <kernel/panic.h>
#include <kernel/physical.h>
#include <kernel/printk.h>
#include <kernel/splock.h>
#include <kernel/string.h>
#include <x86/cpu.h>

enum {
    BLOCK_SHIFT = 21,
    BLOCK_PAGES = 1 << (BLOCK_SHIFT - PAGE_SHIFT),
    BLOCK_COUNT = LINEAR_END >> BLOCK_SHIFT,
    BLOCK_NONE = 0xffff,
    CLASS_COUNT = 8,
    MAGAZINE_SIZE = 64,
    MAGAZINE_BATCH = 32,
    COUNT_MAX = 0xffff,
};

#define LOW_ZONE_END    (16u * MIB)
#define FREE_PAGE_CHECK 0x50474621u     /* "!FGP" */

typedef enum zone { ZONE_NORMAL, ZONE_LOW, ZONE_COUNT } zone_t;

typedef struct block {
    page_t head;            /* list of free pages with markers */
    uint16_t free;          /* list and interval together */
    uint16_t raw_start;     /* the interval: page numbers within the block */
    uint16_t raw_end;
    uint16_t next;          /* in the list of its class */
    uint16_t prev;
    uint16_t listed;        /* its class, or BLOCK_NONE: in no list */
} block_t;

static_assert(sizeof(frame_t) == 8, "eight bytes a frame");
static_assert((BLOCK_PAGES & (BLOCK_PAGES - 1)) == 0, "a power of two");
static_assert(BLOCK_COUNT < BLOCK_NONE, "block numbers fit in 16 bits");
static_assert(MAGAZINE_BATCH >= 16 && MAGAZINE_BATCH < MAGAZINE_SIZE, "a batch fits");

physical_mem_info_t physical_mem_info;
frame_t *physical_frames;
size_t physical_frame_count;

static struct physical {
    splock_t lock;
    size_t magazine_count;
    page_t magazine[MAGAZINE_SIZE];
    uint32_t classes[ZONE_COUNT];       /* bit: that class has a block */
    uint16_t class_head[ZONE_COUNT][CLASS_COUNT];
    block_t block[BLOCK_COUNT];
    physical_reclaim_t *reclaim;
    bool reclaiming;
    size_t fail_after;                  /* 0: off */
    page_t frame_table;                 /* where it lies */
} physical;

static const char *const owner_names[OWNER_COUNT] = {
    [OWNER_NONE] = "free",
    [OWNER_FIRMWARE] = "firmware",
    [OWNER_IMAGE] = "kernel image",
    [OWNER_BOOT] = "boot modules",
    [OWNER_FRAME_TABLE] = "frame table",
    [OWNER_PAGE_TABLE] = "page tables",
    [OWNER_KERNEL_TABLE] = "kernel page tables",
    [OWNER_HEAP] = "kernel heap",
    [OWNER_STACK] = "kernel stacks",
    [OWNER_KERNEL] = "kernel, other",
    [OWNER_ANON] = "programs",
    [OWNER_CACHE] = "page cache",
    [OWNER_BAD] = "bad",
};

const char *frame_owner_name(frame_owner_t owner)
{
    return owner < OWNER_COUNT ? owner_names[owner] : "?";
}

static const char *state_name(unsigned state)
{
    static const char *const names[] = {
        "never handed out", "free", "free, in the magazine", "used", "reserved",
    };

    return state < ARRAY_LENGTH(names) ? names[state] : "damaged";
}

/* ---- blocks and their classes */

static inline block_t *block_of(page_t page)
{
    return &physical.block[page >> BLOCK_SHIFT];
}

static inline page_t block_base(const block_t *block)
{
    return (page_t)(block - physical.block) << BLOCK_SHIFT;
}

static inline zone_t zone_of(page_t page)
{
    return page < LOW_ZONE_END ? ZONE_LOW : ZONE_NORMAL;
}

static inline unsigned class_of(const block_t *block)
{
    return block->free == 0 ? BLOCK_NONE : (block->free - 1u) / (BLOCK_PAGES / CLASS_COUNT);
}

static void class_remove(block_t *block)
{
    zone_t zone = zone_of(block_base(block));

    if (block->next != BLOCK_NONE)
        physical.block[block->next].prev = block->prev;
    if (block->prev != BLOCK_NONE)
        physical.block[block->prev].next = block->next;
    else
        physical.class_head[zone][block->listed] = block->next;
    if (physical.class_head[zone][block->listed] == BLOCK_NONE)
        physical.classes[zone] &= ~(1u << block->listed);
    block->listed = BLOCK_NONE;
}

static void class_insert(block_t *block, unsigned class)
{
    zone_t zone = zone_of(block_base(block));
    uint16_t number = (uint16_t)(block - physical.block);
    uint16_t *head = &physical.class_head[zone][class];

    block->listed = (uint16_t)class;
    block->prev = BLOCK_NONE;
    block->next = *head;
    if (*head != BLOCK_NONE)
        physical.block[*head].prev = number;
    *head = number;
    physical.classes[zone] |= 1u << class;
}

/* After block->free changed: hang the block where it belongs. */
static void block_reclass(block_t *block)
{
    unsigned class = class_of(block);

    if (class == block->listed)
        return;
    if (block->listed != BLOCK_NONE)
        class_remove(block);
    if (class != BLOCK_NONE)
        class_insert(block, class);
}

/* The fullest block with a free page. => NULL: none in the zone */
static block_t *fullest_block(zone_t zone)
{
    uint32_t classes = physical.classes[zone];

    if (classes == 0)
        return NULL;
    return &physical.block[physical.class_head[zone][__builtin_ctz(classes)]];
}

/* ---- the list of a block; in the linear space */

static void list_push(block_t *block, page_t page)
{
    free_page_marker_t *marker = physical_ptr(page);

    marker->check = FREE_PAGE_CHECK ^ (uint32_t)(page >> PAGE_SHIFT);
    marker->next = block->head;
    marker->prev = PAGE_NONE;
    if (block->head != PAGE_NONE)
        ((free_page_marker_t *)physical_ptr(block->head))->prev = page;
    block->head = page;
}

static void list_remove(block_t *block, page_t page)
{
    free_page_marker_t *marker = physical_ptr(page);

    if (marker->check != (FREE_PAGE_CHECK ^ (uint32_t)(page >> PAGE_SHIFT)))
        panic("free page %#zx was written to: its marker is damaged", page);
    if (marker->next != PAGE_NONE)
        ((free_page_marker_t *)physical_ptr(marker->next))->prev = marker->prev;
    if (marker->prev != PAGE_NONE)
        ((free_page_marker_t *)physical_ptr(marker->prev))->next = marker->next;
    else
        block->head = marker->next;
    marker->check = 0;
}

static void thread_pages(block_t *block, unsigned start, unsigned end)
{
    while (end-- > start) {
        page_t page = block_base(block) + (page_t)end * PAGE_SIZE;

        physical_frames[page >> PAGE_SHIFT] = (frame_t){ .state = FRAME_FREE };
        list_push(block, page);
    }
}

/* ---- the magazine */

static void magazine_push(page_t page)
{
    physical_frames[page >> PAGE_SHIFT] = (frame_t){ .state = FRAME_MAGAZINE };
    physical.magazine[physical.magazine_count++] = page;
}

/* Move up to `want` pages of a block to the magazine; the interval's first. */
static size_t block_take(block_t *block, size_t want)
{
    size_t taken = 0;

    while (taken < want && block->raw_start < block->raw_end) {
        magazine_push(block_base(block) + (page_t)block->raw_start++ * PAGE_SIZE);
        taken++;
    }
    if (taken < want && block->head != PAGE_NONE) {
        enter_linear_space();
        while (taken < want && block->head != PAGE_NONE) {
            page_t page = block->head;

            list_remove(block, page);
            magazine_push(page);
            taken++;
        }
        leave_linear_space();
    }
    block->free = (uint16_t)(block->free - taken);
    block_reclass(block);
    return taken;
}

/* => false: no block has a free page */
static bool magazine_refill(void)
{
    size_t want = MAGAZINE_BATCH;

    physical_mem_info.refills++;
    /* One visit to the linear space, even if several blocks give pages. */
    enter_linear_space();
    for (zone_t zone = ZONE_NORMAL; zone < ZONE_COUNT; zone++) {
        block_t *block;

        while (want > 0 && (block = fullest_block(zone)) != NULL)
            want -= block_take(block, want);
    }
    leave_linear_space();
    physical_mem_info.magazine = physical.magazine_count;
    return physical.magazine_count > 0;
}

/* Give the `count` pages that have been longest in the magazine back to their blocks. */
static void magazine_drain(size_t count)
{
    physical_mem_info.drains++;
    enter_linear_space();
    for (size_t i = 0; i < count; i++) {
        page_t page = physical.magazine[i];
        block_t *block = block_of(page);

        physical_frames[page >> PAGE_SHIFT].state = FRAME_FREE;
        list_push(block, page);
        block->free++;
        block_reclass(block);
    }
    leave_linear_space();
    physical.magazine_count -= count;
    memmove(physical.magazine, physical.magazine + count,
            physical.magazine_count * sizeof(physical.magazine[0]));
    physical_mem_info.magazine = physical.magazine_count;
}

/* ---- allocating */

/* For tests. => true: this allocation is to fail */
static inline bool fails_on_purpose(void)
{
    return UNLIKELY(physical.fail_after != 0) && --physical.fail_after == 0;
}

static inline void count_taken(page_t page, frame_owner_t owner)
{
    physical_mem_info.free--;
    physical_mem_info.used++;
    physical_mem_info.owner[OWNER_NONE]--;
    physical_mem_info.owner[owner]++;
    physical_mem_info.allocated++;
    if (zone_of(page) == ZONE_LOW)
        physical_mem_info.low_free--;
}

static inline void count_given(page_t page, frame_owner_t owner)
{
    physical_mem_info.free++;
    physical_mem_info.used--;
    physical_mem_info.owner[OWNER_NONE]++;
    physical_mem_info.owner[owner]--;
    physical_mem_info.freed++;
    if (zone_of(page) == ZONE_LOW)
        physical_mem_info.low_free++;
}

/* Ask for pages, once. => true: try again */
static bool reclaim_pages(size_t wanted)
{
    size_t got;

    if (physical.reclaim == NULL || physical.reclaiming)
        return false;
    physical.reclaiming = true;
    splock_unlock(&physical.lock);
    got = physical.reclaim(wanted);
    splock_lock(&physical.lock);
    physical.reclaiming = false;
    return got > 0;
}

static NOINLINE bool magazine_fill(void)
{
    if (magazine_refill())
        return true;
    return reclaim_pages(1) && (physical.magazine_count > 0 || magazine_refill());
}

page_t alloc_physical_page(frame_owner_t owner)
{
    page_t page = PAGE_NONE;

    DEBUG_ASSERT(owner > OWNER_NONE && owner < OWNER_COUNT);
    splock_lock(&physical.lock);
    if (fails_on_purpose() || (physical.magazine_count == 0 && !magazine_fill())) {
        physical_mem_info.failures++;
    } else {
        frame_t *frame;

        page = physical.magazine[--physical.magazine_count];
        physical_mem_info.magazine = physical.magazine_count;
        frame = &physical_frames[page >> PAGE_SHIFT];
        ASSERT(frame->state == FRAME_MAGAZINE);
        *frame = (frame_t){ .state = FRAME_USED, .owner = (uint8_t)owner, .count = 1 };
        count_taken(page, owner);
    }
    splock_unlock(&physical.lock);
    return page;
}

/* ---- freeing */

static int misuse(const char *what, page_t page)
{
    const frame_t *frame = physical_frame(page);
    char sentence[160];

    if (frame == NULL)
        format_text(sentence, sizeof(sentence),
                    "%s of page %#zx, which is past the end of memory", what, page);
    else if (page & PAGE_MASK)
        format_text(sentence, sizeof(sentence),
                    "%s of %#zx, which is not the address of a page", what, page);
    else
        format_text(sentence, sizeof(sentence), "%s of page %#zx: it is %s (%s, count %u)",
                    what, page, state_name(frame->state),
                    frame_owner_name(frame->owner), frame->count);
    host_misuse(sentence);
    return -EINVAL;
}

static inline bool is_used(page_t page)
{
    const frame_t *frame = physical_frame(page);

    return LIKELY(frame != NULL && (page & PAGE_MASK) == 0 && frame->state == FRAME_USED);
}

static void give_back(page_t page)
{
    frame_t *frame = &physical_frames[page >> PAGE_SHIFT];

    count_given(page, frame->owner);
    if (UNLIKELY(physical.magazine_count == MAGAZINE_SIZE))
        magazine_drain(MAGAZINE_BATCH);
    magazine_push(page);
    physical_mem_info.magazine = physical.magazine_count;
}

int free_physical_page(page_t page)
{
    if (!is_used(page))
        return misuse("free", page);
    splock_lock(&physical.lock);
    give_back(page);
    splock_unlock(&physical.lock);
    return 0;
}

page_t page_new(frame_owner_t owner)
{
    return alloc_physical_page(owner);
}

void page_hold(page_t page)
{
    frame_t *frame = physical_frame(page);

    if (!is_used(page)) {
        misuse("hold", page);
        return;
    }
    if (frame->count != COUNT_MAX)
        frame->count++;
}

int page_release(page_t page)
{
    frame_t *frame = physical_frame(page);

    if (!is_used(page))
        return misuse("release", page);
    if (UNLIKELY(frame->count == COUNT_MAX))
        return COUNT_MAX;
    if (frame->count > 1)
        return --frame->count;
    return free_physical_page(page);
}

size_t page_count(page_t page)
{
    return is_used(page) ? physical_frame(page)->count : 0;
}

void physical_set_owner(page_t page, frame_owner_t owner)
{
    frame_t *frame = physical_frame(page);

    ASSERT(is_used(page));
    physical_mem_info.owner[frame->owner]--;
    physical_mem_info.owner[owner]++;
    frame->owner = (uint8_t)owner;
}

/* ---- runs */

static inline bool is_free(page_t page)
{
    const block_t *block = block_of(page);
    unsigned index = (page >> PAGE_SHIFT) % BLOCK_PAGES;

    return physical_frames[page >> PAGE_SHIFT].state == FRAME_FREE ||
           (index >= block->raw_start && index < block->raw_end);
}

/* Pages free in a row from `page` on, at most `want`. */
static size_t run_length(page_t page, size_t want)
{
    size_t length = 0;

    while (length < want && (page >> PAGE_SHIFT) < physical_frame_count &&
           block_of(page)->free > 0 && is_free(page)) {
        length++;
        page += PAGE_SIZE;
    }
    return length;
}

/* Take a free page out of its block, wherever it is there. In the linear space. */
static void take_page(page_t page, frame_owner_t owner)
{
    block_t *block = block_of(page);
    unsigned index = (page >> PAGE_SHIFT) % BLOCK_PAGES;

    if (physical_frames[page >> PAGE_SHIFT].state == FRAME_FREE) {
        list_remove(block, page);
    } else {
        /* Keep the part below as the interval, thread the part above. */
        thread_pages(block, index + 1, block->raw_end);
        block->raw_end = (uint16_t)index;
    }
    block->free--;
    block_reclass(block);
    physical_frames[page >> PAGE_SHIFT] =
        (frame_t){ .state = FRAME_USED, .owner = (uint8_t)owner, .count = 1 };
    count_taken(page, owner);
}

static page_t find_run(size_t want, size_t align, page_t limit)
{
    page_t page = align_up(physical_mem_info.physical_heap_start, align);
    page_t next = page;

    while (next >= page && next < limit && (limit - next) >> PAGE_SHIFT >= want) {
        page = next;
        if (block_of(page)->free == 0) {
            next = align_up((page | (BLOCK_PAGES * PAGE_SIZE - 1)) + 1, align);
        } else {
            size_t got = run_length(page, want);

            if (got == want)
                return page;
            next = align_up(page + (got + 1) * PAGE_SIZE, align);
        }
    }
    return PAGE_NONE;       /* also when the next aligned address wraps to 0 */
}

/* Find a run and take it. => PAGE_NONE: there is none */
static page_t take_run(size_t page_count, size_t align, page_t limit, frame_owner_t owner)
{
    page_t first;

    enter_linear_space();
    magazine_drain(physical.magazine_count);
    first = find_run(page_count, align, limit);
    if (first != PAGE_NONE) {
        /* From the top down: the interval loses its upper end page by page. */
        for (size_t i = page_count; i-- > 0; )
            take_page(first + i * PAGE_SIZE, owner);
    }
    leave_linear_space();
    return first;
}

page_t physical_alloc_run(size_t page_count, size_t align, page_t limit,
                          frame_owner_t owner)
{
    page_t end = physical_mem_info.physical_heap_end;
    page_t first = PAGE_NONE;

    ASSERT(page_count > 0 && align >= PAGE_SIZE && (align & (align - 1)) == 0);
    if (limit != 0 && limit < end)
        end = limit;
    splock_lock(&physical.lock);
    if (!fails_on_purpose()) {
        first = take_run(page_count, align, end, owner);
        if (first == PAGE_NONE && reclaim_pages(page_count))
            first = take_run(page_count, align, end, owner);
    }
    if (first == PAGE_NONE)
        physical_mem_info.failures++;
    splock_unlock(&physical.lock);
    return first;
}

void physical_set_reclaim(physical_reclaim_t *reclaim)
{
    physical.reclaim = reclaim;
}

void physical_fail_after(size_t n)
{
    physical.fail_after = n;
}

/* ---- boot */

/* Free pages [start, end) of one block become its interval, or are threaded. */
static void block_add(block_t *block, unsigned start, unsigned end)
{
    if (block->raw_start == block->raw_end) {
        block->raw_start = (uint16_t)start;
        block->raw_end = (uint16_t)end;
    } else {
        thread_pages(block, start, end);
    }
    block->free = (uint16_t)(block->free + end - start);
    block_reclass(block);
}

static void add_free_range(page_t base, page_t end)
{
    size_t pages = (end - base) >> PAGE_SHIFT;

    physical_mem_info.free += pages;
    if (base < LOW_ZONE_END)
        physical_mem_info.low_free +=
            ((end < LOW_ZONE_END ? end : LOW_ZONE_END) - base) >> PAGE_SHIFT;
    while (base < end) {
        block_t *block = block_of(base);
        page_t stop = block_base(block) + BLOCK_PAGES * PAGE_SIZE;

        if (stop > end)
            stop = end;
        block_add(block, (base >> PAGE_SHIFT) % BLOCK_PAGES,
                  (unsigned)((stop - 1) >> PAGE_SHIFT) % BLOCK_PAGES + 1);
        base = stop;
    }
}

/* RAM in [base, end) is reserved: mark its frames. */
static void mark_reserved(const boot_info_t *info, const boot_reserved_t *reserved)
{
    for (size_t i = 0; i < info->ram_count; i++) {
        uint64_t base = reserved->base & ~(uint64_t)PAGE_MASK;
        uint64_t end = reserved->end;

        if (base < info->ram[i].base)
            base = info->ram[i].base;
        if (end > info->ram[i].end)
            end = info->ram[i].end;
        for (; base < end && base >> PAGE_SHIFT < physical_frame_count; base += PAGE_SIZE) {
            frame_t *frame = &physical_frames[base >> PAGE_SHIFT];

            if (frame->state != FRAME_ABSENT)
                continue;
            *frame = (frame_t){ .state = FRAME_RESERVED, .owner = reserved->owner };
            physical_mem_info.reserved++;
            physical_mem_info.owner[reserved->owner]++;
        }
    }
}

static void count_ram(const boot_info_t *info)
{
    for (size_t i = 0; i < info->ram_count; i++) {
        uint64_t base = info->ram[i].base;
        uint64_t end = info->ram[i].end;

        if (end > LINEAR_END) {
            uint64_t from = base > LINEAR_END ? base : LINEAR_END;

            physical_mem_info.unmanaged += (size_t)((end - from) >> PAGE_SHIFT);
            end = LINEAR_END;
        }
        if (base < end) {
            physical_mem_info.total += (size_t)((end - base) >> PAGE_SHIFT);
            physical_frame_count = (size_t)(end >> PAGE_SHIFT);
        }
    }
}

/* Find room for the frame table and clear it. */
static const char *place_frame_table(boot_info_t *info)
{
    size_t length = align_up(physical_frame_count * sizeof(frame_t), PAGE_SIZE);

    physical.frame_table = boot_info_allocate(info, length, "the frame table",
                                              OWNER_FRAME_TABLE);
    if (physical.frame_table == PAGE_NONE)
        return "there is not enough free memory for the frame table";
    physical_frames = cpu_physical_address(physical.frame_table);
    for (size_t at = 0; at < length; at += PAGE_SIZE)
        cpu_clear_page((char *)physical_frames + at);
    return NULL;
}

const char *physical_init(boot_info_t *info)
{
    const char *trouble;
    boot_range_t range = { 0 };

    memset(&physical, 0, sizeof(physical));
    memset(&physical_mem_info, 0, sizeof(physical_mem_info));
    physical_frame_count = 0;
    memset(physical.class_head, 0xff, sizeof(physical.class_head));
    for (size_t i = 0; i < BLOCK_COUNT; i++)
        physical.block[i].listed = BLOCK_NONE;
    count_ram(info);
    trouble = place_frame_table(info);
    if (trouble != NULL)
        return trouble;
    for (size_t i = 0; i < info->reserved_count; i++)
        mark_reserved(info, &info->reserved[i]);
    while (boot_info_next_free(info, range.end, LINEAR_END, &range)) {
        if (physical_mem_info.physical_heap_end == 0)
            physical_mem_info.physical_heap_start = (page_t)range.base;
        physical_mem_info.physical_heap_end = (page_t)range.end;
        add_free_range((page_t)range.base, (page_t)range.end);
    }
    physical_mem_info.owner[OWNER_NONE] = physical_mem_info.free;
    if (physical_mem_info.total != physical_mem_info.free + physical_mem_info.reserved)
        return "the memory map cannot be counted";
    return NULL;
}

void physical_move_frame_table(void)
{
    physical_frames = (frame_t *)FRAME_TABLE_BASE;
}

page_t physical_frame_table(void)
{
    return physical.frame_table;
}

/* ---- checking and reporting */

static const char *check_block(const block_t *block, size_t *list_pages)
{
    size_t listed = 0;
    page_t prev = PAGE_NONE;

    for (page_t page = block->head; page != PAGE_NONE; ) {
        const free_page_marker_t *marker = physical_ptr(page);

        if (block_of(page) != block || (page & PAGE_MASK) != 0)
            return "a free list leads out of its block";
        if (marker->check != (FREE_PAGE_CHECK ^ (uint32_t)(page >> PAGE_SHIFT)))
            return "a free page's marker is damaged";
        if (marker->prev != prev)
            return "a free list's backward link is wrong";
        if (physical_frames[page >> PAGE_SHIFT].state != FRAME_FREE)
            return "a listed page is not free in the frame table";
        if (++listed > BLOCK_PAGES)
            return "a free list has a loop";
        prev = page;
        page = marker->next;
    }
    *list_pages += listed;
    if (listed + block->raw_end - block->raw_start != block->free)
        return "a block's counter differs from its list and interval";
    if (block->listed != class_of(block))
        return "a block hangs in the wrong class";
    return NULL;
}

static const char *check_classes(void)
{
    size_t listed = 0;
    size_t expected = 0;

    for (zone_t zone = ZONE_NORMAL; zone < ZONE_COUNT; zone++) {
        for (unsigned class = 0; class < CLASS_COUNT; class++) {
            uint16_t prev = BLOCK_NONE;
            uint16_t number = physical.class_head[zone][class];

            if ((number != BLOCK_NONE) != ((physical.classes[zone] >> class & 1) != 0))
                return "the bitmap of classes is wrong";
            for (; number != BLOCK_NONE; number = physical.block[number].next) {
                const block_t *block = &physical.block[number];

                if (block->listed != class || block->prev != prev ||
                    zone_of(block_base(block)) != zone)
                    return "a class's list of blocks is wrong";
                if (++listed > BLOCK_COUNT)
                    return "a class's list of blocks has a loop";
                prev = number;
            }
        }
    }
    for (size_t i = 0; i < BLOCK_COUNT; i++)
        expected += physical.block[i].free > 0;
    return listed == expected ? NULL : "a block with free pages is in no class";
}

/* Recount the frame table. */
static const char *check_frames(size_t list_pages)
{
    size_t states[FRAME_RESERVED + 1] = { 0 };
    size_t owners[OWNER_COUNT] = { 0 };
    size_t interval = 0;
    size_t low = 0;

    for (size_t number = 0; number < physical_frame_count; number++) {
        const frame_t *frame = &physical_frames[number];
        const block_t *block = &physical.block[number / BLOCK_PAGES];
        unsigned index = number % BLOCK_PAGES;
        bool raw = index >= block->raw_start && index < block->raw_end;

        if (frame->state > FRAME_RESERVED || frame->owner >= OWNER_COUNT)
            return "a frame's state or owner is damaged";
        if (raw && frame->state != FRAME_ABSENT)
            return "a frame in a block's interval has a state";
        if ((frame->state == FRAME_USED || frame->state == FRAME_RESERVED) !=
            (frame->owner != OWNER_NONE))
            return "a frame's owner does not fit its state";
        if (frame->state == FRAME_USED && frame->count == 0 &&
            frame->owner != OWNER_PAGE_TABLE && frame->owner != OWNER_KERNEL_TABLE)
            return "a used frame has no reference";
        states[frame->state]++;
        owners[frame->owner] += frame->owner != OWNER_NONE;
        interval += raw;
        low += (raw || frame->state == FRAME_FREE || frame->state == FRAME_MAGAZINE) &&
               number < LOW_ZONE_END >> PAGE_SHIFT;
    }
    if (states[FRAME_FREE] != list_pages)
        return "the lists do not hold exactly the free frames";
    if (states[FRAME_MAGAZINE] != physical.magazine_count ||
        physical_mem_info.magazine != physical.magazine_count)
        return "the magazine does not hold exactly its frames";
    if (states[FRAME_FREE] + states[FRAME_MAGAZINE] + interval != physical_mem_info.free)
        return "the count of free pages is wrong";
    if (states[FRAME_USED] != physical_mem_info.used)
        return "the count of used pages is wrong";
    if (states[FRAME_RESERVED] != physical_mem_info.reserved)
        return "the count of reserved pages is wrong";
    if (low != physical_mem_info.low_free)
        return "the count of free low pages is wrong";
    if (physical_mem_info.owner[OWNER_NONE] != physical_mem_info.free)
        return "nobody's pages are not the free ones";
    for (size_t i = OWNER_NONE + 1; i < OWNER_COUNT; i++) {
        if (owners[i] != physical_mem_info.owner[i])
            return "an owner's count of pages is wrong";
    }
    return NULL;
}

const char *physical_check(void)
{
    const char *trouble = NULL;
    size_t list_pages = 0;

    splock_lock(&physical.lock);
    enter_linear_space();
    for (size_t i = 0; i < BLOCK_COUNT && trouble == NULL; i++)
        trouble = check_block(&physical.block[i], &list_pages);
    leave_linear_space();
    if (trouble == NULL)
        trouble = check_classes();
    for (size_t i = 0; i < physical.magazine_count && trouble == NULL; i++) {
        if (physical_frames[physical.magazine[i] >> PAGE_SHIFT].state != FRAME_MAGAZINE)
            trouble = "a page in the magazine has another state";
    }
    if (trouble == NULL)
        trouble = check_frames(list_pages);
    if (trouble == NULL && physical_mem_info.free + physical_mem_info.used +
                           physical_mem_info.reserved != physical_mem_info.total)
        trouble = "free + used + reserved is not total";
    splock_unlock(&physical.lock);
    return trouble;
}

void physical_log(void)
{
    const physical_mem_info_t *info = &physical_mem_info;

    printk("frames: free %zu + used %zu + reserved %zu = total %zu (%zu KiB)\n",
           info->free, info->used, info->reserved, info->total,
           info->total * (PAGE_SIZE / KIB));
    for (size_t i = 0; i < OWNER_COUNT; i++) {
        if (info->owner[i] != 0)
            printk("frames: %8zu  %s\n", info->owner[i], frame_owner_name(i));
    }
    if (info->unmanaged != 0)
        printk("frames: %8zu  above 3 GiB, not managed\n", info->unmanaged);
}
