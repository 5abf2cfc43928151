/*
 * From an address to the function that holds it.
 */
#include <kernel/symbols.h>

extern const char image_text[], image_rodata[];

const char *symbol_find(uint32_t address, uint32_t *offset)
{
    uint32_t low = 0;
    uint32_t high = kernel_symbol_count;

    if (address < (uint32_t)image_text || address >= (uint32_t)image_rodata)
        return NULL;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (kernel_symbols[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return NULL;
    *offset = address - kernel_symbols[low - 1].address;
    return kernel_symbols[low - 1].name;
}
