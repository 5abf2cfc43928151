/*
 * Physical pages: single pages through two magazines, and counted pages.
 *
 * The magazines are the processor's own: an allocation or a free that one serves
 * takes no lock. What they lack or have too much of goes to the blocks (blocks.h),
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

/* Pages of the low zone, `length` a slot. */
static size_t count_low(const page_slot_t *slots, size_t count, size_t length)
{
    size_t low = 0;

    for (size_t i = 0; i < count; i++)
        low += zone_of(slots[i].page) == ZONE_LOW ? length : 0;
    return low;
}

const physical_mem_info_t *physical_figures(void)
{
    physical_mem_info_t *info = &physical_mem_info;

    info->magazine = magazine_count();
    info->kept = physical.kept_pages;
    info->free = physical.block_free + info->magazine + info->kept;
    info->used = info->total - info->reserved - info->free;
    info->owner[OWNER_NONE] = info->free;
    info->low_free = 0;
    for (page_t base = 0; base < LOW_ZONE_END && base >> BLOCK_SHIFT < block_count();
         base += BLOCK_PAGES * PAGE_SIZE)
        info->low_free += block_of(base)->free;
    info->low_free += count_low(loaded_pages(), loaded_count(), 1) +
                      count_low(spare_pages(), physical.spare, 1);
    for (unsigned order = 1; order <= KEPT_ORDER; order++)
        info->low_free += count_low(physical.kept[order].run, physical.kept[order].count,
                                    (size_t)1 << order);
    return info;
}

/* ---- the magazines */

/* The loaded magazine has so many pages. */
static void set_loaded(size_t count)
{
    physical.top = loaded_pages() + count;
    physical.full = loaded_pages() + (physical_is_failing() ? 0 : MAGAZINE_SIZE);
}

void magazine_init(void)
{
    for (size_t i = 0; i < ARRAY_LENGTH(physical.magazine); i++)
        physical.magazine[i].none = (page_slot_t){ PAGE_NONE, frame_at(PAGE_NONE) };
    set_loaded(0);
}

static void exchange_magazines(void)
{
    size_t spare = physical.spare;

    physical.spare = loaded_count();
    physical.loaded = 1 - physical.loaded;
    set_loaded(spare);
}

static void give_pages(const page_slot_t *slots, size_t count)
{
    if (count == 0)
        return;
    physical_mem_info.drains++;
    enter_linear_space();
    blocks_give(slots, count);
    leave_linear_space();
}

void magazine_empty(void)
{
    give_pages(loaded_pages(), loaded_count());
    give_pages(spare_pages(), physical.spare);
    physical.spare = 0;
    set_loaded(0);
}

/* Whether the loaded magazine has a page, now at the latest. */
static bool magazine_load(void)
{
    if (loaded_count() > 0)
        return true;
    if (physical.spare > 0) {
        exchange_magazines();
        return true;
    }
    physical_mem_info.refills++;
    if (physical.kept_pages > 0 && !blocks_have_parts())
        runs_empty();
    set_loaded(blocks_take(loaded_pages(), physical_is_failing() ? 1 : MAGAZINE_SIZE));
    return loaded_count() > 0;
}

/* The loaded magazine is full: let it have room. */
static void magazine_unload(void)
{
    give_pages(spare_pages(), physical.spare);
    physical.spare = 0;
    exchange_magazines();
}

/* ---- debug builds: who freed what */

static struct freed {
    page_t page;
    const void *site;
} freed[FREES_KEPT];
static size_t freed_next;

void physical_remember_free(page_t page, const void *site)
{
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

bool physical_fails_on_purpose(void)
{
    if (!physical_is_failing() || --physical.fail_after != 0)
        return false;
    set_loaded(loaded_count());
    return true;
}

bool physical_ask_for_pages(size_t wanted)
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

static ALWAYS_INLINE page_t magazine_pop(page_slot_t *top, frame_t *frame, frame_owner_t owner)
{
    DEBUG_ASSERT(owner > OWNER_NONE && owner < OWNER_COUNT);
    if (WATCH_FREE_PAGES && frame->count > 0)
        blocks_look_at(top[-1].page, 1);
    physical_mem_info.owner[owner]++;
    frame_set(frame, FRAME_USED, owner, 1);
    top--;
    physical.top = top;
    return top->page;
}

static NOINLINE page_t alloc_with_refill(frame_owner_t owner)
{
    page_t page = PAGE_NONE;

    splock_lock(&physical.lock);
    if (!physical_fails_on_purpose() &&
        (magazine_load() || (physical_ask_for_pages(1) && magazine_load()))) {
        ASSERT(physical.top[-1].frame->state == FRAME_MAGAZINE);
        page = magazine_pop(physical.top, physical.top[-1].frame, owner);
    } else {
        physical_mem_info.failures++;
    }
    splock_unlock(&physical.lock);
    return page;
}

page_t alloc_physical_page(frame_owner_t owner)
{
    page_slot_t *top = physical.top;
    frame_t *frame = top[-1].frame;

    /* An empty magazine ends with page 0. Damage is found out in the other call. */
    if (UNLIKELY(frame->state != FRAME_MAGAZINE))
        return alloc_with_refill(owner);
    return magazine_pop(top, frame, owner);
}

/* ---- freeing */

static const char *state_name(unsigned state)
{
    static const char *const names[] = {
        "not in use", "free", "free, in the magazine", "used", "used, the first of a run",
        "free, kept as a run", "reserved",
    };

    return state < ARRAY_LENGTH(names) ? names[state] : "damaged";
}

NOINLINE int physical_misuse(const char *what, page_t page)
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
                    frame_owner_name(frame->owner),
                    frame->state == FRAME_FREE ? 0u : frame->count);
    if (frame != NULL && last_free(page) != NULL) {
        size_t length = strlen(sentence);

        format_text(sentence + length, sizeof(sentence) - length, "; last freed from %p",
                    last_free(page));
    }
    host_misuse(sentence);
    return -EINVAL;
}

