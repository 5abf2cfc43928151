/*
 * mmbench_protect.h - pages that change while their mapping stays: mprotect and
 * madvise.
 */
#ifndef MMBENCH_PROTECT_H
#define MMBENCH_PROTECT_H

#include "mmbench_memory.h"

/* Protection toggled between read-only and read-write. */
static void test_mprotect(void)
{
	struct sum one = {0}, split = {0}, bulk = {0}, again = {0};
	const int prot[2] = { PROT_READ, PROT_READ | PROT_WRITE };
	u32 i, rep;
	long p, r = 0;
	u64 t;

	/* the whole of a one-page mapping */
	p = map_anon(1, PROT_READ | PROT_WRITE);
	if (failed("mprotect.toggle_1p", p))
		return;
	touch_write((u8 *)p, 1);
	for (rep = 0; rep < 2; rep++) {
		t = rdtsc();
		for (i = 0; i < CALLS && !is_err(r); i++)
			r = sys_mprotect((void *)p, PAGE, prot[i & 1]);
		if (rep)
			add(&one, rdtsc() - t, i);
	}
	if (!failed("mprotect.toggle_1p", r))
		report("mprotect.toggle_1p", one);
	unmap((u8 *)p, 1);

	/* one page in the middle of three: splits the mapping, merges it */
	p = map_anon(3, PROT_READ | PROT_WRITE);
	if (failed("mprotect.split_merge_1p", p))
		return;
	touch_write((u8 *)p, 3);
	r = 0;
	for (rep = 0; rep < 2; rep++) {
		t = rdtsc();
		for (i = 0; i < CALLS && !is_err(r); i++)
			r = sys_mprotect((u8 *)p + PAGE, PAGE, prot[i & 1]);
		if (rep)
			add(&split, rdtsc() - t, i);
	}
	if (!failed("mprotect.split_merge_1p", r))
		report("mprotect.split_merge_1p", split);
	unmap((u8 *)p, 3);

	/* 4096 touched pages at once; then whatever the next store costs */
	p = map_anon(BULK, PROT_READ | PROT_WRITE);
	if (failed("mprotect.toggle_page", p))
		return;
	touch_write((u8 *)p, BULK);
	for (rep = 0; rep <= REPS; rep++) {
		for (i = 0; i < 2; i++) {
			t = rdtsc();
			r = sys_mprotect((void *)p, BULK * PAGE, prot[i]);
			t = rdtsc() - t;
			if (failed("mprotect.toggle_page", r))
				return;
			if (rep)
				add(&bulk, t, BULK);
		}
		t = touch_write((u8 *)p, BULK);
		if (rep)
			add(&again, t, BULK);
	}
	report("mprotect.toggle_page", bulk);
	report("mprotect.retouch_page", again);
	unmap((u8 *)p, BULK);
}

/* Pages thrown away while the mapping stays, and faulted in again. */
static void test_madvise(void)
{
	struct sum drop = {0}, refill = {0};
	u32 rep;
	long r, p = map_anon(BULK, PROT_READ | PROT_WRITE);

	if (failed("madvise.dontneed_page", p))
		return;
	touch_write((u8 *)p, BULK);
	for (rep = 0; rep <= REPS; rep++) {
		u64 t = rdtsc(), d, f;

		r = sys_madvise((void *)p, BULK * PAGE, MADV_DONTNEED);
		d = rdtsc() - t;
		if (failed("madvise.dontneed_page", r) ||
		    wrong("madvise.dontneed_page", *(volatile u8 *)p != 0))
			return;
		f = touch_write((u8 *)p, BULK);
		if (rep) {
			add(&drop, d, BULK);
			add(&refill, f, BULK);
		}
	}
	report("madvise.dontneed_page", drop);
	report("madvise.refill_page", refill);
	unmap((u8 *)p, BULK);
}

#endif
