/*
 * mmbench_resize.h - memory that grows, shrinks and moves: brk and mremap.
 */
#ifndef MMBENCH_RESIZE_H
#define MMBENCH_RESIZE_H

#include "mmbench_memory.h"

/* The heap, one page at a time. */
static void test_brk(void)
{
	struct sum grow = {0}, shrink = {0};
	u32 rep, i;
	u32 old = (u32)sys1(SYS_brk, 0);
	u32 base = (old + PAGE - 1) & -PAGE;

	if (wrong("brk.grow_touch_page", old == 0))
		return;
	for (rep = 0; rep < 2; rep++) {
		u32 at = base;
		u64 t = rdtsc();

		for (i = 0; i < MID; i++, at += PAGE) {
			u32 want = at + PAGE;

			if ((u32)sys1(SYS_brk, (long)want) != want) {
				wrong("brk.grow_touch_page", 1);
				return;
			}
			*(volatile u8 *)at = 1;
		}
		t = rdtsc() - t;
		if (rep)
			add(&grow, t, MID);

		t = rdtsc();
		for (i = 0; i < MID; i++) {
			at -= PAGE;
			if ((u32)sys1(SYS_brk, (long)at) != at) {
				wrong("brk.shrink_page", 1);
				return;
			}
		}
		t = rdtsc() - t;
		if (rep)
			add(&shrink, t, MID);
	}
	sys1(SYS_brk, (long)old);
	report("brk.grow_touch_page", grow);
	report("brk.shrink_page", shrink);
}

/* Moves pages from a to b and back; both spans are ours to use. */
static void move_test(const char *name, u8 *a, u8 *b, u32 pages, u32 moves)
{
	struct sum s = {0};
	u32 rep, i;
	long r = sys_mmap(a, pages * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (failed(name, r))
		return;
	sys_madvise(a, pages * PAGE, MADV_NOHUGEPAGE);
	touch_write(a, pages);
	a[0] = 42;
	for (rep = 0; rep < 2; rep++) {
		u64 t = rdtsc();

		for (i = 0; i < moves; i++) {
			u8 *from = i & 1 ? b : a, *to = i & 1 ? a : b;

			r = sys_mremap(from, pages * PAGE, pages * PAGE,
				       MREMAP_MAYMOVE | MREMAP_FIXED, to);
			if (failed(name, r))
				return;
		}
		if (rep)
			add(&s, rdtsc() - t, moves * pages);
	}
	if (!wrong(name, a[0] != 42))
		report(name, s);
	unmap(a, pages);
}

static void test_mremap(void)
{
	struct sum grow = {0}, shrink = {0};
	const u32 align = 4 << 20;
	u32 rep, i;
	long r;
	u8 *p = free_span(MID + 1, align);

	if (wrong("mremap.grow_1p", !p))
		return;
	r = sys_mmap(p, PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (failed("mremap.grow_1p", r))
		return;
	for (rep = 0; rep < 2; rep++) {
		u64 t = rdtsc();

		for (i = 1; i <= MID; i++) {
			r = sys_mremap(p, i * PAGE, (i + 1) * PAGE, 0, 0);
			if (failed("mremap.grow_1p", r))
				return;
		}
		t = rdtsc() - t;
		if (rep)
			add(&grow, t, MID);

		t = rdtsc();
		for (i = MID; i; i--) {
			r = sys_mremap(p, (i + 1) * PAGE, i * PAGE, 0, 0);
			if (failed("mremap.shrink_1p", r))
				return;
		}
		t = rdtsc() - t;
		if (rep)
			add(&shrink, t, MID);
	}
	report("mremap.grow_1p", grow);
	report("mremap.shrink_1p", shrink);
	unmap(p, 1);

	/* room for two 4 MiB spans, the second aligned or one page off */
	p = free_span(4 * MID, align);
	if (wrong("mremap.move_1p", !p))
		return;
	move_test("mremap.move_1p", p, p + 2 * align, 1, 200);
	move_test("mremap.move_page", p, p + 2 * align + PAGE, MID, 40);
	move_test("mremap.move_aligned_page", p, p + 2 * align, MID, 40);
}

#endif
