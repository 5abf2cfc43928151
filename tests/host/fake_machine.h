/*
 * The second kernel: a machine in a process, for the real sources of mm/.
 *
 * RAM is a file in memory, mapped twice. The processor has control registers, a
 * TLB and paging-structure caches that keep what they once read until they are
 * flushed, as the manual allows (SDM 3A 4.10). A translation that the tables no
 * longer grant is really used as long as nothing flushes it, so that a missing
 * flush is seen.
 *
 *  kernel addresses   [KERNEL_BASE, +512 MiB) is kept inaccessible; the first
 *                     access of a page walks the fake tables and maps the page
 *                     there; a flush unmaps it. They are plain C pointers
 *  RAM as such        cpu_physical_address: a view of RAM that, with paging on,
 *                     opens where the current tables map it to itself
 *  user addresses     fake_read, fake_write, fake_user_access
 *
 * => include <kernel/...> headers before libc's (host_test.h says why)
 */
#ifndef FAKE_MACHINE_H
#define FAKE_MACHINE_H

#include <kernel/boot_info.h>
#include <kernel/types.h>
#include <second_reader.h>

/* How an access is made: the bits of the processor's error code. */
#define FAKE_PRESENT   0x01u    /* in an error code: a right was missing */
#define FAKE_WRITE     0x02u
#define FAKE_USER      0x04u
#define FAKE_RESERVED  0x08u    /* in an error code */
#define FAKE_EXECUTE   0x10u

/* What the machine's processor lacks. */
#define FAKE_NO_PSE   0x01u
#define FAKE_NO_PGE   0x02u
#define FAKE_NO_NX    0x04u
#define FAKE_NO_SMEP  0x08u
#define FAKE_NO_SMAP  0x10u
#define FAKE_NO_PAE   0x20u
#define FAKE_NO_PAT   0x40u
#define FAKE_NO_UMIP  0x80u

/* How far fake_machine_start goes; each includes those above it. */
typedef enum fake_level {
    FAKE_BOOT_INFO,     /* boot_info is filled */
    FAKE_PHYSICAL,      /* physical_init, before paging */
    FAKE_TABLES,        /* virtual_init and init_linear_space */
    FAKE_PAGING,        /* paging is on; the kernel's own table is current */
    FAKE_HEAP,          /* kmalloc works */
    FAKE_MEMORY,        /* memory_init: mspaces, kmap, the zero page */
} fake_level_t;

/* All zero: 8 MiB laid out as a PC's, 2-level, a processor that has everything. */
typedef struct fake_config {
    fake_level_t level;
    const char *format;             /* "2level", "pae", "long" */
    unsigned lacks;                 /* FAKE_NO_... */
    size_t megabytes;               /* of a PC; 0: 8 */
    const boot_region_t *region;    /* instead of a PC: the loader's map */
    size_t region_count;
    const boot_reserved_t *reserved;/* beside page 0 and the image */
    size_t reserved_count;
    const char *words;              /* the command line */
} fake_config_t;

/* The kernel image that every machine's boot_info tells of. */
#define FAKE_IMAGE_BASE    0x00100000u
#define FAKE_IMAGE_RODATA  0x00108000u
#define FAKE_IMAGE_DATA    0x00110000u
#define FAKE_IMAGE_END     0x00120000u

/*
 * Make a machine and start what mm/ has on it, up to config->level.
 *
 * => a refusal by an init function fails the test
 * => one at a time; a machine that a failed test left behind is taken down first
 */
void fake_machine_start(const fake_config_t *config);

/*
 * The same without failing the test: NULL, or the sentence of the init function
 * that refused. In both cases fake_machine_stop is due.
 */
const char *fake_machine_try_start(const fake_config_t *config);

/*
 * Take it down. Fails the test if something is still allocated: frames by owner
 * are compared one by one with what they were after the start; checkers run.
 */
void fake_machine_stop(void);

/* Take it down and ask nothing. */
void fake_machine_abandon(void);

/* From now on, what is allocated now counts as the start's. */
void fake_machine_set_baseline(void);

/*
 * NULL, or a sentence: every checker that the machine's level has (physical_check,
 * pagetable_check, ...), and no linear space is left open.
 */
const char *fake_machine_check(void);

/* RAM of the machine, whatever its tables say. => the page lies in RAM */
void *fake_ram(page_t page);
size_t fake_ram_bytes(void);
/* Whether the machine's map has the whole page as RAM, by a plain look at it. */
bool fake_is_ram(page_t page);

/*
 * Broken RAM: from now on cpu_read_word and cpu_write_word end here, with the
 * address of a word, instead of in RAM. NULL: sound again, as at the start.
 */
typedef struct fake_words {
    uint32_t (*read)(page_t address);
    void (*write)(page_t address, uint32_t value);
} fake_words_t;
void fake_set_words(const fake_words_t *words);

/* How the tables are read now, and the space that is current. */
second_mode_t fake_mode(void);
page_t fake_cr3(void);

/* Events, since the start or the last fake_reset_events. */
typedef struct fake_events {
    size_t cr3_loads;
    size_t full_flushes;    /* with the global entries: CR4.PGE, CR0.PG toggled */
    size_t invlpgs;
    size_t fills;           /* of the TLB */
    size_t faults;          /* page faults */
} fake_events_t;
extern fake_events_t fake_events;
void fake_reset_events(void);

/*
 * Access an address as a program does: through the TLB, then the tables.
 *
 * => access: FAKE_WRITE, FAKE_EXECUTE or 0
 * => 0, or the error code of the page fault (never 0: FAKE_USER is in it)
 * => calls no handler; a fault drops the address from the TLB, as hardware does
 */
unsigned fake_user_access(size_t vaddr, unsigned access);

/* The same as the kernel. => -1: allowed; else the error code, which may be 0 */
int fake_kernel_access(size_t vaddr, unsigned access);

/*
 * Programs' loads and stores. A fault calls the handler, which says whether to
 * try again, with CR2 set.
 *
 * => false: no handler, or it gave up; bytes before that one are done
 */
typedef bool fake_handler_t(size_t address, unsigned error_code);
void fake_set_handler(fake_handler_t *handler);
bool fake_read(size_t vaddr, void *buffer, size_t length);
bool fake_write(size_t vaddr, const void *buffer, size_t length);

/*
 * Call fn(arg) and see whether it faults on a kernel address.
 *
 * => true: it did; its frames are abandoned, *address is where
 * => a kernel fault that nothing expects is a panic
 */
bool fake_expect_fault(void (*fn)(void *arg), void *arg, size_t *address);

/*
 * Run attempt(context) again and again, the n-th allocation of a frame failing,
 * n = 1, 2, ..., until no allocation is left to fail.
 *
 * => attempt: 0, or an error; after an error everything must be as before
 * => undo: takes back an attempt that succeeded (NULL: nothing to take back);
 *    an attempt may succeed although a frame was refused
 * => after each run frames by owner are compared with those before it, and every
 *    checker runs; check(context), if not NULL, says more: NULL or a sentence
 * => returns how many runs had a refused frame
 */
size_t fake_failure_sweep(int (*attempt)(void *context), void (*undo)(void *context),
                          const char *(*check)(void *context), void *context);

#endif