/*
 * The used frame of a page, or NULL: not a page, or not used, or part of a run. The
 * rotation makes an address that is no page's a number past any table.
 */
static ALWAYS_INLINE frame_t *single_frame(page_t page)
{
    size_t number = page >> PAGE_SHIFT | page << (sizeof(page) * 8 - PAGE_SHIFT);

    if (UNLIKELY(number >= physical_frame_count) ||
        UNLIKELY(physical_frames[number].state != FRAME_USED))
        return NULL;
    return &physical_frames[number];
}

/* The same for any used page. */
static ALWAYS_INLINE frame_t *used_frame(page_t page)
{
    frame_t *frame = single_frame(page);

    return LIKELY(frame != NULL) ? frame : runs_split(page);
}

static ALWAYS_INLINE void magazine_push(page_t page, frame_t *frame, page_slot_t *top)
{
    if (WATCH_FREE_PAGES && physical.watching)
        blocks_fill(page, 1);
    frame_set(frame, FRAME_MAGAZINE, OWNER_NONE, WATCH_FREE_PAGES && physical.watching);
    top->page = page;
    top->frame = frame;
    physical.top = top + 1;
}

static NOINLINE int free_with_drain(page_t page, frame_t *frame)
{
    splock_lock(&physical.lock);
    if (physical_is_failing()) {
        give_pages(&(page_slot_t){ page, frame }, 1);
    } else {
        magazine_unload();
        magazine_push(page, frame, physical.top);
    }
    splock_unlock(&physical.lock);
    return 0;
}

/* `site`: where the page was freed. */
static ALWAYS_INLINE int give_back(page_t page, frame_t *frame, const void *site)
{
    page_slot_t *top;

    if (WATCH_FREE_PAGES)
        physical_remember_free(page, site);
    physical_mem_info.owner[frame->owner]--;
    top = physical.top;
    if (UNLIKELY(top == physical.full))
        return free_with_drain(page, frame);
    magazine_push(page, frame, top);
    return 0;
}

int physical_free_for(page_t page, const void *site)
{
    frame_t *frame = used_frame(page);

    return frame != NULL ? give_back(page, frame, site) : physical_misuse("free", page);
}

int free_physical_page(page_t page)
{
    frame_t *frame = single_frame(page);

    /* A page of a run, or none at all. */
    if (UNLIKELY(frame == NULL))
        return physical_free_for(page, __builtin_return_address(0));
    return give_back(page, frame, __builtin_return_address(0));
}

page_t page_new(frame_owner_t owner)
{
    return alloc_physical_page(owner);
}

void page_hold(page_t page)
{
    frame_t *frame = used_frame(page);

    if (UNLIKELY(frame == NULL)) {
        physical_misuse("hold", page);
        return;
    }
    if (frame->count != COUNT_MAX)
        frame->count++;
}

int page_release(page_t page)
{
    frame_t *frame = used_frame(page);

    if (UNLIKELY(frame == NULL))
        return physical_misuse("release", page);
    if (UNLIKELY(frame->count == COUNT_MAX))
        return COUNT_MAX;
    if (frame->count > 1)
        return --frame->count;
    return give_back(page, frame, __builtin_return_address(0));
}

size_t page_count(page_t page)
{
    const frame_t *frame = single_frame(page);

    return frame != NULL ? frame->count : runs_head(page) != NULL;
}

void physical_set_owner(page_t page, frame_owner_t owner)
{
    frame_t *frame = used_frame(page);

    ASSERT(frame != NULL);
    physical_mem_info.owner[frame->owner]--;
    physical_mem_info.owner[owner]++;
    frame->owner = (uint8_t)owner;
}

void physical_set_reclaim(physical_reclaim_t *reclaim)
{
    physical.reclaim = reclaim;
}

void physical_watch(bool on)
{
    physical.watching = on;
}

void physical_fail_after(size_t n)
{
    splock_lock(&physical.lock);
    if (n != 0) {
        magazine_empty();
        runs_empty();
    }
    physical.fail_after = n;
    set_loaded(loaded_count());
    splock_unlock(&physical.lock);
}
