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

    info->magazine = physical.magazine_count;
    info->free = physical.block_free + physical.magazine_count;
    info->used = info->total - info->reserved - info->free;
    info->owner[OWNER_NONE] = info->free;
    info->low_free = physical.block_low_free;
    for (size_t i = 0; i < physical.magazine_count; i++)
        info->low_free += zone_of(physical.magazine[i]) == ZONE_LOW;
    return info;
}

/* ---- the magazine */

/* => false: no block has a free page */
static bool magazine_refill(void)
{
    size_t count = 0;

    ASSERT(physical.magazine_count == 0);
    physical_mem_info.refills++;
    for (zone_t zone = ZONE_NORMAL; zone < ZONE_COUNT && count < MAGAZINE_BATCH; zone++) {
        size_t got;

        do {
            got = blocks_take(zone, physical.magazine + count, MAGAZINE_BATCH - count);
            count += got;
        } while (got != 0 && count < MAGAZINE_BATCH);
    }
    for (size_t i = 0; i < count; i++)
        frame_set(physical_frame(physical.magazine[i]), FRAME_MAGAZINE, OWNER_NONE, 0);
    physical.magazine_count = count;
    return count > 0;
}

/* Give the `count` pages that have been longest in the magazine back to their blocks. */
static void magazine_drain(size_t count)
{
    physical_mem_info.drains++;
    enter_linear_space();
    for (size_t i = 0; i < count; i++)
        blocks_give(physical.magazine[i]);
    leave_linear_space();
    physical.magazine_count -= count;
    memmove(physical.magazine, physical.magazine + count,
            physical.magazine_count * sizeof(physical.magazine[0]));
}

/* ---- debug builds: who freed what */

#ifdef DEBUG
static struct freed {
    page_t page;
    const void *site;
} freed[FREES_KEPT];
static size_t freed_next;

static inline void remember_free(page_t page, const void *site)
{
    freed[freed_next++ % FREES_KEPT] = (struct freed){ page, site };
}

/* => where the page was last freed, or NULL */
static const void *last_free(page_t page)
{
    for (size_t i = 1; i <= FREES_KEPT; i++) {
        const struct freed *at = &freed[(freed_next - i) % FREES_KEPT];

        if (at->page == page)
            return at->site;
    }
    return NULL;
}
#else
static inline void remember_free(page_t page, const void *site)
{
    (void)page, (void)site;
}

static const void *last_free(page_t page)
{
    (void)page;
    return NULL;
}
#endif

/* ---- allocating */

/* For tests. => true: this allocation is to fail */
static inline bool fails_on_purpose(void)
{
    return UNLIKELY(physical.fail_after != 0) && --physical.fail_after == 0;
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
    physical.magazine_count--;
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
          (physical.magazine_count > 0 || magazine_refill() ||
           (reclaim_pages(1) && (physical.magazine_count > 0 || magazine_refill())));
    if (got) {
        page = physical.magazine[physical.magazine_count - 1];
        ASSERT(physical_frame(page)->state == FRAME_MAGAZINE);
        magazine_pop(page, physical_frame(page), owner);
    } else {
        physical_mem_info.failures++;
    }
    splock_unlock(&physical.lock);
    return page;
}

page_t alloc_physical_page(frame_owner_t owner)
{
    size_t count = physical.magazine_count;
    page_t page;

    if (UNLIKELY(count == 0 || physical.fail_after != 0))
        return alloc_with_refill(owner);
    page = physical.magazine[count - 1];
    /* A frame in another state is found out there. */
    if (UNLIKELY(physical_frames[page >> PAGE_SHIFT].state != FRAME_MAGAZINE))
        return alloc_with_refill(owner);
    return magazine_pop(page, &physical_frames[page >> PAGE_SHIFT], owner);
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
    physical.magazine[physical.magazine_count++] = page;
}

static NOINLINE int free_with_drain(page_t page, frame_t *frame)
{
    splock_lock(&physical.lock);
    magazine_drain(MAGAZINE_BATCH);
    splock_unlock(&physical.lock);
    magazine_push(page, frame);
    return 0;
}

static ALWAYS_INLINE int give_back(page_t page, frame_t *frame)
{
    if (UNLIKELY(physical.magazine_count == MAGAZINE_SIZE))
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
    if (physical.magazine_count > 0)
        magazine_drain(physical.magazine_count);
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
    physical.fail_after = n;
}
