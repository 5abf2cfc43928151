/*
 * What the tests of address spaces share: a space on the fake machine, and a file
 * with known contents.
 *
 * => include before libc's headers (host_test.h says why)
 */
#ifndef SPACE_H
#define SPACE_H

#include <kernel/fault.h>
#include <kernel/memory.h>
#include <fake_machine.h>
#include <host_test.h>

/* ---- a space to test */

/* The formats that every test of pages runs on. */
extern const char *const space_formats[];
extern const size_t space_format_count;
#define FOR_EACH_FORMAT(format) \
    for (const char *const *format = space_formats; \
         format < space_formats + space_format_count; format++)

#define SPACE_BASE 0x40000000u
#define PAGES(n)   ((size_t)(n) * PAGE_SIZE)
#define AT(n)      (SPACE_BASE + PAGES(n))      /* page n of a space in tests */

/* Rights and all capabilities. */
#define ANON_RW (VMA_ANON | VMA_RW | VMA_CAPABILITIES)
#define ANON_RO (VMA_ANON | VMA_RO | VMA_CAPABILITIES)
#define FILE_RW (VMA_FILE | VMA_RW | VMA_CAPABILITIES)
#define FILE_RO (VMA_FILE | VMA_RO | VMA_CAPABILITIES)

/* Start the machine and make a space of `pages` pages at SPACE_BASE (0: of the
 * usual bounds) that is current, faults handled. */
mspace_t *space_start(const char *format, size_t pages);
mspace_t *space_start_on(const fake_config_t *config, size_t pages);

/* Check it, close it, and check that nothing is left. */
void space_stop(mspace_t *mspace);

/* All checkers. => NULL or a sentence */
const char *space_check(mspace_t *mspace);

/* The fault that the last failed access led to. */
extern fault_t space_fault;

/* mspace_map that must succeed. => the address */
size_t space_map(mspace_t *mspace, size_t address, size_t length, int flags);

/* One access to one byte. => false: it faulted for good, see space_fault */
bool space_write(size_t vaddr, uint8_t byte);
bool space_read(size_t vaddr, uint8_t *byte);
/* Loads a byte that must be readable. */
uint8_t space_byte(size_t vaddr);
/* An instruction fetch. => as space_read */
bool space_execute(size_t vaddr);

/* The area at an address must be exactly this. */
#define CHECK_AREA(mspace, address, length_) \
    do { \
        const vma_t *area_ = mspace_search_vma(mspace, address); \
        CHECK(area_ != NULL); \
        CHECK_EQ(vma_base(area_), address); \
        CHECK_EQ(area_->length, length_); \
    } while (0)

/* The entry of a page in the page table, as it is; set it, its table made if need be,
 * behind the back of the space. */
mmu_entry_t space_entry(const mspace_t *mspace, size_t vaddr);
void space_set_entry(const mspace_t *mspace, size_t vaddr, mmu_entry_t entry);

/* Free the nodes that the space has in hand. */
void space_drop_spares(mspace_t *mspace);

/* Fill the heap so that exactly `count` buffers of `size` bytes can be had, each of
 * them by kmalloc; undo it. */
void space_starve_heap(size_t count, size_t size);
void space_feed_heap(void);

/* ---- a file */

typedef struct test_file {
    inode_t ino;
    int error;              /* what read_page returns, if not 0 */
    size_t fail_index;      /* only for this page; SIZE_MAX: for every page */
    size_t reads;
    size_t released;
} test_file_t;

/* => one user: the test's */
void test_file_init(test_file_t *file, const char *name, off_t length);
/* The byte at an offset: never 0 inside the file, 0 past its end. */
uint8_t test_file_byte(const test_file_t *file, off_t offset);

#endif
