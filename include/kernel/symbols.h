/*
 * The kernel's own functions by address, for reports. tools/symbols makes the
 * table from the linked image.
 */
#ifndef KERNEL_SYMBOLS_H
#define KERNEL_SYMBOLS_H

#include <kernel/types.h>

struct kernel_symbol {
    uint32_t address;
    const char *name;
};

extern const struct kernel_symbol kernel_symbols[];
extern const uint32_t kernel_symbol_count;

/* The function that holds the address. => its name and *offset, or NULL */
const char *symbol_find(uint32_t address, uint32_t *offset);

#endif
