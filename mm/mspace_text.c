/*
 * A space as text: one line an area, as Linux's /proc/PID/maps has it; one line a run of
 * pages that are in memory; the counters.
 *
 *      08048000-08049000 r-xp 00000000 00:00 0          name
 */
#include <kernel/memory.h>
#include <kernel/printk.h>

enum {
    NAME_COLUMN = 49,
    NAME_MAX = 160,
    LINE_MAX = NAME_COLUMN + 4 * NAME_MAX + 32,     /* each character a newline */
};

/* A program may have made the name: a newline in it ends no line. => its length */
static int put_name(char *to, const char *name)
{
    int length = 0;

    for (; *name != '\0'; name++) {
        if (*name == '\n')
            length += format_text(to + length, 5, "\\012");
        else
            to[length++] = *name;
    }
    to[length] = '\0';
    return length;
}

/* => the line's length, with its newline */
static size_t format_line(const vma_t *vma, char *line)
{
    char name[NAME_MAX];
    int flags = vma->flags;
    int length;

    length = format_text(line, LINE_MAX, "%08zx-%08zx %c%c%c%c %08llx 00:00 0 ",
                         vma_base(vma), vma_end(vma),
                         (flags & VMA_READ) != 0 ? 'r' : '-',
                         (flags & VMA_WRITE) != 0 ? 'w' : '-',
                         (flags & VMA_EXEC) != 0 ? 'x' : '-',
                         (flags & VMA_SHARED) != 0 ? 's' : 'p',
                         (unsigned long long)vma->offset);
    vma->ops->describe(vma, name, sizeof(name));
    if (name[0] != '\0' || (flags & VMA_DEAD) != 0) {
        length += format_text(line + length, LINE_MAX - (size_t)length, "%*s",
                              length < NAME_COLUMN ? NAME_COLUMN - length : 0, "");
        length += put_name(line + length, name);
        length += format_text(line + length, LINE_MAX - (size_t)length, "%s",
                              (flags & VMA_DEAD) != 0 ? " (dead)" : "");
    }
    line[length++] = '\n';
    line[length] = '\0';
    return (size_t)length;
}

void mspace_describe(mspace_t *mspace, mspace_print_t *print, void *context)
{
    char line[LINE_MAX];

    splock_lock(&mspace->lock);
    for (vma_t *vma = vma_of(bbtree_first(&mspace->tree)); vma != NULL; vma = vma_next(vma))
        print(context, line, format_line(vma, line));
    splock_unlock(&mspace->lock);
}

/* ---- what is in memory */

enum { CHUNK_PAGES = 64 };

/* Pages one behind the other whose entries say the same. */
typedef struct run {
    size_t base;
    size_t count;           /* 0: there is no run yet */
    mmu_entry_t bits;
    const char *kind;
} run_t;

/* The entries of a few pages. Printing has to wait until the walk is over: it may need
 * memory. */
typedef struct chunk {
    size_t base;
    mmu_entry_t entry[CHUNK_PAGES];
} chunk_t;

static mmu_entry_t note_entry(void *context, size_t vaddr, mmu_entry_t entry)
{
    chunk_t *chunk = context;

    chunk->entry[(vaddr - chunk->base) >> PAGE_SHIFT] = entry;
    return entry;
}

static void print_run(const run_t *run, mspace_print_t *print, void *context)
{
    char line[64];
    mmu_entry_t bits = run->bits;
    bool present = (bits & MMU_PRESENT) != 0;
    bool execute = (bits & MMU_NOEXEC) == 0 || !mmu_can_forbid_execution();

    if (run->count == 0)
        return;
    int length = format_text(line, sizeof line, "%08zx-%08zx %c%c%c%c %-7s %7zu\n", run->base,
                             run->base + run->count * PAGE_SIZE,
                             present ? 'r' : '-',
                             present && (bits & MMU_WRITE) != 0 ? 'w' : '-',
                             present && execute ? 'x' : '-',
                             present && (bits & MMU_USER) != 0 ? 'u' : '-',
                             run->kind, run->count);
    print(context, line, (size_t)length);
}

static const char *kind_of(const vma_t *vma, mmu_entry_t entry)
{
    if (vma->ops->foreign)
        return "foreign";
    if ((entry & MMU_OBJECT) == 0)
        return "private";
    return mmu_frame(entry) == kMMU.zero_page ? "zero" : "shared";
}

/* The page continues the run, or the run is printed and the page begins the next one. */
static void add_page(run_t *run, const run_t *page, mspace_print_t *print, void *context)
{
    if (run->count > 0 && run->base + run->count * PAGE_SIZE == page->base
        && run->bits == page->bits && run->kind == page->kind) {
        run->count++;
    } else {
        print_run(run, print, context);
        *run = *page;
    }
}

/* The run that one page would be. */
static run_t page_as_run(const vma_t *vma, size_t vaddr, mmu_entry_t entry)
{
    mmu_entry_t bits = entry & PAGE_MASK & ~(mmu_entry_t)(MMU_ACCESSED | MMU_DIRTY);

    return (run_t){ vaddr, 1, bits, kind_of(vma, entry) };
}

static void add_area(run_t *run, mspace_t *mspace, const vma_t *vma, mspace_print_t *print,
                     void *context)
{
    for (size_t base = vma_base(vma); base < vma_end(vma); base += CHUNK_PAGES * PAGE_SIZE) {
        size_t left = (vma_end(vma) - base) >> PAGE_SHIFT;
        size_t count = left < CHUNK_PAGES ? left : CHUNK_PAGES;
        chunk_t chunk = { .base = base };

        mmu_change_range(mspace->directory, base, count << PAGE_SHIFT, note_entry, &chunk);
        for (size_t i = 0; i < count; i++) {
            if ((chunk.entry[i] & (MMU_PRESENT | MMU_HELD)) == 0)
                continue;
            run_t page = page_as_run(vma, base + i * PAGE_SIZE, chunk.entry[i]);

            add_page(run, &page, print, context);
        }
    }
}

void mspace_describe_pages(mspace_t *mspace, mspace_print_t *print, void *context)
{
    run_t run = { .count = 0 };

    if (mspace->directory == PAGE_NONE)
        return;
    splock_lock(&mspace->lock);
    for (vma_t *vma = vma_of(bbtree_first(&mspace->tree)); vma != NULL; vma = vma_next(vma))
        add_area(&run, mspace, vma, print, context);
    print_run(&run, print, context);
    splock_unlock(&mspace->lock);
}

/* ---- the counters, and all of it to the log */

void mspace_describe_counters(mspace_t *mspace, mspace_print_t *print, void *context)
{
    char line[160];
    int length = format_text(line, sizeof line, "areas %zu, pages: promised %zu, private %zu, "
                             "shared %zu, in use %zu; faults %llu\n",
                             mspace->tree.count, mspace->v_size, mspace->p_size, mspace->s_size,
                             mspace->phys_pg_count, (unsigned long long)mspace->faults);

    print(context, line, (size_t)length);
}

static void print_to_log(void *context, const char *text, size_t length)
{
    (void)context;
    printk("%.*s", (int)length, text);
}

void mspace_display(mspace_t *mspace)
{
    mspace_describe(mspace, print_to_log, NULL);
    mspace_describe_counters(mspace, print_to_log, NULL);
}
