/*
 * The border's calls: entries of the user part, read and changed.
 *
 * Each is written once with the format as an argument and called through one
 * test of which format is in use, so the compiler makes three walkers of it.
 */
#include <kernel/errno.h>
#include <kernel/panic.h>
#include <kernel/virtual.h>
#include <x86/features.h>

#include "walk.h"

enum {
    FLUSH_MAX = 32,         /* pages flushed one by one before all are at once */
    RELEASE_BATCH = 128,
    TEMPORARY_SLOTS = 3,
    TEMPORARY_OWN = 2,      /* the slot that this file keeps for itself */
};

/* ---- one entry */

/*
 * The last-level table that was found last. Faults come in runs, so it is mostly the
 * next one's, too; paging_forget_table is called where a table moves or is freed.
 */
static struct recent {
    page_t directory;       /* PAGE_NONE: none */
    size_t vaddr;           /* any that the table maps */
    char *table;
    frame_t *frame;
} recent;

void paging_forget_table(void)
{
    recent.directory = PAGE_NONE;
}

/* For debug builds: nobody forgot to forget. */
static inline bool recent_is_there(void)
{
    walk_t at;

    return WITH_FORMAT(walk_down, recent.directory, recent.vaddr, 0, &at) &&
           at.table == recent.table;
}

/* => the recent table is vaddr's */
static ALWAYS_INLINE mmu_entry_t look_in_recent(const paging_format_t *format, page_t directory,
                                                size_t vaddr, mmu_place_t *place)
{
    char *entry = recent.table + walk_index(format, 0, vaddr) * format->entry_bytes;

    DEBUG_ASSERT(recent_is_there());
    *place = (mmu_place_t){ entry, recent.frame, vaddr, directory };
    return entry_load_border(format, entry);
}

static NOINLINE mmu_entry_t find_table(page_t directory, size_t vaddr, mmu_place_t *place)
{
    walk_t at;

    if (!WITH_FORMAT(walk_down, directory, vaddr, 0, &at)) {
        *place = (mmu_place_t){ NULL, NULL, vaddr, directory };
        return 0;
    }
    recent = (struct recent){ directory, vaddr, at.table, &physical_frames[at.page >> PAGE_SHIFT] };
    return WITH_FORMAT(look_in_recent, directory, vaddr, place);
}

static ALWAYS_INLINE mmu_entry_t find_in(const paging_format_t *format, page_t directory,
                                         size_t vaddr, mmu_place_t *place)
{
    if (LIKELY(recent.directory == directory) &&
        LIKELY((recent.vaddr ^ vaddr) < walk_span(format, 1)))
        return look_in_recent(format, directory, vaddr, place);
    return find_table(directory, vaddr, place);
}

mmu_entry_t mmu_find(page_t directory, size_t vaddr, mmu_place_t *place)
{
    return WITH_FORMAT(find_in, directory, vaddr, place);
}

int mmu_make(page_t directory, size_t vaddr, mmu_place_t *place)
{
    walk_t at;
    int err;

    mmu_find(directory, vaddr, place);
    if (LIKELY(place->entry != NULL))
        return 0;
    err = tables_make_path(directory, vaddr, 0, &at);
    if (err == 0)
        mmu_find(directory, vaddr, place);
    return err;
}

mmu_entry_t mmu_get(const mmu_place_t *place)
{
    if (place->entry == NULL)
        return 0;
    return WITH_FORMAT(entry_load_border, place->entry);
}

static inline bool is_current(page_t directory)
{
    return directory == paging_state.current;
}

static ALWAYS_INLINE void put_in(const paging_format_t *format, const mmu_place_t *place,
                                 mmu_entry_t entry)
{
    frame_t *table = place->table;

    entry_store_new(format, place->entry, entry, entry_no_execute(format, entry));
    table->count++;
}

void mmu_put(const mmu_place_t *place, mmu_entry_t entry)
{
    DEBUG_ASSERT(place->entry != NULL && mmu_get(place) == 0 && entry != 0);
    WITH_FORMAT(put_in, place, entry);
}

