/*
 * mmbench_calls.h - the counter and the system call themselves: cal and sys.
 */
#ifndef MMBENCH_CALLS_H
#define MMBENCH_CALLS_H

#include "mmbench_memory.h"

/* What the counter itself counts: no kernel is involved here. */
static void test_cal(void)
{
	static u8 a[PAGE] __attribute__((aligned(4096)));
	static u8 b[PAGE] __attribute__((aligned(4096)));
	struct sum tsc = {0}, touch = {0}, stosl = {0}, stosb = {0},
		   movsl = {0};
	u32 i;
	long p;

	for (i = 0; i < 1000; i++) {
		u64 t = rdtsc();
		add(&tsc, rdtsc() - t, 1);
	}
	report("cal.rdtsc", tsc);

	p = map_anon(MID, PROT_READ | PROT_WRITE);
	if (!failed("cal.touch_mapped", p)) {
		touch_write((u8 *)p, MID);
		add(&touch, touch_write((u8 *)p, MID), MID);
		report("cal.touch_mapped", touch);
		unmap((u8 *)p, MID);
	}

	touch_write(a, 1);
	touch_write(b, 1);
	for (i = 0; i < 100; i++) {
		void *d, *s;
		u32 n;
		u64 t = rdtsc();

		d = a, n = PAGE / 4;
		__asm__ volatile("rep stosl" : "+D"(d), "+c"(n)
				 : "a"(0) : "memory");
		add(&stosl, rdtsc() - t, 1);

		t = rdtsc();
		d = a, n = PAGE;
		__asm__ volatile("rep stosb" : "+D"(d), "+c"(n)
				 : "a"(0) : "memory");
		add(&stosb, rdtsc() - t, 1);

		t = rdtsc();
		d = a, s = b, n = PAGE / 4;
		__asm__ volatile("rep movsl" : "+D"(d), "+S"(s), "+c"(n)
				 : : "memory");
		add(&movsl, rdtsc() - t, 1);
	}
	report("cal.rep_stosl_4k", stosl);
	report("cal.rep_stosb_4k", stosb);
	report("cal.rep_movsl_4k", movsl);
}

/* The shortest way into the kernel and back. */
static void test_sys(void)
{
	struct sum s = {0};
	u32 i;
	u64 t;

	sys0(SYS_getppid);
	t = rdtsc();
	for (i = 0; i < 5 * CALLS; i++)
		sys0(SYS_getppid);
	add(&s, rdtsc() - t, i);
	report("sys.getppid", s);
}

#endif
