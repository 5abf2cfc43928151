/*
 * mmbench_memory.h - memory to measure with, and touching it.
 *
 * => spans are in pages of PAGE bytes; an address that is_err() is an error number
 * => touch_write() and touch_read() return ticks, and are never inlined: each test
 *    runs the same instructions for a page
 */
#ifndef MMBENCH_MEMORY_H
#define MMBENCH_MEMORY_H

#include "mmbench_report.h"

enum {
	PAGE = 4096,
	BULK = 4096,		/* pages in the 16 MiB tests */
	MID = 1024,		/* pages in the 4 MiB tests */
	REPS = 4,		/* measured repetitions of the page tests */
	CALLS = 2000,		/* repetitions of the single-call tests */
	FORKS = 20,		/* repetitions of the fork tests */
};

/* Private anonymous memory, in small pages. */
static long map_anon(u32 pages, int prot)
{
	long p = sys_mmap(0, pages * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	if (!is_err(p))		/* no matter if there are no huge pages */
		sys_madvise((void *)p, pages * PAGE, MADV_NOHUGEPAGE);
	return p;
}

static void unmap(u8 *p, u32 pages)
{
	sys_munmap(p, pages * PAGE);
}

/* One store to each page, in rising order. */
static NOINLINE u64 touch_write(u8 *p, u32 pages)
{
	u64 t = rdtsc();

	for (; pages; pages--, p += PAGE)
		*(volatile u8 *)p = 1;
	return rdtsc() - t;
}

/* One load from each page, in rising order. */
static NOINLINE u64 touch_read(u8 *p, u32 pages)
{
	u64 t = rdtsc();

	for (; pages; pages--, p += PAGE)
		(void)*(volatile u8 *)p;
	return rdtsc() - t;
}

/* A span of address space free at the time of asking, aligned to align. */
static u8 *free_span(u32 pages, u32 align)
{
	u32 all = pages + align / PAGE;
	long p = sys_mmap(0, all * PAGE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (is_err(p))
		return 0;
	unmap((u8 *)p, all);
	return (u8 *)(((u32)p + align - 1) & -align);
}

/* A page that a child can leave a result in, or 0. */
static volatile u64 *shared_result(const char *name)
{
	long p = sys_mmap(0, PAGE, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (failed(name, p))
		return 0;
	*(volatile u64 *)p = 0;
	return (volatile u64 *)p;
}

/* Waits for pid; true if it exited with status 0. */
static int reap(long pid)
{
	int status = -1;
	long r = sys3(SYS_waitpid, pid, (long)&status, 0);

	return r == pid && status == 0;
}

#endif
