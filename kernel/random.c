/*
 * Random bytes: the xorshift64* generator, stirred with the time-stamp counter at
 * each call.
 */
#include <kernel/random.h>
#include <kernel/types.h>
#include <x86/cpu.h>

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t next(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1d;
}

void random_fill(void *buffer, size_t length)
{
    uint8_t *byte = buffer;

    random_state ^= cpu_rdtsc();
    if (random_state == 0)
        random_state = 1;           /* the one state that xorshift never leaves */
    while (length-- > 0)
        *byte++ = (uint8_t)(next() >> 56);
}
