/*
 * mmbench_stack.h - growth of the stack: stack.
 */
#ifndef MMBENCH_STACK_H
#define MMBENCH_STACK_H

#include "mmbench_memory.h"

/* Writes to so many pages below everything the stack has held so far, from
 * high to low, with esp already under them. */
static NOINLINE u64 dig(u32 pages)
{
	volatile u8 *low = __builtin_alloca(pages * PAGE);
	u32 i = pages;
	u64 t = rdtsc();

	while (i--)
		low[i * PAGE] = 1;
	return rdtsc() - t;
}

/* Stack growth; each time in a new process, whose stack is short again. */
static void test_stack(void)
{
	static const char name[] = "stack.grow_page";
	enum { DEPTH = 512 };
	struct sum s = {0};
	volatile u64 *result = shared_result(name);
	u32 rep;

	if (!result)
		return;
	for (rep = 0; rep <= REPS; rep++) {
		long pid = sys0(SYS_fork);

		if (pid == 0) {
			*result = dig(DEPTH);
			sys_exit(0);
		}
		if (failed(name, pid) || wrong(name, !reap(pid)))
			return;
		if (rep)
			add(&s, *result, DEPTH);
	}
	report(name, s);
	unmap((u8 *)result, 1);
}

#endif
