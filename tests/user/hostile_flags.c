/*
 * System calls and page faults with DF, AC and NT set in the flags: the kernel
 * does its work right, and gives the flags back.
 */
#include "user.h"

static unsigned set_flags_and_call(unsigned flags, int number, const char *text, int length,
                                   int *result)
{
    unsigned after;

    __asm__ volatile(
        "pushfl\n"
        "pushfl\n"
        "orl %[flags], (%%esp)\n"
        "popfl\n"
        "int $0x80\n"
        "pushfl\n"
        "popl %[after]\n"
        "popfl\n"
        : "=a"(*result), [after] "=&r"(after)
        : "a"(number), "b"(1), "c"(text), "d"(length), [flags] "r"(flags)
        : "memory", "cc");
    return after;
}

static void try(const char *name, unsigned flags)
{
    static const char text[] = "written by a system call: ";
    int result;
    unsigned after = set_flags_and_call(flags, SYS_write, text, sizeof text - 1, &result);

    say("%s %d, kept: %s\n", name, result, (after & flags) == flags ? "yes" : "no");
}

/* A fault with the direction flag set: the fresh page must still be all zeroes. */
static unsigned fault_backwards(char *memory)
{
    unsigned sum = 0;

    __asm__ volatile("std\n movb $1, (%0)\n cld" : : "r"(memory + 100) : "memory");
    for (size_t i = 0; i < PAGE; i++)
        sum += (unsigned char)memory[i];
    return sum;
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    try("DF", 0x400);
    try("AC", 0x40000);
    try("NT", 0x4000);
    try("DF, AC and NT", 0x44400);
    try("ID and carry", 0x200001);
    say("fault: %u\n", fault_backwards(map_pages(1, PROT_RW)));
    return 0;
}