static ALWAYS_INLINE void set_in(const paging_format_t *format, const mmu_place_t *place,
                                 mmu_entry_t entry)
{
    frame_t *table = place->table;
    mmu_entry_t old = entry_load_border(format, place->entry);

    if (format->entry_bytes == 8 && (old & MMU_PRESENT) != 0)
        entry_hide(place->entry);
    entry_store_new(format, place->entry, entry, entry_no_execute(format, entry));
    table->count = (uint16_t)(table->count + (entry != 0) - (old != 0));
    if ((old & MMU_PRESENT) != 0 && is_current(place->directory))
        paging_flush_page(place->vaddr);
}

void mmu_set(const mmu_place_t *place, mmu_entry_t entry)
{
    ASSERT(place->entry != NULL);
    WITH_FORMAT(set_in, place, entry);
}

static ALWAYS_INLINE void replace_in(const paging_format_t *format, const mmu_place_t *place,
                                     mmu_entry_t entry)
{
    if (format->entry_bytes == 8)
        entry_hide(place->entry);
    entry_store_new(format, place->entry, entry, entry_no_execute(format, entry));
    if (is_current(place->directory))
        paging_flush_page(place->vaddr);
}

void mmu_replace(const mmu_place_t *place, mmu_entry_t entry)
{
    DEBUG_ASSERT((mmu_get(place) & entry & MMU_PRESENT) != 0);
    WITH_FORMAT(replace_in, place, entry);
}

void mmu_allow_write(const mmu_place_t *place)
{
    volatile uint32_t *low = place->entry;      /* of a 64-bit entry, the lower word */

    DEBUG_ASSERT((*low & ENTRY_PRESENT) != 0);
    *low |= ENTRY_WRITE;
    if (is_current(place->directory))
        paging_flush_page(place->vaddr);
}

mmu_entry_t mmu_read(page_t directory, size_t vaddr)
{
    mmu_place_t place;

    return mmu_find(directory, vaddr, &place);
}

void mmu_flush(page_t directory, size_t vaddr)
{
    if (is_current(directory))
        paging_flush_page(vaddr);
}

size_t mmu_table_count(page_t directory)
{
    return physical_frames[directory >> PAGE_SHIFT].count;
}

bool mmu_can_forbid_execution(void)
{
    return paging_state.no_execute != 0;
}

/* ---- ranges */

/* What must be flushed before anything of the space runs again. */
typedef struct flush {
    bool needed;            /* the space is current */
    size_t count;
    size_t vaddr[FLUSH_MAX];
    page_t chain;           /* tables that became empty */
} flush_t;

static ALWAYS_INLINE void flush_add(flush_t *flush, size_t vaddr)
{
    if (flush->count < FLUSH_MAX)
        flush->vaddr[flush->count] = vaddr;
    flush->count++;
}

static void flush_do(const flush_t *flush)
{
    bool tables_gone = flush->chain != PAGE_NONE;

    if (!flush->needed)
        return;
    /* One INVLPG also drops all cached entries of upper levels (SDM 3A 4.10.4.1),
     * and freeing a table does one before its frame is free; but the four top
     * entries of PAE are read with CR3. */
    if (flush->count > FLUSH_MAX || (tables_gone && paging_format->eager_top)) {
        paging_flush_space();
        return;
    }
    for (size_t i = 0; i < flush->count; i++)
        paging_flush_page(flush->vaddr[i]);
}

/* Flush, and free the tables that became empty. */
static inline void finish(page_t directory, const flush_t *flush)
{
    flush_do(flush);
    if (flush->chain != PAGE_NONE)
        tables_free_chain(directory, flush->chain);
}

/* The entries of one last-level table from `index` on, `count` of them. */
static ALWAYS_INLINE void change_table(const paging_format_t *format, const walk_t *at,
                                       size_t vaddr, size_t count, mmu_change_t *change,
                                       void *context, flush_t *flush)
{
    frame_t *table = &physical_frames[at->page >> PAGE_SHIFT];
    size_t used = table->count;

    for (unsigned i = at->index; count-- > 0 && used > 0; i++, vaddr += PAGE_SIZE) {
        uint64_t raw = entry_load(format, at->table, i);
        mmu_entry_t old;
        mmu_entry_t entry;

        if (raw == 0)
            continue;
        old = entry_to_border(format, raw);
        entry = change(context, vaddr, old);
        if (entry == old)
            continue;
        entry_store(format, at->table, i, entry_from_border(format, entry));
        if (entry == 0)
            used--;
        if (old & MMU_PRESENT)
            flush_add(flush, vaddr);
    }
    table->count = (uint16_t)used;
}

