/*
 * Physical pages: single pages through a magazine, runs, and counted pages.
 *
 * The magazine is the processor's own: an allocation or a free that it serves
 * takes no lock. What it lacks or has too much of goes to the blocks (blocks.h),
 * a batch at a time.
 */
#include <kernel/errno.h>
#include <kernel/host.h>
#include <kernel/panic.h>
#include <kernel/printk.h>
#include <kernel/string.h>

#include "blocks.h"

enum { COUNT_MAX = 0xffff };

physical_mem_info_t physical_mem_info;
frame_t *physical_frames;
size_t physical_frame_count;
struct physical physical;

const physical_mem_info_t *physical_figures(void)
{
    physical_mem_info_t *info = &physical_mem_info;

    info->magazine = magazine_count();
    info->free = physical.block_free + info->magazine;
    info->used = info->total - info->reserved - info->free;
    info->owner[OWNER_NONE] = info->free;
    info->low_free = physical.block_low_free;
    for (const page_t *page = magazine(); page < physical.top; page++)
        info->low_free += zone_of(*page) == ZONE_LOW;
    return info;
}

/* ---- the magazine */

/* While an allocation is to fail, the magazine is kept empty: each one is counted. */
static inline bool is_failing(void)
{
    return physical.fail_after != 0;
}

void magazine_init(void)
{
    physical.slots[0] = PAGE_NONE;
    physical.top = magazine();
    physical.full = magazine() + MAGAZINE_SIZE;
}

/* => false: no block has a free page */
static bool magazine_refill(void)
{
    size_t want = is_failing() ? 1 : MAGAZINE_BATCH;
    size_t count;

    ASSERT(physical.top == magazine());
    physical_mem_info.refills++;
    count = blocks_take(magazine(), want);
    for (size_t i = 0; i < count; i++)
        frame_set(frame_at(magazine()[i]), FRAME_MAGAZINE, OWNER_NONE, 0);
    physical.top = magazine() + count;
    return count > 0;
}

/* Give the `count` pages that have been longest in the magazine back to their blocks. */
static void magazine_drain(size_t count)
{
    size_t left = magazine_count() - count;

    physical_mem_info.drains++;
    enter_linear_space();
    for (size_t i = 0; i < count; i++)
        blocks_give(magazine()[i]);
    leave_linear_space();
    memmove(magazine(), magazine() + count, left * sizeof(page_t));
    physical.top = magazine() + left;
}

/* ---- debug builds: who freed what */

static struct freed {
    page_t page;
    const void *site;
} freed[FREES_KEPT];
static size_t freed_next;

static inline void remember_free(page_t page, const void *site)
{
    if (WATCH_FREE_PAGES)
        freed[freed_next++ % FREES_KEPT] = (struct freed){ page, site };
}

/* => where the page was last freed, or NULL: not known */
static const void *last_free(page_t page)
{
    for (size_t i = 1; WATCH_FREE_PAGES && i <= FREES_KEPT; i++) {
        const struct freed *at = &freed[(freed_next - i) % FREES_KEPT];

        if (at->page == page)
            return at->site;
    }
    return NULL;
}

/* ---- allocating */

