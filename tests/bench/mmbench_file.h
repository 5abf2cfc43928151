/*
 * mmbench_file.h - pages that somebody else has too: shared and file.
 */
#ifndef MMBENCH_FILE_H
#define MMBENCH_FILE_H

#include "mmbench_memory.h"

/* Shared anonymous memory: first touch is a store. */
static void test_shared(void)
{
	struct sum w = {0}, un = {0};
	u32 rep;

	for (rep = 0; rep <= REPS; rep++) {
		u64 tw, t;
		long p = sys_mmap(0, MID * PAGE, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

		if (failed("shared.write_page", p))
			return;
		tw = touch_write((u8 *)p, MID);
		t = rdtsc();
		unmap((u8 *)p, MID);
		t = rdtsc() - t;
		if (rep) {
			add(&w, tw, MID);
			add(&un, t, MID);
		}
	}
	report("shared.write_page", w);
	report("shared.unmap_page", un);	/* frees the object too */
}

/* The 4 MiB file the file tests map: as found, or made here. */
static long open_file(void)
{
	static const char path[] = "/bench.dat";
	long fd = sys3(SYS_open, (long)path, O_RDONLY, 0);
	long p, r = 0;
	u32 i;

	if (!is_err(fd))
		return fd;
	fd = sys3(SYS_open, (long)path, O_RDWR | O_CREAT, 0600);
	if (is_err(fd))
		return fd;
	p = map_anon(1, PROT_READ | PROT_WRITE);
	if (is_err(p))
		return p;
	touch_write((u8 *)p, 1);
	for (i = 0; i < MID && !is_err(r); i++)
		r = sys_write((int)fd, (void *)p, PAGE);
	unmap((u8 *)p, 1);
	return is_err(r) ? r : fd;
}

/* A private mapping of a file whose pages are all in memory. */
static void test_file(void)
{
	struct sum rd = {0}, un = {0}, up = {0}, wr = {0};
	const int prot = PROT_READ | PROT_WRITE;
	u32 rep;
	long fd = open_file();

	if (failed("file.read_page", fd))
		return;
	for (rep = 0; rep <= REPS; rep++) {
		u64 tr, tun, tup, tw, t;
		long p = sys_mmap(0, MID * PAGE, prot, MAP_PRIVATE, (int)fd, 0);

		if (failed("file.read_page", p))
			return;
		tr = touch_read((u8 *)p, MID);
		t = rdtsc();
		unmap((u8 *)p, MID);
		tun = rdtsc() - t;

		p = sys_mmap(0, MID * PAGE, prot, MAP_PRIVATE, (int)fd, 0);
		if (failed("file.cow_after_read_page", p))
			return;
		touch_read((u8 *)p, MID);
		tup = touch_write((u8 *)p, MID);
		unmap((u8 *)p, MID);

		p = sys_mmap(0, MID * PAGE, prot, MAP_PRIVATE, (int)fd, 0);
		if (failed("file.cow_page", p))
			return;
		tw = touch_write((u8 *)p, MID);
		unmap((u8 *)p, MID);
		if (rep) {
			add(&rd, tr, MID);
			add(&un, tun, MID);
			add(&up, tup, MID);
			add(&wr, tw, MID);
		}
	}
	sys1(SYS_close, fd);
	report("file.read_page", rd);		/* per page read, faults or not */
	report("file.unmap_page", un);
	report("file.cow_after_read_page", up);
	report("file.cow_page", wr);		/* first touch is a store */
}

#endif
