/*
 * QEMU's firmware configuration device, read through its two ports (QEMU,
 * docs/specs/fw_cfg).
 */
#include <kernel/errno.h>
#include <kernel/fw_cfg.h>
#include <kernel/string.h>
#include <x86/cpu.h>
#include <x86/features.h>

enum {
    PORT_SELECT = 0x510,
    PORT_DATA = 0x511,
    ITEM_SIGNATURE = 0x0000,
    ITEM_DIRECTORY = 0x0019,
    NAME_MAX = 56,
};

static void read_bytes(void *to, size_t length)
{
    uint8_t *bytes = to;

    while (length-- > 0)
        *bytes++ = cpu_in8(PORT_DATA);
}

static uint32_t read_big_endian(size_t length)
{
    uint32_t value = 0;

    while (length-- > 0)
        value = value << 8 | cpu_in8(PORT_DATA);
    return value;
}

static bool is_there(void)
{
    char signature[4];

    /* Only where something says it is not real: the ports may be anything else. */
    if (!cpu_features.hypervisor)
        return false;
    cpu_out16(PORT_SELECT, ITEM_SIGNATURE);
    read_bytes(signature, sizeof(signature));
    return memcmp(signature, "QEMU", sizeof(signature)) == 0;
}

/* => the file's selector and *size, or 0 */
static uint16_t find_file(const char *wanted, uint32_t *size)
{
    uint32_t count;

    cpu_out16(PORT_SELECT, ITEM_DIRECTORY);
    count = read_big_endian(4);
    while (count-- > 0) {
        char name[NAME_MAX + 1] = "";
        uint16_t selector;

        *size = read_big_endian(4);
        selector = (uint16_t)read_big_endian(2);
        read_big_endian(2);
        read_bytes(name, NAME_MAX);
        if (strcmp(name, wanted) == 0)
            return selector;
    }
    return 0;
}

int fw_cfg_append_words(char *words, size_t size)
{
    size_t length = strlen(words);
    uint32_t added;
    uint16_t selector;

    if (!is_there())
        return 0;
    selector = find_file("opt/grove/append", &added);
    if (selector == 0 || added == 0)
        return 0;
    if (length + 2 > size || added > size - length - 2)
        return -E2BIG;
    cpu_out16(PORT_SELECT, selector);
    words[length++] = ' ';
    read_bytes(words + length, added);
    words[length + added] = '\0';
    return 0;
}
