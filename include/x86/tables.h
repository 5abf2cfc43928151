/*
 * The tables the processor reads: GDT, IDT, TSS.
 */
#ifndef X86_TABLES_H
#define X86_TABLES_H

#include <kernel/types.h>
#include <x86/trap_frame.h>

/*
 * Fill and load all of them; there is no LDT.
 *
 * => stubs: entry points of vectors 0, 1, ...; spurious: of those above that
 *    nothing uses
 */
void tables_load(const uint32_t *stubs, size_t stub_count, uint32_t system_call,
                 uint32_t spurious);

/* The registers of what a double fault interrupted. */
void tables_interrupted_frame(trap_frame_t *frame);

/* The table the double fault's task runs on: it must be valid at any time. */
void tables_set_double_fault_space(page_t directory);

/* Where the tables lie, for the paging doctor: [base, base + length). */
typedef struct table_place {
    const char *name;
    size_t base;
    size_t length;
} table_place_t;
enum { TABLE_PLACES = 4 };
void tables_places(table_place_t places[TABLE_PLACES]);

#endif