static ALWAYS_INLINE void change_in(const paging_format_t *format, page_t directory,
                                    size_t vaddr, size_t length, mmu_change_t *change,
                                    void *context, flush_t *flush)
{
    while (length > 0) {
        walk_t at;
        bool found = walk_down(format, directory, vaddr, 0, &at);
        /* To the end of this table, or of what the missing one would span. */
        size_t step = walk_step(format, found ? 1 : at.level, vaddr, length);

        if (found) {
            change_table(format, &at, vaddr, step >> PAGE_SHIFT, change, context, flush);
            if (physical_frames[at.page >> PAGE_SHIFT].count == 0)
                tables_unlink(directory, vaddr, &flush->chain);
        }
        vaddr += step;
        length -= step;
    }
}

void mmu_change_range(page_t directory, size_t base, size_t length,
                      mmu_change_t *change, void *context)
{
    flush_t flush;

    flush.needed = is_current(directory);
    flush.count = 0;
    flush.chain = PAGE_NONE;
    WITH_FORMAT(change_in, directory, base, length, change, context, &flush);
    finish(directory, &flush);
}

/* ---- rights of a range */

/* What stays of an entry whose rights change. */
#define KEPT_BITS (~(mmu_entry_t)PAGE_MASK | MMU_OBJECT | MMU_ACCESSED | MMU_DIRTY)

/* The entry with these rights, and writable if its frame is nobody else's. => it is
 * present or held */
static mmu_entry_t other_rights(mmu_entry_t old, mmu_entry_t bits)
{
    mmu_entry_t entry = (old & KEPT_BITS) | bits;

    if ((old & MMU_OBJECT) == 0 &&
        ((old & MMU_WRITE) != 0 || page_is_alone(mmu_frame(old))))
        entry |= MMU_WRITE;
    return entry;
}

/* Whether the entries of the part of a table are flushed one by one. */
static ALWAYS_INLINE bool is_few(const walk_t *at, size_t count)
{
    return count <= FLUSH_MAX || physical_frames[at->page >> PAGE_SHIFT].count <= FLUSH_MAX;
}

/* => flush: NULL where more pages may change than are flushed one by one */
static ALWAYS_INLINE mmu_entry_t protect_table(const paging_format_t *format, const walk_t *at,
                                               size_t vaddr, size_t count, mmu_entry_t bits,
                                               bool write, flush_t *flush)
{
    /* What nearly all are: present, executable or not as they will be. */
    const mmu_entry_t mask = MMU_PRESENT | MMU_NOEXEC |
                             (write ? MMU_WRITE | MMU_OBJECT | MMU_HELD : 0);
    const mmu_entry_t usual = (bits & MMU_PRESENT) != 0 ? bits & (MMU_PRESENT | MMU_NOEXEC)
                                                        : ~(mmu_entry_t)0;
    const frame_t *frames = physical_frames;
    char *place = (char *)at->table + at->index * format->entry_bytes;
    char *end = place + count * format->entry_bytes;
    mmu_entry_t changed = 0;

    for (; place != end; place += format->entry_bytes, vaddr += PAGE_SIZE) {
        mmu_entry_t old = entry_load_border(format, place);
        mmu_entry_t entry = (old & KEPT_BITS) | bits;

        if (LIKELY((old & mask) == usual)) {
            if (write && LIKELY(frames[old >> PAGE_SHIFT].count == 1))
                entry |= MMU_WRITE;
            if (entry == old)
                continue;
            *(volatile uint32_t *)place = (uint32_t)entry;
        } else {
            if ((old & (MMU_PRESENT | MMU_HELD)) == 0)
                continue;
            if (write)
                entry = other_rights(old, bits);
            if (entry == old)
                continue;
            entry_store(format, place, 0, entry_from_border(format, entry));
        }
        changed |= old;
        if (flush != NULL && (old & MMU_PRESENT) != 0)
            flush_add(flush, vaddr);
    }
    return changed;
}

