/*
 * mmbench_areas.h - many mappings at once: vma.
 */
#ifndef MMBENCH_AREAS_H
#define MMBENCH_AREAS_H

#include "mmbench_memory.h"

/*
 * Operations among n one-page mappings whose protections alternate, so that no
 * two neighbours can be one: mmap where the kernel likes, a store fault, a
 * munmap that leaves a hole, an mmap into that hole, and the end of them all
 * by a single munmap.  The faults, holes and refills are spread evenly over
 * all n.
 */
struct vma_names {
	u32 n;
	const char *map, *fault, *unmap, *refill, *all;
};

static void vma_test(const struct vma_names *nm)
{
	enum { SAMPLES = 500 };
	const int prot[2] = { PROT_READ | PROT_WRITE, PROT_READ };
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	const u32 n = nm->n, step = n / SAMPLES;
	const u32 table_pages = (n * sizeof(u8 *) + PAGE - 1) / PAGE;
	struct sum s;
	u8 **at, *low, *high;
	long r;
	u32 i;
	u64 t;

	r = map_anon(table_pages, PROT_READ | PROT_WRITE);
	if (failed(nm->map, r))
		return;
	at = (u8 **)r;
	touch_write((u8 *)at, table_pages);

	t = 0;
	for (i = 0; i < n; i++) {
		if (i == n - SAMPLES)
			t = rdtsc();
		r = sys_mmap(0, PAGE, prot[i & 1], flags, -1, 0);
		if (is_err(r))
			break;
		at[i] = (u8 *)r;
	}
	t = rdtsc() - t;
	if (failed(nm->map, r))
		goto undo;
	s = (struct sum){ t, SAMPLES };
	report(nm->map, s);

	/* Even ones are writable.  A load beside each makes sure that its page
	 * table is there, which is not what the fault is to measure. */
	for (i = 0; i < n; i += step)
		(void)*(volatile u8 *)at[i + 1];
	t = rdtsc();
	for (i = 0; i < n; i += step)
		*(volatile u8 *)at[i] = 1;
	s = (struct sum){ rdtsc() - t, SAMPLES };
	report(nm->fault, s);

	t = rdtsc();
	for (i = 0; i < n; i += step) {
		r = sys_munmap(at[i], PAGE);
		if (failed(nm->unmap, r))
			goto undo_all;
	}
	s = (struct sum){ rdtsc() - t, SAMPLES };
	report(nm->unmap, s);

	t = rdtsc();
	for (i = 0; i < n; i += step) {
		r = sys_mmap(at[i], PAGE, prot[0], flags | MAP_FIXED, -1, 0);
		if (failed(nm->refill, r))
			goto undo_all;
	}
	s = (struct sum){ rdtsc() - t, SAMPLES };
	report(nm->refill, s);

	i = n;
	low = high = at[0];
	while (i--) {
		low = at[i] < low ? at[i] : low;
		high = at[i] > high ? at[i] : high;
	}
	if (!wrong(nm->all, (u32)(high - low) != (n - 1) * PAGE)) {
		t = rdtsc();
		r = sys_munmap(low, n * PAGE);
		s = (struct sum){ rdtsc() - t, n };
		if (!failed(nm->all, r)) {
			report(nm->all, s);
			i = 0;
			goto undo;
		}
	}
undo_all:
	i = n;
undo:
	while (i--)
		unmap(at[i], 1);
	unmap((u8 *)at, table_pages);
}

static void test_vma(void)
{
	static const struct vma_names names[] = {
		{ 1000, "vma.mmap_1k", "vma.fault_1k", "vma.munmap_1k",
		  "vma.refill_1k", "vma.munmap_all_1k" },
		{ 10000, "vma.mmap_10k", "vma.fault_10k", "vma.munmap_10k",
		  "vma.refill_10k", "vma.munmap_all_10k" },
		{ 60000, "vma.mmap_60k", "vma.fault_60k", "vma.munmap_60k",
		  "vma.refill_60k", "vma.munmap_all_60k" },
	};
	u32 i;

	for (i = 0; i < sizeof names / sizeof *names; i++)
		vma_test(&names[i]);
}

#endif
