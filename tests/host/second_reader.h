/*
 * Page tables read a second time, by code written from the Intel manual alone
 * (SDM 3A 4.3, 4.4, 4.5). It shares nothing with mm/x86: no walker, no format
 * table, no constant. The tests judge tables by it, and the fake machine's MMU
 * translates by it.
 */
#ifndef SECOND_READER_H
#define SECOND_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum second_mode {
    SECOND_2LEVEL,      /* 32-bit paging */
    SECOND_PAE,
    SECOND_4LEVEL,
} second_mode_t;

/* The machine that the tables are for. */
typedef struct second_reader {
    uint8_t *ram;               /* physical address 0 */
    uint64_t ram_bytes;
    bool pse;                   /* CR4.PSE: 2-level has 4 MiB pages */
    bool nxe;                   /* EFER.NXE: bit 63 forbids execution, else it is reserved */
    unsigned physical_bits;     /* MAXPHYADDR */
} second_reader_t;

extern second_reader_t second_reader;

/* What the tables say of an address. */
typedef struct second_view {
    bool present;
    bool reserved;      /* an entry on the way has a reserved bit set */
    bool broken;        /* a table lies outside RAM */
    bool write;         /* these three ANDed over the levels */
    bool user;
    bool execute;
    bool global;
    bool large;
    bool accessed;      /* of the last entry */
    bool dirty;
    bool cache_disable;
    bool write_through;
    uint64_t size;      /* bytes that the last entry maps */
    uint64_t frame;     /* physical address of the page that holds the address */
    uint64_t leaf;      /* the last entry read, raw */
    uint64_t table;     /* the page table (level 1) that was read; 0: none */
    bool table_write;   /* what the levels above it grant */
    bool table_user;
    bool table_execute;
    unsigned depth;     /* entries read from memory */
    uint64_t at[4];     /* their physical addresses, top first */
} second_view_t;

/* Each of the three reads the tables below the control register cr3. */
void second_reader_2level(uint64_t cr3, uint64_t vaddr, second_view_t *view);
/* top: the four top entries as the processor has cached them; NULL: read them */
void second_reader_pae(uint64_t cr3, const uint64_t *top, uint64_t vaddr,
                       second_view_t *view);
void second_reader_4level(uint64_t cr3, uint64_t vaddr, second_view_t *view);

void second_reader_read(second_mode_t mode, uint64_t cr3, uint64_t vaddr,
                        second_view_t *view);

/*
 * The last level alone: the entry of vaddr in the page table at `table`, below
 * levels that granted what *view says on entry (write, user, execute).
 */
void second_reader_last(second_mode_t mode, uint64_t table, uint64_t vaddr,
                        second_view_t *view);

/*
 * How many tables below the top level serve [start, end), of 4 GiB.
 *
 * => with `leaves` not NULL, the number of present last entries in the range too
 */
size_t second_reader_count_tables(second_mode_t mode, uint64_t cr3, uint64_t start,
                                  uint64_t end, size_t *leaves);

/* A top entry of PAE that the processor would refuse to load. */
bool second_reader_bad_top(uint64_t entry);

#endif