/* For tests. => true: this allocation is to fail */
static bool fails_on_purpose(void)
{
    if (!is_failing() || --physical.fail_after != 0)
        return false;
    physical.full = magazine() + MAGAZINE_SIZE;
    return true;
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

static ALWAYS_INLINE page_t magazine_pop(page_t page, frame_t *frame, frame_owner_t owner)
{
    DEBUG_ASSERT(owner > OWNER_NONE && owner < OWNER_COUNT);
    physical.top--;
    physical_mem_info.owner[owner]++;
    frame_set(frame, FRAME_USED, owner, 1);
    return page;
}

static NOINLINE page_t alloc_with_refill(frame_owner_t owner)
{
    page_t page = PAGE_NONE;
    bool got;

    splock_lock(&physical.lock);
    got = !fails_on_purpose() &&
          (magazine_count() > 0 || magazine_refill() ||
           (reclaim_pages(1) && (magazine_count() > 0 || magazine_refill())));
    if (got) {
        page = physical.top[-1];
        ASSERT(frame_at(page)->state == FRAME_MAGAZINE);
        magazine_pop(page, frame_at(page), owner);
    } else {
        physical_mem_info.failures++;
    }
    splock_unlock(&physical.lock);
    return page;
}

page_t alloc_physical_page(frame_owner_t owner)
{
    page_t page = physical.top[-1];
    frame_t *frame = frame_at(page);

    /* An empty magazine ends with page 0. Damage is found out in the other call. */
    if (UNLIKELY(frame->state != FRAME_MAGAZINE))
        return alloc_with_refill(owner);
    return magazine_pop(page, frame, owner);
}

/* ---- freeing */

static const char *state_name(unsigned state)
{
    static const char *const names[] = {
        "never handed out", "free", "free, in the magazine", "used", "reserved",
    };

    return state < ARRAY_LENGTH(names) ? names[state] : "damaged";
}

static NOINLINE int misuse(const char *what, page_t page)
{
    const frame_t *frame = physical_frame(page);
    char sentence[192];

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
    if (frame != NULL && last_free(page) != NULL) {
        size_t length = strlen(sentence);

        format_text(sentence + length, sizeof(sentence) - length, "; last freed from %p",
                    last_free(page));
    }
    host_misuse(sentence);
    return -EINVAL;
}

/*
 * The used frame of a page, or NULL: not a page, or not used. The rotation makes
 * an address that is no page's a number past any table.
 */
static ALWAYS_INLINE frame_t *used_frame(page_t page)
{
    size_t number = page >> PAGE_SHIFT | page << (sizeof(page) * 8 - PAGE_SHIFT);

    if (UNLIKELY(number >= physical_frame_count) ||
        UNLIKELY(physical_frames[number].state != FRAME_USED))
        return NULL;
    return &physical_frames[number];
}

static ALWAYS_INLINE void magazine_push(page_t page, frame_t *frame)
{
    physical_mem_info.owner[frame->owner]--;
    frame_set(frame, FRAME_MAGAZINE, OWNER_NONE, 0);
    *physical.top++ = page;
}

static NOINLINE int free_with_drain(page_t page, frame_t *frame)
{
    splock_lock(&physical.lock);
    if (is_failing()) {
        physical_mem_info.owner[frame->owner]--;
        enter_linear_space();
        blocks_give(page);
        leave_linear_space();
    } else {
        magazine_drain(MAGAZINE_BATCH);
        magazine_push(page, frame);
    }
    splock_unlock(&physical.lock);
    return 0;
}

static ALWAYS_INLINE int give_back(page_t page, frame_t *frame)
{
    if (UNLIKELY(physical.top == physical.full))
        return free_with_drain(page, frame);
    magazine_push(page, frame);
    return 0;
}

int free_physical_page(page_t page)
{
    frame_t *frame = used_frame(page);

    if (UNLIKELY(frame == NULL))
        return misuse("free", page);
    remember_free(page, __builtin_return_address(0));
    return give_back(page, frame);
}

page_t page_new(frame_owner_t owner)
{
    return alloc_physical_page(owner);
}

void page_hold(page_t page)
{
    frame_t *frame = used_frame(page);

    if (UNLIKELY(frame == NULL)) {
        misuse("hold", page);
        return;
    }
    if (frame->count != COUNT_MAX)
        frame->count++;
}

int page_release(page_t page)
{
    frame_t *frame = used_frame(page);

    if (UNLIKELY(frame == NULL))
        return misuse("release", page);
    if (UNLIKELY(frame->count == COUNT_MAX))
        return COUNT_MAX;
    if (frame->count > 1)
        return --frame->count;
    remember_free(page, __builtin_return_address(0));
    return give_back(page, frame);
}

size_t page_count(page_t page)
{
    const frame_t *frame = used_frame(page);

    return frame != NULL ? frame->count : 0;
}

void physical_set_owner(page_t page, frame_owner_t owner)
{
    frame_t *frame = used_frame(page);

    ASSERT(frame != NULL);
    physical_mem_info.owner[frame->owner]--;
    physical_mem_info.owner[owner]++;
    frame->owner = (uint8_t)owner;
}

/* ---- runs */

static page_t take_run(size_t page_count, size_t align, page_t limit, frame_owner_t owner)
{
    if (magazine_count() > 0)
        magazine_drain(magazine_count());
    return blocks_take_run(page_count, align, limit, owner);
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
    else
        physical_mem_info.owner[owner] += page_count;
    splock_unlock(&physical.lock);
    return first;
}

void physical_set_reclaim(physical_reclaim_t *reclaim)
{
    physical.reclaim = reclaim;
}

void physical_fail_after(size_t n)
{
    splock_lock(&physical.lock);
    if (n != 0 && magazine_count() > 0)
        magazine_drain(magazine_count());
    physical.fail_after = n;
    physical.full = n != 0 ? magazine() : magazine() + MAGAZINE_SIZE;
    splock_unlock(&physical.lock);
}
