/*
 * mmbench_map.h - mappings made, filled and unmade: mmap and fault.
 */
#ifndef MMBENCH_MAP_H
#define MMBENCH_MAP_H

#include "mmbench_memory.h"

/* A mapping made and unmade, with nothing touched. */
static void map_unmap(const char *name, u32 pages)
{
	struct sum s = {0};
	u32 i, rep;
	long p = 0, r = 0;

	for (rep = 0; rep < 2; rep++) {
		u64 t = rdtsc();

		for (i = 0; i < CALLS; i++) {
			p = sys_mmap(0, pages * PAGE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			if (is_err(p))
				break;
			r = sys_munmap((void *)p, pages * PAGE);
			if (is_err(r))
				break;
		}
		if (failed(name, p) || failed(name, r))
			return;
		if (rep)
			add(&s, rdtsc() - t, i);
	}
	report(name, s);
}

static void test_mmap(void)
{
	struct sum fill = {0}, un = {0};
	u32 rep;

	map_unmap("mmap.map_unmap_1p", 1);
	map_unmap("mmap.map_unmap_4m", MID);

	for (rep = 0; rep <= REPS; rep++) {
		u64 t = rdtsc(), f, u;
		long p = sys_mmap(0, BULK * PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
				  -1, 0);

		f = rdtsc() - t;
		if (failed("mmap.populate_page", p))
			return;
		t = rdtsc();
		unmap((u8 *)p, BULK);
		u = rdtsc() - t;
		if (rep) {
			add(&fill, f, BULK);
			add(&un, u, BULK);
		}
	}
	report("mmap.populate_page", fill);
	report("mmap.unmap_populated_page", un);
}

/* Faults on private anonymous memory. */
static void test_fault(void)
{
	struct sum w = {0}, r = {0}, up = {0}, un = {0}, unz = {0};
	u32 rep;

	for (rep = 0; rep <= REPS; rep++) {
		u64 tw, tr, tu, tun, tunz, t;
		long p = map_anon(BULK, PROT_READ | PROT_WRITE);

		if (failed("fault.write_page", p))
			return;
		tw = touch_write((u8 *)p, BULK);
		t = rdtsc();
		unmap((u8 *)p, BULK);
		tun = rdtsc() - t;

		p = map_anon(BULK, PROT_READ | PROT_WRITE);
		if (failed("fault.read_page", p))
			return;
		tr = touch_read((u8 *)p, BULK);
		tu = touch_write((u8 *)p, BULK);
		unmap((u8 *)p, BULK);

		p = map_anon(BULK, PROT_READ | PROT_WRITE);
		if (failed("fault.unmap_zero_page", p))
			return;
		touch_read((u8 *)p, BULK);
		t = rdtsc();
		unmap((u8 *)p, BULK);
		tunz = rdtsc() - t;

		if (rep) {
			add(&w, tw, BULK);
			add(&un, tun, BULK);
			add(&r, tr, BULK);
			add(&up, tu, BULK);
			add(&unz, tunz, BULK);
		}
	}
	report("fault.write_page", w);		/* first touch is a store */
	report("fault.unmap_page", un);		/* munmap of those pages */
	report("fault.read_page", r);		/* first touch is a load */
	report("fault.write_after_read_page", up);
	report("fault.unmap_zero_page", unz);	/* munmap, only read before */
}

#endif
