/*
 * The border between hardware and everything above: what an entry of a page
 * table says, in one form for every format, and the calls that read and change
 * entries of the user part of a space.
 *
 * An entry is a frame and bits:
 *
 *  31                    12  11   10   9   8   7   6   5   4   3   2   1   0
 *  +-----------------------+----+----+----+---+---+---+---+---+---+---+---+---+
 *  | frame                 |HELD|OBJ |NOEX| G | L | D | A |UNC|WT | U | W | P |
 *  +-----------------------+----+----+----+---+---+---+---+---+---+---+---+---+
 *
 *  0                       nothing
 *  P                       the frame is mapped
 *  HELD, no P              the frame is kept, its area grants no right
 *  else                    a swap slot
 */
#ifndef KERNEL_MMU_H
#define KERNEL_MMU_H

#include <kernel/layout.h>
#include <kernel/types.h>

typedef size_t mmu_entry_t;

#define MMU_PRESENT       0x001u
#define MMU_WRITE         0x002u
#define MMU_USER          0x004u
#define MMU_WRITE_THROUGH 0x008u
#define MMU_UNCACHED      0x010u
#define MMU_ACCESSED      0x020u
#define MMU_DIRTY         0x040u
#define MMU_LARGE         0x080u
#define MMU_GLOBAL        0x100u
#define MMU_NOEXEC        0x200u    /* the format's own no-execute bit, where it has one */
#define MMU_OBJECT        0x400u    /* the frame is not private: a file's, the zero frame */
#define MMU_HELD          0x800u

/* The frame table, by the documents' names: where it is mapped, and its length. */
#define MMU_BMP FRAME_TABLE_BASE
#define MMU_LG  (FRAME_TABLE_END - FRAME_TABLE_BASE)

static inline page_t mmu_frame(mmu_entry_t entry)
{
    return entry & ~(mmu_entry_t)PAGE_MASK;
}

/*
 * The place of one last-level entry in a space's tables.
 *
 * => valid until a table of that space is freed: use it at once
 */
typedef struct mmu_place {
    void *entry;            /* NULL: there is no table here yet */
    void *table;            /* the table's frame_t */
    size_t vaddr;
    page_t directory;
} mmu_place_t;

/*
 * Find the place of vaddr.
 *
 * => what is there; 0 also if no table covers it, and place->entry is NULL
 */
mmu_entry_t mmu_find(page_t directory, size_t vaddr, mmu_place_t *place);

/* The same, making the tables. => -ENOMEM: nothing changed */
int mmu_make(page_t directory, size_t vaddr, mmu_place_t *place);

/* What is there. => 0 also where there is no table */
mmu_entry_t mmu_get(const mmu_place_t *place);

/* Put an entry where there is none, but a table. => not 0 */
void mmu_put(const mmu_place_t *place, mmu_entry_t entry);

/*
 * Put an entry there; flush the page if what was there was present and its
 * space is current.
 *
 * => an empty table is not freed by setting 0: mmu_change_range does that
 */
void mmu_set(const mmu_place_t *place, mmu_entry_t entry);

/* The same where both are present. */
void mmu_replace(const mmu_place_t *place, mmu_entry_t entry);

/* Add MMU_WRITE to the present entry there, and flush the page if its space is current. */
void mmu_allow_write(const mmu_place_t *place);

/* mmu_find for what is there alone. */
mmu_entry_t mmu_read(page_t directory, size_t vaddr);

/*
 * For each entry in [base, base + length) that is not 0, put what `change`
 * returns in its place; then flush what changed and was present, and free the
 * tables that became empty.
 *
 * => whole pages of the user part; cannot fail
 * => change(context, vaddr, entry) may release the frame it takes out: nothing
 *    of this space runs before the flush
 * => O(tables + entries): a range without tables costs one step a table
 */
typedef mmu_entry_t mmu_change_t(void *context, size_t vaddr, mmu_entry_t entry);
void mmu_change_range(page_t directory, size_t base, size_t length,
                      mmu_change_t *change, void *context);

/*
 * Give each page in [base, base + length) that is present or held these rights: bits of
 * MMU_PRESENT, MMU_WRITE, MMU_USER, MMU_UNCACHED, MMU_WRITE_THROUGH and MMU_NOEXEC, or 0:
 * it is held. Then flush what changed and was present.
 *
 * => MMU_WRITE is for private frames that nobody else has; others stay read-only
 * => whole pages of the user part; cannot fail; O(tables + entries)
 */
void mmu_protect_range(page_t directory, size_t base, size_t length, mmu_entry_t bits);

/* What mmu_release_range took out: entries with a reference, and those of objects. */
typedef struct mmu_released {
    size_t pages;
    size_t objects;         /* of `pages` */
} mmu_released_t;

/*
 * Take every entry out of [base, base + length) and drop its reference to its frame;
 * then flush what was present, and free the tables that became empty.
 *
 * => zero: the frame of objects whose entries have no reference
 * => whole pages of the user part, none a swap slot; cannot fail; O(tables + entries)
 */