static ALWAYS_INLINE void protect_in(const paging_format_t *format, page_t directory,
                                     size_t vaddr, size_t length, mmu_entry_t bits,
                                     flush_t *flush)
{
    mmu_entry_t without = bits == 0 ? MMU_HELD : bits & ~(mmu_entry_t)MMU_WRITE;
    bool write = (bits & MMU_WRITE) != 0;
    mmu_entry_t changed = 0;

    while (length > 0) {
        walk_t at;
        bool found = walk_down(format, directory, vaddr, 0, &at);
        size_t step = walk_step(format, found ? 1 : at.level, vaddr, length);
        size_t count = step >> PAGE_SHIFT;

        if (!found)
            ;
        else if (is_few(&at, count))
            protect_table(format, &at, vaddr, count, without, write, flush);
        else if (write)
            changed |= protect_table(format, &at, vaddr, count, without, true, NULL);
        else
            changed |= protect_table(format, &at, vaddr, count, without, false, NULL);
        vaddr += step;
        length -= step;
    }
    if ((changed & MMU_PRESENT) != 0)
        flush->count = FLUSH_MAX + 1;
}

/* The same for one page, without a list of what to flush. */
static ALWAYS_INLINE void protect_page_in(const paging_format_t *format, page_t directory,
                                          size_t vaddr, mmu_entry_t bits)
{
    walk_t at;
    void *place;
    mmu_entry_t old;
    mmu_entry_t entry;

    if (!walk_down(format, directory, vaddr, 0, &at))
        return;
    place = (char *)at.table + at.index * format->entry_bytes;
    old = entry_load_border(format, place);
    if ((old & (MMU_PRESENT | MMU_HELD)) == 0)
        return;
    entry = (old & KEPT_BITS) | (bits == 0 ? MMU_HELD : bits & ~(mmu_entry_t)MMU_WRITE);
    if ((bits & MMU_WRITE) != 0)
        entry = other_rights(old, bits & ~(mmu_entry_t)MMU_WRITE);
    if (entry == old)
        return;
    entry_store(format, place, 0, entry_from_border(format, entry));
    if ((old & MMU_PRESENT) != 0)
        mmu_flush(directory, vaddr);
}

static NOINLINE void protect_many(page_t directory, size_t base, size_t length, mmu_entry_t bits)
{
    flush_t flush;

    flush.needed = is_current(directory);
    flush.count = 0;
    flush.chain = PAGE_NONE;
    WITH_FORMAT(protect_in, directory, base, length, bits, &flush);
    flush_do(&flush);
}

void mmu_protect_range(page_t directory, size_t base, size_t length, mmu_entry_t bits)
{
    if (length == PAGE_SIZE)
        WITH_FORMAT(protect_page_in, directory, base, bits);
    else
        protect_many(directory, base, length, bits);
}

/* ---- taking out a range */

/* Frames whose entries are gone; their references go a batch at a time. */
typedef struct batch {
    size_t count;
    page_t page[RELEASE_BATCH];
} batch_t;

static NOINLINE void release_batch(batch_t *batch, mmu_released_t *released)
{
    page_release_all(batch->page, batch->count);
    released->pages += batch->count;
    batch->count = 0;
}

/* => flush: NULL where there are more pages than are flushed one by one */
static ALWAYS_INLINE mmu_entry_t release_table(const paging_format_t *format, const walk_t *at,
                                               size_t vaddr, size_t count, page_t zero,
                                               mmu_released_t *released, batch_t *batch,
                                               flush_t *flush)
{
    frame_t *table = &physical_frames[at->page >> PAGE_SHIFT];
    char *place = (char *)at->table + at->index * format->entry_bytes;
    char *end = place + count * format->entry_bytes;
    size_t used = table->count;
    page_t *next = batch->page + batch->count;
    mmu_entry_t taken = 0;

    for (; used > 0 && place != end; place += format->entry_bytes, vaddr += PAGE_SIZE) {
        mmu_entry_t old = entry_load_border(format, place);

        if (old == 0)
            continue;
        entry_clear(format, place);
        used--;
        taken |= old;
        if (flush != NULL && (old & MMU_PRESENT) != 0)
            flush_add(flush, vaddr);
        if ((old & MMU_OBJECT) != 0) {
            if (mmu_frame(old) == zero)
                continue;
            released->objects++;
        }
        *next++ = mmu_frame(old);
        if (UNLIKELY(next == batch->page + RELEASE_BATCH)) {
            batch->count = RELEASE_BATCH;
            release_batch(batch, released);
            next = batch->page;
        }
    }
    batch->count = (size_t)(next - batch->page);
    table->count = (uint16_t)used;
    return taken;
}

