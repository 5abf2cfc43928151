/*
 * A space as text: one line an area, as Linux's /proc/PID/maps has it.
 *
 *      08048000-08049000 r-xp 00000000 00:00 0          name
 */
#include <kernel/memory.h>
#include <kernel/printk.h>

enum {
    NAME_COLUMN = 49,
    NAME_MAX = 160,
    LINE_MAX = NAME_COLUMN + NAME_MAX + 32,
};

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
    if (name[0] != '\0' || (flags & VMA_DEAD) != 0)
        length += format_text(line + length, LINE_MAX - (size_t)length, "%*s%s%s",
                              length < NAME_COLUMN ? NAME_COLUMN - length : 0, "", name,
                              (flags & VMA_DEAD) != 0 ? " (dead)" : "");
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

static void print_to_log(void *context, const char *text, size_t length)
{
    (void)context;
    printk("%.*s", (int)length, text);
}

void mspace_display(mspace_t *mspace)
{
    mspace_describe(mspace, print_to_log, NULL);
    printk("areas %zu, pages: promised %zu, private %zu, shared %zu, in use %zu; faults %llu\n",
           mspace->tree.count, mspace->v_size, mspace->p_size, mspace->s_size,
           mspace->phys_pg_count, (unsigned long long)mspace->faults);
}
