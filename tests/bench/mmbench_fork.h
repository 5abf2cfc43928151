/*
 * mmbench_fork.h - processes: fork, and the pages that parent and child share.
 */
#ifndef MMBENCH_FORK_H
#define MMBENCH_FORK_H

#include "mmbench_memory.h"

/* fork + exit + waitpid with so much private memory written beforehand; then
 * the parent, the last owner again, writes to all of it. */
static void fork_test(const char *name, const char *reuse, u32 pages)
{
	struct sum s = {0}, again = {0};
	u32 i;
	long p = 0;

	if (pages) {
		p = map_anon(pages, PROT_READ | PROT_WRITE);
		if (failed(name, p))
			return;
		touch_write((u8 *)p, pages);
	}
	for (i = 0; i <= FORKS; i++) {
		u64 t = rdtsc();
		long pid = sys0(SYS_fork);
		int ok;

		if (pid == 0)
			sys_exit(0);
		if (failed(name, pid))
			return;
		ok = reap(pid);
		t = rdtsc() - t;
		if (wrong(name, !ok))
			return;
		if (i)
			add(&s, t, 1);
		if (pages) {
			t = touch_write((u8 *)p, pages);
			if (i)
				add(&again, t, pages);
		}
	}
	report(name, s);
	if (reuse)
		report(reuse, again);
	if (pages)
		unmap((u8 *)p, pages);
}

/* A child writes to pages its parent still maps: each is copied. */
static void cow_test(void)
{
	static const char name[] = "fork.cow_write_page";
	struct sum cow = {0};
	volatile u64 *result = shared_result(name);
	u32 rep;
	long p;

	if (!result)
		return;
	p = map_anon(MID, PROT_READ | PROT_WRITE);
	if (failed(name, p))
		return;
	for (rep = 0; rep <= REPS; rep++) {
		long pid;

		touch_write((u8 *)p, MID);
		pid = sys0(SYS_fork);
		if (pid == 0) {
			*result = touch_write((u8 *)p, MID);
			sys_exit(0);
		}
		if (failed(name, pid) || wrong(name, !reap(pid)))
			return;
		if (rep)
			add(&cow, *result, MID);
	}
	report(name, cow);
	unmap((u8 *)p, MID);
	unmap((u8 *)result, 1);
}

static void test_fork(void)
{
	fork_test("fork.exit_wait_0m", 0, 0);
	fork_test("fork.exit_wait_1m", 0, 256);
	fork_test("fork.exit_wait_16m", "fork.reuse_write_page", BULK);
	cow_test();
}

#endif
