/*
 * The SSE2 registers keep what is in them over system calls and page faults.
 */
#include "user.h"

static bool has_sse2(void)
{
    unsigned a = 1, b, c = 0, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return (d & 1u << 26) != 0;
}

static bool kept(char *memory)
{
    static const uint32_t in[8] = { 1, 2, 3, 4, 0x80000005, 6, 7, 0xfffffff8 };
    uint32_t out[8];
    int result;

    __asm__ volatile(
        "movdqu (%[in]), %%xmm0\n"
        "movdqu 16(%[in]), %%xmm7\n"
        "int $0x80\n"
        "movb $1, (%[memory])\n"
        "movdqu %%xmm0, (%[out])\n"
        "movdqu %%xmm7, 16(%[out])\n"
        : "=a"(result)
        : "a"(SYS_getpid), [in] "r"(in), [out] "r"(out), [memory] "r"(memory)
        : "memory");
    for (int i = 0; i < 8; i++)
        if (in[i] != out[i])
            return false;
    return true;
}

/* A fault in the middle of a 16-byte store that crosses a page. */
static bool store_crossing(char *memory)
{
    static const uint32_t in[4] = { 9, 8, 7, 6 };
    uint32_t *to = (uint32_t *)(memory + PAGE - 8);

    __asm__ volatile("movdqu (%0), %%xmm1\n movdqu %%xmm1, (%1)" : : "r"(in), "r"(to) : "memory");
    return to[0] == 9 && to[1] == 8 && to[2] == 7 && to[3] == 6;
}

int main(int argc, char **argv)
{
    char *memory = map_pages(4, PROT_RW);
    double x = 1.0;

    (void)argc, (void)argv;
    for (int i = 0; i < 20; i++) {
        x = x * 1.5;
        call(SYS_getpid);
    }
    say("x87: %d\n", (int)x);
    check("kept", !has_sse2() || kept(memory));
    check("a store over two fresh pages", !has_sse2() || store_crossing(memory + PAGE));
    return 0;
}
