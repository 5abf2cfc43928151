/*
 * What the tests of page tables share: formats and processors, a machine with paging on,
 * and what the second reader says of a table.
 *
 * => include before libc's headers (host_test.h says why)
 */
#ifndef PAGING_H
#define PAGING_H

#include <kernel/mmu.h>
#include <kernel/physical.h>
#include <kernel/virtual.h>
#include <fake_machine.h>
#include <host_test.h>

#define USER_RW   (ACCESS_USER | ACCESS_WRITE | ACCESS_NOEXEC)
#define KERNEL_RW (ACCESS_WRITE | ACCESS_NOEXEC)
#define KERNEL_LENGTH 0x40000000u       /* window and devices */

enum { PAGING_FORMATS = 3, PAGING_PROCESSORS = 7 };

extern const char *const paging_formats[PAGING_FORMATS];

/* A format, and what the processor lacks: FAKE_NO_... */
typedef struct paging_processor {
    const char *format;
    unsigned lacks;
} paging_processor_t;
extern const paging_processor_t paging_processors[PAGING_PROCESSORS];

/* Start a machine with paging on, in a format by its number. */
void paging_start(size_t format);

/* Whether the tables can forbid execution, as the second reader believes. */
bool paging_has_nx(void);

/* What vaddr means. => no table on the way is broken or has a reserved bit */
second_view_t paging_look(page_t space, size_t vaddr);

/* Bytes that one table of the last level spans. */
size_t paging_table_span(void);

/* Tables of a space that are its own, the top level included, by the second reader. */
size_t paging_own_tables(page_t space);

/* Check what the tables say of an entry in the border's form (mmu.h). */
void paging_check_entry(page_t space, size_t vaddr, mmu_entry_t entry);

/* Places that need a kernel table of their own, in any format. */
size_t paging_kernel_place(size_t number);

/* Check that all of `count` spaces have this page at a kernel address, for its data. */
void paging_check_everywhere(const page_t *space, size_t count, size_t vaddr, page_t page);

/*
 * Freed tables lie in the magazine. Fill them with what looks like entries: who
 * still walks through one of them sees it.
 */
void paging_spoil_freed_pages(void);

#endif