static ALWAYS_INLINE void release_in(const paging_format_t *format, page_t directory,
                                     size_t vaddr, size_t length, page_t zero,
                                     mmu_released_t *released, batch_t *batch, flush_t *flush)
{
    mmu_entry_t taken = 0;

    while (length > 0) {
        walk_t at;
        bool found = walk_down(format, directory, vaddr, 0, &at);
        size_t step = walk_step(format, found ? 1 : at.level, vaddr, length);

        size_t count = step >> PAGE_SHIFT;

        if (found) {
            if (is_few(&at, count))
                release_table(format, &at, vaddr, count, zero, released, batch, flush);
            else
                taken |= release_table(format, &at, vaddr, count, zero, released, batch, NULL);
            if (physical_frames[at.page >> PAGE_SHIFT].count == 0)
                tables_unlink(directory, vaddr, &flush->chain);
        }
        vaddr += step;
        length -= step;
    }
    if ((taken & MMU_PRESENT) != 0)
        flush->count = FLUSH_MAX + 1;
}

static NOINLINE void release_many(page_t directory, size_t base, size_t length, page_t zero,
                                  mmu_released_t *released)
{
    batch_t batch;
    flush_t flush;

    batch.count = 0;
    flush.needed = is_current(directory);
    flush.count = 0;
    flush.chain = PAGE_NONE;
    WITH_FORMAT(release_in, directory, base, length, zero, released, &batch, &flush);
    if (batch.count > 0)
        release_batch(&batch, released);
    finish(directory, &flush);
}

/* Whether there is nothing in the range: no table, or an empty page of one. */
static ALWAYS_INLINE bool is_bare_in(const paging_format_t *format, page_t directory,
                                     size_t vaddr, size_t length)
{
    walk_t at;

    if (!walk_down(format, directory, vaddr, 0, &at))
        return walk_step(format, at.level, vaddr, length) == length;
    return length == PAGE_SIZE &&
           entry_load_border(format, (char *)at.table + at.index * format->entry_bytes) == 0;
}

void mmu_release_range(page_t directory, size_t base, size_t length, page_t zero,
                       mmu_released_t *released)
{
    released->pages = 0;
    released->objects = 0;
    if (!WITH_FORMAT(is_bare_in, directory, base, length))
        release_many(directory, base, length, zero, released);
}

/* ---- filling a range */

/* Make every table of a range. => as tables_make_path; on an error some are made */
static ALWAYS_INLINE int make_tables_in(const paging_format_t *format, page_t directory,
                                        size_t vaddr, size_t length)
{
    int err = 0;

    while (length > 0 && err == 0) {
        size_t step = walk_step(format, 1, vaddr, length);
        walk_t at;

        if (!walk_down(format, directory, vaddr, 0, &at))
            err = tables_make_path(directory, vaddr, 0, &at);
        vaddr += step;
        length -= step;
    }
    return err;
}

/* The entries of one last-level table from `index` on, `count` of them. */
static ALWAYS_INLINE int fill_table(const paging_format_t *format, const walk_t *at,
                                    size_t vaddr, size_t count, mmu_fill_t *fill, void *context)
{
    frame_t *table = &physical_frames[at->page >> PAGE_SHIFT];
    char *place = (char *)at->table + at->index * format->entry_bytes;
    size_t used = table->count;
    int err = 0;

    for (; count-- > 0; place += format->entry_bytes, vaddr += PAGE_SIZE) {
        mmu_entry_t entry;

        if (entry_load_border(format, place) != 0)
            continue;
        err = fill(context, vaddr, &entry);
        if (err != 0)
            break;
        entry_store_new(format, place, entry, entry_no_execute(format, entry));
        used += entry != 0;
    }
    table->count = (uint16_t)used;
    return err;
}

/*
 * Make the first table and fill all. => the other tables are there; *sparse: one has
 * no entry
 */
