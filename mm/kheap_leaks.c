/*
 * Who has what of a full heap: its buffers in use, added up by the site that allocated
 * them.
 */
#include <kernel/errno.h>
#include <kernel/kheap_header.h>

typedef struct table {
    kheap_site_t *row;
    size_t most;
    size_t used;
} table_t;

/* Add to the row of a site; to the last row, which is of all others, if there is no room. */
static void add(table_t *table, size_t site, ptrdiff_t count, ptrdiff_t bytes)
{
    size_t i = 0;

    while (i < table->used && table->row[i].site != site)
        i++;
    if (site == 0 || (i == table->used && i + 1 == table->most))
        i = table->most - 1;
    else if (i == table->used)
        table->row[table->used++] = (kheap_site_t){ .site = site };
    table->row[i].count += count;
    table->row[i].bytes += bytes;
}

/* The most bytes first; of as many bytes, the most buffers first. */
static bool goes_before(const kheap_site_t *a, const kheap_site_t *b)
{
    return a->bytes != b->bytes ? a->bytes > b->bytes : a->count > b->count;
}

/* Drop the rows of which nothing is left, and sort the others. => how many */
static size_t sort(table_t *table)
{
    size_t used = 0;

    for (size_t i = 0; i < table->most; i++) {
        kheap_site_t row = table->row[i];
        size_t place = used;

        if ((i >= table->used && i + 1 < table->most) || (row.count == 0 && row.bytes == 0))
            continue;
        for (; place > 0 && goes_before(&row, &table->row[place - 1]); place--)
            table->row[place] = table->row[place - 1];
        table->row[place] = row;
        used++;
    }
    return used;
}

/* => false: the heap is damaged */
static bool add_all(const kheap_t *heap, table_t *table)
{
    size_t block = heap->start;

    while (block != heap->end) {
        size_t word = *block_word(block);
        size_t length = word & BLOCK_LENGTH;

        if (length - 1 >= heap->end - block)
            return false;
        if ((word & (BLOCK_SUPERBUFFER | BLOCK_CACHED)) == BLOCK_SUPERBUFFER) {
            if (kheap_header_fault(heap, block, 0).what != NULL)
                return false;
            add(table, full_header(block)->site, 1, (ptrdiff_t)full_header(block)->size);
        }
        block += length;
    }
    return true;
}

int kheap_leaks(kheap_t *heap, kheap_site_t *rows, size_t most, const kheap_site_t *before,
                size_t before_count)
{
    table_t table = { .row = rows, .most = most };
    int count = -EINVAL;

    rows[most - 1] = (kheap_site_t){ 0 };
    for (size_t i = 0; i < before_count; i++)
        add(&table, before[i].site, -before[i].count, -before[i].bytes);
    splock_lock(&heap->lock);
    if (heap->level == KHEAP_FULL)
        count = add_all(heap, &table) ? (int)sort(&table) : -EFAULT;
    splock_unlock(&heap->lock);
    return count;
}
