/*
 * The formats of page tables, as data (Intel SDM 3A chapter 4). One walker reads
 * them; a new format is a new table here and no new code.
 */
#ifndef X86_FORMAT_H
#define X86_FORMAT_H

#include <kernel/types.h>

enum { FORMAT_LEVELS_MAX = 4 };

/* Entry bits that all formats share (Intel SDM 3A table 4-6 and following). */
#define ENTRY_PRESENT  0x001u
#define ENTRY_WRITE    0x002u
#define ENTRY_USER     0x004u
#define ENTRY_ACCESSED 0x020u
#define ENTRY_DIRTY    0x040u
#define ENTRY_LARGE    0x080u
#define ENTRY_GLOBAL   0x100u

/* Level 0 is the last: its entries name pages. */
typedef struct paging_format {
    const char *name;
    unsigned levels;
    unsigned entry_bytes;
    uint8_t shift[FORMAT_LEVELS_MAX];       /* address bits below the index */
    uint8_t index_bits[FORMAT_LEVELS_MAX];
    uint32_t table_bits[FORMAT_LEVELS_MAX]; /* bits of an entry that names a table */
    uint8_t large_level;                    /* level whose entries may be large pages */
    uint64_t frame_mask;
    uint64_t no_execute;                    /* 0: the format has no such bit */
    bool eager_top;     /* the processor caches the top entries when CR3 is loaded */
} paging_format_t;

extern const paging_format_t format_2level;
extern const paging_format_t format_pae;
extern const paging_format_t format_long;

/* The one in use. */
extern const paging_format_t *paging_format;

#endif