void mmu_release_range(page_t directory, size_t base, size_t length, page_t zero,
                       mmu_released_t *released);

/*
 * Call visit(context, vaddr, entry) for each entry that is not 0 in the user part of
 * every space.
 *
 * => not of the linear space, whose entries are RAM as such
 * => for checkers; visit must not change any space. O(tables + entries)
 */
typedef void mmu_visit_t(void *context, size_t vaddr, mmu_entry_t entry);
void mmu_visit_spaces(mmu_visit_t *visit, void *context);

/*
 * For each entry in [base, base + length) that is 0, put what `fill` gives; all
 * tables of the range are made before.
 *
 * => whole pages of the user part; fill(context, vaddr, &entry) sets the entry, which
 *    may stay 0, and returns 0, or an error that ends the call
 * => 0; -ENOMEM, no memory for a table, or -EEXIST, a large page is there: fill was
 *    not called and nothing changed; fill's error: what was filled before stays, as
 *    an mmu_change_range over the range finds it
 * => no table without an entry is left in the range, whatever the result
 * => nothing is flushed: the processor remembers no entry that was not present
 * => fill must not look at this space's entries, nor let anyone else change them
 * => O(tables + entries), one walk a table and pass
 */
typedef int mmu_fill_t(void *context, size_t vaddr, mmu_entry_t *entry);
int mmu_fill_range(page_t directory, size_t base, size_t length, mmu_fill_t *fill,
                   void *context);

/*
 * Move all entries of [from, from + length), whatever they say, to [to, ...) of the
 * same space, where nothing is afterwards but them; flush what was present in either.
 *
 * => whole pages of the user part, not empty; the ranges do not overlap
 * => drop(context, vaddr, entry) is told of each entry that is not 0 in the target, and
 *    may release its frame; its result means nothing. NULL: the caller knows there is none
 * => 0; -ENOMEM, no memory for a table, or -EEXIST, a large page is there: drop was not
 *    called and nothing changed
 * => a table of the source that became empty is freed; one that goes to one place as a
 *    whole is not copied but moved
 * => O(tables + entries); O(tables) where source and target are aligned to a table's
 *    span in the same way
 */
int mmu_move_range(page_t directory, size_t from, size_t to, size_t length,
                   mmu_change_t *drop, void *context);

/*
 * How entries are shared with another space, and what became of it.
 *
 * => counts, stale, sparse: 0 before the first range; they add up
 */
typedef struct mmu_clone mmu_clone_t;
struct mmu_clone {
    page_t uncounted;       /* the frame that has no references of entries: of zeroes */
    /*
     * For an entry whose frame has PHYSICAL_SHARES references, and for a swap slot: the
     * other space's entry, which may be 0.
     *
     * => *entry: this one's, read-only there; not MMU_WRITE. It counts itself what it
     *    gives. => 0, or an error that ends the call
     */
    int (*other)(mmu_clone_t *clone, size_t vaddr, mmu_entry_t *entry);
    size_t private_count;   /* entries that the other space got, MMU_OBJECT not set */
    size_t object_count;    /* MMU_OBJECT, without `uncounted` */
    bool stale;             /* entries of `from` lost MMU_WRITE */
    bool sparse;            /* a table of `to` may have no entry */
};

/*
 * Make tables in `to` for what `from` has in [base, base + length).
 *
 * => whole pages of the user part
 * => 0; -ENOMEM: some are made, which mmu_change_range over the range takes out
 */
int mmu_clone_tables(page_t from, page_t to, size_t base, size_t length);

/*
 * Give `to` all entries of `from` in [base, base + length), whose frames get one more
 * reference each; neither space may write to them any more.
 *
 * => mmu_clone_tables was called for all of it; `to` has no entry there, and is not
 *    current; all frames there are counted (physical.h), but `uncounted`
 * => 0, or other's error: what was shared before stays shared
 * => mmu_clone_end is due before anything of `from` runs
 * => O(tables + entries)
 */
int mmu_clone_range(page_t from, page_t to, size_t base, size_t length, mmu_clone_t *clone);

/*
 * Flush `from`, and free the tables of `to` that got no entry.
 *
 * => base, length: all ranges lie in it
 */
void mmu_clone_end(page_t from, page_t to, size_t base, size_t length, const mmu_clone_t *clone);

/* Flush one page of the space if it is current. */
void mmu_flush(page_t directory, size_t vaddr);

/* How many frames the space's own tables take, the top level included. */
size_t mmu_table_count(page_t directory);

/*
 * Fill a frame with zeros; copy a page to a frame; through a temporary slot.
 *
 * => source: any readable address of the current space, page-aligned
 */
void mmu_clear_page(page_t page);
void mmu_copy_page(page_t page, const void *source);

/*
 * A frame in the kernel's view for a moment: write to it, then drop it.
 *
 * => two at a time (index 0 and 1); never across a sleep
 */
void *mmu_temporary_map(unsigned index, page_t page);
void mmu_temporary_unmap(unsigned index);

/* Whether pages can be kept from being executed. */
bool mmu_can_forbid_execution(void);

#endif