static ALWAYS_INLINE int fill_in(const paging_format_t *format, page_t directory, size_t vaddr,
                                 size_t length, mmu_fill_t *fill, void *context, bool *sparse)
{
    int err = 0;

    while (length > 0 && err == 0) {
        size_t step = walk_step(format, 1, vaddr, length);
        walk_t at;

        if (UNLIKELY(!walk_down(format, directory, vaddr, 0, &at))) {
            walk_t made;        /* so that `at` can live in registers */

            err = tables_make_path(directory, vaddr, 0, &made);
            if (err != 0)
                break;
            at = made;
        }
        err = fill_table(format, &at, vaddr, step >> PAGE_SHIFT, fill, context);
        *sparse |= physical_frames[at.page >> PAGE_SHIFT].count == 0;
        vaddr += step;
        length -= step;
    }
    return err;
}

static mmu_entry_t keep_entry(void *context, size_t vaddr, mmu_entry_t entry)
{
    (void)context;
    (void)vaddr;
    return entry;
}

int mmu_fill_range(page_t directory, size_t base, size_t length, mmu_fill_t *fill,
                   void *context)
{
    bool sparse = false;
    size_t first = walk_step(paging_format, 1, base, length);
    int err = WITH_FORMAT(make_tables_in, directory, base + first, length - first);

    if (LIKELY(err == 0))
        err = WITH_FORMAT(fill_in, directory, base, length, fill, context, &sparse);
    /* Tables that were made for nothing go when a sweep finds them empty. */
    if (UNLIKELY(err != 0 || sparse))
        mmu_change_range(directory, base, length, keep_entry, NULL);
    return err;
}

/* ---- temporary slots */

static size_t slot_address(unsigned index)
{
    return TEMPORARY_BASE + index * PAGE_SIZE;
}

/* Where the slots' entries are: fixed as long as paging is on. */
static void *slot_entry[TEMPORARY_SLOTS];

void temporary_slots_init(void)
{
    for (unsigned i = 0; i < TEMPORARY_SLOTS; i++) {
        walk_t at;
        bool covered = walk_down(paging_format, paging_state.kernel, slot_address(i), 0, &at);

        ASSERT(covered);
        slot_entry[i] = (char *)at.table + at.index * paging_format->entry_bytes;
    }
}

static inline bool slot_is_taken(unsigned index)
{
    return *(const volatile uint32_t *)slot_entry[index] != 0;
}

static ALWAYS_INLINE void *slot_map(const paging_format_t *format, unsigned index, page_t page)
{
    DEBUG_ASSERT(paging_state.on && !slot_is_taken(index));
    entry_store_new(format, slot_entry[index], page | ENTRY_PRESENT | ENTRY_WRITE,
                    (uint32_t)(paging_state.no_execute >> 32));
    return (void *)slot_address(index);
}

static ALWAYS_INLINE void slot_unmap(const paging_format_t *format, unsigned index)
{
    entry_clear(format, slot_entry[index]);
    paging_flush_page(slot_address(index));
}

/* A slot in use is a bug of the caller: its page would be lost from view. */
void *mmu_temporary_map(unsigned index, page_t page)
{
    ASSERT(index < TEMPORARY_OWN && !slot_is_taken(index));
    return WITH_FORMAT(slot_map, index, page);
}

void mmu_temporary_unmap(unsigned index)
{
    ASSERT(index < TEMPORARY_OWN && slot_is_taken(index));
    WITH_FORMAT(slot_unmap, index);
}

static ALWAYS_INLINE void clear_in(const paging_format_t *format, page_t page)
{
    cpu_clear_page(slot_map(format, TEMPORARY_OWN, page));
    slot_unmap(format, TEMPORARY_OWN);
}

void mmu_clear_page(page_t page)
{
    WITH_FORMAT(clear_in, page);
}

static ALWAYS_INLINE void copy_in(const paging_format_t *format, page_t page,
                                  const void *source, bool guarded)
{
    void *to = slot_map(format, TEMPORARY_OWN, page);

    if (guarded)
        cpu_allow_user_access();
    cpu_copy_page(to, source);
    if (guarded)
        cpu_forbid_user_access();
    slot_unmap(format, TEMPORARY_OWN);
}

void mmu_copy_page(page_t page, const void *source)
{
    bool guarded = cpu_features.smap && (size_t)source >= USER_BASE && (size_t)source < USER_END;

    WITH_FORMAT(copy_in, page, source, guarded);
}
