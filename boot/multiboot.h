/*
 * What a Multiboot 1 loader passes (Multiboot specification 0.6.96, section 3.3).
 */
#ifndef BOOT_MULTIBOOT_H
#define BOOT_MULTIBOOT_H

#include <kernel/types.h>

#define MULTIBOOT_MAGIC 0x2badb002u

#define MULTIBOOT_INFO_MEMORY  0x001u
#define MULTIBOOT_INFO_CMDLINE 0x004u
#define MULTIBOOT_INFO_MODULES 0x008u
#define MULTIBOOT_INFO_MAP     0x040u
#define MULTIBOOT_INFO_LOADER  0x200u

typedef struct multiboot_info {
    uint32_t flags;
    uint32_t mem_lower;         /* KiB from 0 */
    uint32_t mem_upper;         /* KiB from 1 MiB */
    uint32_t boot_device;
    uint32_t cmdline;
    uint32_t mods_count;
    uint32_t mods_addr;
    uint32_t syms[4];
    uint32_t mmap_length;
    uint32_t mmap_addr;
    uint32_t drives_length;
    uint32_t drives_addr;
    uint32_t config_table;
    uint32_t boot_loader_name;
} multiboot_info_t;

/* `size` counts the bytes after itself; the next entry is size + 4 further on. */
typedef struct multiboot_map_entry {
    uint32_t size;
    uint64_t base;
    uint64_t length;
    uint32_t type;
} __attribute__((packed)) multiboot_map_entry_t;

typedef struct multiboot_module {
    uint32_t start;
    uint32_t end;
    uint32_t string;
    uint32_t reserved;
} multiboot_module_t;

#endif
