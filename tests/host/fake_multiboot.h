/*
 * What a boot loader leaves in memory, for tests: the structure of the Multiboot
 * specification 0.6.96, section 3.3, written byte by byte into an arena below 4 GiB.
 *
 *     multiboot_begin(HAS_MAP | HAS_LOADER);
 *     multiboot_map(regions, count, 20);
 *     multiboot_put32(multiboot_header + AT_LOADER, multiboot_text("GRUB"));
 *     CHECK_OK(multiboot_fill());
 *
 * => include before libc's headers (host_test.h says why)
 */
#ifndef FAKE_MULTIBOOT_H
#define FAKE_MULTIBOOT_H

#include <kernel/boot_info.h>
#include <kernel/layout.h>
#include <kernel/physical.h>
#include <host_test.h>

#define MULTIBOOT_MAGIC 0x2badb002u
#define ARENA_SIZE      (256u * KIB)
#define HAS_SIZES       0x001u
#define HAS_WORDS       0x004u
#define HAS_MODULES     0x008u
#define HAS_MAP         0x040u
#define HAS_LOADER      0x200u

/* Where the specification puts things. */
enum {
    AT_FLAGS = 0, AT_LOWER = 4, AT_UPPER = 8, AT_WORDS = 16, AT_MODULE_COUNT = 20,
    AT_MODULES = 24, AT_MAP_LENGTH = 44, AT_MAP = 48, AT_LOADER = 64, INFO_LENGTH = 120,
};

extern uint8_t *multiboot_arena;
extern uint8_t *multiboot_header;       /* the structure, in the arena */

/* What most machines have: 128 MiB. */
enum { MULTIBOOT_PLAIN = 5 };
extern const boot_region_t multiboot_plain_map[MULTIBOOT_PLAIN];

/* An empty structure with these flags (HAS_...), and a boot_info with only an image. */
void multiboot_begin(uint32_t flags);

/* The same, with the plain map. */
void multiboot_begin_with_map(uint32_t flags);

/* So much of the arena. => misaligned on purpose by one byte: loaders promise nothing */
uint8_t *multiboot_take(size_t length);

void multiboot_put32(uint8_t *place, uint32_t value);
uint32_t multiboot_address(const void *place);

/* A text in the arena, or one of `length` characters. => its address */
uint32_t multiboot_text(const char *text);
uint32_t multiboot_long_text(size_t length);

/* The map, each entry `size` bytes long without its size word. */
void multiboot_map(const boot_region_t *region, size_t count, uint32_t size);

/* Modules of `length` bytes one after the other, from `base` on, all with one string. */
void multiboot_modules(size_t count, uint32_t base, uint32_t length, uint32_t string);

/* boot_info_fill of it, into boot_info. => NULL or a sentence */
const char *multiboot_fill(void);

/* With nothing but a map: begin, map, fill. */
const char *multiboot_fill_map(const boot_region_t *region, size_t count, uint32_t size);

/* Whether boot_info has exactly this range as reserved, with a reason. */
bool multiboot_is_reserved(uint64_t base, uint64_t end, frame_owner_t owner);

#endif
